/* env.c - ${NAME} in what is configured in files.
 *
 * What a variable holds is not expanded again, so a secret may have any characters.
 */
#include "base/env.h"

#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"

/* Appends what "${NAME}", which `text` starts with, stands for, and returns its length; 0 with a
 * reason when there is no such thing. */
static size_t add_variable(const char *text, struct buf *out, struct buf *reason)
{
    char name[128];
    size_t len = 0;
    while (ascii_is_alnum(text[2 + len]) || text[2 + len] == '_')
        len++;
    if (len == 0 || len >= sizeof(name) || text[2 + len] != '}' || ascii_is_digit(text[2])) {
        buf_add_str(reason, "\"${\" must be followed by the name of an environment variable and "
                            "\"}\"; write \"$${\" for the characters themselves");
        return 0;
    }
    memcpy(name, text + 2, len);
    name[len] = '\0';
    const char *value = getenv(name);
    if (!value) {
        buf_addf(reason, "the environment variable %s is not set", name);
        return 0;
    }
    buf_add_str(out, value);
    return len + 3;
}

/* The same for whatever begins with "$". */
static size_t add_dollar(const char *text, struct buf *out, struct buf *reason)
{
    if (text[1] == '{')
        return add_variable(text, out, reason);
    if (text[1] == '$') {
        buf_add_char(out, '$');
        return 2;
    }
    buf_add_str(reason, "\"$\" stands for an environment variable, \"${NAME}\"; write \"$$\" for "
                        "the character itself");
    return 0;
}

enum status env_expand(const char *text, size_t bytes_max, char **result, struct buf *reason)
{
    struct buf out;
    buf_init(&out, bytes_max + 1);
    while (*text) {
        size_t plain = strcspn(text, "$");
        buf_add(&out, text, plain);
        text += plain;
        size_t used = text[0] != '\0' ? add_dollar(text, &out, reason) : 0;
        if (text[0] != '\0' && used == 0) {
            buf_free(&out);
            return ST_RANGE;
        }
        text += used;
    }
    buf_add_char(&out, '\0');
    enum status status = buf_status(&out);
    if (status == ST_OK) {
        *result = out.ptr;
        return ST_OK;
    }
    buf_free(&out);
    if (status == ST_LIMIT)
        buf_addf(reason, "longer than %zu bytes", bytes_max);
    return status == ST_LIMIT ? ST_RANGE : status;
}
