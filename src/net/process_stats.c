/* process_stats.c - this process as the system sees it.
 *
 * The number of open descriptors is the size of /proc/self/fd since Linux 6.2; before, its entries
 * have to be counted. [proc(5)]
 */
#include "net/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t us_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* Of statm's numbers, which are pages, the first two. */
static void read_memory(struct process_stats *stats)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t len = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (len <= 0)
        return;
    text[len] = '\0';
    char *rest;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    stats->virtual_bytes = strtoull(text, &rest, 10) * page_bytes;
    stats->resident_bytes = strtoull(rest, &rest, 10) * page_bytes;
}

/* The descriptor that reads the directory is not counted. */
static uint64_t count_entries(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count > 0 ? count - 1 : 0;
}

static uint64_t open_fds(void)
{
    struct stat info;
    if (stat("/proc/self/fd", &info) == 0 && info.st_size > 0)
        return (uint64_t)info.st_size;
    return count_entries();
}

void process_stats_read(struct process_stats *stats)
{
    struct rusage usage;
    struct rlimit limit;
    *stats = (struct process_stats){0};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        stats->cpu_us = us_of(&usage.ru_utime) + us_of(&usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        stats->max_fds = (uint64_t)limit.rlim_cur;
    read_memory(stats);
    stats->open_fds = open_fds();
}
