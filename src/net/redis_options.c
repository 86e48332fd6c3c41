/* redis_options.c - where Redis is, from a URL; and copies of options with defaults. Pure.
 *
 * What is parsed is decoded into the caller's storage, which is reserved once, so that the strings
 * do not move: the decoded parts and their NULs are never longer than the URL and a few bytes.
 */
#include "net/redis_conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/limits.h"
#include "base/parse.h"
#include "net/redis_dial.h"

enum {
    REDIS_PORT = 6379,
    SENTINEL_PORT = 26379,
    PORT_MAX = 65535,
    MASTER_NAME_MAX = 64,
    DATABASE_MAX = 65535,
    CONNECT_TIMEOUT_MS = 5000,
    COMMAND_TIMEOUT_MS = 5000,
    IDLE_PING_MS = 30 * 1000
};

struct parse {
    struct buf *storage;
    const char *reason;
};

static enum status fail(struct parse *parse, enum status status, const char *reason)
{
    parse->reason = reason;
    return status;
}

/* Where `c` is in `s`; s.len when it is not. */
static size_t find(struct slice s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

static size_t find_last(struct slice s, char c)
{
    const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

/* Keeps `text` as a string. */
static const char *keep(struct parse *parse, struct slice text)
{
    const char *place = parse->storage->ptr + parse->storage->len;
    buf_add_slice(parse->storage, text);
    buf_add_char(parse->storage, '\0');
    return place;
}

/* The same, percent-decoded; NULL when the encoding is wrong or hides a NUL. */
static const char *keep_decoded(struct parse *parse, struct slice text)
{
    const char *place = parse->storage->ptr + parse->storage->len;
    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? ascii_hex_value(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? ascii_hex_value(text.ptr[i + 2]) : -1;
            c = low >= 0 ? high * 16 + low : 0;
            i += 2;
        }
        if (c == 0)
            return NULL;
        buf_add_char(parse->storage, (char)c);
    }
    buf_add_char(parse->storage, '\0');
    return place;
}

/* Digits only; false beyond `max`. */
static bool number(struct slice text, unsigned max, unsigned *value)
{
    uint64_t parsed;
    if (parse_u64(text, &parsed) != ST_OK || parsed > max)
        return false;
    *value = (unsigned)parsed;
    return true;
}

/* `[user]:password`. Both may be needed to reach the server, so half of them is a mistake. */
static enum status parse_user(struct parse *parse, struct redis_options *to, struct slice text)
{
    size_t colon = find(text, ':');
    if (colon == text.len || colon + 1 == text.len)
        return fail(parse, ST_SYNTAX, "the part before @ must be user:password or :password");
    if (colon > 0 && !(to->username = keep_decoded(parse, slice_of(text.ptr, colon))))
        return fail(parse, ST_SYNTAX, "the user is not percent-encoded correctly");
    to->password = keep_decoded(parse, slice_from(text, colon + 1));
    if (!to->password)
        return fail(parse, ST_SYNTAX, "the password is not percent-encoded correctly");
    return ST_OK;
}

static enum status parse_host(struct parse *parse, struct redis_host *to, struct slice text)
{
    struct slice host;
    struct slice rest;
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = find(text, ']');
        if (end == text.len)
            return fail(parse, ST_SYNTAX, "the host's ] is missing");
        host = slice_of(text.ptr + 1, end - 1);
        rest = slice_from(text, end + 1);
    } else {
        size_t end = find(text, ':');
        host = slice_of(text.ptr, end);
        rest = slice_from(text, end);
    }
    if (host.len == 0)
        return fail(parse, ST_SYNTAX, "the host is missing");
    to->name = keep(parse, host);
    if (rest.len == 0)
        return ST_OK;
    unsigned port;
    if (rest.ptr[0] != ':')
        return fail(parse, ST_SYNTAX, "the host must be followed by :port or a slash");
    if (!number(slice_from(rest, 1), PORT_MAX, &port) || port == 0)
        return fail(parse, ST_RANGE, "the port must be a number from 1 to 65535");
    to->port = (uint16_t)port;
    return ST_OK;
}

/* What may stand before the hosts, which are left in *text with what follows them. */
static enum status parse_before_hosts(struct parse *parse, struct redis_options *to,
                                      struct slice *text)
{
    size_t at = find_last(*text, '@'); /* the last: a password may hold one, if its owner is lax */
    if (at < text->len) {
        enum status status = parse_user(parse, to, slice_of(text->ptr, at));
        if (status != ST_OK)
            return status;
        *text = slice_from(*text, at + 1);
    }
    if (find(*text, '?') < text->len || find(*text, '#') < text->len)
        return fail(parse, ST_SYNTAX, "the URL takes no ? and no #");
    return ST_OK;
}

static enum status parse_database(struct parse *parse, struct redis_options *to, struct slice text)
{
    unsigned database = 0;
    if (text.len > 0 && !number(text, DATABASE_MAX, &database))
        return fail(parse, ST_RANGE, "the database must be a number from 0 to 65535");
    to->database = (int)database;
    return ST_OK;
}

static enum status parse_redis(struct parse *parse, struct redis_options *to, struct slice text)
{
    struct redis_host host = {.port = REDIS_PORT};
    enum status status = parse_before_hosts(parse, to, &text);
    size_t slash = find(text, '/');
    if (status == ST_OK)
        status = parse_database(parse, to, slice_from(text, slash + 1));
    if (status == ST_OK)
        status = parse_host(parse, &host, slice_of(text.ptr, slash));
    to->host = host.name;
    to->port = host.port;
    return status;
}

