/* log.h - one line for what happened, in logfmt or JSON, on standard error; never blocks the loop.
 *
 *     2026-11-22T04:23:54.123Z info delivery.failed endpoint=ep_… attempt=3 detail="…"
 *     {"time":"2026-11-22T04:23:54.123Z","level":"info","event":"delivery.failed",…}
 *
 * The event's name is stable; the part before its dot is the component, which can have a level of
 * its own (log_levels.h). Values are numbers, words, or texts in log_quote(). Payloads and secrets
 * are never logged.
 *
 * Lines go into a bounded buffer; log_flush() hands it on at the end of the turn. In the server
 * another process writes them (writer.h); without it (other commands, start, end) they go to
 * standard error directly, as far as poll() says that it takes them. What does not fit is counted
 * and reported in a later line.
 */
#ifndef TROTLINE_BASE_LOG_H
#define TROTLINE_BASE_LOG_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

/* "error", "warn", "info", "debug". */
const char *log_level_name(enum log_level level);

/* One place in the source that logs. All of them stand in one section of the program, so that
 * changing a level means to walk over them, and asking whether a line is wanted is one comparison.
 * [Linux dynamic_debug] */
struct log_site {
    const char *event;
    enum log_level threshold; /* lines above it are not even formatted */
};

/* Writes one line. `event` is static; `format` gives the key=value part. */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_at(level, name, ...)                                                                   \
    do {                                                                                           \
        static struct log_site log_site_ = {(name), LOG_INFO};                                     \
        static struct log_site *const log_place_ __attribute__((section("log_sites"), used)) =     \
            &log_site_;                                                                            \
        if ((int)(level) <= (int)log_site_.threshold)                                              \
            log_line((level), (name), __VA_ARGS__);                                                \
    } while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* `text` in double quotes, with control characters, quotes, backslashes and what is not UTF-8
 * escaped, cut to fit. The result lives in one of eight static buffers of 512 bytes, used in turn.
 */
const char *log_quote(struct slice text);

/* From now on every line ends with this field ("worker=2"): of processes that write to one place.
 * Static memory; "": none. */
void log_set_mark(const char *field);

/* LOG_LOGFMT from the start. */
void log_set_format(enum log_format format);

/* Some lines for people (what to do next), between the others. In JSON they are left out. */
void log_plain(struct slice lines);

/* Hands on what is buffered, as far as that goes without blocking. */
void log_flush(void);

/* The same; without a writer it waits for standard error, up to a second. */
void log_flush_all(void);

/* From now on a process of its own writes. SIGPIPE must be ignored. ST_IO with errno. */
MUST_CHECK enum status log_writer_start(void);

/* Waits up to `within_ms` until it has written everything; later lines go directly again. Does
 * nothing when there is none. */
void log_writer_stop(uint64_t within_ms);

/* Lines lost since the start. */
uint64_t log_dropped(void);

#endif
