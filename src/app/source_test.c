/* source_test.c - trotline source test: is a source set up as its sender signs?
 *
 * The server is asked what the source is, but for its secret, which it does not tell: that has to
 * be given. Then a request is signed as the sender would (scheme_sign_received()) and posted like
 * any other, without the API key, so that what answers is what the sender would meet.
 *
 * Rejected: having the server sign. Whoever has an API key could then have any text signed in the
 * name of a third party, whose secret may be in use elsewhere too.
 */
#include <stdlib.h>
#include <string.h>

#include "app/source_command.h"
#include "base/clock.h"
#include "base/json_scan.h"
#include "base/rng.h"
#include "wire/scheme.h"
#include "wire/scheme_file.h"

enum { PATH_BYTES = 256, TEXT_BYTES_MAX = 1024 * 1024, HEADERS_MAX = 64 };

struct trial {
    struct scheme_set *set;
    struct scheme *own;          /* of the source's verifier; NULL: none */
    const struct scheme *scheme; /* one of them */
    struct signer_key *key;      /* NULL: the scheme has none */
    struct buf document;         /* the source, as the API shows it */
    struct buf url;              /* its public URL; empty: none */
    struct buf lines;            /* headers, a NUL behind each */
    size_t line_count;
};

/* ---- What the source is ---------------------------------------------------------------------- */

/* A scheme's file has to have a name; a verifier need not. */
static bool find_verifier(struct trial *trial, struct slice verifier, struct buf *errors)
{
    char reason[256] = "";
    struct buf file, name;
    buf_init(&file, TEXT_BYTES_MAX);
    buf_init(&name, TEXT_BYTES_MAX);
    if (client_member(verifier, "name", &name).ptr)
        buf_add_slice(&file, verifier);
    else
        buf_addf(&file, "{\"name\": \"verifier\", %.*s", SLICE_ARGS(slice_from(verifier, 1)));
    if (scheme_file_parse(buf_slice(&file), "verifier", &trial->own, reason, sizeof(reason)) !=
        ST_OK)
        buf_addf(errors, "the source's verifier cannot be read: %s\n", reason);
    trial->scheme = trial->own;
    buf_free(&file);
    buf_free(&name);
    return trial->scheme != NULL;
}

static bool find_scheme(struct trial *trial, const char *dir, struct slice name, struct buf *errors)
{
    char reason[512];
    trial->set = scheme_set_new();
    if (!trial->set) {
        buf_add_str(errors, "not enough memory\n");
        return false;
    }
    if (dir && scheme_set_load_dir(trial->set, dir, reason, sizeof(reason)) != ST_OK) {
        buf_addf(errors, "--schemes: %s\n", reason);
        return false;
    }
    trial->scheme = scheme_find(trial->set, name);
    if (!trial->scheme)
        buf_addf(errors, "the scheme \"%.*s\" is not built in; give the server's with --schemes\n",
                 SLICE_ARGS(name));
    return trial->scheme != NULL;
}

static bool read_source(struct trial *trial, const char *dir, struct buf *errors)
{
    struct buf text;
    struct slice document = buf_slice(&trial->document);
    buf_init(&text, TEXT_BYTES_MAX);
    (void)client_member(document, "publicUrl", &trial->url); /* null leaves it empty */
    struct slice verifier = client_member(document, "verifier", &text);
    bool found = verifier.ptr
                     ? find_verifier(trial, verifier, errors)
                     : find_scheme(trial, dir, client_member(document, "scheme", &text), errors);
    buf_free(&text);
    return found;
}

static bool read_secret(struct trial *trial, const char *given, struct buf *errors)
{
    const char *reason = "";
    const char *secret = given ? given : getenv("TROTLINE_SOURCE_SECRET");
    if (!scheme_needs_secret(trial->scheme))
        return true;
    if (!secret) {
        buf_add_str(errors, "the secret is needed, which the server does not tell: set "
                            "TROTLINE_SOURCE_SECRET\n");
        return false;
    }
    if (scheme_verify_key(trial->scheme, slice_str(secret), &trial->key, &reason) == ST_OK)
        return true;
    buf_addf(errors, "the secret does not fit the scheme \"%s\": %s\n", scheme_name(trial->scheme),
             reason);
    return false;
}

/* ---- The request ----------------------------------------------------------------------------- */

