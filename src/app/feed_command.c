/* feed_command.c - trotline feed: the streams that events are read from, from the command line. A
 * client of the API.
 */
#include <string.h>

#include "app/client.h"
#include "app/commands.h"
#include "base/json_out.h"
#include "base/json_walk.h"
#include "base/limits.h"
#include "base/parse.h"

enum { PATH_BYTES = 256, TEXT_BYTES_MAX = 64 * 1024 * 1024, IDS_MOST = 1000, VALUE_SHOWN = 160 };

enum { FEED_NAME, FEED_LIMIT, FEED_ALL, FEED_CLIENT };
enum { FEED_OPTIONS = FEED_CLIENT + CLIENT_OPTIONS };

static const struct cli_option options[FEED_OPTIONS] = {
    [FEED_NAME] = {"feed", "NAME", "Which feed (feed.streams). Default: feed."},
    [FEED_LIMIT] = {"limit", "N", "rejected: at most so many, 1 to 100; the newest. Default: 50."},
    [FEED_ALL] = {"all", NULL, "requeue, discard: all that are rejected, in place of ids."},
    CLIENT_OPTION_ROWS(FEED_CLIENT),
};

static const struct cli_help help = {
    .usage = "feed [status] | rejected | requeue ID...|--all | discard ID...|--all",
    .summary =
        "Redis streams that events are read from. status shows how far they are read; rejected "
        "lists entries that could not become events, with the reason; requeue puts them back "
        "into the stream as they were, discard deletes them.",
    .options = options,
    .count = FEED_OPTIONS,
    .more = CLIENT_ENVIRONMENT
    "\n"
    "Examples:\n"
    "  redis-cli XADD 'tl:{0}:feed' '*' e '{\"type\":\"order.created\",\"data\":{\"order\":17}}'\n"
    "  trotline feed\n"
    "  trotline feed rejected --limit 5\n"
    "  trotline feed requeue 1795398226958-0\n"
    "\n"
    "Exit codes: 0 done, 1 refused by the server, 2 usage (nothing was sent), 3 no answer\n"
    "  (if the connection broke or timed out, it may be done).\n",
};

struct feed_command {
    const char *given[FEED_OPTIONS]; /* "" for one without a value; NULL: not given */
    const char *verb;
    const char *ids[IDS_MOST];
    size_t id_count;
    struct client client;
};

static const char *feed_name(const struct feed_command *command)
{
    return command->given[FEED_NAME] ? command->given[FEED_NAME] : "feed";
}

/* CLI_EXIT_OK: there is a good answer, and it was not printed yet. */
static int ask(struct feed_command *command, const char *method, const char *path,
               struct slice body)
{
    const struct client_request request = {
        .method = method, .path = path, .body = body, .with_key = true};
    int code = client_exchange(&command->client, &request);
    return code == CLI_EXIT_OK ? client_report(&command->client) : code;
}

static int printed(void)
{
    return fflush(stdout) == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

typedef void print_fn(struct slice item);

/* The items of a list, which has been checked, one after the other. */
static void print_items(struct slice list, print_fn *print)
{
    struct json_walk walk = json_walk_begin(list);
    if (list.len == 0 || json_walk_type(&walk) != JSON_ARRAY)
        return;
    json_walk_enter(&walk);
    while (json_walk_more(&walk)) {
        const char *item = walk.at;
        json_walk_skip(&walk);
        print(slice_of(item, (size_t)(walk.at - item)));
    }
}

static void print_list(const struct client *client, const char *name, print_fn *print)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    print_items(client_member(buf_slice(&client->answer), name, &text), print);
    buf_free(&text);
}

static void print_member(const char *before, struct slice object, const char *name)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    fputs(before, stdout);
    client_print(stdout, client_member(object, name, &text));
    buf_free(&text);
}

/* ---- status --------------------------------------------------------------------------------- */

static void print_feed(struct slice feed)
{
    struct buf text;
    print_member("", feed, "name");
    print_member(" ", feed, "key");
    print_member(" state=", feed, "state");
    print_member(" length=", feed, "length");
    print_member(" lag=", feed, "lag");
    print_member(" pending=", feed, "pending");
    print_member(" rejected=", feed, "rejected");
    buf_init(&text, TEXT_BYTES_MAX);
    struct slice results = client_member(feed, "results", &text);
    print_member(" published=", results, "published");
    print_member(" duplicate=", results, "duplicate");
    putchar('\n');
    buf_free(&text);
}

static int status(struct feed_command *command)
{
    int code = ask(command, "GET", "/api/feeds", SLICE_NULL);
    if (code != CLI_EXIT_OK || command->client.as_json)
        return code;
    print_list(&command->client, "feeds", print_feed);
    return printed();
}

/* ---- rejected ------------------------------------------------------------------------------- */

static void print_field(struct slice field)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    print_member("    ", field, "name");
    struct slice value = client_member(field, "value", &text);
    fputs(value.ptr ? " " : " (base64) ", stdout);
    if (!value.ptr)
        value = client_member(field, "valueBase64", &text);
    bool cut = value.len > VALUE_SHOWN;
    client_print(stdout, cut ? slice_of(value.ptr, VALUE_SHOWN) : value);
    puts(cut ? "..." : "");
    buf_free(&text);
}

