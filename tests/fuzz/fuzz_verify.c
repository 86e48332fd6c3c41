/* fuzz_verify.c - the verifier on any request: headers, templates and bodies.
 *
 * The input reads like a request:
 *
 *     SCHEME METHOD URL
 *     Name: value
 *     …
 *
 *     body
 *
 * With a key that nobody else has, no request may verify; with what that key signs, every one must.
 * Where the first word is no scheme, the whole first line is a template of a signed text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "request_text.h"
#include "wire/scheme.h"
#include "wire/scheme_part.h"

enum { KEYS = 4, LINES_MAX = 64 };

static struct scheme_set *set;
static struct signer_key *keys[KEYS];

/* ---- A stranger's request -------------------------------------------------------------------- */

static void look(const struct scheme *scheme, const struct received *received)
{
    struct buf id, type;
    buf_init(&id, SIZE_MAX);
    buf_init(&type, SIZE_MAX);
    expect(scheme_event_id(scheme, NULL, received, &id) == (id.len > 0));
    expect(scheme_event_type(scheme, NULL, received, &type) == (type.len > 0));
    buf_free(&id);
    buf_free(&type);
}

static void try_request(const struct scheme *scheme, const struct received *received)
{
    struct scheme_finding finding;
    scheme_finding_init(&finding, SIZE_MAX);
    enum scheme_verdict verdict = scheme_verify(scheme, received, keys, KEYS, &finding);
    expect(verdict == scheme_verify(scheme, received, keys, KEYS, NULL));
    expect((verdict != VERIFY_OK) == scheme_needs_secret(scheme));
    expect(verdict == VERIFY_OK || finding.key == SIZE_MAX);
    expect(finding.candidates <= 16 && verdict != VERIFY_NO_MEMORY);
    expect(scheme_verdict_name(verdict) && scheme_verdict_text(verdict));
    look(scheme, received);
    scheme_finding_deinit(&finding);
}

/* ---- Our own --------------------------------------------------------------------------------- */

/* Signs the body, URL and method, and takes them back. */
static void try_signed(const struct scheme *scheme, const struct received *request,
                       struct signer_key *key)
{
    static const struct received_tolerance off = {RECEIVED_TOLERANCE_OFF, RECEIVED_TOLERANCE_OFF};
    struct received received = *request;
    struct received_header headers[LINES_MAX];
    struct buf lines;
    size_t count;
    received.header_count = 0;
    received.tolerance = &off;
    buf_init(&lines, SIZE_MAX);
    enum status status = scheme_sign_received(scheme, &received, key, &lines, &count);
    expect(status == ST_OK || status == ST_UNSUPPORTED);
    if (status == ST_OK && scheme_needs_secret(scheme)) {
        expect(count > 0 && count <= LINES_MAX);
        struct slice left = buf_slice(&lines);
        for (size_t i = 0; i < count; i++) {
            struct slice line = take_until(&left, '\0');
            headers[i].name = take_until(&line, ':');
            headers[i].value = slice_from(line, 1);
        }
        received.headers = headers;
        received.header_count = count;
        enum scheme_verdict verdict = scheme_verify(scheme, &received, &key, 1, NULL);
        /* A time or a hash of the request's own may be none, or not the body's. */
        struct slice name = slice_str(scheme_name(scheme));
        bool loose = slice_eq(name, SLICE("linear")) || slice_eq(name, SLICE("twilio"));
        expect(verdict == VERIFY_OK ||
               (loose && (verdict == VERIFY_MALFORMED || verdict == VERIFY_BODY_CHANGED)));
    }
    buf_free(&lines);
}

/* ---- Templates ------------------------------------------------------------------------------- */

static void try_template(struct slice text, const struct received *received)
{
    struct part parts[TEMPLATE_PARTS_MAX];
    struct part_reader reader;
    struct slice at, value;
    size_t count;
    const char *what = NULL;
    if (parts_compile(text, ~0U, parts, &count, &what, &at) != ST_OK) {
        expect(what != NULL);
        return;
    }
    part_reader_init(&reader, received);
    reader.timestamp = SLICE("1700000000");
    for (size_t i = 0; i < count; i++) {
        enum part_result result = part_read(&reader, &parts[i], &value);
        expect(result != PART_NO_MEMORY);
        expect(result != PART_GIVEN || value.ptr || value.len == 0);
    }
    part_reader_deinit(&reader);
}

static void set_up(void)
{
    set = scheme_set_new();
    expect(set != NULL);
    expect(signer_key_new(SIGN_HMAC_SHA256, SLICE("known to nobody"), &keys[0]) == ST_OK);
    expect(signer_key_new(SIGN_HMAC_SHA1, SLICE("known to nobody"), &keys[1]) == ST_OK);
    expect(signer_key_new(SIGN_TOKEN, SLICE("known to nobody, and not in a corpus"), &keys[2]) ==
           ST_OK);
    expect(signer_key_new(SIGN_ED25519, SLICE("thirty-two bytes of a secret key"), &keys[3]) ==
           ST_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct received_header headers[HEADERS_MAX];
    const struct received_var var = {SLICE("webhook_id"), SLICE("WH9")};
    struct slice input = slice_of(data, size);
    if (!set)
        set_up();
    struct slice line = take_until(&input, '\n');
    struct slice left = line;
    const struct scheme *scheme = scheme_find(set, take_until(&left, ' '));
    struct received received = {
        .method = take_until(&left, ' '),
        .path = SLICE("/"),
        .public_url = left,
        .headers = headers,
        .vars = &var,
        .var_count = 1,
        .now_ms = UINT64_C(1700000000123),
    };
    const char *mark = left.len > 0 ? memchr(left.ptr, '?', left.len) : NULL;
    received.query = mark ? slice_from(left, (size_t)(mark - left.ptr) + 1) : SLICE_NULL;
    received.header_count = headers_take(&input, headers);
    received.body = input;
    if (!scheme) {
        try_template(line, &received);
        return 0;
    }
    try_request(scheme, &received);
    for (size_t i = 0; i < KEYS; i++)
        try_signed(scheme, &received, keys[i]);
    return 0;
}
