/* sink_events.c - see sink_events.h. Whoever sends need not be Trotline: everything is checked. */
#include "app/sink_events.h"

static struct slice header_of(const struct http_header *headers, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(headers[i].name, name))
            return headers[i].value;
    return SLICE_NULL;
}

bool sink_events_begin(struct sink_events *events, const struct http_header *headers,
                       size_t header_count, struct slice body)
{
    struct slice type = header_of(headers, header_count, SLICE("Content-Type"));
    *events = (struct sink_events){.lines = body};
    if (!header_of(headers, header_count, SLICE("Trotline-Batch-Count")).ptr)
        return false;
    events->is_lines = slice_starts(type, SLICE("application/x-ndjson"));
    if (events->is_lines)
        return true;
    if (json_check(body, NULL) != ST_OK)
        return false;
    events->walk = json_walk_begin(body);
    if (json_walk_type(&events->walk) != JSON_ARRAY)
        return false;
    json_walk_enter(&events->walk);
    return true;
}

static struct slice without_quotes(struct slice text)
{
    return slice_of(text.ptr + 1, text.len - 2);
}

/* Passes one value, and takes out what is wanted if it is an object. */
static void read_event(struct json_walk *walk, struct sink_event *event)
{
    if (json_walk_type(walk) != JSON_OBJECT) {
        json_walk_skip(walk);
        return;
    }
    json_walk_enter(walk);
    while (json_walk_more(walk)) {
        struct slice name = json_walk_name(walk);
        bool is_string = json_walk_type(walk) == JSON_STRING;
        const char *from = walk->at;
        json_walk_skip(walk);
        struct slice value = slice_of(from, (size_t)(walk->at - from));
        if (slice_eq(name, SLICE("\"data\"")))
            event->data = value;
        else if (is_string && slice_eq(name, SLICE("\"id\"")))
            event->id = without_quotes(value);
        else if (is_string && slice_eq(name, SLICE("\"type\"")))
            event->type = without_quotes(value);
    }
}

static struct slice next_line(struct slice *lines)
{
    const char *end = lines->len > 0 ? memchr(lines->ptr, '\n', lines->len) : NULL;
    size_t len = end ? (size_t)(end - lines->ptr) : lines->len;
    struct slice line = slice_of(lines->ptr, len);
    *lines = slice_from(*lines, end ? len + 1 : len);
    return line;
}

bool sink_events_next(struct sink_events *events, struct sink_event *event)
{
    *event = (struct sink_event){.data = SLICE("")};
    if (!events->is_lines) {
        if (!json_walk_more(&events->walk))
            return false;
        read_event(&events->walk, event);
        return true;
    }
    struct slice line = next_line(&events->lines);
    if (line.len == 0 || json_check(line, NULL) != ST_OK)
        return false;
    struct json_walk walk = json_walk_begin(line);
    read_event(&walk, event);
    return true;
}
