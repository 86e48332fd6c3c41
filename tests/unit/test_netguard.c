/* Tests of net/netguard: the address policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/netguard.h"

static bool allows_v6(const struct netguard *guard, const uint8_t bytes[16], const char **reason)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    memcpy(&address.sin6_addr, bytes, 16);
    return netguard_allows(guard, (const struct sockaddr *)&address, reason);
}

static bool allows_v4(const struct netguard *guard, const uint8_t bytes[4], const char **reason)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    memcpy(&address.sin_addr, bytes, 4);
    return netguard_allows(guard, (const struct sockaddr *)&address, reason);
}

/* Through sockaddr and as text: both ways in must agree. */
static bool allows(const struct netguard *guard, const char *text)
{
    uint8_t bytes[16];
    const char *reason = "untouched", *text_reason = "untouched";
    bool allowed;
    if (inet_pton(AF_INET, text, bytes) == 1) {
        allowed = allows_v4(guard, bytes, &reason);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
        allowed = allows_v6(guard, bytes, &reason);
    }
    assert_int_equal(netguard_allows_text(guard, text, &text_reason), allowed);
    assert_ptr_equal(reason, text_reason);
    assert_true(allowed ? reason == NULL : reason && reason[0] != '\0');
    return allowed;
}

/* Each block refuses its first and last address and not the neighbours that are public. */
static void test_strict_policy(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool allowed;
    } cases[] = {
        {"0.0.0.0", false},
        {"0.255.255.255", false},
        {"1.0.0.0", true},
        {"1.1.1.1", true},
        {"9.255.255.255", true},
        {"10.0.0.0", false},
        {"10.255.255.255", false},
        {"11.0.0.0", true},
        {"100.63.255.255", true},
        {"100.64.0.0", false},
        {"100.100.100.200", false},
        {"100.127.255.255", false},
        {"100.128.0.0", true},
        {"126.255.255.255", true},
        {"127.0.0.0", false},
        {"127.0.0.1", false},
        {"127.255.255.255", false},
        {"128.0.0.0", true},
        {"168.63.129.15", true},
        {"168.63.129.16", false},
        {"168.63.129.17", true},
        {"169.253.255.255", true},
        {"169.254.0.0", false},
        {"169.254.169.254", false},
        {"169.254.255.255", false},
        {"169.255.0.0", true},
        {"172.15.255.255", true},
        {"172.16.0.0", false},
        {"172.31.255.255", false},
        {"172.32.0.0", true},
        {"191.255.255.255", true},
        {"192.0.0.0", false},
        {"192.0.0.255", false},
        {"192.0.1.0", true},
        {"192.0.2.0", false},
        {"192.0.2.255", false},
        {"192.0.3.0", true},
        {"192.88.98.255", true},
        {"192.88.99.0", false},
        {"192.88.99.255", false},
        {"192.88.100.0", true},
        {"192.167.255.255", true},
        {"192.168.0.0", false},
        {"192.168.255.255", false},
        {"192.169.0.0", true},
        {"198.17.255.255", true},
        {"198.18.0.0", false},
        {"198.19.255.255", false},
        {"198.20.0.0", true},
        {"198.51.99.255", true},
        {"198.51.100.0", false},
        {"198.51.100.255", false},
        {"198.51.101.0", true},
        {"203.0.112.255", true},
        {"203.0.113.0", false},
        {"203.0.113.255", false},
        {"203.0.114.0", true},
        {"223.255.255.255", true},
        {"224.0.0.0", false},
        {"239.255.255.255", false},
        {"240.0.0.0", false},
        {"255.255.255.254", false},
        {"255.255.255.255", false},

        {"::", false},
        {"::1", false},
        {"::2", false},
        {"::8.8.8.8", false}, /* v4-compatible, deprecated */
        {"::127.0.0.1", false},
        {"::ffff:127.0.0.1", false},
        {"::ffff:8.8.8.8", true},
        {"::ffff:0:127.0.0.1", false}, /* SIIT, not mapped */
        {"64:ff9b::7f00:1", false},
        {"64:ff9b::808:808", true},
        {"64:ff9b::1:808:808", false}, /* not the /96 */
        {"64:ff9b:1::808:808", false},
        {"100::1", false},
        {"100:0:0:1::1", false}, /* outside 2000::/3 */
        {"1fff:ffff::1", false},
        {"2000::1", true},
        {"2001::1", false},
        {"2001:0:808:808:0:0:f7f7:f7f7", true},  /* Teredo, server and client 8.8.8.8 */
        {"2001:0:808:808:0:0:80ff:fffe", false}, /* client 127.0.0.1 */
        {"2001:0:7f00:1:0:0:f7f7:f7f7", false},  /* server 127.0.0.1 */
        {"2001:1::1", false},
        {"2001:2::1", false},
        {"2001:1ff:ffff::1", false},
        {"2001:200::1", true},
        {"2001:db7:ffff::1", true},
        {"2001:db8::1", false},
        {"2001:db8:ffff:ffff::1", false},
        {"2001:db9::1", true},
        {"2001:4860:4860::8888", true},
        {"2002:7f00:1::1", false},
        {"2002:a9fe:a9fe::", false},
        {"2002:808:808::1", true},
        {"2003::1", true},
        {"3ffe:ffff::1", true},
        {"3fff::1", false},
        {"3fff:fff::1", false},
        {"3fff:1000::1", true},
        {"4000::1", false},
        {"5f00::1", false},
        {"fbff::1", false},
        {"fc00::1", false},
        {"fd00:ec2::254", false},
        {"fdff:ffff::1", false},
        {"fe80::1", false},
        {"febf::1", false},
        {"fec0::1", false},
        {"ff02::1", false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
    };
    struct netguard guard = {.allow_private = false};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (allows(&guard, cases[i].address) != cases[i].allowed)
            fail_msg("%s: expected %s", cases[i].address, cases[i].allowed ? "allowed" : "refused");
}

