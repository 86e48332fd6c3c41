/* source_store.c - changes of sources: written, and then in effect.
 *
 * `config:sources` is a hash: "src_" and a source's name -> document. Nothing waits for a source,
 * so a deleted one's document just goes. All else is the endpoints' way (endpoint_store.c): a
 * change names the version that its source is known to be of; the answer raises the version that
 * this process is at; what others change is read by endpoint_follow.c, which hands it on to here.
 *
 * No answer is kept when it is lost, as nobody is told of a source's change: what Redis has is
 * found by the load that follows every loss.
 */
#include "core/source_store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "core/endpoint_store_private.h"
#include "core/source_document.h"
#include "core/sources.h"

#define PREFIX SLICE("src_")

struct source_store {
    struct core *core;
    struct sources *sources;
};

enum change_kind { CHANGE_CREATE, CHANGE_REPLACE, CHANGE_DELETE };

struct change {
    struct source_store *store;
    enum change_kind kind;
    struct source *old;    /* one reference; NULL for a new one */
    struct source *source; /* one reference; NULL for a deletion */
    char id_text[LIMIT_SOURCE_NAME_BYTES + sizeof("src_")];
    source_store_fn *fn;
    void *arg;
};

/* ---- Changes of our own --------------------------------------------------------------------- */

static void change_free(struct change *change)
{
    source_put(change->old);
    source_put(change->source);
    free(change);
}

static enum status judge(const struct redis_value *reply)
{
    if (reply_is(reply, 0, "ok"))
        return ST_OK;
    if (reply_is(reply, 0, "missing"))
        return ST_NOTFOUND;
    if (reply_is(reply, 0, "full"))
        return ST_LIMIT;
    return reply_is(reply, 0, "conflict") ? ST_CONFLICT : ST_REFUSED;
}

/* The change is in Redis; now it is in memory. */
static enum status made(struct change *change, uint64_t before, uint64_t version)
{
    struct endpoint_store *endpoints = change->store->core->endpoints;
    struct sources *sources = change->store->sources;
    enum status status = ST_OK;
    if (change->kind == CHANGE_DELETE) {
        struct source *present = sources_find(sources, slice_str(change->old->name));
        if (present && !present->from_file)
            sources_remove(sources, present);
    } else {
        change->source->version = version;
        change->source->round = endpoints->round;
        status = sources_put(sources, source_get(change->source));
    }
    if (status == ST_OK)
        endpoint_follow_own(endpoints, before, version);
    else
        endpoints->unsure = true; /* as soon as there is memory */
    return status;
}

static void on_written(void *arg, enum status status, const struct redis_value *reply)
{
    struct change *change = arg;
    struct source_store *store = change->store;
    struct endpoint_store *endpoints = store->core->endpoints;
    uint64_t version = (uint64_t)reply_integer(reply, 1);
    endpoints->under_way--;
    if (status == ST_OK)
        status = judge(reply);
    if (status == ST_OK)
        status = made(change, (uint64_t)reply_integer(reply, 2), version);
    if (status == ST_CONFLICT) {
        if (!source_store_follow(store, slice_str(change->id_text), reply_text(reply, 2), version,
                                 endpoints->round))
            endpoints->unsure = true;
        endpoint_store_saw_version(endpoints, version);
    }
    endpoint_follow(endpoints);
    change->fn(change->arg, status, status == ST_OK ? change->source : NULL);
    change_free(change);
}

/* As endpoint_store.c has it for endpoints. */
static uint64_t known_version(const struct endpoint_store *endpoints, const struct source *source)
{
    if (endpoints->state == FOLLOW_LOAD)
        return source->round == endpoints->round ? source->version : 0;
    return source->version > endpoints->version ? source->version : endpoints->version;
}

static enum status send(struct change *change)
{
    const struct endpoint_store *endpoints = change->store->core->endpoints;
    struct store *store = change->store->core->store;
    struct store_key text[5];
    struct slice keys[] = {store_key(store, &text[0], "config", "sources"),
                           store_key(store, &text[1], "config", NULL),
                           store_key(store, &text[2], "config", "changes"),
                           store_key(store, &text[3], "config", "deleted")};
    struct store_number most, kept, base, had;
    struct slice based_on = SLICE("");
    if (change->kind == CHANGE_REPLACE)
        based_on = store_u64(&base, known_version(endpoints, change->old));
    struct slice args[] = {
        slice_str(change->id_text),
        change->source ? slice_str(change->source->document) : SLICE(""),
        change->kind == CHANGE_CREATE ? SLICE("create") : SLICE("replace"),
        store_u64(&most, LIMIT_SOURCES),
        based_on,
        store_u64(&kept, CONFIG_CHANGES_KEPT),
        store_key(store, &text[4], "all", NULL),
        store_u64(&had, endpoints->version),
    };
    return store_query_script(store, store_script(store, "config_put"), keys, 4, args, 8,
                              on_written, change);
}

