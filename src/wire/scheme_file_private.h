/* scheme_file_private.h - what the files that read a description share. */
#ifndef TROTLINE_WIRE_SCHEME_FILE_PRIVATE_H
#define TROTLINE_WIRE_SCHEME_FILE_PRIVATE_H

#include "wire/scheme_private.h"
#include "wire/yaml_walk.h"

/* The walk's arg: the scheme, and where its keys stand, for what is checked at the end. 0: nowhere.
 */
struct scheme_reading {
    struct scheme *scheme;
    int headers_line;
    int signed_line;
    int encoding_line;
    int receive_line;
    int signature_lines[SIGN_ALGORITHM_COUNT];
};

struct scheme_reading *scheme_reading(struct yaml_walk *walk);

/* The values of `signatures` and `receive`. */
MUST_CHECK enum status scheme_take_signatures(struct yaml_walk *walk, struct yaml_node_s *node,
                                              void *into);
MUST_CHECK enum status scheme_take_receive(struct yaml_walk *walk, struct yaml_node_s *node,
                                           void *into);

/* What they ask of the rest of the description, and what follows from it: defaults, and the
 * receiving part of a scheme that sends. `line` is that of the whole. */
MUST_CHECK enum status scheme_check_signatures(struct yaml_walk *walk, struct scheme *scheme);
MUST_CHECK enum status scheme_check_receiving(struct yaml_walk *walk, struct scheme *scheme,
                                              int line);

#endif
