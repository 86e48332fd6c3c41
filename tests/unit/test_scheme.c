/* test_scheme.c - the wire forms that the built-in schemes promise, and the way back.
 *
 * The expected signatures were computed with other implementations (Python's hmac, and cryptography
 * for Ed25519).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/encoding.h"
#include "wire/scheme.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER  "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
#define PAIR                                                                                       \
    "whsk_6Xb/dCcHpPea21PS1N9VY/"                                                                  \
    "NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
#define PUBLIC      "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
#define HEX_SECRET  "00112233445566778899aabbccddeeff"
#define TEXT_SECRET "a-secret-of-text"

#define ATTEMPT_MS UINT64_C(1700000007890)

static const struct scheme_event event = {
    .id = {"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 31},
    .type = {"order.created", 13},
    .timestamp_ms = UINT64_C(1700000000123),
    .data = {"{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"}", 28},
    .version = {"1.0", 3},
    .source = {NULL, 0},
};

static struct scheme_set *set;

static int set_up(void **state)
{
    (void)state;
    set = scheme_set_new();
    return set ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    scheme_set_free(set);
    return 0;
}

static const struct scheme *scheme_of(const char *name)
{
    const struct scheme *scheme = scheme_find(set, slice_str(name));
    assert_non_null(scheme);
    return scheme;
}

/* Keys of a list of secrets that ends in NULL. */
static size_t keys_of(const struct scheme *scheme, const char *const *secrets,
                      struct signer_key **keys)
{
    size_t count = 0;
    for (; secrets[count]; count++) {
        const char *reason = NULL;
        enum status status =
            scheme_verify_key(scheme, slice_str(secrets[count]), &keys[count], &reason);
        if (status != ST_OK)
            fail_msg("%s: %s", secrets[count], reason);
    }
    return count;
}

static void keys_free(struct signer_key **keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        signer_key_free(keys[i]);
}

/* ---- A request as a receiver sees it -------------------------------------------------------- */

struct arrived {
    struct buf body;
    struct buf lines;
    size_t count;
};

/* The headers as a receiver has them, at most as many as `headers` has room for. */
static size_t headers_of(const struct arrived *arrived, struct received_header headers[16])
{
    const char *line = arrived->lines.ptr;
    for (size_t i = 0; i < arrived->count; i++, line += strlen(line) + 1) {
        const char *colon = strchr(line, ':');
        headers[i] =
            (struct received_header){slice_of(line, (size_t)(colon - line)), slice_str(colon + 2)};
    }
    return arrived->count;
}

static void arrived_init(struct arrived *received)
{
    *received = (struct arrived){.count = 0};
    buf_init(&received->body, 100000);
    buf_init(&received->lines, 100000);
}

static void arrived_free(struct arrived *received)
{
    buf_free(&received->body);
    buf_free(&received->lines);
}

/* Renders one attempt of the event. */
static void deliver(const struct scheme *scheme, const struct scheme_event *sent,
                    struct signer_key *const *keys, size_t key_count, struct arrived *received)
{
    struct slice body = scheme_body(scheme, sent, &received->body);
    if (received->body.len == 0)
        buf_add_slice(&received->body, body);
    assert_int_equal(buf_status(&received->body), ST_OK);
    buf_clear(&received->lines);
    assert_int_equal(scheme_headers(scheme, sent, buf_slice(&received->body), ATTEMPT_MS, keys,
                                    key_count, &received->lines, &received->count),
                     ST_OK);
}

static enum scheme_verdict judge_at(const struct scheme *scheme, struct arrived *received,
                                    struct signer_key *const *keys, size_t key_count,
                                    uint64_t now_ms)
{
    struct received_header headers[16];
    struct received request = {.headers = headers,
                               .header_count = headers_of(received, headers),
                               .body = buf_slice(&received->body),
                               .now_ms = now_ms};
    return scheme_verify(scheme, &request, keys, key_count, NULL);
}

static enum scheme_verdict judge(const struct scheme *scheme, struct arrived *received,
                                 struct signer_key *const *keys, size_t key_count)
{
    return judge_at(scheme, received, keys, key_count, ATTEMPT_MS);
}

