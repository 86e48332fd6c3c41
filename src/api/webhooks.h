/* webhooks.h - handlers of /api/webhooks: endpoints, made, read and changed.
 *
 *     POST    /api/webhooks                 201, Location, the webhook with its secret
 *     GET     /api/webhooks                 200 {"webhooks":[…],"count":n,"cursor":…}, no secrets
 *     GET     /api/webhooks/{id}            200, with the secret
 *     PUT     /api/webhooks/{id}            200, with the secret
 *     PATCH   /api/webhooks/{id}            200, with the secret
 *     DELETE  /api/webhooks/{id}            204
 *     POST    /api/webhooks/{id}/enable     200, with the secret
 *     POST    /api/webhooks/{id}/disable    200, with the secret
 *
 * `count` is of this page; `cursor` is null behind the last one.
 * The list takes eventType (only webhooks that subscribe to that type), active (true or false),
 * limit (1 to 500, 50 if not given) and cursor. A page may be shorter than the limit and yet have a
 * cursor: only the absence of one means the end.
 */
#ifndef TROTLINE_API_WEBHOOKS_H
#define TROTLINE_API_WEBHOOKS_H

#include "api/router.h"

route_fn webhooks_create, webhooks_list, webhooks_read, webhooks_put, webhooks_patch,
    webhooks_delete, webhooks_enable, webhooks_disable;

#endif
