/* event_cloud_json.c - CloudEvents in the JSON event format: structured mode, and what a batch has.
 *
 * Attributes are members; `data` and `data_base64` are the data, of which only one may be there.
 */
#include <stdlib.h>

#include "base/json_scan.h"
#include "wire/encoding.h"
#include "wire/event_cloud_private.h"
#include "wire/event_data.h"

enum { MEMBERS_MAX = LIMIT_CLOUDEVENT_ATTRIBUTES + 2 /* data, data_base64 */ };

/* The text of a JSON string, in place if it can be. There is room in the storage. */
static struct slice text_of(struct cloud *cloud, struct slice quoted)
{
    if (json_string_is_plain(quoted))
        return slice_of(quoted.ptr + 1, quoted.len - 2);
    size_t from = cloud->storage->len;
    if (json_unescape(quoted, cloud->storage) != ST_OK)
        return SLICE("");
    return slice_from(buf_slice(cloud->storage), from);
}

/* JSON event format, section 2.2: numbers are whole, of 32 bits (core specification). */
static bool is_integer(struct slice number)
{
    char text[16];
    if (number.len >= sizeof(text))
        return false;
    memcpy(text, number.ptr, number.len);
    text[number.len] = '\0';
    char *end;
    long value = strtol(text, &end, 10);
    return *end == '\0' && value >= INT32_MIN && value <= INT32_MAX;
}

static enum status add_member(struct cloud *cloud, const struct json_member *member)
{
    struct attribute attribute = {member->name, member->value, {.kind = VALUE_OTHER}};
    switch (member->type) {
    case JSON_NULL:
        return ST_OK; /* the same as if it were not there */
    case JSON_STRING:
        attribute.value.kind = VALUE_TEXT;
        attribute.value.text = text_of(cloud, member->value);
        break;
    case JSON_NUMBER:
        if (!is_integer(member->value))
            return cloud_refuse(
                cloud, member->name,
                "A number in a CloudEvent's attribute must be whole and have 32 bits.");
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        return cloud_refuse(cloud, member->name,
                            "A CloudEvent's attribute is a string, a whole number, or a boolean.");
    }
    return cloud_add(cloud, &attribute);
}

static enum status take_base64(struct cloud *cloud, const struct json_member *member)
{
    struct slice name = SLICE("data_base64");
    if (member->type != JSON_STRING)
        return cloud_refuse(cloud, name, "data_base64 must be a string.");
    struct slice text = text_of(cloud, member->value);
    char *to = buf_reserve(cloud->storage, text.len);
    size_t len = 0;
    if (!to)
        return ST_NOMEM;
    if (base64_decode(text, to, text.len, &len) != ST_OK)
        return cloud_refuse(cloud, name,
                            "data_base64 must be base64 (RFC 4648 section 4), with padding.");
    cloud->storage->len += len;
    return cloud_set_bytes(cloud, slice_of(to, len));
}

/* JSON event format, section 3.1.2. */
static enum status take_data(struct cloud *cloud, const struct json_member *member)
{
    struct slice type = cloud->reading->document->record.content_type;
    if (!type.ptr || event_data_type_is_json(type))
        return cloud_set_data(cloud, member->value, EVENT_DATA_JSON);
    if (member->type == JSON_NULL)
        return cloud_set_no_data(cloud);
    if (member->type != JSON_STRING)
        return cloud_refuse(cloud, SLICE("data"),
                            "data must be a string when datacontenttype is not JSON.");
    return cloud_set_data(cloud, text_of(cloud, member->value), EVENT_DATA_TEXT);
}

/* Data takes some when it is text with escapes, or base64. */
static size_t room_of(const struct json_member *members, size_t count)
{
    size_t bytes = ROOM_MORE;
    for (size_t i = 0; i < count; i++) {
        const struct json_member *member = &members[i];
        if (slice_eq(member->name, SLICE("data")))
            bytes += member->type == JSON_STRING && !json_string_is_plain(member->value)
                         ? member->value.len
                         : 0;
        else if (slice_eq(member->name, SLICE("data_base64")))
            bytes += 2 * member->value.len;
        else
            bytes += (member->name.len + member->value.len + ROOM_ATTRIBUTE) * ROOM_EACH;
    }
    return bytes;
}

enum status event_read_cloud(struct event_reading *reading, struct slice body)
{
    struct cloud cloud = {.reading = reading, .storage = &reading->document->storage};
    struct json_member members[MEMBERS_MAX];
    const struct json_member *data = NULL, *base64 = NULL;
    size_t count;
    enum status status = event_json_members(reading, body, members, MEMBERS_MAX, &count);
    if (status != ST_OK)
        return status;
    if (!cloud_take_room(&cloud, room_of(members, count)))
        return ST_NOMEM;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (slice_eq(members[i].name, SLICE("data")))
            data = &members[i];
        else if (slice_eq(members[i].name, SLICE("data_base64")))
            base64 = &members[i];
        else
            status = add_member(&cloud, &members[i]);
    }
    if (status == ST_OK)
        status = cloud_take_attributes(&cloud);
    if (status != ST_OK)
        return status;
    if (data && base64)
        return cloud_refuse(&cloud, SLICE("data_base64"), "Give data or data_base64, not both.");
    return base64 ? take_base64(&cloud, base64)
           : data ? take_data(&cloud, data)
                  : cloud_set_no_data(&cloud);
}
