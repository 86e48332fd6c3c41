/* feeds.h - feeds over HTTP: how they are, and what of them was rejected. */
#ifndef TROTLINE_API_FEEDS_H
#define TROTLINE_API_FEEDS_H

#include "api/router.h"

route_fn feeds_list;     /* GET /api/feeds */
route_fn feeds_rejected; /* GET /api/feeds/{name}/rejected */
route_fn feeds_requeue;  /* POST /api/feeds/{name}/requeue */
route_fn feeds_discard;  /* DELETE /api/feeds/{name}/rejected */

#endif
