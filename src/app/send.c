/* send.c - trotline send: publish one event from the command line.
 *
 * With --batch, of many (send_batch.c).
 *
 * A client like any other: it knows the public API only and waits for its answer. What can be
 * checked without the server (options, JSON) is checked first, so that exit code 2 means that
 * nothing was sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/send_batch.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/parse.h"

enum {
    DATA_BYTES_MAX = 64 * 1024 * 1024, /* the server's own limit is the one that counts */
    ANSWER_BYTES_MAX = 1024 * 1024
};

enum { BATCH, IDEMPOTENCY_KEY, DELAY, DELIVER_AT, CLIENT, OPTIONS = CLIENT + CLIENT_OPTIONS };

static const struct cli_option options[OPTIONS] = {
    [BATCH] =
        {"batch", "FILE|-",
         "Publishes the events of a file, or of standard input: a line for each, as JSON such "
         "as {\"type\":\"order.created\",\"data\":{}}. Prints how many were accepted, and tells "
         "of each other one its line and why."},
    [IDEMPOTENCY_KEY] = {"idempotency-key", "KEY",
                         "Sending the same key again within the server's idempotency.ttl publishes "
                         "nothing and answers with the first event's id. With --batch it is each "
                         "line's together with its number. Default: none."},
    [DELAY] = {"delay", "DURATION",
               "Deliver this much later, such as 90s, 5m or 2h. Default: at once."},
    [DELIVER_AT] = {"deliver-at", "TIME",
                    "Deliver then: RFC 3339 in at most 366 days, as \"date -u -d 1day +%FT%TZ\" "
                    "prints it. Default: at once."},
    CLIENT_OPTION_ROWS(CLIENT),
};

static const struct cli_help help = {
    .usage = "send TYPE [JSON|-] [options]\n       trotline send --batch FILE|- [options]",
    .summary = "Publishes one event of type TYPE with the data JSON (default: {}), or the data "
               "from standard input (-). Prints its id and the number of endpoints it goes to.",
    .options = options,
    .count = OPTIONS,
    .more = CLIENT_ENVIRONMENT
    "\n"
    "Examples:\n"
    "  trotline send order.created '{\"order\":17,\"total\":\"9.90\"}'\n"
    "  trotline send order.created - --idempotency-key order-17 < order.json\n"
    "  trotline send reminder.due --delay 2h\n"
    "  trotline send --batch events.ndjson --idempotency-key import-17\n"
    "\n"
    "With --batch and --json the server's results are printed, a line for each event.\n"
    "\n"
    "Exit codes: 0 accepted (all), 1 refused by the server, 2 usage (nothing was sent),\n"
    "  3 no answer (if the connection broke or timed out, the event may be accepted; use\n"
    "  --idempotency-key to be able to try again).\n",
};

struct send {
    const char *given[OPTIONS]; /* the options' values; "" for a given one without; else NULL */
    const char *type;
    const char *data; /* as on the command line */
    struct client client;
    struct buf json; /* the event's data */
    struct buf body; /* the request */
};

/* ---- What is to be sent ---------------------------------------------------------------------- */

/* Its lines are whole events, which say by themselves what the other options and words say. */
static void check_batch(const struct send *send, struct buf *errors)
{
    if (send->type)
        buf_addf(errors, "--batch takes whole events: no \"%s\" besides\n", send->type);
    if (send->given[DELAY] || send->given[DELIVER_AT])
        buf_add_str(errors, "--batch takes whole events: give delay or deliverAt in each\n");
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
    if (send->given[BATCH])
        check_batch(send, errors);
    else if (!send->type || send->type[0] == '\0')
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

static bool check_options(const struct send *send, struct buf *errors)
{
    uint64_t ignored;
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
    } else if (!client_read(STDIN_FILENO, &send->json)) {
        buf_addf(errors, "cannot read the data from standard input: %s\n", strerror(errno));
        return false;
    }
    struct json_error error;
    if (json_check(buf_slice(&send->json), &error) == ST_OK)
        return true;
    buf_addf(errors, "the data is not JSON: %s at byte %zu\n", error.reason, error.offset);
    return false;
}

static void build_request(struct send *send)
{
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

/* ---- The answer ------------------------------------------------------------------------------ */

static int report_accepted(const struct send *send)
{
    struct buf id_text, count_text;
    buf_init(&id_text, ANSWER_BYTES_MAX);
    buf_init(&count_text, ANSWER_BYTES_MAX);
    struct slice id = client_member(buf_slice(&send->client.answer), "id", &id_text);
    struct slice count = client_member(buf_slice(&send->client.answer), "deliveries", &count_text);
    int code = CLI_EXIT_OK;
    if (!id.ptr) {
        fprintf(stderr, "trotline: %s does not answer like trotline\n", send->client.url.ptr);
        code = CLIENT_EXIT_REFUSED;
    } else {
        client_print(stdout, id);
        if (count.ptr) {
            fputs(" deliveries=", stdout);
            client_print(stdout, count);
        }
        if (putchar('\n') == EOF || fflush(stdout) != 0)
            code = CLI_EXIT_FAILED;
    }
    buf_free(&id_text);
    buf_free(&count_text);
    return code;
}

static int run_batch(struct send *send, const char *command, struct buf *errors)
{
    const char *path = send->given[BATCH];
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        buf_addf(errors, "cannot open %s: %s\n", path, strerror(errno));
        return cli_fail(errors, command, CLI_EXIT_USAGE);
    }
    int code = send_batch(&send->client, fd, send->given[IDEMPOTENCY_KEY]);
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return code;
}

static int run(struct send *send, int argc, char **argv)
{
    struct buf errors;
    buf_init(&errors, 16 * 1024);
    if (!parse_arguments(send, argc, argv, &errors) || !check_options(send, &errors) ||
        !client_init(&send->client, send->given + CLIENT, &errors) ||
        (!send->given[BATCH] && !read_data(send, &errors)))
        return cli_fail(&errors, argv[0], CLI_EXIT_USAGE);
    if (send->given[BATCH])
        return run_batch(send, argv[0], &errors);
    build_request(send);
    if (buf_status(&send->body) != ST_OK) {
        buf_add_str(&errors, "the request is too large or memory is short\n");
        return cli_fail(&errors, argv[0], CLI_EXIT_USAGE);
    }
    const struct client_request request = {
        .method = "POST", .path = "/api/events", .body = buf_slice(&send->body), .with_key = true};
    int code = client_exchange(&send->client, &request);
    if (code == CLI_EXIT_OK)
        code = client_report(&send->client);
    if (code == CLI_EXIT_OK && !send->client.as_json)
        code = report_accepted(send);
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
    buf_init(&send.body, DATA_BYTES_MAX + 64 * 1024);
    int code = run(&send, argc, argv);
    client_deinit(&send.client);
    buf_free(&send.json);
    buf_free(&send.body);
    return code;
}
