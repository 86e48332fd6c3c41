/* endpoint_config.c - configurations: their life, their patterns, and how the API shows them.
 *
 * Texts become trees in endpoint_document.c and trees become fields in endpoint_compile.c; here is
 * what needs no tree. A text is bounded in size and depth before any tree is made of it.
 */
#include "core/endpoint_config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "core/endpoint_document.h"
#include "core/filter.h"
#include "core/rate_limit.h"
#include "core/retry_policy.h"

/* ---- Event types ---------------------------------------------------------------------------- */

bool event_pattern_valid(struct slice pattern)
{
    if (slice_eq(pattern, SLICE("*")))
        return true;
    if (slice_ends(pattern, SLICE(".*")))
        pattern.len -= 2;
    return event_type_valid(pattern);
}

static bool pattern_takes(const char *pattern, struct slice type)
{
    struct slice fixed = slice_str(pattern);
    if (!slice_ends(fixed, SLICE("*")))
        return slice_eq(fixed, type);
    fixed.len--; /* "" or with its dot */
    return type.len > fixed.len && slice_starts(type, fixed);
}

bool endpoint_config_takes(const struct endpoint_config *config, struct slice type)
{
    for (size_t i = 0; i < config->event_count; i++)
        if (pattern_takes(config->events[i], type))
            return true;
    return false;
}

/* ---- From texts ----------------------------------------------------------------------------- */

static enum status check_text(struct slice text, size_t bytes_max, struct field_error *error)
{
    if (text.len > bytes_max)
        return endpoint_document_too_large(error);
    struct json_error problem;
    enum status status = json_check(text, &problem);
    if (status == ST_OK)
        return ST_OK;
    (void)field_refuse(error, status == ST_LIMIT ? "json_too_deep" : "invalid_json", "",
                       "The body is not JSON that we take: %s (byte %zu).", problem.reason,
                       problem.offset);
    return ST_SYNTAX;
}

enum status endpoint_config_create(const struct endpoint_rules *rules, struct slice body,
                                   uint64_t now_ms, struct endpoint_config **out,
                                   struct field_error *error)
{
    *out = NULL;
    enum status status = check_text(body, LIMIT_ENDPOINT_BYTES, error);
    return status ? status
                  : endpoint_document_make(rules, NULL, ENDPOINT_PUT, body, now_ms, out, error);
}

enum status endpoint_config_change(const struct endpoint_rules *rules,
                                   const struct endpoint_config *old, enum endpoint_change kind,
                                   struct slice body, uint64_t now_ms, struct endpoint_config **out,
                                   struct field_error *error)
{
    *out = NULL;
    enum status status = check_text(body, LIMIT_ENDPOINT_BYTES, error);
    return status ? status : endpoint_document_make(rules, old, kind, body, now_ms, out, error);
}

enum status endpoint_config_switch(const struct endpoint_rules *rules,
                                   const struct endpoint_config *old, bool active,
                                   const char *reason, uint64_t now_ms,
                                   struct endpoint_config **out)
{
    assert(active == (reason[0] == '\0') && strlen(reason) < sizeof(old->disabled_reason));
    *out = NULL;
    struct field_error ignored; /* the old document loads, and so does this one */
    return endpoint_document_switch(rules, old, active, reason, now_ms, out, &ignored);
}

enum status endpoint_config_load(const struct endpoint_rules *rules, struct slice document,
                                 struct endpoint_config **out, struct field_error *error)
{
    *out = NULL;
    /* A change that nobody asked for (switched off, a secret more) may exceed the limit a little.
     */
    enum status status = check_text(document, 2 * LIMIT_ENDPOINT_BYTES, error);
    if (!status)
        status = endpoint_document_read(rules, document, out, error);
    return status && status != ST_NOMEM ? ST_SYNTAX : status;
}

