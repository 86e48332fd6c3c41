/* job_dead.c - the walk of a job over dead letters.
 *
 *   by endpoint   next_endpoint ──▶ read_letters ──▶ state of each ──▶ job_page_read()
 *                      ▲                 │
 *                      └──── none left ──┘
 *
 *   by event      read_event ──▶ all its states ──▶ when each died ──▶ job_page_read()
 *
 * By endpoint the place in a set is the last letter seen, not a number: letters leave the set while
 * the walk goes on, its own and others'. Of a letter only its state is kept (some tens of bytes);
 * its event is read when the type is asked for, and forgotten. Letters that died after the job was
 * made stand at the end of the set and are not come to.
 *
 * By event the endpoints of one event are taken in the order of their ids, a page at a time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/job.h"
#include "core/key_claims.h"
#include "core/publish_key.h"
#include "core/store_read.h"
#include "core/store_schedule.h"

enum { COUNTED_MOST = 100 };

/* ---- What a letter must be ------------------------------------------------------------------ */

static bool type_passes(const struct job *job, struct slice record)
{
    struct mp_reader reader;
    struct event_record event;
    if (!job->record.spec.type[0])
        return true;
    mp_reader_init(&reader, record);
    event_record_read(&reader, &event);
    return reader.error == ST_OK && job_spec_takes_type(&job->record.spec, event.type);
}

/* Is it a dead letter whose error passes? Then its new state is packed. */
static bool state_passes(struct job_item *item, struct slice bytes)
{
    struct delivery_state state;
    if (!bytes.ptr || delivery_state_read(bytes, &state) != ST_OK || !state.dead ||
        !job_spec_takes_error(&item->job->record.spec, state.error))
        return false;
    job_item_state(item, &state);
    return true;
}

/* One of the answers that the page waits for. */
static void answered(struct job *job, enum status status)
{
    if (status != ST_OK)
        job->failure = status;
    if (--job->waiting == 0)
        job_page_read(job, job->failure);
}

/* ---- By endpoint ---------------------------------------------------------------------------- */

static void next_endpoint(struct job *job);

static void on_letter(void *arg, enum status status, const struct redis_value *reply)
{
    struct job_item *item = arg;
    bool typed = item->job->record.spec.type[0] != '\0';
    if (status == ST_OK)
        item->wanted = (!typed || type_passes(item->job, reply_text(reply, 0))) &&
                       state_passes(item, reply_text(reply, typed ? 1 : 0));
    answered(item->job, status);
}

static void read_letter(struct job *job, struct slice event_id)
{
    struct store *store = job->core->store;
    struct job_item *item = job_item_add(job, event_id);
    if (!item) {
        job->skipped++;
        return;
    }
    snprintf(item->endpoint, sizeof(item->endpoint), "%s", job->next.endpoint);
    enum status status =
        job->record.spec.type[0]
            ? store_event_read(store, item->event_id, item->endpoint, on_letter, item)
            : store_state_read(store, item->event_id, item->endpoint, on_letter, item);
    if (status == ST_OK)
        job->waiting++;
    else
        job->failure = status;
}

static void on_letters(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    size_t seen = 0;
    if (status != ST_OK) {
        job_page_read(job, status);
        return;
    }
    job->waiting = 1; /* this function's own */
    for (size_t i = 0; i + 1 < redis_value_count(reply) && seen < job->most; i += 2) {
        struct slice event_id = reply_text(reply, i), score = reply_text(reply, i + 1);
        if (reply_score(score) > job_until_ms(job) || !job_cursor_set(&job->next, score, event_id))
            break;
        read_letter(job, event_id);
        seen++;
    }
    if (seen == 0)
        next_endpoint(job);
    else
        answered(job, ST_OK);
}

static void read_letters(struct job *job)
{
    if (store_dead_page(job->core->store, job->next.endpoint, job->record.spec.since_ms, &job->next,
                        job->most, on_letters, job) != ST_OK)
        job_page_read(job, ST_NOMEM);
}

static void walk_ends(struct job *job)
{
    job->end = true;
    job_page_read(job, ST_OK);
}

static void on_endpoint(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    struct slice name = reply_text(reply, 0);
    if (status != ST_OK) {
        job_page_read(job, status);
        return;
    }
    if (!name.ptr || name.len >= sizeof(job->next.endpoint)) {
        walk_ends(job);
        return;
    }
    job->next = (struct job_cursor){.index = 0};
    snprintf(job->next.endpoint, sizeof(job->next.endpoint), "%.*s", SLICE_ARGS(name));
    if (job_endpoint(job, job->next.endpoint))
        read_letters(job);
    else
        next_endpoint(job);
}

