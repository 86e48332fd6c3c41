/* config_command.c - see config_command.h. */
#include "app/config_command.h"

enum { TEXT_BYTES = 256 * 1024 };

static int print_help(const struct cli_help *help)
{
    struct buf out;
    buf_init(&out, TEXT_BYTES);
    struct cli_help first = *help;
    first.more = NULL;
    cli_print_help(&out, &first);
    config_print_arguments(&out);
    buf_add_str(&out, "\nConfiguration (in the file of --config, or with --set NAME=VALUE):\n");
    config_print_options(&out);
    if (help->more)
        buf_addf(&out, "\n%s", help->more);
    return cli_finish(&out);
}

int config_command(int argc, char **argv, const struct cli_help *help,
                   int (*run)(const struct config *config))
{
    if (cli_wants_help(argc, argv))
        return print_help(help);

    struct config config;
    struct buf errors;
    buf_init(&errors, TEXT_BYTES);
    enum status status = config_load(&config, argc, argv, &errors);
    if (status != ST_OK)
        return cli_fail(&errors, argv[0], status == ST_SYNTAX ? CLI_EXIT_USAGE : CLI_EXIT_FAILED);
    buf_free(&errors);
    int code = run(&config);
    config_free(&config);
    return code;
}
