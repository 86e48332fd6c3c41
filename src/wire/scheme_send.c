/* scheme_send.c - body and headers of a delivery.
 *
 * This runs for every attempt, so it walks compiled templates and writes straight into the caller's
 * buffers; the signed text is handed to the signer in parts, and the body is never copied for it.
 */
#include "base/ascii.h"
#include "base/digits.h"
#include "base/json_out.h"
#include "base/timefmt.h"
#include "wire/scheme_private.h"

/* ---- The body -------------------------------------------------------------------------------- */

static void json_string_or_null(struct buf *buf, struct slice text)
{
    if (text.ptr)
        json_out_string(buf, text);
    else
        buf_add_str(buf, "null");
}

static void body_add(const struct template_part *part, const struct scheme_event *event,
                     struct buf *buf)
{
    switch (part->field) {
    case FIELD_LITERAL:
        buf_add_slice(buf, part->literal);
        return;
    case FIELD_DATA:
        buf_add_slice(buf, event->data);
        return;
    case FIELD_ID:
        json_out_string(buf, event->id);
        return;
    case FIELD_TYPE:
        json_out_string(buf, event->type);
        return;
    case FIELD_EVENT_TIMESTAMP:
        buf_add_char(buf, '"');
        time_format_rfc3339(buf, event->timestamp_ms);
        buf_add_char(buf, '"');
        return;
    case FIELD_VERSION:
        json_string_or_null(buf, event->version);
        return;
    case FIELD_SOURCE:
        json_string_or_null(buf, event->source);
        return;
    case FIELD_TIMESTAMP:
    case FIELD_BODY:
    case FIELD_SIGNATURE:
        return; /* not allowed in a body's template */
    }
}

struct slice scheme_body(const struct scheme *scheme, const struct scheme_event *event,
                         struct buf *buf)
{
    if (scheme->body.count == 1) /* {data} and nothing else */
        return event->data;
    size_t at = buf->len;
    for (size_t i = 0; i < scheme->body.count; i++)
        body_add(&scheme->body.parts[i], event, buf);
    return slice_from(buf_slice(buf), at);
}

/* ---- Headers --------------------------------------------------------------------------------- */

struct attempt {
    const struct scheme *scheme;
    struct slice values[FIELD_LITERAL];
    struct signer_key *const *keys;
    size_t key_count;
    struct buf *lines;
};

/* Appends one signature of the text as it stands in the header. */
static enum status signature_add(const struct attempt *attempt, struct signer_key *key,
                                 const struct slice *parts, size_t part_count)
{
    uint8_t bytes[SIGNER_SIGNATURE_MAX];
    size_t len;
    const struct scheme_signature *signature =
        scheme_signature_of(attempt->scheme, signer_key_algorithm(key));
    if (!signature)
        return ST_UNSUPPORTED;
    enum status status = signer_sign(key, parts, part_count, bytes, &len);
    if (status != ST_OK)
        return status;
    buf_add_slice(attempt->lines, signature->prefix);
    scheme_encode(attempt->scheme->encoding, slice_of(bytes, len), attempt->lines);
    return ST_OK;
}

static enum status signatures_add(const struct attempt *attempt)
{
    struct slice parts[TEMPLATE_PARTS_MAX];
    size_t part_count = template_slices(&attempt->scheme->signed_value, attempt->values, parts);
    struct slice separator = attempt->scheme->separator;
    size_t count = separator.ptr ? attempt->key_count : 1;
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        if (i > 0)
            buf_add_slice(attempt->lines, separator);
        status = signature_add(attempt, attempt->keys[i], parts, part_count);
    }
    return status;
}

/* A line break in a value would begin a header of somebody else's making. */
static enum status value_add(struct buf *lines, struct slice value)
{
    uint64_t word = 0;
    size_t i = 0;
    for (; i + sizeof(word) <= value.len; i += sizeof(word)) {
        memcpy(&word, value.ptr + i, sizeof(word));
        if (ascii_word_has_control(word))
            return ST_RANGE;
    }
    for (; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f)
            return ST_RANGE;
    buf_add_slice(lines, value);
    return ST_OK;
}

static enum status header_add(const struct attempt *attempt, const struct scheme_header *header)
{
    enum status status = ST_OK;
    buf_add_slice(attempt->lines, header->name);
    buf_add(attempt->lines, ": ", 2);
    for (size_t i = 0; i < header->value.count && status == ST_OK; i++) {
        const struct template_part *part = &header->value.parts[i];
        if (part->field == FIELD_LITERAL)
            buf_add_slice(attempt->lines, part->literal);
        else if (part->field == FIELD_SIGNATURE)
            status = signatures_add(attempt);
        else
            status = value_add(attempt->lines, attempt->values[part->field]);
    }
    buf_add_char(attempt->lines, '\0');
    return status;
}

static bool has_values(const struct attempt *attempt, const struct scheme_header *header)
{
    unsigned fields = header->value.fields;
    return (attempt->values[FIELD_VERSION].ptr || !(fields & FIELD_BIT(FIELD_VERSION))) &&
           (attempt->values[FIELD_SOURCE].ptr || !(fields & FIELD_BIT(FIELD_SOURCE)));
}

enum status scheme_headers(const struct scheme *scheme, const struct scheme_event *event,
                           struct slice body, uint64_t attempt_at_ms,
                           struct signer_key *const *keys, size_t key_count, struct buf *lines,
                           size_t *count)
{
    char digits[DIGITS_MAX];
    struct buf event_time;
    struct attempt attempt = {scheme, {{NULL, 0}}, keys, key_count, lines};
    if (key_count == 0)
        return ST_RANGE;
    /* Few schemes have the event's time in a header; the others allocate nothing here. */
    buf_init(&event_time, 32);
    if ((scheme->header_fields & FIELD_BIT(FIELD_EVENT_TIMESTAMP)) != 0)
        time_format_rfc3339(&event_time, event->timestamp_ms);
    enum status status = buf_status(&event_time);

    attempt.values[FIELD_ID] = event->id;
    attempt.values[FIELD_TYPE] = event->type;
    attempt.values[FIELD_TIMESTAMP] = digits_u64(
        digits, scheme->timestamp_form == TIMESTAMP_MS ? attempt_at_ms : attempt_at_ms / 1000);
    attempt.values[FIELD_EVENT_TIMESTAMP] = buf_slice(&event_time);
    attempt.values[FIELD_VERSION] = event->version;
    attempt.values[FIELD_SOURCE] = event->source;
    attempt.values[FIELD_BODY] = body;
    *count = 0;
    for (size_t i = 0; i < scheme->header_count && status == ST_OK; i++) {
        if (!has_values(&attempt, &scheme->headers[i]))
            continue;
        status = header_add(&attempt, &scheme->headers[i]);
        ++*count;
    }
    buf_free(&event_time);
    return status != ST_OK ? status : buf_status(lines);
}
