/* http_response.c - reads one HTTP/1.x response, in any pieces.
 *
 *                    line            empty line, final                       its end
 *      STATUS_LINE ---------> FIELDS ------------------> BODY_LENGTH  ------------------> END
 *           ^                   |                        BODY_CHUNKED ------------------> END
 *           +-------------------+                        BODY_TO_EOF ---- http_response_eof()
 *             empty line of a 1xx                        (or END at once, when there is none)
 *
 * Lines are found with memchr() and read where they lie. Of a line that is cut, its first bytes are
 * kept (`cut`): enough for every field that counts, since a longer one of those is as good as
 * malformed. A verdict is passed on complete lines only, so that it does not depend on the cuts;
 * but one byte that no response begins with is enough, lest we wait for the line end of a peer that
 * speaks another protocol.
 *
 * What of RFC 9112 is enforced. Refused is what makes it doubtful where the response ends:
 *
 *   - Content-Length that is no number, or several different ones; any beside Transfer-Encoding;
 *     Transfer-Encoding other than `chunked`, once; either of them folded, or with white space in
 *     front of the colon;
 *   - a chunk's size line, data and trailer against the grammar, with CR LF at each end (blanks
 *     behind the size are forgiven);
 *   - control bytes in a line, bare CR and NUL among them; a line without a colon; a folded line
 *     in front of the first field; 101, as nobody asked to switch; more 1xx than anybody needs;
 *   - a status line that is not `HTTP/1.x SP 3DIGIT`, and a space if anything follows.
 *
 * Forgiven, at the price of the connection, is what leaves no such doubt. The plain route (libcurl
 * 7.88) takes all of it, and a delivery that arrived must not count as failed for want of style:
 *
 *   - bare LF (RFC 9112 section 2.2 lets recipients recognise it): shell scripts and CGI;
 *   - folded fields, which section 5.2 obliges a user agent to accept: nginx sends them for an
 *     `add_header` that is written over several lines;
 *   - names that are no tokens, or followed by white space: PHP's header("A : b");
 *   - the same Content-Length several times, as field or in a list (RFC 9110 section 8.6);
 *   - chunked in HTTP/1.0 (section 6.1 asks for just this: process it, then close);
 *   - a length or coding of a body that 204 and 304 cannot have: there is none all the same.
 *
 * HTTP/1.2 to 1.9 are read as 1.1 (RFC 9110 section 2.5), statuses up to 999 are passed on.
 *
 * Rejected: http_head.c for this, too. It wants the head in one piece, and so a buffer of the
 * largest head for each connection; and it is right to refuse what is forgiven here.
 */
#include "net/http_response.h"

#include <assert.h>
#include <string.h>

#include "base/ascii.h"
#include "base/limits.h"
#include "base/parse.h"
#include "net/http_head.h"

enum state { STATUS_LINE, FIELDS, BODY_LENGTH, BODY_CHUNKED, BODY_TO_EOF, END };

/* The fields that count. */
enum field { FIELD_NONE, FIELD_OTHER, FIELD_LENGTH, FIELD_CODING, FIELD_CONNECTION, FIELD_RETRY };

/* A complete line without its end. */
struct line {
    struct slice text; /* the first HTTP_RESPONSE_LINE_BYTES of it */
    bool longer;       /* there is more */
    bool control;      /* a control byte is in it, wherever */
};

/* "HTTP/1.x NNN" */
static const char version_prefix[] = "HTTP/1.";
enum { VERSION_PREFIX_BYTES = 7, VERSION_BYTES = 8, STATUS_END = 12 };

static_assert((int)HTTP_RESPONSE_LINE_BYTES > STATUS_END, "a status line must fit");

void http_response_begin(struct http_response *response, size_t header_bytes_max)
{
    /* What lies behind is set before it is read. */
    memset(response, 0, offsetof(struct http_response, chunked));
    response->header_bytes_max = header_bytes_max;
}

static enum http_response_step refuse(struct http_response *r, const char *fault)
{
    r->fault = fault;
    return HTTP_RESPONSE_FAULT;
}

