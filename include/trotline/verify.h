/* trotline/verify.h - is a webhook that came in genuine?
 *
 * A request is judged as it was received: the body's bytes before anything has parsed or decoded
 * them, headers as they came. Signatures are compared in constant time. A receiver then still has
 * to drop repeats: remember trotline_verifier_event_id(), which the sender repeats on every
 * attempt.
 *
 * A verifier is for one thread at a time.
 */
#ifndef TROTLINE_VERIFY_H
#define TROTLINE_VERIFY_H

#include <stdint.h>

#include "trotline/scheme.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trotline_verifier;

/* Makes a verifier. One fitting secret suffices; a public key of the scheme is as good as a secret;
 * at most 11. The texts need not stay; the scheme must. *verifier is the caller's to free, and NULL
 * after a failure. INVALID_SECRET, with error->field "secrets[0]" or so (none at all is that, too,
 * if the scheme has secrets); UNSUPPORTED: the scheme does not verify; NO_MEMORY; INVALID_ARGUMENT:
 * something is NULL, or there are more than 11. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_verifier_new(const struct trotline_scheme *scheme, const char *const *secrets,
                      size_t secret_count, struct trotline_verifier **verifier,
                      struct trotline_error *error);

TROTLINE_API void trotline_verifier_free(struct trotline_verifier *verifier);

/* How far a signed time may be from now, inclusive, in milliseconds; instead of what the scheme
 * says (mostly 300,000 both ways). Where that time is in seconds, now is in whole seconds, too.
 * Where no time is signed it means nothing: nobody can tell an old request from a new one. */
#define TROTLINE_TOLERANCE_OFF UINT64_MAX /* for either: not looked at */
TROTLINE_API void trotline_verifier_set_tolerance(struct trotline_verifier *verifier,
                                                  uint64_t past_ms, uint64_t future_ms);

/* The URL as the sender knows it, for schemes whose signature covers it
 * (trotline_scheme_needs_url()). Never make it of Host or X-Forwarded-…, which are whatever a
 * sender likes. The text is copied; NULL: none. NO_MEMORY; INVALID_ARGUMENT. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_verifier_set_url(struct trotline_verifier *verifier, const char *url);

/* A variable of the scheme (trotline_scheme_variable()). The texts are copied. NOT_FOUND: the
 * scheme has none of that name; NO_MEMORY; INVALID_ARGUMENT. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_verifier_set_variable(struct trotline_verifier *verifier, const char *name,
                               const char *value);

struct trotline_header {
    struct trotline_slice name;
    struct trotline_slice value; /* blanks and tabs around it do not matter */
};

/* A received request. Everything is the caller's and is read during the call only. */
struct trotline_request {
    const char *method;          /* NULL: "POST" */
    struct trotline_slice path;  /* "/hooks/github"; only a few schemes look at it and the query */
    struct trotline_slice query; /* without the '?'; absent: none */
    const struct trotline_header *headers; /* in any order, their names in any case */
    size_t header_count;
    struct trotline_slice body;
};

/* With what an HTTP server should answer: 2xx for VERIFIED, 401 for NO_SIGNATURE and BAD_SIGNATURE,
 * 400 for those up to BODY_CHANGED, 500 or 503 for the rest. */
enum trotline_verdict {
    TROTLINE_VERIFIED = 0,
    TROTLINE_NO_SIGNATURE = 1,  /* none at all, or none of a version that the scheme knows */
    TROTLINE_BAD_SIGNATURE = 2, /* none of them is by one of the secrets; or memory was too
                                    short to see that one is */
    TROTLINE_MALFORMED = 3,     /* a part of the request is not of the scheme's form */
    TROTLINE_TOO_OLD = 4,       /* signed well, but too long ago */
    TROTLINE_IN_FUTURE = 5,     /* signed well, but with a time that is too far ahead */
    TROTLINE_MISSING_HEADER =
        6, /* something that is part of the signed text is not there, or twice */
    TROTLINE_BODY_CHANGED = 7, /* signed well, but the signed hash is not the body's */
    TROTLINE_NOT_CONFIGURED =
        8, /* the scheme needs a URL or a variable, and has not been told it */
    TROTLINE_VERDICT_NO_MEMORY = 9,
    TROTLINE_VERDICT_INVALID_ARGUMENT = 10 /* verifier or request is NULL, or a part of it is */
};

/* "verified", "no_signature", …; and a sentence. Static memory; for any number. */
TROTLINE_API const char *trotline_verdict_name(enum trotline_verdict verdict);
TROTLINE_API const char *trotline_verdict_text(enum trotline_verdict verdict);

/* How a verdict came about. Nothing secret is in it. */
struct trotline_finding {
    uint64_t timestamp_ms; /* when it was signed, Unix time; 0: unknown, or none is signed */
    size_t secret;         /* which of the secrets fits, from 0; SIZE_MAX: none */
    char about[64]; /* the header, path, … that the verdict is about; or empty. Cut to fit */
};

/* Judges one request at that Unix time (0: now). `finding` may be NULL. At most 16 signatures of a
 * request are looked at. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_verdict
trotline_verify(struct trotline_verifier *verifier, const struct trotline_request *request,
                uint64_t now_ms, struct trotline_finding *finding);

/* Which event it is and of which type, as the scheme says: for requests that were verified. What a
 * scheme does not sign anybody on the way could have changed (with GitHub: both), so do not trust
 * them further than that. Absent when there is none, or when out of memory. Valid until the next
 * call with this verifier. */
TROTLINE_API struct trotline_slice
trotline_verifier_event_id(struct trotline_verifier *verifier,
                           const struct trotline_request *request);
TROTLINE_API struct trotline_slice
trotline_verifier_event_type(struct trotline_verifier *verifier,
                             const struct trotline_request *request);

#ifdef __cplusplus
}
#endif

#endif
