/* router.c - rows are tried one after the other.
 *
 * There are some dozens of rows and most differ in their first bytes, so a pass costs less than a
 * microsecond; a tree of segments was not worth its code. The rows that see all the traffic stand
 * first in the table (routes.c).
 */
#include "api/router.h"

/* Does the path fit the pattern? */
static bool path_fits(const char *pattern, struct slice path, struct slice *id)
{
    *id = SLICE_NULL;
    size_t at = 0;
    while (*pattern != '\0') {
        if (*pattern == '{') {
            size_t end = at;
            while (end < path.len && path.ptr[end] != '/')
                end++;
            if (end == at)
                return false;
            *id = slice_of(path.ptr + at, end - at);
            at = end;
            pattern += strlen("{id}");
        } else {
            if (at == path.len || path.ptr[at] != *pattern)
                return false;
            at++;
            pattern++;
        }
    }
    return at == path.len;
}

const struct route *router_find(const struct route *routes, size_t count, enum http_method method,
                                struct slice path, struct slice *id, unsigned *allowed)
{
    if (method == HTTP_HEAD)
        method = HTTP_GET;
    *allowed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!path_fits(routes[i].path, path, id))
            continue;
        if (routes[i].method == method)
            return &routes[i];
        *allowed |= 1u << routes[i].method;
    }
    if (*allowed & 1u << HTTP_GET)
        *allowed |= 1u << HTTP_HEAD;
    *id = SLICE_NULL;
    return NULL;
}

void router_methods(unsigned allowed, struct buf *out)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET",        [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",        [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS"};
    const char *separator = "";
    for (unsigned method = 0; method < sizeof(names) / sizeof(names[0]); method++) {
        if (!(allowed & 1u << method))
            continue;
        buf_add_str(out, separator);
        buf_add_str(out, names[method]);
        separator = ", ";
    }
}
