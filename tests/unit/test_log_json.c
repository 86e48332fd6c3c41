/* test_log_json.c - the fields of a log line as JSON: valid whatever they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "base/log_json.h"
#include "base/rng.h"

static void convert(struct buf *out, struct slice fields)
{
    buf_init(out, 100000);
    log_json_fields(out, fields);
    assert_int_equal(buf_status(out), ST_OK);
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        struct slice fields;
        const char *json;
    } table[] = {
        {{"", 0}, ""},
        {{"a=1 b=-2 c=x", 12}, ",\"a\":1,\"b\":-2,\"c\":\"x\""},
        {{"n=0 n=00 n=- n= n=1.5", 21},
         ",\"n\":0,\"n\":\"00\",\"n\":\"-\",\"n\":\"\",\"n\":\"1.5\""},
        {{"n=999999999999999 n=1000000000000000", 36},
         ",\"n\":999999999999999,\"n\":\"1000000000000000\""},
        {{"t=\"a b\" u=\"\"", 12}, ",\"t\":\"a b\",\"u\":\"\""},
        {{"t=\"1\"", 5}, ",\"t\":\"1\""},
        {{"t=\"q\\\"b\\\\ \\x0a\\xff\"", 19}, ",\"t\":\"q\\\"b\\\\ \\n\xef\xbf\xbd\""},
        {{"t=\"\\xg1\\\"", 9}, ",\"t\":\"xg1\\\"\""}, /* no escape, and never closed */
        {{"t=\"cut off", 10}, ",\"t\":\"cut off\""},
        {{"t=\"cut\\", 7}, ",\"t\":\"cut\\\\\""},
        {{"t=\"a\"b=1", 8}, ",\"t\":\"a\",\"b\":1"},
        {{"event=msg_1 x=a=b", 17}, ",\"event_id\":\"msg_1\",\"x\":\"a=b\""},
        {{"a=1  some words", 15}, ",\"a\":1,\"text\":\"some words\""},
        {{"=x", 2}, ",\"text\":\"=x\""},
        {{"k\x01\xff=\xc3\x28", 6}, ",\"k\\u0001\xef\xbf\xbd\":\"\xef\xbf\xbd(\""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct buf out;
        convert(&out, table[i].fields);
        buf_add_char(&out, '\0');
        assert_string_equal(out.ptr, table[i].json);
        buf_free(&out);
    }
}

/* What log_quote() makes of any bytes comes back as those bytes (U+FFFD for what is not UTF-8), and
 * any line at all becomes valid JSON. */
static void test_anything(void **state)
{
    (void)state;
    static const char letters[] = "ab=\" \\x0f9\n\x01\x7f\xc3\xa9\xff\x80-";
    struct rng rng;
    rng_seed(&rng, 17);
    for (int round = 0; round < 20000; round++) {
        char bytes[64];
        size_t len = rng_next(&rng) % sizeof(bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = letters[rng_next(&rng) % (sizeof(letters) - 1)];
        struct buf out, object;
        convert(&out, slice_of(bytes, len));
        buf_init(&object, 100000);
        buf_addf(&object, "{\"first\":0%.*s}", SLICE_ARGS(buf_slice(&out)));
        assert_int_equal(json_check(buf_slice(&object), NULL), ST_OK);
        buf_clear(&object);
        buf_free(&out);

        struct buf quoted, plain;
        buf_init(&quoted, 2000);
        buf_init(&plain, 2000);
        buf_addf(&quoted, "k=%s", log_quote(slice_of(bytes, len)));
        convert(&out, buf_slice(&quoted));
        buf_add_str(&plain, ",\"k\":");
        json_out_string(&plain, slice_of(bytes, len));
        assert_true(slice_eq(buf_slice(&out), buf_slice(&plain)));
        buf_free(&quoted);
        buf_free(&plain);
        buf_free(&object);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