static enum status submit(struct source_store *store, enum change_kind kind, struct source *old,
                          struct source *source, source_store_fn *fn, void *arg)
{
    struct change *change = calloc(1, sizeof(*change));
    if (!change) {
        source_put(source);
        return ST_NOMEM;
    }
    *change = (struct change){.store = store,
                              .kind = kind,
                              .old = old ? source_get(old) : NULL,
                              .source = source,
                              .fn = fn,
                              .arg = arg};
    const struct source *named = source ? source : old;
    assert(named);
    snprintf(change->id_text, sizeof(change->id_text), "src_%s", named->name);
    enum status status = send(change);
    if (status == ST_OK)
        store->core->endpoints->under_way++;
    else
        change_free(change);
    return status;
}

enum status source_store_create(struct source_store *store, struct source *source,
                                source_store_fn *fn, void *arg)
{
    return submit(store, CHANGE_CREATE, NULL, source, fn, arg);
}

enum status source_store_replace(struct source_store *store, struct source *old,
                                 struct source *source, source_store_fn *fn, void *arg)
{
    return submit(store, CHANGE_REPLACE, old, source, fn, arg);
}

enum status source_store_delete(struct source_store *store, struct source *old, source_store_fn *fn,
                                void *arg)
{
    return submit(store, CHANGE_DELETE, old, NULL, fn, arg);
}

/* ---- Changes by others ---------------------------------------------------------------------- */

bool source_store_has(struct slice id_text)
{
    return slice_starts(id_text, PREFIX);
}

static void removed(struct source_store *store, struct source *source)
{
    log_info("source.removed", "source=%s", source->name);
    sources_remove(store->sources, source);
}

/* Loads a document, and puts it in when it is good. */
static enum status take(struct source_store *store, struct slice name, struct slice document,
                        uint64_t version, uint64_t round, struct field_error *error)
{
    struct source *source;
    enum status status =
        source_document_load(store->core->options.source_rules, document, &source, error);
    if (status == ST_OK && !slice_eq(slice_str(source->name), name)) {
        source_put(source);
        return field_refuse(error, "invalid_document", "name", "It is another source's.");
    }
    if (status != ST_OK)
        return status;
    source->version = version;
    source->round = round;
    status = sources_put(store->sources, source);
    if (status == ST_LIMIT)
        return field_refuse(error, "too_many_sources", "", "There are too many sources.");
    return status;
}

static void seen(struct source *source, uint64_t version, uint64_t round)
{
    source->version = version;
    source->round = round;
}

bool source_store_follow(struct source_store *store, struct slice id_text, struct slice document,
                         uint64_t version, uint64_t round)
{
    struct slice name = slice_from(id_text, PREFIX.len);
    struct source *present = sources_find(store->sources, name);
    struct field_error error;
    if (present && present->from_file) {
        if (document.len > 0)
            log_warn("source.shadowed", "source=%s reason=\"a file has this source\"",
                     present->name);
        return true;
    }
    if (document.len == 0) {
        if (present)
            removed(store, present);
        return true;
    }
    if (present && slice_eq(slice_str(present->document), document)) {
        seen(present, version, round);
        return true;
    }
    enum status status = take(store, name, document, version, round, &error);
    if (status == ST_OK)
        return true;
    if (present && status != ST_NOMEM) /* what it was is better than nothing */
        seen(present, version, round);
    log_error("source.not_loaded", "source=%s reason=%s", log_quote(name),
              status == ST_NOMEM ? "nomem" : log_quote(slice_str(error.message)));
    return status != ST_NOMEM;
}

void source_store_sweep(struct source_store *store, uint64_t round)
{
    struct source *source = sources_next(store->sources, SLICE_NULL);
    while (source) {
        char name[LIMIT_SOURCE_NAME_BYTES + 1];
        snprintf(name, sizeof(name), "%s", source->name);
        if (!source->from_file && source->round != round)
            removed(store, source);
        source = sources_next(store->sources, slice_str(name));
    }
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct sources *source_store_sources(struct source_store *store)
{
    return store->sources;
}

struct source_store *source_store_new(struct core *core)
{
    struct source_store *store = calloc(1, sizeof(*store));
    if (!store)
        return NULL;
    store->core = core;
    store->sources = sources_new();
    if (store->sources)
        return store;
    free(store);
    return NULL;
}

void source_store_free(struct source_store *store)
{
    if (!store)
        return;
    sources_free(store->sources);
    free(store);
}