/* ---- The forms ------------------------------------------------------------------------------- */

static const struct form {
    const char *scheme;
    const char *secrets[3];
    const char *lines[5];
    const char *body;
} forms[] = {
    {"standard",
     {SECRET},
     {"webhook-id: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "webhook-timestamp: 1700000007",
      "webhook-signature: v1,f/3G8Zs3MpRu+RpXnwJvIayh+dnhZjM4ln7gGmQRxks="},
     "{\"type\":\"order.created\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"data\":"
     "{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"}}"},
    {"standard",
     {SECRET, OTHER},
     {"webhook-id: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "webhook-timestamp: 1700000007",
      "webhook-signature: v1,f/3G8Zs3MpRu+RpXnwJvIayh+dnhZjM4ln7gGmQRxks= "
      "v1,35dvKj9EQlF6W1+GTDFF9jNIvIJJ/ucLrCkvQTfI/9k="},
     "{\"type\":\"order.created\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"data\":"
     "{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"}}"},
    {"standard",
     {PAIR},
     {"webhook-id: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "webhook-timestamp: 1700000007",
      "webhook-signature: "
      "v1a,BKkNSOtb29awjmYrqRyPDsxXxdVwViperZousICBdAClHqHGr3Coc+QnYbSJI3XZhayZiuMOfufUDInJxcQABA="
      "="},
     "{\"type\":\"order.created\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"data\":"
     "{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"}}"},
    {"svix",
     {SECRET},
     {"svix-id: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "svix-timestamp: 1700000007",
      "svix-signature: v1,XLR9TipJF51ZX8o6Gk8G0XITgWqxYgmRXQihSIPWSH4="},
     "{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"}"},
    {"event",
     {HEX_SECRET},
     {"X-Webhook-Event-Type: order.created",
      "X-Webhook-Delivery-ID: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", "X-Webhook-Timestamp: 1700000007",
      "X-Webhook-Signature-256: "
      "sha256=a517834c3e4743baff0d34d1b824f37200cd1103971b6ead64d088247f5f1f9e"},
     "{\"id\":\"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W\",\"type\":\"order.created\","
     "\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"data\":{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"},"
     "\"version\":\"1.0\",\"source\":null}"},
    {"guide",
     {TEXT_SECRET},
     {"X-Webhook-Event: order.created", "X-Webhook-Timestamp: 1700000007890",
      "X-Webhook-Signature: 14e2633a7a352b81abbc1588f6b8be1accd2d663abd29ed99ad3f68198f6ae39"},
     "{\"event\":\"order.created\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"payload\":"
     "{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"}}"},
    {"basic",
     {TEXT_SECRET},
     {"X-Event-Type: order.created",
      "X-Signature: 2d6b5e629d6935da123d5460d1b8ff8535d749d3ab07266482b80830875b992a"},
     "{\"id\":\"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W\",\"type\":\"order.created\",\"data\":"
     "{\"total\": 1.10,\"who\":\"Zo\xc3\xab\"},\"timestamp\":\"2023-11-14T22:13:20.123Z\"}"},
};

/* Each scheme's headers and body, to the byte; and they verify. */
static void test_wire_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct signer_key *keys[3];
        struct arrived received;
        const struct scheme *scheme = scheme_of(forms[i].scheme);
        size_t key_count = keys_of(scheme, forms[i].secrets, keys);
        arrived_init(&received);
        deliver(scheme, &event, keys, key_count, &received);
        assert_true(slice_eq(buf_slice(&received.body), slice_str(forms[i].body)));
        const char *line = received.lines.ptr;
        size_t lines = 0;
        for (; forms[i].lines[lines]; lines++, line += strlen(line) + 1)
            assert_string_equal(line, forms[i].lines[lines]);
        assert_int_equal(received.count, lines);
        assert_ptr_equal(line, received.lines.ptr + received.lines.len);
        assert_int_equal(judge(scheme, &received, keys, key_count), VERIFY_OK);
        arrived_free(&received);
        keys_free(keys, key_count);
    }
}

