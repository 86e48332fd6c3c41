/* log_levels.c - see log_levels.h. A change is made whole or not at all. */
#include "api/log_levels.h"

#include <stdio.h>

#include "api/api.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/log_levels.h"
#include "core/json_field.h"

enum { MEMBERS_MAX = 16, ANSWER_BYTES_MAX = 64 * 1024, SENTENCE_BYTES = 2048 };

static const char *const known_levels = "error, warn, info or debug";

static void answer(struct http_request *request)
{
    const struct log_levels *levels = log_levels_now();
    struct slice components[LOG_COMPONENTS_MAX];
    size_t count = log_components(components);
    struct buf body;
    struct json_out out;
    buf_init(&body, ANSWER_BYTES_MAX);
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_member_cstr(&out, "level", log_level_name(levels->level));
    json_key(&out, "levels");
    json_object_open(&out);
    for (size_t i = 0; i < levels->count; i++) {
        json_key_slice(&out, levels->components[i].component);
        json_value_str(&out, log_level_name(levels->components[i].level));
    }
    json_object_close(&out);
    json_key(&out, "components");
    json_array_open(&out);
    for (size_t i = 0; i < count; i++)
        json_value_slice(&out, components[i]);
    json_array_close(&out);
    json_object_close(&out);
    reply_json(request, 200, &body, NULL);
}

void log_levels_read(struct api *api, struct http_request *request, struct slice id)
{
    (void)api, (void)id;
    answer(request);
}

/* ---- Changing -------------------------------------------------------------------------------- */

/* The text of a JSON string into `out`, cut to fit; what is cut is no level and no component. */
static bool text_of(struct slice quoted, char *out, size_t size)
{
    struct buf text;
    buf_init(&text, 4096);
    bool is_text = json_unescape(quoted, &text) == ST_OK;
    if (is_text)
        snprintf(out, size, "%.*s", SLICE_ARGS(buf_slice(&text)));
    buf_free(&text);
    return is_text;
}

static bool read_level(struct http_request *request, const char *field, struct slice value,
                       enum log_level *level)
{
    char text[16], message[SENTENCE_BYTES];
    if (text_of(value, text, sizeof(text)) && log_level_parse(slice_str(text), level) == ST_OK)
        return true;
    snprintf(message, sizeof(message), "The level must be %s.", known_levels);
    reply_error(request, 400, "invalid_level", field, message);
    return false;
}

static void refuse_component(struct http_request *request, const char *field)
{
    struct buf message;
    buf_init(&message, SENTENCE_BYTES);
    buf_add_str(&message, "There is no such component; there are: ");
    log_components_add(&message);
    buf_add_char(&message, '.');
    buf_add_char(&message, '\0');
    reply_error(request, 400, "invalid_levels", field,
                buf_status(&message) == ST_OK ? message.ptr : "There is no such component.");
    buf_free(&message);
}

static bool read_levels(struct http_request *request, struct slice value, struct log_levels *levels)
{
    struct json_member members[LOG_COMPONENTS_MAX];
    size_t count;
    if (json_members(value, members, LOG_COMPONENTS_MAX, &count, NULL) != ST_OK) {
        reply_error(request, 400, "invalid_levels", "levels",
                    "levels must be an object of components and levels: {\"delivery\":\"debug\"}.");
        return false;
    }
    levels->count = 0;
    for (size_t i = 0; i < count; i++) {
        char name[64] = "", field[80];
        enum log_level level;
        struct slice quoted = slice_of(members[i].name.ptr - 1, members[i].name.len + 2);
        (void)text_of(quoted, name, sizeof(name)); /* json_members has checked it */
        snprintf(field, sizeof(field), "levels.%s", name);
        if (!read_level(request, field, members[i].value, &level))
            return false;
        if (log_levels_set(levels, slice_str(name), level) != ST_OK) {
            refuse_component(request, field);
            return false;
        }
    }
    return true;
}

/* Answers and returns false when the body is not acceptable. */
static bool read_body(struct http_request *request, struct log_levels *levels)
{
    struct json_member members[MEMBERS_MAX];
    struct json_error error;
    size_t count;
    struct slice body = http_request_body(request);
    if (json_members(body, members, MEMBERS_MAX, &count, &error) != ST_OK) {
        char message[256];
        snprintf(message, sizeof(message), "The body must be a JSON object: %s at byte %zu.",
                 error.reason, error.offset);
        reply_error(request, 400, json_field_fault(body), NULL, message);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char name[64];
        if (slice_eq(members[i].name, SLICE("level"))) {
            if (!read_level(request, "level", members[i].value, &levels->level))
                return false;
        } else if (slice_eq(members[i].name, SLICE("levels"))) {
            if (!read_levels(request, members[i].value, levels))
                return false;
        } else {
            snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(members[i].name));
            reply_error(request, 400, "unknown_field", name,
                        "There is no such member; there are level and levels.");
            return false;
        }
    }
    return true;
}

/* Written whatever the levels are: a reader of the log must know why lines begin or end. */
static void log_change(const struct log_levels *levels)
{
    struct buf list;
    buf_init(&list, SENTENCE_BYTES);
    for (size_t i = 0; i < levels->count; i++)
        buf_addf(&list, "%s%.*s=%s", i > 0 ? "," : "", SLICE_ARGS(levels->components[i].component),
                 log_level_name(levels->components[i].level));
    log_line(LOG_INFO, "log.levels_changed", "level=%s levels=%s", log_level_name(levels->level),
             log_quote(buf_slice(&list)));
    buf_free(&list);
}

void log_levels_put(struct api *api, struct http_request *request, struct slice id)
{
    (void)api, (void)id;
    struct log_levels levels = *log_levels_now();
    if (!read_body(request, &levels))
        return;
    log_levels_apply(&levels);
    log_change(&levels);
    answer(request);
}
