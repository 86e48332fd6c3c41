/* direct_exchange.h - one request and its response on a connection that stands. Knows nothing of
 * pools, deadlines or who asked.
 */
#ifndef TROTLINE_NET_DIRECT_EXCHANGE_H
#define TROTLINE_NET_DIRECT_EXCHANGE_H

#include "base/limits.h"
#include "net/direct_stream.h"
#include "net/http_response.h"

/* Embedded in a request; must stay where it is. */
struct direct_exchange {
    /* What is sent; borrowed. */
    struct slice head;
    struct slice body;
    size_t response_bytes_max;

    size_t sent;      /* of head and body together */
    bool answered;    /* the response is complete; what is left of the request is still sent */
    bool read_full;   /* the last read took all it had room for: there may be more */
    bool send_failed; /* nothing more is sent; what came before may still be read */

    /* Results. */
    struct http_response response;
    size_t body_head_bytes;    /* in body_head */
    bool truncated;            /* the body went beyond response_bytes_max */
    bool excess;               /* something came behind the response, which nobody asked for */
    bool keep_alive;           /* after DONE: the connection may be used again */
    enum outbound_error error; /* after FAILED */
    const char *detail; /* the same; valid until the next call of a direct_stream_ function */
    char body_head[LIMIT_ATTEMPT_BODY_BYTES];
};

enum direct_exchange_step {
    DIRECT_EXCHANGE_WAIT, /* until the connection is ready */
    DIRECT_EXCHANGE_DONE,
    DIRECT_EXCHANGE_FAILED
};

/* Another exchange, not begun on any connection. */
void direct_exchange_begin(struct direct_exchange *exchange, struct slice head, struct slice body,
                           size_t response_bytes_max);

/* Writes what the connection takes. */
enum direct_exchange_step direct_exchange_send(struct direct_exchange *exchange,
                                               struct direct_stream *stream);

/* Reads what is there. */
enum direct_exchange_step direct_exchange_receive(struct direct_exchange *exchange,
                                                  struct direct_stream *stream);

/* Is there something left to write? */
static inline bool direct_exchange_sending(const struct direct_exchange *exchange)
{
    return !exchange->send_failed && exchange->sent < exchange->head.len + exchange->body.len;
}

/* Is there something left to read? */
static inline bool direct_exchange_receiving(const struct direct_exchange *exchange)
{
    return !exchange->answered;
}

#endif
