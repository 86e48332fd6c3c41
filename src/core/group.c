/* group.c - deliveries of one endpoint that go out in one request, and those that wait to.
 *
 *   gathering_add() --no group--> loose, by id --full, or the first has waited--> gathering_take()
 *        |                                                                            ^
 *        +------ has one ------> its group, by place --complete, or in vain-----------+
 *
 * Why the id is a digest of the members, and not a random number: what was sent and not recorded,
 * because the process was killed meanwhile, may be put together the same way again, and then the
 * receiver knows it. If it is put together otherwise it has another id, so a receiver that has seen
 * one id never throws away events that it has not seen.
 *
 * New deliveries come in the order of their ids, so a place among the loose is found at once; what
 * comes back from the schedule belongs to the front.
 */
#include "core/group.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/digest.h"
#include "wire/event_list.h"

_Static_assert(LIMIT_GROUP_EVENTS <= UINT16_MAX, "a size and a place take two bytes each");

enum { ID_TIME_BYTES = 5, MEAN_OF = 8 };

static struct delivery *delivery_of(struct list *node)
{
    return CONTAINER_OF(node, struct delivery, node);
}

static struct group *group_of(struct list *node)
{
    return CONTAINER_OF(node, struct group, node);
}

/* ---- Groups --------------------------------------------------------------------------------- */

enum status group_id(struct id *id, const struct id *endpoint, struct message *const *messages,
                     size_t count)
{
    struct slice parts[1 + LIMIT_GROUP_EVENTS];
    static struct digest kept; /* until the process ends */
    uint8_t digest[DIGEST_SHA256_BYTES];
    assert(count > 0 && count <= LIMIT_GROUP_EVENTS);
    parts[0] = slice_of(endpoint->bytes, sizeof(endpoint->bytes));
    for (size_t i = 0; i < count; i++)
        parts[1 + i] = slice_of(messages[i]->id.bytes, sizeof(messages[i]->id.bytes));
    enum status status = digest_sha256(&kept, parts, 1 + count, digest);
    if (status != ST_OK)
        return status;
    memcpy(id->bytes, messages[0]->id.bytes, ID_TIME_BYTES);
    memcpy(id->bytes + ID_TIME_BYTES, digest, sizeof(id->bytes) - ID_TIME_BYTES);
    return ST_OK;
}

struct group *group_new(const struct id *id, uint32_t size)
{
    struct group *group = calloc(1, sizeof(*group));
    if (!group)
        return NULL;
    group->refs = 1;
    group->id = *id;
    group->size = size;
    list_init(&group->node);
    list_init(&group->members);
    return group;
}

struct group *group_get(struct group *group)
{
    group->refs++;
    return group;
}

void group_put(struct group *group)
{
    if (!group || --group->refs > 0)
        return;
    assert(!list_linked(&group->node) && list_empty(&group->members));
    free(group);
}

void group_join(struct group *group, struct delivery *delivery, uint32_t place)
{
    struct group *before = delivery->group;
    delivery->group = group_get(group);
    delivery->place = place;
    group_put(before);
}

