/* client.c - one exchange after the other with a server's API.
 *
 * curl's easy interface, as there is nothing else to do meanwhile. What can be checked without the
 * server is checked first, so that exit code 2 means that nothing was sent.
 */
#include "app/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_scan.h"
#include "base/parse.h"

enum {
    ANSWER_BYTES_MAX = 16 * 1024 * 1024,
    KEY_BYTES_MAX = 4096,
    MEMBERS_MAX = 64,
    CONNECT_TIMEOUT_MS = 5000
};

static const char default_url[] = "http://127.0.0.1:8080";
static const char default_key_file[] = "./data/api-key";

/* ---- Where, and with which key --------------------------------------------------------------- */

bool client_read(int fd, struct buf *text)
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

/* curl itself would make a host of the "api" in "http:/api/events". */
static bool is_http_url(const char *url)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    return scheme > 0 && url[scheme] != '\0' && url[scheme] != '/';
}

static bool check_options(struct client *client, const char *const *given, struct buf *errors)
{
    const char *url = given[CLIENT_URL] ? given[CLIENT_URL] : getenv("TROTLINE_URL");
    const char *timeout = given[CLIENT_TIMEOUT];
    client->server = url && url[0] != '\0' ? url : default_url;
    if (!is_http_url(client->server))
        buf_addf(errors, "\"%s\" is not a URL of the form http://HOST[:PORT]\n", client->server);
    client->timeout_ms = 30000;
    if (timeout && parse_duration_ms(slice_str(timeout), &client->timeout_ms) != ST_OK)
        buf_addf(errors, "--timeout: \"%s\" is not a duration (a number and ms, s, m, h or d)\n",
                 timeout);
    if (client->timeout_ms < 1 || client->timeout_ms > 3600 * 1000)
        buf_add_str(errors, "--timeout: allowed: 1ms to 1h\n");
    client->as_json = given[CLIENT_JSON] != NULL;
    return errors->len == 0;
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
static bool find_key(struct client *client, const char *const *given, struct buf *errors)
{
    struct buf text;
    buf_init(&text, KEY_BYTES_MAX + 64 * 1024);
    const char *path = given[CLIENT_API_KEY_FILE];
    const char *key = given[CLIENT_API_KEY];
    if (!key && !path)
        key = getenv("TROTLINE_API_KEY");
    if (key) {
        buf_add_str(&text, key);
    } else {
        int fd = open(path ? path : default_key_file, O_RDONLY | O_CLOEXEC);
        if ((fd < 0 || !client_read(fd, &text)) && (path || errno != ENOENT))
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
        buf_addf(&client->key, "Authorization: Bearer %.*s%c", SLICE_ARGS(bare), '\0');
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return errors->len == 0;
}

bool client_init(struct client *client, const char *const *given, struct buf *errors)
{
    *client = (struct client){.status = 0};
    buf_init(&client->key, 2 * KEY_BYTES_MAX);
    buf_init(&client->url, 16 * 1024);
    buf_init(&client->answer, ANSWER_BYTES_MAX);
    if (!check_options(client, given, errors) || !find_key(client, given, errors))
        return false;
    client->ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!client->ready)
        buf_add_str(errors, "libcurl cannot be initialised\n");
    return client->ready;
}

void client_deinit(struct client *client)
{
    if (client->key.ptr)
        explicit_bzero(client->key.ptr, client->key.len);
    buf_free(&client->key);
    buf_free(&client->url);
    buf_free(&client->answer);
    curl_easy_cleanup(client->curl);
    if (client->ready)
        curl_global_cleanup();
}

/* ---- The exchange ---------------------------------------------------------------------------- */

/* Taking fewer bytes than offered makes curl give up. */
static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct client *client = arg;
    buf_add(&client->answer, bytes, size * count);
    return buf_status(&client->answer) == ST_OK ? size * count : 0;
}

static CURLcode set_up(CURL *curl, struct client *client, const struct client_request *request,
                       struct curl_slist *headers)
{
    CURLcode code = CURLE_OK;
    bool empty = !request->body.ptr;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(curl, (option), (value))
    SET(CURLOPT_URL, client->url.ptr);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)client->timeout_ms);
    SET(CURLOPT_USERAGENT, "Trotline/" TROTLINE_VERSION);
    if (!empty) {
        SET(CURLOPT_POSTFIELDS, request->body.ptr);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_WRITEDATA, client);
#undef SET
    return code;
}

