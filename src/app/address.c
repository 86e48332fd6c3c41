/* address.c - see address.h. Pure: no lookups, no sockets. */
#include "app/address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Digits only: strtoul alone would take " +80" and "80x". */
static bool parse_port(const char *text, uint16_t *port)
{
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return false;
    unsigned long value = strtoul(text, NULL, 10);
    if (value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

enum status address_parse(const char *text, struct address *address)
{
    struct address parsed = {.port = 0};
    unsigned char binary[sizeof(struct in6_addr)];
    bool v6 = text[0] == '[';
    const char *host = v6 ? text + 1 : text;
    const char *end = v6 ? strchr(host, ']') : strrchr(host, ':');
    if (!end || (v6 && end[1] != ':'))
        return ST_SYNTAX;
    if (!parse_port(v6 ? end + 2 : end + 1, &parsed.port))
        return ST_SYNTAX;

    size_t len = (size_t)(end - host);
    if (len >= sizeof(parsed.host))
        return ST_SYNTAX;
    memcpy(parsed.host, host, len);
    if (!v6 && len == 0)
        strcpy(parsed.host, "0.0.0.0");
    else if (!v6 && strcmp(parsed.host, "localhost") == 0)
        strcpy(parsed.host, "127.0.0.1");
    if (inet_pton(v6 ? AF_INET6 : AF_INET, parsed.host, binary) != 1)
        return ST_SYNTAX;
    *address = parsed;
    return ST_OK;
}

void address_add_url(struct buf *out, const struct address *address, uint16_t port)
{
    bool v6 = strchr(address->host, ':') != NULL;
    buf_addf(out, "http://%s%s%s:%u", v6 ? "[" : "", address->host, v6 ? "]" : "", port);
}
