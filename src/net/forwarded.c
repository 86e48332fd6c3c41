/* forwarded.c - reads X-Forwarded-For from its right end.
 *
 * Rejected: taking the left-most address (anyone can write it), and a fixed number of hops (it is
 * wrong as soon as one request takes another way). A wrong entry ends the search with nothing
 * rather than with the proxy that passed it on: that one would often be within an allowed network.
 */
#include "net/forwarded.h"

#include <string.h>

#include "base/parse.h"

static struct slice trimmed(struct slice text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = slice_from(text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* What stands behind the last comma, cut off `list`. */
static struct slice take_last(struct slice *list)
{
    const char *comma = list->len > 0 ? memrchr(list->ptr, ',', list->len) : NULL;
    struct slice last = comma ? slice_from(*list, (size_t)(comma - list->ptr) + 1) : *list;
    list->len = comma ? (size_t)(comma - list->ptr) : 0;
    return trimmed(last);
}

/* ":80", or nothing. */
static bool port_or_nothing(struct slice text)
{
    uint64_t port;
    if (text.len == 0)
        return true;
    return text.ptr[0] == ':' && parse_u64(slice_from(text, 1), &port) == ST_OK && port <= 65535;
}

/* An address, perhaps with its port. A port behind an IPv6 address needs brackets. */
static bool read_entry(struct slice entry, struct network *address)
{
    const char *end;
    if (entry.len > 0 && entry.ptr[0] == '[') {
        end = memchr(entry.ptr, ']', entry.len);
        if (!end || !port_or_nothing(slice_from(entry, (size_t)(end - entry.ptr) + 1)))
            return false;
        entry = slice_of(entry.ptr + 1, (size_t)(end - entry.ptr) - 1);
        return network_parse_address(entry, address) == ST_OK;
    }
    end = entry.len > 0 ? memchr(entry.ptr, ':', entry.len) : NULL;
    if (end && !memchr(end + 1, ':', entry.len - (size_t)(end + 1 - entry.ptr))) {
        if (!port_or_nothing(slice_from(entry, (size_t)(end - entry.ptr))))
            return false;
        entry.len = (size_t)(end - entry.ptr);
    }
    return network_parse_address(entry, address) == ST_OK;
}

/* Goes one entry to the left. False: the search ends here, with *found telling how. */
static bool step(struct slice entry, const struct network *trusted, size_t trusted_count,
                 struct network *client, bool *found)
{
    if (entry.len == 0) /* "a,,b": allowed in lists, and says nothing */
        return true;
    *found = read_entry(entry, client);
    return *found && network_among(trusted, trusted_count, client);
}

bool forwarded_client(const struct network *peer, const struct slice *values, size_t count,
                      const struct network *trusted, size_t trusted_count, struct network *client)
{
    bool found = true;
    size_t hops = 0;
    *client = *peer;
    if (!network_among(trusted, trusted_count, peer))
        return true;
    for (size_t i = count; i-- > 0;) {
        struct slice list = values[i];
        do {
            if (++hops > FORWARDED_HOPS_MAX)
                found = false;
            else if (step(take_last(&list), trusted, trusted_count, client, &found))
                continue;
            if (!found)
                *client = (struct network){.prefix_bits = 0};
            return found;
        } while (list.len > 0);
    }
    return true;
}
