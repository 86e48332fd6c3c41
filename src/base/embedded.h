/* embedded.h - files that the build put into the binary (src/embed.cmake).
 *
 * trotline_embed(<output.c> <symbol> files…) writes
 *     const struct embedded_file <symbol>[];
 *     const size_t <symbol>_count;
 * for which the user of the files declares the externs.
 */
#ifndef TROTLINE_BASE_EMBEDDED_H
#define TROTLINE_BASE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name; /* the file's name without its folder */
    const char *text; /* its bytes, and a NUL behind them */
    size_t len;       /* without that NUL */
};

#endif
