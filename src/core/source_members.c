/* source_members.c - the members of a source's document that say what it accepts, and what becomes
 * of it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/parse.h"
#include "core/endpoint_config.h"
#include "core/json_field.h"
#include "core/source_compile.h"
#include "net/http_head.h"

/* The longest is what the store remembers of idempotency keys, too. */
#define DEDUP_TTL_MAX_MS (UINT64_C(90) * 24 * 3600 * 1000)
enum { DEDUP_TTL_MIN_MS = 1000 };

/* ---- Lists of strings ----------------------------------------------------------------------- */

enum status source_strings(json_t *value, size_t max, bool single, struct slice *texts,
                           size_t *count)
{
    *count = 0;
    if (single && json_is_string(value) && json_string_length(value) > 0) {
        texts[(*count)++] = json_field_text(value);
        return ST_OK;
    }
    if (!json_is_array(value) || json_array_size(value) == 0 || json_array_size(value) > max)
        return ST_RANGE;
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *item = json_array_get(value, i);
        if (!json_is_string(item) || json_string_length(item) == 0)
            return ST_RANGE;
        texts[(*count)++] = json_field_text(item);
    }
    return ST_OK;
}

/* In lower case, as the caller's. NULL: out of memory. */
static char *lower_copy(struct slice text)
{
    char *copy = strndup(text.ptr, text.len);
    for (char *c = copy; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    return copy;
}

/* ---- Where it may come from ----------------------------------------------------------------- */

static enum status take_networks(struct source_compile *c, const char *field, json_t *value,
                                 struct source_networks *networks)
{
    struct slice texts[LIMIT_SOURCE_NETWORKS];
    size_t count;
    if (json_is_array(value) && json_array_size(value) == 0) {
        networks->count = 0;
        return ST_OK;
    }
    if (source_strings(value, LIMIT_SOURCE_NETWORKS, false, texts, &count) != ST_OK)
        return field_refuse(c->error, "invalid_networks", field,
                            "Give a list of at most %d networks such as \"203.0.113.0/24\" or "
                            "\"2001:db8::/32\".",
                            LIMIT_SOURCE_NETWORKS);
    free(networks->items);
    networks->count = 0;
    networks->items = calloc(count, sizeof(networks->items[0]));
    if (!networks->items)
        return ST_NOMEM;
    for (; networks->count < count; networks->count++) {
        char at[48];
        snprintf(at, sizeof(at), "%s[%zu]", field, networks->count);
        if (network_parse(texts[networks->count], &networks->items[networks->count]) != ST_OK)
            return field_refuse(c->error, "invalid_networks", at,
                                "Give a network such as \"203.0.113.0/24\" or \"2001:db8::/32\", "
                                "without bits behind the prefix, or an address.");
    }
    return ST_OK;
}

enum status source_take_allowed_networks(struct source_compile *c, json_t *value)
{
    return take_networks(c, "allowedNetworks", value, &c->source->allowed);
}

enum status source_take_trusted_proxies(struct source_compile *c, json_t *value)
{
    return take_networks(c, "trustedProxies", value, &c->source->trusted_proxies);
}

/* ---- What it may be ------------------------------------------------------------------------- */

enum status source_take_methods(struct source_compile *c, json_t *value)
{
    struct slice texts[2];
    size_t count;
    enum status status = source_strings(value, 2, false, texts, &count);
    c->source->methods = 0;
    for (size_t i = 0; i < count && !status; i++) {
        if (slice_eq(texts[i], SLICE("POST")))
            c->source->methods |= SOURCE_POST;
        else if (slice_eq(texts[i], SLICE("PUT")))
            c->source->methods |= SOURCE_PUT;
        else
            status = ST_RANGE;
    }
    if (status)
        return field_refuse(c->error, "invalid_methods", "methods",
                            "Give a list of the methods of events: \"POST\", \"PUT\". Those of "
                            "handshakes need not be named.");
    return ST_OK;
}

/* type/subtype, or type and a star for all of its subtypes. RFC 9110 section 8.3.1. */
static bool media_range_valid(struct slice text)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    if (!slash || slash == text.ptr || text.len > LIMIT_HEADER_NAME_BYTES)
        return false;
    struct slice type = slice_of(text.ptr, (size_t)(slash - text.ptr));
    struct slice subtype = slice_from(text, type.len + 1);
    if (subtype.len == 0 || memchr(type.ptr, '*', type.len) ||
        (memchr(subtype.ptr, '*', subtype.len) && subtype.len > 1))
        return false;
    return http_char_span(type, HTTP_CHAR_TOKEN) == type.len &&
           http_char_span(subtype, HTTP_CHAR_TOKEN) == subtype.len;
}

