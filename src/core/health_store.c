/* health_store.c - how endpoints fare, kept in Redis.
 *
 *   note() --> unsaved, a list --every FLUSH_MS, up to PAGE--> health_put.lua
 *                  ^                                               |
 *                  +---- the next page, what changed meanwhile <---+
 *
 * One call at a time: two calls on their way could be taken in the other order, after an error, and
 * the older state would stay. An endpoint in the list is referenced; one whose lane is another's by
 * then is dropped from it: its new owner was given what it needs.
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

static bool ours(const struct health_store *health, const struct endpoint *endpoint)
{
    return lanes_state(health->core->lanes, endpoint->lane) >= LANE_ARRIVING;
}

static void take_page(struct health_store *health, struct page *page)
{
    buf_init(&page->records, PAGE * RECORD_BYTES_MAX);
    page->count = 0;
    for (struct list *node; page->count < PAGE && (node = list_pop_front(&health->unsaved));) {
        struct endpoint *endpoint = CONTAINER_OF(node, struct endpoint, health.unsaved);
        if (!ours(health, endpoint)) {
            endpoint_put(endpoint);
            continue;
        }
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
        struct slice *three = &args[1 + 3 * i];
        three[0] = slice_str(page->endpoints[i]->id_text);
        three[1] = store_u64(&lanes[i], page->endpoints[i]->lane);
        three[2] = len ? slice_of(page->records.ptr + from, len) : SLICE("");
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
    if (page.count == 0)
        return false; /* what there was is another's now */
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

struct load {
    struct health_store *health;
    uint8_t lanes[LANE_MASK_BYTES];
    health_store_loaded_fn *done;
    void *arg;
};

static enum status scan(struct load *load, struct slice cursor);

static void load_end(struct load *load, enum status status)
{
    health_store_loaded_fn *done = load->done;
    void *arg = load->arg;
    free(load);
    done(arg, status);
}

static void load_one(const struct load *load, struct slice id_text, struct slice json)
{
    struct id id;
    struct health_record record;
    struct endpoint *endpoint = NULL;
    if (id_parse(id_text, "ep_", &id) == ST_OK)
        endpoint = registry_find(load->health->core->registry, &id);
    if (!endpoint || !lane_in(load->lanes, endpoint->lane))
        return; /* another's; or deleted, and being cleared */
    if (health_record_read(json, &record) != ST_OK) {
        log_error("health.not_read", "endpoint=%s", endpoint->id_text);
        return;
    }
    endpoint->health.kept = record;
}

/* HSCAN's reply is [cursor, [field, value, ...]]. */
static void on_scanned(void *arg, enum status status, const struct redis_value *reply)
{
    struct load *load = arg;
    bool good =
        status == ST_OK && redis_value_type(reply) == REDIS_ARRAY && redis_value_count(reply) == 2;
    if (!good) {
        load_end(load, status == ST_OK ? ST_REFUSED : status);
        return;
    }
    const struct redis_value *fields = redis_value_at(reply, 1);
    for (size_t i = 0; i + 1 < redis_value_count(fields); i += 2)
        load_one(load, reply_text(fields, i), reply_text(fields, i + 1));
    struct slice cursor = reply_text(reply, 0);
    bool last = slice_eq(cursor, SLICE("0"));
    status = last ? ST_OK : scan(load, cursor);
    if (last || status != ST_OK)
        load_end(load, status);
}

static enum status scan(struct load *load, struct slice cursor)
{
    struct store *store = load->health->core->store;
    struct store_key key;
    struct store_number count;
    struct slice args[] = {SLICE("HSCAN"), store_key(store, &key, "health", NULL), cursor,
                           SLICE("COUNT"), store_u64(&count, SCAN_COUNT)};
    return store_query(store, args, 5, on_scanned, load);
}

enum status health_store_load(struct health_store *health, const uint8_t lanes[LANE_MASK_BYTES],
                              health_store_loaded_fn *done, void *arg)
{
    struct registry *registry = health->core->registry;
    struct load *load = malloc(sizeof(*load));
    if (!load)
        return ST_NOMEM;
    *load = (struct load){.health = health, .done = done, .arg = arg};
    memcpy(load->lanes, lanes, LANE_MASK_BYTES);
    enum status status = scan(load, SLICE("0"));
    if (status != ST_OK) {
        free(load);
        return status;
    }
    for (uint32_t lane = 0; lane < LANES; lane++) {
        struct endpoint *endpoint = NULL;
        while (lane_in(lanes, lane) && (endpoint = registry_next_in_lane(registry, lane, endpoint)))
            endpoint->health.kept = (struct health_record){.failing_since_ms = 0};
    }
    return ST_OK;
}

/* ---- Asking --------------------------------------------------------------------------------- */

struct reading {
    health_store_read_fn *fn;
    void *arg;
};

static void on_read(void *arg, enum status status, const struct redis_value *reply)
{
    struct reading reading = *(struct reading *)arg;
    struct health_record record = {.failing_since_ms = 0};
    free(arg);
    bool known = status == ST_OK;
    if (known && redis_value_type(reply) == REDIS_STRING)
        known = health_record_read(redis_value_text(reply), &record) == ST_OK;
    reading.fn(reading.arg, known ? &record : NULL);
}

enum status health_store_read(struct health_store *health, const struct endpoint *endpoint,
                              health_store_read_fn *fn, void *arg)
{
    struct store *store = health->core->store;
    struct store_key key;
    struct slice args[] = {SLICE("HGET"), store_key(store, &key, "health", NULL),
                           slice_str(endpoint->id_text)};
    struct reading *reading = malloc(sizeof(*reading));
    if (!reading)
        return ST_NOMEM;
    *reading = (struct reading){fn, arg};
    enum status status = store_query(store, args, 3, on_read, reading);
    if (status != ST_OK)
        free(reading);
    return status;
}

bool health_store_saved(const struct health_store *health, uint32_t lane)
{
    struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(health->core->registry, lane, endpoint)))
        if (list_linked(&endpoint->health.unsaved))
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
