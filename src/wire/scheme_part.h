/* scheme_part.h - places in a received request, as a scheme's description names them: where a
 * signature, a time or an id is, and what the signed text is put together of.
 *
 * A place is written "header:NAME", "json:PATH", "query:NAME", "body" and so on; in the signed text
 * it stands in braces: "{timestamp}.{body}". Both are compiled once, when the scheme is loaded.
 */
#ifndef TROTLINE_WIRE_SCHEME_PART_H
#define TROTLINE_WIRE_SCHEME_PART_H

#include "wire/received.h"
#include "wire/scheme_template.h"

enum part_kind {
    PART_TEXT, /* the name itself */
    PART_BODY,
    PART_TIMESTAMP, /* as received, wherever the scheme has it from */
    PART_URL,
    PART_METHOD,
    PART_HEADER,
    PART_HEADERS, /* all headers that begin so: for signatures only */
    PART_JSON,
    PART_QUERY,
    PART_VAR,
    PART_FORM_SORTED, /* the decoded parameters of a form in the order of their names */
    PART_CRC32,       /* of the body, in decimal */
    PART_SHA256_HEX,  /* of the body */
    PART_ENTRY,       /* NAME=… among the signatures: for the time only */
    PART_FIELD        /* a placeholder of a header's template, in schemes that also send */
};
#define PART_BIT(kind) (1U << (kind))

struct part {
    enum part_kind kind;
    bool optional;             /* header and json, "NAME?": empty where it is not there */
    enum template_field field; /* PART_FIELD */
    struct slice name;         /* of the header, the path, …; not owned */
};

/* Compiles one place; `allowed` are the kinds that make sense. `text` must outlive the part. False:
 * there is no such place, or it makes no sense here. */
bool part_compile(struct slice text, unsigned allowed, struct part *part);

/* Compiles a text with places in braces into at most TEMPLATE_PARTS_MAX parts; other braces are
 * text. On failure (ST_SYNTAX, ST_LIMIT) *what is a static sentence about the part *at. */
MUST_CHECK enum status parts_compile(struct slice text, unsigned allowed, struct part *parts,
                                     size_t *count, const char **what, struct slice *at);

/* ---- Reading a request ----------------------------------------------------------------------- */

enum {
    PART_BUFS = TEMPLATE_PARTS_MAX + 4, /* the signed text's parts, signature, time, hash; URL */
    PART_FORM_MAX = 1000                /* parameters of a form; more cannot be verified */
};

/* What the parts of one request are read with. Texts that had to be made (unescaped, sorted) live
 * in `bufs` until part_reader_deinit(), one each, so that none moves another. */
struct part_reader {
    const struct received *received;
    struct slice root;          /* where JSON paths begin; only with json == RECEIVED_JSON_YES */
    enum received_json json;    /* looked at when the first path is read */
    struct slice timestamp;     /* of {timestamp} */
    bool hashed;                /* the body is covered by its hash: {form_sorted} is empty */
    const struct slice *fields; /* of PART_FIELD */
    struct buf bufs[PART_BUFS];
    size_t buf_count;
};

enum part_result {
    PART_GIVEN,
    PART_ABSENT,       /* not there, or in a way that could be read in two ways */
    PART_UNCONFIGURED, /* a public URL or variable that the source does not have */
    PART_NO_MEMORY
};

void part_reader_init(struct part_reader *reader, const struct received *received);
void part_reader_deinit(struct part_reader *reader);

/* The value of a part, into the request or a buf of the reader. */
enum part_result part_read(struct part_reader *reader, const struct part *part,
                           struct slice *value);

/* The query of the URL that is signed: a public URL with a query has its own. */
struct slice part_url_query(const struct received *received);

/* The next free buf, which the reader frees. NULL: out of memory. */
struct buf *part_reader_buf(struct part_reader *reader);

/* Appends the parameters of a form, decoded and sorted by name and value, each name with its value
 * behind it, equal ones once: what Twilio signs. False: badly encoded, more than PART_FORM_MAX, or
 * out of memory (see the status of `buf`). */
bool form_sorted(struct slice form, struct buf *buf);

/* CRC-32 of IEEE 802.3, as in zlib. */
uint32_t crc32_of(struct slice bytes);

#endif
