/* test_scheme_file.c - descriptions of schemes: what they can say, and how errors are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "wire/scheme.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A whole description in one line each, so that a case can replace a line. */
#define NAME       "name: acme\n"
#define HEADERS    "headers: [{name: Acme-Sig, value: '{signature}'}]\n"
#define SIGNED     "signed: '{body}'\n"
#define ENCODING   "encoding: hex\n"
#define SIGNATURES "signatures: [{algorithm: hmac-sha256, key: {format: raw}}]\n"
#define BODY       "body: '{data}'\n"

/* ---- A folder of its own for each test ------------------------------------------------------ */

struct fixture {
    char dir[64];
    struct scheme_set *set;
    size_t built_in;
    char error[320];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    if (!fixture)
        return -1;
    *state = fixture;
    strcpy(fixture->dir, "/tmp/test_scheme_file.XXXXXX");
    fixture->set = scheme_set_new();
    fixture->built_in = fixture->set ? scheme_count(fixture->set) : 0;
    return mkdtemp(fixture->dir) && fixture->set ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", fixture->dir);
    int result = system(command);
    scheme_set_free(fixture->set);
    free(fixture);
    return result;
}

static void write_file(struct fixture *fixture, const char *name, struct slice text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
}

static enum status load(struct fixture *fixture)
{
    return scheme_set_load_dir(fixture->set, fixture->dir, fixture->error, sizeof(fixture->error));
}

/* ---- Good ones ------------------------------------------------------------------------------- */

/* The example of conf/schemes/README.md: time and signatures in one header. */
static void test_user_scheme(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "acme.yaml",
               SLICE("# a comment\n"
                     "name: acme\n"
                     "headers:\n"
                     "  - {name: Acme-Signature, value: \"t={timestamp},{signature}\"}\n"
                     "  - {name: Acme-Version, value: \"{version}\"}\n"
                     "  - {name: Acme-Time, value: \"at {event_timestamp}\"}\n"
                     "signed: \"{timestamp}.{body}\"\n"
                     "tolerance: 1m\n"
                     "encoding: hex\n"
                     "separator: \",\"\n"
                     "signatures:\n"
                     "  - algorithm: hmac-sha512\n"
                     "    prefix: \"v1=\"\n"
                     "    key: {format: raw}\n"
                     "body: |-\n"
                     "  {\"a\":{type},\"b\":{{data}}}\n"));
    assert_int_equal(load(fixture), ST_OK);
    assert_int_equal(scheme_count(fixture->set), fixture->built_in + 1);
    const struct scheme *scheme = scheme_find(fixture->set, SLICE("acme"));
    assert_non_null(scheme);
    assert_string_equal(scheme_name(scheme), "acme");
    assert_string_equal(scheme_description(scheme), "");

    const struct scheme_event event = {
        .id = SLICE("msg_1"), .type = SLICE("t"), .timestamp_ms = 1000, .data = SLICE("\"d\":1")};
    struct signer_key *keys[2];
    struct buf buf;
    struct buf lines;
    size_t count;
    buf_init(&buf, 1000);
    buf_init(&lines, 1000);
    assert_int_equal(scheme_secret_key(scheme, SLICE("sixteen bytes or"), &keys[0], NULL), ST_OK);
    assert_int_equal(scheme_secret_key(scheme, SLICE("more than sixteen"), &keys[1], NULL), ST_OK);
    struct slice body = scheme_body(scheme, &event, &buf);
    assert_true(slice_eq(body, SLICE("{\"a\":\"t\",\"b\":{\"d\":1}}")));
    assert_int_equal(scheme_headers(scheme, &event, body, 5000, keys, 2, &lines, &count), ST_OK);
    /* The event has no version, so that header is not sent. */
    assert_int_equal(count, 2);
    struct slice line = slice_str(lines.ptr);
    assert_true(slice_starts(line, SLICE("Acme-Signature: t=5,v1=")));
    assert_int_equal(line.len, strlen("Acme-Signature: t=5") + 2 * (4 + 128));
    assert_string_equal(lines.ptr + line.len + 1, "Acme-Time: at 1970-01-01T00:00:01.000Z");

    struct slice value = slice_from(line, strlen("Acme-Signature: "));
    struct received_header header = {SLICE("acme-signature"), value};
    struct received request = {
        .headers = &header, .header_count = 1, .body = body, .now_ms = 65000};
    assert_int_equal(scheme_verify(scheme, &request, keys + 1, 1, NULL), VERIFY_OK);
    request.now_ms = 66000;
    assert_int_equal(scheme_verify(scheme, &request, keys, 1, NULL), VERIFY_TOO_OLD);
    header.value = slice_from(value, 2);
    assert_int_equal(scheme_verify(scheme, &request, keys, 1, NULL), VERIFY_MALFORMED);
    buf_free(&buf);
    buf_free(&lines);
    signer_key_free(keys[0]);
    signer_key_free(keys[1]);
}

