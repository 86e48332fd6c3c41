/* api.c - the checks that every request passes before its handler sees it.
 *
 *     method known? ─no─▶ 501
 *     row found and open? ───────────────────────────────▶ handler
 *     key? ─no─▶ 401
 *     row found? ─no─▶ 404, or 405 with Allow
 *     application known? ─no─▶ 404
 *     query empty, or for the handler? ─no─▶ 400
 *     body of the right type? ─no─▶ 415
 *     endpoints loaded? ─no─▶ 503 ───────────────────────▶ handler
 *
 * The key comes before 404 and 405, so that whoever has none learns nothing, not even which paths
 * there are.
 */
#include "api/api.h"

#include "api/media_type.h"
#include "api/query.h"
#include "api/reply.h"

/* Answers and returns false when there is no key, or a wrong one, or more than one. */
static bool check_key(const struct api *api, struct http_request *request)
{
    struct slice name = SLICE("Authorization");
    if (http_request_header_count(request, name) == 1 &&
        auth_allows(api->auth, http_request_header(request, name)))
        return true;
    struct http_header challenge = {SLICE("WWW-Authenticate"), SLICE("Bearer")};
    reply_error_with(request, 401, "unauthorized", NULL,
                     "Give an API key: Authorization: Bearer <key>.", challenge);
    return false;
}

static void refuse_route(struct http_request *request, unsigned allowed)
{
    if (!allowed) {
        reply_error(request, 404, "not_found", NULL, "There is nothing at this path.");
        return;
    }
    struct buf methods;
    buf_init(&methods, 64);
    router_methods(allowed, &methods);
    struct http_header allow = {SLICE("Allow"), buf_slice(&methods)};
    reply_error_with(request, 405, "method_not_allowed", NULL,
                     "This path does not take this method; Allow lists those it takes.", allow);
    buf_free(&methods);
}

static bool check_application(struct http_request *request)
{
    struct slice name = SLICE("X-Application");
    size_t count = http_request_header_count(request, name);
    if (count == 0 ||
        (count == 1 && slice_eq(http_request_header(request, name), SLICE("default"))))
        return true;
    reply_error(request, 404, "application_not_found", NULL,
                "There is no such application; leave X-Application out or say default.");
    return false;
}

static bool check_query(struct http_request *request)
{
    struct field_error error;
    if (query_read(http_request_query(request), NULL, 0, &error) == ST_OK)
        return true;
    reply_refused(request, &error);
    return false;
}

static bool check_json(struct http_request *request)
{
    struct slice name = SLICE("Content-Type");
    size_t count = http_request_header_count(request, name);
    if (count == 0 || (count == 1 && media_type_is_json(http_request_header(request, name))))
        return true;
    reply_error(request, 415, "unsupported_media_type", NULL,
                "Send JSON in UTF-8 and say so: Content-Type: application/json "
                "(curl: -H 'Content-Type: application/json').");
    return false;
}

/* Before the endpoints are in memory nothing could be matched, nor listed. */
static bool check_loaded(const struct api *api, struct http_request *request)
{
    if (api->core->loaded)
        return true;
    reply_error(request, 503, "redis_unavailable", NULL,
                "The webhooks have not been read from Redis yet; try again.");
    return false;
}

/* Is the request answered to whoever sends it? Third parties have no key, so whatever is wrong with
 * a path or method of theirs is told them, too. */
static bool is_open(const struct route *route, struct slice path)
{
    return route ? (route->flags & ROUTE_OPEN) != 0 : slice_starts(path, SLICE("/in/"));
}

bool api_streams(const struct http_request *request)
{
    return slice_eq(http_request_path(request), SLICE("/api/events/batch")) &&
           http_request_method(request) == HTTP_POST;
}

void api_handle(void *arg, struct http_request *request)
{
    struct api *api = arg;
    enum http_method method = http_request_method(request);
    if (method == HTTP_OTHER) {
        reply_error(request, 501, "not_implemented", NULL, "This server has no such method.");
        return;
    }

    struct slice id, path = http_request_path(request);
    unsigned allowed;
    const struct route *route =
        router_find(api_routes, api_route_count, method, path, &id, &allowed);
    if (!is_open(route, path) && !check_key(api, request))
        return;
    if (!route) {
        refuse_route(request, allowed);
        return;
    }
    if (!(route->flags & ROUTE_OPEN) && !check_application(request))
        return;
    if (!(route->flags & (ROUTE_OPEN | ROUTE_QUERY)) && !check_query(request))
        return;
    if ((route->flags & ROUTE_JSON) && !check_json(request))
        return;
    if (!(route->flags & (ROUTE_OPEN | ROUTE_UNLOADED)) && !check_loaded(api, request))
        return;
    char decoded[LIMIT_UID_BYTES + 1]; /* handlers take what they need before they return */
    if (id.ptr && memchr(id.ptr, '%', id.len)) {
        size_t len;
        if (query_decode_segment(id, decoded, sizeof(decoded), &len) != ST_OK) {
            reply_error(request, 404, "not_found", NULL, "There is nothing at this path.");
            return;
        }
        id = slice_of(decoded, len);
    }
    route->handler(api, request, id);
}
