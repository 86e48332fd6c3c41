/* trotline/sign.h - body and headers of a webhook that is sent.
 *
 *     struct trotline_signer *signer;
 *     const char *secrets[] = {"whsec_…"};
 *     if (trotline_signer_new(scheme, secrets, 1, &signer, &error) != TROTLINE_OK)
 *         …
 *     struct trotline_webhook webhook = {.id = "msg_1", .type = "order.paid"};
 *     webhook.data = trotline_slice_str("{\"order\":17}");
 *     if (trotline_sign(signer, &webhook, 0, &error) != TROTLINE_OK)
 *         …
 *     … POST trotline_signed_body(signer) with each trotline_signed_header_line(signer, i) …
 *
 * A signer keeps its keys ready: making one costs microseconds, signing 1 KiB with HMAC 2 us and
 * with Ed25519 60. It is for one thread at a time.
 */
#ifndef TROTLINE_SIGN_H
#define TROTLINE_SIGN_H

#include <stdint.h>

#include "trotline/scheme.h"
#include "trotline/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trotline_signer;

/* Makes a signer. Several secrets are for the time of a change: where the scheme has a list of
 * signatures each of them signs, elsewhere the first one; at most 11. The texts need not stay; the
 * scheme must. *signer is the caller's to free, and NULL after a failure. INVALID_SECRET, with
 * error->field "secrets[0]" or so (none at all is that, too, if the scheme has secrets); NO_MEMORY;
 * INVALID_ARGUMENT: something is NULL, or there are more than 11. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_signer_new(const struct trotline_scheme *scheme, const char *const *secrets,
                    size_t secret_count, struct trotline_signer **signer,
                    struct trotline_error *error);

TROTLINE_API void trotline_signer_free(struct trotline_signer *signer);

/* All members are the caller's and are read during the call only. */
struct trotline_webhook {
    const char *id;        /* required; the same on every attempt: receivers know repeats by it */
    const char *type;      /* required: "order.paid" */
    uint64_t timestamp_ms; /* when it happened, Unix time; 0: `sent_at_ms` */
    const char *version;   /* NULL: none */
    const char *source;    /* NULL: none */
    /* One of these two, the other absent: */
    struct trotline_slice data; /* one JSON value, put into the scheme's body byte for byte */
    struct trotline_slice body; /* the whole body as it will be sent, in whatever form */
};

/* Makes body and headers of one attempt, at that Unix time (0: now), which receivers compare with
 * their clocks. They replace those of the call before.
 *
 * UNSUPPORTED: the scheme does not send; INVALID_EVENT, with error->field "id", "type", "version",
 * "source" (empty, or with control characters, which could forge a header) or "data" (it is not
 * JSON, or nested deeper than 64); NO_MEMORY; INVALID_ARGUMENT: signer or webhook is NULL, or both
 * of data and body are given or absent. After a failure the signer has neither body nor headers. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_sign(struct trotline_signer *signer, const struct trotline_webhook *webhook,
              uint64_t sent_at_ms, struct trotline_error *error);

/* Signs a request as the scheme's sender would, so that programs that receive from it can be
 * tested: also with schemes that only verify, if their secret is one that signs (not a public key).
 * The signer has then the headers that make `request` verify: the signature, and of the others that
 * it needs those that `request` does not have, made up; its body is absent. `url` (NULL: none) is
 * what trotline_verifier_set_url() takes. Ids are made of `now_ms` (0: now): differ by a
 * millisecond to get another.
 *
 * UNSUPPORTED: the signature is not in a header, or the key cannot sign, or what is signed is not
 * there; NO_MEMORY; INVALID_ARGUMENT: something is NULL. After a failure as above. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_sign_as_sender(struct trotline_signer *signer, const struct trotline_request *request,
                        const char *url, uint64_t now_ms, struct trotline_error *error);

/* What the last call made: the body's bytes; the number of headers; each of them, as name and value
 * and as the line "Name: value" with a NUL, which is how libcurl takes it. `index` counts from 0;
 * beyond the last one they are absent and NULL. Content-Type is not among them: application/json is
 * right for all built-in schemes. Valid until the next call that signs, or frees; if `body` was
 * given, as long as that is. */
TROTLINE_API struct trotline_slice trotline_signed_body(const struct trotline_signer *signer);
TROTLINE_API size_t trotline_signed_header_count(const struct trotline_signer *signer);
TROTLINE_API struct trotline_header trotline_signed_header(const struct trotline_signer *signer,
                                                           size_t index);
TROTLINE_API const char *trotline_signed_header_line(const struct trotline_signer *signer,
                                                     size_t index);

#ifdef __cplusplus
}
#endif

#endif
