/* c_locale.h - the C locale for the calling thread, for as long as numbers are read and written.
 *
 * strtod() and printf() follow the program's locale: in a German one 0.5 is "0,5", which is not
 * JSON. The server never sets a locale; a program that uses the library may. uselocale() (POSIX)
 * concerns the calling thread alone.
 */
#ifndef TROTLINE_LIB_C_LOCALE_H
#define TROTLINE_LIB_C_LOCALE_H

#include <locale.h>
#include <stdbool.h>

struct c_locale {
    locale_t own, before;
};

/* False: out of memory, and nothing has changed. */
static inline bool c_locale_enter(struct c_locale *locale)
{
    locale->own = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (locale->own != (locale_t)0)
        locale->before = uselocale(locale->own);
    return locale->own != (locale_t)0;
}

static inline void c_locale_leave(struct c_locale *locale)
{
    uselocale(locale->before);
    freelocale(locale->own);
}

#endif
