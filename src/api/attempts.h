/* attempts.h - listing attempts, and GET /api/webhooks/{id}/attempts: the newest of an endpoint. */
#ifndef TROTLINE_API_ATTEMPTS_H
#define TROTLINE_API_ATTEMPTS_H

#include "api/router.h"
#include "base/json_out.h"
#include "core/outcome.h"

/* The query's `limit`. False: the request is answered with what is wrong with it. */
bool attempts_limit(struct http_request *request, uint64_t *most);

/* The answer: begin, each attempt, end with their number. `endpoint` is NULL where it is known. */
void attempts_begin(struct json_out *out, struct buf *body);
void attempts_add(struct json_out *out, const struct attempt_record *record,
                  const struct id *endpoint);
void attempts_end(struct json_out *out, size_t count);

void attempts_list(struct api *api, struct http_request *request, struct slice id);

#endif
