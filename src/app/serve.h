/* serve.h - `trotline serve`: the gateway itself. */
#ifndef TROTLINE_APP_SERVE_H
#define TROTLINE_APP_SERVE_H

#include "app/config.h"
#include "core/core.h"
#include "core/endpoint_config.h"
#include "net/http_server.h"
#include "net/netguard.h"
#include "net/outbound.h"

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

#endif
