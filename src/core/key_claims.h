/* key_claims.h - what publish.lua is told of the events of a batch that have a key, and the answer
 * that Redis keeps for such a key. Pure.
 *
 * One list for each thing to tell, and one argument for each list: with single arguments Redis
 * would be busy with taking them in. Lists of a kind of key follow the order of the events that
 * have one.
 */
#ifndef TROTLINE_CORE_KEY_CLAIMS_H
#define TROTLINE_CORE_KEY_CLAIMS_H

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "core/publish_key.h"

enum key_kind {
    KEY_IDEMPOTENCY,
    KEY_UID,
    KEY_DEDUP, /* of a received request: each has a time to live of its own */
    KEY_KINDS
};

/* ---- Answers -------------------------------------------------------------------------------- */

/* Redis keeps strings of up to 30 bytes in 32, longer ones in 48. */
enum { KEY_ANSWER_BYTES = 30, KEY_FINGERPRINT_BITS = 48, KEY_TTL_BITS = 48 };

/* Of the event that a key belongs to. */
struct key_answer {
    struct id event;
    uint64_t fingerprint; /* of its body, KEY_FINGERPRINT_BITS; not with KEY_DEDUP */
    uint64_t ttl_ms;      /* KEY_TTL_BITS; only with KEY_DEDUP: how long the key is kept */
    uint32_t deliveries;
};

void key_answer_write(uint8_t out[KEY_ANSWER_BYTES], enum key_kind kind,
                      const struct key_answer *answer);
/* ST_SYNTAX: another length. */
MUST_CHECK enum status key_answer_read(struct slice text, enum key_kind kind,
                                       struct key_answer *answer);

/* ---- Claims --------------------------------------------------------------------------------- */

struct key_claim {
    const uint8_t *members[KEY_KINDS]; /* by kind, PUBLISH_KEY_BYTES each; NULL: it has none */
    struct key_answer answer;          /* for whoever comes with the same key later */
    uint32_t first_ordinal, ordinals;
    uint32_t refused_bit; /* batch_refused_bit() */
};

/* All zeros: no claims, and nothing to free. */
struct key_claims {
    uint8_t *block; /* room for the lists, one behind the other. Owned */
    size_t most;
    size_t count;           /* of events */
    size_t keys[KEY_KINDS]; /* … that have one of this kind */
};

/* Room for so many events. ST_NOMEM. */
MUST_CHECK enum status key_claims_init(struct key_claims *claims, size_t most);
void key_claims_free(struct key_claims *claims);

/* At most as many as there is room for. It has at least one key. */
void key_claims_add(struct key_claims *claims, const struct key_claim *claim);

/* The lists, as publish.lua's header describes them; they live as long as the claims. */
struct slice key_claims_numbers(const struct key_claims *claims);
struct slice key_claims_members(const struct key_claims *claims, enum key_kind kind);
/* Each with its answer behind it. */
struct slice key_claims_pairs(const struct key_claims *claims, enum key_kind kind);

#endif
