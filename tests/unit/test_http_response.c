/* test_http_response.c - what the parser of responses accepts and refuses, however they are cut.
 *
 * Every row is fed whole, byte by byte, and in two pieces at every place; all must give the same
 * result. Each piece lies in memory of just its size, so that valgrind and sanitizers see a byte
 * too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/rng.h"
#include "net/http_response.h"

#include "http_response_rows.h"

enum { BODY_MAX = 64 * 1024, HEADER_MAX = ROW_HEADER_BYTES_MAX };

/* The same one for all, so that what a response leaves behind would be seen by the next. */
static struct http_response response;

struct result {
    enum ending ending;
    int status;
    size_t behind;
    size_t body_len;
    char body[BODY_MAX];
};

/* Feeds one piece until it wants another or is finished. Returns how much it used. */
static size_t feed_piece(struct result *result, struct slice piece, enum http_response_step *step)
{
    char *exact = malloc(piece.len > 0 ? piece.len : 1);
    assert_non_null(exact);
    memcpy(exact, piece.ptr, piece.len);
    struct slice rest = slice_of(exact, piece.len);
    do {
        size_t used = SIZE_MAX;
        struct slice body;
        *step = http_response_feed(&response, rest, &used, &body);
        assert_true(used <= rest.len);
        assert_int_equal(body.len > 0, *step == HTTP_RESPONSE_BODY);
        if (body.len > 0) {
            assert_true(body.ptr >= rest.ptr && body.ptr + body.len == rest.ptr + used);
            assert_true(result->body_len + body.len <= sizeof(result->body));
            memcpy(result->body + result->body_len, body.ptr, body.len);
            result->body_len += body.len;
        }
        rest = slice_from(rest, used);
    } while (*step == HTTP_RESPONSE_BODY);
    if (*step == HTTP_RESPONSE_MORE)
        assert_int_equal(rest.len, 0);
    if (*step == HTTP_RESPONSE_DONE && rest.len > 0)
        assert_false(response.keep_alive);
    free(exact);
    return piece.len - rest.len;
}

static enum ending ending_of(enum http_response_step step, size_t behind)
{
    switch (step) {
    case HTTP_RESPONSE_DONE:
        /* What was not fed any more: the caller would find it there later. */
        return response.keep_alive && behind == 0 ? IS_KEPT : IS_LAST;
    case HTTP_RESPONSE_FAULT:
        return IS_FAULT;
    case HTTP_RESPONSE_TOO_LARGE:
        return IS_LARGE;
    case HTTP_RESPONSE_MORE:
    case HTTP_RESPONSE_BODY:
        break;
    }
    step = http_response_eof(&response);
    assert_true(step == HTTP_RESPONSE_DONE || step == HTTP_RESPONSE_FAULT);
    assert_false(step == HTTP_RESPONSE_DONE && response.keep_alive);
    return step == HTTP_RESPONSE_DONE ? IS_TO_EOF : IS_CUT;
}

/* Feeds text in pieces: [0, cut), [cut, len), or byte by byte when cut is SIZE_MAX. */
static const struct result *feed(struct slice text, size_t cut, size_t header_bytes_max)
{
    static struct result result;
    enum http_response_step step = HTTP_RESPONSE_MORE;
    size_t at = 0;
    result.body_len = 0;
    http_response_begin(&response, header_bytes_max);
    assert_false(response.begun);
    while (at < text.len && step == HTTP_RESPONSE_MORE) {
        size_t piece = cut == SIZE_MAX ? 1 : at < cut && cut < text.len ? cut - at : text.len - at;
        if (cut == SIZE_MAX) { /* nothing at all changes nothing */
            feed_piece(&result, slice_of(text.ptr, 0), &step);
            assert_int_equal(step, HTTP_RESPONSE_MORE);
        }
        at += feed_piece(&result, slice_of(text.ptr + at, piece), &step);
    }
    result.behind = text.len - at;
    result.ending = ending_of(step, result.behind);
    result.status = response.status_code;
    assert_int_equal(response.begun, text.len > 0);
    assert_int_equal(response.header_complete, response.status_code != 0);
    assert_int_equal(response.body_bytes, result.body_len);
    assert_true(response.header_bytes <= header_bytes_max);
    bool faulty = result.ending == IS_FAULT || result.ending == IS_LARGE || result.ending == IS_CUT;
    assert_int_equal(response.fault != NULL, faulty);
    return &result;
}

