/* config_value.c - a text becomes the value of an option, or a sentence that says what is allowed.
 *
 * One setter a type. Each leaves the field alone unless the whole text is good, so that a refused
 * value never half-replaces another.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_option.h"
#include "app/fraction.h"
#include "base/parse.h"
#include "base/suggest.h"

/* Enumerations are written through this type. */
static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
                  sizeof(enum log_format) == sizeof(unsigned) &&
                  sizeof(enum config_durability) == sizeof(unsigned),
              "an enum of the configuration must be as large as unsigned");

static void *field_of(struct config *config, const struct config_option *option)
{
    return (char *)config + option->offset;
}

/* ---- Sentences ------------------------------------------------------------------------------- */

void config_value_add_quoted(struct buf *out, const struct config_option *option, const char *text)
{
    enum { SHOWN_MAX = 80 };
    size_t len = strlen(text);
    if (option->secret || strchr(text, '@'))
        buf_add_str(out, "(a value that is not shown)");
    else if (len > SHOWN_MAX)
        buf_addf(out, "%s (and %zu more bytes)", log_quote(slice_of(text, SHOWN_MAX)),
                 len - SHOWN_MAX);
    else
        buf_add_str(out, log_quote(slice_str(text)));
}

static void add_choices(struct buf *out, const char *const *choices)
{
    for (size_t i = 0; choices[i]; i++) {
        if (i > 0)
            buf_add_str(out, choices[i + 1] ? ", " : " or ");
        buf_add_str(out, choices[i]);
    }
}

void config_value_add_allowed(struct buf *out, const struct config_option *option)
{
    switch (option->type) {
    case CONFIG_TYPE_BOOL:
        buf_add_str(out, "true or false");
        break;
    case CONFIG_TYPE_NUMBER:
        buf_addf(out, "%llu to %llu %s", (unsigned long long)option->min,
                 (unsigned long long)option->max, option->unit);
        break;
    case CONFIG_TYPE_DURATION_LIST:
        buf_addf(out, "a list of up to %d, each ", LIMIT_RETRY_STEPS);
        __attribute__((fallthrough));
    case CONFIG_TYPE_DURATION:
        format_duration(out, option->min);
        buf_add_str(out, " to ");
        format_duration(out, option->max);
        break;
    case CONFIG_TYPE_SIZE:
        format_size(out, option->min);
        buf_add_str(out, " to ");
        format_size(out, option->max);
        break;
    case CONFIG_TYPE_FRACTION:
        buf_add_str(out, "0 to 1");
        break;
    case CONFIG_TYPE_ENUM:
        if (option->form)
            buf_add_str(out, option->form);
        else
            add_choices(out, option->choices);
        break;
    case CONFIG_TYPE_STRING_LIST:
        buf_addf(out, "a list of up to %llu, each ", (unsigned long long)option->max);
        __attribute__((fallthrough));
    case CONFIG_TYPE_STRING:
    case CONFIG_TYPE_ADDRESS:
        buf_add_str(out, option->form ? option->form : "any text");
        break;
    }
}

/* `"5x" is not a duration; allowed: …` */
static enum status refuse(const struct config_option *option, const char *text, const char *problem,
                          struct buf *reason)
{
    config_value_add_quoted(reason, option, text);
    buf_addf(reason, " %s; allowed: ", problem);
    config_value_add_allowed(reason, option);
    return ST_RANGE;
}

static enum status refuse_count(const struct config_option *option, size_t count,
                                struct buf *reason)
{
    buf_addf(reason, "%zu entries are too many; allowed: ", count);
    config_value_add_allowed(reason, option);
    return ST_RANGE;
}

/* ---- One setter a type ----------------------------------------------------------------------- */

static enum status set_bool(const struct config_option *option, bool *field, const char *text,
                            struct buf *reason)
{
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return refuse(option, text, "is not a truth value", reason);
    *field = is_true;
    return ST_OK;
}

typedef enum status parse_fn(struct slice text, uint64_t *out);

static enum status set_u64(const struct config_option *option, uint64_t *field, const char *text,
                           parse_fn *parse, const char *problem, struct buf *reason)
{
    uint64_t value;
    enum status status = parse(slice_str(text), &value);
    if (status == ST_SYNTAX)
        return refuse(option, text, problem, reason);
    if (status != ST_OK || value < option->min || value > option->max)
        return refuse(option, text, "is out of range", reason);
    *field = value;
    return ST_OK;
}

static enum status set_duration(const struct config_option *option, uint64_t *field,
                                const char *text, struct buf *reason)
{
    return set_u64(option, field, text, parse_duration_ms,
                   "is not a duration (a number and ms, s, m, h or d)", reason);
}