/* The data itself is the body of "svix": nothing is copied. */
static void test_plain_body_is_not_copied(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    assert_ptr_equal(scheme_body(scheme_of("svix"), &event, &buf).ptr, event.data.ptr);
    assert_int_equal(buf.len, 0);
    /* And where it is rendered, it is behind what the buffer held. */
    buf_add_str(&buf, "before");
    struct slice body = scheme_body(scheme_of("basic"), &event, &buf);
    assert_true(slice_starts(buf_slice(&buf), SLICE("before{")));
    assert_int_equal(body.len, buf.len - 6);
    buf_free(&buf);
}

/* Strings in bodies are JSON whatever they hold; data is not touched. */
static void test_body_escapes(void **state)
{
    (void)state;
    struct scheme_event odd = event;
    struct buf buf;
    odd.type = SLICE("a\"b\\c\n");
    odd.source = SLICE("");
    odd.version = SLICE_NULL;
    odd.data = SLICE("1.10E+2");
    buf_init(&buf, 1000);
    struct slice body = scheme_body(scheme_of("event"), &odd, &buf);
    assert_true(slice_eq(
        body, SLICE("{\"id\":\"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W\",\"type\":\"a\\\"b\\\\c\\n\","
                    "\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"data\":1.10E+2,"
                    "\"version\":null,\"source\":\"\"}")));
    buf_free(&buf);
}

/* A type with a line break cannot make a header of its own. */
static void test_header_injection(void **state)
{
    (void)state;
    static const char *const secrets[] = {TEXT_SECRET, NULL};
    static const struct slice types[] = {
        {"a\r\nX-Admin: 1", 13}, {"a\nb", 3}, {"a\0b", 3}, {"a\x7f", 2}};
    struct signer_key *keys[1];
    const struct scheme *scheme = scheme_of("basic");
    keys_of(scheme, secrets, keys);
    for (size_t i = 0; i < COUNT(types); i++) {
        struct scheme_event odd = event;
        struct buf lines;
        size_t count;
        odd.type = types[i];
        buf_init(&lines, 1000);
        assert_int_equal(
            scheme_headers(scheme, &odd, SLICE("{}"), ATTEMPT_MS, keys, 1, &lines, &count),
            ST_RANGE);
        buf_free(&lines);
    }
    keys_free(keys, 1);
}

/* Nor can any other control character, wherever it is; all else may be in a header. */
static void test_header_bytes(void **state)
{
    (void)state;
    static const char *const secrets[] = {TEXT_SECRET, NULL};
    struct signer_key *keys[1];
    const struct scheme *scheme = scheme_of("basic");
    struct buf lines;
    keys_of(scheme, secrets, keys);
    buf_init(&lines, 1000);
    for (int byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < 20; at++) {
            char type[20];
            struct scheme_event odd = event;
            size_t count;
            memset(type, '~', sizeof(type));
            type[at] = (char)byte;
            odd.type = slice_of(type, sizeof(type));
            buf_clear(&lines);
            assert_int_equal(
                scheme_headers(scheme, &odd, SLICE("{}"), ATTEMPT_MS, keys, 1, &lines, &count),
                byte < 0x20 || byte == 0x7f ? ST_RANGE : ST_OK);
        }
    buf_free(&lines);
    keys_free(keys, 1);
}

