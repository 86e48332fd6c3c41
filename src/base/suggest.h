/* suggest.h - "did you mean …?": the candidate nearest to a mistyped word. */
#ifndef TROTLINE_BASE_SUGGEST_H
#define TROTLINE_BASE_SUGGEST_H

#include <stddef.h>

/* Collects candidates one by one and keeps the nearest. Start with {.word = …}. */
struct suggest {
    const char *word; /* as typed */
    const char *best; /* NULL: nothing is near enough; else borrowed from the candidates */
    size_t distance;  /* of best */
};

/* Takes part only when at most a third of the word's letters (at least one) are wrong: a letter
 * too many, too few, another one, or two neighbours swapped count one each; case does not count. */
void suggest_add(struct suggest *suggest, const char *candidate);

#endif
