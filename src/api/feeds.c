/* feeds.c - feeds over HTTP.
 *
 * The streams are looked at when they are asked for, so that any replica says the same of them;
 * state and results are of the replica that answers.
 *
 * To put all rejected entries back, or to discard them, is to do so with all that were there when
 * it was asked for, in slices: what is rejected anew meanwhile gets a greater id.
 */
#include "api/feeds.h"

#include <stdlib.h>

#include "api/api.h"
#include "api/feed_request.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "core/feed.h"
#include "core/store_feed.h"
#include "wire/encoding.h"

enum {
    LIMIT_DEFAULT = 50,
    LIMIT_MOST = 100,
    VALUE_BYTES_MAX = 16 * 1024,
    FIELDS_MAX = 8,
    BODY_BYTES_MAX = 64 * 1024 * 1024,
    SLICE_MOST = 100
};

static const struct stream_id least = {0, 0}, greatest = {UINT64_MAX, UINT64_MAX};

static void reply_store_failed(struct http_request *request, enum status status)
{
    reply_failed(request, status == ST_LOST ? ST_AGAIN : status);
}

static const char *find(struct api *api, struct http_request *request, struct slice name)
{
    const char *feed = feed_find(api->core->feed, name);
    if (!feed)
        reply_error(request, 404, "not_found", NULL,
                    "There is no feed of this name (feed.streams); GET /api/feeds lists them.");
    return feed;
}

/* ---- How they are --------------------------------------------------------------------------- */

struct listing {
    struct api *api;
    struct http_request *request;
    struct buf body;
    struct json_out out;
    size_t at;
};

static void look_next(struct listing *listing);

static void render_count(struct json_out *out, const char *name, int64_t count)
{
    if (count >= 0)
        json_member_u64(out, name, (uint64_t)count);
    else
        json_member_null(out, name);
}

static void render_feed(struct listing *listing, const struct redis_value *reply)
{
    struct json_out *out = &listing->out;
    struct feed_status status;
    struct store_key key;
    feed_status(listing->api->core->feed, listing->at, &status);
    const char *feed = feed_find(listing->api->core->feed, slice_str(status.name));
    int64_t length = reply_integer(reply, 1), lag = reply_integer(reply, 2);
    json_object_open(out);
    json_member_cstr(out, "name", status.name);
    json_member_str(out, "key", store_feed_key(listing->api->core->store, &key, feed));
    json_member_str_or_null(out, "application",
                            status.application[0] ? slice_str(status.application) : SLICE_NULL);
    json_member_cstr(out, "state", feed_state_name(status.state));
    json_member_str_or_null(out, "error", status.error[0] ? slice_str(status.error) : SLICE_NULL);
    json_member_i64(out, "length", length);
    render_count(out, "lag", lag);
    render_count(out, "pending", lag >= 0 && length >= lag ? length - lag : -1);
    json_member_i64(out, "rejected", reply_integer(reply, 5));
    json_key(out, "results");
    json_object_open(out);
    for (int i = 0; i < FEED_RESULTS; i++)
        json_member_u64(out, feed_result_name((enum feed_result)i), status.results[i]);
    json_object_close(out);
    json_object_close(out);
}

static void listing_end(struct listing *listing, enum status status)
{
    if (status == ST_OK) {
        json_array_close(&listing->out);
        json_member_u64(&listing->out, "count", feed_count(listing->api->core->feed));
        json_object_close(&listing->out);
        reply_json(listing->request, 200, &listing->body, NULL);
    } else {
        buf_free(&listing->body);
        reply_store_failed(listing->request, status);
    }
    free(listing);
}

static void on_looked(void *arg, enum status status, const struct redis_value *reply)
{
    struct listing *listing = arg;
    if (status != ST_OK) {
        listing_end(listing, status);
        return;
    }
    render_feed(listing, reply);
    listing->at++;
    look_next(listing);
}

static void look_next(struct listing *listing)
{
    struct core *core = listing->api->core;
    struct feed_status status;
    if (listing->at == feed_count(core->feed)) {
        listing_end(listing, ST_OK);
        return;
    }
    feed_status(core->feed, listing->at, &status);
    if (store_feed_look(core->store, feed_find(core->feed, slice_str(status.name)),
                        core->options.lease_ms, on_looked, listing) != ST_OK)
        listing_end(listing, ST_NOMEM);
}

void feeds_list(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct listing *listing = calloc(1, sizeof(*listing));
    if (!listing) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    *listing = (struct listing){.api = api, .request = request};
    buf_init(&listing->body, BODY_BYTES_MAX);
    json_out_begin(&listing->out, &listing->body);
    json_object_open(&listing->out);
    json_key(&listing->out, "feeds");
    json_array_open(&listing->out);
    look_next(listing);
}

/* ---- What was rejected ---------------------------------------------------------------------- */

