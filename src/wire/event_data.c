/* event_data.c - received bytes as JSON.
 *
 * What they are is found out once and kept in the record, so that no delivery looks at them again.
 *
 * Rejected: to go by the content type alone, because known senders call their JSON text/plain, and
 * others call JSON what is none; and to take everything that parses for JSON, because then a text
 * of digits would be a number in one event and a string in the next.
 */
#include "wire/event_data.h"

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/utf8.h"
#include "wire/encoding.h"

bool event_data_type_is_json(struct slice content_type)
{
    const char *end = content_type.len > 0 ? memchr(content_type.ptr, ';', content_type.len) : NULL;
    size_t len = end ? (size_t)(end - content_type.ptr) : content_type.len;
    while (len > 0 && (content_type.ptr[len - 1] == ' ' || content_type.ptr[len - 1] == '\t'))
        len--;
    struct slice name = SLICE("json");
    if (len <= name.len || !slice_eq_nocase(slice_of(content_type.ptr + len - name.len, 4), name))
        return false;
    char before = content_type.ptr[len - name.len - 1];
    return before == '/' || before == '+';
}

/* Does it begin as an object or an array? */
static bool is_container(struct slice data)
{
    size_t at = 0;
    while (at < data.len && memchr(" \t\r\n", data.ptr[at], 4))
        at++;
    return at < data.len && (data.ptr[at] == '{' || data.ptr[at] == '[');
}

enum event_data event_data_kind(struct slice data, struct slice content_type)
{
    bool json = is_container(data) || event_data_type_is_json(content_type);
    if (json && json_check(data, NULL) == ST_OK)
        return EVENT_DATA_JSON;
    return utf8_valid(data) ? EVENT_DATA_TEXT : EVENT_DATA_BYTES;
}

struct slice event_data_json(const struct event_record *record, struct buf *buf)
{
    size_t from = buf->len;
    switch (record->data_kind) {
    case EVENT_DATA_JSON:
        return record->data;
    case EVENT_DATA_TEXT:
        json_out_string(buf, record->data);
        break;
    case EVENT_DATA_BYTES:
        buf_add_str(buf, "{\"base64\":\"");
        base64_encode(buf, record->data);
        buf_add_str(buf, "\"}");
        break;
    }
    return slice_from(buf_slice(buf), from);
}
