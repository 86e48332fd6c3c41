/* endpoint_compile.c - one function for each member of an endpoint's document.
 *
 * The members are rows of a table, taken in its order; the kind comes first, because a row says
 * which kinds have it, then the scheme, because secrets and header names are judged by it. A member
 * that is not there leaves the default that stands in the fresh configuration. Whatever fails, the
 * half-filled configuration is dropped as a whole.
 */
#include "core/endpoint_compile.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "core/filter.h"
#include "core/json_field.h"
#include "core/rate_limit.h"
#include "core/retry_policy.h"
#include "net/http_head.h"
#include "net/url.h"

enum { TIMEOUT_MIN_MS = 100 };

struct compile {
    const struct endpoint_rules *rules;
    struct endpoint_config *config;
    struct field_error *error;
    bool stored;
};

/* ---- Where and what ------------------------------------------------------------------------- */

static enum status take_url(struct compile *c, json_t *value)
{
    if (!json_is_string(value))
        return field_refuse(c->error, "invalid_url", "url", "Give the URL as a string.");

    const char *reason = "";
    enum status status = url_check(json_field_text(value), c->rules->allow_http || c->stored,
                                   c->rules->guard, &reason);
    if (status && !(c->stored && status == ST_DENIED))
        return field_refuse(c->error, "invalid_url", "url", "%s", reason);
    c->config->url = strdup(json_string_value(value));
    return c->config->url ? ST_OK : ST_NOMEM;
}

static enum status take_stream(struct compile *c, json_t *value)
{
    return endpoint_stream_parse(value, c->rules->key_prefix, &c->config->stream, c->error);
}

static enum status take_events(struct compile *c, json_t *value)
{
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count == 0 || count > LIMIT_ENDPOINT_TYPES)
        return field_refuse(c->error, "invalid_events", "events",
                            "Give a list of 1 to %d event types such as \"order.created\", "
                            "\"order.*\" or \"*\".",
                            LIMIT_ENDPOINT_TYPES);
    c->config->events = calloc(count, sizeof(c->config->events[0]));
    if (!c->config->events)
        return ST_NOMEM;
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_array_get(value, i);
        if (!json_is_string(item) || !event_pattern_valid(json_field_text(item))) {
            char field[32];
            snprintf(field, sizeof(field), "events[%zu]", i);
            return field_refuse(c->error, "invalid_events", field,
                                "Give an event type: segments of letters, digits, '_' and '-' "
                                "with dots between them, perhaps \".*\" at the end, at most %d "
                                "bytes; or \"*\".",
                                LIMIT_TYPE_BYTES);
        }
        c->config->events[i] = strdup(json_string_value(item));
        if (!c->config->events[i])
            return ST_NOMEM;
        c->config->event_count++;
    }
    return ST_OK;
}

static enum status refuse_scheme(const struct endpoint_rules *rules, const char *name,
                                 struct field_error *error)
{
    char known[128];
    size_t len = 0;
    known[0] = '\0';
    for (size_t i = 0; i < scheme_count(rules->schemes) && len < sizeof(known); i++)
        if (scheme_sends(scheme_at(rules->schemes, i)))
            len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len > 0 ? ", " : "",
                                    scheme_name(scheme_at(rules->schemes, i)));
    return field_refuse(error, "invalid_scheme", "scheme",
                        "There is no scheme \"%.32s\"; there are %s.", name, known);
}

enum status endpoint_compile_foreign(enum endpoint_kind kind, const char *name,
                                     struct field_error *error)
{
    static const struct {
        const char *name, *code;
    } codes[] = {{"url", "invalid_url"},         {"stream", "invalid_stream"},
                 {"scheme", "invalid_scheme"},   {"secret", "invalid_secret"},
                 {"headers", "invalid_headers"}, {"timeout", "invalid_timeout"}};
    const char *code = "invalid_document";
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(name, codes[i].name) == 0)
            code = codes[i].code;
    return field_refuse(error, code, name, "A webhook of kind \"%s\" has no %s.",
                        endpoint_kind_name(kind), name);
}

enum status endpoint_compile_scheme(const struct endpoint_rules *rules, json_t *document,
                                    const struct scheme **scheme, struct field_error *error)
{
    json_t *value = json_object_get(document, "scheme");
    if (value && !json_is_string(value))
        return field_refuse(error, "invalid_scheme", "scheme",
                            "Give the scheme's name as a string.");
    struct slice name = value ? json_field_text(value) : SLICE("standard");
    *scheme = scheme_find(rules->schemes, name);
    if (*scheme && !scheme_sends(*scheme)) /* of a third party, whose requests we verify */
        *scheme = NULL;
    return *scheme ? ST_OK : refuse_scheme(rules, name.ptr, error);
}

