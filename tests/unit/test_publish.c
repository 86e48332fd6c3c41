/* test_publish.c - received events on their way into Redis: each key counts once, whichever of two
 * processes it comes to and however near in time; a duplicate that is to be forwarded is stored
 * and says so; events are stored in the order in which they came. Two data paths run on one loop
 * and share a Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/core.h"
#include "core/publish.h"
#include "endpoint_rules.h"
#include "redis_fixture.h"

enum { REPLICAS = 2, ANSWERS_MAX = 4096, DAY_MS = 24 * 60 * 60 * 1000 };

struct process {
    struct registry *registry;
    struct store *store;
    struct core *core;
};

/* What one publisher was told. */
struct answer {
    bool came;
    size_t place; /* among all answers */
    enum publish_verdict verdict;
    char event_id[ID_TEXT_MAX];
};

static struct server server;
static struct loop loop;
static struct endpoint_rules rules;
static struct process processes[REPLICAS];
static struct answer answers[ANSWERS_MAX];
static size_t asked, came;

static void on_store_state(void *arg, bool ready)
{
    struct process *process = arg;
    if (ready)
        core_store_ready(process->core);
    else
        core_store_lost(process->core);
}

static bool is_loaded(void *arg)
{
    (void)arg;
    for (int i = 0; i < REPLICAS; i++)
        if (!processes[i].core->loaded || !store_ready(processes[i].store))
            return false;
    return true;
}

static void process_start(struct process *process, const char *incarnation)
{
    const struct core_options options = {.batch_events_max = 64,
                                         .batch_bytes_max = 1024 * 1024,
                                         .publish_timeout_ms = PATIENCE_MS,
                                         .journal_batches_max = 10000,
                                         .idempotency_ttl_ms = DAY_MS,
                                         .idempotency_keys_max = 100000,
                                         .history_ttl_ms = DAY_MS,
                                         .history_bytes_max = 1 << 30,
                                         .deliveries_max = 10000,
                                         .bytes_max = 1 << 30,
                                         .queued_per_endpoint_max = 1000,
                                         .in_flight_max = 10,
                                         .lease_ms = 60000,
                                         .heartbeat_ms = 1000,
                                         .endpoints_max = 100};
    struct store_options store = {
        .redis = {.unix_path = server.socket}, .key_prefix = "tl", .incarnation = incarnation};
    process->registry = registry_new(&rules);
    process->store = store_new(loop.reactor, &store, on_store_state, process);
    assert_true(process->registry && process->store);
    process->core = core_new(&options, loop.reactor, process->store, process->registry, NULL);
    assert_non_null(process->core);
}

static int setup(void **state)
{
    (void)state;
    server_start(&server, NULL);
    loop_start(&loop);
    rules = test_rules_new();
    process_start(&processes[0], "00000000000000aa");
    process_start(&processes[1], "00000000000000bb");
    loop_until(&loop, is_loaded, NULL);
    memset(answers, 0, sizeof(answers));
    asked = came = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < REPLICAS; i++)
        store_free(processes[i].store);
    for (int i = 0; i < REPLICAS; i++) {
        core_free(processes[i].core);
        registry_free(processes[i].registry);
    }
    test_rules_free(&rules);
    loop_end(&loop);
    server_end(&server);
    return 0;
}

/* ---- Publishing ----------------------------------------------------------------------------- */

static void on_answer(void *arg, enum publish_verdict verdict, const char *event_id,
                      uint32_t deliveries)
{
    struct answer *answer = arg;
    assert_false(answer->came);
    assert_int_equal(deliveries, 0);
    *answer = (struct answer){.came = true, .place = came++, .verdict = verdict};
    snprintf(answer->event_id, sizeof(answer->event_id), "%s", event_id);
}

static bool all_came(void *arg)
{
    (void)arg;
    return came == asked;
}

static bool more_came(void *arg)
{
    const size_t *before = arg;
    return came > *before;
}

static struct publish_item item_of(const char *source, const char *key, enum dedup_policy policy)
{
    return (struct publish_item){.record = {.application = SLICE("default"),
                                            .type = SLICE("github.push"),
                                            .source = slice_str(source),
                                            .data = SLICE("ref=main"),
                                            .timestamp_ms = 1700000000000,
                                            .received_ms = 1700000000001,
                                            .content_type = SLICE("text/plain"),
                                            .headers = SLICE("X-Signature: 1\0"),
                                            .data_kind = EVENT_DATA_TEXT,
                                            .verified = true},
                                 .dedup = {slice_str(key), DAY_MS, policy}};
}

/* Nothing is answered before the loop goes on. */
static struct answer *publish(struct process *process, const struct publish_item *item)
{
    enum publish_verdict why;
    struct answer *answer = &answers[asked++];
    assert_true(asked <= ANSWERS_MAX);
    assert_int_equal(publish_event(process->core->publish, item, on_answer, answer, &why), ST_OK);
    assert_false(answer->came);
    return answer;
}

