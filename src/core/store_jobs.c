/* store_jobs.c - jobs in Redis.
 *
 * `jobs` is a sorted set of all jobs' ids; `job:<id>` is a hash:
 *
 *     status owner spec created updated     from the start
 *     step cursor done skipped [total]      how far it is; written together with what was done
 *     finished [error]                      at the end, when the hash gets its expiry
 */
#include "core/store_jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/batch.h"
#include "net/redis_script.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Records -------------------------------------------------------------------------------- */

static struct slice field(const struct redis_value *reply, size_t first, const char *name)
{
    size_t count = redis_value_type(reply) == REDIS_ARRAY ? redis_value_count(reply) : 0;
    for (size_t i = first; i + 1 < count; i += 2)
        if (reply_is(reply, i, name))
            return reply_text(reply, i + 1);
    return SLICE_NULL;
}

enum status job_record_read(const struct redis_value *reply, size_t first,
                            struct job_record *record)
{
    struct slice status = field(reply, first, "status"), total = field(reply, first, "total");
    *record = (struct job_record){.counted = total.ptr != NULL};
    if (!status.ptr)
        return ST_NOTFOUND;
    enum status read = job_spec_read(field(reply, first, "spec"), &record->spec);
    if (read == ST_OK && job_cursor_read(field(reply, first, "cursor"), &record->cursor) != ST_OK) {
        job_spec_free(&record->spec);
        read = ST_SYNTAX;
    }
    if (read != ST_OK)
        return read == ST_NOMEM ? ST_NOMEM : ST_SYNTAX;
    snprintf(record->status, sizeof(record->status), "%.*s", SLICE_ARGS(status));
    snprintf(record->error, sizeof(record->error), "%.*s",
             SLICE_ARGS(field(reply, first, "error")));
    record->step = reply_score(field(reply, first, "step"));
    record->done = reply_score(field(reply, first, "done"));
    record->skipped = reply_score(field(reply, first, "skipped"));
    record->total = reply_score(total);
    record->created_ms = reply_score(field(reply, first, "created"));
    record->updated_ms = reply_score(field(reply, first, "updated"));
    record->finished_ms = reply_score(field(reply, first, "finished"));
    return ST_OK;
}

void job_record_free(struct job_record *record)
{
    job_spec_free(&record->spec);
}

