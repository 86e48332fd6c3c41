/* log.h - logfmt lines on standard error, which never block the loop.
 *
 * A line is `time level event key=value …`; the event's name is stable ("delivery.failed"), values
 * with spaces are quoted by the caller with log_quote(). Lines go into a bounded buffer that is
 * written with a non-blocking write at the end of the turn (log_flush); what does not fit is
 * counted and reported in a later line. Payloads and secrets are never logged.
 */
#ifndef TROTLINE_BASE_LOG_H
#define TROTLINE_BASE_LOG_H

#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold; /* lines above it are dropped; LOG_INFO from the start */

/* "error", "warn", "info", "debug". */
const char *log_level_name(enum log_level level);

/* Writes one line. `event` is static; `format` gives the key=value part. */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_at(level, ...)                                                                         \
    do {                                                                                           \
        if ((level) <= log_threshold)                                                              \
            log_line((level), __VA_ARGS__);                                                        \
    } while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* `text` in double quotes, with control characters, quotes and backslashes escaped, cut to fit. The
 * result lives in one of eight static buffers of 512 bytes, used in turn. */
const char *log_quote(struct slice text);

/* Writes what is buffered, as far as that goes without blocking. */
void log_flush(void);

/* Writes all that is buffered, blocking if it must: before the process ends. */
void log_flush_all(void);

/* Lines dropped since the start because the buffer was full. */
uint64_t log_dropped(void);

#endif
