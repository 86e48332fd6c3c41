/* endpoint_config.h - what an endpoint is: the document that the API takes, Redis keeps, and the
 * data path uses compiled.
 *
 * A configuration is immutable and counted: a change makes a new one, attempts under way keep
 * theirs.
 *
 * The stored document is JSON of our own making with the members of the API
 * plus `secrets` [{"secret","expiresAt"?}], newest first, in place of `secret`, `createdAt`,
 * `updatedAt`, and `disabled` (a reason: "gone", "manual") when the endpoint does not take
 * deliveries. Values stand in it as they were given; what was not given is not in it. The filter is
 * in it as a string that holds the filter's JSON, because its numbers must stay as they are written
 * and a tree would round them.
 *
 * What callers hand in is read during the call only; no callback is involved anywhere.
 */
#ifndef TROTLINE_CORE_ENDPOINT_CONFIG_H
#define TROTLINE_CORE_ENDPOINT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/field_error.h"
#include "base/limits.h"
#include "core/endpoint_stream.h"
#include "core/gcra.h"
#include "core/group_rule.h"
#include "core/ordering.h"
#include "core/retry.h"
#include "net/netguard.h"
#include "wire/event_type.h"
#include "wire/scheme.h"

struct endpoint_secret {
    char *text;
    uint64_t expires_at_ms; /* unix ms; 0: does not expire */
    struct signer_key *key;
};

struct filter;

struct endpoint_config {
    unsigned refs;
    enum endpoint_kind kind;
    char *url;                     /* ENDPOINT_HTTP; else NULL */
    struct endpoint_stream stream; /* ENDPOINT_REDIS_STREAM */
    char **events;                 /* "order.created", "order.*", "*" */
    size_t event_count;
    const struct scheme *scheme;     /* ENDPOINT_HTTP; else NULL */
    struct endpoint_secret *secrets; /* newest first; 1..LIMIT_SECRETS, none with "passthrough" or
                                        of another kind than http */
    size_t secret_count;
    char **header_lines; /* "Name: value", NUL-terminated; no value is empty */
    size_t header_count;
    struct retry_policy retry;
    bool retry_given;        /* false: the configured default is used, also when that changes */
    struct gcra_limit rate;  /* limit 0: none */
    struct group_rule batch; /* max_events 0: none */
    uint64_t timeout_ms;     /* whole attempt; the configured default when not given */
    bool timeout_given;
    enum ordering ordering;
    bool blocks_order;      /* a dead letter keeps those behind it ("onDeadLetter": "block") */
    uint32_t max_in_flight; /* the configured default when not given */
    bool max_in_flight_given;
    struct filter *filter;    /* which payloads it takes; NULL: all */
    char *filter_text;        /* as it was given; NULL: none */
    char *description;        /* or NULL */
    bool active;              /* false: takes no new events (disabled_reason says why) */
    char disabled_reason[16]; /* "", "manual", "gone" */
    uint64_t created_at_ms, updated_at_ms;
    char *document; /* the stored form, as it was read or made */
};

/* What a document may rely on and must obey. */
struct endpoint_rules {
    const struct scheme_set *schemes;
    const struct netguard *guard;
    const char *key_prefix; /* of keys in Redis */
    bool allow_http;
    struct retry_policy default_retry;
    uint64_t default_timeout_ms;
    uint64_t timeout_max_ms; /* 60 s */
    uint32_t default_max_in_flight;
    uint32_t max_in_flight_max; /* the process's own maximum */
};

/* A new endpoint from the body of POST /api/webhooks: checks everything, generates a secret when
 * none is given, sets createdAt and updatedAt to `now_ms`. A null at the top of the body is as good
 * as nothing. With *error filled: ST_SYNTAX (not a JSON object, or nested too deep), ST_RANGE (a
 * member), ST_LIMIT (`payload_too_large`); or ST_NOMEM. The caller owns one reference of *out,
 * which is NULL after a failure. */
MUST_CHECK enum status endpoint_config_create(const struct endpoint_rules *rules, struct slice body,
                                              uint64_t now_ms, struct endpoint_config **out,
                                              struct field_error *error);

/* A changed one; the old one is untouched. Statuses and *out as above.
 *   PATCH  RFC 7396: members given replace, null resets to the default, objects are merged. Header
 *          names are matched without regard to case, and a retry policy of one form replaces one
 *          of the other. A filter is not merged but replaced as a whole: it is one expression.
 *   PUT    members not given are reset, but the secrets stay unless `secret` is given.
 * `secret` given replaces all secrets; null in a PATCH makes a new one. Secrets that stay must fit
 * the scheme (else `invalid_secret`); those that have expired are dropped. The kind must be what it
 * was (else `invalid_kind`): a PUT that leaves it out means http. */
enum endpoint_change { ENDPOINT_PATCH, ENDPOINT_PUT };
MUST_CHECK enum status endpoint_config_change(const struct endpoint_rules *rules,
                                              const struct endpoint_config *old,
                                              enum endpoint_change kind, struct slice body,
                                              uint64_t now_ms, struct endpoint_config **out,
                                              struct field_error *error);

/* The same endpoint switched on or off; reason "" when active, else at most 15 bytes. ST_NOMEM;
 * ST_RANGE when the old document does not load under the present rules (its scheme is gone). */
MUST_CHECK enum status endpoint_config_switch(const struct endpoint_rules *rules,
                                              const struct endpoint_config *old, bool active,
                                              const char *reason, uint64_t now_ms,
                                              struct endpoint_config **out);

/* From the stored document (a document that does not load is ST_SYNTAX with *error filled; it never
 * stops the process); ST_NOMEM. What may have become stricter since is not held against it: the
 * address policy (it is applied at connect), http, and header names; values above today's maxima
 * become the maxima. */
MUST_CHECK enum status endpoint_config_load(const struct endpoint_rules *rules,
                                            struct slice document, struct endpoint_config **out,
                                            struct field_error *error);

/* Where it sends to: its URL, or its stream's key. */
const char *endpoint_config_target(const struct endpoint_config *config);

/* Adds a reference; drops one (accepts NULL). The last one frees all, and overwrites the secrets.
 */
struct endpoint_config *endpoint_config_get(struct endpoint_config *config);
void endpoint_config_put(struct endpoint_config *config);

/* Appends the API's JSON object of the endpoint, with the newest secret if asked for. The retry
 * policy is shown as it works: always as a schedule. Ask buf_status(). */
void endpoint_config_render(const struct endpoint_config *config, const char *id, bool with_secret,
                            struct buf *out);

/* The same, with one more member at the end: `health`, a JSON value, or SLICE_NULL. */
void endpoint_config_render_with(const struct endpoint_config *config, const char *id,
                                 bool with_secret, struct slice health, struct buf *out);

/* Does one of the endpoint's patterns take this event type? "order.*" takes every type that begins
 * with "order.", at any depth, but not "order"; "*" takes all. Whether it is active plays no part.
 */
bool endpoint_config_takes(const struct endpoint_config *config, struct slice type);

/* Is it a valid pattern: an event type (event_type.h), or that followed by ".*", or "*"? */
bool event_pattern_valid(struct slice pattern);

#endif
