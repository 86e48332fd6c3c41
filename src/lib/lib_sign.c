/* lib_sign.c - signing for callers of the library.
 *
 * Headers are kept as wire/ writes them: lines "Name: value", each with a NUL. There are a few, so
 * the one that is asked for is looked for.
 */
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/utf8.h"
#include "lib/key_ring.h"
#include "lib/request.h"
#include "trotline/sign.h"

struct trotline_signer {
    const struct scheme *scheme;
    struct key_ring ring;
    struct request_view view;
    struct buf body_text; /* where the scheme makes the body */
    struct slice body;    /* of the last call: there, or the caller's */
    struct buf lines;
    size_t line_count;
};

enum trotline_status trotline_signer_new(const struct trotline_scheme *scheme,
                                         const char *const *secrets, size_t secret_count,
                                         struct trotline_signer **signer,
                                         struct trotline_error *error)
{
    if (!signer)
        return TROTLINE_INVALID_ARGUMENT;
    *signer = NULL;
    if (!scheme)
        return TROTLINE_INVALID_ARGUMENT;
    struct trotline_signer *made = calloc(1, sizeof(*made));
    if (!made)
        return TROTLINE_NO_MEMORY;
    made->scheme = scheme->scheme;
    buf_init(&made->body_text, SIZE_MAX);
    buf_init(&made->lines, SIZE_MAX);
    enum trotline_status status =
        key_ring_open(&made->ring, scheme->scheme, false, secrets, secret_count, error);
    if (status == TROTLINE_OK)
        *signer = made;
    else
        trotline_signer_free(made);
    return status;
}

void trotline_signer_free(struct trotline_signer *signer)
{
    if (!signer)
        return;
    key_ring_close(&signer->ring);
    request_view_free(&signer->view);
    buf_free(&signer->body_text);
    buf_free(&signer->lines);
    free(signer);
}

/* ---- What is signed -------------------------------------------------------------------------- */

static void forget(struct trotline_signer *signer)
{
    buf_clear(&signer->body_text);
    buf_clear(&signer->lines);
    signer->body = SLICE_NULL;
    signer->line_count = 0;
}

/* In a header, a line break would begin one of somebody else's making. */
static bool text_is_good(const char *text)
{
    if (text[0] == '\0' || !utf8_valid(slice_str(text)))
        return false;
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at == 0x7f)
            return false;
    return true;
}

static enum trotline_status check_text(const char *name, const char *text, bool required,
                                       struct trotline_error *error)
{
    if (!text && !required)
        return TROTLINE_OK;
    if (text && text_is_good(text))
        return TROTLINE_OK;
    return lib_fail(error, TROTLINE_INVALID_EVENT, "invalid_webhook", name,
                    text ? "It must be UTF-8 without control characters, and not empty."
                         : "It is required.");
}

static enum trotline_status check_webhook(const struct trotline_webhook *webhook,
                                          struct trotline_error *error)
{
    struct json_error json;
    if (!slice_sound(webhook->data) || !slice_sound(webhook->body) ||
        !webhook->data.at == !webhook->body.at)
        return TROTLINE_INVALID_ARGUMENT;
    enum trotline_status status = check_text("id", webhook->id, true, error);
    if (status == TROTLINE_OK)
        status = check_text("type", webhook->type, true, error);
    if (status == TROTLINE_OK)
        status = check_text("version", webhook->version, false, error);
    if (status == TROTLINE_OK)
        status = check_text("source", webhook->source, false, error);
    if (status != TROTLINE_OK || webhook->body.at ||
        json_check(slice_in(webhook->data), &json) == ST_OK)
        return status;
    return lib_fail(error, TROTLINE_INVALID_EVENT, "invalid_json", "data", json.reason);
}

static enum trotline_status status_out(enum status status)
{
    switch ((int)status) {
    case ST_OK:
        return TROTLINE_OK;
    case ST_UNSUPPORTED:
        return TROTLINE_UNSUPPORTED;
    case ST_LIMIT:
    case ST_RANGE:
        return TROTLINE_INVALID_EVENT;
    default:
        return TROTLINE_NO_MEMORY;
    }
}

static enum trotline_status finish(struct trotline_signer *signer, enum trotline_status status,
                                   struct trotline_error *error)
{
    if (status == TROTLINE_OK)
        return status;
    forget(signer);
    return lib_fail(error, status, trotline_status_name(status), "", trotline_status_text(status));
}

enum trotline_status trotline_sign(struct trotline_signer *signer,
                                   const struct trotline_webhook *webhook, uint64_t sent_at_ms,
                                   struct trotline_error *error)
{
    if (!signer)
        return TROTLINE_INVALID_ARGUMENT;
    forget(signer);
    if (!webhook)
        return TROTLINE_INVALID_ARGUMENT;
    if (!scheme_sends(signer->scheme))
        return finish(signer, TROTLINE_UNSUPPORTED, error);
    enum trotline_status status = check_webhook(webhook, error);
    if (status != TROTLINE_OK)
        return status;
    sent_at_ms = lib_now_ms(sent_at_ms);
    const struct scheme_event event = {
        .id = slice_str(webhook->id),
        .type = slice_str(webhook->type),
        .timestamp_ms = webhook->timestamp_ms > 0 ? webhook->timestamp_ms : sent_at_ms,
        .data = slice_in(webhook->data),
        .version = slice_str(webhook->version),
        .source = slice_str(webhook->source),
    };
    signer->body = webhook->body.at ? slice_in(webhook->body)
                                    : scheme_body(signer->scheme, &event, &signer->body_text);
    enum status made = buf_status(&signer->body_text);
    if (made == ST_OK)
        made = scheme_headers(signer->scheme, &event, signer->body, sent_at_ms, signer->ring.keys,
                              signer->ring.count, &signer->lines, &signer->line_count);
    if (made == ST_OK)
        made = buf_status(&signer->lines);
    return finish(signer, status_out(made), error);
}

enum trotline_status trotline_sign_as_sender(struct trotline_signer *signer,
                                             const struct trotline_request *request,
                                             const char *url, uint64_t now_ms,
                                             struct trotline_error *error)
{
    if (!signer)
        return TROTLINE_INVALID_ARGUMENT;
    forget(signer);
    enum trotline_status status = request_view_take(&signer->view, request, now_ms);
    if (status != TROTLINE_OK)
        return status;
    signer->view.received.public_url = slice_str(url);
    enum status made =
        scheme_sign_received(signer->scheme, &signer->view.received, signer->ring.keys[0],
                             &signer->lines, &signer->line_count);
    return finish(signer, status_out(made), error);
}

/* ---- What was made --------------------------------------------------------------------------- */

struct trotline_slice trotline_signed_body(const struct trotline_signer *signer)
{
    return slice_out(signer ? signer->body : SLICE_NULL);
}

size_t trotline_signed_header_count(const struct trotline_signer *signer)
{
    return signer ? signer->line_count : 0;
}

const char *trotline_signed_header_line(const struct trotline_signer *signer, size_t index)
{
    if (index >= trotline_signed_header_count(signer))
        return NULL;
    const char *line = signer->lines.ptr;
    while (index-- > 0)
        line += strlen(line) + 1;
    return line;
}

struct trotline_header trotline_signed_header(const struct trotline_signer *signer, size_t index)
{
    struct trotline_header header = {{NULL, 0}, {NULL, 0}};
    const char *line = trotline_signed_header_line(signer, index);
    const char *colon = line ? strchr(line, ':') : NULL;
    if (!colon)
        return header;
    header.name = trotline_slice_of(line, (size_t)(colon - line));
    header.value = trotline_slice_str(colon + 2);
    return header;
}
