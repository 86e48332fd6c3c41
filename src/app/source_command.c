/* source_command.c - trotline source: sources of a server, from the command line.
 *
 * A client of the API. What is put is JSON, or a YAML file of the form that conf/sources has, which
 * is turned to JSON here, so that a file can first be tried and then be installed, or the other way
 * round.
 */
#include "app/source_command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/json_walk.h"
#include "core/source_file.h"

enum { BODY_BYTES_MAX = 1024 * 1024, PATH_BYTES = 256 };

static const struct cli_option options[SOURCE_OPTIONS] = {
    [SOURCE_SECRET] =
        {"secret", "SECRET",
         "test: the secret to sign with. Other users of this machine can see it while "
         "the command runs. Default: TROTLINE_SOURCE_SECRET."},
    [SOURCE_SCHEMES] = {"schemes", "DIR",
                        "test: directory of further schemes (*.yaml), as the server has them. "
                        "Default: none."},
    CLIENT_OPTION_ROWS(SOURCE_CLIENT),
};

static const struct cli_help help = {
    .usage = "source list | get NAME | put NAME FILE|- | delete NAME | test NAME [JSON|-]",
    .summary =
        "Sources: third parties whose webhooks are received at /in/NAME. put makes or replaces "
        "one from JSON, or from a YAML file (*.yaml) such as conf/sources has. test signs a "
        "small request, or the given body, as the sender would, posts it, and prints the "
        "answer.",
    .options = options,
    .count = SOURCE_OPTIONS,
    .more = CLIENT_ENVIRONMENT
    "  TROTLINE_SOURCE_SECRET  the secret for test; --secret goes before it\n"
    "\n"
    "Examples:\n"
    "  trotline source put github conf/sources/github.yaml\n"
    "  trotline source get github > github.json\n"
    "  TROTLINE_SOURCE_SECRET=S trotline source test github '{\"action\":\"opened\"}'\n"
    "\n"
    "Exit codes: 0 done, 1 refused by the server, 2 usage (nothing was sent), 3 no answer\n"
    "  (if the connection broke or timed out, it may be done).\n",
};

/* ---- One exchange ---------------------------------------------------------------------------- */

int source_ask(struct source_command *command, const char *method, const char *path,
               struct slice body)
{
    const struct client_request request = {
        .method = method, .path = path, .body = body, .with_key = true};
    return client_exchange(&command->client, &request);
}

/* About the one that is named. */
static int ask_named(struct source_command *command, const char *method, struct slice body)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/api/sources/%s", command->name);
    return source_ask(command, method, path, body);
}