static enum http_response_step refuse_large(struct http_response *r)
{
    r->fault = "the response's headers are too large";
    return HTTP_RESPONSE_TOO_LARGE;
}

/* ---- Control bytes --------------------------------------------------------------------------- */

static bool has_control(struct slice s)
{
    uint64_t word;
    for (; s.len >= sizeof(word); s = slice_from(s, sizeof(word))) {
        memcpy(&word, s.ptr, sizeof(word));
        if (ascii_word_has_control(word) &&
            http_char_span(slice_of(s.ptr, sizeof(word)), HTTP_CHAR_VALUE) < sizeof(word))
            return true;
    }
    return http_char_span(s, HTTP_CHAR_VALUE) < s.len;
}

/* ---- The status line ------------------------------------------------------------------------- */

/* `bytes` are those of the status line from cut_bytes on. */
static bool may_begin(const struct http_response *r, struct slice bytes)
{
    if (r->cut_bytes >= VERSION_PREFIX_BYTES || bytes.len == 0)
        return true;
    size_t len = VERSION_PREFIX_BYTES - r->cut_bytes;
    return memcmp(bytes.ptr, version_prefix + r->cut_bytes, bytes.len < len ? bytes.len : len) == 0;
}

static enum http_response_step on_status_line(struct http_response *r, const struct line *line)
{
    const char *text = line->text.ptr;
    if (line->text.len < STATUS_END || !ascii_is_digit(text[VERSION_PREFIX_BYTES]) ||
        text[VERSION_BYTES] != ' ' || text[9] < '1' || text[9] > '9' || !ascii_is_digit(text[10]) ||
        !ascii_is_digit(text[11]) || (line->text.len > STATUS_END && text[STATUS_END] != ' '))
        return refuse(r, "the response's status line is malformed");
    r->minor = text[VERSION_PREFIX_BYTES] == '0' ? 0 : 1;
    r->line_status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0');
    /* What a 1xx said does not count. That it was sloppy does. */
    r->field = FIELD_NONE;
    r->close_asked = r->keep_alive_asked = r->length_given = r->coding_given = false;
    r->framing_fault = NULL;
    r->retry_after = SLICE_NULL;
    r->state = FIELDS;
    return HTTP_RESPONSE_MORE;
}

/* ---- Header lines ---------------------------------------------------------------------------- */

static enum field field_of(struct slice name)
{
    switch (name.len) { /* most names differ in length from all of these */
    case 10:
        return slice_eq_nocase(name, SLICE("Connection")) ? FIELD_CONNECTION : FIELD_OTHER;
    case 11:
        return slice_eq_nocase(name, SLICE("Retry-After")) ? FIELD_RETRY : FIELD_OTHER;
    case 14:
        return slice_eq_nocase(name, SLICE("Content-Length")) ? FIELD_LENGTH : FIELD_OTHER;
    case 17:
        return slice_eq_nocase(name, SLICE("Transfer-Encoding")) ? FIELD_CODING : FIELD_OTHER;
    default:
        return FIELD_OTHER;
    }
}

/* Not raised at once: a 1xx, 204 or 304 ends with its header whatever it says. */
static void doubt_framing(struct http_response *r, const char *fault)
{
    if (!r->framing_fault)
        r->framing_fault = fault;
}

static void on_length(struct http_response *r, struct slice list)
{
    do {
        uint64_t length = UINT64_MAX; /* stays when it is more: so much never comes */
        if (parse_u64(http_list_next(&list), &length) == ST_SYNTAX)
            doubt_framing(r, "the response's Content-Length is not a number");
        if (r->length_given) {
            r->sloppy = true;
            if (length != r->length)
                doubt_framing(r, "the response has different Content-Lengths");
        }
        r->length_given = true;
        r->length = length;
    } while (list.ptr);
}

static void on_coding(struct http_response *r, struct slice value)
{
    if (r->coding_given || !slice_eq_nocase(value, SLICE("chunked")))
        doubt_framing(r, "the response's Transfer-Encoding is not just chunked");
    r->coding_given = true;
}

