/* sources.c - sources through the API.
 *
 * Reads come from memory and are answered at once. A change is checked, written by the source
 * store, and answered when it is in Redis:
 *
 *     create, put of a new one ─▶ source_store_create ──▶ on_put ────▶ 201 or an error
 *     put ──────────────────────▶ source_store_replace ─▶ on_put ────▶ 200 or an error
 *     delete ───────────────────▶ source_store_delete ──▶ on_deleted ▶ 204 or an error
 *
 * A change is computed from the source in memory, whose secrets stay, so of two at once the second
 * gets 409, here (source->changing) and when another replica was first, as with webhooks.
 *
 * What was received is this process's own count; /metrics of all processes has the whole.
 */
#include "api/sources.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/parse.h"
#include "core/source_document.h"
#include "core/source_store.h"
#include "core/sources.h"

enum {
    PAGE_DEFAULT = 50,
    PAGE_MAX = 500,
    PAGE_BYTES = 1024 * 1024,
    SOURCE_BYTES_MAX = 4 * LIMIT_SOURCE_BYTES, /* with what stays, and defaults */
    PAGE_BYTES_MAX = PAGE_BYTES + SOURCE_BYTES_MAX
};

static struct sources *sources_of(struct api *api)
{
    return source_store_sources(api->core->sources);
}