static bool as_expected(const struct row *row, const struct result *result)
{
    if (result->ending != row->ending)
        return false;
    if (row->ending == IS_LARGE)
        return true;
    if (row->ending == IS_FAULT)
        return strstr(response.fault, row->text) != NULL;
    return result->status == row->status && result->behind == row->behind &&
           slice_eq(slice_of(result->body, result->body_len), slice_str(row->text));
}

static void check_row(const struct row *row, size_t cut, const char **fault)
{
    const struct result *result = feed(row->bytes, cut, HEADER_MAX);
    if (!as_expected(row, result))
        fail_msg("cut at %zd: ending %d, status %d, body \"%.*s\", %zu behind, %s:\n%.*s",
                 (ssize_t)cut, (int)result->ending, result->status, (int)result->body_len,
                 result->body, result->behind, response.fault ? response.fault : "no fault",
                 SLICE_ARGS(row->bytes));
    if (*fault && strcmp(*fault, response.fault ? response.fault : "") != 0)
        fail_msg("cut at %zd: \"%s\" instead of \"%s\":\n%.*s", (ssize_t)cut, response.fault,
                 *fault, SLICE_ARGS(row->bytes));
    *fault = response.fault ? response.fault : "";
}

static void check_rows(const struct row *rows, size_t count)
{
    for (const struct row *row = rows; row < rows + count; row++) {
        const char *fault = NULL;
        check_row(row, row->bytes.len, &fault);
        check_row(row, SIZE_MAX, &fault);
        for (size_t cut = 0; cut < row->bytes.len; cut++)
            check_row(row, cut, &fault);
    }
}

/* The grammar: every row has its result, and the same one for every way to cut it. */
static void test_grammar(void **state)
{
    (void)state;
    check_rows(grammar_rows, sizeof(grammar_rows) / sizeof(grammar_rows[0]));
}

