/* http.h - as much of HTTP/1.1 as the stage needs of messages that are in order. */
#ifndef TROTLINE_TESTS_STAGE_HTTP_H
#define TROTLINE_TESTS_STAGE_HTTP_H

#include <stdlib.h>
#include <string.h>

#include "stage.h"

/* Length of the first message of an inbox, head and body; 0: it is not whole. */
static inline size_t http_length(const struct inbox *in)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *end = in->len ? memmem(in->bytes, in->len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return 0;
    size_t len = (size_t)(end - in->bytes) + 4;
    const char *length = memmem(in->bytes, len, name, sizeof(name) - 1);
    len += length ? strtoul(length + sizeof(name) - 1, NULL, 10) : 0;
    return len <= in->len ? len : 0;
}

#endif
