/* source.h - a source: a third party whose webhooks are received at /in/{name}.
 *
 * A source is made once of its document (source_compile.h) and never changes: a change makes a new
 * one in its place, and requests under way keep theirs by a reference. What it counts outlives such
 * a change.
 *
 *     sources ──▶ [a, b, c …] in the order of their names ──▶ struct source ──▶ source_counts
 *
 * Where sources come from: files, which are read at the start and cannot be changed through the
 * API, and Redis (source_store.h). A file's goes before a stored one of the same name.
 */
#ifndef TROTLINE_CORE_SOURCE_H
#define TROTLINE_CORE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/network.h"
#include "wire/received.h"
#include "wire/scheme.h"

/* ---- Counters ------------------------------------------------------------------------------- */

/* What became of a request to a source. */
enum source_outcome {
    SOURCE_ACCEPTED,     /* stored as an event */
    SOURCE_DUPLICATE,    /* its id was there before: answered like the first one, not stored */
    SOURCE_REPEATED,     /* the same, and stored with a mark (SOURCE_DEDUP_FORWARD) */
    SOURCE_HANDSHAKE,    /* answered by a handshake's rule */
    SOURCE_INACTIVE,     /* the source is switched off */
    SOURCE_BAD_METHOD,   /* 405 */
    SOURCE_TOO_LARGE,    /* 413 */
    SOURCE_BAD_TYPE,     /* 415 */
    SOURCE_BAD_ADDRESS,  /* 403 */
    SOURCE_NO_SIGNATURE, /* 401: these four are the verifier's */
    SOURCE_BAD_SIGNATURE,
    SOURCE_MALFORMED,   /* 400, like those below; also a body whose signed hash is another's */
    SOURCE_OUT_OF_TIME, /* signed too long ago, or in the future */
    SOURCE_INVALID,     /* verified, but no event can be made of it (no id or type; too large) */
    SOURCE_UNAVAILABLE, /* 503: Redis is away, memory is short, the configuration incomplete */
};
enum { SOURCE_OUTCOMES = SOURCE_UNAVAILABLE + 1 };

/* "accepted", "duplicate", …: the label in /metrics and the member in the API. */
const char *source_outcome_name(enum source_outcome outcome);

/* Shared by all that a source of that name ever was in this process, while one of them lives. */
struct source_counts {
    unsigned refs;
    bool labelled;    /* has series of its own in /metrics */
    uint64_t *others; /* those of all that have none; NULL when it is labelled */
    uint64_t by_outcome[SOURCE_OUTCOMES];
    uint64_t last_at_ms; /* unix: when the last one was accepted; 0: none yet */
};

/* ---- One source ----------------------------------------------------------------------------- */

enum source_dedup { SOURCE_DEDUP_OFF, SOURCE_DEDUP_DROP, SOURCE_DEDUP_FORWARD };
enum { SOURCE_DEDUPS = SOURCE_DEDUP_FORWARD + 1 };

/* "off", "drop", "forward". */
const char *source_dedup_name(enum source_dedup policy);

struct source_secret {
    char *text;
    uint64_t expires_at_ms; /* unix; 0: does not expire */
    struct signer_key *key;
};

struct source_networks {
    struct network *items;
    size_t count;
};

struct source_reply {
    int status;         /* 200 to 299 */
    char *content_type; /* NULL: none, as there is no body */
    char *body;         /* NULL: none */
    size_t body_len;
};

/* Methods of events; those of handshakes reach every source. */
enum { SOURCE_POST = 1u << 0, SOURCE_PUT = 1u << 1 };

/* All pointers are the source's. Strings end in NUL. */
struct source {
    unsigned refs;
    char *name;
    char *application;           /* "default" */
    const struct scheme *scheme; /* of the set, or `own_scheme` */
    struct scheme *own_scheme;   /* made of `verifier`; NULL: none */
    struct source_secret *secrets;
    size_t secret_count;
    struct signer_key **keys; /* those of the secrets; source_keys() knows which still count */
    bool keys_expire;         /* one of them does */

    struct source_networks allowed;         /* empty: every address is allowed */
    struct source_networks trusted_proxies; /* own list, or a copy of the server's */
    unsigned methods;                       /* SOURCE_POST, SOURCE_PUT */
    char **content_types; /* lower case: "application/json", "text/…*"; none: any */
    size_t content_type_count;
    size_t body_bytes_max;

    bool tolerance_given;
    struct received_tolerance tolerance; /* instead of the scheme's */
    char *public_url;                    /* NULL: none */
    struct received_var *vars;           /* of `var_texts` */
    char **var_texts;                    /* a name and its value for each */
    size_t var_count;

    struct scheme_sources *event_id;   /* instead of the scheme's; NULL: the scheme's */
    struct scheme_sources *event_type; /* the same */
    char *type_prefix;                 /* an event's type is "<prefix>.<type>" */

    enum source_dedup dedup;
    uint64_t dedup_ttl_ms;
    struct source_reply reply; /* of an event that was stored, or is a duplicate */

    bool keep_all_headers; /* but those that source_keeps_header() never keeps */
    char **headers;        /* lower case; those that are kept else */
    size_t header_count;

    bool active;
    char *description;                     /* NULL: none */
    uint64_t created_at_ms, updated_at_ms; /* unix; 0 in a file */

    bool from_file;
    char *shown;      /* its JSON object as the API shows it: defaults filled in, secrets masked */
    char *document;   /* as it is stored; NULL: of a file */
    uint64_t version; /* of the configuration that it is known to be of (source_store.h) */
    uint64_t round;   /* source_store.h's */
    bool changing;    /* the API is changing it */
    struct source_counts *counts; /* NULL until it is in a registry */
};

/* Adds a reference; drops one (accepts NULL), and the last one frees all and overwrites secrets. */
struct source *source_get(struct source *source);
void source_put(struct source *source);

/* 1 to 64 of a-z, 0-9, '_' and '-', with a letter or digit first. */
bool source_name_valid(struct slice name);

/* The keys that have not expired: *count of them, at the returned place or in `room`. Without a
 * secret that expires it costs nothing. */
struct signer_key *const *source_keys(const struct source *source, uint64_t now_ms,
                                      struct signer_key *room[LIMIT_SECRETS], size_t *count);

/* Does the source take this Content-Type? Parameters ("; charset=utf-8") and case play no part.
 * `value` SLICE_NULL: the request has none. */
bool source_takes_type(const struct source *source, struct slice value);

/* Is the sender's address allowed? `peer` is who is connected; `forwarded` are the values of the
 * X-Forwarded-For headers in the order they came (forwarded.h): they count only when `peer` is a
 * trusted proxy. */
bool source_allows(const struct source *source, const struct network *peer,
                   const struct slice *forwarded, size_t forwarded_count);

/* Is this header of a request to be kept with the event? Never one that carries the sender's
 * credentials for us (Authorization, Cookie), unless it is named in the source's list. What
 * belongs to the connection is left out by event_headers.h. */
bool source_keeps_header(const struct source *source, struct slice name);

/* Counts a request. */
void source_count(struct source *source, enum source_outcome outcome);

#endif
