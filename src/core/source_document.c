/* source_document.c - building a source's document, and what the API shows of it.
 *
 *     body ──▶ tree ──▶ document: kept members ─▶ secrets and variables that stay ─▶ times
 *                          │
 *                          ├──▶ compiled (source_compile.c checks every value)
 *                          ├──▶ text, for Redis
 *                          └──▶ shown: defaults filled in, secrets masked
 *
 * A document keeps values as they were given, and what was not given is not in it, so that the
 * server's defaults stay defaults. A null at the top of a body means "not given".
 *
 * What is shown is made once and kept as text: it is asked for more often than it changes, and no
 * secret is anywhere near the code that answers requests. A secret that begins with the mask cannot
 * be given, or an old mask that is sent back would one day become a secret that everybody knows.
 */
#include "core/source_document.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/parse.h"
#include "core/json_field.h"
#include "core/source_compile.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MASK         "***"

enum { MASK_TAIL = 4, MASK_LONG = 16 }; /* characters that are shown, of a secret so long */

/* What is kept under the name that it was given, in the document's order, without `secrets` and
 * `variables`. */
static const char *const kept_names[] = {
    "name",      "application", "scheme",          "verifier",       "tolerance",
    "publicUrl", "methods",     "allowedNetworks", "trustedProxies", "contentTypes",
    "eventId",   "eventType",   "maxBodyBytes",    "typePrefix",     "deduplication",
    "reply",     "keepHeaders", "active",          "description"};
/* … and all that may be in a body: the last ones are what is shown besides, and passed over. */
static const char *const body_names[] = {
    "name",      "application", "scheme",          "verifier",       "tolerance",
    "publicUrl", "methods",     "allowedNetworks", "trustedProxies", "contentTypes",
    "eventId",   "eventType",   "maxBodyBytes",    "typePrefix",     "deduplication",
    "reply",     "keepHeaders", "active",          "description",    "secrets",
    "variables", "createdAt",   "updatedAt",       "origin",         "received"};
enum { FILE_NAMES = COUNT(body_names) - 4 };

/* ---- Masks ---------------------------------------------------------------------------------- */

static bool is_mask(json_t *text)
{
    return json_is_string(text) && slice_starts(json_field_text(text), SLICE(MASK));
}

/* NULL: out of memory. */
static json_t *mask_of(json_t *secret)
{
    char text[sizeof(MASK) + MASK_TAIL] = MASK;
    struct slice whole = json_field_text(secret);
    struct slice tail =
        slice_from(whole, whole.len >= MASK_LONG ? whole.len - MASK_TAIL : whole.len);
    for (size_t i = 0; i < tail.len; i++) /* half a character would be no JSON */
        text[sizeof(MASK) - 1 + i] = tail.ptr[i] > ' ' && tail.ptr[i] <= '~' ? tail.ptr[i] : '*';
    return json_string(text);
}

/* The text of an entry of `secrets`: itself, or its member. */
static json_t *secret_text(json_t *entry)
{
    return json_is_object(entry) ? json_object_get(entry, "secret") : entry;
}

/* The old secret that was masked like this, if it is the only one. */
static enum status find_masked(json_t *old, json_t *mask, json_t **found)
{
    *found = NULL;
    for (size_t i = 0; i < json_array_size(old); i++) {
        json_t *text = secret_text(json_array_get(old, i));
        json_t *other = mask_of(text);
        if (!other)
            return ST_NOMEM;
        bool same = json_equal(other, mask);
        json_decref(other);
        if (same && *found && !json_equal(*found, text))
            return ST_RANGE;
        if (same)
            *found = text;
    }
    return *found ? ST_OK : ST_RANGE;
}

/* ---- What stays ----------------------------------------------------------------------------- */

/* Puts the old secret in the place of its mask. */
static enum status unmask_secret(json_t *secrets, size_t index, json_t *old,
                                 struct field_error *error)
{
    char field[32];
    json_t *entry = json_array_get(secrets, index), *text;
    enum status status = find_masked(old, secret_text(entry), &text);
    snprintf(field, sizeof(field), "secrets[%zu]", index);
    if (status == ST_RANGE)
        return field_refuse(error, "invalid_secret", field,
                            "\"%s\" stands for a secret that is not shown, and it is not clear for "
                            "which: give the secret itself.",
                            MASK);
    if (status)
        return status;
    if (json_is_object(entry))
        return json_object_set(entry, "secret", text) ? ST_NOMEM : ST_OK;
    return json_array_set(secrets, index, text) ? ST_NOMEM : ST_OK;
}

