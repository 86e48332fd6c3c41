/* fuzz_handshake.c - handshakes of the built-in schemes on any request, and rules of any form.
 *
 * The input reads like a request:
 *
 *     SCHEME METHOD QUERY
 *     Name: value
 *     …
 *
 *     body
 *
 * Whatever is asked, an answer is bounded, its headers are of visible characters, a text is that
 * too, and JSON is JSON. Where the first word is no scheme, the whole input is a document of
 * `handshakes:`.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "request_text.h"
#include "wire/handshake_file.h"
#include "wire/scheme.h"

static struct scheme_set *set;
static struct signer_key *key;

static void expect_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        expect(text.ptr[i] >= ' ' && text.ptr[i] <= '~');
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void check_answer(const struct handshake_answer *answer)
{
    size_t len = answer->body.len;
    expect(answer->status >= 200 && answer->status <= 299);
    expect(answer->header_count <= HANDSHAKE_HEADERS_MAX);
    for (size_t i = 0; i < answer->header_count; i++) {
        expect(answer->headers[i].name.len > 0);
        expect_visible(answer->headers[i].value);
        len += answer->headers[i].value.len;
    }
    expect(len <= HANDSHAKE_BYTES_MAX);
    expect((answer->body.len > 0) == (answer->content_type.ptr != NULL));
    if (slice_eq(answer->content_type, SLICE("text/plain")))
        expect_visible(answer->body);
    else if (answer->content_type.ptr)
        expect(json_check(answer->body, NULL) == ST_OK);
}

static void ask(const struct handshakes *handshakes, const struct received *received,
                size_t key_count)
{
    struct handshake_answer answer;
    const struct handshake_rule *rule = handshake_find(handshakes, received, false);
    if (!rule)
        return;
    enum status status = handshake_answer(rule, received, &key, key_count, &answer);
    expect(status == ST_OK || status == ST_DENIED || status == ST_RANGE ||
           (status == ST_UNSUPPORTED && key_count == 0));
    if (status == ST_OK)
        check_answer(&answer);
    handshake_answer_deinit(&answer);
}

/* ---- Rules ----------------------------------------------------------------------------------- */

static enum status take_document(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    return handshakes_take(walk, node, into);
}

/* Values of a stranger get into JSON by a function only, so any rule that is taken is safe; that
 * the text around them is JSON is up to who writes the rule. */
static void try_rules(struct slice text)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "POST"};
    struct received_header header = {SLICE("a"), SLICE("\x01\xff\"")};
    struct received received = {.path = SLICE("/"),
                                .query = SLICE("a=%0d%0a"),
                                .headers = &header,
                                .header_count = 1,
                                .body = SLICE("{\"a\":\"\\r\\n\"}")};
    struct handshakes *handshakes = NULL;
    char error[256] = "";
    struct buf strings;
    buf_init(&strings, 3 * text.len + 1024);
    expect(buf_reserve(&strings, 3 * text.len + 1024) != NULL);
    struct yaml_walk walk = {
        .file = "rules", .error = error, .error_size = sizeof(error), .strings = &strings};
    enum status status = yaml_walk(&walk, text, take_document, &handshakes);
    expect(status == ST_OK || (status == ST_SYNTAX && error[0] != '\0'));
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]) && status == ST_OK; i++) {
        struct handshake_answer answer;
        received.method = slice_str(methods[i]);
        const struct handshake_rule *rule = handshake_find(handshakes, &received, false);
        if (!rule)
            continue;
        if (handshake_answer(rule, &received, &key, 1, &answer) == ST_OK)
            for (size_t j = 0; j < answer.header_count; j++)
                expect_visible(answer.headers[j].value);
        handshake_answer_deinit(&answer);
    }
    handshakes_free(handshakes);
    buf_free(&strings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct received_var vars[] = {
        {{"verify_token", 12}, {"t0k", 3}},
        {{"allowed_origin", 14}, {"b.example, a.example", 20}},
    };
    struct received_header headers[HEADERS_MAX];
    struct slice whole = slice_of(data, size), input = whole;
    if (!set) {
        set = scheme_set_new();
        expect(set && signer_key_new(SIGN_HMAC_SHA256, SLICE("nobody's"), &key) == ST_OK);
    }
    struct slice line = take_until(&input, '\n');
    const struct scheme *scheme = scheme_find(set, take_until(&line, ' '));
    if (!scheme) {
        try_rules(whole);
        return 0;
    }
    struct received received = {
        .method = take_until(&line, ' '),
        .path = SLICE("/"),
        .query = line,
        .headers = headers,
        .vars = vars,
        .var_count = sizeof(vars) / sizeof(vars[0]),
    };
    received.header_count = headers_take(&input, headers);
    received.body = input;
    ask(scheme_handshakes(scheme), &received, 1);
    received_look(&received);
    ask(scheme_handshakes(scheme), &received, 0);
    return 0;
}
