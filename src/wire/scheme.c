/* scheme.c - the set of schemes, and what is asked about one.
 *
 * A set is an array of pointers in the order of adding; there are a few, looked for by name when an
 * endpoint is loaded, so the search is linear. A folder is read into a set of its own first and
 * joined with the other when all of its files are good.
 */
#include "wire/scheme.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/embedded.h"
#include "base/limits.h"
#include "wire/encoding.h"
#include "wire/scheme_file.h"
#include "wire/scheme_private.h"
#include "wire/yaml_dir.h"

/* conf/schemes/, from the build. */
extern const struct embedded_file scheme_files[];
extern const size_t scheme_files_count;

struct scheme_set {
    struct scheme *schemes[LIMIT_SCHEMES];
    size_t count;
};

/* ---- One scheme ------------------------------------------------------------------------------ */

void scheme_free(struct scheme *scheme)
{
    if (!scheme)
        return;
    handshakes_free(scheme->handshakes);
    buf_free(&scheme->strings);
    free(scheme);
}

const char *scheme_name(const struct scheme *scheme)
{
    return scheme->name.ptr;
}

const struct handshakes *scheme_handshakes(const struct scheme *scheme)
{
    return scheme->handshakes;
}

const char *scheme_description(const struct scheme *scheme)
{
    return scheme->description.ptr;
}

bool scheme_owns_header(const struct scheme *scheme, struct slice name)
{
    for (size_t i = 0; i < scheme->header_count; i++)
        if (slice_eq_nocase(scheme->headers[i].name, name))
            return true;
    return false;
}

bool scheme_sends(const struct scheme *scheme)
{
    return scheme->sends;
}

const struct scheme_signature *scheme_signature_of(const struct scheme *scheme,
                                                   enum sign_algorithm algorithm)
{
    for (size_t i = 0; i < scheme->signature_count; i++)
        if (scheme->signatures[i].algorithm == algorithm)
            return &scheme->signatures[i];
    return NULL;
}

void scheme_encode(enum text_format format, struct slice bytes, struct buf *text)
{
    switch (format) {
    case FORMAT_RAW:
        buf_add_slice(text, bytes);
        return;
    case FORMAT_HEX:
        hex_encode(text, bytes);
        return;
    case FORMAT_BASE64:
    case FORMAT_SPKI:
        base64_encode(text, bytes);
        return;
    case FORMAT_BASE64URL:
        base64url_encode(text, bytes);
        return;
    }
}

/* The base64 of a PEM text (RFC 7468) without its frame and line breaks, or of a bare text. */
static enum status spki_decode(struct slice text, void *out, size_t out_size, size_t *out_len)
{
    static const struct slice begin = {"-----BEGIN PUBLIC KEY-----", 26};
    char base64[SCHEME_KEY_BYTES_MAX * 4 / 3 + 4];
    size_t len = 0;
    bool framed = slice_starts(text, begin);
    if (framed)
        text = slice_from(text, begin.len);
    const char *end = framed ? memmem(text.ptr, text.len, "-----END PUBLIC KEY-----", 24) : NULL;
    if (framed && !end)
        return ST_SYNTAX;
    if (framed)
        text.len = (size_t)(end - text.ptr);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n' || c == '\r' || c == ' ')
            continue;
        if (len == sizeof(base64))
            return ST_LIMIT;
        base64[len++] = c;
    }
    return base64_decode(slice_of(base64, len), out, out_size, out_len);
}

enum status scheme_decode(enum text_format format, struct slice text, void *out, size_t out_size,
                          size_t *out_len)
{
    switch (format) {
    case FORMAT_RAW:
        if (text.len > out_size)
            return ST_LIMIT;
        if (text.len > 0)
            memcpy(out, text.ptr, text.len);
        *out_len = text.len;
        return ST_OK;
    case FORMAT_HEX:
        return hex_decode(text, out, out_size, out_len);
    case FORMAT_BASE64:
        return base64_decode(text, out, out_size, out_len);
    case FORMAT_BASE64URL:
        return base64url_decode(text, out, out_size, out_len);
    case FORMAT_SPKI:
        return spki_decode(text, out, out_size, out_len);
    }
    return ST_SYNTAX;
}

/* ---- The built-in ones ----------------------------------------------------------------------- */

/* A file is called as the scheme in it. */
struct slice scheme_builtin_name(size_t index)
{
    struct slice name =
        index < scheme_files_count ? slice_str(scheme_files[index].name) : SLICE_NULL;
    name.len -= name.ptr ? sizeof(".yaml") - 1 : 0;
    return name;
}

