/* fuzz_msgpack_json.c - any bytes as msgpack that is to become JSON.
 *
 * What is accepted is JSON, ends where skipping the value ends, and fits; what does not fit in less
 * room does not in less still. What is refused is told why, and skipping may still like it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/limits.h"
#include "wire/msgpack_json.h"

enum { ROOM = 1 << 20 };

static void check(bool truth)
{
    if (!truth)
        abort();
}

static enum status convert(struct slice input, size_t max, struct buf *out, size_t *used,
                           struct field_error *error)
{
    struct mp_reader reader;
    mp_reader_init(&reader, input);
    buf_init(out, max);
    enum status status = msgpack_json(&reader, "data", LIMIT_JSON_DEPTH, out, error);
    check(out->len <= max);
    *used = (size_t)((const char *)reader.at - input.ptr);
    return status;
}

/* Names of JSON are compared with their escapes undone; of an accepted map no two are the same. */
static void check_names(struct slice json)
{
    struct json_member members[64];
    size_t count;
    if (json.ptr[0] == '{') {
        enum status status = json_members(json, members, 64, &count, NULL);
        check(status == ST_OK || status == ST_LIMIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct field_error error = {.code = NULL};
    struct buf out, small;
    size_t used, unused;
    if (size == 0)
        return 0;
    enum status status = convert(input, ROOM, &out, &used, &error);
    if (status == ST_OK) {
        struct mp_reader reader;
        mp_reader_init(&reader, input);
        mp_skip(&reader);
        check(reader.error == ST_OK && (size_t)((const char *)reader.at - input.ptr) == used);
        check(json_check(buf_slice(&out), NULL) == ST_OK);
        check_names(buf_slice(&out));
        size_t len = out.len;
        check(convert(input, len, &small, &unused, &error) == ST_OK);
        buf_free(&small);
        check(convert(input, len - 1, &small, &unused, &error) == ST_LIMIT);
        buf_free(&small);
    } else if (status == ST_RANGE) {
        check(error.code && error.message[0] != '\0');
        check(memchr(error.field, '\0', sizeof(error.field)) != NULL);
    } else {
        check(status == ST_LIMIT);
    }
    buf_free(&out);
    return 0;
}