static void print_rejected(struct slice entry)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    print_member("", entry, "id");
    print_member(" ", entry, "reason");
    print_member(": ", entry, "message");
    putchar('\n');
    print_items(client_member(entry, "fields", &text), print_field);
    buf_free(&text);
}

static int rejected(struct feed_command *command)
{
    char path[PATH_BYTES];
    const char *limit = command->given[FEED_LIMIT];
    snprintf(path, sizeof(path), "/api/feeds/%s/rejected%s%s", feed_name(command),
             limit ? "?limit=" : "", limit ? limit : "");
    int code = ask(command, "GET", path, SLICE_NULL);
    if (code != CLI_EXIT_OK || command->client.as_json)
        return code;
    print_list(&command->client, "rejected", print_rejected);
    return printed();
}

/* ---- requeue, discard ----------------------------------------------------------------------- */

static void write_selection(const struct feed_command *command, struct buf *body)
{
    struct json_out out;
    json_out_begin(&out, body);
    json_object_open(&out);
    if (command->given[FEED_ALL]) {
        json_member_bool(&out, "all", true);
    } else {
        json_key(&out, "ids");
        json_array_open(&out);
        for (size_t i = 0; i < command->id_count; i++)
            json_value_str(&out, command->ids[i]);
        json_array_close(&out);
    }
    json_object_close(&out);
}

static int clear(struct feed_command *command, const char *method, const char *what,
                 const char *done)
{
    struct buf body;
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/api/feeds/%s/%s", feed_name(command), what);
    buf_init(&body, TEXT_BYTES_MAX);
    write_selection(command, &body);
    int code =
        buf_status(&body) == ST_OK ? ask(command, method, path, buf_slice(&body)) : CLI_EXIT_FAILED;
    buf_free(&body);
    if (code != CLI_EXIT_OK || command->client.as_json)
        return code;
    print_member("", buf_slice(&command->client.answer), done);
    printf(" %s\n", done);
    return printed();
}

/* ---- The command line ------------------------------------------------------------------------ */

static bool name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= LIMIT_FEED_NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

static bool check(const struct feed_command *command, struct buf *errors)
{
    uint64_t number;
    const char *limit = command->given[FEED_LIMIT];
    bool clears = strcmp(command->verb, "requeue") == 0 || strcmp(command->verb, "discard") == 0;
    if (!clears && strcmp(command->verb, "status") != 0 && strcmp(command->verb, "rejected") != 0)
        buf_add_str(errors, "say what to do: feed status | rejected | requeue | discard\n");
    else if (!clears && (command->id_count > 0 || command->given[FEED_ALL]))
        buf_addf(errors, "%s takes no ids\n", command->verb);
    else if (clears && (command->id_count > 0) == (command->given[FEED_ALL] != NULL))
        buf_addf(errors, "say what to %s: ids of rejected entries, or --all\n", command->verb);
    if (limit && parse_u64(slice_str(limit), &number) != ST_OK)
        buf_addf(errors, "--limit must be a number, not \"%s\"\n", limit);
    if (!name_valid(feed_name(command)))
        buf_addf(errors, "\"%s\" cannot be a feed's name\n", feed_name(command));
    return errors->len == 0;
}

static bool parse_arguments(struct feed_command *command, int argc, char **argv, struct buf *errors)
{
    struct cli cli = {options, FEED_OPTIONS, argc, argv, 1, false};
    const char *value;
    for (int found; (found = cli_next(&cli, &value, errors)) != CLI_END;) {
        if (found == CLI_WRONG)
            return false;
        if (found >= 0)
            command->given[found] = value ? value : "";
        else if (!command->verb)
            command->verb = value;
        else if (command->id_count < IDS_MOST)
            command->ids[command->id_count++] = value;
        else
            buf_addf(errors, "at most %d ids are taken\n", IDS_MOST);
    }
    if (!command->verb)
        command->verb = "status";
    return check(command, errors);
}

static int act(struct feed_command *command)
{
    if (strcmp(command->verb, "rejected") == 0)
        return rejected(command);
    if (strcmp(command->verb, "requeue") == 0)
        return clear(command, "POST", "requeue", "requeued");
    if (strcmp(command->verb, "discard") == 0)
        return clear(command, "DELETE", "rejected", "discarded");
    return status(command);
}

static int run(struct feed_command *command, int argc, char **argv)
{
    struct buf errors;
    int code = CLI_EXIT_USAGE;
    buf_init(&errors, 16 * 1024);
    if (parse_arguments(command, argc, argv, &errors) &&
        client_init(&command->client, command->given + FEED_CLIENT, &errors))
        code = act(command);
    if (errors.len > 0)
        return cli_fail(&errors, argv[0], code);
    buf_free(&errors);
    return code;
}

int feed_command(int argc, char **argv)
{
    if (cli_wants_help(argc, argv)) {
        struct buf out;
        buf_init(&out, 64 * 1024);
        cli_print_help(&out, &help);
        return cli_finish(&out);
    }
    struct feed_command command = {.verb = NULL};
    int code = run(&command, argc, argv);
    client_deinit(&command.client);
    return code;
}
