/* event_attempts.c - GET /api/events/{id}/attempts: the attempts of all deliveries of one event.
 *
 * Found where the deliveries are found (event_view.h), without a look at any endpoint's list: the
 * last few of a delivery that was retried are with its state or its outcome; one that succeeded at
 * once is its outcome, which keeps everything but the response.
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/attempts.h"
#include "api/event_view.h"
#include "api/events.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "core/attempt_log.h"

enum { ANSWER_BYTES_MAX = 4 * 1024 * 1024, TRIED_MOST = 1024 };

struct tried {
    struct id endpoint;
    struct attempt_record record; /* slices are the view's */
};

/* At most LIMIT_EVENT_ATTEMPTS of one delivery; returns their number. */
static size_t collect(const struct event_view *view, const struct event_view_delivery *delivery,
                      struct tried *out)
{
    struct outcome outcome = delivery->outcome;
    struct mp_reader reader;
    size_t count = 0;
    mp_reader_init(&reader, delivery->field ? delivery->field->log : SLICE_NULL);
    while (count < LIMIT_EVENT_ATTEMPTS && attempt_log_next(&reader, &out[count].record))
        count++;
    if (delivery->field && delivery->field->final)
        outcome = delivery->field->outcome;
    if (count == 0 && outcome.status == OUTCOME_SENT) {
        out[0].record = (struct attempt_record){.number = outcome.attempts,
                                                .success = true,
                                                .status_code = outcome.status_code,
                                                .duration_ms = outcome.duration_ms,
                                                .at_ms = outcome.at_ms};
        count = 1;
    }
    for (size_t i = 0; i < count; i++) {
        struct attempt_record *record = &out[i].record;
        out[i].endpoint = delivery->endpoint;
        record->event_id = view->id;
        attempt_id(&record->id, &view->id, &delivery->endpoint, record->number, record->at_ms);
    }
    return count;
}

static int newest_first(const void *a, const void *b)
{
    const struct attempt_record *x = &((const struct tried *)a)->record;
    const struct attempt_record *y = &((const struct tried *)b)->record;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? 1 : -1;
    if (x->number != y->number)
        return x->number < y->number ? 1 : -1;
    return memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
}

/* Sorts, and leaves no more than were asked for. */
static size_t cut(struct tried *tried, size_t count, uint64_t limit)
{
    qsort(tried, count, sizeof(*tried), newest_first);
    return count < limit ? count : (size_t)limit;
}

static void render(struct event_view *view)
{
    struct http_request *request = view->request;
    size_t count = 0;
    struct tried *tried = calloc(TRIED_MOST, sizeof(*tried));
    if (!tried) {
        event_view_free(view);
        reply_failed(request, ST_NOMEM);
        return;
    }
    for (size_t i = 0; i < event_view_count(view); i++) {
        struct event_view_delivery delivery = event_view_at(view, i);
        if (count > TRIED_MOST - LIMIT_EVENT_ATTEMPTS)
            count = cut(tried, count, view->limit);
        count += collect(view, &delivery, tried + count);
    }
    count = cut(tried, count, view->limit);
    struct buf body;
    struct json_out out;
    buf_init(&body, ANSWER_BYTES_MAX);
    attempts_begin(&out, &body);
    for (size_t i = 0; i < count; i++)
        attempts_add(&out, &tried[i].record, &tried[i].endpoint);
    attempts_end(&out, count);
    free(tried);
    event_view_free(view);
    reply_json(request, 200, &body, NULL);
}

void events_attempts(struct api *api, struct http_request *request, struct slice id)
{
    uint64_t most;
    if (attempts_limit(request, &most))
        event_view_read(api, request, id, most, render);
}
