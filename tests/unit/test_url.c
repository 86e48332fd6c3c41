/* Tests of net/url: what may be registered as a target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "net/url.h"

static enum status check(struct slice url, bool allow_http, bool allow_private)
{
    struct netguard guard = {.allow_private = allow_private};
    const char *reason = NULL;
    enum status status = url_check(url, allow_http, &guard, &reason);
    assert_int_equal(url_check(url, allow_http, &guard, NULL), status);
    assert_true(status == ST_OK ? reason == NULL : reason && reason[0] != '\0');
    return status;
}

/* Production's rule: https only, no private addresses. */
static void test_strict(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum status status;
    } cases[] = {
        {"https://example.com", ST_OK},
        {"https://example.com/", ST_OK},
        {"https://example.com/hook?a=1&b[]=2", ST_OK},
        {"https://example.com?a=1", ST_OK},
        {"HTTPS://EXAMPLE.com/", ST_OK},
        {"https://example.com./", ST_OK},
        {"https://a_b.example-x.com:8443/p%20q", ST_OK},
        {"https://xn--bcher-kva.example/", ST_OK},
        {"https://1.com/", ST_OK},
        {"https://0x.com/", ST_OK},
        {"https://a@b.com/", ST_SYNTAX},
        {"https://example.com/@user", ST_OK},
        {"https://8.8.8.8/", ST_OK},
        {"https://8.8.2056/", ST_OK},
        {"https://0x08080808:443/", ST_OK},
        {"https://[2001:4860:4860::8888]/", ST_OK},
        {"https://[2001:4860:4860::8888]:8443/x", ST_OK},
        {"https://localhost/", ST_OK}, /* a name: judged when connecting */

        {"", ST_SYNTAX},
        {"example.com", ST_SYNTAX},
        {"//example.com/", ST_SYNTAX},
        {"https:/example.com/", ST_SYNTAX},
        {"https:example.com", ST_SYNTAX},
        {"https://", ST_SYNTAX},
        {"https:///path", ST_SYNTAX},
        {"https://?q", ST_SYNTAX},
        {"https://:443/", ST_SYNTAX},
        {" https://example.com/", ST_UNSUPPORTED},
        {"https://example.com/ ", ST_SYNTAX},
        {"https://exa mple.com/", ST_SYNTAX},
        {"https://example.com/a b", ST_SYNTAX},
        {"https://example.com/a\tb", ST_SYNTAX},
        {"https://example.com/a\r\nX: y", ST_SYNTAX},
        {"https://example.com/a\x7f", ST_SYNTAX},
        {"https://example.com/\xc3\xa4", ST_SYNTAX},
        {"https://b\xc3\xbc"
         "cher.example/",
         ST_SYNTAX},
        {"https://example.com/a\\b", ST_SYNTAX},
        {"https://example.com\\@127.0.0.1/", ST_SYNTAX},
        {"https://example.com/\"", ST_SYNTAX},
        {"https://example.com/<x>", ST_SYNTAX},
        {"https://example.com/#top", ST_SYNTAX},
        {"https://example.com#top", ST_SYNTAX},
        {"https://user@example.com/", ST_SYNTAX},
        {"https://user:pass@example.com/", ST_SYNTAX},
        {"https://@example.com/", ST_SYNTAX},
        {"https://example.com:80@127.0.0.1/", ST_SYNTAX},
        {"https://exa%6dple.com/", ST_SYNTAX},
        {"https://.example.com/", ST_SYNTAX},
        {"https://example..com/", ST_SYNTAX},
        {"https://example.com../", ST_SYNTAX},
        {"https://-example.com/", ST_SYNTAX},
        {"https://example-.com/", ST_SYNTAX},
        {"https://exa!mple.com/", ST_SYNTAX},
        {"https://example.com,b/", ST_SYNTAX},
        {"https://./", ST_SYNTAX},

        {"https://example.com:/", ST_SYNTAX},
        {"https://example.com:0/", ST_RANGE},
        {"https://example.com:65535/", ST_OK},
        {"https://example.com:65536/", ST_RANGE},
        {"https://example.com:443x/", ST_RANGE},
        {"https://example.com:+443/", ST_RANGE},
        {"https://example.com:4294967739/", ST_RANGE},
        {"https://example.com:00000443/", ST_RANGE},
        {"https://example.com:443:443/", ST_RANGE},
        {"https://::1/", ST_RANGE},

        {"http://example.com/", ST_DENIED},
        {"ftp://example.com/", ST_UNSUPPORTED},
        {"file:///etc/passwd", ST_UNSUPPORTED},
        {"gopher://127.0.0.1:6379/_x", ST_UNSUPPORTED},
        {"javascript:alert('https://x')", ST_UNSUPPORTED},
        {"httpsx://example.com/", ST_UNSUPPORTED},

        /* Loopback in all its disguises. */
        {"https://127.0.0.1/", ST_DENIED},
        {"https://127.1/", ST_DENIED},
        {"https://127.0.1/", ST_DENIED},
        {"https://2130706433/", ST_DENIED},
        {"https://0x7f000001/", ST_DENIED},
        {"https://0X7F.1/", ST_DENIED},
        {"https://017700000001/", ST_DENIED},
        {"https://0177.0.0.1:8080/", ST_DENIED},
        {"https://0/", ST_DENIED},
        {"https://0x/", ST_SYNTAX},
        {"https://0.0.0.0/", ST_DENIED},
        {"https://[::1]/", ST_DENIED},
        {"https://[0:0:0:0:0:0:0:1]:443/", ST_DENIED},
        {"https://[::]/", ST_DENIED},
        {"https://[::ffff:127.0.0.1]/", ST_DENIED},
        {"https://[::FFFF:7F00:1]/", ST_DENIED},
        {"https://[64:ff9b::127.0.0.1]/", ST_DENIED},
        {"https://[2002:7f00:1::]/", ST_DENIED},
        {"https://169.254.169.254/latest/meta-data", ST_DENIED},
        {"https://[fd00:ec2::254]/", ST_DENIED},
        {"https://10.0.0.1/", ST_DENIED},
        {"https://192.168.1.1/", ST_DENIED},

        /* What ends in a number and is no address. */
        {"https://127.0.0.1./", ST_SYNTAX},
        {"https://127.1./", ST_SYNTAX},
        {"https://256.1.1.1/", ST_SYNTAX},
        {"https://1.2.3.4.5/", ST_SYNTAX},
        {"https://4294967296/", ST_SYNTAX},
        {"https://08.8.8.8/", ST_SYNTAX},
        {"https://foo.127/", ST_SYNTAX},
        {"https://foo.0x7f/", ST_SYNTAX},

        {"https://[fe80::1%25eth0]/", ST_SYNTAX},
        {"https://[fe80::1%lo]/", ST_SYNTAX},
        {"https://[::1/", ST_SYNTAX},
        {"https://[]/", ST_SYNTAX},
        {"https://[/", ST_SYNTAX},
        {"https://]/", ST_SYNTAX},
        {"https://[::1]x/", ST_SYNTAX},
        {"https://[::1]:/", ST_SYNTAX},
        {"https://[127.0.0.1]/", ST_SYNTAX},
        {"https://[example.com]/", ST_SYNTAX},
        {"https://[v1.x]/", ST_SYNTAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum status status = check(slice_str(cases[i].url), false, false);
        if (status != cases[i].status)
            fail_msg("%s: %s, expected %s", cases[i].url, status_name(status),
                     status_name(cases[i].status));
    }
}