static void on_connection(struct http_response *r, struct slice list)
{
    while (list.ptr) {
        struct slice option = http_list_next(&list);
        if (slice_eq_nocase(option, SLICE("close")))
            r->close_asked = true;
        else if (slice_eq_nocase(option, SLICE("keep-alive")))
            r->keep_alive_asked = true;
    }
}

/* The last one counts, as with the plain route. */
static void on_retry_after(struct http_response *r, struct slice value)
{
    r->retry_after = SLICE_NULL;
    if (value.len > sizeof(r->retry_after_text))
        return;
    memcpy(r->retry_after_text, value.ptr, value.len);
    r->retry_after = slice_of(r->retry_after_text, value.len);
}

/* Of a field that is longer than any that counts, nothing is known but that. */
static void on_field(struct http_response *r, enum field field, struct slice value, bool longer)
{
    struct slice known = longer ? SLICE("") : value;
    switch (field) {
    case FIELD_LENGTH:
        on_length(r, known);
        break;
    case FIELD_CODING:
        on_coding(r, known);
        break;
    case FIELD_CONNECTION:
        on_connection(r, known);
        r->sloppy |= longer; /* it may say "close" */
        break;
    case FIELD_RETRY:
        on_retry_after(r, known);
        break;
    case FIELD_NONE:
    case FIELD_OTHER:
        break;
    }
}

/* A line that continues the one before it. Only what it does to that one is of interest. */
static enum http_response_step on_folded(struct http_response *r)
{
    if (r->field == FIELD_NONE)
        return refuse(r, "the response's first header line begins with white space");
    r->sloppy = true;
    if (r->field == FIELD_LENGTH || r->field == FIELD_CODING)
        doubt_framing(r, "a field of the response's framing is folded");
    else if (r->field == FIELD_RETRY)
        r->retry_after = SLICE_NULL;
    return HTTP_RESPONSE_MORE;
}

/* A line whose name is not a token right in front of the colon. */
static enum http_response_step on_odd_name(struct http_response *r, struct slice line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon)
        return refuse(r, "a line of the response's header has no name");
    r->sloppy = true;
    r->field = FIELD_OTHER;
    enum field meant = field_of(http_trim(slice_of(line.ptr, (size_t)(colon - line.ptr))));
    if (meant == FIELD_LENGTH || meant == FIELD_CODING)
        doubt_framing(r, "a field of the response's framing has white space before the colon");
    return HTTP_RESPONSE_MORE;
}

static enum http_response_step on_field_line(struct http_response *r, const struct line *line)
{
    struct slice text = line->text;
    if (http_is_blank(text.ptr[0]))
        return on_folded(r);
    size_t name_len = http_char_span(text, HTTP_CHAR_TOKEN);
    if (name_len == 0 || name_len == text.len || text.ptr[name_len] != ':')
        return on_odd_name(r, text);
    enum field field = field_of(slice_of(text.ptr, name_len));
    r->field = (int)field;
    if (field != FIELD_OTHER) /* as most are */
        on_field(r, field, http_trim(slice_from(text, name_len + 1)), line->longer);
    return HTTP_RESPONSE_MORE;
}

/* ---- The end of a header --------------------------------------------------------------------- */

static enum http_response_step on_provisional(struct http_response *r)
{
    if (r->line_status == 101)
        return refuse(r, "the response switches protocols");
    if (++r->provisional_count > LIMIT_RESPONSE_PROVISIONAL)
        return refuse(r, "too many provisional responses");
    r->state = STATUS_LINE;
    return HTTP_RESPONSE_MORE;
}

static void begin_chunks(struct http_response *r)
{
    size_t room = r->header_bytes_max - r->header_bytes;
    http_chunked_init(&r->chunked, SIZE_MAX);
    r->chunked.blanks_allowed = true;
    if (r->chunked.trailer_bytes_max > room)
        r->chunked.trailer_bytes_max = room;
    r->sloppy |= r->minor == 0;
    r->state = BODY_CHUNKED;
}

