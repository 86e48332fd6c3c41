/* fuzz_batch.c - any bytes as a batch out of Redis, and as a record out of the schedule.
 *
 * What loads is consistent: ordinals and parts add up, every message is found by its own id, and
 * all of it lies within the blob. What was read, packed again as publishing does it, reads the
 * same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/limits.h"
#include "core/batch.h"
#include "wire/event_data.h"
#include "wire/event_headers.h"

static void check(bool truth)
{
    if (!truth)
        abort();
}

/* The name of the batch that the first message is of, so that the blob has a chance to load. */
static void name_of_blob(struct slice blob, char name[BATCH_ID_TEXT])
{
    struct mp_reader reader;
    struct id id = {{0}};
    mp_reader_init(&reader, blob);
    mp_skip(&reader);
    struct slice bytes = mp_read_bin(&reader);
    if (bytes.len == sizeof(id.bytes))
        memcpy(id.bytes, bytes.ptr, bytes.len);
    batch_name_of(&id, name);
}

static bool same(struct slice a, struct slice b)
{
    return slice_eq(a, b) && !a.ptr == !b.ptr;
}

static void check_same_record(const struct event_record *a, const struct event_record *b)
{
    check(same(a->application, b->application) && same(a->type, b->type));
    check(same(a->version, b->version) && same(a->source, b->source) && same(a->uid, b->uid));
    check(same(a->traceparent, b->traceparent) && same(a->tracestate, b->tracestate));
    check(same(a->data, b->data));
    check(a->timestamp_ms == b->timestamp_ms && a->deliver_at_ms == b->deliver_at_ms);
    check(a->received_ms == b->received_ms && a->data_kind == b->data_kind);
    check(a->verified == b->verified && same(a->content_type, b->content_type));
    check(same(a->headers, b->headers) && same(a->duplicate_of, b->duplicate_of));
}

/* Kept headers are within their bytes, each a string of its own; what is not JSON becomes it. */
static void check_received(const struct event_record *record)
{
    struct slice rest = record->headers, name, value;
    while (event_headers_next(&rest, &name, &value)) {
        const char *end = record->headers.ptr + record->headers.len;
        check(name.ptr >= record->headers.ptr && value.ptr + value.len < end);
        check(strlen(value.ptr) == value.len);
        check(rest.ptr == value.ptr + value.len + 1);
    }
    struct buf json;
    buf_init(&json, LIMIT_BATCH_BYTES);
    struct slice data = event_data_json(record, &json);
    check(buf_status(&json) == ST_OK);
    check(record->data_kind == EVENT_DATA_JSON || json_check(data, NULL) == ST_OK);
    buf_free(&json);
}

static void check_consistent(struct batch *batch)
{
    const char *begin = batch->blob.ptr, *end = begin + batch->blob.len;
    uint32_t ordinals = 0;
    check(batch->message_count > 0 && batch->message_count <= LIMIT_BATCH_EVENTS);
    for (uint32_t i = 0; i < batch->message_count; i++) {
        struct message *message = &batch->messages[i];
        char name[BATCH_ID_TEXT];
        batch_name_of(&message->id, name);
        check(strcmp(name, batch->id_text) == 0 && batch_index_of(&message->id) == i);
        check(batch_find(batch, &message->id) == message && message->batch == batch);
        check(message->first_ordinal == ordinals);
        check(message->targets.len == message->target_count * (size_t)TARGET_BYTES);
        check(message->raw.ptr >= begin && message->targets.ptr + message->targets.len <= end);
        ordinals += message->target_count;
        check_received(&message->record);

        struct message *alone;
        check(message_load(&message->id, message->raw, &alone) == ST_OK);
        check_same_record(&message->record, &alone->record);
        message_put(alone);
    }
    check(batch->ordinal_count == ordinals && batch->pending == ordinals);
}

/* Each ordinal is of one part, and the parts are all there is. */
static void check_parts(struct batch *batch)
{
    uint32_t counts[BATCH_PARTS_MAX + 1], sum = 0, part = 0;
    batch_divide(batch, counts);
    for (uint32_t i = 0; i <= BATCH_PARTS_MAX; i++) {
        sum += counts[i];
        check(i <= batch->part_count || counts[i] == 0);
    }
    check(sum == batch->ordinal_count);
    batch_hold_part(batch, batch->part_count);
    check(batch->pending == counts[batch->part_count]);
    check(batch->pending + batch->foreign == batch->ordinal_count);
    check(batch_member_part(slice_str(batch->member), &part) == ST_OK && part == batch->part);
}

/* Packs the messages anew, reads the result, and compares. */
static void check_again(const struct batch *batch)
{
    struct batch *again = batch_new(batch->created_at_ms, 1, LIMIT_BATCH_BYTES, NULL, 0);
    check(again != NULL);
    for (uint32_t i = 0; i < batch->message_count; i++) {
        struct id id;
        const struct message *message = &batch->messages[i];
        check(batch_add(again, &message->record, message->targets, &id) == ST_OK);
        check(batch_index_of(&id) == i);
    }
    check(batch_parse(again) == ST_OK);
    check_consistent(again);
    check(again->message_count == batch->message_count);
    check(again->ordinal_count == batch->ordinal_count);
    check(again->created_at_ms == batch->created_at_ms);
    for (uint32_t i = 0; i < batch->message_count; i++) {
        check_same_record(&batch->messages[i].record, &again->messages[i].record);
        check(slice_eq(batch->messages[i].targets, again->messages[i].targets));
    }
    batch_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice blob = slice_of(data, size);
    char name[BATCH_ID_TEXT];
    struct batch *batch;
    struct message *message;
    struct id id = {{0}};
    name_of_blob(blob, name);
    enum status status = batch_load(name, blob, &batch);
    check(status == ST_OK || status == ST_SYNTAX);
    if (status == ST_OK) {
        check_consistent(batch);
        check_again(batch);
        check_parts(batch);
        batch_free(batch);
    }
    if (message_load(&id, blob, &message) == ST_OK)
        message_put(message);
    return 0;
}
