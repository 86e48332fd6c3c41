/* event_json.c - an event with all its members, as a JSON object. */
#include "wire/event_json.h"

#include "base/json_out.h"
#include "wire/event_data.h"

void event_json_write(struct buf *buf, struct slice id, const struct event_record *record)
{
    struct json_out out;
    json_out_begin(&out, buf);
    json_object_open(&out);
    json_member_str(&out, "id", id);
    json_member_str(&out, "type", record->type);
    json_member_time_ms(&out, "timestamp", record->timestamp_ms);
    bool json = record->data_kind == EVENT_DATA_JSON;
    json_key(&out, "data");
    json_value_raw(&out, json ? record->data : SLICE("")); /* else it comes right behind */
    if (!json)
        (void)event_data_json(record, buf);
    json_member_str_or_null(&out, "version", record->version);
    json_member_str_or_null(&out, "source", record->source);
    if (record->ordering_key.ptr)
        json_member_str(&out, "orderingKey", record->ordering_key);
    if (record->duplicate_of.ptr)
        json_member_str(&out, "duplicateOf", record->duplicate_of);
    json_object_close(&out);
}