/* Text as it is; other bytes in base64, under another name. */
static void render_bytes(struct json_out *out, const char *name, const char *name_base64,
                         struct slice bytes)
{
    struct buf text;
    if (utf8_valid(bytes)) {
        json_member_str(out, name, bytes);
        return;
    }
    buf_init(&text, 2 * VALUE_BYTES_MAX);
    base64_encode(&text, bytes);
    json_member_str(out, name_base64, buf_slice(&text));
    buf_free(&text);
}

/* A value that was cut may end within a character. */
static struct slice whole_characters(struct slice value, bool cut)
{
    size_t len = value.len;
    for (size_t back = 0; cut && back < 3 && len > 0 && !utf8_valid(slice_of(value.ptr, len));
         back++)
        len--;
    return utf8_valid(slice_of(value.ptr, len)) ? slice_of(value.ptr, len) : value;
}

static void render_rejected(struct json_out *out, const struct redis_value *entry)
{
    json_object_open(out);
    json_member_str(out, "id", reply_text(entry, 0));
    json_member_str(out, "entryId", reply_text(entry, 1));
    json_member_str(out, "reason", reply_text(entry, 2));
    json_member_str(out, "message", reply_text(entry, 3));
    struct slice field = reply_text(entry, 4);
    json_member_str_or_null(out, "field", field.len > 0 ? field : SLICE_NULL);
    json_key(out, "fields");
    json_array_open(out);
    for (size_t i = 5; i + 2 < redis_value_count(entry); i += 3) {
        struct slice value = reply_text(entry, i + 2);
        bool cut = reply_integer(entry, i + 1) > (int64_t)value.len;
        json_object_open(out);
        render_bytes(out, "name", "nameBase64", reply_text(entry, i));
        json_member_i64(out, "bytes", reply_integer(entry, i + 1));
        render_bytes(out, "value", "valueBase64", whole_characters(value, cut));
        json_object_close(out);
    }
    json_array_close(out);
    json_object_close(out);
}

/* One more was asked for than is shown. */
struct page {
    struct http_request *request;
    size_t most;
};

static void on_page(void *arg, enum status status, const struct redis_value *reply)
{
    struct page *page = arg;
    struct http_request *request = page->request;
    size_t most = page->most, count = redis_value_count(reply);
    struct buf body;
    struct json_out out;
    free(page);
    if (status != ST_OK) {
        reply_store_failed(request, status);
        return;
    }
    buf_init(&body, BODY_BYTES_MAX);
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_key(&out, "rejected");
    json_array_open(&out);
    for (size_t i = 0; i < count && i < most; i++)
        render_rejected(&out, redis_value_at(reply, i));
    json_array_close(&out);
    json_member_str_or_null(
        &out, "cursor", count > most ? reply_text(redis_value_at(reply, most - 1), 0) : SLICE_NULL);
    json_object_close(&out);
    reply_json(request, 200, &body, NULL);
}

/* The greatest id that is less. */
static struct stream_id before(const struct stream_id *id)
{
    if (id->sequence > 0)
        return (struct stream_id){id->ms, id->sequence - 1};
    return id->ms > 0 ? (struct stream_id){id->ms - 1, UINT64_MAX} : least;
}

static bool read_page(struct http_request *request, uint64_t *most, struct stream_id *last)
{
    struct query_param params[] = {{.name = "limit"}, {.name = "cursor"}};
    struct field_error error;
    struct stream_id cursor;
    *most = LIMIT_DEFAULT;
    *last = greatest;
    if (query_read(http_request_query(request), params, 2, &error) != ST_OK) {
        reply_refused(request, &error);
        return false;
    }
    if (params[0].given &&
        (parse_u64(slice_str(params[0].value), most) != ST_OK || *most < 1 || *most > LIMIT_MOST)) {
        reply_error(request, 400, "invalid_limit", "limit", "limit must be 1 to 100.");
        return false;
    }
    if (!params[1].given)
        return true;
    if (stream_id_parse(slice_str(params[1].value), &cursor) != ST_OK) {
        reply_error(request, 400, "invalid_cursor", "cursor",
                    "cursor must be what an earlier answer gave.");
        return false;
    }
    *last = before(&cursor);
    return true;
}

void feeds_rejected(struct api *api, struct http_request *request, struct slice name)
{
    uint64_t most;
    struct stream_id last;
    const char *feed = find(api, request, name);
    if (!feed || !read_page(request, &most, &last))
        return;
    struct page *page = malloc(sizeof(*page));
    const struct store_feed_page wanted = {.last = last,
                                           .newest_first = true,
                                           .most = (size_t)most + 1,
                                           .value_bytes_max = VALUE_BYTES_MAX,
                                           .fields_max = FIELDS_MAX};
    if (page)
        *page = (struct page){request, (size_t)most};
    if (!page || store_feed_rejected(api->core->store, feed, &wanted, on_page, page) != ST_OK) {
        free(page);
        reply_failed(request, ST_NOMEM);
    }
}

/* ---- Back into the stream, or away ---------------------------------------------------------- */

