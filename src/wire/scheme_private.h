/* scheme_private.h - what a compiled scheme consists of. For the scheme_*.c files only. */
#ifndef TROTLINE_WIRE_SCHEME_PRIVATE_H
#define TROTLINE_WIRE_SCHEME_PRIVATE_H

#include "wire/scheme.h"
#include "wire/scheme_part.h"
#include "wire/scheme_template.h"

enum {
    SCHEME_HEADERS_MAX = 16,
    SCHEME_KEY_BYTES_MAX = 1024, /* of a secret once it is decoded */
    SCHEME_SOURCES_MAX = 8,      /* of an id or type */
};

/* How bytes are written. FORMAT_SPKI is a public key: PEM, or the base64 in it. */
enum text_format { FORMAT_RAW, FORMAT_HEX, FORMAT_BASE64, FORMAT_BASE64URL, FORMAT_SPKI };

/* TIMESTAMP_UTC is RFC 3339 without an offset. */
enum timestamp_form { TIMESTAMP_S, TIMESTAMP_MS, TIMESTAMP_RFC3339, TIMESTAMP_UTC };

struct scheme_header {
    struct slice name;
    struct slice text;
    struct template value;
};

/* How one algorithm is used: what stands before its signatures, and how its secrets are written. */
struct scheme_signature {
    enum sign_algorithm algorithm;
    struct slice prefix;
    bool basic; /* a token in HTTP's Basic form: the case of "Basic " does not matter */
    enum text_format key_format;
    struct slice key_prefix;    /* SLICE_NULL: only public keys are taken */
    struct slice public_prefix; /* SLICE_NULL: public keys have no text */
    uint64_t key_bytes_min;     /* HMAC, token */
    uint64_t key_bytes_max;
    uint64_t key_bytes_new; /* of a generated one; a raw secret is twice as many digits */
};

/* The places where something may be; the first that is there counts. */
struct part_list {
    struct part parts[SCHEME_SOURCES_MAX];
    size_t count;
};

/* How a request is verified. A scheme that sends has this derived from its headers unless it says
 * otherwise: then the signature and the signed values are fields of the headers' templates. */
struct scheme_receiving {
    bool given;            /* signature or signed text are the description's own, not derived */
    struct part signature; /* with `none`: unused */
    bool has_timestamp;
    struct part timestamp;
    bool has_body_hash;
    struct part body_hash;
    bool each; /* what is at item_path of each item of the array at array_path is verified alone */
    struct slice array_path;
    struct slice item_path;
    struct part signed_parts[TEMPLATE_PARTS_MAX];
    size_t signed_count;
    unsigned signed_kinds; /* PART_BIT of each */
    struct part_list ids;
    struct part_list types;
    unsigned fields; /* placeholders of headers' templates that are needed */
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
    enum text_format encoding; /* of signatures; FORMAT_RAW: tokens */
    struct slice separator;    /* SLICE_NULL: one signature, no list */
    struct scheme_signature signatures[SIGN_ALGORITHM_COUNT];
    size_t signature_count;
    bool no_signature; /* algorithm `none` */
    enum timestamp_form timestamp_form;
    struct received_tolerance tolerance;
    struct slice body_text;
    struct template body;
    unsigned header_fields; /* placeholders in headers */
    bool sends;             /* has headers and body */
    struct scheme_receiving receiving;
    const char *secret_rule;       /* a sentence: how a secret of this scheme looks */
    struct handshakes *handshakes; /* NULL: none */
    struct buf strings;
};

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