/* --dev opens loopback and private networks and nothing else, the metadata services in particular.
 */
static void test_dev_policy(void **state)
{
    (void)state;
    static const char *const open[] = {"127.0.0.1",        "127.8.8.8",   "10.1.2.3", "172.20.0.1",
                                       "192.168.1.1",      "::1",         "fd00::1",  "8.8.8.8",
                                       "::ffff:127.0.0.1", "2002:a00:1::"};
    static const char *const closed[] = {
        "0.0.0.0",   "169.254.169.254", "100.64.0.1",      "168.63.129.16",
        "192.0.2.1", "224.0.0.1",       "255.255.255.255", "::",
        "fe80::1",   "ff02::1",         "2001:db8::1",     "::ffff:0.0.0.0"};
    struct netguard guard = {.allow_private = true};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        if (!allows(&guard, open[i]))
            fail_msg("%s is refused", open[i]);
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        if (allows(&guard, closed[i]))
            fail_msg("%s is allowed", closed[i]);
}

/* A network the operator opened is open in all forms of its addresses, and no further. */
static void test_opened_networks(void **state)
{
    (void)state;
    struct netguard guard = {.allow_private = false};
    assert_int_equal(netguard_add_cidr(&guard, SLICE("10.1.0.0/16")), ST_OK);
    assert_int_equal(netguard_add_cidr(&guard, SLICE("169.254.10.4/30")), ST_OK);
    assert_int_equal(netguard_add_cidr(&guard, SLICE("127.0.0.1")), ST_OK);
    assert_int_equal(netguard_add_cidr(&guard, SLICE("fd00:1::/33")), ST_OK);
    assert_int_equal(netguard_add_cidr(&guard, SLICE("::ffff:192.168.7.0/120")), ST_OK);
    assert_true(allows(&guard, "10.1.0.0"));
    assert_true(allows(&guard, "10.1.255.255"));
    assert_false(allows(&guard, "10.0.255.255"));
    assert_false(allows(&guard, "10.2.0.0"));
    assert_true(allows(&guard, "::ffff:10.1.2.3"));
    assert_true(allows(&guard, "64:ff9b::a01:203"));
    assert_false(allows(&guard, "169.254.10.3"));
    assert_true(allows(&guard, "169.254.10.4"));
    assert_true(allows(&guard, "169.254.10.7"));
    assert_false(allows(&guard, "169.254.10.8"));
    assert_true(allows(&guard, "127.0.0.1"));
    assert_false(allows(&guard, "127.0.0.2"));
    assert_true(allows(&guard, "fd00:1:7fff:ffff::"));
    assert_false(allows(&guard, "fd00:1:8000::"));
    assert_true(allows(&guard, "192.168.7.255"));
    assert_false(allows(&guard, "192.168.8.0"));
}

/* "0.0.0.0/0" means all of IPv4, and not IPv6. */
static void test_everything_opened(void **state)
{
    (void)state;
    struct netguard guard = {.allow_private = false};
    assert_int_equal(netguard_add_cidr(&guard, SLICE("0.0.0.0/0")), ST_OK);
    assert_true(allows(&guard, "169.254.169.254"));
    assert_true(allows(&guard, "::ffff:127.0.0.1"));
    assert_false(allows(&guard, "::1"));
    assert_int_equal(netguard_add_cidr(&guard, SLICE("::/0")), ST_OK);
    assert_true(allows(&guard, "::1"));
}

