/* health_store.c - how endpoints fare, kept in Redis.
 *
 *   note() --> unsaved, a list --every FLUSH_MS, up to PAGE--> health_put.lua
 *                  ^                                               |
 *                  +---- the next page, what changed meanwhile <---+
 *
 * One call at a time: two calls on their way could be taken in the other order, after an error, and
 * the older state would stay. An endpoint in the list is referenced.
 */
#include "core/health_store.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/redis_script.h"

enum { FLUSH_MS = 200, PAGE = 64, RECORD_BYTES_MAX = 1024, SCAN_COUNT = 512 };

struct health_store {
    struct core *core;
    struct list unsaved; /* endpoints */
    bool writing;
    struct reactor_timer *flush;
    uint8_t loading[LANE_MASK_BYTES];
    health_store_loaded_fn *loaded;
    void *loaded_arg;
};

/* ---- Writing -------------------------------------------------------------------------------- */

static void arm(struct health_store *health)
{
    if (!list_empty(&health->unsaved) && !health->writing && !reactor_timer_armed(health->flush))
        reactor_timer_set(health->flush, health->core->stopping ? 0 : FLUSH_MS);
}

void health_store_note(struct health_store *health, struct endpoint *endpoint)
{
    if (endpoint->deleted || list_linked(&endpoint->health.unsaved) ||
        !lanes_judged(health->core->lanes, endpoint->lane))
        return;
    endpoint_get(endpoint);
    list_push_back(&health->unsaved, &endpoint->health.unsaved);
    arm(health);
}

static void on_written(void *arg, enum status status, const struct redis_value *reply)
{
    struct health_store *health = arg;
    (void)reply;
    health->writing = false;
    if (status != ST_STOPPED)
        arm(health);
}

/* Takes endpoints off the list until it is empty or the page is full. */
struct page {
    struct buf records;
    size_t count;
    struct endpoint *endpoints[PAGE];
    size_t ends[PAGE]; /* where each one's record ends */
};

static void take_page(struct health_store *health, struct page *page)
{
    buf_init(&page->records, PAGE * RECORD_BYTES_MAX);
    page->count = 0;
    for (struct list *node; page->count < PAGE && (node = list_pop_front(&health->unsaved));) {
        struct endpoint *endpoint = CONTAINER_OF(node, struct endpoint, health.unsaved);
        health_record_write(&page->records, &endpoint->health.kept);
        page->endpoints[page->count] = endpoint;
        page->ends[page->count++] = page->records.len;
    }
}

static enum status write_page(struct health_store *health, const struct page *page)
{
    struct store *store = health->core->store;
    struct store_key text[3];
    struct slice keys[] = {store_key(store, &text[0], "health", NULL),
                           store_key(store, &text[1], "config", "endpoints"),
                           store_key(store, &text[2], "lanes", NULL)};
    struct store_number lanes[PAGE];
    struct slice args[1 + 3 * PAGE] = {slice_str(store_incarnation(store))};
    for (size_t i = 0, from = 0; i < page->count; from = page->ends[i++]) {
        size_t len = page->ends[i] - from;
        args[1 + 3 * i] = slice_str(page->endpoints[i]->id_text);
        args[2 + 3 * i] = store_u64(&lanes[i], page->endpoints[i]->lane);
        args[3 + 3 * i] = len ? slice_of(page->records.ptr + from, len) : SLICE("");
    }
    enum status status = buf_status(&page->records);
    return status ? status
                  : store_call(store, store_script(store, "health_put"), keys, 3, args,
                               1 + 3 * page->count, on_written, health);
}

bool health_store_flush(struct health_store *health)
{
    if (list_empty(&health->unsaved))
        return false;
    if (health->writing)
        return true; /* its answer goes on with the rest */
    struct page page;
    take_page(health, &page);
    health->writing = true;
    if (write_page(health, &page) != ST_OK) {
        log_error("health.not_written", "endpoints=%zu reason=nomem", page.count);
        health->writing = false;
    }
    for (size_t i = 0; i < page.count; i++) {
        if (!health->writing) /* the timer tries again */
            health_store_note(health, page.endpoints[i]);
        endpoint_put(page.endpoints[i]);
    }
    buf_free(&page.records);
    return true;
}

