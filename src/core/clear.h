/* clear.h - empties the schedule of an endpoint that takes nothing any more.
 *
 * Disabled: its waiting deliveries go to the dead letters (`endpoint_disabled`), from where they
 * can be replayed. Deleted: they are cancelled, its dead letters are dropped, and at last its
 * document goes. In slices of a page, and only by the owner of its lane: the next
 * one, or a restart, takes it up again from the document.
 */
#ifndef TROTLINE_CORE_CLEAR_H
#define TROTLINE_CORE_CLEAR_H

#include "core/core.h"

struct clear;

struct clear *clear_new(struct core *core);
void clear_free(struct clear *clear);

/* Starts, or does nothing when it is under way or the lane is not mine. endpoint->deleted or
 * !config->active decides what is done; an endpoint that is enabled meanwhile is left alone from
 * then on. */
void clear_endpoint(struct clear *clear, struct endpoint *endpoint);

/* Is the endpoint of this id, which may be in no registry any more, being cleared? Costs a look at
 * each that is. */
bool clear_under_way(const struct clear *clear, const struct id *id);

#endif
