/* scheme_part.c - compiles places in a request, and reads them.
 *
 * What a sender signed is text as it stood in the request, so reading gives slices of the request
 * wherever it can. Three things have to be made: strings with escapes, hashes, and the two forms of
 * a URL-bound signature (the URL with its query, the sorted form). Each of those gets a buf of its
 * own: a common one would move when it grows, and the slices into it with it.
 *
 * JSON is checked when the first path is read, not before: most schemes verify without a look into
 * the body.
 */
#include "wire/scheme_part.h"

#include "base/ascii.h"
#include "base/digits.h"
#include "base/json_scan.h"
#include "wire/digest.h"
#include "wire/encoding.h"

/* ---- Compiling ------------------------------------------------------------------------------- */

static const struct word {
    struct slice text;
    enum part_kind kind;
    bool named; /* ":NAME" follows */
} words[] = {
    {{"header", 6}, PART_HEADER, true},
    {{"json", 4}, PART_JSON, true},
    {{"query", 5}, PART_QUERY, true},
    {{"var", 3}, PART_VAR, true},
    {{"text", 4}, PART_TEXT, true},
    {{"signature", 9}, PART_ENTRY, true},
    {{"body", 4}, PART_BODY, false},
    {{"timestamp", 9}, PART_TIMESTAMP, false},
    {{"url", 3}, PART_URL, false},
    {{"method", 6}, PART_METHOD, false},
    {{"form_sorted", 11}, PART_FORM_SORTED, false},
    {{"crc32", 5}, PART_CRC32, false},
    {{"sha256_hex", 10}, PART_SHA256_HEX, false},
    {{"body_hash", 9}, PART_SHA256_HEX, false},
};

bool part_compile(struct slice text, unsigned allowed, struct part *part)
{
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    struct slice word = slice_of(text.ptr, colon ? (size_t)(colon - text.ptr) : text.len);
    struct slice name = colon ? slice_from(text, word.len + 1) : SLICE("");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!slice_eq(words[i].text, word) || words[i].named != (colon != NULL))
            continue;
        *part = (struct part){.kind = words[i].kind, .name = name};
        if (part->kind == PART_HEADER && slice_ends(name, SLICE("*")))
            part->kind = PART_HEADERS;
        part->optional =
            (part->kind == PART_HEADER || part->kind == PART_JSON) && slice_ends(name, SLICE("?"));
        part->name.len -= part->optional || part->kind == PART_HEADERS;
        return (PART_BIT(part->kind) & allowed) != 0 && (part->name.len > 0 || !words[i].named);
    }
    return false;
}

static bool is_place_char(char c)
{
    return c != '{' && c != '}' && c != '"' && c > ' ';
}

/* The place in braces that begins at text[at]; empty when there is none. One begins with a small
 * letter, and `{"a":1}` is text. */
static struct slice place_at(struct slice text, size_t at)
{
    size_t end = at + 1;
    bool begins =
        text.ptr[at] == '{' && end < text.len && text.ptr[end] >= 'a' && text.ptr[end] <= 'z';
    while (begins && end < text.len && is_place_char(text.ptr[end]))
        end++;
    bool closed = begins && end < text.len && text.ptr[end] == '}';
    return slice_of(text.ptr + at, closed ? end + 1 - at : 0);
}

static enum status part_add(struct part *parts, size_t *count, const struct part *part,
                            const char **what)
{
    if (*count == TEMPLATE_PARTS_MAX) {
        *what = "too many placeholders";
        return ST_LIMIT;
    }
    parts[(*count)++] = *part;
    return ST_OK;
}

enum status parts_compile(struct slice text, unsigned allowed, struct part *parts, size_t *count,
                          const char **what, struct slice *at)
{
    enum status status = ST_OK;
    size_t literal = 0; /* where the text began that is not yet in a part */
    *count = 0;
    for (size_t i = 0; i <= text.len && status == ST_OK;) {
        *at = i < text.len ? place_at(text, i) : SLICE_NULL;
        if (i < text.len && at->len == 0) {
            i++;
            continue;
        }
        struct part part = {.kind = PART_TEXT, .name = slice_of(text.ptr + literal, i - literal)};
        if (i > literal)
            status = part_add(parts, count, &part, what);
        if (status == ST_OK && i < text.len) {
            *what = "there is no such placeholder here";
            status = part_compile(slice_of(at->ptr + 1, at->len - 2), allowed, &part)
                         ? part_add(parts, count, &part, what)
                         : ST_SYNTAX;
        }
        i += at->len > 0 ? at->len : 1;
        literal = i;
    }
    return status;
}

/* ---- Reading --------------------------------------------------------------------------------- */

void part_reader_init(struct part_reader *reader, const struct received *received)
{
    reader->received = received;
    reader->root = received->body;
    reader->json = received->body_json;
    reader->timestamp = SLICE_NULL;
    reader->hashed = false;
    reader->fields = NULL;
    reader->buf_count = 0;
}

void part_reader_deinit(struct part_reader *reader)
{
    while (reader->buf_count > 0)
        buf_free(&reader->bufs[--reader->buf_count]);
}

struct buf *part_reader_buf(struct part_reader *reader)
{
    if (reader->buf_count == PART_BUFS)
        return NULL;
    struct buf *buf = &reader->bufs[reader->buf_count++];
    buf_init(buf, SIZE_MAX);
    return buf;
}

static enum part_result made(struct buf *buf, struct slice *value)
{
    *value = buf->len > 0 ? buf_slice(buf) : SLICE("");
    return buf_status(buf) == ST_OK ? PART_GIVEN : PART_NO_MEMORY;
}

