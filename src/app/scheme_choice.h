/* scheme_choice.h - the options --scheme and --schemes, as several commands have them. */
#ifndef TROTLINE_APP_SCHEME_CHOICE_H
#define TROTLINE_APP_SCHEME_CHOICE_H

#include "base/buf.h"
#include "wire/scheme.h"

/* The built-in schemes and those of `dir` (NULL: none), which the caller frees. NULL, with a line
 * in `errors`: a file is wrong, or out of memory. */
struct scheme_set *scheme_choice_load(const char *dir, struct buf *errors);

/* NULL, with a line in `errors` that says which there are: it is not among them. */
const struct scheme *scheme_choose(const struct scheme_set *set, const char *name,
                                   struct buf *errors);

#endif
