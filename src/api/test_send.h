/* test_send.h - sending a test event to an endpoint, or to any URL, and telling what came back. */
#ifndef TROTLINE_API_TEST_SEND_H
#define TROTLINE_API_TEST_SEND_H

#include "api/router.h"

/* POST /api/webhooks/{id}/test: {"event"?, "payload"?} */
void test_send_endpoint(struct api *api, struct http_request *request, struct slice id);

/* POST /api/webhooks/test: {"url", "event", "payload", "secret"?, "scheme"?} */
void test_send_url(struct api *api, struct http_request *request, struct slice id);

#endif
