/* yaml_dir.h - the .yaml files of a folder: how schemes and sources are read. */
#ifndef TROTLINE_WIRE_YAML_DIR_H
#define TROTLINE_WIRE_YAML_DIR_H

#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"

/* Takes one file. `path` is a string; both are valid during the call only. A text longer than
 * `bytes_max` is cut, but longer than that in any case: whoever parses it refuses it. What it
 * writes to `error` ends the reading, with the status it returns. */
typedef enum status yaml_dir_fn(void *arg, const char *path, struct slice text, char *error,
                                size_t error_size);

/* Calls `fn` for each file whose name ends in ".yaml" and does not begin with ".", in the order of
 * their names. After a failure `error` holds a sentence that names the file. ST_IO: the folder or a
 * file cannot be read; ST_NOMEM; what `fn` returns. */
MUST_CHECK enum status yaml_dir_read(const char *dir, size_t bytes_max, yaml_dir_fn *fn, void *arg,
                                     char *error, size_t error_size);

#endif
