/* sink_view.c - see sink_view.h. */
#include "app/sink_view.h"

#include <stdio.h>
#include <string.h>

#include "app/sink_events.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/timefmt.h"

enum { SHOWN_BODY_BYTES = 4096, SHOWN_DATA_BYTES = 160, INDENT = 4 };

/* ---- Text ------------------------------------------------------------------------------------ */

static void add_line_end(struct buf *out, size_t indent)
{
    static const char blanks[] = "                                                                ";
    buf_add_char(out, '\n');
    buf_add(out, blanks, indent < sizeof(blanks) - 1 ? indent : sizeof(blanks) - 1);
}

/* What a stranger sends must not move the terminal's cursor. */
static void add_clean(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\n')
            add_line_end(out, INDENT);
        else if (c >= 0x20 && c != 0x7f)
            buf_add_char(out, (char)c);
    }
}

static bool is_json_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The byte behind the string that begins at `at`. The text has been checked. */
static size_t string_end(struct slice json, size_t at)
{
    for (at++; json.ptr[at] != '"'; at++) {
        if (json.ptr[at] == '\\')
            at++;
    }
    return at + 1;
}

/* The text again with a line for each member and item; numbers and strings are as they were. */
static void add_json(struct buf *out, struct slice json)
{
    size_t indent = INDENT;
    char last = '\0';
    for (size_t i = 0; i < json.len && out->error == ST_OK;) {
        char c = json.ptr[i];
        size_t end = c == '"' ? string_end(json, i) : i + 1;
        if (is_json_blank(c)) {
            i++;
            continue;
        }
        bool closes = c == '}' || c == ']';
        bool opened = last == '{' || last == '[';
        indent -= closes ? 2 : 0;
        if (last == ',' || (closes != opened && (closes || opened)))
            add_line_end(out, indent);
        add_clean(out, slice_of(json.ptr + i, end - i));
        if (c == ':')
            buf_add_char(out, ' ');
        indent += c == '{' || c == '[' ? 2 : 0;
        last = c;
        i = end;
    }
}

/* A buffer of the size that is shown does the cutting. */
static void add_body(struct buf *out, struct slice body)
{
    struct buf shown;
    buf_init(&shown, SHOWN_BODY_BYTES);
    if (json_check(body, NULL) == ST_OK)
        add_json(&shown, body);
    else
        add_clean(&shown,
                  slice_of(body.ptr, body.len < SHOWN_BODY_BYTES ? body.len : SHOWN_BODY_BYTES));
    if (shown.len > 0) {
        add_line_end(out, INDENT);
        buf_add_slice(out, buf_slice(&shown));
    }
    if (buf_status(&shown) == ST_LIMIT || body.len > SHOWN_BODY_BYTES) {
        add_line_end(out, INDENT);
        buf_addf(out, "… (%zu bytes in all)", body.len);
    }
    buf_free(&shown);
}

/* In one line. */
static void add_data(struct buf *out, struct slice data)
{
    size_t shown = data.len < SHOWN_DATA_BYTES ? data.len : SHOWN_DATA_BYTES;
    for (size_t i = 0; i < shown; i++)
        add_clean(out, slice_of(data.ptr[i] == '\n' ? " " : data.ptr + i, 1));
    if (shown < data.len)
        buf_add_str(out, "…");
}

/* A line each, as many as there is room for. */
static void add_events(struct buf *out, const struct sink_view *view)
{
    struct sink_events events;
    struct sink_event event;
    size_t from = out->len, count = 0;
    if (!sink_events_begin(&events, view->headers, view->header_count, view->body))
        return;
    while (out->len - from < SHOWN_BODY_BYTES && sink_events_next(&events, &event)) {
        add_line_end(out, INDENT);
        add_clean(out, event.id);
        buf_add_char(out, ' ');
        add_clean(out, event.type);
        buf_add_char(out, ' ');
        add_data(out, event.data);
        count++;
    }
    if (count < view->events) {
        add_line_end(out, INDENT);
        buf_addf(out, "… (%zu events, %zu bytes in all)", view->events, view->body.len);
    }
}

static void add_verdict(struct buf *out, const struct sink_view *view)
{
    if (!view->checked)
        buf_add_str(out, "not verified (no --secret)");
    else if (view->verdict == VERIFY_OK)
        buf_add_str(out, "verified ✓");
    else
        buf_addf(out, "NOT VERIFIED ✗ %s: %s", scheme_verdict_name(view->verdict),
                 scheme_verdict_text(view->verdict));
}

void sink_view_text(const struct sink_view *view, struct buf *out)
{
    time_format_rfc3339(out, view->at_ms);
    buf_addf(out, " %.*s %.*s ", SLICE_ARGS(view->method), SLICE_ARGS(view->path));
    if (view->id.ptr) {
        buf_add_str(out, " id=");
        add_clean(out, view->id);
    }
    if (view->type.ptr) {
        buf_add_str(out, " type=");
        add_clean(out, view->type);
    }
    if (view->batch)
        buf_addf(out, " events=%zu", view->events);
    if (view->seen_before)
        buf_add_str(out, " (seen before)");
    else if (view->repeated > 0)
        buf_addf(out, " (%zu seen before)", view->repeated);
    buf_add_str(out, "  ");
    add_verdict(out, view);
    buf_addf(out, "  -> %d", view->status);
    if (view->batch)
        add_events(out, view);
    else
        add_body(out, view->body);
    buf_add_char(out, '\n');
}

/* ---- JSON ------------------------------------------------------------------------------------ */

void sink_view_json(const struct sink_view *view, struct buf *out)
{
    struct json_out json;
    bool verified = view->checked && view->verdict == VERIFY_OK;
    json_out_begin(&json, out);
    json_object_open(&json);
    json_member_time_ms(&json, "time", view->at_ms);
    json_member_str(&json, "method", view->method);
    json_member_str(&json, "path", view->path);
    json_member_str_or_null(&json, "id", view->id);
    json_member_str_or_null(&json, "type", view->type);
    json_key(&json, "events");
    if (view->batch)
        json_value_u64(&json, view->events);
    else
        json_value_null(&json);
    json_member_bool(&json, "seenBefore", view->seen_before);
    json_member_bool(&json, "verified", verified);
    if (verified)
        json_member_null(&json, "reason");
    else
        json_member_cstr(&json, "reason",
                         view->checked ? scheme_verdict_name(view->verdict) : "no_secret");
    json_member_u64(&json, "status", (uint64_t)view->status);
    json_key(&json, "headers");
    json_array_open(&json);
    for (size_t i = 0; i < view->header_count; i++) {
        json_object_open(&json);
        json_member_str(&json, "name", view->headers[i].name);
        json_member_str(&json, "value", view->headers[i].value);
        json_object_close(&json);
    }
    json_array_close(&json);
    json_member_str(&json, "body", view->body);
    json_object_close(&json);
    buf_add_char(out, '\n');
}
