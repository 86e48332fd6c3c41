/* signals.h - signals as events of the loop: fn runs between other callbacks, never in a handler.
 *
 * One struct signals a process: libevent allows one base to take signals.
 */
#ifndef TROTLINE_NET_SIGNALS_H
#define TROTLINE_NET_SIGNALS_H

#include <stddef.h>

#include "net/reactor.h"

struct signals;

typedef void signals_fn(void *arg, int number);

/* From now on each of the signals calls fn(arg, number) from the loop instead of its default
 * action. At most 8. NULL when out of memory or the system refuses; no action is then changed. */
struct signals *signals_new(struct reactor *reactor, const int *numbers, size_t count,
                            signals_fn *fn, void *arg);

/* Gives the signals back their default action. Not from within fn. Accepts NULL. */
void signals_free(struct signals *signals);

#endif