const char *endpoint_config_target(const struct endpoint_config *config)
{
    return config->kind == ENDPOINT_HTTP ? config->url : config->stream.key;
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct endpoint_config *endpoint_config_get(struct endpoint_config *config)
{
    config->refs++;
    return config;
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(strings[i]);
    free(strings);
}

static void free_secret_text(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void endpoint_config_put(struct endpoint_config *config)
{
    if (!config)
        return;
    assert(config->refs > 0);
    if (--config->refs > 0)
        return;
    free(config->url);
    endpoint_stream_deinit(&config->stream);
    free_strings(config->events, config->event_count);
    free_strings(config->header_lines, config->header_count);
    for (size_t i = 0; i < config->secret_count; i++) {
        free_secret_text(config->secrets[i].text);
        signer_key_free(config->secrets[i].key);
    }
    free(config->secrets);
    filter_free(config->filter);
    free(config->filter_text);
    free(config->description);
    free_secret_text(config->document); /* it has the secrets too */
    free(config);
}

/* ---- To the API ----------------------------------------------------------------------------- */

static void render_strings(struct json_out *out, const char *name, char **strings, size_t count)
{
    json_key(out, name);
    json_array_open(out);
    for (size_t i = 0; i < count; i++)
        json_value_str(out, strings[i]);
    json_array_close(out);
}

static void render_headers(struct json_out *out, const struct endpoint_config *config)
{
    json_key(out, "headers");
    json_object_open(out);
    for (size_t i = 0; i < config->header_count; i++) {
        const char *line = config->header_lines[i];
        size_t name_bytes = (size_t)(strchr(line, ':') - line);
        json_key_slice(out, slice_of(line, name_bytes));
        json_value_str(out, line + name_bytes + strlen(": "));
    }
    json_object_close(out);
}

static void render_target(struct json_out *out, const struct endpoint_config *config)
{
    if (config->kind == ENDPOINT_HTTP) {
        json_member_cstr(out, "url", config->url);
        return;
    }
    json_key(out, "stream");
    endpoint_stream_render(&config->stream, out);
    json_member_cstr(out, "streamKey", config->stream.key);
}

/* How a request looks. */
static void render_form(struct json_out *out, const struct endpoint_config *config,
                        bool with_secret)
{
    json_member_cstr(out, "scheme", scheme_name(config->scheme));
    if (with_secret && config->secret_count > 0)
        json_member_cstr(out, "secret", config->secrets[0].text);
    render_headers(out, config);
}

void endpoint_config_render(const struct endpoint_config *config, const char *id, bool with_secret,
                            struct buf *buf)
{
    endpoint_config_render_with(config, id, with_secret, SLICE_NULL, buf);
}

void endpoint_config_render_with(const struct endpoint_config *config, const char *id,
                                 bool with_secret, struct slice health, struct buf *buf)
{
    struct json_out out;
    json_out_begin(&out, buf);
    json_object_open(&out);
    json_member_cstr(&out, "id", id);
    json_member_cstr(&out, "kind", endpoint_kind_name(config->kind));
    render_target(&out, config);
    render_strings(&out, "events", config->events, config->event_count);
    if (config->kind == ENDPOINT_HTTP)
        render_form(&out, config, with_secret);
    json_key(&out, "retryPolicy");
    retry_policy_render(&config->retry, &out);
    json_key(&out, "rateLimit");
    rate_limit_render(&config->rate, &out);
    json_member_str_or_null(&out, "ordering", slice_str(ordering_name(config->ordering)));
    json_member_cstr(&out, "onDeadLetter", config->blocks_order ? "block" : "skip");
    if (config->kind == ENDPOINT_HTTP) {
        json_key(&out, "batch");
        group_rule_render(&config->batch, &out);
    }
    json_member_u64(&out, "maxInFlight", config->max_in_flight);
    if (config->kind == ENDPOINT_HTTP) {
        json_key(&out, "timeout");
        json_value_duration_ms(&out, config->timeout_ms);
    }
    if (config->filter_text)
        json_member_raw(&out, "filter", slice_str(config->filter_text));
    else
        json_member_null(&out, "filter");
    json_member_str_or_null(&out, "description", slice_str(config->description));
    json_member_bool(&out, "active", config->active);
    json_member_str_or_null(&out, "disabledReason",
                            config->active ? SLICE_NULL : slice_str(config->disabled_reason));
    json_member_time_ms(&out, "createdAt", config->created_at_ms);
    json_member_time_ms(&out, "updatedAt", config->updated_at_ms);
    if (health.ptr)
        json_member_raw(&out, "health", health);
    json_object_close(&out);
}
