/* receive.c - /in/{source}: a third party's request becomes an event.
 *
 *      source? ──▶ method, size, type ──▶ address ──▶ handshake? ──▶ signature, time ──▶ stored
 *       404           405, 413, 415         403        answered         401, 400           2xx
 *
 * All of it is judged on the bytes as they came, in this order, and each step costs more than the
 * one before: what a stranger sends is refused before it has cost a digest. Nothing is answered
 * with 2xx before Redis has the event, or has the one that this one repeats.
 *
 * A request whose signature is good is never refused for what its body says: an unknown type is
 * "unknown", and without an id it is nobody's duplicate. The sender would give up on it, and the
 * event would be lost.
 *
 * Its trace headers are not continued. They are a stranger's, and would join traces of ours.
 */
#include "api/receive.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "api/api.h"
#include "api/events.h"
#include "api/receive_type.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/publish.h"
#include "core/source_document.h"
#include "core/source_store.h"
#include "core/sources.h"
#include "wire/event_data.h"
#include "wire/event_headers.h"
#include "wire/handshake.h"

enum { ID_BYTES_MAX = 4096, TYPE_BYTES_MAX = 4096, REFUSAL_LOG_MS = 1000 };

/* One request while it is judged: on the stack. */
struct receiving {
    struct api *api;
    struct http_request *request;
    struct source *source;
    struct received received;
    struct received_header *headers; /* room for all that a request may have */
    struct signer_key *room[LIMIT_SECRETS];
    struct signer_key *const *keys;
    size_t key_count;
};

/* What is kept of it until Redis has answered. */
struct storing {
    struct http_request *request;
    struct source *source;
};

/* ---- Refusals ------------------------------------------------------------------------------- */

/* How each is told. The code is also the reason in the log. */
static const struct refusal {
    int status;
    const char *code;
    const char *message;
} refusals[SOURCE_OUTCOMES] = {
    [SOURCE_INACTIVE] = {503, "source_inactive", "This source is switched off."},
    [SOURCE_BAD_METHOD] = {405, "method_not_allowed",
                           "This source does not take this method; Allow lists those it takes."},
    [SOURCE_TOO_LARGE] = {413, "payload_too_large", "The body is larger than this source takes."},
    [SOURCE_BAD_TYPE] = {415, "unsupported_media_type",
                         "This source does not take this Content-Type."},
    [SOURCE_BAD_ADDRESS] = {403, "address_not_allowed",
                            "This source does not take requests from this address."},
    [SOURCE_NO_SIGNATURE] = {401, "signature_missing", "The request is not signed."},
    [SOURCE_BAD_SIGNATURE] = {401, "signature_invalid",
                              "The signature is not by one of this source's secrets."},
    [SOURCE_MALFORMED] = {400, "request_malformed",
                          "The request is not of the form that this source's scheme has."},
    [SOURCE_OUT_OF_TIME] = {400, "timestamp_out_of_tolerance",
                            "It was signed too long ago, or in the future."},
    [SOURCE_INVALID] = {400, "event_invalid", "No event can be made of this request."},
    [SOURCE_UNAVAILABLE] = {503, "unavailable",
                            "The request cannot be taken now and was not stored; try again."},
};

/* At most one line a second: whoever has no secret must not be able to fill the log. */
static void log_refusal(struct api *api, const struct source *source, const char *reason)
{
    uint64_t now_ms = clock_mono_ms();
    api->receive_refused++;
    if (now_ms - api->receive_logged_ms < REFUSAL_LOG_MS)
        return;
    log_warn("receive.refused", "source=%s reason=%s count=%llu", source->name, reason,
             (unsigned long long)api->receive_refused);
    api->receive_logged_ms = now_ms;
    api->receive_refused = 0;
}

static void refuse_with(struct receiving *in, enum source_outcome outcome, const char *reason)
{
    const struct refusal *refusal = &refusals[outcome];
    source_count(in->source, outcome);
    log_refusal(in->api, in->source, reason);
    reply_error(in->request, refusal->status, refusal->code, NULL, refusal->message);
}

static void refuse(struct receiving *in, enum source_outcome outcome)
{
    refuse_with(in, outcome, source_outcome_name(outcome));
}

static void refuse_method(struct receiving *in)
{
    const struct refusal *refusal = &refusals[SOURCE_BAD_METHOD];
    unsigned methods = in->source->methods;
    struct slice text = methods == (SOURCE_POST | SOURCE_PUT) ? SLICE("POST, PUT")
                        : methods == SOURCE_PUT               ? SLICE("PUT")
                                                              : SLICE("POST");
    struct http_header allow = {SLICE("Allow"), text};
    source_count(in->source, SOURCE_BAD_METHOD);
    log_refusal(in->api, in->source, source_outcome_name(SOURCE_BAD_METHOD));
    reply_error_with(in->request, refusal->status, refusal->code, NULL, refusal->message, allow);
}