/* Files are read in the order of their names; the later one of a name wins, and other files in the
 * folder are left alone. */
static void test_replaces_by_name(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "1.yaml",
               SLICE("description: first\n" NAME HEADERS SIGNED ENCODING SIGNATURES BODY));
    write_file(fixture, "2.yaml",
               SLICE("description: second\n" NAME HEADERS SIGNED ENCODING SIGNATURES BODY));
    write_file(fixture, "3.yaml", SLICE("name: svix\n" HEADERS SIGNED ENCODING SIGNATURES BODY));
    write_file(fixture, "notes.txt", SLICE("]"));
    write_file(fixture, ".hidden.yaml", SLICE("]"));
    assert_int_equal(load(fixture), ST_OK);
    assert_int_equal(scheme_count(fixture->set), fixture->built_in + 1);
    const struct scheme *scheme = scheme_find(fixture->set, SLICE("acme"));
    assert_string_equal(scheme_description(scheme), "second");
    scheme = scheme_find(fixture->set, SLICE("svix"));
    assert_true(scheme_owns_header(scheme, SLICE("acme-sig")));
    assert_false(scheme_owns_header(scheme, SLICE("svix-id")));
    assert_null(scheme_find(fixture->set, SLICE("nobody")));
}

/* One wrong file and nothing of the folder is taken. */
static void test_all_or_nothing(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture, "1.yaml", SLICE(NAME HEADERS SIGNED ENCODING SIGNATURES BODY));
    write_file(fixture, "2.yaml", SLICE("name: svix\n" HEADERS));
    assert_int_equal(load(fixture), ST_SYNTAX);
    assert_int_equal(scheme_count(fixture->set), fixture->built_in);
    assert_true(scheme_owns_header(scheme_find(fixture->set, SLICE("svix")), SLICE("svix-id")));
}

