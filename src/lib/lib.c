/* lib.c - names of what calls answer, and the little that all files of the library use. */
#include <stdio.h>

#include "base/clock.h"
#include "lib/lib_private.h"
#include "trotline/trotline.h"

static const struct {
    const char *name, *text;
} statuses[] = {
    [TROTLINE_OK] = {"ok", "no error"},
    [TROTLINE_NO_MEMORY] = {"no_memory", "out of memory"},
    [TROTLINE_INVALID_ARGUMENT] = {"invalid_argument", "the call was given a wrong argument"},
    [TROTLINE_NOT_FOUND] = {"not_found", "there is nothing of that name"},
    [TROTLINE_INVALID_SCHEME] = {"invalid_scheme", "the description of the scheme is wrong"},
    [TROTLINE_INVALID_SECRET] = {"invalid_secret", "it is not a secret of the scheme"},
    [TROTLINE_INVALID_EVENT] = {"invalid_event", "a server would refuse it"},
    [TROTLINE_UNSUPPORTED] = {"unsupported", "the scheme or the key cannot do that"},
    [TROTLINE_TOO_SMALL] = {"too_small", "the buffer is too small"},
    [TROTLINE_NO_RANDOMNESS] = {"no_randomness", "the kernel gives no randomness"},
    [TROTLINE_REFUSED] = {"refused", "Redis answered with an error"},
    [TROTLINE_LOST] = {"lost", "the connection ended, and whether Redis acted is unknown"},
};

const char *trotline_status_name(enum trotline_status status)
{
    size_t index = (size_t)status;
    return index < sizeof(statuses) / sizeof(statuses[0]) ? statuses[index].name : "unknown";
}

const char *trotline_status_text(enum trotline_status status)
{
    size_t index = (size_t)status;
    return index < sizeof(statuses) / sizeof(statuses[0]) ? statuses[index].text : "unknown status";
}

const char *trotline_version(void)
{
    return TROTLINE_VERSION;
}

uint64_t lib_now_ms(uint64_t given_ms)
{
    return given_ms > 0 ? given_ms : clock_now_ms();
}

enum trotline_status lib_fail(struct trotline_error *error, enum trotline_status status,
                              const char *code, const char *field, const char *message)
{
    if (!error)
        return status;
    error->code = code;
    snprintf(error->field, sizeof(error->field), "%s", field);
    snprintf(error->message, sizeof(error->message), "%s", message);
    return status;
}

enum trotline_status lib_copy_out(struct slice text, char *out, size_t out_bytes)
{
    if (text.len >= out_bytes) {
        if (out_bytes > 0)
            out[0] = '\0';
        return TROTLINE_TOO_SMALL;
    }
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return TROTLINE_OK;
}
