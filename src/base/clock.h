/* clock.h - one time for a whole step of the loop.
 *
 * The clocks are read at the first use after clock_expire(), which the reactor calls before it
 * waits and again before the hooks; all code of one step therefore sees one time, at the price of
 * one reading. Pure code takes time as a parameter and never calls this.
 */
#ifndef TROTLINE_BASE_CLOCK_H
#define TROTLINE_BASE_CLOCK_H

#include <stdint.h>

/* The next use reads the clocks anew. For the reactor, and for programs without one. */
void clock_expire(void);

/* Monotonic (CLOCK_MONOTONIC). For intervals and deadlines. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);

/* Unix time (CLOCK_REALTIME). For people, ids and signatures. */
uint64_t clock_wall_ms(void);

/* Unix time, read now: for any thread. */
uint64_t clock_now_ms(void);

/* Monotonic, read now: for measuring how long something took inside a step. */
uint64_t clock_now_us(void);

/* CLOCK_BOOTTIME, read now: it goes on while the machine sleeps. For what others count on without
 * asking us, a lease: neither a stop (SIGSTOP) inside a step nor a sleep may hide that it ended. */
uint64_t clock_boot_ms(void);

#endif
