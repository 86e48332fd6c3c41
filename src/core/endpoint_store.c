/* endpoint_store.c - changes of endpoints: written, and then in effect.
 *
 * `config:endpoints` is a hash: endpoint id -> document. A deleted endpoint's document is the
 * tombstone {"deleted":true} until its schedule is empty, so that a restart goes on clearing it.
 *
 *     submit ──config_put.lua────▶ ok ──────▶ registry, take_effect, compare, the notice
 *                                ├▶ conflict ▶ registry gets the newer document; the caller decides
 *                                └▶ lost ────▶ if it tells something: kept until Redis was read
 * again
 *
 * A change names the version that its endpoint is known to be of, so two changes of the same
 * document by different replicas cannot both be taken. Deletions hold anyhow.
 *
 * Answers come in the order in which Redis executed the calls, as all of them go over one
 * connection. So what is read of other replicas' changes (endpoint_follow.c) never overtakes the
 * answer to an earlier change of our own, and nothing here can put an older document back.
 */
#include "core/endpoint_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/channel.h"
#include "core/clear.h"
#include "core/dispatch.h"
#include "core/endpoint_store_private.h"
#include "core/notice.h"
#include "core/schedule.h"
#include "core/watch.h"
#include "net/redis_script.h"

enum { DISABLE_TRIES = 3 }; /* against changes by others */

enum change_kind { CHANGE_CREATE, CHANGE_REPLACE, CHANGE_DELETE };

struct change {
    struct list node; /* in `lost` */
    struct endpoint_store *endpoints;
    enum change_kind kind;
    struct id id;
    struct endpoint *endpoint;      /* one reference; NULL for a new one */
    struct endpoint_config *old;    /* one reference: what it was made of; NULL for a new one */
    struct endpoint_config *config; /* one reference; NULL for a deletion */
    struct notice_attempt last;     /* the occasion; attempts 0: it was somebody's wish */
    endpoint_store_fn *fn;          /* may be NULL */
    void *arg;
};

/* ---- Consequences --------------------------------------------------------------------------- */

void endpoint_compare(struct endpoint_store *endpoints, struct endpoint *endpoint,
                      const struct endpoint_config *old)
{
    const struct endpoint_config *config = endpoint->config;
    if (config->active &&
        (!old->active || strcmp(endpoint_config_target(old), endpoint_config_target(config)) != 0))
        watch_reset(endpoints->core, endpoint);
}

void endpoint_take_effect(struct endpoint_store *endpoints, struct endpoint *endpoint)
{
    struct core *core = endpoints->core;
    dispatch_endpoint_changed(core->dispatch, endpoint);
    if (endpoint->deleted || !endpoint->config->active)
        clear_endpoint(core->clear, endpoint);
}

static bool tells(const struct change *change)
{
    return change->kind == CHANGE_REPLACE && change->old->active && !change->config->active;
}

/* Who is told of a change of our own, once it is made. */
static void tell(const struct change *change, struct endpoint *endpoint)
{
    struct core *core = change->endpoints->core;
    if (!tells(change))
        return;
    core->stats.endpoints_disabled += change->last.attempts > 0;
    notice_disabled(core, endpoint, &change->last);
}

/* ---- Changes -------------------------------------------------------------------------------- */

static void change_free(struct change *change)
{
    endpoint_put(change->endpoint);
    endpoint_config_put(change->old);
    endpoint_config_put(change->config);
    free(change);
}

/* Into the registry. *endpoint: what was changed. */
static enum status apply(struct change *change, uint64_t version, struct endpoint **endpoint)
{
    struct endpoint_store *endpoints = change->endpoints;
    struct registry *registry = endpoints->core->registry;
    if (change->kind == CHANGE_DELETE) {
        *endpoint = change->endpoint;
        if (!change->endpoint->deleted)
            registry_remove(registry, change->endpoint);
        return ST_OK;
    }
    enum status status =
        registry_put(registry, &change->id, endpoint_config_get(change->config), endpoint);
    if (status == ST_OK) {
        (*endpoint)->version = version;
        (*endpoint)->round = endpoints->round;
    }
    return status;
}

static enum status judge(const struct redis_value *reply)
{
    static const struct {
        const char *text;
        enum status status;
    } answers[] = {
        {"ok", ST_OK}, {"missing", ST_NOTFOUND}, {"full", ST_LIMIT}, {"conflict", ST_CONFLICT}};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (reply_is(reply, 0, answers[i].text))
            return answers[i].status;
    return ST_REFUSED;
}