/* What scheme_headers refuses: no key, keys that the scheme has no use for, no room. */
static void test_headers_failures(void **state)
{
    (void)state;
    struct signer_key *sha1;
    struct signer_key *public;
    struct signer_key *good;
    struct buf lines;
    size_t count;
    const struct scheme *scheme = scheme_of("standard");
    assert_int_equal(signer_key_new(SIGN_HMAC_SHA1, SLICE("key"), &sha1), ST_OK);
    assert_int_equal(scheme_verify_key(scheme, SLICE(PUBLIC), &public, NULL), ST_OK);
    assert_int_equal(scheme_secret_key(scheme, SLICE(SECRET), &good, NULL), ST_OK);
    buf_init(&lines, 100);
    assert_int_equal(scheme_headers(scheme, &event, SLICE(""), 1, NULL, 0, &lines, &count),
                     ST_RANGE);
    buf_clear(&lines);
    assert_int_equal(scheme_headers(scheme, &event, SLICE(""), 1, &sha1, 1, &lines, &count),
                     ST_UNSUPPORTED);
    buf_clear(&lines);
    assert_int_equal(scheme_headers(scheme, &event, SLICE(""), 1, &public, 1, &lines, &count),
                     ST_UNSUPPORTED);
    buf_clear(&lines);
    assert_int_equal(scheme_headers(scheme, &event, SLICE(""), 1, &good, 1, &lines, &count),
                     ST_LIMIT);
    buf_free(&lines);
    signer_key_free(sha1);
    signer_key_free(public);
    signer_key_free(good);
}

static void test_owned_headers(void **state)
{
    (void)state;
    assert_true(scheme_owns_header(scheme_of("standard"), SLICE("Webhook-ID")));
    assert_true(scheme_owns_header(scheme_of("event"), SLICE("x-webhook-signature-256")));
    assert_false(scheme_owns_header(scheme_of("event"), SLICE("x-webhook-signature")));
    assert_false(scheme_owns_header(scheme_of("basic"), SLICE("")));
}

/* ---- Verifying ------------------------------------------------------------------------------- */

/* Each covered byte, changed, makes the request fail; so does any byte of the signature. */
static void test_every_covered_byte_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct signer_key *keys[3];
        struct arrived received;
        const struct scheme *scheme = scheme_of(forms[i].scheme);
        if (forms[i].secrets[1])
            continue; /* the other signature would still be good */
        keys_of(scheme, forms[i].secrets, keys);
        arrived_init(&received);
        deliver(scheme, &event, keys, 1, &received);
        for (size_t at = 0; at < received.body.len; at++) {
            received.body.ptr[at] ^= 1;
            assert_int_equal(judge(scheme, &received, keys, 1), VERIFY_BAD_SIGNATURE);
            received.body.ptr[at] ^= 1;
        }
        bool signs_headers = forms[i].scheme[0] == 's'; /* "standard" and "svix" sign all */
        char *line = received.lines.ptr;
        for (size_t k = 0; k < received.count; k++, line += strlen(line) + 1) {
            bool covered = signs_headers || strcasestr(line, "-signature");
            for (char *at = strchr(line, ':') + 2; covered && *at; at++) {
                *at ^= 1;
                assert_int_not_equal(judge(scheme, &received, keys, 1), VERIFY_OK);
                *at ^= 1;
            }
        }
        assert_int_equal(judge(scheme, &received, keys, 1), VERIFY_OK);
        /* A byte more or less. */
        received.body.len--;
        assert_int_equal(judge(scheme, &received, keys, 1), VERIFY_BAD_SIGNATURE);
        arrived_free(&received);
        keys_free(keys, 1);
    }
}

/* Rotation: the sender signs with old and new, a receiver with either verifies, one with another
 * does not; and a receiver with both takes a sender with one. */
static void test_rotation(void **state)
{
    (void)state;
    static const char *const secrets[] = {SECRET, OTHER, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                          NULL};
    struct signer_key *keys[3];
    struct arrived received;
    const struct scheme *scheme = scheme_of("standard");
    keys_of(scheme, secrets, keys);
    arrived_init(&received);
    deliver(scheme, &event, keys, 2, &received);
    assert_int_equal(judge(scheme, &received, keys, 1), VERIFY_OK);
    assert_int_equal(judge(scheme, &received, keys + 1, 1), VERIFY_OK);
    assert_int_equal(judge(scheme, &received, keys + 2, 1), VERIFY_BAD_SIGNATURE);
    assert_int_equal(judge(scheme, &received, keys, 0), VERIFY_BAD_SIGNATURE);
    buf_clear(&received.body);
    deliver(scheme, &event, keys + 1, 1, &received);
    assert_int_equal(judge(scheme, &received, keys, 2), VERIFY_OK);
    arrived_free(&received);
    keys_free(keys, 3);
}

