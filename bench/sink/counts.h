/* counts.h - figures of some requests: how many, since when, how old. */
#ifndef TROTLINE_BENCH_SINK_COUNTS_H
#define TROTLINE_BENCH_SINK_COUNTS_H

#include <stdbool.h>

#include "../hist.h"

struct counts {
    uint64_t received, refused, unique, unstamped;
    uint64_t first_ns, last_ns;
    struct hist age_us;
};

/* Which events came: a bit for each number; NULL until the first. */
struct number_set {
    unsigned char *bits;
};

/* The first stamps in a body, behind which *body begins then; false when it has none. */
bool counts_find_stamps(const char **body, size_t *len, uint64_t *time_ns, uint64_t *number);

void counts_arrival(struct counts *counts, uint64_t now_ns, bool is_refused);

/* Is this the first time? Numbers beyond 64 Mi never are. */
bool number_set_add(struct number_set *set, uint64_t number);
void number_set_clear(struct number_set *set);

/* Members of a JSON object. */
void counts_print(const struct counts *counts, FILE *out);

#endif
