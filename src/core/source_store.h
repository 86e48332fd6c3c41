/* source_store.h - sources in Redis, and those in memory kept in step.
 *
 * They lie beside the endpoints and share their configuration's version and channel: a change is
 * written first, takes effect when Redis has answered, and is followed by the other replicas
 * (endpoint_follow.c hands the documents of sources on to here). Files' are never written.
 */
#ifndef TROTLINE_CORE_SOURCE_STORE_H
#define TROTLINE_CORE_SOURCE_STORE_H

#include "core/core.h"
#include "core/source.h"

struct source_store;
struct sources;

/* ST_OK; ST_NOTFOUND; ST_LIMIT (too many sources); ST_CONFLICT (changed by another replica since,
 * or made by it: its document is in memory now); ST_LOST, ST_AGAIN, ST_REFUSED, ST_STOPPED,
 * ST_NOMEM (Redis is away or full: 503; after ST_LOST the change may have been made). `source` is
 * valid during the call, after ST_OK of a creation or replacement only. */
typedef void source_store_fn(void *arg, enum status status, struct source *source);

/* NULL: out of memory. */
struct source_store *source_store_new(struct core *core);
void source_store_free(struct source_store *store);

struct sources *source_store_sources(struct source_store *store);

/* Each writes, then changes what is in memory, then calls back: once, later, never before it
 * returns. Takes over the reference of `source` in any case. ST_NOMEM: nothing will be called. */
MUST_CHECK enum status source_store_create(struct source_store *store, struct source *source,
                                           source_store_fn *fn, void *arg);
/* `source` was made of the present one of that name, `old`, in this turn. */
MUST_CHECK enum status source_store_replace(struct source_store *store, struct source *old,
                                            struct source *source, source_store_fn *fn, void *arg);
MUST_CHECK enum status source_store_delete(struct source_store *store, struct source *old,
                                           source_store_fn *fn, void *arg);

/* ---- endpoint_follow.c's -------------------------------------------------------------------- */

/* Does this id of a changed document mean a source ("src_" and its name)? */
bool source_store_has(struct slice id_text);

/* Its document as Redis has it since `version` at least; empty: it is gone. False: for want of
 * memory it could not be taken in. */
bool source_store_follow(struct source_store *store, struct slice id_text, struct slice document,
                         uint64_t version, uint64_t round);

/* All stored ones were read in this round: removes those that were not found. */
void source_store_sweep(struct source_store *store, uint64_t round);

#endif
