/* bulk_results.h - what became of each event of a batch request, and the answer that tells it.
 *
 * A result is a few dozen bytes until its event is answered, in blocks that do not move; errors are
 * written as JSON when they occur, up to a bound: those behind it are told by their code alone.
 */
#ifndef TROTLINE_API_BULK_RESULTS_H
#define TROTLINE_API_BULK_RESULTS_H

#include "api/events.h"
#include "base/buf.h"
#include "base/field_error.h"
#include "base/id.h"
#include "base/list.h"

enum bulk_kind {
    BULK_WAITS, /* for Redis */
    BULK_STORED,
    BULK_REFUSED, /* by a verdict */
    BULK_INVALID, /* for what it says */
    BULK_CODE     /* the same, and there was no room for the text */
};

struct bulk_result {
    uint8_t kind;   /* enum bulk_kind */
    uint8_t at;     /* in its block */
    uint32_t bytes; /* the event's, for whoever counts what waits */
    uint32_t deliveries;
    union {
        char id[ID_TEXT_MAX];
        const struct events_refusal *refusal;
        const char *code;
        struct {
            uint32_t from, len; /* in `errors` */
        } text;
    } is;
};

struct bulk_results {
    void *owner;
    struct list blocks;
    uint32_t count, accepted, rejected; /* count: with those that wait */
    struct buf errors;
    size_t bytes;                             /* of memory, in all */
    const struct events_refusal *unavailable; /* the first with status 503; NULL: none */
    /* The end of the reading before the end of the body: one more result, the last. */
    struct field_error broken;
    bool is_broken;
};

void bulk_results_init(struct bulk_results *results, void *owner);
void bulk_results_free(struct bulk_results *results);

/* The next event's, which waits. NULL: out of memory. */
struct bulk_result *bulk_results_add(struct bulk_results *results);

/* The results that it is one of. */
struct bulk_results *bulk_result_owner(struct bulk_result *result);

/* Each once for a result that waits; `results` are those that it is one of. */
void bulk_result_stored(struct bulk_results *results, struct bulk_result *result,
                        const char *event_id, uint32_t deliveries);
void bulk_result_refused(struct bulk_results *results, struct bulk_result *result,
                         enum publish_verdict verdict);
void bulk_result_invalid(struct bulk_results *results, struct bulk_result *result,
                         const struct field_error *error);

/* Nothing was accepted, and for some that is not the producer's fault: the whole is a 503. */
bool bulk_results_unavailable(const struct bulk_results *results);

/* The whole answer, when nothing waits any more. */
void bulk_results_write(const struct bulk_results *results, struct buf *out);

#endif
