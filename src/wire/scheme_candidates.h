/* scheme_candidates.h - the signatures that a request carries, decoded. For scheme_verify.c. */
#ifndef TROTLINE_WIRE_SCHEME_CANDIDATES_H
#define TROTLINE_WIRE_SCHEME_CANDIDATES_H

#include "wire/scheme_private.h"

enum {
    CANDIDATES_MAX = 16,
    SIGNATURE_TEXT_MAX = 8192 /* of one header with signatures; a longer one is malformed */
};

struct candidates {
    uint8_t bytes[CANDIDATES_MAX][SIGNER_VERIFY_MAX];
    struct slice signatures[CANDIDATES_MAX]; /* into bytes */
    enum sign_algorithm algorithm[CANDIDATES_MAX];
    size_t count;
    size_t looked;  /* entries, good or not */
    bool malformed; /* one had a prefix that we know and was no signature */
};

void candidates_init(struct candidates *candidates);

/* Decodes the entries of a list; in all, those behind the sixteenth are not looked at. */
void candidates_add(struct candidates *candidates, const struct scheme *scheme, struct slice list);

/* Cuts the next entry off a list of signatures. Some senders write a blank behind their commas. */
struct slice signature_entry_next(struct slice separator, struct slice *list);

/* True when one of them is the key's signature of the parts, which are signed once. */
bool candidates_signed_by(const struct candidates *candidates, struct signer_key *key,
                          const struct slice *parts, size_t part_count);

#endif
