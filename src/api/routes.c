/* routes.c - every path of the API. A new handler is a row here and a prototype in its header. */
#include "api/api.h"
#include "api/webhooks.h"

const struct route api_routes[] = {
    {HTTP_POST, "/api/webhooks", webhooks_create, ROUTE_JSON},
    {HTTP_GET, "/api/webhooks", webhooks_list, ROUTE_QUERY},
    {HTTP_GET, "/api/webhooks/{id}", webhooks_read, 0},
    {HTTP_PUT, "/api/webhooks/{id}", webhooks_put, ROUTE_JSON},
    {HTTP_PATCH, "/api/webhooks/{id}", webhooks_patch, ROUTE_JSON},
    {HTTP_DELETE, "/api/webhooks/{id}", webhooks_delete, 0},
    {HTTP_POST, "/api/webhooks/{id}/enable", webhooks_enable, 0},
    {HTTP_POST, "/api/webhooks/{id}/disable", webhooks_disable, 0},
};
const size_t api_route_count = sizeof(api_routes) / sizeof(api_routes[0]);
