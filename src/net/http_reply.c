/* http_reply.c - writes answers: status line, headers, and what a status or method forbids.
 *
 * The head is formatted into one buffer of the server that is used again and again; where it goes
 * (to the socket at once, or behind other answers of this turn) is the connection's business.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/http_conn.h"

enum { ONE_PIECE_BYTES = 1024 }; /* bodies to this length are copied behind their head */

/* RFC 9110 section 15. Clients must not depend on the phrase (RFC 9112 section 4). */
static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}

/* Status line and date (IMF-fixdate, RFC 9110 section 5.6.7). Not with strftime: that speaks the
 * language of the locale. */
static void write_start(struct http_start *start, int status, uint64_t now_s)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)now_s;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    int len = snprintf(
        start->text, sizeof(start->text), /* RFC 9112 section 4: a space also before no phrase */
        "HTTP/1.1 %d %s\r\nDate: %s, %02u %s %04u %02u:%02u:%02u GMT\r\nX-Request-Id: ", status,
        reason_of(status), days[tm.tm_wday], (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
        (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
        (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    assert(len > 0 && len < (int)sizeof(start->text));
    start->len = (size_t)len;
    start->status = status;
    start->date_s = now_s;
}

/* Everything up to the headers of the handler; ends in CR LF. */
static void begin_head(struct http_server *server, int status, struct slice id)
{
    struct buf *out = &server->head;
    struct http_start *start = &server->start;
    uint64_t now_s = clock_wall_ms() / 1000;
    if (status != start->status || now_s != start->date_s)
        write_start(start, status, now_s);
    server->stats.replies[status / 100]++;
    buf_clear(out);
    buf_add(out, start->text, start->len);
    buf_add_slice(out, id);
    buf_add_slice(out, SLICE("\r\n"));
}

/* A header that would split the answer is the caller's fault; where asserts are compiled out it is
 * left out, which is the lesser evil. */
static void add_header(struct buf *out, struct slice name, struct slice value)
{
    bool good =
        name.len > 0 && http_char_span(name, HTTP_CHAR_TOKEN) == name.len && http_is_value(value);
    assert(good);
    if (!good) {
        log_error("http.bad_header", "name=%s", log_quote(name));
        return;
    }
    buf_add_slice(out, name);
    buf_add_slice(out, SLICE(": "));
    buf_add_slice(out, value);
    buf_add_slice(out, SLICE("\r\n"));
}

static void end_head(struct buf *out, bool with_length, size_t body_bytes)
{
    if (with_length) {
        buf_add_slice(out, SLICE("Content-Length: "));
        buf_add_u64(out, body_bytes);
        buf_add_slice(out, SLICE("\r\n"));
    }
    buf_add_slice(out, SLICE("\r\n"));
}

void http_reply(struct http_request *request, int status, const struct http_header *headers,
                size_t header_count, struct slice body)
{
    assert(status >= 200 && status <= 599);
    struct http_conn *conn = request->conn;
    if (!conn) { /* an orphan: nobody reads the answer */
        if (request->server)
            request->server->orphan_count--;
        http_request_release(request);
        return;
    }
    struct http_server *server = conn->server;
    struct buf *out = &server->head;
    begin_head(server, status, http_request_id(request));
    for (size_t i = 0; i < header_count; i++)
        add_header(out, headers[i].name, headers[i].value);
    if (http_conn_must_close(conn))
        buf_add_slice(out, SLICE("Connection: close\r\n"));
    else if (request->parser.head.minor == 0)
        buf_add_slice(out, SLICE("Connection: keep-alive\r\n"));
    bool bodiless = status == 204 || status == 304; /* RFC 9110 section 6.4.1 */
    end_head(out, !bodiless, body.len);
    if (bodiless || http_request_method(request) == HTTP_HEAD)
        body = SLICE_NULL;
    if (body.len <= ONE_PIECE_BYTES) {
        buf_add_slice(out, body);
        body = SLICE_NULL;
    }
    http_conn_answer(conn, buf_slice(out), body);
}

void http_reply_json(struct http_request *request, int status, struct slice body)
{
    static const struct http_header type = {{"Content-Type", 12}, {"application/json", 16}};
    http_reply(request, status, &type, 1, body);
}

void http_reply_fault(struct http_server *server, struct http_request *request,
                      enum http_fault fault)
{
    const struct http_fault_info *info = http_fault_info(fault);
    struct buf *out = &server->head;
    char body[512];
    char id[32];
    struct slice id_slice;
    if (request) {
        http_request_name(request);
        id_slice = http_request_id(request);
    } else {
        int len = snprintf(id, sizeof(id), "%s-%08" PRIx64, server->id_prefix, ++server->id_next);
        id_slice = slice_of(id, (size_t)len);
    }
    int len = snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
                       info->code, info->message);
    assert(len > 0 && len < (int)sizeof(body));
    begin_head(server, info->status, id_slice);
    add_header(out, SLICE("Content-Type"), SLICE("application/json"));
    if (info->status == 503)
        add_header(out, SLICE("Retry-After"), SLICE("1"));
    add_header(out, SLICE("Connection"), SLICE("close"));
    end_head(out, true, (size_t)len);
    if (!request || !slice_eq(request->parser.head.method_name, SLICE("HEAD")))
        buf_add(out, body, (size_t)len);
}
