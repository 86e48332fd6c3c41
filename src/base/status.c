/* status.c - names and texts of enum status. */
#include "base/status.h"

#include <stddef.h>

static const struct {
    const char *name;
    const char *text;
} table[] = {
    [ST_OK] = {"ok", "no error"},
    [ST_NOMEM] = {"nomem", "out of memory"},
    [ST_LIMIT] = {"limit", "a limit was reached"},
    [ST_SYNTAX] = {"syntax", "malformed input"},
    [ST_RANGE] = {"range", "value out of range"},
    [ST_UNSUPPORTED] = {"unsupported", "not supported"},
    [ST_NOTFOUND] = {"notfound", "not found"},
    [ST_EXISTS] = {"exists", "exists already"},
    [ST_CONFLICT] = {"conflict", "changed by somebody else meanwhile"},
    [ST_AGAIN] = {"again", "not possible now"},
    [ST_LOST] = {"lost", "connection lost, outcome unknown"},
    [ST_REFUSED] = {"refused", "refused by the other side"},
    [ST_TIMEOUT] = {"timeout", "timed out"},
    [ST_DENIED] = {"denied", "forbidden by policy"},
    [ST_IO] = {"io", "input/output error"},
    [ST_STOPPED] = {"stopped", "shutting down"},
};

const char *status_name(enum status status)
{
    size_t index = (size_t)status;
    return index < sizeof(table) / sizeof(table[0]) ? table[index].name : "unknown";
}

const char *status_text(enum status status)
{
    size_t index = (size_t)status;
    return index < sizeof(table) / sizeof(table[0]) ? table[index].text : "unknown status";
}
