/* replicas.h - GET /api/replicas: the processes that share the work, and how many lanes each has.
 *
 * What a process tells of itself (host, pid, url, version, startedAt, draining) is JSON in Redis
 * that another version may have written: what is missing there is null here.
 */
#ifndef TROTLINE_API_REPLICAS_H
#define TROTLINE_API_REPLICAS_H

#include "api/router.h"
#include "base/buf.h"
#include "base/status.h"
#include "net/redis_reply.h"

void replicas_list(struct api *api, struct http_request *request, struct slice id);

/* The answer's body from the reply of replicas.lua; `self` is this process's incarnation. Pure.
 * ST_NOMEM, ST_LIMIT; ST_SYNTAX: it is no such reply. */
MUST_CHECK enum status replicas_render(const struct redis_value *reply, const char *self,
                                       struct buf *body);

#endif
