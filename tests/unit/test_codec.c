/* test_codec.c - msgpack: the forms of the specification, and input that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "wire/codec.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A reader of a literal, NULs and all. */
#define READER(literal) reader_of(SLICE(literal))

static struct mp_reader reader_of(struct slice input)
{
    struct mp_reader reader;
    mp_reader_init(&reader, input);
    return reader;
}

/* Every form of an integer is read by value, whatever its width, in the asked range. */
static void test_integers_of_every_form(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        int64_t value;
    } table[] = {
        {{"\x00", 1}, 0},
        {{"\x7f", 1}, 127},
        {{"\xff", 1}, -1},
        {{"\xe0", 1}, -32},
        {{"\xcc\x00", 2}, 0},
        {{"\xcc\xff", 2}, 255},
        {{"\xcd\x01\x00", 3}, 256},
        {{"\xce\xff\xff\xff\xff", 5}, UINT32_MAX},
        {{"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9}, INT64_MAX},
        {{"\xd0\x80", 2}, -128},
        {{"\xd0\x7f", 2}, 127},
        {{"\xd1\x80\x00", 3}, INT16_MIN},
        {{"\xd2\x80\x00\x00\x00", 5}, INT32_MIN},
        {{"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9}, INT64_MIN},
        {{"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9}, 5},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct mp_reader reader = reader_of(table[i].bytes);
        assert_int_equal(mp_peek(&reader), table[i].value < 0 ? MP_INT : MP_UINT);
        assert_true(mp_read_i64(&reader) == table[i].value);
        assert_true(mp_at_end(&reader));

        reader = reader_of(table[i].bytes);
        uint64_t value = mp_read_u64(&reader);
        assert_int_equal(reader.error, table[i].value < 0 ? ST_RANGE : ST_OK);
        assert_true(value == (table[i].value < 0 ? 0 : (uint64_t)table[i].value));
    }
    struct mp_reader reader = READER("\xcf\x80\x00\x00\x00\x00\x00\x00\x00");
    assert_true(mp_read_i64(&reader) == 0);
    assert_int_equal(reader.error, ST_RANGE);
    reader = READER("\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_true(mp_read_u64(&reader) == UINT64_MAX);
}

/* What is written is what the specification says, in the shortest form. */
static void test_written_bytes(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1024);
    mp_write_map(&buf, 1);
    mp_write_str(&buf, SLICE("a"));
    mp_write_array(&buf, 8);
    mp_write_nil(&buf);
    mp_write_bool(&buf, true);
    mp_write_bool(&buf, false);
    mp_write_u64(&buf, 200);
    mp_write_i64(&buf, -200);
    mp_write_i64(&buf, 5);
    mp_write_double(&buf, 1.5);
    mp_write_bin(&buf, SLICE("\x00\xff"));
    static const char expected[] = "\x81\xa1"
                                   "a\x98\xc0\xc3\xc2\xcc\xc8\xd1\xff\x38\x05"
                                   "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xc4\x02\x00\xff";
    assert_int_equal(buf.len, sizeof(expected) - 1);
    assert_memory_equal(buf.ptr, expected, buf.len);
    buf_free(&buf);
}

/* Lengths around the borders of the forms survive, for each kind that has a length. */
static void test_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 70000};
    static char content[70000];
    struct buf buf;
    buf_init(&buf, 1024 * 1024);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct slice text = slice_of(content, lengths[i]);
        buf_clear(&buf);
        mp_write_str(&buf, text);
        mp_write_bin(&buf, text);
        mp_write_array(&buf, (uint32_t)lengths[i]);
        for (size_t k = 0; k < lengths[i]; k++)
            mp_write_nil(&buf);
        mp_write_map(&buf, (uint32_t)lengths[i]);
        for (size_t k = 0; k < 2 * lengths[i]; k++)
            mp_write_nil(&buf);
        struct mp_reader reader = reader_of(buf_slice(&buf));
        assert_true(slice_eq(mp_read_str(&reader), text));
        assert_true(slice_eq(mp_read_bin(&reader), text));
        assert_int_equal(mp_read_array(&reader), lengths[i]);
        for (size_t k = 0; k < lengths[i]; k++)
            mp_read_nil(&reader);
        assert_int_equal(mp_read_map(&reader), lengths[i]);
        for (size_t k = 0; k < 2 * lengths[i]; k++)
            mp_skip(&reader);
        assert_true(mp_at_end(&reader));
    }
    buf_free(&buf);
}

static void test_doubles(void **state)
{
    (void)state;
    struct mp_reader reader = READER("\xca\x3f\xc0\x00\x00\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18");
    assert_true(mp_read_double(&reader) == 1.5);
    assert_true(mp_read_double(&reader) == 3.141592653589793);
    assert_true(mp_at_end(&reader));
}

/* Slices point into the input: nothing is copied. */
static void test_strings_stay_in_the_input(void **state)
{
    (void)state;
    struct slice input = SLICE("\xa3"
                               "abc\xc4\x01z");
    struct mp_reader reader = reader_of(input);
    assert_ptr_equal(mp_read_str(&reader).ptr, input.ptr + 1);
    assert_ptr_equal(mp_read_bin(&reader).ptr, input.ptr + 6);
}

/* A string may be nil: that is passed, and is another thing than an empty one. Anything else, and
 * the end, is an error as ever, and stops it. */
static void test_string_or_nil(void **state)
{
    (void)state;
    static const struct slice input = {"\xc0\xa0\xa1x\xc0\x01\xc0", 7};
    struct mp_reader reader;
    mp_reader_init(&reader, input);
    assert_null(mp_read_str_or_nil(&reader).ptr);
    assert_ptr_equal(mp_read_str_or_nil(&reader).ptr, input.ptr + 2);
    assert_true(slice_eq(mp_read_str_or_nil(&reader), SLICE("x")));
    assert_null(mp_read_str_or_nil(&reader).ptr);
    assert_int_equal(reader.error, ST_OK);
    assert_null(mp_read_str_or_nil(&reader).ptr);
    assert_int_equal(reader.error, ST_SYNTAX);
    reader.at++; /* to a nil, which is not passed any more */
    assert_null(mp_read_str_or_nil(&reader).ptr);
    assert_false(mp_at_end(&reader));
    mp_reader_init(&reader, SLICE_NULL);
    assert_null(mp_read_str_or_nil(&reader).ptr);
    assert_int_equal(reader.error, ST_SYNTAX);
}

/* Input that ends too early, is no value, or announces more than it has, is ST_SYNTAX. */
static void test_malformed(void **state)
{
    (void)state;
    static const struct slice table[] = {
        {"", 0},
        {"\xc1", 1},
        {"\xcd\x01", 2},
        {"\xcb\x00\x00\x00", 4},
        {"\xa5hell", 5},
        {"\xd9", 1},
        {"\xdb\xff\xff\xff\xff", 5},
        {"\xc6\xff\xff\xff\xff", 5},
        {"\xdd\xff\xff\xff\xff", 5},
        {"\xdd\x00\xff\xff\xff", 5}, /* what made msgpack-c keep 537 MB */
        {"\xdf\xff\xff\xff\xff", 5},
        {"\x92\xc0", 2},
        {"\x82\xc0\xc0\xc0", 4},
        {"\x81\xc0", 2},
        {"\xc7\x05\x01\x00", 4},
        {"\xd8\x01", 2},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct mp_reader reader = reader_of(table[i]);
        mp_skip(&reader);
        assert_int_equal(reader.error, ST_SYNTAX);
        assert_false(mp_at_end(&reader));
    }
    /* The same at once when a count is read, before anyone could allocate by it. */
    struct mp_reader reader = READER("\xdd\x00\xff\xff\xff");
    assert_int_equal(mp_read_array(&reader), 0);
    assert_int_equal(reader.error, ST_SYNTAX);
    reader = READER("\x82\xc0\xc0\xc0");
    assert_int_equal(mp_read_map(&reader), 0);
    assert_int_equal(reader.error, ST_SYNTAX);
}

/* After the first error nothing moves and everything is empty; the first error stays. */
static void test_error_is_sticky(void **state)
{
    (void)state;
    struct mp_reader reader = READER("\xff\xa1x\x05");
    assert_true(mp_read_u64(&reader) == 0);
    const uint8_t *at = reader.at;
    assert_null(mp_read_str(&reader).ptr);
    assert_int_equal(mp_peek(&reader), MP_NONE);
    assert_false(mp_read_bool(&reader));
    assert_int_equal(mp_read_map(&reader), 0);
    mp_skip(&reader);
    assert_ptr_equal(reader.at, at);
    assert_int_equal(reader.error, ST_RANGE);
}

/* Asking for another type than is there is ST_SYNTAX, for each pair of types. */
static void test_wrong_type(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        enum mp_type type;
    } table[] = {
        {{"\xc0", 1}, MP_NIL},         {{"\xc3", 1}, MP_BOOL},
        {{"\x05", 1}, MP_UINT},        {{"\xa0", 1}, MP_STR},
        {{"\xc4\x00", 2}, MP_BIN},     {{"\x90", 1}, MP_ARRAY},
        {{"\x80", 1}, MP_MAP},         {{"\xca\x00\x00\x00\x00", 5}, MP_DOUBLE},
        {{"\xd4\x01\x00", 3}, MP_EXT},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        for (size_t k = 0; k < COUNT(table); k++) {
            struct mp_reader reader = reader_of(table[i].bytes);
            assert_int_equal(mp_peek(&reader), table[i].type);
            switch (table[k].type) {
            case MP_NIL:
                mp_read_nil(&reader);
                break;
            case MP_BOOL:
                mp_read_bool(&reader);
                break;
            case MP_UINT:
            case MP_INT:
                mp_read_u64(&reader);
                break;
            case MP_DOUBLE:
                mp_read_double(&reader);
                break;
            case MP_STR:
                mp_read_str(&reader);
                break;
            case MP_BIN:
                mp_read_bin(&reader);
                break;
            case MP_ARRAY:
                mp_read_array(&reader);
                break;
            case MP_MAP:
                mp_read_map(&reader);
                break;
            case MP_EXT:
            case MP_NONE:
                mp_skip(&reader);
                continue; /* can be skipped whatever it is */
            }
            assert_int_equal(reader.error, i == k ? ST_OK : ST_SYNTAX);
        }
    }
}

/* Nesting is bounded, at exactly the limit; width is not. */
static void test_skip_depth(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1024 * 1024);
    for (int depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        buf_clear(&buf);
        for (int i = 0; i < depth; i++)
            mp_write_array(&buf, 1);
        mp_write_nil(&buf);
        mp_write_bool(&buf, true);
        struct mp_reader reader = reader_of(buf_slice(&buf));
        mp_skip(&reader);
        assert_int_equal(reader.error, depth <= LIMIT_JSON_DEPTH ? ST_OK : ST_LIMIT);
        assert_int_equal(mp_read_bool(&reader), depth <= LIMIT_JSON_DEPTH);
    }
    buf_clear(&buf);
    mp_write_array(&buf, 100000);
    for (int i = 0; i < 100000; i++)
        mp_write_map(&buf, 0);
    struct mp_reader reader = reader_of(buf_slice(&buf));
    mp_skip(&reader);
    assert_true(mp_at_end(&reader));
    buf_free(&buf);
}

