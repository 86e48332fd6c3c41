/* webhooks.c - endpoints through the API.
 *
 * Reads come from the registry and are answered at once. A change is checked, written by the
 * endpoint store and answered when it is in Redis:
 *
 *     create ───────────────────────▶ endpoint_store_create ──▶ create_done ─▶ 201 or an error
 *     put, patch ───────────────────▶ endpoint_store_replace ─▶ change_done ─▶ 200 or an error
 *     enable, disable ──────────────▶ endpoint_store_replace ─▶ switch_done ─▶ the same
 *     delete ───────────────────────▶ endpoint_store_delete ──▶ delete_done ─▶ 204 or an error
 *
 * A change is computed from the configuration in the registry, which changes only when Redis has
 * answered. So a second change of the same endpoint in the meantime would undo the first without
 * anyone noticing: it gets 409 instead, here (endpoint->changing) and when another replica was
 * first (ST_CONFLICT). Waiting in line was rejected: it needs a queue with a bound of its own, and
 * whoever changes one thing twice at once must think anyway. Only enabling and disabling is done
 * anew on what the other one left: it means the same whatever else was changed.
 *
 * How an endpoint fares only its lane's owner has in memory: for others Redis is asked before the
 * answer is written (ask_health). Should Redis not tell, `health` is null: a change that was stored
 * is not answered with an error.
 */
#include "api/webhooks.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/reply.h"
#include "api/webhook_health.h"
#include "base/clock.h"
#include "core/endpoint_store.h"
#include "core/health_store.h"

#define CONFLICT "This webhook is being changed by another request; read it and try again."

/* The longest answer for one: everything a document holds, written with escapes. */
enum { WEBHOOK_BYTES_MAX = 6 * LIMIT_ENDPOINT_BYTES, SWITCH_TRIES = 3 };

static struct registry *registry_of(struct api *api)
{
    return endpoint_store_registry(api->endpoints);
}

/* The endpoint, or NULL after a 404. */
static struct endpoint *find_or_reply(struct api *api, struct http_request *request,
                                      struct slice id_text)
{
    struct id id;
    struct endpoint *endpoint = NULL;
    if (id_parse(id_text, "ep_", &id) == ST_OK)
        endpoint = registry_find(registry_of(api), &id);
    if (!endpoint)
        reply_error(request, 404, "not_found", NULL, "There is no webhook with this id.");
    return endpoint;
}

/* Its parts are freed. */
static void reply_webhook(struct http_request *request, int status, const char *id_text,
                          const struct endpoint_config *config, struct buf *health)
{
    char location[sizeof("/api/webhooks/") + ID_TEXT_MAX];
    snprintf(location, sizeof(location), "/api/webhooks/%s", id_text);
    struct buf body;
    buf_init(&body, WEBHOOK_BYTES_MAX);
    endpoint_config_render_with(config, id_text, true, buf_slice(health), &body);
    if (buf_status(health) == ST_OK) {
        reply_json(request, status, &body, status == 201 ? location : NULL);
    } else {
        buf_free(&body);
        reply_failed(request, ST_NOMEM);
    }
    buf_free(health);
}

/* An answer that waits for what Redis has of the endpoint's health. */
struct answer {
    struct http_request *request;
    int status;
    char id_text[ID_TEXT_MAX];
    struct endpoint_config *config; /* as it is now; one reference */
};

static void health_known(void *arg, const struct health_record *record)
{
    struct answer *answer = arg;
    struct buf health;
    buf_init(&health, WEBHOOK_HEALTH_BYTES_MAX);
    webhook_health_write_kept(answer->config, record, &health);
    reply_webhook(answer->request, answer->status, answer->id_text, answer->config, &health);
    endpoint_config_put(answer->config);
    free(answer);
}

