/* handshake_private.h - a compiled rule. For handshake.c and handshake_file.c only. */
#ifndef TROTLINE_WIRE_HANDSHAKE_PRIVATE_H
#define TROTLINE_WIRE_HANDSHAKE_PRIVATE_H

#include "wire/handshake.h"

enum {
    HANDSHAKE_RULES_MAX = 16,
    HANDSHAKE_PIECES_MAX = 8,
    HANDSHAKE_CONDITIONS_MAX = 4,
};

/* Where a value is. */
enum handshake_place {
    PLACE_TEXT, /* the name itself */
    PLACE_HEADER,
    PLACE_QUERY,
    PLACE_FORM, /* the body is a form */
    PLACE_JSON, /* the body is JSON */
    PLACE_VAR   /* of the source */
};

/* What is made of it. */
enum handshake_function { AS_IT_IS, AS_JSON_STRING, AS_HMAC_HEX, AS_HMAC_BASE64 };

struct handshake_piece {
    enum handshake_place place;
    enum handshake_function function;
    struct slice name;
};

/* "sha256={hmac_base64 query:crc_token}" */
struct handshake_text {
    struct handshake_piece pieces[HANDSHAKE_PIECES_MAX];
    size_t count;
};

enum handshake_test { TEST_PRESENT, TEST_ABSENT, TEST_IS, TEST_AMONG };

struct handshake_condition {
    struct handshake_piece at;
    enum handshake_test test;
    struct handshake_text is; /* for TEST_AMONG a list with blanks or commas in it */
};

struct handshake_conditions {
    struct handshake_condition items[HANDSHAKE_CONDITIONS_MAX];
    size_t count;
};

struct handshake_rule {
    struct slice method;
    struct handshake_conditions when;
    struct handshake_conditions check;
    bool verify_first;
    int status;
    struct slice content_type; /* SLICE_NULL: no body */
    struct slice header_names[HANDSHAKE_HEADERS_MAX];
    struct handshake_text header_values[HANDSHAKE_HEADERS_MAX];
    size_t header_count;
    struct handshake_text body;
    struct handshake_text secret; /* brought by the request; empty: none */
};

struct handshakes {
    size_t count;
    bool read_json;
    bool bring_secret;
    struct handshake_rule rules[HANDSHAKE_RULES_MAX];
};

#endif
