/* endpoint_document.c - stored documents as trees.
 *
 *     body ─▶ its filter made a string ─▶ known members only? ─▶ merged with the old members
 *          ─▶ kind, secrets, times, switch ─▶ compiled (endpoint_compile.c checks every value) ─▶
 * text
 *
 * A document keeps values as they were given, and what was not given is not in it, so that the
 * configured defaults stay defaults. It is built anew in one order of members for every change.
 *
 * jansson turns numbers into 64 bits or a double, and a filter must compare them as they were
 * written. So a filter never becomes a tree: before jansson sees a body, its filter is replaced
 * with a string that holds the filter's text, and as such a string it is kept.
 *
 * A null at the top of a body means "not given" everywhere. PATCH is RFC 7396, with two liberties
 * where the letter would only produce an error: header names are matched without regard to case,
 * and giving one form of retry policy removes the members of the other.
 */
#include "core/endpoint_document.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "core/endpoint_compile.h"
#include "core/json_field.h"
#include "core/retry_policy.h"

/* What the API takes and the document keeps under the same name, in the document's order. */
static const char *const kept_names[] = {"kind",     "url",          "stream",      "events",
                                         "scheme",   "headers",      "retryPolicy", "rateLimit",
                                         "ordering", "onDeadLetter", "batch",       "maxInFlight",
                                         "timeout",  "filter",       "description"};
static const char *const body_names[] = {
    "kind",        "url",       "stream",      "events",       "scheme", "headers",
    "retryPolicy", "rateLimit", "ordering",    "onDeadLetter", "batch",  "maxInFlight",
    "timeout",     "filter",    "description", "secret",       "active"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MEMBERS_MOST = 32 }; /* of a body; with more there is an unknown one */
_Static_assert(COUNT(body_names) <= MEMBERS_MOST, "bodies with all members are taken");

/* ---- Trees ---------------------------------------------------------------------------------- */

/* Makes the filter in a body a string, and parses the result. A body whose members cannot be told
 * apart here is refused there. */
static enum status parse_body(struct slice text, json_t **tree, struct field_error *error)
{
    struct json_member members[MEMBERS_MOST];
    size_t count = 0;
    const struct json_member *filter = NULL;
    if (json_members(text, members, MEMBERS_MOST, &count, NULL) == ST_OK)
        filter = json_find(members, count, SLICE("filter"));
    if (!filter || (int)filter->type == JSON_NULL)
        return json_field_object(text, tree, error);

    struct buf body;
    buf_init(&body, 8 * LIMIT_ENDPOINT_BYTES);
    buf_add(&body, text.ptr, (size_t)(filter->value.ptr - text.ptr));
    json_out_string(&body, filter->value);
    buf_add_slice(&body,
                  slice_from(text, (size_t)(filter->value.ptr - text.ptr) + filter->value.len));
    enum status status =
        buf_status(&body) ? ST_NOMEM : json_field_object(buf_slice(&body), tree, error);
    if (body.ptr)
        explicit_bzero(body.ptr, body.len); /* it may have a secret */
    buf_free(&body);
    return status;
}

/* ---- Merging -------------------------------------------------------------------------------- */

/* Removes the member whose name differs in case only. */
static void del_nocase(json_t *object, const char *name)
{
    const char *other;
    json_t *value;
    json_object_foreach(object, other, value)
    {
        if (strcasecmp(other, name) == 0) {
            json_object_del(object, other);
            return;
        }
    }
}

/* RFC 7396 one level down, where values are no objects: null removes, others replace. */
static enum status merge_members(json_t *object, json_t *patch, bool any_case)
{
    const char *name;
    json_t *value;
    json_object_foreach(patch, name, value)
    {
        if (any_case)
            del_nocase(object, name);
        if (json_is_null(value))
            json_object_del(object, name);
        else if (json_object_set(object, name, value))
            return ST_NOMEM;
    }
    return ST_OK;
}

/* The member's value after a PATCH; NULL with ST_OK: there is none. The caller owns it. */
static enum status merge_value(const char *name, json_t *old, json_t *patch, json_t **out)
{
    *out = NULL;
    if (json_is_null(patch))
        return ST_OK;
    if (!json_is_object(patch)) {
        *out = json_incref(patch ? patch : old);
        return ST_OK;
    }
    json_t *merged = json_is_object(old) ? json_copy(old) : json_object();
    if (!merged)
        return ST_NOMEM;
    if (strcmp(name, "retryPolicy") == 0)
        retry_policy_switch_form(merged, patch);
    enum status status = merge_members(merged, patch, strcmp(name, "headers") == 0);
    if (status) {
        json_decref(merged);
        return status;
    }
    *out = merged;
    return ST_OK;
}

