/* endpoint_follow.c - the registry follows what is in Redis, whoever changed it; and so do the
 * sources, whose documents lie beside the endpoints' and are handed on to source_store.c.
 *
 *                   newer version heard of           version, then pages of all, then
 *            ┌──────────── IDLE ────────────┐        what was not found is removed
 *            ▼             ▲  ▲             ▼
 *         CHANGES ─────────┘  └──────────  LOAD
 *            └────────── "behind" ──────────▲
 *
 * The configuration has a version, which every change raises. All changes up to `version` are in
 * the registry; `seen` is the newest one heard of: from a notice, which comes within a millisecond
 * but may be lost; from the heartbeat, which comes every second; from the answer to a change of our
 * own. A difference is read: the endpoints that were changed since, with their present documents,
 * a page at a time (config_changes.lua). Redis remembers the last 10,000 changed endpoints; who is
 * farther behind loads all.
 *
 * All are loaded at the start, when too much was missed, and whenever Redis was away: then another
 * server may have taken its place that lacks the last changes, and that is not always to be seen
 * from the version. The version is read first, so that what changes during the load is read again
 * afterwards. A document that is what the registry has already costs a comparison, so loading once
 * more is cheap where nothing has changed.
 *
 * A version below ours, or one that we were told of and that Redis does not have, is proof of lost
 * changes. It can only be told from answers on the store's work connection, which come in the order
 * of execution: a notice comes on another connection and may be old. A change that is made of what
 * is left has a newer version than all; so whoever makes it looks at the one before
 * (endpoint_put.lua), and then all are "behind".
 *
 * One read at a time; one that fails is repeated at the next heartbeat.
 */
#include <stdlib.h>

#include "base/log.h"
#include "core/clear.h"
#include "core/endpoint_store_private.h"
#include "core/schedule.h"
#include "core/source_store.h"
#include "core/watch.h"
#include "net/redis_script.h"

enum { SCAN_COUNT = 512, CHANGES_PAGE = 64, FETCHES_MOST = 64 };

static void scan(struct endpoint_store *endpoints, struct slice cursor);

/* ---- One document --------------------------------------------------------------------------- */

/* Deleted: `endpoint` is the registry's. */
static void removed(struct endpoint_store *endpoints, struct endpoint *endpoint)
{
    endpoint_get(endpoint);
    registry_remove(endpoints->core->registry, endpoint);
    endpoint_take_effect(endpoints, endpoint);
    endpoint_put(endpoint);
}

/* A deleted endpoint whose schedule is not empty yet. */
static void follow_tombstone(struct endpoint_store *endpoints, const struct id *id)
{
    struct core *core = endpoints->core;
    struct endpoint *endpoint = registry_find(core->registry, id);
    if (endpoint) {
        removed(endpoints, endpoint);
        return;
    }
    if (clear_under_way(core->clear, id))
        return;
    endpoint = endpoint_new_deleted(id);
    if (endpoint)
        endpoint_take_effect(endpoints, endpoint);
    endpoint_put(endpoint);
}

static enum status put_document(struct endpoint_store *endpoints, const struct id *id,
                                struct slice document, struct endpoint **endpoint,
                                struct field_error *error)
{
    struct registry *registry = endpoints->core->registry;
    struct endpoint_config *config;
    struct endpoint_config *old = *endpoint ? endpoint_config_get((*endpoint)->config) : NULL;
    enum status status = endpoint_config_load(registry_rules(registry), document, &config, error);
    if (status == ST_OK)
        status = registry_put(registry, id, config, endpoint);
    if (status == ST_OK)
        endpoint_take_effect(endpoints, *endpoint);
    if (status == ST_OK && old) {
        endpoint_compare(endpoints, *endpoint, old);
        endpoint_tell_lost(endpoints, *endpoint);
    }
    endpoint_config_put(old);
    return status;
}

