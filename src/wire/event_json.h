/* event_json.h - an event with all its members, as a JSON object:
 *
 *     {"id","type","timestamp","data","version","source"[,"orderingKey"][,"duplicateOf"]}
 *
 * which but for the last two is also what the scheme `event` has for its body. `version` and
 * `source` are null when the event has none, and the others are then left out. Data that is not
 * JSON is written as schemes do it (event_data.h). Pure.
 */
#ifndef TROTLINE_WIRE_EVENT_JSON_H
#define TROTLINE_WIRE_EVENT_JSON_H

#include "base/buf.h"
#include "wire/event_record.h"

/* Appends it. Ask buf_status(). */
void event_json_write(struct buf *buf, struct slice id, const struct event_record *record);

#endif