/* ---- Who sends it, and what it is ----------------------------------------------------------- */

static bool address_allowed(const struct receiving *in)
{
    struct slice forwarded[LIMIT_HTTP_HEADERS];
    struct sockaddr_storage address;
    struct network peer;
    size_t count = 0;
    if (in->source->allowed.count == 0)
        return true;
    if (!http_request_peer(in->request, &address) ||
        !network_of((const struct sockaddr *)&address, &peer))
        return false;
    for (size_t i = 0; i < in->received.header_count; i++)
        if (slice_eq_nocase(in->headers[i].name, SLICE("X-Forwarded-For")))
            forwarded[count++] = in->headers[i].value;
    return source_allows(in->source, &peer, forwarded, count);
}

static bool takes_method(const struct source *source, enum http_method method)
{
    return (method == HTTP_POST && source->methods & SOURCE_POST) ||
           (method == HTTP_PUT && source->methods & SOURCE_PUT);
}

static bool takes_type(const struct receiving *in)
{
    struct slice name = SLICE("Content-Type");
    return http_request_header_count(in->request, name) <= 1 &&
           source_takes_type(in->source, http_request_header(in->request, name));
}

static void look_at(struct receiving *in)
{
    const struct source *source = in->source;
    size_t count;
    const struct http_header *headers = http_request_headers(in->request, &count);
    for (size_t i = 0; i < count; i++)
        in->headers[i] = (struct received_header){headers[i].name, headers[i].value};
    in->received = (struct received){
        .method = http_request_method_name(in->request),
        .path = http_request_path(in->request),
        .query = http_request_query(in->request),
        .headers = in->headers,
        .header_count = count,
        .body = http_request_body(in->request),
        .public_url = source->public_url ? slice_str(source->public_url) : SLICE_NULL,
        .vars = source->vars,
        .var_count = source->var_count,
        .tolerance = source->tolerance_given ? &source->tolerance : NULL,
        .now_ms = clock_wall_ms(),
    };
    in->keys = source_keys(source, in->received.now_ms, in->room, &in->key_count);
}

/* ---- Storing -------------------------------------------------------------------------------- */

static void answer_stored(struct http_request *request, const struct source *source)
{
    const struct source_reply *reply = &source->reply;
    struct http_header type = {SLICE("Content-Type"), SLICE_NULL};
    if (reply->content_type)
        type.value = slice_str(reply->content_type);
    http_reply(request, reply->status, &type, reply->content_type != NULL,
               slice_of(reply->body, reply->body_len));
}

static void on_stored(void *arg, enum publish_verdict verdict, const char *event_id,
                      uint32_t deliveries)
{
    struct storing *storing = arg;
    (void)event_id;
    (void)deliveries;
    if (verdict == PUBLISH_ACCEPTED || verdict == PUBLISH_DUPLICATE ||
        verdict == PUBLISH_REPEATED) {
        source_count(storing->source, verdict == PUBLISH_ACCEPTED    ? SOURCE_ACCEPTED
                                      : verdict == PUBLISH_DUPLICATE ? SOURCE_DUPLICATE
                                                                     : SOURCE_REPEATED);
        answer_stored(storing->request, storing->source);
    } else {
        source_count(storing->source, SOURCE_UNAVAILABLE);
        events_refuse(storing->request, verdict);
    }
    source_put(storing->source);
    free(storing);
}

static bool keep_headers(const struct receiving *in, struct buf *kept)
{
    struct slice connection = received_header(&in->received, SLICE("Connection"));
    for (size_t i = 0; i < in->received.header_count; i++) {
        const struct received_header *header = &in->headers[i];
        if (source_keeps_header(in->source, header->name) &&
            event_header_allowed(header->name, connection))
            (void)event_headers_add(kept, header->name,
                                    header->value); /* what has no room is left */
    }
    return buf_status(kept) != ST_NOMEM;
}

static enum dedup_policy dedup_policy(const struct source *source)
{
    return source->dedup == SOURCE_DEDUP_FORWARD ? DEDUP_FORWARD : DEDUP_DROP;
}

static enum status publish(struct receiving *in, const struct publish_item *item,
                           enum publish_verdict *why)
{
    struct storing *storing = malloc(sizeof(*storing));
    *why = PUBLISH_OVERLOADED;
    if (!storing)
        return ST_NOMEM;
    *storing = (struct storing){in->request, source_get(in->source)};
    enum status status = publish_event(in->api->core->publish, item, on_stored, storing, why);
    if (status != ST_OK) {
        source_put(storing->source);
        free(storing);
    }
    return status;
}

