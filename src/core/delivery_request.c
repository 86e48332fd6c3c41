/* delivery_request.c - the HTTP request that an endpoint gets for an event, or for several.
 *
 * The payload is not copied when the scheme's body is the payload; else the body is written into
 * the attempt's buffer, which is the attempt's own until it ends. Header lines are written in one
 * place for all attempts.
 *
 * Trace context (W3C): the event's trace is continued with a parent id of its own for each attempt;
 * an event without one starts a trace from its id, so all its attempts belong together. Several
 * events may be of several traces, so they start one from their common id.
 */
#include "core/delivery_request.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/group.h"
#include "wire/encoding.h"
#include "wire/event_data.h"

enum {
    LINES_MAX = LIMIT_HEADER_LIST + LIMIT_HTTP_HEADERS + 16,
    LINES_BYTES_MAX = 256 * 1024,
    KEEP_BYTES = 16 * 1024 /* of memory for data that was none of JSON */
};

struct delivery_request {
    struct buf lines; /* "Name: value\0" ... */
    struct buf data;  /* received data as JSON, if it is none */
    const char *line[LINES_MAX];
};

static void add_line(struct buf *lines, size_t *count, const char *name, struct slice value)
{
    buf_add_str(lines, name);
    buf_add_str(lines, ": ");
    buf_add_slice(lines, value);
    buf_add_char(lines, '\0');
    (*count)++;
}

/* `parent`: the header that the producer sent, or SLICE_NULL: then `id` is the trace's. */
static inline void add_trace(struct buf *lines, size_t *count, struct slice parent,
                             const struct id *id)
{
    uint8_t span[8];
    rng_bytes(span, sizeof(span));
    buf_add_str(lines, "traceparent: 00-");
    if (parent.ptr) {
        buf_add(lines, parent.ptr + 3, 32); /* its trace id; checked when the event was accepted */
        buf_add_char(lines, '-');
        hex_encode(lines, slice_of(span, sizeof(span)));
        buf_add(lines, parent.ptr + 52, 3); /* "-" and the flags */
    } else {
        hex_encode(lines, slice_of(id->bytes + 4, 16));
        buf_add_char(lines, '-');
        hex_encode(lines, slice_of(span, sizeof(span)));
        buf_add_str(lines, "-00");
    }
    buf_add_char(lines, '\0');
    (*count)++;
}

static size_t valid_keys(const struct endpoint_config *config, uint64_t now_ms,
                         struct signer_key *keys[LIMIT_SECRETS])
{
    size_t count = 0;
    for (size_t i = 0; i < config->secret_count; i++) {
        const struct endpoint_secret *secret = &config->secrets[i];
        if (secret->expires_at_ms == 0 || secret->expires_at_ms > now_ms)
            keys[count++] = secret->key;
    }
    return count;
}

/* Has the endpoint a header of its own by that name? */
static bool is_custom(void *arg, struct slice name)
{
    const struct endpoint_config *config = arg;
    for (size_t i = 0; i < config->header_count; i++) {
        struct slice line = slice_str(config->header_lines[i]);
        if (line.len > name.len && line.ptr[name.len] == ':' &&
            slice_eq_nocase(slice_of(line.ptr, name.len), name))
            return true;
    }
    return false;
}

/* What came from a third party need not be JSON. Then it is made such, for bodies to be put in. */
static struct slice data_as_json(struct delivery_request *request,
                                 const struct event_record *record)
{
    if (record->data_kind == EVENT_DATA_JSON)
        return record->data;
    buf_clear(&request->data);
    return event_data_json(record, &request->data);
}

/* The body was made of it, or is it; the memory that it took is not kept if it is much. */
static enum status data_was_used(struct delivery_request *request, struct buf *storage,
                                 struct slice *body)
{
    struct buf *data = &request->data;
    enum status status = buf_status(data);
    if (body->ptr == data->ptr) {
        buf_add_slice(storage, *body);
        *body = buf_slice(storage);
    }
    if (data->cap > KEEP_BYTES)
        buf_free(data);
    return status;
}

/* Body and headers as the endpoint's scheme has them. */
static enum status add_signed(struct delivery_request *request,
                              const struct endpoint_config *config, const struct message *message,
                              uint64_t now_ms, struct buf *storage, struct slice *body,
                              size_t *count)
{
    const struct event_record *record = &message->record;
    struct scheme_event event = {
        .id = slice_str(message->id_text),
        .type = record->type,
        .timestamp_ms = record->timestamp_ms,
        .data = data_as_json(request, record),
        .version = record->version,
        .source = record->source,
    };
    struct signer_key *keys[LIMIT_SECRETS];
    size_t key_count = valid_keys(config, now_ms, keys);
    *body = scheme_body(config->scheme, &event, storage);
    enum status status = ST_OK;
    if (record->data_kind != EVENT_DATA_JSON)
        status = data_was_used(request, storage, body);
    if (status == ST_OK)
        status = scheme_headers(config->scheme, &event, *body, now_ms, keys, key_count,
                                &request->lines, count);
    add_line(&request->lines, count, "Content-Type", SLICE("application/json"));
    return status;
}

