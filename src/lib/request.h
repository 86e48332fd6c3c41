/* request.h - a caller's request as the verifier of wire/ sees it. */
#ifndef TROTLINE_LIB_REQUEST_H
#define TROTLINE_LIB_REQUEST_H

#include "lib/lib_private.h"
#include "trotline/verify.h"
#include "wire/received.h"

/* Begins as {0}. */
struct request_view {
    struct received received;        /* of the last call; all it points to is the caller's */
    struct received_header *headers; /* kept for the next one */
    size_t header_room;
};

/* Fills view->received, but for what is configured (URL, variables, tolerance). INVALID_ARGUMENT: a
 * part of the request is NULL and may not be; NO_MEMORY. */
enum trotline_status request_view_take(struct request_view *view,
                                       const struct trotline_request *request, uint64_t now_ms);
void request_view_free(struct request_view *view);

#endif
