/* verify.c - trotline verify: does a captured request verify, and why not?
 *
 * It runs the gateway's own verifier on the request that the options describe, or on one vector,
 * and prints what that found. Secrets that the scheme cannot take are an error of the command line,
 * but in a vector just do not verify.
 */
#include "app/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/commands.h"
#include "app/scheme_choice.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/timefmt.h"

enum { SCHEME, SCHEMES, SECRET, HEADER, URL, METHOD, VAR, NOW, VECTOR, AS_JSON };
enum { OPTIONS = AS_JSON + 1 };

static const struct cli_option options[OPTIONS] = {
    [SCHEME] = {"scheme", "NAME", "The wire format, such as github, stripe or standard."},
    [SCHEMES] = {"schemes", "DIR", "Directory of further schemes (*.yaml). Default: none."},
    [SECRET] = {"secret", "SECRET", "May be given up to 11 times; one of them must fit."},
    [HEADER] = {"header", "'N: V'", "A header of the request; may be given up to 100 times."},
    [URL] = {"url", "URL",
             "The public URL as the sender has it, with its query, where it is "
             "signed. Default: none."},
    [METHOD] = {"method", "METHOD", "The request's method. Default: POST."},
    [VAR] = {"var", "NAME=VALUE", "A variable of the source; may be given up to 16 times."},
    [NOW] = {"now", "TIME",
             "When the request came: seconds since 1970 or an RFC 3339 time. Default: now; with "
             "--vector the request's own time."},
    [VECTOR] = {"vector", "FILE|-",
                "Read scheme, secrets, headers, body, url and method from the JSON object in this "
                "file, or in the standard input, instead. With several, one a line, all have to "
                "verify."},
    [AS_JSON] = {"json", NULL,
                 "Print one JSON object: scheme, verified, reason, message, about, items, "
                 "signatures, otherSignatures, timestamp, ageMs, signedText, secret (the number "
                 "of the one that fits), id, type."},
};

static const struct cli_help help = {
    .usage = "verify --scheme NAME --secret SECRET [options] < BODY",
    .summary = "Explains step by step why a captured request does or does not verify: how many "
               "signatures it has, how old it is, what was signed, and what signature each secret "
               "would make of that. The body is read from the standard input, byte for byte. "
               "Secrets are not printed.",
    .options = options,
    .count = OPTIONS,
    .more = "Examples:\n"
            "  trotline verify --scheme github --secret S --header \"X-Hub-Signature-256: $SIG\" < "
            "body\n"
            "  trotline verify --vector request.json\n"
            "\n"
            "Exit codes: 0 it verifies, 1 it does not, 2 usage.\n",
};

struct verify {
    struct verify_request request;
    const char *scheme_dir, *vector;
    bool as_json, now_given;
    struct buf input;
    struct buf texts;
    struct scheme_set *schemes;
    struct signer_key *keys[LIMIT_SECRETS];
    size_t key_count;
};

/* ---- Options --------------------------------------------------------------------------------- */

static struct slice trim(struct slice text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = slice_from(text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static void take_header(struct verify_request *request, const char *value, struct buf *errors)
{
    const char *colon = strchr(value, ':');
    if (!colon || colon == value) {
        buf_addf(errors, "--header: \"%s\" is not of the form 'Name: value'\n", value);
    } else if (request->header_count == LIMIT_HTTP_HEADERS) {
        buf_addf(errors, "--header: more than %d\n", LIMIT_HTTP_HEADERS);
    } else {
        struct received_header *header = &request->headers[request->header_count++];
        header->name = slice_of(value, (size_t)(colon - value));
        header->value = trim(slice_str(colon + 1));
    }
}

static void take_var(struct verify_request *request, const char *value, struct buf *errors)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value || request->var_count == VERIFY_VARS_MAX)
        buf_addf(errors, "--var: up to %d of the form NAME=VALUE are expected\n", VERIFY_VARS_MAX);
    else
        request->vars[request->var_count++] =
            (struct received_var){slice_of(value, (size_t)(equals - value)), slice_str(equals + 1)};
}

static void take_now(struct verify *verify, const char *value, struct buf *errors)
{
    uint64_t seconds;
    verify->now_given = true;
    if (parse_u64(slice_str(value), &seconds) == ST_OK && seconds < UINT64_MAX / 1000)
        verify->request.now_ms = seconds * 1000;
    else if (time_parse_rfc3339(slice_str(value), &verify->request.now_ms) != ST_OK)
        buf_addf(errors, "--now: \"%s\" is no time; allowed: seconds since 1970, RFC 3339\n",
                 value);
}

