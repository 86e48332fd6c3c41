/* batch.h - the unit of durability: the events accepted in one turn, packed in one blob, with the
 * resolved list of their deliveries.
 *
 *   BUILDING --seal--> SEALED --sent--> STORING --stored--> OPEN --all finished or moved--> CLOSING
 *                                                                                              |
 *                                            memory goes back when nobody refers to it <-- CLOSED
 *
 * A delivery's place in the batch is its ordinal: message 0's targets first, then message 1's.
 * Progress bits, outcomes and recovery all speak of ordinals; nobody matches again (DESIGN.md
 * 5b.5).
 *
 * Blob: msgpack values one behind the other: an array [format, time in ms], then for each message
 * its id (bin of 20 bytes), its record (event_record.h), and its targets (bin of 20 bytes each).
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
#include "core/outcome.h"
#include "wire/event_record.h"

enum { BATCH_ID_BYTES = 13, BATCH_ID_TEXT = 2 * BATCH_ID_BYTES + 1, TARGET_BYTES = 20 };

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
    uint8_t id[BATCH_ID_BYTES];
    struct buf blob;
    uint64_t created_at_ms; /* unix */
    uint64_t opened_at_ms;  /* monotonic */
    uint64_t accepted_us;   /* monotonic, of its first event; 0: by another process */
    uint32_t message_count;
    uint32_t ordinal_count;
    bool taken_away;   /* another replica has it, and a delivery of it: that one closes it */
    uint32_t sendings; /* how often it was sent to Redis; 0: it was adopted */
    unsigned refs;     /* 1 for being unfinished, 1 for each reference to one of its messages */

    /* From here on: once parsed. */
    struct message *messages;
    struct batch_slot *slots; /* one for each ordinal */
    uint32_t pending;         /* ordinals neither finished nor moved */
    uint32_t unmarked;        /* finished, but not yet in the progress bitmap */
    uint32_t expand_message;  /* where expansion into deliveries stands */
    uint32_t expand_target;
    void (*on_free)(void *arg, struct batch *batch);
    void *free_arg;
};

enum slot_state { SLOT_PENDING, SLOT_FINISHED, SLOT_MOVED };

struct batch_slot {
    struct delivery *delivery; /* while it is in memory */
    uint8_t state;             /* enum slot_state */
    bool marked;               /* its progress bit is set, or on its way */
    uint8_t outcome[OUTCOME_BYTES];
};

/* A new empty batch of this time; `nonce` names it together with the time. NULL: out of memory. */
struct batch *batch_new(uint64_t wall_ms, uint64_t nonce, size_t bytes_max);

/* Frees a batch that was never stored or whose last reference is gone. Accepts NULL. */
void batch_free(struct batch *batch);

/* Appends an event; targets is a sequence of 20-byte endpoint ids. On failure (ST_LIMIT, ST_NOMEM)
 * the batch is as before and *id means nothing. *id is the event's new id. Only while BUILDING. */
MUST_CHECK enum status batch_add(struct batch *batch, const struct event_record *record,
                                 struct slice targets, struct id *id);

/* Reads the blob and fills messages and slots: after sealing, and after adoption. ST_SYNTAX: the
 * blob is not one of ours; ST_NOMEM. */
MUST_CHECK enum status batch_parse(struct batch *batch);

/* A batch out of Redis: takes a copy of the blob and parses it. Statuses as above; ST_SYNTAX also
 * when `id_text` is not a batch's name, or the blob is another batch's. *out only when ST_OK. */
MUST_CHECK enum status batch_load(const char *id_text, struct slice blob, struct batch **out);

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
