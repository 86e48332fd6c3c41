/* history.c - listed attempts of first-try successes, and the trimming of closed batches.
 *
 * Attempts: a ring of the newest `attempts_kept` successes for each endpoint that had any since the
 * last flush; together bounded by BYTES_MAX, beyond which successes are not listed until the next
 * flush. So listing costs one call a second for each busy endpoint, whatever its rate; and since
 * most successes of a really busy one are overwritten by later ones, records are made of those that
 * are left.
 *
 * Trimming: close.lua and settle.lua tell the bytes of all that is kept: closed batches, and events
 * that outlived theirs. The oldest go first, a page at a time: beyond the configured cap until some
 * room is made, so that the price of a call is shared by many; once a minute what has expired by
 * time; and when Redis has no memory left for new events, a share of what there is each time.
 */
#include "core/history.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/attempt_log.h"
#include "core/store_batch.h"
#include "core/store_schedule.h"

enum {
    FLUSH_MS = 1000,
    TRIM_EVERY_MS = 60 * 1000,
    TRIM_PAGE = 64,
    TRIM_ROOM = 16, /* beyond the cap a 16th of it is made free; of all, when Redis is full */
    SQUEEZE_LEAST = 1024 * 1024,
    SQUEEZE_LOG_MS = 60 * 1000,
    BYTES_MAX = 8 * 1024 * 1024
};

struct success {
    struct id event_id;
    uint32_t number;
    uint32_t duration_ms;
    uint16_t status_code;
    uint16_t body_bytes;
    uint16_t body_room;
    uint64_t at_ms;
    char *body; /* owned; NULL: there was none yet */
};

_Static_assert(LIMIT_ATTEMPT_BODY_BYTES <= UINT16_MAX, "success.body_bytes");

/* The successes of one endpoint since the last flush. */
struct recent {
    struct list node;
    struct endpoint *endpoint; /* one reference */
    uint32_t first, count, capacity;
    struct success successes[]; /* a ring */
};

struct history {
    struct core *core;
    struct list recents;
    size_t bytes;
    struct reactor_timer *flush;
    struct reactor_timer *trim;
    int64_t closed_bytes;
    bool over; /* the cap was reached, and there is not yet enough room below it */
    bool trimming;
    bool squeezed;           /* Redis is full: */
    int64_t squeeze_bytes;   /* so much is still to be made free */
    int64_t page_bytes;      /* of what is being trimmed */
    uint64_t squeeze_log_ms; /* monotonic, when that was last logged; 0: never */
};

/* ---- Attempts ------------------------------------------------------------------------------- */

static struct recent *recent_of(struct history *history, struct endpoint *endpoint)
{
    if (endpoint->recent)
        return endpoint->recent;
    uint32_t capacity = history->core->options.attempts_kept;
    struct recent *recent = calloc(1, sizeof(*recent) + capacity * sizeof(struct success));
    if (!recent)
        return NULL;
    recent->capacity = capacity;
    recent->endpoint = endpoint_get(endpoint);
    endpoint->recent = recent;
    history->bytes += capacity * sizeof(struct success);
    list_push_back(&history->recents, &recent->node);
    return recent;
}

/* Without memory for its body it is listed without one. */
static void set_body(struct history *history, struct success *success, struct slice body)
{
    success->body_bytes = 0;
    if (body.len > success->body_room) {
        char *room = realloc(success->body, body.len);
        if (!room)
            return;
        history->bytes += body.len - success->body_room;
        success->body = room;
        success->body_room = (uint16_t)body.len;
    }
    if (body.len > 0)
        memcpy(success->body, body.ptr, body.len);
    success->body_bytes = (uint16_t)body.len;
}

