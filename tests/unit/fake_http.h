/* fake_http.h - a request made by a test, and the answer it got: in place of net/http_server.c.
 *
 * Include it in one file of a program; it defines the http_request_… and http_reply… that handlers
 * call, so that the linker does not take the real ones.
 */
#ifndef TROTLINE_TESTS_FAKE_HTTP_H
#define TROTLINE_TESTS_FAKE_HTTP_H

#include <stdlib.h>

#include "base/buf.h"
#include "net/http_server.h"

enum { FAKE_HEADERS = 8 };

struct http_request {
    enum http_method method;
    struct slice path, query, body;
    struct http_header headers[FAKE_HEADERS];
    size_t header_count;

    int replies; /* must become 1 */
    int status;
    struct buf reply_headers; /* "Name: value\n" each */
    struct buf reply_body;    /* NUL-terminated behind its end */
};

/* A request for "path?query". The texts must outlive it. */
static void fake_init(struct http_request *request, enum http_method method, const char *target,
                      const char *body)
{
    const char *mark = strchr(target, '?');
    *request = (struct http_request){.method = method, .body = slice_str(body)};
    request->path = mark ? slice_of(target, (size_t)(mark - target)) : slice_str(target);
    request->query = mark ? slice_str(mark + 1) : SLICE_NULL;
    buf_init(&request->reply_headers, 10000);
    buf_init(&request->reply_body, 10000000);
}

static void fake_header(struct http_request *request, const char *name, const char *value)
{
    assert_true(request->header_count < FAKE_HEADERS);
    request->headers[request->header_count++] =
        (struct http_header){slice_str(name), slice_str(value)};
}

static void fake_free(struct http_request *request)
{
    buf_free(&request->reply_headers);
    buf_free(&request->reply_body);
}

enum http_method http_request_method(const struct http_request *request)
{
    return request->method;
}

struct slice http_request_path(const struct http_request *request)
{
    return request->path;
}

struct slice http_request_query(const struct http_request *request)
{
    return request->query;
}

struct slice http_request_body(const struct http_request *request)
{
    return request->body;
}

struct slice http_request_header(const struct http_request *request, struct slice name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (slice_eq_nocase(request->headers[i].name, name))
            return request->headers[i].value;
    return SLICE_NULL;
}

size_t http_request_header_count(const struct http_request *request, struct slice name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        count += slice_eq_nocase(request->headers[i].name, name);
    return count;
}

void http_reply(struct http_request *request, int status, const struct http_header *headers,
                size_t header_count, struct slice body)
{
    assert_int_equal(request->replies, 0);
    request->replies++;
    request->status = status;
    for (size_t i = 0; i < header_count; i++)
        buf_addf(&request->reply_headers, "%.*s: %.*s\n", SLICE_ARGS(headers[i].name),
                 SLICE_ARGS(headers[i].value));
    buf_add_char(&request->reply_headers, '\0');
    buf_add_slice(&request->reply_body, body);
    buf_add_char(&request->reply_body, '\0');
    assert_int_equal(buf_status(&request->reply_headers), ST_OK);
    assert_int_equal(buf_status(&request->reply_body), ST_OK);
}

#endif
