/* test_endpoint_store.c - changes of our own and of others, with a Redis that the test answers for
 * and modules around it that only count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/channel.h"
#include "core/clear.h"
#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/notice.h"
#include "core/source_store.h"
#include "core/watch.h"
#include "endpoint_rules.h"
#include "net/redis_script.h"

/* ---- What stands around it ------------------------------------------------------------------ */

enum { CALLS_MAX = 16, WORDS_MAX = 8 };

struct call {
    char verb[32]; /* of a script, or the command */
    char *words[WORDS_MAX];
    size_t count;
    store_reply_fn *fn;
    void *arg;
};

static struct call calls[CALLS_MAX];
static size_t call_count, answered;
static bool ready;
static int changed, cleared, resets, disabled_told, sent;
static bool clearing;

static enum status record(const char *verb, const struct slice *words, size_t count,
                          store_reply_fn *fn, void *arg)
{
    assert_in_range(call_count, 0, CALLS_MAX - 1);
    struct call *call = &calls[call_count++];
    *call = (struct call){.count = count, .fn = fn, .arg = arg};
    snprintf(call->verb, sizeof(call->verb), "%s", verb);
    for (size_t i = 0; i < count && i < WORDS_MAX; i++)
        call->words[i] = strndup(words[i].ptr, words[i].len);
    return ST_OK;
}

enum status store_query(struct store *store, const struct slice *args, size_t count,
                        store_reply_fn *fn, void *arg)
{
    (void)store;
    char verb[32];
    snprintf(verb, sizeof(verb), "%.*s", SLICE_ARGS(args[0]));
    return record(verb, args, count, fn, arg);
}

enum status store_query_script(struct store *store, const struct redis_script *script,
                               const struct slice *keys, size_t key_count, const struct slice *args,
                               size_t arg_count, store_reply_fn *fn, void *arg)
{
    (void)store;
    (void)keys;
    (void)script;
    assert_int_equal(key_count, 4);
    return record(script->name, args, arg_count, fn, arg);
}

const struct redis_script *store_script(const struct store *store, const char *name)
{
    static struct redis_script scripts[] = {{.name = "config_put"}, {.name = "config_changes"}};
    (void)store;
    return &scripts[strcmp(name, "config_put") == 0 ? 0 : 1];
}

bool store_ready(const struct store *store)
{
    (void)store;
    return ready;
}

struct slice store_key(const struct store *store, struct store_key *key, const char *kind,
                       const char *name)
{
    (void)store;
    key->len = (size_t)snprintf(key->text, sizeof(key->text), "%s:%s", kind, name ? name : "");
    return slice_of(key->text, key->len);
}

void channel_send(struct channel *channel, const char *incarnation, const char *text)
{
    (void)channel;
    assert_null(incarnation);
    assert_int_equal(text[0], 'r');
    sent++;
}

void dispatch_endpoint_changed(struct dispatch *dispatch, struct endpoint *endpoint)
{
    (void)dispatch;
    (void)endpoint;
    changed++;
}

void clear_endpoint(struct clear *clear, struct endpoint *endpoint)
{
    (void)clear;
    (void)endpoint;
    cleared++;
}

bool clear_under_way(const struct clear *clear, const struct id *id)
{
    (void)clear;
    (void)id;
    return clearing;
}

void watch_reset(struct core *core, struct endpoint *endpoint)
{
    (void)core;
    (void)endpoint;
    resets++;
}

void notice_disabled(struct core *core, struct endpoint *endpoint,
                     const struct notice_attempt *last)
{
    (void)core;
    (void)last;
    assert_false(endpoint->config->active);
    disabled_told++;
}

/* ---- Fixture -------------------------------------------------------------------------------- */

static struct endpoint_rules rules;
static struct core core;
static struct endpoint_store *endpoints;
static int loads;
static enum status load_status;

