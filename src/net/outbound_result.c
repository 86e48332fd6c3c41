/* outbound_result.c - reading and naming results: the names of errors, the value of Retry-After.
 * Pure. */
#include "net/outbound.h"

#include <time.h>

#include "base/ascii.h"

const char *outbound_error_name(enum outbound_error error)
{
    static const char *const names[] = {
        [OUTBOUND_OK] = "",
        [OUTBOUND_DNS] = "dns",
        [OUTBOUND_CONNECTION_REFUSED] = "connection_refused",
        [OUTBOUND_CONNECTION_RESET] = "connection_reset",
        [OUTBOUND_UNREACHABLE] = "unreachable",
        [OUTBOUND_TIMEOUT] = "timeout",
        [OUTBOUND_TLS] = "tls",
        [OUTBOUND_PROTOCOL] = "protocol",
        [OUTBOUND_RESPONSE_TOO_LARGE] = "response_too_large",
        [OUTBOUND_ADDRESS_DENIED] = "address_denied",
        [OUTBOUND_STREAM_FULL] = "stream_full",
        [OUTBOUND_STREAM_REFUSED] = "stream_refused",
        [OUTBOUND_STREAM_MEMORY] = "redis_out_of_memory",
        [OUTBOUND_INTERNAL] = "internal",
        [OUTBOUND_CANCELLED] = "cancelled",
    };
    return (size_t)error < sizeof(names) / sizeof(names[0]) ? names[error] : "unknown";
}

static struct slice trim(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_from(s, 1);
    while (s.len && strchr(" \t\r\n", s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* RFC 9110 knows whole seconds; fractions are in use, and three digits of them are what we can
 * honour. Whatever is behind is rounded up, so that nobody is asked too early. */
static int64_t parse_seconds(struct slice value)
{
    int64_t ms = 0;
    size_t i = 0;
    for (; i < value.len && ascii_is_digit(value.ptr[i]); i++)
        if (ms < INT64_MAX / 100) /* more digits than that change nothing */
            ms = ms * 10 + (int64_t)(value.ptr[i] - '0') * 1000;
    if (i == value.len)
        return ms;
    if (value.ptr[i] != '.' || i + 1 == value.len)
        return -1;
    bool round_up = false;
    for (int64_t unit = 100; ++i < value.len; unit /= 10) {
        if (!ascii_is_digit(value.ptr[i]))
            return -1;
        ms += (value.ptr[i] - '0') * unit;
        round_up |= unit == 0 && value.ptr[i] != '0';
    }
    return ms + round_up;
}

static int64_t parse_date(struct slice value, uint64_t now_ms)
{
    static const char *const formats[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
        "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
        "%a %b %e %H:%M:%S %Y",      /* asctime */
    };
    char text[64];
    if (value.len >= sizeof(text) || memchr(value.ptr, '\0', value.len))
        return -1;
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct tm tm = {.tm_isdst = 0};
        const char *end = strptime(text, formats[i], &tm);
        if (!end || *end)
            continue;
        int64_t at_ms = (int64_t)timegm(&tm) * 1000;
        return at_ms > (int64_t)now_ms ? at_ms - (int64_t)now_ms : 0;
    }
    return -1;
}

int64_t outbound_retry_after(struct slice value, uint64_t now_ms)
{
    value = trim(value);
    if (value.len == 0)
        return -1;
    return ascii_is_digit(value.ptr[0]) ? parse_seconds(value) : parse_date(value, now_ms);
}
