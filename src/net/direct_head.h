/* direct_head.h - the head of a request on the direct route, byte for byte as libcurl writes it on
 * the plain one.
 */
#ifndef TROTLINE_NET_DIRECT_HEAD_H
#define TROTLINE_NET_DIRECT_HEAD_H

#include "base/buf.h"
#include "net/outbound.h"

/* The part of a URL that says where to connect to: "scheme://host:port", as it is spelled. */
struct slice direct_url_origin(const char *url);

/* What libcurl reads in such a part: whether it is https, and the value of `Host` (appended). NULL,
 * or what is wrong with it, a static sentence; then `host` is to be thrown away. */
const char *direct_url_read(struct slice origin, bool *https, struct buf *host);

/* Appends the whole head: request line, `Host`, `User-Agent` (NULL: none), the call's lines,
 * `Content-Length` and the empty line. `origin_bytes` is the length of the URL's origin. False when
 * the URL cannot be read or when out of memory (buf_status() tells). */
MUST_CHECK bool direct_head_add(struct buf *head, const struct outbound_call *call,
                                size_t origin_bytes, struct slice host, const char *user_agent);

#endif
