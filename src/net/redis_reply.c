/* redis_reply.c - hiredis' protocol parser, building values of our own. The only file with hiredis.
 *
 * What is used of hiredis 0.14.1 is its reader. Its asynchronous context was rejected: it resolves
 * names with a blocking getaddrinfo, has no timeouts, runs every pending callback from inside
 * redisAsyncFree(), frees itself on errors behind our back, cannot be told to keep a reply, and
 * forgets a command once it is written, so that a script call could not be repeated after NOSCRIPT.
 * Its connections also lack close-on-exec, and we start child processes.
 *
 *      feed(bytes) -> redisReader's buffer -> create_*() -> values in the arena -> next()
 *                                                            ^ emptied when the next reply is asked
 *
 * Instead of a malloc for every object and another for its text, the reader's object functions
 * take both from an arena that is emptied between replies. The elements of an array stand side by
 * side, and an element is filled in at the place where its parent already has it; so nothing needs
 * freeing one by one, and a reply that stays unfinished needs no walk either.
 *
 * The reader trusts the lengths it is told, in so far as *2000000000 makes it ask for two thousand
 * million elements at once. The arena's limit is what refuses that. The reader's own buffer has the
 * same limit. It moves the rest of its buffer to the front after each kilobyte consumed, therefore
 * it is fed in small pieces by whoever reads much at once (redis_conn.c).
 */
#include "net/redis_reply.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/read.h>

#include "base/limits.h"

enum {
    CHUNK_BYTES = 16 * 1024,         /* the part of the arena that is kept */
    READER_BUFFER_KEPT = 256 * 1024, /* a larger empty buffer is given back */
    ALIGNMENT = 16
};

struct redis_value {
    enum redis_type type;
    union {
        int64_t integer;
        struct slice text;
        struct {
            struct redis_value *items;
            size_t count;
        } array;
    };
};

struct chunk {
    struct chunk *next;
    size_t size;
    size_t used;
    _Alignas(ALIGNMENT) char bytes[];
};

struct redis_reader {
    redisReader *parser;
    struct chunk *chunks; /* newest first; the oldest has CHUNK_BYTES and is kept */
    size_t arena_bytes;   /* handed out since the arena was emptied */
    bool delivered;       /* the arena holds a reply that next() gave out */
    bool too_large;       /* the arena's limit is why the parser failed */
};

static const struct redis_value nil_value = {.type = REDIS_NIL};

/* ---- Values --------------------------------------------------------------------------------- */

const char *redis_type_name(enum redis_type type)
{
    static const char *const names[] = {"nil", "string", "status", "error", "integer", "array"};
    return names[type];
}

enum redis_type redis_value_type(const struct redis_value *value)
{
    return value ? value->type : REDIS_NIL;
}

int64_t redis_value_integer(const struct redis_value *value)
{
    return redis_value_type(value) == REDIS_INTEGER ? value->integer : 0;
}

struct slice redis_value_text(const struct redis_value *value)
{
    enum redis_type type = redis_value_type(value);
    if (type == REDIS_STRING || type == REDIS_STATUS || type == REDIS_ERROR)
        return value->text;
    return SLICE_NULL;
}

size_t redis_value_count(const struct redis_value *value)
{
    return redis_value_type(value) == REDIS_ARRAY ? value->array.count : 0;
}

const struct redis_value *redis_value_at(const struct redis_value *value, size_t index)
{
    return index < redis_value_count(value) ? &value->array.items[index] : &nil_value;
}

bool redis_value_is_error(const struct redis_value *value, const char *code)
{
    if (redis_value_type(value) != REDIS_ERROR)
        return false;
    struct slice prefix = slice_str(code);
    return slice_starts(value->text, prefix) &&
           (value->text.len == prefix.len || value->text.ptr[prefix.len] == ' ');
}

