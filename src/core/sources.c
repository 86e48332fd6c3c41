/* sources.c - all sources of this process.
 *
 * Finding one costs ten comparisons of names among a thousand; putting one in moves the pointers
 * behind it, which happens when somebody changes the configuration. The array has its full size
 * from the start, so that a change that Redis has taken cannot fail for want of room here.
 *
 * Counters belong to a name: they go over to the source that takes another's place. A name that is
 * removed and made again begins at 0, which Prometheus takes for a restart of that series.
 */
#include "core/sources.h"

#include <stdlib.h>

struct sources {
    size_t count;
    size_t labelled;
    uint64_t unknown;
    uint64_t others[SOURCE_OUTCOMES];
    struct source *items[LIMIT_SOURCES];
};

struct sources *sources_new(void)
{
    return calloc(1, sizeof(struct sources));
}

void sources_free(struct sources *sources)
{
    if (!sources)
        return;
    while (sources->count > 0)
        sources_remove(sources, sources->items[sources->count - 1]);
    free(sources);
}

/* The place of the first whose name is not before `name`. */
static size_t place_of(const struct sources *sources, struct slice name)
{
    size_t low = 0, high = sources->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(slice_str(sources->items[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct sources *sources, size_t place, struct slice name)
{
    return place < sources->count && slice_eq(slice_str(sources->items[place]->name), name);
}

struct source *sources_find(const struct sources *sources, struct slice name)
{
    size_t place = place_of(sources, name);
    return is_at(sources, place, name) ? sources->items[place] : NULL;
}

size_t sources_count(const struct sources *sources)
{
    return sources->count;
}

struct source *sources_next(const struct sources *sources, struct slice after)
{
    size_t place = after.ptr ? place_of(sources, after) : 0;
    if (after.ptr && is_at(sources, place, after))
        place++;
    return place < sources->count ? sources->items[place] : NULL;
}

/* ---- Changes -------------------------------------------------------------------------------- */

static struct source_counts *counts_new(struct sources *sources)
{
    struct source_counts *counts = calloc(1, sizeof(*counts));
    if (!counts)
        return NULL;
    counts->refs = 1;
    counts->labelled = sources->labelled < LIMIT_SOURCES_LABELLED;
    if (counts->labelled)
        sources->labelled++;
    else
        counts->others = sources->others;
    return counts;
}

static enum status put_new(struct sources *sources, size_t place, struct source *source)
{
    if (sources->count == LIMIT_SOURCES)
        return ST_LIMIT;
    source->counts = counts_new(sources);
    if (!source->counts)
        return ST_NOMEM;
    memmove(&sources->items[place + 1], &sources->items[place],
            (sources->count - place) * sizeof(sources->items[0]));
    sources->items[place] = source;
    sources->count++;
    return ST_OK;
}

enum status sources_put(struct sources *sources, struct source *source)
{
    struct slice name = slice_str(source->name);
    size_t place = place_of(sources, name);
    enum status status = ST_OK;
    if (is_at(sources, place, name)) {
        struct source *old = sources->items[place];
        source->counts = old->counts;
        source->counts->refs++;
        sources->items[place] = source;
        source_put(old);
    } else {
        status = put_new(sources, place, source);
    }
    if (status != ST_OK)
        source_put(source);
    return status;
}

void sources_remove(struct sources *sources, struct source *source)
{
    size_t place = place_of(sources, slice_str(source->name));
    sources->labelled -= source->counts->labelled;
    /* Requests under way may still count; this registry may be gone by then. */
    source->counts->labelled = false;
    source->counts->others = NULL;
    sources->count--;
    memmove(&sources->items[place], &sources->items[place + 1],
            (sources->count - place) * sizeof(sources->items[0]));
    source_put(source);
}

/* ---- Counting ------------------------------------------------------------------------------- */

void sources_count_unknown(struct sources *sources)
{
    sources->unknown++;
}

uint64_t sources_unknown(const struct sources *sources)
{
    return sources->unknown;
}

uint64_t sources_others(const struct sources *sources, enum source_outcome outcome)
{
    return sources->others[outcome];
}
