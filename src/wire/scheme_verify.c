/* scheme_verify.c - judges a received request.
 *
 * The signatures and the values that were signed are found where the scheme says they are. The
 * values go into the signed text as they were received, never as parsed and written again, so what
 * is checked is what was sent. Then:
 *
 *     places -> values -> candidates -> one of the keys signed it -> hash and time are right
 *
 * A scheme that also sends has its values in the headers that it writes: their templates are
 * matched backwards. One that only receives names the places. With `each` all this is done for
 * every item of an array, and all have to be good.
 *
 * The time is looked at last: it means something only once it is known who wrote it, and only when
 * it is part of the signed text.
 *
 * Every key computes its HMAC at most once for an item, whatever the number of candidates; so a
 * request costs at most (number of keys) digests of its body, or 16 times as many verifications
 * with a public key.
 */
#include "base/json_walk.h"
#include "base/parse.h"
#include "base/timefmt.h"
#include "wire/scheme_candidates.h"

enum {
    ELEMENTS_MAX = 1000,       /* of `each`; every one costs a digest for each key */
    TIMESTAMP_DIGITS_MAX = 15, /* the year 33,658 in milliseconds */
    TIMESTAMP_TEXT_MAX = 64
};

struct verification {
    const struct scheme *scheme;
    const struct received *received;
    struct signer_key *const *keys;
    size_t key_count;
    struct scheme_finding *finding; /* or NULL */
    struct slice fields[FIELD_LITERAL];
    struct part_reader reader;
};

static enum scheme_verdict about(const struct verification *verification, struct slice name,
                                 enum scheme_verdict verdict)
{
    if (verification->finding)
        verification->finding->about = name;
    return verdict;
}

/* ---- Headers of a scheme that sends ---------------------------------------------------------- */

/* Who does not sign at all is told that, whatever else is missing. */
static enum scheme_verdict signature_given(struct verification *verification)
{
    const struct scheme *scheme = verification->scheme;
    for (size_t i = 0; i < scheme->header_count; i++) {
        const struct scheme_header *header = &scheme->headers[i];
        if ((header->value.fields & FIELD_BIT(FIELD_SIGNATURE)) &&
            received_header(verification->received, header->name).len == 0)
            return about(verification, header->name, VERIFY_NO_SIGNATURE);
    }
    return VERIFY_OK;
}

