/* config.c - the three layers of configuration: defaults, file, command line.
 *
 *     defaults  ──►  FILE (--config)  ──►  command line  ──►  relations between options
 *     the table      texts, ${NAME}        the last wins      replica.heartbeat <= lease / 3
 *
 * Each layer sets values through config_value_set(), so a wrong value in the file is reported even
 * if the command line replaces it. All wrong values are reported, not only the first. ${NAME} is
 * replaced in the file only: on the command line the shell has done it.
 */
#include "app/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/config_file.h"
#include "app/config_option.h"
#include "base/env.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "net/redis_conn.h"

enum { REASON_BYTES = 4096 };

const char *config_origin_name(enum config_origin origin)
{
    static const char *const names[] = {"default", "file", "command line"};
    return names[origin];
}

/* ---- Setting one option ---------------------------------------------------------------------- */

/* Notes the text for check-config. */
static enum status note_given(struct config *config, const struct config_option *option,
                              struct config_text text, enum config_origin origin)
{
    struct config_given *given = &config->given[option - config_options];
    struct buf joined;
    buf_init(&joined, LIMIT_CONFIG_BYTES);
    if (option->secret && config_option_is_list(option))
        buf_addf(&joined, "(%zu not shown)", text.count);
    else if (option->secret && text.items[0][0])
        buf_add_str(&joined, "(not shown)");
    for (size_t i = 0; i < text.count && !option->secret; i++)
        buf_addf(&joined, "%s%s", i > 0 ? ", " : "", text.items[i]);
    buf_add_char(&joined, '\0');
    if (buf_status(&joined) != ST_OK) {
        buf_free(&joined);
        return ST_NOMEM;
    }
    free(given->text);
    given->text = joined.ptr;
    given->origin = origin;
    return ST_OK;
}

/* What is wrong is appended to `errors` as a line "NAME: reason". */
static enum status set_option(struct config *config, const struct config_option *option,
                              struct config_text text, enum config_origin origin,
                              struct buf *errors)
{
    struct buf reason;
    buf_init(&reason, REASON_BYTES);
    enum status status = config_value_set(config, option, text, &reason);
    if (status == ST_OK)
        status = note_given(config, option, text, origin);
    else if (status != ST_NOMEM)
        buf_addf(errors, "%s: %.*s\n", option->name, SLICE_ARGS(buf_slice(&reason)));
    buf_free(&reason);
    return status;
}

/* Splits what a default or the command line gives for a list, "a, b" or "[a, b]", in place. Returns
 * the number of items, or one more than may be when there are too many. */
static size_t split_list(char *text, char *items[LIMIT_CONFIG_LIST + 1])
{
    size_t len = strlen(text), count = 0;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text[len - 1] = '\0';
        text++;
    }
    text += strspn(text, " ");
    while (*text && count <= LIMIT_CONFIG_LIST) {
        size_t item = strcspn(text, ",");
        bool more = text[item] == ',';
        char *end = text + item;
        items[count++] = text;
        text = end + (more ? 1 : 0);
        while (end > items[count - 1] && end[-1] == ' ')
            end--;
        *end = '\0';
        text += strspn(text, " ");
    }
    return count;
}

/* Sets an option from one line of text, of which a list takes the parts between commas. */
static enum status set_line(struct config *config, const struct config_option *option,
                            const char *line, enum config_origin origin, struct buf *errors)
{
    char *items[LIMIT_CONFIG_LIST + 1];
    char *copy = strdup(line);
    if (!copy)
        return ST_NOMEM;
    items[0] = copy;
    size_t count = config_option_is_list(option) ? split_list(copy, items) : 1;
    enum status status =
        set_option(config, option, (struct config_text){items, count}, origin, errors);
    if (option->secret)
        explicit_bzero(copy, strlen(line));
    free(copy);
    return status;
}

static enum status set_defaults(struct config *config, struct buf *errors)
{
    memset(config, 0, sizeof(*config));
    config->given = calloc(config_options_count, sizeof(config->given[0]));
    if (!config->given)
        return ST_NOMEM;
    for (size_t i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        enum status status =
            set_line(config, option, option->fallback, CONFIG_FROM_DEFAULT, errors);
        if (status != ST_OK)
            return status;
    }
    return ST_OK;
}

