/* lib_verify.c - verifying for callers of the library. */
#include <stdlib.h>

#include "lib/key_ring.h"
#include "lib/request.h"
#include "trotline/verify.h"
#include "wire/scheme_template.h"

struct trotline_verifier {
    const struct scheme *scheme;
    struct key_ring ring;
    struct received_tolerance tolerance;
    bool has_tolerance;
    char *url; /* NULL: none */
    struct received_var vars[TEMPLATE_PARTS_MAX];
    char *values[TEMPLATE_PARTS_MAX]; /* of vars */
    size_t var_count;
    struct request_view view;
    struct buf text; /* of the last id or type */
};

static const struct {
    enum trotline_verdict verdict;
    const char *name;
} verdicts[] = {
    [VERIFY_OK] = {TROTLINE_VERIFIED, "verified"},
    [VERIFY_NO_SIGNATURE] = {TROTLINE_NO_SIGNATURE, "no_signature"},
    [VERIFY_BAD_SIGNATURE] = {TROTLINE_BAD_SIGNATURE, "bad_signature"},
    [VERIFY_MALFORMED] = {TROTLINE_MALFORMED, "malformed"},
    [VERIFY_TOO_OLD] = {TROTLINE_TOO_OLD, "too_old"},
    [VERIFY_IN_FUTURE] = {TROTLINE_IN_FUTURE, "in_future"},
    [VERIFY_MISSING_HEADER] = {TROTLINE_MISSING_HEADER, "missing_header"},
    [VERIFY_BODY_CHANGED] = {TROTLINE_BODY_CHANGED, "body_changed"},
    [VERIFY_NOT_CONFIGURED] = {TROTLINE_NOT_CONFIGURED, "not_configured"},
    [VERIFY_NO_MEMORY] = {TROTLINE_VERDICT_NO_MEMORY, "no_memory"},
};

const char *trotline_verdict_name(enum trotline_verdict verdict)
{
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (verdicts[i].verdict == verdict)
            return verdicts[i].name;
    return verdict == TROTLINE_VERDICT_INVALID_ARGUMENT ? "invalid_argument" : "unknown";
}

const char *trotline_verdict_text(enum trotline_verdict verdict)
{
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (verdicts[i].verdict == verdict)
            return scheme_verdict_text((enum scheme_verdict)i);
    return verdict == TROTLINE_VERDICT_INVALID_ARGUMENT ? "the call was given a wrong argument"
                                                        : "unknown verdict";
}

/* ---- The verifier ---------------------------------------------------------------------------- */

enum trotline_status trotline_verifier_new(const struct trotline_scheme *scheme,
                                           const char *const *secrets, size_t secret_count,
                                           struct trotline_verifier **verifier,
                                           struct trotline_error *error)
{
    if (!verifier)
        return TROTLINE_INVALID_ARGUMENT;
    *verifier = NULL;
    if (!scheme)
        return TROTLINE_INVALID_ARGUMENT;
    if (!scheme_receives(scheme->scheme))
        return lib_fail(error, TROTLINE_UNSUPPORTED, "unsupported", "",
                        "the scheme does not verify");
    struct trotline_verifier *made = calloc(1, sizeof(*made));
    if (!made)
        return TROTLINE_NO_MEMORY;
    made->scheme = scheme->scheme;
    buf_init(&made->text, SIZE_MAX);
    enum trotline_status status =
        key_ring_open(&made->ring, scheme->scheme, true, secrets, secret_count, error);
    if (status == TROTLINE_OK)
        *verifier = made;
    else
        trotline_verifier_free(made);
    return status;
}

void trotline_verifier_free(struct trotline_verifier *verifier)
{
    if (!verifier)
        return;
    key_ring_close(&verifier->ring);
    request_view_free(&verifier->view);
    buf_free(&verifier->text);
    while (verifier->var_count > 0)
        free(verifier->values[--verifier->var_count]);
    free(verifier->url);
    free(verifier);
}

void trotline_verifier_set_tolerance(struct trotline_verifier *verifier, uint64_t past_ms,
                                     uint64_t future_ms)
{
    if (!verifier)
        return;
    verifier->tolerance = (struct received_tolerance){past_ms, future_ms};
    verifier->has_tolerance = true;
}

