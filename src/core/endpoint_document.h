/* endpoint_document.h - the stored document of an endpoint: made of a request's body, changed,
 * read. Inside the core; endpoint_config.h is what others call.
 */
#ifndef TROTLINE_CORE_ENDPOINT_DOCUMENT_H
#define TROTLINE_CORE_ENDPOINT_DOCUMENT_H

#include "core/endpoint_config.h"

/* The texts given here have passed json_check(), which bounds their depth.
 * ST_SYNTAX, ST_RANGE or ST_LIMIT with *error filled; ST_NOMEM. */

/* `old` NULL: a new endpoint. */
MUST_CHECK enum status endpoint_document_make(const struct endpoint_rules *rules,
                                              const struct endpoint_config *old,
                                              enum endpoint_change kind, struct slice body,
                                              uint64_t now_ms, struct endpoint_config **out,
                                              struct field_error *error);

MUST_CHECK enum status endpoint_document_switch(const struct endpoint_rules *rules,
                                                const struct endpoint_config *old, bool active,
                                                const char *reason, uint64_t now_ms,
                                                struct endpoint_config **out,
                                                struct field_error *error);

MUST_CHECK enum status endpoint_document_read(const struct endpoint_rules *rules,
                                              struct slice document, struct endpoint_config **out,
                                              struct field_error *error);

/* Fills in the error and returns ST_LIMIT. */
enum status endpoint_document_too_large(struct field_error *error);

#endif