/* ---- The file -------------------------------------------------------------------------------- */

static void free_items(char **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        explicit_bzero(items[i], strlen(items[i]));
        free(items[i]);
    }
    free(items);
}

/* Replaces variables in the texts of one option and sets it. */
static enum status apply_text(struct config *config, const struct config_option *option,
                              struct config_text text, struct buf *errors)
{
    char **items = calloc(text.count + 1, sizeof(char *));
    if (!items)
        return ST_NOMEM;
    struct buf reason;
    buf_init(&reason, REASON_BYTES);
    enum status status = ST_OK;
    size_t count = 0;
    while (status == ST_OK && count < text.count) {
        status = env_expand(text.items[count], LIMIT_CONFIG_VALUE_BYTES, &items[count], &reason);
        if (status == ST_OK)
            count++;
    }
    if (status == ST_OK)
        status = set_option(config, option, (struct config_text){items, count}, CONFIG_FROM_FILE,
                            errors);
    else if (status != ST_NOMEM)
        buf_addf(errors, "%s: %.*s\n", option->name, SLICE_ARGS(buf_slice(&reason)));
    buf_free(&reason);
    free_items(items, count);
    return status;
}

static enum status apply_file(struct config *config, const char *name, struct slice text,
                              struct buf *errors)
{
    enum status status;
    struct config_file *file = config_file_new(name, text, errors, &status);
    for (size_t i = 0; file && i < config_options_count && status != ST_NOMEM; i++) {
        const struct config_option *option = &config_options[i];
        struct config_text given;
        if (!config_file_get(file, option, &given))
            continue;
        struct buf wrong;
        buf_init(&wrong, 2 * REASON_BYTES);
        enum status applied = apply_text(config, option, given, &wrong);
        if (applied == ST_RANGE)
            buf_addf(errors, "%s:%u: %.*s", name, config_file_line(file, option),
                     SLICE_ARGS(buf_slice(&wrong)));
        if (applied != ST_OK)
            status = applied;
        buf_free(&wrong);
    }
    config_file_free(file);
    return status;
}

/* Reads a whole file, which may be a pipe, up to the limit. */
static enum status read_file(const char *path, struct buf *text, struct buf *errors)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && text->len <= LIMIT_CONFIG_BYTES) {
        char *place = buf_reserve(text, 16 * 1024);
        if (!place) {
            (void)close(fd);
            return ST_NOMEM;
        }
        do {
            got = read(fd, place, 16 * 1024);
        } while (got < 0 && errno == EINTR);
        text->len += got > 0 ? (size_t)got : 0;
    }
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (got < 0) {
        buf_addf(errors, "cannot read %s: %s\n", path, strerror(error));
        return ST_IO;
    }
    if (text->len > LIMIT_CONFIG_BYTES) {
        buf_addf(errors, "%s: larger than %d bytes\n", path, LIMIT_CONFIG_BYTES);
        return ST_RANGE;
    }
    return ST_OK;
}

static enum status apply_path(struct config *config, const char *path, struct buf *errors)
{
    struct buf text;
    buf_init(&text, LIMIT_CONFIG_BYTES + 32 * 1024);
    enum status status = read_file(path, &text, errors);
    if (status == ST_OK)
        status = apply_file(config, path, buf_slice(&text), errors);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return status;
}

/* ---- The command line ------------------------------------------------------------------------ */

/* The rows that stand for an option of the table have its name in `shorthands` below. */
static const struct cli_option arguments[] = {
    {"config", "FILE",
     "YAML file with any of the options below. conf/trotline.yaml is a sample with all of them. "
     "Default: none; the defaults are a complete configuration."},
    {"set", "NAME=VALUE",
     "Sets any of the options below and overrides the file. A list's items are separated by "
     "commas. May be given often; the last one wins."},
    {"listen", "ADDR:PORT", "Short for --set listen=ADDR:PORT."},
    {"redis", "WHERE", "Short for --set redis=WHERE."},
    {"data", "DIR", "Short for --set data=DIR."},
    {"log-level", "LEVEL", "Short for --set log.level=LEVEL."},
    {"log-format", "FORMAT", "Short for --set log.format=FORMAT."},
    {"workers", "N", "Short for --set workers=N."},
    {"dev", NULL, "Short for --set dev=true."},
};
enum { ARGUMENT_CONFIG, ARGUMENT_SET, ARGUMENTS = sizeof(arguments) / sizeof(arguments[0]) };

