/* event_type.c - what an event may be called. */
#include "wire/event_type.h"

#include "base/limits.h"

bool event_type_valid(struct slice type)
{
    if (type.len == 0 || type.len > LIMIT_TYPE_BYTES)
        return false;
    char before = '.'; /* a segment must follow, as it must behind every dot */
    for (size_t i = 0; i < type.len; i++) {
        char c = type.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
        if (!letter && (c != '.' || before == '.'))
            return false;
        before = c;
    }
    return before != '.';
}