void history_note_success(struct history *history, struct endpoint *endpoint,
                          const struct attempt_record *record)
{
    if (history->core->options.attempts_kept == 0 || history->bytes > BYTES_MAX)
        return;
    struct recent *recent = recent_of(history, endpoint);
    if (!recent)
        return;
    uint32_t at = (recent->first + recent->count) % recent->capacity;
    if (recent->count == recent->capacity)
        recent->first = (recent->first + 1) % recent->capacity;
    else
        recent->count++;
    struct success *success = &recent->successes[at];
    success->event_id = record->event_id;
    success->number = record->number;
    success->duration_ms = record->duration_ms;
    success->status_code = record->status_code;
    success->at_ms = record->at_ms;
    set_body(history, success, record->body);
    if (!reactor_timer_armed(history->flush))
        reactor_timer_set(history->flush, FLUSH_MS);
}

static void on_listed(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

static void recent_free(struct history *history, struct recent *recent)
{
    for (uint32_t i = 0; i < recent->capacity; i++) {
        history->bytes -= recent->successes[i].body_room;
        free(recent->successes[i].body);
    }
    history->bytes -= recent->capacity * sizeof(struct success);
    list_remove(&recent->node);
    recent->endpoint->recent = NULL;
    endpoint_put(recent->endpoint);
    free(recent);
}

static void record_add(struct buf *buf, const struct success *success, const struct id *endpoint)
{
    struct attempt_record record = {
        .event_id = success->event_id,
        .number = success->number,
        .success = true,
        .status_code = success->status_code,
        .duration_ms = success->duration_ms,
        .at_ms = success->at_ms,
        .error = SLICE(""),
        .body = slice_of(success->body, success->body_bytes),
    };
    attempt_id(&record.id, &record.event_id, endpoint, record.number, record.at_ms);
    attempt_record_write(buf, &record);
}

/* The records one behind the other in `buf`, and where each of them is. ST_NOMEM. */
static enum status make_records(const struct recent *recent, struct buf *buf, struct slice *records)
{
    for (uint32_t i = 0; i < recent->count; i++) {
        size_t at = buf->len;
        record_add(buf, &recent->successes[(recent->first + i) % recent->capacity],
                   &recent->endpoint->id);
        records[i].len = buf->len - at;
    }
    const char *at = buf->ptr;
    for (uint32_t i = 0; i < recent->count; at += records[i++].len)
        records[i].ptr = at;
    return buf_status(buf);
}

static void recent_flush(struct history *history, struct recent *recent)
{
    struct core *core = history->core;
    struct slice *records = malloc(recent->count * sizeof(*records));
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    if (records && !recent->endpoint->deleted) { /* else they would outlive their endpoint */
        enum status status = make_records(recent, &buf, records);
        if (status == ST_OK)
            status = store_attempts_add(core->store, recent->endpoint->id_text, records,
                                        recent->count, core->options.attempts_kept,
                                        core->options.history_ttl_ms, on_listed, NULL);
        if (status != ST_OK)
            log_warn("history.not_listed", "endpoint=%s reason=nomem", recent->endpoint->id_text);
    }
    buf_free(&buf);
    free(records);
    recent_free(history, recent);
}

bool history_flush(struct history *history)
{
    bool any = !list_empty(&history->recents);
    LIST_FOREACH(node, &history->recents)
    recent_flush(history, CONTAINER_OF(node, struct recent, node));
    return any;
}

static void on_flush(void *arg)
{
    struct history *history = arg;
    if (store_ready(history->core->store))
        history_flush(history);
    else
        reactor_timer_set(history->flush, FLUSH_MS);
}

/* ---- Trimming ------------------------------------------------------------------------------- */

static void trim_page(struct history *history);

static void on_trimmed(void *arg, enum status status, const struct redis_value *reply)
{
    struct history *history = arg;
    history->trimming = false;
    history->squeezed = history->squeezed && status == ST_OK;
    if (status != ST_OK)
        return;
    history->closed_bytes = reply_integer(reply, 0);
    history->squeeze_bytes -= history->page_bytes;
    history->squeezed = history->squeezed && history->squeeze_bytes > 0;
    trim_page(history);
}

static void log_squeeze(struct history *history)
{
    uint64_t now_ms = clock_mono_ms();
    if (history->squeeze_log_ms && now_ms - history->squeeze_log_ms < SQUEEZE_LOG_MS)
        return;
    history->squeeze_log_ms = now_ms;
    log_warn("history.squeezed", "reason=redis_full bytes=%lld kept=%lld",
             (long long)history->squeeze_bytes, (long long)history->closed_bytes);
}

static int64_t member_bytes(struct slice member)
{
    const char *colon = memchr(member.ptr, ':', member.len);
    if (!colon)
        return 0;
    return (int64_t)reply_score(slice_of(colon + 1, member.len - (size_t)(colon + 1 - member.ptr)));
}

static void on_oldest(void *arg, enum status status, const struct redis_value *reply)
{
    struct history *history = arg;
    struct core *core = history->core;
    struct slice members[TRIM_PAGE];
    size_t count = 0;
    history->trimming = false;
    if (status != ST_OK) {
        history->squeezed = false;
        return;
    }
    int64_t most = (int64_t)core->options.history_bytes_max;
    int64_t excess = history->closed_bytes - (history->over ? most - most / TRIM_ROOM : most);
    history->over = excess > 0;
    if (history->squeezed && excess < history->squeeze_bytes)
        excess = history->squeeze_bytes;
    uint64_t now_ms = store_redis_ms(core->store);
    history->page_bytes = 0;
    for (size_t i = 0; i + 1 < redis_value_count(reply) && count < TRIM_PAGE; i += 2) {
        struct slice member = reply_text(reply, i);
        if (excess <= history->page_bytes && reply_score(reply_text(reply, i + 1)) > now_ms)
            break;
        members[count++] = member;
        history->page_bytes += member_bytes(member);
    }
    if (count == 0) {
        history->squeezed = false;
        return;
    }
    if (history->squeezed)
        log_squeeze(history);
    history->trimming = true;
    if (store_trim(core->store, members, count, on_trimmed, history) != ST_OK)
        history->trimming = false;
}

static void trim_page(struct history *history)
{
    if (history->trimming || !store_ready(history->core->store))
        return;
    history->trimming = true;
    if (store_closed_oldest(history->core->store, TRIM_PAGE, on_oldest, history) != ST_OK)
        history->trimming = false;
}

void history_saw_closed(struct history *history, int64_t bytes)
{
    if (bytes < 0)
        return;
    history->closed_bytes = bytes;
    if (bytes <= (int64_t)history->core->options.history_bytes_max)
        return;
    history->over = true;
    trim_page(history);
}

void history_make_room(struct history *history)
{
    if (history->squeezed)
        return;
    history->squeezed = true;
    history->squeeze_bytes = history->closed_bytes / TRIM_ROOM;
    if (history->squeeze_bytes < SQUEEZE_LEAST)
        history->squeeze_bytes = SQUEEZE_LEAST;
    trim_page(history);
}

/* Begins with asking how much there is, because not every reply tells. */
static void on_trim(void *arg)
{
    struct history *history = arg;
    reactor_timer_set(history->trim, TRIM_EVERY_MS);
    if (history->trimming || !store_ready(history->core->store))
        return;
    history->trimming = true;
    history->page_bytes = 0;
    if (store_trim(history->core->store, NULL, 0, on_trimmed, history) != ST_OK)
        history->trimming = false;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct history *history_new(struct core *core)
{
    struct history *history = calloc(1, sizeof(*history));
    if (!history)
        return NULL;
    history->core = core;
    list_init(&history->recents);
    history->flush = reactor_timer_new(core->reactor, on_flush, history);
    history->trim = reactor_timer_new(core->reactor, on_trim, history);
    if (!history->flush || !history->trim) {
        history_free(history);
        return NULL;
    }
    reactor_timer_set(history->trim, TRIM_EVERY_MS);
    return history;
}

void history_free(struct history *history)
{
    if (!history)
        return;
    LIST_FOREACH(node, &history->recents)
    recent_free(history, CONTAINER_OF(node, struct recent, node));
    reactor_timer_free(history->flush);
    reactor_timer_free(history->trim);
    free(history);
}
