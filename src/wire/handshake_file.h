/* handshake_file.h - reads the `handshakes:` of a scheme's description (conf/schemes/README.md). */
#ifndef TROTLINE_WIRE_HANDSHAKE_FILE_H
#define TROTLINE_WIRE_HANDSHAKE_FILE_H

#include "wire/handshake.h"
#include "wire/yaml_walk.h"

/* A yaml_take for the list: `into` is the struct handshakes *, which must be NULL and is made; the
 * caller frees it, also after a failure. Texts are copied to walk->strings. */
MUST_CHECK enum status handshakes_take(struct yaml_walk *walk, struct yaml_node_s *node,
                                       struct handshakes **into);

#endif
