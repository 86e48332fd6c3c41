/* test_lanes.c - the map of lanes follows Redis's, and nothing is sent without a lease. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/lanes.h"

#define ME    "00000000000000aa"
#define OTHER "00000000000000bb"
#define THIRD "00000000000000cc"

static const struct slice owners[] = {{ME, 16}, {OTHER, 16}, {THIRD, 16}};

struct map {
    uint8_t owner_of[LANES];
    uint8_t gained[LANE_MASK_BYTES], lost[LANE_MASK_BYTES];
};

static void update(struct lanes *lanes, struct map *map, uint64_t version)
{
    assert_int_equal(lanes_update(lanes, version, owners, 3, map->owner_of, map->gained, map->lost),
                     ST_OK);
}

static size_t bits(const uint8_t *mask)
{
    size_t count = 0;
    for (uint32_t lane = 0; lane < LANES; lane++)
        count += lane_in(mask, lane);
    return count;
}

/* Before the first map nothing is anybody's. */
static void test_empty(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(ME);
    assert_int_equal(lanes_version(lanes), 0);
    assert_int_equal(lanes_count(lanes, LANE_FREE), LANES);
    assert_null(lanes_owner(lanes, 7));
    assert_false(lanes_mine(lanes, 7));
    struct lanes_part parts[4];
    assert_int_equal(lanes_parts(lanes, parts, 4), 0);
    lanes_free(lanes);
}

/* Gained, taken over, handed back; each update says what changed and nothing else. */
static void test_steps(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(ME);
    struct map map = {.owner_of = {1, 1, 2, 3}};
    update(lanes, &map, 1);
    assert_int_equal(bits(map.gained), 2);
    assert_true(lane_in(map.gained, 0) && lane_in(map.gained, 1));
    assert_int_equal(bits(map.lost), 0);
    assert_int_equal(lanes_state(lanes, 0), LANE_ARRIVING);
    assert_int_equal(lanes_state(lanes, 2), LANE_OTHER);
    assert_int_equal(lanes_state(lanes, 4), LANE_FREE);
    assert_string_equal(lanes_owner(lanes, 2), OTHER);
    assert_string_equal(lanes_owner(lanes, 0), ME);

    lanes_step(lanes, 0, LANE_MINE);
    lanes_step(lanes, 1, LANE_MINE);
    lanes_step(lanes, 1, LANE_LEAVING);
    assert_true(lanes_mine(lanes, 0));
    assert_false(lanes_mine(lanes, 1));

    map.owner_of[5] = 1; /* one more: those I have stay as they are */
    update(lanes, &map, 2);
    assert_int_equal(bits(map.gained), 1);
    assert_int_equal(lanes_state(lanes, 0), LANE_MINE);
    assert_int_equal(lanes_state(lanes, 1), LANE_LEAVING);
    assert_int_equal(lanes_state(lanes, 5), LANE_ARRIVING);

    memset(map.owner_of, 2, LANES); /* I was taken for dead */
    update(lanes, &map, 3);
    assert_int_equal(bits(map.lost), 3);
    assert_int_equal(lanes_count(lanes, LANE_OTHER), LANES);
    assert_int_equal(lanes_version(lanes), 3);

    memset(map.owner_of, 0, LANES);
    map.owner_of[0] = 1; /* and one comes back, as one that is new */
    update(lanes, &map, 4);
    assert_int_equal(lanes_state(lanes, 0), LANE_ARRIVING);
    lanes_free(lanes);
}

/* What I have given up and got back before I saw another map is a gain, or its new state would not
 * be read. */
static void test_released(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(ME);
    struct map map = {.owner_of = {1}};
    update(lanes, &map, 1);
    lanes_step(lanes, 0, LANE_MINE);
    assert_true(lanes_judged(lanes, 0));
    lanes_step(lanes, 0, LANE_LEAVING);
    assert_true(lanes_judged(lanes, 0));
    lanes_released(lanes, 0);
    assert_int_equal(lanes_state(lanes, 0), LANE_FREE);
    assert_false(lanes_judged(lanes, 0));
    assert_null(lanes_owner(lanes, 0));
    update(lanes, &map, 3);
    assert_true(lane_in(map.gained, 0));
    assert_int_equal(lanes_state(lanes, 0), LANE_ARRIVING);
    assert_false(lanes_judged(lanes, 0));
    lanes_free(lanes);
}

/* A reply that makes no sense changes nothing. */
static void test_refused(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(ME);
    struct map map = {.owner_of = {1}};
    update(lanes, &map, 1);
    map.owner_of[1] = 4; /* there are three */
    assert_int_equal(lanes_update(lanes, 2, owners, 3, map.owner_of, NULL, NULL), ST_SYNTAX);
    static const char *const names[] = {"", "00000000000000a", "00000000000000aa0",
                                        "00000000000000AA", "00000000 0000000"};
    uint8_t none[LANES] = {0};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct slice name = slice_str(names[i]);
        assert_int_equal(lanes_update(lanes, 2, &name, 1, none, NULL, NULL), ST_SYNTAX);
    }
    assert_int_equal(lanes_version(lanes), 1);
    assert_int_equal(lanes_count(lanes, LANE_ARRIVING), 1);
    lanes_free(lanes);
}

/* The parts of a batch: each other owner's lanes, disjoint, and none of mine. */
static void test_parts(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(ME);
    struct map map;
    for (uint32_t lane = 0; lane < LANES; lane++)
        map.owner_of[lane] = (uint8_t)(lane % 4); /* nobody, me, another, a third */
    update(lanes, &map, 1);
    struct lanes_part parts[4];
    assert_int_equal(lanes_parts(lanes, parts, 4), 2);
    assert_string_equal(parts[0].owner, OTHER);
    assert_string_equal(parts[1].owner, THIRD);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        assert_int_equal(lane_in(parts[0].mask, lane), lane % 4 == 2);
        assert_int_equal(lane_in(parts[1].mask, lane), lane % 4 == 3);
    }
    assert_int_equal(lanes_parts(lanes, parts, 1), 1);
    lanes_free(lanes);
}

/* Nothing is sent before the lease is confirmed, at its end or later. */
static void test_lease(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(ME);
    assert_false(lanes_may_send(lanes, 0));
    lanes_confirm(lanes, 5000);
    assert_true(lanes_may_send(lanes, 4999));
    assert_false(lanes_may_send(lanes, 5000));
    lanes_confirm(lanes, 4000); /* an older beat's answer takes nothing away */
    assert_true(lanes_may_send(lanes, 4999));
    lanes_confirm(lanes, UINT64_MAX);
    assert_true(lanes_may_send(lanes, UINT64_MAX - 1));
    lanes_confirm(lanes, 6000); /* somebody has come */
    assert_true(lanes_may_send(lanes, 5999));
    assert_false(lanes_may_send(lanes, 6000));
    lanes_free(lanes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),    cmocka_unit_test(test_steps),
        cmocka_unit_test(test_released), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
