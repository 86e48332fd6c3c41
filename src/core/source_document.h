/* source_document.h - a source's document: made of a request's body or of a file, kept in Redis,
 * shown by the API.
 *
 * All three are JSON objects with the same members (conf/sources/README.md). The stored one has
 * what was given, in one order, with `createdAt` and `updatedAt`. What is shown has defaults filled
 * in and secrets masked: "***" and the last four characters of a long one. Whoever sends what was
 * shown back keeps the secrets that are masked in it.
 */
#ifndef TROTLINE_CORE_SOURCE_DOCUMENT_H
#define TROTLINE_CORE_SOURCE_DOCUMENT_H

#include "base/buf.h"
#include "base/field_error.h"
#include "core/source.h"

/* What a document may rely on and must obey. Outlives all sources. */
struct source_rules {
    const struct scheme_set *schemes;
    struct source_networks trusted_proxies; /* of sources that name none */
    size_t body_bytes_max;                  /* the server's own maximum, and the default */
};

/* Of all of these: with *error filled ST_SYNTAX (not a JSON object, or nested too deep), ST_RANGE
 * (a member), ST_LIMIT (`payload_too_large`); or ST_NOMEM. The caller owns one reference of *out,
 * which is NULL after a failure. */

/* From the body of a POST (`name` SLICE_NULL: it is in the body) or PUT. `old` (may be NULL) is
 * what it replaces: its secrets stay when none are given, and its masked values may be sent back.
 */
MUST_CHECK enum status source_document_make(const struct source_rules *rules,
                                            const struct source *old, struct slice name,
                                            struct slice body, uint64_t now_ms, struct source **out,
                                            struct field_error *error);

/* With one more secret, newest first. `old` is no file's. ST_RANGE also when it has as many as it
 * may have. */
MUST_CHECK enum status source_document_add_secret(const struct source_rules *rules,
                                                  const struct source *old, struct slice secret,
                                                  uint64_t now_ms, struct source **out,
                                                  struct field_error *error);

/* From what is stored. What may have become stricter since is not held against it: a larger
 * `maxBodyBytes` becomes the maximum. */
MUST_CHECK enum status source_document_load(const struct source_rules *rules, struct slice document,
                                            struct source **out, struct field_error *error);

/* From a file that was read as JSON; `name` is what it is called when it does not say. */
MUST_CHECK enum status source_document_file(const struct source_rules *rules, struct slice name,
                                            struct slice json, struct source **out,
                                            struct field_error *error);

#endif
