/* trotline/trotline.h - all of libtrotline but feed_hiredis.h, which needs hiredis.
 *
 *     scheme.h   wire formats of webhooks, as data
 *     secret.h   secrets of a scheme: made, checked
 *     sign.h     body and headers of a webhook that is sent
 *     verify.h   is a webhook that came in genuine?
 *     event.h    events for Trotline: built and read, as JSON and as msgpack
 *     feed.h     events into Redis: the command; feed_hiredis.h (separate) sends it
 *
 * The library is the code that the server itself signs, verifies and reads events with. It needs
 * libcrypto (OpenSSL 3.0.3 or later) and libyaml.
 *
 * Threads. The library has no state of its own. Everything belongs to a handle that the caller
 * makes and frees; different handles may be used in different threads at the same time. One handle
 * is for one thread at a time, except struct trotline_scheme, which never changes and which any
 * number of threads may share. The exception that every user of OpenSSL shares: when OpenSSL
 * refuses something (a signature that is none), the calling thread's OpenSSL error queue is
 * emptied.
 *
 * Times are Unix times in milliseconds (UTC). Where a call takes the present as a parameter, 0 is
 * the system's clock. Texts are UTF-8. NULL is accepted by all functions that free.
 *
 * Versions follow semver.org: while the first number is 0 the second one counts as the first, and
 * so does the library's SONAME.
 */
#ifndef TROTLINE_TROTLINE_H
#define TROTLINE_TROTLINE_H

#include "trotline/event.h"
#include "trotline/feed.h"
#include "trotline/scheme.h"
#include "trotline/secret.h"
#include "trotline/sign.h"
#include "trotline/status.h"
#include "trotline/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header. */
#define TROTLINE_VERSION_MAJOR 0
#define TROTLINE_VERSION_MINOR 1
#define TROTLINE_VERSION_PATCH 0
#define TROTLINE_VERSION_TEXT  "0.1.0"

/* Of the library that is linked: "0.1.0". Static memory. */
TROTLINE_API const char *trotline_version(void);

#ifdef __cplusplus
}
#endif

#endif
