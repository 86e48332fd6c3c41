/* send.c - trotline send: publish one event from the command line.
 *
 * A client like any other: it knows the public API only and waits for its answer, with curl's easy
 * interface. What can be checked without the server (options, JSON) is checked first, so that exit
 * code 2 means that nothing was sent.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/commands.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/parse.h"

enum {
    DATA_BYTES_MAX = 64 * 1024 * 1024, /* the server's own limit is the one that counts */
    ANSWER_BYTES_MAX = 1024 * 1024,
    KEY_BYTES_MAX = 4096,
    MEMBERS_MAX = 64,
    CONNECT_TIMEOUT_MS = 5000,
    EXIT_REFUSED = CLI_EXIT_FAILED,
    EXIT_UNREACHABLE = 3
};

static const char default_url[] = "http://127.0.0.1:8080";
static const char default_key_file[] = "./data/api-key";

enum { IDEMPOTENCY_KEY, DELAY, DELIVER_AT, URL, API_KEY, API_KEY_FILE, TIMEOUT, AS_JSON, OPTIONS };

static const struct cli_option options[OPTIONS] = {
    [IDEMPOTENCY_KEY] = {"idempotency-key", "KEY",
                         "Sending the same key again within the server's idempotency.ttl publishes "
                         "nothing and answers with the first event's id. Default: none."},
    [DELAY] = {"delay", "DURATION",
               "Deliver this much later, such as 90s, 5m or 2h. Default: at once."},
    [DELIVER_AT] = {"deliver-at", "TIME",
                    "Deliver then: RFC 3339 in at most 366 days, as \"date -u -d 1day +%FT%TZ\" "
                    "prints it. Default: at once."},
    [URL] = {"url", "URL",
             "The server. Default: TROTLINE_URL, else http://127.0.0.1:8080. Proxies of the "
             "environment are not used."},
    [API_KEY] = {"api-key", "KEY",
                 "The API key. Other users of this machine can see it while the command runs; the "
                 "ways below hide it."},
    [API_KEY_FILE] = {"api-key-file", "FILE",
                      "File with the API key. Default: TROTLINE_API_KEY, else ./data/api-key."},
    [TIMEOUT] = {"timeout", "DURATION", "How long to wait for the answer. Default: 30s."},
    [AS_JSON] = {"json", NULL, "Prints the server's answer as it came, errors included."},
};

static const struct cli_help help = {
    .usage = "send TYPE [JSON|-] [options]",
    .summary = "Publishes one event of type TYPE with the data JSON (default: {}), or the data "
               "from standard input (-). Prints its id and the number of endpoints it goes to.",
    .options = options,
    .count = OPTIONS,
    .more = "Environment:\n"
            "  TROTLINE_URL      the server; --url goes before it\n"
            "  TROTLINE_API_KEY  the API key; --api-key and --api-key-file go before it\n"
            "\n"
            "Examples:\n"
            "  trotline send order.created '{\"order\":17,\"total\":\"9.90\"}'\n"
            "  trotline send order.created - --idempotency-key order-17 < order.json\n"
            "  trotline send reminder.due --delay 2h\n"
            "\n"
            "Exit codes: 0 accepted, 1 refused by the server, 2 usage (nothing was sent),\n"
            "  3 no answer (if the connection broke or timed out, the event may be accepted; use\n"
            "  --idempotency-key to be able to try again).\n",
};

struct send {
    const char *given[OPTIONS]; /* the options' values; "" for a given one without; else NULL */
    const char *type;
    const char *server;
    const char *data; /* as on the command line */
    uint64_t timeout_ms;
    struct buf json;   /* the event's data */
    struct buf key;    /* the header "Authorization: …", a string; empty: none */
    struct buf url;    /* a string */
    struct buf body;   /* the request */
    struct buf answer; /* the response */
};

/* ---- What is to be sent ---------------------------------------------------------------------- */

/* Reads all of `fd` into `text`, at most its maximum. False with the reason in errno. */
static bool read_all(int fd, struct buf *text)
{
    enum { STEP = 64 * 1024 };
    for (;;) {
        char *place = buf_reserve(text, STEP);
        if (!place) {
            errno = buf_status(text) == ST_NOMEM ? ENOMEM : EFBIG;
            return false;
        }
        ssize_t got = read(fd, place, STEP);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        text->len += (size_t)got;
    }
}