static enum status build_secrets(json_t *document, json_t *old, json_t *given,
                                 struct field_error *error)
{
    json_t *old_secrets = json_object_get(old, "secrets");
    bool stay = !given || json_is_null(given);
    if (stay && !old_secrets)
        return ST_OK;
    json_t *secrets = json_deep_copy(stay ? old_secrets : given);
    enum status status = secrets ? ST_OK : ST_NOMEM;
    for (size_t i = 0; i < json_array_size(secrets) && !status && !stay; i++)
        if (is_mask(secret_text(json_array_get(secrets, i))))
            status = unmask_secret(secrets, i, old_secrets, error);
    if (status) {
        json_decref(secrets);
        return status;
    }
    return json_field_set(document, "secrets", secrets);
}

static enum status unmask_variable(json_t *variables, const char *name, json_t *old,
                                   struct field_error *error)
{
    char field[sizeof(error->field)];
    json_t *value = json_object_get(old, name);
    snprintf(field, sizeof(field), "variables.%s", name);
    if (!value)
        return field_refuse(error, "invalid_variables", field,
                            "\"%s\" stands for a value that is not shown, and there is none.",
                            MASK);
    return json_object_set(variables, name, value) ? ST_NOMEM : ST_OK;
}

static enum status build_variables(json_t *document, json_t *old, json_t *given,
                                   struct field_error *error)
{
    json_t *old_variables = json_object_get(old, "variables");
    bool stay = !given || json_is_null(given);
    if (stay && !old_variables)
        return ST_OK;
    json_t *variables = json_deep_copy(stay ? old_variables : given);
    enum status status = variables ? ST_OK : ST_NOMEM;
    const char *name;
    json_t *value;
    json_object_foreach(given, name, value)
    {
        if (!status && is_mask(value))
            status = unmask_variable(variables, name, old_variables, error);
    }
    if (status) {
        json_decref(variables);
        return status;
    }
    return json_field_set(document, "variables", variables);
}

static enum status build_kept(json_t *document, json_t *body)
{
    for (size_t i = 0; i < COUNT(kept_names); i++) {
        json_t *value = json_object_get(body, kept_names[i]);
        if (value && !json_is_null(value) && json_object_set(document, kept_names[i], value))
            return ST_NOMEM;
    }
    return ST_OK;
}

/* The name that stands in the path goes before all; another one in the body is a slip. */
static enum status build_name(json_t *body, struct slice name, struct field_error *error)
{
    json_t *given = json_object_get(body, "name");
    if (!name.ptr)
        return ST_OK;
    if (given && !json_is_null(given) &&
        !(json_is_string(given) && slice_eq(json_field_text(given), name)))
        return field_refuse(error, "invalid_name", "name",
                            "A source cannot be renamed: leave the name out, or delete this source "
                            "and make another.");
    return json_field_set(body, "name", json_stringn(name.ptr, name.len));
}

/* ---- What is shown -------------------------------------------------------------------------- */

/* Copies a member, or shows its default, which it takes over. */
static enum status show(json_t *shown, json_t *document, const char *name, json_t *fallback)
{
    json_t *value = json_object_get(document, name);
    if (!value)
        return json_field_set(shown, name, fallback);
    json_decref(fallback);
    return json_object_set(shown, name, value) ? ST_NOMEM : ST_OK;
}

static enum status show_secrets(json_t *shown, json_t *secrets)
{
    json_t *masked = secrets ? json_deep_copy(secrets) : json_array();
    enum status status = masked ? ST_OK : ST_NOMEM;
    for (size_t i = 0; i < json_array_size(masked) && !status; i++) {
        json_t *entry = json_array_get(masked, i);
        json_t *mask = mask_of(secret_text(entry));
        if (!mask)
            status = ST_NOMEM;
        else if (json_is_object(entry))
            status = json_field_set(entry, "secret", mask);
        else if (json_array_set_new(masked, i, mask))
            status = ST_NOMEM;
    }
    if (status) {
        json_decref(masked);
        return status;
    }
    return json_field_set(shown, "secrets", masked);
}

static enum status show_variables(json_t *shown, json_t *variables)
{
    json_t *masked = json_object();
    enum status status = masked ? ST_OK : ST_NOMEM;
    const char *name;
    json_t *value;
    json_object_foreach(variables, name, value)
    {
        if (!status)
            status = json_field_set(masked, name, mask_of(value));
    }
    if (status) {
        json_decref(masked);
        return status;
    }
    return json_field_set(shown, "variables", masked);
}