static int setup(void **state)
{
    (void)state;
    call_count = answered = 0;
    ready = true;
    clearing = false;
    changed = cleared = resets = disabled_told = sent = loads = 0;
    rules = test_rules_new();
    core = (struct core){.registry = registry_new(&rules), .options.endpoints_max = 100};
    core.endpoints = endpoints = endpoint_store_new(&core);
    core.sources = source_store_new(&core);
    return core.registry && endpoints && core.sources ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(answered, call_count);
    endpoint_store_free(endpoints);
    source_store_free(core.sources);
    registry_free(core.registry);
    test_rules_free(&rules);
    return 0;
}

static const struct call *next_call(const char *verb)
{
    assert_true(answered < call_count);
    assert_string_equal(calls[answered].verb, verb);
    return &calls[answered];
}

static void no_call(void)
{
    assert_int_equal(answered, call_count);
}

/* What the oldest call is answered with: `resp` as Redis sends it; NULL: `status`. */
static void answer_with(enum status status, const char *resp)
{
    assert_true(answered < call_count);
    struct call call = calls[answered++];
    for (size_t i = 0; i < WORDS_MAX; i++)
        free(call.words[i]);
    if (answered == call_count)
        answered = call_count = 0;
    if (!resp) {
        call.fn(call.arg, status, NULL);
        return;
    }
    struct redis_reader *reader = redis_reader_new();
    const struct redis_value *value;
    assert_non_null(reader);
    assert_int_equal(redis_reader_feed(reader, resp, strlen(resp)), ST_OK);
    assert_int_equal(redis_reader_next(reader, &value), ST_OK);
    assert_non_null(value);
    call.fn(call.arg, ST_OK, value);
    redis_reader_free(reader);
}

static size_t add(char *resp, size_t len, const char *text)
{
    return len + (size_t)snprintf(resp + len, 8192 - len, "$%zu\r\n%s\r\n", strlen(text), text);
}

/* [verb, version], and a document when there is one: config_put's. */
/* A change of our own: its version comes right behind `before`. */
static void answer_made(int before)
{
    char resp[64];
    next_call("config_put");
    snprintf(resp, sizeof(resp), "*3\r\n$2\r\nok\r\n:%d\r\n:%d\r\n", before + 1, before);
    answer_with(ST_OK, resp);
}

static void answer_put(const char *verb, int version, const char *document)
{
    char resp[8192];
    next_call("config_put");
    size_t len = (size_t)snprintf(resp, sizeof(resp), "*%d\r\n", document ? 3 : 2);
    len = add(resp, len, verb);
    len += (size_t)snprintf(resp + len, sizeof(resp) - len, ":%d\r\n", version);
    if (document)
        add(resp, len, document);
    answer_with(ST_OK, resp);
}

static const char *id_of(uint8_t number)
{
    static char text[4][ID_TEXT_MAX];
    static unsigned turn;
    struct id id = {.bytes = {[19] = number}};
    char *out = text[turn++ % 4];
    id_format(out, "ep_", &id);
    return out;
}

/* Pairs of id and document, which end with NULL. */
static size_t add_pairs(char *resp, size_t len, const char *const *pairs)
{
    for (size_t i = 0; pairs && pairs[i]; i++)
        len = add(resp, len, pairs[i]);
    return len;
}