static bool parse_arguments(struct send *send, int argc, char **argv, struct buf *errors)
{
    struct cli cli = {options, OPTIONS, argc, argv, 1, false};
    const char *value;
    for (int found; (found = cli_next(&cli, &value, errors)) != CLI_END;) {
        if (found == CLI_WRONG)
            return false;
        if (found >= 0) {
            send->given[found] = value ? value : "";
        } else if (!send->type) {
            send->type = value;
        } else if (!send->data) {
            send->data = value;
        } else {
            buf_addf(errors, "unexpected argument \"%s\"; JSON with blanks needs quotes\n", value);
            return false;
        }
    }
    if (!send->type || send->type[0] == '\0')
        buf_add_str(errors, "the event's type is missing: send TYPE [JSON|-]\n");
    return errors->len == 0;
}

static bool check_duration(const char *text, const char *option, uint64_t *ms, struct buf *errors)
{
    if (parse_duration_ms(slice_str(text), ms) == ST_OK)
        return true;
    buf_addf(errors, "--%s: \"%s\" is not a duration (a number and ms, s, m, h or d)\n", option,
             text);
    return false;
}

/* curl itself would make a host of the "api" in "http:/api/events". */
static bool is_http_url(const char *url)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    return scheme > 0 && url[scheme] != '\0' && url[scheme] != '/';
}

static bool check_options(struct send *send, struct buf *errors)
{
    uint64_t ignored;
    const char *url = send->given[URL] ? send->given[URL] : getenv("TROTLINE_URL");
    send->server = url && url[0] != '\0' ? url : default_url;
    if (!is_http_url(send->server))
        buf_addf(errors, "\"%s\" is not a URL of the form http://HOST[:PORT]\n", send->server);
    send->timeout_ms = 30000;
    if (send->given[TIMEOUT])
        (void)check_duration(send->given[TIMEOUT], "timeout", &send->timeout_ms, errors);
    if (send->timeout_ms < 1 || send->timeout_ms > 3600 * 1000)
        buf_add_str(errors, "--timeout: allowed: 1ms to 1h\n");
    if (send->given[DELAY])
        (void)check_duration(send->given[DELAY], "delay", &ignored, errors);
    if (send->given[DELAY] && send->given[DELIVER_AT])
        buf_add_str(errors, "--delay and --deliver-at exclude each other\n");
    return errors->len == 0;
}

static bool read_data(struct send *send, struct buf *errors)
{
    if (!send->data) {
        buf_add_str(&send->json, "{}");
    } else if (strcmp(send->data, "-") != 0) {
        buf_add_str(&send->json, send->data);
    } else if (!read_all(STDIN_FILENO, &send->json)) {
        buf_addf(errors, "cannot read the data from standard input: %s\n", strerror(errno));
        return false;
    }
    struct json_error error;
    if (json_check(buf_slice(&send->json), &error) == ST_OK)
        return true;
    buf_addf(errors, "the data is not JSON: %s at byte %zu\n", error.reason, error.offset);
    return false;
}

