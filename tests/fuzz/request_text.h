/* request_text.h - a fuzzer's input read like a request: words, then header lines, then a body. */
#ifndef TROTLINE_FUZZ_REQUEST_TEXT_H
#define TROTLINE_FUZZ_REQUEST_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "wire/received.h"

enum { HEADERS_MAX = 24 };

static inline void expect(bool good)
{
    if (!good)
        abort();
}

/* Takes off everything before the next `end`, and that. */
static inline struct slice take_until(struct slice *input, char end)
{
    const char *at = input->len > 0 ? memchr(input->ptr, end, input->len) : NULL;
    struct slice part = slice_of(input->ptr, at ? (size_t)(at - input->ptr) : input->len);
    *input = slice_from(*input, part.len + 1);
    return part;
}

/* Up to the first line without a name; what is beyond the array is passed over. */
static inline size_t headers_take(struct slice *input, struct received_header headers[HEADERS_MAX])
{
    size_t count = 0;
    for (struct slice line; (line = take_until(input, '\n')).len > 0;) {
        struct slice name = take_until(&line, ':');
        if (line.len > 0 && line.ptr[0] == ' ')
            line = slice_from(line, 1);
        if (count < HEADERS_MAX)
            headers[count++] = (struct received_header){name, line};
    }
    return count;
}

#endif
