/* config_file.c - the YAML file, read with libcyaml by a schema made of the option table.
 *
 * libcyaml fills C structs by a schema. Ours is made at run time, one field a row of the table, and
 * takes every value as text: its own numbers are strtol's ("0x1f", "12abc") and its booleans take
 * any unknown word for true, so types are config_value.c's. The document becomes
 *
 *     struct raw_value values[options]      options without a group stand at their row's index
 *     struct raw_value *groups[options]     one array as above per group, at its first row's index;
 *                                           NULL while the group is absent or empty
 *
 * libcyaml 1.3.1 tells what is wrong only in its log, and there the innermost line is that of the
 * mapping, not of the key; so names are taken from the log, and config_place.c finds their lines.
 * It leaves a list that is empty like one that is absent (NULL and 0): an empty one has a line.
 * Rejected: libyaml alone, which would need a description of the structure beside the table.
 *
 * Aliases are refused: nobody needs them in a file this flat, and without them a small document
 * cannot grow.
 */
#include "app/config_file.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_place.h"
#include "base/suggest.h"

enum { LOG_BYTES = 16 * 1024, NAME_BYTES = 128 };

struct raw_value {
    char *text;     /* scalars */
    char **items;   /* lists */
    uint32_t count; /* of items */
};

struct config_file {
    const char *name;
    struct slice text;
    cyaml_schema_field_t *fields; /* of all mappings, each closed by a field without a key */
    cyaml_schema_value_t schema;
    char *group_names; /* what the keys of groups point to */
    char *raw;         /* the document as pictured above; NULL when it is empty */
    struct buf log;    /* what libcyaml logged last */
};

/* ---- The schema ------------------------------------------------------------------------------ */

static size_t values_bytes(void)
{
    return config_options_count * sizeof(struct raw_value);
}

/* The length of "outbound" in "outbound.timeout"; 0 for an option without a group. */
static size_t group_len(const struct config_option *option)
{
    const char *dot = strchr(option->name, '.');
    return dot ? (size_t)(dot - option->name) : 0;
}

static bool same_group(const struct config_option *a, const struct config_option *b)
{
    size_t len = group_len(a);
    return len == group_len(b) && strncmp(a->name, b->name, len) == 0;
}

/* The row in whose place the option's group is. */
static size_t group_index(const struct config_option *option)
{
    size_t index = (size_t)(option - config_options);
    while (index > 0 && same_group(&config_options[index - 1], option))
        index--;
    return index;
}

static const cyaml_schema_value_t string_value = {
    .type = CYAML_STRING,
    .flags = CYAML_FLAG_POINTER,
    .data_size = sizeof(char),
    .string = {.min = 0, .max = CYAML_UNLIMITED},
};

static cyaml_schema_field_t option_field(const struct config_option *option)
{
    size_t group = group_len(option);
    uint32_t place = (uint32_t)((size_t)(option - config_options) * sizeof(struct raw_value));
    cyaml_schema_field_t field = {.key = option->name + (group > 0 ? group + 1 : 0)};

    if (config_option_is_list(option)) {
        field.data_offset = place + (uint32_t)offsetof(struct raw_value, items);
        field.count_offset = place + (uint32_t)offsetof(struct raw_value, count);
        field.count_size = sizeof(uint32_t);
        field.value = (cyaml_schema_value_t){
            .type = CYAML_SEQUENCE,
            .flags = (enum cyaml_flag)(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL),
            .data_size = sizeof(char *),
            .sequence = {.entry = &string_value, .min = 0, .max = LIMIT_CONFIG_LIST},
        };
    } else {
        field.data_offset = place + (uint32_t)offsetof(struct raw_value, text);
        field.value = string_value;
        field.value.flags = (enum cyaml_flag)(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL);
    }
    return field;
}

/* POINTER_NULL, here and at the top: a group whose options are all commented out is an empty value,
 * and is fine. */