static void put_two(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static uint32_t get_two(const uint8_t *in)
{
    return (uint32_t)in[0] << 8 | in[1];
}

void group_write(uint8_t out[GROUP_BYTES], const struct group *group, uint32_t place)
{
    memcpy(out, group->id.bytes, sizeof(group->id.bytes));
    put_two(out + sizeof(group->id.bytes), group->size);
    put_two(out + sizeof(group->id.bytes) + 2, place);
}

enum status group_read(struct slice bytes, struct id *id, uint32_t *size, uint32_t *place)
{
    if (bytes.len != GROUP_BYTES)
        return ST_SYNTAX;
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    memcpy(id->bytes, in, sizeof(id->bytes));
    *size = get_two(in + sizeof(id->bytes));
    *place = get_two(in + sizeof(id->bytes) + 2);
    return *size <= LIMIT_GROUP_EVENTS && *place < *size ? ST_OK : ST_SYNTAX;
}

/* ---- What waits ----------------------------------------------------------------------------- */

void gathering_init(struct gathering *gathering, struct endpoint *endpoint)
{
    *gathering = (struct gathering){
        .endpoint = endpoint, .oldest_us = UINT64_MAX, .in_memory_us = UINT64_MAX};
    list_init(&gathering->loose);
    list_init(&gathering->groups);
}

static bool complete(const struct group *group)
{
    return group->present >= group->size;
}

/* Before and after its members change. */
static void uncount(struct gathering *gathering, const struct group *group)
{
    if (complete(group))
        gathering->complete--;
    else
        gathering->missing -= group->size - group->present;
}

static void count(struct gathering *gathering, const struct group *group)
{
    if (complete(group))
        gathering->complete++;
    else
        gathering->missing += group->size - group->present;
}

static void add_member(struct gathering *gathering, struct delivery *delivery, uint64_t until_us)
{
    struct group *group = delivery->group;
    if (list_linked(&group->node)) {
        uncount(gathering, group);
    } else {
        group->until_us = until_us;
        list_push_back(&gathering->groups, &group->node);
    }
    struct list *place = &group->members;
    while (place->prev != &group->members && delivery_of(place->prev)->place > delivery->place)
        place = place->prev;
    list_insert_before(place, &delivery->node);
    group->present++;
    count(gathering, group);
}

static bool is_before(const struct delivery *a, const struct delivery *b)
{
    return memcmp(&a->message->id, &b->message->id, sizeof(a->message->id)) < 0;
}

static void add_loose(struct gathering *gathering, struct delivery *delivery)
{
    struct list *place = &gathering->loose;
    if (!list_empty(place) && is_before(delivery, delivery_of(place->next))) {
        place = place->next;
    } else {
        while (place->prev != &gathering->loose && is_before(delivery, delivery_of(place->prev)))
            place = place->prev;
    }
    list_insert_before(place, &delivery->node);
    size_t bytes = event_list_estimate(&delivery->message->record);
    gathering->loose_count++;
    gathering->loose_bytes += bytes;
    gathering->mean_bytes =
        gathering->mean_bytes == 0
            ? bytes
            : gathering->mean_bytes - gathering->mean_bytes / MEAN_OF + bytes / MEAN_OF;
    if (delivery->waits_since_us < gathering->oldest_us)
        gathering->oldest_us = delivery->waits_since_us;
    if (delivery->lease == 0 && delivery->waits_since_us < gathering->in_memory_us)
        gathering->in_memory_us = delivery->waits_since_us;
}

void gathering_add(struct gathering *gathering, struct delivery *delivery, uint64_t until_us)
{
    gathering->count++;
    if (delivery->group)
        add_member(gathering, delivery, until_us);
    else
        add_loose(gathering, delivery);
}

static void remove_loose(struct gathering *gathering, struct delivery *delivery)
{
    list_remove(&delivery->node);
    gathering->loose_count--;
    gathering->loose_bytes -= event_list_estimate(&delivery->message->record);
}

/* The times of those that are left. */
static void look_at_times(struct gathering *gathering)
{
    gathering->oldest_us = gathering->in_memory_us = UINT64_MAX;
    LIST_FOREACH(node, &gathering->loose)
    {
        const struct delivery *delivery = delivery_of(node);
        if (delivery->waits_since_us < gathering->oldest_us)
            gathering->oldest_us = delivery->waits_since_us;
        if (delivery->lease == 0 && delivery->waits_since_us < gathering->in_memory_us)
            gathering->in_memory_us = delivery->waits_since_us;
    }
}

static void remove_member(struct gathering *gathering, struct delivery *delivery)
{
    struct group *group = delivery->group;
    uncount(gathering, group);
    list_remove(&delivery->node);
    if (--group->present > 0)
        count(gathering, group);
    else
        list_remove(&group->node);
}

void gathering_remove(struct gathering *gathering, struct delivery *delivery)
{
    gathering->count--;
    if (delivery->group) {
        remove_member(gathering, delivery);
        return;
    }
    remove_loose(gathering, delivery);
    look_at_times(gathering);
}

struct group *gathering_find(const struct gathering *gathering, const struct id *id)
{
    LIST_FOREACH(node, &gathering->groups)
    {
        struct group *group = group_of(node);
        if (id_eq(&group->id, id))
            return group;
    }
    return NULL;
}

static bool loose_full(const struct gathering *gathering, const struct group_rule *rule)
{
    return gathering->loose_count >= rule->max_events || gathering->loose_bytes >= rule->max_bytes;
}

static uint64_t loose_opens_us(const struct gathering *gathering, const struct group_rule *rule)
{
    uint64_t wait_us = rule->max_wait_ms * 1000;
    return gathering->oldest_us > UINT64_MAX - wait_us ? UINT64_MAX
                                                       : gathering->oldest_us + wait_us;
}

enum gathering_stand gathering_stand(const struct gathering *gathering,
                                     const struct group_rule *rule, uint64_t now_us,
                                     uint64_t *opens_us)
{
    *opens_us = UINT64_MAX;
    if (gathering->count == 0)
        return GATHERING_NOTHING;
    if (gathering->loose_count > 0)
        *opens_us = loose_opens_us(gathering, rule);
    if (!list_empty(&gathering->groups)) {
        uint64_t until_us = group_of(gathering->groups.next)->until_us; /* the first one's */
        if (until_us < *opens_us)
            *opens_us = until_us;
    }
    bool full = gathering->complete > 0 || loose_full(gathering, rule);
    if (full)
        *opens_us = now_us;
    if (*opens_us < gathering->not_before_us)
        *opens_us = gathering->not_before_us;
    if (*opens_us > now_us)
        return GATHERING_WAITS;
    return full ? GATHERING_FULL : GATHERING_TIME;
}

static size_t take_group(struct gathering *gathering, struct group *group,
                         struct delivery *members[LIMIT_GROUP_EVENTS])
{
    size_t taken = 0;
    bool whole = complete(group);
    group_get(group);
    while (taken < LIMIT_GROUP_EVENTS && !list_empty(&group->members)) {
        struct delivery *delivery = delivery_of(group->members.next);
        gathering_remove(gathering, delivery);
        members[taken++] = delivery;
    }
    for (size_t i = 0; !whole && i < taken; i++) {
        group_put(members[i]->group);
        members[i]->group = NULL;
    }
    group_put(group);
    return taken;
}

static size_t take_loose(struct gathering *gathering, const struct group_rule *rule,
                         struct delivery *members[LIMIT_GROUP_EVENTS])
{
    size_t taken = 0, bytes = 0;
    while (taken < rule->max_events && taken < LIMIT_GROUP_EVENTS &&
           !list_empty(&gathering->loose)) {
        struct delivery *delivery = delivery_of(gathering->loose.next);
        bytes += event_list_estimate(&delivery->message->record);
        if (taken > 0 && bytes > rule->max_bytes)
            break;
        remove_loose(gathering, delivery);
        gathering->count--;
        members[taken++] = delivery;
    }
    look_at_times(gathering);
    return taken;
}

size_t gathering_take(struct gathering *gathering, const struct group_rule *rule, uint64_t now_us,
                      struct delivery *members[LIMIT_GROUP_EVENTS])
{
    if (now_us < gathering->not_before_us)
        return 0;
    LIST_FOREACH(node, &gathering->groups)
    {
        struct group *group = group_of(node);
        if (complete(group) || group->until_us <= now_us)
            return take_group(gathering, group, members);
    }
    if (loose_full(gathering, rule) || loose_opens_us(gathering, rule) <= now_us)
        return take_loose(gathering, rule, members);
    return 0;
}

void gathering_take_all(struct gathering *gathering, struct list *list)
{
    while (!list_empty(&gathering->groups)) {
        struct group *group = group_of(gathering->groups.next);
        struct delivery *delivery = delivery_of(group->members.next);
        gathering_remove(gathering, delivery);
        list_push_back(list, &delivery->node);
    }
    for (struct list *node; (node = list_pop_front(&gathering->loose));)
        list_push_back(list, node);
    gathering->count = gathering->loose_count = gathering->loose_bytes = 0;
    gathering->oldest_us = gathering->in_memory_us = UINT64_MAX;
}
