/* curl_env.h - what all of libcurl's handles here share: settings, certificates, the address
 * policy, and how sockets are opened and closed. Both routes make their handles with it.
 */
#ifndef TROTLINE_NET_CURL_ENV_H
#define TROTLINE_NET_CURL_ENV_H

#include <curl/curl.h>

#include "net/fd_watch.h"
#include "net/outbound.h"

struct sockaddr;

enum { CURL_ENV_ADDRESS_BYTES = sizeof(((struct outbound_result *)NULL)->address) };

/* Outlives all handles and multis. */
struct curl_env {
    struct outbound_stats stats;
    const struct netguard *guard; /* borrowed */
    CURLSH *tls_sessions;
    char *user_agent; /* NULL: none */
    char *ca_file;    /* NULL: the system's */
    char *proxy;      /* "": none */
    bool no_ca_path;
    long connection_age_max_s;
    long idle_age_max_s;
};

/* False when out of memory or when the file of certificates cannot be read (logged); what is half
 * made is for curl_env_deinit. */
MUST_CHECK bool curl_env_init(struct curl_env *env, const struct outbound_options *options);
void curl_env_deinit(struct curl_env *env);

/* The sockets of one route. Outlives its handles and multis. */
struct curl_sockets {
    struct curl_env *env;
    struct fd_watches *watches; /* borrowed: sockets are adopted into it and dropped from it */
    /* Any socket of the route is about to be closed by libcurl, asked to or not. False: it stays
     * open and is not libcurl's any more; then curl_socket_close() ends it. No function of libcurl
     * may be called. NULL: all are closed. */
    bool (*on_close)(void *arg, int fd);
    void *arg;
};

/* What is noted while libcurl looks for an address to connect to. */
struct curl_dial {
    struct curl_sockets *sockets;
    void *watch_owner; /* of the sockets that are opened */
    unsigned opened;
    int socket_errno;                     /* of the last socket that could not be made */
    const char *denied;                   /* the guard's reason, when it refused */
    char address[CURL_ENV_ADDRESS_BYTES]; /* the last one tried; "": none */
};

/* Forgets the last connection's notes. */
void curl_dial_begin(struct curl_dial *dial);

/* Why there is no connection, when that is not libcurl's doing: OUTBOUND_ADDRESS_DENIED, or what
 * the lack of a socket means; else OUTBOUND_OK. */
enum outbound_error curl_dial_refusal(const struct curl_dial *dial);

/* Asks the guard, and counts its refusals in the stats. With a proxy all addresses are the proxy's,
 * which the operator chose: these are not asked for. `reason` as netguard_allows() has it. */
bool curl_env_allows(struct curl_env *env, const struct sockaddr *address, const char **reason);
/* The same for an address as text. */
bool curl_env_allows_text(struct curl_env *env, const char *address, const char **reason);

/* "127.0.0.1:9000", "[::1]:9000"; unchanged for another family. */
void curl_address_text(char text[CURL_ENV_ADDRESS_BYTES], const struct sockaddr *address);

/* Sets what a handle may do at all, whatever its request: protocols, TLS, proxy, ages, and the
 * functions for its sockets, which take their notes in `dial`. `detail` has CURL_ERROR_SIZE bytes.
 * False when out of memory. */
MUST_CHECK bool curl_env_set_policy(CURL *easy, struct curl_dial *dial, char *detail);

/* Sets whether http is allowed besides https. */
MUST_CHECK bool curl_env_set_http(CURL *easy, bool allowed);

/* Closes a socket that libcurl was kept from closing. */
void curl_socket_close(struct curl_sockets *sockets, int fd);

/* For options in milliseconds. */
long curl_timeout_option(uint64_t ms);

#endif