static cyaml_schema_field_t group_field(const char *key, size_t first,
                                        const cyaml_schema_field_t *members)
{
    return (cyaml_schema_field_t){
        .key = key,
        .data_offset = (uint32_t)(values_bytes() + first * sizeof(struct raw_value *)),
        .value = {.type = CYAML_MAPPING,
                  .flags = (enum cyaml_flag)(CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL),
                  .data_size = (uint32_t)values_bytes(),
                  .mapping = {.fields = members}},
    };
}

/* Writes the members of the group that starts at row `first` to `place`, closes them, and returns
 * the place behind. */
static cyaml_schema_field_t *fill_group(cyaml_schema_field_t *place, size_t first)
{
    for (size_t i = first; i < config_options_count; i++) {
        if (!same_group(&config_options[i], &config_options[first]))
            break;
        *place++ = option_field(&config_options[i]);
    }
    return place + 1;
}

/* Fills file->fields: first the root mapping, whose groups point to their members behind it. */
static void build_schema(struct config_file *file)
{
    cyaml_schema_field_t *root = file->fields;
    cyaml_schema_field_t *members = file->fields + config_options_count + 1;
    char *key = file->group_names;

    for (size_t i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        size_t group = group_len(option);
        if (group == 0)
            *root++ = option_field(option);
        if (group > 0 && group_index(option) == i) {
            memcpy(key, option->name, group);
            key[group] = '\0';
            *root++ = group_field(key, i, members);
            members = fill_group(members, i);
            key += group + 1;
        }
    }
    file->schema = (cyaml_schema_value_t){
        .type = CYAML_MAPPING,
        .flags = CYAML_FLAG_POINTER_NULL,
        .data_size = (uint32_t)(values_bytes() + config_options_count * sizeof(struct raw_value *)),
        .mapping = {.fields = file->fields},
    };
}

/* ---- Loading --------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void on_log(cyaml_log_t level, void *ctx,
                                                         const char *format, va_list args)
{
    char line[256];
    (void)level;
    (void)vsnprintf(line, sizeof(line), format, args);
    buf_add_str(ctx, line);
}

static cyaml_config_t cyaml_settings(struct config_file *file)
{
    return (cyaml_config_t){
        .log_fn = on_log,
        .log_ctx = &file->log,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_WARNING,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

/* The log is a string afterwards. */
static cyaml_err_t load(struct config_file *file)
{
    cyaml_config_t settings = cyaml_settings(file);
    cyaml_data_t *data = NULL;
    cyaml_err_t err = cyaml_load_data((const uint8_t *)file->text.ptr, file->text.len, &settings,
                                      &file->schema, &data, NULL);
    file->raw = data;
    buf_add_char(&file->log, '\0');
    return buf_status(&file->log) == ST_NOMEM ? CYAML_ERR_OOM : err;
}

/* ---- What libcyaml logged -------------------------------------------------------------------- */

/*     Load: Unexpected key: timeuot
 *     Load: Backtrace:
 *       in mapping (line: 2, column: 3)                        from the inside out
 *       in mapping field 'outbound' (line: 2, column: 3)
 */
static const char *log_text(const struct config_file *file)
{
    return buf_status(&file->log) == ST_OK ? file->log.ptr : "";
}

/* Copies what follows `label` up to the end of the line. */
static bool logged_after(const struct config_file *file, const char *label, char out[NAME_BYTES])
{
    const char *found = strstr(log_text(file), label);
    if (!found)
        return false;
    found += strlen(label);
    (void)snprintf(out, NAME_BYTES, "%.*s", (int)strcspn(found, "\n"), found);
    return true;
}

/* Copies the name of the next field of the backtrace at or behind `from`, and returns the place
 * behind it; NULL when there is none. */
static const char *logged_field(const char *from, char out[NAME_BYTES])
{
    static const char label[] = "in mapping field '";
    const char *found = strstr(from, label);
    if (!found)
        return NULL;
    found += sizeof(label) - 1;
    size_t len = strcspn(found, "'\n");
    (void)snprintf(out, NAME_BYTES, "%.*s", (int)len, found);
    return found + len;
}

/* A name that is in the log: `key` in `group`, or at the top when that is "". */
struct logged {
    char group[NAME_BYTES], key[NAME_BYTES];
    char path[2 * NAME_BYTES]; /* "group.key" or "key"; "" when nothing is named */
    unsigned line;             /* 0: unknown */
};

