/* health.h - /healthz, /readyz and /metrics: for load balancers and Prometheus. No key is needed.
 */
#ifndef TROTLINE_API_HEALTH_H
#define TROTLINE_API_HEALTH_H

#include "api/router.h"

/* 200 as long as the loop turns. */
void health_alive(struct api *api, struct http_request *request, struct slice id);

/* 200 when events would be stored; 503 with the reason when Redis is away, its policy could evict
 * our keys, endpoints are not loaded yet, or we are stopping. */
void health_ready(struct api *api, struct http_request *request, struct slice id);

/* Prometheus text format 0.0.4. */
void health_metrics(struct api *api, struct http_request *request, struct slice id);

#endif
