/* log.c - logfmt lines on standard error, which never block the loop.
 *
 * Standard error is often a pipe or a terminal shared with others, so O_NONBLOCK (which belongs to
 * the open file, not to us) is not set on it; poll() says whether a write of up to PIPE_BUF bytes
 * will block.
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

enum { BUFFER_BYTES = 256 * 1024, LINE_BYTES = 4096, QUOTES = 8, QUOTE_BYTES = 512 };

/* What one more byte of a quoted text may need: four for itself, three for dots, a quote, a NUL. */
enum { QUOTE_ROOM = 9 };

enum log_level log_threshold = LOG_INFO;

static struct buf pending = {.max = BUFFER_BYTES};
static uint64_t dropped;
static uint64_t dropped_reported;

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    return names[level];
}

static void add_line(enum log_level level, const char *event, const char *fields)
{
    struct timespec now;
    struct tm tm;
    char line[LINE_BYTES + 128];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    int len =
        snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s%s%s\n",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 now.tv_nsec / 1000000, log_level_name(level), event, fields[0] ? " " : "", fields);
    if (len >= (int)sizeof(line)) {
        len = sizeof(line) - 1;
        line[len - 1] = '\n';
    }
    buf_add(&pending, line, (size_t)len);
    if (buf_status(&pending) != ST_OK) {
        pending.error = ST_OK; /* the lines before stay */
        dropped++;
    }
}

/* Says how many lines are missing, once there is room again. */
static void report_dropped(void)
{
    if (dropped == dropped_reported || pending.len >= BUFFER_BYTES / 2)
        return;
    char count[64];
    snprintf(count, sizeof(count), "lines=%llu", (unsigned long long)(dropped - dropped_reported));
    dropped_reported = dropped;
    add_line(LOG_WARN, "log.dropped", count);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char fields[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(fields, sizeof(fields), format, args);
    va_end(args);
    report_dropped();
    add_line(level, event, fields);
}

const char *log_quote(struct slice text)
{
    static char buffers[QUOTES][QUOTE_BYTES];
    static unsigned turn;
    char *out = buffers[turn++ % QUOTES];
    size_t at = 0;
    out[at++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (at + QUOTE_ROOM > QUOTE_BYTES) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (c == '"' || c == '\\') {
            out[at++] = '\\';
            out[at++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            at += (size_t)snprintf(out + at, 5, "\\x%02x", c);
        } else {
            out[at++] = (char)c;
        }
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

static bool writable(int timeout_ms)
{
    struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
    int ready;
    do
        ready = poll(&pfd, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready == 1 && (pfd.revents & POLLOUT);
}

static void write_some(int timeout_ms)
{
    while (pending.len > 0 && writable(timeout_ms)) {
        size_t chunk = pending.len < PIPE_BUF ? pending.len : PIPE_BUF;
        ssize_t written = write(STDERR_FILENO, pending.ptr, chunk);
        if (written <= 0) {
            if (written < 0 && errno == EINTR)
                continue;
            return;
        }
        buf_drop_front(&pending, (size_t)written);
    }
}

void log_flush(void)
{
    if (pending.len > 0)
        write_some(0);
}

void log_flush_all(void)
{
    write_some(1000);
    report_dropped();
    write_some(1000);
}

uint64_t log_dropped(void)
{
    return dropped;
}
