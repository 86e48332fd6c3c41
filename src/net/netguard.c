/* netguard.c - the address policy.
 *
 *    sockaddr --> unwrap: IPv6 that carries IPv4 becomes that IPv4 address (v4-mapped: network.c)
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

#include <string.h>

enum block_class { BLOCK_NEVER, BLOCK_PRIVATE };

struct block {
    struct network net;
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

static const struct network global_unicast = V6(0x20, 0, 0, 0, 0, 3);
static const struct network nat64 = V6(0x00, 0x64, 0xff, 0x9b, 0, 96);
static const struct network six_to_four = V6(0x20, 0x02, 0, 0, 0, 16);
static const struct network teredo = V6(0x20, 0x01, 0, 0, 0, 32);

static struct network v4_address(const uint8_t bytes[4])
{
    struct network address = {.prefix_bits = 32};
    memcpy(address.bytes, bytes, 4);
    return address;
}

/* ---- The verdict ---------------------------------------------------------------------------- */

/* Judges an address that carries no other. NULL when allowed. */
static const char *judge_plain(const struct netguard *guard, const struct network *address)
{
    for (size_t i = 0; i < guard->allow_count; i++)
        if (network_contains(&guard->allow[i], address))
            return NULL;
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (network_contains(&blocks[i].net, address))
            return guard->allow_private && blocks[i].class == BLOCK_PRIVATE ? NULL
                                                                            : blocks[i].reason;
    if (address->v6 && !network_contains(&global_unicast, address))
        return "the address is not globally assigned (outside 2000::/3)";
    return NULL;
}

static const char *judge_carried(const struct netguard *guard, const uint8_t bytes[4])
{
    struct network carried = v4_address(bytes);
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

static const char *judge(const struct netguard *guard, const struct network *address)
{
    if (network_contains(&nat64, address))
        return judge_carried(guard, address->bytes + 12);
    if (network_contains(&six_to_four, address))
        return judge_carried(guard, address->bytes + 2);
    if (network_contains(&teredo, address))
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
    struct network net;
    if (!network_of(address, &net))
        return answer("the address is not of the internet", reason);
    return answer(judge(guard, &net), reason);
}

bool netguard_allows_text(const struct netguard *guard, const char *address, const char **reason)
{
    struct network net;
    if (network_parse_address(slice_str(address), &net) != ST_OK)
        return answer("the address cannot be read", reason);
    return answer(judge(guard, &net), reason);
}

enum status netguard_add_cidr(struct netguard *guard, struct slice cidr)
{
    struct network net;
    enum status status = network_parse(cidr, &net);
    if (status != ST_OK)
        return status;
    if (guard->allow_count == NETGUARD_NETS_MAX)
        return ST_LIMIT;
    guard->allow[guard->allow_count++] = net;
    return ST_OK;
}