static void ask_health(struct api *api, struct http_request *request, int status,
                       const struct endpoint *endpoint)
{
    struct answer *answer = malloc(sizeof(*answer));
    if (!answer) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    *answer = (struct answer){
        .request = request, .status = status, .config = endpoint_config_get(endpoint->config)};
    memcpy(answer->id_text, endpoint->id_text, sizeof(answer->id_text));
    if (health_store_read(api->core->health, endpoint, health_known, answer) != ST_OK)
        health_known(answer, NULL);
}

static void reply_endpoint(struct api *api, struct http_request *request, int status,
                           const struct endpoint *endpoint)
{
    if (!lanes_mine(api->core->lanes, endpoint->lane)) {
        ask_health(api, request, status, endpoint);
        return;
    }
    struct buf health;
    buf_init(&health, WEBHOOK_HEALTH_BYTES_MAX);
    webhook_health_write(endpoint, &health);
    reply_webhook(request, status, endpoint->id_text, endpoint->config, &health);
}

/* A configuration that could not be made. */
static void reply_not_made(struct http_request *request, enum status status,
                           const struct field_error *error)
{
    if (status == ST_NOMEM)
        reply_failed(request, status);
    else
        reply_refused(request, error);
}

/* A change that was not stored. */
static void reply_not_stored(struct http_request *request, enum status status)
{
    if (status == ST_NOTFOUND)
        reply_error(request, 404, "not_found", NULL, "The webhook has been deleted.");
    else if (status == ST_LIMIT)
        reply_error(request, 409, "too_many_webhooks", NULL,
                    "There are as many webhooks as this server takes; delete one first.");
    else if (status == ST_CONFLICT)
        reply_error(request, 409, "conflict", NULL, CONFLICT);
    else
        reply_failed(request, status);
}

/* ---- Making one ----------------------------------------------------------------------------- */

/* A change on its way to Redis. */
struct change {
    struct api *api;
    struct http_request *request;
    struct endpoint *endpoint; /* one reference; NULL: it is being made */
    bool active;               /* to be switched on or off: */
    unsigned tries;            /* against changes by others */
};

static struct change *change_new(struct api *api, struct http_request *request)
{
    struct change *change = malloc(sizeof(*change));
    if (change)
        *change = (struct change){.api = api, .request = request};
    else
        reply_failed(request, ST_NOMEM);
    return change;
}

static void create_done(void *arg, enum status status, struct endpoint *endpoint)
{
    struct change change = *(struct change *)arg;
    free(arg);
    if (status)
        reply_not_stored(change.request, status);
    else
        reply_endpoint(change.api, change.request, 201, endpoint);
}

void webhooks_create(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct endpoint_config *config;
    struct field_error error;
    enum status status =
        endpoint_config_create(registry_rules(registry_of(api)), http_request_body(request),
                               clock_wall_ms(), &config, &error);
    if (status) {
        reply_not_made(request, status, &error);
        return;
    }
    struct change *change = change_new(api, request);
    if (!change) {
        endpoint_config_put(config);
    } else if (endpoint_store_create(api->endpoints, config, create_done, change) != ST_OK) {
        free(change);
        reply_failed(request, ST_NOMEM);
    }
}

/* ---- Reading -------------------------------------------------------------------------------- */

void webhooks_read(struct api *api, struct http_request *request, struct slice id)
{
    struct endpoint *endpoint = find_or_reply(api, request, id);
    if (endpoint)
        reply_endpoint(api, request, 200, endpoint);
}

/* ---- Changing one --------------------------------------------------------------------------- */

/* Marks the endpoint as changing. NULL after an answer: it is already, or there is no memory. */
static struct change *change_begin(struct api *api, struct http_request *request,
                                   struct endpoint *endpoint)
{
    if (endpoint->changing) {
        reply_error(request, 409, "conflict", NULL, CONFLICT);
        return NULL;
    }
    struct change *change = change_new(api, request);
    if (!change)
        return NULL;
    change->endpoint = endpoint_get(endpoint);
    endpoint->changing = true;
    return change;
}