/* Finds the value of each placeholder that is signed, and the list of signatures. */
static enum scheme_verdict fields_find(struct verification *verification)
{
    enum scheme_verdict verdict = signature_given(verification);
    if (verdict != VERIFY_OK)
        return verdict;
    const struct scheme *scheme = verification->scheme;
    unsigned missing = scheme->receiving.fields;
    for (size_t i = 0; i < scheme->header_count && missing; i++) {
        const struct scheme_header *header = &scheme->headers[i];
        if (!(header->value.fields & missing))
            continue;
        struct slice value = received_header(verification->received, header->name);
        if (value.len == 0)
            return about(verification, header->name, VERIFY_MISSING_HEADER);
        if (!template_match(&header->value, value, verification->fields))
            return about(verification, header->name, VERIFY_MALFORMED);
        missing &= ~header->value.fields;
    }
    return VERIFY_OK;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* Digits as every sender writes them: no sign, no blank, no leading zero. */
static bool number_parse(struct slice text, uint64_t *value)
{
    if (text.len > TIMESTAMP_DIGITS_MAX || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    return parse_u64(text, value) == ST_OK;
}

/* RFC 3339 without the offset. With one the text would have two, and is refused. */
static bool utc_parse(struct slice text, uint64_t *unix_ms)
{
    char with_z[TIMESTAMP_TEXT_MAX + 1];
    if (text.len > TIMESTAMP_TEXT_MAX)
        return false;
    memcpy(with_z, text.ptr, text.len);
    with_z[text.len] = 'Z';
    return time_parse_rfc3339(slice_of(with_z, text.len + 1), unix_ms) == ST_OK;
}

static bool timestamp_parse(enum timestamp_form form, struct slice text, uint64_t *unix_ms)
{
    if (form == TIMESTAMP_RFC3339)
        return time_parse_rfc3339(text, unix_ms) == ST_OK;
    if (form == TIMESTAMP_UTC)
        return utc_parse(text, unix_ms);
    if (!number_parse(text, unix_ms))
        return false;
    *unix_ms *= form == TIMESTAMP_S ? 1000 : 1;
    return true;
}

/* In seconds where the time stamp is: libraries that count seconds cut off the rest of now, too. */
static enum scheme_verdict age_judge(const struct verification *verification, uint64_t timestamp_ms)
{
    const struct scheme *scheme = verification->scheme;
    const struct received *received = verification->received;
    const struct received_tolerance *tolerance =
        received->tolerance ? received->tolerance : &scheme->tolerance;
    uint64_t now_ms = received->now_ms;
    if (scheme->timestamp_form == TIMESTAMP_S)
        now_ms -= now_ms % 1000;
    if (now_ms > timestamp_ms && now_ms - timestamp_ms > tolerance->past_ms)
        return VERIFY_TOO_OLD;
    if (timestamp_ms > now_ms && timestamp_ms - now_ms > tolerance->future_ms)
        return VERIFY_IN_FUTURE;
    return VERIFY_OK;
}

/* ---- Signatures ------------------------------------------------------------------------------ */

/* All headers whose names begin with that of the part. One of them twice is refused, as elsewhere.
 */
static enum scheme_verdict headers_add(const struct verification *verification,
                                       const struct part *part, struct candidates *candidates)
{
    const struct received *received = verification->received;
    for (size_t i = 0; i < received->header_count; i++) {
        struct slice name = received->headers[i].name;
        if (name.len <= part->name.len ||
            !slice_eq_nocase(slice_of(name.ptr, part->name.len), part->name))
            continue;
        if (!received_header(received, name).ptr)
            return about(verification, part->name, VERIFY_MALFORMED);
        candidates_add(candidates, verification->scheme, received->headers[i].value);
    }
    return VERIFY_OK;
}

static enum scheme_verdict result_verdict(const struct verification *verification,
                                          const struct part *part, enum part_result result,
                                          enum scheme_verdict absent)
{
    switch (result) {
    case PART_GIVEN:
        return VERIFY_OK;
    case PART_ABSENT:
        return about(verification, part->name, absent);
    case PART_UNCONFIGURED:
        return about(verification, part->name, VERIFY_NOT_CONFIGURED);
    case PART_NO_MEMORY:
        break;
    }
    return VERIFY_NO_MEMORY;
}

/* `list` gets the text in which the signatures stand, where there is one. */
static enum scheme_verdict candidates_find(struct verification *verification,
                                           struct candidates *candidates, struct slice *list)
{
    const struct part *part = &verification->scheme->receiving.signature;
    enum scheme_verdict verdict = VERIFY_OK;
    candidates_init(candidates);
    *list = SLICE_NULL;
    if (part->kind == PART_HEADERS) {
        verdict = headers_add(verification, part, candidates);
    } else {
        enum part_result result = part_read(&verification->reader, part, list);
        verdict = result_verdict(verification, part, result, VERIFY_NO_SIGNATURE);
        candidates_add(candidates, verification->scheme, *list);
    }
    if (verification->finding) {
        verification->finding->candidates = candidates->count;
        verification->finding->others = candidates->looked - candidates->count;
    }
    if (verdict != VERIFY_OK || candidates->count > 0)
        return verdict;
    return about(verification, part->name,
                 candidates->malformed ? VERIFY_MALFORMED : VERIFY_NO_SIGNATURE);
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* The one entry NAME=… of a list. */
static enum part_result entry_find(const struct scheme *scheme, struct slice list,
                                   struct slice name, struct slice *value)
{
    *value = SLICE_NULL;
    while (list.len > 0) {
        struct slice entry = signature_entry_next(scheme->separator, &list);
        if (!slice_starts(entry, name) || entry.len == name.len || entry.ptr[name.len] != '=')
            continue;
        if (value->ptr)
            return PART_ABSENT;
        *value = slice_from(entry, name.len + 1);
    }
    return value->ptr ? PART_GIVEN : PART_ABSENT;
}

static enum scheme_verdict timestamp_find(struct verification *verification, struct slice list,
                                          uint64_t *timestamp_ms)
{
    const struct scheme *scheme = verification->scheme;
    const struct part *part = &scheme->receiving.timestamp;
    struct slice *text = &verification->reader.timestamp;
    enum part_result result = part->kind == PART_ENTRY
                                  ? entry_find(scheme, list, part->name, text)
                                  : part_read(&verification->reader, part, text);
    enum scheme_verdict verdict = result_verdict(verification, part, result, VERIFY_MISSING_HEADER);
    if (verdict == VERIFY_OK && !timestamp_parse(scheme->timestamp_form, *text, timestamp_ms))
        verdict = about(verification, part->name, VERIFY_MALFORMED);
    if (verdict == VERIFY_OK && verification->finding) {
        buf_clear(&verification->finding->timestamp_text);
        buf_add_slice(&verification->finding->timestamp_text, *text);
        verification->finding->timestamp_ms = *timestamp_ms;
    }
    return verdict;
}

/* The hash that the request says its body has. One in the URL is only there when the sender chose
 * to cover the body so, and then it is part of the URL that is signed. */
static enum scheme_verdict hash_find(struct verification *verification, struct slice *hash)
{
    const struct part *part = &verification->scheme->receiving.body_hash;
    *hash = SLICE_NULL;
    if (part->kind != PART_QUERY)
        return result_verdict(verification, part, part_read(&verification->reader, part, hash),
                              VERIFY_MISSING_HEADER);
    struct buf *buf = part_reader_buf(&verification->reader);
    if (!buf)
        return VERIFY_NO_MEMORY;
    if (received_query(part_url_query(verification->received), part->name, buf)) {
        *hash = buf_slice(buf);
        verification->reader.hashed = true;
    }
    return buf_status(buf) == ST_OK ? VERIFY_OK : VERIFY_NO_MEMORY;
}

static enum scheme_verdict hash_judge(struct verification *verification, struct slice hash)
{
    static const struct part sha256_hex = {.kind = PART_SHA256_HEX};
    struct slice real;
    if (part_read(&verification->reader, &sha256_hex, &real) != PART_GIVEN)
        return VERIFY_NO_MEMORY;
    return slice_eq_nocase(hash, real) ? VERIFY_OK : VERIFY_BODY_CHANGED;
}

static enum scheme_verdict signed_text_find(struct verification *verification,
                                            struct slice parts[TEMPLATE_PARTS_MAX])
{
    const struct scheme_receiving *receiving = &verification->scheme->receiving;
    enum scheme_verdict verdict = VERIFY_OK;
    for (size_t i = 0; i < receiving->signed_count && verdict == VERIFY_OK; i++) {
        const struct part *part = &receiving->signed_parts[i];
        verdict =
            result_verdict(verification, part, part_read(&verification->reader, part, &parts[i]),
                           VERIFY_MISSING_HEADER);
    }
    if (verdict == VERIFY_OK && verification->finding) {
        buf_clear(&verification->finding->signed_text);
        for (size_t i = 0; i < receiving->signed_count; i++)
            buf_add_slice(&verification->finding->signed_text, parts[i]);
    }
    return verdict;
}

/* ---- The verdict ----------------------------------------------------------------------------- */

static enum scheme_verdict signature_judge(const struct verification *verification,
                                           const struct candidates *candidates,
                                           const struct slice *parts)
{
    for (size_t i = 0; i < verification->key_count; i++) {
        if (!candidates_signed_by(candidates, verification->keys[i], parts,
                                  verification->scheme->receiving.signed_count))
            continue;
        if (verification->finding)
            verification->finding->key = i;
        return VERIFY_OK;
    }
    return VERIFY_BAD_SIGNATURE;
}

/* One item of `each`, or the request. */
static enum scheme_verdict element_verify(struct verification *verification)
{
    const struct scheme_receiving *receiving = &verification->scheme->receiving;
    struct candidates candidates;
    struct slice parts[TEMPLATE_PARTS_MAX], list, hash = SLICE_NULL;
    uint64_t timestamp_ms = 0;
    if (verification->finding) {
        verification->finding->elements++;
        verification->finding->key = SIZE_MAX;
    }
    enum scheme_verdict verdict = candidates_find(verification, &candidates, &list);
    if (verdict == VERIFY_OK && receiving->has_timestamp)
        verdict = timestamp_find(verification, list, &timestamp_ms);
    if (verdict == VERIFY_OK && receiving->has_body_hash)
        verdict = hash_find(verification, &hash);
    if (verdict == VERIFY_OK)
        verdict = signed_text_find(verification, parts);
    if (verdict == VERIFY_OK)
        verdict = signature_judge(verification, &candidates, parts);
    if (verdict == VERIFY_OK && hash.ptr)
        verdict = hash_judge(verification, hash);
    if (verdict == VERIFY_OK && receiving->has_timestamp)
        verdict = age_judge(verification, timestamp_ms);
    return verdict;
}

static void reader_begin(struct verification *verification)
{
    part_reader_init(&verification->reader, verification->received);
    verification->reader.fields = verification->fields;
}

/* Every item of the array has to be good, and there has to be one. */
static enum scheme_verdict each_verify(struct verification *verification)
{
    struct slice path = verification->scheme->receiving.array_path;
    struct slice item_path = verification->scheme->receiving.item_path;
    struct slice array = received_is_json(verification->received)
                             ? received_json_at(verification->received->body, path)
                             : SLICE_NULL;
    if (array.len == 0 || json_type_of(array.ptr[0]) != JSON_ARRAY)
        return about(verification, path, VERIFY_MALFORMED);
    struct json_walk walk = json_walk_begin(array);
    enum scheme_verdict verdict = VERIFY_OK;
    size_t count = 0;
    json_walk_enter(&walk);
    while (verdict == VERIFY_OK && json_walk_more(&walk)) {
        const char *begin = walk.at;
        json_walk_skip(&walk);
        if (count++ == ELEMENTS_MAX)
            return about(verification, path, VERIFY_MALFORMED);
        reader_begin(verification);
        verification->reader.json = RECEIVED_JSON_YES;
        verification->reader.root =
            received_json_at(slice_of(begin, (size_t)(walk.at - begin)), item_path);
        verdict = verification->reader.root.len > 0
                      ? element_verify(verification)
                      : about(verification, item_path, VERIFY_MALFORMED);
        part_reader_deinit(&verification->reader);
    }
    return count == 0 ? about(verification, path, VERIFY_NO_SIGNATURE) : verdict;
}

enum scheme_verdict scheme_verify(const struct scheme *scheme, const struct received *received,
                                  struct signer_key *const *keys, size_t key_count,
                                  struct scheme_finding *finding)
{
    if (scheme->no_signature)
        return VERIFY_OK;
    struct verification verification;
    verification.scheme = scheme;
    verification.received = received;
    verification.keys = keys;
    verification.key_count = key_count;
    verification.finding = finding;
    if (scheme->receiving.fields) {
        memset(verification.fields, 0, sizeof(verification.fields));
        enum scheme_verdict verdict = fields_find(&verification);
        if (verdict != VERIFY_OK)
            return verdict;
    }
    if (scheme->receiving.each)
        return each_verify(&verification);
    reader_begin(&verification);
    enum scheme_verdict verdict = element_verify(&verification);
    part_reader_deinit(&verification.reader);
    return verdict;
}