static void test_too_many(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < LIMIT_SCHEMES - fixture->built_in + 1; i++) {
        char name[32];
        char text[512];
        snprintf(name, sizeof(name), "%03zu.yaml", i);
        int len = snprintf(text, sizeof(text), "name: s%zu\n%s", i,
                           HEADERS SIGNED ENCODING SIGNATURES BODY);
        write_file(fixture, name, slice_of(text, (size_t)len));
    }
    assert_int_equal(load(fixture), ST_LIMIT);
    assert_int_equal(scheme_count(fixture->set), fixture->built_in);
    assert_non_null(strstr(fixture->error, "a limit was reached"));
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* Each says the file, the line and what is wrong. */
static void test_errors(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text;
        const char *error; /* behind the folder's name */
    } table[] = {
        {"", "x.yaml:1: the file is empty"},
        {"- a\n", "x.yaml:1: a mapping is expected"},
        {"name: [\n", "x.yaml:2: did not find expected node content"},
        {NAME "---\n" NAME, "x.yaml:2: only one document is expected"},
        {"\n" NAME, "x.yaml:2: \"signatures\" is missing"},
        {NAME "colour: red\n", "x.yaml:2: unknown key \"colour\""},
        {NAME "? [a]\n: b\n", "x.yaml:2: unknown key \"\""},
        {NAME NAME, "x.yaml:2: \"name\" is here twice"},
        {"name: Acme\n", "x.yaml:1: a name of 1 to 64 of a-z, 0-9, _ and - is expected"},
        {"name: {}\n", "x.yaml:1: a name of 1 to 64 of a-z, 0-9, _ and - is expected"},
        {NAME "description: \"a\\nb\"\n", "x.yaml:2: a control character in a string"},
        {NAME "description: \"a\\0b\"\n", "x.yaml:2: a string cannot hold a NUL"},
        {NAME "description: []\n", "x.yaml:2: a string is expected"},
        {"headers: yes\n", "x.yaml:1: a list of headers is expected"},
        {"headers:\n  - name: a\n    valeu: b\n", "x.yaml:3: unknown key \"valeu\""},
        {"headers:\n  - name: a\n", "x.yaml:2: \"value\" is missing"},
        {"headers:\n  - {name: 'a b', value: ''}\n", "x.yaml:2: this cannot be a header's name"},
        {"headers:\n  - {name: \"a\\0\", value: ''}\n", "x.yaml:2: this cannot be a header's name"},
        {"headers:\n  - {name: '', value: ''}\n", "x.yaml:2: a header's name is expected"},
        {"headers:\n  - {name: a, value: ''}\n  - {name: A, value: ''}\n",
         "x.yaml:3: this header is described twice"},
        {"headers:\n  - name: a\n    value: '{colour}'\n",
         "x.yaml:3: there is no such placeholder: {colour}"},
        {"headers:\n  - name: a\n    value: '{body}'\n",
         "x.yaml:3: this placeholder cannot be used here: {body}"},
        {"headers:\n  - name: a\n    value: '{id}{type}'\n",
         "x.yaml:3: placeholders side by side or repeated: a receiver could not tell them apart"},
        {"headers:\n  - name: a\n    value: '{id}.{id}'\n",
         "x.yaml:3: placeholders side by side or repeated: a receiver could not tell them apart"},
        {"timestamp: ns\n", "x.yaml:1: one of these is expected: s, ms, rfc3339, utc"},
        {"tolerance: 300\n", "x.yaml:1: a duration from 1s to 24h is expected"},
        {"tolerance: 25h\n", "x.yaml:1: a duration from 1s to 24h is expected"},
        {NAME "signed: '{id}'\n" HEADERS ENCODING SIGNATURES BODY,
         "x.yaml:2: the signed text must contain {body}"},
        {NAME "signed: '{body}{source}'\n" HEADERS ENCODING SIGNATURES BODY,
         "x.yaml:2: this placeholder cannot be used here: {source}"},
        {"encoding: raw\n", "x.yaml:1: one of these is expected: hex, base64, base64url"},
        {"separator: ''\n", "x.yaml:1: a separator cannot be empty"},
        {"signatures: []\n", "x.yaml:1: a list of signatures is expected"},
        {"signatures:\n  - algorithm: md5\n",
         "x.yaml:2: one of these is expected: hmac-sha1, hmac-sha256, hmac-sha512, ed25519, "
         "ecdsa-p256-sha256, rsa-sha256, token, basic, none"},
        {NAME HEADERS SIGNED ENCODING BODY
         "signatures:\n  - {algorithm: ed25519, key: {format: raw}}\n",
         "x.yaml:7: an ed25519 key cannot be raw"},
        {NAME HEADERS SIGNED ENCODING BODY
         "signatures:\n  - {algorithm: hmac-sha1, key: {format: raw, prefix: p}}\n",
         "x.yaml:7: a raw key cannot have a prefix: it would be part of the key"},
        {NAME HEADERS SIGNED ENCODING BODY
         "signatures:\n  - {algorithm: hmac-sha1, key: {format: hex, public_prefix: p}}\n",
         "x.yaml:7: only ed25519 has public keys"},
        {NAME HEADERS SIGNED ENCODING BODY
         "signatures:\n  - {algorithm: ed25519, key: {format: hex, public_prefix: ''}}\n",
         "x.yaml:7: public and secret keys must differ in their prefix"},
        {"signatures:\n  - {algorithm: hmac-sha1, key: {format: raw}}\n"
         "  - {algorithm: hmac-sha1, key: {format: raw}}\n",
         "x.yaml:3: this algorithm is described twice"},
        {NAME HEADERS SIGNED ENCODING BODY
         "signatures:\n  - {algorithm: hmac-sha1, key: {format: raw}}\n"
         "  - {algorithm: hmac-sha256, key: {format: raw}}\n",
         "x.yaml:8: keys of two algorithms must differ in their prefix"},
        {"signatures:\n  - algorithm: hmac-sha1\n    key:\n      format: raw\n      min_bytes: 0\n",
         "x.yaml:5: a number from 1 to 1024 is expected"},
        {NAME HEADERS SIGNED ENCODING BODY
         "signatures:\n  - {algorithm: hmac-sha1, key: {format: hex, min_bytes: 33}}\n",
         "x.yaml:7: a generated key would have 32 bytes, but 33 to 256 are allowed"},
        {"body: '{}'\n", "x.yaml:1: the body must contain {data}"},
        {"body: '{\"t\":\"{type}\",\"d\":{data}}'\n",
         "x.yaml:1: placeholders are inserted as JSON and need no quotes around them"},
        {"body: '{data}{id}{id}{id}{id}{id}{id}{id}{id}{id}{id}{id}{id}{id}{id}{id}{id}'\n",
         "x.yaml:1: too many placeholders: {id}"},
        /* What concerns the whole is told at the line it is about. */
        {NAME "headers: []\n" SIGNED ENCODING SIGNATURES BODY,
         "x.yaml:2: exactly one header must contain {signature}"},
        {NAME "headers: [{name: a, value: '{signature}'}, {name: b, value: '{signature}'}]\n" SIGNED
             ENCODING SIGNATURES BODY,
         "x.yaml:2: exactly one header must contain {signature}"},
        {NAME HEADERS "signed: '{id}.{body}'\n" ENCODING SIGNATURES BODY,
         "x.yaml:3: the signed text uses a placeholder that no header carries"},
        /* And what cannot be told apart once it is written. */
        {NAME
         "headers: [{name: a, value: '{timestamp}1{signature}'}]\n" SIGNED ENCODING SIGNATURES BODY,
         "x.yaml:2: a receiver could not find the parts of these headers: a separator or the text "
         "between placeholders may also be part of a value"},
        {NAME HEADERS SIGNED ENCODING "separator: a\n" SIGNATURES BODY,
         "x.yaml:2: a receiver could not find the parts of these headers: a separator or the text "
         "between placeholders may also be part of a value"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char expected[320];
        write_file(fixture, "x.yaml", slice_str(table[i].text));
        assert_int_equal(load(fixture), ST_SYNTAX);
        snprintf(expected, sizeof(expected), "%s/%s", fixture->dir, table[i].error);
        assert_string_equal(fixture->error, expected);
    }
    assert_int_equal(scheme_count(fixture->set), fixture->built_in);
}

