/* http_head.c - the head of a request, by the letter of RFC 9112 and RFC 9110.
 *
 * The rule behind every decision: two parsers that read one stream differently are a smuggled
 * request. Whatever RFC 9112 lets a server be lenient about (bare LF, folding, white space before a
 * colon, repeated equal Content-Length) is refused here, because some proxy in front reads it in
 * the other way. What a strict client may send is accepted:
 *
 *   - one empty line before the request line (RFC 9112 section 2.2: SHOULD ignore at least one);
 *   - HTTP/1.2 to 1.9 are read as 1.1 (RFC 9110 section 2.5), other majors are 505;
 *   - bytes 0x80 to 0xff in values: obs-text of RFC 9110 section 5.5. No framing depends on them,
 *     and real clients send UTF-8 there;
 *   - absolute-form, whose host then replaces that of Host, which must be valid nevertheless but
 *     need not be the same (RFC 9112 section 3.2.2: MUST ignore the received Host);
 *   - a body with any method, GET too: framing does not depend on the method (RFC 9112 section 6).
 *
 * Rejected: an automaton that takes one byte a step. Finding line ends with memchr and parsing the
 * complete head once is faster, shorter and gives slices without copying; the price is that a fault
 * in the first line is told when the head is complete.
 */
#include "net/http_head.h"

#include <assert.h>

#include "base/ascii.h"
#include "base/parse.h"

enum {
    VERSION_BYTES = 8,
    /* Room for the method, the version and spaces. A longer line is 414 whatever it holds. */
    REQUEST_LINE_BYTES = LIMIT_HTTP_TARGET_BYTES + 64
};
/* The path of a URI that has none. Compared by address: it is not in the request's bytes. */
static const char root_path[] = "/";

static_assert(REQUEST_LINE_BYTES < LIMIT_HTTP_HEADER_BYTES, "414 must come before 431");

#define T HTTP_CHAR_TOKEN
#define V HTTP_CHAR_VALUE
#define P HTTP_CHAR_TARGET
#define H HTTP_CHAR_HOST
#define X HTTP_CHAR_HEX
const unsigned char http_char_class[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | P | H,
    ['"'] = V | P,
    ['#'] = T | V,
    ['$'] = T | V | P | H,
    ['%'] = T | V | P,
    ['&' ... '\''] = T | V | P | H,
    ['(' ... ')'] = V | P | H,
    ['*' ... '+'] = T | V | P | H,
    [','] = V | P | H,
    ['-' ... '.'] = T | V | P | H,
    ['/'] = V | P,
    ['0' ... '9'] = T | V | P | H | X,
    [':'] = V | P,
    [';'] = V | P | H,
    ['<'] = V | P,
    ['='] = V | P | H,
    ['>' ... '@'] = V | P,
    ['A' ... 'F'] = T | V | P | H | X,
    ['G' ... 'Z'] = T | V | P | H,
    ['[' ... ']'] = V | P,
    ['^'] = T | V | P,
    ['_'] = T | V | P | H,
    ['`'] = T | V | P,
    ['a' ... 'f'] = T | V | P | H | X,
    ['g' ... 'z'] = T | V | P | H,
    ['{'] = V | P,
    ['|'] = T | V | P,
    ['}'] = V | P,
    ['~'] = T | V | P | H,
    [0x80 ... 0xff] = V,
};
#undef T
#undef V
#undef P
#undef H
#undef X

size_t http_char_span(struct slice s, int class)
{
    size_t n = 0;
    while (n < s.len && http_char_is(s.ptr[n], class))
        n++;
    return n;
}

bool http_is_value(struct slice s)
{
    uint64_t word;
    for (; s.len >= sizeof(word); s = slice_from(s, sizeof(word))) {
        memcpy(&word, s.ptr, sizeof(word));
        if (ascii_word_has_control(word) &&
            http_char_span(slice_of(s.ptr, sizeof(word)), HTTP_CHAR_VALUE) < sizeof(word))
            return false;
    }
    return http_char_span(s, HTTP_CHAR_VALUE) == s.len;
}

/* ---- Finding the end ------------------------------------------------------------------------- */

/* A client that speaks something else (TLS, a bare LF) is told at its first byte. */
static bool may_begin(const struct http_head_scan *scan, char c)
{
    return http_char_is(c, HTTP_CHAR_TOKEN) || (c == '\r' && !scan->skipped);
}

