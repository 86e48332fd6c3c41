/* config_file.h - the YAML file: from bytes to one text per option. The only user of libcyaml here.
 *
 * It knows structure (names, groups, scalars and lists), not values: "timeout: 5 parsecs" is a good
 * file. What the texts mean is config_value.c's business.
 */
#ifndef TROTLINE_APP_CONFIG_FILE_H
#define TROTLINE_APP_CONFIG_FILE_H

#include <stdbool.h>

#include "app/config_option.h"
#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct config_file;

/* Reads the document; `name` and `text` are borrowed until config_file_free(). NULL on failure,
 * with one line in `errors` ("NAME:LINE: what is wrong") and the reason in `status`: ST_RANGE (not
 * YAML, or not of this structure) or ST_NOMEM. */
struct config_file *config_file_new(const char *name, struct slice text, struct buf *errors,
                                    enum status *status);

/* Accepts NULL. */
void config_file_free(struct config_file *file);

/* The option's text, valid until config_file_free(). False when the file does not give it. A list
 * may be empty. */
bool config_file_get(const struct config_file *file, const struct config_option *option,
                     struct config_text *text);

/* The line of the option's name, from 1; 0 when the file does not give it. Walks over
 * the text again: for error messages. */
unsigned config_file_line(const struct config_file *file, const struct config_option *option);

#endif
