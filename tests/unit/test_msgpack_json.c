/* test_msgpack_json.c - msgpack as JSON: what each value becomes, what has no form and where it is,
 * and input that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/limits.h"
#include "wire/msgpack_json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A literal with NULs. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static struct buf out;
static struct field_error error;

/* On a copy of exactly its size: what reads beyond it is seen. */
static enum status convert_to(struct slice bytes, size_t max, unsigned depth)
{
    char *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, bytes.ptr, bytes.len);
    struct mp_reader reader;
    mp_reader_init(&reader, slice_of(copy + 1, bytes.len));
    buf_free(&out);
    buf_init(&out, max);
    memset(&error, 0, sizeof(error));
    enum status status = msgpack_json(&reader, "data", depth, &out, &error);
    assert_true(status != ST_OK || mp_at_end(&reader));
    free(copy);
    return status;
}

static enum status convert(struct slice bytes)
{
    return convert_to(bytes, 1 << 20, LIMIT_JSON_DEPTH);
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&out);
    return 0;
}

static void expect_json(struct slice bytes, const char *json)
{
    assert_int_equal(convert(bytes), ST_OK);
    assert_true(slice_eq(buf_slice(&out), slice_str(json)));
    assert_int_equal(json_check(buf_slice(&out), NULL), ST_OK);
}