/* The same for what real servers send. */
static void test_real_servers(void **state)
{
    (void)state;
    check_rows(real_rows, sizeof(real_rows) / sizeof(real_rows[0]));
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* before, repeated * count, after */
static struct slice repeated(const char *before, const char *again, size_t count, const char *after)
{
    static char text[128 * 1024];
    size_t len = strlen(before), again_len = strlen(again), after_len = strlen(after);
    assert_true(len + again_len * count + after_len <= sizeof(text));
    memcpy(text, before, len);
    for (size_t i = 0; i < count; i++, len += again_len)
        memcpy(text + len, again, again_len);
    memcpy(text + len, after, after_len);
    return slice_of(text, len + after_len);
}

/* Header lines and trailers are bounded together, 1xx and extensions by themselves; whole and in
 * pieces alike. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *before, *again;
        size_t count;
        const char *after;
        enum ending ending;
    } cases[] = {
        /* 17 bytes status line, 4 + n a field, 2 the end; 900 in all */
        {S "A:", "b", HEADER_MAX - 23, "\r\n\r\n", IS_TO_EOF},
        {S "A:", "b", HEADER_MAX - 22, "\r\n\r\n", IS_LARGE},
        {S "A:", "b", 100000, "", IS_LARGE},
        {S "A:", "b", HEADER_MAX - 19, "", IS_CUT},
        {S "A:", "b", HEADER_MAX - 18, "", IS_LARGE},
        {S "A:\x01", "b", 100000, "", IS_LARGE}, /* no verdict on a line that is not there */
        {S, "A: b\r\n", 1000, "\r\n", IS_LARGE},
        {"HTTP/1.1 200 ", "x", 100000, "", IS_LARGE},
        {"", "x", 100000, "", IS_FAULT}, /* at the first byte */
        {"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 ", "x", HEADER_MAX, "", IS_LARGE},
        {"HTTP/1.1 100 C\r\nA:", "x", 870, "\r\n\r\nHTTP/1.1 200 ", IS_LARGE},
        {"HTTP/1.1 100 C\r\nA:", "x", 874, "\r\n\r\nHTTx", IS_FAULT},
        {"HTTP/1.1 100 C\r\nA:", "x", 876, "\r\n\r\nHTTx", IS_LARGE},
        /* the trailer: CH is 47 bytes, of the trailer LFs are not counted */
        {CH "0\r\nA:", "b", HEADER_MAX - 51, "\r\n\r\n", IS_KEPT},
        {CH "0\r\nA:", "b", HEADER_MAX - 50, "\r\n\r\n", IS_LARGE},
        {CH "0\r\n", "A: b\r\n", 1000, "", IS_LARGE},
        {CH, "2\r\nok\r\n", 5000, "0\r\n\r\n", IS_KEPT},
        {CH "2;", "x", LIMIT_HTTP_EXTENSION_BYTES - 1, "\r\nok\r\n0\r\n\r\n", IS_KEPT},
        {CH "2;", "x", LIMIT_HTTP_EXTENSION_BYTES, "\r\nok\r\n0\r\n\r\n", IS_FAULT},
        {CH, "2;x\r\nok\r\n", LIMIT_HTTP_EXTENSION_BYTES, "0\r\n\r\n", IS_FAULT},
        {CH "2", " ", LIMIT_HTTP_EXTENSION_BYTES, "\r\nok\r\n0\r\n\r\n", IS_LAST},
        {CH "2", " ", LIMIT_HTTP_EXTENSION_BYTES + 1, "\r\nok\r\n0\r\n\r\n", IS_FAULT},
        {"", "HTTP/1.1 102 P\r\n\r\n", LIMIT_RESPONSE_PROVISIONAL, S OK2, IS_KEPT},
        {"", "HTTP/1.1 102 P\r\n\r\n", LIMIT_RESPONSE_PROVISIONAL + 1, S OK2, IS_FAULT},
        {S "Content-Length: 50000\r\n\r\n", "x", 50000, "", IS_KEPT},
        {S "\r\n", "x", 50000, "", IS_TO_EOF},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice text =
            repeated(cases[i].before, cases[i].again, cases[i].count, cases[i].after);
        for (int whole = 0; whole < 2; whole++) {
            const struct result *result = feed(text, whole ? text.len : SIZE_MAX, HEADER_MAX);
            if (result->ending != cases[i].ending)
                fail_msg("case %zu, whole %d: %d instead of %d (%s)", i, whole, (int)result->ending,
                         (int)cases[i].ending, response.fault ? response.fault : "no fault");
        }
    }
}

