/* scheme.h - wire formats as data: one description serves signing a delivery and verifying a
 * request.
 *
 * A scheme says which headers are sent and what is in them, what text is signed and how, how
 * secrets are written, and what the body looks like. The five built-in ones are
 * the files of conf/schemes, put into the binary at build time; others come from files of the same
 * language (conf/schemes/README.md). All is compiled when a scheme is loaded; nothing of a
 * description is parsed for a delivery.
 *
 * A scheme never changes and lives as long as its set.
 */
#ifndef TROTLINE_WIRE_SCHEME_H
#define TROTLINE_WIRE_SCHEME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "wire/event_record.h"
#include "wire/handshake.h"
#include "wire/received.h"
#include "wire/signer.h"

struct scheme;
struct scheme_set;

/* ---- The set --------------------------------------------------------------------------------- */

/* The built-in schemes: those of conf/schemes, in the order of their names, and "passthrough".
 * NULL: out of memory. */
struct scheme_set *scheme_set_new(void);

/* The built-in scheme of that name alone; the caller frees it with scheme_free() (scheme_file.h).
 * ST_NOTFOUND ("passthrough" is no file, and is not found); ST_NOMEM. *out is then NULL. */
MUST_CHECK enum status scheme_builtin_new(struct slice name, struct scheme **out);

/* The names of those, sorted; SLICE_NULL beyond the last one. Static memory. */
struct slice scheme_builtin_name(size_t index);

/* Frees the set and all schemes in it. Accepts NULL. */
void scheme_set_free(struct scheme_set *set);

/* Adds the scheme of each .yaml file in the folder, in the order of the files' names; one of the
 * same name is replaced and freed, so this is for before anyone holds a scheme. On failure the set
 * is as it was and `error` holds "file:line: what is wrong" (cut to fit). ST_IO: a file cannot be
 * read; ST_SYNTAX: a file is wrong; ST_LIMIT: LIMIT_SCHEMES; ST_NOMEM. */
MUST_CHECK enum status scheme_set_load_dir(struct scheme_set *set, const char *dir, char *error,
                                           size_t error_size);

/* NULL when there is none of that name. */
const struct scheme *scheme_find(const struct scheme_set *set, struct slice name);

/* The schemes in the order they were added; `index` < scheme_count(). */
size_t scheme_count(const struct scheme_set *set);
const struct scheme *scheme_at(const struct scheme_set *set, size_t index);

const char *scheme_name(const struct scheme *scheme);
const char *scheme_description(const struct scheme *scheme);

/* What is answered beside events (handshake.h); NULL: nothing. */
const struct handshakes *scheme_handshakes(const struct scheme *scheme);

/* True when the scheme sets that header: a custom header may not override it. */
bool scheme_owns_header(const struct scheme *scheme, struct slice name);

/* ---- Sending --------------------------------------------------------------------------------- */

struct scheme_event {
    struct slice id; /* "msg_…" */
    struct slice type;
    uint64_t timestamp_ms; /* of the event */
    struct slice data;     /* JSON (event_data.h), put into the body byte for byte */
    struct slice version;  /* SLICE_NULL: the event has none; `null` in the body */
    struct slice source;   /* as version */
};

/* The request's body. When the scheme's body is the data itself, that is event->data and `buf`
 * stays as it is; else it is appended to `buf`, whose status the caller checks, and the slice is
 * valid until `buf` changes. */
struct slice scheme_body(const struct scheme *scheme, const struct scheme_event *event,
                         struct buf *buf);

/* Appends the headers of one attempt to `lines`, each as "Name: value" and a NUL; *count gets their
 * number. `body` is what will be sent. Where the scheme has a list of signatures, every key signs;
 * where it has one signature, keys[0] does. A header whose {version} or {source} the event does not
 * have is left out.
 * ST_RANGE: no key, or a value with control characters, which could forge a header;
 * ST_UNSUPPORTED: a key of an algorithm the scheme does not have, or a public key; ST_NOMEM and
 * ST_LIMIT: of `lines`. After a failure `lines` holds an unusable part. */
