/* log_json.h - the fields of a log line, from logfmt to JSON. Pure. */
#ifndef TROTLINE_BASE_LOG_JSON_H
#define TROTLINE_BASE_LOG_JSON_H

#include "base/buf.h"
#include "base/slice.h"

/* Appends `,"key":value` for each key=value. Whole numbers of up to 15 digits become numbers (so
 * that an id is a string, whatever its digits), everything else strings; texts in quotes lose their
 * escapes. What is not of that form is appended whole as member "text". The output is valid
 * whatever the fields hold.
 *
 * A field "event" (the id of one) becomes "event_id", because "event" is the line's own name. */
void log_json_fields(struct buf *out, struct slice fields);

#endif
