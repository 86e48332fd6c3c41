/* test_id.c - ids as bytes, as text, and in the order of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/id.h"
#include "base/rng.h"

#define NOW_MS UINT64_C(1795321434123) /* 2026-11-22 */

/* Texts computed with Python's long integers. */
static void test_known_texts(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[20];
        const char *text;
    } cases[] = {
        {{0}, "msg_000000000000000000000000000"},
        {{[19] = 0x3d}, "msg_00000000000000000000000000z"},
        {{[12] = 1}, "msg_000000000000000005K1WLnfhB2"},
        {{0x80}, "msg_IGL7CjsVwtKIpwDUchXIyyLU40G"},
        {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19},
         "msg_0029sS3yqsuDyR1vGFhTuuRAq1b"},
        {{255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
          255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
         "msg_aWgEPTl1tmebfsQzFP4bxwgy80V"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct id id, back;
        char text[ID_TEXT_MAX];
        memcpy(id.bytes, cases[i].bytes, sizeof(id.bytes));
        assert_int_equal(id_format(text, "msg_", &id), 31);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(id_parse(slice_str(text), "msg_", &back), ST_OK);
        assert_true(id_eq(&id, &back));
    }
}

/* Whatever the bytes: text and back gives the same, and texts compare as the bytes do. */
static void test_round_trip_and_order(void **state)
{
    (void)state;
    struct rng rng;
    struct id previous = {{0}};
    char previous_text[ID_TEXT_MAX];
    rng_seed(&rng, 11);
    id_format(previous_text, "ep_", &previous);
    for (int round = 0; round < 50000; round++) {
        struct id id = previous, back;
        char text[ID_TEXT_MAX];
        /* Often a common beginning, and often bytes of all ones and zeros, where carries happen. */
        for (size_t i = (size_t)rng_below(&rng, 20); i < 20; i++) {
            uint64_t kind = rng_below(&rng, 4);
            id.bytes[i] = kind == 0 ? 0 : kind == 1 ? 0xff : (uint8_t)rng_next(&rng);
        }
        assert_int_equal(id_format(text, "ep_", &id), 30);
        assert_int_equal(strlen(text), 30);
        assert_int_equal(id_parse(slice_str(text), "ep_", &back), ST_OK);
        assert_memory_equal(id.bytes, back.bytes, sizeof(id.bytes));
        int by_bytes = memcmp(previous.bytes, id.bytes, sizeof(id.bytes));
        int by_text = strcmp(previous_text, text);
        assert_true((by_bytes < 0) == (by_text < 0) && (by_bytes == 0) == (by_text == 0));
        previous = id;
        memcpy(previous_text, text, sizeof(text));
    }
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const struct slice cases[] = {
        {NULL, 0},
        {"msg_", 4},
        {"msg_00000000000000000000000000", 30},   /* too short */
        {"msg_0000000000000000000000000000", 32}, /* too long */
        {"ep_0000000000000000000000000000", 31},  /* another prefix */
        {"MSG_000000000000000000000000000", 31},
        {"msg-000000000000000000000000000", 31},
        {"msg_aWgEPTl1tmebfsQzFP4bxwgy80W", 31}, /* 2^160 */
        {"msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz", 31},
        {"msg_aWgEPTl1tmebfsQzFP500000000", 31},
        {" msg_00000000000000000000000000", 31},
    };
    struct id id = {{42}}, before = id;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(id_parse(cases[i], "msg_", &id), ST_SYNTAX);
        assert_true(id_eq(&id, &before));
    }
    /* Every byte that is no digit is refused at every place. */
    for (size_t place = 4; place < 31; place++) {
        for (int c = 0; c < 256; c++) {
            char text[] = "msg_000000000000000000000000000";
            bool digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
            text[place] = (char)c;
            if (place == 4 && digit)
                continue; /* may be too large */
            assert_int_equal(id_parse(slice_of(text, 31), "msg_", &id), digit ? ST_OK : ST_SYNTAX);
        }
    }
}

/* The time is in the id to 4 ms, and later ids have later texts. */
static void test_time(void **state)
{
    (void)state;
    struct id id;
    char last[ID_TEXT_MAX] = "", text[ID_TEXT_MAX];
    for (uint64_t ms = NOW_MS; ms < NOW_MS + 4000; ms += 4) {
        id_new(&id, ms);
        assert_true(id_time_ms(&id) == ms / 4 * 4);
        id_format(text, "atmpt_", &id);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof(text));
    }
    for (uint64_t ms = NOW_MS; ms < NOW_MS + 1000; ms++) {
        id_new(&id, ms);
        assert_true(id_time_ms(&id) == ms - ms % 1000 % 4);
    }
}

/* Times that do not fit become the nearest that do. */
static void test_time_is_clamped(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms, expected;
    } cases[] = {
        {0, 1400000000000},
        {1399999999999, 1400000000000},
        {1400000000000, 1400000000000},
        {1400000000999, 1400000000996},
        {5694967295999, 5694967295996},
        {5694967296000, 5694967295996},
        {UINT64_MAX, 5694967295996},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct id id;
        memset(id.bytes, 0x77, sizeof(id.bytes));
        id_set_time(&id, cases[i].ms);
        assert_true(id_time_ms(&id) == cases[i].expected);
        for (size_t byte = 5; byte < sizeof(id.bytes); byte++)
            assert_int_equal(id.bytes[byte], 0x77); /* those behind the time stay */
    }
}

static void test_new_ids_differ(void **state)
{
    (void)state;
    struct id a, b;
    id_new(&a, NOW_MS);
    id_new(&b, NOW_MS);
    assert_false(id_eq(&a, &b));
    assert_memory_equal(a.bytes, b.bytes, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_texts),     cmocka_unit_test(test_round_trip_and_order),
        cmocka_unit_test(test_parse_refuses),   cmocka_unit_test(test_time),
        cmocka_unit_test(test_time_is_clamped), cmocka_unit_test(test_new_ids_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
