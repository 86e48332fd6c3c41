/* verify.h - a captured request, and what "trotline verify" says about it. */
#ifndef TROTLINE_APP_VERIFY_H
#define TROTLINE_APP_VERIFY_H

#include "base/limits.h"
#include "wire/scheme.h"

enum { VERIFY_VARS_MAX = 16, VERIFY_BODY_BYTES_MAX = 16 * 1024 * 1024 };

/* All slices point into what the caller keeps. */
struct verify_request {
    const char *scheme_name;
    struct slice secrets[LIMIT_SECRETS];
    size_t secret_count;
    struct received_header headers[LIMIT_HTTP_HEADERS];
    size_t header_count;
    struct received_var vars[VERIFY_VARS_MAX];
    size_t var_count;
    struct slice method, url, body;
    uint64_t now_ms; /* 0: that of the request's own timestamp */
};

/* Reads one line of the form of the vectors: an object with scheme, secrets, headers, body, url and
 * method; others are passed over. Its texts are put into `texts`. ST_SYNTAX and ST_LIMIT, with a
 * line in `errors`; ST_NOMEM. */
MUST_CHECK enum status verify_vector_parse(struct slice json, struct verify_request *request,
                                           struct buf *texts, struct buf *errors);

/* One judged request. */
struct verify_result {
    const struct scheme *scheme;
    const struct received *received;
    struct signer_key *const *keys;
    size_t key_count;
    enum scheme_verdict verdict;
    struct scheme_finding finding;
    bool unlimited; /* the age was not judged */
};

/* Step by step for people, or one JSON object. Secrets are in neither. */
void verify_explain(const struct verify_result *result, struct buf *out);
void verify_explain_json(const struct verify_result *result, struct buf *out);

#endif
