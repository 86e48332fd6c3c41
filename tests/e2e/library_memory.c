/* library_memory.c - the C library while memory is short: a scenario of all it does, again and
 * again, of which the first allocation fails, then the second, and so on until none does. Each time
 * it must end, say so, and have given back what it took.
 *
 * Only the library's own allocations fail: the linker puts the functions below in the place of
 * malloc() and the others, in what it links together, which are this file and the static library.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trotline/trotline.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_reallocarray(void *old, size_t count, size_t bytes);
char *__real_strdup(const char *text);
void __real_free(void *old);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_reallocarray(void *old, size_t count, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *old);

static long calls, fail_at, live;

static bool fails(void)
{
    return ++calls == fail_at;
}

static void *counted(void *got, bool was_new)
{
    live += got && was_new;
    return got;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : counted(__real_malloc(bytes), true);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : counted(__real_calloc(count, bytes), true);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fails() ? NULL : counted(__real_realloc(old, bytes), !old);
}

void *__wrap_reallocarray(void *old, size_t count, size_t bytes)
{
    return fails() ? NULL : counted(__real_reallocarray(old, count, bytes), !old);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : (char *)counted(__real_strdup(text), true);
}

void __wrap_free(void *old)
{
    live -= old != NULL;
    __real_free(old);
}

/* ---- The scenario ---------------------------------------------------------------------------- */

enum outcome { GOOD, SHORT, WRONG };

static enum outcome of(enum trotline_status status)
{
    return status == TROTLINE_OK ? GOOD : status == TROTLINE_NO_MEMORY ? SHORT : WRONG;
}

static enum outcome webhooks(const char *name)
{
    struct trotline_scheme *scheme = NULL;
    struct trotline_signer *signer = NULL;
    struct trotline_verifier *verifier = NULL;
    char secret[TROTLINE_SECRET_BYTES];
    const char *secrets[] = {secret};
    struct trotline_header headers[8];
    struct trotline_request request;
    struct trotline_webhook webhook = {.id = "msg_1", .type = "order.paid"};
    memset(&request, 0, sizeof(request));
    webhook.data = trotline_slice_str("{\"order\":17}");
    enum outcome outcome = of(trotline_scheme_open(name, &scheme));
    if (outcome == GOOD)
        outcome = of(trotline_secret_generate(scheme, secret, sizeof(secret)));
    if (outcome == GOOD)
        outcome = of(trotline_signer_new(scheme, secrets, 1, &signer, NULL));
    if (outcome == GOOD)
        outcome = of(trotline_verifier_new(scheme, secrets, 1, &verifier, NULL));
    if (outcome == GOOD)
        outcome = of(trotline_verifier_set_url(verifier, "https://example.com/"));
    if (outcome == GOOD)
        outcome = of(trotline_sign(signer, &webhook, 0, NULL));
    for (size_t i = 0; i < trotline_signed_header_count(signer); i++)
        headers[request.header_count++] = trotline_signed_header(signer, i);
    request.headers = headers;
    request.body = trotline_signed_body(signer);
    if (outcome == GOOD) {
        enum trotline_verdict verdict = trotline_verify(verifier, &request, 0, NULL);
        bool is_short = verdict == TROTLINE_VERDICT_NO_MEMORY || verdict == TROTLINE_BAD_SIGNATURE;
        outcome = verdict == TROTLINE_VERIFIED ? GOOD : is_short ? SHORT : WRONG;
    }
    if (outcome == GOOD && !trotline_verifier_event_id(verifier, &request).at)
        outcome = SHORT;
    trotline_verifier_free(verifier);
    trotline_signer_free(signer);
    trotline_scheme_free(scheme);
    return outcome;
}

static enum outcome events(enum trotline_format format)
{
    static const char data[] =
        "{\"a\":1,\"b\":0.1,\"c\":\"\\u00e9\",\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}";
    struct trotline_event *event = trotline_event_new(), *read = NULL;
    struct trotline_slice bytes;
    if (!event)
        return SHORT;
    trotline_event_set_type(event, "order.paid");
    trotline_event_set_source(event, "a \"shop\"");
    trotline_event_set_timestamp_ms(event, 1700000000000);
    trotline_event_set_data(event, trotline_slice_str(data));
    enum outcome outcome = of(trotline_event_write(event, format, 0, &bytes, NULL));
    if (outcome == GOOD)
        outcome =
            of(trotline_event_read(bytes.at, bytes.bytes, TROTLINE_FORMAT_ANY, 0, &read, NULL));
    trotline_event_free(read);
    trotline_event_free(event);
    return outcome;
}

static enum outcome scenario(void)
{
    static const char *const schemes[] = {"standard", "standard_v1a", "event"};
    enum outcome outcome = GOOD;
    for (size_t i = 0; i < 3 && outcome == GOOD; i++)
        outcome = webhooks(schemes[i]);
    if (outcome == GOOD)
        outcome = events(TROTLINE_FORMAT_JSON);
    return outcome == GOOD ? events(TROTLINE_FORMAT_MSGPACK) : outcome;
}

int main(void)
{
    long refused = 0;
    if (scenario() != GOOD)
        return 1;
    for (fail_at = 1;; fail_at++) {
        calls = live = 0;
        enum outcome outcome = scenario();
        if (live != 0 || outcome == WRONG) {
            fprintf(stderr, "allocation %ld: outcome %d, %ld left\n", fail_at, outcome, live);
            return 1;
        }
        if (calls < fail_at) /* there was none to fail */
            break;
        refused += outcome == SHORT; /* few can do without: room taken ahead of its use */
    }
    printf("%ld of %ld allocations that failed were told\n", refused, fail_at - 1);
    return 0;
}
