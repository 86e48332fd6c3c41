/* trace_context.c - W3C trace context.
 *
 *     00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *     version, trace id                   parent id        flags
 */
#include "wire/trace_context.h"

static bool lower_hex(struct slice text, bool may_be_zero)
{
    bool zero = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
    }
    return may_be_zero || !zero;
}

static bool parent_valid(struct slice parent)
{
    return parent.len == TRACE_PARENT_BYTES && slice_starts(parent, SLICE("00-")) &&
           parent.ptr[35] == '-' && parent.ptr[52] == '-' &&
           lower_hex(slice_of(parent.ptr + 3, 32), false) &&
           lower_hex(slice_of(parent.ptr + 36, 16), false) &&
           lower_hex(slice_of(parent.ptr + 53, 2), true);
}

void trace_context_take(struct event_record *record, struct slice parent, struct slice state)
{
    if (!parent_valid(parent))
        return;
    record->traceparent = parent;
    record->tracestate = state.len > 0 && state.len <= TRACE_STATE_BYTES_MAX ? state : SLICE_NULL;
}
