/* store.c - Redis as the core sees it.
 *
 * A call (struct store_op) is in one of three lists:
 *
 *      store_call() --> waiting --sent--> sent --answered--> its callback, freed
 *                        ^   ^              |
 *                        |   +--- lost -----+
 *                        +-- a while -- refused <-- error reply
 *
 * Calls are repeated in the order in which they were made. A repeated call may have been executed
 * before; every script in lua/ says why that is harmless. An error reply (BUSY, OOM, NOREPLICAS, a
 * right taken away) is repeated too, for ever: the callers hold deliveries and batches that must
 * not be lost, and what is wrong with Redis is logged for those who can mend it.
 *
 * Queries are sent once and fail when Redis is away, and so are writes that their callers make
 * again.
 *
 * With replicas(n) a call that is to be kept has one more step. A master that dies takes along what
 * its replicas had not received, and what this process did because of the answer stays undone:
 * a delivery's move to the schedule is gone, the batch is closed at the new master as if it were
 * there, and the delivery is lost.
 *
 *      sent --answered--> held --WAIT is asked--> confirming --its reply--> the callback
 *                           `-- either connection lost: waiting --'
 *                           `-- WAIT refused: refused, and so made again
 *
 * One WAIT at a time confirms all that was held when it was sent, on the connection of the batches,
 * since it blocks. It confirms what the other connection's server wrote because it follows a PING
 * (store_confirm.c), and only if both connections lead to the same server. When they do not, after
 * a failover behind one address, both are made anew, and lead to the present one.
 */
#include "core/store.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/embedded.h"
#include "base/list.h"
#include "base/log.h"
#include "core/outcome.h"
#include "core/redis_clock.h"
#include "net/redis_script.h"

extern const struct embedded_file lua_scripts[];
extern const size_t lua_scripts_count;

enum { REPEAT_MS = 200, TWO_SERVERS_MS = 2000, SCRIPTS_MAX = 64, SCRIPT_NAME_MAX = 32 };

struct store {
    struct reactor *reactor;
    struct store_options options;
    struct redis_scripts *scripts;
    char script_names[SCRIPTS_MAX][SCRIPT_NAME_MAX];
    struct redis_conn *work;    /* claims, settles, heartbeats, queries */
    struct redis_conn *batches; /* large writes */
    store_state_fn *on_state;
    void *state_arg;
    bool ready;
    bool stopped;
    struct list waiting; /* to be sent */
    struct list sent;
    struct list refused; /* answered with an error: to be sent again after a while */
    struct list held;    /* answered, to be confirmed by replicas */
    struct list confirming;
    bool asking;            /* the replicas, about those */
    uint64_t renewed_at_ms; /* because of two servers; monotonic */
    size_t pending, pending_bytes;
    struct reactor_timer *repeat;
    struct redis_clock clock;
    uint64_t answered_sent_ms; /* when the call was made whose answer is being told */
};

struct store_op {
    struct list node;
    struct store *store;
    const struct redis_script *script; /* NULL: a plain command */
    store_reply_fn *fn;
    void *arg;
    bool once;           /* not repeated: a query, or a write of its caller's */
    bool large;          /* on the connection of the batches; an error reply is the caller's */
    bool refused;        /* answered with an error, and logged */
    enum status failure; /* of a query that could not be sent: answered in the next turn */
    uint64_t made_at_ms; /* monotonic */
    size_t bytes;
    size_t key_count, arg_count;
    bool kept;                 /* its answer is held until replicas confirm it */
    struct redis_value *reply; /* while it is held */
    struct slice words[];      /* keys, then args; their bytes follow */
};

static void send_waiting(struct store *store);
static void repeat_held(struct store *store);
static void ask_replicas(struct store *store);

/* ---- Start and stop ------------------------------------------------------------------------- */

static void on_conn_state(void *arg, bool ready)
{
    struct store *store = arg;
    if (!ready)
        repeat_held(store);
    bool now = store->work && store->batches && redis_conn_ready(store->work) &&
               redis_conn_ready(store->batches);
    if (now == store->ready)
        return;
    store->ready = now;
    if (now)
        send_waiting(store);
    store->on_state(store->state_arg, now);
}

static void on_repeat(void *arg)
{
    struct store *store = arg;
    for (struct list *node; (node = list_pop_front(&store->refused));)
        list_push_back(&store->waiting, node);
    send_waiting(store);
}

