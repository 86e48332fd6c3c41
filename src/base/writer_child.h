/* writer_child.h - the process at the other end of a writer (writer.h): it takes lines from
 * standard input and writes them where they belong, with ordinary writes that may block.
 *
 * It ends at end of file and in no other way: all signals are blocked, so that neither ^C nor a
 * service manager's SIGTERM to the whole group takes the last lines away, and it does not die with
 * its parent, so that even after a kill -9 what was handed over is still written.
 */
#ifndef TROTLINE_BASE_WRITER_CHILD_H
#define TROTLINE_BASE_WRITER_CHILD_H

#include <stdatomic.h>
#include <stdint.h>

/* argv[1] of such a process; main() passes it to writer_child_main(). Then either "stderr", or
 * "file", its path, its maximum in bytes, and how many rotated ones are kept. */
#define WRITER_COMMAND "write-lines"

/* Its parent sees through this page what became of the lines, without asking. */
struct writer_page {
    _Atomic uint64_t lines_written;
    _Atomic uint64_t lines_lost;
    _Atomic int last_error; /* errno of the last loss */
};

/* Descriptor of that page in the process; 0 is where lines come from, 2 is standard error. */
enum { WRITER_PAGE_FD = 3 };

/* Runs until the end of file. Returns the exit code: 2 when the arguments are not those above. */
int writer_child_main(int argc, char **argv);

#endif
