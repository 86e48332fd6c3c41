/* job_history.c - the walk of a job over the history: all events of a time range that its endpoint
 * takes, whether they were delivered to it or not.
 *
 *   next member of `closed` ──▶ a batch: its blob ───▶ state of each event ──▶ job_page_read()
 *              │                └──▶ one event kept by itself ──▶──┘
 *              └── none left ──▶ a batch of that time is still open ? look again later
 *                                    : dead letters of the endpoint ──▶ … none left: the end
 *
 * `closed` is in the order in which the history ends, which is that in which batches were closed.
 * What is closed during the walk stands behind it, so whatever was open when the job was made is
 * come to in the end, and waits until its first delivery is over: an event is not sent twice at the
 * same time. When no journal, of whatever replica, has a batch of that time any more, `closed` is
 * looked at once more. The name of a batch, and the id of an event, tell the time, so those of
 * other times are not read.
 *
 * A batch is read anew for each page of it; the page ends also at PAGE_BYTES.
 *
 * A batch of which nothing was delivered is not kept: its events are where they wait. So at the end
 * come the dead letters of the endpoint, those of that time which are still there; the cursor names
 * the endpoint then.
 *
 * An event kept by itself, when its batch is there too, is the batch's. And one whose history began
 * after the job was made may be one that this job replayed: it is passed over, or the walk would
 * never end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/filter.h"
#include "core/job.h"
#include "core/notice_data.h"
#include "core/store_read.h"
#include "core/store_schedule.h"
#include "wire/encoding.h"

enum { NAMES = 100, PAGE_BYTES = 1024 * 1024 };

/* ---- Names ---------------------------------------------------------------------------------- */

/* Its own clock: batches and events are named by the same. */
static uint64_t until_ms(const struct job *job)
{
    struct id id;
    uint64_t until_ms = job->record.spec.until_ms;
    if (id_parse(slice_str(job->id), "job_", &id) == ST_OK && id_time_ms(&id) < until_ms)
        until_ms = id_time_ms(&id);
    return until_ms;
}

static bool in_range(const struct job *job, const struct id *id)
{
    uint64_t at_ms = id_time_ms(id);
    return at_ms >= job->record.spec.since_ms && at_ms <= until_ms(job);
}

/* What stands before the colon of a member. */
static struct slice name_of(struct slice member)
{
    const char *colon = memchr(member.ptr, ':', member.len);
    return slice_of(member.ptr, colon ? (size_t)(colon - member.ptr) : 0);
}

/* A batch's name, which begins as the ids of its events do. */
static bool batch_named(struct slice name, struct id *id)
{
    uint8_t bytes[BATCH_ID_BYTES];
    size_t len;
    if (name.len != BATCH_ID_TEXT - 1 || hex_decode(name, bytes, sizeof(bytes), &len) != ST_OK ||
        len != sizeof(bytes))
        return false;
    *id = (struct id){{0}};
    memcpy(id->bytes, bytes, 5);
    return true;
}

/* ---- States --------------------------------------------------------------------------------- */

static void answered(struct job *job, enum status status)
{
    if (status != ST_OK)
        job->failure = status;
    if (--job->waiting == 0)
        job_page_read(job, job->failure);
}

/* A delivery that waits is left; a dead letter is put back; what is finished, or never was, begins
 * anew. */
static void take_state(struct job_item *item, struct slice bytes)
{
    struct delivery_state state;
    if (!bytes.ptr) {
        state = (struct delivery_state){.ordinal = item->ordinal,
                                        .error = SLICE(""),
                                        .accepted_at_ms = id_time_ms(&item->event)};
        item->wanted = true;
    } else if (delivery_state_read(bytes, &state) == ST_OK && state.dead) {
        item->record = SLICE("");
        item->wanted = true;
    }
    if (item->wanted)
        job_item_state(item, &state);
}

static void on_state(void *arg, enum status status, const struct redis_value *reply)
{
    struct job_item *item = arg;
    if (status == ST_OK)
        take_state(item, reply_text(reply, 0));
    answered(item->job, status);
}

static void read_state(struct job_item *item)
{
    struct job *job = item->job;
    if (store_state_read(job->core->store, item->event_id, item->endpoint, on_state, item) == ST_OK)
        job->waiting++;
    else
        job->failure = ST_NOMEM;
}

/* ---- A batch -------------------------------------------------------------------------------- */

