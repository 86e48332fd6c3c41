/* scheme_verify.c - judges a received request.
 *
 * The templates that made the headers are matched backwards, which gives the signatures and the
 * values that were signed. The values go into the signed text as they were received, never as
 * parsed and written again, so what is checked is what was sent. Then:
 *
 *     headers -> values -> candidates -> one of the keys signed it -> the time is near
 *
 * The time is looked at last: it means something only once it is known who wrote it, and only when
 * it is part of the signed text. For the same reason its header is not even read otherwise.
 *
 * Every key computes its HMAC at most once, whatever the number of candidates; so a request costs
 * at most (number of keys) digests of its body, or 16 times as many Ed25519 verifications.
 */
#include "base/parse.h"
#include "wire/scheme_private.h"

enum {
    CANDIDATES_MAX = 16,
    TIMESTAMP_DIGITS_MAX = 15 /* the year 33,658 in milliseconds */
};

/* The signatures of a request, decoded. */
struct candidates {
    uint8_t bytes[CANDIDATES_MAX][SIGNER_SIGNATURE_MAX];
    size_t len[CANDIDATES_MAX];
    enum sign_algorithm algorithm[CANDIDATES_MAX];
    size_t count;
    bool malformed; /* one had a prefix that we know and was no signature */
};

static const struct {
    const char *name;
    const char *text;
} verdicts[] = {
    [VERIFY_OK] = {"ok", "the signature is good"},
    [VERIFY_NO_SIGNATURE] = {"no_signature", "there is no signature of a known version"},
    [VERIFY_BAD_SIGNATURE] = {"bad_signature", "no signature is by one of the secrets"},
    [VERIFY_MALFORMED] = {"malformed", "a header is not of the scheme's form"},
    [VERIFY_TOO_OLD] = {"too_old", "the signature is good, but too old"},
    [VERIFY_IN_FUTURE] = {"in_future", "the signature is good, but its time is in the future"},
    [VERIFY_MISSING_HEADER] = {"missing_header", "a header that is signed is missing"},
};

const char *scheme_verdict_name(enum scheme_verdict verdict)
{
    return verdicts[verdict].name;
}

const char *scheme_verdict_text(enum scheme_verdict verdict)
{
    return verdicts[verdict].text;
}

/* ---- Headers --------------------------------------------------------------------------------- */

/* Finds the value of each placeholder that is signed, and the list of signatures. */
static enum scheme_verdict values_find(const struct scheme *scheme,
                                       const struct scheme_request *request,
                                       struct slice values[FIELD_LITERAL])
{
    unsigned missing = scheme->received_fields;
    for (size_t i = 0; i < scheme->header_count; i++) {
        const struct scheme_header *header = &scheme->headers[i];
        if (!(header->value.fields & missing))
            continue;
        struct slice value = request->header(request->header_arg, header->name);
        bool signature = (header->value.fields & FIELD_BIT(FIELD_SIGNATURE)) != 0;
        if (value.len == 0)
            return signature ? VERIFY_NO_SIGNATURE : VERIFY_MISSING_HEADER;
        if (!template_match(&header->value, value, values))
            return VERIFY_MALFORMED;
        missing &= ~header->value.fields;
    }
    return VERIFY_OK;
}

/* A whole number in plain digits, as every sender writes it: no sign, no blank, no leading zero. */
static bool timestamp_parse(struct slice text, uint64_t *value)
{
    if (text.len > TIMESTAMP_DIGITS_MAX || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    return parse_u64(text, value) == ST_OK;
}

/* In the unit of the time stamp: libraries that count seconds cut off the rest of now, too. */
static enum scheme_verdict age_judge(const struct scheme *scheme, uint64_t timestamp,
                                     uint64_t now_ms)
{
    uint64_t unit_ms = scheme->timestamp_in_ms ? 1 : 1000;
    uint64_t now = now_ms / unit_ms;
    uint64_t tolerance = scheme->tolerance_ms / unit_ms;
    if (now > timestamp && now - timestamp > tolerance)
        return VERIFY_TOO_OLD;
    if (timestamp > now && timestamp - now > tolerance)
        return VERIFY_IN_FUTURE;
    return VERIFY_OK;
}

/* ---- Signatures ------------------------------------------------------------------------------ */

static void candidate_add(struct candidates *candidates, const struct scheme *scheme,
                          struct slice entry)
{
    for (size_t i = 0; i < scheme->signature_count; i++) {
        const struct scheme_signature *signature = &scheme->signatures[i];
        if (!slice_starts(entry, signature->prefix))
            continue;
        size_t at = candidates->count;
        struct slice text = slice_from(entry, signature->prefix.len);
        if (scheme_decode(scheme->encoding, text, candidates->bytes[at], SIGNER_SIGNATURE_MAX,
                          &candidates->len[at]) != ST_OK ||
            candidates->len[at] != sign_algorithm_bytes(signature->algorithm)) {
            candidates->malformed = true;
            continue;
        }
        candidates->algorithm[at] = signature->algorithm;
        candidates->count++;
        return;
    }
}

/* Decodes the entries of the list; those behind the sixteenth are not looked at. */
static void candidates_find(struct candidates *candidates, const struct scheme *scheme,
                            struct slice list)
{
    candidates->count = 0;
    candidates->malformed = false;
    struct slice separator = scheme->separator;
    for (size_t i = 0; i < CANDIDATES_MAX && list.len > 0; i++) {
        const char *end =
            separator.ptr ? memmem(list.ptr, list.len, separator.ptr, separator.len) : NULL;
        size_t len = end ? (size_t)(end - list.ptr) : list.len;
        candidate_add(candidates, scheme, slice_of(list.ptr, len));
        list = slice_from(list, end ? len + separator.len : len);
    }
}

static bool key_signed(struct signer_key *key, const struct candidates *candidates,
                       const struct slice *parts, size_t part_count)
{
    struct slice signatures[CANDIDATES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < candidates->count; i++)
        if (candidates->algorithm[i] == signer_key_algorithm(key))
            signatures[count++] = slice_of(candidates->bytes[i], candidates->len[i]);
    return count > 0 && signer_verify_any(key, parts, part_count, signatures, count);
}

/* ---- The request ----------------------------------------------------------------------------- */

enum scheme_verdict scheme_verify(const struct scheme *scheme, const struct scheme_request *request,
                                  struct signer_key *const *keys, size_t key_count)
{
    struct slice values[FIELD_LITERAL] = {{NULL, 0}};
    struct slice parts[TEMPLATE_PARTS_MAX];
    struct candidates candidates;
    uint64_t timestamp = 0;
    bool timestamp_signed = (scheme->received_fields & FIELD_BIT(FIELD_TIMESTAMP)) != 0;

    enum scheme_verdict verdict = values_find(scheme, request, values);
    if (verdict != VERIFY_OK)
        return verdict;
    if (timestamp_signed && !timestamp_parse(values[FIELD_TIMESTAMP], &timestamp))
        return VERIFY_MALFORMED;
    candidates_find(&candidates, scheme, values[FIELD_SIGNATURE]);
    if (candidates.count == 0)
        return candidates.malformed ? VERIFY_MALFORMED : VERIFY_NO_SIGNATURE;

    values[FIELD_BODY] = request->body;
    size_t part_count = template_slices(&scheme->signed_value, values, parts);
    bool found = false;
    for (size_t i = 0; i < key_count && !found; i++)
        found = key_signed(keys[i], &candidates, parts, part_count);
    if (!found)
        return VERIFY_BAD_SIGNATURE;
    return timestamp_signed ? age_judge(scheme, timestamp, request->now_ms) : VERIFY_OK;
}
