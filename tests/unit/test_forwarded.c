/* test_forwarded.c - addresses, networks, and who is behind a proxy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "net/forwarded.h"

static struct network net(const char *text)
{
    struct network network;
    assert_int_equal(network_parse(slice_str(text), &network), ST_OK);
    return network;
}

static void text_of(const struct network *address, char text[INET6_ADDRSTRLEN])
{
    text[0] = '\0';
    if (address->prefix_bits > 0)
        assert_non_null(
            inet_ntop(address->v6 ? AF_INET6 : AF_INET, address->bytes, text, INET6_ADDRSTRLEN));
}

/* Proxies are 10.0.0.0/8 and fd00::/8 in all of these. */
static const struct {
    const char *name, *peer;
    const char *values[4]; /* the headers in their order */
    const char *client;    /* "": nobody */
} rows[] = {
    {"nothing forwarded by a stranger", "203.0.113.9", {NULL}, "203.0.113.9"},
    {"a stranger's header counts for nothing", "203.0.113.9", {"1.2.3.4"}, "203.0.113.9"},
    {"a proxy that says nothing is the sender", "10.0.0.1", {NULL}, "10.0.0.1"},
    {"one proxy", "10.0.0.1", {"203.0.113.9"}, "203.0.113.9"},
    {"what the sender wrote stands left of it",
     "10.0.0.1",
     {"1.2.3.4, 203.0.113.9"},
     "203.0.113.9"},
    {"two proxies", "10.0.0.1", {"1.2.3.4, 203.0.113.9, 10.0.0.7"}, "203.0.113.9"},
    {"a proxy's address that the sender wrote",
     "10.0.0.1",
     {"10.0.0.9, 203.0.113.9"},
     "203.0.113.9"},
    {"headers are one list", "10.0.0.1", {"1.2.3.4", "203.0.113.9", "10.0.0.7"}, "203.0.113.9"},
    {"lists in several headers",
     "10.0.0.1",
     {"1.1.1.1,2.2.2.2", "203.0.113.9, 10.9.9.9"},
     "203.0.113.9"},
    {"all are proxies: the first one", "10.0.0.1", {"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
    {"blanks and empty entries", "10.0.0.1", {" \t203.0.113.9 , ,, 10.0.0.7\t,"}, "203.0.113.9"},
    {"an empty header", "10.0.0.1", {"203.0.113.9", ""}, "203.0.113.9"},
    {"only empty headers", "10.0.0.1", {"", ","}, "10.0.0.1"},
    {"a port", "10.0.0.1", {"203.0.113.9:4711"}, "203.0.113.9"},
    {"IPv6", "fd00::1", {"2001:db8::1"}, "2001:db8::1"},
    {"IPv6 in brackets", "fd00::1", {"[2001:db8::1]"}, "2001:db8::1"},
    {"IPv6 with a port", "fd00::1", {"[2001:db8::1]:443"}, "2001:db8::1"},
    {"IPv6 whose end looks like a port", "fd00::1", {"2001:db8::1:443"}, "2001:db8::1:443"},
    {"IPv4 as IPv6 is IPv4", "10.0.0.1", {"::ffff:203.0.113.9"}, "203.0.113.9"},
    {"a proxy in the form of IPv6", "10.0.0.1", {"203.0.113.9, ::ffff:10.0.0.7"}, "203.0.113.9"},
    {"unknown", "10.0.0.1", {"unknown"}, ""},
    {"unknown behind a proxy", "10.0.0.1", {"203.0.113.9, unknown, 10.0.0.7"}, ""},
    {"unknown left of the sender does not matter",
     "10.0.0.1",
     {"unknown, 203.0.113.9"},
     "203.0.113.9"},
    {"a name", "10.0.0.1", {"client.example"}, ""},
    {"a network is no address", "10.0.0.1", {"203.0.113.0/24"}, ""},
    {"a wrong port", "10.0.0.1", {"203.0.113.9:99999"}, ""},
    {"no port behind the colon", "10.0.0.1", {"203.0.113.9:"}, ""},
    {"a bracket that does not end", "10.0.0.1", {"[2001:db8::1"}, ""},
    {"something behind the bracket", "10.0.0.1", {"[2001:db8::1]x"}, ""},
    {"an empty bracket", "10.0.0.1", {"[]"}, ""},
    {"a scope", "10.0.0.1", {"fe80::1%eth0"}, ""},
    {"leading zeros", "10.0.0.1", {"010.0.0.1"}, ""},
};

static void test_the_sender(void **state)
{
    (void)state;
    const struct network trusted[] = {net("10.0.0.0/8"), net("fd00::/8")};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice values[4];
        struct network client, peer = net(rows[i].peer);
        size_t count = 0;
        char text[INET6_ADDRSTRLEN];
        for (; count < 4 && rows[i].values[count]; count++)
            values[count] = slice_str(rows[i].values[count]);
        bool found = forwarded_client(&peer, values, count, trusted, 2, &client);
        text_of(&client, text);
        if (found != (rows[i].client[0] != '\0') || strcmp(text, rows[i].client) != 0)
            fail_msg("%s: %s", rows[i].name, text);
    }
}

/* Without trusted proxies whoever is connected is the sender. */
static void test_nobody_is_trusted(void **state)
{
    (void)state;
    struct network client, peer = net("10.0.0.1");
    struct slice value = SLICE("203.0.113.9");
    assert_true(forwarded_client(&peer, &value, 1, NULL, 0, &client));
    assert_memory_equal(&client, &peer, sizeof(peer));
}

static void test_too_many_hops(void **state)
{
    (void)state;
    const struct network trusted = net("10.0.0.0/8");
    struct network client, peer = net("10.0.0.1");
    char list[1024] = "203.0.113.9";
    for (int i = 1; i < FORWARDED_HOPS_MAX; i++)
        strcat(list, ",10.0.0.2");
    struct slice value = slice_str(list);
    assert_true(forwarded_client(&peer, &value, 1, &trusted, 1, &client));
    char text[INET6_ADDRSTRLEN];
    text_of(&client, text);
    assert_string_equal(text, "203.0.113.9");
    strcat(list, ",10.0.0.2");
    value = slice_str(list);
    assert_false(forwarded_client(&peer, &value, 1, &trusted, 1, &client));
    assert_int_equal(client.prefix_bits, 0);
}

static void test_networks(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        bool within;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"203.0.113.9", "203.0.113.9", true},
        {"203.0.113.9", "203.0.113.8", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", false},
        {"::ffff:10.0.0.0/104", "10.0.0.1", true},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct network whole = net(cases[i].network), part = net(cases[i].address);
        if (network_contains(&whole, &part) != cases[i].within)
            fail_msg("%s in %s", cases[i].address, cases[i].network);
        assert_int_equal(network_among(&whole, 1, &part), cases[i].within);
        assert_false(network_among(&whole, 0, &part));
    }
}

