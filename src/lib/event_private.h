/* event_private.h - what an event of the library consists of. For the lib_event*.c files only. */
#ifndef TROTLINE_LIB_EVENT_PRIVATE_H
#define TROTLINE_LIB_EVENT_PRIVATE_H

#include "lib/lib_private.h"
#include "trotline/event.h"
#include "wire/event_document.h"

enum event_text {
    EVENT_TYPE,
    EVENT_VERSION,
    EVENT_SOURCE,
    EVENT_UID,
    EVENT_IDEMPOTENCY_KEY,
    EVENT_ORDERING_KEY,
    EVENT_DATA, /* JSON */
    EVENT_TEXTS
};

struct trotline_event {
    struct buf texts[EVENT_TEXTS]; /* each with a NUL; one that could not be kept is failed */
    bool has[EVENT_TEXTS];
    uint64_t timestamp_ms, deliver_at_ms, delay_ms; /* 0: none */
    struct buf written;
};

/* SLICE_NULL: the event does not have it. */
struct slice event_text(const struct trotline_event *event, enum event_text which);

/* Reads as the server does. INVALID_EVENT with `error` filled; NO_MEMORY. The document must be
 * freed in any case. */
enum trotline_status event_judge(struct event_document *document, enum event_format format,
                                 struct slice bytes, uint64_t now_ms, struct trotline_error *error);

#endif
