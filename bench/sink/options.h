/* options.h - what bench-sink was told to do. */
#ifndef TROTLINE_BENCH_SINK_OPTIONS_H
#define TROTLINE_BENCH_SINK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct sink_options {
    uint16_t port;
    bool is_everywhere; /* on all addresses of 127.0.0.0/8 */
    int status;
    uint64_t expect, skip;
    const char *ca_path;      /* NULL: http; otherwise https, and here goes who vouches for it */
    const char *stamps_class; /* NULL: no stamps */
    FILE *stamps;
};

/* Reads the command line; what is wrong with it, and --help, end the program. */
void sink_options_read(struct sink_options *options, int argc, char **argv);

#endif
