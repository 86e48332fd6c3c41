/* counts.c - what the sink knows of requests. */
#include "counts.h"

#include <stdlib.h>
#include <string.h>

#include "../stamp.h"

enum { NUMBERS = 64 * 1024 * 1024 };

/* The number after `key` (such as "t":) with exactly `digits` digits, and where it ends; NULL when
 * there is none. */
static const char *find_number(const char *body, size_t len, const char *key, unsigned digits,
                               uint64_t *number)
{
    const char *at = memmem(body, len, key, strlen(key));
    if (!at)
        return NULL;
    at += strlen(key);
    const char *end = body + len;
    *number = 0;
    unsigned n = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++, n++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return n == digits ? at : NULL;
}

bool counts_find_stamps(const char **body, size_t *len, uint64_t *time_ns, uint64_t *number)
{
    const char *time_end = find_number(*body, *len, "\"t\":", STAMP_TIME_DIGITS, time_ns);
    const char *number_end = find_number(*body, *len, "\"n\":", STAMP_NUMBER_DIGITS, number);
    if (!time_end || !number_end || *time_ns < STAMP_TIME_BASE || *number < STAMP_NUMBER_BASE)
        return false;
    const char *end = time_end > number_end ? time_end : number_end;
    *len -= (size_t)(end - *body);
    *body = end;
    *time_ns -= STAMP_TIME_BASE;
    *number -= STAMP_NUMBER_BASE;
    return true;
}

void counts_arrival(struct counts *counts, uint64_t now_ns, bool is_refused)
{
    if (counts->received++ == 0)
        counts->first_ns = now_ns;
    counts->last_ns = now_ns;
    counts->refused += is_refused;
}

bool number_set_add(struct number_set *set, uint64_t number)
{
    if (!set->bits)
        set->bits = calloc(NUMBERS / 8, 1);
    if (!set->bits) {
        perror("calloc");
        exit(1);
    }
    unsigned char bit = (unsigned char)(1 << number % 8);
    if (number >= NUMBERS || (set->bits[number / 8] & bit))
        return false;
    set->bits[number / 8] |= bit;
    return true;
}

void number_set_clear(struct number_set *set)
{
    free(set->bits);
    set->bits = NULL;
}

void counts_print(const struct counts *counts, FILE *out)
{
    double seconds = (double)(counts->last_ns - counts->first_ns) / 1e9;
    fprintf(out,
            "\"received\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unique\":%" PRIu64
            ",\"unstamped\":%" PRIu64 ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64
            ",\"seconds\":%.3f,\"rate\":%.0f,\"latency_us\":",
            counts->received, counts->refused, counts->unique, counts->unstamped, counts->first_ns,
            counts->last_ns, seconds, seconds > 0 ? (double)counts->received / seconds : 0.0);
    hist_print_json(&counts->age_us, out);
}
