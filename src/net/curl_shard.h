/* curl_shard.h - one of libcurl's multis on the loop. Routes have several: curl's cost for a
 * request grows with the connections of its multi.
 *
 * Only this file calls curl_multi_*. Its functions are called from the loop and from hooks, never
 * from libcurl's callbacks. Messages are read by the owner, in his turn.
 */
#ifndef TROTLINE_NET_CURL_SHARD_H
#define TROTLINE_NET_CURL_SHARD_H

#include <curl/curl.h>

#include "net/fd_watch.h"
#include "net/reactor.h"

/* Embedded; must stay where it is. */
struct curl_shard {
    struct reactor *reactor;
    struct fd_watches *watches; /* borrowed */
    CURLM *multi;               /* NULL after it broke and no new one could be made */
    long connections_max;
    struct reactor_timer *timer;
    uint64_t timer_at_ms; /* when the armed timer fires */
    uint64_t due_at_ms;   /* when curl wants to be called; UINT64_MAX: not */
    bool due_now;
    bool has_messages; /* or may have */
    bool broken;       /* a function of the multi failed: see curl_shard_rebuild() */
};

/* `watches` must call curl_shard_ready() for sockets whose owner is the shard. `connections_max`:
 * so many are kept by libcurl, busy ones included; 0: as libcurl likes. False when out of memory;
 * then curl_shard_deinit() takes what is half made. */
MUST_CHECK bool curl_shard_init(struct curl_shard *shard, struct reactor *reactor,
                                struct fd_watches *watches, long connections_max);

/* All handles must have been removed. Accepts a zero-initialised shard. */
void curl_shard_deinit(struct curl_shard *shard);

/* The handle will be worked on from the next turn on; false when out of memory. */
MUST_CHECK bool curl_shard_add(struct curl_shard *shard, CURL *easy);

/* Nothing of the handle's settings is looked at after this. False when that failed: then the shard
 * is broken, and the handle is to be cleaned up. */
bool curl_shard_remove(struct curl_shard *shard, CURL *easy);

/* A watched socket is ready: for the function of fd_watches_new(). */
void curl_shard_ready(struct curl_shard *shard, int fd, unsigned ready);

/* Does what is due. Afterwards curl_shard_next() is to be asked until it says NULL. Wakes the
 * reactor when more is due at once. */
void curl_shard_turn(struct curl_shard *shard);

/* A handle that has come to its end, and how; it is still in the multi. NULL: no more. */
CURL *curl_shard_next(struct curl_shard *shard, CURLcode *code);

/* Makes the multi of a broken shard anew; all handles must have been removed and cleaned up. When
 * that fails, the shard stays broken. */
void curl_shard_rebuild(struct curl_shard *shard);

#endif