/* A line that is cut keeps its meaning at any length around that of the buffer it is kept in. */
static void test_lines_around_the_buffer(void **state)
{
    (void)state;
    for (size_t count = HTTP_RESPONSE_LINE_BYTES - 24; count < HTTP_RESPONSE_LINE_BYTES; count++) {
        struct slice text = repeated(S "Content-Length:", " ", count, "2\r\n\r\nok");
        bool fits = strlen("Content-Length:") + count + 1 <= HTTP_RESPONSE_LINE_BYTES;
        for (size_t cut = 0; cut <= text.len; cut++) {
            const struct result *result = feed(text, cut, HEADER_MAX);
            assert_int_equal(result->ending, fits ? IS_KEPT : IS_FAULT);
        }
    }
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Retry-After in its forms comes out as it was sent, of the final response only, and the last. */
static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *value;
    } cases[] = {
        {"", ""},
        {"Retry-After: 120\r\n", "120"},
        {"retry-after:0\r\n", "0"},
        {"RETRY-AFTER: \t 1.5 \t\r\n", "1.5"},
        {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", "Fri, 31 Dec 1999 23:59:59 GMT"},
        {"Retry-After: Friday, 31-Dec-99 23:59:59 GMT\r\n", "Friday, 31-Dec-99 23:59:59 GMT"},
        {"Retry-After: Fri Dec 31 23:59:59 1999\r\n", "Fri Dec 31 23:59:59 1999"},
        {"Retry-After: soon\r\n", "soon"}, /* whoever reads it knows better */
        {"Retry-After:\r\n", ""},
        {"Retry-After: 1\r\nRetry-After: 2\r\n", "2"},
        {"Retry-After: 1\r\nRetry-After:\r\n", ""},
        {"Retry-After: 1\r\n 2\r\n", ""}, /* folded: what is meant is not known */
        {"Retry-After: 1\r\nA: b\r\n c\r\n", "1"},
        {"Retry-After : 1\r\n", ""},
        {"Retry-Afters: 1\r\n", ""},
        {"Retry-After: " X10("123456") "1234\r\n", X10("123456") "1234"},
        {"Retry-After: " X10("123456") "12345\r\n", ""},
        {"Retry-After: 1\r\nRetry-After: " V256 "\r\n", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice text = repeated("HTTP/1.1 103 E\r\nRetry-After: 9\r\n\r\n"
                                     "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n",
                                     cases[i].header, 1, "\r\n");
        for (size_t cut = 0; cut <= text.len + 1; cut++) {
            feed(text, cut <= text.len ? cut : SIZE_MAX, HEADER_MAX);
            assert_int_equal(response.status_code, 503);
            if (!slice_eq(response.retry_after, slice_str(cases[i].value)))
                fail_msg("%s: \"%.*s\"", cases[i].header, SLICE_ARGS(response.retry_after));
        }
    }
}

/* What counts as header, and what as body. */
static void test_counts(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        size_t header_bytes, body_bytes;
    } cases[] = {
        {{S OK2, sizeof(S OK2) - 1}, sizeof(S OK2) - 3, 2},
        {{"HTTP/1.1 100 C\r\n\r\n" S OK2, sizeof(S OK2) + 17}, sizeof(S OK2) + 15, 2},
        {{CH "2\r\nok\r\n0\r\nA: b\r\n\r\n", sizeof(CH) + 17}, sizeof(CH) - 1 + 6, 2},
        {{S "\r\nok", sizeof(S) + 3}, sizeof(S) + 1, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t cut = 0; cut < cases[i].text.len; cut++) {
            feed(cases[i].text, cut, HEADER_MAX);
            assert_true(response.header_complete);
            assert_int_equal(response.header_bytes, cases[i].header_bytes);
            assert_int_equal(response.body_bytes, cases[i].body_bytes);
        }
    }
}

/* A fault in the body does not undo what the header said. */
static void test_fault_behind_the_header(void **state)
{
    (void)state;
    struct slice text = SLICE("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n2\r\nokx");
    assert_int_equal(feed(text, SIZE_MAX, HEADER_MAX)->ending, IS_FAULT);
    assert_true(response.header_complete);
    assert_int_equal(response.status_code, 503);
    assert_int_equal(response.body_bytes, 2);
    assert_true(slice_eq(response.retry_after, SLICE("7")));
}

