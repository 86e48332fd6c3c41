/* url.c - checking a target's URL.
 *
 *    scheme://authority/path?query      each step cuts its part off the front of a slice
 *             host:port
 *
 * Every part has a set of characters it may consist of; what is not in it is refused, not encoded
 * or repaired. That leaves out everything URL parsers are known to disagree about: backslashes,
 * '@', percent-encoded and non-ASCII hosts, zones, tabs and line ends inside.
 *
 * Rejected: asking libcurl's URL parser. It accepts far more (and turns "0x7f.1" or fullwidth
 * digits into addresses on its own); a small grammar of our own is pure and shows what it allows.
 * The fuzz target holds it against libcurl's reading of the same URL.
 */
#include "net/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/ascii.h"
#include "base/limits.h"
#include "base/parse.h"

enum { NAME_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 }; /* RFC 1035 section 2.3.4, as text */

/* unreserved, sub-delims, ':', '@', '/', '?' and '%' of RFC 3986 appendix A, and the brackets that
 * many write into queries. */
static bool is_path(char c)
{
    return ascii_is_alnum(c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@/?%[]", c));
}

static enum status fail(enum status status, const char *why, const char **reason)
{
    if (reason)
        *reason = why;
    return status;
}

/* ---- Host ----------------------------------------------------------------------------------- */

static enum status check_ipv6(struct slice host, const struct netguard *guard, const char **reason)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    const char *refusal;
    if (host.len == 0 || host.len >= sizeof(text) || memchr(host.ptr, '\0', host.len))
        return fail(ST_SYNTAX, "the IPv6 address cannot be read", reason);
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET6, text, &address.sin6_addr) != 1)
        return fail(ST_SYNTAX, "the IPv6 address cannot be read", reason);
    if (!netguard_allows(guard, (const struct sockaddr *)&address, &refusal))
        return fail(ST_DENIED, refusal, reason);
    return ST_OK;
}

/* A host whose last label looks like a number is an IPv4 address or nothing (as in the WHATWG URL
 * standard): some resolver would take it for an address. */
static enum status check_ipv4(struct slice host, const struct netguard *guard, const char **reason)
{
    char text[NAME_BYTES_MAX + 1];
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *refusal;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_aton(text, &address.sin_addr) == 0)
        return fail(ST_SYNTAX, "the host ends in a number but is no IPv4 address", reason);
    if (!netguard_allows(guard, (const struct sockaddr *)&address, &refusal))
        return fail(ST_DENIED, refusal, reason);
    return ST_OK;
}

static bool label_is_number(struct slice label)
{
    size_t i = 0;
    bool hex = label.len >= 2 && label.ptr[0] == '0' && (label.ptr[1] | 0x20) == 'x';
    if (hex)
        i = 2;
    while (i < label.len &&
           (hex ? ascii_hex_value(label.ptr[i]) >= 0 : ascii_is_digit(label.ptr[i])))
        i++;
    return i == label.len;
}

static bool label_is_valid(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_BYTES_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
            return false;
    return true;
}

static enum status check_host(struct slice host, const struct netguard *guard, const char **reason)
{
    if (host.len == 0)
        return fail(ST_SYNTAX, "the host is missing", reason);
    if (host.ptr[0] == '[')
        return check_ipv6(slice_of(host.ptr + 1, host.len - 2), guard, reason);
    if (host.len > NAME_BYTES_MAX)
        return fail(ST_SYNTAX, "the host is longer than 253 characters", reason);
    struct slice rest = host, label;
    do {
        const char *dot = memchr(rest.ptr, '.', rest.len);
        label = slice_of(rest.ptr, dot ? (size_t)(dot - rest.ptr) : rest.len);
        if (!label_is_valid(label))
            return fail(ST_SYNTAX, "the host is no valid name (international names: xn-- form)",
                        reason);
        rest = slice_from(rest, label.len + 1);
    } while (rest.len > 0);
    if (label_is_number(label))
        return check_ipv4(host, guard, reason);
    return ST_OK;
}

/* ---- The URL -------------------------------------------------------------------------------- */

/* Cuts the scheme and "://" off. */
static enum status cut_scheme(struct slice *url, bool allow_http, const char **reason)
{
    static const char marker[] = "://";
    const char *end = memmem(url->ptr, url->len, marker, sizeof(marker) - 1);
    if (!end)
        return fail(ST_SYNTAX, "the URL is not absolute (https://host/path)", reason);
    struct slice scheme = slice_of(url->ptr, (size_t)(end - url->ptr));
    *url = slice_from(*url, scheme.len + sizeof(marker) - 1);
    if (slice_eq_nocase(scheme, SLICE("https")))
        return ST_OK;
    if (!slice_eq_nocase(scheme, SLICE("http")))
        return fail(ST_UNSUPPORTED, "the scheme is not https", reason);
    if (!allow_http)
        return fail(ST_DENIED, "http is not allowed here, only https", reason);
    return ST_OK;
}

/* Splits "host:port"; the brackets stay with the host. The port is empty when there is none. */
static bool split_authority(struct slice authority, struct slice *host, struct slice *port)
{
    size_t host_len = 0;
    if (authority.len && authority.ptr[0] == '[') {
        const char *close = memchr(authority.ptr, ']', authority.len);
        if (!close)
            return false;
        host_len = (size_t)(close - authority.ptr) + 1;
    } else {
        while (host_len < authority.len && authority.ptr[host_len] != ':')
            host_len++;
    }
    *host = slice_of(authority.ptr, host_len);
    *port = slice_from(authority, host_len);
    if (port->len == 0)
        return true;
    if (port->ptr[0] != ':' || port->len == 1)
        return false;
    *port = slice_from(*port, 1);
    return true;
}

static bool port_is_valid(struct slice port)
{
    uint64_t number;
    if (port.len == 0)
        return true;
    return port.len <= 5 && parse_u64(port, &number) == ST_OK && number >= 1 &&
           number <= UINT16_MAX;
}

enum status url_check(struct slice url, bool allow_http, const struct netguard *guard,
                      const char **reason)
{
    struct slice host, port;
    size_t authority_len = 0;
    if (url.len == 0)
        return fail(ST_SYNTAX, "the URL is empty", reason);
    if (url.len > LIMIT_URL_BYTES)
        return fail(ST_LIMIT, "the URL is too long", reason);
    enum status status = cut_scheme(&url, allow_http, reason);
    if (status != ST_OK)
        return status;
    while (authority_len < url.len && !strchr("/?#", url.ptr[authority_len]))
        authority_len++;
    struct slice authority = slice_of(url.ptr, authority_len);
    if (authority.len && memchr(authority.ptr, '@', authority.len))
        return fail(ST_SYNTAX, "the URL contains a user name", reason);
    if (!split_authority(authority, &host, &port))
        return fail(ST_SYNTAX, "the host or port cannot be read", reason);
    if (!port_is_valid(port))
        return fail(ST_RANGE, "the port is not a number from 1 to 65535", reason);
    for (size_t i = authority_len; i < url.len; i++) {
        if (url.ptr[i] == '#')
            return fail(ST_SYNTAX, "the URL contains a fragment", reason);
        if (!is_path(url.ptr[i]))
            return fail(ST_SYNTAX, "the URL contains a character that must be percent-encoded",
                        reason);
    }
    return check_host(host, guard, reason);
}
