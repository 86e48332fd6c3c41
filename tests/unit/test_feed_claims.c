/* test_feed_claims.c - ids of streams' entries, and how publish.lua is told of those of a batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/feed_claims.h"

/* ---- Ids ------------------------------------------------------------------------------------ */

/* What is an id, and that it is written as it was read. */
static void test_ids(void **state)
{
    static const struct {
        const char *text;
        enum status status;
        struct stream_id id;
    } rows[] = {
        {"0-0", ST_OK, {0, 0}},
        {"1795398226958-12", ST_OK, {1795398226958, 12}},
        {"18446744073709551615-18446744073709551615", ST_OK, {UINT64_MAX, UINT64_MAX}},
        {"18446744073709551616-0", ST_SYNTAX, {0, 0}},
        {"1", ST_SYNTAX, {0, 0}},
        {"1-", ST_SYNTAX, {0, 0}},
        {"-1", ST_SYNTAX, {0, 0}},
        {"1-2-3", ST_SYNTAX, {0, 0}},
        {"a-1", ST_SYNTAX, {0, 0}},
        {"", ST_SYNTAX, {0, 0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stream_id id;
        char text[STREAM_ID_TEXT];
        assert_int_equal(stream_id_parse(slice_str(rows[i].text), &id), rows[i].status);
        if (rows[i].status != ST_OK)
            continue;
        assert_int_equal(stream_id_compare(&id, &rows[i].id), 0);
        assert_true(slice_eq(stream_id_format(&id, text), slice_str(rows[i].text)));
        assert_string_equal(text, rows[i].text);
    }
}

/* The order is that of Redis, and the next one is right behind. */
static void test_order(void **state)
{
    static const struct stream_id ids[] = {{0, 0},  {0, 1},  {0, UINT64_MAX},         {1, 0},
                                           {9, 10}, {10, 9}, {UINT64_MAX, UINT64_MAX}};
    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        for (size_t k = 0; k < sizeof(ids) / sizeof(ids[0]); k++) {
            int order = stream_id_compare(&ids[i], &ids[k]);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    struct stream_id next = stream_id_next(&ids[0]);
    assert_int_equal(stream_id_compare(&next, &ids[1]), 0);
    next = stream_id_next(&ids[2]);
    assert_int_equal(stream_id_compare(&next, &ids[3]), 0);
    next = stream_id_next(&ids[6]);
    assert_int_equal(stream_id_compare(&next, &ids[6]), 0);
}

/* ---- Claims --------------------------------------------------------------------------------- */

static void expect_claim(const struct feed_claim *claim, const char *runs, const char *ids,
                         size_t count)
{
    assert_true(slice_eq(buf_slice(&claim->runs), slice_str(runs)));
    assert_true(slice_eq(buf_slice(&claim->ids), slice_str(ids)));
    assert_int_equal(claim->numbers.len, 12 * count);
}

/* A row is unbroken as long as each entry was read right behind the one before it. */
static void test_rows(void **state)
{
    static const struct feed_entry entries[] = {
        {"", {5, 0}, {0, 0}},  {"", {5, 1}, {5, 0}}, {"", {7, UINT64_MAX}, {5, 1}},
        {"x", {1, 1}, {0, 0}}, {"", {9, 0}, {8, 0}}, {"", {9, 1}, {9, 0}},
        {"x", {2, 2}, {1, 1}}, {"", {9, 5}, {0, 0}},
    };
    struct feed_claims claims = {.count = 0};
    static const char first[] = "", other[] = "x";
    (void)state;
    for (uint32_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        struct feed_entry entry = entries[i];
        entry.feed = entry.feed[0] ? other : first;
        feed_claims_add(&claims, &entry, i, 1, 0x01020304 + i);
    }
    assert_int_equal(feed_claims_end(&claims), ST_OK);
    assert_int_equal(claims.count, 2);
    expect_claim(&claims.streams[0], "5-0 8-0 3 9-0 9-2 2 9-5 9-6 1 ",
                 "5-0 5-1 7-18446744073709551615 9-0 9-1 9-5 ", 6);
    expect_claim(&claims.streams[1], "1-1 2-3 2 ", "1-1 2-2 ", 2);
    static const uint8_t numbers[] = {3, 0, 0, 0, 1, 0, 0, 0, 7, 3, 2, 1};
    assert_memory_equal(claims.streams[1].numbers.ptr, numbers, sizeof(numbers));
    feed_claims_free(&claims);
}

/* Behind the greatest id nothing can be cut off: its row begins like no stream. */
static void test_greatest(void **state)
{
    const struct feed_entry entries[] = {{"", {1, 1}, {0, 0}},
                                         {"", {UINT64_MAX, UINT64_MAX}, {1, 1}}};
    struct feed_claims claims = {.count = 0};
    static const char feed[] = "";
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct feed_entry entry = entries[i];
        entry.feed = feed;
        feed_claims_add(&claims, &entry, i, 1, i);
    }
    assert_int_equal(feed_claims_end(&claims), ST_OK);
    expect_claim(&claims.streams[0], "0-0 18446744073709551615-18446744073709551615 2 ",
                 "1-1 18446744073709551615-18446744073709551615 ", 2);
    feed_claims_free(&claims);
}

/* A batch without entries has no claims, and there is nothing to free. */
static void test_none(void **state)
{
    struct feed_claims claims = {.count = 0};
    (void)state;
    assert_int_equal(feed_claims_end(&claims), ST_OK);
    assert_int_equal(claims.count, 0);
    feed_claims_free(&claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),      cmocka_unit_test(test_order), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_greatest), cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
