/* handshake.c - which rule a request fits, and its answer.
 *
 * Whatever a stranger may choose and gets back is bounded and of visible ASCII, or stands in a JSON
 * string: it cannot end a header, and is no page. What is compared with a variable of the source (a
 * verify token is a secret) is compared in constant time.
 */
#include "wire/handshake.h"

#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/json_out.h"
#include "wire/encoding.h"
#include "wire/handshake_private.h"

enum { VALUE_BYTES_MAX = 2048 };

void handshakes_free(struct handshakes *handshakes)
{
    free(handshakes);
}

bool handshakes_read_json(const struct handshakes *handshakes)
{
    return handshakes && handshakes->read_json;
}

bool handshakes_bring_secret(const struct handshakes *handshakes)
{
    return handshakes && handshakes->bring_secret;
}

bool handshake_verify_first(const struct handshake_rule *rule)
{
    return rule->verify_first;
}

/* ---- Values --------------------------------------------------------------------------------- */

/* Every body looks like a form to who only splits it: the text of an event may hold "&a=b&". */
static bool is_form(const struct received *received)
{
    struct slice form = SLICE("application/x-www-form-urlencoded");
    struct slice type = received_header(received, SLICE("Content-Type"));
    return type.len >= form.len && slice_eq_nocase(slice_of(type.ptr, form.len), form) &&
           (type.len == form.len || memchr("; \t", type.ptr[form.len], 3));
}

static bool read_into(const struct received *received, const struct handshake_piece *piece,
                      struct buf *buf, struct slice *value)
{
    size_t from = buf->len;
    if (piece->place == PLACE_FORM && !is_form(received))
        return false;
    struct slice query = piece->place == PLACE_FORM ? received->body : received->query;
    if (!received_query(query, piece->name, buf))
        return false;
    *value = slice_of(buf->ptr + from, buf->len - from);
    return true;
}

/* False: it is not there, or more than once. The value lives in the request, or in `buf` until that
 * changes. */
static bool read_value(const struct received *received, const struct handshake_piece *piece,
                       struct buf *buf, struct slice *value)
{
    *value = SLICE_NULL;
    switch (piece->place) {
    case PLACE_TEXT:
        *value = piece->name;
        break;
    case PLACE_HEADER:
        *value = received_header(received, piece->name);
        break;
    case PLACE_QUERY:
    case PLACE_FORM:
        return read_into(received, piece, buf, value);
    case PLACE_JSON:
        if (received_is_json(received))
            *value = received_json_text(received->body, piece->name, buf);
        break;
    case PLACE_VAR:
        *value = received_var(received, piece->name);
        break;
    }
    return value->ptr != NULL;
}

/* ---- Conditions ----------------------------------------------------------------------------- */

static bool equal(struct slice a, struct slice b)
{
    unsigned char differs = 0;
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        differs |= (unsigned char)(a.ptr[i] ^ b.ptr[i]);
    return differs == 0;
}

/* What it is compared with. False: a variable is missing. */
static bool expected(const struct handshake_condition *condition, const struct received *received,
                     struct buf *text)
{
    for (size_t i = 0; i < condition->is.count; i++) {
        const struct handshake_piece *piece = &condition->is.pieces[i];
        struct slice value =
            piece->place == PLACE_VAR ? received_var(received, piece->name) : piece->name;
        if (!value.ptr)
            return false;
        buf_add_slice(text, value);
    }
    return buf_status(text) == ST_OK && text->len > 0;
}

/* Is it one of the words of the list, which has blanks or commas between them? */
static bool is_among(struct slice value, struct slice list)
{
    size_t from = 0;
    for (size_t at = 0; at <= list.len; at++) {
        if (at < list.len && list.ptr[at] != ' ' && list.ptr[at] != ',')
            continue;
        if (at > from && equal(value, slice_of(list.ptr + from, at - from)))
            return true;
        from = at + 1;
    }
    return false;
}

static bool holds(const struct handshake_condition *condition, const struct received *received)
{
    struct buf found, wanted;
    struct slice value;
    buf_init(&found, VALUE_BYTES_MAX);
    buf_init(&wanted, VALUE_BYTES_MAX);
    bool there = read_value(received, &condition->at, &found, &value);
    bool result = there;
    if (condition->test == TEST_ABSENT)
        result = !there && condition->at.place == PLACE_JSON && received_is_json(received) &&
                 received_json_absent(received->body, condition->at.name);
    else if (condition->test == TEST_IS)
        result =
            there && expected(condition, received, &wanted) && equal(value, buf_slice(&wanted));
    else if (condition->test == TEST_AMONG)
        result =
            there && expected(condition, received, &wanted) && is_among(value, buf_slice(&wanted));
    buf_free(&wanted);
    buf_free(&found);
    return result;
}

static bool all_hold(const struct handshake_conditions *conditions, const struct received *received)
{
    for (size_t i = 0; i < conditions->count; i++)
        if (!holds(&conditions->items[i], received))
            return false;
    return true;
}

