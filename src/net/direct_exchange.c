/* direct_exchange.c - writing a request and reading its response.
 *
 *                      all written                    response complete
 *       sending -------------------------> waiting ----------------------> DONE
 *          |                                                                ^
 *          |  response complete, below 300                    all written   |
 *          +----------------------------> answered -------------------------+
 *          |  response complete, 300 or more                                |
 *          +----------------------------------------------------------------+
 *
 * Both directions are open from the start. Of an answer that overtakes the request: a refusal needs
 * no more of it; but a receiver that says 200 first and takes the body afterwards would lose the
 * body, if we stopped there. Then it is only written, and whether the peer takes it decides.
 * libcurl does the same.
 *
 * A write that fails often means that the peer has answered and closed without reading all. So what
 * it left is read first, and only when there is no answer the failed write counts.
 *
 * Bytes are read into one buffer for all connections: the parser takes whatever comes, so nothing
 * has to wait in it. Usually the whole response is read by one call; whether there is more is asked
 * of epoll, not by a second one.
 */
#include "net/direct_exchange.h"

static char input[DIRECT_STREAM_CHUNK];

static enum direct_exchange_step fail(struct direct_exchange *exchange, enum outbound_error error,
                                      const char *detail)
{
    exchange->error = error;
    exchange->detail = detail;
    return DIRECT_EXCHANGE_FAILED;
}

void direct_exchange_begin(struct direct_exchange *exchange, struct slice head, struct slice body,
                           size_t response_bytes_max)
{
    exchange->head = head;
    exchange->body = body;
    exchange->response_bytes_max = response_bytes_max;
    exchange->sent = 0;
    exchange->answered = exchange->send_failed = false;
    exchange->body_head_bytes = 0;
    exchange->read_full = false;
    exchange->truncated = exchange->excess = exchange->keep_alive = false;
    http_response_begin(&exchange->response, LIMIT_RESPONSE_HEADER_BYTES);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static void take_body(struct direct_exchange *exchange, struct slice body)
{
    size_t room = sizeof(exchange->body_head) - exchange->body_head_bytes;
    size_t kept = body.len < room ? body.len : room;
    memcpy(exchange->body_head + exchange->body_head_bytes, body.ptr, kept);
    exchange->body_head_bytes += kept;
    exchange->truncated = exchange->response.body_bytes > exchange->response_bytes_max;
}

static enum direct_exchange_step complete(struct direct_exchange *exchange,
                                          struct direct_stream *stream)
{
    bool whole = exchange->sent == exchange->head.len + exchange->body.len;
    bool needed = exchange->response.status_code < 300;
    exchange->answered = true;
    if (!whole && needed && exchange->send_failed)
        return fail(exchange, OUTBOUND_CONNECTION_RESET,
                    "the connection was closed before the whole request was taken");
    if (!whole && needed)
        return DIRECT_EXCHANGE_WAIT;
    if (exchange->read_full || direct_stream_has_more(stream))
        exchange->excess |= direct_stream_look(stream) == DIRECT_STREAM_UNASKED;
    exchange->keep_alive = whole && exchange->response.keep_alive && !exchange->excess;
    return DIRECT_EXCHANGE_DONE;
}

static enum direct_exchange_step feed(struct direct_exchange *exchange,
                                      struct direct_stream *stream, struct slice in)
{
    struct http_response *response = &exchange->response;
    for (;;) {
        size_t used;
        struct slice body;
        enum http_response_step step = http_response_feed(response, in, &used, &body);
        in = slice_from(in, used);
        switch (step) {
        case HTTP_RESPONSE_MORE:
            return DIRECT_EXCHANGE_WAIT;
        case HTTP_RESPONSE_BODY:
            take_body(exchange, body);
            if (exchange->truncated)
                return DIRECT_EXCHANGE_DONE;
            break;
        case HTTP_RESPONSE_DONE:
            exchange->excess = in.len > 0;
            return complete(exchange, stream);
        case HTTP_RESPONSE_FAULT:
            return fail(exchange, OUTBOUND_PROTOCOL, response->fault);
        case HTTP_RESPONSE_TOO_LARGE:
            return fail(exchange, OUTBOUND_RESPONSE_TOO_LARGE, response->fault);
        }
    }
}

static enum direct_exchange_step end_of_stream(struct direct_exchange *exchange,
                                               struct direct_stream *stream)
{
    if (http_response_eof(&exchange->response) == HTTP_RESPONSE_DONE)
        return complete(exchange, stream);
    return fail(exchange, OUTBOUND_CONNECTION_RESET, exchange->response.fault);
}

enum direct_exchange_step direct_exchange_receive(struct direct_exchange *exchange,
                                                  struct direct_stream *stream)
{
    enum direct_exchange_step step;
    do {
        ssize_t count = direct_stream_read(stream, input, sizeof(input));
        if (count == DIRECT_STREAM_AGAIN)
            return DIRECT_EXCHANGE_WAIT;
        if (count == DIRECT_STREAM_FAILED)
            return fail(exchange, stream->error, stream->detail);
        if (count == 0)
            return end_of_stream(exchange, stream);
        exchange->read_full = count == sizeof(input);
        step = feed(exchange, stream, slice_of(input, (size_t)count));
    } while (direct_exchange_receiving(exchange) && step == DIRECT_EXCHANGE_WAIT &&
             direct_stream_has_more(stream));
    return step;
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* What the peer left before it closed counts more than the write it refused. */
static enum direct_exchange_step on_send_failed(struct direct_exchange *exchange,
                                                struct direct_stream *stream)
{
    enum outbound_error error = stream->error;
    exchange->send_failed = true;
    if (exchange->answered)
        return complete(exchange, stream);
    enum direct_exchange_step step = direct_exchange_receive(exchange, stream);
    return step == DIRECT_EXCHANGE_WAIT && !exchange->response.begun
               ? fail(exchange, error, "the connection does not take the request")
               : step;
}

enum direct_exchange_step direct_exchange_send(struct direct_exchange *exchange,
                                               struct direct_stream *stream)
{
    size_t of_body = exchange->sent > exchange->head.len ? exchange->sent - exchange->head.len : 0;
    ssize_t count = direct_stream_write(stream, slice_from(exchange->head, exchange->sent),
                                        slice_from(exchange->body, of_body));
    if (count == DIRECT_STREAM_FAILED)
        return on_send_failed(exchange, stream);
    if (count > 0)
        exchange->sent += (size_t)count;
    if (exchange->answered && !direct_exchange_sending(exchange))
        return complete(exchange, stream);
    return DIRECT_EXCHANGE_WAIT;
}