static void on_turn(void *arg)
{
    struct store *store = arg;
    if (!list_empty(&store->waiting))
        send_waiting(store);
    if (!list_empty(&store->held))
        ask_replicas(store);
}

/* The scripts' files are named `verb.lua`; a script is called by its verb. */
static struct redis_scripts *embedded_scripts(struct store *store)
{
    static const struct slice suffix = {".lua", 4};
    struct redis_script_source sources[SCRIPTS_MAX];
    assert(lua_scripts_count <= SCRIPTS_MAX);
    for (size_t i = 0; i < lua_scripts_count; i++) {
        struct slice name = slice_str(lua_scripts[i].name);
        assert(slice_ends(name, suffix) && name.len < SCRIPT_NAME_MAX);
        memcpy(store->script_names[i], name.ptr, name.len - suffix.len);
        sources[i] = (struct redis_script_source){store->script_names[i], lua_scripts[i].text,
                                                  lua_scripts[i].len};
    }
    return redis_scripts_new(sources, lua_scripts_count);
}

struct store *store_new(struct reactor *reactor, const struct store_options *options,
                        store_state_fn *on_state, void *arg)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return NULL;
    store->reactor = reactor;
    store->options = *options;
    store->on_state = on_state;
    store->state_arg = arg;
    store->answered_sent_ms = REDIS_CLOCK_NEVER;
    list_init(&store->waiting);
    list_init(&store->sent);
    list_init(&store->refused);
    list_init(&store->held);
    list_init(&store->confirming);
    struct redis_options redis = options->redis;
    store->repeat = reactor_timer_new(reactor, on_repeat, store);
    store->scripts = embedded_scripts(store);
    if (!store->repeat || !store->scripts)
        goto fail;
    redis.client_name = "trotline-work";
    store->work = redis_conn_new(reactor, &redis, on_conn_state, store);
    redis.client_name = "trotline-batches";
    store->batches = redis_conn_new(reactor, &redis, on_conn_state, store);
    if (!store->work || !store->batches)
        goto fail;
    redis_conn_set_scripts(store->work, store->scripts);
    redis_conn_set_scripts(store->batches, store->scripts);
    reactor_add_hook(reactor, "store", on_turn, store);
    return store;
fail:
    redis_conn_free(store->work);
    redis_conn_free(store->batches);
    redis_scripts_free(store->scripts);
    reactor_timer_free(store->repeat);
    free(store);
    return NULL;
}

static void finish(struct store_op *op, enum status status, const struct redis_value *reply)
{
    struct store *store = op->store;
    store->pending--;
    store->pending_bytes -= op->bytes;
    list_remove(&op->node);
    store->answered_sent_ms = op->made_at_ms;
    op->fn(op->arg, status, reply);
    store->answered_sent_ms = REDIS_CLOCK_NEVER;
    free(op);
}

void store_free(struct store *store)
{
    if (!store)
        return;
    store->stopped = true; /* what is called from now on waits, to be answered below */
    redis_conn_free(store->work);
    redis_conn_free(store->batches);
    repeat_held(store);
    for (struct list *node; (node = list_pop_front(&store->refused));)
        list_push_back(&store->waiting, node);
    for (struct list *node; (node = list_pop_front(&store->waiting));) /* answers may call again */
        finish(CONTAINER_OF(node, struct store_op, node), ST_STOPPED, NULL);
    assert(list_empty(&store->sent));
    redis_scripts_free(store->scripts);
    reactor_timer_free(store->repeat);
    free(store);
}

bool store_ready(const struct store *store)
{
    return store->ready;
}

const char *store_error(const struct store *store)
{
    const char *error = redis_conn_error(store->work);
    return error[0] ? error : redis_conn_error(store->batches);
}

const char *store_incarnation(const struct store *store)
{
    return store->options.incarnation;
}

const struct redis_options *store_redis_options(const struct store *store)
{
    return &store->options.redis;
}

struct redis_conn *store_batch_conn(struct store *store)
{
    return store->batches;
}

const struct redis_conn_stats *store_work_stats(const struct store *store)
{
    return redis_conn_stats(store->work);
}

const struct redis_conn_stats *store_batch_stats(const struct store *store)
{
    return redis_conn_stats(store->batches);
}

