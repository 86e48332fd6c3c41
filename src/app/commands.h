/* commands.h - the subcommands. Each gets its own name as argv[0] and returns the exit code. */
#ifndef TROTLINE_APP_COMMANDS_H
#define TROTLINE_APP_COMMANDS_H

int check_config_command(int argc, char **argv);
int feed_command(int argc, char **argv);
int serve_command(int argc, char **argv);
int send_command(int argc, char **argv);
int sink_command(int argc, char **argv);
int source_command(int argc, char **argv);
int verify_command(int argc, char **argv);
int version_command(int argc, char **argv);

#endif
