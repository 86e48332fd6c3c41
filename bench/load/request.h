/* request.h - the requests of bench-load: rendered once, with only digits to be written over. */
#ifndef TROTLINE_BENCH_LOAD_REQUEST_H
#define TROTLINE_BENCH_LOAD_REQUEST_H

#include "options.h"

/* Different payloads; event n has that of n % REQUEST_VARIANTS. Prime, so that a type that comes
 * every tenth time has all of them as well. */
enum { REQUEST_VARIANTS = 509 };

/* Where the digits stand; the same in all variants. 0: not at all, but for the first three. A
 * request of several events has those of each at the same places of its part of the body, and
 * begins like a variant. */
struct requests {
    size_t len, event_bytes;
    unsigned events; /* in one request */
    size_t time_at, number_at, body_at;
    size_t type_at, key_at, header_type_at, signature_at;
    unsigned types;
    char *variants[REQUEST_VARIANTS]; /* head and one event each */
};

/* Renders them; what cannot be done ends the program. They live as long as the program. */
void requests_init(struct requests *requests, const struct load_options *options);

/* Writes event `number`, and those behind it that the request has, to `at`, where `len` bytes are.
 */
void requests_write(const struct requests *requests, char *at, uint64_t number,
                    uint64_t intended_ns);

#endif
