/* feed_entries.c - entries of a stream, from being read until they have left it.
 *
 *   read --feed_event.h--> publish_event() ----> stored; publish.lua took the entry out
 *             |                 |    |   '-----> taken: it had gone before
 *             |                 |    '---------> duplicate by its key: deleted, many in one call
 *             v                 v
 *         feed_reject.lua: in the rejected stream     could not be stored: left in the stream
 *
 * An entry's bytes are needed only while it is read: publish copies the event, and whatever else
 * becomes of the entry is done with the one that is in Redis. In hand are ids alone, so that what
 * is read once more because it was left is not published twice at a time. (Twice would do no harm:
 * the second finds the entry gone.)
 *
 * When one entry cannot be stored now those that were read behind it are not tried either: so the
 * order is kept as far as may be.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/feed_event.h"
#include "core/feed_private.h"
#include "core/publish.h"
#include "core/store_feed.h"

enum { DONE_MOST = 256, LOG_MS = 1000 };

#define ENTRY_AGE_MAX_MS ((uint64_t)366 * 24 * 3600 * 1000)

struct item {
    struct feed_entry entry;
    struct feed_read *read;
    bool in_hand;
};

/* The entries of one reply. */
struct feed_read {
    struct list node; /* in stream->reads */
    struct feed_stream *stream;
    size_t count; /* items so far; the reply may still be coming */
    size_t most;  /* that it will have */
    size_t open;  /* items in hand, and one for feed_take() */
    size_t bytes;
    struct item items[];
};

/* Entries that are to be deleted, together. */
struct feed_done {
    struct feed_stream *stream;
    size_t count;
    struct item *items[DONE_MOST];
};

/* ---- In hand -------------------------------------------------------------------------------- */

static void read_put(struct feed_read *read)
{
    if (--read->open > 0)
        return;
    list_remove(&read->node);
    free(read);
}

static void item_begin(struct item *item)
{
    item->in_hand = true;
    item->read->open++;
    item->read->stream->in_hand++;
}

static void item_end(struct item *item, enum feed_result result)
{
    struct feed_stream *stream = item->read->stream;
    stream->results[result]++;
    stream->in_hand--;
    item->in_hand = false;
    read_put(item->read);
    if (result == FEED_PUBLISHED)
        stream->failures = 0;
    if (result == FEED_PUT_OFF)
        feed_leave(stream);
    feed_go_on(stream);
}