enum trotline_status trotline_verifier_set_url(struct trotline_verifier *verifier, const char *url)
{
    if (!verifier)
        return TROTLINE_INVALID_ARGUMENT;
    char *copy = url ? strdup(url) : NULL;
    if (url && !copy)
        return TROTLINE_NO_MEMORY;
    free(verifier->url);
    verifier->url = copy;
    return TROTLINE_OK;
}

/* The scheme's own text of the name, which lives as long as it. */
static struct slice variable_named(const struct scheme *scheme, struct slice name)
{
    for (size_t i = 0;; i++) {
        struct slice one = scheme_var(scheme, i);
        if (!one.ptr || slice_eq(one, name))
            return one;
    }
}

enum trotline_status trotline_verifier_set_variable(struct trotline_verifier *verifier,
                                                    const char *name, const char *value)
{
    size_t at = 0;
    if (!verifier || !name || !value)
        return TROTLINE_INVALID_ARGUMENT;
    struct slice known = variable_named(verifier->scheme, slice_str(name));
    if (!known.ptr)
        return TROTLINE_NOT_FOUND;
    while (at < verifier->var_count && !slice_eq(verifier->vars[at].name, known))
        at++;
    char *copy = strdup(value);
    if (!copy)
        return TROTLINE_NO_MEMORY;
    if (at < verifier->var_count)
        free(verifier->values[at]);
    else
        verifier->var_count++; /* a scheme names no more than there is room for */
    verifier->values[at] = copy;
    verifier->vars[at] = (struct received_var){known, slice_str(copy)};
    return TROTLINE_OK;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static enum trotline_status take(struct trotline_verifier *verifier,
                                 const struct trotline_request *request, uint64_t now_ms)
{
    if (!verifier)
        return TROTLINE_INVALID_ARGUMENT;
    enum trotline_status status = request_view_take(&verifier->view, request, now_ms);
    struct received *received = &verifier->view.received;
    received->public_url = slice_str(verifier->url);
    received->vars = verifier->vars;
    received->var_count = verifier->var_count;
    received->tolerance = verifier->has_tolerance ? &verifier->tolerance : NULL;
    return status;
}

static void finding_out(const struct scheme_finding *found, struct trotline_finding *finding)
{
    size_t len = found->about.len;
    if (len > sizeof(finding->about) - 1)
        len = sizeof(finding->about) - 1;
    if (len > 0)
        memcpy(finding->about, found->about.ptr, len);
    finding->about[len] = '\0';
    finding->secret = found->key;
    finding->timestamp_ms = found->timestamp_text.len > 0 ? found->timestamp_ms : 0;
}

enum trotline_verdict trotline_verify(struct trotline_verifier *verifier,
                                      const struct trotline_request *request, uint64_t now_ms,
                                      struct trotline_finding *finding)
{
    if (finding)
        *finding = (struct trotline_finding){.secret = SIZE_MAX};
    enum trotline_status status = take(verifier, request, now_ms);
    if (status != TROTLINE_OK)
        return status == TROTLINE_NO_MEMORY ? TROTLINE_VERDICT_NO_MEMORY
                                            : TROTLINE_VERDICT_INVALID_ARGUMENT;
    struct scheme_finding found;
    scheme_finding_init(&found, 0); /* the signed text is of no use here */
    enum scheme_verdict verdict =
        scheme_verify(verifier->scheme, &verifier->view.received, verifier->ring.keys,
                      verifier->ring.count, finding ? &found : NULL);
    if (finding)
        finding_out(&found, finding);
    scheme_finding_deinit(&found);
    return verdicts[verdict].verdict;
}

typedef bool read_text(const struct scheme *scheme, const struct scheme_sources *own,
                       const struct received *received, struct buf *text);

static struct trotline_slice text_of(struct trotline_verifier *verifier,
                                     const struct trotline_request *request, read_text *read)
{
    /* Any time will do: it is not looked at. */
    if (take(verifier, request, 1) != TROTLINE_OK)
        return trotline_slice_of(NULL, 0);
    buf_clear(&verifier->text);
    if (!read(verifier->scheme, NULL, &verifier->view.received, &verifier->text))
        return trotline_slice_of(NULL, 0);
    return slice_out(buf_slice(&verifier->text));
}

struct trotline_slice trotline_verifier_event_id(struct trotline_verifier *verifier,
                                                 const struct trotline_request *request)
{
    return text_of(verifier, request, scheme_event_id);
}

struct trotline_slice trotline_verifier_event_type(struct trotline_verifier *verifier,
                                                   const struct trotline_request *request)
{
    return text_of(verifier, request, scheme_event_type);
}
