/* source.c - a source's life, and what a received request asks of it.
 *
 * Everything here is asked for each request, so nothing is parsed or allocated: lists are short and
 * compared one by one, and the address is looked at only where networks are configured.
 */
#include "core/source.h"

#include <assert.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/clock.h"
#include "net/forwarded.h"
#include "wire/scheme_file.h"

const char *source_outcome_name(enum source_outcome outcome)
{
    static const char *const names[] = {
        [SOURCE_ACCEPTED] = "accepted",           [SOURCE_DUPLICATE] = "duplicate",
        [SOURCE_REPEATED] = "repeated",           [SOURCE_HANDSHAKE] = "handshake",
        [SOURCE_INACTIVE] = "inactive",           [SOURCE_BAD_METHOD] = "bad_method",
        [SOURCE_TOO_LARGE] = "too_large",         [SOURCE_BAD_TYPE] = "bad_type",
        [SOURCE_BAD_ADDRESS] = "bad_address",     [SOURCE_NO_SIGNATURE] = "no_signature",
        [SOURCE_BAD_SIGNATURE] = "bad_signature", [SOURCE_MALFORMED] = "malformed",
        [SOURCE_OUT_OF_TIME] = "out_of_time",     [SOURCE_INVALID] = "invalid",
        [SOURCE_UNAVAILABLE] = "unavailable",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == SOURCE_OUTCOMES, "each has a name");
    return names[outcome];
}

const char *source_dedup_name(enum source_dedup policy)
{
    static const char *const names[SOURCE_DEDUPS] = {[SOURCE_DEDUP_OFF] = "off",
                                                     [SOURCE_DEDUP_DROP] = "drop",
                                                     [SOURCE_DEDUP_FORWARD] = "forward"};
    return names[policy];
}

bool source_name_valid(struct slice name)
{
    if (name.len == 0 || name.len > LIMIT_SOURCE_NAME_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || ascii_is_digit(c);
        if (!plain && (i == 0 || (c != '_' && c != '-')))
            return false;
    }
    return true;
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct source *source_get(struct source *source)
{
    source->refs++;
    return source;
}

static void free_secret_text(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(strings[i]);
    free(strings);
}

static void free_secrets(struct source *source)
{
    for (size_t i = 0; i < source->secret_count; i++) {
        free_secret_text(source->secrets[i].text);
        signer_key_free(source->secrets[i].key);
    }
    free(source->secrets);
    free(source->keys);
}

static void free_vars(struct source *source)
{
    for (size_t i = 0; i < 2 * source->var_count; i++)
        free_secret_text(source->var_texts[i]);
    free(source->var_texts);
    free(source->vars);
}

static void counts_put(struct source_counts *counts)
{
    if (counts && --counts->refs == 0)
        free(counts);
}

void source_put(struct source *source)
{
    if (!source)
        return;
    assert(source->refs > 0);
    if (--source->refs > 0)
        return;
    free(source->name);
    free(source->application);
    free_secrets(source);
    scheme_free(source->own_scheme);
    free(source->allowed.items);
    free(source->trusted_proxies.items);
    free_strings(source->content_types, source->content_type_count);
    free(source->public_url);
    free_vars(source);
    scheme_sources_free(source->event_id);
    scheme_sources_free(source->event_type);
    free(source->type_prefix);
    free(source->reply.content_type);
    free(source->reply.body);
    free_strings(source->headers, source->header_count);
    free(source->description);
    free(source->shown);
    free_secret_text(source->document);
    counts_put(source->counts);
    free(source);
}

/* ---- Questions ------------------------------------------------------------------------------ */

struct signer_key *const *source_keys(const struct source *source, uint64_t now_ms,
                                      struct signer_key *room[LIMIT_SECRETS], size_t *count)
{
    *count = source->secret_count;
    if (!source->keys_expire)
        return source->keys;
    *count = 0;
    for (size_t i = 0; i < source->secret_count; i++) {
        uint64_t expires_at_ms = source->secrets[i].expires_at_ms;
        if (expires_at_ms == 0 || expires_at_ms > now_ms)
            room[(*count)++] = source->secrets[i].key;
    }
    return room;
}

/* "text/plain" takes that; "text/" and a star takes all that begin with "text/". */
static bool type_matches(struct slice pattern, struct slice type)
{
    if (!slice_ends(pattern, SLICE("/*")))
        return slice_eq_nocase(pattern, type);
    pattern.len--;
    return type.len > pattern.len && slice_eq_nocase(pattern, slice_of(type.ptr, pattern.len));
}

bool source_takes_type(const struct source *source, struct slice value)
{
    if (source->content_type_count == 0)
        return true;
    size_t len = 0;
    while (len < value.len && value.ptr[len] != ';')
        len++;
    while (len > 0 && (value.ptr[len - 1] == ' ' || value.ptr[len - 1] == '\t'))
        len--;
    for (size_t i = 0; i < source->content_type_count; i++)
        if (type_matches(slice_str(source->content_types[i]), slice_of(value.ptr, len)))
            return true;
    return false;
}

bool source_allows(const struct source *source, const struct network *peer,
                   const struct slice *forwarded, size_t forwarded_count)
{
    const struct source_networks *proxies = &source->trusted_proxies;
    struct network client;
    if (source->allowed.count == 0)
        return true;
    return forwarded_client(peer, forwarded, forwarded_count, proxies->items, proxies->count,
                            &client) &&
           network_among(source->allowed.items, source->allowed.count, &client);
}

static bool carries_credentials(struct slice name)
{
    return slice_eq_nocase(name, SLICE("authorization")) || slice_eq_nocase(name, SLICE("cookie"));
}

bool source_keeps_header(const struct source *source, struct slice name)
{
    for (size_t i = 0; i < source->header_count; i++)
        if (slice_eq_nocase(slice_str(source->headers[i]), name))
            return true;
    return source->keep_all_headers && !carries_credentials(name);
}

/* ---- Counting ------------------------------------------------------------------------------- */

void source_count(struct source *source, enum source_outcome outcome)
{
    struct source_counts *counts = source->counts;
    counts->by_outcome[outcome]++;
    if (counts->others)
        counts->others[outcome]++;
    if (outcome == SOURCE_ACCEPTED || outcome == SOURCE_REPEATED)
        counts->last_at_ms = clock_wall_ms();
}
