/* match.c - a hash map from what a type must begin with, or be, to the endpoints that asked for it.
 *
 *     pattern          key              found by looking up
 *     "order.created"  "order.created"  the whole type
 *     "order.*"        "order."         the type up to and with each of its dots
 *     "*"              ""               the empty prefix
 *
 * A type has no dot at its end, so the three kinds of keys cannot be mistaken for each other, and
 * every key that is looked up is a part of the type itself: matching needs no memory. An event of
 * type "a.b.c" costs four look-ups and the endpoints found.
 *
 * An endpoint whose patterns overlap is found more than once and reported once: it remembers the
 * round in which it was reported. Rejected: sorting or merging lists, which would cost more than
 * the number of matches.
 */
#include "core/match.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"
#include "core/endpoint.h"

struct topic {
    struct map_node node;
    struct endpoint **endpoints;
    size_t count, capacity;
    size_t key_bytes;
    char key[]; /* not NUL-terminated */
};

/* The part of a pattern that is looked up. */
static struct slice key_of(const char *pattern)
{
    struct slice key = slice_str(pattern);
    if (slice_ends(key, SLICE("*")))
        key.len--;
    return key;
}

static struct topic *topic_find(const struct match_index *index, struct slice key, uint64_t hash)
{
    for (struct map_node *n = map_first(&index->topics, hash); n; n = map_next_same(n)) {
        struct topic *topic = CONTAINER_OF(n, struct topic, node);
        if (slice_eq(slice_of(topic->key, topic->key_bytes), key))
            return topic;
    }
    return NULL;
}

static struct topic *topic_new(struct match_index *index, struct slice key, uint64_t hash)
{
    struct topic *topic = calloc(1, sizeof(*topic) + key.len);
    if (!topic)
        return NULL;
    topic->key_bytes = key.len;
    if (key.len)
        memcpy(topic->key, key.ptr, key.len);
    if (map_insert(&index->topics, &topic->node, hash)) {
        free(topic);
        return NULL;
    }
    return topic;
}

static void topic_free(struct topic *topic)
{
    free(topic->endpoints);
    free(topic);
}

static void topic_drop_if_empty(struct match_index *index, struct topic *topic)
{
    if (topic->count)
        return;
    map_remove(&index->topics, &topic->node);
    topic_free(topic);
}

static enum status topic_add(struct match_index *index, struct slice key, struct endpoint *endpoint)
{
    uint64_t hash = hash_bytes(key);
    struct topic *topic = topic_find(index, key, hash);
    if (!topic)
        topic = topic_new(index, key, hash);
    if (!topic)
        return ST_NOMEM;

    if (topic->count == topic->capacity) {
        size_t capacity = topic->capacity ? topic->capacity * 2 : 1;
        void *bigger = realloc(topic->endpoints, capacity * sizeof(topic->endpoints[0]));
        if (!bigger) {
            topic_drop_if_empty(index, topic);
            return ST_NOMEM;
        }
        topic->endpoints = bigger;
        topic->capacity = capacity;
    }
    topic->endpoints[topic->count++] = endpoint;
    return ST_OK;
}

static void topic_remove(struct match_index *index, struct slice key, struct endpoint *endpoint)
{
    struct topic *topic = topic_find(index, key, hash_bytes(key));
    assert(topic);

    size_t at = 0;
    while (topic->endpoints[at] != endpoint) {
        at++;
        assert(at < topic->count);
    }
    topic->endpoints[at] = topic->endpoints[--topic->count];
    topic_drop_if_empty(index, topic);
}

void match_init(struct match_index *index)
{
    map_init(&index->topics);
    index->round = 0;
}

void match_free(struct match_index *index)
{
    MAP_FOREACH(node, &index->topics)
    {
        map_remove(&index->topics, node);
        topic_free(CONTAINER_OF(node, struct topic, node));
    }
    map_free(&index->topics);
}

enum status match_add(struct match_index *index, struct endpoint *endpoint,
                      const struct endpoint_config *config)
{
    for (size_t i = 0; i < config->event_count; i++) {
        if (topic_add(index, key_of(config->events[i]), endpoint)) {
            while (i-- > 0)
                topic_remove(index, key_of(config->events[i]), endpoint);
            return ST_NOMEM;
        }
    }
    return ST_OK;
}

void match_remove(struct match_index *index, struct endpoint *endpoint,
                  const struct endpoint_config *config)
{
    for (size_t i = 0; i < config->event_count; i++)
        topic_remove(index, key_of(config->events[i]), endpoint);
}

static void match_key(struct match_index *index, struct slice key,
                      void (*fn)(void *arg, struct endpoint *endpoint), void *arg)
{
    struct topic *topic = topic_find(index, key, hash_bytes(key));
    if (!topic)
        return;
    for (size_t i = 0; i < topic->count; i++) {
        struct endpoint *endpoint = topic->endpoints[i];
        if (endpoint->matched_in == index->round)
            continue;
        endpoint->matched_in = index->round;
        fn(arg, endpoint);
    }
}

void match_run(struct match_index *index, struct slice type, bool all,
               void (*fn)(void *arg, struct endpoint *endpoint), void *arg)
{
    index->round++;
    match_key(index, type, fn, arg);
    for (size_t i = 0; i < type.len; i++)
        if (type.ptr[i] == '.')
            match_key(index, slice_of(type.ptr, i + 1), fn, arg);
    if (all)
        match_key(index, slice_of(type.ptr, 0), fn, arg);
}
