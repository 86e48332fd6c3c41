/* lib_feed.c - the words of the command that feeds an event. What talks to Redis is in a header
 * (feed_hiredis.h), and so is compiled against the hiredis of the program that includes it: two
 * releases of hiredis differ in what a context is, and a process can hold only one of them. */
#include "base/limits.h"
#include "lib/lib_private.h"
#include "trotline/feed.h"

struct words {
    const char **words;
    size_t *bytes;
    size_t count;
};

static void add(struct words *to, struct slice word)
{
    to->words[to->count] = word.ptr;
    to->bytes[to->count++] = word.len;
}

/* A name and its value, if there is one. */
static void add_field(struct words *to, struct slice name, const char *value)
{
    if (!value)
        return;
    add(to, name);
    add(to, slice_str(value));
}

static bool is_sound(const struct trotline_feed_entry *entry)
{
    if (!entry->event.at || entry->event.bytes == 0 || (entry->key && !*entry->key) ||
        (entry->application && !*entry->application))
        return false;
    size_t key_bytes = entry->idempotency_key ? strlen(entry->idempotency_key) : 1;
    return key_bytes > 0 && key_bytes <= LIMIT_IDEMPOTENCY_KEY_BYTES;
}

enum trotline_status trotline_feed_arguments(const struct trotline_feed_entry *entry,
                                             const char **words, size_t *bytes, size_t *count)
{
    if (!entry || !words || !bytes || !count || !is_sound(entry))
        return TROTLINE_INVALID_ARGUMENT;
    struct words to = {words, bytes, 0};
    add(&to, SLICE("XADD"));
    add(&to, slice_str(entry->key ? entry->key : TROTLINE_FEED_KEY));
    add(&to, SLICE("*"));
    add(&to, SLICE("e"));
    add(&to, slice_in(entry->event));
    add_field(&to, SLICE("app"), entry->application);
    add_field(&to, SLICE("k"), entry->idempotency_key);
    *count = to.count;
    return TROTLINE_OK;
}
