/* signals.c - see signals.h. libevent's signal events, behind an interface without libevent. */
#include "net/signals.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

enum { SIGNALS_MAX = 8 };

struct signals {
    signals_fn *fn;
    void *arg;
    size_t count;
    struct event *events[SIGNALS_MAX];
};

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct signals *signals = arg;
    (void)what;
    signals->fn(signals->arg, (int)number);
}

struct signals *signals_new(struct reactor *reactor, const int *numbers, size_t count,
                            signals_fn *fn, void *arg)
{
    assert(count <= SIGNALS_MAX);
    struct signals *signals = calloc(1, sizeof(*signals));
    if (!signals)
        return NULL;
    signals->fn = fn;
    signals->arg = arg;
    for (size_t i = 0; i < count; i++) {
        struct event *event = evsignal_new(reactor_base(reactor), numbers[i], on_signal, signals);
        if (event)
            signals->events[signals->count++] = event;
        if (!event || event_add(event, NULL) != 0) {
            signals_free(signals);
            return NULL;
        }
    }
    return signals;
}

void signals_free(struct signals *signals)
{
    if (!signals)
        return;
    for (size_t i = 0; i < signals->count; i++)
        event_free(signals->events[i]);
    free(signals);
}