/* The change is in Redis; versions before it and with it. *endpoint: what was changed. */
static enum status made(struct change *change, uint64_t before, uint64_t version,
                        struct endpoint **endpoint)
{
    enum status status = apply(change, version, endpoint);
    if (status != ST_OK) {
        change->endpoints->unsure = true; /* as soon as there is memory */
        return status;
    }
    endpoint_follow_own(change->endpoints, before, version);
    endpoint_take_effect(change->endpoints, *endpoint);
    if (change->kind == CHANGE_REPLACE)
        endpoint_compare(change->endpoints, *endpoint, change->old);
    tell(change, *endpoint);
    return ST_OK;
}

static void on_written(void *arg, enum status status, const struct redis_value *reply)
{
    struct change *change = arg;
    struct endpoint_store *endpoints = change->endpoints;
    struct endpoint *endpoint = NULL;
    uint64_t version = (uint64_t)reply_integer(reply, 1);
    endpoints->under_way--;
    if (status == ST_OK)
        status = judge(reply);
    if (status == ST_OK)
        status = made(change, (uint64_t)reply_integer(reply, 2), version, &endpoint);
    if (status == ST_CONFLICT) {
        endpoint_follow_document(endpoints, slice_str(change->endpoint->id_text),
                                 reply_text(reply, 2), version);
        endpoint_store_saw_version(endpoints, version);
    }
    endpoint_follow(endpoints);
    if (change->fn)
        change->fn(change->arg, status, endpoint);
    if (status == ST_LOST && tells(change))
        list_push_back(&endpoints->lost, &change->node);
    else
        change_free(change);
}

/* What the endpoint is known to be of. While all are being loaded, which is so whenever Redis was
 * away, what was known before counts for nothing: versions may have gone back with a failover, and
 * another change may have the number of one that is lost. Who was not found yet conflicts at worst.
 */
static uint64_t known_version(const struct endpoint_store *endpoints,
                              const struct endpoint *endpoint)
{
    if (endpoints->state == FOLLOW_LOAD)
        return endpoint->round == endpoints->round ? endpoint->version : 0;
    return endpoint->version > endpoints->version ? endpoint->version : endpoints->version;
}

static enum status send(struct change *change)
{
    struct core *core = change->endpoints->core;
    struct store *store = core->store;
    char id_text[ID_TEXT_MAX];
    id_format(id_text, "ep_", &change->id);
    struct store_key text[5];
    struct slice keys[] = {store_key(store, &text[0], "config", "endpoints"),
                           store_key(store, &text[1], "config", NULL),
                           store_key(store, &text[2], "config", "changes"),
                           store_key(store, &text[3], "config", "deleted")};
    struct store_number most, kept, base, had;
    struct slice based_on = SLICE("");
    if (change->kind == CHANGE_REPLACE)
        based_on = store_u64(&base, known_version(change->endpoints, change->endpoint));
    struct slice args[] = {
        slice_str(id_text),
        change->config ? slice_str(change->config->document) : TOMBSTONE,
        change->kind == CHANGE_CREATE ? SLICE("create") : SLICE("replace"),
        store_u64(&most, core->options.endpoints_max),
        based_on,
        store_u64(&kept, CONFIG_CHANGES_KEPT),
        store_key(store, &text[4], "all", NULL),
        store_u64(&had, change->endpoints->version),
    };
    return store_query_script(store, store_script(store, "config_put"), keys, 4, args, 8,
                              on_written, change);
}

static enum status submit(struct endpoint_store *endpoints, enum change_kind kind,
                          const struct id *id, struct endpoint *endpoint,
                          struct endpoint_config *config, const struct notice_attempt *last,
                          endpoint_store_fn *fn, void *arg)
{
    struct change *change = calloc(1, sizeof(*change));
    if (!change) {
        endpoint_config_put(config);
        return ST_NOMEM;
    }
    *change = (struct change){
        .endpoints = endpoints, .kind = kind, .id = *id, .config = config, .fn = fn, .arg = arg};
    if (endpoint) {
        change->endpoint = endpoint_get(endpoint);
        change->old = endpoint_config_get(endpoint->config);
    }
    if (last)
        change->last = *last;
    enum status status = send(change);
    if (status == ST_OK)
        endpoints->under_way++;
    else
        change_free(change);
    return status;
}

enum status endpoint_store_create(struct endpoint_store *endpoints, struct endpoint_config *config,
                                  endpoint_store_fn *fn, void *arg)
{
    struct id id;
    id_new(&id, clock_wall_ms());
    return submit(endpoints, CHANGE_CREATE, &id, NULL, config, NULL, fn, arg);
}

enum status endpoint_store_replace(struct endpoint_store *endpoints, struct endpoint *endpoint,
                                   struct endpoint_config *config, endpoint_store_fn *fn, void *arg)
{
    return submit(endpoints, CHANGE_REPLACE, &endpoint->id, endpoint, config, NULL, fn, arg);
}

enum status endpoint_store_delete(struct endpoint_store *endpoints, struct endpoint *endpoint,
                                  endpoint_store_fn *fn, void *arg)
{
    return submit(endpoints, CHANGE_DELETE, &endpoint->id, endpoint, NULL, NULL, fn, arg);
}

