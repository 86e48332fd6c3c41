/* sources.h - handlers of /api/sources: whose webhooks are received at /in/{name}.
 *
 *     POST    /api/sources          201, Location; 409 `source_exists`
 *     GET     /api/sources          200 {"sources":[…],"count":n,"cursor":…}
 *     GET     /api/sources/{name}   200, with `received`: what came here, by outcome
 *     PUT     /api/sources/{name}   200, or 201 when there was none
 *     DELETE  /api/sources/{name}   204
 *
 * Secrets and the values of variables are masked everywhere (source_document.h). A source of a file
 * cannot be changed: 409 `source_in_file`. The list takes limit (1 to 500, 50 if not given) and
 * cursor; `count` is of this page, `cursor` is null behind the last one.
 */
#ifndef TROTLINE_API_SOURCES_H
#define TROTLINE_API_SOURCES_H

#include "api/router.h"

route_fn sources_api_create, sources_api_list, sources_api_read, sources_api_put,
    sources_api_delete;

#endif