/* Each kind, and the borders of its forms. */
static void test_mapping(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *json;
    } table[] = {
        {BYTES("\xc0"), "null"},
        {BYTES("\xc2"), "false"},
        {BYTES("\xc3"), "true"},
        {BYTES("\x00"), "0"},
        {BYTES("\x7f"), "127"},
        {BYTES("\xff"), "-1"},
        {BYTES("\xe0"), "-32"},
        {BYTES("\xcc\xff"), "255"},
        {BYTES("\xd0\x80"), "-128"},
        {BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x05"), "5"},
        {BYTES("\xcf\x00\x20\x00\x00\x00\x00\x00\x01"), "9007199254740993"}, /* 2^53 + 1 */
        {BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), "9223372036854775807"},
        {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615"},
        {BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), "-9223372036854775808"},
        {BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1"},
        {BYTES("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), "-0.0"},
        {BYTES("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), "1.0"},
        {BYTES("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff"), "1.7976931348623157e308"},
        {BYTES("\xcb\x00\x00\x00\x00\x00\x00\x00\x01"), "5e-324"},
        {BYTES("\xca\x3d\xcc\xcc\xcd"), "0.1"},
        {BYTES("\xca\x00\x00\x00\x01"), "1e-45"},
        {BYTES("\xa0"), "\"\""},
        {BYTES("\xa5"
               "a\"\\\n\0"),
         "\"a\\\"\\\\\\n\\u0000\""},
        {BYTES("\xd9\x07"
               "gr\xc3\xbc\xc3\x9f!"),
         "\"gr\xc3\xbc\xc3\x9f!\""},
        {BYTES("\xda\x00\x04\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\""},
        {BYTES("\xdb\x00\x00\x00\x01x"), "\"x\""},
        {BYTES("\x90"), "[]"},
        {BYTES("\x93\x01\x90\xc0"), "[1,[],null]"},
        {BYTES("\xdc\x00\x01\x02"), "[2]"},
        {BYTES("\xdd\x00\x00\x00\x01\x02"), "[2]"},
        {BYTES("\x80"), "{}"},
        {BYTES("\x82\xa1"
               "b\x01\xa1"
               "a\x92\x80\x81\xa0\xc3"),
         "{\"b\":1,\"a\":[{},{\"\":true}]}"},
        {BYTES("\xde\x00\x01\xa1k\x03"), "{\"k\":3}"},
        {BYTES("\xdf\x00\x00\x00\x01\xa1k\x03"), "{\"k\":3}"},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        expect_json(table[i].bytes, table[i].json);
}

/* All three forms of a timestamp; nothing of it is lost. */
static void test_times(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *json;
    } table[] = {
        {BYTES("\xd6\xff\x00\x00\x00\x00"), "\"1970-01-01T00:00:00.000Z\""},
        {BYTES("\xd6\xff\xff\xff\xff\xff"), "\"2106-02-07T06:28:15.000Z\""},
        /* 1 ns, and 500 ms */
        {BYTES("\xd7\xff\x00\x00\x00\x04\x65\x53\xf1\x00"), "\"2023-11-14T22:13:20.000000001Z\""},
        {BYTES("\xd7\xff\x77\x35\x94\x00\x65\x53\xf1\x00"), "\"2023-11-14T22:13:20.500Z\""},
        {BYTES("\xc7\x0c\xff\x3b\x9a\xc9\xff\x00\x00\x00\x3a\xff\xf4\x41\x7f"),
         "\"9999-12-31T23:59:59.999999999Z\""},
        {BYTES("\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
         "\"1969-12-31T23:59:59.000Z\""},
        {BYTES("\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xf1\x86\x8b\x84\x00"),
         "\"0000-01-01T00:00:00.000Z\""},
        {BYTES("\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xf1\x88\x6e\x09\x00"),
         "\"0001-01-01T00:00:00.000000001Z\""},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        expect_json(table[i].bytes, table[i].json);
}

/* What has no form in JSON, and the path to it. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *code;
        const char *field;
    } table[] = {
        {BYTES("\xc4\x01x"), "unsupported_value", "data"},
        {BYTES("\x81\xa1k\xc4\x00"), "unsupported_value", "data.k"},
        {BYTES("\x82\xa1"
               "a\x00\xa5items\x94\x00\x00\x00\x82\xa3sku\x01\xa5price\xcb\x7f\xf8\x00\x00\x00\x00"
               "\x00\x00"),
         "unsupported_value", "data.items[3].price"},
        {BYTES("\x91\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), "unsupported_value", "data[0]"},
        {BYTES("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00"), "unsupported_value", "data"},
        {BYTES("\xca\x7f\xc0\x00\x00"), "unsupported_value", "data"},
        {BYTES("\xd4\x05\x00"), "unsupported_value", "data"},     /* another ext */
        {BYTES("\xd5\xff\x00\x00"), "unsupported_value", "data"}, /* ext -1, 2 bytes */
        {BYTES("\xd7\xff\xff\xff\xff\xfc\x00\x00\x00\x00"), "unsupported_value",
         "data"}, /* 2^30 - 1 ns */
        {BYTES("\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x3a\xff\xf4\x41\x80"), "unsupported_value",
         "data"}, /* the year 10000 */
        {BYTES("\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xf1\x86\x8b\x83\xff"), "unsupported_value",
         "data"}, /* the year -1 */
        {BYTES("\xc7\x0c\xff\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00"), "unsupported_value",
         "data"},
        {BYTES("\x81\xa1k\x81\x01\x02"), "unsupported_value", "data.k"}, /* key 1 */
        {BYTES("\x81\xc4\x01k\x02"), "unsupported_value", "data"},       /* key bin */
        {BYTES("\x92\x80\x82\xa1k\x01\xa1k\x01"), "unsupported_value", "data[1].k"},
        {BYTES("\xa1\xff"), "unsupported_value", "data"},
        {BYTES("\xa3\xed\xa0\x80"), "unsupported_value", "data"}, /* a surrogate */
        {BYTES("\x81\xa1\xff\x00"), "unsupported_value", "data.\xff"},
        {BYTES(""), "invalid_msgpack", "data"},
        {BYTES("\xc1"), "invalid_msgpack", "data"},
        {BYTES("\x92\x01"), "invalid_msgpack", "data"},
        {BYTES("\x93\x01\x02\xcd\x01"), "invalid_msgpack", "data[2]"},
        {BYTES("\x81\xa1k\xa2x"), "invalid_msgpack", "data.k"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        assert_int_equal(convert(table[i].bytes), ST_RANGE);
        assert_string_equal(error.code, table[i].code);
        assert_string_equal(error.field, table[i].field);
        assert_true(strlen(error.message) > 10);
        assert_int_equal(error.message[strlen(error.message) - 1], '.');
    }
}

/* A map of `count` keys, the last of which may be equal to another. */
static void write_map(struct buf *buf, uint32_t count, uint32_t last)
{
    mp_write_map(buf, count);
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i + 1 < count ? i : last);
        mp_write_str(buf, slice_str(key));
        mp_write_nil(buf);
    }
}

/* Equal keys are found wherever they are, in maps of any size, and only in one map. */
static void test_equal_keys(void **state)
{
    (void)state;
    struct buf map;
    buf_init(&map, 10 << 20);
    for (uint32_t count = 2; count < 40; count++)
        for (uint32_t last = 0; last < count; last++) {
            buf_clear(&map);
            mp_write_array(&map, 2);
            write_map(&map, 20, 19);
            write_map(&map, count, last);
            assert_int_equal(convert(buf_slice(&map)), last + 1 < count ? ST_RANGE : ST_OK);
            if (last + 1 < count) {
                char field[32];
                snprintf(field, sizeof(field), "data[1].k%u", last);
                assert_string_equal(error.field, field);
            }
        }
    buf_clear(&map);
    write_map(&map, 100000, 0);
    assert_int_equal(convert_to(buf_slice(&map), 10 << 20, 64), ST_RANGE);
    assert_string_equal(error.field, "data.k0");
    buf_clear(&map);
    write_map(&map, 100000, 99999);
    assert_int_equal(convert_to(buf_slice(&map), 10 << 20, 64), ST_OK);
    buf_free(&map);
}

/* Keys of maps in between do not disturb those of the map around them. */
static void test_keys_of_nested_maps(void **state)
{
    (void)state;
    struct buf map;
    buf_init(&map, 1 << 20);
    mp_write_map(&map, 30);
    for (unsigned i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i);
        mp_write_str(&map, slice_str(key));
        write_map(&map, 25, 24);
    }
    assert_int_equal(convert(buf_slice(&map)), ST_OK);
    map.ptr[map.len - 1] = (char)0xc1;
    assert_int_equal(convert(buf_slice(&map)), ST_RANGE);
    assert_string_equal(error.field, "data.k29.k24");
    buf_free(&map);
}

/* `depth` arrays, or maps, in one another. */
static struct slice nested(struct buf *buf, bool maps, unsigned depth)
{
    buf_clear(buf);
    for (unsigned i = 0; i < depth; i++) {
        if (maps && i > 0)
            mp_write_str(buf, SLICE("k"));
        maps ? mp_write_map(buf, 1) : mp_write_array(buf, 1);
    }
    if (maps)
        mp_write_str(buf, SLICE("k"));
    mp_write_nil(buf);
    return buf_slice(buf);
}

/* As deep as was said, and no deeper, however deep it is. */
static void test_depth(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1 << 20);
    for (int maps = 0; maps < 2; maps++)
        for (unsigned most = 1; most <= LIMIT_JSON_DEPTH; most += 21) {
            assert_int_equal(convert_to(nested(&buf, maps, most), 1 << 20, most), ST_OK);
            assert_int_equal(json_check(buf_slice(&out), NULL), ST_OK);
            assert_int_equal(convert_to(nested(&buf, maps, most + 1), 1 << 20, most), ST_RANGE);
            assert_string_equal(error.code, "json_too_deep");
            assert_int_equal(convert_to(nested(&buf, maps, 100000), 1 << 20, most), ST_RANGE);
            assert_string_equal(error.code, "json_too_deep");
        }
    buf_free(&buf);
}

/* Counts and lengths that the input does not have take neither memory nor time. */
static void test_lies(void **state)
{
    (void)state;
    static const struct slice lies[] = {
        BYTES("\xdd\xff\xff\xff\xff"),
        BYTES("\xdf\xff\xff\xff\xff\xa1k"),
        BYTES("\xdf\x7f\xff\xff\xff\xa1k\xdf\x7f\xff\xff\xff"),
        BYTES("\xdb\xff\xff\xff\xff"),
        BYTES("\xdb\xff\xff\xff\xffxxxx"),
        BYTES("\xc9\xff\xff\xff\xff\xff"),
        BYTES("\x91\xdd\x00\x00\x01\x00\x00\x00"),
    };
    for (size_t i = 0; i < COUNT(lies); i++) {
        assert_int_equal(convert(lies[i]), ST_RANGE);
        assert_string_equal(error.code, "invalid_msgpack");
        assert_true(out.cap < 1000);
    }
}

/* The output never has more than its maximum, and just as much is good. */
static void test_limit(void **state)
{
    (void)state;
    static const struct slice values[] = {
        BYTES("\x82\xa1"
              "a\xa4\x01\x02\x03\x04\xa1"
              "b\x92\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xc0"),
        BYTES("\xd6\xff\x00\x00\x00\x00"),
        BYTES("\xd7\xff\x00\x00\x00\x04\x65\x53\xf1\x00"),
        BYTES("\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xf1\x88\x6e\x09\x00"),
        BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        assert_int_equal(convert(values[i]), ST_OK);
        size_t len = out.len;
        assert_int_equal(convert_to(values[i], len, 64), ST_OK);
        for (size_t max = 0; max < len; max++) {
            assert_int_equal(convert_to(values[i], max, 64), ST_LIMIT);
            assert_true(out.len <= max);
        }
    }
}

/* A value is found behind others, and left before others. */
static void test_in_between(void **state)
{
    (void)state;
    struct mp_reader reader;
    buf_free(&out);
    buf_init(&out, 1000);
    buf_add_str(&out, "before");
    mp_reader_init(&reader, SLICE("\x05\x91\x06\x07"));
    assert_true(mp_read_u64(&reader) == 5);
    assert_int_equal(msgpack_json(&reader, "x", 1, &out, &error), ST_OK);
    assert_true(mp_read_u64(&reader) == 7);
    assert_true(slice_eq(buf_slice(&out), SLICE("before[6]")));
}

/* A path that does not fit is cut. */
static void test_long_path(void **state)
{
    (void)state;
    struct buf map;
    char key[200];
    memset(key, 'k', sizeof(key));
    buf_init(&map, 10000);
    for (int i = 0; i < 3; i++) {
        mp_write_map(&map, 1);
        mp_write_str(&map, slice_of(key, sizeof(key)));
    }
    mp_write_bin(&map, SLICE(""));
    assert_int_equal(convert(buf_slice(&map)), ST_RANGE);
    assert_int_equal(strlen(error.field), sizeof(error.field) - 1);
    buf_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_mapping, teardown),
        cmocka_unit_test_teardown(test_times, teardown),
        cmocka_unit_test_teardown(test_refused, teardown),
        cmocka_unit_test_teardown(test_equal_keys, teardown),
        cmocka_unit_test_teardown(test_keys_of_nested_maps, teardown),
        cmocka_unit_test_teardown(test_depth, teardown),
        cmocka_unit_test_teardown(test_lies, teardown),
        cmocka_unit_test_teardown(test_limit, teardown),
        cmocka_unit_test_teardown(test_in_between, teardown),
        cmocka_unit_test_teardown(test_long_path, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
