/* jobs.c - replay and discard jobs over HTTP.
 *
 * A request that makes a job is answered with 202 and the job's document when the job is in Redis.
 * Documents are always Redis's, so any process can show and cancel any job.
 */
#include "api/jobs.h"

#include <stdlib.h>

#include "api/api.h"
#include "api/job_request.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "base/parse.h"
#include "core/endpoint_store.h"
#include "core/jobs.h"

enum {
    LIMIT_DEFAULT = 50,
    LIMIT_MOST = 100,
    JOB_BYTES_MAX = 2 * 1024 * 1024,
    LIST_BYTES_MAX = 64 * 1024 * 1024
};

/* ---- The document --------------------------------------------------------------------------- */

static void render(struct json_out *out, const char *id, const struct job_record *record)
{
    json_object_open(out);
    json_member_cstr(out, "id", id);
    json_member_cstr(out, "kind", job_kind_name(record->spec.kind));
    json_member_cstr(out, "status", record->status);
    json_key(out, "filter");
    job_spec_render(&record->spec, out);
    if (record->spec.rate > 0)
        json_member_u64(out, "rate", record->spec.rate);
    else
        json_member_null(out, "rate");
    json_member_u64(out, "done", record->done);
    json_member_u64(out, "skipped", record->skipped);
    if (record->counted)
        json_member_u64(out, "total", record->total);
    else
        json_member_null(out, "total");
    json_member_str_or_null(out, "error", record->error[0] ? slice_str(record->error) : SLICE_NULL);
    json_member_time_ms(out, "createdAt", record->created_ms);
    json_member_time_ms(out, "updatedAt", record->updated_ms);
    if (record->finished_ms > 0)
        json_member_time_ms(out, "finishedAt", record->finished_ms);
    else
        json_member_null(out, "finishedAt");
    json_object_close(out);
}

static void reply_job(struct http_request *request, int status, const char *id,
                      const struct job_record *record)
{
    struct buf body;
    struct json_out out;
    buf_init(&body, JOB_BYTES_MAX);
    json_out_begin(&out, &body);
    render(&out, id, record);
    reply_json(request, status, &body, NULL);
}

static void reply_no_job(struct http_request *request, enum status status)
{
    if (status == ST_NOTFOUND)
        reply_error(request, 404, "not_found", NULL,
                    "There is no job with this id, or its history has ended.");
    else
        reply_failed(request, status);
}

/* ---- Making one ----------------------------------------------------------------------------- */

static void on_created(void *arg, enum status status, const char *id,
                       const struct job_record *record)
{
    struct http_request *request = arg;
    if (status == ST_OK)
        reply_job(request, 202, id, record);
    else if (status == ST_LIMIT)
        reply_error(request, 409, "too_many_jobs", NULL,
                    "So many jobs are unfinished that no other is taken; cancel some, or wait.");
    else
        reply_failed(request, status);
}

static void create(struct api *api, struct http_request *request, enum job_request_form form,
                   const struct endpoint *endpoint)
{
    struct job_spec spec;
    struct field_error error;
    enum status status = job_request_read(http_request_body(request), form,
                                          api->core->options.job_rate, &spec, &error);
    if (status == ST_RANGE) {
        reply_refused(request, &error);
        return;
    }
    if (status == ST_OK) {
        if (endpoint)
            memcpy(spec.endpoint, endpoint->id_text, sizeof(spec.endpoint));
        status = jobs_create(api->core->jobs, &spec, on_created, request);
        job_spec_free(&spec);
    }
    if (status != ST_OK)
        reply_failed(request, status);
}

void jobs_replay_dead(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    create(api, request, JOB_REQUEST_REPLAY, NULL);
}

void jobs_discard_dead(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    create(api, request, JOB_REQUEST_DISCARD, NULL);
}

void jobs_replay_webhook(struct api *api, struct http_request *request, struct slice id_text)
{
    struct id id;
    struct endpoint *endpoint = NULL;
    if (id_parse(id_text, "ep_", &id) == ST_OK)
        endpoint = registry_find(endpoint_store_registry(api->endpoints), &id);
    if (!endpoint)
        reply_error(request, 404, "not_found", NULL, "There is no webhook with this id.");
    else if (!endpoint->config->active)
        reply_error(request, 409, "webhook_disabled", NULL,
                    "The webhook is disabled: enable it before anything is replayed to it.");
    else
        create(api, request, JOB_REQUEST_WEBHOOK, endpoint);
}

/* ---- One ------------------------------------------------------------------------------------ */

/* Reading changes nothing, so that it did not is known. */
static void on_read(void *arg, enum status status, const char *id, const struct job_record *record)
{
    struct http_request *request = arg;
    if (status == ST_OK)
        reply_job(request, 200, id, record);
    else
        reply_no_job(request, status == ST_LOST ? ST_AGAIN : status);
}

static void on_cancelled(void *arg, enum status status, const char *id,
                         const struct job_record *record)
{
    struct http_request *request = arg;
    if (status == ST_OK)
        reply_job(request, 200, id, record);
    else
        reply_no_job(request, status);
}

