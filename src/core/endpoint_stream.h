/* endpoint_stream.h - what kind of destination an endpoint is, and the stream that one of kind
 * `redis-stream` has, as JSON:
 *
 *     {"name": "orders", "maxLength": 100000, "whenFull": "trim"}
 *
 * `name` is needed: 1 to 128 letters, digits, '.', '_' and '-'. `maxLength` is 1 to 10,000,000
 * entries, 100,000 when left out. `whenFull`: what makes room for a new entry beyond that. "trim",
 * when left out: the oldest entries go. "wait": the consumers do, who delete entries; until then
 * the delivery fails and is retried.
 *
 * The stream is a key of Redis that is built from the name (store_stream.h), so that whoever may
 * make webhooks can write into streams made for that, and into no other key.
 */
#ifndef TROTLINE_CORE_ENDPOINT_STREAM_H
#define TROTLINE_CORE_ENDPOINT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/field_error.h"

struct json_t;
struct json_out;

enum endpoint_kind { ENDPOINT_HTTP, ENDPOINT_REDIS_STREAM };

/* "http", "redis-stream". */
const char *endpoint_kind_name(enum endpoint_kind kind);

/* `value` NULL: the default, http. ST_RANGE: refused with code `invalid_kind`. */
MUST_CHECK enum status endpoint_kind_parse(const struct json_t *value, enum endpoint_kind *kind,
                                           struct field_error *error);

/* All zero: none. */
struct endpoint_stream {
    char *name;
    char *key;           /* in Redis */
    uint64_t length_max; /* entries */
    bool waits;          /* when it is full; else it is trimmed */
};

/* `key_prefix`: of Trotline's keys in Redis. ST_RANGE: refused with code `invalid_stream` (or
 * `unknown_field`) and a field like "stream.name"; ST_NOMEM. What is in *stream is the caller's to
 * deinit in any case. */
MUST_CHECK enum status endpoint_stream_parse(struct json_t *value, const char *key_prefix,
                                             struct endpoint_stream *stream,
                                             struct field_error *error);

void endpoint_stream_deinit(struct endpoint_stream *stream);

/* Writes all three members. */
void endpoint_stream_render(const struct endpoint_stream *stream, struct json_out *out);

#endif
