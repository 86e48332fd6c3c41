/* source_command.h - what `trotline source` and its `test` share. */
#ifndef TROTLINE_APP_SOURCE_COMMAND_H
#define TROTLINE_APP_SOURCE_COMMAND_H

#include "app/client.h"

enum { SOURCE_SECRET, SOURCE_SCHEMES, SOURCE_CLIENT };
enum { SOURCE_OPTIONS = SOURCE_CLIENT + CLIENT_OPTIONS };

struct source_command {
    const char
        *given[SOURCE_OPTIONS];     /* the options' values; "" for one without; NULL: not given */
    const char *verb, *name, *file; /* the words; NULL: not given */
    struct client client;
    struct buf body;
};

/* One exchange about a source: `path` is "/api/sources" and what follows. */
int source_ask(struct source_command *command, const char *method, const char *path,
               struct slice body);

/* source_test.c: asks what the source is, signs a request, posts it, and says what came back. What
 * is wrong with the options goes to `errors`, and then the code is CLI_EXIT_USAGE. */
int source_test(struct source_command *command, struct buf *errors);

#endif