static enum status build_kept(json_t *document, json_t *old, enum endpoint_change kind,
                              json_t *body)
{
    for (size_t i = 0; i < COUNT(kept_names); i++) {
        const char *name = kept_names[i];
        json_t *given = json_object_get(body, name);
        json_t *value = NULL;
        if (kind == ENDPOINT_PUT)
            value = json_is_null(given) ? NULL : json_incref(given);
        else if (merge_value(name, json_object_get(old, name), given, &value))
            return ST_NOMEM;
        if (value && json_field_set(document, name, value))
            return ST_NOMEM;
    }
    return ST_OK;
}

/* ---- Secrets, switch and times -------------------------------------------------------------- */

/* Appends {"secret": text} and takes over `text`. */
static enum status add_secret(json_t *secrets, json_t *text)
{
    json_t *secret = json_object();
    if (!secret) {
        json_decref(text);
        return ST_NOMEM;
    }
    if (json_field_set(secret, "secret", text)) {
        json_decref(secret);
        return ST_NOMEM;
    }
    return json_array_append_new(secrets, secret) ? ST_NOMEM : ST_OK;
}

static enum status add_generated(json_t *secrets, const struct scheme *scheme)
{
    struct buf text;
    buf_init(&text, LIMIT_SECRET_BYTES);
    enum status status = scheme_secret_generate(scheme, &text);
    if (!status)
        status = add_secret(secrets, json_stringn(text.ptr, text.len));
    if (text.ptr)
        explicit_bzero(text.ptr, text.cap);
    buf_free(&text);
    return status;
}

/* The old secrets that have not expired. */
static enum status add_old(json_t *secrets, const struct endpoint_config *old, json_t *old_secrets,
                           uint64_t now_ms)
{
    for (size_t i = 0; i < old->secret_count; i++) {
        uint64_t expires_at_ms = old->secrets[i].expires_at_ms;
        if (expires_at_ms && expires_at_ms <= now_ms)
            continue;
        if (json_array_append(secrets, json_array_get(old_secrets, i)))
            return ST_NOMEM;
    }
    return ST_OK;
}

/* What somebody gets who has made a webhook does not change under their hands: an HTTP request, or
 * an entry. */
static enum status judge_kind(json_t *document, const struct endpoint_config *old, json_t *body,
                              enum endpoint_kind *kind, struct field_error *error)
{
    enum status status = endpoint_kind_parse(json_object_get(document, "kind"), kind, error);
    if (status)
        return status;
    if (old && *kind != old->kind)
        return field_refuse(error, "invalid_kind", "kind",
                            "This webhook is of kind \"%s\" and stays it; make another one.",
                            endpoint_kind_name(old->kind));
    json_t *secret = json_object_get(body, "secret");
    if (*kind != ENDPOINT_HTTP && secret && !json_is_null(secret))
        return endpoint_compile_foreign(*kind, "secret", error);
    return ST_OK;
}

static enum status build_secrets(const struct endpoint_rules *rules, json_t *document,
                                 const struct endpoint_config *old, json_t *old_tree,
                                 enum endpoint_change kind, json_t *body, uint64_t now_ms,
                                 struct field_error *error)
{
    const struct scheme *scheme;
    enum status status = endpoint_compile_scheme(rules, document, &scheme, error);
    if (status)
        return status;
    /* The document always says which: its secrets fit that one and no other. */
    if (json_field_set(document, "scheme", json_string(scheme_name(scheme))))
        return ST_NOMEM;

    json_t *secrets = json_array();
    if (!secrets)
        return ST_NOMEM;
    json_t *given = json_object_get(body, "secret");
    bool reset = kind == ENDPOINT_PATCH && json_is_null(given);
    bool secretless = scheme_passes_through(scheme); /* old ones go; a given one is refused later */
    if (given && !json_is_null(given))
        status = add_secret(secrets, json_incref(given));
    else if (old && !reset && !secretless)
        status = add_old(secrets, old, json_object_get(old_tree, "secrets"), now_ms);
    if (!status && json_array_size(secrets) == 0 && !secretless)
        status = add_generated(secrets, scheme);
    if (status) {
        json_decref(secrets);
        return status;
    }
    return json_field_set(document, "secrets", secrets);
}