static struct answer *publish_now(struct process *process, const struct publish_item *item)
{
    struct answer *answer = publish(process, item);
    loop_until(&loop, all_came, NULL);
    return answer;
}

/* ---- What Redis has ------------------------------------------------------------------------- */

static struct {
    bool came;
    struct batch *batch;
    char name[BATCH_ID_TEXT];
} blob;

static void on_blob(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    assert_int_equal(status, ST_OK);
    assert_int_equal(redis_value_type(reply), REDIS_STRING);
    assert_int_equal(batch_load(blob.name, redis_value_text(reply), &blob.batch), ST_OK);
    blob.came = true;
}

static bool blob_came(void *arg)
{
    (void)arg;
    return blob.came;
}

/* The event as it is kept; its batch is the caller's to put. */
static const struct message *stored(const char *event_id)
{
    struct id id;
    struct store_key key;
    assert_int_equal(id_parse(slice_str(event_id), "msg_", &id), ST_OK);
    batch_name_of(&id, blob.name);
    blob.came = false;
    struct slice words[] = {SLICE("GET"), store_key(processes[0].store, &key, "batch", blob.name)};
    assert_int_equal(store_query(processes[0].store, words, 2, on_blob, NULL), ST_OK);
    loop_until(&loop, blob_came, NULL);
    const struct message *message = batch_find(blob.batch, &id);
    assert_non_null(message);
    return message;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* Of a hundred keys that come to both processes at once, several times each, every one is accepted
 * once, and all others are told the id of that event. */
static void test_each_key_counts_once(void **state)
{
    (void)state;
    enum { KEYS = 100, TIMES = 4 };
    char key[16];
    for (int time = 0; time < TIMES; time++) {
        for (int i = 0; i < KEYS * REPLICAS; i++) {
            snprintf(key, sizeof(key), "%d", i / REPLICAS);
            struct publish_item item = item_of("github", key, DEDUP_DROP);
            (void)publish(&processes[i % REPLICAS], &item);
        }
        if (time % 2)
            loop_until(&loop, all_came, NULL);
    }
    loop_until(&loop, all_came, NULL);
    for (int i = 0; i < KEYS; i++) {
        const char *first = NULL;
        for (int k = 0; k < TIMES * REPLICAS; k++) {
            const struct answer *answer =
                &answers[k / REPLICAS * KEYS * REPLICAS + i * REPLICAS + k % REPLICAS];
            assert_string_not_equal(answer->event_id, "");
            if (answer->verdict == PUBLISH_ACCEPTED)
                assert_null(first);
            else
                assert_int_equal(answer->verdict, PUBLISH_DUPLICATE);
            if (answer->verdict == PUBLISH_ACCEPTED)
                first = answer->event_id;
        }
        assert_non_null(first);
        for (int k = 0; k < TIMES * REPLICAS; k++)
            assert_string_equal(
                answers[k / REPLICAS * KEYS * REPLICAS + i * REPLICAS + k % REPLICAS].event_id,
                first);
    }
}

/* The same text is another key for another source, another application, and as an idempotency key;
 * without a key nothing is a duplicate. */
static void test_whose_keys_they_are(void **state)
{
    (void)state;
    struct publish_item item = item_of("github", "1", DEDUP_DROP);
    struct publish_item other = item_of("gitlab", "1", DEDUP_DROP);
    struct publish_item tenant = item;
    struct publish_item plain = {.record = {.application = SLICE("default"),
                                            .type = SLICE("a"),
                                            .source = SLICE("github"),
                                            .data = SLICE("{}")},
                                 .idempotency_key = SLICE("1")};
    struct publish_item keyless = item;
    tenant.record.application = SLICE("another");
    keyless.dedup.key = SLICE_NULL;
    const struct publish_item *items[] = {&item, &other, &tenant, &plain, &keyless, &keyless};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 6; i++) {
            enum publish_verdict expected =
                round == 0 || items[i] == &keyless ? PUBLISH_ACCEPTED : PUBLISH_DUPLICATE;
            assert_int_equal(publish_now(&processes[i % REPLICAS], items[i])->verdict, expected);
        }
    }
}

/* A body that differs does not make it another event, nor a misuse of the key. */
static void test_the_body_plays_no_part(void **state)
{
    (void)state;
    struct publish_item item = item_of("github", "1", DEDUP_DROP);
    const struct answer *first = publish_now(&processes[0], &item);
    item.record.data = SLICE("another");
    item.raw = SLICE("another");
    const struct answer *second = publish_now(&processes[1], &item);
    assert_int_equal(second->verdict, PUBLISH_DUPLICATE);
    assert_string_equal(second->event_id, first->event_id);
}

