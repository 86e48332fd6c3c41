/* worker.c - see worker.h.
 *
 * TROTLINE_WORKER is "NUMBER" or "NUMBER first"; the pipe is descriptor 3, and none above
 * it is open.
 *
 * A worker whose parent has died is killed (PDEATHSIG SIGKILL) rather than told to stop: the
 * embedded Redis ends with the parent too, and a stop in good order without Redis would only wait
 * for it while a successor already serves on the same port. What it had in hand is in its journal.
 */
#include "app/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/parse.h"

#define VARIABLE "TROTLINE_WORKER"

enum { READY_FD = 3, HIGH_FD = 10, VARIABLE_BYTES = 64 };

extern char **environ;

/* ---- The worker's end ------------------------------------------------------------------------ */

struct worker worker_self(void)
{
    struct worker worker = {.number = 0};
    const char *text = getenv(VARIABLE);
    uint64_t number;
    if (!text)
        return worker;
    size_t digits = strcspn(text, " ");
    if (parse_u64(slice_of(text, digits), &number) == ST_OK && number <= 1000) {
        worker.number = (unsigned)number;
        worker.first = strcmp(text + digits, " first") == 0;
        /* The processes that this one starts have nothing to say on it. */
        (void)fcntl(READY_FD, F_SETFD, FD_CLOEXEC);
    }
    unsetenv(VARIABLE);
    return worker;
}

const char *worker_mark(const struct worker *worker)
{
    static char mark[32];
    if (worker->number == 0)
        return "";
    snprintf(mark, sizeof(mark), "worker=%u", worker->number);
    return mark;
}

void worker_tell_ready(const struct worker *worker)
{
    static bool told;
    if (worker->number == 0 || told)
        return;
    told = true;
    /* Kept open: its end is the worker's. A parent that cannot be told is about to kill us. */
    ssize_t written = write(READY_FD, "r", 1);
    (void)written;
}

/* ---- The parent's end ------------------------------------------------------------------------ */

/* A copy of the environment with the variable; free() it, not its strings. NULL: out of memory. */
static char **environment_with(char *variable)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **copy = calloc(count + 2, sizeof(*copy));
    if (!copy)
        return NULL;
    memcpy(copy, environ, count * sizeof(*copy));
    copy[count] = variable;
    return copy;
}

/* In the child, before the parent's signal handlers can run in it: all signals are blocked, and
 * exec would let those through that come later. Only async-signal-safe calls. */
__attribute__((noreturn)) static void become_worker(char *const *argv, char *const *env, int ready,
                                                    pid_t parent)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        signal(numbers[i], SIG_DFL);
    int high = fcntl(ready, F_DUPFD_CLOEXEC, HIGH_FD); /* it may be the very number it is to have */
    /* We may have died between fork and prctl; then nobody would ever send the signal. */
    if (high >= 0 && setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
        getppid() == parent && dup2(high, READY_FD) == READY_FD &&
        sigprocmask(SIG_SETMASK, &none, NULL) == 0) {
        closefrom(READY_FD + 1);
        execve("/proc/self/exe", argv, env);
    }
    _exit(127);
}

static enum status fork_worker(char *const *argv, char *const *env, int ready, pid_t *pid)
{
    sigset_t all, before;
    pid_t parent = getpid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    if (child == 0)
        become_worker(argv, env, ready, parent);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    if (child < 0)
        return ST_IO; /* -1 must not get to anybody who might send it a signal: that means all */
    *pid = child;
    return ST_OK;
}

enum status worker_start(const struct worker *worker, char *const *argv, pid_t *pid, int *ready_fd)
{
    char variable[VARIABLE_BYTES];
    int ends[2];
    enum status status = ST_IO;
    snprintf(variable, sizeof(variable), VARIABLE "=%u%s", worker->number,
             worker->first ? " first" : "");
    char **env = environment_with(variable);
    if (!env)
        return ST_IO;
    if (pipe2(ends, O_CLOEXEC) != 0)
        goto done;
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
        status = fork_worker(argv, env, ends[1], pid);
    int error = errno;
    close(ends[1]);
    if (status == ST_OK)
        *ready_fd = ends[0];
    else
        close(ends[0]);
    errno = error;
done:
    free(env);
    return status;
}
