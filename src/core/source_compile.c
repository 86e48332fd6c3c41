/* source_compile.c - one function for each member of a source's document.
 *
 * The members are rows of a table, taken in its order: the scheme before the secrets, which are
 * judged by it. A member that is not there leaves the default that stands in the fresh source.
 * When all are taken, the scheme says what it cannot do without. Whatever fails, the half-filled
 * source is dropped as a whole.
 *
 * The members that say who the sender is and how it signs are here, the others in source_members.c.
 */
#include "core/source_compile.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/suggest.h"
#include "base/timefmt.h"
#include "core/json_field.h"
#include "net/url.h"
#include "wire/scheme_file.h"

enum {
    TOLERANCE_MIN_MS = 1000,
    DEDUP_TTL_MS = 4 * 24 * 3600 * 1000 /* longer than senders retry */
};
#define TOLERANCE_MAX_MS (UINT64_C(30) * 24 * 3600 * 1000)

/* ---- Names ---------------------------------------------------------------------------------- */

static enum status copy(char **out, json_t *string)
{
    *out = strndup(json_string_value(string), json_string_length(string));
    return *out ? ST_OK : ST_NOMEM;
}

static enum status take_name(struct source_compile *c, json_t *value)
{
    if (!json_is_string(value) || !source_name_valid(json_field_text(value)))
        return field_refuse(c->error, "invalid_name", "name",
                            "Give 1 to %d of a-z, 0-9, \"_\" and \"-\", a letter or digit first.",
                            LIMIT_SOURCE_NAME_BYTES);
    enum status status = copy(&c->source->name, value);
    return status ? status : copy(&c->source->type_prefix, value); /* unless another is given */
}

static enum status take_application(struct source_compile *c, json_t *value)
{
    if (!json_is_string(value) || !slice_eq(json_field_text(value), SLICE("default")))
        return field_refuse(c->error, "invalid_application", "application",
                            "There is no such application; leave it out or give \"default\".");
    free(c->source->application);
    return copy(&c->source->application, value);
}

static enum status take_description(struct source_compile *c, json_t *value)
{
    if (!json_is_string(value) || json_string_length(value) > LIMIT_DESCRIPTION_BYTES)
        return field_refuse(c->error, "invalid_description", "description",
                            "Give a string of at most %d bytes.", LIMIT_DESCRIPTION_BYTES);
    return copy(&c->source->description, value);
}

static enum status take_active(struct source_compile *c, json_t *value)
{
    if (!json_is_boolean(value))
        return field_refuse(c->error, "invalid_active", "active", "Give true or false.");
    c->source->active = json_is_true(value);
    return ST_OK;
}

/* ---- The scheme ----------------------------------------------------------------------------- */

static enum status refuse_scheme(struct source_compile *c, const char *name)
{
    struct suggest suggest = {.word = name};
    for (size_t i = 0; i < scheme_count(c->rules->schemes); i++)
        suggest_add(&suggest, scheme_name(scheme_at(c->rules->schemes, i)));
    if (suggest.best)
        return field_refuse(c->error, "invalid_scheme", "scheme",
                            "There is no scheme \"%.64s\"; did you mean \"%s\"?", name,
                            suggest.best);
    return field_refuse(c->error, "invalid_scheme", "scheme", "There is no scheme \"%.64s\".",
                        name);
}

static enum status take_scheme(struct source_compile *c, json_t *value)
{
    if (!json_is_string(value))
        return field_refuse(c->error, "invalid_scheme", "scheme",
                            "Give the scheme's name as a string.");
    c->source->scheme = scheme_find(c->rules->schemes, json_field_text(value));
    return c->source->scheme ? ST_OK : refuse_scheme(c, json_string_value(value));
}

/* JSON is YAML, so a scheme's own reader reads it. With a line for each member its complaints,
 * whose "verifier:LINE: " means nothing here, are of one member; JSON_ENSURE_ASCII is not asked
 * for, as YAML knows no surrogate pairs. */
static enum status parse_verifier(struct source_compile *c, json_t *object)
{
    char reason[sizeof(c->error->message)] = "";
    char *text = json_dumps(object, JSON_INDENT(1));
    if (!text)
        return ST_NOMEM;
    enum status status = scheme_file_parse(slice_str(text), "verifier", &c->source->own_scheme,
                                           reason, sizeof(reason));
    free(text);
    if (status == ST_OK || status == ST_NOMEM)
        return status;
    const char *behind = strstr(reason, ": ");
    return field_refuse(c->error, "invalid_verifier", "verifier", "The verifier is wrong: %s",
                        behind ? behind + 2 : reason);
}