enum status source_take_content_types(struct source_compile *c, json_t *value)
{
    struct source *source = c->source;
    struct slice texts[LIMIT_SOURCE_TYPES];
    size_t count;
    if (json_is_array(value) && json_array_size(value) == 0)
        return ST_OK;
    if (source_strings(value, LIMIT_SOURCE_TYPES, false, texts, &count) != ST_OK)
        return field_refuse(c->error, "invalid_content_types", "contentTypes",
                            "Give a list of at most %d types such as \"application/json\".",
                            LIMIT_SOURCE_TYPES);
    source->content_types = calloc(count, sizeof(char *));
    if (!source->content_types)
        return ST_NOMEM;
    for (size_t i = 0; i < count; i++) {
        char at[48];
        snprintf(at, sizeof(at), "contentTypes[%zu]", i);
        if (!media_range_valid(texts[i]))
            return field_refuse(c->error, "invalid_content_types", at,
                                "Give a type such as \"application/json\" or \"text/*\", without "
                                "parameters.");
        source->content_types[i] = lower_copy(texts[i]);
        if (!source->content_types[i])
            return ST_NOMEM;
        source->content_type_count++;
    }
    return ST_OK;
}

enum status source_take_max_body_bytes(struct source_compile *c, json_t *value)
{
    uint64_t max = c->rules->body_bytes_max, bytes = 0;
    bool read = false;
    if (json_is_integer(value) && json_integer_value(value) > 0) {
        bytes = (uint64_t)json_integer_value(value);
        read = true;
    } else if (json_is_string(value)) {
        read = parse_size_bytes(json_field_text(value), &bytes) == ST_OK;
    }
    if (c->stored && bytes > max)
        bytes = max;
    if (!read || bytes < 1 || bytes > max)
        return field_refuse(c->error, "invalid_max_body_bytes", "maxBodyBytes",
                            "Give a size such as \"64KiB\" or a number of bytes, at most %llu (the "
                            "server's ingest.maxEventBytes).",
                            (unsigned long long)max);
    c->source->body_bytes_max = (size_t)bytes;
    return ST_OK;
}

/* ---- What it becomes ------------------------------------------------------------------------ */

static enum status take_places(struct source_compile *c, const char *field, json_t *value,
                               struct scheme_sources **places)
{
    struct slice texts[LIMIT_SOURCE_PLACES];
    size_t count, wrong = 0;
    enum status status = source_strings(value, LIMIT_SOURCE_PLACES, true, texts, &count);
    if (!status)
        status = scheme_sources_new(texts, count, places, &wrong);
    if (status == ST_OK || status == ST_NOMEM)
        return status;
    return field_refuse(c->error, "invalid_places", field,
                        "Give a place, or a list of at most %d of which the first that is there "
                        "counts: \"header:NAME\", \"json:PATH\", \"query:NAME\", \"body_hash\" or "
                        "\"text:CONSTANT\" (entry %zu is none).",
                        LIMIT_SOURCE_PLACES, wrong);
}

enum status source_take_event_id(struct source_compile *c, json_t *value)
{
    return take_places(c, "eventId", value, &c->source->event_id);
}

enum status source_take_event_type(struct source_compile *c, json_t *value)
{
    return take_places(c, "eventType", value, &c->source->event_type);
}

enum status source_take_type_prefix(struct source_compile *c, json_t *value)
{
    if (!json_is_string(value) || json_string_length(value) > LIMIT_TYPE_BYTES / 2 ||
        !event_type_valid(json_field_text(value)))
        return field_refuse(c->error, "invalid_type_prefix", "typePrefix",
                            "Give segments of letters, digits, \"_\" and \"-\" with dots between "
                            "them, at most %d bytes.",
                            LIMIT_TYPE_BYTES / 2);
    free(c->source->type_prefix);
    c->source->type_prefix = strdup(json_string_value(value));
    return c->source->type_prefix ? ST_OK : ST_NOMEM;
}

static bool read_policy(json_t *value, enum source_dedup *policy)
{
    for (size_t i = 0; json_is_string(value) && i < SOURCE_DEDUPS; i++) {
        const char *name = source_dedup_name((enum source_dedup)i);
        if (slice_eq(json_field_text(value), slice_str(name))) {
            *policy = (enum source_dedup)i;
            return true;
        }
    }
    return false;
}

