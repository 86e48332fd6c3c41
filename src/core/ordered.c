/* ordered.c - the ordered deliveries of a batch.
 *
 * They are found when the batch is sealed, by what the endpoints say then. Should that be newer
 * than what the events were matched by, publish.lua refuses the batch, and all is found anew.
 */
#include "core/ordered.h"

#include <stdlib.h>

/* Makes room for one more item of `size` bytes. ST_NOMEM: all is as it was. */
static enum status grow(void **items, size_t count, size_t *most, size_t size)
{
    enum { FIRST = 16 };
    if (count < *most)
        return ST_OK;
    size_t room = *most > 0 ? 2 * *most : FIRST;
    void *grown = realloc(*items, room * size);
    if (!grown)
        return ST_NOMEM;
    *items = grown;
    *most = room;
    return ST_OK;
}

/* Where an endpoint's number is looked for. An event has each endpoint once, so it is none of those
 * that this event brought; and events of one type bring theirs in the same order. */
struct numbers {
    size_t known; /* before this event */
    size_t next;  /* behind the one that was found last */
};

/* 0: out of memory. */
static uint32_t number_of(struct ordered_list *list, struct numbers *numbers,
                          struct endpoint *endpoint)
{
    for (size_t i = 0; i < numbers->known; i++) {
        size_t at = (numbers->next + i) % numbers->known;
        if (list->endpoints[at] != endpoint)
            continue;
        numbers->next = at + 1;
        return (uint32_t)(at + 1);
    }
    void *items = list->endpoints;
    if (grow(&items, list->endpoint_count, &list->endpoints_most, sizeof(struct endpoint *)))
        return 0;
    list->endpoints = items;
    list->endpoints[list->endpoint_count++] = endpoint_get(endpoint);
    return (uint32_t)list->endpoint_count;
}

static enum status add(struct ordered_list *list, struct numbers *numbers,
                       struct endpoint *endpoint, const struct message *event, struct ordered *item)
{
    enum status status = ordering_hash(endpoint->config, &event->record, item->hash);
    if (status == ST_NOTFOUND)
        return ST_OK;
    void *items = list->items;
    if (status == ST_OK)
        status = grow(&items, list->count, &list->most, sizeof(struct ordered));
    if (status != ST_OK)
        return status;
    list->items = items;
    item->endpoint_number = number_of(list, numbers, endpoint);
    if (item->endpoint_number == 0)
        return ST_NOMEM;
    list->items[list->count++] = *item;
    return ST_OK;
}

enum status ordered_list_add(struct ordered_list *list, struct registry *registry,
                             const struct batch *batch, uint32_t message)
{
    const struct message *event = &batch->messages[message];
    struct numbers numbers = {.known = list->endpoint_count};
    enum status status = ST_OK;
    for (uint32_t i = 0; i < event->target_count && status == ST_OK; i++) {
        struct ordered item = {.message = message, .ordinal = event->first_ordinal + i};
        struct id id;
        memcpy(id.bytes, event->targets.ptr + (size_t)i * TARGET_BYTES, TARGET_BYTES);
        struct endpoint *endpoint = registry_find(registry, &id);
        if (endpoint && endpoint->config->ordering != ORDERING_NONE)
            status = add(list, &numbers, endpoint, event, &item);
    }
    return status;
}

size_t ordered_count(struct registry *registry, const struct event_record *record,
                     struct slice targets)
{
    size_t count = 0;
    for (size_t at = 0; at < targets.len; at += TARGET_BYTES) {
        struct id id;
        memcpy(id.bytes, targets.ptr + at, TARGET_BYTES);
        const struct endpoint *endpoint = registry_find(registry, &id);
        count += endpoint && ordering_takes(endpoint->config, record);
    }
    return count;
}

void ordered_list_free(struct ordered_list *list)
{
    for (size_t i = 0; i < list->endpoint_count; i++)
        endpoint_put(list->endpoints[i]);
    free(list->endpoints);
    free(list->items);
    *list = (struct ordered_list){0};
}

void ordered_list_moved(const struct ordered_list *list, struct batch *batch)
{
    for (size_t i = 0; i < list->count; i++) {
        struct batch_slot *slot = &batch->slots[list->items[i].ordinal];
        if (slot->state != SLOT_PENDING)
            continue; /* its event was refused, or it is of another replica's part */
        slot->state = SLOT_MOVED;
        slot->marked = true; /* by the publish script */
        batch->pending--;
    }
}
