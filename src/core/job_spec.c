/* job_spec.c - what a job is to do, and how far it is.
 *
 * The stored spec is an array whose first member is the format; members are only ever added at its
 * end. A cursor is text, for people who look at a job in Redis: "endpoint score member index", "-"
 * for what it has not.
 */
#include "core/job_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "core/endpoint_config.h"
#include "net/outbound.h"
#include "wire/codec.h"

enum { FORMAT = 1, MEMBERS = 10 };

static const char *const kind_names[] = {"replay", "discard"};
static const char *const what_names[] = {"dead_letters", "events"};

const char *job_kind_name(enum job_kind kind)
{
    return kind_names[kind];
}

const char *job_what_name(enum job_what what)
{
    return what_names[what];
}

/* ---- Life ----------------------------------------------------------------------------------- */

void job_spec_init(struct job_spec *spec, enum job_kind kind)
{
    *spec = (struct job_spec){.kind = kind, .until_ms = JOB_NO_END};
}

void job_spec_free(struct job_spec *spec)
{
    for (size_t i = 0; i < spec->event_count; i++)
        free(spec->events[i]);
    free(spec->events);
    spec->events = NULL;
    spec->event_count = 0;
}

enum status job_spec_events(struct job_spec *spec, size_t count)
{
    spec->events = calloc(count, sizeof(*spec->events));
    if (!spec->events)
        return ST_NOMEM;
    spec->event_count = count;
    return ST_OK;
}

enum status job_spec_event(struct job_spec *spec, size_t index, struct slice text)
{
    spec->events[index] = strndup(text.ptr, text.len);
    return spec->events[index] ? ST_OK : ST_NOMEM;
}

/* ---- The stored form ------------------------------------------------------------------------ */

void job_spec_write(struct buf *buf, const struct job_spec *spec)
{
    mp_write_array(buf, MEMBERS);
    mp_write_u64(buf, FORMAT);
    mp_write_u64(buf, spec->kind);
    mp_write_u64(buf, spec->what);
    mp_write_str(buf, slice_str(spec->endpoint));
    mp_write_u64(buf, spec->since_ms);
    mp_write_u64(buf, spec->until_ms);
    mp_write_str(buf, slice_str(spec->type));
    mp_write_str(buf, slice_str(spec->error));
    mp_write_u64(buf, spec->rate);
    mp_write_array(buf, (uint32_t)spec->event_count);
    for (size_t i = 0; i < spec->event_count; i++)
        mp_write_str(buf, slice_str(spec->events[i]));
}

static void read_text(struct mp_reader *reader, char *out, size_t size)
{
    struct slice text = mp_read_str(reader);
    if (reader->error == ST_OK && (text.len >= size || memchr(text.ptr, '\0', text.len)))
        reader->error = ST_RANGE;
    if (reader->error == ST_OK)
        snprintf(out, size, "%.*s", SLICE_ARGS(text));
}

static uint64_t read_below(struct mp_reader *reader, uint64_t end)
{
    uint64_t value = mp_read_u64(reader);
    if (reader->error == ST_OK && value >= end)
        reader->error = ST_RANGE;
    return reader->error == ST_OK ? value : 0;
}

static void read_events(struct mp_reader *reader, struct job_spec *spec)
{
    uint32_t count = mp_read_array(reader);
    if (reader->error != ST_OK || count == 0)
        return;
    reader->error = job_spec_events(spec, count);
    for (uint32_t i = 0; i < count && reader->error == ST_OK; i++) {
        struct slice text = mp_read_str(reader);
        if (reader->error == ST_OK)
            reader->error = job_spec_event(spec, i, text);
    }
}

enum status job_spec_read(struct slice bytes, struct job_spec *spec)
{
    struct mp_reader reader;
    job_spec_init(spec, JOB_REPLAY);
    mp_reader_init(&reader, bytes);
    uint32_t members = mp_read_array(&reader);
    uint64_t format = mp_read_u64(&reader);
    if (reader.error == ST_OK && (members < MEMBERS || format != FORMAT))
        reader.error = ST_SYNTAX;
    spec->kind = (enum job_kind)read_below(&reader, sizeof(kind_names) / sizeof(kind_names[0]));
    spec->what = (enum job_what)read_below(&reader, sizeof(what_names) / sizeof(what_names[0]));
    read_text(&reader, spec->endpoint, sizeof(spec->endpoint));
    spec->since_ms = mp_read_u64(&reader);
    spec->until_ms = mp_read_u64(&reader);
    read_text(&reader, spec->type, sizeof(spec->type));
    read_text(&reader, spec->error, sizeof(spec->error));
    spec->rate = mp_read_u64(&reader);
    read_events(&reader, spec);
    if (reader.error != ST_OK)
        job_spec_free(spec);
    return reader.error;
}