static enum status follow_present(struct endpoint_store *endpoints, const struct id *id,
                                  struct slice document, uint64_t version,
                                  struct field_error *error)
{
    struct endpoint *endpoint = registry_find(endpoints->core->registry, id);
    enum status status = ST_OK;
    if (!endpoint || !slice_eq(slice_str(endpoint->config->document), document))
        status = put_document(endpoints, id, document, &endpoint, error);
    if (status != ST_OK) /* what it was, if there was one, is better than nothing */
        endpoint = registry_find(endpoints->core->registry, id);
    if (endpoint)
        endpoint->round = endpoints->round;
    if (endpoint && status != ST_NOMEM)
        endpoint->version = version;
    return status;
}

void endpoint_follow_document(struct endpoint_store *endpoints, struct slice id_text,
                              struct slice document, uint64_t version)
{
    struct id id;
    struct field_error error;
    if (source_store_has(id_text)) {
        if (!source_store_follow(endpoints->core->sources, id_text, document, version,
                                 endpoints->round))
            endpoints->unsure = true;
        return;
    }
    if (id_parse(id_text, "ep_", &id) != ST_OK) {
        log_error("endpoint.bad_id", "id=%s", log_quote(id_text));
        return;
    }
    if (document.len == 0) {
        struct endpoint *endpoint = registry_find(endpoints->core->registry, &id);
        if (endpoint)
            removed(endpoints, endpoint);
        return;
    }
    if (slice_eq(document, TOMBSTONE)) {
        follow_tombstone(endpoints, &id);
        return;
    }
    enum status status = follow_present(endpoints, &id, document, version, &error);
    if (status == ST_NOMEM)
        endpoints->unsure = true;
    if (status != ST_OK)
        log_error("endpoint.not_loaded", "endpoint=%.*s reason=%s", SLICE_ARGS(id_text),
                  log_quote(slice_str(status == ST_NOMEM ? "out of memory" : error.message)));
}

/* ---- One that was met ----------------------------------------------------------------------- */

struct fetch {
    struct endpoint_store *endpoints;
    struct id id;
    char id_text[ID_TEXT_MAX];
};

static void on_fetched(void *arg, enum status status, const struct redis_value *reply)
{
    struct fetch *fetch = arg;
    struct endpoint_store *endpoints = fetch->endpoints;
    struct core *core = endpoints->core;
    endpoints->fetches--;
    if (status == ST_OK && !registry_find(core->registry, &fetch->id)) {
        bool gone = redis_value_type(reply) != REDIS_STRING;
        endpoint_follow_document(endpoints, slice_str(fetch->id_text),
                                 gone ? TOMBSTONE : redis_value_text(reply), endpoints->version);
        const struct endpoint *endpoint = registry_find(core->registry, &fetch->id);
        if (endpoint)
            schedule_told(core->schedule, endpoint->lane);
    }
    free(fetch);
}

/* When there are too many the next peek names it again. */
void endpoint_store_fetch(struct endpoint_store *endpoints, const struct id *id)
{
    struct store *store = endpoints->core->store;
    if (endpoints->fetches >= FETCHES_MOST || clear_under_way(endpoints->core->clear, id))
        return;
    struct fetch *fetch = malloc(sizeof(*fetch));
    if (!fetch)
        return;
    *fetch = (struct fetch){.endpoints = endpoints, .id = *id};
    id_format(fetch->id_text, "ep_", id);
    struct store_key key;
    struct slice args[] = {SLICE("HGET"), store_key(store, &key, "config", "endpoints"),
                           slice_str(fetch->id_text)};
    if (store_query(store, args, 3, on_fetched, fetch) == ST_OK)
        endpoints->fetches++;
    else
        free(fetch);
}

/* ---- Loading all ---------------------------------------------------------------------------- */

/* Those that were not found and did not come meanwhile. */
static void sweep(struct endpoint_store *endpoints)
{
    struct registry *registry = endpoints->core->registry;
    size_t count = 0;
    struct id after;
    for (struct endpoint *endpoint = registry_next(registry, NULL); endpoint;
         endpoint = registry_next(registry, &after)) {
        after = endpoint->id;
        if (endpoint->round == endpoints->round)
            continue;
        removed(endpoints, endpoint);
        count++;
    }
    if (count > 0)
        log_warn("endpoints.removed", "count=%zu reason=\"not in Redis any more\"", count);
}