/* A scheme without a list signs with the first key alone. */
static void test_rotation_without_a_list(void **state)
{
    (void)state;
    static const char *const secrets[] = {TEXT_SECRET, "another-secret", NULL};
    struct signer_key *keys[2];
    struct arrived received;
    const struct scheme *scheme = scheme_of("basic");
    keys_of(scheme, secrets, keys);
    arrived_init(&received);
    deliver(scheme, &event, keys, 2, &received);
    assert_int_equal(judge(scheme, &received, keys, 1), VERIFY_OK);
    assert_int_equal(judge(scheme, &received, keys + 1, 1), VERIFY_BAD_SIGNATURE);
    assert_int_equal(judge(scheme, &received, keys, 2), VERIFY_OK);
    arrived_free(&received);
    keys_free(keys, 2);
}

/* 300 seconds to either side are good, 301 are not, in whole seconds as the reference libraries
 * count; where the time is not signed it is not looked at. */
static void test_tolerance(void **state)
{
    (void)state;
    static const struct {
        const char *scheme;
        const char *secrets[2];
        int64_t offset_ms;
        enum scheme_verdict verdict;
    } table[] = {
        {"standard", {SECRET}, 300 * 1000, VERIFY_OK},
        {"standard", {SECRET}, 300 * 1000 + 109, VERIFY_OK}, /* the attempt was at .890 */
        {"standard", {SECRET}, 300 * 1000 + 110, VERIFY_TOO_OLD},
        {"standard", {SECRET}, -300 * 1000, VERIFY_OK},
        {"standard", {SECRET}, -300 * 1000 - 890, VERIFY_OK},
        {"standard", {SECRET}, -300 * 1000 - 891, VERIFY_IN_FUTURE},
        {"svix", {SECRET}, 301 * 1000, VERIFY_TOO_OLD},
        {"event", {HEX_SECRET}, 3600 * 1000, VERIFY_OK},
        {"guide", {TEXT_SECRET}, -3600 * 1000, VERIFY_OK},
        {"basic", {TEXT_SECRET}, 3600 * 1000, VERIFY_OK},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct signer_key *keys[1];
        struct arrived received;
        const struct scheme *scheme = scheme_of(table[i].scheme);
        keys_of(scheme, table[i].secrets, keys);
        arrived_init(&received);
        deliver(scheme, &event, keys, 1, &received);
        uint64_t now_ms = ATTEMPT_MS + (uint64_t)table[i].offset_ms;
        assert_int_equal(judge_at(scheme, &received, keys, 1, now_ms), table[i].verdict);
        arrived_free(&received);
        keys_free(keys, 1);
    }
}

/* Headers by hand for the standard scheme; the id and time are those of the good delivery unless
 * given. NULL leaves a header out. */
static enum scheme_verdict judge_headers(const char *id, const char *timestamp,
                                         const char *signature, const char *body)
{
    static const char *const secrets[] = {SECRET, PUBLIC, NULL};
    static const char *const names[] = {"webhook-id", "webhook-timestamp", "webhook-signature"};
    const char *const values[] = {id, timestamp, signature};
    struct signer_key *keys[2];
    struct arrived received;
    const struct scheme *scheme = scheme_of("standard");
    keys_of(scheme, secrets, keys);
    arrived_init(&received);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (!values[i])
            continue;
        buf_addf(&received.lines, "%s: %s", names[i], values[i]);
        buf_add_char(&received.lines, '\0');
        received.count++;
    }
    buf_add_str(&received.body, body);
    enum scheme_verdict verdict = judge_at(scheme, &received, keys, 2, UINT64_C(1700000000) * 1000);
    arrived_free(&received);
    keys_free(keys, 2);
    return verdict;
}

#define EMPTY_SIGNATURE "v1,LrOGikvEp3ovC4ipwU5sfXzzFy9SMN1tDL3jPPGtLmc="

