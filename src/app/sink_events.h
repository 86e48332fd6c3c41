/* sink_events.h - the events of a request that carries several (event_list.h). Pure. */
#ifndef TROTLINE_APP_SINK_EVENTS_H
#define TROTLINE_APP_SINK_EVENTS_H

#include <stdbool.h>

#include "base/json_walk.h"
#include "net/http_head.h"

/* Text between the quotes, as it stands there; SLICE_NULL: it has none, or it is no string. */
struct sink_event {
    struct slice id, type;
    struct slice data; /* JSON */
};

struct sink_events {
    struct json_walk walk; /* in the array */
    struct slice lines;    /* that are left */
    bool is_lines;
};

/* False: it is no such request, by its headers and its body. */
bool sink_events_begin(struct sink_events *events, const struct http_header *headers,
                       size_t header_count, struct slice body);

/* False when there is no other, or a line is no JSON. */
bool sink_events_next(struct sink_events *events, struct sink_event *event);

#endif
