/* fuzz_http_response.c - a response in pieces must give what the same response gives whole.
 *
 * The first two bytes seed the places where the rest is cut; then the connection ends. Compared are
 * the last step and all results, the body as a checksum. Each piece lies in memory of just its
 * size.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_response.h"

enum { HEADER_BYTES_MAX = 400 }; /* within reach of the fuzzer */

struct outcome {
    enum http_response_step step;
    bool ended; /* by the end of the connection */
    bool keep_alive;
    int status_code;
    size_t behind;
    size_t header_bytes;
    size_t body_bytes;
    uint64_t sum;
    const char *fault;
};

static void require(int condition)
{
    if (!condition)
        abort();
}

static void mix(struct outcome *outcome, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        outcome->sum = (outcome->sum ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
}

/* Feeds one piece until it wants another or is finished. Returns how much it used. */
static size_t feed_piece(struct http_response *response, struct outcome *outcome,
                         struct slice piece)
{
    char *bytes = malloc(piece.len + (piece.len == 0));
    require(bytes != NULL);
    memcpy(bytes, piece.ptr, piece.len);
    struct slice rest = slice_of(bytes, piece.len);
    do {
        size_t used;
        struct slice body;
        outcome->step = http_response_feed(response, rest, &used, &body);
        require(used <= rest.len && body.len <= used);
        require((body.len > 0) == (outcome->step == HTTP_RESPONSE_BODY));
        require(body.len == 0 || body.ptr + body.len == rest.ptr + used);
        outcome->body_bytes += body.len;
        mix(outcome, body);
        rest = slice_from(rest, used);
    } while (outcome->step == HTTP_RESPONSE_BODY);
    require(outcome->step != HTTP_RESPONSE_MORE || rest.len == 0);
    require(outcome->step != HTTP_RESPONSE_DONE || rest.len == 0 || !response->keep_alive);
    free(bytes);
    return piece.len - rest.len;
}

/* What must hold whatever came. */
static void check(const struct http_response *response, const struct outcome *outcome, size_t len)
{
    bool done = outcome->step == HTTP_RESPONSE_DONE;
    require(response->begun == (len > 0));
    require(response->body_bytes == outcome->body_bytes);
    require(response->body_bytes + response->header_bytes <= len);
    require(response->header_bytes <= HEADER_BYTES_MAX);
    require(response->header_complete == (response->status_code >= 200));
    require(response->status_code <= 999);
    require(response->header_complete || !done);
    require((response->fault == NULL) == done);
    require(response->retry_after.len <= HTTP_RESPONSE_RETRY_AFTER_BYTES);
}

static struct outcome run(struct slice text, uint32_t seed, bool whole)
{
    static struct http_response response;
    struct outcome outcome = {.step = HTTP_RESPONSE_MORE};
    size_t at = 0;
    http_response_begin(&response, HEADER_BYTES_MAX);
    while (at < text.len && outcome.step == HTTP_RESPONSE_MORE) {
        size_t piece = text.len - at;
        if (!whole) {
            seed = seed * 1664525 + 1013904223;
            size_t most = seed & 0x10000 ? 4 : 300;
            piece = (seed >> 20) % ((piece < most ? piece : most) + 1);
        }
        at += feed_piece(&response, &outcome, slice_of(text.ptr + at, piece));
    }
    outcome.behind = text.len - at;
    outcome.ended = outcome.step == HTTP_RESPONSE_MORE;
    if (outcome.ended)
        outcome.step = http_response_eof(&response);
    check(&response, &outcome, text.len);
    bool done = outcome.step == HTTP_RESPONSE_DONE;
    outcome.keep_alive = done && !outcome.ended && outcome.behind == 0 && response.keep_alive;
    outcome.header_bytes = done ? response.header_bytes : 0;
    outcome.status_code = response.status_code;
    outcome.fault = response.fault;
    mix(&outcome, response.retry_after);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice text = slice_of(data + 2, size - 2);
    struct outcome whole = run(text, 0, true);
    struct outcome pieces = run(text, (uint32_t)data[0] << 8 | data[1], false);
    require(whole.step == pieces.step && whole.ended == pieces.ended);
    require(whole.keep_alive == pieces.keep_alive && whole.status_code == pieces.status_code);
    require(whole.header_bytes == pieces.header_bytes && whole.body_bytes == pieces.body_bytes);
    require(whole.sum == pieces.sum && whole.fault == pieces.fault);
    require(whole.step != HTTP_RESPONSE_DONE || whole.behind == pieces.behind);
    return 0;
}
