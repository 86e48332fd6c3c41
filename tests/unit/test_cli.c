/* Tests of what the subcommands share: addresses, suggestions, options, and filled text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/address.h"
#include "app/cli.h"
#include "base/suggest.h"

/* The forms of an address, and near misses that a looser parser would take. */
static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host; /* NULL: refused */
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1", 8080},
        {"0.0.0.0:0", "0.0.0.0", 0},
        {":9000", "0.0.0.0", 9000},
        {"localhost:1", "127.0.0.1", 1},
        {"[::1]:65535", "::1", 65535},
        {"[::]:80", "::", 80},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:80",
         "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 80},
        {"", NULL, 0},
        {"8080", NULL, 0},
        {":", NULL, 0},
        {":65536", NULL, 0},
        {":100000", NULL, 0},
        {":-1", NULL, 0},
        {":+1", NULL, 0},
        {": 1", NULL, 0},
        {":80x", NULL, 0},
        {"127.0.0.1", NULL, 0},
        {"127.0.0.1:", NULL, 0},
        {"127.1:80", NULL, 0},
        {"example.com:80", NULL, 0},
        {"::1:80", NULL, 0},
        {"[::1]", NULL, 0},
        {"[::1]80", NULL, 0},
        {"[::1:80", NULL, 0},
        {"[]:80", NULL, 0},
        {"[127.0.0.1]:80", NULL, 0},
        {"[fe80::1%eth0]:80", NULL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address = {.host = "untouched", .port = 7};
        enum status status = address_parse(cases[i].text, &address);
        assert_int_equal(status, cases[i].host ? ST_OK : ST_SYNTAX);
        assert_string_equal(address.host, cases[i].host ? cases[i].host : "untouched");
        assert_int_equal(address.port, cases[i].host ? cases[i].port : 7);
    }
}

/* Slips of the finger are recognised, other words are left alone. */
static void suggestions(void **state)
{
    (void)state;
    static const char *const words[] = {"serve", "sink", "send", "check-config", "version"};
    static const struct {
        const char *typed, *meant;
    } cases[] = {
        {"srve", "serve"},
        {"serv", "serve"},
        {"server", "serve"},
        {"sedn", "send"},
        {"SEND", "send"},
        {"chekc-confg", "check-config"},
        {"verison", "version"},
        {"sing", "sink"},
        {"config", NULL},
        {"x", NULL},
        {"", NULL},
        {"deliver", NULL},
        {"a-word-that-is-much-longer-than-any-that-anybody-could-ever-mean-to-type", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct suggest suggest = {.word = cases[i].typed};
        for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++)
            suggest_add(&suggest, words[j]);
        if (cases[i].meant) {
            assert_non_null(suggest.best);
            assert_string_equal(suggest.best, cases[i].meant);
        } else {
            assert_null(suggest.best);
        }
    }
}

/* Options, values in both forms, words, and what "--" does. */
static void options_are_taken_in_order(void **state)
{
    (void)state;
    static const struct cli_option options[] = {{"name", "N", "."}, {"flag", NULL, "."}};
    char words[][16] = {"cmd", "word", "--name", "-v", "--name=--x", "-", "--flag", "--", "--flag"};
    char *argv[9];
    for (size_t i = 0; i < 9; i++)
        argv[i] = words[i];
    struct cli cli = {options, 2, 9, argv, 1, false};
    static const struct {
        int found;
        const char *value;
    } expected[] = {{CLI_WORD, "word"}, {0, "-v"}, {0, "--x"},
                    {CLI_WORD, "-"},    {1, NULL}, {CLI_WORD, "--flag"}};
    struct buf errors;
    const char *value;
    buf_init(&errors, 1024);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(cli_next(&cli, &value, &errors), expected[i].found);
        if (expected[i].value)
            assert_string_equal(value, expected[i].value);
    }
    assert_int_equal(cli_next(&cli, &value, &errors), CLI_END);
    assert_int_equal(errors.len, 0);
    assert_false(cli_wants_help(9, argv));
    buf_free(&errors);
}

/* Lines end before column 97 and begin as told; a word that is too long stands alone. */
static void text_is_filled(void **state)
{
    (void)state;
    char word[121];
    struct buf out, text;
    memset(word, 'w', 120);
    word[120] = '\0';
    buf_init(&out, 4096);
    buf_init(&text, 4096);
    for (size_t i = 0; i < 30; i++)
        buf_add_str(&text, "12345 ");
    buf_addf(&text, "%s  end", word);
    buf_add_char(&text, '\0');
    cli_add_filled(&out, "  # ", text.ptr);
    buf_add_char(&out, '\0');

    size_t lines = 0;
    for (const char *line = out.ptr; *line; lines++) {
        size_t len = strcspn(line, "\n");
        assert_memory_equal(line, "  # ", 4);
        assert_true(len <= 96 || len == 4 + 120);
        assert_int_not_equal(line[len - 1], ' ');
        line += len + 1;
    }
    assert_int_equal(lines, 4);
    assert_non_null(strstr(out.ptr, "\n  # end\n"));
    buf_free(&out);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(options_are_taken_in_order),
        cmocka_unit_test(text_is_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
