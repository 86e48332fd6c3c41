/* client.h - commands that talk to a server through its API: where it is, the key, one exchange at
 * a time with curl's easy interface, and what is printed of a refusal.
 */
#ifndef TROTLINE_APP_CLIENT_H
#define TROTLINE_APP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "app/cli.h"
#include "base/buf.h"

/* Exit codes of client commands besides cli.h's. */
enum { CLIENT_EXIT_REFUSED = CLI_EXIT_FAILED, CLIENT_EXIT_UNREACHABLE = 3 };

/* The options that all of them have, as rows of a command's table from `first` on. */
enum { CLIENT_URL, CLIENT_API_KEY, CLIENT_API_KEY_FILE, CLIENT_TIMEOUT, CLIENT_JSON };
enum { CLIENT_OPTIONS = CLIENT_JSON + 1 };

#define CLIENT_OPTION_ROWS(first)                                                                  \
    [(first) +                                                                                     \
        CLIENT_URL] = {"url", "URL",                                                               \
                       "The server. Default: TROTLINE_URL, else http://127.0.0.1:8080. "           \
                       "Proxies of the environment are not used."},                                \
        [(first) +                                                                                 \
            CLIENT_API_KEY] = {"api-key", "KEY",                                                   \
                               "The API key. Other users of this machine can see it while the "    \
                               "command runs; the ways below hide it."},                           \
        [(first) +                                                                                 \
            CLIENT_API_KEY_FILE] = {"api-key-file", "FILE",                                        \
                                    "File with the API key. Default: TROTLINE_API_KEY, else "      \
                                    "./data/api-key."},                                            \
        [(first) + CLIENT_TIMEOUT] = {"timeout", "DURATION",                                       \
                                      "How long to wait for the answer. Default: 30s."},           \
        [(first) + CLIENT_JSON] = {"json", NULL,                                                   \
                                   "Prints the server's answer as it came, errors included."}

/* For --help. */
#define CLIENT_ENVIRONMENT                                                                         \
    "Environment:\n"                                                                               \
    "  TROTLINE_URL      the server; --url goes before it\n"                                       \
    "  TROTLINE_API_KEY  the API key; --api-key and --api-key-file go before it\n"

struct client {
    const char *server; /* borrowed */
    uint64_t timeout_ms;
    struct buf key;    /* the header "Authorization: …", a string; empty: none */
    struct buf url;    /* of the last request, a string */
    struct buf answer; /* to it */
    void *curl;        /* libcurl's, with the connection; NULL before the first request */
    long status;       /* of it; 0: there is none */
    bool as_json;
    bool ready; /* libcurl is */
};

struct client_request {
    const char *method;
    const char *path; /* with its query */
    struct slice body;
    const char *content_type;   /* of the body; NULL: JSON */
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    bool with_key;
};

/* Checks the options (`given`: CLIENT_OPTIONS values in the order above; NULL: not given, "" for a
 * given one without value) and finds the key. False with lines in `errors`; the client is to be
 * freed in either case. */
bool client_init(struct client *client, const char *const *given, struct buf *errors);
void client_deinit(struct client *client);

/* CLI_EXIT_OK when there is an answer, whatever it says; else the reason has been printed. */
int client_exchange(struct client *client, const struct client_request *request);

/* Did the server say yes? */
bool client_accepted(const struct client *client);

/* With --json: prints the answer. Else, when it is a refusal: prints what it says to standard
 * error. Returns the exit code. */
int client_report(const struct client *client);

/* The text of a member, its string unescaped; SLICE_NULL when there is none. `text` keeps it. */
struct slice client_member(struct slice object, const char *name, struct buf *text);

/* Printed for people: without the control characters a stranger's answer could move a terminal
 * with. */
void client_print(FILE *stream, struct slice text);

/* Ends a line of standard error with what the API says is wrong, {"code":…,"message":…,"field":…},
 * as far as it says so; `before` goes in front of the code. */
void client_print_error(struct slice error, const char *before);

/* Reads all of `fd` into `text`, at most its maximum. False with the reason in errno. */
bool client_read(int fd, struct buf *text);

#endif
