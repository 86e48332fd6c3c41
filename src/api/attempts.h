/* attempts.h - GET /api/webhooks/{id}/attempts: the newest attempts of an endpoint. */
#ifndef TROTLINE_API_ATTEMPTS_H
#define TROTLINE_API_ATTEMPTS_H

#include "api/router.h"

void attempts_list(struct api *api, struct http_request *request, struct slice id);

#endif
