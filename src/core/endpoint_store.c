/* endpoint_store.c - endpoints in Redis, and the registry kept in step.
 *
 * `config:endpoints` is a hash: endpoint id -> document. A deleted endpoint's document is the
 * tombstone
 * {"deleted":true} until its schedule is empty, so that a restart goes on clearing it.
 */
#include "core/endpoint_store.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/clear.h"
#include "core/dispatch.h"
#include "core/notice.h"
#include "core/schedule.h"
#include "core/watch.h"
#include "net/redis_script.h"

#define TOMBSTONE SLICE("{\"deleted\":true}")

enum { SCAN_COUNT = 512, LOOKS_MOST = 64 };

enum change_kind { CHANGE_CREATE, CHANGE_REPLACE, CHANGE_DELETE };

struct change {
    struct endpoint_store *endpoints;
    enum change_kind kind;
    struct id id;
    struct endpoint *endpoint;      /* one reference; NULL for a new one */
    struct endpoint_config *config; /* one reference; NULL for a deletion */
    struct notice_attempt last;     /* the occasion; attempts 0: it was somebody's wish */
    endpoint_store_fn *fn;          /* may be NULL */
    void *arg;
};

struct endpoint_store {
    struct core *core;
    endpoint_store_loaded_fn *loaded;
    void *loaded_arg;
    bool loading;
    size_t looks; /* at single documents, on their way */
    bool unsure;  /* the answer to a change was lost: what Redis has must be read again */
};

/* ---- Consequences --------------------------------------------------------------------------- */

/* What another configuration means for how the endpoint fares, and who is told. */
static void compare(struct core *core, struct endpoint *endpoint, const struct endpoint_config *old,
                    const struct notice_attempt *last)
{
    const struct endpoint_config *config = endpoint->config;
    if (old->active && !config->active) {
        core->stats.endpoints_disabled += last->attempts > 0;
        notice_disabled(core, endpoint, last);
    }
    if (config->active && (!old->active || strcmp(old->url, config->url) != 0))
        watch_reset(core, endpoint);
}

static void take_effect(struct endpoint_store *endpoints, struct endpoint *endpoint)
{
    struct core *core = endpoints->core;
    dispatch_endpoint_changed(core->dispatch, endpoint);
    if (endpoint->deleted || !endpoint->config->active)
        clear_endpoint(core->clear, endpoint);
}

/* ---- Changes -------------------------------------------------------------------------------- */

static void change_free(struct change *change)
{
    if (change->endpoint)
        endpoint_put(change->endpoint);
    endpoint_config_put(change->config);
    free(change);
}

/* *old: what a replaced configuration was, with a reference for the caller. */
static enum status apply(struct change *change, struct endpoint **endpoint,
                         struct endpoint_config **old)
{
    struct registry *registry = change->endpoints->core->registry;
    if (change->kind == CHANGE_DELETE) {
        *endpoint = change->endpoint;
        if (!change->endpoint->deleted)
            registry_remove(registry, change->endpoint);
        return ST_OK;
    }
    struct endpoint_config *config = change->config;
    change->config = NULL;
    if (change->endpoint && !change->endpoint->deleted)
        *old = endpoint_config_get(change->endpoint->config);
    return registry_put(registry, &change->id, config, endpoint);
}

static void on_written(void *arg, enum status status, const struct redis_value *reply)
{
    struct change *change = arg;
    struct endpoint *endpoint = NULL;
    struct endpoint_config *old = NULL;
    if (status == ST_OK) {
        if (reply_is(reply, 0, "missing"))
            status = ST_NOTFOUND;
        else if (reply_is(reply, 0, "full"))
            status = ST_LIMIT;
        else if (!reply_is(reply, 0, "ok"))
            status = ST_REFUSED;
        else
            status = apply(change, &endpoint, &old);
    }
    if (status == ST_OK)
        take_effect(change->endpoints, endpoint);
    if (status == ST_OK && old)
        compare(change->endpoints->core, endpoint, old, &change->last);
    endpoint_config_put(old);
    if (status == ST_LOST)
        change->endpoints->unsure = true;
    if (change->fn)
        change->fn(change->arg, status, endpoint);
    change_free(change);
}

