/* config_command.h - a subcommand that takes the whole configuration on its command line.
 *
 * It answers --help, loads the configuration, reports what is wrong with it, and runs. `serve` is
 *
 *     int serve_command(int argc, char **argv)
 *     {
 *         return config_command(argc, argv, &serve_help, serve_main);
 *     }
 */
#ifndef TROTLINE_APP_CONFIG_COMMAND_H
#define TROTLINE_APP_CONFIG_COMMAND_H

#include "app/cli.h"
#include "app/config.h"

/* `help->options` are the subcommand's own, which it has already taken out of argv; those of the
 * configuration are printed behind them. `run` gets a configuration that lives until it returns;
 * its result is the exit code. Else: CLI_EXIT_OK after --help, CLI_EXIT_USAGE for a command line
 * that is not understood, CLI_EXIT_FAILED for a configuration that is not acceptable. */
int config_command(int argc, char **argv, const struct cli_help *help,
                   int (*run)(const struct config *config));

#endif
