/* delivery.c - one event on its way to one endpoint. */
#include "core/delivery.h"

#include <assert.h>
#include <stdlib.h>

struct delivery *delivery_new(struct endpoint *endpoint, struct message *message, uint32_t ordinal)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    if (!delivery)
        return NULL;
    list_init(&delivery->node);
    delivery->endpoint = endpoint_get(endpoint);
    delivery->message = message_get(message);
    delivery->ordinal = ordinal;
    delivery->accepted_at_ms = id_time_ms(&message->id);
    return delivery;
}

void delivery_free(struct delivery *delivery)
{
    if (!delivery)
        return;
    assert(!list_linked(&delivery->node) && !delivery->attempt);
    endpoint_put(delivery->endpoint);
    message_put(delivery->message);
    free(delivery->log);
    free(delivery);
}
