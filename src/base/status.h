/* status.h - what a call that can fail answers.
 *
 * Status is for the world's faults; assert is for ours. Every function that returns a status says
 * in its comment which ones, and what a failure leaves behind.
 */
#ifndef TROTLINE_BASE_STATUS_H
#define TROTLINE_BASE_STATUS_H

enum status {
    ST_OK = 0,
    ST_NOMEM,       /* the allocator refused */
    ST_LIMIT,       /* a configured or built-in maximum was reached */
    ST_SYNTAX,      /* input is malformed */
    ST_RANGE,       /* input is well-formed, but its value is not acceptable */
    ST_UNSUPPORTED, /* understood, but not done here */
    ST_NOTFOUND,
    ST_EXISTS,
    ST_CONFLICT, /* somebody else has changed it meanwhile */
    ST_AGAIN,    /* not now; try again later */
    ST_LOST,     /* the connection ended; whether the other side acted is unknown */
    ST_REFUSED,  /* the other side said no */
    ST_TIMEOUT,
    ST_DENIED, /* a policy forbids it */
    ST_IO,     /* a system call failed; errno tells */
    ST_STOPPED /* we are shutting down */
};

/* Put before a function whose status must be looked at. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* The name as in the enum without ST_, in lower case. Static memory. */
const char *status_name(enum status status);

/* A short sentence for logs and error messages. Static memory. */
const char *status_text(enum status status);

#endif
