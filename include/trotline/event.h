/* trotline/event.h - events for Trotline: built and read, as JSON and as msgpack.
 *
 * An event is what a producer sends, by POST /api/events or through Redis (feed.h). It is an object
 * (JSON) or a map (msgpack) with these members and no others:
 *
 *     type            required; segments of A-Z a-z 0-9 _ - with dots between them, at most 256
 * bytes data            required; any JSON value, nested at most 64 deep with the event around it
 *     timestamp       when it happened: RFC 3339; else the time at which the server takes it
 *     version, source strings of 1 to 256 bytes, without NUL, as are the next three
 *     uid             the producer's own id of the event, unique among all events the server keeps;
 *                     must not look like an id of Trotline's
 *     idempotencyKey  of events with the same one only the first is delivered, for 24 hours
 *     orderingKey     endpoints with `ordering: key` get events with the same one in their order
 *     deliverAt       not before that time (RFC 3339), at most 366 days ahead; or else
 *     delay           not before so long after it was taken: milliseconds, or "90s", "2h"
 *
 * What is written or read here is judged by the code that the server judges it with. What the
 * library cannot know: the server refuses `data` of more than its ingest.maxEventBytes (256 KiB if
 * nobody has changed it).
 *
 * An event is for one thread at a time.
 */
#ifndef TROTLINE_EVENT_H
#define TROTLINE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "trotline/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trotline_event;

enum trotline_format {
    TROTLINE_FORMAT_ANY = 0, /* for reading: JSON if it begins with '{' or a blank, else msgpack */
    TROTLINE_FORMAT_JSON = 1,
    TROTLINE_FORMAT_MSGPACK = 2 /* https://github.com/msgpack/msgpack/blob/master/spec.md */
};

/* An event without members; NULL: out of memory. The caller frees it. */
TROTLINE_API struct trotline_event *trotline_event_new(void);
TROTLINE_API void trotline_event_free(struct trotline_event *event);

/* Removes all members, so that the event, and its memory, can be used for another one. */
TROTLINE_API void trotline_event_clear(struct trotline_event *event);

/* ---- Building --------------------------------------------------------------------------------
 *
 * What is given is copied, and replaces what was there. These calls cannot fail at the place: what
 * is wrong, lack of memory included, is told by trotline_event_write(), which so is the only call
 * to look at. NULL for a text, an absent `json`, and 0 for a time remove the member. */

TROTLINE_API void trotline_event_set_type(struct trotline_event *event, const char *type);
TROTLINE_API void trotline_event_set_version(struct trotline_event *event, const char *version);
TROTLINE_API void trotline_event_set_source(struct trotline_event *event, const char *source);
TROTLINE_API void trotline_event_set_uid(struct trotline_event *event, const char *uid);
TROTLINE_API void trotline_event_set_idempotency_key(struct trotline_event *event, const char *key);
TROTLINE_API void trotline_event_set_ordering_key(struct trotline_event *event, const char *key);

/* One JSON value, as text. In a JSON event it stays byte for byte. */
TROTLINE_API void trotline_event_set_data(struct trotline_event *event, struct trotline_slice json);

/* Unix times. */
TROTLINE_API void trotline_event_set_timestamp_ms(struct trotline_event *event, uint64_t at_ms);
TROTLINE_API void trotline_event_set_deliver_at_ms(struct trotline_event *event, uint64_t at_ms);

/* 0: no delay. */
TROTLINE_API void trotline_event_set_delay_ms(struct trotline_event *event, uint64_t delay_ms);

/* Writes the event. *bytes is the event's, valid until it is changed, written again or freed.
 *
 * As msgpack, `data` becomes values of msgpack's own: numbers without fraction and exponent become
 * integers, others float 64. Where that would change a value (0.1 stays 0.1, but 1e400, more digits
 * than a float 64 has, and integers beyond 64 bits do not), and where an object has two members of
 * the same name, it is refused, with error->field "data.items[3].price": write such an event as
 * JSON.
 *
 * INVALID_EVENT, `error` says which member and why; NO_MEMORY; INVALID_ARGUMENT: event or bytes is
 * NULL, or `format` is neither JSON nor msgpack. `now_ms` is the Unix time that deliverAt is
 * compared with (0: now). */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_event_write(struct trotline_event *event, enum trotline_format format, uint64_t now_ms,
                     struct trotline_slice *bytes, struct trotline_error *error);

/* ---- Reading --------------------------------------------------------------------------------- */

/* Reads an event from bytes that need not stay. *event is the caller's to free, and NULL after a
 * failure. Lengths and depths that the bytes announce cost no memory.
 *
 * msgpack's values become JSON: nil, booleans, integers (all 64 bits), floats, strings, arrays, and
 * maps whose names are strings; a timestamp (extension -1) becomes an RFC 3339 string, and is taken
 * for `timestamp` and `deliverAt`, too. What has no
 * JSON form is refused, with its path as error->field: bin, other extensions, NaN and infinities,
 * names that are no strings or there twice, strings that are not UTF-8.
 *
 * INVALID_EVENT, `error` says which member and why, with a code of the server's API; NO_MEMORY;
 * INVALID_ARGUMENT. `now_ms` (0: now) is the timestamp of an event that brings none, and the Unix
 * time that deliverAt is compared with. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_event_read(const void *bytes, size_t byte_count, enum trotline_format format,
                    uint64_t now_ms, struct trotline_event **event, struct trotline_error *error);

/* The members, as they were read or set. Absent: the event does not have it. They are the event's,
 * valid until it is changed or freed, and end in a NUL that is not counted. */
TROTLINE_API struct trotline_slice trotline_event_type(const struct trotline_event *event);
TROTLINE_API struct trotline_slice trotline_event_version(const struct trotline_event *event);
TROTLINE_API struct trotline_slice trotline_event_source(const struct trotline_event *event);
TROTLINE_API struct trotline_slice trotline_event_uid(const struct trotline_event *event);
TROTLINE_API struct trotline_slice
trotline_event_idempotency_key(const struct trotline_event *event);
TROTLINE_API struct trotline_slice trotline_event_ordering_key(const struct trotline_event *event);
TROTLINE_API struct trotline_slice trotline_event_data(const struct trotline_event *event);

/* Unix times, and milliseconds. 0: the event does not have it. */
TROTLINE_API uint64_t trotline_event_timestamp_ms(const struct trotline_event *event);
TROTLINE_API uint64_t trotline_event_deliver_at_ms(const struct trotline_event *event);
TROTLINE_API uint64_t trotline_event_delay_ms(const struct trotline_event *event);

#ifdef __cplusplus
}
#endif

#endif
