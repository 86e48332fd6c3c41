/* What a sender calls an event becomes a type that endpoints can subscribe to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "api/receive_type.h"
#include "core/endpoint_config.h"

static void check(const char *prefix, const char *sent, const char *expected)
{
    char text[LIMIT_TYPE_BYTES];
    struct slice type = receive_type(slice_str(prefix), slice_str(sent), text);
    assert_true(event_type_valid(type));
    assert_int_equal(type.len, strlen(expected));
    assert_memory_equal(type.ptr, expected, type.len);
}

/* Separators become dots, anything else an underscore. */
static void test_spelling(void **state)
{
    (void)state;
    check("stripe", "invoice.paid", "stripe.invoice.paid");
    check("shopify", "orders/create", "shopify.orders.create");
    check("gitlab", "Push Hook", "gitlab.Push_Hook");
    check("bitbucket", "repo:push", "bitbucket.repo.push");
    check("", "ping", "ping");
    check("a", "//x//y//", "a.x.y");
    check("a", ".x..y.", "a.x.y");
    check("a", "Zo\xc3\xab", "a.Zo__");
}

/* There is always a type: an event is not lost for want of one. */
static void test_nothing(void **state)
{
    (void)state;
    check("a", "", "a.unknown");
    check("a", "...", "a.unknown");
    check("a", "__", "a.unknown");
    check("", "", "unknown");
}

/* A type that is too long is cut, and stays valid wherever the cut falls. */
static void test_length(void **state)
{
    (void)state;
    char sent[LIMIT_TYPE_BYTES * 2], text[LIMIT_TYPE_BYTES];
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = i % 2 ? '/' : 'a';
    for (size_t len = 1; len < sizeof(sent); len++) {
        struct slice type = receive_type(SLICE("p"), slice_of(sent, len), text);
        assert_true(event_type_valid(type));
        assert_true(type.len <= LIMIT_TYPE_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spelling),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
