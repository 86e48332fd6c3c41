/* stage.h - what the files of the stage have in common; stage.c says what it is. */
#ifndef TROTLINE_TESTS_STAGE_H
#define TROTLINE_TESTS_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the process with a sentence on standard error. */
_Noreturn void stage_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A setting from the environment, which must be there. */
const char *stage_setting(const char *name);
/* Time goes on. */
void stage_pass_ms(uint64_t ms);
/* The port the server listens on; 0: it does not yet. */
uint16_t stage_server_port(void);

/* Callgrind counts from one to the other (options of `guard` name them). */
void stage_begins(void);
void stage_ends(void);

/* What is to be read of a socket, in a buffer that is large enough for all that comes here. */
struct inbox {
    char *bytes;
    size_t len;
};
/* Adds all there is to be read. False: the other side has closed. */
bool inbox_fill(struct inbox *inbox, int fd);
void inbox_take(struct inbox *inbox, size_t len);
void write_all(int fd, const char *bytes, size_t len);
/* Waits, in real time, until one of them can be read; false: none within `timeout_ms`. */
bool wait_readable(const int *fds, size_t count, int timeout_ms);

/* Each does what it can and says whether there was anything to do. They are asked when the server
 * has nothing to do, in this order. */
bool relay_step(void);
bool receiver_step(void);
bool producer_step(void);

size_t relay_batches(void);              /* batches the server has stored */
int receiver_port(void);                 /* from its first step on */
void receiver_expect(size_t deliveries); /* in the coming round */
bool receiver_done(void);                /* all that was expected came and was answered */

#endif
