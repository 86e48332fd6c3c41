/* sink.c - trotline sink: a receiver for development.
 *
 * It is built of the parts the gateway itself receives and verifies with, so a delivery that the
 * sink calls verified is what the scheme's description says.
 *
 *     request ──► on_request: find id and type, verify, print ──► answer now
 *                                                            └──► or a late_answer and its timer
 *
 * What it remembers is bounded: the last SEEN_MAX ids, to recognise repeated ones.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/address.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/fraction.h"
#include "app/scheme_choice.h"
#include "app/sink_events.h"
#include "app/sink_view.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/parse.h"
#include "base/rng.h"
#include "net/http_server.h"
#include "net/signals.h"

enum {
    SEEN_MAX = 65536,
    BODY_BYTES_MAX = 16 * 1024 * 1024,
    BUFFERED_BYTES_MAX = 256 * 1024 * 1024,
    CONNECTIONS_MAX = 10000,
    PRINTED_BYTES_MAX = 7 * BODY_BYTES_MAX, /* JSON may write a byte as six */
    DELAY_MS_MAX = 3600 * 1000,
    RETRY_AFTER_MAX = 64
};

enum {
    LISTEN,
    SECRET,
    SCHEME,
    SCHEMES,
    URL,
    STATUS,
    DELAY,
    FAIL_RATIO,
    RETRY_AFTER,
    AS_JSON,
    QUIET
};
enum { OPTIONS = QUIET + 1 };

static const struct cli_option options[OPTIONS] = {
    [LISTEN] = {"listen", "ADDR:PORT",
                "Where to listen; port 0 takes a free one. Default: 127.0.0.1:9000."},
    [SECRET] =
        {"secret", "SECRET",
         "What deliveries are verified with, as the gateway showed it. May be given up to 11 "
         "times; one of them must fit. Default: none, nothing is verified."},
    [SCHEME] =
        {"scheme", "NAME",
         "The wire format: one that is built in, such as standard or github, or one of --schemes. "
         "Default: standard."},
    [SCHEMES] = {"schemes", "DIR", "Directory of further schemes (*.yaml). Default: none."},
    [URL] = {"url", "URL",
             "The public URL that senders were given, where the scheme signs it. Default: none."},
    [STATUS] = {"status", "N", "Answer every request with this, 200 to 599. Default: 200."},
    [DELAY] = {"delay", "DURATION",
               "Wait this long before each answer, such as 250ms or 5s, up to 1h. Default: 0s."},
    [FAIL_RATIO] = {"fail-ratio", "RATIO",
                    "Answer this share of the requests, 0 to 1, with 500 instead. Default: 0."},
    [RETRY_AFTER] =
        {"retry-after", "VALUE",
         "Send this header Retry-After (seconds or an HTTP date) with every answer that "
         "is not 2xx. Default: none."},
    [AS_JSON] =
        {"json", NULL,
         "Print one JSON object per request: time, method, path, id, type, events (how many, "
         "of a batch), seenBefore, verified, reason, status, headers, body (a string). The summary "
         "is one too."},
    [QUIET] = {"quiet", NULL, "Print the summary only."},
};

static const struct cli_help help = {
    .usage = "sink [options]",
    .summary = "Receives webhooks, verifies their signatures, prints them and answers: the other "
               "side of a delivery, for development. Every path is taken. The first line of the "
               "output is \"listening on http://ADDR:PORT\"; SIGINT and SIGTERM end it with a "
               "summary. A repeated id is marked \"seen before\" (the last 65536 are remembered). "
               "Verification does not change the answer.",
    .options = options,
    .count = OPTIONS,
    .more = "Examples:\n"
            "  trotline sink --secret whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n"
            "  trotline sink --listen 127.0.0.1:0 --status 503 --retry-after 2\n"
            "  trotline sink --delay 2s --fail-ratio 0.3 --json\n"
            "\n"
            "Exit codes: 0 stopped by a signal, 1 cannot listen, 2 usage.\n",
};

struct sink {
    struct address listen;
    const char *secrets[LIMIT_SECRETS];
    size_t secret_count;
    const char *scheme_name, *scheme_dir, *url, *retry_after;
    int status;
    uint64_t delay_ms;
    double fail_ratio;
    bool as_json, quiet;

    struct scheme_set *schemes;
    const struct scheme *scheme;
    struct signer_key *keys[LIMIT_SECRETS];
    size_t key_count;

    struct reactor *reactor;
    struct http_server *server;
    struct signals *signals;
    struct list late; /* of struct late_answer */
    struct rng rng;
    struct buf printed;

    struct map seen;             /* of seen_nodes in use */
    struct map_node *seen_nodes; /* a ring */
    size_t seen_next;
    uint64_t received, verified, bad, duplicates;
};

