/* scheme_rehearse.c - a scheme shows, when it is loaded, that it verifies what it signs.
 *
 * Each of its algorithms signs a sample event, alone and in a list of two, and the scheme gets its
 * own headers back. With the separator "a" and hexadecimal signatures, or with "{timestamp}1{id}",
 * that fails now instead of at a customer's. The sample is fixed, so a file is good or not for
 * ever.
 */
#include "wire/scheme_private.h"

/* The headers that scheme_headers wrote, as a receiver has them. */
static void headers_split(const struct buf *lines, size_t count, struct received_header *headers)
{
    const char *line = lines->ptr;
    for (size_t i = 0; i < count; i++, line += strlen(line) + 1) {
        size_t name_len = strcspn(line, ":");
        headers[i] =
            (struct received_header){slice_of(line, name_len), slice_str(line + name_len + 2)};
    }
}

/* Signs with `count` keys and verifies with the last of those that signed. ST_RANGE: in vain. */
static enum status rehearse_keys(const struct scheme *scheme, struct signer_key *const *keys,
                                 size_t count)
{
    static const struct scheme_event event = {
        .id = {"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 31},
        .type = {"order.created", 13},
        .timestamp_ms = UINT64_C(1700000000123),
        .data = {"{}", 2},
        .version = {"1.0", 3},
        .source = {"/orders", 7},
    };
    const struct slice body = SLICE("{}");
    const uint64_t now_ms = UINT64_C(1798765432109);
    struct received_header headers[SCHEME_HEADERS_MAX];
    struct buf lines;
    size_t header_count;
    buf_init(&lines, SIZE_MAX);
    enum status status =
        scheme_headers(scheme, &event, body, now_ms, keys, count, &lines, &header_count);
    if (status == ST_OK) {
        headers_split(&lines, header_count, headers);
        struct received received = {
            .headers = headers, .header_count = header_count, .body = body, .now_ms = now_ms};
        size_t last = scheme->separator.ptr ? count - 1 : 0;
        if (scheme_verify(scheme, &received, &keys[last], 1, NULL) != VERIFY_OK)
            status = ST_RANGE;
    }
    buf_free(&lines);
    return status;
}

enum status scheme_rehearse(const struct scheme *scheme)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < scheme->signature_count && status == ST_OK; i++) {
        enum sign_algorithm algorithm = scheme->signatures[i].algorithm;
        struct signer_key *keys[2] = {NULL, NULL};
        status = signer_key_new(algorithm, SLICE("a key of 32 bytes, for one event"), &keys[0]);
        if (status == ST_OK)
            status = signer_key_new(algorithm, SLICE("another of them, also of 32 byte"), &keys[1]);
        if (status == ST_OK)
            status = rehearse_keys(scheme, keys, 1);
        if (status == ST_OK)
            status = rehearse_keys(scheme, keys, 2);
        signer_key_free(keys[0]);
        signer_key_free(keys[1]);
    }
    return status;
}