/* RFC 9112 section 6.3. */
static enum http_response_step on_header_end(struct http_response *r)
{
    if (r->line_status < 200)
        return on_provisional(r);
    r->status_code = r->line_status;
    r->header_complete = true;
    if (r->status_code == 204 || r->status_code == 304) {
        /* A 304 may say how long the representation is (RFC 9110 section 8.6), a 204 nothing. */
        bool length_odd = r->status_code == 204 && r->length_given && r->length > 0;
        r->sloppy |= length_odd || r->coding_given || r->framing_fault;
        r->state = END;
    } else if (r->framing_fault) {
        return refuse(r, r->framing_fault);
    } else if (r->coding_given && r->length_given) {
        return refuse(r, "the response has both Content-Length and Transfer-Encoding");
    } else if (r->coding_given) {
        begin_chunks(r);
    } else if (r->length_given) {
        r->state = r->length > 0 ? BODY_LENGTH : END;
    } else {
        r->state = BODY_TO_EOF;
    }
    r->keep_alive = r->state != BODY_TO_EOF && !r->sloppy && !r->close_asked &&
                    (r->minor > 0 || r->keep_alive_asked);
    return HTTP_RESPONSE_MORE;
}

/* ---- Lines out of bytes ---------------------------------------------------------------------- */

static enum http_response_step on_line(struct http_response *r, const struct line *line)
{
    if (line->control)
        return refuse(r, "a control character is in the response's header");
    if (r->state == STATUS_LINE)
        return on_status_line(r, line);
    return line->text.len > 0 ? on_field_line(r, line) : on_header_end(r);
}

/* Remembers a piece of a line that has no end yet. */
static void keep_cut(struct http_response *r, struct slice piece)
{
    if (piece.len == 0)
        return;
    size_t kept = 0;
    if (r->cut_bytes < sizeof(r->cut)) {
        size_t room = sizeof(r->cut) - r->cut_bytes;
        kept = piece.len < room ? piece.len : room;
        memcpy(r->cut + r->cut_bytes, piece.ptr, kept);
    }
    r->cut_bytes += piece.len;
    r->cut_control |= r->cut_cr; /* it was not the end */
    r->cut_cr = piece.ptr[piece.len - 1] == '\r';
    piece.len -= r->cut_cr;
    r->cut_control |= has_control(piece);
}

/* The line that was cut is complete. Its CR, if it has one, is in it. */
static enum http_response_step end_cut(struct http_response *r)
{
    size_t len = r->cut_bytes - r->cut_cr;
    struct line line = {.longer = len > sizeof(r->cut), .control = r->cut_control};
    line.text = slice_of(r->cut, line.longer ? sizeof(r->cut) : len);
    r->sloppy |= !r->cut_cr;
    r->cut_bytes = 0;
    r->cut_cr = false;
    return on_line(r, &line);
}

/* A line that came in one piece. */
static enum http_response_step whole_line(struct http_response *r, struct slice text)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '\r')
        text.len--;
    else
        r->sloppy = true;
    struct line line = {.text = text, .control = has_control(text)};
    line.longer = text.len > HTTP_RESPONSE_LINE_BYTES;
    if (line.longer)
        line.text.len = HTTP_RESPONSE_LINE_BYTES;
    return on_line(r, &line);
}

/* Takes a line, or the part of it that is there, off *rest, which is not empty. */
static enum http_response_step take_line(struct http_response *r, struct slice *rest)
{
    size_t room = r->header_bytes_max - r->header_bytes;
    struct slice view = slice_of(rest->ptr, rest->len < room ? rest->len : room);
    if (r->state == STATUS_LINE && !may_begin(r, view))
        return refuse(r, "what came is not an HTTP/1 response");
    const char *lf = memchr(view.ptr, '\n', view.len);
    if (!lf) {
        if (view.len < rest->len)
            return refuse_large(r);
        r->header_bytes += view.len;
        keep_cut(r, view);
        *rest = slice_from(*rest, view.len);
        return HTTP_RESPONSE_MORE;
    }
    struct slice text = slice_of(view.ptr, (size_t)(lf - view.ptr));
    r->header_bytes += text.len + 1;
    *rest = slice_from(*rest, text.len + 1);
    if (r->cut_bytes == 0)
        return whole_line(r, text);
    keep_cut(r, text);
    return end_cut(r);
}