enum status store_jobs_list(struct store *store, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("ZRANGE"), store_key(store, &key, "jobs", NULL), SLICE("0"),
                           SLICE("-1"), SLICE("WITHSCORES")};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_jobs_first(struct store *store, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("ZRANGE"), store_key(store, &key, "jobs", NULL), SLICE("0"),
                           SLICE("0"), SLICE("WITHSCORES")};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_job_read(struct store *store, const char *id, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("HGETALL"), store_key(store, &key, "job", id)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_job_put(struct store *store, const char *id, const char *status,
                          struct slice spec, uint64_t most, const char *drop, store_reply_fn *fn,
                          void *arg)
{
    struct store_key text[3];
    struct slice keys[3] = {store_key(store, &text[0], "jobs", NULL),
                            store_key(store, &text[1], "job", id)};
    if (drop[0])
        keys[2] = store_key(store, &text[2], "job", drop);
    struct store_number number;
    struct slice args[] = {slice_str(id),
                           slice_str(store_incarnation(store)),
                           spec,
                           store_u64(&number, most),
                           slice_str(drop),
                           slice_str(status)};
    return store_query_script(store, store_script(store, "job_put"), keys, drop[0] ? 3 : 2, args,
                              COUNT(args), fn, arg);
}

enum status store_job_take(struct store *store, const char *id, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct slice keys[] = {store_key(store, &text[0], "job", id),
                           store_key(store, &text[1], "replicas", NULL)};
    struct slice args[] = {slice_str(store_incarnation(store))};
    return store_query_script(store, store_script(store, "job_take"), keys, COUNT(keys), args,
                              COUNT(args), fn, arg);
}

enum status store_job_end(struct store *store, const char *id, const char *status,
                          const char *error, uint64_t keep_ms, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct store_number keep;
    struct slice keys[] = {store_key(store, &text[0], "jobs", NULL),
                           store_key(store, &text[1], "job", id)};
    struct slice args[] = {slice_str(id), slice_str(status), slice_str(store_incarnation(store)),
                           slice_str(error), store_u64(&keep, keep_ms)};
    return store_call(store, store_script(store, "job_end"), keys, COUNT(keys), args, COUNT(args),
                      fn, arg);
}

enum status store_job_cancel(struct store *store, const char *id, uint64_t keep_ms,
                             store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct store_number keep;
    struct slice keys[] = {store_key(store, &text[0], "jobs", NULL),
                           store_key(store, &text[1], "job", id)};
    struct slice args[] = {slice_str(id), SLICE("cancelled"), SLICE(""), SLICE(""),
                           store_u64(&keep, keep_ms)};
    return store_query_script(store, store_script(store, "job_end"), keys, COUNT(keys), args,
                              COUNT(args), fn, arg);
}

/* ---- Steps ---------------------------------------------------------------------------------- */

enum status store_job_step(struct store *store, const struct store_step *step,
                           const uint64_t *total, store_reply_fn *fn, void *arg)
{
    struct store_key text;
    struct store_number number, skipped, all;
    struct slice key = store_key(store, &text, "job", step->job);
    struct slice args[] = {slice_str(store_incarnation(store)), store_u64(&number, step->number),
                           step->cursor, store_u64(&skipped, step->skipped),
                           total ? store_u64(&all, *total) : SLICE("")};
    return store_call(store, store_script(store, "job_step"), &key, 1, args, COUNT(args), fn, arg);
}

/* Keys and arguments of a script whose number depends on how many events it gets. */
struct words {
    struct store_key *texts;
    struct slice *keys, *args;
    struct store_number *numbers;
    size_t key_count, arg_count;
};

static bool words_init(struct words *words, size_t keys, size_t args, size_t numbers)
{
    *words = (struct words){.texts = calloc(keys, sizeof(*words->texts)),
                            .keys = calloc(keys, sizeof(*words->keys)),
                            .args = calloc(args, sizeof(*words->args)),
                            .numbers = calloc(numbers, sizeof(*words->numbers))};
    return words->texts && words->keys && words->args && words->numbers;
}

static void words_free(struct words *words)
{
    free(words->texts);
    free(words->keys);
    free(words->args);
    free(words->numbers);
}

static void add_key(struct words *words, const struct store *store, const char *kind,
                    const char *name)
{
    size_t at = words->key_count++;
    words->keys[at] = store_key(store, &words->texts[at], kind, name);
}

static void add_lane(struct words *words, const struct store *store, uint32_t lane)
{
    size_t at = words->key_count++;
    words->keys[at] = store_key_lane(store, &words->texts[at], lane);
}

static void add_arg(struct words *words, struct slice arg)
{
    words->args[words->arg_count++] = arg;
}

/* Owner, number, cursor and skipped; `numbers` has room for two. */
static void add_step(struct words *words, const struct store *store, const struct store_step *step,
                     struct store_number numbers[2])
{
    static const struct store_step none = {.cursor = {"", 0}};
    add_arg(words, step ? slice_str(store_incarnation(store)) : SLICE(""));
    step = step ? step : &none;
    add_arg(words, store_u64(&numbers[0], step->number));
    add_arg(words, step->cursor);
    add_arg(words, store_u64(&numbers[1], step->skipped));
}

enum status store_dead_replay(struct store *store, const char *endpoint_id, uint32_t lane,
                              bool discard, const struct store_step_event *events, size_t count,
                              uint64_t history_ttl_ms, const struct store_step *step,
                              store_reply_fn *fn, void *arg)
{
    struct words words;
    struct store_number numbers[2], keep;
    enum status status = ST_NOMEM;
    if (!words_init(&words, 8 + 3 * count, 7 + 5 * count, count + 1))
        goto fail;
    add_key(&words, store, "dead", endpoint_id);
    add_key(&words, store, "due", endpoint_id);
    add_lane(&words, store, lane);
    add_key(&words, store, "dead", NULL);
    add_key(&words, store, "closed", NULL);
    add_key(&words, store, "closed", "bytes");
    add_key(&words, store, "ord", endpoint_id);
    add_arg(&words, slice_str(endpoint_id));
    add_arg(&words, discard ? SLICE("discard") : SLICE("replay"));
    add_step(&words, store, step, numbers);
    add_arg(&words, store_u64(&keep, history_ttl_ms));
    for (size_t i = 0; i < count; i++) {
        const struct store_step_event *event = &events[i];
        char batch[BATCH_ID_TEXT];
        batch_name_of(event->event, batch);
        add_key(&words, store, "event", event->event_id);
        add_key(&words, store, "batch", batch);
        add_key(&words, store, "outcome", batch);
        add_arg(&words, slice_str(event->event_id));
        add_arg(&words, discard ? event->outcome : event->state);
        add_arg(&words, store_outcome_offset(&words.numbers[i], event->ordinal));
        add_arg(&words, discard ? event->log : SLICE(""));
        add_arg(&words, discard ? event->order : SLICE(""));
    }
    if (step)
        add_key(&words, store, "job", step->job);
    status = store_call(store, store_script(store, "dead_replay"), words.keys, words.key_count,
                        words.args, words.arg_count, fn, arg);
fail:
    words_free(&words);
    return status;
}

enum status store_event_replay(struct store *store, const struct endpoint *endpoint,
                               const struct store_step_event *events, size_t count,
                               const struct store_step *step, store_reply_fn *fn, void *arg)
{
    struct words words;
    struct store_number numbers[2];
    enum status status = ST_NOMEM;
    if (!words_init(&words, 5 + count, 5 + 3 * count, 1))
        goto fail;
    add_key(&words, store, "due", endpoint->id_text);
    add_lane(&words, store, endpoint->lane);
    add_key(&words, store, "dead", endpoint->id_text);
    add_key(&words, store, "dead", NULL);
    add_key(&words, store, "job", step->job);
    add_arg(&words, slice_str(endpoint->id_text));
    add_step(&words, store, step, numbers);
    for (size_t i = 0; i < count; i++) {
        add_key(&words, store, "event", events[i].event_id);
        add_arg(&words, slice_str(events[i].event_id));
        add_arg(&words, events[i].record);
        add_arg(&words, events[i].state);
    }
    status = store_call(store, store_script(store, "event_replay"), words.keys, words.key_count,
                        words.args, words.arg_count, fn, arg);
fail:
    words_free(&words);
    return status;
}

/* ---- Pages ---------------------------------------------------------------------------------- */

static enum status read_page(struct store *store, struct slice key, uint64_t lowest,
                             const struct job_cursor *behind, size_t most, store_reply_fn *fn,
                             void *arg)
{
    struct store_number from, count;
    struct slice args[] = {store_u64(&from, lowest), slice_str(behind->score),
                           slice_str(behind->member), store_u64(&count, most)};
    return store_query_script(store, store_script(store, "page"), &key, 1, args, COUNT(args), fn,
                              arg);
}

enum status store_dead_page(struct store *store, const char *endpoint_id, uint64_t since_ms,
                            const struct job_cursor *behind, size_t most, store_reply_fn *fn,
                            void *arg)
{
    struct store_key key;
    return read_page(store, store_key(store, &key, "dead", endpoint_id), since_ms, behind, most, fn,
                     arg);
}

enum status store_closed_page(struct store *store, const struct job_cursor *behind, size_t most,
                              store_reply_fn *fn, void *arg)
{
    struct store_key key;
    return read_page(store, store_key(store, &key, "closed", NULL), 0, behind, most, fn, arg);
}

/* What the name of a batch of that time begins with (batch.h). */
static uint64_t name_begin(uint64_t wall_ms)
{
    enum { TIME_BYTES = 5 };
    struct id id;
    uint64_t begin = 0;
    id_set_time(&id, wall_ms);
    for (size_t i = 0; i < TIME_BYTES; i++)
        begin = begin << 8 | id.bytes[i];
    return begin;
}

enum status store_open_between(struct store *store, uint64_t since_ms, uint64_t until_ms,
                               store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct store_number first, last;
    struct slice key = store_key(store, &text[0], "journals", NULL);
    struct slice args[] = {store_key(store, &text[1], "journal", ""),
                           store_u64(&first, name_begin(since_ms)),
                           store_u64(&last, name_begin(until_ms))};
    return store_query_script(store, store_script(store, "open_between"), &key, 1, args,
                              COUNT(args), fn, arg);
}

enum status store_dead_count(struct store *store, const char *endpoint_id, uint64_t since_ms,
                             uint64_t until_ms, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number since, until;
    struct slice args[] = {SLICE("ZCOUNT"), store_key(store, &key, "dead", endpoint_id),
                           store_u64(&since, since_ms), store_u64(&until, until_ms)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_state_read(struct store *store, const char *event_id, const char *endpoint_id,
                             store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("HMGET"), store_key(store, &key, "event", event_id),
                           slice_str(endpoint_id)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_blob_read(struct store *store, const char *batch, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("GET"), store_key(store, &key, "batch", batch)};
    return store_query(store, args, COUNT(args), fn, arg);
}