struct slice redis_value_info(const struct redis_value *value, const char *name)
{
    struct slice text = redis_value_text(value), field = slice_str(name);
    if (text.len == 0)
        return SLICE("");
    const char *end = text.ptr + text.len;
    for (const char *line = text.ptr; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop ? stop : end) - line);
        if (len > 0 && line[len - 1] == '\r')
            len--;
        if (len > field.len && memcmp(line, field.ptr, field.len) == 0 && line[field.len] == ':')
            return slice_of(line + field.len + 1, len - field.len - 1);
        line = stop ? stop + 1 : end;
    }
    return SLICE("");
}

/* ---- Copies --------------------------------------------------------------------------------- */

/* Counts what hangs on a value: the values below it and the bytes of all texts. */
static void measure(const struct redis_value *value, size_t *values, size_t *bytes)
{
    *bytes += redis_value_text(value).len;
    *values += redis_value_count(value);
    for (size_t i = 0; i < redis_value_count(value); i++)
        measure(&value->array.items[i], values, bytes);
}

/* Takes room for what hangs on it from both places. No deeper than the reader allows: 7 arrays. */
static void copy_to(struct redis_value *to, const struct redis_value *from,
                    struct redis_value **values, char **bytes)
{
    *to = *from;
    struct slice text = redis_value_text(from);
    if (text.len > 0) {
        memcpy(*bytes, text.ptr, text.len);
        to->text.ptr = *bytes;
        *bytes += text.len;
    }
    if (from->type == REDIS_ARRAY) {
        to->array.items = *values;
        *values += from->array.count;
        for (size_t i = 0; i < from->array.count; i++)
            copy_to(&to->array.items[i], &from->array.items[i], values, bytes);
    }
}

struct redis_value *redis_value_copy(const struct redis_value *value)
{
    size_t count = 1;
    size_t text_bytes = 0;
    if (!value)
        value = &nil_value;
    measure(value, &count, &text_bytes);
    struct redis_value *copy = malloc(count * sizeof(*copy) + text_bytes);
    if (!copy)
        return NULL;
    struct redis_value *values = copy + 1;
    char *bytes = (char *)(copy + count);
    copy_to(copy, value, &values, &bytes);
    return copy;
}

void redis_value_free(struct redis_value *value)
{
    free(value);
}

/* ---- Arena ---------------------------------------------------------------------------------- */

static struct chunk *chunk_new(size_t size)
{
    struct chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk)
        *chunk = (struct chunk){.size = size};
    return chunk;
}

static void *arena_take(struct redis_reader *reader, size_t size)
{
    if (size > LIMIT_REDIS_REPLY_BYTES - reader->arena_bytes) {
        reader->too_large = true;
        return NULL;
    }
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct chunk *chunk = reader->chunks;
    if (chunk->size - chunk->used < size) {
        chunk = chunk_new(size > CHUNK_BYTES ? size : CHUNK_BYTES);
        if (!chunk)
            return NULL;
        chunk->next = reader->chunks;
        reader->chunks = chunk;
    }
    void *place = chunk->bytes + chunk->used;
    chunk->used += size;
    reader->arena_bytes += size;
    if (reader->arena_bytes > LIMIT_REDIS_REPLY_BYTES)
        reader->arena_bytes = LIMIT_REDIS_REPLY_BYTES; /* rounded up past it */
    return place;
}

static void arena_empty(struct redis_reader *reader)
{
    while (reader->chunks->next) {
        struct chunk *next = reader->chunks->next;
        free(reader->chunks);
        reader->chunks = next;
    }
    reader->chunks->used = 0;
    reader->arena_bytes = 0;
}

/* ---- The parser's object functions ---------------------------------------------------------- */

/* Where the object of this task goes: into its array, or, for the outermost, a fresh place. */
static struct redis_value *place_of(const redisReadTask *task)
{
    if (task->parent) {
        const struct redis_value *array = task->parent->obj;
        return &array->array.items[task->idx];
    }
    return arena_take(task->privdata, sizeof(struct redis_value));
}