static void take_option(struct verify *verify, int option, const char *value, struct buf *errors)
{
    struct verify_request *request = &verify->request;
    switch (option) {
    case SCHEME:
        request->scheme_name = value;
        break;
    case SCHEMES:
        verify->scheme_dir = value;
        break;
    case SECRET:
        if (request->secret_count < LIMIT_SECRETS)
            request->secrets[request->secret_count++] = slice_str(value);
        else
            buf_addf(errors, "--secret: more than %d\n", LIMIT_SECRETS);
        break;
    case HEADER:
        take_header(request, value, errors);
        break;
    case URL:
        request->url = slice_str(value);
        break;
    case METHOD:
        request->method = slice_str(value);
        break;
    case VAR:
        take_var(request, value, errors);
        break;
    case NOW:
        take_now(verify, value, errors);
        break;
    case VECTOR:
        verify->vector = value;
        break;
    default: /* AS_JSON, the last one */
        verify->as_json = true;
        break;
    }
}

static bool parse_arguments(struct verify *verify, int argc, char **argv, struct buf *errors)
{
    struct cli cli = {options, OPTIONS, argc, argv, 1, false};
    const char *value;
    for (int found; (found = cli_next(&cli, &value, errors)) != CLI_END;) {
        if (found == CLI_WORD)
            buf_addf(errors, "unexpected argument \"%s\"\n", value);
        else if (found != CLI_WRONG)
            take_option(verify, found, value, errors);
    }
    bool described = verify->request.scheme_name || verify->request.secret_count > 0;
    if (errors->len == 0 && !verify->vector && !verify->request.scheme_name)
        buf_add_str(errors, "--scheme or --vector is needed\n");
    if (errors->len == 0 && verify->vector && described)
        buf_add_str(errors, "--vector brings its own scheme and secrets\n");
    return errors->len == 0;
}

/* ---- Input ----------------------------------------------------------------------------------- */

static bool read_stream(FILE *stream, const char *name, struct buf *input, struct buf *errors)
{
    char *place;
    size_t len;
    while ((place = buf_reserve(input, 4096)) && (len = fread(place, 1, 4096, stream)) > 0)
        input->len += len;
    if (ferror(stream))
        buf_addf(errors, "%s: %s\n", name, strerror(errno));
    else if (buf_status(input) != ST_OK)
        buf_addf(errors, "%s: longer than %d bytes, or memory is short\n", name,
                 VERIFY_BODY_BYTES_MAX);
    return errors->len == 0;
}

static bool read_input(struct verify *verify, struct buf *errors)
{
    const char *name = verify->vector;
    if (!name || strcmp(name, "-") == 0)
        return read_stream(stdin, "standard input", &verify->input, errors);
    FILE *file = fopen(name, "re");
    if (!file) {
        buf_addf(errors, "%s: %s\n", name, strerror(errno));
        return false;
    }
    bool good = read_stream(file, name, &verify->input, errors);
    fclose(file);
    return good;
}

/* Takes the next vector off the input. False: there is none left. */
static bool next_vector(struct slice *input, struct slice *line)
{
    while (input->ptr && input->len > 0) {
        const char *end = memchr(input->ptr, '\n', input->len);
        size_t len = end ? (size_t)(end - input->ptr) : input->len;
        *line = trim(slice_of(input->ptr, len));
        *input = slice_from(*input, len + 1);
        if (line->len > 0)
            return true;
    }
    return false;
}

/* ---- Verifying ------------------------------------------------------------------------------- */

static void free_keys(struct verify *verify)
{
    while (verify->key_count > 0)
        signer_key_free(verify->keys[--verify->key_count]);
}

static bool make_keys(struct verify *verify, const struct scheme *scheme, struct buf *errors)
{
    for (size_t i = 0; i < verify->request.secret_count; i++) {
        const char *reason = "not enough memory";
        if (scheme_verify_key(scheme, verify->request.secrets[i], &verify->keys[verify->key_count],
                              &reason) == ST_OK)
            verify->key_count++;
        else if (!verify->vector)
            buf_addf(errors, "--secret: not a secret of the scheme \"%s\": %s\n",
                     scheme_name(scheme), reason);
    }
    return errors->len == 0;
}

