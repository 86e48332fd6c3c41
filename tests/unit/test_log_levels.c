/* test_log_levels.c - levels for components: what is known, parsed, and put into force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/log_levels.h"

/* Places that log: components "first", "second" and "bare". */
static int formatted;

static void log_here(void)
{
    formatted = 0;
    log_debug("first.detail", "n=%d", formatted += 1);
    log_info("first.thing", "n=%d", formatted += 10);
    log_debug("second.detail", "n=%d", formatted += 100);
    log_warn("second.thing", "n=%d", formatted += 1000);
    log_error("bare", "n=%d", formatted += 10000);
}

static void expect(int lines)
{
    log_here();
    assert_int_equal(formatted, lines);
}

/* A component's own level counts more than that of all, in both directions; the rest is not even
 * formatted. */
static void test_levels(void **state)
{
    (void)state;
    struct log_levels levels = {.level = LOG_INFO};
    expect(11010);
    assert_int_equal(log_levels_set(&levels, SLICE("first"), LOG_DEBUG), ST_OK);
    expect(11010); /* not yet in force */
    log_levels_apply(&levels);
    expect(11011);
    assert_int_equal(log_levels_set(&levels, SLICE("second"), LOG_ERROR), ST_OK);
    levels.level = LOG_DEBUG;
    log_levels_apply(&levels);
    expect(10011);
    assert_int_equal(log_levels_set(&levels, SLICE("first"), LOG_WARN), ST_OK);
    assert_int_equal(levels.count, 2);
    log_levels_apply(&levels);
    expect(10000);
    assert_int_equal(log_levels_now()->level, LOG_DEBUG);
    assert_int_equal(log_levels_now()->count, 2);
    log_levels_apply(&(struct log_levels){.level = LOG_INFO});
    expect(11010);
}

static void test_components(void **state)
{
    (void)state;
    struct slice components[LOG_COMPONENTS_MAX];
    size_t count = log_components(components), found = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strncmp(components[i - 1].ptr, components[i].ptr, 20) < 0);
        found += slice_eq(components[i], SLICE("first")) + slice_eq(components[i], SLICE("bare")) +
                 slice_eq(components[i], SLICE("second"));
    }
    assert_int_equal(found, 3); /* each once */
    struct buf text;
    buf_init(&text, 1000);
    log_components_add(&text);
    assert_true(slice_starts(buf_slice(&text), SLICE("bare, first, ")));
    buf_free(&text);
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
    } table[] = {
        {"first=debug", ST_OK},
        {"first=error", ST_OK},
        {"", ST_SYNTAX},
        {"first", ST_SYNTAX},
        {"=debug", ST_SYNTAX},
        {"first=", ST_RANGE},
        {"first=Debug", ST_RANGE},
        {"first=debug ", ST_RANGE},
        {"third=debug", ST_NOTFOUND},
        {"firs=debug", ST_NOTFOUND},
        {"first.thing=debug", ST_NOTFOUND},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct log_levels levels = {.level = LOG_INFO};
        assert_int_equal(log_levels_add(&levels, slice_str(table[i].text)), table[i].status);
        assert_int_equal(levels.count, table[i].status == ST_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_components),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
