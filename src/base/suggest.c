/* suggest.c - optimal string alignment distance (insert, delete, replace, swap neighbours) over
 * three rows. Words longer than the rows get no suggestion: nobody mistypes those. */
#include "base/suggest.h"

#include <ctype.h>
#include <string.h>

enum { WORD_MAX = 63 };

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t distance_of(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    memset(before, 0, sizeof(rows[0]));
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = min_of(min_of(last[j], now[j - 1]) + 1,
                            last[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                now[j] = min_of(now[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

void suggest_add(struct suggest *suggest, const char *candidate)
{
    size_t word_len = strlen(suggest->word), candidate_len = strlen(candidate);
    if (word_len == 0 || word_len > WORD_MAX || candidate_len > WORD_MAX)
        return;
    size_t distance = distance_of(suggest->word, word_len, candidate, candidate_len);
    size_t tolerated = word_len < 6 ? 1 : word_len / 3;
    if (distance > tolerated || (suggest->best && distance >= suggest->distance))
        return;
    suggest->best = candidate;
    suggest->distance = distance;
}