static inline enum status point_at_lines(struct delivery_request *request,
                                         const struct endpoint_config *config, size_t *count)
{
    if (*count + config->header_count > LINES_MAX)
        return ST_RANGE;
    const char *at = request->lines.ptr;
    for (size_t i = 0; i < *count; i++) {
        request->line[i] = at;
        at += strlen(at) + 1;
    }
    for (size_t i = 0; i < config->header_count; i++)
        request->line[(*count)++] = config->header_lines[i];
    return ST_OK;
}

static inline void fill_in(struct outbound_call *call, const struct delivery_request *request,
                           const struct core_options *options, const struct endpoint_config *config,
                           struct slice body, size_t count)
{
    *call = (struct outbound_call){
        .url = config->url,
        .header_lines = request->line,
        .header_count = count,
        .body = body,
        .connect_timeout_ms = options->connect_timeout_ms,
        .total_timeout_ms = config->timeout_ms,
        .response_bytes_max = options->response_bytes_max,
        .insecure_http_allowed = options->allow_http,
    };
}

enum status delivery_request_build(struct delivery_request *request,
                                   const struct core_options *options,
                                   struct endpoint_config *config, const struct message *message,
                                   uint64_t now_ms, struct buf *storage, struct outbound_call *call)
{
    struct buf *lines = &request->lines;
    const struct event_record *record = &message->record;
    struct slice body = record->data;
    enum status status = ST_OK;
    size_t count = 0;
    buf_clear(lines);
    buf_clear(storage);
    if (scheme_passes_through(config->scheme))
        scheme_original_headers(slice_str(message->id_text), record, is_custom, config, lines,
                                &count);
    else
        status = add_signed(request, config, message, now_ms, storage, &body, &count);
    if (status != ST_OK)
        return status;
    add_trace(lines, &count, record->traceparent, &message->id);
    if (record->traceparent.ptr && record->tracestate.ptr)
        add_line(lines, &count, "tracestate", record->tracestate);
    if (record->duplicate_of.ptr)
        add_line(lines, &count, "Trotline-Duplicate-Of", record->duplicate_of);
    if (buf_status(lines) != ST_OK || buf_status(storage) != ST_OK)
        return ST_NOMEM;
    status = point_at_lines(request, config, &count);
    if (status != ST_OK)
        return status;
    fill_in(call, request, options, config, body, count);
    return ST_OK;
}

/* ---- Several events ------------------------------------------------------------------------- */

/* Appends one event. False: it is too much, and was taken out again. */
static bool add_event(struct event_list *list, const struct message *message, size_t bytes_max)
{
    size_t mark = event_list_mark(list);
    event_list_add(list, slice_str(message->id_text), &message->record);
    if (list->count == 1 || event_list_bytes(list) <= bytes_max)
        return true;
    event_list_undo(list, mark);
    return false;
}

static struct slice add_events(const struct group_rule *rule, const struct delivery_group *group,
                               struct buf *storage, size_t *taken)
{
    struct event_list list;
    size_t bytes_max = group->known ? SIZE_MAX : rule->max_bytes;
    event_list_begin(&list, rule->form, storage);
    while (list.count < group->count && add_event(&list, group->messages[list.count], bytes_max))
        ;
    *taken = list.count;
    return event_list_end(&list);
}

enum status delivery_request_build_group(struct delivery_request *request,
                                         const struct core_options *options,
                                         struct endpoint_config *config,
                                         const struct delivery_group *group, uint64_t now_ms,
                                         struct buf *storage, struct outbound_call *call,
                                         size_t *taken, struct id *id)
{
    struct buf *lines = &request->lines;
    struct signer_key *keys[LIMIT_SECRETS];
    char name[ID_TEXT_MAX], events[16];
    buf_clear(lines);
    buf_clear(storage);
    struct slice body = add_events(&config->batch, group, storage, taken);
    if (buf_status(storage) != ST_OK)
        return ST_NOMEM;
    if (group->known)
        *id = *group->known;
    else if (group_id(id, group->endpoint, group->messages, *taken) != ST_OK)
        return ST_NOMEM;
    id_format(name, "batch_", id);
    struct scheme_event event = {
        .id = slice_str(name), .type = SLICE("batch"), .timestamp_ms = id_time_ms(id)};
    size_t key_count = valid_keys(config, now_ms, keys), count = 0;
    enum status status =
        scheme_headers(config->scheme, &event, body, now_ms, keys, key_count, lines, &count);
    if (status != ST_OK)
        return status;
    snprintf(events, sizeof(events), "%zu", *taken);
    add_line(lines, &count, "Content-Type", slice_str(event_list_content_type(config->batch.form)));
    add_line(lines, &count, "Trotline-Batch-Count", slice_str(events));
    add_trace(lines, &count, SLICE_NULL, id);
    if (buf_status(lines) != ST_OK)
        return ST_NOMEM;
    status = point_at_lines(request, config, &count);
    if (status == ST_OK)
        fill_in(call, request, options, config, body, count);
    return status;
}

/* ---- Memory --------------------------------------------------------------------------------- */

struct delivery_request *delivery_request_new(void)
{
    struct delivery_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    buf_init(&request->lines, LINES_BYTES_MAX);
    buf_init(&request->data, DELIVERY_BODY_MAX);
    return request;
}

void delivery_request_free(struct delivery_request *request)
{
    if (!request)
        return;
    buf_free(&request->lines);
    buf_free(&request->data);
    free(request);
}
