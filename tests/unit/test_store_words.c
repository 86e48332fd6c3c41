/* test_store_words.c - keys and arguments of a call about many things are put together as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/store_words.h"

#define PREFIX "a-prefix.of_thirty-two.character" /* the longest there may be */

struct fixture {
    struct reactor *reactor;
    struct store *store;
};

static void on_state(void *arg, bool ready)
{
    (void)arg;
    (void)ready;
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct store_options options = {.redis = {.unix_path = "/nonexistent/redis.sock"},
                                    .key_prefix = PREFIX,
                                    .incarnation = "0123456789abcdef"};
    fixture.reactor = reactor_new();
    assert_non_null(fixture.reactor);
    fixture.store = store_new(fixture.reactor, &options, on_state, NULL);
    assert_non_null(fixture.store);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_free(fixture->store);
    reactor_free(fixture->reactor);
    return 0;
}

static void assert_slice(struct slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.ptr, text, slice.len);
}

/* Each kind of word comes out as it went in, beside its neighbours. */
static void test_words(void **state)
{
    struct fixture *fixture = *state;
    struct store_words words;
    assert_int_equal(store_words_begin(&words, fixture->store, 4, 3, 2), ST_OK);
    store_words_key(&words, "closed", NULL);
    store_words_key(&words, "closed", "bytes");
    store_words_key_lane(&words, 255);
    store_words_key(&words, "attempts", "ep_0123456789012345678901234567");
    store_words_number(&words, 0);
    store_words_arg(&words, SLICE("in between"));
    store_words_number(&words, UINT64_MAX);
    assert_int_equal(words.key_count, 4);
    assert_slice(words.keys[0], PREFIX ":{0}:closed");
    assert_slice(words.keys[1], PREFIX ":{0}:closed:bytes");
    assert_slice(words.keys[2], PREFIX ":{0}:lane:255");
    assert_slice(words.keys[3], PREFIX ":{0}:attempts:ep_0123456789012345678901234567");
    assert_int_equal(words.arg_count, 3);
    assert_slice(words.args[0], "0");
    assert_slice(words.args[1], "in between");
    assert_slice(words.args[2], "18446744073709551615");
    store_words_end(&words);
}

/* As many as were asked for fit, the longest keys and numbers among them. */
static void test_room(void **state)
{
    enum { COUNT = 300 };
    struct fixture *fixture = *state;
    struct store_words words;
    assert_int_equal(store_words_begin(&words, fixture->store, COUNT, COUNT, COUNT), ST_OK);
    for (int i = 0; i < COUNT; i++) {
        store_words_key(&words, "attempts", "atmpt_012345678901234567890123456");
        store_words_number(&words, UINT64_MAX - (uint64_t)i);
    }
    assert_slice(words.keys[COUNT - 1], PREFIX ":{0}:attempts:atmpt_012345678901234567890123456");
    assert_slice(words.args[0], "18446744073709551615");
    assert_slice(words.args[COUNT - 1], "18446744073709551316");
    store_words_end(&words);
}

/* What is said twice has one number, by identity and not by content. */
static void test_common(void **state)
{
    (void)state;
    static const char one[] = "x", other[] = "x";
    const void *list[2];
    struct store_commons commons = {list, 0};
    assert_int_equal(store_common(&commons, one), 1);
    assert_int_equal(store_common(&commons, other), 2);
    assert_int_equal(store_common(&commons, one), 1);
    assert_int_equal(store_common(&commons, other), 2);
    assert_int_equal(commons.count, 2);
    assert_ptr_equal(list[0], one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room, setup, teardown),
        cmocka_unit_test(test_common),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
