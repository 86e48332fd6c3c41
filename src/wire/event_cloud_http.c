/* event_cloud_http.c - CloudEvents in HTTP's binary mode (HTTP protocol binding, section 3.1).
 *
 *     ce-specversion: 1.0
 *     ce-type: com.example.someevent
 *     ce-subject: Euro%20%E2%82%AC
 *     Content-Type: application/json
 *
 *     { data }
 */
#include "base/ascii.h"
#include "base/utf8.h"
#include "wire/event_cloud_private.h"

static bool is_attribute(struct slice name)
{
    return name.len > 3 && slice_eq_nocase(slice_of(name.ptr, 3), SLICE("ce-"));
}

static struct slice lower_case(struct cloud *cloud, struct slice name)
{
    size_t from = cloud->storage->len;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        buf_add_char(cloud->storage, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    return slice_from(buf_slice(cloud->storage), from);
}

/* The byte that "%e2" stands for; negative when nothing of that form is at `at`. */
static int encoded_byte(const char *at, const char *end)
{
    if (end - at < 3 || *at != '%')
        return -1;
    int high = ascii_hex_value(at[1]), low = ascii_hex_value(at[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Section 3.1.3.2: first what quotes and backslashes hide, then one round of percent-decoding. A
 * percent sign without two digits behind it is one: there are senders that encode nothing. */
static struct slice decode(struct cloud *cloud, struct slice value)
{
    struct buf *storage = cloud->storage;
    size_t from = storage->len;
    bool quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    if (quoted)
        value = slice_of(value.ptr + 1, value.len - 2);
    for (size_t i = 0; i < value.len; i++) {
        i += quoted && value.ptr[i] == '\\' && i + 1 < value.len;
        buf_add_char(storage, value.ptr[i]);
    }
    struct slice text = slice_from(buf_slice(storage), from);
    char *to = storage->ptr + from; /* never ahead of what is read */
    for (const char *at = text.ptr, *end = at + text.len; at < end; to++) {
        int byte = encoded_byte(at, end);
        *to = byte < 0 ? *at : (char)byte;
        at += byte < 0 ? 1 : 3;
    }
    storage->len = (size_t)(to - storage->ptr);
    return slice_from(buf_slice(storage), from);
}

static bool is_there(const struct cloud *cloud, struct slice name)
{
    for (size_t i = 0; i < cloud->count; i++)
        if (slice_eq(cloud->attributes[i].name, name))
            return true;
    return false;
}

static enum status add_header(struct cloud *cloud, const struct received_header *header)
{
    struct attribute attribute = {.name = lower_case(cloud, slice_from(header->name, 3)),
                                  .value = {.kind = VALUE_TEXT}};
    attribute.value.text = decode(cloud, header->value);
    if (slice_eq(attribute.name, SLICE("datacontenttype")))
        return cloud_refuse(cloud, header->name, "Content-Type says what the data is.");
    if (is_there(cloud, attribute.name))
        return cloud_refuse(cloud, header->name, "This header is there twice.");
    if (!utf8_valid(attribute.value.text))
        return cloud_refuse(cloud, header->name, "This header is not UTF-8 when it is decoded.");
    return cloud_add(cloud, &attribute);
}

static enum status add_content_type(struct cloud *cloud, const struct received_header *header)
{
    struct attribute attribute = {.name = SLICE("datacontenttype"),
                                  .value = {.kind = VALUE_TEXT, .text = header->value}};
    if (is_there(cloud, attribute.name))
        return cloud_refuse(cloud, header->name, "This header is there twice.");
    if (!utf8_valid(header->value))
        return cloud_refuse(cloud, header->name, "A media type is ASCII.");
    return cloud_add(cloud, &attribute);
}

/* All bytes of the event in one place: the attributes, which were written last, and the data. */
static void join(struct cloud *cloud, struct slice body)
{
    struct event_document *document = cloud->reading->document;
    size_t from = (size_t)(document->record.cloud_event.ptr - cloud->storage->ptr);
    buf_add_slice(cloud->storage, body);
    document->whole = slice_from(buf_slice(cloud->storage), from);
}

enum status event_read_binary(struct event_reading *reading, const struct received_header *headers,
                              size_t header_count, struct slice body)
{
    struct cloud cloud = {.reading = reading, .storage = &reading->document->storage};
    size_t room = ROOM_MORE + body.len;
    for (size_t i = 0; i < header_count; i++)
        room += (headers[i].name.len + headers[i].value.len + ROOM_ATTRIBUTE) * ROOM_EACH;
    if (!cloud_take_room(&cloud, room))
        return ST_NOMEM;
    enum status status = ST_OK;
    for (size_t i = 0; i < header_count && status == ST_OK; i++) {
        if (is_attribute(headers[i].name))
            status = add_header(&cloud, &headers[i]);
        else if (slice_eq_nocase(headers[i].name, SLICE("Content-Type")))
            status = add_content_type(&cloud, &headers[i]);
    }
    if (status == ST_OK)
        status = cloud_take_attributes(&cloud);
    if (status != ST_OK)
        return status;
    join(&cloud, body);
    return cloud_set_bytes(&cloud, body);
}
