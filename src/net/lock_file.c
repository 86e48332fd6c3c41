/* lock_file.c - flock, and a number in the file. */
#include "net/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static pid_t read_holder(int fd)
{
    char text[16] = "";
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    long holder = len > 0 ? strtol(text, NULL, 10) : 0;
    return holder > 0 ? (pid_t)holder : 0;
}

enum status lock_file_take(int dir_fd, const char *name, int *fd, pid_t *holder)
{
    int file = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return ST_IO;
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
        *fd = file;
        return ST_OK;
    }
    int error = errno;
    if (error == EWOULDBLOCK)
        *holder = read_holder(file);
    close(file);
    errno = error;
    return error == EWOULDBLOCK ? ST_EXISTS : ST_IO;
}

enum status lock_file_name_holder(int fd, pid_t holder)
{
    char text[16];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)holder);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
        return ST_IO;
    return ST_OK;
}