typedef enum status job_call(struct jobs *jobs, const char *id, jobs_fn *fn, void *arg);

static void call_with(struct api *api, struct http_request *request, struct slice id_text,
                      job_call *call, jobs_fn *fn)
{
    struct id id;
    char text[ID_TEXT_MAX];
    enum status status = ST_NOTFOUND;
    if (id_parse(id_text, "job_", &id) == ST_OK) {
        id_format(text, "job_", &id);
        status = call(api->core->jobs, text, fn, request);
    }
    if (status != ST_OK)
        reply_no_job(request, status);
}

void jobs_get(struct api *api, struct http_request *request, struct slice id)
{
    call_with(api, request, id, jobs_read, on_read);
}

void jobs_delete(struct api *api, struct http_request *request, struct slice id)
{
    call_with(api, request, id, jobs_cancel, on_cancelled);
}

/* ---- All ------------------------------------------------------------------------------------ */

/* The jobs are read one after the other, so that one at a time is in memory besides the answer. */
struct listing {
    struct api *api;
    struct http_request *request;
    struct buf body;
    struct json_out out;
    size_t most;
    char cursor[ID_TEXT_MAX]; /* "": from the newest */
    char (*ids)[ID_TEXT_MAX]; /* newest first */
    size_t count, at;
};

static void listing_end(struct listing *listing, enum status status)
{
    struct http_request *request = listing->request;
    if (status == ST_OK) {
        struct json_out *out = &listing->out;
        bool more = listing->at < listing->count;
        json_array_close(out);
        json_member_str_or_null(out, "cursor",
                                more ? slice_str(listing->ids[listing->at - 1]) : SLICE_NULL);
        json_object_close(out);
        reply_json(request, 200, &listing->body, NULL);
    } else {
        buf_free(&listing->body);
        reply_failed(request, status == ST_LOST ? ST_AGAIN : status);
    }
    free(listing->ids);
    free(listing);
}

static void list_next(struct listing *listing);

static void on_listed(void *arg, enum status status, const char *id,
                      const struct job_record *record)
{
    struct listing *listing = arg;
    if (status == ST_OK)
        render(&listing->out, id, record);
    else if (status != ST_NOTFOUND && status != ST_SYNTAX) { /* gone; of another version */
        listing_end(listing, status);
        return;
    }
    list_next(listing);
}

static void list_next(struct listing *listing)
{
    if (listing->at == listing->count || listing->at == listing->most) {
        listing_end(listing, ST_OK);
        return;
    }
    const char *id = listing->ids[listing->at++];
    if (jobs_read(listing->api->core->jobs, id, on_listed, listing) != ST_OK)
        listing_end(listing, ST_NOMEM);
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(b, a);
}

static void on_ids(void *arg, enum status status, const struct redis_value *reply)
{
    struct listing *listing = arg;
    size_t count = status == ST_OK ? redis_value_count(reply) / 2 : 0;
    listing->ids = calloc(count + 1, sizeof(*listing->ids));
    if (status == ST_OK && !listing->ids)
        status = ST_NOMEM;
    if (status != ST_OK) {
        listing_end(listing, status);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct id id;
        char *text = listing->ids[listing->count];
        if (id_parse(reply_text(reply, 2 * i), "job_", &id) != ST_OK)
            continue;
        id_format(text, "job_", &id);
        if (!listing->cursor[0] || strcmp(text, listing->cursor) < 0)
            listing->count++;
    }
    qsort(listing->ids, listing->count, sizeof(*listing->ids), newest_first);
    list_next(listing);
}

void jobs_list(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct query_param params[] = {{.name = "limit"}, {.name = "cursor"}};
    struct field_error error;
    struct id cursor;
    uint64_t most = LIMIT_DEFAULT;
    if (query_read(http_request_query(request), params, 2, &error) != ST_OK) {
        reply_refused(request, &error);
        return;
    }
    if (params[0].given &&
        (parse_u64(slice_str(params[0].value), &most) != ST_OK || most < 1 || most > LIMIT_MOST)) {
        reply_error(request, 400, "invalid_limit", "limit", "limit must be 1 to 100.");
        return;
    }
    if (params[1].given && id_parse(slice_str(params[1].value), "job_", &cursor) != ST_OK) {
        reply_error(request, 400, "invalid_cursor", "cursor",
                    "cursor must be what an earlier answer gave.");
        return;
    }
    struct listing *listing = calloc(1, sizeof(*listing));
    if (!listing) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    *listing = (struct listing){.api = api, .request = request, .most = (size_t)most};
    if (params[1].given)
        id_format(listing->cursor, "job_", &cursor);
    buf_init(&listing->body, LIST_BYTES_MAX);
    json_out_begin(&listing->out, &listing->body);
    json_object_open(&listing->out);
    json_key(&listing->out, "jobs");
    json_array_open(&listing->out);
    if (store_jobs_list(api->core->store, on_ids, listing) != ST_OK)
        listing_end(listing, ST_NOMEM);
}
