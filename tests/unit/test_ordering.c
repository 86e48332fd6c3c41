/* test_ordering.c - what endpoints say about order, and which queue an event joins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/endpoint_config.h"
#include "core/ordering.h"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    return value;
}

static void test_what_endpoints_say(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
        enum ordering ordering;
    } table[] = {
        {"\"endpoint\"", ST_OK, ORDERING_ENDPOINT}, {"\"key\"", ST_OK, ORDERING_KEY},
        {"\"keys\"", ST_RANGE, ORDERING_NONE},      {"\"ke\"", ST_RANGE, ORDERING_NONE},
        {"\"\"", ST_RANGE, ORDERING_NONE},          {"\"key\\u0000\"", ST_RANGE, ORDERING_NONE},
        {"\"KEY\"", ST_RANGE, ORDERING_NONE},       {"1", ST_RANGE, ORDERING_NONE},
        {"true", ST_RANGE, ORDERING_NONE},          {"[\"key\"]", ST_RANGE, ORDERING_NONE},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct field_error error = {0};
        enum ordering ordering = ORDERING_NONE;
        json_t *value = parse(table[i].text);
        assert_int_equal(ordering_parse(value, &ordering, &error), table[i].status);
        assert_int_equal(ordering, table[i].ordering);
        if (table[i].status != ST_OK) {
            assert_string_equal(error.code, "invalid_ordering");
            assert_string_equal(error.field, "ordering");
        }
        json_decref(value);
    }
}

static void test_what_a_dead_letter_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
        bool blocks;
    } table[] = {
        {"\"skip\"", ST_OK, false}, {"\"block\"", ST_OK, true}, {"\"blocks\"", ST_RANGE, false},
        {"\"\"", ST_RANGE, false},  {"false", ST_RANGE, false}, {"{}", ST_RANGE, false},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct field_error error = {0};
        bool blocks = true;
        json_t *value = parse(table[i].text);
        assert_int_equal(ordering_blocks_parse(value, &blocks, &error), table[i].status);
        assert_int_equal(blocks, table[i].blocks);
        if (table[i].status != ST_OK)
            assert_string_equal(error.code, "invalid_on_dead_letter");
        json_decref(value);
    }
}

/* What is read has a name, and is read again by it. */
static void test_names(void **state)
{
    (void)state;
    assert_null(ordering_name(ORDERING_NONE));
    for (enum ordering is = ORDERING_ENDPOINT; is <= ORDERING_KEY; is++) {
        struct field_error error;
        enum ordering read = ORDERING_NONE;
        json_t *value = json_string(ordering_name(is));
        assert_int_equal(ordering_parse(value, &read, &error), ST_OK);
        assert_int_equal(read, is);
        json_decref(value);
    }
}

/* Who is ordered, by what the endpoint says and what the event has. An empty key is one. */
static void test_who_is_ordered(void **state)
{
    (void)state;
    static const struct {
        enum ordering ordering;
        struct slice key;
        bool ordered;
    } table[] = {
        {ORDERING_NONE, SLICE_NULL, false},    {ORDERING_NONE, SLICE("k"), false},
        {ORDERING_ENDPOINT, SLICE_NULL, true}, {ORDERING_ENDPOINT, SLICE("k"), true},
        {ORDERING_KEY, SLICE_NULL, false},     {ORDERING_KEY, SLICE("k"), true},
        {ORDERING_KEY, SLICE(""), true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint8_t hash[ORDER_HASH_BYTES];
        struct endpoint_config config = {.ordering = table[i].ordering};
        struct event_record record = {.ordering_key = table[i].key};
        assert_int_equal(ordering_takes(&config, &record), table[i].ordered);
        assert_int_equal(ordering_hash(&config, &record, hash),
                         table[i].ordered ? ST_OK : ST_NOTFOUND);
    }
}

static void hash_of(enum ordering ordering, struct slice key, uint8_t hash[ORDER_HASH_BYTES])
{
    struct endpoint_config config = {.ordering = ordering};
    struct event_record record = {.application = SLICE("default"), .ordering_key = key};
    assert_int_equal(ordering_hash(&config, &record, hash), ST_OK);
}

/* The hashes are in Redis, where events of other versions wait: they never change. */
static void test_hashes(void **state)
{
    (void)state;
    /* Half the SHA-256 of "default", a NUL and the key. */
    static const uint8_t of_abc[ORDER_HASH_BYTES] = {0xfa, 0x59, 0x7a, 0xb6, 0x10, 0x03,
                                                     0x72, 0x4b, 0x89, 0x30, 0x71, 0xf5,
                                                     0x8e, 0x20, 0xe8, 0xf8};
    static const uint8_t zeros[ORDER_HASH_BYTES];
    uint8_t hash[ORDER_HASH_BYTES], other[ORDER_HASH_BYTES];
    hash_of(ORDERING_KEY, SLICE("abc"), hash);
    assert_memory_equal(hash, of_abc, sizeof(hash));
    hash_of(ORDERING_KEY, SLICE("abc\0"), other);
    assert_memory_not_equal(hash, other, sizeof(hash));
    hash_of(ORDERING_ENDPOINT, SLICE("abc"), hash); /* one queue for all */
    assert_memory_equal(hash, zeros, sizeof(hash));
    hash_of(ORDERING_ENDPOINT, SLICE_NULL, hash);
    assert_memory_equal(hash, zeros, sizeof(hash));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_endpoints_say),
        cmocka_unit_test(test_what_a_dead_letter_does),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_who_is_ordered),
        cmocka_unit_test(test_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