static size_t pair_words(const char *const *pairs)
{
    size_t count = 0;
    while (pairs && pairs[count])
        count++;
    return count;
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void answer_changes(int upto, int present, const char *const *pairs)
{
    char resp[8192];
    next_call("config_changes");
    size_t len = (size_t)snprintf(resp, sizeof(resp), "*%zu\r\n$2\r\nok\r\n:%d\r\n:%d\r\n",
                                  3 + pair_words(pairs), upto, present);
    add_pairs(resp, len, pairs);
    answer_with(ST_OK, resp);
}

static void answer_page(const char *key, const char *cursor, const char *const *pairs)
{
    char resp[8192] = "*2\r\n";
    assert_string_equal(next_call("HSCAN")->words[1], key);
    size_t len = add(resp, 4, cursor);
    len += (size_t)snprintf(resp + len, sizeof(resp) - len, "*%zu\r\n", pair_words(pairs));
    add_pairs(resp, len, pairs);
    answer_with(ST_OK, resp);
}

/* Behind the last page of endpoints come the sources, of which there are none. */
static void answer_scan(const char *cursor, const char *const *pairs)
{
    answer_page("config:endpoints", cursor, pairs);
    if (strcmp(cursor, "0") == 0)
        answer_page("config:sources", "0", NULL);
}

static void answer_version(const char *version)
{
    char resp[64];
    next_call("HGET");
    add(resp, 0, version);
    answer_with(ST_OK, resp);
}

static void on_loaded(void *arg, enum status status)
{
    assert_ptr_equal(arg, &core);
    loads++;
    load_status = status;
}

/* Loads these, as of that version. */
static void load(const char *version, const char *const *pairs)
{
    endpoint_store_load(endpoints, on_loaded, &core);
    answer_version(version);
    answer_scan("0", pairs);
    assert_int_equal(load_status, ST_OK);
    no_call();
}

/* A stored document; valid until the next but three. */
static const char *document(const char *path, bool active)
{
    static char text[4][512];
    static unsigned turn;
    char *out = text[turn++ % 4];
    snprintf(out, sizeof(text[0]),
             "{\"url\":\"https://example.com/%s\",\"events\":[\"*\"],"
             "\"secrets\":[{\"secret\":\"whsec_QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD\"}],"
             "\"createdAt\":\"2026-01-01T00:00:00.000Z\",\"updatedAt\":\"2026-01-01T00:00:00.000Z\""
             "%s}",
             path, active ? "" : ",\"disabled\":\"manual\"");
    return out;
}

static struct endpoint *found(uint8_t number)
{
    struct id id = {.bytes = {[19] = number}};
    return registry_find(core.registry, &id);
}

static void expect(uint8_t number, const char *path, bool active)
{
    char url[64];
    snprintf(url, sizeof(url), "https://example.com/%s", path);
    assert_non_null(found(number));
    assert_string_equal(found(number)->config->url, url);
    assert_int_equal(found(number)->config->active, active);
}

static void notice(const char *version)
{
    endpoint_store_announced(endpoints, slice_str(version));
}

#define TOMBSTONE "{\"deleted\":true}"

/* ---- A change of our own -------------------------------------------------------------------- */

static int answers;
static enum status answer_status;

static void on_change(void *arg, enum status status, struct endpoint *endpoint)
{
    (void)arg;
    assert_int_equal(status == ST_OK, endpoint != NULL);
    answers++;
    answer_status = status;
}

static void expect_answer(enum status status)
{
    assert_int_equal(answers, 1);
    assert_int_equal(answer_status, status);
    answers = 0;
}

static struct endpoint_config *config_of(const char *text)
{
    struct endpoint_config *config;
    struct field_error error;
    assert_int_equal(endpoint_config_load(&rules, slice_str(text), &config, &error), ST_OK);
    return config;
}

/* `based_on`: the version that must be named. */
static void replace(uint8_t number, const char *text, const char *based_on)
{
    assert_int_equal(
        endpoint_store_replace(endpoints, found(number), config_of(text), on_change, NULL), ST_OK);
    const struct call *call = &calls[call_count - 1];
    assert_string_equal(call->words[2], "replace");
    assert_string_equal(call->words[4], based_on);
}

/* ---- Tests: loading ------------------------------------------------------------------------- */

/* In pages; the version is that of before. Loaded once more, what is the same costs nothing and
 * what Redis does not have goes. */
static void test_load(void **state)
{
    (void)state;
    endpoint_store_load(endpoints, on_loaded, &core);
    answer_version("7");
    answer_scan("5", PAIRS(id_of(1), document("one", true), id_of(2), document("two", false)));
    assert_int_equal(loads, 0);
    answer_scan("0", PAIRS(id_of(3), document("three", true), "nonsense", "{}"));
    assert_int_equal(loads, 1);
    assert_int_equal(endpoint_store_version(endpoints), 7);
    expect(1, "one", true);
    expect(2, "two", false);
    assert_int_equal(registry_count(core.registry), 3);
    assert_int_equal(changed, 3);
    assert_int_equal(cleared, 1);

    load("7", PAIRS(id_of(1), document("one", true), id_of(2), document("second", false)));
    assert_int_equal(registry_count(core.registry), 2);
    expect(2, "second", false);
    assert_int_equal(changed, 5); /* another one, and one that is gone */
    assert_int_equal(disabled_told, 0);
}

/* Created while all are being loaded, and not found by it: it stays. */
static void test_created_during_load(void **state)
{
    (void)state;
    load("1", PAIRS(id_of(1), document("one", true)));
    endpoint_store_load(endpoints, on_loaded, &core);
    assert_int_equal(
        endpoint_store_create(endpoints, config_of(document("new", true)), on_change, NULL), ST_OK);
    answer_version("1");
    answer_made(1);
    expect_answer(ST_OK);
    answer_scan("0", PAIRS(id_of(1), document("one", true)));
    assert_int_equal(registry_count(core.registry), 2);
    answer_changes(2, 2, NULL); /* it was not sure to have seen all */
    no_call();
}

/* Redis went away: said so, and begun anew when asked to. */
static void test_load_fails(void **state)
{
    (void)state;
    endpoint_store_load(endpoints, on_loaded, &core);
    answer_with(ST_LOST, NULL);
    assert_int_equal(load_status, ST_LOST);
    endpoint_store_saw_version(endpoints, 5);
    no_call(); /* the first load is the caller's */
    load("5", NULL);
}

/* ---- Tests: changes of others --------------------------------------------------------------- */

static void test_follow(void **state)
{
    (void)state;
    load("3", PAIRS(id_of(1), document("one", true), id_of(2), document("two", true)));
    changed = 0;
    notice("5");
    assert_string_equal(next_call("config_changes")->words[0], "3");
    answer_changes(5, 5, PAIRS(id_of(1), document("one", false), id_of(3), document("new", true)));
    expect(1, "one", false);
    expect(3, "new", true);
    assert_int_equal(endpoint_store_version(endpoints), 5);
    assert_int_equal(changed, 2);
    assert_int_equal(cleared, 1);
    assert_int_equal(disabled_told, 0); /* whoever did it tells it */
    assert_int_equal(resets, 0);

    /* Late and repeated notices are nothing new. */
    notice("4");
    notice("5");
    endpoint_store_saw_version(endpoints, 5);
    no_call();

    /* Enabled again: it begins anew here, too. The same document again is no change. */
    endpoint_store_saw_version(endpoints, 6); /* no notice came */
    answer_changes(6, 6, PAIRS(id_of(1), document("one", true), id_of(3), document("new", true)));
    assert_int_equal(resets, 1);
    assert_int_equal(changed, 3);
}

/* One read at a time; what is heard of meanwhile is read afterwards, and so is the next page. */
static void test_pages(void **state)
{
    (void)state;
    load("0", NULL);
    notice("3");
    notice("4");
    notice("9");
    assert_int_equal(call_count - answered, 1);
    answer_changes(2, 4, PAIRS(id_of(1), document("one", true), id_of(2), document("two", true)));
    assert_string_equal(next_call("config_changes")->words[0], "2");
    answer_changes(9, 9, PAIRS(id_of(1), document("first", true)));
    no_call();
    expect(1, "first", true);
}

/* A deleted one; one whose document is gone already; one that is not known: it is cleared, once. */
static void test_deleted(void **state)
{
    (void)state;
    load("2", PAIRS(id_of(1), document("one", true), id_of(2), document("two", true)));
    cleared = 0;
    notice("5");
    answer_changes(5, 5,
                   PAIRS(id_of(1), TOMBSTONE, id_of(2), "", id_of(3), TOMBSTONE, id_of(4), ""));
    assert_int_equal(registry_count(core.registry), 0);
    assert_int_equal(cleared, 3);
    clearing = true;
    notice("6");
    answer_changes(6, 6, PAIRS(id_of(3), TOMBSTONE));
    assert_int_equal(cleared, 3);
}

/* A document that cannot be read leaves what was there. */
static void test_unreadable(void **state)
{
    (void)state;
    load("1", PAIRS(id_of(1), document("one", true)));
    notice("2");
    answer_changes(2, 2, PAIRS(id_of(1), "{\"url\":1}", id_of(2), "{"));
    expect(1, "one", true);
    assert_int_equal(registry_count(core.registry), 1);
    load("2", PAIRS(id_of(1), "{\"url\":1}"));
    expect(1, "one", true);
}

/* A read that fails is repeated when the heartbeat comes. */
static void test_read_fails(void **state)
{
    (void)state;
    load("1", NULL);
    notice("2");
    answer_with(ST_LOST, NULL);
    no_call();
    ready = false;
    endpoint_store_saw_version(endpoints, 2);
    no_call();
    ready = true;
    endpoint_store_saw_version(endpoints, 2);
    answer_changes(2, 2, PAIRS(id_of(1), document("one", true)));
    expect(1, "one", true);
}

/* Subscribed again: it looks, although it has heard of nothing. */
static void test_subscribed(void **state)
{
    (void)state;
    endpoint_store_look(endpoints);
    no_call(); /* nothing is loaded yet */
    load("1", NULL);
    endpoint_store_look(endpoints);
    answer_changes(2, 2, PAIRS(id_of(1), document("one", true)));
    expect(1, "one", true);
    no_call();
}

/* Too far behind, or Redis is: everything is loaded, once. */
static void test_behind(void **state)
{
    (void)state;
    load("10", PAIRS(id_of(1), document("one", true)));
    notice("99999");
    next_call("config_changes");
    answer_with(ST_OK, "*1\r\n$6\r\nbehind\r\n");
    answer_version("99999");
    answer_scan("0", PAIRS(id_of(2), document("two", true)));
    no_call();
    expect(2, "two", true);
    assert_int_equal(registry_count(core.registry), 1);

    endpoint_store_saw_version(endpoints, 5); /* a failover lost the last ones */
    answer_version("5");
    endpoint_store_saw_version(endpoints, 5);
    answer_scan("0", PAIRS(id_of(2), document("two", true)));
    no_call();
    assert_int_equal(endpoint_store_version(endpoints), 5);

    notice("9"); /* told of, and not there */
    answer_changes(6, 6, NULL);
    answer_version("6");
    answer_scan("0", PAIRS(id_of(2), document("two", true)));
    no_call();
}

/* ---- Tests: changes of our own -------------------------------------------------------------- */

/* Nothing is read for them, whichever comes first, answer or notice; what others did meanwhile is.
 */
static void test_own_changes(void **state)
{
    (void)state;
    load("1", PAIRS(id_of(1), document("one", true)));
    replace(1, document("two", false), "1");
    notice("2");
    answer_made(1);
    expect_answer(ST_OK);
    expect(1, "two", false);
    assert_int_equal(disabled_told, 1);
    assert_int_equal(endpoint_store_version(endpoints), 2);
    no_call();
    notice("2");
    no_call();

    replace(1, document("three", true), "2");
    answer_made(3);
    expect_answer(ST_OK);
    assert_int_equal(resets, 1);
    replace(1, document("four", true), "4"); /* others changed others in 3 */
    assert_string_equal(next_call("config_changes")->words[0], "2");
    answer_changes(4, 4,
                   PAIRS(id_of(2), document("other", true), id_of(1), document("three", true)));
    answer_made(4);
    expect_answer(ST_OK);
    expect(1, "four", true);
    assert_int_equal(endpoint_store_version(endpoints), 5);
}

/* A change is made of an older state than is known here: whatever else was lost is gone, too. */
static void test_own_change_after_a_loss(void **state)
{
    (void)state;
    load("7", PAIRS(id_of(1), document("one", true), id_of(2), document("two", true)));
    replace(1, document("mine", true), "7");
    assert_string_equal(calls[call_count - 1].words[7], "7");
    answer_made(3);
    expect_answer(ST_OK);
    answer_version("4");
    answer_scan("0", PAIRS(id_of(1), document("mine", true)));
    assert_null(found(2));
    assert_int_equal(endpoint_store_version(endpoints), 4);
    no_call();
}

/* Several on their way at once, each with its answer. */
static void test_own_changes_at_once(void **state)
{
    (void)state;
    load("1", PAIRS(id_of(1), document("one", true), id_of(2), document("two", true)));
    replace(1, document("first", true), "1");
    replace(2, document("second", true), "1");
    notice("3");
    answer_made(1);
    expect_answer(ST_OK);
    next_call("config_put");
    answer_made(2);
    expect_answer(ST_OK);
    answer_changes(3, 3, NULL); /* the first answer could not know whose the third version was */
    no_call();
    assert_int_equal(endpoint_store_version(endpoints), 3);
}

/* What it was made of is not what is there any more: that is taken, and the caller told. */
static void test_conflict(void **state)
{
    (void)state;
    load("1", PAIRS(id_of(1), document("one", true)));
    replace(1, document("mine", true), "1");
    answer_put("conflict", 4, document("theirs", true));
    expect_answer(ST_CONFLICT);
    expect(1, "theirs", true);
    assert_string_equal(next_call("config_changes")->words[0], "1");
    replace(1, document("mine", true), "4");
    answer_changes(4, 4, PAIRS(id_of(1), document("theirs", true)));
    answer_made(4);
    expect_answer(ST_OK);
    expect(1, "mine", true);
    no_call();
}

/* Redis was away and all is loaded again: a version of before says nothing, as the server of now
 * may have given the same number to another's change. What was found since then counts. */
static void test_conflict_during_load(void **state)
{
    (void)state;
    load("9", PAIRS(id_of(1), document("one", true), id_of(2), document("two", true)));
    endpoint_store_load(endpoints, on_loaded, &core);
    replace(1, document("mine", true), "0");
    answer_version("9");
    answer_put("conflict", 9, document("theirs", true));
    expect_answer(ST_CONFLICT);
    expect(1, "theirs", true);
    replace(1, document("mine", true), "9");
    replace(2, document("mine", true), "0");
    answer_page("config:endpoints", "0",
                PAIRS(id_of(1), document("theirs", true), id_of(2), document("two", true)));
    answer_made(9);
    expect_answer(ST_OK);
    expect(1, "mine", true);
    answer_made(10);
    expect_answer(ST_OK);
    expect(2, "mine", true);
    answer_page("config:sources", "0", NULL);
    answer_changes(11, 11, NULL); /* what was changed during a load is looked at again */
    assert_int_equal(endpoint_store_version(endpoints), 11);
    no_call();
}

/* The other answers; none of them changes anything. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *verb;
        enum status status;
    } rows[] = {{"missing", ST_NOTFOUND}, {"full", ST_LIMIT}, {"what", ST_REFUSED}};
    load("1", PAIRS(id_of(1), document("one", true)));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        replace(1, document("mine", false), "1");
        answer_put(rows[i].verb, 0, NULL);
        expect_answer(rows[i].status);
        expect(1, "one", true);
    }
    assert_int_equal(disabled_told, 0);
    assert_int_equal(endpoint_store_version(endpoints), 1);
}

/* It holds whatever was changed. */
static void test_delete(void **state)
{
    (void)state;
    load("1", PAIRS(id_of(1), document("one", true)));
    assert_int_equal(endpoint_store_delete(endpoints, found(1), on_change, NULL), ST_OK);
    assert_string_equal(next_call("config_put")->words[1], TOMBSTONE);
    assert_string_equal(next_call("config_put")->words[4], "");
    answer_made(1);
    expect_answer(ST_OK);
    assert_null(found(1));
    assert_int_equal(cleared, 1);
}

/* The answer is lost. If the change was made, it is found by loading all, and told like any; if
 * not, or if it was undone, nothing is told. */
static void test_lost_answer(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool active;
        int told;
    } rows[] = {{"one", false, 1}, {"one", true, 0}, {"other", false, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        load("1", PAIRS(id_of(1), document("one", true)));
        disabled_told = 0;
        replace(1, document("one", false), "1");
        answer_with(ST_LOST, NULL);
        expect_answer(ST_LOST);
        assert_int_equal(disabled_told, 0);
        load("2", PAIRS(id_of(1), document(rows[i].path, rows[i].active)));
        load("2", PAIRS(id_of(1), document("one", false))); /* whoever this was */
        assert_int_equal(disabled_told, rows[i].told);
        load("0", NULL);
    }
    load("1", PAIRS(id_of(1), document("one", true)));
    replace(1, document("one", false), "1");
    answer_with(ST_LOST, NULL); /* and the end: nothing is left behind */
    answers = 0;
}

/* Switched off by the data path: against changes by others, as long as they do not concern where it
 * sends, and not for ever. */
static void test_disable(void **state)
{
    (void)state;
    static const struct notice_attempt last = {.attempts = 1};
    static const struct {
        const char *theirs;
        bool active;
        int more; /* tries */
    } rows[] = {{"one\",\"description\":\"x", true, 2}, {"two", true, 0}, {"one", false, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        load("1", PAIRS(id_of(1), document("one", true)));
        endpoint_store_disable(endpoints, found(1), "gone", &last);
        endpoint_store_disable(endpoints, found(1), "gone", &last); /* one at a time */
        answer_put("conflict", 1, document(rows[i].theirs, rows[i].active));
        for (int k = 0; k < rows[i].more; k++)
            answer_put("conflict", 1, document(k ? "one" : rows[i].theirs, rows[i].active));
        no_call();
        assert_false(found(1)->changing);
        load("0", NULL);
    }
    load("1", PAIRS(id_of(1), document("one", true)));
    endpoint_store_disable(endpoints, found(1), "gone", &last);
    answer_made(1);
    assert_false(found(1)->config->active);
    assert_string_equal(found(1)->config->disabled_reason, "gone");
    assert_int_equal(disabled_told, 1);
    assert_int_equal(core.stats.endpoints_disabled, 1);
}

/* Said to be well: here and everywhere. */
static void test_reset(void **state)
{
    (void)state;
    load("1", PAIRS(id_of(1), document("one", true)));
    endpoint_store_reset(endpoints, found(1));
    assert_int_equal(resets, 1);
    assert_int_equal(sent, 1);
    endpoint_store_reset_announced(endpoints, slice_str(id_of(1)));
    endpoint_store_reset_announced(endpoints, slice_str(id_of(2)));
    endpoint_store_reset_announced(endpoints, SLICE("nonsense"));
    assert_int_equal(resets, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_load),
        TEST(test_created_during_load),
        TEST(test_load_fails),
        TEST(test_follow),
        TEST(test_pages),
        TEST(test_deleted),
        TEST(test_unreadable),
        TEST(test_read_fails),
        TEST(test_subscribed),
        TEST(test_behind),
        TEST(test_own_changes),
        TEST(test_own_change_after_a_loss),
        TEST(test_own_changes_at_once),
        TEST(test_conflict),
        TEST(test_conflict_during_load),
        TEST(test_refused),
        TEST(test_delete),
        TEST(test_lost_answer),
        TEST(test_disable),
        TEST(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
