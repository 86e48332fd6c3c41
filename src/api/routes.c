/* routes.c - every path of the API. A new handler is a row here and a prototype in its header. */
#include "api/api.h"
#include "api/attempts.h"
#include "api/bulk.h"
#include "api/dead_letters.h"
#include "api/events.h"
#include "api/feeds.h"
#include "api/health.h"
#include "api/jobs.h"
#include "api/log_levels.h"
#include "api/receive.h"
#include "api/replicas.h"
#include "api/sources.h"
#include "api/test_send.h"
#include "api/webhooks.h"

const struct route api_routes[] = {
    {HTTP_POST, "/api/events", events_create, 0},     /* of several types */
    {HTTP_POST, "/api/events/batch", bulk_create, 0}, /* the same; api_streams() */
    {HTTP_GET, "/api/events/{id}", events_read, 0},
    {HTTP_GET, "/api/events/{id}/attempts", events_attempts, ROUTE_QUERY},
    {HTTP_POST, "/api/webhooks", webhooks_create, ROUTE_JSON},
    {HTTP_GET, "/api/webhooks", webhooks_list, ROUTE_QUERY},
    {HTTP_GET, "/api/webhooks/{id}", webhooks_read, 0},
    {HTTP_PUT, "/api/webhooks/{id}", webhooks_put, ROUTE_JSON},
    {HTTP_PATCH, "/api/webhooks/{id}", webhooks_patch, ROUTE_JSON},
    {HTTP_DELETE, "/api/webhooks/{id}", webhooks_delete, 0},
    {HTTP_POST, "/api/webhooks/{id}/enable", webhooks_enable, 0},
    {HTTP_POST, "/api/webhooks/{id}/disable", webhooks_disable, 0},
    {HTTP_POST, "/api/webhooks/test", test_send_url, ROUTE_JSON},
    {HTTP_POST, "/api/webhooks/{id}/test", test_send_endpoint, ROUTE_JSON},
    {HTTP_GET, "/api/webhooks/{id}/attempts", attempts_list, ROUTE_QUERY},
    {HTTP_GET, "/api/dead-letters", dead_letters_list, ROUTE_QUERY},
    {HTTP_POST, "/api/webhooks/{id}/replay", jobs_replay_webhook, ROUTE_JSON},
    {HTTP_POST, "/api/dead-letters/replay", jobs_replay_dead, ROUTE_JSON},
    {HTTP_DELETE, "/api/dead-letters", jobs_discard_dead, ROUTE_JSON},
    {HTTP_GET, "/api/feeds", feeds_list, 0},
    {HTTP_GET, "/api/feeds/{id}/rejected", feeds_rejected, ROUTE_QUERY},
    {HTTP_DELETE, "/api/feeds/{id}/rejected", feeds_discard, ROUTE_JSON},
    {HTTP_POST, "/api/feeds/{id}/requeue", feeds_requeue, ROUTE_JSON},
    {HTTP_GET, "/api/jobs", jobs_list, ROUTE_QUERY},
    {HTTP_GET, "/api/jobs/{id}", jobs_get, 0},
    {HTTP_DELETE, "/api/jobs/{id}", jobs_delete, 0},
    {HTTP_POST, "/api/sources", sources_api_create, ROUTE_JSON},
    {HTTP_GET, "/api/sources", sources_api_list, ROUTE_QUERY},
    {HTTP_GET, "/api/sources/{id}", sources_api_read, 0},
    {HTTP_PUT, "/api/sources/{id}", sources_api_put, ROUTE_JSON},
    {HTTP_DELETE, "/api/sources/{id}", sources_api_delete, 0},
    {HTTP_POST, "/in/{id}", receive, ROUTE_OPEN},
    {HTTP_PUT, "/in/{id}", receive, ROUTE_OPEN},
    {HTTP_GET, "/in/{id}", receive, ROUTE_OPEN},
    {HTTP_OPTIONS, "/in/{id}", receive, ROUTE_OPEN},
    {HTTP_GET, "/api/replicas", replicas_list, ROUTE_UNLOADED},
    {HTTP_GET, "/api/log", log_levels_read, ROUTE_UNLOADED},
    {HTTP_PUT, "/api/log", log_levels_put, ROUTE_JSON | ROUTE_UNLOADED},
    {HTTP_GET, "/healthz", health_alive, ROUTE_OPEN},
    {HTTP_GET, "/readyz", health_ready, ROUTE_OPEN},
    {HTTP_GET, "/metrics", health_metrics, ROUTE_OPEN},
};
const size_t api_route_count = sizeof(api_routes) / sizeof(api_routes[0]);