/* The reason for which the endpoint will be off; "": it will be on. */
static enum status judge_active(const struct endpoint_config *old, enum endpoint_change kind,
                                json_t *body, const char **reason, struct field_error *error)
{
    json_t *active = json_object_get(body, "active");
    const char *off = old && !old->active ? old->disabled_reason : "manual";
    if (active && !json_is_null(active) && !json_is_boolean(active))
        return field_refuse(error, "invalid_active", "active", "Give true or false.");
    if (json_is_boolean(active))
        *reason = json_is_true(active) ? "" : off;
    else if (!active && kind == ENDPOINT_PATCH && !old->active)
        *reason = off;
    else
        *reason = "";
    return ST_OK;
}

static enum status build_state(json_t *document, uint64_t created_at_ms, uint64_t updated_at_ms,
                               const char *reason)
{
    if (json_field_set(document, "createdAt", json_field_time(created_at_ms)) ||
        json_field_set(document, "updatedAt", json_field_time(updated_at_ms)))
        return ST_NOMEM;
    if (reason[0] != '\0')
        return json_field_set(document, "disabled", json_string(reason));
    json_object_del(document, "disabled");
    return ST_OK;
}

/* ---- Documents ------------------------------------------------------------------------------ */

enum status endpoint_document_too_large(struct field_error *error)
{
    (void)field_refuse(error, "payload_too_large", "", "A webhook takes at most %d bytes.",
                       LIMIT_ENDPOINT_BYTES);
    return ST_LIMIT;
}

/* Compiles the tree and gives the configuration its text. */
static enum status finish(const struct endpoint_rules *rules, json_t *document, bool stored,
                          struct endpoint_config **out, struct field_error *error)
{
    enum status status = endpoint_compile(rules, document, stored, out, error);
    if (status)
        return status;
    (*out)->document = json_dumps(document, JSON_COMPACT);
    if (!(*out)->document)
        status = ST_NOMEM;
    else if (!stored && strlen((*out)->document) > LIMIT_ENDPOINT_BYTES)
        status = endpoint_document_too_large(error);
    if (!status)
        return ST_OK;
    endpoint_config_put(*out);
    *out = NULL;
    return status;
}

enum status endpoint_document_make(const struct endpoint_rules *rules,
                                   const struct endpoint_config *old, enum endpoint_change kind,
                                   struct slice text, uint64_t now_ms, struct endpoint_config **out,
                                   struct field_error *error)
{
    json_t *body = NULL, *old_tree = NULL, *document = NULL;
    const char *reason = "";
    enum endpoint_kind made = ENDPOINT_HTTP;
    assert(old || kind == ENDPOINT_PUT);

    enum status status = parse_body(text, &body, error);
    if (!status)
        status = json_field_known(body, "", body_names, COUNT(body_names), error);
    if (!status && old)
        status = json_field_object(slice_str(old->document), &old_tree, error);
    if (!status && !(document = json_object()))
        status = ST_NOMEM;
    if (!status)
        status = judge_active(old, kind, body, &reason, error);
    if (!status)
        status = build_kept(document, old_tree, kind, body);
    if (!status)
        status = judge_kind(document, old, body, &made, error);
    if (!status && made == ENDPOINT_HTTP)
        status = build_secrets(rules, document, old, old_tree, kind, body, now_ms, error);
    if (!status)
        status = build_state(document, old ? old->created_at_ms : now_ms, now_ms, reason);
    if (!status)
        status = finish(rules, document, false, out, error);
    json_decref(body);
    json_decref(old_tree);
    json_decref(document);
    return status;
}

enum status endpoint_document_switch(const struct endpoint_rules *rules,
                                     const struct endpoint_config *old, bool active,
                                     const char *reason, uint64_t now_ms,
                                     struct endpoint_config **out, struct field_error *error)
{
    json_t *document = NULL;
    enum status status = json_field_object(slice_str(old->document), &document, error);
    if (!status)
        status = build_state(document, old->created_at_ms, now_ms, active ? "" : reason);
    if (!status)
        status = finish(rules, document, true, out, error);
    json_decref(document);
    return status;
}

enum status endpoint_document_read(const struct endpoint_rules *rules, struct slice text,
                                   struct endpoint_config **out, struct field_error *error)
{
    json_t *document = NULL;
    enum status status = json_field_object(text, &document, error);
    if (!status)
        status = endpoint_compile(rules, document, true, out, error);
    json_decref(document);
    if (status)
        return status;
    (*out)->document = strndup(text.ptr, text.len);
    if ((*out)->document)
        return ST_OK;
    endpoint_config_put(*out);
    *out = NULL;
    return ST_NOMEM;
}
