/* fuzz_http_parse.c - requests in pieces must give what the same requests give whole.
 *
 * The first two bytes seed the places where the rest is cut. Both ways go through a row of
 * pipelined requests until one is faulty or incomplete, and the outcome is compared: number of
 * requests, fault, methods, targets, headers and bodies, in one checksum.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_parse.h"

enum { BODY_MAX = 3000 };

struct outcome {
    unsigned requests;
    enum http_fault fault;
    enum http_progress last;
    uint64_t sum;
};

static void mix(struct outcome *outcome, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        outcome->sum = (outcome->sum ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    outcome->sum = (outcome->sum ^ s.len ^ (s.ptr ? 256 : 0)) * 0x100000001b3u;
}

static void require(int condition)
{
    if (!condition)
        abort();
}

/* What a complete request must satisfy, however it was written. */
static void take(struct outcome *outcome, const struct http_parser *parser, const char *bytes,
                 size_t len)
{
    const struct http_head *head = &parser->head;
    require(parser->request_bytes <= len);
    require(parser->head_bytes + parser->body_bytes <= parser->request_bytes);
    require(parser->body_bytes <= BODY_MAX && parser->head_bytes <= LIMIT_HTTP_HEADER_BYTES);
    require(head->path.len > 0 && (head->path.ptr[0] == '/' || head->path.ptr[0] == '*'));
    require(http_char_span(head->path, HTTP_CHAR_TARGET) == head->path.len);
    outcome->requests++;
    mix(outcome, head->method_name);
    mix(outcome, head->path);
    mix(outcome, head->query);
    mix(outcome, head->host);
    mix(outcome, slice_of(bytes + parser->head_bytes, parser->body_bytes));
    for (size_t i = 0; i < head->header_count; i++) {
        require(memchr(head->headers[i].value.ptr, '\n', head->headers[i].value.len) == NULL);
        mix(outcome, head->headers[i].name);
        mix(outcome, head->headers[i].value);
    }
}

static struct outcome run(struct slice text, uint32_t seed, int whole)
{
    static struct http_parser parser;
    struct outcome outcome = {.last = HTTP_NEED_HEAD};
    /* Exactly as large as the text, so that a sanitizer sees each byte too far. */
    char *bytes = malloc(text.len + 1);
    require(bytes != NULL);
    size_t start = 0, len = 0, at = 0;
    http_parser_init(&parser, BODY_MAX);
    while (outcome.last != HTTP_FAULTY && (at < text.len || len > start)) {
        size_t piece = text.len - at;
        if (!whole && piece > 0) {
            seed = seed * 1664525 + 1013904223;
            size_t most = seed & 0x10000 ? 4 : 400;
            piece = 1 + (seed >> 20) % (piece < most ? piece : most);
        }
        memcpy(bytes + len, text.ptr + at, piece);
        len += piece;
        at += piece;
        size_t held = len - start;
        outcome.last = http_parser_advance(&parser, bytes + start, &held);
        len = start + held;
        if (outcome.last == HTTP_COMPLETE) {
            take(&outcome, &parser, bytes + start, held);
            start += parser.request_bytes;
            http_parser_init(&parser, BODY_MAX);
            outcome.last = HTTP_NEED_HEAD;
        } else if (at == text.len) {
            break;
        }
    }
    outcome.fault = parser.fault;
    free(bytes);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice text = slice_of(data + 2, size - 2);
    struct outcome whole = run(text, 0, 1);
    struct outcome pieces = run(text, (uint32_t)data[0] << 8 | data[1], 0);
    require(whole.requests == pieces.requests && whole.fault == pieces.fault &&
            whole.last == pieces.last && whole.sum == pieces.sum);
    return 0;
}
