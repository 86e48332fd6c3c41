/* lib_private.h - what the files of the public library share: its types beside ours.
 *
 * The public headers (include/trotline) are the manual. The files here check what a caller gives,
 * translate, and call wire/, which is what the server uses; they decide nothing.
 */
#ifndef TROTLINE_LIB_LIB_PRIVATE_H
#define TROTLINE_LIB_LIB_PRIVATE_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "trotline/scheme.h"
#include "trotline/status.h"
#include "wire/scheme.h"

struct trotline_scheme {
    struct scheme *scheme;
};

static inline struct slice slice_in(struct trotline_slice slice)
{
    return slice_of(slice.at, slice.at ? slice.bytes : 0);
}

static inline struct trotline_slice slice_out(struct slice slice)
{
    return trotline_slice_of(slice.ptr, slice.len);
}

/* False: bytes are announced, and there are none. */
static inline bool slice_sound(struct trotline_slice slice)
{
    return slice.at || slice.bytes == 0;
}

/* The Unix time that the caller gave, or the clock's. */
uint64_t lib_now_ms(uint64_t given_ms);

/* Fills in the error, if there is one to fill in, and returns `status`. `code` is static. */
enum trotline_status lib_fail(struct trotline_error *error, enum trotline_status status,
                              const char *code, const char *field, const char *message);

/* Copies a text with a NUL for a caller, and empties the place when it does not fit (TOO_SMALL). */
enum trotline_status lib_copy_out(struct slice text, char *out, size_t out_bytes);

#endif
