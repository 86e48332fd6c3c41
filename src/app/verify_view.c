/* verify_view.c - what a verification found, step by step.
 *
 * The expected signature is shown: whoever has the secret can compute it, and without it nobody can
 * see why the two differ. A token is its own secret, so for those nothing is.
 */
#include "app/verify.h"
#include "base/json_out.h"
#include "base/parse.h"
#include "base/timefmt.h"

enum { SHOWN_TEXT_BYTES = 2048 };

/* In quotes, and without what could move a terminal's cursor. */
static void add_text(struct buf *out, struct slice text)
{
    size_t shown = text.len < SHOWN_TEXT_BYTES ? text.len : SHOWN_TEXT_BYTES;
    buf_add_char(out, '"');
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_addf(out, "\\x%02x", c);
        else
            buf_add_char(out, (char)c);
    }
    buf_add_str(out, shown < text.len ? "\"…" : "\"");
}

static void add_age(struct buf *out, const struct verify_result *result)
{
    uint64_t now_ms = result->received->now_ms, then_ms = result->finding.timestamp_ms;
    buf_add_str(out, ", ");
    format_duration(out, now_ms > then_ms ? now_ms - then_ms : then_ms - now_ms);
    buf_add_str(out, now_ms >= then_ms ? " ago" : " ahead");
    if (result->unlimited)
        buf_add_str(out, " (not judged)");
}

static void add_time(struct buf *out, const struct verify_result *result)
{
    struct slice text = buf_slice(&result->finding.timestamp_text);
    if (text.len == 0)
        return;
    buf_add_str(out, "time       ");
    add_text(out, text);
    buf_add_str(out, " = ");
    time_format_rfc3339(out, result->finding.timestamp_ms);
    if (!result->unlimited || result->received->now_ms > 0)
        add_age(out, result);
    buf_add_char(out, '\n');
}

/* Appends the signature that secret number `index` makes. False: there is none to show. */
static bool add_expected(struct buf *out, const struct verify_result *result, size_t index)
{
    const struct buf *text = &result->finding.signed_text;
    size_t at = out->len;
    if (buf_status(text) == ST_OK && result->finding.candidates > 0 &&
        scheme_expected(result->scheme, buf_slice(text), result->keys[index], out) == ST_OK)
        return true;
    out->len = at;
    return false;
}

static void add_secrets(struct buf *out, const struct verify_result *result)
{
    for (size_t i = 0; i < result->key_count; i++) {
        buf_addf(out, "secret %-3zu %s", i + 1, result->finding.key == i ? "fits" : "does not fit");
        size_t at = out->len;
        buf_add_str(out, "; expected ");
        if (!add_expected(out, result, i))
            out->len = at;
        buf_add_char(out, '\n');
    }
}

static void add_named(struct buf *out, const char *what,
                      bool (*find)(const struct scheme *, const struct scheme_sources *,
                                   const struct received *, struct buf *),
                      const struct verify_result *result)
{
    struct buf text;
    buf_init(&text, VERIFY_BODY_BYTES_MAX);
    buf_addf(out, "%-10s ", what);
    if (find(result->scheme, NULL, result->received, &text))
        add_text(out, buf_slice(&text));
    else
        buf_add_str(out, "none");
    buf_add_char(out, '\n');
    buf_free(&text);
}

void verify_explain(const struct verify_result *result, struct buf *out)
{
    const struct scheme_finding *finding = &result->finding;
    buf_addf(out, "scheme     %s: %s\n", scheme_name(result->scheme),
             scheme_description(result->scheme));
    buf_addf(out, "body       %zu bytes\n", result->received->body.len);
    if (finding->elements > 1)
        buf_addf(out, "items      %zu looked at; the following is about the last\n",
                 finding->elements);
    buf_addf(out, "signatures %zu of a known form, %zu others\n", finding->candidates,
             finding->others);
    add_time(out, result);
    if (finding->signed_text.len > 0) {
        buf_addf(out, "signed     %zu bytes: ", finding->signed_text.len);
        add_text(out, buf_slice(&finding->signed_text));
        buf_add_char(out, '\n');
    }
    add_secrets(out, result);
    add_named(out, "id", scheme_event_id, result);
    add_named(out, "type", scheme_event_type, result);
    buf_addf(out, "verdict    %s: %s", scheme_verdict_name(result->verdict),
             scheme_verdict_text(result->verdict));
    if (result->verdict != VERIFY_OK && finding->about.ptr)
        buf_addf(out, " (%.*s)", SLICE_ARGS(finding->about));
    buf_add_char(out, '\n');
}

static void member_named(struct json_out *json, const char *name,
                         bool (*find)(const struct scheme *, const struct scheme_sources *,
                                      const struct received *, struct buf *),
                         const struct verify_result *result)
{
    struct buf text;
    buf_init(&text, VERIFY_BODY_BYTES_MAX);
    bool found = find(result->scheme, NULL, result->received, &text);
    json_member_str_or_null(json, name, found ? buf_slice(&text) : SLICE_NULL);
    buf_free(&text);
}

void verify_explain_json(const struct verify_result *result, struct buf *out)
{
    const struct scheme_finding *finding = &result->finding;
    struct json_out json;
    json_out_begin(&json, out);
    json_object_open(&json);
    json_member_cstr(&json, "scheme", scheme_name(result->scheme));
    json_member_bool(&json, "verified", result->verdict == VERIFY_OK);
    json_member_cstr(&json, "reason", scheme_verdict_name(result->verdict));
    json_member_cstr(&json, "message", scheme_verdict_text(result->verdict));
    json_member_str_or_null(&json, "about", finding->about);
    json_member_u64(&json, "items", finding->elements);
    json_member_u64(&json, "signatures", finding->candidates);
    json_member_u64(&json, "otherSignatures", finding->others);
    json_member_str_or_null(&json, "timestamp", buf_slice(&finding->timestamp_text));
    if (finding->timestamp_text.len > 0)
        json_member_i64(&json, "ageMs",
                        (int64_t)(result->received->now_ms - finding->timestamp_ms));
    json_member_str_or_null(&json, "signedText", buf_slice(&finding->signed_text));
    if (finding->key != SIZE_MAX)
        json_member_u64(&json, "secret", finding->key + 1);
    member_named(&json, "id", scheme_event_id, result);
    member_named(&json, "type", scheme_event_type, result);
    json_object_close(&json);
    buf_add_char(out, '\n');
}
