/* sources.h - all sources of this process, by name, and what they count together.
 *
 *     sources ──▶ [acme, github, stripe …] ──▶ struct source ──▶ source_counts
 *
 * A few hundred at most, looked up for every received request: an array in the order of names.
 */
#ifndef TROTLINE_CORE_SOURCES_H
#define TROTLINE_CORE_SOURCES_H

#include "core/source.h"

struct sources;

/* NULL: out of memory. */
struct sources *sources_new(void);
/* To be called after all who count requests are done. Accepts NULL. */
void sources_free(struct sources *sources);

/* NULL: there is none. Not counted: valid until it is replaced or removed. */
struct source *sources_find(const struct sources *sources, struct slice name);

size_t sources_count(const struct sources *sources);

/* In the order of names: the first behind `after` (SLICE_NULL: the very first); NULL at the end. */
struct source *sources_next(const struct sources *sources, struct slice after);

/* Puts a source in, in place of one of the same name, whose counters it gets. Takes over the
 * caller's reference in any case. ST_NOMEM; ST_LIMIT: there are LIMIT_SOURCES. Nothing is then
 * changed. */
MUST_CHECK enum status sources_put(struct sources *sources, struct source *source);

/* Takes it out and drops the registry's reference. */
void sources_remove(struct sources *sources, struct source *source);

/* Requests to names that no source has. */
void sources_count_unknown(struct sources *sources);
uint64_t sources_unknown(const struct sources *sources);

/* Requests to sources without series of their own: at most LIMIT_SOURCES_LABELLED have them, the
 * first ones, so that /metrics stays within bounds. */
uint64_t sources_others(const struct sources *sources, enum source_outcome outcome);

#endif
