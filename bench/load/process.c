/* process.c - /proc/PID/stat and /proc/PID/status. A tick is 10 ms, and threads that have ended
 * count, unlike in schedstat. */
#include "process.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* utime + stime */
static uint64_t process_ticks(int pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file)
        fclose(file);
    line[n] = '\0';
    /* The name, in parentheses, may hold spaces and parentheses of its own. */
    const char *at = strrchr(line, ')');
    unsigned long utime, stime;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &utime,
                      &stime) != 2) {
        fprintf(stderr, "bench-load: process %d has ended\n", pid);
        exit(1);
    }
    return utime + stime;
}

static void process_memory(struct process *process)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", process->pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "VmRSS: %ld", &process->rss_kib);
        sscanf(line, "VmHWM: %ld", &process->rss_peak_kib);
    }
    if (file)
        fclose(file);
}

void process_begin(struct process *process, int pid)
{
    *process = (struct process){.pid = pid, .ticks_before = process_ticks(pid)};
}

void process_end(struct process *process)
{
    process->ticks_after = process_ticks(process->pid);
    process_memory(process);
}

static uint64_t ticks_of_all(const struct process *processes, unsigned count)
{
    uint64_t ticks = 0;
    for (unsigned i = 0; i < count; i++)
        ticks += process_ticks(processes[i].pid);
    return ticks;
}

void processes_wait_quiet(const struct process *processes, unsigned count)
{
    const struct timespec pause = {.tv_nsec = 500000000};
    for (unsigned i = 0; i < 120 && count > 0; i++) {
        uint64_t before = ticks_of_all(processes, count);
        nanosleep(&pause, NULL);
        if (ticks_of_all(processes, count) - before <= 1)
            return;
    }
}

void process_print(const struct process *process, uint64_t events, FILE *out)
{
    uint64_t ticks = process->ticks_after - process->ticks_before;
    double seconds = (double)ticks / (double)sysconf(_SC_CLK_TCK);
    fprintf(out,
            "{\"pid\":%d,\"cpu_seconds\":%.2f,\"cpu_us_per_event\":%.2f,\"rss_kib\":%ld,"
            "\"rss_peak_kib\":%ld}",
            process->pid, seconds, events ? seconds * 1e6 / (double)events : 0.0, process->rss_kib,
            process->rss_peak_kib);
}
