/* version.c - trotline version: what runs here, for bug reports.
 *
 * The one file that includes the headers of all libraries, because only they know their versions.
 * Those are of the library loaded at run time, except hiredis, which tells them at compile time
 * only.
 */
#include <curl/curl.h>
#include <cyaml/cyaml.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <lz4.h>
#include <msgpack.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/commands.h"
#include "base/json_out.h"

#define TEXT_OF(number)       TEXT_OF_VALUE(number)
#define TEXT_OF_VALUE(number) #number
#define HIREDIS_VERSION       TEXT_OF(HIREDIS_MAJOR) "." TEXT_OF(HIREDIS_MINOR) "." TEXT_OF(HIREDIS_PATCH)

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct cli_option options[] = {
    {"json", NULL, "Prints one JSON object instead of lines."},
};

static const struct cli_help help = {
    .usage = "version [--json]",
    .summary = "Prints the versions of trotline, of the compiler that built it, and of the "
               "libraries it runs with.",
    .options = options,
    .count = sizeof(options) / sizeof(options[0]),
    .more = "Exit codes: 0 printed, 2 usage.\n",
};

struct part {
    const char *name, *version;
};

enum { PARTS = 12 };

static void collect(struct part parts[PARTS])
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    bool threaded = (curl->features & CURL_VERSION_ASYNCHDNS) && !curl->ares;
    const struct part all[PARTS] = {
        {"trotline", TROTLINE_VERSION},
        {"compiler", COMPILER},
        {"libevent", event_get_version()},
        {"libcurl", curl->version},
        {"libcurlTls", curl->ssl_version ? curl->ssl_version : "none"},
        {"libcurlResolver", curl->ares ? "c-ares"
                            : threaded ? "threaded"
                                       : "blocking"},
        {"openssl", OpenSSL_version(OPENSSL_VERSION)},
        {"hiredis", HIREDIS_VERSION},
        {"msgpack", msgpack_version()},
        {"jansson", jansson_version_str()},
        {"libcyaml", cyaml_version_str},
        {"lz4", LZ4_versionString()},
    };
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = all[i];
}

static void print_json(struct buf *out, const struct part parts[PARTS])
{
    struct json_out json;
    json_out_begin(&json, out);
    json_object_open(&json);
    for (size_t i = 0; i < PARTS; i++)
        json_member_cstr(&json, parts[i].name, parts[i].version);
    json_object_close(&json);
    buf_add_char(out, '\n');
}

int version_command(int argc, char **argv)
{
    struct cli cli = {options, sizeof(options) / sizeof(options[0]), argc, argv, 1, false};
    struct part parts[PARTS];
    struct buf out, errors;
    bool as_json = false;
    const char *value;

    buf_init(&out, 16 * 1024);
    if (cli_wants_help(argc, argv)) {
        cli_print_help(&out, &help);
        return cli_finish(&out);
    }
    buf_init(&errors, 4096);
    for (int found; (found = cli_next(&cli, &value, &errors)) != CLI_END;) {
        if (found == CLI_WORD)
            buf_addf(&errors, "unexpected argument \"%s\"\n", value);
        if (found < 0)
            return cli_fail(&errors, argv[0], CLI_EXIT_USAGE);
        as_json = true;
    }
    collect(parts);
    if (as_json)
        print_json(&out, parts);
    for (size_t i = 0; !as_json && i < PARTS; i++)
        buf_addf(&out, "%-15s %s\n", parts[i].name, parts[i].version);
    return cli_finish(&out);
}
