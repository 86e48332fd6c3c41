/* config_print.c - the table of options as text: for --help, as the sample file, and as values.
 *
 * The sample file has every option commented out at its default, so that a copy of it does not
 * freeze the defaults of the version it was copied from. "#name:" is a value, "# Word" is a remark:
 * uncommenting the former only gives a file that loads to the defaults (a test does that).
 */
#include <string.h>

#include "app/cli.h"
#include "app/config_option.h"
#include "base/json_out.h"

/* The length of "outbound." in "outbound.timeout"; 0 for an option without a group. */
static size_t prefix_len(const struct config_option *option)
{
    const char *dot = strchr(option->name, '.');
    return dot ? (size_t)(dot - option->name) + 1 : 0;
}

static bool opens_group(const struct config_option *option)
{
    size_t len = prefix_len(option);
    return len > 0 && (option == config_options || prefix_len(option - 1) != len ||
                       strncmp(option[-1].name, option->name, len) != 0);
}

/* "10s; allowed: 100ms to 1h". A number's unit is part of what is allowed. */
static void add_facts(struct buf *out, const struct config_option *option)
{
    buf_addf(out, "Default: %s; allowed: ",
             option->fallback[0] != '\0'     ? option->fallback
             : config_option_is_list(option) ? "empty list"
                                             : "empty");
    config_value_add_allowed(out, option);
    buf_add_char(out, '.');
}

/* Help and facts as one text, filled into lines. */
static void add_description(struct buf *out, const char *line_start,
                            const struct config_option *option)
{
    struct buf text;
    buf_init(&text, 4096);
    buf_addf(&text, "%s ", option->help);
    add_facts(&text, option);
    buf_add_char(&text, '\0');
    if (buf_status(&text) == ST_OK)
        cli_add_filled(out, line_start, text.ptr);
    buf_free(&text);
}

void config_print_options(struct buf *out)
{
    for (size_t i = 0; i < config_options_count; i++) {
        buf_addf(out, "  %s\n", config_options[i].name);
        add_description(out, "        ", &config_options[i]);
    }
}

/* A default as YAML: plain where that is safe (defaults have nothing that needs an escape). */
static void add_yaml_value(struct buf *out, const struct config_option *option)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./:";
    const char *text = option->fallback;
    if (config_option_is_list(option))
        buf_addf(out, "[%s]", text);
    else if (text[0] != '\0' && strspn(text, plain) == strlen(text))
        buf_add_str(out, text);
    else
        buf_addf(out, "\"%s\"", text);
}

void config_print_sample(struct buf *out)
{
    buf_add_str(
        out, "# Trotline's configuration: every option, commented out at its default.\n"
             "#\n"
             "# Use it with: trotline serve --config FILE. Check it with: trotline check-config "
             "--config FILE.\n"
             "# Durations have a unit (ms, s, m, h, d), sizes too (B, kB, MB, GB, TB, KiB, MiB, "
             "GiB, TiB).\n"
             "# ${NAME} in a value is replaced by that environment variable; \"$$\" is a \"$\".\n"
             "# A change takes effect at the next start.\n");
    for (size_t i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        size_t prefix = prefix_len(option);
        buf_add_char(out, '\n');
        if (opens_group(option))
            buf_addf(out, "%.*s:\n", (int)prefix - 1, option->name);
        add_description(out, prefix > 0 ? "  # " : "# ", option);
        buf_addf(out, "%s#%s: ", prefix > 0 ? "  " : "", option->name + prefix);
        add_yaml_value(out, option);
        buf_add_char(out, '\n');
    }
}

/* The text that was given; hidden where it may hold a password. */
static const char *shown_value(const struct config *config, const struct config_option *option)
{
    const char *text = config->given[option - config_options].text;
    return strchr(text, '@') ? "(not shown)" : text;
}

void config_print_values(const struct config *config, struct buf *out)
{
    for (size_t i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        const char *value = shown_value(config, option);
        buf_addf(out, "%s=%s", option->name, value);
        if (config->given[i].origin != CONFIG_FROM_DEFAULT)
            buf_addf(out, "    (%s)", config_origin_name(config->given[i].origin));
        buf_add_char(out, '\n');
    }
}

void config_print_values_json(const struct config *config, struct buf *out)
{
    struct json_out json;
    json_out_begin(&json, out);
    json_object_open(&json);
    for (size_t i = 0; i < config_options_count; i++) {
        json_key(&json, config_options[i].name);
        json_object_open(&json);
        json_member_cstr(&json, "value", shown_value(config, &config_options[i]));
        json_member_cstr(&json, "from", config_origin_name(config->given[i].origin));
        json_object_close(&json);
    }
    json_object_close(&json);
    buf_add_char(out, '\n');
}
