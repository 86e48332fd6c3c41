/* lanes.c - who owns which lane. */
#include "core/lanes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct lanes {
    char me[INCARNATION_TEXT];
    uint64_t version;
    char (*owners)[INCARNATION_TEXT]; /* of the map, from 1 on; [0] is nobody */
    size_t owner_count;
    uint8_t owner_of[LANES];
    uint8_t state[LANES]; /* enum lane_state */
    size_t counts[LANE_STATES];
    uint64_t confirmed_until_ms;
};

struct lanes *lanes_new(const char *incarnation)
{
    size_t len = strlen(incarnation);
    assert(len < INCARNATION_TEXT);
    struct lanes *lanes = calloc(1, sizeof(*lanes));
    if (!lanes)
        return NULL;
    memcpy(lanes->me, incarnation, len + 1);
    lanes->counts[LANE_FREE] = LANES;
    return lanes;
}

void lanes_free(struct lanes *lanes)
{
    if (!lanes)
        return;
    free(lanes->owners);
    free(lanes);
}

/* ---- The map -------------------------------------------------------------------------------- */

static void set_state(struct lanes *lanes, uint32_t lane, enum lane_state state)
{
    lanes->counts[lanes->state[lane]]--;
    lanes->state[lane] = (uint8_t)state;
    lanes->counts[state]++;
}

static bool valid_name(struct slice name)
{
    if (name.len != INCARNATION_TEXT - 1)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!strchr("0123456789abcdef", name.ptr[i]) || name.ptr[i] == '\0')
            return false;
    return true;
}

static bool valid_map(const struct slice *owners, size_t owner_count, const uint8_t *owner_of)
{
    for (size_t i = 0; i < owner_count; i++)
        if (!valid_name(owners[i]))
            return false;
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (owner_of[lane] > owner_count)
            return false;
    return true;
}

/* The lane has this owner now; returns whether it was mine before. */
static bool assign(struct lanes *lanes, uint32_t lane, bool mine, bool owned)
{
    bool was_mine = lanes->state[lane] >= LANE_ARRIVING;
    if (mine && !was_mine)
        set_state(lanes, lane, LANE_ARRIVING);
    else if (!mine)
        set_state(lanes, lane, owned ? LANE_OTHER : LANE_FREE);
    return was_mine;
}

enum status lanes_update(struct lanes *lanes, uint64_t version, const struct slice *owners,
                         size_t owner_count, const uint8_t owner_of[LANES],
                         uint8_t gained[LANE_MASK_BYTES], uint8_t lost[LANE_MASK_BYTES])
{
    if (owner_count > UINT8_MAX || !valid_map(owners, owner_count, owner_of))
        return ST_SYNTAX;
    char(*names)[INCARNATION_TEXT] = calloc(owner_count + 1, sizeof(*names));
    if (!names)
        return ST_NOMEM;
    for (size_t i = 0; i < owner_count; i++)
        memcpy(names[i + 1], owners[i].ptr, owners[i].len);
    if (gained)
        memset(gained, 0, LANE_MASK_BYTES);
    if (lost)
        memset(lost, 0, LANE_MASK_BYTES);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint8_t owner = owner_of[lane];
        bool mine = owner > 0 && strcmp(names[owner], lanes->me) == 0;
        bool was_mine = assign(lanes, lane, mine, owner > 0);
        if (gained && mine && !was_mine)
            lane_add(gained, lane);
        if (lost && !mine && was_mine)
            lane_add(lost, lane);
    }
    free(lanes->owners);
    lanes->owners = names;
    lanes->owner_count = owner_count;
    memcpy(lanes->owner_of, owner_of, LANES);
    lanes->version = version;
    return ST_OK;
}

uint64_t lanes_version(const struct lanes *lanes)
{
    return lanes->version;
}

enum lane_state lanes_state(const struct lanes *lanes, uint32_t lane)
{
    return lanes->state[lane];
}

const char *lanes_owner(const struct lanes *lanes, uint32_t lane)
{
    uint8_t owner = lanes->owner_of[lane];
    return owner > 0 ? lanes->owners[owner] : NULL;
}

size_t lanes_count(const struct lanes *lanes, enum lane_state state)
{
    return lanes->counts[state];
}

void lanes_step(struct lanes *lanes, uint32_t lane, enum lane_state state)
{
    assert(lanes->state[lane] >= LANE_ARRIVING && state >= LANE_MINE);
    set_state(lanes, lane, state);
}

void lanes_released(struct lanes *lanes, uint32_t lane)
{
    assert(lanes->state[lane] == LANE_LEAVING);
    set_state(lanes, lane, LANE_FREE);
    lanes->owner_of[lane] = 0;
}

/* ---- Parts of a batch ----------------------------------------------------------------------- */

size_t lanes_parts(const struct lanes *lanes, struct lanes_part *parts, size_t most)
{
    size_t count = 0;
    for (size_t owner = 1; owner <= lanes->owner_count && count < most; owner++) {
        if (strcmp(lanes->owners[owner], lanes->me) == 0)
            continue;
        struct lanes_part *part = &parts[count];
        bool any = false;
        *part = (struct lanes_part){.mask = {0}};
        memcpy(part->owner, lanes->owners[owner], INCARNATION_TEXT);
        for (uint32_t lane = 0; lane < LANES; lane++)
            if (lanes->owner_of[lane] == owner) {
                lane_add(part->mask, lane);
                any = true;
            }
        count += any;
    }
    return count;
}

/* ---- The lease ------------------------------------------------------------------------------ */

void lanes_confirm(struct lanes *lanes, uint64_t until_ms)
{
    bool others_came = lanes->confirmed_until_ms == UINT64_MAX;
    if (until_ms > lanes->confirmed_until_ms || others_came)
        lanes->confirmed_until_ms = until_ms;
}

bool lanes_may_send(const struct lanes *lanes, uint64_t now_ms)
{
    return now_ms < lanes->confirmed_until_ms;
}
