/* config_valid.c - what strings of the configuration may be. */
#include "app/config_valid.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "app/address.h"
#include "base/limits.h"
#include "base/log_levels.h"
#include "net/network.h"

bool config_valid_not_empty(const char *text)
{
    return text[0] != '\0';
}

bool config_valid_worker_listen(const char *text)
{
    struct address address;
    return text[0] == '\0' || address_parse(text, &address) == ST_OK;
}

bool config_valid_redis(const char *text)
{
    return strcmp(text, "embedded") == 0 ||
           (strncasecmp(text, "redis://", 8) == 0 && text[8] != '\0') ||
           (strncasecmp(text, "sentinel://", 11) == 0 && text[11] != '\0') ||
           (strncmp(text, "unix:", 5) == 0 && text[5] != '\0');
}

/* A Redis hash tag is added behind it, so braces of its own would move all keys to one slot. */
bool config_valid_key_prefix(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("_-.", text[i]))
            return false;
    }
    return len >= 1 && len <= 32;
}

/* It travels in an Authorization header (RFC 6750 section 2.1: b64token), and a short one can be
 * guessed. */
bool config_valid_api_key(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("-._~+/=", text[i]))
            return false;
    }
    return len >= 16 && len <= 512;
}

/* What will be taken when the server starts. */
bool config_valid_cidr(const char *text)
{
    struct network network;
    return strchr(text, '/') && network_parse(slice_str(text), &network) == ST_OK;
}

bool config_valid_log_level(const char *text)
{
    struct log_levels levels = {.count = 0};
    return log_levels_add(&levels, slice_str(text)) == ST_OK;
}

/* A header's value without the characters that could end it. RFC 9110 section 5.5. */
bool config_valid_header_value(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e)
            return false;
    }
    return len <= 256 && (len == 0 || (text[0] != ' ' && text[len - 1] != ' '));
}

bool config_valid_proxy(const char *text)
{
    static const char *const schemes[] = {"http://",    "https://",  "socks4://",
                                          "socks4a://", "socks5://", "socks5h://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], len) == 0)
            return text[len] != '\0';
    }
    return text[0] == '\0';
}

static bool feed_word(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-')
            return false;
    return len > 0 && len <= LIMIT_FEED_NAME_BYTES;
}

/* NAME:rejected is the other stream of each, so "rejected" would be that of "feed". */
bool config_valid_feed(const char *text)
{
    size_t len = strcspn(text, "=");
    return feed_word(text, len) && !(len == 8 && strncmp(text, "rejected", len) == 0) &&
           (text[len] == '\0' || feed_word(text + len + 1, strlen(text + len + 1)));
}
