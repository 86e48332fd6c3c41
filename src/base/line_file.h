/* line_file.h - a file of lines that is rotated by size: FILE, FILE.1 (the next older) … FILE.n.
 *
 * Made for the writer's process (writer_child.h): every call may block. Bytes arrive as whole
 * lines, and no line is ever split over two files. Files are renamed, never copied; a file that
 * somebody moved away or removed is made anew.
 *
 * An exclusive flock on FILE is held while it is open, so that a predecessor that still writes the
 * last lines of a killed server is waited for.
 */
#ifndef TROTLINE_BASE_LINE_FILE_H
#define TROTLINE_BASE_LINE_FILE_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct line_file {
    const char *path; /* borrowed */
    uint64_t max_bytes;
    unsigned files; /* rotated ones that are kept, at least 1 */
    int fd;         /* -1: not open */
    uint64_t bytes; /* in the file */
};

/* Can such a file be opened for writing? Makes it when it is missing, and never blocks. ST_IO with
 * errno; ST_RANGE: it exists and is not an ordinary file. */
MUST_CHECK enum status line_file_check(const char *path);

/* Opens nothing yet. */
void line_file_init(struct line_file *file, const char *path, uint64_t max_bytes, unsigned files);
void line_file_close(struct line_file *file);

/* Appends whole lines. Returns how many of their bytes (a number of whole lines, from the start)
 * are in files now; fewer than all: errno tells, and the file ends with the last of them. */
MUST_CHECK size_t line_file_write(struct line_file *file, struct slice lines);

#endif