/* As if the event were accepted now. Operational events were for those who asked for them then. */
static bool takes(const struct job *job, const struct endpoint *endpoint,
                  const struct event_record *record)
{
    return job_spec_takes_type(&job->record.spec, record->type) &&
           endpoint_config_takes(endpoint->config, record->type) &&
           !notice_named(record->source, record->type) &&
           filter_takes(endpoint->config->filter, record);
}

static uint32_t ordinal_of(const struct message *message, const struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < message->target_count; i++)
        if (memcmp(message->targets.ptr + (size_t)i * TARGET_BYTES, endpoint->id.bytes,
                   TARGET_BYTES) == 0)
            return message->first_ordinal + i;
    return ORDINAL_NONE;
}

static void add_event(struct job *job, const struct endpoint *endpoint,
                      const struct message *message)
{
    struct job_item *item = job_item_add(job, slice_str(message->id_text));
    snprintf(item->endpoint, sizeof(item->endpoint), "%s", endpoint->id_text);
    item->ordinal = ordinal_of(message, endpoint);
    item->record = message->raw;
}

/* Those of the batch from next.index on; next.index is 0 when none is left for another page. */
static void choose(struct job *job, const struct endpoint *endpoint)
{
    size_t bytes = 0;
    uint32_t i = job->next.index;
    for (; i < job->batch->message_count && job->count < job->most && bytes < PAGE_BYTES; i++) {
        const struct message *message = &job->batch->messages[i];
        if (!takes(job, endpoint, &message->record)) {
            job->skipped++;
            continue;
        }
        add_event(job, endpoint, message);
        bytes += message->raw.len;
    }
    job->next.index = i < job->batch->message_count ? i : 0;
}

static void on_blob(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    char name[BATCH_ID_TEXT];
    const struct endpoint *endpoint = job_endpoint(job, job->record.spec.endpoint);
    bool there = status == ST_OK && redis_value_type(reply) == REDIS_STRING;
    snprintf(name, sizeof(name), "%.*s", BATCH_ID_TEXT - 1, job->next.member);
    if (there)
        status = batch_load(name, redis_value_text(reply), &job->batch);
    if (status != ST_OK && status != ST_SYNTAX) {
        job_page_read(job, status);
        return;
    }
    job->waiting = 1; /* this function's own */
    if (job->batch && endpoint)
        choose(job, endpoint);
    else
        job->next.index = 0; /* its history has ended, or it cannot be read */
    for (size_t i = 0; i < job->count; i++)
        read_state(&job->items[i]);
    answered(job, ST_OK);
}

static void read_batch(struct job *job)
{
    char name[BATCH_ID_TEXT];
    snprintf(name, sizeof(name), "%.*s", BATCH_ID_TEXT - 1, job->next.member);
    if (store_blob_read(job->core->store, name, on_blob, job) != ST_OK)
        job_page_read(job, ST_NOMEM);
}

/* ---- An event kept by itself ---------------------------------------------------------------- */

static void on_event(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    struct id id;
    struct slice record = reply_text(reply, 0);
    const struct endpoint *endpoint = job_endpoint(job, job->record.spec.endpoint);
    if (status == ST_OK && record.ptr && endpoint &&
        id_parse(name_of(slice_str(job->next.member)), "msg_", &id) == ST_OK &&
        message_load(&id, record, &job->message) == ST_OK) {
        if (takes(job, endpoint, &job->message->record)) {
            add_event(job, endpoint, job->message);
            take_state(&job->items[0], reply_text(reply, 1));
        } else {
            job->skipped++;
        }
    }
    job_page_read(job, status);
}

static void on_batch_ttl(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    char event_id[ID_TEXT_MAX];
    bool gone = status == ST_OK && redis_value_type(reply) == REDIS_INTEGER &&
                redis_value_integer(reply) == -2;
    if (!gone) {
        job_page_read(job, status);
        return;
    }
    snprintf(event_id, sizeof(event_id), "%.*s", SLICE_ARGS(name_of(slice_str(job->next.member))));
    if (store_event_read(job->core->store, event_id, job->record.spec.endpoint, on_event, job) !=
        ST_OK)
        job_page_read(job, ST_NOMEM);
}

static void read_event(struct job *job, const struct id *id)
{
    char batch[BATCH_ID_TEXT];
    batch_name_of(id, batch);
    if (store_batch_ttl(job->core->store, batch, on_batch_ttl, job) != ST_OK)
        job_page_read(job, ST_NOMEM);
}

/* ---- Dead letters --------------------------------------------------------------------------- */