/* Bad networks are refused with the right status and leave the guard as it was. */
static void test_bad_networks(void **state)
{
    (void)state;
    static const struct {
        struct slice cidr;
        enum status status;
    } cases[] = {
        {SLICE_NULL, ST_SYNTAX},
        {{"", 0}, ST_SYNTAX},
        {{"/", 1}, ST_SYNTAX},
        {{"/8", 2}, ST_SYNTAX},
        {{"10.0.0.0/", 9}, ST_SYNTAX},
        {{"10.0.0.0/08", 11}, ST_SYNTAX},
        {{"10.0.0.0/8 ", 11}, ST_SYNTAX},
        {{" 10.0.0.0/8", 11}, ST_SYNTAX},
        {{"10.0.0.0/-1", 11}, ST_SYNTAX},
        {{"10.0.0.0/+8", 11}, ST_SYNTAX},
        {{"10.0.0.0/8/8", 12}, ST_SYNTAX},
        {{"10.0.0.0/1000", 13}, ST_SYNTAX},
        {{"10.0.0/8", 8}, ST_SYNTAX},
        {{"010.0.0.0/8", 11}, ST_SYNTAX},
        {{"0x0a.0.0.0/8", 12}, ST_SYNTAX},
        {{"localhost", 9}, ST_SYNTAX},
        {{"[::1]/128", 9}, ST_SYNTAX},
        {{"fe80::1%lo/128", 14}, ST_SYNTAX},
        {{"10.0.0.0\0/8", 11}, ST_SYNTAX},
        {{"1111:2222:3333:4444:5555:6666:777.777.777.777", 45}, ST_SYNTAX},
        {{"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000", 49}, ST_SYNTAX},
        {{"10.0.0.0/33", 11}, ST_RANGE},
        {{"10.0.0.1/8", 10}, ST_RANGE},
        {{"10.0.0.1/31", 11}, ST_RANGE},
        {{"fd00::/129", 10}, ST_RANGE},
        {{"fd00::1/127", 11}, ST_RANGE},
    };
    struct netguard guard = {.allow_private = false};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum status status = netguard_add_cidr(&guard, cases[i].cidr);
        if (status != cases[i].status)
            fail_msg("case %zu: %s", i, status_name(status));
        assert_int_equal(guard.allow_count, 0);
    }
    for (int i = 0; i < NETGUARD_NETS_MAX; i++)
        assert_int_equal(netguard_add_cidr(&guard, SLICE("10.0.0.0/8")), ST_OK);
    assert_int_equal(netguard_add_cidr(&guard, SLICE("10.0.0.0/8")), ST_LIMIT);
    assert_int_equal(guard.allow_count, NETGUARD_NETS_MAX);
}

static void test_not_of_the_internet(void **state)
{
    (void)state;
    struct netguard guard = {.allow_private = true};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    const char *reason;
    assert_false(netguard_allows(&guard, (const struct sockaddr *)&local, &reason));
    assert_non_null(reason);
    assert_false(netguard_allows_text(&guard, "127.1", NULL));
    assert_false(netguard_allows_text(&guard, "", NULL));
}

/* Property: whatever the policy, an IPv4 address gets the same verdict, for the same reason, as its
 * v4-mapped, NAT64 and 6to4 forms. */
static void test_carried_addresses_agree(void **state)
{
    (void)state;
    struct netguard guards[3] = {{.allow_private = false}, {.allow_private = true}};
    assert_int_equal(netguard_add_cidr(&guards[2], SLICE("128.0.0.0/2")), ST_OK);
    uint64_t random = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 300000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint8_t v4[4], mapped[16] = {[10] = 0xff, [11] = 0xff};
        uint8_t nat64[16] = {0x00, 0x64, 0xff, 0x9b}, six_to_four[16] = {0x20, 0x02};
        memcpy(v4, &random, 4);
        memcpy(mapped + 12, v4, 4);
        memcpy(nat64 + 12, v4, 4);
        memcpy(six_to_four + 2, v4, 4);
        for (size_t g = 0; g < 3; g++) {
            const char *reason, *other;
            bool allowed = allows_v4(&guards[g], v4, &reason);
            assert_int_equal(allows_v6(&guards[g], mapped, &other), allowed);
            assert_ptr_equal(other, reason);
            assert_int_equal(allows_v6(&guards[g], nat64, &other), allowed);
            assert_ptr_equal(other, reason);
            assert_int_equal(allows_v6(&guards[g], six_to_four, &other), allowed);
            assert_ptr_equal(other, reason);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict_policy),
        cmocka_unit_test(test_dev_policy),
        cmocka_unit_test(test_opened_networks),
        cmocka_unit_test(test_everything_opened),
        cmocka_unit_test(test_bad_networks),
        cmocka_unit_test(test_not_of_the_internet),
        cmocka_unit_test(test_carried_addresses_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