/* False, and nothing is left: out of memory. */
static bool add_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (!longer)
        curl_slist_free_all(*headers);
    *headers = longer;
    return longer != NULL;
}

/* "Expect:" without a value keeps curl from waiting for "100 Continue" before a large body. */
static struct curl_slist *make_headers(const struct client *client,
                                       const struct client_request *request)
{
    struct curl_slist *headers = NULL;
    if (!add_header(&headers, "Expect:"))
        return NULL;
    char type[128];
    snprintf(type, sizeof(type), "Content-Type: %s",
             request->content_type ? request->content_type : "application/json");
    if (request->body.ptr && !add_header(&headers, type))
        return NULL;
    if (request->with_key && client->key.ptr && !add_header(&headers, client->key.ptr))
        return NULL;
    for (size_t i = 0; i < request->header_count; i++)
        if (!add_header(&headers, request->headers[i]))
            return NULL;
    return headers;
}

static int report_failure(const struct client *client, CURLcode code, const char *detail)
{
    fprintf(stderr, "trotline: %s: %s\n", client->url.ptr,
            detail[0] != '\0' ? detail : curl_easy_strerror(code));
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return CLI_EXIT_USAGE;
    return CLIENT_EXIT_UNREACHABLE;
}

static void build_url(struct client *client, const char *path)
{
    struct slice base = slice_str(client->server);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    buf_clear(&client->url);
    buf_addf(&client->url, "%.*s%s%c", SLICE_ARGS(base), path, '\0');
}

int client_exchange(struct client *client, const struct client_request *request)
{
    char detail[CURL_ERROR_SIZE] = "";
    int exit_code = CLI_EXIT_OK;
    build_url(client, request->path);
    buf_clear(&client->answer);
    client->status = 0;
    if (buf_status(&client->url) != ST_OK) {
        fputs("trotline: the URL is too long or memory is short\n", stderr);
        return CLI_EXIT_USAGE;
    }
    if (client->curl)
        curl_easy_reset(client->curl); /* the connection stays */
    else
        client->curl = curl_easy_init();
    CURL *curl = client->curl;
    struct curl_slist *headers = make_headers(client, request);
    CURLcode code = curl && headers ? set_up(curl, client, request, headers) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    if (code == CURLE_OK)
        code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &client->status);
    if (code != CURLE_OK)
        exit_code = report_failure(client, code, detail);
    curl_slist_free_all(headers);
    return exit_code;
}

/* ---- The answer ------------------------------------------------------------------------------ */

struct slice client_member(struct slice object, const char *name, struct buf *text)
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

void client_print(FILE *stream, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        fputc(c < 0x20 || c == 0x7f ? ' ' : c, stream);
    }
}

void client_print_error(struct slice error, const char *before)
{
    const struct {
        const char *name, *before, *after;
    } parts[] = {{"code", before, ""}, {"message", ": ", ""}, {"field", " (field ", ")"}};
    struct buf text;
    buf_init(&text, ANSWER_BYTES_MAX);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct slice part = client_member(error, parts[i].name, &text);
        if (!part.ptr)
            continue;
        fputs(parts[i].before, stderr);
        client_print(stderr, part);
        fputs(parts[i].after, stderr);
    }
    fputc('\n', stderr);
    buf_free(&text);
}

/* {"error":{"code":"invalid_type","message":"…","field":"type"}} */
static int report_refusal(const struct client *client)
{
    struct buf outer;
    buf_init(&outer, ANSWER_BYTES_MAX);
    struct slice error = client_member(buf_slice(&client->answer), "error", &outer);
    fprintf(stderr, "trotline: refused: %ld", client->status);
    client_print_error(error, " ");
    if (client->status == 401 && client->key.len == 0)
        fputs("trotline: none was sent: set TROTLINE_API_KEY or give --api-key-file\n", stderr);
    buf_free(&outer);
    return CLIENT_EXIT_REFUSED;
}

bool client_accepted(const struct client *client)
{
    return client->status >= 200 && client->status < 300;
}

int client_report(const struct client *client)
{
    if (!client->as_json)
        return client_accepted(client) ? CLI_EXIT_OK : report_refusal(client);
    struct slice answer = buf_slice(&client->answer);
    bool written = fwrite(answer.ptr ? answer.ptr : "", 1, answer.len, stdout) == answer.len &&
                   putchar('\n') != EOF && fflush(stdout) == 0;
    return written && client_accepted(client) ? CLI_EXIT_OK : CLIENT_EXIT_REFUSED;
}
