/* scheme_private.h - what a compiled scheme consists of. For the scheme_*.c files only. */
#ifndef TROTLINE_WIRE_SCHEME_PRIVATE_H
#define TROTLINE_WIRE_SCHEME_PRIVATE_H

#include "wire/scheme.h"
#include "wire/scheme_template.h"

enum {
    SCHEME_HEADERS_MAX = 16,
    SCHEME_KEY_BYTES_MAX = 256, /* of a secret once it is decoded */
};

enum text_format { FORMAT_RAW, FORMAT_HEX, FORMAT_BASE64 };

struct scheme_header {
    struct slice name;
    struct slice text;
    struct template value;
};

/* How one algorithm is used: what stands before its signatures, and how its secrets are written. */
struct scheme_signature {
    enum sign_algorithm algorithm;
    struct slice prefix;
    enum text_format key_format;
    struct slice key_prefix;
    struct slice public_prefix; /* Ed25519; SLICE_NULL: public keys have no text */
    uint64_t key_bytes_min;     /* HMAC */
    uint64_t key_bytes_max;
    uint64_t key_bytes_new; /* of a generated one; a raw secret is twice as many digits */
};

/* All slices point into `strings`, or into static memory, and each ends in a NUL. */
struct scheme {
    bool passthrough; /* then nothing else but name, description and secret_rule is set */
    struct slice name;
    struct slice description;
    struct scheme_header headers[SCHEME_HEADERS_MAX];
    size_t header_count;
    struct slice signed_text;
    struct template signed_value;
    enum text_format encoding; /* of signatures; never FORMAT_RAW */
    struct slice separator;    /* SLICE_NULL: one signature, no list */
    struct scheme_signature signatures[SIGN_ALGORITHM_COUNT];
    size_t signature_count;
    bool timestamp_in_ms;
    uint64_t tolerance_ms;
    struct slice body_text;
    struct template body;
    unsigned header_fields;   /* placeholders in headers */
    unsigned received_fields; /* those of them that a verifier needs */
    const char *secret_rule;  /* a sentence: how a secret of this scheme looks */
    struct buf strings;
};

void scheme_free(struct scheme *scheme);

/* The scheme "passthrough". NULL: out of memory. */
struct scheme *scheme_passthrough_new(void);

/* NULL when the scheme does not have it. */
const struct scheme_signature *scheme_signature_of(const struct scheme *scheme,
                                                   enum sign_algorithm algorithm);

/* Appends bytes in that format; FORMAT_RAW as they are. */
void scheme_encode(enum text_format format, struct slice bytes, struct buf *text);
MUST_CHECK enum status scheme_decode(enum text_format format, struct slice text, void *out,
                                     size_t out_size, size_t *out_len);

/* ST_RANGE: the scheme does not verify what it signs; ST_NOMEM. */
MUST_CHECK enum status scheme_rehearse(const struct scheme *scheme);

/* Appends the sentence for secret_rule. */
void scheme_secret_rule(const struct scheme *scheme, struct buf *text);

#endif
