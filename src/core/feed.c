/* feed.c - reads streams, and sees to it that nothing that was read is forgotten.
 *
 *                       ,--------------------------------------------------.
 *                       v                                                  |
 *   connected --> is something left? --no--> XREADGROUP … NOACK ">" --entries--> feed_take()
 *                       |   ^                (blocks when there is nothing)       |
 *                      yes  |                                          could not be stored now,
 *                       v   |                                          connection lost, error
 *               feed_look.lua: up to which entry the group has read             |
 *                       v   |                                                   v
 *               XRANGE from the beginning up to there  <--- a rest <--- something is left
 *
 * The group only deals out entries: each is read by one replica, once. Who has read what is written
 * down nowhere. It does not have to be, for an entry stays in its stream until its event is stored,
 * and then leaves it by the same script: so what was read and is still there is either in the hands
 * of a replica or left over, and to publish it once more is harmless: the second one finds the
 * entry gone, and its event is refused (publish.lua). All that can go wrong is mended in one way:
 * read what is still there in front of the group's last entry. That is done
 *   - by me, when I connect, when something that I read could not be stored, when a reply may have
 *     been lost;
 *   - by the owner of the stream's lane when a replica has gone, and when the same entry is still
 *     the first after the length of a lease: whoever read it has forgotten it, or is not one of us.
 *
 * Rejected: the group's list of pending entries (no NOACK; XACK, XAUTOCLAIM). Redis writes each
 * entry that it lists to its append-only file as a command of its own, XCLAIM with all it knows of
 * the entry, and acknowledging it is another look-up: 9 us of Redis an entry instead of 3, twice
 * what everything else costs. And two replicas may still have one entry, after a claim, so a check
 * when it is published is needed in any case.
 *
 * A stream has a connection of its own, because reading blocks. How many entries are asked for
 * follows from the size of the last ones (LIMIT_FEED_READ_BYTES). A reply that is too large to be
 * read ends the connection, and then fewer are asked for; a single entry that is too large is
 * rejected unread.
 */
#include "core/feed.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/channel.h"
#include "core/feed_private.h"
#include "core/lanes.h"
#include "core/store_feed.h"

enum {
    BLOCK_MS = 2000,
    PULSE_MS = 1000,
    IDLE_LOOK_MS = 5000,
    REST_FIRST_MS = 50,
    REST_LAST_MS = 2000,
    ERROR_LOG_MS = 60 * 1000,
    WANT_FIRST = 64,
    LOST_WANT_DIVISOR = 4,
    ALONE_LOST_MOST = 2,
    ENTRIES_DEPTH = 2, /* of XREADGROUP's reply: streams, each with its name and entries */
    READS_SHARE = 4,   /* of all that may be in hand */
    READS_MOST = 3     /* on their way at once, so that Redis need not wait for us */
};

struct feed {
    struct core *core;
    struct reactor_timer *pulse;
    bool begun, stopped;
    size_t count;
    struct feed_stream streams[];
};

const char *feed_result_name(enum feed_result result)
{
    static const char *const names[] = {"published", "duplicate", "rejected", "taken", "put_off"};
    return names[result];
}

const char *feed_state_name(enum feed_state state)
{
    static const char *const names[] = {"away", "reading", "full", "resting", "stopped"};
    return names[state];
}

/* ---- When something is left ----------------------------------------------------------------- */

static void rest(struct feed_stream *stream)
{
    if (reactor_timer_armed(stream->again))
        return;
    uint64_t pause_ms = REST_LAST_MS;
    if (stream->failures < 6 && (REST_FIRST_MS << stream->failures) < REST_LAST_MS)
        pause_ms = (uint64_t)REST_FIRST_MS << stream->failures;
    stream->failures++;
    reactor_timer_set(stream->again, pause_ms);
}

void feed_leave(struct feed_stream *stream)
{
    stream->left = true;
    stream->sweeping = false;
    rest(stream);
}

static void on_again(void *arg)
{
    feed_go_on(arg);
}

/* Redis said no: a right that is missing, a key of another type. */
static void refused(struct feed_stream *stream, struct slice error)
{
    uint64_t now_ms = clock_mono_ms();
    snprintf(stream->error, sizeof(stream->error), "%.*s", SLICE_ARGS(error));
    if (stream->error_logged_ms == 0 || now_ms - stream->error_logged_ms >= ERROR_LOG_MS) {
        log_error("feed.refused", "feed=%s error=%s", stream->name, log_quote(error));
        stream->error_logged_ms = now_ms;
    }
    feed_leave(stream);
}

