/* main.c - which subcommand? Everything else is theirs. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/commands.h"
#include "base/suggest.h"
#include "base/writer_child.h"

static int help_command(int argc, char **argv);

static const struct command {
    const char *name;
    const char *summary;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"serve", "run the gateway", serve_command},
    {"sink", "receive, verify and print deliveries", sink_command},
    {"send", "publish one event", send_command},
    {"source", "list, change and try sources of received webhooks", source_command},
    {"feed", "look after the Redis streams that events are read from", feed_command},
    {"verify", "explain why a captured request verifies, or not", verify_command},
    {"check-config", "check a configuration, or print all options", check_config_command},
    {"version", "versions of trotline and its libraries", version_command},
    {"help", "this, or the --help of a subcommand", help_command},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void add_overview(struct buf *out)
{
    buf_add_str(out, "Usage: trotline COMMAND [options]\n"
                     "\n"
                     "Trotline is a webhook gateway: it takes events, stores them in Redis, and "
                     "delivers them, signed,\n"
                     "to every endpoint that subscribed.\n"
                     "\n"
                     "Commands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        buf_addf(out, "  %-13s %s\n", commands[i].name, commands[i].summary);
    buf_add_str(out, "\n\"trotline COMMAND --help\" tells all about one.\n");
}

static int unknown_command(const char *name)
{
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < COMMANDS; i++)
        suggest_add(&suggest, commands[i].name);
    fprintf(stderr, "trotline: unknown command \"%s\"", name);
    if (suggest.best)
        fprintf(stderr, "; did you mean \"%s\"?", suggest.best);
    fputs("\nSee: trotline help\n", stderr);
    return CLI_EXIT_USAGE;
}

static int help_command(int argc, char **argv)
{
    if (argc > 1 && !cli_wants_help(argc, argv)) {
        const struct command *command = find_command(argv[1]);
        char ask[] = "--help";
        char *ask_argv[] = {argv[1], ask, NULL};
        return command ? command->main(2, ask_argv) : unknown_command(argv[1]);
    }
    struct buf out;
    buf_init(&out, 16 * 1024);
    add_overview(&out);
    return cli_finish(&out);
}

/* A descriptor of ours must never become what others take for standard error. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], WRITER_COMMAND) == 0)
        return writer_child_main(argc - 1, argv + 1);
    open_standard_descriptors();
    if (argc < 2) {
        struct buf out;
        buf_init(&out, 16 * 1024);
        add_overview(&out);
        fprintf(stderr, "%.*s", SLICE_ARGS(buf_slice(&out)));
        buf_free(&out);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_command(1, argv);
    if (strcmp(argv[1], "--version") == 0)
        return version_command(argc - 1, argv + 1);
    const struct command *command = find_command(argv[1]);
    return command ? command->main(argc - 1, argv + 1) : unknown_command(argv[1]);
}
