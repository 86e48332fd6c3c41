/* entropy.c - the kernel's randomness, without a pool. */
#include "base/entropy.h"

#include <errno.h>
#include <sys/random.h>

enum status entropy_read(void *out, size_t len)
{
    unsigned char *place = out;
    while (len > 0) {
        ssize_t got = getrandom(place, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ST_IO;
        place += got;
        len -= (size_t)got;
    }
    return ST_OK;
}
