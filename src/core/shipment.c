/* shipment.c - a batch with those who wait for it. */
#include "core/shipment.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"

/* An empty batch with the lanes of the others as they are now. */
static enum status begin_batch(struct shipment *shipment, uint64_t nonce)
{
    struct lanes_part lanes[BATCH_PARTS_MAX];
    size_t count = lanes_parts(shipment->core->lanes, lanes, BATCH_PARTS_MAX);
    if (count > 0) {
        shipment->lanes = malloc(count * sizeof(*lanes));
        if (!shipment->lanes)
            return ST_NOMEM;
        memcpy(shipment->lanes, lanes, count * sizeof(*lanes));
    }
    shipment->batch = batch_new(clock_wall_ms(), nonce, LIMIT_BATCH_BYTES, lanes, count);
    return shipment->batch ? ST_OK : ST_NOMEM;
}

struct shipment *shipment_new(struct core *core, uint64_t nonce, uint32_t capacity,
                              uint64_t accepted_us)
{
    struct shipment *shipment = malloc(sizeof(*shipment) + capacity * sizeof(shipment->waiters[0]));
    if (!shipment)
        return NULL;
    *shipment = (struct shipment){
        .core = core,
        .deadline_ms = accepted_us / 1000 + core->options.publish_timeout_ms,
        .version = PUBLISH_ANY_VERSION,
        .capacity = capacity,
    };
    list_init(&shipment->node);
    if (begin_batch(shipment, nonce) != ST_OK) {
        shipment_free(shipment);
        return NULL;
    }
    shipment->batch->accepted_us = accepted_us;
    return shipment;
}

void shipment_free(struct shipment *shipment)
{
    list_remove(&shipment->node);
    free(shipment->lanes);
    free(shipment->parts);
    ordered_list_free(&shipment->ordered);
    free(shipment);
}

void shipment_answer_all(struct shipment *shipment, enum publish_verdict verdict)
{
    for (uint32_t i = 0; i < shipment->count; i++)
        publish_waiter_answer(&shipment->waiters[i], &shipment->core->stats, verdict, "", 0);
}

/* Finds out which parts have ordinals; this batch is part 0 of them from now on. When that has all,
 * or nothing has any, it is one whole. */
static enum status divide(struct shipment *shipment)
{
    struct batch *batch = shipment->batch;
    uint32_t counts[BATCH_PARTS_MAX + 1];
    if (batch->part_count == 0)
        return ST_OK;
    batch_divide(batch, counts);
    batch_hold_part(batch, 0);
    if (batch->foreign == 0)
        return ST_OK;
    shipment->parts = calloc(batch->part_count + 1u, sizeof(*shipment->parts));
    if (!shipment->parts)
        return ST_NOMEM;
    for (uint32_t i = 0; i <= batch->part_count; i++)
        if (counts[i] > 0)
            shipment->parts[shipment->part_count++] =
                (struct store_part){i, i == 0 ? store_incarnation(shipment->core->store)
                                              : shipment->lanes[i - 1].owner};
    return ST_OK;
}

static enum status find_ordered(struct shipment *shipment)
{
    enum status status = ST_OK;
    for (uint32_t i = 0; i < shipment->count && status == ST_OK; i++) {
        if (shipment->waiters[i].ordered)
            status =
                ordered_list_add(&shipment->ordered, shipment->core->registry, shipment->batch, i);
    }
    return status;
}

enum status shipment_seal(struct shipment *shipment)
{
    buf_fit(&shipment->batch->blob);
    enum status status = batch_parse(shipment->batch);
    if (status == ST_OK)
        status = divide(shipment);
    if (status == ST_OK)
        status = find_ordered(shipment);
    shipment->batch->state = BATCH_SEALED;
    return status;
}
