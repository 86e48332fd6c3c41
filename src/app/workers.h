/* workers.h - `trotline serve --workers N`: the parent of N gateways on one port. */
#ifndef TROTLINE_APP_WORKERS_H
#define TROTLINE_APP_WORKERS_H

#include "app/config.h"

/* Runs config->workers workers (worker.h) until a signal ends it, or until the first one cannot
 * start. `argv` is the command line of `serve`, without the program. Returns the exit code. */
int workers_run(const struct config *config, int argc, char **argv);

#endif