/* Prints the answer as it came when it is a good one. */
static int report_document(const struct client *client)
{
    int code = client_report(client);
    if (code != CLI_EXIT_OK || client->as_json)
        return code;
    client_print(stdout, buf_slice(&client->answer));
    return putchar('\n') == EOF || fflush(stdout) != 0 ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- list ------------------------------------------------------------------------------------ */

static void print_column(struct slice object, const char *name, int width, struct buf *text)
{
    struct slice value = client_member(object, name, text);
    client_print(stdout, value);
    printf("%*s", value.len < (size_t)width ? width - (int)value.len : 1, "");
}

/* One line: name, scheme, origin, and what was received here. */
static void print_source(struct slice source)
{
    struct buf text, received;
    buf_init(&text, BODY_BYTES_MAX);
    buf_init(&received, BODY_BYTES_MAX);
    struct slice counts = client_member(source, "received", &received);
    bool own = client_member(source, "verifier", &text).ptr != NULL;
    bool active = slice_eq(client_member(source, "active", &text), SLICE("true"));
    print_column(source, "name", 24, &text);
    if (own)
        printf("%-20s", "(its own)");
    else
        print_column(source, "scheme", 20, &text);
    print_column(source, "origin", 6, &text);
    printf("%-9saccepted=", active ? "active" : "inactive");
    client_print(stdout, client_member(counts, "accepted", &text));
    printf(" duplicate=");
    client_print(stdout, client_member(counts, "duplicate", &text));
    printf(" bad_signature=");
    client_print(stdout, client_member(counts, "bad_signature", &text));
    putchar('\n');
    buf_free(&text);
    buf_free(&received);
}

/* The items of the page's list, which has been checked, one after the other. */
static void print_page(struct slice list)
{
    struct json_walk walk = json_walk_begin(list);
    if (list.len == 0 || json_walk_type(&walk) != JSON_ARRAY)
        return;
    json_walk_enter(&walk);
    while (json_walk_more(&walk)) {
        const char *item = walk.at;
        json_walk_skip(&walk);
        print_source(slice_of(item, (size_t)(walk.at - item)));
    }
}

static int list_page(struct source_command *command, char path[PATH_BYTES], bool *more)
{
    struct client *client = &command->client;
    struct buf text;
    *more = false;
    int code = source_ask(command, "GET", path, SLICE_NULL);
    if (code == CLI_EXIT_OK)
        code = client_report(client);
    if (code != CLI_EXIT_OK)
        return code;
    buf_init(&text, BODY_BYTES_MAX * 16);
    struct slice answer = buf_slice(&client->answer);
    if (!client->as_json)
        print_page(client_member(answer, "sources", &text));
    struct slice cursor = client_member(answer, "cursor", &text);
    if (source_name_valid(cursor) && !slice_eq(cursor, SLICE("null"))) {
        snprintf(path, PATH_BYTES, "/api/sources?limit=500&cursor=%.*s", SLICE_ARGS(cursor));
        *more = true;
    }
    buf_free(&text);
    return fflush(stdout) == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

static int list(struct source_command *command)
{
    char path[PATH_BYTES] = "/api/sources?limit=500";
    bool more = true;
    int code = CLI_EXIT_OK;
    while (more && code == CLI_EXIT_OK)
        code = list_page(command, path, &more);
    return code;
}

/* ---- put ------------------------------------------------------------------------------------- */

/* Reads the file, or standard input, as JSON into the body. */
static bool read_file(struct source_command *command, struct buf *errors)
{
    const char *file = command->file;
    bool standard_input = strcmp(file, "-") == 0;
    bool yaml = slice_ends(slice_str(file), SLICE(".yaml"));
    char error[512];
    struct buf text;
    buf_init(&text, BODY_BYTES_MAX);
    int fd = standard_input ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !client_read(fd, &text))
        buf_addf(errors, "cannot read %s: %s\n", file, strerror(errno));
    else if (!yaml)
        buf_add_slice(&command->body, buf_slice(&text));
    else if (source_file_json(buf_slice(&text), file, &command->body, error, sizeof(error)))
        buf_addf(errors, "%s\n", error);
    if (fd >= 0 && !standard_input)
        (void)close(fd);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return errors->len == 0;
}

static int put(struct source_command *command, struct buf *errors)
{
    struct json_error problem;
    if (!read_file(command, errors))
        return CLI_EXIT_USAGE;
    if (json_check(buf_slice(&command->body), &problem) != ST_OK) {
        buf_addf(errors,
                 "%s is not JSON: %s at byte %zu; YAML is read from files that end in "
                 ".yaml\n",
                 command->file, problem.reason, problem.offset);
        return CLI_EXIT_USAGE;
    }
    int code = ask_named(command, "PUT", buf_slice(&command->body));
    return code == CLI_EXIT_OK ? report_document(&command->client) : code;
}

/* ---- The command line ------------------------------------------------------------------------ */

static int get(struct source_command *command)
{
    int code = ask_named(command, "GET", SLICE_NULL);
    return code == CLI_EXIT_OK ? report_document(&command->client) : code;
}

static int delete (struct source_command *command)
{
    int code = ask_named(command, "DELETE", SLICE_NULL);
    return code == CLI_EXIT_OK ? client_report(&command->client) : code;
}

enum verb { LIST, GET, PUT, DELETE, TEST, VERBS };

static const struct {
    const char *name;
    int words_min, words_max; /* behind it */
} verbs[VERBS] = {
    [LIST] = {"list", 0, 0},     [GET] = {"get", 1, 1},   [PUT] = {"put", 2, 2},
    [DELETE] = {"delete", 1, 1}, [TEST] = {"test", 1, 2},
};

static enum verb find_verb(const char *name)
{
    enum verb verb = LIST;
    while (verb < VERBS && (!name || strcmp(verbs[verb].name, name) != 0))
        verb++;
    return verb;
}

static bool parse_arguments(struct source_command *command, int argc, char **argv, enum verb *verb,
                            struct buf *errors)
{
    struct cli cli = {options, SOURCE_OPTIONS, argc, argv, 1, false};
    const char **const words[] = {&command->verb, &command->name, &command->file};
    const char *value;
    int count = 0;
    for (int found; (found = cli_next(&cli, &value, errors)) != CLI_END;) {
        if (found == CLI_WRONG)
            return false;
        if (found >= 0)
            command->given[found] = value ? value : "";
        else if (count++ < 3)
            *words[count - 1] = value;
    }
    *verb = find_verb(command->verb);
    if (*verb == VERBS)
        buf_add_str(errors, "say what to do: source list | get | put | delete | test\n");
    else if (count - 1 < verbs[*verb].words_min || count - 1 > verbs[*verb].words_max)
        buf_addf(errors, "usage: %s\n", help.usage);
    else if (command->name && !source_name_valid(slice_str(command->name)))
        buf_addf(errors, "\"%s\" cannot be a source's name\n", command->name);
    return errors->len == 0;
}

static int act(struct source_command *command, enum verb verb, struct buf *errors)
{
    switch (verb) {
    case LIST:
        return list(command);
    case GET:
        return get(command);
    case PUT:
        return put(command, errors);
    case DELETE:
        return delete (command);
    case TEST:
        return source_test(command, errors);
    case VERBS:
        break;
    }
    return CLI_EXIT_USAGE;
}

static int run(struct source_command *command, int argc, char **argv)
{
    struct buf errors;
    enum verb verb;
    int code = CLI_EXIT_USAGE;
    buf_init(&errors, 16 * 1024);
    if (parse_arguments(command, argc, argv, &verb, &errors) &&
        client_init(&command->client, command->given + SOURCE_CLIENT, &errors))
        code = act(command, verb, &errors);
    if (errors.len > 0)
        return cli_fail(&errors, argv[0], code);
    buf_free(&errors);
    return code;
}

int source_command(int argc, char **argv)
{
    if (cli_wants_help(argc, argv)) {
        struct buf out;
        buf_init(&out, 64 * 1024);
        cli_print_help(&out, &help);
        return cli_finish(&out);
    }
    struct source_command command = {.verb = NULL};
    buf_init(&command.body, BODY_BYTES_MAX);
    int code = run(&command, argc, argv);
    client_deinit(&command.client);
    if (command.body.ptr)
        explicit_bzero(command.body.ptr, command.body.len);
    buf_free(&command.body);
    return code;
}
