/* log_levels.h - which lines are logged: one level for all, and others for single components.
 *
 * The components are those of the program's own log lines; nobody keeps a list. A change holds for
 * this process until the next one.
 */
#ifndef TROTLINE_BASE_LOG_LEVELS_H
#define TROTLINE_BASE_LOG_LEVELS_H

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"

enum { LOG_COMPONENTS_MAX = 64 };

struct log_levels {
    enum log_level level; /* of all components that are not listed */
    size_t count;
    struct log_component_level {
        struct slice component; /* static memory */
        enum log_level level;
    } components[LOG_COMPONENTS_MAX];
};

/* ST_RANGE: no such level. */
MUST_CHECK enum status log_level_parse(struct slice text, enum log_level *level);

/* Sets the level of one component, which is looked up. ST_NOTFOUND: the program has none of that
 * name. */
MUST_CHECK enum status log_levels_set(struct log_levels *levels, struct slice component,
                                      enum log_level level);

/* From a text such as "delivery=debug". ST_SYNTAX: not of that form; ST_RANGE: no such level;
 * ST_NOTFOUND: no such component. */
MUST_CHECK enum status log_levels_add(struct log_levels *levels, struct slice text);

/* Puts them into force. */
void log_levels_apply(const struct log_levels *levels);

/* Those in force: LOG_INFO for all from the start. */
const struct log_levels *log_levels_now(void);

/* All components, sorted. Returns how many. */
size_t log_components(struct slice components[LOG_COMPONENTS_MAX]);

/* "api, delivery, …": for error messages. */
void log_components_add(struct buf *out);

#endif
