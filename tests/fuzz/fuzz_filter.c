/* fuzz_filter.c - a filter, a line feed, and a payload.
 *
 * Whatever is refused is refused with code and place. What is accepted says of the payload the
 * opposite of what it says with $not around it, and the same when filter or payload are written
 * with other escapes, blanks and numbers.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../unit/json_respell.h"
#include "base/limits.h"
#include "core/filter.h"

enum { TEXT_MAX = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool truth)
{
    if (!truth)
        abort();
}

static void check_refused(const struct field_error *error)
{
    check(error->code && strcmp(error->code, "invalid_filter") == 0);
    check(memchr(error->field, '\0', sizeof(error->field)) != NULL);
    check(strncmp(error->field, "filter", 6) == 0 && error->message[0] != '\0');
}

/* Is refused only for want of room, if what it was made of is accepted. */
static void check_says(const struct buf *json, struct slice payload, bool expected)
{
    struct filter *filter;
    struct field_error error = {.code = NULL};
    check(buf_status(json) == ST_OK);
    if (filter_compile(buf_slice(json), &filter, &error)) {
        check_refused(&error);
        check(json->len > LIMIT_FILTER_BYTES || strstr(error.message, " at most "));
        return;
    }
    check(filter_matches(filter, payload) == expected);
    filter_free(filter);
}

static void check_filter(const struct filter *filter, struct slice json, struct slice payload)
{
    bool matches = filter_matches(filter, payload);
    struct buf other;
    buf_init(&other, TEXT_MAX);
    json_respell(payload, &other);
    check(buf_status(&other) == ST_OK && json_check(buf_slice(&other), NULL) == ST_OK);
    check(filter_matches(filter, buf_slice(&other)) == matches);

    buf_clear(&other);
    json_respell(json, &other);
    check_says(&other, payload, matches);

    buf_clear(&other);
    buf_add_str(&other, "{\"$not\":");
    buf_add_slice(&other, json);
    buf_add_str(&other, "}");
    check_says(&other, payload, !matches);
    buf_free(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    const char *line_end = size > 0 ? memchr(text.ptr, '\n', size) : NULL;
    size_t filter_bytes = line_end ? (size_t)(line_end - text.ptr) : size;
    struct slice json = slice_of(text.ptr, filter_bytes);
    struct slice payload = slice_from(text, filter_bytes);

    struct filter *filter;
    struct field_error error = {.code = NULL};
    if (filter_compile(json, &filter, &error)) {
        check(filter == NULL);
        check_refused(&error);
        return 0;
    }
    if (json_check(payload, NULL) == ST_OK)
        check_filter(filter, json, payload);
    filter_free(filter);
    return 0;
}
