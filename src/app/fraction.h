/* fraction.h - a share of one, as people write it: "0.2". */
#ifndef TROTLINE_APP_FRACTION_H
#define TROTLINE_APP_FRACTION_H

#include "base/status.h"

/* Plain decimals only: strtod alone would take hexadecimal, exponents, "inf" and "nan". ST_SYNTAX:
 * not a decimal number; ST_RANGE: more than 1. `value` is then untouched. */
MUST_CHECK enum status fraction_parse(const char *text, double *value);

#endif