static void test_malformed_headers(void **state)
{
    (void)state;
    static const char good_id[] = "msg_empty";
    static const char good_time[] = "1700000000";
    static const struct {
        const char *id;
        const char *timestamp;
        const char *signature;
        enum scheme_verdict verdict;
    } table[] = {
        {good_id, good_time, EMPTY_SIGNATURE, VERIFY_OK},
        {NULL, good_time, EMPTY_SIGNATURE, VERIFY_MISSING_HEADER},
        {"", good_time, EMPTY_SIGNATURE, VERIFY_MISSING_HEADER},
        {good_id, NULL, EMPTY_SIGNATURE, VERIFY_MISSING_HEADER},
        {good_id, good_time, NULL, VERIFY_NO_SIGNATURE},
        {good_id, good_time, "", VERIFY_NO_SIGNATURE},
        /* The time is plain digits and nothing else. */
        {good_id, "1700000000abc", EMPTY_SIGNATURE, VERIFY_MALFORMED},
        {good_id, " 1700000000", EMPTY_SIGNATURE, VERIFY_MALFORMED},
        {good_id, "01700000000", EMPTY_SIGNATURE, VERIFY_MALFORMED},
        {good_id, "+1700000000", EMPTY_SIGNATURE, VERIFY_MALFORMED},
        {good_id, "-1", EMPTY_SIGNATURE, VERIFY_MALFORMED},
        {good_id, "1.7e9", EMPTY_SIGNATURE, VERIFY_MALFORMED},
        {good_id, "99999999999999999999999999", EMPTY_SIGNATURE, VERIFY_MALFORMED},
        /* Versions that nobody here knows are passed over. */
        {good_id, good_time, "v2,AAAA v0,zzz " EMPTY_SIGNATURE, VERIFY_OK},
        {good_id, good_time, "v2,AAAA", VERIFY_NO_SIGNATURE},
        {good_id, good_time, "LrOGikvEp3ovC4ipwU5sfXzzFy9SMN1tDL3jPPGtLmc=", VERIFY_NO_SIGNATURE},
        {good_id, good_time, "  " EMPTY_SIGNATURE "  ", VERIFY_OK},
        /* A wrong one beside the good one does no harm, and the other algorithm's prefix no good.
         */
        {good_id, good_time, "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= " EMPTY_SIGNATURE,
         VERIFY_OK},
        {good_id, good_time, "v1a,LrOGikvEp3ovC4ipwU5sfXzzFy9SMN1tDL3jPPGtLmc=", VERIFY_MALFORMED},
        /* Base64 is canonical or nothing. */
        {good_id, good_time, "v1,LrOGikvEp3ovC4ipwU5sfXzzFy9SMN1tDL3jPPGtLmc", VERIFY_MALFORMED},
        {good_id, good_time, "v1,LrOGikvEp3ovC4ipwU5sfXzzFy9SMN1tDL3jPPGtLmd=", VERIFY_MALFORMED},
        {good_id, good_time, "v1,LrOGikvEp3ovC4ipwU5sfXzzFy9SMN1tDL3jPPGtLmc==", VERIFY_MALFORMED},
        {good_id, good_time, "v1,", VERIFY_MALFORMED},
        {good_id, good_time, "v1,LrOG", VERIFY_MALFORMED},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        enum scheme_verdict verdict =
            judge_headers(table[i].id, table[i].timestamp, table[i].signature, "");
        if (verdict != table[i].verdict)
            fail_msg("line %zu: %s instead of %s", i, scheme_verdict_name(verdict),
                     scheme_verdict_name(table[i].verdict));
    }
}

/* Sixteen entries are looked at and no more. */
static void test_candidates_are_counted(void **state)
{
    (void)state;
    for (size_t before = 15; before <= 16; before++) {
        char list[2048] = "";
        for (size_t i = 0; i < before; i++)
            strcat(list, "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ");
        strcat(list, EMPTY_SIGNATURE);
        assert_int_equal(judge_headers("msg_empty", "1700000000", list, ""),
                         before < 16 ? VERIFY_OK : VERIFY_BAD_SIGNATURE);
    }
}

