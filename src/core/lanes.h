/* lanes.h - who owns which lane, as this process knows it. Pure.
 *
 * Work is owned by lanes: an endpoint is in one of them for ever, a lane has one owner at a time.
 * Redis decides (lua/heartbeat.lua); here is this process's copy of the map and, of the lanes that
 * are its own, how far it is with taking them over or handing them back:
 *
 *        ┌────── taken by me ──────┐   ┌── state read ──┐   ┌── to be released ──┐
 *   FREE, OTHER ──────────────▶ ARRIVING ─────────────▶ MINE ─────────────────▶ LEAVING
 *        ▲                         │                     │                         │
 *        └──────── the map says so: it was released, or taken from me ◀────────────┘
 *
 * Only of MINE is anything sent. Times are given by the caller, in ms of one clock that goes on
 * while the machine sleeps (CLOCK_BOOTTIME).
 */
#ifndef TROTLINE_CORE_LANES_H
#define TROTLINE_CORE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum { LANES = 256, LANE_MASK_BYTES = LANES / 8, INCARNATION_TEXT = 17 /* 16 digits, NUL */ };

enum lane_state { LANE_FREE, LANE_OTHER, LANE_ARRIVING, LANE_MINE, LANE_LEAVING };
enum { LANE_STATES = LANE_LEAVING + 1 };

struct lanes;

/* `incarnation`: this process's own name; it is copied. NULL: out of memory. */
struct lanes *lanes_new(const char *incarnation);
void lanes_free(struct lanes *lanes);

/* ---- The map --------------------------------------------------------------------------------- */

/* A newer map: `owner_of[lane]` is the index of its owner in `owners`, from 1; 0: it is free. What
 * is mine and was not is ARRIVING now. `gained` and `lost` (may be NULL) get the bits of the lanes
 * that became mine, and that are mine no more. ST_SYNTAX: a name or an index is not valid, nothing
 * was changed; ST_NOMEM: the same. */
MUST_CHECK enum status lanes_update(struct lanes *lanes, uint64_t version,
                                    const struct slice *owners, size_t owner_count,
                                    const uint8_t owner_of[LANES], uint8_t gained[LANE_MASK_BYTES],
                                    uint8_t lost[LANE_MASK_BYTES]);
uint64_t lanes_version(const struct lanes *lanes); /* of the map; 0: there is none yet */

enum lane_state lanes_state(const struct lanes *lanes, uint32_t lane);
static inline bool lanes_mine(const struct lanes *lanes, uint32_t lane)
{
    return lanes_state(lanes, lane) == LANE_MINE;
}
/* Is its endpoints' health mine to judge? While it leaves it still is. */
static inline bool lanes_judged(const struct lanes *lanes, uint32_t lane)
{
    return lanes_state(lanes, lane) >= LANE_MINE;
}
/* Incarnation of its owner, myself included; NULL: it is free. Valid until the next update. */
const char *lanes_owner(const struct lanes *lanes, uint32_t lane);
size_t lanes_count(const struct lanes *lanes, enum lane_state state);

/* A step of a lane that is mine: ARRIVING to MINE, MINE to LEAVING, or LEAVING back to MINE. */
void lanes_step(struct lanes *lanes, uint32_t lane, enum lane_state state);
/* LEAVING to FREE: I have given it up. If I get it back, that will be seen as a gain. */
void lanes_released(struct lanes *lanes, uint32_t lane);

/* ---- Parts of a batch ------------------------------------------------------------------------ */

/* The lanes of one other owner. */
struct lanes_part {
    char owner[INCARNATION_TEXT];
    uint8_t mask[LANE_MASK_BYTES];
};

/* The lanes of the other owners, at most `most` of these; returns how many. In the same order as
 * long as the map is the same. */
size_t lanes_parts(const struct lanes *lanes, struct lanes_part *parts, size_t most);

static inline bool lane_in(const uint8_t mask[LANE_MASK_BYTES], uint32_t lane)
{
    return mask[lane / 8] & (0x80u >> (lane % 8));
}
static inline void lane_add(uint8_t mask[LANE_MASK_BYTES], uint32_t lane)
{
    mask[lane / 8] |= (uint8_t)(0x80u >> (lane % 8));
}

/* ---- The lease ------------------------------------------------------------------------------- */

/* Redis confirmed my lease: until then nobody else can own what is mine. The first call begins;
 * UINT64_MAX: there is nobody else, until a call with another time says that there is. */
void lanes_confirm(struct lanes *lanes, uint64_t until_ms);
/* May anything be sent at this moment? */
bool lanes_may_send(const struct lanes *lanes, uint64_t now_ms);

#endif
