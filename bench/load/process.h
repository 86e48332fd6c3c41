/* process.h - CPU time and memory of other processes, as /proc tells them. */
#ifndef TROTLINE_BENCH_LOAD_PROCESS_H
#define TROTLINE_BENCH_LOAD_PROCESS_H

#include <stdint.h>
#include <stdio.h>

/* Between begin and end; one that has ended ends the program, for there is no figure then. */
struct process {
    int pid;
    uint64_t ticks_before, ticks_after;
    long rss_kib, rss_peak_kib;
};

void process_begin(struct process *process, int pid);
void process_end(struct process *process);

/* Waits until all of them together use less than 2 % of a core; a minute at most. */
void processes_wait_quiet(const struct process *processes, unsigned count);

/* As a JSON object; `events` is what the CPU time is divided by. */
void process_print(const struct process *process, uint64_t events, FILE *out);

#endif