static const char *const shorthands[ARGUMENTS] = {
    NULL, NULL, "listen", "redis", "data", "log.level", "log.format", "workers", "dev"};

void config_print_arguments(struct buf *out)
{
    cli_print_options(out, arguments, ARGUMENTS);
}

/* One --set: "NAME=VALUE". */
static enum status apply_assignment(struct config *config, const char *assignment,
                                    struct buf *errors)
{
    char name[64];
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        buf_addf(errors, "--set %s: NAME=VALUE is expected\n", assignment);
        return ST_SYNTAX;
    }
    size_t len = (size_t)(equals - assignment);
    if (len >= sizeof(name))
        len = sizeof(name) - 1;
    memcpy(name, assignment, len);
    name[len] = '\0';

    const struct config_option *option = config_option_find(name);
    if (option)
        return set_line(config, option, equals + 1, CONFIG_FROM_COMMAND_LINE, errors);
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < config_options_count; i++)
        suggest_add(&suggest, config_options[i].name);
    buf_addf(errors, "--set: unknown option \"%s\"", name);
    if (suggest.best)
        buf_addf(errors, "; did you mean \"%s\"?", suggest.best);
    buf_add_char(errors, '\n');
    return ST_SYNTAX;
}

/* Finds --config and whether all arguments have a form; sets nothing. */
static enum status scan_command_line(int argc, char **argv, const char **path, struct buf *errors)
{
    struct cli cli = {arguments, ARGUMENTS, argc, argv, 1, false};
    const char *value;
    enum status status = ST_OK;
    for (int found; (found = cli_next(&cli, &value, errors)) != CLI_END;) {
        if (found == ARGUMENT_CONFIG)
            *path = value;
        if (found == CLI_WORD)
            buf_addf(errors, "unexpected argument \"%s\"\n", value);
        if (found < 0)
            status = ST_SYNTAX;
    }
    return status;
}

static enum status apply_command_line(struct config *config, int argc, char **argv,
                                      struct buf *errors)
{
    struct cli cli = {arguments, ARGUMENTS, argc, argv, 1, false};
    const char *value;
    enum status status = ST_OK;
    for (int found; (found = cli_next(&cli, &value, errors)) >= 0;) {
        enum status applied = ST_OK;
        if (found == ARGUMENT_SET)
            applied = apply_assignment(config, value, errors);
        else if (shorthands[found])
            applied = set_line(config, config_option_find(shorthands[found]),
                               value ? value : "true", CONFIG_FROM_COMMAND_LINE, errors);
        if (applied != ST_OK && status != ST_SYNTAX)
            status = applied;
    }
    return status;
}

/* ---- Everything ------------------------------------------------------------------------------ */

static enum status check_breaker(const struct config *config, struct buf *errors)
{
    if (config->breaker.open_for_ms <= config->breaker.open_for_max_ms)
        return ST_OK;
    buf_add_str(errors, "breaker.openForMax: ");
    format_duration(errors, config->breaker.open_for_max_ms);
    buf_add_str(errors, " is too short; allowed: no less than breaker.openFor (");
    format_duration(errors, config->breaker.open_for_ms);
    buf_add_str(errors, ")\n");
    return ST_RANGE;
}

static enum status check_replica(const struct config *config, struct buf *errors)
{
    if (config->replica.heartbeat_ms * 3 <= config->replica.lease_ms)
        return ST_OK;
    buf_add_str(errors, "replica.heartbeat: ");
    format_duration(errors, config->replica.heartbeat_ms);
    buf_add_str(errors, " is too long; allowed: a third of replica.lease (");
    format_duration(errors, config->replica.lease_ms);
    buf_add_str(errors, ") at most, so that one lost heartbeat does not end a lease\n");
    return ST_RANGE;
}