static void on_letter(void *arg, enum status status, const struct redis_value *reply)
{
    struct job_item *item = arg;
    struct job *job = item->job;
    struct mp_reader reader;
    struct event_record record;
    const struct endpoint *endpoint = job_endpoint(job, item->endpoint);
    mp_reader_init(&reader, reply_text(reply, 0));
    event_record_read(&reader, &record);
    if (status == ST_OK && endpoint && reply_text(reply, 1).ptr && reader.error == ST_OK &&
        takes(job, endpoint, &record))
        take_state(item, reply_text(reply, 1));
    answered(job, status);
}

static void read_letter(struct job *job, struct slice event_id)
{
    struct id id;
    struct job_item *item = NULL;
    if (id_parse(event_id, "msg_", &id) == ST_OK && in_range(job, &id))
        item = job_item_add(job, event_id);
    if (!item)
        return;
    snprintf(item->endpoint, sizeof(item->endpoint), "%s", job->next.endpoint);
    if (store_event_read(job->core->store, item->event_id, item->endpoint, on_letter, item) ==
        ST_OK)
        job->waiting++;
    else
        job->failure = ST_NOMEM;
}

static void on_letters(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    size_t count = status == ST_OK ? redis_value_count(reply) / 2 : 0, seen = 0;
    if (status != ST_OK) {
        job_page_read(job, status);
        return;
    }
    job->waiting = 1; /* this function's own */
    for (; seen < count && seen < job->most; seen++) {
        struct slice event_id = reply_text(reply, 2 * seen);
        struct slice score = reply_text(reply, 2 * seen + 1);
        if (reply_score(score) > job->record.created_ms ||
            !job_cursor_set(&job->next, score, event_id))
            break;
        read_letter(job, event_id);
    }
    job->end = seen == 0;
    answered(job, ST_OK);
}

static void read_letters(struct job *job)
{
    if (store_dead_page(job->core->store, job->next.endpoint, 0, &job->next, job->most, on_letters,
                        job) != ST_OK)
        job_page_read(job, ST_NOMEM);
}

/* ---- The walk ------------------------------------------------------------------------------- */

/* Reads the member at the place, if it is of the range. */
static bool read_member(struct job *job)
{
    struct id id;
    struct slice name = name_of(slice_str(job->next.member));
    uint64_t kept_until_ms = job->record.created_ms + job->core->options.history_ttl_ms;
    if (batch_named(name, &id)) {
        if (!in_range(job, &id))
            return false;
        read_batch(job);
        return true;
    }
    if (id_parse(name, "msg_", &id) != ST_OK || !in_range(job, &id) ||
        reply_score(slice_str(job->next.score)) > kept_until_ms)
        return false;
    read_event(job, &id);
    return true;
}

static void on_open(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    if (status == ST_OK && redis_value_type(reply) != REDIS_INTEGER)
        status = ST_REFUSED;
    job->none_open = status == ST_OK && redis_value_integer(reply) == 0;
    job->wait = status == ST_OK && !job->none_open;
    if (job->none_open)
        job_history_read(job); /* the last one may have been closed between the two looks */
    else
        job_page_read(job, status);
}

/* None is left in `closed`. */
static void at_end(struct job *job)
{
    if (!job->none_open) {
        if (store_open_between(job->core->store, job->record.spec.since_ms, until_ms(job), on_open,
                               job) != ST_OK)
            job_page_read(job, ST_NOMEM);
        return;
    }
    job->next = (struct job_cursor){.index = 0};
    snprintf(job->next.endpoint, sizeof(job->next.endpoint), "%s", job->record.spec.endpoint);
    read_letters(job);
}

static void on_names(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    size_t count = status == ST_OK ? redis_value_count(reply) / 2 : 0;
    if (status != ST_OK) {
        job_page_read(job, status);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!job_cursor_set(&job->next, reply_text(reply, 2 * i + 1), reply_text(reply, 2 * i)))
            continue; /* whatever that is */
        if (read_member(job))
            return;
    }
    if (count < NAMES) /* what is closed from now on, and always is under load, is of later times */
        at_end(job);
    else
        job_page_read(job, ST_OK);
}

void job_history_read(struct job *job)
{
    if (!job_endpoint(job, job->record.spec.endpoint)) {
        job_fail(job, "webhook_unavailable");
    } else if (job->next.endpoint[0]) {
        read_letters(job);
    } else if (job->next.index > 0) {
        read_batch(job);
    } else if (store_closed_page(job->core->store, &job->next, NAMES, on_names, job) != ST_OK) {
        job_page_read(job, ST_NOMEM);
    }
}