static enum status builtin_parse(size_t index, struct scheme **out)
{
    const struct embedded_file *file = &scheme_files[index];
    char error[256];
    return scheme_file_parse(slice_of(file->text, file->len), file->name, out, error,
                             sizeof(error));
}

enum status scheme_builtin_new(struct slice name, struct scheme **out)
{
    *out = NULL;
    for (size_t i = 0; i < scheme_files_count; i++)
        if (slice_eq(scheme_builtin_name(i), name))
            return builtin_parse(i, out);
    return ST_NOTFOUND;
}

/* ---- The set --------------------------------------------------------------------------------- */

/* The set owns the scheme from now on, also when there is no room for it (ST_LIMIT). */
static enum status set_put(struct scheme_set *set, struct scheme *scheme)
{
    for (size_t i = 0; i < set->count; i++) {
        if (slice_eq(set->schemes[i]->name, scheme->name)) {
            scheme_free(set->schemes[i]);
            set->schemes[i] = scheme;
            return ST_OK;
        }
    }
    if (set->count == LIMIT_SCHEMES) {
        scheme_free(scheme);
        return ST_LIMIT;
    }
    set->schemes[set->count++] = scheme;
    return ST_OK;
}

static enum status set_parse(struct scheme_set *set, struct slice text, const char *file,
                             char *error, size_t error_size)
{
    struct scheme *scheme;
    enum status status = scheme_file_parse(text, file, &scheme, error, error_size);
    return status == ST_OK ? set_put(set, scheme) : status;
}

struct scheme_set *scheme_set_new(void)
{
    struct scheme_set *set = calloc(1, sizeof(*set));
    for (size_t i = 0; set && i < scheme_files_count; i++) {
        struct scheme *scheme;
        enum status status = builtin_parse(i, &scheme);
        if (status == ST_OK && set_put(set, scheme) == ST_OK)
            continue;
        assert(status != ST_SYNTAX); /* a wrong file would not have passed the tests */
        scheme_set_free(set);
        return NULL;
    }
    struct scheme *passthrough = set ? scheme_passthrough_new() : NULL;
    if (passthrough && set_put(set, passthrough) == ST_OK)
        return set;
    scheme_set_free(set);
    return NULL;
}

void scheme_set_free(struct scheme_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        scheme_free(set->schemes[i]);
    free(set);
}

const struct scheme *scheme_find(const struct scheme_set *set, struct slice name)
{
    for (size_t i = 0; i < set->count; i++)
        if (slice_eq(set->schemes[i]->name, name))
            return set->schemes[i];
    return NULL;
}

size_t scheme_count(const struct scheme_set *set)
{
    return set->count;
}

const struct scheme *scheme_at(const struct scheme_set *set, size_t index)
{
    assert(index < set->count);
    return set->schemes[index];
}

/* ---- A folder -------------------------------------------------------------------------------- */

static enum status take_file(void *arg, const char *path, struct slice text, char *error,
                             size_t error_size)
{
    return set_parse(arg, text, path, error, error_size);
}

/* Moves all schemes of `from` into `set`, or none (ST_LIMIT). */
static enum status set_join(struct scheme_set *set, struct scheme_set *from)
{
    size_t count = set->count;
    for (size_t i = 0; i < from->count; i++)
        count += scheme_find(set, from->schemes[i]->name) == NULL;
    if (count > LIMIT_SCHEMES)
        return ST_LIMIT;
    enum status status = ST_OK;
    for (size_t i = 0; i < from->count && status == ST_OK; i++)
        status = set_put(set, from->schemes[i]);
    assert(status == ST_OK);
    from->count = 0;
    return status;
}

enum status scheme_set_load_dir(struct scheme_set *set, const char *dir, char *error,
                                size_t error_size)
{
    struct scheme_set *loaded = calloc(1, sizeof(*loaded));
    enum status status = ST_NOMEM;
    if (error_size > 0)
        error[0] = '\0';
    if (loaded)
        status = yaml_dir_read(dir, SCHEME_FILE_BYTES_MAX, take_file, loaded, error, error_size);
    if (status == ST_OK)
        status = set_join(set, loaded);
    if (status != ST_OK && error_size > 0 && error[0] == '\0')
        snprintf(error, error_size, "%s: %s", dir, status_text(status));
    scheme_set_free(loaded);
    return status;
}