/* --dev: http and private addresses pass; the rest stays. */
static void test_dev(void **state)
{
    (void)state;
    assert_int_equal(check(SLICE("http://127.0.0.1:9000/hook"), true, true), ST_OK);
    assert_int_equal(check(SLICE("http://[::1]:9000/hook"), true, true), ST_OK);
    assert_int_equal(check(SLICE("http://10.0.0.7/"), true, true), ST_OK);
    assert_int_equal(check(SLICE("http://localhost:9000"), true, true), ST_OK);
    assert_int_equal(check(SLICE("https://127.1/"), true, true), ST_OK);
    assert_int_equal(check(SLICE("http://169.254.169.254/"), true, true), ST_DENIED);
    assert_int_equal(check(SLICE("http://0/"), true, true), ST_DENIED);
    assert_int_equal(check(SLICE("http://user@127.0.0.1/"), true, true), ST_SYNTAX);
}

static void test_lengths(void **state)
{
    (void)state;
    char url[LIMIT_URL_BYTES + 2];
    static const char start[] = "https://example.com/";
    memset(url, 'a', sizeof(url));
    memcpy(url, start, sizeof(start) - 1);
    assert_int_equal(check(slice_of(url, LIMIT_URL_BYTES), false, false), ST_OK);
    assert_int_equal(check(slice_of(url, LIMIT_URL_BYTES + 1), false, false), ST_LIMIT);
    /* a label of 63 and of 64 */
    memset(url + 8, 'b', 64);
    memcpy(url + 8 + 63, ".example/", 9);
    assert_int_equal(check(slice_of(url, 8 + 63 + 9), false, false), ST_OK);
    memset(url + 8, 'b', 64);
    memcpy(url + 8 + 64, ".example/", 9);
    assert_int_equal(check(slice_of(url, 8 + 64 + 9), false, false), ST_SYNTAX);
    /* a name of 253 and of 255 */
    for (size_t i = 0; i < 255; i++)
        url[8 + i] = i % 2 ? '.' : 'c';
    assert_int_equal(check(slice_of(url, 8 + 253), false, false), ST_OK);
    assert_int_equal(check(slice_of(url, 8 + 255), false, false), ST_SYNTAX);
}

/* A NUL byte neither ends the URL nor hides what is behind it. */
static void test_nul_bytes(void **state)
{
    (void)state;
    assert_int_equal(check(SLICE("https://example.com\0.evil/"), false, false), ST_SYNTAX);
    assert_int_equal(check(SLICE("https://example.com/\0"), false, false), ST_SYNTAX);
    assert_int_equal(check(SLICE("https\0://example.com/"), false, false), ST_UNSUPPORTED);
    assert_int_equal(check(SLICE("https://8.8.8.8\0/"), false, false), ST_SYNTAX);
    assert_int_equal(check(SLICE("https://[::\0001]/"), false, false), ST_SYNTAX);
    assert_int_equal(check(SLICE_NULL, false, false), ST_SYNTAX);
}

/* Networks that the operator opened are open to URLs. */
static void test_opened_network(void **state)
{
    (void)state;
    struct netguard guard = {.allow_private = false};
    assert_int_equal(netguard_add_cidr(&guard, SLICE("10.9.0.0/16")), ST_OK);
    assert_int_equal(url_check(SLICE("https://10.9.8.7/"), false, &guard, NULL), ST_OK);
    assert_int_equal(url_check(SLICE("https://10.8.8.7/"), false, &guard, NULL), ST_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict),         cmocka_unit_test(test_dev),
        cmocka_unit_test(test_lengths),        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_opened_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
