/* lib_secret.c - secrets for callers of the library.
 *
 * A secret is written into a buffer of ours first, whose room is taken at once so that growing
 * leaves no copies behind, and which is overwritten before it is freed.
 */
#include "lib/lib_private.h"
#include "trotline/secret.h"

static enum trotline_status status_out(enum status status)
{
    switch ((int)status) {
    case ST_OK:
        return TROTLINE_OK;
    case ST_RANGE:
        return TROTLINE_INVALID_SECRET;
    case ST_UNSUPPORTED:
        return TROTLINE_UNSUPPORTED;
    case ST_IO:
        return TROTLINE_NO_RANDOMNESS;
    default:
        return TROTLINE_NO_MEMORY;
    }
}

/* The caller's arguments are sound, and the buffer has its room. */
static enum trotline_status begin(const struct trotline_scheme *scheme, char *text,
                                  size_t text_bytes, struct buf *buf)
{
    if (text && text_bytes > 0)
        text[0] = '\0';
    if (!scheme || !text)
        return TROTLINE_INVALID_ARGUMENT;
    buf_init(buf, TROTLINE_SECRET_BYTES);
    return buf_reserve(buf, TROTLINE_SECRET_BYTES) ? TROTLINE_OK : TROTLINE_NO_MEMORY;
}

static enum trotline_status finish(struct buf *buf, enum status status, char *text,
                                   size_t text_bytes)
{
    enum trotline_status result = status_out(status);
    if (result == TROTLINE_OK)
        result = lib_copy_out(buf_slice(buf), text, text_bytes);
    explicit_bzero(buf->ptr, buf->cap);
    buf_free(buf);
    return result;
}

enum trotline_status trotline_secret_generate(const struct trotline_scheme *scheme, char *text,
                                              size_t text_bytes)
{
    struct buf buf;
    enum trotline_status status = begin(scheme, text, text_bytes, &buf);
    if (status != TROTLINE_OK)
        return status;
    return finish(&buf, scheme_secret_generate(scheme->scheme, &buf), text, text_bytes);
}

enum trotline_status trotline_secret_public(const struct trotline_scheme *scheme,
                                            const char *secret, char *text, size_t text_bytes)
{
    struct buf buf;
    if (!secret)
        return TROTLINE_INVALID_ARGUMENT;
    enum trotline_status status = begin(scheme, text, text_bytes, &buf);
    if (status != TROTLINE_OK)
        return status;
    return finish(&buf, scheme_secret_public(scheme->scheme, slice_str(secret), &buf), text,
                  text_bytes);
}

typedef enum status make_key(const struct scheme *scheme, struct slice text,
                             struct signer_key **key, const char **reason);

static enum trotline_status check(const struct trotline_scheme *scheme, const char *secret,
                                  make_key *make, struct trotline_error *error)
{
    struct signer_key *key;
    const char *reason = "";
    if (!scheme || !secret)
        return TROTLINE_INVALID_ARGUMENT;
    enum status status = make(scheme->scheme, slice_str(secret), &key, &reason);
    signer_key_free(key);
    if (status == ST_RANGE)
        return lib_fail(error, TROTLINE_INVALID_SECRET, "invalid_secret", "", reason);
    return status_out(status);
}

enum trotline_status trotline_secret_check(const struct trotline_scheme *scheme, const char *secret,
                                           struct trotline_error *error)
{
    return check(scheme, secret, scheme_secret_key, error);
}

enum trotline_status trotline_secret_check_verifying(const struct trotline_scheme *scheme,
                                                     const char *secret,
                                                     struct trotline_error *error)
{
    return check(scheme, secret, scheme_verify_key, error);
}
