/* trace_context.h - W3C trace context: what a producer sends along, to be continued in deliveries.
 * Pure.
 */
#ifndef TROTLINE_WIRE_TRACE_CONTEXT_H
#define TROTLINE_WIRE_TRACE_CONTEXT_H

#include "wire/event_record.h"

enum { TRACE_PARENT_BYTES = 55, TRACE_STATE_BYTES_MAX = 512 };

/* Takes both into the record, `state` only if it is not longer than TRACE_STATE_BYTES_MAX. What is
 * no traceparent of version 00 is passed over, and tracestate with it (W3C Trace Context, section
 * 3.2.2.5): the record stays as it is. Either may be SLICE_NULL. */
void trace_context_take(struct event_record *record, struct slice parent, struct slice state);

#endif
