/* archive.h - a line of JSON in a file for each finished delivery, written by another process.
 *
 * Optional, and never in the way: a line that the writer (base/writer.h) does not take is dropped
 * and counted. A delivery has one line for each time it ends (again after a replay). As delivery
 * itself it is "at least once": after a crash a repeated delivery has a second line.
 */
#ifndef TROTLINE_CORE_ARCHIVE_H
#define TROTLINE_CORE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "core/delivery.h"
#include "net/reactor.h"

struct archive;

struct archive_options {
    const char *file; /* a path from the present directory; copied */
    uint64_t max_bytes;
    uint64_t files; /* rotated ones that are kept */
};

/* Checks that the file can be written and starts the process. NULL with a sentence in `error`.
 * SIGPIPE must be ignored. */
struct archive *archive_new(struct reactor *reactor, const struct archive_options *options,
                            char *error, size_t error_bytes);

/* Waits up to `within_ms` for the last lines to be written. Accepts NULL. */
void archive_free(struct archive *archive, uint64_t within_ms);

enum archive_status { ARCHIVE_NOT, ARCHIVE_SENT, ARCHIVE_DEAD, ARCHIVE_CANCELLED };

/* How a delivery ended, or that it did not. */
struct archive_end {
    enum archive_status status;
    uint16_t status_code; /* of the last attempt; 0: none came */
    bool timed;           /* an attempt has just been made, which took so long: */
    uint32_t duration_ms;
    const char *error; /* static memory; "": none */
};

/* One line. Texts are borrowed. */
struct archive_record {
    struct archive_end end;
    struct slice event_id, type, endpoint_id;
    uint32_t attempts;
    uint64_t accepted_at_ms; /* 0: not known */
};

/* Adds a line, to be written at the end of the turn; none for ARCHIVE_NOT. NULL: there is no
 * archive. */
void archive_write(struct archive *archive, const struct archive_record *record);

/* The same for a delivery in hand. */
void archive_delivery(struct archive *archive, const struct delivery *delivery,
                      const struct archive_end *end);

/* Lines lost since the start. NULL: 0. */
uint64_t archive_dropped(const struct archive *archive);

#endif
