/* receive_type.h - the type of an event that is made of a received request. Pure. */
#ifndef TROTLINE_API_RECEIVE_TYPE_H
#define TROTLINE_API_RECEIVE_TYPE_H

#include <stddef.h>

#include "base/limits.h"
#include "base/slice.h"

/* "<prefix>.<type>" as an event's type may be written (event_type_valid()), into `text`. The
 * sender's separators ('/', ':', '#') become dots, and what else a type may not have becomes '_':
 * "orders/create" is "orders.create", "Push Hook" is "Push_Hook". Beyond LIMIT_TYPE_BYTES it is cut
 * off. Without a type that has a letter or digit it is "<prefix>.unknown". `prefix` "" adds none;
 * else it must be valid. */
struct slice receive_type(struct slice prefix, struct slice sent, char text[LIMIT_TYPE_BYTES]);

#endif
