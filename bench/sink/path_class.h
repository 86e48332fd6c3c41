/* path_class.h - what the sink does with a request, and counts, by its path.
 *
 * The path's last segment tells endpoints apart and is of no interest here; what stands before it
 * is the *class*, which has figures of its own and whose first segment is a behaviour:
 *
 *     /ok/3  /ok/healthy/3        200 at once           classes /ok and /ok/healthy
 *     /500/3                      that status
 *     /hang/3                     reads, never answers
 *     /reset/3                    resets the connection
 *     /delay/20/3                 200 after 20 ms
 *     /switch/hang/3              200; while the switch is dead, as /hang (or /503, /reset)
 *     anything else               what --status says
 */
#ifndef TROTLINE_BENCH_SINK_PATH_CLASS_H
#define TROTLINE_BENCH_SINK_PATH_CLASS_H

#include <stdbool.h>

#include "counts.h"

enum {
    PATH_CLASSES = 64,    /* requests of further ones count for the class / */
    PATH_CLASS_BYTES = 64 /* of its name, with the NUL */
};

struct behaviour {
    enum { ANSWER, HANG, RESET } kind;
    int status;
    uint64_t delay_ns;
    char answer[96];
    size_t answer_len;
};

struct connection;

struct path_class {
    char name[PATH_CLASS_BYTES];
    struct behaviour alive, dead; /* the same one, but for /switch */
    struct counts counts;
    struct number_set numbers;
    /* Answers that wait, by due time, for all of a class are delayed equally; `last` is the last
     * one's `next`. They are connection.c's. */
    struct connection *delayed, **last;
};

/* Those there are; the first is the class /. They live as long as the program. */
extern struct path_class path_classes[PATH_CLASSES];
extern unsigned path_class_count;

/* What a path that names no behaviour is answered with. */
void path_classes_init(int status);

/* The class of a request with this head: line and headers. */
struct path_class *path_class_find(const char *head, size_t len);

/* Kills and revives the classes below /switch. */
void path_classes_switch(bool is_dead);

/* What is done with a request of the class now. */
const struct behaviour *path_class_behaviour(const struct path_class *class);

#endif