struct clearing {
    struct store *store;
    struct http_request *request;
    const char *feed;
    bool requeues; /* else they are discarded */
    uint64_t done;
    struct stream_id next, last; /* of all: the slice begins there */
    size_t count, at;
    struct stream_id ids[]; /* … or these; of all a slice */
};

static void clear_some(struct clearing *clearing);

static void clearing_end(struct clearing *clearing, enum status status)
{
    struct http_request *request = clearing->request;
    struct buf body;
    struct json_out out;
    if (status == ST_OK) {
        buf_init(&body, 256);
        json_out_begin(&out, &body);
        json_object_open(&out);
        json_member_u64(&out, clearing->requeues ? "requeued" : "discarded", clearing->done);
        json_object_close(&out);
        reply_json(request, 200, &body, NULL);
    } else {
        reply_failed(request, status); /* what was done stays done */
    }
    free(clearing);
}

static void on_cleared(void *arg, enum status status, const struct redis_value *reply)
{
    struct clearing *clearing = arg;
    if (status != ST_OK) {
        clearing_end(clearing, status);
        return;
    }
    clearing->done += (uint64_t)redis_value_integer(reply);
    clear_some(clearing);
}

static void clear_ids(struct clearing *clearing, const struct stream_id *ids, size_t count)
{
    enum status status =
        clearing->requeues
            ? store_feed_requeue(clearing->store, clearing->feed, ids, count, on_cleared, clearing)
            : store_feed_discard(clearing->store, clearing->feed, ids, count, on_cleared, clearing);
    if (status != ST_OK)
        clearing_end(clearing, ST_NOMEM);
}

/* The next ones of all. */
static void on_slice(void *arg, enum status status, const struct redis_value *reply)
{
    struct clearing *clearing = arg;
    size_t count = redis_value_count(reply);
    if (status != ST_OK) {
        clearing_end(clearing, status);
        return;
    }
    clearing->count = clearing->at = 0;
    for (size_t i = 0; i < count && i < SLICE_MOST; i++)
        if (stream_id_parse(reply_text(redis_value_at(reply, i), 0),
                            &clearing->ids[clearing->count]) == ST_OK)
            clearing->count++;
    if (clearing->count == 0) {
        clearing_end(clearing, ST_OK);
        return;
    }
    clearing->at = clearing->count;
    clearing->next = stream_id_next(&clearing->ids[clearing->count - 1]);
    clear_ids(clearing, clearing->ids, clearing->count);
}

static void read_slice(struct clearing *clearing)
{
    const struct store_feed_page page = {
        .first = clearing->next, .last = clearing->last, .most = SLICE_MOST};
    if (store_feed_rejected(clearing->store, clearing->feed, &page, on_slice, clearing) != ST_OK)
        clearing_end(clearing, ST_NOMEM);
}

/* Where all of them end. */
static void on_newest(void *arg, enum status status, const struct redis_value *reply)
{
    struct clearing *clearing = arg;
    if (status != ST_OK)
        clearing_end(clearing, status);
    else if (stream_id_parse(reply_text(redis_value_at(reply, 0), 0), &clearing->last) != ST_OK)
        clearing_end(clearing, ST_OK); /* there are none */
    else
        read_slice(clearing);
}

static void clear_some(struct clearing *clearing)
{
    if (stream_id_compare(&clearing->last, &least) != 0) {
        read_slice(clearing);
        return;
    }
    size_t at = clearing->at, left = clearing->count - at;
    if (left == 0) {
        clearing_end(clearing, ST_OK);
        return;
    }
    clearing->at += left < SLICE_MOST ? left : SLICE_MOST;
    clear_ids(clearing, clearing->ids + at, clearing->at - at);
}

static void clear(struct api *api, struct http_request *request, struct slice name, bool requeues)
{
    struct field_error error;
    const char *feed = find(api, request, name);
    if (!feed)
        return;
    struct clearing *clearing =
        calloc(1, sizeof(*clearing) + (size_t)FEED_REQUEST_IDS_MOST * sizeof(clearing->ids[0]));
    if (!clearing) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    clearing->store = api->core->store;
    clearing->request = request;
    clearing->feed = feed;
    clearing->requeues = requeues;
    if (feed_request_read(http_request_body(request), clearing->ids, &clearing->count, &error) !=
        ST_OK) {
        free(clearing);
        reply_refused(request, &error);
        return;
    }
    const struct store_feed_page newest = {.last = greatest, .newest_first = true, .most = 1};
    if (clearing->count > 0)
        clear_some(clearing);
    else if (store_feed_rejected(clearing->store, feed, &newest, on_newest, clearing) != ST_OK)
        clearing_end(clearing, ST_NOMEM);
}

void feeds_requeue(struct api *api, struct http_request *request, struct slice name)
{
    clear(api, request, name, true);
}

void feeds_discard(struct api *api, struct http_request *request, struct slice name)
{
    clear(api, request, name, false);
}
