/* fuzz_event_received.c - what a third party sends, as it is kept and shown.
 *
 * Input: lines of headers ("name: value\n", or not), an empty line, and a body. What must hold:
 *   - headers that were kept come back as they are, in their order, and none is one that may not
 *     be kept;
 *   - whatever the body is, its JSON is JSON, and says the bytes that came where they are text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/limits.h"
#include "wire/event_data.h"
#include "wire/event_headers.h"

enum { JSON_BYTES_MAX = 64 * 1024 * 1024 };

static void check(bool truth)
{
    if (!truth)
        abort();
}

/* Cuts the first line off. */
static struct slice take_line(struct slice *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    struct slice line = slice_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = slice_from(*rest, line.len + 1);
    return line;
}

static void split(struct slice line, struct slice *name, struct slice *value)
{
    const char *colon = memmem(line.ptr, line.len, ": ", 2);
    *name = slice_of(line.ptr, colon ? (size_t)(colon - line.ptr) : line.len);
    *value = slice_from(line, colon ? name->len + 2 : line.len);
}

/* Keeps what may be kept of the lines, and looks whether just that comes back. Returns the body. */
static struct slice check_headers(struct slice input, struct slice *content_type)
{
    struct slice name, value, rest = input, line, kept_name, kept_value;
    struct buf headers;
    buf_init(&headers, 2 * LIMIT_EVENT_HEADERS_BYTES);
    while ((line = take_line(&rest)).len > 0) {
        split(line, &name, &value);
        if (slice_eq_nocase(name, SLICE("content-type")))
            *content_type = value;
        size_t at = headers.len;
        if (!event_header_allowed(name, *content_type) || !event_headers_add(&headers, name, value))
            continue;
        struct slice added = slice_from(buf_slice(&headers), at);
        check(event_headers_next(&added, &kept_name, &kept_value) && added.len == 0);
        check(slice_eq(kept_name, name) && slice_eq(kept_value, value));
        check(!slice_eq_nocase(name, SLICE("trotline-verified")));
    }
    check(headers.len <= LIMIT_EVENT_HEADERS_BYTES && buf_status(&headers) == ST_OK);
    struct slice all = buf_slice(&headers);
    while (event_headers_next(&all, &name, &value))
        (void)event_header_secret(name);
    check(all.len == 0);
    buf_free(&headers);
    return rest;
}

static void check_body(struct slice body, struct slice content_type)
{
    struct buf json, text;
    struct event_record record = {.data = body, .data_kind = event_data_kind(body, content_type)};
    buf_init(&json, JSON_BYTES_MAX);
    buf_init(&text, JSON_BYTES_MAX);
    struct slice shown = event_data_json(&record, &json);
    check(json_check(shown, NULL) == ST_OK);
    if (record.data_kind == EVENT_DATA_JSON)
        check(shown.ptr == body.ptr && shown.len == body.len);
    if (record.data_kind == EVENT_DATA_TEXT)
        check(json_unescape(shown, &text) == ST_OK && slice_eq(buf_slice(&text), body));
    buf_free(&json);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice content_type = SLICE_NULL;
    struct slice body = check_headers(slice_of(data, size), &content_type);
    check_body(body, content_type);
    return 0;
}
