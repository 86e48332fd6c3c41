/* source_file.h - sources in files: read at the start, and never changed by the process. */
#ifndef TROTLINE_CORE_SOURCE_FILE_H
#define TROTLINE_CORE_SOURCE_FILE_H

#include "core/source_document.h"
#include "core/sources.h"

/* Puts the source of each .yaml file in the folder into `sources` (conf/sources/README.md tells
 * their members; ${NAME} in a string is replaced by that environment variable). A file without
 * `name` is called like itself. On failure `error` holds "file: what is wrong", and some may have
 * been put in. ST_IO: a file cannot be read; ST_SYNTAX: a file is wrong, or two have the same name;
 * ST_LIMIT: too many; ST_NOMEM. */
MUST_CHECK enum status source_file_load(const struct source_rules *rules, struct sources *sources,
                                        const char *dir, char *error, size_t error_size);

/* The text of one file as the JSON that the API takes, with ${NAME} replaced; appended to `json`.
 * The caller overwrites it after use. Statuses and `error` as above. */
MUST_CHECK enum status source_file_json(struct slice text, const char *path, struct buf *json,
                                        char *error, size_t error_size);

#endif