struct late_answer {
    struct list node;
    struct sink *sink;
    struct http_request *request;
    struct reactor_timer *timer;
    int status;
};

/* ---- Options --------------------------------------------------------------------------------- */

static void take_status(struct sink *sink, const char *value, struct buf *errors)
{
    uint64_t status;
    if (parse_u64(slice_str(value), &status) == ST_OK && status >= 200 && status <= 599)
        sink->status = (int)status;
    else
        buf_addf(errors, "--status: \"%s\" is not acceptable; allowed: 200 to 599\n", value);
}

static void take_delay(struct sink *sink, const char *value, struct buf *errors)
{
    if (parse_duration_ms(slice_str(value), &sink->delay_ms) != ST_OK ||
        sink->delay_ms > DELAY_MS_MAX)
        buf_addf(errors,
                 "--delay: \"%s\" is not acceptable; allowed: a number and ms, s, m or h, up to "
                 "1h\n",
                 value);
}

static void take_retry_after(struct sink *sink, const char *value, struct buf *errors)
{
    size_t len = strlen(value);
    sink->retry_after = value;
    for (size_t i = 0; i <= len; i++) {
        if (len < 1 || len > RETRY_AFTER_MAX || (i < len && (value[i] < ' ' || value[i] > '~'))) {
            buf_add_str(errors, "--retry-after: allowed: 1 to 64 printable characters\n");
            return;
        }
    }
}

static void take_option(struct sink *sink, int option, const char *value, struct buf *errors)
{
    switch (option) {
    case LISTEN:
        if (address_parse(value, &sink->listen) != ST_OK)
            buf_addf(errors, "--listen: \"%s\" is not an address; allowed: %s\n", value,
                     ADDRESS_FORM);
        break;
    case SECRET:
        if (sink->secret_count < LIMIT_SECRETS)
            sink->secrets[sink->secret_count++] = value;
        else
            buf_addf(errors, "--secret: more than %d\n", LIMIT_SECRETS);
        break;
    case SCHEME:
        sink->scheme_name = value;
        break;
    case SCHEMES:
        sink->scheme_dir = value;
        break;
    case URL:
        sink->url = value;
        break;
    case STATUS:
        take_status(sink, value, errors);
        break;
    case DELAY:
        take_delay(sink, value, errors);
        break;
    case FAIL_RATIO:
        if (fraction_parse(value, &sink->fail_ratio) != ST_OK)
            buf_addf(errors, "--fail-ratio: \"%s\" is not acceptable; allowed: 0 to 1\n", value);
        break;
    case RETRY_AFTER:
        take_retry_after(sink, value, errors);
        break;
    case AS_JSON:
        sink->as_json = true;
        break;
    default: /* QUIET, the last one */
        sink->quiet = true;
        break;
    }
}

static bool parse_arguments(struct sink *sink, int argc, char **argv, struct buf *errors)
{
    struct cli cli = {options, OPTIONS, argc, argv, 1, false};
    const char *value;
    for (int found; (found = cli_next(&cli, &value, errors)) != CLI_END;) {
        if (found == CLI_WORD)
            buf_addf(errors, "unexpected argument \"%s\"\n", value);
        else if (found != CLI_WRONG)
            take_option(sink, found, value, errors);
    }
    return errors->len == 0;
}

static bool make_keys(struct sink *sink, struct buf *errors)
{
    for (size_t i = 0; i < sink->secret_count; i++) {
        const char *reason = "not enough memory";
        if (scheme_verify_key(sink->scheme, slice_str(sink->secrets[i]),
                              &sink->keys[sink->key_count], &reason) == ST_OK)
            sink->key_count++;
        else
            buf_addf(errors, "--secret: not a secret of the scheme \"%s\": %s\n",
                     scheme_name(sink->scheme), reason);
    }
    return errors->len == 0;
}

/* ---- Answering ------------------------------------------------------------------------------- */

static void answer(const struct sink *sink, struct http_request *request, int status)
{
    struct http_header headers[2] = {{SLICE("Content-Type"), SLICE("application/json")}};
    size_t count = 1;
    bool good = status < 300;
    if (!good && sink->retry_after)
        headers[count++] = (struct http_header){SLICE("Retry-After"), slice_str(sink->retry_after)};
    http_reply(request, status, headers, count,
               good ? SLICE("{\"received\":true}\n") : SLICE("{\"error\":\"as asked for\"}\n"));
}

static void late_answer_give(struct late_answer *late)
{
    list_remove(&late->node);
    reactor_timer_free(late->timer);
    answer(late->sink, late->request, late->status);
    free(late);
}