static void logged_finish(const struct config_file *file, struct logged *logged, unsigned nth)
{
    bool grouped = logged->group[0] != '\0';
    (void)snprintf(logged->path, sizeof(logged->path), "%s%s%s", logged->group, grouped ? "." : "",
                   logged->key);
    logged->line = config_place_of_key(file->text, grouped ? slice_str(logged->group) : SLICE_NULL,
                                       slice_str(logged->key), nth);
}

/* The innermost name of the backtrace, at its first or second place in the file. */
static void logged_name(const struct config_file *file, struct logged *logged, unsigned nth)
{
    *logged = (struct logged){.line = 0};
    const char *rest = logged_field(log_text(file), logged->key);
    if (rest)
        (void)logged_field(rest, logged->group);
    logged_finish(file, logged, nth);
}

/* The unknown key, which is not in the backtrace itself. */
static void logged_unknown(const struct config_file *file, struct logged *logged)
{
    *logged = (struct logged){.line = 0};
    (void)logged_after(file, "Unexpected key: ", logged->key);
    (void)logged_field(log_text(file), logged->group);
    logged_finish(file, logged, 1);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void add_place(const struct config_file *file, unsigned line, struct buf *errors)
{
    buf_add_str(errors, file->name);
    if (line > 0)
        buf_addf(errors, ":%u", line);
    buf_add_str(errors, ": ");
}

static void add_unknown_key(const struct config_file *file, struct buf *errors)
{
    struct logged logged;
    logged_unknown(file, &logged);
    bool grouped = logged.group[0] != '\0';
    add_place(file, logged.line, errors);
    buf_addf(errors, "unknown option %s", log_quote(slice_str(logged.path)));

    const struct config_option *written_flat = grouped ? NULL : config_option_find(logged.key);
    if (written_flat) {
        buf_addf(errors, "; write \"%s:\" indented under \"%.*s:\"",
                 written_flat->name + group_len(written_flat) + 1, (int)group_len(written_flat),
                 written_flat->name);
        return;
    }
    struct suggest suggest = {.word = logged.path};
    for (size_t i = 0; i < config_options_count; i++)
        suggest_add(&suggest, config_options[i].name);
    for (const char *at = file->group_names; !grouped && *at; at += strlen(at) + 1)
        suggest_add(&suggest, at);
    if (suggest.best)
        buf_addf(errors, "; did you mean \"%s\"?", suggest.best);
}

static const char *kind_name(const char *logged)
{
    static const struct {
        const char *logged, *name;
    } kinds[] = {
        {"STRING", "a single value"},
        {"SCALAR", "a single value"},
        {"SEQUENCE", "a list such as [a, b]"},
        {"SEQUENCE_START", "a list"},
        {"MAPPING", "options (\"name: value\")"},
        {"MAPPING_START", "options (\"name: value\")"},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].logged, logged) == 0)
            return kinds[i].name;
    }
    return "something else";
}

static void add_wrong_kind(const struct config_file *file, struct buf *errors)
{
    char wanted[NAME_BYTES] = "", got[NAME_BYTES] = "";
    struct logged logged;
    logged_name(file, &logged, 1);
    (void)logged_after(file, "got event: ", got);
    if (logged_after(file, "Expecting ", wanted))
        wanted[strcspn(wanted, ",")] = '\0';
    add_place(file, logged.line, errors);
    if (strstr(log_text(file), "in sequence entry"))
        buf_add_str(errors, "an item of ");
    buf_addf(errors, "%s must be %s, not %s", logged.path[0] != '\0' ? logged.path : "the file",
             kind_name(wanted), kind_name(got));
}

static void add_syntax_error(const struct config_file *file, struct buf *errors)
{
    struct buf reason;
    buf_init(&reason, 1024);
    add_place(file, config_place_of_error(file->text, &reason), errors);
    buf_addf(errors, "not valid YAML: %.*s", SLICE_ARGS(buf_slice(&reason)));
    buf_free(&reason);
}