/* Blanks and line ends around a key come from editors and "echo". */
static struct slice trimmed(struct slice text)
{
    static const char blanks[] = " \t\r\n";
    while (text.len > 0 && strchr(blanks, text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && strchr(blanks, text.ptr[0]))
        text = slice_from(text, 1);
    return text;
}

/* Takes the first of: --api-key, --api-key-file, the environment, the file beside a local server.
 * Without any the server decides. */
static bool find_key(struct send *send, struct buf *errors)
{
    struct buf text;
    buf_init(&text, KEY_BYTES_MAX + 64 * 1024);
    const char *path = send->given[API_KEY_FILE];
    const char *key = send->given[API_KEY];
    if (!key && !path)
        key = getenv("TROTLINE_API_KEY");
    if (key) {
        buf_add_str(&text, key);
    } else {
        int fd = open(path ? path : default_key_file, O_RDONLY | O_CLOEXEC);
        if ((fd < 0 || !read_all(fd, &text)) && (path || errno != ENOENT))
            buf_addf(errors, "cannot read the API key from %s: %s\n",
                     path ? path : default_key_file, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
    }
    struct slice bare = trimmed(buf_slice(&text));
    for (size_t i = 0; i < bare.len && errors->len == 0; i++) {
        if (bare.ptr[i] <= ' ' || bare.ptr[i] > '~' || bare.len > KEY_BYTES_MAX)
            buf_add_str(errors, "the API key has characters no key has, or is too long\n");
    }
    if (bare.len > 0 && errors->len == 0)
        buf_addf(&send->key, "Authorization: Bearer %.*s%c", SLICE_ARGS(bare), '\0');
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return errors->len == 0;
}

static void build_request(struct send *send)
{
    struct slice base = slice_str(send->server);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    buf_addf(&send->url, "%.*s/api/events%c", SLICE_ARGS(base), '\0');

    struct json_out json;
    json_out_begin(&json, &send->body);
    json_object_open(&json);
    json_member_cstr(&json, "type", send->type);
    json_member_raw(&json, "data", buf_slice(&send->json));
    if (send->given[IDEMPOTENCY_KEY])
        json_member_cstr(&json, "idempotencyKey", send->given[IDEMPOTENCY_KEY]);
    if (send->given[DELAY])
        json_member_cstr(&json, "delay", send->given[DELAY]);
    if (send->given[DELIVER_AT])
        json_member_cstr(&json, "deliverAt", send->given[DELIVER_AT]);
    json_object_close(&json);
}

/* ---- The exchange ---------------------------------------------------------------------------- */

/* Taking fewer bytes than offered makes curl give up. */
static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct send *send = arg;
    buf_add(&send->answer, bytes, size * count);
    return buf_status(&send->answer) == ST_OK ? size * count : 0;
}

static CURLcode set_up(CURL *curl, struct send *send, struct curl_slist *headers)
{
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(curl, (option), (value))
    SET(CURLOPT_URL, send->url.ptr);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)send->timeout_ms);
    SET(CURLOPT_USERAGENT, "Trotline/" TROTLINE_VERSION);
    SET(CURLOPT_POSTFIELDS, send->body.ptr);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)send->body.len);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_WRITEDATA, send);
#undef SET
    return code;
}

/* "Expect:" without a value keeps curl from waiting for "100 Continue" before a large body. */
static struct curl_slist *make_headers(const struct send *send)
{
    const char *lines[] = {"Content-Type: application/json", "Expect:", send->key.ptr};
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && lines[i]; i++) {
        struct curl_slist *longer = curl_slist_append(headers, lines[i]);
        if (!longer) {
            curl_slist_free_all(headers);
            return NULL;
        }
        headers = longer;
    }
    return headers;
}

static int report_failure(const struct send *send, CURLcode code, const char *detail)
{
    fprintf(stderr, "trotline: %s: %s\n", send->url.ptr,
            detail[0] != '\0' ? detail : curl_easy_strerror(code));
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return CLI_EXIT_USAGE;
    return EXIT_UNREACHABLE;
}

/* Sets `http_status`; the exit code is CLI_EXIT_OK when there is an answer, whatever it says. */
static int exchange(struct send *send, long *http_status)
{
    char detail[CURL_ERROR_SIZE] = "";
    int exit_code = CLI_EXIT_OK;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = make_headers(send);
    CURLcode code = curl && headers ? set_up(curl, send, headers) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    if (code == CURLE_OK)
        code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, http_status);
    if (code != CURLE_OK)
        exit_code = report_failure(send, code, detail);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return exit_code;
}

/* ---- The answer ------------------------------------------------------------------------------ */

/* The text of a member, its string unescaped; SLICE_NULL when there is none. `text` keeps it. */
static struct slice member_text(struct slice object, const char *name, struct buf *text)
{
    struct json_member members[MEMBERS_MAX];
    size_t count;
    buf_clear(text);
    if (json_members(object, members, MEMBERS_MAX, &count, NULL) != ST_OK)
        return SLICE_NULL;
    const struct json_member *member = json_find(members, count, slice_str(name));
    if (!member)
        return SLICE_NULL;
    if (member->type != JSON_STRING)
        return member->value;
    return json_unescape(member->value, text) == ST_OK ? buf_slice(text) : SLICE_NULL;
}

/* Printed for people: without the control characters a stranger's answer could move a terminal
 * with. */
static void print_clean(FILE *stream, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        fputc(c < 0x20 || c == 0x7f ? ' ' : c, stream);
    }
}

