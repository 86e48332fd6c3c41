/* archive.c - see archive.h.
 *
 * Losses are counted where they happen, here or in the other process, and looked for at the end of
 * each turn; the log says so at the first one and then once a minute while there are more.
 */
#include "core/archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "base/line_file.h"
#include "base/log.h"
#include "base/writer.h"
#include "base/writer_child.h"

enum {
    BUFFER_BYTES = 4 * 1024 * 1024,
    LINE_BYTES = 8 * LIMIT_TYPE_BYTES + 4096, /* a byte of the type may become "\u0000" */
    REPORT_MS = 60 * 1000
};

struct archive {
    struct writer *writer;
    struct writer_options options;
    char *argv[7];
    char *file;
    char max_bytes[24], files[24];
    struct buf line;
    uint64_t dropped_here; /* no memory for the line */
    uint64_t reported;
    uint64_t report_at_ms; /* monotonic; earlier there is no report */
};

/* ---- Lines ----------------------------------------------------------------------------------- */

static const char *status_of(enum archive_status status)
{
    static const char *const names[] = {"", "sent", "dead_letter", "cancelled"};
    return names[status];
}

static void add_number(struct json_out *json, const char *name, bool there, uint64_t number)
{
    if (there)
        json_member_u64(json, name, number);
    else
        json_member_null(json, name);
}

void archive_write(struct archive *archive, const struct archive_record *record)
{
    const struct archive_end *end = &record->end;
    if (!archive || end->status == ARCHIVE_NOT)
        return;
    struct json_out json;
    buf_clear(&archive->line);
    json_out_begin(&json, &archive->line);
    json_object_open(&json);
    json_member_time_ms(&json, "time", clock_wall_ms());
    json_member_str(&json, "eventId", record->event_id);
    json_member_str(&json, "type", record->type);
    json_member_str(&json, "webhookId", record->endpoint_id);
    json_member_cstr(&json, "status", status_of(end->status));
    json_member_u64(&json, "attempts", record->attempts);
    add_number(&json, "statusCode", end->status_code != 0, end->status_code);
    add_number(&json, "durationMs", end->timed, end->duration_ms);
    json_member_str_or_null(&json, "error", end->error[0] ? slice_str(end->error) : SLICE_NULL);
    if (record->accepted_at_ms)
        json_member_time_ms(&json, "acceptedAt", record->accepted_at_ms);
    else
        json_member_null(&json, "acceptedAt");
    json_object_close(&json);
    buf_add_char(&archive->line, '\n');
    if (buf_status(&archive->line) == ST_OK)
        writer_add(archive->writer, buf_slice(&archive->line));
    else
        archive->dropped_here++;
}

void archive_delivery(struct archive *archive, const struct delivery *delivery,
                      const struct archive_end *end)
{
    archive_write(archive, &(struct archive_record){
                               .end = *end,
                               .event_id = slice_str(delivery->message->id_text),
                               .type = delivery->message->record.type,
                               .endpoint_id = slice_str(delivery->endpoint->id_text),
                               .attempts = delivery->attempts,
                               .accepted_at_ms = delivery->accepted_at_ms,
                           });
}

/* ---- The end of a turn ----------------------------------------------------------------------- */

uint64_t archive_dropped(const struct archive *archive)
{
    return archive ? archive->dropped_here + writer_dropped(archive->writer) : 0;
}

static void report(struct archive *archive, uint64_t dropped)
{
    int error = writer_last_error(archive->writer);
    log_warn("archive.dropped", "lines=%llu last_error=%s",
             (unsigned long long)(dropped - archive->reported),
             log_quote(slice_str(error ? strerror(error) : "")));
    archive->reported = dropped;
    archive->report_at_ms = clock_mono_ms() + REPORT_MS;
}

static void on_turn(void *arg)
{
    struct archive *archive = arg;
    writer_flush(archive->writer);
    uint64_t dropped = archive_dropped(archive);
    if (dropped != archive->reported && clock_mono_ms() >= archive->report_at_ms)
        report(archive, dropped);
}

/* ---- Start and stop -------------------------------------------------------------------------- */

static bool check_file(const char *file, char *error, size_t error_bytes)
{
    enum status status = line_file_check(file);
    if (status != ST_OK)
        snprintf(error, error_bytes, "archive.file: cannot write %s: %s", file,
                 status == ST_RANGE ? "it is not an ordinary file" : strerror(errno));
    return status == ST_OK;
}

static bool start_writer(struct archive *archive, const struct archive_options *options)
{
    static char name[] = "trotline", command[] = WRITER_COMMAND, target[] = "file";
    archive->file = strdup(options->file);
    if (!archive->file)
        return false;
    snprintf(archive->max_bytes, sizeof(archive->max_bytes), "%llu",
             (unsigned long long)options->max_bytes);
    snprintf(archive->files, sizeof(archive->files), "%llu", (unsigned long long)options->files);
    char *const argv[] = {name,           command, target, archive->file, archive->max_bytes,
                          archive->files, NULL};
    memcpy(archive->argv, argv, sizeof(argv));
    archive->options = (struct writer_options){
        .name = "archive", .argv = archive->argv, .buffer_bytes = BUFFER_BYTES};
    archive->writer = writer_start(&archive->options);
    return archive->writer != NULL;
}

struct archive *archive_new(struct reactor *reactor, const struct archive_options *options,
                            char *error, size_t error_bytes)
{
    if (!check_file(options->file, error, error_bytes))
        return NULL;
    struct archive *archive = calloc(1, sizeof(*archive));
    if (archive) {
        buf_init(&archive->line, LINE_BYTES);
        if (start_writer(archive, options)) {
            reactor_add_hook(reactor, "archive", on_turn, archive);
            return archive;
        }
    }
    snprintf(error, error_bytes, "cannot start the archive's writer: %s", strerror(errno));
    archive_free(archive, 0);
    return NULL;
}

void archive_free(struct archive *archive, uint64_t within_ms)
{
    if (!archive)
        return;
    writer_stop(archive->writer, within_ms);
    buf_free(&archive->line);
    free(archive->file);
    free(archive);
}