/* The request has been verified: it becomes an event. */
static void store(struct receiving *in)
{
    const struct source *source = in->source;
    const struct received *received = &in->received;
    char type[LIMIT_TYPE_BYTES];
    struct buf id, sent_type, headers;
    buf_init(&id, ID_BYTES_MAX);
    buf_init(&sent_type, TYPE_BYTES_MAX);
    buf_init(&headers, LIMIT_EVENT_HEADERS_BYTES);

    bool has_id = scheme_event_id(source->scheme, source->event_id, received, &id);
    if (!scheme_event_type(source->scheme, source->event_type, received, &sent_type))
        buf_clear(&sent_type);
    struct slice content_type = http_request_header(in->request, SLICE("Content-Type"));
    bool kept = keep_headers(in, &headers);
    struct publish_item item = {
        .record =
            {
                .application = slice_str(source->application),
                .type = receive_type(slice_str(source->type_prefix), buf_slice(&sent_type), type),
                .source = slice_str(source->name),
                .data = received->body,
                .timestamp_ms = received->now_ms,
                .received_ms = received->now_ms,
                .content_type = content_type,
                .headers = headers.len > 0 ? buf_slice(&headers) : SLICE_NULL,
                .data_kind = event_data_kind(received->body, content_type),
                .verified = scheme_needs_secret(source->scheme),
            },
        .raw = received->body,
    };
    if (has_id && source->dedup != SOURCE_DEDUP_OFF)
        item.dedup =
            (struct publish_dedup){buf_slice(&id), source->dedup_ttl_ms, dedup_policy(source)};
    enum publish_verdict why = PUBLISH_OVERLOADED;
    if (!kept || buf_status(&id) == ST_NOMEM || buf_status(&sent_type) == ST_NOMEM ||
        publish(in, &item, &why) != ST_OK) {
        source_count(in->source, SOURCE_UNAVAILABLE);
        events_refuse(in->request, why);
    }
    buf_free(&headers);
    buf_free(&sent_type);
    buf_free(&id);
}

/* ---- Signature and handshake ---------------------------------------------------------------- */

/* What the verifier's verdicts are to a source. */
static enum source_outcome outcome_of(enum scheme_verdict verdict)
{
    switch (verdict) {
    case VERIFY_OK:
        return SOURCE_ACCEPTED;
    case VERIFY_NO_SIGNATURE:
        return SOURCE_NO_SIGNATURE;
    case VERIFY_BAD_SIGNATURE:
        return SOURCE_BAD_SIGNATURE;
    case VERIFY_MALFORMED:
    case VERIFY_MISSING_HEADER:
    case VERIFY_BODY_CHANGED:
        return SOURCE_MALFORMED;
    case VERIFY_TOO_OLD:
    case VERIFY_IN_FUTURE:
        return SOURCE_OUT_OF_TIME;
    case VERIFY_NOT_CONFIGURED:
    case VERIFY_NO_MEMORY:
        break;
    }
    return SOURCE_UNAVAILABLE;
}

/* False when it was refused. */
static bool verify(struct receiving *in)
{
    enum scheme_verdict verdict =
        scheme_verify(in->source->scheme, &in->received, in->keys, in->key_count, NULL);
    if (verdict == VERIFY_OK)
        return true;
    refuse_with(in, outcome_of(verdict), scheme_verdict_name(verdict));
    return false;
}

static void answer_handshake(struct http_request *request, struct source *source,
                             const struct handshake_answer *answer)
{
    struct http_header headers[HANDSHAKE_HEADERS_MAX + 2];
    size_t count = 0;
    for (size_t i = 0; i < answer->header_count; i++)
        headers[count++] = (struct http_header){answer->headers[i].name, answer->headers[i].value};
    if (answer->content_type.ptr) {
        headers[count++] = (struct http_header){SLICE("Content-Type"), answer->content_type};
        headers[count++] = (struct http_header){SLICE("X-Content-Type-Options"), SLICE("nosniff")};
    }
    source_count(source, SOURCE_HANDSHAKE);
    http_reply(request, answer->status, headers, count, answer->body);
}

/* A secret that a handshake brought is on its way to Redis; then the handshake is answered. */
struct arming {
    struct api *api;
    struct http_request *request;
    struct source *source; /* as it was, without a secret; one reference */
    struct handshake_answer answer;
};

