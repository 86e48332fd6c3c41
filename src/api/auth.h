/* auth.h - who may use the API: holders of a key (RFC 6750 section 2.1). */
#ifndef TROTLINE_API_AUTH_H
#define TROTLINE_API_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct auth;

/* Copies the keys; empty ones are left out. With no key nobody gets in. NULL: out of memory. */
struct auth *auth_new(const struct slice *keys, size_t count);

/* Overwrites the keys and frees. Accepts NULL. */
void auth_free(struct auth *auth);

/* Does this Authorization field (SLICE_NULL: there was none) carry one of the keys as a bearer
 * token? The time it takes tells the lengths of the keys and nothing else about them. */
bool auth_allows(const struct auth *auth, struct slice authorization);

#endif
