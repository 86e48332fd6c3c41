/* api_key.c - the API key that the first start writes to DATA/api-key.
 *
 * The file is made under another name and linked into place, so that it is never seen half-written
 * and of two processes that start at once one wins.
 */
#include "app/api_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "wire/encoding.h"

enum { KEY_BYTES = 24, KEY_TEXT_MIN = 16, FILE_BYTES_MAX = 1024 };

static enum status fail(struct buf *error, const char *what, const char *path)
{
    buf_addf(error, "cannot %s %s: %s", what, path, strerror(errno));
    return ST_IO;
}

static enum status write_key(const char *path, const char *temporary, struct buf *error)
{
    uint8_t bytes[KEY_BYTES];
    struct buf text;
    buf_init(&text, 256);
    rng_bytes(bytes, sizeof(bytes));
    buf_add_str(&text, "tl_");
    hex_encode(&text, slice_of(bytes, sizeof(bytes)));
    buf_add_char(&text, '\n');
    enum status status = buf_status(&text);
    int fd = status == ST_OK ? open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (status == ST_OK && fd < 0)
        status = fail(error, "create", temporary);
    if (fd >= 0) {
        ssize_t written = write(fd, text.ptr, text.len);
        if (written != (ssize_t)text.len || fsync(fd) != 0)
            status = fail(error, "write", temporary);
        close(fd);
    }
    if (status == ST_OK && link(temporary, path) != 0 && errno != EEXIST)
        status = fail(error, "create", path);
    unlink(temporary);
    buf_free(&text);
    return status;
}

static enum status read_key(const char *path, struct buf *key, struct buf *error)
{
    char bytes[FILE_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ST_NOTFOUND : fail(error, "open", path);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    close(fd);
    if (len < 0)
        return fail(error, "read", path);
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r' || bytes[len - 1] == ' '))
        len--;
    if (len < KEY_TEXT_MIN) {
        buf_addf(error, "%s holds no API key of at least %d characters; remove it to get a new one",
                 path, KEY_TEXT_MIN);
        return ST_RANGE;
    }
    buf_add(key, bytes, (size_t)len);
    return buf_status(key);
}

enum status api_key_open(const char *data_dir, struct buf *key, bool *made, struct buf *error)
{
    char path[4096], temporary[4128];
    if (snprintf(path, sizeof(path), "%s/api-key", data_dir) >= (int)sizeof(path)) {
        buf_addf(error, "the path of the data directory is too long");
        return ST_LIMIT;
    }
    snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    *made = false;
    enum status status = read_key(path, key, error);
    if (status != ST_NOTFOUND)
        return status;
    *made = true;
    status = write_key(path, temporary, error);
    return status == ST_OK ? read_key(path, key, error) : status;
}