static void test_what_is_no_network(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
    } cases[] = {{"", ST_SYNTAX},
                 {"10.0.0", ST_SYNTAX},
                 {"10.0.0.0/", ST_SYNTAX},
                 {"10.0.0.0/08", ST_SYNTAX},
                 {"10.0.0.0/+8", ST_SYNTAX},
                 {"10.0.0.0/33", ST_RANGE},
                 {"10.0.0.1/8", ST_RANGE},
                 {"fd00::1/8", ST_RANGE},
                 {"fd00::/129", ST_RANGE},
                 {" 10.0.0.0/8", ST_SYNTAX},
                 {"/8", ST_SYNTAX},
                 {"example.com/8", ST_SYNTAX}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct network network = {.prefix_bits = 7};
        if (network_parse(slice_str(cases[i].text), &network) != cases[i].status)
            fail_msg("\"%s\"", cases[i].text);
        assert_int_equal(network.prefix_bits, 7);
    }
}

static void test_sockaddr(void **state)
{
    (void)state;
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr local = {.sa_family = AF_UNIX};
    struct network out, wanted = net("10.1.2.3");
    assert_int_equal(inet_pton(AF_INET, "10.1.2.3", &v4.sin_addr), 1);
    assert_true(network_of((const struct sockaddr *)&v4, &out));
    assert_memory_equal(&out, &wanted, sizeof(out));
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &v6.sin6_addr), 1);
    assert_true(network_of((const struct sockaddr *)&v6, &out));
    assert_memory_equal(&out, &wanted, sizeof(out));
    assert_false(network_of(&local, &out));
    assert_int_equal(out.prefix_bits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sender),         cmocka_unit_test(test_nobody_is_trusted),
        cmocka_unit_test(test_too_many_hops),      cmocka_unit_test(test_networks),
        cmocka_unit_test(test_what_is_no_network), cmocka_unit_test(test_sockaddr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
