/* trotline/status.h - what calls of libtrotline answer, and the two small structs that all share.
 *
 * No call ends the process, logs, or writes to standard error; what is wrong with the input is a
 * status, and where that says too little a struct trotline_error. Out of memory is a status, too,
 * and leaves everything as it was.
 */
#ifndef TROTLINE_STATUS_H
#define TROTLINE_STATUS_H

#include <stddef.h>
#include <string.h>

#if defined(__GNUC__)
#define TROTLINE_API        __attribute__((visibility("default")))
#define TROTLINE_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TROTLINE_API
#define TROTLINE_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers stay; later versions may add some at the end. */
enum trotline_status {
    TROTLINE_OK = 0,
    TROTLINE_NO_MEMORY = 1,
    TROTLINE_INVALID_ARGUMENT = 2, /* NULL where something is needed, an enum out of its range, … */
    TROTLINE_NOT_FOUND = 3,        /* there is nothing of that name */
    TROTLINE_INVALID_SCHEME = 4,   /* the description of a scheme is wrong */
    TROTLINE_INVALID_SECRET = 5,   /* it is not a secret of that scheme */
    TROTLINE_INVALID_EVENT = 6,    /* a server would refuse this event, or this webhook's parts */
    TROTLINE_UNSUPPORTED = 7,      /* that scheme, or key, cannot do that */
    TROTLINE_TOO_SMALL = 8,        /* the caller's buffer is */
    TROTLINE_NO_RANDOMNESS = 9,    /* the kernel gives none (getrandom(2)); errno tells why */
    TROTLINE_REFUSED = 10,         /* Redis answered with an error */
    TROTLINE_LOST = 11             /* the connection ended; whether Redis acted is unknown */
};

/* The name as above without TROTLINE_, in lower case; and a short sentence. Static memory; for any
 * number. */
TROTLINE_API const char *trotline_status_name(enum trotline_status status);
TROTLINE_API const char *trotline_status_text(enum trotline_status status);

/* What is wrong, in words. The caller provides it, or NULL; it is written by calls that fail, and
 * only by them. Secrets and payloads are never in it. */
struct trotline_error {
    const char *code; /* for programs: "invalid_type", "unknown_field", …; static memory. The codes
                         for events are those of the server's API (README.md) */
    char field[96];   /* what it is about: "deliverAt", "data.items[3]", "secrets[1]"; or empty */
    char message[256]; /* one sentence for people. Both are cut to fit, and end in NUL */
};

/* Bytes that belong to somebody else, and need not end in NUL. Absent: at == NULL. */
struct trotline_slice {
    const char *at;
    size_t bytes;
};

static inline struct trotline_slice trotline_slice_of(const void *at, size_t bytes)
{
    struct trotline_slice slice;
    slice.at = (const char *)at;
    slice.bytes = bytes;
    return slice;
}

/* Of a string that ends in NUL; NULL is absent. */
static inline struct trotline_slice trotline_slice_str(const char *string)
{
    return trotline_slice_of(string, string ? strlen(string) : 0);
}

#ifdef __cplusplus
}
#endif

#endif
