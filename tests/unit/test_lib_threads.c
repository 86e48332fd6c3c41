/* test_lib_threads.c - the C library in several threads: one scheme that all share, and handles of
 * their own. Under helgrind (tests/e2e/test_library.py) it finds races; here, wrong results. Uses
 * nothing but the public headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <trotline/trotline.h>

/* More names than are compared one by one. */
#define DATA "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":1.5}"

enum { THREADS = 4, ROUNDS = 50, HEADERS_MAX = 8 };

struct worker {
    pthread_t thread;
    const struct trotline_scheme *shared;
    const char *scheme; /* one that the thread opens for itself */
    bool good;
};

/* Signs and verifies an event that was built and read. */
static bool round_trip(const struct trotline_scheme *scheme)
{
    char secret[TROTLINE_SECRET_BYTES];
    const char *secrets[] = {secret};
    struct trotline_signer *signer = NULL;
    struct trotline_verifier *verifier = NULL;
    struct trotline_event *event = trotline_event_new(), *read = NULL;
    struct trotline_slice bytes;
    struct trotline_header headers[HEADERS_MAX];
    struct trotline_request request;
    memset(&request, 0, sizeof(request));
    trotline_event_set_type(event, "order.paid");
    trotline_event_set_data(event, trotline_slice_str(DATA));
    bool good =
        trotline_secret_generate(scheme, secret, sizeof(secret)) == TROTLINE_OK &&
        trotline_signer_new(scheme, secrets, 1, &signer, NULL) == TROTLINE_OK &&
        trotline_verifier_new(scheme, secrets, 1, &verifier, NULL) == TROTLINE_OK &&
        trotline_event_write(event, TROTLINE_FORMAT_MSGPACK, 0, &bytes, NULL) == TROTLINE_OK &&
        trotline_event_read(bytes.at, bytes.bytes, TROTLINE_FORMAT_ANY, 0, &read, NULL) ==
            TROTLINE_OK;
    struct trotline_webhook webhook = {.id = "msg_1", .type = "order.paid"};
    webhook.data = trotline_event_data(read);
    good = good && trotline_sign(signer, &webhook, 0, NULL) == TROTLINE_OK;
    for (size_t i = 0; good && i < trotline_signed_header_count(signer); i++)
        headers[request.header_count++] = trotline_signed_header(signer, i);
    request.headers = headers;
    request.body = trotline_signed_body(signer);
    good = good && trotline_verify(verifier, &request, 0, NULL) == TROTLINE_VERIFIED;
    trotline_event_free(event);
    trotline_event_free(read);
    trotline_signer_free(signer);
    trotline_verifier_free(verifier);
    return good;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    worker->good = true;
    for (int i = 0; i < ROUNDS && worker->good; i++) {
        struct trotline_scheme *own = NULL;
        worker->good = round_trip(worker->shared) &&
                       trotline_scheme_open(worker->scheme, &own) == TROTLINE_OK && round_trip(own);
        trotline_scheme_free(own);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    static const char *const schemes[THREADS] = {"standard", "standard_v1a", "event", "guide"};
    struct worker workers[THREADS];
    struct trotline_scheme *shared;
    assert_int_equal(trotline_scheme_open("standard", &shared), TROTLINE_OK);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.shared = shared, .scheme = schemes[i]};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_true(workers[i].good);
    }
    trotline_scheme_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
