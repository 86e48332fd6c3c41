/* batch.h - the unit of durability: the events accepted in one turn, packed in one blob, with the
 * resolved list of their deliveries.
 *
 *   BUILDING --seal--> SEALED --sent--> STORING --stored--> OPEN --all finished or moved--> CLOSING
 *                                                                                              |
 *                                            memory goes back when nobody refers to it <-- CLOSED
 *
 * A delivery's place in the batch is its ordinal: message 0's targets first, then message 1's.
 * Progress bits, outcomes and recovery all speak of ordinals; nobody matches again.
 *
 * Blob: msgpack values one behind the other: an array [1, time in ms] or [1, time in ms, masks],
 * then for each message its id (bin of 20 bytes), its record (event_record.h), and its targets (bin
 * of 20 bytes each). A large one is stored compressed: an array [2, its bytes], and behind that
 * one block of LZ4 (batch_stored()).
 *
 * Parts: a batch with deliveries for lanes that other replicas own has a part for each of these,
 * from 1 on. Its mask, 32 bytes of `masks`, names its lanes as they were when the batch was made;
 * part 0 is all the rest. Which part an ordinal is of follows from the lane of its target and the
 * masks, for ever, whoever owns the lane later. A replica holds a part, by its member of the
 * replica's journal ("<batch>" or "<batch>.<k>"), and takes the other ordinals for not there.
 *
 * A message's id carries the batch's name, so a delivered event is found without a key of its own:
 *   bytes 0-4 time   5-6 shard   7-14 batch nonce   15-16 index   17-19 random
 */
#ifndef TROTLINE_CORE_BATCH_H
#define TROTLINE_CORE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "core/lanes.h"
#include "core/outcome.h"
#include "wire/event_record.h"

enum { BATCH_ID_BYTES = 13, BATCH_ID_TEXT = 2 * BATCH_ID_BYTES + 1, TARGET_BYTES = 20 };
enum { BATCH_PARTS_MAX = 63 /* besides part 0 */, BATCH_MEMBER_TEXT = BATCH_ID_TEXT + 4 };

enum batch_state {
    BATCH_BUILDING,
    BATCH_SEALED,
    BATCH_STORING,
    BATCH_OPEN,
    BATCH_CLOSING,
    BATCH_CLOSED
};
const char *batch_state_name(enum batch_state state);

struct batch;

/* One event in memory: in a batch, or standing alone when it came from the schedule. */
struct message {
    struct batch *batch; /* whose reference is counted; NULL: it stands alone */
    unsigned refs;       /* of one that stands alone */
    struct id id;
    char id_text[ID_TEXT_MAX];
    struct event_record record;
    struct slice raw;     /* the record's bytes */
    struct slice targets; /* endpoint ids */
    uint32_t first_ordinal;
    uint32_t target_count;
};

struct batch {
    struct list node;
    struct map_node by_id;
    enum batch_state state;
    char id_text[BATCH_ID_TEXT];
    char member[BATCH_MEMBER_TEXT]; /* of a journal: the part that is held here */
    uint8_t id[BATCH_ID_BYTES];
    uint8_t part;
    uint8_t part_count; /* parts there can be besides part 0 */
    struct buf blob;
    size_t stored_bytes;    /* of the blob in Redis */
    uint64_t created_at_ms; /* unix */
    uint64_t opened_at_ms;  /* monotonic */
    uint64_t accepted_us;   /* monotonic, of its first event; 0: by another process */
    uint32_t message_count;
    uint32_t ordinal_count;
    bool taken_away;   /* another replica has it, and a delivery of it: that one closes it */
    bool recovered;    /* some ordinals were known to be done when it was opened */
    uint32_t sendings; /* how often it was sent to Redis; 0: it was read from there */
    unsigned refs;     /* 1 for being unfinished, 1 for each reference to one of its messages */