static void on_armed(void *arg, enum status status, struct source *armed)
{
    struct arming *arming = arg;
    struct source *source = arming->source;
    (void)armed;
    source->changing = false;
    if (status == ST_OK) {
        log_info("receive.secret_taken", "source=%s", source->name);
        answer_handshake(arming->request, source, &arming->answer);
    } else {
        struct receiving in = {.api = arming->api, .request = arming->request, .source = source};
        refuse_with(&in, SOURCE_UNAVAILABLE, "secret_not_stored");
    }
    handshake_answer_deinit(&arming->answer);
    source_put(source);
    free(arming);
}

/* Takes over the answer in any case. */
static void arm(struct receiving *in, struct handshake_answer *answer)
{
    struct core *core = in->api->core;
    struct source *source = in->source, *armed = NULL;
    struct field_error error;
    struct arming *arming = NULL;
    enum status status =
        source->from_file || source->changing
            ? ST_CONFLICT
            : source_document_add_secret(core->options.source_rules, source, answer->secret,
                                         in->received.now_ms, &armed, &error);
    if (status == ST_OK) {
        arming = malloc(sizeof(*arming));
        status = arming ? ST_OK : ST_NOMEM;
    }
    if (status == ST_OK) {
        *arming = (struct arming){in->api, in->request, source_get(source), *answer};
        source->changing = true;
        status = source_store_replace(core->sources, source, armed, on_armed, arming);
        if (status == ST_OK)
            return;
        source->changing = false;
        source_put(arming->source);
        armed = NULL;
    }
    free(arming);
    source_put(armed);
    if (status == ST_RANGE)
        refuse_with(in, SOURCE_MALFORMED, "secret_refused");
    else
        refuse_with(in, SOURCE_UNAVAILABLE, "secret_not_stored");
    handshake_answer_deinit(answer);
}

static void shake_hands(struct receiving *in, const struct handshake_rule *rule)
{
    struct handshake_answer answer;
    if (handshake_verify_first(rule) && !verify(in))
        return;
    enum status status = handshake_answer(rule, &in->received, in->keys, in->key_count, &answer);
    if (status == ST_OK && answer.secret.ptr) {
        arm(in, &answer);
        return;
    }
    if (status == ST_OK)
        answer_handshake(in->request, in->source, &answer);
    else if (status == ST_DENIED)
        refuse_with(in, SOURCE_BAD_ADDRESS, "handshake_denied");
    else if (status == ST_RANGE)
        refuse_with(in, SOURCE_MALFORMED, "handshake_malformed");
    else
        refuse(in, SOURCE_UNAVAILABLE);
    handshake_answer_deinit(&answer);
}

/* ---- The order ------------------------------------------------------------------------------ */

/* Without an event in it, a request is a handshake or not taken. The body's size counts before its
 * type, as whoever has to shorten it must know. */
static void judge(struct receiving *in)
{
    const struct source *source = in->source;
    const struct handshakes *handshakes = scheme_handshakes(source->scheme);
    enum http_method method = http_request_method(in->request);
    bool event = takes_method(source, method);
    look_at(in);
    if (!event && method != HTTP_GET && method != HTTP_HEAD && method != HTTP_OPTIONS) {
        refuse_method(in);
    } else if (in->received.body.len > source->body_bytes_max) {
        refuse(in, SOURCE_TOO_LARGE);
    } else if (event && !takes_type(in)) {
        refuse(in, SOURCE_BAD_TYPE);
    } else if (!address_allowed(in)) {
        refuse(in, SOURCE_BAD_ADDRESS);
    } else {
        if (event && handshakes_read_json(handshakes))
            received_look(&in->received);
        const struct handshake_rule *rule =
            handshake_find(handshakes, &in->received, source->secret_count > 0);
        if (rule)
            shake_hands(in, rule);
        else if (!event)
            refuse_method(in);
        else if (verify(in))
            store(in);
    }
}

void receive(struct api *api, struct http_request *request, struct slice name)
{
    struct sources *sources = source_store_sources(api->core->sources);
    if (!api->core->loaded) {
        reply_error(request, 503, "redis_unavailable", NULL,
                    "The sources have not been read from Redis yet; try again.");
        return;
    }
    struct received_header headers[LIMIT_HTTP_HEADERS];
    struct receiving in = {
        .api = api, .request = request, .source = sources_find(sources, name), .headers = headers};
    if (!in.source) {
        sources_count_unknown(sources);
        reply_error(request, 404, "source_not_found", NULL, "There is no source of this name.");
        return;
    }
    if (!in.source->active)
        refuse(&in, SOURCE_INACTIVE);
    else
        judge(&in);
}
