/* reply.c - error bodies and common answers.
 *
 * An error body is at most some hundred bytes, but it is built in memory that may be refused; then
 * a body without the message goes out, which needs none.
 */
#include "api/reply.h"

#include <stdio.h>
#include <string.h>

#include "base/json_out.h"

enum { ERROR_BYTES_MAX = 4096 };

static struct http_header json_type(void)
{
    return (struct http_header){SLICE("Content-Type"), SLICE("application/json")};
}

static void send_error(struct http_request *request, int status, const char *code,
                       const char *field, const char *message, const struct http_header *more)
{
    struct http_header headers[3] = {json_type()};
    size_t count = 1;
    char retry_after[16];
    if (status == 503) {
        snprintf(retry_after, sizeof(retry_after), "%d", REPLY_RETRY_AFTER_S);
        headers[count++] = (struct http_header){SLICE("Retry-After"), slice_str(retry_after)};
    }
    if (more)
        headers[count++] = *more;

    struct buf body;
    buf_init(&body, ERROR_BYTES_MAX);
    struct json_out out;
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_key(&out, "error");
    json_object_open(&out);
    json_member_cstr(&out, "code", code);
    json_member_cstr(&out, "message", message);
    if (field && field[0] != '\0')
        json_member_cstr(&out, "field", field);
    json_object_close(&out);
    json_object_close(&out);

    struct slice text = buf_slice(&body);
    if (buf_status(&body))
        text = SLICE("{\"error\":{\"code\":\"out_of_memory\",\"message\":\"Try again later.\"}}");
    http_reply(request, status, headers, count, text);
    buf_free(&body);
}

void reply_error(struct http_request *request, int status, const char *code, const char *field,
                 const char *message)
{
    send_error(request, status, code, field, message, NULL);
}

void reply_error_with(struct http_request *request, int status, const char *code, const char *field,
                      const char *message, struct http_header header)
{
    send_error(request, status, code, field, message, &header);
}

void reply_refused(struct http_request *request, const struct field_error *error)
{
    int status = strcmp(error->code, "payload_too_large") == 0 ? 413 : 400;
    reply_error(request, status, error->code, error->field, error->message);
}

void reply_failed(struct http_request *request, enum status status)
{
    if (status == ST_LOST)
        reply_error(request, 503, "outcome_unknown", NULL,
                    "The connection to Redis was lost; the change may have been stored or not.");
    else if (status == ST_AGAIN)
        reply_error(request, 503, "redis_unavailable", NULL,
                    "Redis cannot be reached; nothing was changed. Try again later.");
    else if (status == ST_STOPPED)
        reply_error(request, 503, "shutting_down", NULL,
                    "This server is shutting down; nothing was changed. Try again.");
    else if (status == ST_NOMEM)
        reply_error(request, 503, "out_of_memory", NULL,
                    "This server is short of memory; nothing was changed. Try again later.");
    else if (status == ST_REFUSED)
        reply_error(request, 503, "redis_refused", NULL,
                    "Redis answered with an error, perhaps because its memory is full; nothing was "
                    "changed. The log says which. Try again later.");
    else
        reply_error(request, 500, "internal", NULL, "The request failed; the log says why.");
}

void reply_json(struct http_request *request, int status, struct buf *body, const char *location)
{
    struct http_header headers[] = {json_type(), {SLICE("Location"), slice_str(location)}};
    if (buf_status(body))
        reply_error(request, 503, "out_of_memory", NULL,
                    "This server is short of memory for the answer. Try again later.");
    else
        http_reply(request, status, headers, location ? 2 : 1, buf_slice(body));
    buf_free(body);
}
