/* path_class.c - classes are made when their first request comes. There are few, so they are a
 * table that is searched from its beginning; 64 are more than any benchmark has needed. */
#include "path_class.h"

#include <stdlib.h>
#include <string.h>

struct path_class path_classes[PATH_CLASSES];
unsigned path_class_count;
static int status_default;
static bool switch_is_dead;

static void behaviour_answer(struct behaviour *behaviour, int status)
{
    const char *rest = status == 204 ? "\r\n" : "Content-Length: 2\r\n\r\n{}";
    behaviour->kind = ANSWER;
    behaviour->status = status;
    behaviour->answer_len = (size_t)snprintf(behaviour->answer, sizeof behaviour->answer,
                                             "HTTP/1.1 %d Answer\r\n%s", status, rest);
}

/* The behaviour a segment names; one that names none is answered with --status. */
static void behaviour_read(struct behaviour *behaviour, const char *segment)
{
    *behaviour = (struct behaviour){0};
    int status = atoi(segment);
    if (strcmp(segment, "hang") == 0)
        behaviour->kind = HANG;
    else if (strcmp(segment, "reset") == 0)
        behaviour->kind = RESET;
    else if (strcmp(segment, "ok") == 0)
        behaviour_answer(behaviour, 200);
    else if (strlen(segment) == 3 && status >= 200 && status <= 599)
        behaviour_answer(behaviour, status);
    else
        behaviour_answer(behaviour, status_default);
}

static struct path_class *class_new(const char *name, size_t len)
{
    struct path_class *class = &path_classes[path_class_count++];
    memcpy(class->name, name, len);
    class->last = &class->delayed;
    char first[PATH_CLASS_BYTES] = "", second[PATH_CLASS_BYTES] = "";
    sscanf(class->name, "/%63[^/]/%63[^/]", first, second);
    behaviour_read(&class->alive, first);
    class->dead = class->alive;
    if (strcmp(first, "delay") == 0) {
        behaviour_answer(&class->alive, 200);
        class->alive.delay_ns = strtoull(second, NULL, 10) * 1000000;
        class->dead = class->alive;
    } else if (strcmp(first, "switch") == 0) {
        behaviour_answer(&class->alive, 200);
        behaviour_read(&class->dead, second);
    }
    return class;
}

void path_classes_init(int status)
{
    status_default = status;
    class_new("/", 1);
}

/* By the path up to its last slash. */
struct path_class *path_class_find(const char *head, size_t len)
{
    const char *path = memchr(head, ' ', len);
    const char *end = path ? memchr(path + 1, ' ', len - (size_t)(path + 1 - head)) : NULL;
    const char *slash = end ? memrchr(path, '/', (size_t)(end - path)) : NULL;
    size_t name_len = slash ? (size_t)(slash - path - 1) : 0;
    if (name_len == 0 || name_len >= PATH_CLASS_BYTES || memchr(path, '"', name_len) ||
        memchr(path, '\\', name_len))
        return &path_classes[0];
    for (unsigned i = 1; i < path_class_count; i++) {
        const char *name = path_classes[i].name;
        if (strlen(name) == name_len && memcmp(name, path + 1, name_len) == 0)
            return &path_classes[i];
    }
    bool has_room = path_class_count < PATH_CLASSES;
    return has_room ? class_new(path + 1, name_len) : &path_classes[0];
}

void path_classes_switch(bool is_dead)
{
    switch_is_dead = is_dead;
}

const struct behaviour *path_class_behaviour(const struct path_class *class)
{
    return switch_is_dead ? &class->dead : &class->alive;
}