/* Judges the request and adds what was found to `out`. True when it verifies. */
static bool judge(const struct verify *verify, const struct scheme *scheme, struct buf *out)
{
    static const struct received_tolerance off = {RECEIVED_TOLERANCE_OFF, RECEIVED_TOLERANCE_OFF};
    const struct verify_request *request = &verify->request;
    const char *mark =
        request->url.len > 0 ? memchr(request->url.ptr, '?', request->url.len) : NULL;
    struct received received = {
        .method = request->method,
        .path = SLICE("/"),
        .query =
            mark ? slice_from(request->url, (size_t)(mark - request->url.ptr) + 1) : SLICE_NULL,
        .headers = request->headers,
        .header_count = request->header_count,
        .body = request->body,
        .public_url = request->url,
        .vars = request->vars,
        .var_count = request->var_count,
        .now_ms = request->now_ms,
    };
    struct verify_result result = {.scheme = scheme, .received = &received};
    result.unlimited = verify->vector && !verify->now_given;
    if (result.unlimited)
        received.tolerance = &off;
    result.keys = verify->keys;
    result.key_count = verify->key_count;
    scheme_finding_init(&result.finding, 2 * VERIFY_BODY_BYTES_MAX);
    result.verdict =
        scheme_verify(scheme, &received, verify->keys, verify->key_count, &result.finding);
    if (result.unlimited)
        received.now_ms = result.finding.timestamp_ms;
    if (verify->as_json)
        verify_explain_json(&result, out);
    else
        verify_explain(&result, out);
    scheme_finding_deinit(&result.finding);
    return result.verdict == VERIFY_OK;
}

/* The request that the options describe. */
static int run_request(struct verify *verify, struct buf *errors, struct buf *out)
{
    struct verify_request *request = &verify->request;
    const struct scheme *scheme = scheme_choose(verify->schemes, request->scheme_name, errors);
    request->body = buf_slice(&verify->input);
    if (!verify->now_given)
        request->now_ms = clock_wall_ms();
    if (!scheme || !make_keys(verify, scheme, errors))
        return CLI_EXIT_USAGE;
    return judge(verify, scheme, out) ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

/* One vector. The options about the time are for all of them. */
static int run_vector(struct verify *verify, struct slice line, struct buf *errors, struct buf *out)
{
    const uint64_t now_ms = verify->request.now_ms;
    verify->request = (struct verify_request){.method = SLICE("POST"), .now_ms = now_ms};
    buf_clear(&verify->texts);
    enum status status = verify_vector_parse(line, &verify->request, &verify->texts, errors);
    if (status == ST_NOMEM)
        buf_add_str(errors, "not enough memory\n");
    const struct scheme *scheme =
        status == ST_OK ? scheme_choose(verify->schemes, verify->request.scheme_name, errors)
                        : NULL;
    if (!scheme || !make_keys(verify, scheme, errors))
        return CLI_EXIT_USAGE;
    bool good = judge(verify, scheme, out);
    free_keys(verify);
    return good ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

static int run_vectors(struct verify *verify, struct buf *errors, struct buf *out)
{
    struct slice input = buf_slice(&verify->input), line = SLICE_NULL;
    int code = CLI_EXIT_OK;
    if (!next_vector(&input, &line)) {
        buf_add_str(errors, "--vector: it is empty\n");
        return CLI_EXIT_USAGE;
    }
    do {
        int found = run_vector(verify, line, errors, out);
        code = found > code ? found : code;
        if (!verify->as_json && found != CLI_EXIT_USAGE && input.len > 0)
            buf_add_char(out, '\n');
    } while (code != CLI_EXIT_USAGE && next_vector(&input, &line));
    return code;
}

static int run(struct verify *verify, int argc, char **argv)
{
    struct buf errors, out;
    int code = CLI_EXIT_USAGE;
    buf_init(&errors, 16 * 1024);
    buf_init(&out, SIZE_MAX);
    if (parse_arguments(verify, argc, argv, &errors) && read_input(verify, &errors))
        verify->schemes = scheme_choice_load(verify->scheme_dir, &errors);
    if (verify->schemes)
        code = verify->vector ? run_vectors(verify, &errors, &out)
                              : run_request(verify, &errors, &out);
    if (code == CLI_EXIT_USAGE) {
        buf_free(&out);
        return cli_fail(&errors, argv[0], code);
    }
    buf_free(&errors);
    int written = cli_finish(&out);
    return written == CLI_EXIT_OK ? code : written;
}

int verify_command(int argc, char **argv)
{
    if (cli_wants_help(argc, argv)) {
        struct buf out;
        buf_init(&out, 64 * 1024);
        cli_print_help(&out, &help);
        return cli_finish(&out);
    }
    struct verify verify = {.request = {.method = SLICE("POST")}};
    buf_init(&verify.input, VERIFY_BODY_BYTES_MAX);
    buf_init(&verify.texts, VERIFY_BODY_BYTES_MAX);
    int code = run(&verify, argc, argv);
    free_keys(&verify);
    scheme_set_free(verify.schemes);
    for (struct buf *buf = &verify.input; buf; buf = buf == &verify.input ? &verify.texts : NULL) {
        if (buf->ptr)
            explicit_bzero(buf->ptr, buf->len); /* a vector has secrets in it */
        buf_free(buf);
    }
    return code;
}
