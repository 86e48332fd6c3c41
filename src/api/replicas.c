/* replicas.c - see replicas.h.
 *
 * Read from Redis at each request, by one script: any replica gives the same answer, and the lanes
 * add up. Sorted by the time they began, so that a list that is asked for again and again does not
 * jump about.
 */
#include "api/replicas.h"

#include <stdlib.h>

#include "api/api.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "core/store_read.h"

enum {
    BODY_BYTES_MAX = 1024 * 1024,
    FIRST = 2, /* where the replicas begin */
    FIELDS = 4,
    MEMBERS_MAX = 32
};

struct listed {
    struct slice id;
    uint64_t lease_ends_at_ms;
    uint64_t lanes;
    struct json_member info[MEMBERS_MAX]; /* what it tells of itself */
    size_t info_count;
};

static void read_one(const struct redis_value *reply, size_t at, struct listed *listed)
{
    struct json_error error;
    listed->id = reply_text(reply, at);
    listed->lease_ends_at_ms = (uint64_t)reply_integer(reply, at + 1);
    listed->lanes = (uint64_t)reply_integer(reply, at + 2);
    if (json_members(reply_text(reply, at + 3), listed->info, MEMBERS_MAX, &listed->info_count,
                     &error) != ST_OK)
        listed->info_count = 0;
}

/* A member as JSON, if it is of that type; else SLICE_NULL. */
static struct slice told(const struct listed *listed, const char *name, enum json_type type)
{
    const struct json_member *member = json_find(listed->info, listed->info_count, slice_str(name));
    return member && member->type == type ? member->value : SLICE_NULL;
}

static int by_age(const void *a, const void *b)
{
    const struct listed *left = a, *right = b;
    int order =
        slice_compare(told(left, "startedAt", JSON_STRING), told(right, "startedAt", JSON_STRING));
    return order ? order : slice_compare(left->id, right->id);
}

static void add_told(struct json_out *out, const struct listed *listed, const char *name,
                     enum json_type type)
{
    struct slice value = told(listed, name, type);
    if (value.ptr)
        json_member_raw(out, name, value);
    else
        json_member_null(out, name);
}

static void add_one(struct json_out *out, const struct listed *listed, const char *self)
{
    json_object_open(out);
    json_member_str(out, "id", listed->id);
    add_told(out, listed, "host", JSON_STRING);
    add_told(out, listed, "pid", JSON_NUMBER);
    add_told(out, listed, "url", JSON_STRING);
    add_told(out, listed, "version", JSON_STRING);
    add_told(out, listed, "startedAt", JSON_STRING);
    json_member_time_ms(out, "leaseEndsAt", listed->lease_ends_at_ms);
    json_member_bool(out, "draining", told(listed, "draining", JSON_TRUE).ptr != NULL);
    json_member_u64(out, "lanes", listed->lanes);
    json_member_bool(out, "self", slice_eq(listed->id, slice_str(self)));
    json_object_close(out);
}

enum status replicas_render(const struct redis_value *reply, const char *self, struct buf *body)
{
    struct json_out out;
    size_t elements = redis_value_type(reply) == REDIS_ARRAY ? redis_value_count(reply) : 0;
    if (elements < FIRST || (elements - FIRST) % FIELDS != 0)
        return ST_SYNTAX;
    size_t count = (elements - FIRST) / FIELDS;
    struct listed *list = calloc(count + 1, sizeof(*list));
    if (!list)
        return ST_NOMEM;
    for (size_t i = 0; i < count; i++)
        read_one(reply, FIRST + i * FIELDS, &list[i]);
    qsort(list, count, sizeof(*list), by_age);
    json_out_begin(&out, body);
    json_object_open(&out);
    json_key(&out, "replicas");
    json_array_open(&out);
    for (size_t i = 0; i < count; i++)
        add_one(&out, &list[i], self);
    free(list);
    json_array_close(&out);
    uint64_t owned = (uint64_t)reply_integer(reply, 1);
    json_member_u64(&out, "lanes", LANES);
    json_member_u64(&out, "free", owned < LANES ? LANES - owned : 0);
    json_member_u64(&out, "count", count);
    json_object_close(&out);
    return buf_status(body);
}

/* ---- The request ----------------------------------------------------------------------------- */

struct listing {
    struct api *api;
    struct http_request *request;
};

static void on_read(void *arg, enum status status, const struct redis_value *reply)
{
    struct listing *listing = arg;
    struct http_request *request = listing->request;
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    if (status == ST_OK)
        status = replicas_render(reply, store_incarnation(listing->api->core->store), &body);
    free(listing);
    if (status == ST_OK) {
        reply_json(request, 200, &body, NULL);
        return;
    }
    buf_free(&body);
    reply_failed(request, status == ST_LOST ? ST_AGAIN : status); /* only a read */
}

void replicas_list(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct listing *listing = malloc(sizeof(*listing));
    if (listing)
        *listing = (struct listing){api, request};
    if (!listing || store_replicas_read(api->core->store, on_read, listing) != ST_OK) {
        free(listing);
        reply_failed(request, ST_NOMEM);
    }
}
