/* scheme_verdict.c - what a verdict is called, and what is remembered of how it came about. */
#include "wire/scheme_private.h"

static const struct {
    const char *name;
    const char *text;
} verdicts[] = {
    [VERIFY_OK] = {"ok", "the signature is good"},
    [VERIFY_NO_SIGNATURE] = {"no_signature", "there is no signature of a known version"},
    [VERIFY_BAD_SIGNATURE] = {"bad_signature", "no signature is by one of the secrets"},
    [VERIFY_MALFORMED] = {"malformed", "a part of the request is not of the scheme's form"},
    [VERIFY_TOO_OLD] = {"too_old", "the signature is good, but too old"},
    [VERIFY_IN_FUTURE] = {"in_future", "the signature is good, but its time is in the future"},
    [VERIFY_MISSING_HEADER] = {"missing_header",
                               "something that is signed is missing, or there more than once"},
    [VERIFY_BODY_CHANGED] = {"body_changed",
                             "the signature is good, but the signed hash is not the body's"},
    [VERIFY_NOT_CONFIGURED] = {"not_configured",
                               "the scheme needs a public URL or a variable that is not set"},
    [VERIFY_NO_MEMORY] = {"no_memory", "out of memory"},
};

const char *scheme_verdict_name(enum scheme_verdict verdict)
{
    return verdicts[verdict].name;
}

const char *scheme_verdict_text(enum scheme_verdict verdict)
{
    return verdicts[verdict].text;
}

void scheme_finding_init(struct scheme_finding *finding, size_t signed_text_max)
{
    *finding = (struct scheme_finding){.key = SIZE_MAX};
    buf_init(&finding->signed_text, signed_text_max);
    buf_init(&finding->timestamp_text, SIZE_MAX);
}

void scheme_finding_deinit(struct scheme_finding *finding)
{
    buf_free(&finding->signed_text);
    buf_free(&finding->timestamp_text);
}
