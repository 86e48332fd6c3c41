/* lib_scheme.c - wire formats for callers of the library. */
#include <stdlib.h>

#include "lib/lib_private.h"
#include "wire/scheme_file.h"

/* Takes the scheme over, also when this fails. */
static enum trotline_status wrap(struct scheme *inner, struct trotline_scheme **scheme)
{
    *scheme = malloc(sizeof(**scheme));
    if (!*scheme) {
        scheme_free(inner);
        return TROTLINE_NO_MEMORY;
    }
    (*scheme)->scheme = inner;
    return TROTLINE_OK;
}

enum trotline_status trotline_scheme_open(const char *name, struct trotline_scheme **scheme)
{
    struct scheme *inner;
    if (!scheme)
        return TROTLINE_INVALID_ARGUMENT;
    *scheme = NULL;
    if (!name)
        return TROTLINE_INVALID_ARGUMENT;
    enum status status = scheme_builtin_new(slice_str(name), &inner);
    if (status == ST_OK)
        return wrap(inner, scheme);
    return status == ST_NOTFOUND ? TROTLINE_NOT_FOUND : TROTLINE_NO_MEMORY;
}

enum trotline_status trotline_scheme_parse(const void *text, size_t bytes, const char *file,
                                           struct trotline_scheme **scheme,
                                           struct trotline_error *error)
{
    char message[sizeof(error->message)] = "";
    struct scheme *inner;
    if (!scheme)
        return TROTLINE_INVALID_ARGUMENT;
    *scheme = NULL;
    if (!text)
        return TROTLINE_INVALID_ARGUMENT;
    enum status status = scheme_file_parse(slice_of(text, bytes), file ? file : "scheme", &inner,
                                           message, sizeof(message));
    if (status == ST_OK)
        return wrap(inner, scheme);
    if (status == ST_NOMEM)
        return TROTLINE_NO_MEMORY;
    return lib_fail(error, TROTLINE_INVALID_SCHEME, "invalid_scheme", "", message);
}

void trotline_scheme_free(struct trotline_scheme *scheme)
{
    if (!scheme)
        return;
    scheme_free(scheme->scheme);
    free(scheme);
}

struct trotline_slice trotline_scheme_builtin(size_t index)
{
    return slice_out(scheme_builtin_name(index));
}

const char *trotline_scheme_name(const struct trotline_scheme *scheme)
{
    return scheme ? scheme_name(scheme->scheme) : NULL;
}

const char *trotline_scheme_description(const struct trotline_scheme *scheme)
{
    return scheme ? scheme_description(scheme->scheme) : NULL;
}

bool trotline_scheme_sends(const struct trotline_scheme *scheme)
{
    return scheme && scheme_sends(scheme->scheme);
}

bool trotline_scheme_verifies(const struct trotline_scheme *scheme)
{
    return scheme && scheme_receives(scheme->scheme);
}

bool trotline_scheme_needs_secret(const struct trotline_scheme *scheme)
{
    return scheme && scheme_needs_secret(scheme->scheme);
}

bool trotline_scheme_needs_url(const struct trotline_scheme *scheme)
{
    return scheme && scheme_needs_url(scheme->scheme);
}

struct trotline_slice trotline_scheme_variable(const struct trotline_scheme *scheme, size_t index)
{
    return slice_out(scheme ? scheme_var(scheme->scheme, index) : SLICE_NULL);
}
