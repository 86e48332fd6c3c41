/* log.c - see log.h.
 *
 *     log_line --> one line --writer there?--> its buffer --log_flush--> its process
 *                                 |
 *                                 no --> `pending` --log_flush--> standard error
 *
 * Without a writer: standard error is often a pipe or a terminal shared with others, so O_NONBLOCK
 * (which belongs to the open file, not to us) is not set on it; poll() says whether a write of up
 * to PIPE_BUF bytes will block. That is good enough for a client's few lines, not for the server:
 * others may fill the pipe in between, and a terminal takes less than poll() promises.
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log_json.h"
#include "base/utf8.h"
#include "base/writer.h"
#include "base/writer_child.h"

enum {
    BUFFER_BYTES = 256 * 1024,
    LINE_BYTES = 4096,
    JSON_BYTES = 8 * LINE_BYTES, /* a byte may become "\u0000" */
    QUOTES = 8,
    QUOTE_BYTES = 512,
    FLUSH_MS = 1000
};

/* What one more character of a quoted text may need: four for itself, three for dots, a quote, a
 * NUL. */
enum { QUOTE_ROOM = 9 };

static struct buf pending = {.max = BUFFER_BYTES};
static struct buf json = {.max = JSON_BYTES};
static enum log_format form;
static const char *mark = "";
static struct writer *writer;

static uint64_t dropped; /* here, and by earlier writers */
static uint64_t dropped_reported;
static uint64_t written_at_report;

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    return names[level];
}

void log_set_format(enum log_format format)
{
    form = format;
}

void log_set_mark(const char *field)
{
    mark = field;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void add(struct slice lines)
{
    if (writer) {
        writer_add(writer, lines);
        return;
    }
    buf_add_slice(&pending, lines);
    if (buf_status(&pending) != ST_OK) {
        pending.error = ST_OK; /* the lines before stay */
        dropped++;
    }
}

void log_plain(struct slice lines)
{
    if (form == LOG_LOGFMT)
        add(lines);
}

static void add_json(const char *time, enum log_level level, const char *event, struct slice fields)
{
    buf_clear(&json);
    buf_addf(&json, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time,
             log_level_name(level), event);
    log_json_fields(&json, fields);
    buf_add_str(&json, "}\n");
    if (buf_status(&json) == ST_OK)
        add(buf_slice(&json));
    else
        dropped++;
}

static void add_logfmt(const char *time, enum log_level level, const char *event,
                       struct slice fields)
{
    char line[LINE_BYTES + 128];
    int len = snprintf(line, sizeof(line), "%s %s %s%s%.*s\n", time, log_level_name(level), event,
                       fields.len > 0 ? " " : "", SLICE_ARGS(fields));
    if (len >= (int)sizeof(line)) {
        len = sizeof(line) - 1;
        line[len - 1] = '\n';
    }
    add(slice_of(line, (size_t)len));
}

/* One line must stay one line, whatever stood in a value that its caller did not quote. */
static void blank_controls(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void add_line(enum log_level level, const char *event, char *fields)
{
    char time[32];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(time + len, sizeof(time) - len, ".%03ldZ", now.tv_nsec / 1000000);
    blank_controls(fields);
    if (form == LOG_JSON)
        add_json(time, level, event, slice_str(fields));
    else
        add_logfmt(time, level, event, slice_str(fields));
}

/* Says how many lines are missing, once there is room again, and at most once between two lines
 * that were written: an output that is gone for good is not told that it is. */
static void report_dropped(void)
{
    uint64_t now = log_dropped();
    if (now == dropped_reported)
        return;
    if (writer ? !writer_has_room(writer) || writer_written(writer) == written_at_report
               : pending.len >= BUFFER_BYTES / 2)
        return;
    char count[64];
    snprintf(count, sizeof(count), "lines=%llu%s%s", (unsigned long long)(now - dropped_reported),
             mark[0] ? " " : "", mark);
    dropped_reported = now;
    if (writer)
        written_at_report = writer_written(writer);
    add_line(LOG_WARN, "log.dropped", count);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char fields[LINE_BYTES];
    /* A long line loses its own end, not the mark. */
    size_t room = sizeof(fields) - (mark[0] ? strlen(mark) + 1 : 0);
    va_list args;
    va_start(args, format);
    vsnprintf(fields, room, format, args);
    va_end(args);
    if (mark[0]) {
        size_t len = strlen(fields);
        snprintf(fields + len, sizeof(fields) - len, "%s%s", len > 0 ? " " : "", mark);
    }
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
    for (size_t i = 0, len; i < text.len; i += len ? len : 1) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (at + QUOTE_ROOM > QUOTE_BYTES) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        len = utf8_length(text.ptr + i, text.ptr + text.len);
        if (c == '"' || c == '\\') {
            out[at++] = '\\';
            out[at++] = (char)c;
        } else if (c < 0x20 || c == 0x7f || len == 0) {
            at += (size_t)snprintf(out + at, 5, "\\x%02x", c);
        } else {
            memcpy(out + at, text.ptr + i, len);
            at += len;
        }
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

/* ---- Standard error, directly ---------------------------------------------------------------- */

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

/* ---- Handing on ------------------------------------------------------------------------------ */

void log_flush(void)
{
    if (!writer) {
        if (pending.len > 0)
            write_some(0);
        return;
    }
    report_dropped();
    writer_flush(writer);
}

void log_flush_all(void)
{
    if (writer) {
        log_flush();
        return;
    }
    write_some(FLUSH_MS);
    report_dropped();
    write_some(FLUSH_MS);
}

enum status log_writer_start(void)
{
    static char name[] = "trotline", command[] = WRITER_COMMAND, target[] = "stderr";
    static char *const argv[] = {name, command, target, NULL};
    static const struct writer_options options = {
        .name = "log", .argv = argv, .buffer_bytes = BUFFER_BYTES};
    log_flush_all();
    writer = writer_start(&options);
    written_at_report = UINT64_MAX;
    return writer ? ST_OK : ST_IO;
}

void log_writer_stop(uint64_t within_ms)
{
    struct writer *ending = writer;
    if (!ending)
        return;
    report_dropped();
    dropped = log_dropped();
    writer = NULL;
    writer_stop(ending, within_ms);
}

uint64_t log_dropped(void)
{
    return dropped + (writer ? writer_dropped(writer) : 0);
}
