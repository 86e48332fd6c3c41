/* jobs.h - replay and discard jobs: made, listed, read, cancelled. */
#ifndef TROTLINE_API_JOBS_H
#define TROTLINE_API_JOBS_H

#include "api/router.h"

void jobs_replay_dead(struct api *api, struct http_request *request, struct slice id);
void jobs_discard_dead(struct api *api, struct http_request *request, struct slice id);
void jobs_replay_webhook(struct api *api, struct http_request *request, struct slice id);

void jobs_list(struct api *api, struct http_request *request, struct slice id);
void jobs_get(struct api *api, struct http_request *request, struct slice id);
void jobs_delete(struct api *api, struct http_request *request, struct slice id);

#endif
