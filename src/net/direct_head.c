/* direct_head.c - the head of a request.
 *
 * Receivers see requests of both routes, and signatures may cover the path, so both spell alike:
 * what libcurl makes of a URL is the measure, and what it makes of it is asked of libcurl. For the
 * host that is done once an origin. A path it leaves as it is, but for "." and ".." segments, which
 * it removes; so only a path that may have such a segment is shown to it.
 *
 * A line of the caller's without a value is not sent, since that is what libcurl does with it.
 */
#include "net/direct_head.h"

#include <curl/curl.h>

struct slice direct_url_origin(const char *url)
{
    const char *authority = strstr(url, "://");
    const char *end = authority ? authority + 3 : url;
    while (*end && *end != '/' && *end != '?' && *end != '#')
        end++;
    return slice_of(url, (size_t)(end - url));
}

/* ---- What libcurl reads --------------------------------------------------------------------- */

/* Appends a part of the URL. An empty query is one, too: its '?' is sent. */
static CURLUcode add_part(struct buf *out, CURLU *url, CURLUPart what, const char *before)
{
    char *part = NULL;
    CURLUcode code =
        curl_url_get(url, what, &part, what == CURLUPART_PORT ? CURLU_NO_DEFAULT_PORT : 0);
    if (code == CURLUE_OK) {
        buf_add_str(out, before);
        buf_add_str(out, part);
    }
    curl_free(part);
    return code;
}

static CURLUcode read_origin(CURLU *url, bool *https, struct buf *host)
{
    char *scheme = NULL;
    CURLUcode code = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    if (code != CURLUE_OK)
        return code;
    *https = strcmp(scheme, "https") == 0;
    if (!*https && strcmp(scheme, "http") != 0)
        code = CURLUE_UNSUPPORTED_SCHEME;
    curl_free(scheme);
    if (code == CURLUE_OK)
        code = add_part(host, url, CURLUPART_HOST, "");
    if (code == CURLUE_OK)
        code = add_part(host, url, CURLUPART_PORT, ":");
    return code == CURLUE_NO_PORT ? CURLUE_OK : code;
}

const char *direct_url_read(struct slice origin, bool *https, struct buf *host)
{
    struct buf text;
    CURLUcode code = CURLUE_OUT_OF_MEMORY;
    CURLU *url = curl_url();
    buf_init(&text, origin.len + 1);
    buf_add_slice(&text, origin);
    buf_add_char(&text, '\0');
    if (url && buf_status(&text) == ST_OK)
        code = curl_url_set(url, CURLUPART_URL, text.ptr, CURLU_DISALLOW_USER);
    if (code == CURLUE_OK)
        code = read_origin(url, https, host);
    curl_url_cleanup(url);
    buf_free(&text);
    return code == CURLUE_OK ? NULL : curl_url_strerror(code);
}

/* ---- The request line ----------------------------------------------------------------------- */

/* Has libcurl nothing to change in what follows the origin? */
static bool target_is_plain(struct slice target)
{
    bool in_path = true;
    char before = '\0';
    for (size_t i = 0; i < target.len; i++) {
        char c = target.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '#' || (c == '.' && before == '/' && in_path))
            return false;
        in_path = in_path && c != '?';
        before = c;
    }
    return true;
}

static bool add_target_by_curl(struct buf *head, const char *text)
{
    CURLU *url = curl_url();
    CURLUcode code =
        url ? curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) : CURLUE_OUT_OF_MEMORY;
    if (code == CURLUE_OK)
        code = add_part(head, url, CURLUPART_PATH, "");
    if (code == CURLUE_OK)
        code = add_part(head, url, CURLUPART_QUERY, "?");
    curl_url_cleanup(url);
    return code == CURLUE_OK || code == CURLUE_NO_QUERY;
}

static bool add_target(struct buf *head, const char *url, size_t origin_bytes)
{
    struct slice target = slice_str(url + origin_bytes);
    if (!target_is_plain(target))
        return add_target_by_curl(head, url);
    if (target.len == 0 || target.ptr[0] != '/')
        buf_add_char(head, '/');
    buf_add_slice(head, target);
    return true;
}

/* ---- The lines ------------------------------------------------------------------------------ */

/* Is there something behind the colon, blanks apart? */
static bool has_value(struct slice line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct slice value = slice_from(line, colon ? (size_t)(colon - line.ptr) + 1 : line.len);
    while (value.len && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
        value = slice_from(value, 1);
    return value.len > 0;
}

static bool has_user_agent(const struct outbound_call *call)
{
    static const struct slice name = {"User-Agent:", 11};
    for (size_t i = 0; i < call->header_count; i++) {
        const char *line = call->header_lines[i];
        if ((line[0] == 'U' || line[0] == 'u') && strncasecmp(line, name.ptr, name.len) == 0)
            return true;
    }
    return false;
}

static void add_lines(struct buf *head, const struct outbound_call *call)
{
    for (size_t i = 0; i < call->header_count; i++) {
        struct slice line = slice_str(call->header_lines[i]);
        if (!has_value(line))
            continue;
        char *place = buf_reserve(head, line.len + 2);
        if (!place)
            return;
        memcpy(place, line.ptr, line.len);
        memcpy(place + line.len, "\r\n", 2);
        head->len += line.len + 2;
    }
}

bool direct_head_add(struct buf *head, const struct outbound_call *call, size_t origin_bytes,
                     struct slice host, const char *user_agent)
{
    buf_add_slice(head, SLICE("POST "));
    if (!add_target(head, call->url, origin_bytes))
        return false;
    buf_add_slice(head, SLICE(" HTTP/1.1\r\nHost: "));
    buf_add_slice(head, host);
    if (user_agent && !has_user_agent(call)) {
        buf_add_slice(head, SLICE("\r\nUser-Agent: "));
        buf_add_str(head, user_agent);
    }
    buf_add_slice(head, SLICE("\r\n"));
    add_lines(head, call);
    buf_add_slice(head, SLICE("Content-Length: "));
    buf_add_u64(head, call->body.len);
    buf_add_slice(head, SLICE("\r\n\r\n"));
    return buf_status(head) == ST_OK;
}
