/* network.c - addresses and networks of the internet.
 *
 * Invariant: what network_parse() and network_of() give is never an IPv6 network that lies within
 * ::ffff:0:0/96, and has no bits set behind its prefix. So two forms of one address compare equal.
 */
#include "net/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/parse.h"

static const struct network mapped = {{[10] = 0xff, [11] = 0xff}, 96, true};

static uint32_t v4_bits(const struct network *network)
{
    uint32_t bits;
    memcpy(&bits, network->bytes, sizeof(bits));
    return ntohl(bits);
}

bool network_contains(const struct network *whole, const struct network *part)
{
    size_t bytes = whole->prefix_bits / 8;
    unsigned rest = whole->prefix_bits % 8;
    if (whole->v6 != part->v6 || whole->prefix_bits > part->prefix_bits)
        return false;
    if (!whole->v6) {
        uint64_t differing = v4_bits(whole) ^ v4_bits(part);
        return differing >> (32 - whole->prefix_bits) == 0;
    }
    if (memcmp(whole->bytes, part->bytes, bytes) != 0)
        return false;
    return rest == 0 || ((whole->bytes[bytes] ^ part->bytes[bytes]) >> (8 - rest)) == 0;
}

bool network_among(const struct network *networks, size_t count, const struct network *part)
{
    for (size_t i = 0; i < count; i++)
        if (network_contains(&networks[i], part))
            return true;
    return false;
}

static void unmap(struct network *network)
{
    if (!network_contains(&mapped, network))
        return;
    struct network v4 = {.prefix_bits = (uint8_t)(network->prefix_bits - 96)};
    memcpy(v4.bytes, network->bytes + 12, 4);
    *network = v4;
}

/* As it is written: nothing is unmapped yet. */
static enum status parse_plain(struct slice text, struct network *address)
{
    char string[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(string) || memchr(text.ptr, '\0', text.len))
        return ST_SYNTAX;
    memcpy(string, text.ptr, text.len);
    string[text.len] = '\0';
    *address = (struct network){.prefix_bits = 32};
    if (inet_pton(AF_INET, string, address->bytes) == 1)
        return ST_OK;
    *address = (struct network){.prefix_bits = 128, .v6 = true};
    return inet_pton(AF_INET6, string, address->bytes) == 1 ? ST_OK : ST_SYNTAX;
}

enum status network_parse_address(struct slice text, struct network *address)
{
    enum status status = parse_plain(text, address);
    if (status == ST_OK)
        unmap(address);
    return status;
}

bool network_of(const struct sockaddr *address, struct network *out)
{
    *out = (struct network){.prefix_bits = 0};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        memcpy(out->bytes, &v4.sin_addr, 4);
        out->prefix_bits = 32;
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        memcpy(out->bytes, &v6.sin6_addr, 16);
        out->prefix_bits = 128;
        out->v6 = true;
        unmap(out);
        return true;
    }
    return false;
}

static bool parse_prefix(struct slice text, uint64_t *bits)
{
    if (text.len > 3 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    return parse_u64(text, bits) == ST_OK;
}

static bool bits_set_behind(const struct network *network)
{
    for (unsigned bit = network->prefix_bits; bit < (network->v6 ? 128u : 32u); bit++)
        if (network->bytes[bit / 8] & (0x80u >> bit % 8))
            return true;
    return false;
}

enum status network_parse(struct slice text, struct network *network)
{
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    size_t address_len = slash ? (size_t)(slash - text.ptr) : text.len;
    struct network parsed;
    if (parse_plain(slice_of(text.ptr, address_len), &parsed) != ST_OK)
        return ST_SYNTAX;
    if (slash) {
        uint64_t bits;
        if (!parse_prefix(slice_from(text, address_len + 1), &bits))
            return ST_SYNTAX;
        if (bits > parsed.prefix_bits)
            return ST_RANGE;
        parsed.prefix_bits = (uint8_t)bits;
        if (bits_set_behind(&parsed))
            return ST_RANGE;
    }
    unmap(&parsed);
    *network = parsed;
    return ST_OK;
}
