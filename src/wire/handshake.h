/* handshake.h - what a third party asks before it sends, or beside it, and how it is answered.
 *
 * A provider makes sure that the address it was given is the owner's: it sends a challenge and
 * wants it back, plain or signed, or it asks whether it may send. A scheme describes this as rules
 * (conf/schemes/README.md, "Handshakes"); the code knows no provider. Pure.
 *
 *     handshake_find: method and conditions ──▶ rule ──▶ handshake_answer: checks ──▶ the reply
 */
#ifndef TROTLINE_WIRE_HANDSHAKE_H
#define TROTLINE_WIRE_HANDSHAKE_H

#include "wire/received.h"
#include "wire/signer.h"

struct handshakes;
struct handshake_rule;

enum { HANDSHAKE_HEADERS_MAX = 4, HANDSHAKE_BYTES_MAX = 4096 };

struct handshake_header {
    struct slice name;
    struct slice value;
};

struct handshake_answer {
    int status;
    struct slice content_type; /* SLICE_NULL: no body */
    struct handshake_header headers[HANDSHAKE_HEADERS_MAX];
    size_t header_count;
    struct slice body;
    struct slice secret; /* to be stored as the source's before it is answered; SLICE_NULL: none */
    struct buf text;     /* private: what the slices may point into */
};

/* Accepts NULL. */
void handshakes_free(struct handshakes *handshakes);

/* Does any rule look into the body? Then received_look() should come first. */
bool handshakes_read_json(const struct handshakes *handshakes);

/* Does a handshake bring the source's secret? Then the source may be without one until it comes.
 * `handshakes` may be NULL. */
bool handshakes_bring_secret(const struct handshakes *handshakes);

/* The first rule that the request fits, or NULL. `handshakes` may be NULL. One that brings the
 * secret fits only as long as the source has none: else any stranger could replace it. */
const struct handshake_rule *handshake_find(const struct handshakes *handshakes,
                                            const struct received *received, bool has_secret);

/* Must the request's signature be good before it is answered? */
bool handshake_verify_first(const struct handshake_rule *rule);

/* The answer, which the caller ends with handshake_answer_deinit() in any case. ST_DENIED: a check
 * does not hold, or needs a variable that the source does not have: 403. ST_RANGE: what is to be
 * given back is not there, too long, or has bytes that may not stand in a header or a text, or what
 * is to be signed may be more than a token: 400.
 * ST_UNSUPPORTED: there is no secret to sign with: 503. ST_NOMEM.
 *
 * What is given back is text/plain or inside a JSON string, so the caller also sends
 * `X-Content-Type-Options: nosniff`: nobody's browser takes it for a page. */
MUST_CHECK enum status handshake_answer(const struct handshake_rule *rule,
                                        const struct received *received,
                                        struct signer_key *const *keys, size_t key_count,
                                        struct handshake_answer *answer);
void handshake_answer_deinit(struct handshake_answer *answer);

#endif