static enum status submit(struct endpoint_store *endpoints, enum change_kind kind,
                          const struct id *id, struct endpoint *endpoint,
                          struct endpoint_config *config, const struct notice_attempt *last,
                          endpoint_store_fn *fn, void *arg)
{
    struct core *core = endpoints->core;
    struct store *store = core->store;
    struct change *change = calloc(1, sizeof(*change));
    if (!change) {
        endpoint_config_put(config);
        return ST_NOMEM;
    }
    *change = (struct change){
        .endpoints = endpoints, .kind = kind, .id = *id, .config = config, .fn = fn, .arg = arg};
    change->endpoint = endpoint ? endpoint_get(endpoint) : NULL;
    if (last)
        change->last = *last;
    char id_text[ID_TEXT_MAX];
    id_format(id_text, "ep_", id);
    struct store_key text[3];
    struct slice keys[] = {store_key(store, &text[0], "config", "endpoints"),
                           store_key(store, &text[1], "config", NULL),
                           store_key(store, &text[2], "config", "deleted")};
    struct store_number most;
    struct slice args[] = {
        slice_str(id_text),
        config ? slice_str(config->document) : TOMBSTONE,
        kind == CHANGE_CREATE ? SLICE("create") : SLICE("replace"),
        store_u64(&most, core->options.endpoints_max),
    };
    enum status status = store_query_script(store, store_script(store, "endpoint_put"), keys, 3,
                                            args, 4, on_written, change);
    if (status != ST_OK)
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

static void on_disabled(void *arg, enum status status, struct endpoint *endpoint)
{
    (void)status; /* not written: the next occasion tries again */
    (void)endpoint;
    struct endpoint *disabled = arg;
    disabled->changing = false;
    endpoint_put(disabled);
}

void endpoint_store_disable(struct endpoint_store *endpoints, struct endpoint *endpoint,
                            const char *reason, const struct notice_attempt *last)
{
    struct endpoint_config *config;
    if (!endpoint->config->active || endpoint->changing)
        return;
    if (endpoint_config_switch(registry_rules(endpoints->core->registry), endpoint->config, false,
                               reason, clock_wall_ms(), &config) != ST_OK) {
        log_error("endpoint.disable_failed", "endpoint=%s reason=nomem", endpoint->id_text);
        return;
    }
    log_warn("endpoint.disabled", "endpoint=%s reason=%s", endpoint->id_text, reason);
    endpoint->changing = true;
    endpoint_get(endpoint);
    if (submit(endpoints, CHANGE_REPLACE, &endpoint->id, endpoint, config, last, on_disabled,
               endpoint) != ST_OK)
        on_disabled(endpoint, ST_NOMEM, NULL);
}

struct registry *endpoint_store_registry(struct endpoint_store *endpoints)
{
    return endpoints->core->registry;
}

/* ---- Loading -------------------------------------------------------------------------------- */

static void scan(struct endpoint_store *endpoints, struct slice cursor);

/* A deleted endpoint whose schedule is not empty yet. */
static void load_tombstone(struct endpoint_store *endpoints, const struct id *id)
{
    struct core *core = endpoints->core;
    struct endpoint *endpoint = registry_find(core->registry, id);
    if (endpoint) {
        endpoint_get(endpoint);
        registry_remove(core->registry, endpoint);
    } else {
        endpoint = endpoint_new_deleted(id);
    }
    if (endpoint)
        take_effect(endpoints, endpoint);
    endpoint_put(endpoint);
}

/* One that is not known yet, or that was changed and the answer to the change was lost. */
static enum status load_document(struct endpoint_store *endpoints, const struct id *id,
                                 struct slice document, struct field_error *error)
{
    struct core *core = endpoints->core;
    struct endpoint *endpoint = registry_find(core->registry, id);
    struct endpoint_config *old = endpoint ? endpoint_config_get(endpoint->config) : NULL, *config;
    enum status status =
        endpoint_config_load(registry_rules(core->registry), document, &config, error);
    if (status == ST_OK)
        status = registry_put(core->registry, id, config, &endpoint);
    if (status == ST_OK)
        take_effect(endpoints, endpoint);
    if (status == ST_OK && old)
        compare(core, endpoint, old, &(struct notice_attempt){.attempts = 0});
    endpoint_config_put(old);
    return status;
}

static void load_one(struct endpoint_store *endpoints, struct slice id_text, struct slice document)
{
    struct id id;
    struct field_error error;
    if (id_parse(id_text, "ep_", &id) != ST_OK) {
        log_error("endpoint.bad_id", "id=%s", log_quote(id_text));
        return;
    }
    if (slice_eq(document, TOMBSTONE)) {
        load_tombstone(endpoints, &id);
        return;
    }
    enum status status = load_document(endpoints, &id, document, &error);
    if (status != ST_OK)
        log_error("endpoint.not_loaded", "endpoint=%.*s reason=%s", SLICE_ARGS(id_text),
                  log_quote(slice_str(status == ST_NOMEM ? "out of memory" : error.message)));
}

struct look {
    struct endpoint_store *endpoints;
    struct id id;
    char id_text[ID_TEXT_MAX];
};

static void on_looked(void *arg, enum status status, const struct redis_value *reply)
{
    struct look *look = arg;
    struct endpoint_store *endpoints = look->endpoints;
    struct core *core = endpoints->core;
    endpoints->looks--;
    if (status == ST_OK && !registry_find(core->registry, &look->id)) {
        bool gone = redis_value_type(reply) != REDIS_STRING;
        load_one(endpoints, slice_str(look->id_text), gone ? TOMBSTONE : redis_value_text(reply));
        const struct endpoint *endpoint = registry_find(core->registry, &look->id);
        if (endpoint)
            schedule_told(core->schedule, endpoint->lane);
    }
    free(look);
}

/* When there are too many the next peek names it again. */
void endpoint_store_look(struct endpoint_store *endpoints, const struct id *id)
{
    struct store *store = endpoints->core->store;
    struct look *look = endpoints->looks < LOOKS_MOST ? malloc(sizeof(*look)) : NULL;
    if (!look)
        return;
    *look = (struct look){.endpoints = endpoints, .id = *id};
    id_format(look->id_text, "ep_", id);
    struct store_key key;
    struct slice args[] = {SLICE("HGET"), store_key(store, &key, "config", "endpoints"),
                           slice_str(look->id_text)};
    if (store_query(store, args, 3, on_looked, look) == ST_OK)
        endpoints->looks++;
    else
        free(look);
}

static void loaded(struct endpoint_store *endpoints, enum status status)
{
    endpoints->loading = false;
    endpoints->unsure = endpoints->unsure || status != ST_OK;
    endpoints->loaded(endpoints->loaded_arg, status);
}

/* HSCAN's reply is [cursor, [field, value, ...]]. */
static void on_scanned(void *arg, enum status status, const struct redis_value *reply)
{
    struct endpoint_store *endpoints = arg;
    if (status != ST_OK || redis_value_type(reply) != REDIS_ARRAY ||
        redis_value_count(reply) != 2) {
        loaded(endpoints, status == ST_OK ? ST_REFUSED : status);
        return;
    }
    const struct redis_value *fields = redis_value_at(reply, 1);
    for (size_t i = 0; i + 1 < redis_value_count(fields); i += 2)
        load_one(endpoints, reply_text(fields, i), reply_text(fields, i + 1));
    struct slice cursor = reply_text(reply, 0);
    if (slice_eq(cursor, SLICE("0")))
        loaded(endpoints, ST_OK);
    else
        scan(endpoints, cursor);
}

static void scan(struct endpoint_store *endpoints, struct slice cursor)
{
    struct store *store = endpoints->core->store;
    struct store_key key;
    struct store_number count;
    struct slice args[] = {SLICE("HSCAN"), store_key(store, &key, "config", "endpoints"), cursor,
                           SLICE("COUNT"), store_u64(&count, SCAN_COUNT)};
    if (store_query(store, args, 5, on_scanned, endpoints) != ST_OK)
        loaded(endpoints, ST_NOMEM);
}

bool endpoint_store_unsure(const struct endpoint_store *endpoints)
{
    return endpoints->unsure;
}

void endpoint_store_load(struct endpoint_store *endpoints, endpoint_store_loaded_fn *done,
                         void *arg)
{
    if (endpoints->loading)
        return;
    endpoints->loading = true;
    endpoints->unsure = false;
    endpoints->loaded = done;
    endpoints->loaded_arg = arg;
    scan(endpoints, SLICE("0"));
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct endpoint_store *endpoint_store_new(struct core *core)
{
    struct endpoint_store *endpoints = calloc(1, sizeof(*endpoints));
    if (!endpoints)
        return NULL;
    endpoints->core = core;
    return endpoints;
}

void endpoint_store_free(struct endpoint_store *endpoints)
{
    free(endpoints);
}
