/* dead_letters.h - listing, replaying and discarding dead letters. */
#ifndef TROTLINE_API_DEAD_LETTERS_H
#define TROTLINE_API_DEAD_LETTERS_H

#include "api/router.h"

void dead_letters_list(struct api *api, struct http_request *request, struct slice id);
void dead_letters_replay(struct api *api, struct http_request *request, struct slice id);
void dead_letters_discard(struct api *api, struct http_request *request, struct slice id);

#endif