/* ---- The selection -------------------------------------------------------------------------- */

void job_spec_render(const struct job_spec *spec, struct json_out *out)
{
    json_object_open(out);
    if (spec->kind == JOB_REPLAY)
        json_member_cstr(out, "what", job_what_name(spec->what));
    if (spec->endpoint[0])
        json_member_cstr(out, "webhookId", spec->endpoint);
    if (spec->event_count > 0) {
        json_key(out, "eventIds");
        json_array_open(out);
        for (size_t i = 0; i < spec->event_count; i++)
            json_value_str(out, spec->events[i]);
        json_array_close(out);
    }
    if (spec->type[0])
        json_member_cstr(out, "type", spec->type);
    if (spec->since_ms > 0)
        json_member_time_ms(out, "since", spec->since_ms);
    if (spec->until_ms != JOB_NO_END)
        json_member_time_ms(out, "until", spec->until_ms);
    if (spec->error[0])
        json_member_cstr(out, "errorClass", spec->error);
    json_object_close(out);
}

bool job_spec_takes_type(const struct job_spec *spec, struct slice type)
{
    return !spec->type[0] || slice_eq(type, slice_str(spec->type));
}

bool job_spec_takes_error(const struct job_spec *spec, struct slice error)
{
    return !spec->error[0] || slice_eq(error, slice_str(spec->error));
}

bool job_error_valid(struct slice error)
{
    for (enum outbound_error known = OUTBOUND_DNS; known < OUTBOUND_INTERNAL; known++)
        if (slice_eq(error, slice_str(outbound_error_name(known))))
            return true;
    return slice_eq(error, SLICE("http_status")) || slice_eq(error, SLICE("endpoint_disabled"));
}

/* ---- The cursor ----------------------------------------------------------------------------- */

static const char *or_dash(const char *text)
{
    return text[0] ? text : "-";
}

struct slice job_cursor_write(const struct job_cursor *cursor, char out[JOB_CURSOR_TEXT])
{
    int len = snprintf(out, JOB_CURSOR_TEXT, "%s %s %s %u", or_dash(cursor->endpoint),
                       or_dash(cursor->score), or_dash(cursor->member), (unsigned)cursor->index);
    return slice_of(out, (size_t)len);
}

/* The next word of *text; false when there is none, or it does not fit. */
static bool next_word(struct slice *text, char *out, size_t size)
{
    const char *space = memchr(text->ptr, ' ', text->len);
    size_t len = space ? (size_t)(space - text->ptr) : 0;
    if (len == 0 || len >= size || memchr(text->ptr, '\0', len))
        return false;
    struct slice word = slice_of(text->ptr, len);
    bool dash = slice_eq(word, SLICE("-"));
    snprintf(out, size, "%.*s", dash ? 0 : (int)len, word.ptr);
    *text = slice_of(space + 1, text->len - len - 1);
    return true;
}

enum status job_cursor_read(struct slice text, struct job_cursor *cursor)
{
    uint64_t index;
    *cursor = (struct job_cursor){.index = 0};
    if (text.len == 0)
        return ST_OK;
    if (!next_word(&text, cursor->endpoint, sizeof(cursor->endpoint)) ||
        !next_word(&text, cursor->score, sizeof(cursor->score)) ||
        !next_word(&text, cursor->member, sizeof(cursor->member)) ||
        parse_u64(text, &index) != ST_OK || index > UINT32_MAX)
        return ST_SYNTAX;
    cursor->index = (uint32_t)index;
    return ST_OK;
}

bool job_cursor_set(struct job_cursor *cursor, struct slice score, struct slice member)
{
    if (score.len == 0 || score.len >= sizeof(cursor->score) || member.len == 0 ||
        member.len >= sizeof(cursor->member) || memchr(member.ptr, ' ', member.len) ||
        memchr(member.ptr, '\0', member.len))
        return false;
    snprintf(cursor->score, sizeof(cursor->score), "%.*s", SLICE_ARGS(score));
    snprintf(cursor->member, sizeof(cursor->member), "%.*s", SLICE_ARGS(member));
    return true;
}
