/* verify_vector.c - reads a captured request from one JSON object.
 *
 * Texts are unescaped into one buffer that has room for all of them before the first one, so that
 * slices into it stay: no text is longer than its JSON.
 */
#include "app/verify.h"
#include "base/json_scan.h"

enum { MEMBERS_MAX = 64 };

struct reading {
    struct verify_request *request;
    struct buf *texts;
    struct buf *errors;
};

static enum status wrong(const struct reading *reading, const char *what)
{
    buf_addf(reading->errors, "--vector: %s\n", what);
    return ST_SYNTAX;
}

/* The text of a string, with a NUL behind it. */
static enum status text_take(const struct reading *reading, struct slice json, struct slice *out)
{
    size_t at = reading->texts->len;
    enum status status = json_unescape(json, reading->texts);
    if (status == ST_SYNTAX)
        return wrong(reading, "a string is expected for scheme, secrets, headers, body, url and "
                              "method");
    if (status != ST_OK)
        return status;
    buf_add_char(reading->texts, '\0');
    *out = slice_of(reading->texts->ptr + at, reading->texts->len - at - 1);
    return buf_status(reading->texts);
}

static enum status secrets_take(const struct reading *reading, struct slice json)
{
    struct json_item items[LIMIT_SECRETS];
    struct verify_request *request = reading->request;
    enum status status = json_items(json, items, LIMIT_SECRETS, &request->secret_count, NULL);
    if (status != ST_OK)
        return wrong(reading, "secrets is not a list of at most 11");
    for (size_t i = 0; i < request->secret_count && status == ST_OK; i++)
        status = text_take(reading, items[i].value, &request->secrets[i]);
    return status;
}

static enum status headers_take(const struct reading *reading, struct slice json)
{
    struct json_member members[LIMIT_HTTP_HEADERS];
    struct verify_request *request = reading->request;
    size_t count;
    if (json_members(json, members, LIMIT_HTTP_HEADERS, &count, NULL) != ST_OK)
        return wrong(reading, "headers is not an object of different names");
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        struct received_header *header = &request->headers[request->header_count++];
        struct slice quoted = slice_of(members[i].name.ptr - 1, members[i].name.len + 2);
        status = text_take(reading, quoted, &header->name);
        if (status == ST_OK)
            status = text_take(reading, members[i].value, &header->value);
    }
    return status;
}

static enum status member_take(const struct reading *reading, const struct json_member *member)
{
    struct verify_request *request = reading->request;
    struct slice scheme;
    if (slice_eq(member->name, SLICE("secrets")))
        return secrets_take(reading, member->value);
    if (slice_eq(member->name, SLICE("headers")))
        return headers_take(reading, member->value);
    if (slice_eq(member->name, SLICE("body")))
        return text_take(reading, member->value, &request->body);
    if (slice_eq(member->name, SLICE("url")))
        return text_take(reading, member->value, &request->url);
    if (slice_eq(member->name, SLICE("method")))
        return text_take(reading, member->value, &request->method);
    if (!slice_eq(member->name, SLICE("scheme")))
        return ST_OK;
    enum status status = text_take(reading, member->value, &scheme);
    request->scheme_name = scheme.ptr;
    return status;
}

enum status verify_vector_parse(struct slice json, struct verify_request *request,
                                struct buf *texts, struct buf *errors)
{
    const struct reading reading = {request, texts, errors};
    struct json_member members[MEMBERS_MAX];
    size_t count;
    /* Each string gets a NUL, which is shorter than its quotes. */
    if (!buf_reserve(texts, json.len + 1))
        return ST_NOMEM;
    if (json_members(json, members, MEMBERS_MAX, &count, NULL) != ST_OK)
        return wrong(&reading, "this is not a JSON object");
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++)
        status = member_take(&reading, &members[i]);
    if (status == ST_OK && !request->scheme_name)
        status = wrong(&reading, "there is no scheme in it");
    return status;
}