static void load_end(struct endpoint_store *endpoints, enum status status)
{
    endpoint_store_loaded_fn *done = endpoints->done;
    endpoints->done = NULL;
    endpoints->state = FOLLOW_IDLE;
    if (status == ST_OK) {
        sweep(endpoints);
        source_store_sweep(endpoints->core->sources, endpoints->round);
        endpoint_forget_lost(endpoints);
        endpoints->version = endpoints->round_version;
        endpoints->loaded = true;
    } else {
        endpoints->unsure = true;
    }
    if (!endpoints->unsure) /* or at the next heartbeat, so that it does not go round */
        endpoint_follow(endpoints);
    if (done)
        done(endpoints->done_arg, status);
}

/* HSCAN's reply is [cursor, [field, value, ...]]. */
static void on_scanned(void *arg, enum status status, const struct redis_value *reply)
{
    struct endpoint_store *endpoints = arg;
    if (status != ST_OK || redis_value_type(reply) != REDIS_ARRAY ||
        redis_value_count(reply) != 2) {
        load_end(endpoints, status == ST_OK ? ST_REFUSED : status);
        return;
    }
    const struct redis_value *fields = redis_value_at(reply, 1);
    for (size_t i = 0; i + 1 < redis_value_count(fields); i += 2)
        endpoint_follow_document(endpoints, reply_text(fields, i), reply_text(fields, i + 1),
                                 endpoints->round_version);
    struct slice cursor = reply_text(reply, 0);
    bool at_end = slice_eq(cursor, SLICE("0"));
    if (at_end && endpoints->in_sources) {
        load_end(endpoints, ST_OK);
        return;
    }
    endpoints->in_sources |= at_end;
    scan(endpoints, cursor);
}

static void scan(struct endpoint_store *endpoints, struct slice cursor)
{
    struct store *store = endpoints->core->store;
    struct store_key key;
    struct store_number count;
    const char *hash = endpoints->in_sources ? "sources" : "endpoints";
    struct slice args[] = {SLICE("HSCAN"), store_key(store, &key, "config", hash), cursor,
                           SLICE("COUNT"), store_u64(&count, SCAN_COUNT)};
    if (store_query(store, args, 5, on_scanned, endpoints) != ST_OK)
        load_end(endpoints, ST_NOMEM);
}

static void on_version(void *arg, enum status status, const struct redis_value *reply)
{
    struct endpoint_store *endpoints = arg;
    if (status != ST_OK) {
        load_end(endpoints, status);
        return;
    }
    endpoints->round_version = reply_score(redis_value_text(reply));
    scan(endpoints, SLICE("0"));
}

static void load(struct endpoint_store *endpoints)
{
    struct store *store = endpoints->core->store;
    struct store_key key;
    struct slice args[] = {SLICE("HGET"), store_key(store, &key, "config", NULL), SLICE("version")};
    endpoints->state = FOLLOW_LOAD;
    endpoints->unsure = endpoints->look = endpoints->in_sources = false;
    endpoints->seen = 0; /* the version that is read now is not older than what was heard of */
    endpoints->round++;
    if (store_query(store, args, 3, on_version, endpoints) != ST_OK)
        load_end(endpoints, ST_NOMEM);
}

void endpoint_store_load(struct endpoint_store *endpoints, endpoint_store_loaded_fn *done,
                         void *arg)
{
    endpoints->done = done;
    endpoints->done_arg = arg;
    if (endpoints->state == FOLLOW_IDLE)
        load(endpoints);
    else
        endpoints->unsure = true; /* and now all is to be loaded next */
}

/* ---- Reading changes ------------------------------------------------------------------------ */

static void heard_of(struct endpoint_store *endpoints, uint64_t version)
{
    if (version > endpoints->seen)
        endpoints->seen = version;
}