static enum status check_durability(const struct config *config, struct buf *errors)
{
    unsigned replicas = config_durability_replicas(config->durability);
    if (replicas == 0 || strcmp(config->redis, "embedded") != 0)
        return ST_OK;
    buf_addf(errors,
             "durability: replicas(%u) needs a Redis of your own that has replicas; the embedded "
             "one has none (allowed with it: always, everysec or memory)\n",
             replicas);
    return ST_RANGE;
}

/* Here and not in the option's row, because it says what is wrong with the URL. */
static enum status check_redis(const struct config *config, struct buf *errors)
{
    struct redis_options ignored = {0};
    struct buf storage;
    const char *reason = "";
    enum status status = ST_OK;
    if (strcmp(config->redis, "embedded") == 0)
        return ST_OK;
    buf_init(&storage, LIMIT_CONFIG_BYTES);
    status = redis_options_parse(&ignored, slice_str(config->redis), &storage, &reason);
    buf_free(&storage);
    if (status == ST_OK || status == ST_NOMEM)
        return status;
    buf_addf(errors, "redis: %s\n", reason);
    return ST_RANGE;
}

static enum status check_worker_listen(const struct config *config, struct buf *errors)
{
    struct address first;
    if (address_parse(config->worker_listen, &first) != ST_OK || first.port == 0 ||
        config->workers - 1 <= (uint64_t)(UINT16_MAX - first.port))
        return ST_OK;
    buf_addf(errors,
             "workerListen: %s is too high; allowed: a port that leaves one for each of %llu "
             "workers\n",
             config->worker_listen, (unsigned long long)config->workers);
    return ST_RANGE;
}

/* The worse of two: nothing outdoes ST_NOMEM, and a usage error outdoes a wrong value. */
static enum status worse(enum status a, enum status b)
{
    if (a == ST_NOMEM || b == ST_NOMEM)
        return ST_NOMEM;
    if (a == ST_OK || (b == ST_SYNTAX && a != ST_OK))
        return b;
    return a;
}

/* What no single row can say. */
static enum status check_feeds(const struct config *config, struct buf *errors)
{
    const struct config_strings *streams = &config->feed.streams;
    for (size_t i = 0; i < streams->count; i++) {
        size_t len = strcspn(streams->items[i], "=");
        for (size_t other = 0; other < i; other++) {
            if (strcspn(streams->items[other], "=") != len ||
                strncmp(streams->items[other], streams->items[i], len) != 0)
                continue;
            buf_addf(errors, "feed.streams names \"%.*s\" twice\n", (int)len, streams->items[i]);
            return ST_RANGE;
        }
    }
    return ST_OK;
}

static enum status check_relations(const struct config *config, struct buf *errors)
{
    enum status status = check_breaker(config, errors);
    status = worse(status, check_replica(config, errors));
    status = worse(status, check_redis(config, errors));
    status = worse(status, check_worker_listen(config, errors));
    status = worse(status, check_feeds(config, errors));
    return worse(status, check_durability(config, errors));
}

enum status config_load(struct config *config, int argc, char **argv, struct buf *errors)
{
    const char *path = NULL;
    enum status status = set_defaults(config, errors);
    if (status == ST_OK)
        status = scan_command_line(argc, argv, &path, errors);
    if (status == ST_OK && path)
        status = apply_path(config, path, errors);
    if (status == ST_OK || status == ST_RANGE)
        status = worse(status, apply_command_line(config, argc, argv, errors));
    if (status == ST_OK)
        status = check_relations(config, errors);
    if (status == ST_NOMEM)
        buf_add_str(errors, "not enough memory for the configuration\n");
    if (status != ST_OK)
        config_free(config);
    return status;
}

enum status config_load_text(struct config *config, const char *name, struct slice text,
                             struct buf *errors)
{
    enum status status = set_defaults(config, errors);
    if (status == ST_OK)
        status = apply_file(config, name, text, errors);
    if (status == ST_OK)
        status = check_relations(config, errors);
    if (status != ST_OK)
        config_free(config);
    return status;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < config_options_count; i++) {
        config_value_clear(config, &config_options[i]);
        if (config->given)
            free(config->given[i].text);
    }
    free(config->given);
    memset(config, 0, sizeof(*config));
}