/* ---- Lost answers --------------------------------------------------------------------------- */

void endpoint_tell_lost(struct endpoint_store *endpoints, struct endpoint *endpoint)
{
    LIST_FOREACH(node, &endpoints->lost)
    {
        struct change *change = CONTAINER_OF(node, struct change, node);
        if (!id_eq(&change->id, &endpoint->id) ||
            strcmp(change->config->document, endpoint->config->document) != 0)
            continue;
        list_remove(node);
        tell(change, endpoint);
        change_free(change);
    }
}

void endpoint_forget_lost(struct endpoint_store *endpoints)
{
    for (struct list *node; (node = list_pop_front(&endpoints->lost));)
        change_free(CONTAINER_OF(node, struct change, node));
}

/* ---- Switched off by the data path ---------------------------------------------------------- */

struct disabling {
    struct endpoint_store *endpoints;
    struct endpoint *endpoint;       /* one reference */
    struct endpoint_config *because; /* one reference: what it was when it failed */
    unsigned tries;
    char reason[16];
    struct notice_attempt last;
};

static void disable_end(struct disabling *disabling)
{
    disabling->endpoint->changing = false;
    endpoint_put(disabling->endpoint);
    endpoint_config_put(disabling->because);
    free(disabling);
}

static void on_disabled(void *arg, enum status status, struct endpoint *endpoint);

static void disable(struct disabling *disabling)
{
    struct endpoint_store *endpoints = disabling->endpoints;
    struct endpoint *endpoint = disabling->endpoint;
    struct endpoint_config *config = NULL;
    disabling->tries++;
    enum status status =
        endpoint_config_switch(registry_rules(endpoints->core->registry), endpoint->config, false,
                               disabling->reason, clock_wall_ms(), &config);
    if (status == ST_OK)
        status = submit(endpoints, CHANGE_REPLACE, &endpoint->id, endpoint, config,
                        &disabling->last, on_disabled, disabling);
    if (status == ST_OK) {
        log_warn("endpoint.disabled", "endpoint=%s reason=%s", endpoint->id_text,
                 disabling->reason);
    } else {
        log_error("endpoint.disable_failed", "endpoint=%s reason=%s", endpoint->id_text,
                  status_name(status));
        disable_end(disabling);
    }
}

/* Somebody else has changed it: what was found of the old configuration holds for the new one, if
 * it sends to the same place. */
static bool still_to_be_disabled(const struct disabling *disabling)
{
    const struct endpoint *endpoint = disabling->endpoint;
    return !endpoint->deleted && endpoint->config->active && disabling->tries < DISABLE_TRIES &&
           strcmp(endpoint_config_target(endpoint->config),
                  endpoint_config_target(disabling->because)) == 0;
}

/* Not written for another reason: the next occasion tries again. */
static void on_disabled(void *arg, enum status status, struct endpoint *endpoint)
{
    struct disabling *disabling = arg;
    (void)endpoint;
    if (status == ST_CONFLICT && still_to_be_disabled(disabling))
        disable(disabling);
    else
        disable_end(disabling);
}

void endpoint_store_disable(struct endpoint_store *endpoints, struct endpoint *endpoint,
                            const char *reason, const struct notice_attempt *last)
{
    if (!endpoint->config->active || endpoint->changing)
        return;
    struct disabling *disabling = calloc(1, sizeof(*disabling));
    if (!disabling) {
        log_error("endpoint.disable_failed", "endpoint=%s reason=nomem", endpoint->id_text);
        return;
    }
    *disabling = (struct disabling){.endpoints = endpoints,
                                    .endpoint = endpoint_get(endpoint),
                                    .because = endpoint_config_get(endpoint->config),
                                    .last = *last};
    snprintf(disabling->reason, sizeof(disabling->reason), "%s", reason);
    endpoint->changing = true;
    disable(disabling);
}

void endpoint_store_reset(struct endpoint_store *endpoints, struct endpoint *endpoint)
{
    struct core *core = endpoints->core;
    char text[1 + ID_TEXT_MAX];
    snprintf(text, sizeof(text), "r%s", endpoint->id_text);
    watch_reset(core, endpoint);
    channel_send(core->channel, NULL, text);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct registry *endpoint_store_registry(struct endpoint_store *endpoints)
{
    return endpoints->core->registry;
}

struct endpoint_store *endpoint_store_new(struct core *core)
{
    struct endpoint_store *endpoints = calloc(1, sizeof(*endpoints));
    if (!endpoints)
        return NULL;
    endpoints->core = core;
    list_init(&endpoints->lost);
    return endpoints;
}

void endpoint_store_free(struct endpoint_store *endpoints)
{
    if (!endpoints)
        return;
    endpoint_forget_lost(endpoints);
    free(endpoints);
}