/* The source, or NULL after a 404. */
static struct source *find_or_reply(struct api *api, struct http_request *request,
                                    struct slice name)
{
    struct source *source = sources_find(sources_of(api), name);
    if (!source)
        reply_error(request, 404, "not_found", NULL, "There is no source of this name.");
    return source;
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* `shown` is an object, and gets one more member. */
static void write_source(struct json_out *out, const struct source *source)
{
    struct slice shown = slice_str(source->shown);
    shown.len--;
    json_value_raw(out, shown);
    buf_add_str(out->buf, ",\"received\":");
    struct json_out received;
    json_out_begin(&received, out->buf);
    json_object_open(&received);
    for (int i = 0; i < SOURCE_OUTCOMES; i++)
        json_member_u64(&received, source_outcome_name((enum source_outcome)i),
                        source->counts->by_outcome[i]);
    if (source->counts->last_at_ms > 0)
        json_member_time_ms(&received, "lastAcceptedAt", source->counts->last_at_ms);
    else
        json_member_null(&received, "lastAcceptedAt");
    json_object_close(&received);
    buf_add_char(out->buf, '}');
}

static void reply_source(struct http_request *request, int status, const struct source *source)
{
    char location[sizeof("/api/sources/") + LIMIT_SOURCE_NAME_BYTES];
    snprintf(location, sizeof(location), "/api/sources/%s", source->name);
    struct buf body;
    struct json_out out;
    buf_init(&body, SOURCE_BYTES_MAX);
    json_out_begin(&out, &body);
    write_source(&out, source);
    reply_json(request, status, &body, status == 201 ? location : NULL);
}

/* A change that was not stored. */
static void reply_not_stored(struct http_request *request, enum status status, bool created)
{
    if (status == ST_NOTFOUND)
        reply_error(request, 404, "not_found", NULL, "The source has been deleted.");
    else if (status == ST_LIMIT)
        reply_error(request, 409, "too_many_sources", NULL,
                    "There are as many sources as this server takes; delete one first.");
    else if (status == ST_CONFLICT && created)
        reply_error(request, 409, "source_exists", "name", "There is a source of this name.");
    else if (status == ST_CONFLICT)
        reply_error(request, 409, "conflict", NULL,
                    "This source is being changed by another request; read it and try again.");
    else
        reply_failed(request, status);
}

/* ---- Reading -------------------------------------------------------------------------------- */

void sources_api_read(struct api *api, struct http_request *request, struct slice name)
{
    const struct source *source = find_or_reply(api, request, name);
    if (source)
        reply_source(request, 200, source);
}

/* Writes the page. Returns the last one in it when there are more, else NULL. */
static const struct source *write_page(struct sources *sources, struct slice after, uint64_t limit,
                                       struct json_out *out, uint64_t *count)
{
    const struct source *last = NULL;
    for (*count = 0;; (*count)++) {
        const struct source *source = sources_next(sources, last ? slice_str(last->name) : after);
        if (!source)
            return NULL;
        if (*count == limit || out->buf->len > PAGE_BYTES)
            return last;
        write_source(out, source);
        last = source;
    }
}

void sources_api_list(struct api *api, struct http_request *request, struct slice name)
{
    (void)name;
    struct query_param params[] = {{.name = "limit"}, {.name = "cursor"}};
    struct field_error error;
    uint64_t limit = PAGE_DEFAULT, count;
    enum status status = query_read(http_request_query(request), params, 2, &error);
    if (!status && params[0].given &&
        (parse_u64(slice_of(params[0].value, params[0].len), &limit) || limit < 1 ||
         limit > PAGE_MAX))
        status =
            field_refuse(&error, "invalid_limit", "limit", "Give a number from 1 to %d.", PAGE_MAX);
    struct slice after = params[1].given ? slice_of(params[1].value, params[1].len) : SLICE_NULL;
    if (!status && params[1].given && !source_name_valid(after))
        status = field_refuse(&error, "invalid_cursor", "cursor",
                              "Give the cursor of the page before, as it was.");
    if (status) {
        reply_refused(request, &error);
        return;
    }
    struct buf body;
    struct json_out out;
    buf_init(&body, PAGE_BYTES_MAX);
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_key(&out, "sources");
    json_array_open(&out);
    const struct source *more = write_page(sources_of(api), after, limit, &out, &count);
    json_array_close(&out);
    json_member_u64(&out, "count", count);
    json_member_str_or_null(&out, "cursor", more ? slice_str(more->name) : SLICE_NULL);
    json_object_close(&out);
    reply_json(request, 200, &body, NULL);
}

/* ---- Changing ------------------------------------------------------------------------------- */

/* A change on its way to Redis. */
struct change {
    struct http_request *request;
    struct source *old; /* one reference; NULL: it is being made */
};

/* NULL after an answer: a file's, changing already, or no memory. */
static struct change *change_begin(struct http_request *request, struct source *old)
{
    if (old && old->from_file) {
        reply_error(request, 409, "source_in_file", NULL,
                    "This source is in a file of the server and cannot be changed here.");
        return NULL;
    }
    if (old && old->changing) {
        reply_not_stored(request, ST_CONFLICT, false);
        return NULL;
    }
    struct change *change = malloc(sizeof(*change));
    if (!change) {
        reply_failed(request, ST_NOMEM);
        return NULL;
    }
    *change = (struct change){.request = request, .old = old ? source_get(old) : NULL};
    if (old)
        old->changing = true;
    return change;
}

/* Whatever came of it. *created: it was to be made. Returns the request, still to be answered. */
static struct http_request *change_end(struct change *change, bool *created)
{
    struct http_request *request = change->request;
    *created = change->old == NULL;
    if (change->old)
        change->old->changing = false;
    source_put(change->old);
    free(change);
    return request;
}

static void on_put(void *arg, enum status status, struct source *source)
{
    bool created;
    struct http_request *request = change_end(arg, &created);
    if (status == ST_OK)
        reply_source(request, created ? 201 : 200, source);
    else
        reply_not_stored(request, status, created);
}

static void on_deleted(void *arg, enum status status, struct source *source)
{
    bool created;
    struct http_request *request = change_end(arg, &created);
    (void)source;
    if (status == ST_OK)
        http_reply(request, 204, NULL, 0, SLICE_NULL);
    else
        reply_not_stored(request, status, false);
}

/* `name` SLICE_NULL: the body has it; `old` NULL: there is none yet. */
static void put(struct api *api, struct http_request *request, struct slice name,
                struct source *old)
{
    struct source_store *store = api->core->sources;
    struct source *source;
    struct field_error error;
    bool created;
    struct change *change = change_begin(request, old);
    if (!change)
        return;
    enum status status =
        source_document_make(api->core->options.source_rules, old, name, http_request_body(request),
                             clock_wall_ms(), &source, &error);
    if (status == ST_NOMEM) {
        reply_failed(change_end(change, &created), status);
    } else if (status) {
        reply_refused(change_end(change, &created), &error);
    } else if (!old && sources_find(sources_of(api), slice_str(source->name))) {
        source_put(source);
        reply_not_stored(change_end(change, &created), ST_CONFLICT, true);
    } else {
        status = old ? source_store_replace(store, old, source, on_put, change)
                     : source_store_create(store, source, on_put, change);
        if (status)
            reply_failed(change_end(change, &created), status);
    }
}

void sources_api_create(struct api *api, struct http_request *request, struct slice name)
{
    (void)name;
    put(api, request, SLICE_NULL, NULL);
}

void sources_api_put(struct api *api, struct http_request *request, struct slice name)
{
    put(api, request, name, sources_find(sources_of(api), name));
}

void sources_api_delete(struct api *api, struct http_request *request, struct slice name)
{
    struct source *old = find_or_reply(api, request, name);
    struct change *change = old ? change_begin(request, old) : NULL;
    bool created;
    if (change && source_store_delete(api->core->sources, old, on_deleted, change))
        reply_failed(change_end(change, &created), ST_NOMEM);
}