enum http_fault http_head_scan(struct http_head_scan *scan, const char *bytes, size_t len,
                               size_t *head_bytes)
{
    *head_bytes = 0;
    while (scan->line_at < len) {
        if (!scan->have_request_line && !may_begin(scan, bytes[scan->line_at]))
            return HTTP_FAULT_BEGIN;
        size_t line_max =
            scan->have_request_line ? LIMIT_HTTP_HEADER_BYTES : scan->line_at + REQUEST_LINE_BYTES;
        size_t until = len < line_max ? len : line_max;
        const char *lf =
            until > scan->looked ? memchr(bytes + scan->looked, '\n', until - scan->looked) : NULL;
        if (!lf) {
            scan->looked = until;
            if (until < line_max)
                return HTTP_FAULT_NONE;
            return scan->have_request_line ? HTTP_FAULT_HEAD_LONG : HTTP_FAULT_TARGET_LONG;
        }
        size_t end = (size_t)(lf - bytes) + 1;
        size_t line_bytes = end - scan->line_at;
        if (line_bytes < 2 || lf[-1] != '\r')
            return HTTP_FAULT_BARE_LF;
        scan->line_at = scan->looked = end;
        if (line_bytes > 2) {
            scan->have_request_line = true;
        } else if (scan->have_request_line) {
            *head_bytes = end;
            return HTTP_FAULT_NONE;
        } else {
            scan->skipped = true;
        }
    }
    return HTTP_FAULT_NONE;
}

/* ---- The request line ------------------------------------------------------------------------ */

static enum http_method method_of(struct slice name)
{
    static const struct {
        struct slice name;
        enum http_method method;
    } methods[] = {
        {{"POST", 4}, HTTP_POST},       {{"GET", 3}, HTTP_GET},     {{"HEAD", 4}, HTTP_HEAD},
        {{"PUT", 3}, HTTP_PUT},         {{"PATCH", 5}, HTTP_PATCH}, {{"DELETE", 6}, HTTP_DELETE},
        {{"OPTIONS", 7}, HTTP_OPTIONS},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (slice_eq(name, methods[i].name))
            return methods[i].method;
    }
    return HTTP_OTHER;
}

/* Host: uri-host [ ":" port ], RFC 9110 section 7.2. An empty one is refused, since http URIs have
 * a host (RFC 9110 section 4.2.1), and so is userinfo. */
static bool host_valid(struct slice s)
{
    size_t at = 0;
    if (s.len > 0 && s.ptr[0] == '[') {
        for (at = 1; at < s.len && (http_char_is(s.ptr[at], HTTP_CHAR_HEX) || s.ptr[at] == ':' ||
                                    s.ptr[at] == '.');)
            at++;
        if (at < 4 || at == s.len || s.ptr[at] != ']') /* "[::]" is the shortest */
            return false;
        at++;
    } else {
        while (at < s.len) {
            if (http_char_is(s.ptr[at], HTTP_CHAR_HOST))
                at++;
            else if (s.ptr[at] == '%' && s.len - at >= 3 &&
                     http_char_is(s.ptr[at + 1], HTTP_CHAR_HEX) &&
                     http_char_is(s.ptr[at + 2], HTTP_CHAR_HEX))
                at += 3;
            else
                break;
        }
        if (at == 0)
            return false;
    }
    if (at == s.len)
        return true;
    if (s.ptr[at] != ':' || s.len - at > 6)
        return false;
    struct slice port = slice_from(s, at + 1);
    uint64_t number;
    return port.len == 0 || (parse_u64(port, &number) == ST_OK && number <= UINT16_MAX);
}

static void split_query(struct http_head *head, struct slice path)
{
    const char *mark = memchr(path.ptr, '?', path.len);
    head->path = path;
    if (mark) {
        head->path.len = (size_t)(mark - path.ptr);
        head->query = slice_from(path, head->path.len + 1);
    }
}

/* absolute-form, RFC 9112 section 3.2.2. `rest` begins with the authority. */
static enum http_fault parse_absolute(struct http_head *head, struct slice rest)
{
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    head->host = slice_of(rest.ptr, end);
    if (!host_valid(head->host))
        return HTTP_FAULT_TARGET_AUTHORITY;
    split_query(head, slice_from(rest, end));
    if (head->path.len == 0)
        head->path = slice_of(root_path, 1); /* RFC 9110 section 4.2.3: the same resource */
    return HTTP_FAULT_NONE;
}

static enum http_fault parse_target(struct http_head *head, struct slice target)
{
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};
    if (target.len > LIMIT_HTTP_TARGET_BYTES)
        return HTTP_FAULT_TARGET_LONG;
    size_t good = http_char_span(target, HTTP_CHAR_TARGET);
    if (good < target.len)
        return target.ptr[good] == '#' ? HTTP_FAULT_TARGET_FRAGMENT : HTTP_FAULT_TARGET_BYTE;
    if (slice_eq(head->method_name, SLICE("CONNECT")))
        return HTTP_FAULT_CONNECT;
    if (target.ptr[0] == '/') {
        split_query(head, target);
        return HTTP_FAULT_NONE;
    }
    if (slice_eq(target, SLICE("*"))) {
        head->path = target;
        return head->method == HTTP_OPTIONS ? HTTP_FAULT_NONE : HTTP_FAULT_TARGET_ASTERISK;
    }
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct slice scheme = schemes[i];
        if (target.len >= scheme.len && slice_eq_nocase(slice_of(target.ptr, scheme.len), scheme))
            return parse_absolute(head, slice_from(target, scheme.len));
    }
    return HTTP_FAULT_TARGET_FORM;
}

