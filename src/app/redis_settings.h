/* redis_settings.h - is this Redis set up so that nothing is lost? */
#ifndef TROTLINE_APP_REDIS_SETTINGS_H
#define TROTLINE_APP_REDIS_SETTINGS_H

#include <stdbool.h>

#include "core/store.h"

struct redis_settings {
    struct store *store; /* borrowed; its queries end with it */
    bool pack_hashes;    /* may hash-max-listpack-value be raised? */
    char not_ready[160]; /* a sentence while it may evict keys; else "" */
};

/* Asks, whenever Redis is (again) reachable: it may be another server. What is weak is logged, what
 * must not be stands in not_ready when the answer has come. */
void redis_settings_ask(struct redis_settings *settings);

#endif