static enum status set_size(const struct config_option *option, uint64_t *field, const char *text,
                            struct buf *reason)
{
    return set_u64(option, field, text, parse_size_bytes,
                   "is not a size (a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB)", reason);
}

static enum status set_fraction(const struct config_option *option, double *field, const char *text,
                                struct buf *reason)
{
    enum status status = fraction_parse(text, field);
    if (status == ST_OK)
        return ST_OK;
    return refuse(option, text, status == ST_RANGE ? "is out of range" : "is not a decimal number",
                  reason);
}

static enum status set_enum(const struct config_option *option, unsigned *field, const char *text,
                            struct buf *reason)
{
    struct suggest suggest = {.word = text};
    for (unsigned i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *field = i;
            return ST_OK;
        }
        suggest_add(&suggest, option->choices[i]);
    }
    (void)refuse(option, text, "is unknown", reason);
    if (suggest.best)
        buf_addf(reason, "; did you mean \"%s\"?", suggest.best);
    return ST_RANGE;
}

static enum status set_string(const struct config_option *option, char **field, const char *text,
                              struct buf *reason)
{
    if (option->valid && !option->valid(text))
        return refuse(option, text, "is not acceptable", reason);
    char *copy = strdup(text);
    if (!copy)
        return ST_NOMEM;
    free(*field);
    *field = copy;
    return ST_OK;
}

static enum status set_address(const struct config_option *option, struct address *field,
                               const char *text, struct buf *reason)
{
    if (address_parse(text, field) != ST_OK)
        return refuse(option, text, "is not an address", reason);
    return ST_OK;
}

static void free_strings(struct config_strings *strings, bool secret)
{
    for (size_t i = 0; i < strings->count; i++) {
        if (secret)
            explicit_bzero(strings->items[i], strlen(strings->items[i]));
        free(strings->items[i]);
    }
    free(strings->items);
    *strings = (struct config_strings){NULL, 0};
}

static enum status set_string_list(const struct config_option *option, struct config_strings *field,
                                   struct config_text text, struct buf *reason)
{
    if (text.count > option->max)
        return refuse_count(option, text.count, reason);
    struct config_strings strings = {calloc(text.count + 1, sizeof(char *)), 0};
    enum status status = strings.items ? ST_OK : ST_NOMEM;
    for (size_t i = 0; status == ST_OK && i < text.count; i++) {
        status = set_string(option, &strings.items[i], text.items[i], reason);
        if (status == ST_OK)
            strings.count++;
    }
    if (status != ST_OK) {
        free_strings(&strings, option->secret);
        return status;
    }
    free_strings(field, option->secret);
    *field = strings;
    return ST_OK;
}

static enum status set_duration_list(const struct config_option *option,
                                     struct config_durations *field, struct config_text text,
                                     struct buf *reason)
{
    struct config_durations durations = {.count = text.count};
    if (text.count > LIMIT_RETRY_STEPS)
        return refuse_count(option, text.count, reason);
    for (size_t i = 0; i < text.count; i++) {
        enum status status = set_duration(option, &durations.ms[i], text.items[i], reason);
        if (status != ST_OK)
            return status;
    }
    *field = durations;
    return ST_OK;
}

enum status config_value_set(struct config *config, const struct config_option *option,
                             struct config_text text, struct buf *reason)
{
    void *field = field_of(config, option);
    const char *only = text.count == 1 ? text.items[0] : "";

    switch (option->type) {
    case CONFIG_TYPE_BOOL:
        return set_bool(option, field, only, reason);
    case CONFIG_TYPE_NUMBER:
        return set_u64(option, field, only, parse_u64, "is not a whole number", reason);
    case CONFIG_TYPE_DURATION:
        return set_duration(option, field, only, reason);
    case CONFIG_TYPE_SIZE:
        return set_size(option, field, only, reason);
    case CONFIG_TYPE_FRACTION:
        return set_fraction(option, field, only, reason);
    case CONFIG_TYPE_STRING:
        return set_string(option, field, only, reason);
    case CONFIG_TYPE_ENUM:
        return set_enum(option, field, only, reason);
    case CONFIG_TYPE_ADDRESS:
        return set_address(option, field, only, reason);
    case CONFIG_TYPE_STRING_LIST:
        return set_string_list(option, field, text, reason);
    case CONFIG_TYPE_DURATION_LIST:
        return set_duration_list(option, field, text, reason);
    }
    return ST_UNSUPPORTED;
}

void config_value_clear(struct config *config, const struct config_option *option)
{
    if (option->type == CONFIG_TYPE_STRING) {
        char **field = field_of(config, option);
        if (option->secret && *field)
            explicit_bzero(*field, strlen(*field));
        free(*field);
        *field = NULL;
    } else if (option->type == CONFIG_TYPE_STRING_LIST) {
        free_strings(field_of(config, option), option->secret);
    }
}
