/* health.c - /healthz and /readyz. */
#include "api/health.h"

#include "api/api.h"
#include "api/reply.h"

void health_alive(struct api *api, struct http_request *request, struct slice id)
{
    (void)api;
    (void)id;
    http_reply_json(request, 200, SLICE("{\"status\":\"ok\"}"));
}

static const char *not_ready(const struct api *api)
{
    if (api->core->stopping || *api->draining)
        return "This server is stopping.";
    if (!store_ready(api->core->store))
        return "Redis cannot be reached.";
    if (!api->core->loaded) /* nothing could be matched: events would be refused */
        return "The webhooks have not been read from Redis yet.";
    if (api->not_ready[0])
        return api->not_ready;
    return NULL;
}

void health_ready(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    const char *reason = not_ready(api);
    if (reason)
        reply_error(request, 503, "not_ready", NULL, reason);
    else
        http_reply_json(request, 200, SLICE("{\"status\":\"ready\"}"));
}