size_t store_pending(const struct store *store)
{
    return store->pending;
}

size_t store_pending_bytes(const struct store *store)
{
    return store->pending_bytes;
}

const struct redis_script *store_script(const struct store *store, const char *name)
{
    const struct redis_script *script = redis_script_find(store->scripts, name);
    assert(script);
    return script;
}

/* ---- Held calls ----------------------------------------------------------------------------- */

static void move_held(struct list *from, struct list *to)
{
    for (struct list *node; (node = list_pop_front(from));) {
        struct store_op *op = CONTAINER_OF(node, struct store_op, node);
        redis_value_free(op->reply);
        op->reply = NULL;
        list_push_back(to, node);
    }
}

/* Another server may be the master next: they are made again, like those without an answer. Their
 * order does not matter, as nobody has done anything because of them. */
static void repeat_held(struct store *store)
{
    move_held(&store->confirming, &store->waiting);
    move_held(&store->held, &store->waiting);
}

/* A master that is demoted in the middle of it answers UNBLOCKED and goes; one that was demoted
 * before says that it is a replica. What it wrote for us may be thrown away, so it is written anew.
 * Without the right to ask nobody can ever confirm anything, which is as having no replicas. */
static bool demoted(const struct redis_value *reply)
{
    return redis_value_type(reply) == REDIS_ERROR && !redis_value_is_error(reply, "NOPERM");
}

/* Too few in time is an answer, too: without replicas work goes on as it does without the wish. */
static void on_replicas(void *arg, enum status status, const struct redis_value *reply)
{
    struct store *store = arg;
    store->asking = false;
    if (status != ST_OK)
        return; /* the connection's end tells */
    if (demoted(reply)) {
        log_warn("store.not_confirmed", "error=%s", log_quote(redis_value_text(reply)));
        move_held(&store->confirming, &store->refused);
        if (!reactor_timer_armed(store->repeat))
            reactor_timer_set(store->repeat, REPEAT_MS);
        return;
    }
    for (struct list *node; (node = list_pop_front(&store->confirming));) {
        struct store_op *op = CONTAINER_OF(node, struct store_op, node);
        struct redis_value *held = op->reply;
        finish(op, ST_OK, held);
        redis_value_free(held);
    }
}