static enum status take_secret(struct compile *c, json_t *value, struct endpoint_secret *secret)
{
    json_t *text = json_object_get(value, "secret");
    if (!json_is_string(text))
        return field_refuse(c->error, "invalid_secret", "secret", "Give the secret as a string.");
    if (json_string_length(text) > LIMIT_SECRET_BYTES)
        return field_refuse(c->error, "invalid_secret", "secret",
                            "Give a secret of at most %d bytes.", LIMIT_SECRET_BYTES);

    const char *reason = "";
    enum status status =
        scheme_secret_key(c->config->scheme, json_field_text(text), &secret->key, &reason);
    if (status == ST_NOMEM)
        return ST_NOMEM;
    if (status)
        return field_refuse(c->error, "invalid_secret", "secret",
                            "The secret does not fit the scheme \"%s\": %s",
                            scheme_name(c->config->scheme), reason);

    json_t *expires_at = json_object_get(value, "expiresAt");
    if (expires_at && (!json_is_string(expires_at) ||
                       time_parse_rfc3339(json_field_text(expires_at), &secret->expires_at_ms)))
        return field_refuse(c->error, "invalid_secret", "secret",
                            "A secret's expiry is not an RFC 3339 time.");
    secret->text = strdup(json_string_value(text));
    return secret->text ? ST_OK : ST_NOMEM;
}

static enum status take_secrets(struct compile *c, json_t *value)
{
    size_t count = json_array_size(value);
    bool secretless = scheme_passes_through(c->config->scheme);
    if (json_is_array(value) && count == 0 && secretless)
        return ST_OK;
    if (!json_is_array(value) || count == 0 || count > LIMIT_SECRETS)
        return field_refuse(c->error, "invalid_secret", "secret",
                            "An endpoint has 1 to %d secrets.", LIMIT_SECRETS);
    c->config->secrets = calloc(count, sizeof(c->config->secrets[0]));
    if (!c->config->secrets)
        return ST_NOMEM;
    c->config->secret_count = count;
    for (size_t i = 0; i < count; i++) {
        enum status status = take_secret(c, json_array_get(value, i), &c->config->secrets[i]);
        if (status)
            return status;
    }
    return ST_OK;
}

/* ---- Custom headers ------------------------------------------------------------------------- */

/* Those that we or the HTTP library set, that belong to the connection, or that a receiver takes
 * for ours. Names that end in '-' stand for all that begin with them. */
static bool header_reserved(struct slice name)
{
    static const char *const reserved[] = {
        "host",     "connection", "content-length",    "content-type", "user-agent", "te",
        "upgrade",  "keep-alive", "trailer",           "trailers",     "proxy-",     "expect",
        "webhook-", "svix-",      "transfer-encoding", "traceparent",  "tracestate", "trotline-"};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        struct slice entry = slice_str(reserved[i]);
        struct slice part = name;
        if (slice_ends(entry, SLICE("-")) && part.len > entry.len)
            part.len = entry.len;
        if (slice_eq_nocase(part, entry))
            return true;
    }
    return false;
}

/* Visible characters with single blanks or not, none at the ends: what every parser reads alike. */
static bool header_value_valid(struct slice value)
{
    if (value.len == 0 || value.len > LIMIT_HEADER_VALUE_BYTES)
        return false;
    if (value.ptr[0] == ' ' || value.ptr[value.len - 1] == ' ')
        return false;
    return http_char_span(value, HTTP_CHAR_VALUE) == value.len &&
           !memchr(value.ptr, '\t', value.len);
}

static bool header_known(const struct endpoint_config *config, struct slice name)
{
    for (size_t i = 0; i < config->header_count; i++) {
        const char *line = config->header_lines[i];
        if (slice_eq_nocase(slice_of(line, strcspn(line, ":")), name))
            return true;
    }
    return false;
}

static enum status refuse_header(struct compile *c, struct slice name, const char *message)
{
    char field[sizeof(c->error->field)];
    snprintf(field, sizeof(field), "headers.%.*s", SLICE_ARGS(name));
    return field_refuse(c->error, "invalid_headers", field, "%s", message);
}