static void next_endpoint(struct job *job)
{
    const char *only = job->record.spec.endpoint;
    if (!only[0]) {
        if (store_dead_endpoints(job->core->store, job->next.endpoint, 1, on_endpoint, job) !=
            ST_OK)
            job_page_read(job, ST_NOMEM);
    } else if (!job->next.endpoint[0] && job_endpoint(job, only)) {
        snprintf(job->next.endpoint, sizeof(job->next.endpoint), "%s", only);
        read_letters(job);
    } else {
        walk_ends(job);
    }
}

/* ---- By event ------------------------------------------------------------------------------- */

static void on_dead_at(void *arg, enum status status, const struct redis_value *reply)
{
    struct job_item *item = arg;
    const struct job *job = item->job;
    if (status == ST_OK && redis_value_type(reply) == REDIS_STRING) {
        uint64_t dead_at_ms = reply_score(redis_value_text(reply));
        item->wanted = dead_at_ms >= job->record.spec.since_ms && dead_at_ms <= job_until_ms(job);
    }
    answered(item->job, status);
}

/* A delivery of the event, as the reply has it. */
struct found {
    struct slice endpoint, state;
};

static int by_endpoint(const void *a, const void *b)
{
    struct slice left = ((const struct found *)a)->endpoint;
    struct slice right = ((const struct found *)b)->endpoint;
    return memcmp(left.ptr, right.ptr, left.len); /* ids are of one length */
}

/* Those behind the place; returns how many. */
static size_t find(const struct job *job, const struct redis_value *reply, struct found *found)
{
    const struct job_spec *spec = &job->record.spec;
    size_t count = 0;
    for (size_t i = 0; i + 1 < redis_value_count(reply); i += 2) {
        struct id id;
        struct found one = {reply_text(reply, i), reply_text(reply, i + 1)};
        if (id_parse(one.endpoint, "ep_", &id) != ST_OK ||
            (spec->endpoint[0] && !slice_eq(one.endpoint, slice_str(spec->endpoint))) ||
            (job->next.endpoint[0] &&
             memcmp(one.endpoint.ptr, job->next.endpoint, one.endpoint.len) <= 0))
            continue;
        found[count++] = one;
    }
    qsort(found, count, sizeof(*found), by_endpoint);
    return count;
}

static struct slice record_in(const struct redis_value *reply)
{
    for (size_t i = 0; i + 1 < redis_value_count(reply); i += 2)
        if (reply_is(reply, i, "e"))
            return reply_text(reply, i + 1);
    return SLICE_NULL;
}

/* The first of them that pass; and moves the place behind them. */
static void choose(struct job *job, const struct id *event, const struct found *found, size_t count)
{
    char event_id[ID_TEXT_MAX];
    size_t i = 0;
    id_format(event_id, "msg_", event);
    for (; i < count && job->count < job->most; i++) {
        struct job_item *item = job_item_add(job, slice_str(event_id));
        snprintf(item->endpoint, sizeof(item->endpoint), "%.*s", SLICE_ARGS(found[i].endpoint));
        if (!job_endpoint(job, item->endpoint) || !state_passes(item, found[i].state)) {
            job->count--;
            job->skipped++;
        }
    }
    if (i < count) {
        snprintf(job->next.endpoint, sizeof(job->next.endpoint), "%.*s",
                 SLICE_ARGS(found[i - 1].endpoint));
    } else {
        job->next.endpoint[0] = '\0';
        job->next.index++;
    }
}

static void read_dead_at(struct job *job)
{
    struct store *store = job->core->store;
    job->waiting = 1; /* this function's own */
    for (size_t i = 0; i < job->count; i++) {
        struct job_item *item = &job->items[i];
        if (store_set_score(store, STORE_DEAD, item->endpoint, item->event_id, on_dead_at, item) ==
            ST_OK)
            job->waiting++;
        else
            job->failure = ST_NOMEM;
    }
    answered(job, ST_OK);
}

/* The event being read, on its way from its uid or id to its states. */
struct lookup {
    struct job *job;
    struct id event;
};

static void lookup_end(struct lookup *lookup, enum status status)
{
    struct job *job = lookup->job;
    free(lookup);
    if (status == ST_NOTFOUND) {
        job->skipped++;
        job->next.endpoint[0] = '\0';
        job->next.index++;
    }
    if (status == ST_OK)
        read_dead_at(job);
    else
        job_page_read(job, status == ST_NOTFOUND ? ST_OK : status);
}

