/* redis_conn.h - one connection to Redis, which mends itself.
 *
 * A connection is made for the life of the process. It connects, authenticates, selects its
 * database, loads its scripts, checks that it talks to a master, and then is `ready`. When the
 * socket ends or the server stops answering it fails what was on its way with ST_LOST, and begins
 * again after a pause (50 ms doubling to 2 s, jittered) for ever.
 *
 * All commands of a turn are written at its end with one system call as far as the socket takes
 * them, and answered in order. Nothing is ever repeated behind the caller's back, except script
 * calls that Redis refused because it did not know the script (redis_script.h), which never ran.
 *
 * A server that says LOADING, MASTERDOWN or READONLY, or is a replica, is not ready: the connection
 * lets what is on its way be answered, then starts anew.
 *
 * Where the server is the connection asks anew each time it begins (redis_master.h), and with
 * Sentinels it also ends, as if the socket had, when they name another master.
 *
 * Subscriptions are for redis_sub.c, on a connection of their own; elsewhere a reply that nobody
 * asked for ends the connection. Blocking commands work if the command timeout is longer than they
 * block, and hold up everything behind them: give them a connection of their own, too.
 */
#ifndef TROTLINE_NET_REDIS_CONN_H
#define TROTLINE_NET_REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hist.h"
#include "base/limits.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/reactor.h"
#include "net/redis_reply.h"

struct redis_conn;
struct redis_scripts;

struct redis_host {
    const char *name; /* a number or a name; looked up anew for every attempt */
    uint16_t port;
};

struct redis_options {
    /* Where the server is: one of host and port, a path, or those who know. */
    const char *host;
    uint16_t port;
    const char *unix_path;
    struct redis_host sentinels[LIMIT_REDIS_SENTINELS];
    size_t sentinel_count;
    const char *master_name;       /* what the Sentinels call it */
    const char *sentinel_username; /* as the two below, for the Sentinels themselves */
    const char *sentinel_password;
    const char *username; /* NULL: the default user */
    const char *password; /* NULL: no AUTH */
    int database;
    const char *client_name; /* for CLIENT SETNAME and the log; NULL: none */
    /* 0 takes the default, which is in brackets. */
    uint64_t connect_timeout_ms; /* lookup, connect and handshake together [5000] */
    uint64_t command_timeout_ms; /* from redis_command() to its reply [5000] */
    uint64_t idle_ping_ms;      /* a PING when nothing was sent or received for this long [30000] */
    size_t in_flight_bytes_max; /* [LIMIT_REDIS_IN_FLIGHT_BYTES] */
};

/* Fills in where to connect from `redis://[[user]:password@]host[:port][/database]` (user and
 * password percent-encoded where needed, host may be a name, a number or `[IPv6]`), `unix:PATH` or
 * `sentinel://[[user]:password@]host[:port][,host[:port]…]/master-name[/database]`, where user and
 * password are Redis's and the hosts are the Sentinels'. The other members stay as they are. The
 * strings live in `storage`, which must be empty and may not be touched while the options are in
 * use. ST_SYNTAX, ST_RANGE (port, database, length of the path, number of Sentinels),
 * ST_UNSUPPORTED (other schemes), or ST_NOMEM or ST_LIMIT (storage), with a sentence in *reason
 * (static; it never quotes the password); *options is then unchanged. */
MUST_CHECK enum status redis_options_parse(struct redis_options *options, struct slice url,
                                           struct buf *storage, const char **reason);

/* Copies them with the defaults filled in. Returns the memory that holds the copies' strings, for
 * redis_options_release(); NULL when out of memory. */
MUST_CHECK char *redis_options_copy(struct redis_options *to, const struct redis_options *from);
/* Wipes and frees the strings (NULL is accepted) of copied options. */
void redis_options_release(struct redis_options *options, char *strings);

/* ST_OK: a reply, which may be an error reply (REDIS_ERROR). It is valid during the call.
 * ST_LOST: the connection ended first; whether the command ran is unknown. `reply` is NULL.
 * ST_STOPPED: the connection was freed first; otherwise the same. `reply` is NULL.
 * Freeing the connection from here ends the reply's life, too. */
typedef void redis_reply_fn(void *arg, enum status status, const struct redis_value *reply);

