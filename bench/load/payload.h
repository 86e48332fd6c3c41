/* payload.h - what an event of a benchmark says: JSON as a shop would send it, of an exact size. */
#ifndef TROTLINE_BENCH_LOAD_PAYLOAD_H
#define TROTLINE_BENCH_LOAD_PAYLOAD_H

#include <stddef.h>

enum { PAYLOAD_BYTES_MIN = 9 }; /* "note":"" */

/* Writes exactly `len` bytes, at least PAYLOAD_BYTES_MIN, of members of an object: an order with
 * its customer and as many lines as there is room for, and a note that fills the rest. No two
 * variants have much in common; the same one is the same in every run. */
void payload_write(char *at, size_t len, unsigned variant);

#endif
