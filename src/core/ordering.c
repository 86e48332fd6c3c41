/* ordering.c - endpoints that get one delivery after the other: what they say, and whose turn an
 * event waits for.
 */
#include "core/ordering.h"

#include <jansson.h>
#include <string.h>

#include "core/endpoint_config.h"
#include "core/json_field.h"
#include "core/publish_key.h"

static const char *const names[] = {
    [ORDERING_NONE] = NULL, [ORDERING_ENDPOINT] = "endpoint", [ORDERING_KEY] = "key"};

const char *ordering_name(enum ordering ordering)
{
    return names[ordering];
}

static bool says(const json_t *value, const char *word)
{
    return json_is_string(value) && slice_eq(json_field_text(value), slice_str(word));
}

enum status ordering_parse(json_t *value, enum ordering *ordering, struct field_error *error)
{
    for (enum ordering is = ORDERING_ENDPOINT; is <= ORDERING_KEY; is++) {
        if (says(value, names[is])) {
            *ordering = is;
            return ST_OK;
        }
    }
    return field_refuse(error, "invalid_ordering", "ordering",
                        "Give \"endpoint\" (one event after the other), \"key\" (one after the "
                        "other of the same orderingKey), or null.");
}

enum status ordering_blocks_parse(json_t *value, bool *blocks, struct field_error *error)
{
    *blocks = says(value, "block");
    if (*blocks || says(value, "skip"))
        return ST_OK;
    return field_refuse(error, "invalid_on_dead_letter", "onDeadLetter",
                        "Give \"skip\" (the next event goes on) or \"block\" (it waits until the "
                        "dead letter is replayed or discarded).");
}

_Static_assert((int)ORDER_HASH_BYTES == (int)PUBLISH_KEY_BYTES, "a hash is a publish key");

bool ordering_takes(const struct endpoint_config *config, const struct event_record *record)
{
    return config->ordering == ORDERING_ENDPOINT ||
           (config->ordering == ORDERING_KEY && record->ordering_key.ptr);
}

enum status ordering_hash(const struct endpoint_config *config, const struct event_record *record,
                          uint8_t hash[ORDER_HASH_BYTES])
{
    memset(hash, 0, ORDER_HASH_BYTES);
    if (!ordering_takes(config, record))
        return ST_NOTFOUND;
    return config->ordering == ORDERING_KEY
               ? publish_key(record->application, record->ordering_key, hash)
               : ST_OK;
}