static void take_changes(struct endpoint_store *endpoints, const struct redis_value *reply)
{
    uint64_t present = (uint64_t)reply_integer(reply, 2);
    if (!reply_is(reply, 0, "ok") || present < endpoints->asked) {
        endpoints->unsure = true;
        return;
    }
    for (size_t i = 3; i + 1 < redis_value_count(reply); i += 2)
        endpoint_follow_document(endpoints, reply_text(reply, i), reply_text(reply, i + 1),
                                 present);
    endpoints->version = (uint64_t)reply_integer(reply, 1);
    heard_of(endpoints, present);
}

static void on_changes(void *arg, enum status status, const struct redis_value *reply)
{
    struct endpoint_store *endpoints = arg;
    endpoints->state = FOLLOW_IDLE;
    if (status != ST_OK)
        return; /* the next heartbeat asks again */
    take_changes(endpoints, reply);
    endpoint_follow(endpoints);
}

static void read_changes(struct endpoint_store *endpoints)
{
    struct store *store = endpoints->core->store;
    struct store_key text[4];
    struct slice keys[] = {store_key(store, &text[0], "config", "endpoints"),
                           store_key(store, &text[1], "config", NULL),
                           store_key(store, &text[2], "config", "changes"),
                           store_key(store, &text[3], "config", "sources")};
    struct store_number version, page;
    struct slice args[] = {store_u64(&version, endpoints->version), store_u64(&page, CHANGES_PAGE)};
    endpoints->look = false;
    endpoints->asked = endpoints->seen;
    if (store_query_script(store, store_script(store, "config_changes"), keys, 4, args, 2,
                           on_changes, endpoints) == ST_OK)
        endpoints->state = FOLLOW_CHANGES;
}

void endpoint_follow(struct endpoint_store *endpoints)
{
    if (endpoints->state != FOLLOW_IDLE || !store_ready(endpoints->core->store))
        return;
    if (endpoints->unsure && (endpoints->loaded || endpoints->done))
        load(endpoints);
    else if (endpoints->loaded && (endpoints->look || endpoints->seen > endpoints->version))
        read_changes(endpoints);
}

/* ---- Hearing of changes --------------------------------------------------------------------- */

void endpoint_store_saw_version(struct endpoint_store *endpoints, uint64_t version)
{
    heard_of(endpoints, version);
    if (version < endpoints->version && endpoints->state != FOLLOW_LOAD)
        endpoints->unsure = true;
    endpoint_follow(endpoints);
}

void endpoint_follow_own(struct endpoint_store *endpoints, uint64_t before, uint64_t version)
{
    heard_of(endpoints, version);
    if (endpoints->state == FOLLOW_LOAD)
        return;
    if (before == endpoints->version)
        endpoints->version = version;
    else if (before < endpoints->version)
        endpoints->unsure = true;
}

/* A change of our own comes as a notice, too, often before its answer, which makes reading it
 * needless; the answer looks whether anything is left. */
void endpoint_store_heard(struct endpoint_store *endpoints, uint64_t version)
{
    heard_of(endpoints, version);
    if (endpoints->under_way == 0)
        endpoint_follow(endpoints);
}

void endpoint_store_announced(void *endpoints, struct slice version)
{
    endpoint_store_heard(endpoints, reply_score(version));
}

void endpoint_store_look(void *arg)
{
    struct endpoint_store *endpoints = arg;
    endpoints->look = true;
    endpoint_follow(endpoints);
}

void endpoint_store_reset_announced(void *arg, struct slice id_text)
{
    struct endpoint_store *endpoints = arg;
    struct id id;
    struct endpoint *endpoint = NULL;
    if (id_parse(id_text, "ep_", &id) == ST_OK)
        endpoint = registry_find(endpoints->core->registry, &id);
    if (endpoint)
        watch_reset(endpoints->core, endpoint);
}

uint64_t endpoint_store_version(const struct endpoint_store *endpoints)
{
    return endpoints->version;
}
