/* event_data.h - received bytes as JSON, for bodies and answers that are JSON.
 *
 * JSON stands there as it came. Text becomes a JSON string, and anything else {"base64":"…"}. Pure.
 */
#ifndef TROTLINE_WIRE_EVENT_DATA_H
#define TROTLINE_WIRE_EVENT_DATA_H

#include "base/buf.h"
#include "wire/event_record.h"

/* Does the type say that it is JSON: "application/json", "application/vnd.x+json; charset=utf-8"?
 */
bool event_data_type_is_json(struct slice content_type);

/* What received bytes are. JSON is what parses as one value (json_check()), and is an object or an
 * array, or is called JSON by its content type: "true" in a text/plain body is text. */
enum event_data event_data_kind(struct slice data, struct slice content_type);

/* The record's data as JSON: itself, or appended to `buf`, whose status the caller checks; the
 * slice is then valid until `buf` changes. */
struct slice event_data_json(const struct event_record *record, struct buf *buf);

#endif