/* ---- How the stream is ---------------------------------------------------------------------- */

static uint64_t results_of(const struct feed_stream *stream)
{
    uint64_t all = 1;
    for (int i = 0; i < FEED_RESULTS; i++)
        all += stream->results[i];
    return all;
}

/* The stream begins with an entry that was read. It will leave soon, or somebody has forgotten it.
 */
static void watch_first(struct feed_stream *stream, const struct stream_id *first)
{
    uint64_t now_ms = clock_mono_ms();
    if (stream_id_compare(first, &stream->stuck) != 0) {
        stream->stuck = *first;
        stream->stuck_since_ms = now_ms;
    } else if (now_ms - stream->stuck_since_ms >= stream->core->options.lease_ms &&
               lanes_mine(stream->core->lanes, stream->lane)) {
        log_info("feed.left_over", "feed=%s", stream->name);
        stream->stuck_since_ms = now_ms;
        stream->left = true;
    }
}

static void take_look(struct feed_stream *stream, const struct redis_value *reply, bool for_left)
{
    struct stream_id first = {0}, last = {0}; /* of an empty stream there are none */
    int64_t lag = reply_integer(reply, 2);
    store_saw_time(stream->core->store, reply_integer(reply, 0));
    stream->length = (uint64_t)reply_integer(reply, 1);
    stream->lag = lag < 0 ? UINT64_MAX : (uint64_t)lag;
    stream->rejected = (uint64_t)reply_integer(reply, 5);
    stream->looked_ms = clock_mono_ms();
    stream->looked_results = results_of(stream);
    stream->error[0] = '\0';
    bool read = stream_id_parse(reply_text(reply, 4), &first) == ST_OK &&
                stream_id_parse(reply_text(reply, 3), &last) == ST_OK &&
                stream_id_compare(&first, &last) <= 0;
    if (for_left) {
        stream->left = false;
        stream->sweeping = read;
        stream->swept = (struct stream_id){0, 0};
        stream->limit = last;
    } else if (read) {
        watch_first(stream, &first);
    }
}

static void on_look(void *arg, enum status status, const struct redis_value *reply)
{
    struct feed_stream *stream = arg;
    bool for_left = stream->looking_for;
    stream->looking = stream->looking_for = false;
    if (status == ST_OK)
        take_look(stream, reply, for_left);
    else if (status == ST_REFUSED)
        refused(stream, redis_value_text(reply));
    else if (for_left)
        rest(stream);
    feed_go_on(stream);
}

static void look(struct feed_stream *stream, bool for_left)
{
    if (stream->looking)
        return; /* its answer goes on */
    stream->looking = true;
    stream->looking_for = for_left;
    if (store_feed_look(stream->core->store, stream->feed, stream->core->options.lease_ms, on_look,
                        stream) != ST_OK) {
        stream->looking = stream->looking_for = false;
        rest(stream);
    }
}

static void on_pulse(void *arg)
{
    struct feed *feed = arg;
    uint64_t now_ms = clock_mono_ms();
    reactor_timer_set(feed->pulse, PULSE_MS);
    for (size_t i = 0; i < feed->count; i++) {
        struct feed_stream *stream = &feed->streams[i];
        bool active = stream->in_hand > 0 || results_of(stream) != stream->looked_results;
        if ((active || now_ms - stream->looked_ms >= IDLE_LOOK_MS) &&
            store_ready(feed->core->store))
            look(stream, false);
    }
}

/* ---- An entry that cannot be read ----------------------------------------------------------- */

static void on_unread_rejected(void *arg, enum status status, const struct redis_value *reply)
{
    struct feed_stream *stream = arg;
    stream->asked--;
    stream->left = true;
    if (status == ST_OK && redis_value_integer(reply) > 0) {
        stream->results[FEED_REJECTED]++;
        log_warn("feed.rejected", "feed=%s entries=1 reason=entry_too_large", stream->name);
    }
    feed_go_on(stream);
}

