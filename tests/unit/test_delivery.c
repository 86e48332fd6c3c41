/* test_delivery.c - a delivery holds its endpoint and its message, and lets go of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/delivery.h"

static struct message *message_of(const struct id *id)
{
    struct buf record;
    struct message *message;
    buf_init(&record, 1000);
    event_record_write(&record, &(struct event_record){.application = SLICE("default"),
                                                       .type = SLICE("a"),
                                                       .data = SLICE("{}")});
    assert_int_equal(message_load(id, buf_slice(&record), &message), ST_OK);
    buf_free(&record);
    return message;
}

/* It keeps both alive when everybody else has let go. */
static void test_holds_both(void **state)
{
    (void)state;
    struct id endpoint_id = {{1}}, event_id = {{0}};
    id_set_time(&event_id, 1700000000120);
    struct endpoint *endpoint = endpoint_new_deleted(&endpoint_id);
    struct message *message = message_of(&event_id);
    assert_non_null(endpoint);
    struct delivery *delivery = delivery_new(endpoint, message, 77);
    assert_non_null(delivery);
    assert_int_equal(endpoint->refs, 2);
    assert_int_equal(message->refs, 2);
    endpoint_put(endpoint);
    message_put(message);

    assert_ptr_equal(delivery->endpoint, endpoint);
    assert_ptr_equal(delivery->message, message);
    assert_true(id_eq(&delivery->endpoint->id, &endpoint_id));
    assert_true(slice_eq(delivery->message->record.data, SLICE("{}")));
    assert_int_equal(delivery->ordinal, 77);
    assert_true(delivery->accepted_at_ms == 1700000000120);

    /* A new one is queued nowhere, was never sent and has no lease. */
    assert_int_equal(delivery->phase, DELIVERY_QUEUED);
    assert_false(list_linked(&delivery->node));
    assert_int_equal(delivery->attempts, 0);
    assert_true(delivery->lease == 0 && delivery->accepted_us == 0 && !delivery->attempt);
    assert_false(delivery->moving || delivery->held_in_hand || delivery->renewing);
    assert_null(delivery->held);
    assert_false(delivery->ordered); /* nor does anything wait for it */
    delivery_free(delivery);
    delivery_free(NULL);
}

/* Of a batch's message it is the batch that is held. */
static void test_holds_the_batch(void **state)
{
    (void)state;
    struct id endpoint_id = {{1}}, event_id;
    struct batch *batch = batch_new(1700000000000, 5, 10000, NULL, 0);
    struct event_record record = {.application = SLICE("default"), .type = SLICE("a")};
    record.data = SLICE("[]");
    assert_non_null(batch);
    assert_int_equal(batch_add(batch, &record, slice_of(endpoint_id.bytes, 20), &event_id), ST_OK);
    assert_int_equal(batch_parse(batch), ST_OK);
    struct endpoint *endpoint = endpoint_new_deleted(&endpoint_id);
    struct delivery *one = delivery_new(endpoint, &batch->messages[0], 0);
    struct delivery *two = delivery_new(endpoint, &batch->messages[0], 0);
    assert_true(one && two);
    assert_int_equal(batch->refs, 3);
    assert_int_equal(endpoint->refs, 3);
    batch_put(batch);
    delivery_free(one);
    assert_true(slice_eq(two->message->record.data, SLICE("[]")));
    delivery_free(two);
    assert_int_equal(endpoint->refs, 1);
    endpoint_put(endpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_both),
        cmocka_unit_test(test_holds_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
