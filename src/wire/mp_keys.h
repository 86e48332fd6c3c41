/* mp_keys.h - the keys of a msgpack document's maps, to find those that are there twice. Pure. */
#ifndef TROTLINE_WIRE_MP_KEYS_H
#define TROTLINE_WIRE_MP_KEYS_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct mp_keys {
    struct mp_keys_slot *slots; /* NULL until the first key */
    size_t slot_count;
    size_t count;
};

/* An empty set is all zeros. Accepts one that never held anything. */
void mp_keys_free(struct mp_keys *keys);

/* Adds a key of the map with this number. ST_OK; ST_EXISTS: that map has it already; ST_NOMEM, also
 * when the kernel has no randomness. The set keeps the slice, not its bytes. Takes 48 to 96 bytes a
 * key, and time that does not depend on the keys: whoever chooses them cannot choose where they
 * meet. */
MUST_CHECK enum status mp_keys_add(struct mp_keys *keys, uint64_t map, struct slice key);

#endif
