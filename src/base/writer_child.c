/* writer_child.c - see writer_child.h.
 *
 *     read what is there --> write all whole lines --> keep the beginning of the next one
 *
 * An incomplete line at the end of file is dropped: its server died while it was handing it over.
 * What cannot be written is lost and counted, and the next lines are tried again.
 */
#include "base/writer_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/line_file.h"
#include "base/parse.h"

enum { CHUNK_BYTES = 256 * 1024 };

struct output {
    bool to_file;
    struct line_file file;
};

/* A standard error that others have made non-blocking is waited for. */
static bool wait_writable(void)
{
    struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&pfd, 1, -1) >= 0 || errno == EINTR;
}

/* How much of the lines to write at once. A pipe may have other writers (the servers of `serve
 * --workers`, the next command of a shell), and takes no more than PIPE_BUF bytes in one piece
 * (pipe(7)): whole lines up to that, so that they do not come out mixed. */
static size_t piece(struct slice lines, bool to_pipe)
{
    if (!to_pipe || lines.len <= PIPE_BUF)
        return lines.len;
    const char *newline = memrchr(lines.ptr, '\n', PIPE_BUF);
    if (!newline)
        newline = memchr(lines.ptr, '\n', lines.len);
    return newline ? (size_t)(newline + 1 - lines.ptr) : lines.len;
}

static bool stderr_is_pipe(void)
{
    struct stat info;
    return fstat(STDERR_FILENO, &info) == 0 && S_ISFIFO(info.st_mode);
}

/* Returns how many bytes were written; fewer than all: errno tells. */
static size_t write_stderr(struct slice lines)
{
    bool to_pipe = stderr_is_pipe();
    size_t done = 0;
    while (done < lines.len) {
        size_t len = piece(slice_from(lines, done), to_pipe);
        ssize_t written = write(STDERR_FILENO, lines.ptr + done, len);
        if (written >= 0)
            done += (size_t)written;
        else if (errno == EAGAIN ? !wait_writable() : errno != EINTR)
            break;
    }
    return done;
}

static uint64_t count_lines(struct slice text)
{
    uint64_t count = 0;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        count++;
    return count;
}

static void put_lines(struct output *output, struct slice lines, struct writer_page *page)
{
    size_t done = output->to_file ? line_file_write(&output->file, lines) : write_stderr(lines);
    atomic_fetch_add(&page->lines_written, count_lines(slice_of(lines.ptr, done)));
    if (done == lines.len)
        return;
    atomic_store(&page->last_error, errno);
    atomic_fetch_add(&page->lines_lost, count_lines(slice_from(lines, done)));
}

static void copy_lines(struct output *output, struct writer_page *page)
{
    static char chunk[CHUNK_BYTES];
    size_t len = 0;
    for (;;) {
        ssize_t got = read(STDIN_FILENO, chunk + len, sizeof(chunk) - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        len += (size_t)got;
        const char *newline = memrchr(chunk, '\n', len);
        if (newline) {
            size_t whole = (size_t)(newline + 1 - chunk);
            put_lines(output, slice_of(chunk, whole), page);
            memmove(chunk, chunk + whole, len - whole);
            len -= whole;
        } else if (len == sizeof(chunk)) {
            len = 0; /* no line of ours is that long; its end goes through by itself */
        }
    }
}

static bool read_arguments(int argc, char **argv, struct output *output)
{
    uint64_t max_bytes, files;
    if (argc == 2 && strcmp(argv[1], "stderr") == 0)
        return true;
    if (argc != 5 || strcmp(argv[1], "file") != 0 ||
        parse_u64(slice_str(argv[3]), &max_bytes) != ST_OK ||
        parse_u64(slice_str(argv[4]), &files) != ST_OK || files == 0 || files > 1000000)
        return false;
    output->to_file = true;
    line_file_init(&output->file, argv[2], max_bytes, (unsigned)files);
    return true;
}

int writer_child_main(int argc, char **argv)
{
    struct output output = {.to_file = false};
    struct writer_page alone = {.lines_written = 0};
    sigset_t all;
    sigfillset(&all);
    if (!read_arguments(argc, argv, &output) || sigprocmask(SIG_SETMASK, &all, NULL) != 0)
        return 2;
    struct writer_page *page =
        mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, WRITER_PAGE_FD, 0);
    closefrom(WRITER_PAGE_FD);
    copy_lines(&output, page == MAP_FAILED ? &alone : page);
    if (output.to_file)
        line_file_close(&output.file);
    return 0;
}
