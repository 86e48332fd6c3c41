/* event_headers.h - the headers that are kept of a received request, as the event's record has
 * them: "Name: value" and a NUL each, in the order they came, within LIMIT_EVENT_HEADERS_BYTES.
 * Pure.
 */
#ifndef TROTLINE_WIRE_EVENT_HEADERS_H
#define TROTLINE_WIRE_EVENT_HEADERS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* May a header of this name be kept? Not when it belongs to the connection it came by (RFC 9110
 * 7.6.1, and all that `connection`, the value of a Connection header or SLICE_NULL, names), is
 * written anew for each delivery (Host, Content-Length, Content-Type, traceparent …), or begins
 * with "Trotline-", which would say what only this gateway can know. */
bool event_header_allowed(struct slice name, struct slice connection);

/* Appends an allowed header. False, and nothing is appended: it is longer than there is room for,
 * or a byte of it (a control character other than a tab, in the name also a space or a colon) could
 * forge another header. */
bool event_headers_add(struct buf *headers, struct slice name, struct slice value);

/* Takes the first header off `headers`. False: there is none, or the bytes are not of this form. */
bool event_headers_next(struct slice *headers, struct slice *name, struct slice *value);

/* Is its value a secret by itself, so that it is not to be shown? (Authorization, Cookie, and names
 * that end in "token", "secret" or "key".) */
bool event_header_secret(struct slice name);

#endif
