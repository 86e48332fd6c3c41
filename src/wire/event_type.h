/* event_type.h - what an event may be called. Pure. */
#ifndef TROTLINE_WIRE_EVENT_TYPE_H
#define TROTLINE_WIRE_EVENT_TYPE_H

#include <stdbool.h>

#include "base/slice.h"

/* Segments of A-Z a-z 0-9 _ - with dots between them, at most LIMIT_TYPE_BYTES. */
bool event_type_valid(struct slice type);

#endif