static enum status take_header(struct compile *c, struct slice name, json_t *value)
{
    if (name.len == 0 || name.len > LIMIT_HEADER_NAME_BYTES ||
        http_char_span(name, HTTP_CHAR_TOKEN) != name.len)
        return refuse_header(c, name, "A header's name is a token of at most 128 characters.");
    if (!c->stored && (header_reserved(name) || scheme_owns_header(c->config->scheme, name)))
        return refuse_header(c, name, "This header is set by the server and cannot be given.");
    if (header_known(c->config, name))
        return refuse_header(c, name, "This header is given twice (case does not count).");
    if (!json_is_string(value) || !header_value_valid(json_field_text(value)))
        return refuse_header(c, name,
                             "Give the value as a string of 1 to 4096 bytes without control "
                             "characters, and without blanks at its ends.");

    struct slice text = json_field_text(value);
    char *line = malloc(name.len + text.len + sizeof(": "));
    if (!line)
        return ST_NOMEM;
    sprintf(line, "%s: %s", name.ptr, text.ptr);
    c->config->header_lines[c->config->header_count++] = line;
    return ST_OK;
}

static enum status take_headers(struct compile *c, json_t *value)
{
    if (!json_is_object(value) || json_object_size(value) > LIMIT_HEADER_LIST)
        return field_refuse(c->error, "invalid_headers", "headers",
                            "Give an object of at most %d names and values.", LIMIT_HEADER_LIST);
    if (json_object_size(value) == 0)
        return ST_OK;
    assert(c->config->header_count == 0);
    c->config->header_lines = calloc(json_object_size(value), sizeof(c->config->header_lines[0]));
    if (!c->config->header_lines)
        return ST_NOMEM;
    const char *name;
    json_t *item;
    json_object_foreach(value, name, item)
    {
        enum status status = take_header(c, slice_str(name), item);
        if (status)
            return status;
    }
    return ST_OK;
}

/* ---- How ------------------------------------------------------------------------------------ */

static enum status take_retry_policy(struct compile *c, json_t *value)
{
    c->config->retry_given = true;
    return retry_policy_parse(value, &c->rules->default_retry, &c->config->retry, c->error);
}

static enum status take_rate_limit(struct compile *c, json_t *value)
{
    return rate_limit_parse(value, &c->config->rate, c->error);
}

static enum status take_ordering(struct compile *c, json_t *value)
{
    return ordering_parse(value, &c->config->ordering, c->error);
}

static enum status take_on_dead_letter(struct compile *c, json_t *value)
{
    return ordering_blocks_parse(value, &c->config->blocks_order, c->error);
}

static enum status take_batch(struct compile *c, json_t *value)
{
    if (scheme_passes_through(c->config->scheme))
        return field_refuse(c->error, "invalid_batch", "batch",
                            "The scheme \"%s\" sends a request as it came, and so each alone.",
                            scheme_name(c->config->scheme));
    if (c->config->ordering != ORDERING_NONE)
        return field_refuse(c->error, "invalid_batch", "batch",
                            "An endpoint with `ordering` gets one event after the other, and so "
                            "each alone.");
    return group_rule_parse(value, &c->config->batch, c->error);
}

static enum status take_max_in_flight(struct compile *c, json_t *value)
{
    json_int_t max = c->rules->max_in_flight_max;
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : 0;
    if (c->stored && number > max)
        number = max;
    if (number < 1 || number > max)
        return field_refuse(c->error, "invalid_max_in_flight", "maxInFlight",
                            "Give a whole number from 1 to %u.", c->rules->max_in_flight_max);
    c->config->max_in_flight = (uint32_t)number;
    c->config->max_in_flight_given = true;
    return ST_OK;
}

static enum status take_timeout(struct compile *c, json_t *value)
{
    uint64_t max_ms = c->rules->timeout_max_ms;
    uint64_t ms;
    if (json_field_duration(value, TIMEOUT_MIN_MS, c->stored ? UINT64_MAX : max_ms, &ms))
        return field_refuse(c->error, "invalid_timeout", "timeout",
                            "Give a duration from 100 ms to %llu ms, such as \"15s\" or whole "
                            "milliseconds.",
                            (unsigned long long)max_ms);
    c->config->timeout_ms = ms < max_ms ? ms : max_ms;
    c->config->timeout_given = true;
    return ST_OK;
}

/* A string that holds the filter's JSON: endpoint_document.c made it one. */
static enum status take_filter(struct compile *c, json_t *value)
{
    if (!json_is_string(value))
        return field_refuse(c->error, "invalid_document", "filter", "It is not kept as a string.");
    enum status status = filter_compile(json_field_text(value), &c->config->filter, c->error);
    if (status)
        return status;
    c->config->filter_text = strdup(json_string_value(value));
    return c->config->filter_text ? ST_OK : ST_NOMEM;
}

