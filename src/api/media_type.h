/* media_type.h - what kind of body a request says it has (RFC 9110 section 8.3.1). Pure. */
#ifndef TROTLINE_API_MEDIA_TYPE_H
#define TROTLINE_API_MEDIA_TYPE_H

#include <stdbool.h>

#include "base/slice.h"

/* The type without parameters and blanks ("application/json"); its case is as received. */
struct slice media_type_essence(struct slice content_type);

/* Is it application/json or application/…+json, with no charset but utf-8? Other parameters are
 * passed over. */
bool media_type_is_json(struct slice content_type);

#endif
