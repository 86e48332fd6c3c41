/* endpoint_stream.c - kinds and streams of endpoints, between JSON and fields.
 *
 * Rejected: to take any key of Redis for a stream. Whoever may make webhooks would then write into
 * Trotline's own keys, or those of others who share the Redis. And to deliver to another Redis:
 * its being away would be one more thing to be told apart, while this one is what Trotline itself
 * cannot be without.
 */
#include "core/endpoint_stream.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "core/json_field.h"
#include "core/store_stream.h"

#define CODE "invalid_stream"

enum { LENGTH_DEFAULT = 100000 };

/* ---- Kinds ---------------------------------------------------------------------------------- */

const char *endpoint_kind_name(enum endpoint_kind kind)
{
    return kind == ENDPOINT_REDIS_STREAM ? "redis-stream" : "http";
}

enum status endpoint_kind_parse(const json_t *value, enum endpoint_kind *kind,
                                struct field_error *error)
{
    *kind = ENDPOINT_HTTP;
    if (!value)
        return ST_OK;
    const char *given = json_is_string(value) ? json_string_value(value) : "";
    if (strcmp(given, endpoint_kind_name(ENDPOINT_REDIS_STREAM)) == 0)
        *kind = ENDPOINT_REDIS_STREAM;
    else if (strcmp(given, endpoint_kind_name(ENDPOINT_HTTP)) != 0)
        return field_refuse(error, "invalid_kind", "kind",
                            "Give \"http\", the default, or \"redis-stream\".");
    return ST_OK;
}

/* ---- Streams -------------------------------------------------------------------------------- */

static bool name_valid(struct slice name)
{
    if (name.len == 0 || name.len > LIMIT_STREAM_NAME_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.ptr[i]) && !memchr("._-", name.ptr[i], 3))
            return false;
    return true;
}

static enum status take_name(const json_t *value, const char *key_prefix,
                             struct endpoint_stream *stream, struct field_error *error)
{
    struct slice name = json_is_string(value) ? json_field_text(value) : SLICE_NULL;
    if (!name_valid(name))
        return field_refuse(error, CODE, "stream.name",
                            "Give a name of 1 to %d letters, digits, '.', '_' and '-'.",
                            LIMIT_STREAM_NAME_BYTES);
    stream->name = strndup(name.ptr, name.len);
    stream->key = stream->name ? store_stream_key(key_prefix, stream->name) : NULL;
    return stream->key ? ST_OK : ST_NOMEM;
}

static enum status take_length(const json_t *value, struct endpoint_stream *stream,
                               struct field_error *error)
{
    json_int_t given = value ? json_integer_value(value) : LENGTH_DEFAULT;
    if (given < 1 || given > LIMIT_STREAM_LENGTH)
        return field_refuse(error, CODE, "stream.maxLength",
                            "Give how many entries it may have: a whole number from 1 to %d.",
                            LIMIT_STREAM_LENGTH);
    stream->length_max = (uint64_t)given;
    return ST_OK;
}

static enum status take_when_full(const json_t *value, struct endpoint_stream *stream,
                                  struct field_error *error)
{
    const char *given = "trim";
    if (value)
        given = json_is_string(value) ? json_string_value(value) : "";
    stream->waits = strcmp(given, "wait") == 0;
    if (!stream->waits && strcmp(given, "trim") != 0)
        return field_refuse(error, CODE, "stream.whenFull",
                            "Give \"trim\", the default (the oldest entries go), or \"wait\" "
                            "(until consumers have deleted some).");
    return ST_OK;
}

enum status endpoint_stream_parse(json_t *value, const char *key_prefix,
                                  struct endpoint_stream *stream, struct field_error *error)
{
    static const char *const names[] = {"name", "maxLength", "whenFull"};
    if (!json_is_object(value))
        return field_refuse(error, CODE, "stream",
                            "Give an object such as {\"name\": \"orders\", \"maxLength\": "
                            "100000}.");
    enum status status =
        json_field_known(value, "stream.", names, sizeof(names) / sizeof(names[0]), error);
    if (!status)
        status = take_name(json_object_get(value, "name"), key_prefix, stream, error);
    if (!status)
        status = take_length(json_object_get(value, "maxLength"), stream, error);
    if (!status)
        status = take_when_full(json_object_get(value, "whenFull"), stream, error);
    return status;
}

void endpoint_stream_deinit(struct endpoint_stream *stream)
{
    free(stream->name);
    free(stream->key);
    *stream = (struct endpoint_stream){0};
}

void endpoint_stream_render(const struct endpoint_stream *stream, struct json_out *out)
{
    json_object_open(out);
    json_member_cstr(out, "name", stream->name);
    json_member_u64(out, "maxLength", stream->length_max);
    json_member_cstr(out, "whenFull", stream->waits ? "wait" : "trim");
    json_object_close(out);
}