MUST_CHECK enum status scheme_headers(const struct scheme *scheme, const struct scheme_event *event,
                                      struct slice body, uint64_t attempt_at_ms,
                                      struct signer_key *const *keys, size_t key_count,
                                      struct buf *lines, size_t *count);

/* Does it send a received request as it came ("passthrough")? Then it has no secrets, the body is
 * the record's data, and headers are made by scheme_original_headers(): neither scheme_body() nor
 * scheme_headers() is for it. */
bool scheme_passes_through(const struct scheme *scheme);

/* Appends to `lines`, as scheme_headers() does: the headers that the record has, but for those
 * whose name replaced() says are given otherwise; Content-Type; Trotline-Event-Id and
 * Trotline-Event-Type; and of a received event Trotline-Source, Trotline-Received-At and
 * Trotline-Verified. Whether that went well is buf_status(). */
void scheme_original_headers(struct slice id, const struct event_record *record,
                             bool (*replaced)(void *arg, struct slice name), void *arg,
                             struct buf *lines, size_t *count);

/* ---- Secrets as text ------------------------------------------------------------------------- */

/* Appends a new secret of the scheme's first algorithm, or of the given one. ST_UNSUPPORTED: the
 * scheme does not have it, or only takes public keys for it, or has no secrets at all. ST_IO: the
 * kernel has no randomness. ST_NOMEM, ST_LIMIT: of `text`. The caller overwrites `text` after use.
 */
MUST_CHECK enum status scheme_secret_generate(const struct scheme *scheme, struct buf *text);
MUST_CHECK enum status scheme_secret_generate_for(const struct scheme *scheme,
                                                  enum sign_algorithm algorithm, struct buf *text);

/* The key of a secret; the caller frees it. ST_RANGE: it is not a secret of this scheme, and
 * *reason (if `reason` is not NULL) is a sentence that says how one looks, which lives as long as
 * the scheme; ST_NOMEM. *key is then NULL. */
MUST_CHECK enum status scheme_secret_key(const struct scheme *scheme, struct slice text,
                                         struct signer_key **key, const char **reason);

/* The same for verifying: takes public keys ("whpk_…") too. */
MUST_CHECK enum status scheme_verify_key(const struct scheme *scheme, struct slice text,
                                         struct signer_key **key, const char **reason);

/* Appends a secret as we write it: for Ed25519 always seed and public key. ST_RANGE: not a secret.
 */
MUST_CHECK enum status scheme_secret_normalize(const struct scheme *scheme, struct slice text,
                                               struct buf *normal);

/* Appends the public key ("whpk_…") of an Ed25519 secret, for the receiver. ST_RANGE: not a secret;
 * ST_UNSUPPORTED: one without a public half. */
MUST_CHECK enum status scheme_secret_public(const struct scheme *scheme, struct slice text,
                                            struct buf *public_text);

/* ---- Verifying ------------------------------------------------------------------------------- */

/* What a receiver answers: 401 for the
 * signature ones, 400 for malformed, old and future ones, 503 for the last two. */
enum scheme_verdict {
    VERIFY_OK,
    VERIFY_NO_SIGNATURE,   /* none at all, or none of a version that we know */
    VERIFY_BAD_SIGNATURE,  /* none of them is by one of the keys */
    VERIFY_MALFORMED,      /* a part of the request is not of the scheme's form */
    VERIFY_TOO_OLD,        /* signed well, but too long ago */
    VERIFY_IN_FUTURE,      /* signed well, but with a time that is too far ahead */
    VERIFY_MISSING_HEADER, /* something that is part of the signed text is not there, or twice */
    VERIFY_BODY_CHANGED,   /* signed well, but the signed hash is not the body's */
    VERIFY_NOT_CONFIGURED, /* the scheme needs a public URL or a variable, and there is none */
    VERIFY_NO_MEMORY,
};

/* "ok", "no_signature", …; and a sentence. */
const char *scheme_verdict_name(enum scheme_verdict verdict);
const char *scheme_verdict_text(enum scheme_verdict verdict);