static void on_ping(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

/* With Sentinels they come to the same one by themselves, if not at once. */
static void leave_two_servers(struct store *store)
{
    uint64_t now_ms = clock_mono_ms();
    if (store->renewed_at_ms > 0 && now_ms - store->renewed_at_ms < TWO_SERVERS_MS)
        return;
    store->renewed_at_ms = now_ms;
    log_warn("store.two_servers", "reason=\"the connections lead to different servers\"");
    redis_conn_renew(store->work);
    redis_conn_renew(store->batches);
}

static void ask_replicas(struct store *store)
{
    struct store_number numbers[2];
    const struct slice ping[] = {SLICE("PING")};
    const struct slice wait[] = {SLICE("WAIT"),
                                 store_u64(&numbers[0], store->options.confirm.replicas),
                                 store_u64(&numbers[1], store->options.confirm.timeout_ms)};
    if (store->stopped || store->asking || !store->ready)
        return;
    if (!redis_conn_same_server(store->work, store->batches)) {
        leave_two_servers(store);
        return;
    }
    if (redis_command(store->batches, ping, 1, on_ping, store) != ST_OK ||
        redis_command(store->batches, wait, 3, on_replicas, store) != ST_OK)
        return; /* the next turn tries again */
    store->asking = true;
    for (struct list *node; (node = list_pop_front(&store->held));)
        list_push_back(&store->confirming, node);
}

/* False when it is not to be held, or there is no memory for it. */
static bool hold(struct store_op *op, const struct redis_value *reply)
{
    struct store *store = op->store;
    if (!op->kept || store->options.confirm.replicas == 0)
        return false;
    op->reply = redis_value_copy(reply);
    if (!op->reply)
        return false;
    list_remove(&op->node);
    list_push_back(&store->held, &op->node);
    reactor_wake(store->reactor); /* all of this turn are asked about at once */
    return true;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static void on_reply(void *arg, enum status status, const struct redis_value *reply)
{
    struct store_op *op = arg;
    struct store *store = op->store;
    bool refused = status == ST_OK && redis_value_type(reply) == REDIS_ERROR;
    if (refused && !op->refused && !op->large)
        log_error("store.refused", "script=%s error=%s", op->script ? op->script->name : "-",
                  log_quote(redis_value_text(reply)));
    if (status == ST_OK && !refused && hold(op, reply))
        return;
    if (op->once || status == ST_STOPPED || (status == ST_OK && !refused)) {
        finish(op, refused ? ST_REFUSED : status, reply);
        return;
    }
    op->refused = refused;
    list_remove(&op->node);
    list_push_back(refused ? &store->refused : &store->waiting, &op->node);
    if (refused && !reactor_timer_armed(store->repeat))
        reactor_timer_set(store->repeat, REPEAT_MS);
}

static struct redis_conn *conn_of(const struct store_op *op)
{
    return op->large ? op->store->batches : op->store->work;
}

static enum status send_op(struct store_op *op)
{
    struct redis_conn *conn = conn_of(op);
    if (op->script)
        return redis_script_call(conn, op->script, op->words, op->key_count,
                                 op->words + op->key_count, op->arg_count, on_reply, op);
    return redis_command(conn, op->words, op->arg_count, on_reply, op);
}

static void send_waiting(struct store *store)
{
    if (store->stopped)
        return;
    bool full = false; /* the connection of work; a large op waits for nothing */
    LIST_FOREACH(node, &store->waiting)
    {
        struct store_op *op = CONTAINER_OF(node, struct store_op, node);
        bool ready = redis_conn_ready(conn_of(op));
        if (!ready && !op->once)
            continue; /* readiness tries again */
        enum status status = op->failure          ? op->failure
                             : !ready             ? ST_AGAIN
                             : full && !op->large ? ST_LIMIT
                                                  : send_op(op);
        if (status == ST_OK) {
            list_remove(&op->node);
            list_push_back(&store->sent, &op->node);
        } else if (op->once) {
            finish(op, status, NULL);
        } else {
            full = true; /* the next turn tries again */
        }
    }
}

static size_t total(const struct slice *words, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += words[i].len;
    return bytes;
}

enum effort { ONCE, REPEATED, KEPT, LARGE_ONCE };

static enum status submit(struct store *store, enum effort effort,
                          const struct redis_script *script, const struct slice *keys,
                          size_t key_count, const struct slice *args, size_t arg_count,
                          store_reply_fn *fn, void *arg)
{
    bool once = effort == ONCE || effort == LARGE_ONCE;
    size_t words = key_count + arg_count;
    size_t bytes = total(keys, key_count) + total(args, arg_count);
    struct store_op *op = malloc(sizeof(*op) + words * sizeof(op->words[0]) + bytes);
    if (!op)
        return ST_NOMEM;
    *op = (struct store_op){.store = store,
                            .script = script,
                            .fn = fn,
                            .arg = arg,
                            .once = once,
                            .large = effort == LARGE_ONCE,
                            .made_at_ms = clock_mono_ms(),
                            .bytes = bytes,
                            .key_count = key_count,
                            .arg_count = arg_count};
    op->kept = effort == KEPT || effort == LARGE_ONCE;
    char *place = (char *)(op->words + words);
    for (size_t i = 0; i < words; i++) {
        struct slice word = i < key_count ? keys[i] : args[i - key_count];
        if (word.len > 0)
            memcpy(place, word.ptr, word.len);
        op->words[i] = slice_of(place, word.len);
        place += word.len;
    }
    store->pending++;
    store->pending_bytes += bytes;
    /* Behind others that wait, so that order is kept. */
    enum status status = list_empty(&store->waiting) && !store->stopped ? send_op(op) : ST_AGAIN;
    if (status == ST_OK) {
        list_push_back(&store->sent, &op->node);
    } else {
        op->failure = once && status != ST_AGAIN ? status : ST_OK;
        list_push_back(&store->waiting, &op->node);
        reactor_wake(store->reactor);
    }
    return ST_OK;
}

enum status store_call(struct store *store, const struct redis_script *script,
                       const struct slice *keys, size_t key_count, const struct slice *args,
                       size_t arg_count, store_reply_fn *fn, void *arg)
{
    return submit(store, REPEATED, script, keys, key_count, args, arg_count, fn, arg);
}

enum status store_call_kept(struct store *store, const struct redis_script *script,
                            const struct slice *keys, size_t key_count, const struct slice *args,
                            size_t arg_count, store_reply_fn *fn, void *arg)
{
    return submit(store, KEPT, script, keys, key_count, args, arg_count, fn, arg);
}

enum status store_query(struct store *store, const struct slice *args, size_t count,
                        store_reply_fn *fn, void *arg)
{
    return submit(store, ONCE, NULL, NULL, 0, args, count, fn, arg);
}

enum status store_query_script(struct store *store, const struct redis_script *script,
                               const struct slice *keys, size_t key_count, const struct slice *args,
                               size_t arg_count, store_reply_fn *fn, void *arg)
{
    return submit(store, ONCE, script, keys, key_count, args, arg_count, fn, arg);
}

enum status store_write_once(struct store *store, const struct redis_script *script,
                             const struct slice *keys, size_t key_count, const struct slice *args,
                             size_t arg_count, store_reply_fn *fn, void *arg)
{
    return submit(store, LARGE_ONCE, script, keys, key_count, args, arg_count, fn, arg);
}

/* ---- Redis's clock -------------------------------------------------------------------------- */

/* Our clock is read anew: the step's own reading may be older than a reply that came in it, and the
 * difference would be too large. */
void store_saw_time(struct store *store, int64_t redis_now_ms)
{
    redis_clock_saw(&store->clock, redis_now_ms, store->answered_sent_ms, clock_now_us() / 1000);
}

uint64_t store_redis_ms(const struct store *store)
{
    return redis_clock_at(&store->clock, clock_mono_ms(), clock_wall_ms());
}

uint64_t store_redis_latest_ms(const struct store *store)
{
    return redis_clock_latest(&store->clock, clock_mono_ms(), clock_wall_ms());
}

/* ---- Keys, numbers, replies ----------------------------------------------------------------- */

size_t store_key_max(const struct store *store)
{
    return strlen(store->options.key_prefix) + STORE_KEY_REST_MAX;
}

/* Some are made for each delivery: without printf. */
size_t store_key_write(const struct store *store, char *out, const char *kind, const char *name)
{
    const char *parts[] = {store->options.key_prefix, ":{0}:", kind, name ? ":" : "", name};
    size_t len = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && parts[i]; i++) {
        size_t part = strlen(parts[i]);
        assert(len + part <= store_key_max(store));
        memcpy(out + len, parts[i], part);
        len += part;
    }
    return len;
}

struct slice store_key(const struct store *store, struct store_key *key, const char *kind,
                       const char *name)
{
    key->len = store_key_write(store, key->text, kind, name);
    return slice_of(key->text, key->len);
}

struct slice store_key_lane(const struct store *store, struct store_key *key, uint32_t lane)
{
    char name[DIGITS_MAX + 1] = ""; /* whose last byte stays NUL */
    return store_key(store, key, "lane", digits_u64(name, lane).ptr);
}

struct slice store_u64(struct store_number *number, uint64_t value)
{
    return digits_u64(number->digits, value);
}

struct slice store_outcome_offset(struct store_number *number, uint32_t ordinal)
{
    if (ordinal == ORDINAL_NONE)
        return SLICE("");
    return store_u64(number, (uint64_t)ordinal * OUTCOME_BYTES);
}

int64_t reply_integer(const struct redis_value *reply, size_t index)
{
    if (!reply || redis_value_type(reply) != REDIS_ARRAY || index >= redis_value_count(reply))
        return 0;
    const struct redis_value *value = redis_value_at(reply, index);
    return redis_value_type(value) == REDIS_INTEGER ? redis_value_integer(value) : 0;
}

struct slice reply_text(const struct redis_value *reply, size_t index)
{
    if (!reply || redis_value_type(reply) != REDIS_ARRAY || index >= redis_value_count(reply))
        return SLICE_NULL;
    const struct redis_value *value = redis_value_at(reply, index);
    enum redis_type type = redis_value_type(value);
    return type == REDIS_STRING || type == REDIS_STATUS ? redis_value_text(value) : SLICE_NULL;
}

bool reply_is(const struct redis_value *reply, size_t index, const char *text)
{
    return slice_eq(reply_text(reply, index), slice_str(text));
}

uint64_t reply_score(struct slice text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    return value;
}
