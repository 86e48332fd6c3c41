/* map.h - an intrusive hash map that grows a bucket at a time.
 *
 * A node is a member of the thing that is mapped; the map owns its table and nothing else. It knows
 * hashes, not keys: the caller hashes (hash_bytes for what strangers choose) and compares:
 *
 *     for (n = map_first(map, hash); n; n = map_next_same(n))
 *         if (key_eq(CONTAINER_OF(n, struct thing, node), key)) …
 *
 * Growing costs one bucket's split for an insertion and, whenever the number of nodes passes a
 * power of two, the resizing of an array of pointers (below 2 ms at a million). The table never
 * shrinks.
 */
#ifndef TROTLINE_BASE_MAP_H
#define TROTLINE_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct map_node {
    struct map_node *next; /* in the bucket's chain */
    uint64_t hash;
};

struct map {
    struct map_node **buckets; /* NULL until the first insertion */
    size_t bucket_count;
    size_t count; /* nodes */
};

/* Allocates nothing. */
void map_init(struct map *map);

/* Frees the table and leaves an empty map; the nodes are their owners' business. */
void map_free(struct map *map);

/* Adds a node that is in no map. ST_NOMEM only when there is no table yet, and then the map is
 * unchanged; later a lack of memory makes longer chains, not failures. Equal hashes and equal keys
 * are allowed: whoever wants unique keys looks first. */
MUST_CHECK enum status map_insert(struct map *map, struct map_node *node, uint64_t hash);

/* Takes out a node that is in this map. */
void map_remove(struct map *map, struct map_node *node);

/* A node with this hash, or NULL. */
struct map_node *map_first(const struct map *map, uint64_t hash);

/* The next node with the same hash, or NULL. */
struct map_node *map_next_same(const struct map_node *node);

/* All nodes, in no useful order: the first, and the one behind `node` (NULL behind NULL). NULL at
 * the end. */
struct map_node *map_begin(const struct map *map);
struct map_node *map_after(const struct map *map, const struct map_node *node);

/* Walks the map; the body may remove (and free) the current node, and no other, and may not
 * insert. */
#define MAP_FOREACH(node, map)                                                                     \
    for (struct map_node *node = map_begin(map), *node##_next = map_after((map), node); node;      \
         node = node##_next, node##_next = map_after((map), node))

#endif