/* A body of a given length comes where it lies, in the pieces it comes in. */
static void test_body_is_not_copied(void **state)
{
    (void)state;
    static const char bytes[] = S "Content-Length: 5\r\n\r\nhello";
    struct slice in = slice_of(bytes, sizeof(bytes) - 3), body; /* all but "lo" */
    size_t used;
    http_response_begin(&response, HEADER_MAX);
    assert_int_equal(http_response_feed(&response, in, &used, &body), HTTP_RESPONSE_BODY);
    assert_ptr_equal(body.ptr, bytes + sizeof(bytes) - 6);
    assert_int_equal(body.len, 3);
    assert_int_equal(used, in.len);
    in = slice_of(bytes + sizeof(bytes) - 3, 2);
    assert_int_equal(http_response_feed(&response, in, &used, &body), HTTP_RESPONSE_BODY);
    assert_ptr_equal(body.ptr, in.ptr);
    assert_int_equal(used, 2);
    in = slice_from(in, 2);
    assert_int_equal(http_response_feed(&response, in, &used, &body), HTTP_RESPONSE_DONE);
    assert_true(response.keep_alive);
}

/* Where a connection ends is told apart. */
static void test_ends_of_the_connection(void **state)
{
    (void)state;
    static const struct row cases[] = {
        CUT("", 0, "before a response"),
        CUT("H", 0, "inside the response's header"),
        CUT(S LENGTH_2, 0, "inside the response's header"),
        CUT("HTTP/1.1 100 C\r\n\r\n", 0, "inside the response's header"),
        CUT(S LENGTH_2 "\r\no", 200, "inside the response's body"),
        CUT(CH "2\r\nok\r\n0\r\n", 200, "inside the response's body"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(feed(cases[i].bytes, SIZE_MAX, HEADER_MAX)->ending, IS_CUT);
        assert_non_null(strstr(response.fault, cases[i].text));
    }
}

/* Each byte of a header line is judged as the RFC's classes say, wherever it is in the line: the
 * test of eight bytes at a time agrees with that of one. */
static void test_every_byte_at_every_place(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool good = c == '\t' || (c >= 0x20 && c != 0x7f);
        for (size_t at = 0; at < 20 && c != '\n'; at++) {
            char text[] = S "A:aaaaaaaaaaaaaaaaaaaa\xff\r\nContent-Length: 0\r\n\r\n";
            text[sizeof(S "A:") - 1 + at] = (char)c;
            const struct result *result =
                feed(slice_of(text, sizeof(text) - 1), sizeof(text) / 2, HEADER_MAX);
            assert_int_equal(result->ending, good ? IS_KEPT : IS_FAULT);
        }
    }
}

/* Rows with a byte changed, cut at two places, end as they do whole. */
static void test_changed_rows(void **state)
{
    (void)state;
    enum { ROWS = sizeof(grammar_rows) / sizeof(grammar_rows[0]), ROUNDS = 20000 };
    static const char bytes[] = {'\r', '\n', ' ', '\t', ':', ',', ';', '0', '2', '9', 'a', 1, -1};
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < ROUNDS; round++) {
        char text[1024];
        struct slice from = grammar_rows[rng_below(&rng, ROWS)].bytes;
        if (from.len == 0)
            continue;
        memcpy(text, from.ptr, from.len);
        text[rng_below(&rng, from.len)] = bytes[rng_below(&rng, sizeof(bytes))];
        struct slice changed = slice_of(text, from.len);
        const struct result *result = feed(changed, from.len, HEADER_MAX);
        char body[1024];
        snprintf(body, sizeof(body), "%.*s", (int)result->body_len, result->body);
        if (strlen(body) < result->body_len)
            continue; /* a row's text cannot have a NUL in it */
        const char *fault = response.fault ? response.fault : "";
        const struct row row = {changed, result->ending, result->status,
                                result->ending == IS_FAULT ? fault : body, result->behind};
        check_row(&row, SIZE_MAX, &fault);
        check_row(&row, rng_below(&rng, from.len), &fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_real_servers),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lines_around_the_buffer),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_fault_behind_the_header),
        cmocka_unit_test(test_body_is_not_copied),
        cmocka_unit_test(test_ends_of_the_connection),
        cmocka_unit_test(test_every_byte_at_every_place),
        cmocka_unit_test(test_changed_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
