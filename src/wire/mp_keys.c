/* mp_keys.c - the keys of a msgpack document's maps.
 *
 * One table with open addressing for all maps of the document: a key is found by its bytes and the
 * number of its map. So nothing is undone when a map ends, and what it takes grows with the keys
 * that were really there, not with what some map announced.
 */
#include "wire/mp_keys.h"

#include <stdlib.h>

#include "base/entropy.h"
#include "base/hash.h"

enum { SLOTS_FIRST = 64 };

struct mp_keys_slot {
    struct slice key; /* ptr is NULL: free */
    uint64_t map;
};

/* Drawn by each thread for itself: what hash_bytes() keeps is for one thread only. */
static _Thread_local uint64_t secret[2];
static _Thread_local bool has_secret;

static enum status draw_secret(void)
{
    if (!has_secret && entropy_read(secret, sizeof(secret)) != ST_OK)
        return ST_NOMEM;
    has_secret = true;
    return ST_OK;
}

/* The slot that has the key, or the free one where it belongs. */
static struct mp_keys_slot *find(const struct mp_keys *keys, uint64_t map, struct slice key)
{
    uint64_t hash = hash_keyed(key, secret[0], secret[1] ^ map);
    size_t mask = keys->slot_count - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct mp_keys_slot *slot = &keys->slots[i];
        if (!slot->key.ptr || (slot->map == map && slice_eq(slot->key, key)))
            return slot;
    }
}

static enum status grow(struct mp_keys *keys)
{
    if (draw_secret() != ST_OK)
        return ST_NOMEM;
    struct mp_keys larger = {.slot_count = keys->slots ? keys->slot_count * 2 : SLOTS_FIRST,
                             .count = keys->count};
    larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
    if (!larger.slots)
        return ST_NOMEM;
    for (size_t i = 0; keys->slots && i < keys->slot_count; i++)
        if (keys->slots[i].key.ptr)
            *find(&larger, keys->slots[i].map, keys->slots[i].key) = keys->slots[i];
    free(keys->slots);
    *keys = larger;
    return ST_OK;
}

enum status mp_keys_add(struct mp_keys *keys, uint64_t map, struct slice key)
{
    if ((!keys->slots || keys->count >= keys->slot_count / 2) && grow(keys) != ST_OK)
        return ST_NOMEM;
    struct mp_keys_slot *slot = find(keys, map, key);
    if (slot->key.ptr)
        return ST_EXISTS;
    *slot = (struct mp_keys_slot){key, map};
    keys->count++;
    return ST_OK;
}

void mp_keys_free(struct mp_keys *keys)
{
    free(keys->slots);
    *keys = (struct mp_keys){.count = 0};
}