static void on_flush(void *arg)
{
    (void)health_store_flush(arg);
}

/* ---- Loading -------------------------------------------------------------------------------- */

static void scan(struct health_store *health, struct slice cursor);

static void load_one(struct health_store *health, struct slice id_text, struct slice json)
{
    struct id id;
    struct health_record record;
    struct endpoint *endpoint = NULL;
    if (id_parse(id_text, "ep_", &id) == ST_OK)
        endpoint = registry_find(health->core->registry, &id);
    if (!endpoint || !lane_in(health->loading, endpoint->lane))
        return; /* deleted, and being cleared; or not asked for */
    if (health_record_read(json, &record) != ST_OK) {
        log_error("health.not_read", "endpoint=%s", endpoint->id_text);
        return;
    }
    endpoint->health.kept = record;
    endpoint->told.breaker_open = record.breaker[0] != '\0';
}

/* HSCAN's reply is [cursor, [field, value, ...]]. */
static void on_scanned(void *arg, enum status status, const struct redis_value *reply)
{
    struct health_store *health = arg;
    bool good =
        status == ST_OK && redis_value_type(reply) == REDIS_ARRAY && redis_value_count(reply) == 2;
    if (!good) {
        health->loaded(health->loaded_arg, status == ST_OK ? ST_REFUSED : status);
        return;
    }
    const struct redis_value *fields = redis_value_at(reply, 1);
    for (size_t i = 0; i + 1 < redis_value_count(fields); i += 2)
        load_one(health, reply_text(fields, i), reply_text(fields, i + 1));
    struct slice cursor = reply_text(reply, 0);
    if (slice_eq(cursor, SLICE("0")))
        health->loaded(health->loaded_arg, ST_OK);
    else
        scan(health, cursor);
}

static void scan(struct health_store *health, struct slice cursor)
{
    struct store *store = health->core->store;
    struct store_key key;
    struct store_number count;
    struct slice args[] = {SLICE("HSCAN"), store_key(store, &key, "health", NULL), cursor,
                           SLICE("COUNT"), store_u64(&count, SCAN_COUNT)};
    if (store_query(store, args, 5, on_scanned, health) != ST_OK)
        health->loaded(health->loaded_arg, ST_NOMEM);
}

void health_store_load(struct health_store *health, const uint8_t lanes[LANE_MASK_BYTES],
                       health_store_loaded_fn *done, void *arg)
{
    health->loaded = done;
    health->loaded_arg = arg;
    memcpy(health->loading, lanes, LANE_MASK_BYTES);
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (lane_in(lanes, lane))
            LIST_FOREACH(node, registry_lane(health->core->registry, lane))
            {
                struct endpoint *endpoint = CONTAINER_OF(node, struct endpoint, in_lane);
                endpoint->health.kept = (struct health_record){.failing_since_ms = 0};
                endpoint->health.consecutive_failures = 0;
                endpoint->told.breaker_open = false;
            }
    scan(health, SLICE("0"));
}

bool health_store_saved(const struct health_store *health, uint32_t lane)
{
    LIST_FOREACH(node, registry_lane(health->core->registry, lane))
    if (list_linked(&CONTAINER_OF(node, struct endpoint, in_lane)->health.unsaved))
        return false;
    return true;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct health_store *health_store_new(struct core *core)
{
    struct health_store *health = calloc(1, sizeof(*health));
    if (!health)
        return NULL;
    health->core = core;
    list_init(&health->unsaved);
    health->flush = reactor_timer_new(core->reactor, on_flush, health);
    if (!health->flush) {
        free(health);
        return NULL;
    }
    return health;
}

void health_store_free(struct health_store *health)
{
    if (!health)
        return;
    for (struct list *node; (node = list_pop_front(&health->unsaved));)
        endpoint_put(CONTAINER_OF(node, struct endpoint, health.unsaved));
    reactor_timer_free(health->flush);
    free(health);
}