static enum status take_description(struct compile *c, json_t *value)
{
    if (!json_is_string(value) || json_string_length(value) > LIMIT_DESCRIPTION_BYTES)
        return field_refuse(c->error, "invalid_description", "description",
                            "Give a string of at most %d bytes.", LIMIT_DESCRIPTION_BYTES);
    c->config->description = strdup(json_string_value(value));
    return c->config->description ? ST_OK : ST_NOMEM;
}

/* ---- What only the stored document has ------------------------------------------------------ */

static enum status take_disabled(struct compile *c, json_t *value)
{
    struct slice reason = json_is_string(value) ? json_field_text(value) : SLICE_NULL;
    if (reason.len == 0 || reason.len >= sizeof(c->config->disabled_reason))
        return field_refuse(c->error, "invalid_document", "disabled", "It is not a known reason.");
    memcpy(c->config->disabled_reason, reason.ptr, reason.len);
    c->config->active = false;
    return ST_OK;
}

static enum status take_time(struct compile *c, const char *field, json_t *value, uint64_t *ms)
{
    if (!json_is_string(value) || time_parse_rfc3339(json_field_text(value), ms))
        return field_refuse(c->error, "invalid_document", field, "It is not an RFC 3339 time.");
    return ST_OK;
}

static enum status take_created_at(struct compile *c, json_t *value)
{
    return take_time(c, "createdAt", value, &c->config->created_at_ms);
}

static enum status take_updated_at(struct compile *c, json_t *value)
{
    return take_time(c, "updatedAt", value, &c->config->updated_at_ms);
}

/* ---- The whole ------------------------------------------------------------------------------ */

enum { HTTP = 1 << ENDPOINT_HTTP, STREAM = 1 << ENDPOINT_REDIS_STREAM, ALL = HTTP | STREAM };

static const struct compile_member {
    const char *name;
    enum status (*take)(struct compile *c, json_t *value); /* NULL: it has been taken */
    bool required;
    unsigned kinds; /* that have it: bits */
} compile_members[] = {
    {"url", take_url, true, HTTP},
    {"stream", take_stream, true, STREAM},
    {"events", take_events, true, ALL},
    {"scheme", NULL, false, HTTP},
    {"secrets", take_secrets, true, HTTP},
    {"headers", take_headers, false, HTTP},
    {"retryPolicy", take_retry_policy, false, ALL},
    {"rateLimit", take_rate_limit, false, ALL},
    {"ordering", take_ordering, false, ALL},
    {"onDeadLetter", take_on_dead_letter, false, ALL},
    {"batch", take_batch, false, HTTP},
    {"maxInFlight", take_max_in_flight, false, ALL},
    {"timeout", take_timeout, false, HTTP},
    {"filter", take_filter, false, ALL},
    {"description", take_description, false, ALL},
    {"disabled", take_disabled, false, ALL},
    {"createdAt", take_created_at, true, ALL},
    {"updatedAt", take_updated_at, true, ALL},
};

static enum status compile_member(struct compile *c, const struct compile_member *member,
                                  json_t *value)
{
    bool has = (member->kinds >> c->config->kind & 1) != 0;
    if (value && !has)
        return endpoint_compile_foreign(c->config->kind, member->name, c->error);
    if (value)
        return member->take ? member->take(c, value) : ST_OK;
    if (has && member->required)
        return field_refuse(c->error, "missing_field", member->name, "The field \"%s\" is needed.",
                            member->name);
    return ST_OK;
}

static enum status compile_all(struct compile *c, json_t *document)
{
    struct endpoint_config *config = c->config;
    enum status status =
        endpoint_kind_parse(json_object_get(document, "kind"), &config->kind, c->error);
    if (!status && config->kind == ENDPOINT_HTTP)
        status = endpoint_compile_scheme(c->rules, document, &config->scheme, c->error);
    for (size_t i = 0; !status && i < sizeof(compile_members) / sizeof(compile_members[0]); i++)
        status = compile_member(c, &compile_members[i],
                                json_object_get(document, compile_members[i].name));
    return status;
}

enum status endpoint_compile(const struct endpoint_rules *rules, json_t *document, bool stored,
                             struct endpoint_config **out, struct field_error *error)
{
    *out = NULL;
    struct endpoint_config *config = calloc(1, sizeof(*config));
    if (!config)
        return ST_NOMEM;
    config->refs = 1;
    config->active = true;
    config->retry = rules->default_retry;
    config->timeout_ms = rules->default_timeout_ms;
    config->max_in_flight = rules->default_max_in_flight;

    struct compile c = {.rules = rules, .config = config, .error = error, .stored = stored};
    enum status status = compile_all(&c, document);
    if (status) {
        endpoint_config_put(config);
        return status;
    }
    *out = config;
    return ST_OK;
}
