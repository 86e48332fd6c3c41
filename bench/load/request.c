/* request.c - an event as bytes, with two stamps for the sink (stamp.h) and a payload (payload.h):
 *
 *     POST /api/events HTTP/1.1 … Idempotency-Key: 93c1f0a3d1e4b522-1000000042
 *
 *     {"type":"bench.0007","data":{"t":1000000123456789012,"n":1000000042,"order":"ord_…",…}}
 *
 * or, with --github, as a third party sends it, which the server takes at /in/<source>:
 *
 *     POST /in/bench HTTP/1.1 … X-GitHub-Event: bench.0007
 *     X-GitHub-Delivery: 93c1f0a3d1e4b522-1000000042
 *     X-Hub-Signature-256: sha256=1f0a…
 *
 * Requests of several events (--per-request) have a JSON array of such bodies.
 *
 * Rendering costs more than sending, so it happens before the clock starts; per event there is one
 * copy of a kilobyte and a few digits. The copy is each connection's own because a request may
 * leave in pieces. */
#include "request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../stamp.h"
#include "github.h"
#include "payload.h"

enum { HEAD_BYTES = 4096, TYPE_DIGITS = 4 };

static void put_digits(char *at, unsigned digits, uint64_t value)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

static int producer_headers(char *out, size_t size, const struct load_options *options,
                            uint64_t run)
{
    char key[64] = "";
    if (options->has_keys)
        snprintf(key, sizeof key, "Idempotency-Key: %016" PRIx64 "-0000000000\r\n", run);
    return snprintf(out, size, "Authorization: Bearer %s\r\n%s", options->key, key);
}

static int github_headers(char *out, size_t size, const struct load_options *options, uint64_t run)
{
    return snprintf(out, size,
                    "X-GitHub-Event: %s%s\r\nX-GitHub-Delivery: %016" PRIx64
                    "-0000000000\r\nX-Hub-Signature-256: sha256=%0*d\r\n",
                    options->type, options->types > 1 ? ".0000" : "", run, GITHUB_SIGNATURE_BYTES,
                    0);
}

/* Behind a header's name, at the end of its line and so many digits before it. 0: it is not there.
 */
static size_t digits_of(const char *head, const char *name, size_t digits)
{
    const char *line = strstr(head, name);
    return line ? (size_t)(strstr(line + strlen(name), "\r\n") - head) - digits : 0;
}

static void find_digits(struct requests *requests, const struct load_options *options,
                        const char *head)
{
    requests->key_at = digits_of(
        head,
        options->github ? "\r\nX-GitHub-Delivery:" : "\r\nIdempotency-Key:", STAMP_NUMBER_DIGITS);
    requests->signature_at = digits_of(head, "\r\nX-Hub-Signature-256:", GITHUB_SIGNATURE_BYTES);
    if (options->types > 1)
        requests->header_type_at = digits_of(head, "\r\nX-GitHub-Event:", TYPE_DIGITS);
}

/* Of several events: [event,event,…] */
static size_t body_bytes(const struct load_options *options)
{
    size_t bytes = options->size_bytes;
    return options->per_request > 1 ? options->per_request * (bytes + 1) + 1 : bytes;
}

/* The request line and the headers, with the layout of what they have to be written over. */
static size_t head_render(struct requests *requests, const struct load_options *options,
                          char head[HEAD_BYTES])
{
    char own[512] = "";
    uint64_t run; /* tells the keys of this run from those of others */
    if (getrandom(&run, sizeof run, 0) != (ssize_t)sizeof run) {
        perror("getrandom");
        exit(1);
    }
    int own_len = options->github ? github_headers(own, sizeof own, options, run)
                                  : producer_headers(own, sizeof own, options, run);
    int len = snprintf(head, HEAD_BYTES,
                       "POST %s HTTP/1.1\r\nHost: %s:%s\r\n"
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
                       options->path, options->host, options->port, body_bytes(options), own);
    if (len >= HEAD_BYTES || own_len >= (int)sizeof own)
        load_options_refuse("the url, the key or the type is too long");
    find_digits(requests, options, head);
    return (size_t)len;
}