static void give_all_late(struct sink *sink)
{
    LIST_FOREACH(node, &sink->late)
    late_answer_give(CONTAINER_OF(node, struct late_answer, node));
}

static void on_late_answer_due(void *arg)
{
    late_answer_give(arg);
}

/* Without memory for the delay the answer is early, but it is given. */
static void answer_later(struct sink *sink, struct http_request *request, int status)
{
    struct late_answer *late = calloc(1, sizeof(*late));
    struct reactor_timer *timer =
        late ? reactor_timer_new(sink->reactor, on_late_answer_due, late) : NULL;
    if (!timer) {
        free(late);
        answer(sink, request, status);
        return;
    }
    late->sink = sink;
    late->request = request;
    late->status = status;
    late->timer = timer;
    list_push_back(&sink->late, &late->node);
    reactor_timer_set(timer, sink->delay_ms);
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* True when the id came before; remembers it otherwise, in place of the oldest one. */
static bool see(struct sink *sink, struct slice id)
{
    uint64_t hash = hash_bytes(id);
    if (map_first(&sink->seen, hash))
        return true;
    struct map_node *node = &sink->seen_nodes[sink->seen_next];
    if (sink->seen.count == SEEN_MAX)
        map_remove(&sink->seen, node);
    /* Without memory nothing is remembered, and nothing else depends on it. */
    if (map_insert(&sink->seen, node, hash) == ST_OK)
        sink->seen_next = (sink->seen_next + 1) % SEEN_MAX;
    return false;
}

/* The events of a batch, each of which may have come before in another. */
static void look_into(struct sink *sink, struct sink_view *view)
{
    struct sink_events events;
    struct sink_event event;
    view->batch = sink_events_begin(&events, view->headers, view->header_count, view->body);
    while (view->batch && sink_events_next(&events, &event)) {
        view->events++;
        view->repeated += event.id.ptr && see(sink, event.id);
    }
}

/* Id or type, or SLICE_NULL. */
static struct slice name_of(bool found, const struct buf *text)
{
    return found ? buf_slice(text) : SLICE_NULL;
}

static void count(struct sink *sink, const struct sink_view *view)
{
    sink->received++;
    sink->duplicates += view->seen_before;
    if (view->checked && view->verdict == VERIFY_OK)
        sink->verified++;
    else if (view->checked)
        sink->bad++;
}

static void print(struct sink *sink, const struct sink_view *view)
{
    if (sink->quiet)
        return;
    if (sink->as_json)
        sink_view_json(view, &sink->printed);
    else
        sink_view_text(view, &sink->printed);
    (void)fwrite(sink->printed.ptr, 1, sink->printed.len, stdout);
    buf_clear(&sink->printed);
}

static void on_request(void *arg, struct http_request *request)
{
    struct sink *sink = arg;
    struct buf id_text, type_text;
    buf_init(&id_text, BODY_BYTES_MAX);
    buf_init(&type_text, BODY_BYTES_MAX);
    struct sink_view view = {
        .at_ms = clock_wall_ms(),
        .method = http_request_method_name(request),
        .path = http_request_path(request),
        .body = http_request_body(request),
        .checked = sink->key_count > 0,
    };
    view.headers = http_request_headers(request, &view.header_count);
    struct received_header headers[LIMIT_HTTP_HEADERS];
    for (size_t i = 0; i < view.header_count; i++)
        headers[i] = (struct received_header){view.headers[i].name, view.headers[i].value};
    const struct received received = {
        .method = view.method,
        .path = view.path,
        .query = http_request_query(request),
        .headers = headers,
        .header_count = view.header_count,
        .body = view.body,
        .public_url = slice_str(sink->url),
        .now_ms = view.at_ms,
    };
    view.id = name_of(scheme_event_id(sink->scheme, NULL, &received, &id_text), &id_text);
    view.type = name_of(scheme_event_type(sink->scheme, NULL, &received, &type_text), &type_text);
    view.seen_before = view.id.ptr && see(sink, view.id);
    look_into(sink, &view);
    view.verdict = VERIFY_NO_SIGNATURE;
    if (view.checked)
        view.verdict = scheme_verify(sink->scheme, &received, sink->keys, sink->key_count, NULL);
    view.status = rng_unit(&sink->rng) < sink->fail_ratio ? 500 : sink->status;
    count(sink, &view);
    print(sink, &view);
    buf_free(&id_text);
    buf_free(&type_text);
    if (sink->delay_ms > 0)
        answer_later(sink, request, view.status);
    else
        answer(sink, request, view.status);
}

/* ---- Start and stop -------------------------------------------------------------------------- */

/* Whoever read the output has gone: nobody is left to work for. */
static void on_turn_end(void *arg)
{
    struct sink *sink = arg;
    if (fflush(stdout) != 0 || ferror(stdout))
        reactor_stop(sink->reactor);
}

static void on_signal(void *arg, int number)
{
    struct sink *sink = arg;
    (void)number;
    http_server_stop_accepting(sink->server);
    LIST_FOREACH(node, &sink->late)
    late_answer_give(CONTAINER_OF(node, struct late_answer, node));
    reactor_stop(sink->reactor);
}

static bool start(struct sink *sink, struct buf *errors)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    char error[256] = "not enough memory";
    const struct http_server_options server_options = {
        .address = sink->listen.host,
        .port = sink->listen.port,
        .connections_max = CONNECTIONS_MAX,
        .body_bytes_max = BODY_BYTES_MAX,
        .buffered_bytes_max = BUFFERED_BYTES_MAX,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_ms = 75000,
        .write_timeout_ms = 30000,
    };
    (void)signal(SIGPIPE, SIG_IGN);
    rng_seed(&sink->rng, rng_u64());
    sink->seen_nodes = calloc(SEEN_MAX, sizeof(sink->seen_nodes[0]));
    sink->reactor = reactor_new();
    if (sink->seen_nodes && sink->reactor) {
        reactor_add_hook(sink->reactor, "flush", on_turn_end, sink);
        sink->signals = signals_new(sink->reactor, numbers, 2, on_signal, sink);
        sink->server = http_server_new(sink->reactor, &server_options, on_request, sink);
    }
    if (sink->signals && sink->server &&
        http_server_listen(sink->server, error, sizeof(error)) == ST_OK)
        return true;
    buf_addf(errors, "%s\n", error);
    return false;
}