/* The keys of a scheme's file. It needs no name: nobody else can use it. */
static enum status take_verifier(struct source_compile *c, json_t *value)
{
    if (c->source->scheme)
        return field_refuse(c->error, "invalid_verifier", "verifier",
                            "Give a scheme or a verifier, not both.");
    if (!json_is_object(value))
        return field_refuse(c->error, "invalid_verifier", "verifier",
                            "Give an object with the keys of a scheme's file.");
    json_t *object = json_copy(value);
    enum status status = object ? ST_OK : ST_NOMEM;
    if (!status && !json_object_get(object, "name"))
        status = json_field_set(object, "name", json_string(c->source->name));
    if (!status)
        status = parse_verifier(c, object);
    json_decref(object);
    c->source->scheme = c->source->own_scheme;
    return status;
}

static enum status check_scheme(struct source_compile *c)
{
    const struct scheme *scheme = c->source->scheme;
    if (!scheme)
        return field_refuse(c->error, "missing_field", "scheme",
                            "Give the name of a scheme, or a verifier.");
    if (!scheme_receives(scheme))
        return field_refuse(c->error, "invalid_scheme", "scheme",
                            "The scheme \"%s\" only sends: it cannot verify what is received.",
                            scheme_name(scheme));
    return ST_OK;
}

/* ---- Secrets -------------------------------------------------------------------------------- */

static enum status refuse_secret(struct source_compile *c, size_t index, const char *message)
{
    char field[32];
    snprintf(field, sizeof(field), "secrets[%zu]", index);
    return field_refuse(c->error, "invalid_secret", field, "%s", message);
}

static enum status take_expiry(struct source_compile *c, size_t index, json_t *value)
{
    struct source_secret *secret = &c->source->secrets[index];
    if (!value || json_is_null(value))
        return ST_OK;
    if (!json_is_string(value) ||
        time_parse_rfc3339(json_field_text(value), &secret->expires_at_ms) != ST_OK)
        return refuse_secret(c, index, "Give expiresAt as an RFC 3339 time.");
    c->source->keys_expire = true;
    return ST_OK;
}

static enum status take_secret_text(struct source_compile *c, size_t index, json_t *text)
{
    struct source *source = c->source;
    struct source_secret *secret = &source->secrets[index];
    char field[32];
    const char *reason = "";
    if (!json_is_string(text) || json_string_length(text) == 0)
        return refuse_secret(c, index,
                             "Give a secret as a string, or as {\"secret\", \"expiresAt\"}.");
    if (json_string_length(text) > LIMIT_SECRET_BYTES)
        return refuse_secret(c, index, "A secret has at most 1024 bytes.");
    enum status status =
        scheme_verify_key(source->scheme, json_field_text(text), &secret->key, &reason);
    if (status == ST_NOMEM)
        return status;
    snprintf(field, sizeof(field), "secrets[%zu]", index);
    if (status != ST_OK)
        return field_refuse(c->error, "invalid_secret", field,
                            "The secret does not fit the scheme \"%s\": %s",
                            scheme_name(source->scheme), reason);
    source->keys[index] = secret->key;
    return copy(&secret->text, text);
}

static enum status take_secret(struct source_compile *c, size_t index, json_t *value)
{
    static const char *const names[] = {"secret", "expiresAt"};
    char prefix[32];
    if (!json_is_object(value))
        return take_secret_text(c, index, value);
    snprintf(prefix, sizeof(prefix), "secrets[%zu].", index);
    enum status status = json_field_known(value, prefix, names, 2, c->error);
    if (!status)
        status = take_secret_text(c, index, json_object_get(value, "secret"));
    return status ? status : take_expiry(c, index, json_object_get(value, "expiresAt"));
}

static enum status take_secrets(struct source_compile *c, json_t *value)
{
    struct source *source = c->source;
    size_t count = json_array_size(value);
    enum status status = check_scheme(c);
    if (status)
        return status;
    if (!json_is_array(value) || count > LIMIT_SECRETS)
        return field_refuse(c->error, "invalid_secret", "secrets",
                            "Give a list of at most %d secrets.", LIMIT_SECRETS);
    if (count == 0)
        return ST_OK;
    source->secrets = calloc(count, sizeof(source->secrets[0]));
    source->keys = calloc(count, sizeof(struct signer_key *));
    if (!source->secrets || !source->keys)
        return ST_NOMEM;
    source->secret_count = count;
    for (size_t i = 0; i < count && !status; i++)
        status = take_secret(c, i, json_array_get(value, i));
    return status;
}