static enum status parse_sentinels(struct parse *parse, struct redis_options *to, struct slice text)
{
    for (bool more = true; more;) {
        if (to->sentinel_count == LIMIT_REDIS_SENTINELS)
            return fail(parse, ST_RANGE, "at most 8 Sentinels may be named");
        size_t comma = find(text, ',');
        struct redis_host *host = &to->sentinels[to->sentinel_count++];
        host->port = SENTINEL_PORT;
        enum status status = parse_host(parse, host, slice_of(text.ptr, comma));
        if (status != ST_OK)
            return status;
        more = comma < text.len;
        text = slice_from(text, comma + 1);
    }
    return ST_OK;
}

/* Sentinel's own rule for names. */
static bool is_master_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.ptr[i]) && !memchr(".-_", name.ptr[i], 3))
            return false;
    return name.len >= 1 && name.len <= MASTER_NAME_MAX;
}

static enum status parse_sentinel(struct parse *parse, struct redis_options *to, struct slice text)
{
    enum status status = parse_before_hosts(parse, to, &text);
    if (status != ST_OK)
        return status;
    size_t slash = find(text, '/');
    struct slice path = slice_from(text, slash + 1);
    size_t name_len = find(path, '/');
    struct slice name = slice_of(path.ptr, name_len);
    if (name.len == 0)
        return fail(parse, ST_SYNTAX, "the master's name is missing behind the Sentinels: /name");
    if (!is_master_name(name))
        return fail(parse, ST_RANGE,
                    "the master's name has 1 to 64 letters, digits, \".\", \"-\" or \"_\"");
    to->master_name = keep(parse, name);
    status = parse_database(parse, to, slice_from(path, name_len + 1));
    return status == ST_OK ? parse_sentinels(parse, to, slice_of(text.ptr, slash)) : status;
}

static enum status parse_unix(struct parse *parse, struct redis_options *to, struct slice path)
{
    if (path.len == 0)
        return fail(parse, ST_SYNTAX, "the path is missing after unix:");
    if (path.len > REDIS_UNIX_PATH_MAX)
        return fail(parse, ST_RANGE, "the path of a unix socket has at most 107 bytes");
    to->unix_path = keep(parse, path);
    return ST_OK;
}

enum status redis_options_parse(struct redis_options *options, struct slice url,
                                struct buf *storage, const char **reason)
{
    static const struct slice redis = SLICE("redis://");
    static const struct slice unix_socket = SLICE("unix:");
    static const struct slice sentinel = SLICE("sentinel://");
    struct parse parse = {.storage = storage, .reason = ""};
    struct redis_options to = *options;
    enum status status;
    to.host = to.unix_path = to.username = to.password = to.master_name = NULL;
    to.port = 0;
    to.sentinel_count = 0;
    to.database = 0;
    if (find(url, '\0') < url.len)
        status = fail(&parse, ST_SYNTAX, "a NUL byte is in the URL");
    else if (!buf_reserve(storage, url.len + 4))
        status = fail(&parse, buf_status(storage), "the URL is too long, or memory is out");
    else if (slice_starts(url, redis))
        status = parse_redis(&parse, &to, slice_from(url, redis.len));
    else if (slice_starts(url, unix_socket))
        status = parse_unix(&parse, &to, slice_from(url, unix_socket.len));
    else if (slice_starts(url, sentinel))
        status = parse_sentinel(&parse, &to, slice_from(url, sentinel.len));
    else
        status = fail(&parse, ST_UNSUPPORTED, "it must begin with redis://, sentinel:// or unix:");
    if (status == ST_OK)
        *options = to;
    *reason = parse.reason;
    return status;
}

/* ---- Copies --------------------------------------------------------------------------------- */

enum { STRINGS_MAX = 8 + LIMIT_REDIS_SENTINELS };

/* Where the options have a string, which may be NULL; returns how many. */
static size_t find_strings(struct redis_options *options, const char **at[STRINGS_MAX])
{
    const char **const members[] = {&options->host,
                                    &options->unix_path,
                                    &options->username,
                                    &options->password,
                                    &options->client_name,
                                    &options->master_name,
                                    &options->sentinel_username,
                                    &options->sentinel_password};
    size_t count = sizeof(members) / sizeof(members[0]);
    memcpy(at, members, sizeof(members));
    for (size_t i = 0; i < options->sentinel_count; i++)
        at[count++] = &options->sentinels[i].name;
    return count;
}

static size_t string_bytes(const char *string)
{
    return string ? strlen(string) + 1 : 0;
}

static size_t strings_bytes(struct redis_options *options)
{
    const char **at[STRINGS_MAX];
    size_t count = find_strings(options, at);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += string_bytes(*at[i]);
    return bytes;
}

char *redis_options_copy(struct redis_options *to, const struct redis_options *from)
{
    assert(from->host || from->unix_path || from->sentinel_count > 0);
    const char **at[STRINGS_MAX];
    *to = *from;
    char *strings = malloc(strings_bytes(to));
    if (!strings)
        return NULL;
    char *place = strings;
    size_t count = find_strings(to, at);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = string_bytes(*at[i]);
        if (bytes == 0)
            continue;
        memcpy(place, *at[i], bytes);
        *at[i] = place;
        place += bytes;
    }
    if (!to->connect_timeout_ms)
        to->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (!to->command_timeout_ms)
        to->command_timeout_ms = COMMAND_TIMEOUT_MS;
    if (!to->idle_ping_ms)
        to->idle_ping_ms = IDLE_PING_MS;
    if (!to->in_flight_bytes_max)
        to->in_flight_bytes_max = LIMIT_REDIS_IN_FLIGHT_BYTES;
    return strings;
}

void redis_options_release(struct redis_options *options, char *strings)
{
    if (strings)
        explicit_bzero(strings, strings_bytes(options));
    free(strings);
    *options = (struct redis_options){0};
}
