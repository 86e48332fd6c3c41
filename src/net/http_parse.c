/* http_parse.c - one whole request, head and body, out of one growing piece of memory.
 *
 * Three steps, each in its own file or function: find the end of the head, take it apart, follow
 * the body; a body in pieces is followed by http_stream.c. The body stays where it arrived, so a
 * request with Content-Length is never copied; a chunked one is decoded onto itself, right behind
 * its head.
 */
#include "net/http_parse.h"

void http_parser_init(struct http_parser *parser, size_t body_bytes_max)
{
    /* Not the whole struct: the header table alone is 3 KiB and needs no clearing. */
    parser->fault = HTTP_FAULT_NONE;
    parser->body_bytes_max = body_bytes_max;
    parser->head_bytes = 0;
    parser->body_bytes = 0;
    parser->request_bytes = 0;
    parser->body_begun = false;
    parser->head.header_count = 0;
    parser->head.method_name = SLICE_NULL;
    parser->scan = (struct http_head_scan){.line_at = 0};
    http_chunked_init(&parser->chunked, body_bytes_max);
}

static enum http_progress refuse(struct http_parser *parser, enum http_fault fault)
{
    parser->fault = fault;
    return HTTP_FAULTY;
}

static enum http_progress complete(struct http_parser *parser, size_t body_bytes,
                                   size_t request_bytes)
{
    parser->body_bytes = body_bytes;
    parser->request_bytes = request_bytes;
    return HTTP_COMPLETE;
}

static enum http_progress advance_chunked(struct http_parser *parser, char *bytes, size_t *len)
{
    struct http_chunked *chunked = &parser->chunked;
    char *body = bytes + parser->head_bytes;
    size_t raw_at = parser->head_bytes + chunked->body_bytes;
    size_t used = 0;
    enum http_fault fault = http_chunked_feed(chunked, body, bytes + raw_at, *len - raw_at, &used);
    if (fault)
        return refuse(parser, fault);
    if (chunked->done)
        return complete(parser, chunked->body_bytes, raw_at + used);
    *len = parser->head_bytes + chunked->body_bytes;
    return HTTP_NEED_BODY;
}

static enum http_progress advance_body(struct http_parser *parser, char *bytes, size_t *len)
{
    const struct http_head *head = &parser->head;
    if (*len > parser->head_bytes)
        parser->body_begun = true;
    if (head->framing == HTTP_BODY_NONE)
        return complete(parser, 0, parser->head_bytes);
    if (head->framing == HTTP_BODY_CHUNKED)
        return advance_chunked(parser, bytes, len);
    size_t body_bytes = (size_t)head->content_length; /* at most body_bytes_max */
    if (*len - parser->head_bytes < body_bytes)
        return HTTP_NEED_BODY;
    return complete(parser, body_bytes, parser->head_bytes + body_bytes);
}

enum http_progress http_parser_head(struct http_parser *parser, const char *bytes, size_t len)
{
    size_t head_bytes;
    enum http_fault fault = http_head_scan(&parser->scan, bytes, len, &head_bytes);
    if (fault)
        return refuse(parser, fault);
    if (head_bytes == 0)
        return HTTP_NEED_HEAD;
    fault = http_head_parse(&parser->head, bytes, head_bytes);
    if (fault)
        return refuse(parser, fault);
    parser->head_bytes = head_bytes;
    return HTTP_NEED_BODY;
}

enum http_progress http_parser_advance(struct http_parser *parser, char *bytes, size_t *len)
{
    if (parser->head_bytes == 0) {
        enum http_progress progress = http_parser_head(parser, bytes, *len);
        if (progress != HTTP_NEED_BODY)
            return progress;
    }
    if (parser->head.content_length > parser->body_bytes_max)
        return refuse(parser, HTTP_FAULT_BODY_LONG);
    return advance_body(parser, bytes, len);
}

void http_parser_rebase(struct http_parser *parser, const char *from, const char *to)
{
    if (parser->head_bytes > 0)
        http_head_rebase(&parser->head, from, to);
}

uint64_t http_parser_expected_bytes(const struct http_parser *parser)
{
    if (parser->head_bytes == 0 || parser->head.framing == HTTP_BODY_CHUNKED)
        return 0;
    return parser->head_bytes + parser->head.content_length;
}