/* It is an event of its own, with all that was received, and names the first. */
static void test_a_duplicate_is_forwarded(void **state)
{
    (void)state;
    struct publish_item item = item_of("github", "1", DEDUP_FORWARD);
    const struct answer *first = publish_now(&processes[0], &item);
    const struct answer *again[] = {publish(&processes[1], &item), publish(&processes[0], &item),
                                    publish(&processes[0], &item)};
    loop_until(&loop, all_came, NULL);
    assert_int_equal(first->verdict, PUBLISH_ACCEPTED);
    const struct message *message = stored(first->event_id);
    assert_null(message->record.duplicate_of.ptr);
    batch_put(blob.batch);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(again[i]->verdict, PUBLISH_REPEATED);
        assert_string_not_equal(again[i]->event_id, first->event_id);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(again[i]->event_id, again[k]->event_id);
        const struct event_record *record = &stored(again[i]->event_id)->record;
        assert_true(slice_eq(record->duplicate_of, slice_str(first->event_id)));
        assert_true(slice_eq(record->data, item.record.data));
        assert_true(slice_eq(record->headers, item.record.headers));
        assert_true(slice_eq(record->content_type, item.record.content_type));
        assert_true(slice_eq(record->source, item.record.source));
        assert_int_equal(record->data_kind, EVENT_DATA_TEXT);
        assert_true(record->verified && record->received_ms == item.record.received_ms);
        batch_put(blob.batch);
    }
}

/* With both policies at once, as while a source is being changed: dropped ones are told the first
 * event, never one that is a duplicate itself. */
static void test_policies_side_by_side(void **state)
{
    (void)state;
    struct publish_item drop = item_of("github", "1", DEDUP_DROP);
    struct publish_item forward = item_of("github", "1", DEDUP_FORWARD);
    const struct answer *first = publish_now(&processes[1], &forward);
    const struct answer *second = publish_now(&processes[0], &forward);
    const struct answer *third = publish_now(&processes[0], &drop);
    assert_int_equal(second->verdict, PUBLISH_REPEATED);
    assert_int_equal(third->verdict, PUBLISH_DUPLICATE);
    assert_string_equal(third->event_id, first->event_id);
}

static bool time_passed(void *arg)
{
    reactor_wake(loop.reactor);
    return clock_mono_ms() > *(const uint64_t *)arg;
}

/* Each key is forgotten in its own time. */
static void test_a_key_expires_by_itself(void **state)
{
    (void)state;
    struct publish_item brief = item_of("github", "1", DEDUP_DROP);
    struct publish_item lasting = item_of("github", "2", DEDUP_DROP);
    brief.dedup.ttl_ms = 1;
    (void)publish(&processes[0], &brief);
    (void)publish(&processes[0], &lasting);
    loop_until(&loop, all_came, NULL);
    uint64_t until_ms = clock_mono_ms() + 5;
    loop_until(&loop, time_passed, &until_ms);
    assert_int_equal(publish_now(&processes[1], &brief)->verdict, PUBLISH_ACCEPTED);
    assert_int_equal(publish_now(&processes[1], &lasting)->verdict, PUBLISH_DUPLICATE);
}

static void on_raised(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    assert_int_equal(status, ST_OK);
    assert_int_equal(redis_value_type(reply), REDIS_INTEGER);
}

/* Two hundred events a turn, in several batches, while the endpoints are changed elsewhere all the
 * time: batches are refused as outdated and matched anew, and what was accepted first is still
 * stored first. Redis answers in the order in which it stores. */
static void test_outdated_batches_keep_their_order(void **state)
{
    enum { TURNS = 10, EVENTS = 200 };
    (void)state;
    struct store *other = processes[1].store;
    struct store_key config;
    struct slice raise[] = {SLICE("HINCRBY"), store_key(other, &config, "config", NULL),
                            SLICE("version"), SLICE("1")};
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < EVENTS; i++) {
            struct publish_item item = item_of("order", "", DEDUP_DROP);
            item.dedup.key = SLICE_NULL;
            publish(&processes[0], &item);
        }
        assert_int_equal(store_query(other, raise, 4, on_raised, NULL), ST_OK);
        size_t before = came;
        loop_until(&loop, more_came, &before);
    }
    loop_until(&loop, all_came, NULL);
    assert_true(processes[0].core->stats.batches_outdated > 1);
    for (size_t i = 0; i < asked; i++) {
        assert_int_equal(answers[i].verdict, PUBLISH_ACCEPTED);
        assert_int_equal(answers[i].place, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_key_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whose_keys_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_body_plays_no_part, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_duplicate_is_forwarded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policies_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_expires_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outdated_batches_keep_their_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
