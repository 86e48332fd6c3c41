/* api_key.c - the API key that the first start writes to DATA/api-key.
 *
 * The file is made under another name and linked into place, so that it is never seen half-written
 * and of two processes that start at once one wins. The other name is random: processes in two
 * containers that share a volume may well have the same process id.
 */
#include "app/api_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "wire/encoding.h"

enum { KEY_BYTES = 24, KEY_TEXT_MIN = 16, FILE_BYTES_MAX = 1024, PATH_BYTES = 4096 };

static enum status fail(struct buf *error, const char *what, const char *path)
{
    buf_addf(error, "cannot %s %s: %s", what, path, strerror(errno));
    return ST_IO;
}

/* ---- Making one ------------------------------------------------------------------------------ */

/* "tl_", 48 digits, a line feed. */
static enum status write_new_key(int fd, const char *path, struct buf *error)
{
    uint8_t bytes[KEY_BYTES];
    struct buf text;
    buf_init(&text, 256);
    rng_bytes(bytes, sizeof(bytes));
    buf_add_str(&text, "tl_");
    hex_encode(&text, slice_of(bytes, sizeof(bytes)));
    buf_add_char(&text, '\n');
    enum status status = buf_status(&text);
    errno = ENOSPC; /* what a short write means, which sets none */
    if (status == ST_OK && (write(fd, text.ptr, text.len) != (ssize_t)text.len || fsync(fd) != 0))
        status = fail(error, "write", path);
    explicit_bzero(bytes, sizeof(bytes));
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return status;
}

/* *made stays false when another process was quicker. */
static enum status make_key(const char *path, bool *made, struct buf *error)
{
    char temporary[PATH_BYTES + 32];
    snprintf(temporary, sizeof(temporary), "%s.%016llx", path, (unsigned long long)rng_u64());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(error, "create", temporary);
    enum status status = write_new_key(fd, temporary, error);
    close(fd);
    if (status == ST_OK) {
        *made = link(temporary, path) == 0;
        if (!*made && errno != EEXIST)
            status = fail(error, "create", path);
    }
    unlink(temporary);
    return status;
}

/* ---- Reading it ------------------------------------------------------------------------------ */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What stands in the file without the blanks around it, which come from editors. */
static struct slice trimmed(struct slice text)
{
    while (text.len > 0 && blank(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && blank(text.ptr[0]))
        text = slice_from(text, 1);
    return text;
}

/* Characters that an Authorization header can carry. */
static bool good_key(struct slice key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] <= ' ' || key.ptr[i] > '~')
            return false;
    return key.len >= KEY_TEXT_MIN;
}

/* ST_NOTFOUND without a sentence: there is no file. */
static enum status read_key(const char *path, struct buf *key, struct buf *error)
{
    char bytes[FILE_BYTES_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ST_NOTFOUND : fail(error, "open", path);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    if (len < 0) {
        enum status status = fail(error, "read", path);
        close(fd);
        return status;
    }
    close(fd);
    struct slice text = trimmed(slice_of(bytes, (size_t)len));
    bool good = len <= FILE_BYTES_MAX && good_key(text);
    if (good)
        buf_add_slice(key, text);
    else
        buf_addf(error,
                 "%s holds no API key: that is one line of %d to %d visible characters; remove the "
                 "file to get a new one",
                 path, KEY_TEXT_MIN, FILE_BYTES_MAX);
    explicit_bzero(bytes, sizeof(bytes));
    return good ? buf_status(key) : ST_RANGE;
}

enum status api_key_open(const char *data_dir, struct buf *key, bool *made, struct buf *error)
{
    char path[PATH_BYTES];
    *made = false;
    if (snprintf(path, sizeof(path), "%s/api-key", data_dir) >= (int)sizeof(path)) {
        buf_addf(error, "the path of the data directory is too long");
        return ST_LIMIT;
    }
    enum status status = read_key(path, key, error);
    if (status != ST_NOTFOUND)
        return status;
    status = make_key(path, made, error);
    if (status == ST_OK)
        status = read_key(path, key, error);
    return status == ST_NOTFOUND ? fail(error, "open", path) : status; /* removed already */
}
