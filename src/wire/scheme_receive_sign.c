/* scheme_receive_sign.c - signs a request as a third party would, so that a source can be tried
 * without that third party.
 *
 * Headers that are part of the signed text and not there are made up; then the text is put together
 * by the very code that verifies it.
 */
#include "base/digits.h"
#include "base/timefmt.h"
#include "wire/scheme_private.h"

#define ID_PREFIX "trotline-test-"

enum {
    MADE_UP_MAX = TEMPLATE_PARTS_MAX + 1,
    HEADERS_MAX = 128,
    ID_BYTES = sizeof(ID_PREFIX) + DIGITS_MAX
};

/* A new one each millisecond, so that a second try is no duplicate. */
static struct slice id_make(char text[ID_BYTES], uint64_t now_ms)
{
    char digits[DIGITS_MAX];
    struct slice number = digits_u64(digits, now_ms);
    memcpy(text, ID_PREFIX, sizeof(ID_PREFIX) - 1);
    memcpy(text + sizeof(ID_PREFIX) - 1, number.ptr, number.len);
    return slice_of(text, sizeof(ID_PREFIX) - 1 + number.len);
}

/* The request with the headers that are added. */
struct signing {
    const struct scheme *scheme;
    struct received received;
    struct received_header headers[HEADERS_MAX];
    struct buf timestamp;
    char id_text[ID_BYTES];
    struct slice id;
    struct buf *lines;
    size_t *count;
};

static void line_add(struct signing *signing, struct slice name, struct slice value)
{
    buf_add_slice(signing->lines, name);
    buf_add(signing->lines, ": ", 2);
    buf_add_slice(signing->lines, value);
    buf_add_char(signing->lines, '\0');
    ++*signing->count;
}

/* Adds a header to the request and to the lines, unless it has it. `value` must stay. */
static enum status header_need(struct signing *signing, struct slice name, struct slice value)
{
    struct received *received = &signing->received;
    if (received_header(received, name).ptr)
        return ST_OK;
    if (received->header_count == HEADERS_MAX)
        return ST_LIMIT;
    signing->headers[received->header_count++] = (struct received_header){name, value};
    line_add(signing, name, value);
    return ST_OK;
}

static void timestamp_make(struct signing *signing)
{
    char digits[DIGITS_MAX];
    uint64_t now_ms = signing->received.now_ms;
    switch (signing->scheme->timestamp_form) {
    case TIMESTAMP_S:
        buf_add_slice(&signing->timestamp, digits_u64(digits, now_ms / 1000));
        return;
    case TIMESTAMP_MS:
        buf_add_slice(&signing->timestamp, digits_u64(digits, now_ms));
        return;
    case TIMESTAMP_RFC3339:
        time_format_rfc3339(&signing->timestamp, now_ms);
        return;
    case TIMESTAMP_UTC:
        time_format_rfc3339(&signing->timestamp, now_ms);
        signing->timestamp.len -= signing->timestamp.len > 0; /* the Z */
        return;
    }
}

/* The headers that the signed text needs. */
static enum status headers_make(struct signing *signing)
{
    const struct scheme_receiving *receiving = &signing->scheme->receiving;
    enum status status = ST_OK;
    timestamp_make(signing);
    if (receiving->has_timestamp && receiving->timestamp.kind == PART_HEADER)
        status = header_need(signing, receiving->timestamp.name, buf_slice(&signing->timestamp));
    for (size_t i = 0; i < receiving->signed_count && status == ST_OK; i++)
        if (receiving->signed_parts[i].kind == PART_HEADER)
            status = header_need(signing, receiving->signed_parts[i].name, signing->id);
    for (size_t i = 0; i < receiving->ids.count && i < 1 && status == ST_OK; i++)
        if (receiving->ids.parts[i].kind == PART_HEADER)
            status = header_need(signing, receiving->ids.parts[i].name, signing->id);
    for (size_t i = 0; i < receiving->types.count && i < 1 && status == ST_OK; i++)
        if (receiving->types.parts[i].kind == PART_HEADER)
            status = header_need(signing, receiving->types.parts[i].name, SLICE("test"));
    return status;
}

static enum status signature_add(const struct scheme *scheme, struct signer_key *key,
                                 const struct slice *parts, size_t count, struct buf *text)
{
    const struct scheme_signature *signature =
        scheme_signature_of(scheme, signer_key_algorithm(key));
    uint8_t bytes[SIGNER_SIGNATURE_MAX];
    size_t len;
    if (!signature)
        return ST_UNSUPPORTED;
    enum status status = signer_sign(key, parts, count, bytes, &len);
    if (status != ST_OK)
        return status;
    buf_add_slice(text, signature->prefix);
    scheme_encode(scheme->encoding, slice_of(bytes, len), text);
    return buf_status(text);
}

