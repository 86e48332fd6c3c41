/* source_file.c - sources in files: YAML, made JSON, checked as the API's documents are.
 *
 * A wrong file ends the start: a gateway that comes up without one of its sources would refuse what
 * that sender cannot send again.
 */
#include "core/source_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "wire/yaml_dir.h"
#include "wire/yaml_json.h"

struct loading {
    const struct source_rules *rules;
    struct sources *sources;
};

/* The slice ends in NUL: it is libyaml's, and without any other. */
static enum status expand(struct slice text, struct buf *out, struct buf *reason)
{
    char *expanded;
    enum status status = env_expand(text.ptr, LIMIT_SOURCE_BYTES, &expanded, reason);
    if (status != ST_OK)
        return status;
    buf_add_str(out, expanded);
    explicit_bzero(expanded, strlen(expanded));
    free(expanded);
    return ST_OK;
}

/* "…/acme.yaml" is "acme". */
static struct slice stem_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct slice name = slice_str(slash ? slash + 1 : path);
    name.len -= strlen(".yaml");
    return name;
}

static enum status put(struct loading *loading, const char *path, struct source *source,
                       char *error, size_t error_size)
{
    if (sources_find(loading->sources, slice_str(source->name))) {
        snprintf(error, error_size, "%s: another file has the source \"%s\"", path, source->name);
        source_put(source);
        return ST_SYNTAX;
    }
    return sources_put(loading->sources, source);
}

static enum status take_json(struct loading *loading, const char *path, struct slice json,
                             char *error, size_t error_size)
{
    struct source *source;
    struct field_error problem;
    enum status status =
        source_document_file(loading->rules, stem_of(path), json, &source, &problem);
    if (status == ST_OK)
        return put(loading, path, source, error, error_size);
    if (status == ST_NOMEM)
        return status;
    snprintf(error, error_size, "%s: %s%s%s", path, problem.field, problem.field[0] ? ": " : "",
             problem.message);
    return ST_SYNTAX;
}

enum status source_file_json(struct slice text, const char *path, struct buf *json, char *error,
                             size_t error_size)
{
    enum status status = yaml_json(text, path, expand, json, error, error_size);
    if (status != ST_LIMIT && text.len <= LIMIT_SOURCE_BYTES)
        return status;
    snprintf(error, error_size, "%s: longer than %d bytes", path, LIMIT_SOURCE_BYTES);
    return ST_SYNTAX;
}

static enum status take_file(void *arg, const char *path, struct slice text, char *error,
                             size_t error_size)
{
    struct buf json;
    buf_init(&json, LIMIT_SOURCE_BYTES);
    enum status status = source_file_json(text, path, &json, error, error_size);
    if (status == ST_OK)
        status = take_json(arg, path, buf_slice(&json), error, error_size);
    if (json.ptr)
        explicit_bzero(json.ptr, json.len);
    buf_free(&json);
    return status;
}

enum status source_file_load(const struct source_rules *rules, struct sources *sources,
                             const char *dir, char *error, size_t error_size)
{
    struct loading loading = {.rules = rules, .sources = sources};
    return yaml_dir_read(dir, LIMIT_SOURCE_BYTES, take_file, &loading, error, error_size);
}
