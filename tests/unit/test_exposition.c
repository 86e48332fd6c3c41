/* test_exposition.c - the text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "api/exposition.h"
#include "base/rng.h"

static const struct exposition_label no_label;

static char *text_of(struct buf *out)
{
    buf_add_char(out, '\0');
    assert_int_equal(buf_status(out), ST_OK);
    return out->ptr;
}

static void test_a_family_is_help_and_type(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    exposition_family(&out, "a_total", EXPOSITION_COUNTER, "One.");
    exposition_family(&out, "b", EXPOSITION_GAUGE, "A \\ and\na \"second\" line.");
    exposition_family(&out, "c_seconds", EXPOSITION_HISTOGRAM, "");
    assert_string_equal(text_of(&out), "# HELP a_total One.\n# TYPE a_total counter\n"
                                       "# HELP b A \\\\ and\\na \"second\" line.\n# TYPE b gauge\n"
                                       "# HELP c_seconds \n# TYPE c_seconds histogram\n");
    buf_free(&out);
}

static void test_label_values_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
    } rows[] = {
        {"plain", "a{l=\"plain\"} 1\n"},
        {"", "a{l=\"\"} 1\n"},
        {"say \"no\"", "a{l=\"say \\\"no\\\"\"} 1\n"},
        {"C:\\new\nline", "a{l=\"C:\\\\new\\nline\"} 1\n"},
        {"h\xc3\xb6her\t{}=,", "a{l=\"h\xc3\xb6her\t{}=,\"} 1\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out;
        buf_init(&out, 4096);
        exposition_sample(&out, "a", (struct exposition_label){"l", rows[i].value}, 1,
                          EXPOSITION_PLAIN);
        assert_string_equal(text_of(&out), rows[i].written);
        buf_free(&out);
    }
}

/* All digits are there, whatever the size; no exponent, no zeros at the end. */
static void test_numbers_are_exact(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        enum exposition_unit unit;
        const char *written;
    } rows[] = {
        {0, EXPOSITION_PLAIN, "a 0\n"},
        {UINT64_MAX, EXPOSITION_PLAIN, "a 18446744073709551615\n"},
        {0, EXPOSITION_MS, "a 0\n"},
        {1, EXPOSITION_MS, "a 0.001\n"},
        {1500, EXPOSITION_MS, "a 1.5\n"},
        {60000, EXPOSITION_MS, "a 60\n"},
        {1795336907951, EXPOSITION_MS, "a 1795336907.951\n"},
        {1, EXPOSITION_US, "a 0.000001\n"},
        {1000001, EXPOSITION_US, "a 1.000001\n"},
        {100000, EXPOSITION_US, "a 0.1\n"},
        {123456789012345, EXPOSITION_US, "a 123456789.012345\n"},
        {UINT64_MAX, EXPOSITION_US, "a 18446744073709.551615\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out;
        buf_init(&out, 4096);
        exposition_sample(&out, "a", no_label, rows[i].value, rows[i].unit);
        assert_string_equal(text_of(&out), rows[i].written);
        buf_free(&out);
    }
}

static const uint64_t bounds[] = {1000, 2048, 500000, 1000000};

/* A value that is equal to a bound is in its bucket; +Inf has all of them. */
static void test_a_histogram(void **state)
{
    (void)state;
    static const uint64_t values[] = {7, 1000, 1500, 2048, 400000, 3000000, 90000000};
    static const struct exposition_buckets buckets = {EXPOSITION_US, 4, bounds};
    struct hist hist = {0};
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        hist_record(&hist, values[i]);
    exposition_histogram(&out, "a_seconds", (struct exposition_label){"to", "x\"y"}, &hist,
                         &buckets);
    assert_string_equal(text_of(&out), "a_seconds_bucket{to=\"x\\\"y\",le=\"0.001\"} 1\n"
                                       "a_seconds_bucket{to=\"x\\\"y\",le=\"0.002048\"} 3\n"
                                       "a_seconds_bucket{to=\"x\\\"y\",le=\"0.5\"} 5\n"
                                       "a_seconds_bucket{to=\"x\\\"y\",le=\"1\"} 5\n"
                                       "a_seconds_bucket{to=\"x\\\"y\",le=\"+Inf\"} 7\n"
                                       "a_seconds_sum{to=\"x\\\"y\"} 93.404555\n"
                                       "a_seconds_count{to=\"x\\\"y\"} 7\n");
    buf_free(&out);
}

static void test_an_empty_histogram_of_plain_numbers(void **state)
{
    (void)state;
    static const struct exposition_buckets buckets = {EXPOSITION_PLAIN, 2, bounds};
    static const struct hist hist;
    struct buf out;
    buf_init(&out, 4096);
    exposition_histogram(&out, "a_bytes", no_label, &hist, &buckets);
    assert_string_equal(text_of(&out), "a_bytes_bucket{le=\"1000\"} 0\n"
                                       "a_bytes_bucket{le=\"2048\"} 0\n"
                                       "a_bytes_bucket{le=\"+Inf\"} 0\n"
                                       "a_bytes_sum 0\na_bytes_count 0\n");
    buf_free(&out);
}

/* With any values, and while the histogram grows: buckets never fall from one to the next, nor from
 * one scrape to the next, and none has more than +Inf. */
static void test_buckets_are_cumulative(void **state)
{
    (void)state;
    static const struct exposition_buckets buckets = {EXPOSITION_US, 4, bounds};
    struct hist hist = {0};
    struct rng rng;
    unsigned long long earlier[5] = {0};
    rng_seed(&rng, 7);
    for (int scrape = 0; scrape < 300; scrape++) {
        struct buf out;
        buf_init(&out, 4096);
        for (int i = 0; i < 20; i++)
            hist_record(&hist, rng_next(&rng) >> (40 + rng_below(&rng, 24)));
        exposition_histogram(&out, "a", no_label, &hist, &buckets);
        const char *line = text_of(&out);
        unsigned long long last = 0;
        for (size_t i = 0; i < 5; i++) {
            unsigned long long count = strtoull(strchr(line, ' '), NULL, 10);
            assert_true(count >= last && count >= earlier[i]);
            last = earlier[i] = count;
            line = strchr(line, '\n') + 1;
        }
        assert_true(last == hist_count(&hist));
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_is_help_and_type),
        cmocka_unit_test(test_label_values_are_escaped),
        cmocka_unit_test(test_numbers_are_exact),
        cmocka_unit_test(test_a_histogram),
        cmocka_unit_test(test_an_empty_histogram_of_plain_numbers),
        cmocka_unit_test(test_buckets_are_cumulative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
