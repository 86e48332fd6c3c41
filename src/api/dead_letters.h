/* dead_letters.h - listing dead letters. Replaying and discarding them is jobs.h's. */
#ifndef TROTLINE_API_DEAD_LETTERS_H
#define TROTLINE_API_DEAD_LETTERS_H

#include "api/router.h"

void dead_letters_list(struct api *api, struct http_request *request, struct slice id);

#endif