static bool read_has(const struct feed_read *read, const struct stream_id *id)
{
    size_t low = 0, high = read->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = stream_id_compare(&read->items[middle].entry.id, id);
        if (order == 0)
            return read->items[middle].in_hand;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool is_in_hand(const struct feed_stream *stream, const struct stream_id *id)
{
    if (stream_id_compare(id, &stream->highest) > 0)
        return false;
    LIST_FOREACH(node, &stream->reads)
    {
        if (read_has(CONTAINER_OF(node, struct feed_read, node), id))
            return true;
    }
    return false;
}

/* ---- Rejected ------------------------------------------------------------------------------- */

static void on_rejected(void *arg, enum status status, const struct redis_value *reply)
{
    struct item *item = arg;
    if (status != ST_OK)
        item_end(item, FEED_PUT_OFF);
    else
        item_end(item, redis_value_integer(reply) > 0 ? FEED_REJECTED : FEED_TAKEN);
}

static void log_rejected(struct feed_stream *stream, const struct stream_id *id,
                         const struct field_error *error)
{
    uint64_t now_ms = clock_mono_ms();
    char text[STREAM_ID_TEXT];
    stream->rejections++;
    if (now_ms - stream->rejected_logged_ms < LOG_MS)
        return;
    log_warn("feed.rejected", "feed=%s entries=%llu last=%.*s reason=%s field=%s", stream->name,
             (unsigned long long)stream->rejections, SLICE_ARGS(stream_id_format(id, text)),
             error->code, log_quote(slice_str(error->field)));
    stream->rejected_logged_ms = now_ms;
    stream->rejections = 0;
}

/* The item is in hand. */
static void reject(struct item *item, const struct field_error *error)
{
    struct feed_stream *stream = item->read->stream;
    const struct store_feed_reject what = {.first = item->entry.id,
                                           .last = item->entry.id,
                                           .rejected_max = stream->options->rejected_max,
                                           .error = error};
    log_rejected(stream, &item->entry.id, error);
    if (store_feed_reject(stream->core->store, stream->feed, &what, on_rejected, item) != ST_OK)
        item_end(item, FEED_PUT_OFF);
}

/* ---- Deleted, as duplicates ----------------------------------------------------------------- */

static void on_deleted(void *arg, enum status status, const struct redis_value *reply)
{
    struct feed_done *done = arg;
    (void)reply;
    for (size_t i = 0; i < done->count; i++)
        item_end(done->items[i], status == ST_OK ? FEED_DUPLICATE : FEED_PUT_OFF);
    free(done);
}

static void on_flush(void *arg)
{
    struct feed_stream *stream = arg;
    struct feed_done *done = stream->done;
    struct stream_id ids[DONE_MOST];
    if (!done)
        return;
    stream->done = NULL;
    for (size_t i = 0; i < done->count; i++)
        ids[i] = done->items[i]->entry.id;
    if (store_feed_delete(stream->core->store, stream->feed, ids, done->count, on_deleted, done) !=
        ST_OK)
        on_deleted(done, ST_NOMEM, NULL);
}

/* With others of this turn. */
static void delete_later(struct item *item)
{
    struct feed_stream *stream = item->read->stream;
    if (!stream->done)
        stream->done = calloc(1, sizeof(*stream->done));
    if (!stream->done) {
        item_end(item, FEED_PUT_OFF);
        return;
    }
    stream->done->items[stream->done->count++] = item;
    if (stream->done->count == DONE_MOST)
        on_flush(stream);
    else
        reactor_timer_set(stream->flush, 0);
}

/* ---- Published ------------------------------------------------------------------------------ */

static void on_verdict(void *arg, enum publish_verdict verdict, const char *event_id,
                       uint32_t deliveries)
{
    struct item *item = arg;
    struct field_error error;
    (void)deliveries;
    switch (verdict) {
    case PUBLISH_ACCEPTED:
    case PUBLISH_REPEATED:
        item_end(item, FEED_PUBLISHED);
        break;
    case PUBLISH_TAKEN:
        item_end(item, FEED_TAKEN);
        break;
    case PUBLISH_DUPLICATE:
        delete_later(item);
        break;
    case PUBLISH_KEY_REUSED:
        (void)field_refuse(&error, "idempotency_key_reused", "k",
                           "This idempotency key came before, with another event: %s.", event_id);
        reject(item, &error);
        break;
    case PUBLISH_UID_TAKEN:
        (void)field_refuse(&error, "uid_taken", "uid", "Another event has this uid: %s.", event_id);
        reject(item, &error);
        break;
    case PUBLISH_IDEMPOTENCY_FULL:
    case PUBLISH_JOURNAL_FULL:
    case PUBLISH_UNAVAILABLE:
    case PUBLISH_STORE_FULL:
    case PUBLISH_OVERLOADED:
    case PUBLISH_STOPPING:
    case PUBLISH_UNKNOWN: /* if it is stored after all the entry has gone */
        item_end(item, FEED_PUT_OFF);
        break;
    }
}

/* When the entry was added: ids are made of Redis's time, unless a producer makes its own. */
static uint64_t added_ms(const struct feed_stream *stream, const struct stream_id *id)
{
    uint64_t now_ms = store_redis_latest_ms(stream->core->store);
    bool likely = id->ms <= now_ms && now_ms - id->ms < ENTRY_AGE_MAX_MS;
    return likely ? id->ms : now_ms;
}

static void publish_document(struct item *item, struct event_document *document)
{
    struct core *core = item->read->stream->core;
    if (document->has_delay)
        document->record.deliver_at_ms =
            added_ms(item->read->stream, &item->entry.id) + document->delay_ms;
    const struct publish_item event = {.record = document->record,
                                       .idempotency_key = document->idempotency_key,
                                       .raw = document->raw,
                                       .feed = &item->entry};
    enum publish_verdict why;
    if (publish_event(core->publish, &event, on_verdict, item, &why) != ST_OK)
        item_end(item, FEED_PUT_OFF);
}

static void publish_item(struct item *item, const struct redis_value *fields)
{
    struct feed_stream *stream = item->read->stream;
    struct event_document document;
    struct field_error error;
    const struct feed_event_rules rules = {
        .document = {.data_bytes_max = stream->options->event_bytes_max,
                     .now_ms = added_ms(stream, &item->entry.id)},
        .application = stream->application};
    enum status status = feed_event_read(&document, fields, &rules, &error);
    item_begin(item);
    if (status == ST_OK)
        publish_document(item, &document);
    else if (status == ST_RANGE)
        reject(item, &error);
    else
        item_end(item, FEED_PUT_OFF);
    event_document_free(&document);
}

/* ---- Read ----------------------------------------------------------------------------------- */

static size_t bytes_of(const struct redis_value *fields)
{
    size_t bytes = 0;
    for (size_t i = 0; i < redis_value_count(fields); i++)
        bytes += redis_value_text(redis_value_at(fields, i)).len;
    return bytes;
}

static struct feed_read *read_new(struct feed_stream *stream, size_t count)
{
    struct feed_read *read = malloc(sizeof(*read) + count * sizeof(read->items[0]));
    if (!read)
        return NULL;
    read->stream = stream;
    read->count = read->bytes = 0;
    read->most = count;
    read->open = 1;
    list_push_back(&stream->reads, &read->node);
    return read;
}

/* False: it is no entry, as Redis never says. */
static bool take_entry(struct feed_read *read, const struct redis_value *entry)
{
    struct feed_stream *stream = read->stream;
    const struct redis_value *fields = redis_value_at(entry, 1);
    struct item *item = &read->items[read->count];
    struct stream_id id;
    if (stream_id_parse(redis_value_text(redis_value_at(entry, 0)), &id) != ST_OK)
        return false;
    bool known = is_in_hand(stream, &id);
    *item = (struct item){.entry = {.feed = stream->feed, .id = id}, .read = read};
    if (read->count > 0)
        item->entry.before = item[-1].entry.id;
    read->count++;
    read->bytes += bytes_of(fields);
    if (stream_id_compare(&id, &stream->highest) > 0)
        stream->highest = id;
    if (!known && !stream->left)
        publish_item(item, fields);
    return true;
}

size_t feed_take(struct feed_stream *stream, const struct redis_value *entries, size_t whole)
{
    size_t count = redis_value_count(entries);
    struct feed_read *read = stream->reading;
    if (!read)
        read = stream->reading = read_new(stream, count);
    if (!read) {
        feed_leave(stream);
        return 0;
    }
    assert(count == read->most && whole <= count);
    /* It is there until feed_read_ended(), whatever becomes of its items meanwhile.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    while (read->count < whole && take_entry(read, redis_value_at(entries, read->count)))
        continue;
    size_t bytes = read->bytes;
    if (whole == count)
        feed_read_ended(stream);
    return bytes;
}

void feed_read_ended(struct feed_stream *stream)
{
    struct feed_read *read = stream->reading;
    stream->reading = NULL;
    if (read)
        read_put(read);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

enum status feed_entries_init(struct feed_stream *stream)
{
    list_init(&stream->reads);
    stream->flush = reactor_timer_new(stream->core->reactor, on_flush, stream);
    return stream->flush ? ST_OK : ST_NOMEM;
}

void feed_entries_deinit(struct feed_stream *stream)
{
    reactor_timer_free(stream->flush);
    free(stream->done);
    for (struct list *node; (node = list_pop_front(&stream->reads));)
        free(CONTAINER_OF(node, struct feed_read, node));
}
