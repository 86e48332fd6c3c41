/* filter.h - which events an endpoint takes, by their payload.
 *
 * A filter is a JSON object. It is compiled once, when an endpoint is registered or loaded, and
 * then evaluated on the raw bytes of each event's `data`: in one pass that stops where nothing more
 * can be learnt, without a tree, and without memory.
 *
 *     {"order.total": {"$gte": 100, "$lt": 1000}, "order.currency": "EUR",
 *      "$or": [{"items.sku": {"$startsWith": "B-"}}, {"customer.vip": true}]}
 *
 * An expression is a value, or an object whose members must all hold. A member is one of
 *
 *     "a.b": expression        about the value at this path
 *     "a": {"b": expression}   the same
 *     "$and": [expression, …]  all of them     "$or": at least one     "$not": expression
 *     "$eq": value             and so on: about the value where the object stands
 *
 * where a value (a string, a number, true, false or null) by itself means {"$eq": value}.
 *
 *     $eq $in                  equal to the value; to one of the list's values
 *     $neq $nin                not so
 *     $gt $gte $lt $lte        a number above … this number, or a string after … this string
 *     $startsWith $endsWith    a string that begins, ends with this one
 *     $exists                  true: there is a value, null included; false: there is none
 *
 * - Nothing holds of a value that is missing or of another kind, except for what is negated: $neq,
 *   $nin, $not and `"$exists": false` are exactly the opposite of $eq, $in and so on, and so they
 * do hold. null equals only a null that is there. Objects equal nothing.
 * - Numbers are compared as decimal numbers of any length: 1 is 1.0 is 1e0, and 9007199254740993 is
 *   not 9007199254740992. Strings are compared after their escapes were replaced, byte by byte:
 *   no letters are folded, nothing is normalised, and order is that of UTF-8.
 * - Where the value is an array, a condition holds if it holds of one of its elements; $neq and
 * $nin thus say that it holds of none. Of the elements of arrays in arrays nothing is known, unless
 * by their number.
 * - In a path, dots separate names. A name looks into an object, and into those that are elements
 *   of an array: "items.sku" is every item's. A whole number (no zeros before it) is also an index:
 *   "items.0.sku". A dot, a dollar sign at the beginning, or a backslash that belongs to a name
 *   has a backslash before it (which JSON writes as two): "a\\.b" is one name.
 * - Each condition is by itself: {"items": {"sku": "A", "qty": 2}} holds also when one item has the
 *   sku and another the quantity.
 * - Of equal names in one object of the payload the first counts.
 *
 * [MongoDB's query language; Hookdeck's and Convoy's filters: what they have in common is the same
 * here. Comparison with whole objects or arrays, which they answer differently, is refused.]
 */
#ifndef TROTLINE_CORE_FILTER_H
#define TROTLINE_CORE_FILTER_H

#include <stdbool.h>

#include "base/field_error.h"
#include "base/slice.h"
#include "wire/event_record.h"

struct filter;

/* Any text will do; what is accepted is within LIMIT_FILTER_*. *out is the caller's, and keeps
 * nothing of `json`. ST_RANGE: code `invalid_filter`, and the place of the fault: "filter" and what
 * leads there, as in "filter.order.total.$gt" or "filter.$or[1]". ST_NOMEM. *out is then NULL. */
MUST_CHECK enum status filter_compile(struct slice json, struct filter **out,
                                      struct field_error *error);

/* `data` is any value that passed json_check(). Costs a pass over its bytes, as
 * far as needed, and for each value at a path a comparison with each condition there. */
bool filter_matches(const struct filter *filter, struct slice data);

/* Does it take the event? A NULL takes all. Data that is not JSON, which a third party may send, no
 * filter takes, whatever it says: nothing is known of it, so nothing that is negated either. */
static inline bool filter_takes(const struct filter *filter, const struct event_record *event)
{
    return !filter || (event->data_kind == EVENT_DATA_JSON && filter_matches(filter, event->data));
}

/* Accepts NULL. */
void filter_free(struct filter *filter);

#endif
