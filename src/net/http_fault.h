/* http_fault.h - everything for which the server itself refuses a request.
 *
 * A fault is what the client is told: status, machine-readable code and one sentence that says what
 * was wrong. Handlers never see a faulty request.
 */
#ifndef TROTLINE_NET_HTTP_FAULT_H
#define TROTLINE_NET_HTTP_FAULT_H

enum http_fault {
    HTTP_FAULT_NONE = 0,

    /* The request line. */
    HTTP_FAULT_BEGIN,
    HTTP_FAULT_BARE_LF,
    HTTP_FAULT_REQUEST_LINE,
    HTTP_FAULT_METHOD,
    HTTP_FAULT_CONNECT,
    HTTP_FAULT_TARGET_BYTE,
    HTTP_FAULT_TARGET_FRAGMENT,
    HTTP_FAULT_TARGET_FORM,
    HTTP_FAULT_TARGET_AUTHORITY,
    HTTP_FAULT_TARGET_ASTERISK,
    HTTP_FAULT_TARGET_LONG,
    HTTP_FAULT_VERSION_SYNTAX,
    HTTP_FAULT_VERSION,

    /* Header lines. */
    HTTP_FAULT_HEADER_FOLD,
    HTTP_FAULT_HEADER_SPACE,
    HTTP_FAULT_HEADER_NAME,
    HTTP_FAULT_HEADER_COLON,
    HTTP_FAULT_HEADER_VALUE,
    HTTP_FAULT_HEADER_COUNT,
    HTTP_FAULT_HEAD_LONG,
    HTTP_FAULT_HOST_MISSING,
    HTTP_FAULT_HOST_TWICE,
    HTTP_FAULT_HOST_SYNTAX,
    HTTP_FAULT_EXPECT,

    /* Framing of the body. */
    HTTP_FAULT_LENGTH_SYNTAX,
    HTTP_FAULT_LENGTH_TWICE,
    HTTP_FAULT_LENGTH_AND_CODING,
    HTTP_FAULT_CODING_TWICE,
    HTTP_FAULT_CODING_1_0,
    HTTP_FAULT_CODING,
    HTTP_FAULT_BODY_LONG,
    HTTP_FAULT_CHUNK_SIZE,
    HTTP_FAULT_CHUNK_LINE,
    HTTP_FAULT_CHUNK_EXTENSION,
    HTTP_FAULT_CHUNK_EXTENSION_LONG,
    HTTP_FAULT_CHUNK_END,
    HTTP_FAULT_TRAILER,
    HTTP_FAULT_TRAILER_LONG,

    /* Not the request's bytes, but its circumstances. */
    HTTP_FAULT_HEAD_SLOW,
    HTTP_FAULT_BODY_SLOW,
    HTTP_FAULT_BODY_ENDS, /* only of a body in pieces: else nobody is there to be told */
    HTTP_FAULT_CONNECTIONS,
    HTTP_FAULT_MEMORY,

    HTTP_FAULTS
};

struct http_fault_info {
    int status;
    const char *code;    /* of the error body; letters and '_' */
    const char *message; /* a sentence that needs no escaping in JSON */
};

/* Static memory. `fault` is not HTTP_FAULT_NONE. */
const struct http_fault_info *http_fault_info(enum http_fault fault);

#endif
