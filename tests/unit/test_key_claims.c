/* test_key_claims.c - what publish.lua is told of keys, and what Redis keeps for one, byte by byte:
 * other processes read it, and the script takes it apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/key_claims.h"

static const struct key_answer one = {
    .event = {.bytes = "abcdefghijklmnopqrst"},
    .fingerprint = UINT64_C(0x060504030201),
    .deliveries = 0x0d0c0b0a,
};
#define ONE_BYTES "abcdefghijklmnopqrst\x01\x02\x03\x04\x05\x06\x0a\x0b\x0c\x0d"

static void test_an_answer_is_what_was_written(void **state)
{
    (void)state;
    uint8_t bytes[KEY_ANSWER_BYTES];
    key_answer_write(bytes, KEY_UID, &one);
    assert_memory_equal(bytes, ONE_BYTES, KEY_ANSWER_BYTES);
    struct key_answer read;
    assert_int_equal(key_answer_read(slice_of(bytes, sizeof(bytes)), KEY_IDEMPOTENCY, &read),
                     ST_OK);
    assert_true(id_eq(&read.event, &one.event));
    assert_true(read.fingerprint == one.fingerprint && read.deliveries == one.deliveries);
}

/* The largest numbers fit, too: nothing of them is in the next member. */
static void test_the_largest_answer(void **state)
{
    (void)state;
    struct key_answer most = {.fingerprint = (UINT64_C(1) << KEY_FINGERPRINT_BITS) - 1,
                              .deliveries = UINT32_MAX};
    memset(most.event.bytes, 0xff, sizeof(most.event.bytes));
    uint8_t bytes[KEY_ANSWER_BYTES];
    key_answer_write(bytes, KEY_IDEMPOTENCY, &most);
    struct key_answer read;
    assert_int_equal(key_answer_read(slice_of(bytes, sizeof(bytes)), KEY_IDEMPOTENCY, &read),
                     ST_OK);
    assert_true(read.fingerprint == most.fingerprint && read.deliveries == most.deliveries);
}

/* Of a deduplication key: what names the batch, the time to live, the rest of the id. */
static void test_an_answer_with_a_time_to_live(void **state)
{
    (void)state;
    static const struct key_answer table[] = {
        {.event = {.bytes = "abcdefghijklmnopqrst"}, .ttl_ms = 0x060504030201, .deliveries = 7},
        {.event = {.bytes = "abcdefghijklmnopqrst"},
         .ttl_ms = (UINT64_C(1) << KEY_TTL_BITS) - 1,
         .deliveries = UINT32_MAX},
    };
    uint8_t bytes[KEY_ANSWER_BYTES];
    key_answer_write(bytes, KEY_DEDUP, &table[0]);
    assert_memory_equal(bytes, "abcdefghijklmno\1\2\3\4\5\6pqrst\7\0\0\0", KEY_ANSWER_BYTES);
    for (size_t i = 0; i < 2; i++) {
        struct key_answer read;
        key_answer_write(bytes, KEY_DEDUP, &table[i]);
        assert_int_equal(key_answer_read(slice_of(bytes, sizeof(bytes)), KEY_DEDUP, &read), ST_OK);
        assert_true(id_eq(&read.event, &table[i].event) && read.ttl_ms == table[i].ttl_ms &&
                    read.deliveries == table[i].deliveries && read.fingerprint == 0);
    }
}

static void test_what_is_no_answer(void **state)
{
    (void)state;
    struct key_answer read;
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++) {
        assert_int_equal(key_answer_read(SLICE_NULL, kind, &read), ST_SYNTAX);
        assert_int_equal(key_answer_read(slice_of(ONE_BYTES, KEY_ANSWER_BYTES - 1), kind, &read),
                         ST_SYNTAX);
        assert_int_equal(key_answer_read(slice_of(ONE_BYTES, KEY_ANSWER_BYTES + 1), kind, &read),
                         ST_SYNTAX);
    }
}

static void assert_bytes(struct slice list, const char *bytes, size_t len)
{
    assert_int_equal(list.len, len);
    assert_memory_equal(list.ptr, bytes, len);
}

/* Four events: an idempotency key, a uid, both, a deduplication key and a uid. Each list follows
 * those that have such a key. */
static void test_each_kind_has_lists_of_its_own(void **state)
{
    (void)state;
    static const uint8_t *const i1 = (const uint8_t *)"idempotency key1";
    static const uint8_t *const i3 = (const uint8_t *)"idempotency key3";
    static const uint8_t *const u2 = (const uint8_t *)"uid of number  2";
    static const uint8_t *const u3 = (const uint8_t *)"uid of number  3";
    static const uint8_t *const u4 = (const uint8_t *)"uid of number  4";
    static const uint8_t *const d4 = (const uint8_t *)"dedup key of n 4";
    static const struct key_claim table[] = {
        {{i1, NULL, NULL}, {{"the event of number1"}, 0, 0, 1}, 0, 1, 0x10203},
        {{NULL, u2, NULL}, {{"the event of number2"}, 0, 0, 2}, 1, 2, 4},
        {{i3, u3, NULL}, {{"the event of number3"}, 0, 0, 3}, 0x01020304, UINT32_MAX, 5},
        {{NULL, u4, d4}, {{"the event of number4"}, 0, 258, 4}, 6, 7, 8},
    };
    struct key_claims claims;
    assert_int_equal(key_claims_init(&claims, 4), ST_OK);
    for (size_t i = 0; i < 4; i++)
        key_claims_add(&claims, &table[i]);
    assert_bytes(key_claims_numbers(&claims),
                 "\1\0\0\0\0\1\0\0\0\3\2\1\0"
                 "\2\1\0\0\0\2\0\0\0\4\0\0\0"
                 "\3\4\3\2\1\xff\xff\xff\xff\5\0\0\0"
                 "\6\6\0\0\0\7\0\0\0\10\0\0\0",
                 52);
    assert_bytes(key_claims_members(&claims, KEY_IDEMPOTENCY), "idempotency key1idempotency key3",
                 32);
    assert_bytes(key_claims_members(&claims, KEY_UID),
                 "uid of number  2uid of number  3uid of number  4", 48);
    assert_bytes(key_claims_members(&claims, KEY_DEDUP), "dedup key of n 4", 16);
    assert_bytes(key_claims_pairs(&claims, KEY_DEDUP),
                 "dedup key of n 4the event of nu\2\1\0\0\0\0mber4\4\0\0\0", 46);
    assert_bytes(key_claims_pairs(&claims, KEY_IDEMPOTENCY),
                 "idempotency key1the event of number1\0\0\0\0\0\0\1\0\0\0"
                 "idempotency key3the event of number3\0\0\0\0\0\0\3\0\0\0",
                 92);
    assert_bytes(key_claims_pairs(&claims, KEY_UID),
                 "uid of number  2the event of number2\0\0\0\0\0\0\2\0\0\0"
                 "uid of number  3the event of number3\0\0\0\0\0\0\3\0\0\0"
                 "uid of number  4the event of number4\0\0\0\0\0\0\4\0\0\0",
                 138);
    key_claims_free(&claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_is_what_was_written),
        cmocka_unit_test(test_the_largest_answer),
        cmocka_unit_test(test_an_answer_with_a_time_to_live),
        cmocka_unit_test(test_what_is_no_answer),
        cmocka_unit_test(test_each_kind_has_lists_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