/* {"error":{"code":"invalid_type","message":"…","field":"type"}} */
static int report_refusal(const struct send *send, long http_status)
{
    static const struct {
        const char *name, *before, *after;
    } parts[] = {{"code", " ", ""}, {"message", ": ", ""}, {"field", " (field ", ")"}};
    struct buf text, outer;
    buf_init(&text, ANSWER_BYTES_MAX);
    buf_init(&outer, ANSWER_BYTES_MAX);
    struct slice error = member_text(buf_slice(&send->answer), "error", &outer);

    fprintf(stderr, "trotline: refused: %ld", http_status);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct slice part = member_text(error, parts[i].name, &text);
        if (!part.ptr)
            continue;
        fputs(parts[i].before, stderr);
        print_clean(stderr, part);
        fputs(parts[i].after, stderr);
    }
    fputc('\n', stderr);
    if (http_status == 401 && send->key.len == 0)
        fputs("trotline: none was sent: set TROTLINE_API_KEY or give --api-key-file\n", stderr);
    buf_free(&text);
    buf_free(&outer);
    return EXIT_REFUSED;
}

static int report_accepted(const struct send *send)
{
    struct buf id_text, count_text;
    buf_init(&id_text, ANSWER_BYTES_MAX);
    buf_init(&count_text, ANSWER_BYTES_MAX);
    struct slice id = member_text(buf_slice(&send->answer), "id", &id_text);
    struct slice count = member_text(buf_slice(&send->answer), "deliveries", &count_text);
    int code = CLI_EXIT_OK;
    if (!id.ptr) {
        fprintf(stderr, "trotline: %s does not answer like trotline\n", send->url.ptr);
        code = EXIT_REFUSED;
    } else {
        print_clean(stdout, id);
        if (count.ptr) {
            fputs(" deliveries=", stdout);
            print_clean(stdout, count);
        }
        if (putchar('\n') == EOF || fflush(stdout) != 0)
            code = CLI_EXIT_FAILED;
    }
    buf_free(&id_text);
    buf_free(&count_text);
    return code;
}

static int report_answer(struct send *send, long http_status)
{
    bool accepted = http_status >= 200 && http_status < 300;
    if (send->given[AS_JSON]) {
        buf_add_char(&send->answer, '\n');
        int code = cli_finish(&send->answer);
        return accepted ? code : EXIT_REFUSED;
    }
    return accepted ? report_accepted(send) : report_refusal(send, http_status);
}

static int run(struct send *send, int argc, char **argv)
{
    struct buf errors;
    long http_status = 0;
    buf_init(&errors, 16 * 1024);
    if (!parse_arguments(send, argc, argv, &errors) || !check_options(send, &errors) ||
        !find_key(send, &errors) || !read_data(send, &errors))
        return cli_fail(&errors, argv[0], CLI_EXIT_USAGE);
    build_request(send);
    if (buf_status(&send->body) != ST_OK || buf_status(&send->url) != ST_OK ||
        buf_status(&send->key) != ST_OK) {
        buf_add_str(&errors, "the request is too large or memory is short\n");
        return cli_fail(&errors, argv[0], CLI_EXIT_USAGE);
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        buf_add_str(&errors, "libcurl cannot be initialised\n");
        return cli_fail(&errors, argv[0], EXIT_UNREACHABLE);
    }
    int code = exchange(send, &http_status);
    if (code == CLI_EXIT_OK)
        code = report_answer(send, http_status);
    curl_global_cleanup();
    return code;
}

int send_command(int argc, char **argv)
{
    if (cli_wants_help(argc, argv)) {
        struct buf out;
        buf_init(&out, 64 * 1024);
        cli_print_help(&out, &help);
        return cli_finish(&out);
    }
    struct send send = {.type = NULL};
    buf_init(&send.json, DATA_BYTES_MAX);
    buf_init(&send.key, 2 * KEY_BYTES_MAX);
    buf_init(&send.url, 16 * 1024);
    buf_init(&send.body, DATA_BYTES_MAX + 64 * 1024);
    buf_init(&send.answer, ANSWER_BYTES_MAX);
    int code = run(&send, argc, argv);
    if (send.key.ptr)
        explicit_bzero(send.key.ptr, send.key.len);
    buf_free(&send.json);
    buf_free(&send.key);
    buf_free(&send.url);
    buf_free(&send.body);
    buf_free(&send.answer);
    return code;
}