static void on_states(void *arg, enum status status, const struct redis_value *reply)
{
    struct lookup *lookup = arg;
    struct job *job = lookup->job;
    size_t fields = status == ST_OK ? redis_value_count(reply) / 2 : 0;
    if (status == ST_OK && (fields == 0 || !type_passes(job, record_in(reply))))
        status = ST_NOTFOUND;
    struct found *found = status == ST_OK ? calloc(fields, sizeof(*found)) : NULL;
    if (status == ST_OK && !found)
        status = ST_NOMEM;
    size_t count = status == ST_OK ? find(job, reply, found) : 0;
    if (status == ST_OK && count == 0 && !job->next.endpoint[0])
        status = ST_NOTFOUND; /* what is there of it is history, or another endpoint's */
    if (status == ST_OK)
        choose(job, &lookup->event, found, count);
    free(found);
    lookup_end(lookup, status);
}

static void read_states(struct lookup *lookup)
{
    char event_id[ID_TEXT_MAX];
    id_format(event_id, "msg_", &lookup->event);
    if (store_event_read_all(lookup->job->core->store, event_id, on_states, lookup) != ST_OK)
        lookup_end(lookup, ST_NOMEM);
}

static void on_uid(void *arg, enum status status, const struct redis_value *reply)
{
    struct lookup *lookup = arg;
    struct key_answer answer;
    if (status == ST_OK && (redis_value_type(reply) != REDIS_STRING ||
                            key_answer_read(redis_value_text(reply), KEY_UID, &answer) != ST_OK))
        status = ST_NOTFOUND;
    if (status != ST_OK) {
        lookup_end(lookup, status);
        return;
    }
    lookup->event = answer.event;
    read_states(lookup);
}

static void read_event(struct job *job)
{
    const struct job_spec *spec = &job->record.spec;
    if (job->next.index >= spec->event_count) {
        walk_ends(job);
        return;
    }
    struct slice name = slice_str(spec->events[job->next.index]);
    struct lookup *lookup = malloc(sizeof(*lookup));
    if (!lookup) {
        job_page_read(job, ST_NOMEM);
        return;
    }
    lookup->job = job;
    if (id_parse(name, "msg_", &lookup->event) == ST_OK) {
        read_states(lookup);
        return;
    }
    uint8_t member[PUBLISH_KEY_BYTES];
    enum status status = publish_key(SLICE("default"), name, member);
    if (status == ST_OK)
        status = store_uid_read(job->core->store, slice_of(member, sizeof(member)), on_uid, lookup);
    if (status != ST_OK)
        lookup_end(lookup, status);
}

void job_dead_read(struct job *job)
{
    if (job->record.spec.event_count > 0)
        read_event(job);
    else if (job->next.endpoint[0] && job_endpoint(job, job->next.endpoint))
        read_letters(job);
    else
        next_endpoint(job);
}

/* ---- Counting ------------------------------------------------------------------------------- */

static void counted_one(struct job *job, enum status status)
{
    if (status != ST_OK)
        job->failure = status;
    if (--job->waiting == 0)
        job_counted(job, job->failure, true, job->record.total);
}

static void on_count(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    if (status == ST_OK && redis_value_type(reply) == REDIS_INTEGER)
        job->record.total += (uint64_t)redis_value_integer(reply);
    counted_one(job, status);
}

static void count_endpoint(struct job *job, const char *endpoint)
{
    if (!job_endpoint(job, endpoint))
        return;
    if (store_dead_count(job->core->store, endpoint, job->record.spec.since_ms, job_until_ms(job),
                         on_count, job) == ST_OK)
        job->waiting++;
    else
        job->failure = ST_NOMEM;
}

static void on_endpoints(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    size_t count = status == ST_OK ? redis_value_count(reply) : 0;
    if (status != ST_OK || count > COUNTED_MOST) {
        job_counted(job, status, false, 0);
        return;
    }
    job->record.total = 0;
    job->waiting = 1; /* this function's own */
    for (size_t i = 0; i < count; i++) {
        char endpoint[ID_TEXT_MAX];
        snprintf(endpoint, sizeof(endpoint), "%.*s", SLICE_ARGS(reply_text(reply, i)));
        count_endpoint(job, endpoint);
    }
    counted_one(job, ST_OK);
}

void job_dead_count(struct job *job)
{
    const struct job_spec *spec = &job->record.spec;
    job->record.total = 0;
    if (spec->event_count > 0) {
        job_counted(job, ST_OK, spec->endpoint[0] != '\0', spec->event_count);
    } else if (!spec->endpoint[0]) {
        if (store_dead_endpoints(job->core->store, "", COUNTED_MOST + 1, on_endpoints, job) !=
            ST_OK)
            job_counted(job, ST_NOMEM, false, 0);
    } else {
        job->waiting = 1; /* this function's own */
        count_endpoint(job, spec->endpoint);
        counted_one(job, ST_OK);
    }
}