static void add_other_error(const struct config_file *file, cyaml_err_t err, struct buf *errors)
{
    bool repeated = strstr(log_text(file), "Mapping field already seen") != NULL;
    struct logged logged;
    logged_name(file, &logged, repeated ? 2 : 1);
    add_place(file, logged.line, errors);
    if (logged.path[0] != '\0')
        buf_addf(errors, "%s: ", logged.path);
    if (repeated)
        buf_add_str(errors, "given for the second time");
    else if (err == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
        buf_addf(errors, "more than %d entries", LIMIT_CONFIG_LIST);
    else if (err == CYAML_ERR_ALIAS)
        buf_add_str(errors, "aliases (\"*name\") are not supported; a value that starts with \"*\" "
                            "needs quotes");
    else
        buf_addf(errors, "not of the form of a configuration (%s)", cyaml_strerror(err));
}

static void add_error(const struct config_file *file, cyaml_err_t err, struct buf *errors)
{
    if (err == CYAML_ERR_INVALID_KEY)
        add_unknown_key(file, errors);
    else if (err == CYAML_ERR_INVALID_VALUE)
        add_wrong_kind(file, errors);
    else if (err == CYAML_ERR_LIBYAML_PARSER)
        add_syntax_error(file, errors);
    else
        add_other_error(file, err, errors);
    buf_add_char(errors, '\n');
}

/* ---- The public part ------------------------------------------------------------------------- */

static bool prepare(struct config_file *file)
{
    size_t names = 1;
    for (size_t i = 0; i < config_options_count; i++)
        names += group_len(&config_options[i]) + 1;
    buf_init(&file->log, LOG_BYTES);
    file->group_names = calloc(names, 1);
    file->fields = calloc(3 * config_options_count + 1, sizeof(file->fields[0]));
    return file->group_names && file->fields;
}

struct config_file *config_file_new(const char *name, struct slice text, struct buf *errors,
                                    enum status *status)
{
    struct config_file *file = calloc(1, sizeof(*file));
    *status = ST_NOMEM;
    if (!file)
        return NULL;
    file->name = name;
    file->text = text.ptr ? text : SLICE("");
    if (!prepare(file))
        goto fail;

    build_schema(file);
    cyaml_err_t err = load(file);
    if (err == CYAML_ERR_OOM)
        goto fail;
    *status = ST_RANGE;
    if (err != CYAML_OK) {
        add_error(file, err, errors);
        goto fail;
    }
    if (strstr(log_text(file), "Ignoring documents")) {
        add_place(file, 0, errors);
        buf_add_str(errors, "more than one document (\"---\"); only one is read\n");
        goto fail;
    }
    *status = ST_OK;
    return file;

fail:
    config_file_free(file);
    return NULL;
}

void config_file_free(struct config_file *file)
{
    if (!file)
        return;
    if (file->raw) {
        cyaml_config_t settings = cyaml_settings(file);
        /* It fails for a bad schema only, and this one loaded the data. */
        (void)cyaml_free(&settings, &file->schema, file->raw, 0);
    }
    buf_free(&file->log);
    free(file->fields);
    free(file->group_names);
    free(file);
}

bool config_file_get(const struct config_file *file, const struct config_option *option,
                     struct config_text *text)
{
    char *values = file->raw;
    if (values && group_len(option) > 0)
        memcpy(&values,
               file->raw + values_bytes() + group_index(option) * sizeof(struct raw_value *),
               sizeof(values));
    if (!values)
        return false;

    const struct raw_value *value =
        (const struct raw_value *)(const void *)values + (option - config_options);
    if (config_option_is_list(option))
        *text = (struct config_text){value->items, value->count};
    else
        *text = (struct config_text){&value->text, value->text ? 1 : 0};
    return text->count > 0 || (config_option_is_list(option) && config_file_line(file, option) > 0);
}

unsigned config_file_line(const struct config_file *file, const struct config_option *option)
{
    size_t group = group_len(option);
    return config_place_of_key(file->text, group > 0 ? slice_of(option->name, group) : SLICE_NULL,
                               slice_str(option->name + (group > 0 ? group + 1 : 0)), 1);
}
