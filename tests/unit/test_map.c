/* test_map.c - the hash map against a plain array, with and without memory to grow.
 *
 * The module is included, not linked, so that the allocator can be made to refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/rng.h"

static bool refuse_memory;

static void *try_calloc(size_t count, size_t size)
{
    return refuse_memory ? NULL : calloc(count, size);
}

static void *try_realloc(void *old, size_t size)
{
    return refuse_memory ? NULL : realloc(old, size);
}

#define calloc  try_calloc
#define realloc try_realloc
#include "base/map.c" /* NOLINT(bugprone-suspicious-include) */
#undef calloc
#undef realloc

enum { THINGS = 5000 };

struct thing {
    struct map_node node;
    uint64_t key;
    bool mapped;
    int visits;
};

static struct thing things[THINGS];

static struct thing *find(struct map *map, uint64_t key, uint64_t hash)
{
    for (struct map_node *node = map_first(map, hash); node; node = map_next_same(node)) {
        struct thing *thing = CONTAINER_OF(node, struct thing, node);
        assert_true(node->hash == hash);
        if (thing->key == key)
            return thing;
    }
    return NULL;
}

/* Walks the whole map: each mapped thing once, and no other. */
static void check_walk(struct map *map)
{
    size_t seen = 0, mapped = 0;
    for (size_t i = 0; i < THINGS; i++) {
        things[i].visits = 0;
        mapped += things[i].mapped;
    }
    MAP_FOREACH(node, map)
    {
        struct thing *thing = CONTAINER_OF(node, struct thing, node);
        assert_true(thing->mapped);
        assert_int_equal(++thing->visits, 1);
        seen++;
    }
    assert_int_equal(seen, mapped);
    assert_int_equal(map->count, mapped);
}

/* Random insertions and removals; `hash_bits` small makes many things share a hash. */
static void random_walk(unsigned hash_bits, bool starve)
{
    struct map map;
    struct rng rng;
    map_init(&map);
    rng_seed(&rng, hash_bits);
    memset(things, 0, sizeof(things));
    for (size_t i = 0; i < THINGS; i++)
        things[i].key = rng_next(&rng) >> (64 - hash_bits) << (64 - hash_bits) | i;
    for (int step = 0; step < 40000; step++) {
        struct thing *thing = &things[rng_below(&rng, THINGS)];
        uint64_t hash = thing->key >> (64 - hash_bits);
        refuse_memory = starve && map.bucket_count > 0 && step % 3 != 0;
        assert_ptr_equal(find(&map, thing->key, hash), thing->mapped ? thing : NULL);
        if (thing->mapped)
            map_remove(&map, &thing->node);
        else
            assert_int_equal(map_insert(&map, &thing->node, hash), ST_OK);
        thing->mapped = !thing->mapped;
        if (step % 4000 == 0)
            check_walk(&map);
    }
    refuse_memory = false;
    check_walk(&map);
    assert_true(starve || hash_bits < 20 || map.bucket_count >= THINGS / 3);
    map_free(&map);
    assert_int_equal(map.count, 0);
    assert_null(map_first(&map, 1));
}

static void test_agrees_with_an_array(void **state)
{
    (void)state;
    random_walk(60, false);
}

static void test_equal_hashes(void **state)
{
    (void)state;
    random_walk(7, false);
    random_walk(1, false);
}

static void test_growing_fails_now_and_then(void **state)
{
    (void)state;
    random_walk(60, true);
}

/* The first table needs memory; without it nothing changes. A later lack makes longer chains. */
static void test_without_memory(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    memset(things, 0, sizeof(things));
    refuse_memory = true;
    assert_int_equal(map_insert(&map, &things[0].node, 0), ST_NOMEM);
    assert_int_equal(map.count, 0);
    assert_null(map_begin(&map));
    refuse_memory = false;
    assert_int_equal(map_insert(&map, &things[0].node, 0), ST_OK);
    refuse_memory = true;
    for (uint64_t i = 1; i < 1000; i++)
        assert_int_equal(map_insert(&map, &things[i].node, i), ST_OK);
    assert_int_equal(map.bucket_count, 16);
    for (uint64_t i = 0; i < 1000; i++)
        assert_ptr_equal(map_first(&map, i), &things[i].node);
    refuse_memory = false;
    map_free(&map);
}

/* A walk in which each body removes and destroys its own node sees all of them. */
static void test_removal_during_a_walk(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct map map;
    map_init(&map);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct thing *thing = calloc(1, sizeof(*thing));
        assert_non_null(thing);
        assert_int_equal(map_insert(&map, &thing->node, i % 100), ST_OK);
    }
    size_t seen = 0;
    MAP_FOREACH(node, &map)
    {
        map_remove(&map, node);
        free(CONTAINER_OF(node, struct thing, node));
        seen++;
    }
    assert_int_equal(seen, COUNT);
    assert_int_equal(map.count, 0);
    map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_an_array),       cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_growing_fails_now_and_then), cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_removal_during_a_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
