/* http_chunked.c - decodes a chunked body, in any pieces.
 *
 *              digits                       CR LF           bytes       CR LF
 *      SIZE ------------------------------> SIZE_LF ------> DATA -----> DATA_CR, DATA_LF -> SIZE
 *        | ;    EXT_NAME [= EXT_VALUE ...] --^   | size 0
 *        +------^                                v
 *                                             TRAILER -- empty line --> END_LF --> done
 *                                              |   ^
 *                                              v   | CR LF
 *                                TRAILER_NAME : TRAILER_VALUE
 *
 * Data is taken in runs; only framing goes through the automaton, a byte a step. As everything
 * given is consumed, the caller never holds framing bytes, and what is held is bounded by the body
 * alone.
 *
 * Extensions must be ignored when not understood (RFC 9112 section 7.1.1), so they are accepted,
 * but only by the grammar and without white space, and with a bounded length in all: requests have
 * been smuggled through parsers that looked for the next LF. The trailer is held to the rules of
 * headers, bounded, and dropped: merged into the headers it would be another way to smuggle
 * (section 7.1.2).
 *
 * blanks_allowed is for responses. Some servers pad the size with spaces, and the grammar lets any
 * put white space around the parts of an extension. Behind a size come then SIZE_BLANK until CR or
 * ';', and EXT_ANY until CR, whatever of printable bytes is in between: the end of the line is as
 * certain as it is otherwise.
 */
#include "net/http_chunked.h"

#include <string.h>

#include "base/ascii.h"
#include "base/limits.h"
#include "net/http_head.h"

enum { SIZE_DIGITS_MAX = 8 };

enum state {
    SIZE,
    SIZE_BLANK,
    EXT_ANY,
    EXT_NAME_START,
    EXT_NAME,
    EXT_VALUE_START,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF
};

void http_chunked_init(struct http_chunked *chunked, size_t body_bytes_max)
{
    *chunked = (struct http_chunked){
        .state = SIZE,
        .body_bytes_max = body_bytes_max,
        .trailer_bytes_max = LIMIT_HTTP_TRAILER_BYTES,
    };
}

static enum http_fault enter(struct http_chunked *c, enum state state)
{
    c->state = (int)state;
    return HTTP_FAULT_NONE;
}

static enum http_fault on_size_end(struct http_chunked *c, char b)
{
    if (c->blanks_allowed && http_is_blank(b)) {
        c->blanks_seen = true;
        /* Counted, so that this has an end, too. */
        return ++c->extension_bytes > LIMIT_HTTP_EXTENSION_BYTES ? HTTP_FAULT_CHUNK_EXTENSION_LONG
                                                                 : enter(c, SIZE_BLANK);
    }
    if (b == ';')
        return enter(c, c->blanks_allowed ? EXT_ANY : EXT_NAME_START);
    return b == '\r' ? enter(c, SIZE_LF) : HTTP_FAULT_CHUNK_SIZE;
}

static enum http_fault on_size(struct http_chunked *c, char b)
{
    int value = ascii_hex_value(b);
    if (value >= 0 && c->digits < SIZE_DIGITS_MAX) {
        c->left = c->left * 16 + (unsigned)value;
        c->digits++;
        return HTTP_FAULT_NONE;
    }
    return c->digits > 0 ? on_size_end(c, b) : HTTP_FAULT_CHUNK_SIZE;
}

/* What may follow a complete extension: another, or the end of the line. */
static enum http_fault on_extension_end(struct http_chunked *c, char b)
{
    if (b == ';')
        return enter(c, EXT_NAME_START);
    return b == '\r' ? enter(c, SIZE_LF) : HTTP_FAULT_CHUNK_EXTENSION;
}

/* *( ";" chunk-ext-name [ "=" chunk-ext-val ] ), the value a token or a quoted string. */
static enum http_fault on_extension(struct http_chunked *c, char b)
{
    if (++c->extension_bytes > LIMIT_HTTP_EXTENSION_BYTES)
        return HTTP_FAULT_CHUNK_EXTENSION_LONG;
    bool token = http_char_is(b, HTTP_CHAR_TOKEN);
    switch (c->state) {
    case EXT_ANY:
        if (b == '\r')
            return enter(c, SIZE_LF);
        return http_char_is(b, HTTP_CHAR_VALUE) ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_EXTENSION;
    case EXT_NAME_START:
        return token ? enter(c, EXT_NAME) : HTTP_FAULT_CHUNK_EXTENSION;
    case EXT_NAME:
        if (token)
            return HTTP_FAULT_NONE;
        return b == '=' ? enter(c, EXT_VALUE_START) : on_extension_end(c, b);
    case EXT_VALUE_START:
        if (b == '"')
            return enter(c, EXT_QUOTED);
        return token ? enter(c, EXT_TOKEN) : HTTP_FAULT_CHUNK_EXTENSION;
    case EXT_TOKEN:
        return token ? HTTP_FAULT_NONE : on_extension_end(c, b);
    case EXT_QUOTED:
        if (b == '"')
            return enter(c, EXT_QUOTED_END);
        if (b == '\\')
            return enter(c, EXT_QUOTED_PAIR);
        return http_char_is(b, HTTP_CHAR_VALUE) ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_EXTENSION;
    case EXT_QUOTED_PAIR:
        return http_char_is(b, HTTP_CHAR_VALUE) ? enter(c, EXT_QUOTED) : HTTP_FAULT_CHUNK_EXTENSION;
    default: /* EXT_QUOTED_END */
        return on_extension_end(c, b);
    }
}