/* Skipping passes exactly the values before the mark, whatever they are. */
static void test_skip_lands_behind_the_value(void **state)
{
    (void)state;
    static const struct slice table[] = {
        {"\x93\x01\xa2xy\x81\xc0\x90", 8},
        {"\x82\xa1k\x92\x01\x02\xa1l\xc4\x03zzz", 13},
        {"\xc7\x02\x05\x01\x01", 5},
        {"\xd6\x01\x00\x00\x00\x00", 6},
        {"\xd8\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 18},
        {"\xdc\x00\x02\xdd\x00\x00\x00\x01\xc2\xde\x00\x00", 12},
    };
    struct buf buf;
    buf_init(&buf, 1024);
    for (size_t i = 0; i < COUNT(table); i++) {
        buf_clear(&buf);
        buf_add_slice(&buf, table[i]);
        mp_write_str(&buf, SLICE("mark"));
        struct mp_reader reader = reader_of(buf_slice(&buf));
        mp_skip(&reader);
        assert_true(slice_eq(mp_read_str(&reader), SLICE("mark")));
        /* And every shorter input is an error. */
        for (size_t len = 0; len < table[i].len; len++) {
            reader = reader_of(slice_of(table[i].ptr, len));
            mp_skip(&reader);
            assert_int_equal(reader.error, ST_SYNTAX);
        }
    }
    buf_free(&buf);
}

/* Whatever comes, mp_next() tells its kind and what is known of it, and is behind it; of a
 * container behind its head. */
static void test_next(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        enum mp_type type;
        uint64_t number;
        struct slice content;
        size_t left;
    } table[] = {
        {{"\xc0", 1}, MP_NIL, 0, {"", 0}, 0},
        {{"\xc3", 1}, MP_BOOL, 1, {"", 0}, 0},
        {{"\x05\x06", 2}, MP_UINT, 5, {"", 0}, 1},
        {{"\xd0\x80", 2}, MP_INT, (uint64_t)-128, {"", 0}, 0},
        {{"\xd0\x7f", 2}, MP_UINT, 127, {"", 0}, 0},
        {{"\xa2xyz", 4}, MP_STR, 2, {"xy", 2}, 1},
        {{"\xc4\x01x", 3}, MP_BIN, 1, {"x", 1}, 0},
        {{"\xc7\x02\x80xy", 5}, MP_EXT, 2, {"xy", 2}, 0},
        {{"\xd4\x80x", 3}, MP_EXT, 1, {"x", 1}, 0},
        {{"\x92\x01\x02", 3}, MP_ARRAY, 2, {"", 0}, 2},
        {{"\x81\x01\x02", 3}, MP_MAP, 1, {"", 0}, 2},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct mp_value value = {.ext = 0};
        struct mp_reader reader = reader_of(table[i].bytes);
        assert_int_equal(mp_next(&reader, &value), table[i].type);
        assert_int_equal(value.type, table[i].type);
        assert_true(value.number == table[i].number);
        assert_int_equal(reader.error, ST_OK);
        assert_int_equal(reader.end - reader.at, table[i].left);
        if (table[i].content.len > 0)
            assert_true(slice_eq(value.bytes, table[i].content));
        assert_true(table[i].type != MP_EXT || value.ext == -128);
    }
    struct mp_value value;
    struct mp_reader reader = READER("\xca\x3f\x80\x00\x00\xcb\xbf\xf0\x00\x00\x00\x00\x00\x00");
    assert_int_equal(mp_next(&reader, &value), MP_DOUBLE);
    assert_true(value.single && value.real == 1);
    assert_int_equal(mp_next(&reader, &value), MP_DOUBLE);
    assert_true(!value.single && value.real == -1);
    static const struct slice bad[] = {{"", 0},
                                       {"\xc1", 1},
                                       {"\xcd\x01", 2},
                                       {"\xa2x", 2},
                                       {"\xc4\x02x", 3},
                                       {"\xd4\x01", 2},
                                       {"\x92\x01", 2},
                                       {"\x81\x01", 2},
                                       {"\xc7\x01\x01", 3},
                                       {"\xca\x00", 2},
                                       {"\xdf\xff\xff\xff\xff\x01", 6}};
    for (size_t i = 0; i < COUNT(bad); i++) {
        reader = reader_of(bad[i]);
        assert_int_equal(mp_next(&reader, &value), MP_NONE);
        assert_int_equal(value.type, MP_NONE);
        assert_int_equal(reader.error, ST_SYNTAX);
        assert_int_equal(mp_next(&reader, &value), MP_NONE);
    }
}

/* A buffer that is full says so once, at the end. */
static void test_full_buffer(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    mp_write_str(&buf, SLICE("four"));
    mp_write_nil(&buf);
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_of_every_form),
        cmocka_unit_test(test_written_bytes),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_strings_stay_in_the_input),
        cmocka_unit_test(test_string_or_nil),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_error_is_sticky),
        cmocka_unit_test(test_wrong_type),
        cmocka_unit_test(test_skip_depth),
        cmocka_unit_test(test_skip_lands_behind_the_value),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
