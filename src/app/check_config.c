/* check_config.c - trotline check-config: is this configuration good, and what does it amount to?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/config_command.h"

enum { TEXT_BYTES = 4 * 1024 * 1024 };

static const struct cli_option options[] = {
    {"print-defaults", NULL,
     "Prints the sample file conf/trotline.yaml, with every option, its default, unit and range."},
    {"print", NULL,
     "Prints every option with its value and, unless it is the default, who set it."},
    {"json", NULL, "The same as one JSON object: {\"NAME\":{\"value\":…,\"from\":…},…}."},
};

static const struct cli_help help = {
    .usage = "check-config [options]",
    .summary = "Reads the configuration as \"trotline serve\" with the same options would, reports "
               "everything that is wrong with it, and starts nothing. Secrets are not printed.",
    .options = options,
    .count = sizeof(options) / sizeof(options[0]),
    .more =
        "Environment:\n"
        "  ${NAME} in a value of the file is replaced by that environment variable, which must "
        "be set.\n"
        "\n"
        "Examples:\n"
        "  trotline check-config --config /etc/trotline.yaml\n"
        "  trotline check-config --config /etc/trotline.yaml --set outbound.timeout=10s --print\n"
        "  trotline check-config --print-defaults > trotline.yaml\n"
        "\n"
        "Exit codes: 0 good, 1 something is wrong with a value or the file, 2 usage.\n",
};

static int print_nothing(const struct config *config)
{
    (void)config;
    return puts("the configuration is good") < 0 ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static int print_values(const struct config *config)
{
    struct buf out;
    buf_init(&out, TEXT_BYTES);
    config_print_values(config, &out);
    return cli_finish(&out);
}

static int print_json(const struct config *config)
{
    struct buf out;
    buf_init(&out, TEXT_BYTES);
    config_print_values_json(config, &out);
    return cli_finish(&out);
}

static int print_defaults(const struct config *config)
{
    (void)config;
    struct buf out;
    buf_init(&out, TEXT_BYTES);
    config_print_sample(&out);
    return cli_finish(&out);
}

int check_config_command(int argc, char **argv)
{
    int (*run)(const struct config *) = print_nothing;
    char **rest = calloc((size_t)argc + 1, sizeof(char *));
    int count = 0;
    if (!rest) {
        perror("trotline");
        return CLI_EXIT_FAILED;
    }
    /* No value of another option can be mistaken for these: values do not start with "--". */
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--print-defaults") == 0)
            run = print_defaults;
        else if (strcmp(argv[i], "--print") == 0)
            run = print_values;
        else if (strcmp(argv[i], "--json") == 0)
            run = print_json;
        else
            rest[count++] = argv[i];
    }
    int code = config_command(count, rest, &help, run);
    free(rest);
    return code;
}
