/* field_error.c - filling in a refusal. Texts are cut where they do not fit; a character cut in two
 * is mended by the JSON writer.
 */
#include "base/field_error.h"

#include <stdarg.h>
#include <stdio.h>

enum status field_refuse(struct field_error *error, const char *code, const char *field,
                         const char *format, ...)
{
    error->code = code;
    snprintf(error->field, sizeof(error->field), "%s", field);
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    return ST_RANGE;
}