static void *create_text(const redisReadTask *task, char *bytes, size_t len)
{
    struct redis_value *value = place_of(task);
    char *copy = value ? arena_take(task->privdata, len) : NULL;
    if (!copy)
        return NULL;
    memcpy(copy, bytes, len);
    value->type = task->type == REDIS_REPLY_STRING   ? REDIS_STRING
                  : task->type == REDIS_REPLY_STATUS ? REDIS_STATUS
                                                     : REDIS_ERROR;
    value->text = slice_of(copy, len);
    return value;
}

static void *create_array(const redisReadTask *task, int count)
{
    struct redis_value *value = place_of(task);
    struct redis_value *items =
        value ? arena_take(task->privdata, (size_t)count * sizeof(*items)) : NULL;
    if (!items)
        return NULL;
    value->type = REDIS_ARRAY;
    value->array.items = items;
    value->array.count = (size_t)count;
    return value;
}

static void *create_integer(const redisReadTask *task, long long integer)
{
    struct redis_value *value = place_of(task);
    if (value) {
        value->type = REDIS_INTEGER;
        value->integer = integer;
    }
    return value;
}

static void *create_nil(const redisReadTask *task)
{
    struct redis_value *value = place_of(task);
    if (value)
        value->type = REDIS_NIL;
    return value;
}

/* The arena frees. */
static void free_object(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions functions = {create_text, create_array, create_integer, create_nil,
                                              free_object};

/* ---- The reader ----------------------------------------------------------------------------- */

struct redis_reader *redis_reader_new(void)
{
    struct redis_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    reader->chunks = chunk_new(CHUNK_BYTES);
    reader->parser = redisReaderCreateWithFunctions(&functions);
    if (!reader->chunks || !reader->parser) {
        redis_reader_free(reader);
        return NULL;
    }
    reader->parser->privdata = reader;
    reader->parser->maxbuf = READER_BUFFER_KEPT;
    return reader;
}

void redis_reader_free(struct redis_reader *reader)
{
    if (!reader)
        return;
    redisReaderFree(reader->parser);
    while (reader->chunks) {
        struct chunk *next = reader->chunks->next;
        free(reader->chunks);
        reader->chunks = next;
    }
    free(reader);
}

static enum status failure(const struct redis_reader *reader)
{
    if (reader->too_large)
        return ST_LIMIT;
    return reader->parser->err == REDIS_ERR_OOM ? ST_NOMEM : ST_SYNTAX;
}

enum status redis_reader_feed(struct redis_reader *reader, const char *bytes, size_t len)
{
    redisReader *parser = reader->parser;
    if (len > LIMIT_REDIS_REPLY_BYTES - (parser->len - parser->pos)) {
        reader->too_large = true;
        return ST_LIMIT;
    }
    return redisReaderFeed(parser, bytes, len) == REDIS_OK ? ST_OK : failure(reader);
}

enum status redis_reader_next(struct redis_reader *reader, const struct redis_value **value)
{
    void *reply;
    *value = NULL;
    if (reader->delivered) {
        arena_empty(reader);
        reader->delivered = false;
    }
    if (redisReaderGetReply(reader->parser, &reply) != REDIS_OK)
        return failure(reader);
    reader->delivered = reply != NULL;
    *value = reply;
    return ST_OK;
}

/* The parser's stack has the task of each array that has begun, and below the task of the element
 * that it is at. */
const struct redis_value *redis_reader_growing(const struct redis_reader *reader, unsigned depth,
                                               size_t *whole)
{
    const redisReader *parser = reader->parser;
    if (parser->err || parser->ridx <= (int)depth)
        return NULL;
    *whole = (size_t)parser->rstack[depth + 1].idx;
    return parser->rstack[depth].obj;
}

const char *redis_reader_error(const struct redis_reader *reader)
{
    if (reader->too_large)
        return "reply larger than the limit";
    return reader->parser->err ? reader->parser->errstr : "";
}
