/* cli.c - see cli.h. */
#include "app/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/suggest.h"

enum { COLUMNS = 96 };

/* ---- Arguments ------------------------------------------------------------------------------- */

static int wrong_option(const struct cli *cli, const char *name, struct buf *errors)
{
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < cli->count; i++)
        suggest_add(&suggest, cli->options[i].name);
    buf_addf(errors, "unknown option --%s", name);
    if (suggest.best)
        buf_addf(errors, "; did you mean --%s?", suggest.best);
    buf_add_char(errors, '\n');
    return CLI_WRONG;
}

/* `inline_value` follows "=" or is NULL. */
static int take_value(struct cli *cli, int index, const char *inline_value, const char **value,
                      struct buf *errors)
{
    const struct cli_option *option = &cli->options[index];
    *value = inline_value;
    if (!option->argument) {
        if (!inline_value)
            return index;
        buf_addf(errors, "--%s takes no value\n", option->name);
        return CLI_WRONG;
    }
    if (inline_value)
        return index;
    if (cli->next >= cli->argc || strncmp(cli->argv[cli->next], "--", 2) == 0) {
        buf_addf(errors, "--%s needs a value: --%s %s\n", option->name, option->name,
                 option->argument);
        return CLI_WRONG;
    }
    *value = cli->argv[cli->next++];
    return index;
}

int cli_next(struct cli *cli, const char **value, struct buf *errors)
{
    if (cli->next >= cli->argc)
        return CLI_END;
    const char *argument = cli->argv[cli->next++];
    if (cli->only_words || argument[0] != '-' || argument[1] == '\0') {
        *value = argument;
        return CLI_WORD;
    }
    if (argument[1] != '-') {
        buf_addf(errors, "unknown option %s; options begin with \"--\"\n", argument);
        return CLI_WRONG;
    }
    if (argument[2] == '\0') {
        cli->only_words = true;
        return cli_next(cli, value, errors);
    }

    const char *name = argument + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    for (size_t i = 0; i < cli->count; i++) {
        if (strlen(cli->options[i].name) == len && memcmp(cli->options[i].name, name, len) == 0)
            return take_value(cli, (int)i, equals ? equals + 1 : NULL, value, errors);
    }
    char shown[64];
    (void)snprintf(shown, sizeof(shown), "%.*s", (int)(len < sizeof(shown) ? len : sizeof(shown)),
                   name);
    return wrong_option(cli, shown, errors);
}

bool cli_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

void cli_add_filled(struct buf *out, const char *line_start, const char *sentences)
{
    size_t indent = strlen(line_start);
    size_t column = 0;
    const char *word = sentences + strspn(sentences, " ");
    while (*word) {
        size_t len = strcspn(word, " ");
        if (column > 0 && column + 1 + len > COLUMNS) {
            buf_add_char(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_add_str(out, line_start);
            column = indent;
        } else {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add(out, word, len);
        column += len;
        word += len;
        word += strspn(word, " ");
    }
    if (column > 0)
        buf_add_char(out, '\n');
}

void cli_print_options(struct buf *out, const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "  --%s", options[i].name);
        if (options[i].argument)
            buf_addf(out, " %s", options[i].argument);
        buf_add_char(out, '\n');
        cli_add_filled(out, "        ", options[i].help);
    }
}

void cli_print_help(struct buf *out, const struct cli_help *help)
{
    buf_addf(out, "Usage: trotline %s\n\n", help->usage);
    cli_add_filled(out, "", help->summary);
    buf_add_str(out, "\nOptions:\n");
    cli_print_options(out, help->options, help->count);
    buf_add_str(out, "  --help\n        Prints this and does nothing else.\n");
    if (help->more)
        buf_addf(out, "\n%s", help->more);
}

int cli_finish(struct buf *out)
{
    bool done = buf_status(out) == ST_OK &&
                (out->len == 0 || fwrite(out->ptr, 1, out->len, stdout) == out->len) &&
                fflush(stdout) == 0;
    buf_free(out);
    if (!done)
        perror("trotline: cannot write to standard output");
    return done ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

int cli_fail(struct buf *errors, const char *command, int code)
{
    const char *line = errors->ptr;
    const char *end = line ? line + errors->len : NULL;
    while (line && line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        fprintf(stderr, "trotline: %.*s\n", (int)(stop - line), line);
        line = stop + 1;
    }
    if (code == CLI_EXIT_USAGE)
        fprintf(stderr, "See: trotline %s --help\n", command);
    buf_free(errors);
    return code;
}
