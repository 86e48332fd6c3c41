/* log_levels.h - handlers of /api/log: what is logged, changed while the server runs.
 *
 *     GET  /api/log    200 {"level":"info","levels":{"delivery":"debug"},"components":["api",…]}
 *     PUT  /api/log    the same; takes level and levels. A member that is left out stays as it is;
 *                      levels replaces all that were there
 *
 * Nothing is kept: the next start has the configuration's levels again.
 */
#ifndef TROTLINE_API_LOG_LEVELS_H
#define TROTLINE_API_LOG_LEVELS_H

#include "api/router.h"

route_fn log_levels_read, log_levels_put;

#endif
