/* field_error.h - why input was refused, as the body of the answer tells it. */
#ifndef TROTLINE_BASE_FIELD_ERROR_H
#define TROTLINE_BASE_FIELD_ERROR_H

#include "base/status.h"

struct field_error {
    const char *code;  /* static: "invalid_url", "missing_field", "unknown_field", … */
    char field[96];    /* "url", "events[2]", "headers.X-Token"; "" if none. Cut to fit */
    char message[256]; /* a sentence that says what to do. Cut to fit */
};

/* Fills in the error and returns ST_RANGE. */
enum status field_refuse(struct field_error *error, const char *code, const char *field,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
