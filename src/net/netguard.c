/* netguard.c - the address policy.
 *
 *    sockaddr --> unwrap: IPv6 that carries IPv4 becomes that IPv4 address
 *                   |
 *                   +--> in a network the operator opened?      allowed
 *                   +--> in a block of the table?               refused, with the block's reason
 *                   |       (private and loopback: allowed when allow_private)
 *                   +--> IPv4, or IPv6 inside 2000::/3?         allowed
 *                   `--> else                                   refused: not assigned
 *
 * Invariant: an IPv4 address and its v4-mapped, 6to4 and NAT64 forms get the same verdict.
 *
 * IPv6 is a list of what is allowed (2000::/3) with holes, IPv4 a list of what is refused: the
 * registries are shaped that way. 64:ff9b:1::/48 (RFC 8215) is refused whole, because the length of
 * its prefix, and so the place of the IPv4 address, is a local matter. v4-compatible addresses
 * (::a.b.c.d) are refused with the rest of ::/8. Rejected: a switch for each class; whoever needs a
 * link-local target opens exactly that network.
 */
#include "net/netguard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/parse.h"

enum block_class { BLOCK_NEVER, BLOCK_PRIVATE };

struct block {
    struct netguard_net net;
    enum block_class class;
    const char *reason;
};

#define V4(a, b, c, bits)                                                                          \
    {                                                                                              \
        {(a), (b), (c)}, (bits), false                                                             \
    }
#define V6(a, b, c, d, e, bits)                                                                    \
    {                                                                                              \
        {(a), (b), (c), (d), (e)}, (bits), true                                                    \
    }

static const struct block blocks[] = {
    {V4(0, 0, 0, 8), BLOCK_NEVER, "the address is unspecified (0.0.0.0/8)"},
    {V4(10, 0, 0, 8), BLOCK_PRIVATE, "the address is private (10.0.0.0/8)"},
    {V4(100, 64, 0, 10), BLOCK_NEVER, "the address is carrier-grade NAT (100.64.0.0/10)"},
    {V4(127, 0, 0, 8), BLOCK_PRIVATE, "the address is loopback (127.0.0.0/8)"},
    {{{168, 63, 129, 16}, 32, false}, BLOCK_NEVER, "the address is Azure's host (168.63.129.16)"},
    {V4(169, 254, 0, 16), BLOCK_NEVER, "the address is link-local (169.254.0.0/16)"},
    {V4(172, 16, 0, 12), BLOCK_PRIVATE, "the address is private (172.16.0.0/12)"},
    {V4(192, 0, 0, 24), BLOCK_NEVER, "the address is reserved for protocols (192.0.0.0/24)"},
    {V4(192, 0, 2, 24), BLOCK_NEVER, "the address is for documentation (192.0.2.0/24)"},
    {V4(192, 88, 99, 24), BLOCK_NEVER, "the address is a 6to4 relay (192.88.99.0/24)"},
    {V4(192, 168, 0, 16), BLOCK_PRIVATE, "the address is private (192.168.0.0/16)"},
    {V4(198, 18, 0, 15), BLOCK_NEVER, "the address is for benchmarks (198.18.0.0/15)"},
    {V4(198, 51, 100, 24), BLOCK_NEVER, "the address is for documentation (198.51.100.0/24)"},
    {V4(203, 0, 113, 24), BLOCK_NEVER, "the address is for documentation (203.0.113.0/24)"},
    {V4(224, 0, 0, 4), BLOCK_NEVER, "the address is multicast (224.0.0.0/4)"},
    {{{255, 255, 255, 255}, 32, false}, BLOCK_NEVER, "the address is broadcast (255.255.255.255)"},
    {V4(240, 0, 0, 4), BLOCK_NEVER, "the address is reserved (240.0.0.0/4)"},

    {{{0}, 128, true}, BLOCK_NEVER, "the address is unspecified (::)"},
    {{{[15] = 1}, 128, true}, BLOCK_PRIVATE, "the address is loopback (::1)"},
    {{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, true},
     BLOCK_NEVER,
     "the address is local NAT64 (64:ff9b:1::/48)"},
    {V6(0x01, 0x00, 0, 0, 0, 64), BLOCK_NEVER, "the address is discard-only (100::/64)"},
    {V6(0x20, 0x01, 0x00, 0x02, 0, 48), BLOCK_NEVER, "the address is for benchmarks (2001:2::/48)"},
    {V6(0x20, 0x01, 0, 0, 0, 23), BLOCK_NEVER, "the address is reserved for protocols (2001::/23)"},
    {V6(0x20, 0x01, 0x0d, 0xb8, 0, 32), BLOCK_NEVER,
     "the address is for documentation (2001:db8::/32)"},
    {V6(0x3f, 0xff, 0, 0, 0, 20), BLOCK_NEVER, "the address is for documentation (3fff::/20)"},
    {V6(0x5f, 0x00, 0, 0, 0, 16), BLOCK_NEVER, "the address is a segment identifier (5f00::/16)"},
    {V6(0xfc, 0x00, 0, 0, 0, 7), BLOCK_PRIVATE, "the address is private (fc00::/7)"},
    {V6(0xfe, 0x80, 0, 0, 0, 10), BLOCK_NEVER, "the address is link-local (fe80::/10)"},
    {V6(0xfe, 0xc0, 0, 0, 0, 10), BLOCK_NEVER, "the address is site-local (fec0::/10)"},
    {V6(0xff, 0x00, 0, 0, 0, 8), BLOCK_NEVER, "the address is multicast (ff00::/8)"},
};