/* A rule for GET answers HEAD. */
static bool fits_method(const struct handshake_rule *rule, struct slice method)
{
    return slice_eq(rule->method, method) ||
           (slice_eq(rule->method, SLICE("GET")) && slice_eq(method, SLICE("HEAD")));
}

const struct handshake_rule *handshake_find(const struct handshakes *handshakes,
                                            const struct received *received, bool has_secret)
{
    for (size_t i = 0; handshakes && i < handshakes->count; i++) {
        const struct handshake_rule *rule = &handshakes->rules[i];
        if (!(has_secret && rule->secret.count > 0) && fits_method(rule, received->method) &&
            all_hold(&rule->when, received))
            return rule;
    }
    return NULL;
}

/* ---- The answer ----------------------------------------------------------------------------- */

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    return true;
}

/* An HMAC of a value is a signature of it. Where the bodies of events are signed just so, as X
 * does, whoever may choose the value could have any event signed here and then send it: no JSON
 * object can be written with these. */
static bool may_be_signed(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_alnum(value.ptr[i]) && !memchr("-_~+/=", value.ptr[i], 6))
            return false;
    return true;
}

static enum status add_signed(struct buf *out, enum handshake_function function, struct slice value,
                              struct signer_key *const *keys, size_t key_count)
{
    uint8_t signature[SIGNER_SIGNATURE_MAX];
    size_t len;
    if (key_count == 0 || !signer_key_can_sign(keys[0]))
        return ST_UNSUPPORTED;
    if (!may_be_signed(value))
        return ST_RANGE;
    enum status status = signer_sign(keys[0], &value, 1, signature, &len);
    if (status != ST_OK)
        return status;
    if (function == AS_HMAC_HEX)
        hex_encode(out, slice_of(signature, len));
    else
        base64_encode(out, slice_of(signature, len));
    return ST_OK;
}

static enum status add_piece(struct buf *out, const struct handshake_piece *piece,
                             const struct received *received, struct signer_key *const *keys,
                             size_t key_count)
{
    struct buf found;
    struct slice value;
    enum status status = ST_OK;
    buf_init(&found, VALUE_BYTES_MAX);
    if (!read_value(received, piece, &found, &value) || value.len == 0 ||
        value.len > VALUE_BYTES_MAX)
        status = buf_status(&found) == ST_NOMEM ? ST_NOMEM : ST_RANGE;
    else if (piece->function == AS_JSON_STRING)
        json_out_string(out, value);
    else if (piece->function != AS_IT_IS)
        status = add_signed(out, piece->function, value, keys, key_count);
    else if (piece->place != PLACE_TEXT && !is_visible(value))
        status = ST_RANGE;
    else
        buf_add_slice(out, value);
    buf_free(&found);
    return status;
}

static enum status add_text(struct buf *out, const struct handshake_text *text,
                            const struct received *received, struct signer_key *const *keys,
                            size_t key_count)
{
    for (size_t i = 0; i < text->count; i++) {
        enum status status = add_piece(out, &text->pieces[i], received, keys, key_count);
        if (status != ST_OK)
            return status;
    }
    return buf_status(out) == ST_LIMIT ? ST_RANGE : buf_status(out);
}

enum status handshake_answer(const struct handshake_rule *rule, const struct received *received,
                             struct signer_key *const *keys, size_t key_count,
                             struct handshake_answer *answer)
{
    size_t ends[HANDSHAKE_HEADERS_MAX];
    *answer = (struct handshake_answer){.status = rule->status,
                                        .content_type = rule->content_type,
                                        .header_count = rule->header_count};
    buf_init(&answer->text, HANDSHAKE_BYTES_MAX);
    if (!all_hold(&rule->check, received))
        return ST_DENIED;
    enum status status = ST_OK;
    for (size_t i = 0; i < rule->header_count && status == ST_OK; i++) {
        status = add_text(&answer->text, &rule->header_values[i], received, keys, key_count);
        ends[i] = answer->text.len;
    }
    if (status == ST_OK)
        status = add_text(&answer->text, &rule->body, received, keys, key_count);
    size_t body_end = answer->text.len;
    if (status == ST_OK)
        status = add_text(&answer->text, &rule->secret, received, keys, key_count);
    if (status != ST_OK)
        return status;
    size_t at = 0;
    for (size_t i = 0; i < rule->header_count; i++) {
        answer->headers[i] = (struct handshake_header){
            rule->header_names[i], slice_of(answer->text.ptr + at, ends[i] - at)};
        at = ends[i];
    }
    answer->body = slice_from(slice_of(answer->text.ptr, body_end), at);
    if (rule->secret.count > 0)
        answer->secret = slice_from(buf_slice(&answer->text), body_end);
    return ST_OK;
}

void handshake_answer_deinit(struct handshake_answer *answer)
{
    buf_free(&answer->text);
}
