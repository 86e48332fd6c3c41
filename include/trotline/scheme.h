/* trotline/scheme.h - wire formats of webhooks, as data.
 *
 * A scheme says which headers a webhook has and what is in them, what text is signed and how, how
 * secrets are written, and what the body looks like. One description serves signing and verifying.
 * Some sixty are built in: "standard" (Standard Webhooks, https://www.standardwebhooks.com, the
 * server's default), "standard_v1a" (the same with Ed25519), "svix", "event", "guide", "basic"; and
 * those of senders such as "github", "stripe", "slack", with which one only verifies. Others can be
 * read from text. Their language, and where each built-in one comes from, is in conf/schemes of the
 * source.
 *
 * A scheme never changes; threads may share it. It must outlive the signers and verifiers that are
 * made of it.
 */
#ifndef TROTLINE_SCHEME_H
#define TROTLINE_SCHEME_H

#include <stdbool.h>

#include "trotline/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trotline_scheme;

/* Opens the built-in scheme of that name; *scheme is the caller's to free, and NULL after a
 * failure. NOT_FOUND; NO_MEMORY; INVALID_ARGUMENT: something is NULL. Takes some 100 us: keep it.
 */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_scheme_open(const char *name, struct trotline_scheme **scheme);

/* Makes a scheme of its description: `bytes` bytes of YAML, at most 64 KiB, which need not stay.
 * `file` (or NULL) is only for the error, whose message is then "file:line: what is wrong". *scheme
 * is the caller's to free, and NULL after a failure. INVALID_SCHEME, `error` says why; NO_MEMORY;
 * INVALID_ARGUMENT: something else is NULL. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_scheme_parse(const void *text, size_t bytes, const char *file,
                      struct trotline_scheme **scheme, struct trotline_error *error);

TROTLINE_API void trotline_scheme_free(struct trotline_scheme *scheme);

/* The names of the built-in schemes, sorted; `index` counts from 0. Absent beyond the last one.
 * Static memory. */
TROTLINE_API struct trotline_slice trotline_scheme_builtin(size_t index);

/* What it is called, and one line for people (perhaps empty). They live as long as the scheme. */
TROTLINE_API const char *trotline_scheme_name(const struct trotline_scheme *scheme);
TROTLINE_API const char *trotline_scheme_description(const struct trotline_scheme *scheme);

/* Can webhooks of this scheme be sent (sign.h)? Verified (verify.h)? */
TROTLINE_API bool trotline_scheme_sends(const struct trotline_scheme *scheme);
TROTLINE_API bool trotline_scheme_verifies(const struct trotline_scheme *scheme);

/* Does it have secrets? One that has none verifies nothing: everything is genuine to it. */
TROTLINE_API bool trotline_scheme_needs_secret(const struct trotline_scheme *scheme);

/* Does its signature cover the URL? Then a verifier needs to be told it
 * (trotline_verifier_set_url()). */
TROTLINE_API bool trotline_scheme_needs_url(const struct trotline_scheme *scheme);

/* The names of the variables that a verifier needs (trotline_verifier_set_variable()), `index` from
 * 0; absent beyond the last one. They live as long as the scheme. */
TROTLINE_API struct trotline_slice trotline_scheme_variable(const struct trotline_scheme *scheme,
                                                            size_t index);

#ifdef __cplusplus
}
#endif

#endif