/* The size line is complete. */
static enum http_fault on_size_lf(struct http_chunked *c, char b)
{
    if (b != '\n')
        return HTTP_FAULT_CHUNK_LINE;
    c->digits = 0;
    if (c->left > c->body_bytes_max - c->body_bytes)
        return HTTP_FAULT_BODY_LONG;
    return enter(c, c->left > 0 ? DATA : TRAILER);
}

static enum http_fault on_trailer(struct http_chunked *c, char b)
{
    if (++c->trailer_bytes > c->trailer_bytes_max)
        return HTTP_FAULT_TRAILER_LONG;
    bool token = http_char_is(b, HTTP_CHAR_TOKEN);
    switch (c->state) {
    case TRAILER:
        if (b == '\r')
            return enter(c, END_LF);
        return token ? enter(c, TRAILER_NAME) : HTTP_FAULT_TRAILER;
    case TRAILER_NAME:
        if (token)
            return HTTP_FAULT_NONE;
        return b == ':' ? enter(c, TRAILER_VALUE) : HTTP_FAULT_TRAILER;
    default: /* TRAILER_VALUE */
        if (b == '\r')
            return enter(c, TRAILER_LF);
        return http_char_is(b, HTTP_CHAR_VALUE) ? HTTP_FAULT_NONE : HTTP_FAULT_TRAILER;
    }
}

static enum http_fault on_byte(struct http_chunked *c, char b)
{
    switch ((enum state)c->state) {
    case SIZE:
        return on_size(c, b);
    case SIZE_BLANK:
        return on_size_end(c, b);
    case EXT_ANY:
    case EXT_NAME_START:
    case EXT_NAME:
    case EXT_VALUE_START:
    case EXT_TOKEN:
    case EXT_QUOTED:
    case EXT_QUOTED_PAIR:
    case EXT_QUOTED_END:
        return on_extension(c, b);
    case SIZE_LF:
        return on_size_lf(c, b);
    case DATA_CR:
        return b == '\r' ? enter(c, DATA_LF) : HTTP_FAULT_CHUNK_END;
    case DATA_LF:
        return b == '\n' ? enter(c, SIZE) : HTTP_FAULT_CHUNK_END;
    case TRAILER:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return on_trailer(c, b);
    case TRAILER_LF:
        return b == '\n' ? enter(c, TRAILER) : HTTP_FAULT_CHUNK_LINE;
    case END_LF:
        c->done = b == '\n';
        return c->done ? HTTP_FAULT_NONE : HTTP_FAULT_CHUNK_LINE;
    case DATA: /* not framing */
        break;
    }
    return HTTP_FAULT_NONE;
}

enum http_fault http_chunked_next(struct http_chunked *chunked, struct slice raw, size_t *used,
                                  struct slice *data)
{
    size_t at = 0;
    *data = slice_of(raw.ptr, 0);
    while (at < raw.len && !chunked->done && data->len == 0) {
        if (chunked->state == DATA) {
            size_t run = raw.len - at < chunked->left ? raw.len - at : chunked->left;
            *data = slice_of(raw.ptr + at, run);
            chunked->body_bytes += run;
            chunked->left -= (uint32_t)run;
            at += run;
            if (chunked->left == 0)
                chunked->state = DATA_CR;
        } else {
            enum http_fault fault = on_byte(chunked, raw.ptr[at++]);
            if (fault)
                return fault;
        }
    }
    *used = at;
    return HTTP_FAULT_NONE;
}

enum http_fault http_chunked_feed(struct http_chunked *chunked, char *body, const char *raw,
                                  size_t len, size_t *used)
{
    struct slice rest = slice_of(raw, len);
    while (rest.len > 0 && !chunked->done) {
        char *end = body + chunked->body_bytes;
        size_t taken;
        struct slice data;
        enum http_fault fault = http_chunked_next(chunked, rest, &taken, &data);
        if (fault)
            return fault;
        if (data.len > 0)
            memmove(end, data.ptr, data.len);
        rest = slice_from(rest, taken);
    }
    *used = len - rest.len;
    return HTTP_FAULT_NONE;
}
