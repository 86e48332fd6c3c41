/* curl_env.c - what a handle of libcurl's may do, in one place for both routes.
 *
 * Nothing is ever reset: curl_easy_reset() would mean to set all of it again for each transfer.
 *
 * Addresses are judged when a socket is about to be opened, which catches names that resolve to
 * what they should not; a refusal makes libcurl try the next address. The routes ask again before
 * each request, since the policy may have changed since.
 *
 * Names are not cached (CURLOPT_DNS_CACHE_TIMEOUT 0): every new connection asks the resolver, which
 * has a cache and knows how long an answer holds; curl's would ignore that, and walking it at every
 * finished transfer costs more than it saves on kept connections. CURLOPT_QUICK_EXIT lets a
 * transfer end while its lookup hangs; without it curl waits for the resolver's thread, and so do
 * we all.
 */
#include "net/curl_env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"
#include "net/curl_error.h"
#include "net/netguard.h"

enum { IDLE_AGE_DEFAULT_S = 118 /* libcurl's */ };

/* ---- Settings ------------------------------------------------------------------------------- */

/* Debian's libcurl reads the certificates from a file *and* a directory. With a directory it cannot
 * keep the store, and reads it again for each connection, which takes 50 ms; so the directory is
 * left out where there is a file. False when the operator's file cannot be read. */
static bool choose_certificates(struct curl_env *env)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    const char *file = env->ca_file;
    if (!file && info->age >= CURLVERSION_SEVENTH)
        file = info->cainfo;
    env->no_ca_path = file && access(file, R_OK) == 0;
    if (env->ca_file && !env->no_ca_path) {
        log_error("outbound.ca_file_unreadable", "file=%s errno=%d",
                  log_quote(slice_str(env->ca_file)), errno);
        return false;
    }
    return true;
}

static long whole_seconds(uint64_t ms)
{
    if (ms > 0 && ms < 1000)
        return 1;
    return ms / 1000 > INT32_MAX ? INT32_MAX : (long)(ms / 1000);
}

static bool copy_options(struct curl_env *env, const struct outbound_options *options)
{
    env->guard = options->guard;
    env->connection_age_max_s = whole_seconds(options->connection_age_max_ms);
    env->idle_age_max_s =
        options->idle_age_max_ms ? whole_seconds(options->idle_age_max_ms) : IDLE_AGE_DEFAULT_S;
    bool named = options->user_agent && options->user_agent[0];
    env->user_agent = named ? strdup(options->user_agent) : NULL;
    env->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    env->proxy = strdup(options->proxy ? options->proxy : "");
    return env->proxy && (env->user_agent || !named) && (env->ca_file || !options->ca_file);
}

bool curl_env_init(struct curl_env *env, const struct outbound_options *options)
{
    *env = (struct curl_env){.guard = NULL};
    if (!copy_options(env, options) || !choose_certificates(env))
        return false;
    env->tls_sessions = curl_share_init();
    return env->tls_sessions && curl_share_setopt(env->tls_sessions, CURLSHOPT_SHARE,
                                                  CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
}

void curl_env_deinit(struct curl_env *env)
{
    if (env->tls_sessions)
        curl_share_cleanup(env->tls_sessions);
    free(env->user_agent);
    free(env->ca_file);
    free(env->proxy);
    *env = (struct curl_env){.guard = NULL};
}

/* ---- Addresses ------------------------------------------------------------------------------ */

bool curl_env_allows(struct curl_env *env, const struct sockaddr *address, const char **reason)
{
    bool allowed = env->proxy[0] || netguard_allows(env->guard, address, reason);
    env->stats.addresses_denied += !allowed;
    return allowed;
}

bool curl_env_allows_text(struct curl_env *env, const char *address, const char **reason)
{
    bool allowed = env->proxy[0] || netguard_allows_text(env->guard, address, reason);
    env->stats.addresses_denied += !allowed;
    return allowed;
}

void curl_address_text(char place[CURL_ENV_ADDRESS_BYTES], const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
        snprintf(place, CURL_ENV_ADDRESS_BYTES, "%s:%u", text, ntohs(v4.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
        snprintf(place, CURL_ENV_ADDRESS_BYTES, "[%s]:%u", text, ntohs(v6.sin6_port));
    }
}

/* ---- Sockets -------------------------------------------------------------------------------- */

void curl_dial_begin(struct curl_dial *dial)
{
    dial->opened = 0;
    dial->socket_errno = 0;
    dial->denied = NULL;
    dial->address[0] = '\0';
}

enum outbound_error curl_dial_refusal(const struct curl_dial *dial)
{
    if (dial->opened > 0)
        return OUTBOUND_OK;
    if (dial->denied)
        return OUTBOUND_ADDRESS_DENIED;
    return dial->socket_errno ? curl_errno_class(dial->socket_errno) : OUTBOUND_OK;
}

/* Just before curl connects: the last word on an address. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct curl_dial *dial = arg;
    struct curl_sockets *sockets = dial->sockets;
    curl_address_text(dial->address, &address->addr);
    if (!curl_env_allows(sockets->env, &address->addr, &dial->denied))
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->protocol);
    if (fd < 0) {
        dial->socket_errno = errno;
        return CURL_SOCKET_BAD;
    }
    if (!fd_watch_adopt(sockets->watches, fd, dial->watch_owner)) {
        dial->socket_errno = ENOMEM;
        close(fd);
        return CURL_SOCKET_BAD;
    }
    dial->opened++;
    sockets->env->stats.connections_opened++;
    sockets->env->stats.connections_open++;
    return fd;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct curl_sockets *sockets = arg;
    fd_watch_drop(sockets->watches, fd);
    if (!sockets->on_close || sockets->on_close(sockets->arg, fd))
        curl_socket_close(sockets, fd);
    return 0;
}

void curl_socket_close(struct curl_sockets *sockets, int fd)
{
    sockets->env->stats.connections_open--;
    close(fd); /* an error comes after the end, and says nothing about it */
}

/* ---- Handles -------------------------------------------------------------------------------- */

bool curl_env_set_policy(CURL *easy, struct curl_dial *dial, char *detail)
{
    const struct curl_env *env = dial->sockets->env;
    bool failed = false;
#define SET(option, value) failed |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_ERRORBUFFER, detail);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, dial);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, dial->sockets); /* a connection outlives what dialled it */

    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_PROXY, env->proxy);
    SET(CURLOPT_NOPROXY, ""); /* else no_proxy is read from the environment */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_MAXAGE_CONN, env->idle_age_max_s);
    SET(CURLOPT_MAXLIFETIME_CONN, env->connection_age_max_s);

    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SHARE, env->tls_sessions);
    if (env->ca_file)
        SET(CURLOPT_CAINFO, env->ca_file);
    if (env->no_ca_path)
        SET(CURLOPT_CAPATH, NULL);
#undef SET
    return !failed;
}

bool curl_env_set_http(CURL *easy, bool allowed)
{
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, allowed ? "http,https" : "https") ==
           CURLE_OK;
}

long curl_timeout_option(uint64_t ms)
{
    return ms > INT32_MAX ? INT32_MAX : (long)ms;
}