static int print_summary(const struct sink *sink)
{
    struct buf out;
    buf_init(&out, 1024);
    if (sink->as_json) {
        struct json_out json;
        json_out_begin(&json, &out);
        json_object_open(&json);
        json_member_u64(&json, "received", sink->received);
        json_member_u64(&json, "verified", sink->verified);
        json_member_u64(&json, "bad", sink->bad);
        json_member_u64(&json, "duplicates", sink->duplicates);
        json_object_close(&json);
        buf_add_char(&out, '\n');
    } else {
        buf_addf(&out, "received=%llu verified=%llu bad=%llu duplicates=%llu\n",
                 (unsigned long long)sink->received, (unsigned long long)sink->verified,
                 (unsigned long long)sink->bad, (unsigned long long)sink->duplicates);
    }
    return cli_finish(&out);
}

static int run(struct sink *sink, int argc, char **argv)
{
    struct buf errors, line;
    buf_init(&errors, 16 * 1024);
    bool good = parse_arguments(sink, argc, argv, &errors);
    if (good)
        sink->schemes = scheme_choice_load(sink->scheme_dir, &errors);
    if (sink->schemes)
        sink->scheme = scheme_choose(sink->schemes, sink->scheme_name, &errors);
    if (!sink->scheme || !make_keys(sink, &errors))
        return cli_fail(&errors, argv[0], CLI_EXIT_USAGE);
    if (!start(sink, &errors))
        return cli_fail(&errors, argv[0], CLI_EXIT_FAILED);

    buf_init(&line, 256);
    buf_add_str(&line, "listening on ");
    address_add_url(&line, &sink->listen, http_server_port(sink->server));
    buf_add_char(&line, '\n');
    int code = cli_finish(&line);
    if (code == CLI_EXIT_OK && reactor_run(sink->reactor) != ST_OK) {
        buf_add_str(&errors, "the event loop failed\n");
        code = cli_fail(&errors, argv[0], CLI_EXIT_FAILED);
    }
    return code == CLI_EXIT_OK ? print_summary(sink) : code;
}

static void deinit(struct sink *sink)
{
    give_all_late(sink);
    http_server_free(sink->server);
    signals_free(sink->signals);
    reactor_free(sink->reactor);
    map_free(&sink->seen);
    free(sink->seen_nodes);
    for (size_t i = 0; i < sink->key_count; i++)
        signer_key_free(sink->keys[i]);
    scheme_set_free(sink->schemes);
    buf_free(&sink->printed);
}

int sink_command(int argc, char **argv)
{
    if (cli_wants_help(argc, argv)) {
        struct buf out;
        buf_init(&out, 64 * 1024);
        cli_print_help(&out, &help);
        return cli_finish(&out);
    }
    struct sink sink = {
        .listen = {.host = "127.0.0.1", .port = 9000}, .scheme_name = "standard", .status = 200};
    list_init(&sink.late);
    map_init(&sink.seen);
    buf_init(&sink.printed, PRINTED_BYTES_MAX);
    int code = run(&sink, argc, argv);
    deinit(&sink);
    return code;
}