/* ---- How far its clock may be off ----------------------------------------------------------- */

static bool read_tolerance(json_t *value, uint64_t *ms)
{
    if (json_is_string(value) && slice_eq(json_field_text(value), SLICE("off"))) {
        *ms = RECEIVED_TOLERANCE_OFF;
        return true;
    }
    return value && json_field_duration(value, TOLERANCE_MIN_MS, TOLERANCE_MAX_MS, ms) == ST_OK;
}

static enum status take_tolerance(struct source_compile *c, json_t *value)
{
    static const char *const names[] = {"past", "future"};
    struct received_tolerance *tolerance = &c->source->tolerance;
    json_t *past = value, *future = value;
    if (json_is_object(value)) {
        enum status status = json_field_known(value, "tolerance.", names, 2, c->error);
        if (status)
            return status;
        past = json_object_get(value, "past");
        future = json_object_get(value, "future");
    }
    if (!read_tolerance(past, &tolerance->past_ms) ||
        !read_tolerance(future, &tolerance->future_ms))
        return field_refuse(c->error, "invalid_tolerance", "tolerance",
                            "Give a duration from 1 s to 30 days such as \"5m\", or \"off\", or "
                            "both of them as {\"past\", \"future\"}.");
    c->source->tolerance_given = true;
    return ST_OK;
}

/* ---- What else its scheme needs ------------------------------------------------------------- */

/* What a sender was told is nobody we connect to: any host will do. */
static enum status take_public_url(struct source_compile *c, json_t *value)
{
    struct netguard any = {.allow_private = true};
    const char *reason = "Give the URL as a string.";
    if (netguard_add_cidr(&any, SLICE("0.0.0.0/0")) != ST_OK ||
        netguard_add_cidr(&any, SLICE("::/0")) != ST_OK || !json_is_string(value) ||
        url_check(json_field_text(value), true, &any, &reason) != ST_OK)
        return field_refuse(c->error, "invalid_url", "publicUrl", "%s", reason);
    return copy(&c->source->public_url, value);
}

static enum status take_variable(struct source_compile *c, const char *name, json_t *value)
{
    char field[sizeof(c->error->field)];
    snprintf(field, sizeof(field), "variables.%s", name);
    if (!source_name_valid(slice_str(name)))
        return field_refuse(c->error, "invalid_variables", field,
                            "A variable's name has 1 to %d of a-z, 0-9, \"_\" and \"-\".",
                            LIMIT_SOURCE_NAME_BYTES);
    if (!json_is_string(value) || json_string_length(value) > LIMIT_SECRET_BYTES)
        return field_refuse(c->error, "invalid_variables", field,
                            "Give the value as a string of at most %d bytes.", LIMIT_SECRET_BYTES);
    char **texts = c->source->var_texts + 2 * c->source->var_count;
    texts[0] = strdup(name);
    texts[1] = strndup(json_string_value(value), json_string_length(value));
    c->source->vars[c->source->var_count++] =
        (struct received_var){.name = slice_str(texts[0]), .value = slice_str(texts[1])};
    return texts[0] && texts[1] ? ST_OK : ST_NOMEM;
}

static enum status take_variables(struct source_compile *c, json_t *value)
{
    if (!json_is_object(value) || json_object_size(value) > LIMIT_SOURCE_VARIABLES)
        return field_refuse(c->error, "invalid_variables", "variables",
                            "Give an object of at most %d names and values.",
                            LIMIT_SOURCE_VARIABLES);
    if (json_object_size(value) == 0)
        return ST_OK;
    c->source->vars = calloc(json_object_size(value), sizeof(c->source->vars[0]));
    c->source->var_texts = calloc(2 * json_object_size(value), sizeof(char *));
    if (!c->source->vars || !c->source->var_texts)
        return ST_NOMEM;
    const char *name;
    json_t *item;
    json_object_foreach(value, name, item)
    {
        enum status status = take_variable(c, name, item);
        if (status)
            return status;
    }
    return ST_OK;
}

static bool has_variable(const struct source *source, struct slice name)
{
    for (size_t i = 0; i < source->var_count; i++)
        if (slice_eq(source->vars[i].name, name))
            return true;
    return false;
}

