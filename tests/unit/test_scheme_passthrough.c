/* test_scheme_passthrough.c - the scheme that sends a received request as it came: what it adds,
 * what it leaves out, and that it has no secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/event_headers.h"
#include "wire/scheme.h"

static const struct event_record published = {
    .application = SLICE("default"),
    .type = SLICE("order.created"),
    .source = SLICE("github"), /* says the producer */
    .data = SLICE("{}"),
};

static struct scheme_set *set;
static struct buf lines, headers;

static int setup(void **state)
{
    (void)state;
    set = scheme_set_new();
    buf_init(&lines, 100000);
    buf_init(&headers, 100000);
    return set ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&lines);
    buf_free(&headers);
    scheme_set_free(set);
    return 0;
}

static bool replaces(void *arg, struct slice name)
{
    return slice_eq_nocase(name, slice_str(arg));
}

/* The lines, each ended by '\n', are exactly these. */
static void expect(const struct event_record *record, const char *custom, const char *expected)
{
    size_t count = 0, seen = 0;
    buf_clear(&lines);
    scheme_original_headers(SLICE("msg_1"), record, replaces, (void *)(uintptr_t)custom, &lines,
                            &count);
    assert_int_equal(buf_status(&lines), ST_OK);
    for (size_t i = 0; i < lines.len; i++) {
        seen += lines.ptr[i] == '\0';
        if (lines.ptr[i] == '\0')
            lines.ptr[i] = '\n';
    }
    assert_int_equal(count, seen);
    if (!slice_eq(buf_slice(&lines), slice_str(expected)))
        fail_msg("%.*s", SLICE_ARGS(buf_slice(&lines)));
}

/* What was received goes out in its order, with what the gateway says of it. */
static void test_a_received_event(void **state)
{
    (void)state;
    struct event_record record = published;
    assert_true(event_headers_add(&headers, SLICE("X-Hub-Signature-256"), SLICE("sha256=ab")));
    assert_true(event_headers_add(&headers, SLICE("X-Custom"), SLICE("theirs")));
    assert_true(event_headers_add(&headers, SLICE("x-hub-signature-256"), SLICE("second")));
    record.headers = buf_slice(&headers);
    record.content_type = SLICE("application/x-www-form-urlencoded");
    record.received_ms = UINT64_C(1700000000123);
    record.verified = true;
    expect(&record, "x-custom",
           "X-Hub-Signature-256: sha256=ab\n"
           "x-hub-signature-256: second\n"
           "Content-Type: application/x-www-form-urlencoded\n"
           "Trotline-Event-Id: msg_1\n"
           "Trotline-Event-Type: order.created\n"
           "Trotline-Source: github\n"
           "Trotline-Received-At: 2023-11-14T22:13:20.123Z\n"
           "Trotline-Verified: true\n");
}

/* A source that checks no signatures does not say that it did; and no content type is invented. */
static void test_what_is_not_known_is_not_said(void **state)
{
    (void)state;
    struct event_record record = published;
    record.received_ms = 1;
    expect(&record, "",
           "Content-Type: application/octet-stream\n"
           "Trotline-Event-Id: msg_1\n"
           "Trotline-Event-Type: order.created\n"
           "Trotline-Source: github\n"
           "Trotline-Received-At: 1970-01-01T00:00:00.001Z\n"
           "Trotline-Verified: false\n");
}

/* A published event is JSON, and nothing was received or verified, whatever its source is called.
 */
static void test_a_published_event(void **state)
{
    (void)state;
    expect(&published, "",
           "Content-Type: application/json\n"
           "Trotline-Event-Id: msg_1\n"
           "Trotline-Event-Type: order.created\n");
}

/* It is for endpoints and not for sources: it could verify nothing. */
static void test_it_only_sends(void **state)
{
    (void)state;
    const struct scheme *scheme = scheme_find(set, SLICE("passthrough"));
    assert_non_null(scheme);
    assert_true(scheme_sends(scheme));
    assert_false(scheme_receives(scheme));
}

/* No secret is made, and none is taken. */
static void test_no_secrets(void **state)
{
    (void)state;
    const struct scheme *scheme = scheme_find(set, SLICE("passthrough"));
    struct signer_key *key;
    const char *reason = NULL;
    assert_non_null(scheme);
    assert_true(scheme_passes_through(scheme));
    assert_false(scheme_passes_through(scheme_find(set, SLICE("standard"))));
    assert_int_equal(scheme_secret_generate(scheme, &lines), ST_UNSUPPORTED);
    assert_int_equal(lines.len, 0);
    assert_int_equal(
        scheme_secret_key(scheme, SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &key, &reason),
        ST_RANGE);
    assert_non_null(reason);
    assert_int_equal(scheme_secret_normalize(scheme, SLICE("x"), &lines), ST_RANGE);
    assert_int_equal(scheme_secret_public(scheme, SLICE("x"), &lines), ST_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_received_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_known_is_not_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_published_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_only_sends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_secrets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
