/* feed_claims.c - what publish.lua is told of entries of streams.
 *
 * Three texts for each stream, whatever the number of entries. As long as the stream begins with
 * what is published, which it does when one replica reads it, Redis looks at the rows alone: it
 * cuts the stream off behind each of them. The single ids are for when it does not.
 */
#include "core/feed_claims.h"

#include <assert.h>

enum { NUMBERS_BYTES = 12, CLAIM_BYTES_MAX = LIMIT_BATCH_EVENTS * 2 * STREAM_ID_TEXT * 2 };

static void put_le(struct buf *buf, uint32_t value)
{
    const uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                             (uint8_t)(value >> 24)};
    buf_add(buf, bytes, sizeof(bytes));
}

static void put_id(struct buf *buf, const struct stream_id *id)
{
    char text[STREAM_ID_TEXT];
    buf_add_slice(buf, stream_id_format(id, text));
    buf_add_char(buf, ' ');
}

static struct feed_claim *claim_of(struct feed_claims *claims, const char *feed)
{
    for (size_t i = 0; i < claims->count; i++)
        if (claims->streams[i].feed == feed)
            return &claims->streams[i];
    assert(claims->count < LIMIT_FEEDS);
    struct feed_claim *claim = &claims->streams[claims->count++];
    *claim = (struct feed_claim){.feed = feed};
    buf_init(&claim->runs, CLAIM_BYTES_MAX);
    buf_init(&claim->ids, CLAIM_BYTES_MAX);
    buf_init(&claim->numbers, LIMIT_BATCH_EVENTS * NUMBERS_BYTES);
    return claim;
}

/* Behind the greatest id that there is nothing can be cut off. No stream begins with 0-0, so the
 * entries of that row are looked at one by one. */
static void end_run(struct feed_claim *claim)
{
    struct stream_id behind = stream_id_next(&claim->last);
    bool greatest = stream_id_compare(&behind, &claim->last) == 0;
    char digits[DIGITS_MAX];
    put_id(&claim->runs, greatest ? &(struct stream_id){0, 0} : &claim->run_first);
    put_id(&claim->runs, &behind);
    buf_add_slice(&claim->runs, digits_u64(digits, claim->run_count));
    buf_add_char(&claim->runs, ' ');
}

void feed_claims_add(struct feed_claims *claims, const struct feed_entry *entry,
                     uint32_t first_ordinal, uint32_t ordinals, uint32_t refused_bit)
{
    struct feed_claim *claim = claim_of(claims, entry->feed);
    bool goes_on = claim->run_count > 0 && stream_id_compare(&claim->last, &entry->before) == 0;
    if (claim->run_count > 0 && !goes_on)
        end_run(claim);
    if (!goes_on) {
        claim->run_first = entry->id;
        claim->run_count = 0;
    }
    claim->run_count++;
    claim->last = entry->id;
    put_id(&claim->ids, &entry->id);
    put_le(&claim->numbers, first_ordinal);
    put_le(&claim->numbers, ordinals);
    put_le(&claim->numbers, refused_bit);
}

enum status feed_claims_end(struct feed_claims *claims)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < claims->count; i++) {
        struct feed_claim *claim = &claims->streams[i];
        end_run(claim);
        if (buf_status(&claim->runs) != ST_OK || buf_status(&claim->ids) != ST_OK ||
            buf_status(&claim->numbers) != ST_OK)
            status = ST_NOMEM;
    }
    return status;
}

void feed_claims_free(struct feed_claims *claims)
{
    for (size_t i = 0; i < claims->count; i++) {
        buf_free(&claims->streams[i].runs);
        buf_free(&claims->streams[i].ids);
        buf_free(&claims->streams[i].numbers);
    }
    claims->count = 0;
}