static enum status check_needs(struct source_compile *c)
{
    const struct source *source = c->source;
    const struct scheme *scheme = source->scheme;
    if (scheme_needs_secret(scheme) && source->secret_count == 0 &&
        !handshakes_bring_secret(scheme_handshakes(scheme)))
        return field_refuse(c->error, "missing_field", "secrets",
                            "The scheme \"%s\" needs a secret.", scheme_name(scheme));
    if (scheme_needs_url(scheme) && !source->public_url)
        return field_refuse(c->error, "missing_field", "publicUrl",
                            "The scheme \"%s\" signs the URL that the sender was given.",
                            scheme_name(scheme));
    for (size_t i = 0;; i++) {
        struct slice name = scheme_var(scheme, i);
        char field[sizeof(c->error->field)];
        if (!name.ptr)
            return ST_OK;
        snprintf(field, sizeof(field), "variables.%.*s", SLICE_ARGS(name));
        if (!has_variable(source, name))
            return field_refuse(c->error, "missing_field", field,
                                "The scheme \"%s\" needs the variable \"%.*s\".",
                                scheme_name(scheme), SLICE_ARGS(name));
    }
}

/* ---- The whole ------------------------------------------------------------------------------ */

static enum status take_time(struct source_compile *c, const char *field, json_t *value,
                             uint64_t *ms)
{
    if (!json_is_string(value) || time_parse_rfc3339(json_field_text(value), ms))
        return field_refuse(c->error, "invalid_document", field, "It is not an RFC 3339 time.");
    return ST_OK;
}

static enum status take_created_at(struct source_compile *c, json_t *value)
{
    return take_time(c, "createdAt", value, &c->source->created_at_ms);
}

static enum status take_updated_at(struct source_compile *c, json_t *value)
{
    return take_time(c, "updatedAt", value, &c->source->updated_at_ms);
}

static const struct {
    const char *name;
    source_take *take;
} members[] = {
    {"name", take_name},
    {"application", take_application},
    {"scheme", take_scheme},
    {"verifier", take_verifier},
    {"secrets", take_secrets},
    {"tolerance", take_tolerance},
    {"publicUrl", take_public_url},
    {"variables", take_variables},
    {"allowedNetworks", source_take_allowed_networks},
    {"trustedProxies", source_take_trusted_proxies},
    {"methods", source_take_methods},
    {"contentTypes", source_take_content_types},
    {"maxBodyBytes", source_take_max_body_bytes},
    {"eventId", source_take_event_id},
    {"eventType", source_take_event_type},
    {"typePrefix", source_take_type_prefix},
    {"deduplication", source_take_deduplication},
    {"reply", source_take_reply},
    {"keepHeaders", source_take_keep_headers},
    {"active", take_active},
    {"description", take_description},
    {"createdAt", take_created_at},
    {"updatedAt", take_updated_at},
};

static enum status compile_all(struct source_compile *c, json_t *document)
{
    if (!json_object_get(document, "name"))
        return field_refuse(c->error, "missing_field", "name", "The field \"name\" is needed.");
    enum status status = ST_OK;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && !status; i++) {
        json_t *value = json_object_get(document, members[i].name);
        if (value)
            status = members[i].take(c, value);
    }
    if (!status)
        status = check_scheme(c);
    return status ? status : check_needs(c);
}

/* What a source has that names nothing else. */
static enum status set_defaults(const struct source_rules *rules, struct source *source)
{
    const struct source_networks *proxies = &rules->trusted_proxies;
    *source = (struct source){.refs = 1,
                              .methods = SOURCE_POST,
                              .body_bytes_max = rules->body_bytes_max,
                              .dedup = SOURCE_DEDUP_DROP,
                              .dedup_ttl_ms = DEDUP_TTL_MS,
                              .reply = {.status = 200},
                              .keep_all_headers = true,
                              .active = true,
                              .application = strdup("default")};
    if (!source->application)
        return ST_NOMEM;
    if (proxies->count == 0)
        return ST_OK;
    source->trusted_proxies.items = calloc(proxies->count, sizeof(proxies->items[0]));
    if (!source->trusted_proxies.items)
        return ST_NOMEM;
    memcpy(source->trusted_proxies.items, proxies->items,
           proxies->count * sizeof(proxies->items[0]));
    source->trusted_proxies.count = proxies->count;
    return ST_OK;
}

enum status source_compile(const struct source_rules *rules, json_t *document, bool stored,
                           struct source **out, struct field_error *error)
{
    struct source *source = malloc(sizeof(*source));
    *out = NULL;
    if (!source)
        return ST_NOMEM;
    struct source_compile c = {.rules = rules, .source = source, .error = error, .stored = stored};
    enum status status = set_defaults(rules, source);
    if (!status)
        status = compile_all(&c, document);
    if (status) {
        source_put(source);
        return status;
    }
    *out = source;
    return ST_OK;
}
