/* send_batch.h - trotline send --batch: many events, a line of JSON each, in batch requests. */
#ifndef TROTLINE_APP_SEND_BATCH_H
#define TROTLINE_APP_SEND_BATCH_H

#include "app/client.h"

/* Sends the lines of `fd`, and says on standard output what became of them, on standard error which
 * ones were refused. `key`: of each request the idempotency key is made of it; NULL: none. Returns
 * the exit code. */
int send_batch(struct client *client, int fd, const char *key);

#endif
