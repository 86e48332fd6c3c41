/* scheme_candidates.c - finds the signatures in a text, and asks a key about them.
 *
 * An entry counts when it has the prefix of one of the scheme's algorithms and decodes to as many
 * bytes as that makes; others are passed over, since senders add versions. Comparing is done on
 * decoded bytes: hexadecimal may come in either case, base64 has one spelling.
 */
#include "wire/scheme_candidates.h"

void candidates_init(struct candidates *candidates)
{
    candidates->count = candidates->looked = 0;
    candidates->malformed = false;
}

static bool has_prefix(const struct scheme_signature *signature, struct slice entry)
{
    struct slice prefix = signature->prefix;
    return slice_starts(entry, prefix) ||
           (signature->basic && entry.len >= prefix.len &&
            slice_eq_nocase(slice_of(entry.ptr, prefix.len), prefix));
}

static bool candidate_decode(const struct scheme *scheme, struct slice text, size_t len_expected,
                             uint8_t bytes[SIGNER_VERIFY_MAX], struct slice *signature)
{
    size_t len;
    if (scheme_decode(scheme->encoding, text, bytes, SIGNER_VERIFY_MAX, &len) != ST_OK)
        return false;
    *signature = slice_of(bytes, len);
    return len > 0 && (len_expected == 0 || len == len_expected);
}

static void candidate_add(struct candidates *candidates, const struct scheme *scheme,
                          struct slice entry)
{
    for (size_t i = 0; i < scheme->signature_count; i++) {
        const struct scheme_signature *signature = &scheme->signatures[i];
        size_t at = candidates->count;
        if (!has_prefix(signature, entry))
            continue;
        struct slice text = slice_from(entry, signature->prefix.len);
        if (!candidate_decode(scheme, text, sign_algorithm_bytes(signature->algorithm),
                              candidates->bytes[at], &candidates->signatures[at])) {
            candidates->malformed = true;
            continue;
        }
        candidates->algorithm[at] = signature->algorithm;
        candidates->count++;
        return;
    }
}

struct slice signature_entry_next(struct slice separator, struct slice *list)
{
    bool blanks = separator.ptr && separator.ptr[0] != ' ';
    while (blanks && list->len > 0 && list->ptr[0] == ' ')
        *list = slice_of(list->ptr + 1, list->len - 1);
    const char *end =
        separator.ptr ? memmem(list->ptr, list->len, separator.ptr, separator.len) : NULL;
    size_t len = end ? (size_t)(end - list->ptr) : list->len;
    struct slice entry = slice_of(list->ptr, len);
    *list = slice_from(*list, end ? len + separator.len : len);
    return entry;
}

void candidates_add(struct candidates *candidates, const struct scheme *scheme, struct slice list)
{
    if (list.len > SIGNATURE_TEXT_MAX) {
        candidates->malformed = true;
        return;
    }
    for (; list.len > 0 && candidates->looked < CANDIDATES_MAX; candidates->looked++)
        candidate_add(candidates, scheme, signature_entry_next(scheme->separator, &list));
}

bool candidates_signed_by(const struct candidates *candidates, struct signer_key *key,
                          const struct slice *parts, size_t part_count)
{
    struct slice signatures[CANDIDATES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < candidates->count; i++)
        if (candidates->algorithm[i] == signer_key_algorithm(key))
            signatures[count++] = candidates->signatures[i];
    return count > 0 && signer_verify_any(key, parts, part_count, signatures, count);
}