/* ---- The body -------------------------------------------------------------------------------- */

static const char *const chunk_faults[HTTP_FAULTS] = {
    [HTTP_FAULT_BODY_LONG] = "the response is too long",
    [HTTP_FAULT_CHUNK_SIZE] = "a chunk of the response has no valid size",
    [HTTP_FAULT_CHUNK_LINE] = "a line of the response's chunked body does not end in CR LF",
    [HTTP_FAULT_CHUNK_EXTENSION] = "a chunk extension of the response is malformed",
    [HTTP_FAULT_CHUNK_EXTENSION_LONG] = "the response's chunk extensions are too long",
    [HTTP_FAULT_CHUNK_END] = "a chunk of the response is longer than its size says",
    [HTTP_FAULT_TRAILER] = "a line of the response's trailer is malformed",
};

static enum http_response_step take_chunks(struct http_response *r, struct slice *rest,
                                           struct slice *body)
{
    size_t used;
    size_t trailer_bytes = r->chunked.trailer_bytes;
    enum http_fault fault = http_chunked_next(&r->chunked, *rest, &used, body);
    if (fault)
        return fault == HTTP_FAULT_TRAILER_LONG ? refuse_large(r) : refuse(r, chunk_faults[fault]);
    *rest = slice_from(*rest, used);
    r->header_bytes += r->chunked.trailer_bytes - trailer_bytes;
    if (body->len > 0)
        return HTTP_RESPONSE_BODY;
    if (!r->chunked.done)
        return HTTP_RESPONSE_MORE;
    r->keep_alive &= !r->chunked.blanks_seen;
    r->state = END;
    return HTTP_RESPONSE_DONE;
}

static enum http_response_step take_body(struct http_response *r, struct slice *rest,
                                         struct slice *body)
{
    if (r->state == END)
        return HTTP_RESPONSE_DONE;
    if (rest->len == 0)
        return HTTP_RESPONSE_MORE;
    if (r->state == BODY_CHUNKED)
        return take_chunks(r, rest, body);
    *body = *rest;
    if (r->state == BODY_LENGTH) {
        if (body->len > r->length)
            body->len = (size_t)r->length;
        r->length -= body->len;
        if (r->length == 0)
            r->state = END;
    }
    *rest = slice_from(*rest, body->len);
    return HTTP_RESPONSE_BODY;
}

/* ---- Interface ------------------------------------------------------------------------------- */

static bool in_header(const struct http_response *r)
{
    return r->state == STATUS_LINE || r->state == FIELDS;
}

enum http_response_step http_response_feed(struct http_response *response, struct slice in,
                                           size_t *used, struct slice *body)
{
    struct slice rest = in;
    enum http_response_step step = HTTP_RESPONSE_MORE;
    assert(!response->fault);
    *body = SLICE_NULL;
    response->begun |= in.len > 0;
    while (step == HTTP_RESPONSE_MORE && in_header(response) && rest.len > 0)
        step = take_line(response, &rest);
    if (step == HTTP_RESPONSE_MORE && !in_header(response))
        step = take_body(response, &rest, body);
    response->body_bytes += body->len;
    *used = in.len - rest.len;
    if (step == HTTP_RESPONSE_DONE && rest.len > 0)
        response->keep_alive = false; /* nobody asked for what is there */
    return step;
}

enum http_response_step http_response_eof(struct http_response *response)
{
    if (response->state == BODY_TO_EOF || response->state == END)
        return HTTP_RESPONSE_DONE;
    if (!response->begun)
        return refuse(response, "the connection was closed before a response came");
    return refuse(response, in_header(response)
                                ? "the connection was closed inside the response's header"
                                : "the connection was closed inside the response's body");
}