static enum part_result given(struct slice found, struct slice *value)
{
    *value = found;
    return found.ptr ? PART_GIVEN : PART_ABSENT;
}

static bool has_query(struct slice url)
{
    return memchr(url.ptr, '?', url.len) != NULL;
}

struct slice part_url_query(const struct received *received)
{
    struct slice url = received->public_url;
    const char *mark = url.len > 0 ? memchr(url.ptr, '?', url.len) : NULL;
    return mark ? slice_from(url, (size_t)(mark - url.ptr) + 1) : received->query;
}

static enum part_result url_read(struct part_reader *reader, struct slice *value)
{
    const struct received *received = reader->received;
    if (received->public_url.len == 0)
        return PART_UNCONFIGURED;
    if (!received->query.ptr || has_query(received->public_url))
        return given(received->public_url, value);
    struct buf *buf = part_reader_buf(reader);
    if (!buf)
        return PART_NO_MEMORY;
    buf_add_slice(buf, received->public_url);
    buf_add_char(buf, '?');
    buf_add_slice(buf, received->query);
    return made(buf, value);
}

static enum part_result json_read(struct part_reader *reader, struct slice path,
                                  struct slice *value)
{
    if (reader->json == RECEIVED_JSON_UNKNOWN)
        reader->json =
            json_check(reader->root, NULL) == ST_OK ? RECEIVED_JSON_YES : RECEIVED_JSON_NO;
    if (reader->json == RECEIVED_JSON_NO)
        return PART_ABSENT;
    struct buf *buf = part_reader_buf(reader);
    if (!buf)
        return PART_NO_MEMORY;
    *value = received_json_text(reader->root, path, buf);
    if (value->ptr)
        return PART_GIVEN;
    return buf_status(buf) == ST_OK ? PART_ABSENT : PART_NO_MEMORY;
}

static enum part_result hash_read(struct part_reader *reader, struct slice *value)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    struct buf *buf = part_reader_buf(reader);
    struct digest context = {NULL, NULL};
    enum status status = digest_sha256(&context, &reader->received->body, 1, digest);
    digest_free(&context);
    if (!buf || status != ST_OK)
        return PART_NO_MEMORY;
    hex_encode(buf, slice_of(digest, sizeof(digest)));
    return made(buf, value);
}

static enum part_result crc32_read(struct part_reader *reader, struct slice *value)
{
    char digits[DIGITS_MAX];
    struct buf *buf = part_reader_buf(reader);
    if (!buf)
        return PART_NO_MEMORY;
    buf_add_slice(buf, digits_u64(digits, crc32_of(reader->received->body)));
    return made(buf, value);
}

static enum part_result query_read(struct part_reader *reader, struct slice name,
                                   struct slice *value)
{
    struct buf *buf = part_reader_buf(reader);
    if (!buf)
        return PART_NO_MEMORY;
    bool there = received_query(reader->received->query, name, buf);
    enum part_result result = made(buf, value);
    return result == PART_GIVEN && !there ? PART_ABSENT : result;
}

static enum part_result form_read(struct part_reader *reader, struct slice *value)
{
    struct buf *buf = part_reader_buf(reader);
    if (!buf)
        return PART_NO_MEMORY;
    bool there = reader->hashed || form_sorted(reader->received->body, buf);
    enum part_result result = made(buf, value);
    return result == PART_GIVEN && !there ? PART_ABSENT : result;
}

static enum part_result read_any(struct part_reader *reader, const struct part *part,
                                 struct slice *value)
{
    const struct received *received = reader->received;
    switch (part->kind) {
    case PART_TEXT:
        return given(part->name, value);
    case PART_BODY:
        *value = received->body;
        return PART_GIVEN;
    case PART_TIMESTAMP:
        return given(reader->timestamp, value);
    case PART_METHOD:
        return given(received->method, value);
    case PART_FIELD:
        return given(reader->fields[part->field], value);
    case PART_HEADER:
        *value = received_header(received, part->name);
        return value->len > 0 ? PART_GIVEN : PART_ABSENT;
    case PART_VAR:
        *value = received_var(received, part->name);
        return value->ptr ? PART_GIVEN : PART_UNCONFIGURED;
    case PART_URL:
        return url_read(reader, value);
    case PART_JSON:
        return json_read(reader, part->name, value);
    case PART_QUERY:
        return query_read(reader, part->name, value);
    case PART_FORM_SORTED:
        return form_read(reader, value);
    case PART_CRC32:
        return crc32_read(reader, value);
    case PART_SHA256_HEX:
        return hash_read(reader, value);
    case PART_HEADERS:
    case PART_ENTRY:
        break; /* the verifier's own */
    }
    return PART_ABSENT;
}

/* Not there at all. What comes twice is no such thing: the sender has signed one of the two. */
static bool is_missing(const struct part_reader *reader, const struct part *part)
{
    const struct received *received = reader->received;
    if (part->kind == PART_JSON)
        return reader->json == RECEIVED_JSON_YES && received_json_absent(reader->root, part->name);
    for (size_t i = 0; i < received->header_count; i++)
        if (slice_eq_nocase(received->headers[i].name, part->name))
            return false;
    return part->kind == PART_HEADER;
}

enum part_result part_read(struct part_reader *reader, const struct part *part, struct slice *value)
{
    *value = SLICE_NULL;
    enum part_result result = read_any(reader, part, value);
    if (result != PART_ABSENT || !part->optional || !is_missing(reader, part))
        return result;
    *value = SLICE("");
    return PART_GIVEN;
}