/* The body up to the payload, with the layout, which counts from the beginning of the head. */
static size_t stamps_render(struct requests *requests, const struct load_options *options,
                            size_t head_len, char stamps[HEAD_BYTES])
{
    const char *at = options->deliver_at;
    int type_len = snprintf(stamps, HEAD_BYTES, "{\"type\":\"%s%s", options->type,
                            options->types > 1 ? ".0000" : "");
    int len = snprintf(stamps, HEAD_BYTES,
                       "{\"type\":\"%s%s\"%s%s%s,\"data\":{\"t\":0000000000000000000,"
                       "\"n\":0000000000,",
                       options->type, options->types > 1 ? ".0000" : "",
                       at ? ",\"deliverAt\":\"" : "", at ? at : "", at ? "\"" : "");
    if (len >= HEAD_BYTES)
        load_options_refuse("--type or --deliver-at is too long");
    requests->type_at = options->types > 1 ? head_len + (size_t)type_len - TYPE_DIGITS : 0;
    requests->number_at = head_len + (size_t)len - strlen(",") - STAMP_NUMBER_DIGITS;
    requests->time_at = requests->number_at - strlen(",\"n\":") - STAMP_TIME_DIGITS;
    return (size_t)len;
}

static void padding_write(char *at, size_t len)
{
    static const char begin[] = "\"pad\":\"";
    memset(at, 'x', len);
    memcpy(at, begin, sizeof begin - 1);
    at[len - 1] = '"';
}

void requests_init(struct requests *requests, const struct load_options *options)
{
    static const char end[] = "}}";
    char head[HEAD_BYTES], stamps[HEAD_BYTES];
    *requests = (struct requests){.types = options->types,
                                  .events = options->per_request,
                                  .event_bytes = options->size_bytes};
    if (options->github)
        github_open(options->github);
    size_t head_len = head_render(requests, options, head);
    size_t stamps_len = stamps_render(requests, options, head_len, stamps);
    if (options->size_bytes < stamps_len + PAYLOAD_BYTES_MIN + sizeof end - 1)
        load_options_refuse("--size is too small for the event around it");
    size_t payload_len = options->size_bytes - stamps_len - (sizeof end - 1);
    size_t variant_len = head_len + options->size_bytes;
    requests->len = head_len + body_bytes(options);
    requests->body_at = head_len;
    for (unsigned i = 0; i < REQUEST_VARIANTS; i++) {
        char *at = requests->variants[i] = malloc(variant_len);
        if (!at) {
            perror("malloc");
            exit(1);
        }
        memcpy(at, head, head_len);
        memcpy(at + head_len, stamps, stamps_len);
        if (options->is_padded)
            padding_write(at + head_len + stamps_len, payload_len);
        else
            payload_write(at + head_len + stamps_len, payload_len, i);
        memcpy(at + variant_len - (sizeof end - 1), end, sizeof end - 1);
    }
}

/* The digits of an event in a body that would begin with it at the place `at` + body_at. */
static void stamp(const struct requests *requests, char *at, uint64_t number, uint64_t intended_ns)
{
    put_digits(at + requests->time_at, STAMP_TIME_DIGITS, STAMP_TIME_BASE + intended_ns);
    put_digits(at + requests->number_at, STAMP_NUMBER_DIGITS, STAMP_NUMBER_BASE + number);
    if (requests->type_at)
        put_digits(at + requests->type_at, TYPE_DIGITS, number % requests->types);
}

static void write_array(const struct requests *requests, char *at, uint64_t number,
                        uint64_t intended_ns)
{
    char *event = at + requests->body_at;
    *event++ = '[';
    for (unsigned i = 0; i < requests->events; i++) {
        const char *variant = requests->variants[(number + i) % REQUEST_VARIANTS];
        memcpy(event, variant + requests->body_at, requests->event_bytes);
        stamp(requests, event - requests->body_at, number + i, intended_ns);
        event += requests->event_bytes;
        *event++ = i + 1 < requests->events ? ',' : ']';
    }
}

void requests_write(const struct requests *requests, char *at, uint64_t number,
                    uint64_t intended_ns)
{
    const char *variant = requests->variants[number % REQUEST_VARIANTS];
    memcpy(at, variant, requests->body_at + (requests->events > 1 ? 0 : requests->event_bytes));
    if (requests->events > 1)
        write_array(requests, at, number, intended_ns);
    else
        stamp(requests, at, number, intended_ns);
    if (requests->key_at)
        put_digits(at + requests->key_at, STAMP_NUMBER_DIGITS, STAMP_NUMBER_BASE + number);
    if (requests->header_type_at)
        put_digits(at + requests->header_type_at, TYPE_DIGITS, number % requests->types);
    if (requests->signature_at) /* last: it is of all that was written over */
        github_sign(at + requests->signature_at, at + requests->body_at,
                    requests->len - requests->body_at);
}
