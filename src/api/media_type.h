/* media_type.h - what kind of body a request says it has (RFC 9110 section 8.3.1). Pure. */
#ifndef TROTLINE_API_MEDIA_TYPE_H
#define TROTLINE_API_MEDIA_TYPE_H

#include <stdbool.h>

#include "base/slice.h"

/* The type without parameters and blanks ("application/json"); its case is as received. */
struct slice media_type_essence(struct slice content_type);

enum media_type {
    MEDIA_JSON,             /* as media_type_is_json(), but none of those below */
    MEDIA_MSGPACK,          /* application/msgpack, …/vnd.msgpack, …/x-msgpack */
    MEDIA_CLOUDEVENT,       /* application/cloudevents+json */
    MEDIA_CLOUDEVENT_BATCH, /* application/cloudevents-batch+json */
    MEDIA_OTHER
};

/* Without a Content-Type (SLICE_NULL) it is JSON. */
enum media_type media_type_of(struct slice content_type);

/* Is it application/json or application/…+json, with no charset but utf-8? Other parameters are
 * passed over. */
bool media_type_is_json(struct slice content_type);

#endif