/* Ready, or no longer so. In the second case the commands on their way have been called back, or,
 * when the server refused to serve, are still going to be. */
typedef void redis_state_fn(void *arg, bool ready);

/* Starts connecting in the next turn. The options are copied. `state_fn` may be NULL; it is called
 * from the loop only. NULL when out of memory. */
struct redis_conn *redis_conn_new(struct reactor *reactor, const struct redis_options *options,
                                  redis_state_fn *state_fn, void *arg);

/* The scripts to load whenever a connection is made. Call it before the loop runs again. The set
 * must outlive the connection. */
void redis_conn_set_scripts(struct redis_conn *conn, const struct redis_scripts *scripts);

/* A message of a channel; both texts are valid during the call. */
typedef void redis_message_fn(void *arg, struct slice channel, struct slice text);

/* From now on this connection subscribes: messages go to `fn`, with `arg`, and only the commands
 * that Redis takes of subscribers may be given to it. Call it before the loop runs again. */
void redis_conn_set_messages(struct redis_conn *conn, redis_message_fn *fn, void *arg);

/* Of the next reply, which is still on its way, `whole` elements of `array` are there. Only these
 * may be looked at, and as long as a reply. They come once more with the whole reply. */
typedef void redis_growing_fn(void *arg, const struct redis_value *array, size_t whole);

/* From now on long replies are told of while they come: that of their arrays that is growing,
 * `depth` arrays below the outermost. Who has many elements to deal with need not wait for the
 * last. Call it before the loop runs again. */
void redis_conn_set_growing(struct redis_conn *conn, unsigned depth, redis_growing_fn *fn,
                            void *arg);

/* Ends the present connection, if there is one, and begins again: when another server may be the
 * right one now. Its commands are called back with ST_LOST and `state_fn` is called before this
 * returns. */
void redis_conn_renew(struct redis_conn *conn);

/* Closes at once. Outstanding callbacks are called with ST_STOPPED, in order, before this returns;
 * `state_fn` is not called. May be called from any callback of this connection. The memory goes
 * back at the end of the turn. Accepts NULL. */
void redis_conn_free(struct redis_conn *conn);

bool redis_conn_ready(const struct redis_conn *conn);

/* Both are ready and lead to the same server: one address may have led to two of them, behind a
 * proxy or a name that was given to another. Where the user may not ask a server who it is (INFO),
 * its address has to do. Both were made with the same options. */
bool redis_conn_same_server(const struct redis_conn *a, const struct redis_conn *b);

/* Why it is not ready; "" when it is. Valid until the loop runs again. */
const char *redis_conn_error(const struct redis_conn *conn);

/* Sends a command of `count` >= 1 words, which are copied. Either fails without ever calling back:
 * ST_AGAIN when not ready, ST_LIMIT when more than in_flight_bytes_max would be outstanding (a
 * single command of any size goes when nothing else is), ST_NOMEM; or calls back exactly once,
 * later, from the loop or redis_conn_free(). */
MUST_CHECK enum status redis_command(struct redis_conn *conn, const struct slice *args,
                                     size_t count, redis_reply_fn *fn, void *arg);

/* The same with words that stand in several places. With `repeatable`, a reply NOSCRIPT makes the
 * connection load its scripts and send the command again: for redis_script.c. */
struct redis_part {
    const struct slice *words;
    size_t count;
};
MUST_CHECK enum status redis_command_parts(struct redis_conn *conn, const struct redis_part *parts,
                                           size_t part_count, bool repeatable, redis_reply_fn *fn,
                                           void *arg);

/* Callbacks still to come. */
size_t redis_conn_in_flight(const struct redis_conn *conn);

struct redis_conn_stats {
    uint64_t commands; /* accepted from callers */
    uint64_t replies;  /* given to callers */
    uint64_t lost;     /* given ST_LOST */
    uint64_t repeated; /* sent again after NOSCRIPT */
    uint64_t bytes_out;
    uint64_t bytes_in;
    uint64_t writes;           /* system calls */
    uint64_t connects;         /* times it became ready */
    uint64_t failures;         /* connections lost and attempts that failed */
    struct hist round_trip_us; /* callers' commands: from being asked for until the reply is read */
};
const struct redis_conn_stats *redis_conn_stats(const struct redis_conn *conn);

#endif
