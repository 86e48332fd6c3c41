/* config_place.h - where in a YAML text something stands: what libcyaml does not tell.
 *
 * Each call walks over the text once: for error messages. The only user of libyaml itself.
 */
#ifndef TROTLINE_APP_CONFIG_PLACE_H
#define TROTLINE_APP_CONFIG_PLACE_H

#include "base/buf.h"
#include "base/slice.h"

/* The line (from 1) of a key: `key` in the top mapping when `group` is SLICE_NULL, else `key` in
 * the mapping that is the value of `group`. `nth` (from 1) chooses among several. 0: there is none.
 */
unsigned config_place_of_key(struct slice text, struct slice group, struct slice key, unsigned nth);

/* The line at which the text stops to be YAML, and why, appended to `reason`. 0: it is YAML. */
unsigned config_place_of_error(struct slice text, struct buf *reason);

#endif