static enum http_fault parse_version(struct http_head *head, struct slice version)
{
    if (version.len != VERSION_BYTES || !slice_starts(version, SLICE("HTTP/")) ||
        version.ptr[5] < '0' || version.ptr[5] > '9' || version.ptr[6] != '.' ||
        version.ptr[7] < '0' || version.ptr[7] > '9')
        return HTTP_FAULT_VERSION_SYNTAX;
    if (version.ptr[5] != '1')
        return HTTP_FAULT_VERSION;
    head->minor = version.ptr[7] == '0' ? 0 : 1;
    return HTTP_FAULT_NONE;
}

static enum http_fault parse_request_line(struct http_head *head, struct slice line)
{
    size_t method_len = http_char_span(line, HTTP_CHAR_TOKEN);
    if (method_len == line.len)
        return HTTP_FAULT_REQUEST_LINE;
    if (method_len == 0 || line.ptr[method_len] != ' ')
        return HTTP_FAULT_METHOD;
    head->method_name = slice_of(line.ptr, method_len);
    head->method = method_of(head->method_name);

    struct slice rest = slice_from(line, method_len + 1);
    const char *space = memchr(rest.ptr, ' ', rest.len);
    if (!space || space == rest.ptr)
        return HTTP_FAULT_REQUEST_LINE;
    struct slice target = slice_of(rest.ptr, (size_t)(space - rest.ptr));
    struct slice version = slice_from(rest, target.len + 1);
    if (memchr(version.ptr, ' ', version.len))
        return HTTP_FAULT_REQUEST_LINE;
    /* The version first: what the target may be depends on it ("PRI * HTTP/2.0"). */
    enum http_fault fault = parse_version(head, version);
    return fault ? fault : parse_target(head, target);
}

/* ---- Header lines ---------------------------------------------------------------------------- */

