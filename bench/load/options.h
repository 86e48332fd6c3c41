/* options.h - what bench-load was told to do. */
#ifndef TROTLINE_BENCH_LOAD_OPTIONS_H
#define TROTLINE_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROCESSES_MAX = 16 };

struct load_options {
    char host[256], port[8], path[1024];
    const char *key, *type, *deliver_at;
    size_t size_bytes;
    bool is_padded; /* the letter x instead of an order */
    unsigned connections, types;
    unsigned per_request;   /* events; more than 1: a JSON array of them, to …/batch */
    uint64_t first, events; /* number of the first event; how many */
    double rate;            /* events a second; 0 is the closed loop */
    double duration_s;      /* 0: as long as the events take */
    unsigned timeout_s;     /* without any answer, after which we give up */
    bool has_keys;          /* a fresh Idempotency-Key with every event */
    bool prints;            /* the bodies of `events`, and publishes nothing */
    const char *github;     /* secret; NULL: requests are a producer's, not GitHub's */
    int pids[PROCESSES_MAX];
    unsigned pid_count;
};

/* Reads the command line; what is wrong with it, and --help, end the program. */
void load_options_read(struct load_options *options, int argc, char **argv);

/* Says what is wrong and how it should be, and ends the program. */
__attribute__((noreturn)) void load_options_refuse(const char *what);

#endif
