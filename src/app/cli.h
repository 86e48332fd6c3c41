/* cli.h - the command line of one subcommand, and the text of its --help.
 *
 * getopt_long is not used because it takes any unambiguous prefix of a name (a new option can then
 * break old scripts) and cannot suggest what was meant.
 */
#ifndef TROTLINE_APP_CLI_H
#define TROTLINE_APP_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* What every subcommand ends with. More are in its --help. */
enum cli_exit { CLI_EXIT_OK = 0, CLI_EXIT_FAILED = 1, CLI_EXIT_USAGE = 2 };

struct cli_option {
    const char *name;     /* without "--" */
    const char *argument; /* what stands for its value in --help; NULL: the option has none */
    const char *help;     /* sentences, with default and unit */
};

struct cli {
    const struct cli_option *options;
    size_t count;
    int argc;
    char **argv;
    int next;        /* start with 1: argv[0] is the subcommand */
    bool only_words; /* "--" was seen */
};

enum { CLI_END = -1, CLI_WORD = -2, CLI_WRONG = -3 };

/* Takes the next argument: the index of an option, with its value (NULL for one without), or
 * CLI_WORD with the word in `value` ("-" is a word), CLI_END, or CLI_WRONG with one line in
 * `errors`. Values are given as "--name VALUE" or "--name=VALUE"; VALUE may start with "--" only
 * in the second form. `value` is borrowed from argv. */
int cli_next(struct cli *cli, const char **value, struct buf *errors);

/* True when --help or -h stands in front of any "--". */
bool cli_wants_help(int argc, char **argv);

struct cli_help {
    const char *usage;   /* "send TYPE [JSON|-] [options]" */
    const char *summary; /* sentences */
    const struct cli_option *options;
    size_t count;
    const char *more; /* further sections, laid out by hand, ending in a newline; or NULL */
};

void cli_print_help(struct buf *out, const struct cli_help *help);

/* The "Options:" part alone. */
void cli_print_options(struct buf *out, const struct cli_option *options, size_t count);

/* Sentences filled into lines of at most 96 columns, each of which begins with `line_start`. */
void cli_add_filled(struct buf *out, const char *line_start, const char *sentences);

/* Writes to standard output and frees `out`. The exit code: failed when it could not be written. */
int cli_finish(struct buf *out);

/* Writes `errors`, each line after "trotline: ", to standard error, and where help is. Frees
 * `errors`; returns `code`. */
int cli_fail(struct buf *errors, const char *command, int code);

#endif