static json_t *methods_of(const struct source *source)
{
    json_t *methods = json_array();
    if (!methods ||
        (source->methods & SOURCE_POST && json_array_append_new(methods, json_string("POST"))) ||
        (source->methods & SOURCE_PUT && json_array_append_new(methods, json_string("PUT")))) {
        json_decref(methods);
        return NULL;
    }
    return methods;
}

static json_t *dedup_of(const struct source *source)
{
    struct buf ttl;
    buf_init(&ttl, 64);
    format_duration(&ttl, source->dedup_ttl_ms);
    json_t *dedup = buf_status(&ttl)
                        ? NULL
                        : json_pack("{s:s, s:s%}", "policy", source_dedup_name(source->dedup),
                                    "ttl", ttl.ptr, ttl.len);
    buf_free(&ttl);
    return dedup;
}

static json_t *reply_of(const struct source *source)
{
    const struct source_reply *reply = &source->reply;
    return json_pack("{s:i, s:s?, s:s?}", "status", reply->status, "contentType",
                     reply->content_type, "body", reply->body);
}

static enum status show_all(json_t *shown, const struct source *source, json_t *document)
{
    const char *origin = source->from_file ? "file" : "api";
    bool inlined = source->own_scheme != NULL;
    if (show(shown, document, "name", NULL) ||
        show(shown, document, "application", json_string(source->application)) ||
        show(shown, document, inlined ? "verifier" : "scheme", NULL) ||
        show_secrets(shown, json_object_get(document, "secrets")) ||
        show(shown, document, "tolerance", json_null()) ||
        show(shown, document, "publicUrl", json_null()) ||
        show_variables(shown, json_object_get(document, "variables")) ||
        show(shown, document, "allowedNetworks", json_array()) ||
        show(shown, document, "trustedProxies", json_null()) ||
        json_field_set(shown, "methods", methods_of(source)) ||
        show(shown, document, "contentTypes", json_array()) ||
        json_field_set(shown, "maxBodyBytes", json_integer((json_int_t)source->body_bytes_max)) ||
        show(shown, document, "eventId", json_null()) ||
        show(shown, document, "eventType", json_null()) ||
        show(shown, document, "typePrefix", json_string(source->type_prefix)) ||
        json_field_set(shown, "deduplication", dedup_of(source)) ||
        json_field_set(shown, "reply", reply_of(source)) ||
        show(shown, document, "keepHeaders", json_pack("[s]", "*")) ||
        show(shown, document, "active", json_true()) ||
        show(shown, document, "description", json_null()) ||
        show(shown, document, "createdAt", json_null()) ||
        show(shown, document, "updatedAt", json_null()) ||
        json_field_set(shown, "origin", json_string(origin)))
        return ST_NOMEM;
    return ST_OK;
}

/* ---- Documents ------------------------------------------------------------------------------ */

static enum status refuse_size(struct field_error *error)
{
    (void)field_refuse(error, "payload_too_large", "", "A source takes at most %d bytes.",
                       LIMIT_SOURCE_BYTES);
    return ST_LIMIT;
}

static enum status check_text(struct slice text, size_t bytes_max, struct field_error *error)
{
    struct json_error problem;
    if (text.len > bytes_max)
        return refuse_size(error);
    enum status status = json_check(text, &problem);
    if (status == ST_OK)
        return ST_OK;
    (void)field_refuse(error, status == ST_LIMIT ? "json_too_deep" : "invalid_json", "",
                       "This is not JSON that we take: %s (byte %zu).", problem.reason,
                       problem.offset);
    return ST_SYNTAX;
}

static enum status parse(struct slice text, size_t bytes_max, json_t **tree,
                         struct field_error *error)
{
    enum status status = check_text(text, bytes_max, error);
    return status ? status : json_field_object(text, tree, error);
}

/* Compiles the document and gives the source what is shown of it. */
static enum status finish(const struct source_rules *rules, json_t *document, bool stored,
                          bool from_file, struct source **out, struct field_error *error)
{
    json_t *shown = NULL;
    enum status status = source_compile(rules, document, stored, out, error);
    if (status)
        return status;
    (*out)->from_file = from_file;
    shown = json_object();
    if (!shown || show_all(shown, *out, document) != ST_OK ||
        !((*out)->shown = json_dumps(shown, JSON_COMPACT)))
        status = ST_NOMEM;
    if (!status && !from_file && !((*out)->document = json_dumps(document, JSON_COMPACT)))
        status = ST_NOMEM;
    json_decref(shown);
    if (!status)
        return ST_OK;
    source_put(*out);
    *out = NULL;
    return status;
}