/* Hexadecimal signatures may be in capitals. */
static void test_hex_in_capitals(void **state)
{
    (void)state;
    static const char *const secrets[] = {TEXT_SECRET, NULL};
    struct signer_key *keys[1];
    struct arrived received;
    const struct scheme *scheme = scheme_of("basic");
    keys_of(scheme, secrets, keys);
    arrived_init(&received);
    deliver(scheme, &event, keys, 1, &received);
    char *digits = strstr(received.lines.ptr + strlen(received.lines.ptr) + 1, ": ") + 2;
    for (char *at = digits; *at; at++)
        if (*at >= 'a')
            *at -= 'a' - 'A';
    assert_int_equal(judge(scheme, &received, keys, 1), VERIFY_OK);
    arrived_free(&received);
    keys_free(keys, 1);
}

/* ---- Published vectors ----------------------------------------------------------------------- */

/* Verifies one vector, and that it does not when its body or its secret is another. `rename` turns
 * "webhook-" of the header names into the scheme's own. */
static void check_vector(json_t *vector, const char *scheme_name, const char *rename)
{
    const struct scheme *scheme = scheme_of(scheme_name);
    struct arrived received;
    const char *name;
    json_t *value;
    json_t *secret;
    size_t index;
    arrived_init(&received);
    buf_add_str(&received.body, json_string_value(json_object_get(vector, "body")));
    json_object_foreach(json_object_get(vector, "headers"), name, value)
    {
        buf_addf(&received.lines, "%s%s: %s", rename, strchr(name, '-'), json_string_value(value));
        buf_add_char(&received.lines, '\0');
        received.count++;
    }
    uint64_t now_ms = strtoull(json_string_value(json_object_get(json_object_get(vector, "headers"),
                                                                 "webhook-timestamp")),
                               NULL, 10) *
                      1000;
    json_array_foreach(json_object_get(vector, "secrets"), index, secret)
    {
        struct signer_key *key;
        struct slice text = slice_str(json_string_value(secret));
        assert_int_equal(scheme_verify_key(scheme, text, &key, NULL), ST_OK);
        assert_int_equal(judge_at(scheme, &received, &key, 1, now_ms), VERIFY_OK);
        assert_int_equal(judge_at(scheme, &received, &key, 1, now_ms + 301000), VERIFY_TOO_OLD);
        buf_add_char(&received.body, ' ');
        assert_int_equal(judge_at(scheme, &received, &key, 1, now_ms), VERIFY_BAD_SIGNATURE);
        received.body.len--;
        signer_key_free(key);
    }
    struct signer_key *stranger;
    assert_int_equal(signer_key_new(SIGN_HMAC_SHA256, SLICE("stranger"), &stranger), ST_OK);
    assert_int_equal(judge_at(scheme, &received, &stranger, 1, now_ms), VERIFY_BAD_SIGNATURE);
    signer_key_free(stranger);
    arrived_free(&received);
}

static void test_published_vectors(void **state)
{
    (void)state;
    FILE *file = fopen("tests/unit/data/standard_webhooks.jsonl", "r");
    assert_non_null(file);
    size_t count = 0;
    char line[4096];
    for (; fgets(line, sizeof(line), file); count++) {
        json_t *vector = json_loads(line, 0, NULL);
        assert_non_null(vector);
        check_vector(vector, "standard", "webhook");
        check_vector(vector, "svix", "svix"); /* the same but for the names */
        json_decref(vector);
    }
    fclose(file);
    assert_int_equal(count, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_forms),
        cmocka_unit_test(test_plain_body_is_not_copied),
        cmocka_unit_test(test_body_escapes),
        cmocka_unit_test(test_header_injection),
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_headers_failures),
        cmocka_unit_test(test_owned_headers),
        cmocka_unit_test(test_every_covered_byte_counts),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_rotation_without_a_list),
        cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_malformed_headers),
        cmocka_unit_test(test_candidates_are_counted),
        cmocka_unit_test(test_hex_in_capitals),
        cmocka_unit_test(test_published_vectors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