/* The change is over, whatever came of it. Returns the request, which is still to be answered. */
static struct http_request *change_end(struct change *change)
{
    struct http_request *request = change->request;
    change->endpoint->changing = false;
    endpoint_put(change->endpoint);
    free(change);
    return request;
}

static void change_done(void *arg, enum status status, struct endpoint *endpoint)
{
    struct change *change = arg;
    struct api *api = change->api;
    struct http_request *request = change_end(change);
    if (status)
        reply_not_stored(request, status);
    else
        reply_endpoint(api, request, 200, endpoint);
}

static void change_config(struct api *api, struct http_request *request, struct slice id,
                          enum endpoint_change kind)
{
    struct endpoint *endpoint = find_or_reply(api, request, id);
    struct change *change = endpoint ? change_begin(api, request, endpoint) : NULL;
    if (!change)
        return;

    struct endpoint_config *config;
    struct field_error error;
    enum status status =
        endpoint_config_change(registry_rules(registry_of(api)), endpoint->config, kind,
                               http_request_body(request), clock_wall_ms(), &config, &error);
    if (status)
        reply_not_made(change_end(change), status, &error);
    else if (endpoint_store_replace(api->endpoints, endpoint, config, change_done, change))
        reply_failed(change_end(change), ST_NOMEM);
}

void webhooks_put(struct api *api, struct http_request *request, struct slice id)
{
    change_config(api, request, id, ENDPOINT_PUT);
}

void webhooks_patch(struct api *api, struct http_request *request, struct slice id)
{
    change_config(api, request, id, ENDPOINT_PATCH);
}

static void switch_done(void *arg, enum status status, struct endpoint *endpoint);

/* One that is in the wanted state already is shown as it is: a disabled one keeps its reason; one
 * that is enabled again is taken to be well. */
static void switch_try(struct change *change)
{
    struct api *api = change->api;
    struct endpoint *endpoint = change->endpoint;
    bool active = change->active;
    if (endpoint->config->active == active) {
        if (active)
            endpoint_store_reset(api->endpoints, endpoint);
        reply_endpoint(api, change_end(change), 200, endpoint);
        return;
    }

    struct endpoint_config *config;
    enum status status =
        endpoint_config_switch(registry_rules(registry_of(api)), endpoint->config, active,
                               active ? "" : "manual", clock_wall_ms(), &config);
    if (status)
        reply_failed(change_end(change), status);
    else if (endpoint_store_replace(api->endpoints, endpoint, config, switch_done, change))
        reply_failed(change_end(change), ST_NOMEM);
}

static void switch_done(void *arg, enum status status, struct endpoint *endpoint)
{
    struct change *change = arg;
    if (status == ST_CONFLICT && !change->endpoint->deleted && ++change->tries < SWITCH_TRIES)
        switch_try(change);
    else
        change_done(change, status, endpoint);
}

static void change_active(struct api *api, struct http_request *request, struct slice id,
                          bool active)
{
    struct endpoint *endpoint = find_or_reply(api, request, id);
    struct change *change = endpoint ? change_begin(api, request, endpoint) : NULL;
    if (!change)
        return;
    change->active = active;
    switch_try(change);
}

void webhooks_enable(struct api *api, struct http_request *request, struct slice id)
{
    change_active(api, request, id, true);
}

void webhooks_disable(struct api *api, struct http_request *request, struct slice id)
{
    change_active(api, request, id, false);
}

static void delete_done(void *arg, enum status status, struct endpoint *endpoint)
{
    (void)endpoint;
    struct http_request *request = change_end(arg);
    if (status)
        reply_not_stored(request, status);
    else
        http_reply(request, 204, NULL, 0, SLICE_NULL);
}

void webhooks_delete(struct api *api, struct http_request *request, struct slice id)
{
    struct endpoint *endpoint = find_or_reply(api, request, id);
    struct change *change = endpoint ? change_begin(api, request, endpoint) : NULL;
    if (change && endpoint_store_delete(api->endpoints, endpoint, delete_done, change))
        reply_failed(change_end(change), ST_NOMEM);
}