static enum status build(json_t *document, const struct source *old, json_t *old_tree, json_t *body,
                         uint64_t now_ms, struct field_error *error)
{
    enum status status = build_kept(document, body);
    if (!status)
        status = build_secrets(document, old_tree, json_object_get(body, "secrets"), error);
    if (!status)
        status = build_variables(document, old_tree, json_object_get(body, "variables"), error);
    if (!status)
        status = json_field_set(document, "createdAt",
                                json_field_time(old ? old->created_at_ms : now_ms));
    return status ? status : json_field_set(document, "updatedAt", json_field_time(now_ms));
}

/* With secrets that stay; what is longer could not be loaded again. */
static enum status check_size(struct source **source, struct field_error *error)
{
    if (strlen((*source)->document) <= 2 * LIMIT_SOURCE_BYTES)
        return ST_OK;
    source_put(*source);
    *source = NULL;
    return refuse_size(error);
}

enum status source_document_make(const struct source_rules *rules, const struct source *old,
                                 struct slice name, struct slice text, uint64_t now_ms,
                                 struct source **out, struct field_error *error)
{
    json_t *body = NULL, *old_tree = NULL, *document = NULL;
    *out = NULL;
    enum status status = parse(text, LIMIT_SOURCE_BYTES, &body, error);
    if (!status)
        status = json_field_known(body, "", body_names, COUNT(body_names), error);
    if (!status)
        status = build_name(body, name, error);
    if (!status && old)
        status = json_field_object(slice_str(old->document), &old_tree, error);
    if (!status && !(document = json_object()))
        status = ST_NOMEM;
    if (!status)
        status = build(document, old, old_tree, body, now_ms, error);
    if (!status)
        status = finish(rules, document, false, false, out, error);
    if (!status)
        status = check_size(out, error);
    json_decref(body);
    json_decref(old_tree);
    json_decref(document);
    return status;
}

/* The array or object of that name in the document, which is made when there is none. NULL: out of
 * memory. Borrowed. */
static json_t *member_made(json_t *document, const char *name, json_t *fresh)
{
    json_t *member = json_object_get(document, name);
    if (member) {
        json_decref(fresh);
        return member;
    }
    return json_field_set(document, name, fresh) == ST_OK ? fresh : NULL;
}

static enum status add_secret(json_t *document, struct slice secret)
{
    json_t *secrets = member_made(document, "secrets", json_array());
    return secrets && json_array_insert_new(secrets, 0, json_stringn(secret.ptr, secret.len)) == 0
               ? ST_OK
               : ST_NOMEM;
}

enum status source_document_add_secret(const struct source_rules *rules, const struct source *old,
                                       struct slice secret, uint64_t now_ms, struct source **out,
                                       struct field_error *error)
{
    json_t *document = NULL;
    *out = NULL;
    enum status status = json_field_object(slice_str(old->document), &document, error);
    if (!status)
        status = add_secret(document, secret);
    if (!status)
        status = json_field_set(document, "updatedAt", json_field_time(now_ms));
    if (!status)
        status = finish(rules, document, false, false, out, error);
    if (!status)
        status = check_size(out, error);
    json_decref(document);
    return status;
}

enum status source_document_load(const struct source_rules *rules, struct slice text,
                                 struct source **out, struct field_error *error)
{
    json_t *document = NULL;
    *out = NULL;
    /* Secrets that stay may take a change beyond the limit. */
    enum status status = parse(text, 2 * LIMIT_SOURCE_BYTES, &document, error);
    if (!status)
        status = finish(rules, document, true, false, out, error);
    json_decref(document);
    return status;
}

enum status source_document_file(const struct source_rules *rules, struct slice name,
                                 struct slice json, struct source **out, struct field_error *error)
{
    json_t *document = NULL;
    *out = NULL;
    enum status status = parse(json, LIMIT_SOURCE_BYTES, &document, error);
    if (!status)
        status = json_field_known(document, "", body_names, FILE_NAMES, error);
    if (!status && !json_object_get(document, "name"))
        status = json_field_set(document, "name", json_stringn(name.ptr, name.len));
    if (!status)
        status = finish(rules, document, false, true, out, error);
    json_decref(document);
    return status;
}