/* With an id of its own, so that it is no duplicate of an earlier test. */
static bool make_body(struct source_command *command, struct buf *errors)
{
    struct json_error problem;
    if (command->file && strcmp(command->file, "-") != 0)
        buf_add_str(&command->body, command->file);
    else if (command->file && !client_read(0, &command->body))
        buf_add_str(errors, "cannot read the body from standard input\n");
    else if (!command->file)
        buf_addf(&command->body, "{\"id\":\"test_%016llx\",\"type\":\"test\"}",
                 (unsigned long long)rng_u64());
    if (errors->len == 0 && json_check(buf_slice(&command->body), &problem) != ST_OK)
        buf_addf(errors, "the body is not JSON: %s at byte %zu\n", problem.reason, problem.offset);
    return errors->len == 0;
}

static bool sign(struct trial *trial, const char *path, struct slice body, struct buf *errors)
{
    static const struct received_header type = {SLICE("Content-Type"), SLICE("application/json")};
    const struct received received = {.method = SLICE("POST"),
                                      .path = slice_str(path),
                                      .query = SLICE_NULL,
                                      .headers = &type,
                                      .header_count = 1,
                                      .body = body,
                                      .public_url =
                                          trial->url.len > 0 ? buf_slice(&trial->url) : SLICE_NULL,
                                      .now_ms = clock_wall_ms()};
    enum status status = ST_OK;
    if (trial->key)
        status = scheme_sign_received(trial->scheme, &received, trial->key, &trial->lines,
                                      &trial->line_count);
    if (status == ST_UNSUPPORTED)
        buf_addf(errors,
                 "requests of the scheme \"%s\" cannot be signed here: the signature is not in a "
                 "header, or the secret is a public key\n",
                 scheme_name(trial->scheme));
    else if (status != ST_OK || trial->line_count > HEADERS_MAX)
        buf_add_str(errors, "the request cannot be signed: not enough memory\n");
    return errors->len == 0;
}

static int post(struct source_command *command, const struct trial *trial, const char *path)
{
    const char *headers[HEADERS_MAX];
    const char *line = trial->lines.ptr;
    for (size_t i = 0; i < trial->line_count; i++, line += strlen(line) + 1)
        headers[i] = line;
    const struct client_request request = {.method = "POST",
                                           .path = path,
                                           .body = buf_slice(&command->body),
                                           .headers = headers,
                                           .header_count = trial->line_count};
    return client_exchange(&command->client, &request);
}

/* What the sender would be told: "HTTP 200", and the body. */
static int report(const struct client *client)
{
    if (client->as_json || !client_accepted(client))
        return client_report(client);
    printf("HTTP %ld", client->status);
    if (client->answer.len > 0)
        putchar(' ');
    client_print(stdout, buf_slice(&client->answer));
    return putchar('\n') == EOF || fflush(stdout) != 0 ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static int try(struct source_command *command, struct trial *trial, struct buf *errors)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/api/sources/%s", command->name);
    int code = source_ask(command, "GET", path, SLICE_NULL);
    if (code == CLI_EXIT_OK && !client_accepted(&command->client))
        code = client_report(&command->client);
    if (code != CLI_EXIT_OK)
        return code;
    buf_add_slice(&trial->document, buf_slice(&command->client.answer));
    snprintf(path, sizeof(path), "/in/%s", command->name);
    if (!read_source(trial, command->given[SOURCE_SCHEMES], errors) ||
        !read_secret(trial, command->given[SOURCE_SECRET], errors) || !make_body(command, errors) ||
        !sign(trial, path, buf_slice(&command->body), errors))
        return CLI_EXIT_USAGE;
    code = post(command, trial, path);
    return code == CLI_EXIT_OK ? report(&command->client) : code;
}

int source_test(struct source_command *command, struct buf *errors)
{
    struct trial trial = {.set = NULL};
    buf_init(&trial.document, TEXT_BYTES_MAX);
    buf_init(&trial.url, TEXT_BYTES_MAX);
    buf_init(&trial.lines, TEXT_BYTES_MAX);
    int code = try(command, &trial, errors);
    signer_key_free(trial.key);
    scheme_free(trial.own);
    scheme_set_free(trial.set);
    buf_free(&trial.document);
    buf_free(&trial.url);
    buf_free(&trial.lines);
    return code;
}
