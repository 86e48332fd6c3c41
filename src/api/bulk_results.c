/* bulk_results.c - what became of each event of a batch request.
 *
 * Verdicts come in any order, each with a pointer to its result; a result knows its place in its
 * block, and so its block and its owner, without a word of memory for that. The answer is written
 * once, at the end, in the order of the events.
 */
#include "api/bulk_results.h"

#include <stdlib.h>

#include "base/digits.h"
#include "base/json_out.h"

enum {
    BLOCK_RESULTS = 128,
    ERROR_TEXTS_MAX = 1024 * 1024, /* of a request */
    STORED_BYTES_MAX = ID_TEXT_MAX + DIGITS_MAX + 32
};

struct block {
    struct list node;
    struct bulk_results *results;
    struct bulk_result items[BLOCK_RESULTS];
};

void bulk_results_init(struct bulk_results *results, void *owner)
{
    *results = (struct bulk_results){.owner = owner};
    list_init(&results->blocks);
    buf_init(&results->errors, ERROR_TEXTS_MAX);
}

void bulk_results_free(struct bulk_results *results)
{
    struct list *node;
    while ((node = list_pop_front(&results->blocks)))
        free(CONTAINER_OF(node, struct block, node));
    buf_free(&results->errors);
}

struct bulk_result *bulk_results_add(struct bulk_results *results)
{
    uint32_t at = results->count % BLOCK_RESULTS;
    if (at == 0) {
        struct block *block = malloc(sizeof(*block));
        if (!block)
            return NULL;
        list_init(&block->node);
        block->results = results;
        list_push_back(&results->blocks, &block->node);
        results->bytes += sizeof(*block);
    }
    struct block *last = CONTAINER_OF(results->blocks.prev, struct block, node);
    struct bulk_result *result = &last->items[at];
    result->kind = BULK_WAITS;
    result->at = (uint8_t)at;
    result->bytes = 0;
    results->count++;
    return result;
}

struct bulk_results *bulk_result_owner(struct bulk_result *result)
{
    struct bulk_result *first = result - result->at;
    return CONTAINER_OF(first, struct block, items[0])->results;
}

void bulk_result_stored(struct bulk_results *results, struct bulk_result *result,
                        const char *event_id, uint32_t deliveries)
{
    result->kind = BULK_STORED;
    result->deliveries = deliveries;
    memcpy(result->is.id, event_id, strlen(event_id) + 1);
    results->accepted++;
}

void bulk_result_refused(struct bulk_results *results, struct bulk_result *result,
                         enum publish_verdict verdict)
{
    result->kind = BULK_REFUSED;
    result->is.refusal = events_refusal(verdict);
    if (result->is.refusal->status == 503 && !results->unavailable)
        results->unavailable = result->is.refusal;
    results->rejected++;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* The value of "error". */
static void write_error(struct buf *out, const char *code, const char *message, const char *field)
{
    struct json_out json;
    json_out_begin(&json, out);
    json_object_open(&json);
    json_member_cstr(&json, "code", code);
    if (message)
        json_member_cstr(&json, "message", message);
    if (field && field[0] != '\0')
        json_member_cstr(&json, "field", field);
    json_object_close(&json);
}

void bulk_result_invalid(struct bulk_results *results, struct bulk_result *result,
                         const struct field_error *error)
{
    struct buf *texts = &results->errors;
    size_t from = texts->len;
    results->rejected++;
    results->bytes -= texts->cap;
    write_error(texts, error->code, error->message, error->field);
    results->bytes += texts->cap;
    if (buf_status(texts) == ST_OK) {
        result->kind = BULK_INVALID;
        result->is.text.from = (uint32_t)from;
        result->is.text.len = (uint32_t)(texts->len - from);
    } else { /* what failed stays failed, so the rest is told by codes, too */
        result->kind = BULK_CODE;
        result->is.code = error->code;
    }
}

/* ---- The answer ------------------------------------------------------------------------------ */

bool bulk_results_unavailable(const struct bulk_results *results)
{
    return results->accepted == 0 && results->unavailable;
}

static void write_stored(struct buf *out, const struct bulk_result *result)
{
    char text[STORED_BYTES_MAX];
    char number[DIGITS_MAX];
    struct slice digits = digits_u64(number, result->deliveries);
    char *end = stpcpy(text, "{\"id\":\"");
    end = stpcpy(end, result->is.id);
    end = stpcpy(end, "\",\"deliveries\":");
    end = mempcpy(end, digits.ptr, digits.len);
    *end++ = '}';
    buf_add(out, text, (size_t)(end - text));
}

static void write_failed(struct buf *out, const struct bulk_results *results,
                         const struct bulk_result *result)
{
    buf_add_slice(out, SLICE("{\"error\":"));
    if (result->kind == BULK_REFUSED)
        write_error(out, result->is.refusal->code, result->is.refusal->message,
                    result->is.refusal->field);
    else if (result->kind == BULK_INVALID)
        buf_add(out, results->errors.ptr + result->is.text.from, result->is.text.len);
    else
        write_error(out, result->is.code, NULL, NULL);
    buf_add_char(out, '}');
}

static void write_block(struct buf *out, const struct bulk_results *results,
                        const struct block *block, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct bulk_result *result = &block->items[i];
        if (result->kind == BULK_STORED)
            write_stored(out, result);
        else
            write_failed(out, results, result);
        buf_add_char(out, ',');
    }
}

void bulk_results_write(const struct bulk_results *results, struct buf *out)
{
    uint32_t left = results->count;
    uint32_t rejected = results->rejected + results->is_broken;
    buf_expect(out, 256 + (size_t)results->accepted * (STORED_BYTES_MAX - 8));
    buf_add_char(out, '{');
    if (bulk_results_unavailable(results)) {
        buf_add_slice(out, SLICE("\"error\":"));
        write_error(out, results->unavailable->code, results->unavailable->message, NULL);
        buf_add_char(out, ',');
    }
    buf_add_slice(out, SLICE("\"results\":["));
    LIST_FOREACH(node, &results->blocks)
    {
        uint32_t count = left < BLOCK_RESULTS ? left : BLOCK_RESULTS;
        write_block(out, results, CONTAINER_OF(node, struct block, node), count);
        left -= count;
    }
    if (results->is_broken) {
        buf_add_slice(out, SLICE("{\"error\":"));
        write_error(out, results->broken.code, results->broken.message, results->broken.field);
        buf_add_char(out, '}');
    } else if (results->count > 0) {
        out->len -= buf_status(out) == ST_OK; /* the last comma */
    }
    buf_add_slice(out, SLICE("],\"accepted\":"));
    buf_add_u64(out, results->accepted);
    buf_add_slice(out, SLICE(",\"rejected\":"));
    buf_add_u64(out, rejected);
    buf_add_char(out, '}');
}