    /* From here on: once parsed. */
    struct message *messages;
    struct batch_slot *slots; /* one for each ordinal */
    struct slice masks;       /* into the blob */
    uint32_t foreign;         /* ordinals of other parts */
    uint32_t pending;         /* of this part's ordinals, neither finished nor moved */
    uint32_t unmarked;        /* finished, but not yet in the progress bitmap */
    uint32_t expand_message;  /* where expansion into deliveries stands */
    uint32_t expand_target;
    void (*on_free)(void *arg, struct batch *batch);
    void *free_arg;
};

enum slot_state { SLOT_PENDING, SLOT_FINISHED, SLOT_MOVED, SLOT_FOREIGN /* of another part */ };

struct batch_slot {
    struct delivery *delivery; /* while it is in memory */
    uint8_t state;             /* enum slot_state */
    uint8_t part;              /* which it is of; known after batch_divide() */
    bool marked;               /* its progress bit is set, or on its way */
    uint8_t outcome[OUTCOME_BYTES];
};

/* A new empty batch of this time; `nonce` names it together with the time. `parts`: the lanes of
 * the other replicas, at most BATCH_PARTS_MAX. NULL: out of memory. */
struct batch *batch_new(uint64_t wall_ms, uint64_t nonce, size_t bytes_max,
                        const struct lanes_part *parts, size_t part_count);

/* Frees a batch that was never stored or whose last reference is gone. Accepts NULL. */
void batch_free(struct batch *batch);

/* Appends an event; targets is a sequence of 20-byte endpoint ids. On failure (ST_LIMIT, ST_NOMEM)
 * the batch is as before and *id means nothing. *id is the event's new id. Only while BUILDING. */
MUST_CHECK enum status batch_add(struct batch *batch, const struct event_record *record,
                                 struct slice targets, struct id *id);

/* Reads the blob and fills messages and slots: after sealing, and after adoption. ST_SYNTAX: the
 * blob is not one of ours; ST_NOMEM. */
MUST_CHECK enum status batch_parse(struct batch *batch);

/* What Redis is to keep: the blob, or, if it is large and becomes shorter by that, what
 * `compressed` then has: of events of a KiB in JSON about two fifths, for 0.5 to 1 us each. The
 * caller frees `compressed`, which is empty; without memory for it the blob goes as it is. */
struct slice batch_stored(struct batch *batch, struct buf *compressed);

/* A batch out of Redis: takes a copy of the blob, as it was before it was stored, and parses it.
 * Statuses as above; ST_SYNTAX also when `id_text` is not a batch's name, or the blob is another
 * batch's. *out only when ST_OK. */
MUST_CHECK enum status batch_load(const char *id_text, struct slice blob, struct batch **out);

/* Once it is parsed: finds out which part each ordinal is of. counts[k]: the ordinals of part k.
 * Costs about 0.1 us an ordinal when there are masks. */
void batch_divide(struct batch *batch, uint32_t counts[BATCH_PARTS_MAX + 1]);

/* Once it is divided, and before anything is done with its slots: from now on this is that part of
 * the batch alone, and the other ordinals are foreign. */
void batch_hold_part(struct batch *batch, uint32_t part);

/* The progress bitmap has a bit for each ordinal, and behind these one for each event that says
 * that it was refused. */
static inline uint32_t batch_refused_bit(const struct batch *batch, uint32_t index)
{
    return batch->ordinal_count + index;
}

/* The number in a member of a journal, 0 for "<batch>". ST_SYNTAX: it is no such member. */
MUST_CHECK enum status batch_member_part(struct slice member, uint32_t *part);

/* The name of the batch that a message id belongs to. */
void batch_name_of(const struct id *message, char out[BATCH_ID_TEXT]);
uint32_t batch_index_of(const struct id *message);

/* The message with this id, or NULL. */
struct message *batch_find(struct batch *batch, const struct id *id);

void batch_get(struct batch *batch);
void batch_put(struct batch *batch);

struct message *message_get(struct message *message);
void message_put(struct message *message);

/* A message out of the schedule: copies the record. ST_SYNTAX, ST_NOMEM. One reference. */
MUST_CHECK enum status message_load(const struct id *id, struct slice record, struct message **out);

/* Bytes of memory a parsed batch holds. */
size_t batch_bytes(const struct batch *batch);

#endif
