/* line_file.c - see line_file.h.
 *
 *   write: is PATH still the open file? --no--> open: lock, look again, cut a torn last line
 *            |
 *          does the next line fit into max_bytes? --no--> rotate: .n-1 -> .n … PATH -> .1, open
 *            |
 *          append as many lines as fit, in one write
 *
 * Rotating stops at the first gap of the numbers, so that an interrupted rotation costs no file
 * when it is done again. When it fails, lines are refused rather than the limit overrun: the disk
 * may be Redis's as well.
 *
 * A line can be torn only by the end of this process or of the machine inside of write(), or by a
 * full disk. In the last case the beginning is cut off at once, in the others at the next opening;
 * such a line was never reported as written.
 */
#include "base/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = PATH_MAX + 16, TAIL_BYTES = 64 * 1024 };

enum status line_file_check(const char *path)
{
    struct stat info;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return ST_IO;
    bool is_file = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    close(fd);
    return is_file ? ST_OK : ST_RANGE;
}

void line_file_init(struct line_file *file, const char *path, uint64_t max_bytes, unsigned files)
{
    *file = (struct line_file){.path = path, .max_bytes = max_bytes, .files = files, .fd = -1};
}

void line_file_close(struct line_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Is the open file the one at the path? Notes its size. */
static bool in_place(struct line_file *file)
{
    struct stat open_info, path_info;
    if (file->fd < 0 || fstat(file->fd, &open_info) != 0 || stat(file->path, &path_info) != 0)
        return false;
    file->bytes = (uint64_t)open_info.st_size;
    return open_info.st_dev == path_info.st_dev && open_info.st_ino == path_info.st_ino;
}

/* Cuts what stands behind the last newline, if there is one among the last bytes. */
static bool cut_torn_line(struct line_file *file)
{
    static char tail[TAIL_BYTES];
    size_t len = file->bytes < sizeof(tail) ? (size_t)file->bytes : sizeof(tail);
    if (len == 0)
        return true;
    if (pread(file->fd, tail, len, (off_t)(file->bytes - len)) != (ssize_t)len)
        return false;
    const char *newline = memrchr(tail, '\n', len);
    size_t torn = newline ? len - (size_t)(newline + 1 - tail) : 0;
    file->bytes -= torn;
    return torn == 0 || ftruncate(file->fd, (off_t)file->bytes) == 0;
}

static bool lock(int fd)
{
    int result;
    do
        result = flock(fd, LOCK_EX);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Waits for the lock, during which the file may have been rotated: then the new one is taken. */
static bool open_file(struct line_file *file)
{
    do {
        line_file_close(file);
        file->fd = open(file->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (file->fd < 0 || !lock(file->fd))
            return false;
    } while (!in_place(file));
    return cut_torn_line(file);
}

/* ---- Rotating -------------------------------------------------------------------------------- */

static void name_of(const struct line_file *file, unsigned number, char name[NAME_BYTES])
{
    if (number == 0)
        snprintf(name, NAME_BYTES, "%s", file->path);
    else
        snprintf(name, NAME_BYTES, "%s.%u", file->path, number);
}

static bool rotate(struct line_file *file)
{
    char from[NAME_BYTES], to[NAME_BYTES];
    struct stat info;
    unsigned last = 1; /* the first free number, or the oldest, which is overwritten */
    for (; last < file->files; last++) {
        name_of(file, last, to);
        if (lstat(to, &info) != 0)
            break;
    }
    for (unsigned number = last; number > 0; number--) {
        name_of(file, number - 1, from);
        name_of(file, number, to);
        if (rename(from, to) != 0)
            return false;
    }
    return open_file(file);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* As many whole lines as fit in `room` bytes; the first one in any case when `at_least_one`. */
static size_t fitting(struct slice lines, uint64_t room, bool at_least_one)
{
    if (lines.len <= room)
        return lines.len;
    const char *end = room > 0 ? memrchr(lines.ptr, '\n', (size_t)room) : NULL;
    if (!end && at_least_one)
        end = memchr(lines.ptr, '\n', lines.len);
    return end ? (size_t)(end + 1 - lines.ptr) : 0;
}

/* Returns how many bytes of whole lines were written; the rest of a torn one is cut off. */
static size_t append(struct line_file *file, struct slice lines)
{
    size_t done = 0;
    while (done < lines.len) {
        ssize_t written = write(file->fd, lines.ptr + done, lines.len - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    if (done < lines.len) {
        int error = errno;
        const char *end = done > 0 ? memrchr(lines.ptr, '\n', done) : NULL;
        done = end ? (size_t)(end + 1 - lines.ptr) : 0;
        if (ftruncate(file->fd, (off_t)(file->bytes + done)) != 0)
            line_file_close(file); /* cut at the next opening */
        errno = error;
    }
    file->bytes += done;
    return done;
}

size_t line_file_write(struct line_file *file, struct slice lines)
{
    size_t done = 0;
    while (done < lines.len) {
        struct slice rest = slice_from(lines, done);
        if (!in_place(file) && !open_file(file))
            break;
        uint64_t room = file->bytes < file->max_bytes ? file->max_bytes - file->bytes : 0;
        size_t len = fitting(rest, room, file->bytes == 0);
        if (len == 0) {
            if (!rotate(file))
                break;
            continue;
        }
        size_t written = append(file, slice_of(rest.ptr, len));
        done += written;
        if (written < len)
            break;
    }
    return done;
}