/* The first one that a sweep has not come by, if it is as large as that. */
static void reject_unread(struct feed_stream *stream)
{
    struct field_error error;
    (void)field_refuse(&error, "entry_too_large", "",
                       "The entry has more bytes than are read from Redis at once (%d).",
                       LIMIT_REDIS_REPLY_BYTES);
    const struct store_feed_reject what = {.first = stream->swept,
                                           .last = stream->limit,
                                           .bytes_min = LIMIT_REDIS_REPLY_BYTES / 2,
                                           .rejected_max = stream->options->rejected_max,
                                           .error = &error};
    stream->alone_lost = 0;
    if (store_feed_reject(stream->core->store, stream->feed, &what, on_unread_rejected, stream) ==
        ST_OK)
        stream->asked++;
    else
        rest(stream);
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* As many as have about so many bytes together, but only twice as many as before. */
static void learn_size(struct feed_stream *stream, size_t entries, size_t bytes)
{
    size_t fit = bytes > 0 ? LIMIT_FEED_READ_BYTES / (bytes / entries + 1) : stream->want_max;
    size_t most = (size_t)stream->want * 2;
    if (most > stream->want_max)
        most = stream->want_max;
    if (fit > most)
        fit = most;
    stream->want = fit > 0 ? (uint32_t)fit : 1;
}

static void lost(struct feed_stream *stream, bool sweeping)
{
    if (sweeping && stream->asked_for == 1)
        stream->alone_lost++;
    stream->want = stream->want > LOST_WANT_DIVISOR ? stream->want / LOST_WANT_DIVISOR : 1;
    stream->left = true;
    stream->sweeping = false;
}

/* False: it was no list of entries. */
static bool take_reply(struct feed_stream *stream, enum status status, bool sweeping,
                       const struct redis_value *reply)
{
    stream->asked--;
    if (status != ST_OK)
        feed_read_ended(stream);
    if (status == ST_LOST)
        lost(stream, sweeping);
    if (status != ST_OK)
        return false;
    if (redis_value_type(reply) != REDIS_ERROR)
        return true;
    /* The group or the stream was deleted: a look makes them. */
    if (redis_value_is_error(reply, "NOGROUP") || redis_value_is_error(reply, "UNBLOCKED"))
        feed_leave(stream);
    else
        refused(stream, redis_value_text(reply));
    return false;
}

static void on_read(void *arg, enum status status, const struct redis_value *reply)
{
    struct feed_stream *stream = arg;
    if (!take_reply(stream, status, false, reply))
        return;
    const struct redis_value *entries = redis_value_at(redis_value_at(reply, 0), 1);
    size_t count = redis_value_count(entries);
    stream->plenty = count * 2 > stream->asked_for;
    if (count > 0)
        learn_size(stream, count, feed_take(stream, entries, count));
    feed_go_on(stream);
}

/* A reply is half a megabyte, more than a socket holds: entries are published while others come, so
 * that neither Redis nor this process waits for the other. (A sweep is rare, and its reply has
 * another form.) */
static void on_growing(void *arg, const struct redis_value *entries, size_t whole)
{
    struct feed_stream *stream = arg;
    if (!stream->ranging)
        (void)feed_take(stream, entries, whole);
}

static void on_swept(void *arg, enum status status, const struct redis_value *reply)
{
    struct feed_stream *stream = arg;
    if (!take_reply(stream, status, true, reply))
        return;
    size_t count = redis_value_count(reply);
    const struct redis_value *last = redis_value_at(reply, count > 0 ? count - 1 : 0);
    struct stream_id id;
    stream->alone_lost = 0;
    stream->sweeping =
        count == stream->asked_for && stream_id_parse(reply_text(last, 0), &id) == ST_OK;
    if (stream->sweeping)
        stream->swept = id;
    if (count > 0)
        learn_size(stream, count, feed_take(stream, reply, count));
    feed_go_on(stream);
}

static void ask(struct feed_stream *stream, const struct slice *words, size_t count,
                redis_reply_fn *fn)
{
    stream->asked_for = stream->want;
    if (redis_command(stream->conn, words, count, fn, stream) == ST_OK)
        stream->asked++;
    else
        rest(stream);
}

static void sweep(struct feed_stream *stream)
{
    struct store_key key;
    struct store_number most;
    char first[1 + STREAM_ID_TEXT] = "(", last[STREAM_ID_TEXT];
    (void)stream_id_format(&stream->swept, first + 1);
    const struct slice words[] = {
        SLICE("XRANGE"),  store_feed_key(stream->core->store, &key, stream->feed),
        slice_str(first), stream_id_format(&stream->limit, last),
        SLICE("COUNT"),   store_u64(&most, stream->want)};
    stream->ranging = true;
    ask(stream, words, sizeof(words) / sizeof(words[0]), on_swept);
}

/* Waits for entries only while none is in hand: one that turns out to be left is not to wait for
 * those that come. */
static void read_new_ones(struct feed_stream *stream)
{
    struct store_key key;
    struct store_number most, block;
    struct slice words[] = {SLICE("XREADGROUP"),
                            SLICE("GROUP"),
                            SLICE(STORE_FEED_GROUP),
                            SLICE(STORE_FEED_GROUP),
                            SLICE("COUNT"),
                            store_u64(&most, stream->want),
                            SLICE("NOACK"),
                            SLICE("BLOCK"),
                            store_u64(&block, BLOCK_MS),
                            SLICE("STREAMS"),
                            store_feed_key(stream->core->store, &key, stream->feed),
                            SLICE(">")};
    enum { COUNT = sizeof(words) / sizeof(words[0]), BLOCK_AT = 7, BLOCK_WORDS = 2 };
    stream->blocking = stream->in_hand == 0 && stream->asked == 0;
    stream->ranging = false;
    if (stream->blocking) {
        ask(stream, words, COUNT, on_read);
        return;
    }
    memmove(words + BLOCK_AT, words + BLOCK_AT + BLOCK_WORDS,
            (COUNT - BLOCK_AT - BLOCK_WORDS) * sizeof(words[0]));
    ask(stream, words, COUNT - BLOCK_WORDS, on_read);
}

/* There is something to be read, most likely. */
static void read_ahead(struct feed_stream *stream)
{
    size_t coming = (size_t)stream->asked * stream->want;
    if (stream->plenty && stream->asked < READS_MOST && !stream->left && !stream->sweeping &&
        stream->in_hand + coming < stream->options->entries_max)
        read_new_ones(stream);
}

void feed_go_on(struct feed_stream *stream)
{
    if (stream->looking_for || !stream->conn || !redis_conn_ready(stream->conn) ||
        reactor_timer_armed(stream->again))
        return;
    if (stream->asked > 0 || (stream->in_hand > 0 && !stream->left && !stream->sweeping))
        read_ahead(stream);
    else if (stream->in_hand >= stream->options->entries_max)
        return;
    else if (stream->left)
        look(stream, true);
    else if (stream->sweeping && stream->alone_lost >= ALONE_LOST_MOST)
        reject_unread(stream);
    else if (stream->sweeping)
        sweep(stream);
    else
        read_new_ones(stream);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void on_state(void *arg, bool ready)
{
    struct feed_stream *stream = arg;
    stream->left = true;
    stream->sweeping = false;
    if (ready)
        feed_go_on(stream);
}

static bool connect_stream(struct feed_stream *stream)
{
    struct redis_options options = *store_redis_options(stream->core->store);
    options.client_name = "trotline-feed";
    options.command_timeout_ms =
        (options.command_timeout_ms ? options.command_timeout_ms : 5000) + BLOCK_MS;
    stream->conn = redis_conn_new(stream->core->reactor, &options, on_state, stream);
    if (stream->conn)
        redis_conn_set_growing(stream->conn, ENTRIES_DEPTH, on_growing, stream);
    return stream->conn != NULL;
}

void feed_begin(struct feed *feed)
{
    if (feed->begun || feed->stopped || feed->count == 0)
        return;
    feed->begun = true;
    for (size_t i = 0; i < feed->count; i++)
        if (!connect_stream(&feed->streams[i]))
            log_error("feed.not_connected", "feed=%s reason=\"out of memory\"",
                      feed->streams[i].name);
    reactor_timer_set(feed->pulse, PULSE_MS);
}

void feed_look_soon(struct feed *feed)
{
    for (size_t i = 0; i < feed->count; i++) {
        struct feed_stream *stream = &feed->streams[i];
        if (!lanes_mine(feed->core->lanes, stream->lane))
            continue;
        stream->left = true;
        feed_go_on(stream);
    }
}

/* An entry that Redis hands out at this very moment is not in anybody's hands: others look. */
void feed_stop(struct feed *feed)
{
    if (feed->stopped)
        return;
    feed->stopped = true;
    reactor_timer_cancel(feed->pulse);
    for (size_t i = 0; i < feed->count; i++) {
        reactor_timer_cancel(feed->streams[i].again);
        redis_conn_free(feed->streams[i].conn);
        feed->streams[i].conn = NULL;
    }
    if (feed->begun)
        channel_send(feed->core->channel, NULL, "f");
}

static void on_notice(void *arg, struct slice text)
{
    (void)text;
    feed_look_soon(arg);
}

static enum status stream_init(struct feed *feed, size_t index)
{
    struct feed_stream *stream = &feed->streams[index];
    const struct core_feed *options = &feed->core->options.feed;
    const char *name = options->streams[index].name;
    *stream = (struct feed_stream){.core = feed->core,
                                   .options = options,
                                   .name = name,
                                   .feed = strcmp(name, "feed") == 0 ? "" : name,
                                   .application = options->streams[index].application,
                                   .lane = (uint32_t)index};
    stream->want_max = options->entries_max > READS_SHARE ? options->entries_max / READS_SHARE : 1;
    stream->want = stream->want_max < WANT_FIRST ? stream->want_max : WANT_FIRST;
    stream->again = reactor_timer_new(feed->core->reactor, on_again, stream);
    enum status status = feed_entries_init(stream);
    return stream->again ? status : ST_NOMEM;
}

struct feed *feed_new(struct core *core)
{
    size_t count = core->options.feed.stream_count;
    struct feed *feed = calloc(1, sizeof(*feed) + count * sizeof(feed->streams[0]));
    if (!feed)
        return NULL;
    enum status status = ST_OK;
    feed->core = core;
    feed->pulse = reactor_timer_new(core->reactor, on_pulse, feed);
    while (status == ST_OK && feed->count < count)
        status = stream_init(feed, feed->count++);
    if (!feed->pulse || status != ST_OK) {
        feed_free(feed);
        return NULL;
    }
    channel_handle(core->channel, 'f', on_notice, feed);
    return feed;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    for (size_t i = 0; i < feed->count; i++) {
        struct feed_stream *stream = &feed->streams[i];
        redis_conn_free(stream->conn);
        reactor_timer_free(stream->again);
        feed_entries_deinit(stream);
    }
    reactor_timer_free(feed->pulse);
    free(feed);
}

/* ---- To be looked at ------------------------------------------------------------------------ */

size_t feed_in_hand(const struct feed *feed)
{
    size_t count = 0;
    for (size_t i = 0; i < feed->count; i++)
        count += feed->streams[i].in_hand;
    return count;
}

bool feed_is_coming(const struct feed *feed)
{
    for (size_t i = 0; feed && i < feed->count; i++) {
        const struct feed_stream *stream = &feed->streams[i];
        if (stream->reading || (stream->plenty && stream->asked > 0 && !stream->blocking))
            return true;
    }
    return false;
}

size_t feed_count(const struct feed *feed)
{
    return feed->count;
}

static enum feed_state state_of(const struct feed *feed, const struct feed_stream *stream)
{
    if (feed->stopped)
        return FEED_STOPPED;
    if (!stream->conn || !redis_conn_ready(stream->conn))
        return FEED_AWAY;
    if (reactor_timer_armed(stream->again))
        return FEED_RESTING;
    return stream->in_hand >= stream->options->entries_max ? FEED_FULL : FEED_READING;
}

void feed_status(const struct feed *feed, size_t index, struct feed_status *status)
{
    const struct feed_stream *stream = &feed->streams[index];
    *status = (struct feed_status){.name = stream->name,
                                   .application = stream->application,
                                   .state = state_of(feed, stream),
                                   .error = stream->error,
                                   .looked = stream->looked_ms > 0,
                                   .length = stream->length,
                                   .lag = stream->lag,
                                   .rejected = stream->rejected};
    memcpy(status->results, stream->results, sizeof(status->results));
}

const char *feed_find(const struct feed *feed, struct slice name)
{
    for (size_t i = 0; i < feed->count; i++)
        if (slice_eq(slice_str(feed->streams[i].name), name))
            return feed->streams[i].feed;
    return NULL;
}