/* How a verdict came about, for people. Nothing secret is in it. */
struct scheme_finding {
    size_t elements;           /* how many were looked at: 1, or those of an array (`each`) */
    size_t candidates;         /* signatures of a known version in the last of them */
    size_t others;             /* entries beside them, of no known version or form */
    size_t key;                /* the key that fits the last one; SIZE_MAX: none */
    uint64_t timestamp_ms;     /* Unix time; only where timestamp_text is not empty */
    struct slice about;        /* the header, path, … that the verdict is about; or SLICE_NULL */
    struct buf timestamp_text; /* as received; empty: none is signed, or it was not found */
    struct buf signed_text;    /* of the last element; empty when it did not come to that */
};

/* `signed_text_max` bytes of the signed text are kept at most (its buf is failed beyond). */
void scheme_finding_init(struct scheme_finding *finding, size_t signed_text_max);
void scheme_finding_deinit(struct scheme_finding *finding);

/* Judges one received request: good when one of its signatures is by one of the keys and, where a
 * time stamp is signed, it is within the tolerance of now, inclusive. At most 16 signatures are
 * looked at. `finding` may be NULL and then costs nothing. Schemes that have no signature
 * (algorithm `none`) are always good. */
enum scheme_verdict scheme_verify(const struct scheme *scheme, const struct received *received,
                                  struct signer_key *const *keys, size_t key_count,
                                  struct scheme_finding *finding);

/* Whether the scheme can verify (without `headers` and `body` it only does that), and send. Only a
 * scheme that sends may be an endpoint's. */
bool scheme_receives(const struct scheme *scheme);
bool scheme_sends(const struct scheme *scheme);

/* What a source of this scheme has to have: a public URL; at least one secret; the variables whose
 * names scheme_var() gives for `index` 0, 1, … until SLICE_NULL. */
bool scheme_needs_url(const struct scheme *scheme);
bool scheme_needs_secret(const struct scheme *scheme);
struct slice scheme_var(const struct scheme *scheme, size_t index);

/* Where an event's id and type are: a list of sources of which the first that is there counts. */
struct scheme_sources;

/* Compiles such a list for a source's own settings. Each is `header:NAME`, `json:PATH`,
 * `query:NAME`, `body_hash` or `text:CONSTANT`. ST_SYNTAX: *wrong is the number of the entry that
 * is none; ST_LIMIT: more than 8; ST_NOMEM. The texts are copied. */
MUST_CHECK enum status scheme_sources_new(const struct slice *texts, size_t count,
                                          struct scheme_sources **sources, size_t *wrong);
void scheme_sources_free(struct scheme_sources *sources);

/* Appends the id or type of a request that was verified. False, and nothing appended, when there is
 * none (look at the status of `text`, too). Not empty. `own` replaces the scheme's list when it is
 * not NULL. */
bool scheme_event_id(const struct scheme *scheme, const struct scheme_sources *own,
                     const struct received *received, struct buf *text);
bool scheme_event_type(const struct scheme *scheme, const struct scheme_sources *own,
                       const struct received *received, struct buf *text);

/* Appends the signature, with its prefix, that `key` makes of a signed text (of a finding): what a
 * request would have to carry. ST_UNSUPPORTED: a public key or a token. */
MUST_CHECK enum status scheme_expected(const struct scheme *scheme, struct slice signed_text,
                                       struct signer_key *key, struct buf *text);

/* Signs a request as the scheme's sender would, for tests: appends the lines "Name: value" with a
 * NUL each that make `received` (without them) verify with `key`, and their number to *count. Its
 * time is received->now_ms, ids and types are made up. ST_UNSUPPORTED: the signature is not in a
 * header, the key is public, or nobody can receive with the scheme (scheme_receives()). */
MUST_CHECK enum status scheme_sign_received(const struct scheme *scheme,
                                            const struct received *received, struct signer_key *key,
                                            struct buf *lines, size_t *count);

#endif
