/* scheme_choice.h - the options --scheme and --schemes, as several commands have them. */
#ifndef TROTLINE_APP_SCHEME_CHOICE_H
#define TROTLINE_APP_SCHEME_CHOICE_H

#include "base/buf.h"
#include "wire/scheme.h"

/* Loads the built-in schemes and those of `dir` (NULL: none) into a new *set, which the caller
 * frees, and finds one. NULL, with lines in `errors`: it is not there, or a file is wrong, or out
 * of memory; *set may be NULL then. */
const struct scheme *scheme_choose(struct scheme_set **set, const char *dir, const char *name,
                                   struct buf *errors);

#endif
