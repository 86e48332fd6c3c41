/* hash.h - two 64-bit hashes: one nobody can predict, one that never changes.
 */
#ifndef TROTLINE_BASE_HASH_H
#define TROTLINE_BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

/* For tables in memory. SipHash-1-3 with a key drawn at the first use: whoever chooses the bytes
 * cannot choose where they collide. Differs from process to process; never store or send it. */
uint64_t hash_bytes(struct slice bytes);

/* The same function under a given key. */
uint64_t hash_keyed(struct slice bytes, uint64_t key0, uint64_t key1);

/* For what processes must agree on, such as the lane of an endpoint: FNV-1a of 64 bits (offset
 * basis 0xcbf29ce484222325, prime 0x100000001b3), then the finaliser of MurmurHash3 (fmix64),
 * because the low bits of FNV-1a alone depend on few bits of the input. Part of the stored format:
 * never change it. Not for tables that strangers fill. */
uint64_t hash_stable(struct slice bytes);

#endif
