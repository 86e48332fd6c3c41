/* request.c - a caller's request as the verifier of wire/ sees it.
 *
 * Bodies stay where they are; of the headers a list is made, in memory that is kept for the next
 * request, because ours have no white space around their values.
 */
#include "lib/request.h"

#include <stdlib.h>

/* RFC 9110 section 5.5: blanks and tabs around a value are no part of it. */
static struct slice trim(struct slice text)
{
    while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t'))
        text = slice_from(text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static bool is_sound(const struct trotline_request *request)
{
    if (!slice_sound(request->body) || !slice_sound(request->path) ||
        !slice_sound(request->query) || (request->header_count > 0 && !request->headers))
        return false;
    for (size_t i = 0; i < request->header_count; i++)
        if (!request->headers[i].name.at || !slice_sound(request->headers[i].value))
            return false;
    return true;
}

static bool make_room(struct request_view *view, size_t count)
{
    if (count <= view->header_room)
        return true;
    struct received_header *headers = reallocarray(view->headers, count, sizeof(*headers));
    if (!headers)
        return false;
    view->headers = headers;
    view->header_room = count;
    return true;
}

enum trotline_status request_view_take(struct request_view *view,
                                       const struct trotline_request *request, uint64_t now_ms)
{
    if (!request || !is_sound(request))
        return TROTLINE_INVALID_ARGUMENT;
    if (!make_room(view, request->header_count))
        return TROTLINE_NO_MEMORY;
    for (size_t i = 0; i < request->header_count; i++)
        view->headers[i] = (struct received_header){slice_in(request->headers[i].name),
                                                    trim(slice_in(request->headers[i].value))};
    view->received = (struct received){
        .method = request->method ? slice_str(request->method) : SLICE("POST"),
        .path = slice_in(request->path),
        .query = slice_in(request->query),
        .headers = view->headers,
        .header_count = request->header_count,
        .body = request->body.at ? slice_in(request->body) : SLICE(""),
        .now_ms = lib_now_ms(now_ms),
    };
    return TROTLINE_OK;
}

void request_view_free(struct request_view *view)
{
    free(view->headers);
    *view = (struct request_view){.headers = NULL};
}