static const struct netguard_net global_unicast = V6(0x20, 0, 0, 0, 0, 3);
static const struct netguard_net nat64 = V6(0x00, 0x64, 0xff, 0x9b, 0, 96);
static const struct netguard_net six_to_four = V6(0x20, 0x02, 0, 0, 0, 16);
static const struct netguard_net teredo = V6(0x20, 0x01, 0, 0, 0, 32);
static const struct netguard_net mapped = {{[10] = 0xff, [11] = 0xff}, 96, true};

static uint32_t v4_bits(const struct netguard_net *net)
{
    uint32_t bits;
    memcpy(&bits, net->bytes, sizeof(bits));
    return ntohl(bits);
}

/* An address is a network of its full length. */
static bool net_contains(const struct netguard_net *net, const struct netguard_net *address)
{
    size_t whole = net->prefix_bits / 8;
    unsigned rest = net->prefix_bits % 8;
    if (net->v6 != address->v6 || net->prefix_bits > address->prefix_bits)
        return false;
    if (!net->v6) {
        uint64_t differing = v4_bits(net) ^ v4_bits(address);
        return differing >> (32 - net->prefix_bits) == 0;
    }
    if (memcmp(net->bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || ((net->bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

static struct netguard_net v4_address(const uint8_t bytes[4])
{
    struct netguard_net address = {.prefix_bits = 32};
    memcpy(address.bytes, bytes, 4);
    return address;
}

/* ---- The verdict ---------------------------------------------------------------------------- */

/* Judges an address that carries no other. NULL when allowed. */
static const char *judge_plain(const struct netguard *guard, const struct netguard_net *address)
{
    for (size_t i = 0; i < guard->allow_count; i++)
        if (net_contains(&guard->allow[i], address))
            return NULL;
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (net_contains(&blocks[i].net, address))
            return guard->allow_private && blocks[i].class == BLOCK_PRIVATE ? NULL
                                                                            : blocks[i].reason;
    if (address->v6 && !net_contains(&global_unicast, address))
        return "the address is not globally assigned (outside 2000::/3)";
    return NULL;
}

static const char *judge_carried(const struct netguard *guard, const uint8_t bytes[4])
{
    struct netguard_net carried = v4_address(bytes);
    return judge_plain(guard, &carried);
}

/* Teredo (RFC 4380) carries two: the server that forwards, and the client, inverted. */
static const char *judge_teredo(const struct netguard *guard, const uint8_t bytes[16])
{
    uint8_t client[4];
    for (int i = 0; i < 4; i++)
        client[i] = bytes[12 + i] ^ 0xff;
    const char *reason = judge_carried(guard, bytes + 4);
    return reason ? reason : judge_carried(guard, client);
}

static const char *judge(const struct netguard *guard, const struct netguard_net *address)
{
    if (net_contains(&mapped, address) || net_contains(&nat64, address))
        return judge_carried(guard, address->bytes + 12);
    if (net_contains(&six_to_four, address))
        return judge_carried(guard, address->bytes + 2);
    if (net_contains(&teredo, address))
        return judge_teredo(guard, address->bytes);
    return judge_plain(guard, address);
}

static bool answer(const char *refusal, const char **reason)
{
    if (reason)
        *reason = refusal;
    return refusal == NULL;
}

bool netguard_allows(const struct netguard *guard, const struct sockaddr *address,
                     const char **reason)
{
    struct netguard_net net = {.prefix_bits = 0};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        memcpy(net.bytes, &v4.sin_addr, 4);
        net.prefix_bits = 32;
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        memcpy(net.bytes, &v6.sin6_addr, 16);
        net.prefix_bits = 128;
        net.v6 = true;
    } else {
        return answer("the address is not of the internet", reason);
    }
    return answer(judge(guard, &net), reason);
}

/* Reads "a.b.c.d" or an IPv6 address. */
static bool parse_address(const char *text, struct netguard_net *net)
{
    *net = (struct netguard_net){.prefix_bits = 32};
    if (inet_pton(AF_INET, text, net->bytes) == 1)
        return true;
    net->v6 = true;
    net->prefix_bits = 128;
    return inet_pton(AF_INET6, text, net->bytes) == 1;
}

bool netguard_allows_text(const struct netguard *guard, const char *address, const char **reason)
{
    struct netguard_net net;
    if (!parse_address(address, &net))
        return answer("the address cannot be read", reason);
    return answer(judge(guard, &net), reason);
}

/* ---- Networks that the operator opens ------------------------------------------------------- */

static bool parse_prefix(struct slice text, uint64_t *bits)
{
    if (text.len > 3 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    return parse_u64(text, bits) == ST_OK;
}

static bool bits_set_behind(const struct netguard_net *net)
{
    for (unsigned bit = net->prefix_bits; bit < (net->v6 ? 128u : 32u); bit++)
        if (net->bytes[bit / 8] & (0x80u >> bit % 8))
            return true;
    return false;
}

enum status netguard_add_cidr(struct netguard *guard, struct slice cidr)
{
    char text[INET6_ADDRSTRLEN];
    const char *slash = cidr.len ? memchr(cidr.ptr, '/', cidr.len) : NULL;
    size_t address_len = slash ? (size_t)(slash - cidr.ptr) : cidr.len;
    struct netguard_net net;
    if (address_len == 0 || address_len >= sizeof(text) || memchr(cidr.ptr, '\0', address_len))
        return ST_SYNTAX;
    memcpy(text, cidr.ptr, address_len);
    text[address_len] = '\0';
    if (!parse_address(text, &net))
        return ST_SYNTAX;
    if (slash) {
        uint64_t bits;
        if (!parse_prefix(slice_from(cidr, address_len + 1), &bits))
            return ST_SYNTAX;
        if (bits > net.prefix_bits)
            return ST_RANGE;
        net.prefix_bits = (uint8_t)bits;
        if (bits_set_behind(&net))
            return ST_RANGE;
    }
    if (net_contains(&mapped, &net)) {
        struct netguard_net v4 = v4_address(net.bytes + 12);
        v4.prefix_bits = (uint8_t)(net.prefix_bits - 96);
        net = v4;
    }
    if (guard->allow_count == NETGUARD_NETS_MAX)
        return ST_LIMIT;
    guard->allow[guard->allow_count++] = net;
    return ST_OK;
}
