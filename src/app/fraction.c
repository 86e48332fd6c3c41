/* fraction.c - see fraction.h. */
#include "app/fraction.h"

#include <stdlib.h>
#include <string.h>

enum status fraction_parse(const char *text, double *value)
{
    static const char digits[] = "0123456789";
    size_t whole = strspn(text, digits);
    size_t len = whole;
    if (text[len] == '.')
        len += 1 + strspn(text + len + 1, digits);
    if (whole == 0 || text[len] != '\0' || text[len - 1] == '.')
        return ST_SYNTAX;
    double parsed = strtod(text, NULL);
    if (parsed > 1.0)
        return ST_RANGE;
    *value = parsed;
    return ST_OK;
}
