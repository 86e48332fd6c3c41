/* reply.h - the answers that handlers have in common.
 *
 * Every function here answers the request, which is invalid afterwards. Errors look like
 * {"error":{"code":"invalid_url","message":"…","field":"url"}}; http_server adds X-Request-Id.
 */
#ifndef TROTLINE_API_REPLY_H
#define TROTLINE_API_REPLY_H

#include "base/buf.h"
#include "base/field_error.h"
#include "base/status.h"
#include "net/http_server.h"

/* Seconds in Retry-After of every 503. */
enum { REPLY_RETRY_AFTER_S = 1 };

/* `field` NULL or "": there is none. A 503 gets Retry-After. */
void reply_error(struct http_request *request, int status, const char *code, const char *field,
                 const char *message);

/* The same with one more header. */
void reply_error_with(struct http_request *request, int status, const char *code, const char *field,
                      const char *message, struct http_header header);

/* 400 (413 for `payload_too_large`) with what the checks found. */
void reply_refused(struct http_request *request, const struct field_error *error);

/* What became of a change that was not stored: ST_AGAIN, ST_STOPPED and ST_NOMEM are 503 and
 * promise that nothing was; ST_REFUSED is
 * 503 too; ST_LOST is 503 `outcome_unknown`; anything else is 500 `internal`. */
void reply_failed(struct http_request *request, enum status status);

/* The buffer as JSON, and frees the buffer; 503 when it could not be filled. `location`: NULL, or
 * the value of that header. */
void reply_json(struct http_request *request, int status, struct buf *body, const char *location);

#endif