/* An alias multiplies a string: the room that a file's length gives is the limit. */
static void test_alias_bomb(void **state)
{
    struct fixture *fixture = *state;
    struct buf text;
    buf_init(&text, 100000);
    buf_add_str(&text, "headers:\n  - {name: h0, value: &a '");
    for (int i = 0; i < 4000; i++)
        buf_add_str(&text, "0123456789");
    buf_add_str(&text, "'}\n");
    for (int i = 1; i < 8; i++)
        buf_addf(&text, "  - {name: h%d, value: *a}\n", i);
    write_file(fixture, "x.yaml", buf_slice(&text));
    assert_int_equal(load(fixture), ST_SYNTAX);
    assert_non_null(strstr(fixture->error, "x.yaml:2: the strings are too long"));
    buf_free(&text);
}

static void test_unreadable(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(
        scheme_set_load_dir(fixture->set, "/nonexistent", fixture->error, sizeof(fixture->error)),
        ST_IO);
    assert_string_equal(fixture->error, "/nonexistent: No such file or directory");

    char path[128];
    snprintf(path, sizeof(path), "%s/broken.yaml", fixture->dir);
    assert_int_equal(symlink("/nonexistent", path), 0);
    assert_int_equal(load(fixture), ST_IO);
    assert_non_null(strstr(fixture->error, "broken.yaml: No such file or directory"));
}

/* A file may have 64 KiB and no more. */
static void test_file_size(void **state)
{
    struct fixture *fixture = *state;
    struct buf text;
    buf_init(&text, 100000);
    buf_add_str(&text, NAME HEADERS SIGNED ENCODING SIGNATURES BODY "#");
    while (text.len < 65536)
        buf_add_char(&text, 'x');
    write_file(fixture, "x.yaml", buf_slice(&text));
    assert_int_equal(load(fixture), ST_OK);
    buf_add_char(&text, 'x');
    write_file(fixture, "x.yaml", buf_slice(&text));
    assert_int_equal(load(fixture), ST_LIMIT);
    assert_non_null(strstr(fixture->error, "x.yaml:1: longer than 65536 bytes"));
    while (text.len < 90000)
        buf_add_char(&text, 'x');
    write_file(fixture, "x.yaml", buf_slice(&text));
    assert_int_equal(load(fixture), ST_LIMIT);
    assert_non_null(strstr(fixture->error, "x.yaml:1: longer than 65536 bytes"));
    buf_free(&text);
}

/* An error that does not fit is cut, never written beyond. */
static void test_small_error(void **state)
{
    struct fixture *fixture = *state;
    char error[40];
    write_file(fixture, "x.yaml", SLICE("colour: red\n"));
    for (size_t size = 0; size < sizeof(error); size++) {
        memset(error, '#', sizeof(error));
        assert_int_equal(scheme_set_load_dir(fixture->set, fixture->dir, error, size), ST_SYNTAX);
        for (size_t i = size; i < sizeof(error); i++)
            assert_int_equal(error[i], '#');
        assert_true(size == 0 || strlen(error) < size);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_user_scheme), TEST(test_replaces_by_name), TEST(test_all_or_nothing),
        TEST(test_too_many),    TEST(test_errors),           TEST(test_alias_bomb),
        TEST(test_unreadable),  TEST(test_file_size),        TEST(test_small_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