enum status scheme_expected(const struct scheme *scheme, struct slice signed_text,
                            struct signer_key *key, struct buf *text)
{
    return signature_add(scheme, key, &signed_text, 1, text);
}

/* The parts of the signed text, from the request with its new headers. */
static enum status parts_read(struct signing *signing, struct part_reader *reader,
                              struct slice parts[TEMPLATE_PARTS_MAX])
{
    const struct scheme_receiving *receiving = &signing->scheme->receiving;
    reader->timestamp = buf_slice(&signing->timestamp);
    if (receiving->has_body_hash && receiving->body_hash.kind == PART_QUERY) {
        struct buf *hash = part_reader_buf(reader);
        reader->hashed = hash && received_query(part_url_query(&signing->received),
                                                receiving->body_hash.name, hash);
    }
    if (receiving->has_timestamp && receiving->timestamp.kind == PART_JSON &&
        part_read(reader, &receiving->timestamp, &reader->timestamp) != PART_GIVEN)
        return ST_UNSUPPORTED;
    for (size_t i = 0; i < receiving->signed_count; i++)
        if (part_read(reader, &receiving->signed_parts[i], &parts[i]) != PART_GIVEN)
            return ST_UNSUPPORTED;
    return ST_OK;
}

static enum status signature_make(struct signing *signing, struct part_reader *reader,
                                  struct signer_key *key, struct buf *text)
{
    const struct scheme_receiving *receiving = &signing->scheme->receiving;
    struct slice parts[TEMPLATE_PARTS_MAX];
    enum status status = parts_read(signing, reader, parts);
    if (status != ST_OK)
        return status;
    if (receiving->has_timestamp && receiving->timestamp.kind == PART_ENTRY) {
        buf_add_slice(text, receiving->timestamp.name);
        buf_add_char(text, '=');
        buf_add_slice(text, buf_slice(&signing->timestamp));
        buf_add_slice(text, signing->scheme->separator);
    }
    return signature_add(signing->scheme, key, parts, receiving->signed_count, text);
}

static enum status sign_given(struct signing *signing, struct signer_key *key)
{
    const struct part *place = &signing->scheme->receiving.signature;
    struct part_reader reader;
    struct buf name, value;
    if (place->kind != PART_HEADER && place->kind != PART_HEADERS)
        return ST_UNSUPPORTED;
    enum status status = headers_make(signing);
    if (status != ST_OK)
        return status;
    buf_init(&name, SIZE_MAX);
    buf_init(&value, SIZE_MAX);
    part_reader_init(&reader, &signing->received);
    status = signature_make(signing, &reader, key, &value);
    buf_add_slice(&name, place->name);
    buf_add_str(&name, place->kind == PART_HEADERS ? "1" : "");
    if (status == ST_OK)
        status = buf_status(&name);
    if (status == ST_OK)
        line_add(signing, buf_slice(&name), buf_slice(&value));
    part_reader_deinit(&reader);
    buf_free(&name);
    buf_free(&value);
    return status;
}

static enum status sign_derived(const struct scheme *scheme, const struct received *received,
                                struct signer_key *key, struct buf *lines, size_t *count)
{
    char id[ID_BYTES];
    const struct scheme_event event = {
        .id = id_make(id, received->now_ms),
        .type = SLICE("test"),
        .timestamp_ms = received->now_ms,
        .data = received->body,
    };
    return scheme_headers(scheme, &event, received->body, received->now_ms, &key, 1, lines, count);
}

enum status scheme_sign_received(const struct scheme *scheme, const struct received *received,
                                 struct signer_key *key, struct buf *lines, size_t *count)
{
    struct signing signing = {
        .scheme = scheme, .received = *received, .lines = lines, .count = count};
    *count = 0;
    if (!scheme_receives(scheme))
        return ST_UNSUPPORTED;
    if (scheme->no_signature)
        return ST_OK;
    if (!scheme->receiving.given)
        return sign_derived(scheme, received, key, lines, count);
    if (received->header_count > HEADERS_MAX - MADE_UP_MAX)
        return ST_LIMIT;
    for (size_t i = 0; i < received->header_count; i++)
        signing.headers[i] = received->headers[i];
    signing.received.headers = signing.headers;
    signing.id = id_make(signing.id_text, received->now_ms);
    buf_init(&signing.timestamp, 64);
    enum status status = sign_given(&signing, key);
    buf_free(&signing.timestamp);
    return status == ST_OK ? buf_status(lines) : status;
}