struct slice http_trim(struct slice s)
{
    while (s.len > 0 && http_is_blank(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len > 0 && http_is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct slice http_list_next(struct slice *list)
{
    const char *comma = list->len > 0 ? memchr(list->ptr, ',', list->len) : NULL;
    size_t len = comma ? (size_t)(comma - list->ptr) : list->len;
    struct slice element = http_trim(slice_of(list->ptr, len));
    *list = comma ? slice_from(*list, len + 1) : SLICE_NULL;
    return element;
}

static enum http_fault parse_line(struct http_header *header, struct slice line)
{
    if (http_is_blank(line.ptr[0]))
        return HTTP_FAULT_HEADER_FOLD;
    size_t name_len = http_char_span(line, HTTP_CHAR_TOKEN);
    if (name_len == line.len)
        return HTTP_FAULT_HEADER_COLON;
    if (name_len > 0 && http_is_blank(line.ptr[name_len]))
        return HTTP_FAULT_HEADER_SPACE;
    if (name_len == 0 || line.ptr[name_len] != ':')
        return HTTP_FAULT_HEADER_NAME;
    header->name = slice_of(line.ptr, name_len);
    header->value = http_trim(slice_from(line, name_len + 1));
    if (!http_is_value(header->value))
        return HTTP_FAULT_HEADER_VALUE;
    return HTTP_FAULT_NONE;
}

/* What the headers say about connection and framing, gathered line by line. */
struct gathered {
    struct slice host;
    struct slice length;
    struct slice coding;
    bool close;
    bool keep_alive;
};

static enum http_fault gather_once(struct slice *place, struct slice value, enum http_fault twice)
{
    if (place->ptr)
        return twice;
    *place = value;
    return HTTP_FAULT_NONE;
}

static void gather_connection(struct gathered *seen, struct slice list)
{
    while (list.ptr) {
        struct slice option = http_list_next(&list);
        if (slice_eq_nocase(option, SLICE("close")))
            seen->close = true;
        else if (slice_eq_nocase(option, SLICE("keep-alive")))
            seen->keep_alive = true;
    }
}

static enum http_fault gather(struct gathered *seen, struct http_head *head,
                              const struct http_header *header)
{
    struct slice name = header->name;
    switch (name.len) { /* most names differ in length from all of these */
    case 4:
        if (slice_eq_nocase(name, SLICE("Host")))
            return gather_once(&seen->host, header->value, HTTP_FAULT_HOST_TWICE);
        break;
    case 6:
        if (slice_eq_nocase(name, SLICE("Expect"))) {
            if (!slice_eq_nocase(header->value, SLICE("100-continue")))
                return HTTP_FAULT_EXPECT;
            /* RFC 9110 section 10.1.1: MUST ignore it in HTTP/1.0. */
            head->expect_continue = head->minor > 0;
        }
        break;
    case 10:
        if (slice_eq_nocase(name, SLICE("Connection")))
            gather_connection(seen, header->value);
        break;
    case 14:
        if (slice_eq_nocase(name, SLICE("Content-Length")))
            return gather_once(&seen->length, header->value, HTTP_FAULT_LENGTH_TWICE);
        break;
    case 17:
        if (slice_eq_nocase(name, SLICE("Transfer-Encoding")))
            return gather_once(&seen->coding, header->value, HTTP_FAULT_CODING_TWICE);
        break;
    default:
        break;
    }
    return HTTP_FAULT_NONE;
}

/* 1*DIGIT, RFC 9110 section 8.6; neither sign nor list. Too large a number is UINT64_MAX. */
static bool parse_length(struct slice digits, uint64_t *value)
{
    enum status status = parse_u64(digits, value);
    if (status == ST_RANGE)
        *value = UINT64_MAX;
    return status != ST_SYNTAX;
}

/* RFC 9112 section 6.3, with every ambiguity refused. */
static enum http_fault decide_framing(struct http_head *head, const struct gathered *seen)
{
    if (seen->coding.ptr) {
        if (seen->length.ptr)
            return HTTP_FAULT_LENGTH_AND_CODING;
        if (head->minor == 0)
            return HTTP_FAULT_CODING_1_0;
        if (!slice_eq_nocase(seen->coding, SLICE("chunked")))
            return HTTP_FAULT_CODING;
        head->framing = HTTP_BODY_CHUNKED;
    } else if (seen->length.ptr) {
        if (!parse_length(seen->length, &head->content_length))
            return HTTP_FAULT_LENGTH_SYNTAX;
        head->framing = head->content_length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    }
    return HTTP_FAULT_NONE;
}

static enum http_fault decide(struct http_head *head, const struct gathered *seen)
{
    if (!seen->host.ptr && head->minor > 0)
        return HTTP_FAULT_HOST_MISSING; /* RFC 9112 section 3.2 */
    if (seen->host.ptr && !host_valid(seen->host))
        return HTTP_FAULT_HOST_SYNTAX;
    if (!head->host.ptr)
        head->host = seen->host;
    head->keep_alive = !seen->close && (head->minor > 0 || seen->keep_alive);
    return decide_framing(head, seen);
}

/* Cuts the next line off *rest, without its CR LF, which http_head_scan() has seen. */
static struct slice next_line(struct slice *rest)
{
    const char *lf = memchr(rest->ptr, '\n', rest->len);
    assert(lf && lf > rest->ptr);
    struct slice line = slice_of(rest->ptr, (size_t)(lf - rest->ptr) - 1);
    *rest = slice_from(*rest, line.len + 2);
    return line;
}

enum http_fault http_head_parse(struct http_head *head, const char *bytes, size_t head_bytes)
{
    struct slice rest = slice_of(bytes, head_bytes);
    struct gathered seen = {.close = false};
    head->method = HTTP_OTHER;
    head->method_name = head->path = head->query = head->host = SLICE_NULL;
    head->expect_continue = false;
    head->framing = HTTP_BODY_NONE;
    head->content_length = 0;
    head->header_count = 0;

    struct slice line = next_line(&rest);
    if (line.len == 0)
        line = next_line(&rest);
    enum http_fault fault = parse_request_line(head, line);
    while (!fault && (line = next_line(&rest)).len > 0) {
        if (head->header_count == LIMIT_HTTP_HEADERS)
            return HTTP_FAULT_HEADER_COUNT;
        struct http_header *header = &head->headers[head->header_count];
        fault = parse_line(header, line);
        if (!fault) {
            head->header_count++;
            fault = gather(&seen, head, header);
        }
    }
    return fault ? fault : decide(head, &seen);
}

/* ---- Moving ---------------------------------------------------------------------------------- */

static void rebase(struct slice *s, const char *from, const char *to)
{
    if (s->ptr)
        s->ptr = to + (s->ptr - from);
}

void http_head_rebase(struct http_head *head, const char *from, const char *to)
{
    rebase(&head->method_name, from, to);
    rebase(&head->query, from, to);
    rebase(&head->host, from, to);
    if (head->path.ptr != root_path)
        rebase(&head->path, from, to);
    for (size_t i = 0; i < head->header_count; i++) {
        rebase(&head->headers[i].name, from, to);
        rebase(&head->headers[i].value, from, to);
    }
}
