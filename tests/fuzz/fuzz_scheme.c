/* fuzz_scheme.c - templates, and what is signed with them.
 *
 * The first byte chooses: a template is compiled and, with values that are not in its text, matched
 * backwards; or an arbitrary event is signed, which must then verify. fuzz_verify.c has the
 * verifier on arbitrary requests.
 */
#include <stdint.h>
#include <stdlib.h>

#include "wire/scheme.h"
#include "wire/scheme_template.h"

static struct scheme_set *set;

static void expect(bool good)
{
    if (!good)
        abort();
}

/* The part of the input before the next NUL, which is taken off it. */
static struct slice next_part(struct slice *input)
{
    const char *end = input->len > 0 ? memchr(input->ptr, '\0', input->len) : NULL;
    size_t len = end ? (size_t)(end - input->ptr) : input->len;
    struct slice part = slice_of(input->ptr, len);
    *input = slice_from(*input, end ? len + 1 : len);
    return part;
}

/* ---- Templates ------------------------------------------------------------------------------- */

static void try_template(struct slice text)
{
    struct template template;
    struct slice at;
    struct slice values[FIELD_LITERAL];
    struct slice found[FIELD_LITERAL] = {{NULL, 0}};
    struct slice parts[TEMPLATE_PARTS_MAX];
    const char *what;
    struct buf whole;
    if (template_compile(&template, text, ~0U, &what, &at) != ST_OK ||
        !template_matchable(&template) || memchr(text.ptr, 1, text.len))
        return;
    for (size_t i = 0; i < FIELD_LITERAL; i++)
        values[i] = SLICE("\1\1");
    buf_init(&whole, SIZE_MAX);
    size_t count = template_slices(&template, values, parts);
    for (size_t i = 0; i < count; i++)
        buf_add_slice(&whole, parts[i]);
    expect(template_match(&template, buf_slice(&whole), found));
    for (size_t i = 0; i < FIELD_LITERAL; i++)
        expect(found[i].len == ((template.fields & FIELD_BIT(i)) ? 2 : 0));
    buf_free(&whole);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void try_deliver(const struct scheme *scheme, struct signer_key *key, struct slice input)
{
    struct scheme_event event = {.timestamp_ms = input.len * UINT64_C(1234567891011)};
    struct buf body;
    struct buf text;
    struct received_header headers[16];
    size_t count = 0;
    buf_init(&body, SIZE_MAX);
    buf_init(&text, SIZE_MAX);
    event.id = next_part(&input);
    event.type = next_part(&input);
    event.version = next_part(&input);
    event.source = input.len % 2 ? SLICE_NULL : event.version;
    event.data = input;
    struct slice sent = scheme_body(scheme, &event, &body);
    enum status status =
        scheme_headers(scheme, &event, sent, event.timestamp_ms, &key, 1, &text, &count);
    expect(status == ST_OK || status == ST_RANGE);
    const char *line = text.ptr;
    for (size_t i = 0; status == ST_OK && i < count; i++, line += strlen(line) + 1) {
        size_t name_len = strcspn(line, ":");
        headers[i] =
            (struct received_header){slice_of(line, name_len), slice_str(line + name_len + 2)};
    }
    struct received received = {
        .headers = headers, .header_count = count, .body = sent, .now_ms = event.timestamp_ms};
    if (status == ST_OK && event.id.len > 0)
        expect(scheme_verify(scheme, &received, &key, 1, NULL) == VERIFY_OK);
    buf_free(&body);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct signer_key *key;
    if (!set) {
        set = scheme_set_new();
        expect(set && signer_key_new(SIGN_HMAC_SHA256, SLICE("a key"), &key) == ST_OK);
    }
    if (size == 0)
        return 0;
    static const char *const names[] = {"standard", "svix", "event", "guide", "basic"};
    const struct scheme *scheme = scheme_find(set, slice_str(names[data[0] / 3 % 5]));
    struct slice input = slice_of(data + 1, size - 1);
    if (data[0] % 3 == 0)
        try_template(input);
    else
        try_deliver(scheme, key, input);
    return 0;
}
