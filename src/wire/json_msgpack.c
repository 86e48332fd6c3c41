/* json_msgpack.c - JSON as msgpack, without loss.
 *
 * One walk over the text; what is open is a stack of at most LIMIT_JSON_DEPTH levels, which is also
 * the path of whatever is refused. msgpack wants the number of parts before the parts, so each
 * container is counted ahead: a byte is passed as often as it is deep. Rejected: to leave room for
 * the longest head and fill it in later, which makes every small object four bytes longer.
 *
 * strtod() reads decimals as the locale says, so this is for the C locale.
 */
#include "wire/json_msgpack.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "base/json_walk.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/real.h"
#include "wire/codec.h"

struct level {
    bool object;
    struct slice name; /* of the member that is being written, with its quotes */
    size_t begun;      /* items so far, the present one among them */
};

struct writing {
    struct json_walk walk;
    struct level levels[LIMIT_JSON_DEPTH];
    size_t depth;
    struct buf *out;
    struct buf scratch; /* one text or number */
    const char *path;
    struct field_error *error;
};

static enum status refuse(struct writing *writing, const char *message)
{
    char path[sizeof(writing->error->field)];
    struct buf text;
    buf_init(&text, SIZE_MAX);
    buf_add_str(&text, writing->path);
    for (size_t i = 0; i < writing->depth; i++) {
        const struct level *level = &writing->levels[i];
        buf_add_str(&text, level->object ? "." : "[");
        if (level->object)
            buf_add(&text, level->name.ptr + 1, level->name.len - 2);
        else
            buf_addf(&text, "%zu]", level->begun - 1);
    }
    size_t len = text.len < sizeof(path) ? text.len : sizeof(path) - 1;
    snprintf(path, sizeof(path), "%.*s", (int)len, text.ptr ? text.ptr : "");
    buf_free(&text);
    return field_refuse(writing->error, "unsupported_value", path, "%s", message);
}

/* ---- Scalars --------------------------------------------------------------------------------- */

static void put_string(struct writing *writing, struct slice quoted)
{
    struct slice text = slice_of(quoted.ptr + 1, quoted.len - 2);
    if (!json_string_is_plain(quoted)) {
        buf_clear(&writing->scratch);
        enum status status = json_unescape(quoted, &writing->scratch);
        if (status != ST_OK)
            return; /* the scratch buffer remembers it */
        text = buf_slice(&writing->scratch);
    }
    mp_write_str(writing->out, text);
}

/* Is what the way back writes of it the same number? False also when out of memory, which the
 * scratch buffer remembers. */
static bool is_exact(struct writing *writing, struct slice number, double value)
{
    if (!isfinite(value))
        return false;
    buf_clear(&writing->scratch);
    real_add_double(&writing->scratch, value);
    if (buf_status(&writing->scratch) != ST_OK)
        return false;
    struct decimal given = decimal_read(number), kept = decimal_read(buf_slice(&writing->scratch));
    return decimal_compare(&given, &kept) == 0;
}

static bool is_integer(struct slice number)
{
    for (size_t i = 0; i < number.len; i++)
        if (strchr(".eE", number.ptr[i]))
            return false;
    return true;
}

static enum status put_number(struct writing *writing, struct slice number)
{
    uint64_t positive;
    int64_t negative;
    if (is_integer(number) && parse_u64(number, &positive) == ST_OK) {
        mp_write_u64(writing->out, positive);
        return ST_OK;
    }
    if (is_integer(number) && parse_i64(number, &negative) == ST_OK) {
        mp_write_i64(writing->out, negative);
        return ST_OK;
    }
    buf_clear(&writing->scratch);
    buf_add_slice(&writing->scratch, number);
    buf_add_char(&writing->scratch, '\0');
    if (buf_status(&writing->scratch) != ST_OK)
        return ST_NOMEM;
    double value = strtod(writing->scratch.ptr, NULL);
    bool exact = is_exact(writing, number, value);
    if (buf_status(&writing->scratch) != ST_OK)
        return ST_NOMEM;
    if (!exact)
        return refuse(writing,
                      "msgpack cannot hold this number exactly; it has integers of 64 bits "
                      "and floats of 64 bits.");
    mp_write_double(writing->out, value);
    return ST_OK;
}

/* ---- Containers ------------------------------------------------------------------------------ */

static uint32_t count_parts(struct json_walk walk, bool object)
{
    uint32_t count = 0;
    json_walk_enter(&walk);
    while (json_walk_more(&walk)) {
        if (object)
            json_walk_name(&walk);
        json_walk_skip(&walk);
        count++;
    }
    return count;
}

static void open_container(struct writing *writing, bool object)
{
    uint32_t count = count_parts(writing->walk, object);
    if (object)
        mp_write_map(writing->out, count);
    else
        mp_write_array(writing->out, count);
    json_walk_enter(&writing->walk);
    assert(writing->depth < LIMIT_JSON_DEPTH); /* json_check() has seen to it */
    writing->levels[writing->depth++] = (struct level){object, SLICE_NULL, 0};
}

static enum status put_value(struct writing *writing)
{
    enum json_type type = json_walk_type(&writing->walk);
    if (type == JSON_OBJECT || type == JSON_ARRAY) {
        open_container(writing, type == JSON_OBJECT);
        return ST_OK;
    }
    struct slice text = json_walk_scalar(&writing->walk);
    if (type == JSON_NUMBER)
        return put_number(writing, text);
    if (type == JSON_STRING)
        put_string(writing, text);
    else if (type == JSON_NULL)
        mp_write_nil(writing->out);
    else
        mp_write_bool(writing->out, type == JSON_TRUE);
    return ST_OK;
}

/* The next part of what is open, or its end. */
static enum status step(struct writing *writing)
{
    struct level *level = &writing->levels[writing->depth - 1];
    if (!json_walk_more(&writing->walk)) {
        writing->depth--;
        return ST_OK;
    }
    if (level->object) {
        level->name = json_walk_name(&writing->walk);
        put_string(writing, level->name);
    }
    level->begun++;
    return put_value(writing);
}

enum status json_msgpack(struct slice json, const char *path, struct buf *out,
                         struct field_error *error)
{
    struct writing writing = {
        .walk = json_walk_begin(json), .out = out, .path = path, .error = error};
    if (json.len > UINT32_MAX)
        return refuse(&writing, "msgpack holds no more than 4 GiB.");
    buf_init(&writing.scratch, SIZE_MAX);
    enum status status = put_value(&writing);
    while (status == ST_OK && writing.depth > 0)
        status = step(&writing);
    if (status == ST_OK && buf_status(&writing.scratch) != ST_OK)
        status = ST_NOMEM;
    buf_free(&writing.scratch);
    return status;
}
