/* serve.h - `trotline serve`: the gateway itself. */
#ifndef TROTLINE_APP_SERVE_H
#define TROTLINE_APP_SERVE_H

#include "app/config.h"
#include "app/worker.h"
#include "core/core.h"
#include "core/endpoint_config.h"
#include "core/source_document.h"
#include "net/http_server.h"
#include "net/netguard.h"
#include "net/outbound.h"
#include "net/redis_server.h"

/* serve_options.c: from the configuration to what each module takes. Strings stay the
 * configuration's. */
void serve_core_options(const struct config *config, struct core_options *options);
void serve_http_options(const struct config *config, struct http_server_options *options);
void serve_outbound_options(const struct config *config, const struct netguard *guard,
                            struct outbound_options *options);
/* ST_RANGE with a sentence in `error` when a network of outbound.allow is not one. */
MUST_CHECK enum status serve_guard(const struct config *config, struct netguard *guard,
                                   struct buf *error);
void serve_rules(const struct config *config, const struct scheme_set *schemes,
                 const struct netguard *guard, struct endpoint_rules *rules);

/* To be freed by the caller: trusted_proxies.items. ST_RANGE with a sentence in `error`; ST_NOMEM.
 */
MUST_CHECK enum status serve_source_rules(const struct config *config,
                                          const struct scheme_set *schemes,
                                          struct source_rules *rules, struct buf *error);

/* Is the Redis a child of ours? */
bool serve_redis_is_embedded(const struct config *config);

/* Where this process listens for itself (workerListen): a worker on the port of its number. False:
 * nowhere. */
bool serve_own_address(const struct config *config, const struct worker *worker,
                       struct address *address);

/* The archive's file: relative to the data directory, and one of its own for each worker
 * (deliveries-2.jsonl). Appends a path and a NUL. */
void serve_archive_path(const struct config *config, const struct worker *worker, struct buf *path);

/* ---- serve_setup.c: what a gateway and the parent of several workers begin and end with.
 * False: a sentence in `error`. ---------------------------------------------------------------- */

/* To be called before anything large is allocated: malloc keeps what a gateway soon needs again. */
void serve_keep_memory(void);

/* From here on nothing of ours waits for standard error. */
bool serve_start_log(const struct config *config, struct buf *error);

/* The data directory and the key in it; *made when it is new. `owned`: no other server may use the
 * directory while this process lives (with an embedded Redis that is the business of its own lock);
 * where no lock can be made, on a file system that is only to be read, that is only logged. */
bool serve_open_data(const struct config *config, bool owned, struct buf *api_key, bool *made,
                     struct buf *error);

/* The embedded one. */
bool serve_start_redis(const struct config *config, struct reactor *reactor,
                       struct redis_server **redis, struct buf *error);

/* Into the log, behind the lines that led to it. */
void serve_say_failed(const struct config *config, const struct buf *error);

/* ---- serve_ready.c --------------------------------------------------------------------------- */

struct serve_ready {
    const struct config *config;
    uint16_t port;
    struct slice api_key;
    bool key_made; /* by this start */
};

/* The line "ready on http://…", and what else there is to say to somebody who starts a gateway. */
void serve_say_ready(const struct serve_ready *ready);

#endif
