/* sink_view.c - see sink_view.h.
 *
 * Schemes are data, so the sink does not know that Standard Webhooks calls the id "webhook-id". It
 * lets the scheme write an event with a known id and type once, and looks for them.
 */
#include "app/sink_view.h"

#include <stdio.h>
#include <string.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/timefmt.h"

enum { SHOWN_BODY_BYTES = 4096, MEMBERS_MAX = 64, INDENT = 4 };

/* ---- Names ----------------------------------------------------------------------------------- */

static const char probe_id[] = "probe-id";
static const char probe_type[] = "probe.type";

static void keep_name(char out[SINK_NAME_BYTES], struct slice name)
{
    (void)snprintf(out, SINK_NAME_BYTES, "%.*s", SLICE_ARGS(name));
}

/* `lines` holds "Name: value" and a NUL, `count` times. */
static void learn_headers(struct sink_names *names, const char *lines, size_t count)
{
    for (size_t i = 0; i < count; i++, lines += strlen(lines) + 1) {
        const char *colon = strstr(lines, ": ");
        if (!colon)
            continue;
        struct slice name = slice_of(lines, (size_t)(colon - lines));
        if (strcmp(colon + 2, probe_id) == 0)
            keep_name(names->id_header, name);
        if (strcmp(colon + 2, probe_type) == 0)
            keep_name(names->type_header, name);
    }
}

static bool is_quoted(struct slice json, const char *text)
{
    return json.len == strlen(text) + 2 && memcmp(json.ptr + 1, text, json.len - 2) == 0;
}

static void learn_body(struct sink_names *names, struct slice body)
{
    struct json_member members[MEMBERS_MAX];
    size_t count;
    if (json_members(body, members, MEMBERS_MAX, &count, NULL) != ST_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        if (is_quoted(members[i].value, probe_id))
            keep_name(names->id_member, members[i].name);
        if (is_quoted(members[i].value, probe_type))
            keep_name(names->type_member, members[i].name);
    }
}

enum status sink_names_learn(const struct scheme *scheme, struct sink_names *names)
{
    const struct scheme_event event = {
        .id = slice_str(probe_id), .type = slice_str(probe_type), .data = SLICE("{}")};
    struct buf secret, body_text, lines;
    struct signer_key *key = NULL;
    size_t count = 0;
    buf_init(&secret, 1024);
    buf_init(&body_text, 64 * 1024);
    buf_init(&lines, 64 * 1024);
    *names = (struct sink_names){.id_header = ""};

    enum status status = scheme_secret_generate(scheme, &secret);
    if (status == ST_OK)
        status = scheme_secret_key(scheme, buf_slice(&secret), &key, NULL);
    struct slice body = scheme_body(scheme, &event, &body_text);
    if (status == ST_OK)
        status = buf_status(&body_text);
    if (status == ST_OK)
        status = scheme_headers(scheme, &event, body, 0, &key, 1, &lines, &count);
    if (status == ST_OK) {
        learn_headers(names, lines.ptr, count);
        learn_body(names, body);
    }
    signer_key_free(key);
    buf_free(&secret);
    buf_free(&body_text);
    buf_free(&lines);
    return status;
}

/* The value of the only header of that name. */
static struct slice find_header(const struct sink_view *view, const char *name)
{
    struct slice found = SLICE_NULL;
    for (size_t i = 0; i < view->header_count; i++) {
        if (!slice_eq_nocase(view->headers[i].name, slice_str(name)))
            continue;
        if (found.ptr)
            return SLICE_NULL;
        found = view->headers[i].value;
    }
    return found;
}

static struct slice find_member(struct slice body, const char *name, struct buf *buf)
{
    struct json_member members[MEMBERS_MAX];
    size_t count;
    if (json_members(body, members, MEMBERS_MAX, &count, NULL) != ST_OK)
        return SLICE_NULL;
    const struct json_member *member = json_find(members, count, slice_str(name));
    if (!member || member->type != JSON_STRING || json_unescape(member->value, buf) != ST_OK)
        return SLICE_NULL;
    return buf_slice(buf);
}

struct slice sink_find(const char *header, const char *member, const struct sink_view *view,
                       struct buf *buf)
{
    struct slice found = header[0] != '\0' ? find_header(view, header) : SLICE_NULL;
    if (!found.ptr && member[0] != '\0')
        found = find_member(view->body, member, buf);
    return found;
}

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
    if (view->seen_before)
        buf_add_str(out, " (seen before)");
    buf_add_str(out, "  ");
    add_verdict(out, view);
    buf_addf(out, "  -> %d", view->status);
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
