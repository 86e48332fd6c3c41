/* delivery.c - one event on its way to one endpoint.
 *
 * The memory of the last ones that ended is used for the next ones: it is still in the CPU's
 * caches, and malloc, which keeps but a few of a size at hand, would join it with its neighbours
 * first.
 */
#include "core/delivery.h"

#include <assert.h>
#include <stdlib.h>

#include "core/group.h"

enum { SPARE_MAX = 1024 };

static struct delivery *spare[SPARE_MAX];
static size_t spare_count;

struct delivery *delivery_new(struct endpoint *endpoint, struct message *message, uint32_t ordinal)
{
    struct delivery *delivery =
        spare_count > 0 ? spare[--spare_count] : malloc(sizeof(struct delivery));
    if (!delivery)
        return NULL;
    *delivery = (struct delivery){.phase = DELIVERY_QUEUED};
    list_init(&delivery->node);
    delivery->endpoint = endpoint_get(endpoint);
    delivery->message = message_get(message);
    delivery->ordinal = ordinal;
    delivery->accepted_at_ms = id_time_ms(&message->id);
    return delivery;
}

void delivery_leave_batch(struct delivery *delivery)
{
    struct message *message = delivery->message, *copy;
    struct batch *batch = message->batch;
    if (!batch || message_load(&message->id, message->raw, &copy) != ST_OK)
        return;
    if (batch->slots[delivery->ordinal].delivery == delivery)
        batch->slots[delivery->ordinal].delivery = NULL;
    delivery->message = copy;
    message_put(message);
}

void delivery_free(struct delivery *delivery)
{
    if (!delivery)
        return;
    assert(!list_linked(&delivery->node) && !delivery->attempt);
    endpoint_put(delivery->endpoint);
    message_put(delivery->message);
    if (delivery->group)
        group_put(delivery->group);
    free(delivery->log);
    if (spare_count < SPARE_MAX)
        spare[spare_count++] = delivery;
    else
        free(delivery);
}