enum status source_take_deduplication(struct source_compile *c, json_t *value)
{
    static const char *const names[] = {"policy", "ttl"};
    if (!json_is_object(value))
        return field_refuse(c->error, "invalid_deduplication", "deduplication",
                            "Give an object of \"policy\" and \"ttl\".");
    enum status status = json_field_known(value, "deduplication.", names, 2, c->error);
    if (status)
        return status;
    json_t *policy = json_object_get(value, "policy"), *ttl = json_object_get(value, "ttl");
    if (policy && !read_policy(policy, &c->source->dedup))
        return field_refuse(c->error, "invalid_deduplication", "deduplication.policy",
                            "Give \"drop\", \"forward\" or \"off\".");
    if (ttl &&
        json_field_duration(ttl, DEDUP_TTL_MIN_MS, DEDUP_TTL_MAX_MS, &c->source->dedup_ttl_ms))
        return field_refuse(c->error, "invalid_deduplication", "deduplication.ttl",
                            "Give a duration from 1 s to 90 days, such as \"24h\".");
    return ST_OK;
}

enum status source_take_keep_headers(struct source_compile *c, json_t *value)
{
    struct source *source = c->source;
    struct slice texts[LIMIT_SOURCE_HEADERS];
    size_t count = 0;
    bool empty = json_is_array(value) && json_array_size(value) == 0;
    enum status status =
        empty ? ST_OK : source_strings(value, LIMIT_SOURCE_HEADERS, false, texts, &count);
    for (size_t i = 0; i < count && !status; i++)
        if (texts[i].len > LIMIT_HEADER_NAME_BYTES ||
            http_char_span(texts[i], HTTP_CHAR_TOKEN) != texts[i].len)
            status = ST_RANGE;
    if (status)
        return field_refuse(c->error, "invalid_headers", "keepHeaders",
                            "Give a list of at most %d names of headers; \"*\" stands for all but "
                            "Authorization and Cookie.",
                            LIMIT_SOURCE_HEADERS);
    source->keep_all_headers = false;
    source->headers = calloc(count + 1, sizeof(char *));
    if (!source->headers)
        return ST_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(texts[i], SLICE("*"))) {
            source->keep_all_headers = true;
            continue;
        }
        source->headers[source->header_count] = lower_copy(texts[i]);
        if (!source->headers[source->header_count])
            return ST_NOMEM;
        source->header_count++;
    }
    return ST_OK;
}

/* ---- What the sender is answered ------------------------------------------------------------ */

/* As it is shown, what there is not is null. */
static json_t *member_of(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static enum status take_reply_body(struct source_compile *c, json_t *body, json_t *type)
{
    struct source_reply *reply = &c->source->reply;
    if (!json_is_string(body) || json_string_length(body) > LIMIT_SOURCE_REPLY)
        return field_refuse(c->error, "invalid_reply", "reply.body",
                            "Give a string of at most %d bytes.", LIMIT_SOURCE_REPLY);
    struct slice text = type ? SLICE_NULL : SLICE("text/plain; charset=utf-8");
    if (json_is_string(type))
        text = json_field_text(type);
    if (text.len == 0 || text.len > LIMIT_HEADER_NAME_BYTES ||
        http_char_span(text, HTTP_CHAR_VALUE) != text.len)
        return field_refuse(c->error, "invalid_reply", "reply.contentType",
                            "Give a type such as \"application/json\".");
    reply->body_len = json_string_length(body);
    reply->body = strndup(json_string_value(body), reply->body_len);
    reply->content_type = strndup(text.ptr, text.len);
    return reply->body && reply->content_type ? ST_OK : ST_NOMEM;
}

enum status source_take_reply(struct source_compile *c, json_t *value)
{
    static const char *const names[] = {"status", "contentType", "body"};
    struct source_reply *reply = &c->source->reply;
    if (!json_is_object(value))
        return field_refuse(c->error, "invalid_reply", "reply",
                            "Give an object of \"status\", \"contentType\" and \"body\".");
    enum status status = json_field_known(value, "reply.", names, 3, c->error);
    if (status)
        return status;
    json_t *code = member_of(value, "status"), *body = member_of(value, "body");
    json_t *type = member_of(value, "contentType");
    json_int_t number = json_is_integer(code) ? json_integer_value(code) : 0;
    if (code && (number < 200 || number > 299))
        return field_refuse(
            c->error, "invalid_reply", "reply.status",
            "Give a number from 200 to 299: anything else makes the sender repeat.");
    if (code)
        reply->status = (int)number;
    if (reply->status == 204 && body)
        return field_refuse(c->error, "invalid_reply", "reply.body",
                            "An answer with status 204 has no body.");
    if (type && !body)
        return field_refuse(c->error, "invalid_reply", "reply.contentType",
                            "Without a body there is no type.");
    return body ? take_reply_body(c, body, type) : ST_OK;
}
