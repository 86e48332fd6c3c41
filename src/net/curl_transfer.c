/* curl_transfer.c - the easy handle's side of the plain route.
 *
 * All that decides what a transfer may do is set in set_policy(), once for the life of a handle;
 * what a call chooses is set in set_call(). Nothing is ever reset: curl_easy_reset() would mean to
 * set all of it again for each transfer. One thing sticks to a handle that should not: 7.88 never
 * clears CURLINFO_OS_ERRNO, so a handle that has seen an error of the system is not used again.
 *
 * The callbacks here take notes and judge; they call nothing of libcurl's. Addresses are judged
 * twice: when a socket is about to be opened, which catches names that resolve to what they should
 * not, and again before a request goes out on a kept connection, since the policy may have changed.
 * That last moment, CURLOPT_PREREQFUNCTION, comes for every request: curl calls it in its state DO,
 * which a request enters on a new connection, on a kept one, and once more when it is sent again
 * because the kept one turned out to be closed. So the caller's may_send() is asked there too.
 *
 * Names are not cached (CURLOPT_DNS_CACHE_TIMEOUT 0): every new connection asks the resolver, which
 * has a cache and knows how long an answer holds; curl's would ignore that, and walking it at every
 * finished transfer costs more than it saves on kept connections. CURLOPT_QUICK_EXIT lets a
 * transfer end while its lookup hangs; without it curl waits for the resolver's thread, and so do
 * we all.
 */
#include "net/curl_transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/curl_error.h"
#include "net/netguard.h"

enum {
    RECEIVE_BUFFER_BYTES = 4096,
    UPLOAD_BUFFER_BYTES = 16384,
    IDLE_AGE_DEFAULT_S = 118, /* libcurl's */
    SUPPRESSED_LINES = 2,     /* "Expect:" and "Accept:" */
};

/* ---- What all transfers share --------------------------------------------------------------- */

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
    env->user_agent = options->user_agent ? strdup(options->user_agent) : NULL;
    env->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    env->proxy = strdup(options->proxy ? options->proxy : "");
    return env->proxy && (env->user_agent || !options->user_agent) &&
           (env->ca_file || !options->ca_file);
}

bool curl_env_init(struct curl_env *env, struct fd_watches *watches,
                   const struct outbound_options *options)
{
    *env = (struct curl_env){.watches = watches};
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
    *env = (struct curl_env){.watches = NULL};
}

/* ---- What curl tells about a transfer ------------------------------------------------------- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct curl_transfer *transfer = arg;
    struct outbound_result *result = &transfer->result;
    size_t len = size * count;
    size_t room = sizeof(transfer->head) - result->body_head.len;
    size_t kept = len < room ? len : room;
    memcpy(transfer->head + result->body_head.len, bytes, kept);
    result->body_head.len += kept;
    result->body_bytes += len;
    result->truncated = result->body_bytes > transfer->response_bytes_max;
    return result->truncated ? CURL_WRITEFUNC_ERROR : len;
}

/* One whole header line, of provisional answers and trailers too. */
static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    static const struct slice name = {"retry-after:", 12};
    struct curl_transfer *transfer = arg;
    struct slice line = slice_of(bytes, size * count);
    transfer->header_bytes += line.len;
    if (transfer->header_bytes > LIMIT_RESPONSE_HEADER_BYTES)
        return 0; /* CURLE_WRITE_ERROR */
    if (slice_starts(line, SLICE("HTTP/"))) {
        transfer->header_ended = false;
        transfer->result.retry_after_ms = -1; /* what a 1xx said does not count */
    } else if (line.ptr[0] == '\r' || line.ptr[0] == '\n') {
        transfer->header_ended = true;
    } else if (line.len > name.len && slice_eq_nocase(slice_of(line.ptr, name.len), name)) {
        transfer->result.retry_after_ms =
            outbound_retry_after(slice_from(line, name.len), clock_wall_ms());
    }
    return line.len;
}

static void note_address(struct curl_transfer *transfer, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    char *place = transfer->result.address;
    size_t room = sizeof(transfer->result.address);
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
        snprintf(place, room, "%s:%u", text, ntohs(v4.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
        snprintf(place, room, "[%s]:%u", text, ntohs(v6.sin6_port));
    }
}

/* With a proxy all addresses are the proxy's, which the operator chose. */
static bool guarded(const struct curl_env *env)
{
    return env->proxy[0] == '\0';
}

/* Just before curl connects: the last word on an address. A refusal makes curl try the next one. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct curl_transfer *transfer = arg;
    struct curl_env *env = transfer->env;
    note_address(transfer, &address->addr);
    if (guarded(env) && !netguard_allows(env->guard, &address->addr, &transfer->denied)) {
        env->stats.addresses_denied++;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->protocol);
    if (fd < 0) {
        transfer->socket_errno = errno;
        return CURL_SOCKET_BAD;
    }
    if (!fd_watch_adopt(env->watches, fd, transfer->watch_owner)) {
        transfer->socket_errno = ENOMEM;
        close(fd);
        return CURL_SOCKET_BAD;
    }
    transfer->sockets_opened++;
    env->stats.connections_opened++;
    env->stats.connections_open++;
    return fd;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct curl_env *env = arg;
    fd_watch_drop(env->watches, fd);
    env->stats.connections_open--;
    return close(fd);
}

/* Just before the request goes out, on kept connections too: the policy may have changed since, and
 * the right to send may have ended. */
static int on_before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    (void)local;
    (void)local_port;
    struct curl_transfer *transfer = arg;
    struct curl_env *env = transfer->env;
    snprintf(transfer->result.address, sizeof(transfer->result.address),
             strchr(peer, ':') ? "[%s]:%d" : "%s:%d", peer, peer_port);
    if (guarded(env) && !netguard_allows_text(env->guard, peer, &transfer->denied)) {
        env->stats.addresses_denied++;
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->withheld = transfer->may_send && !transfer->may_send(transfer->may_send_arg);
    if (transfer->withheld)
        return CURL_PREREQFUNC_ABORT;
    transfer->begun = true;
    return CURL_PREREQFUNC_OK;
}

/* ---- Results -------------------------------------------------------------------------------- */

static enum outbound_error classify(const struct curl_transfer *transfer, CURLcode code,
                                    long os_errno)
{
    if (transfer->withheld)
        return OUTBOUND_CANCELLED;
    if (code == CURLE_OK && !transfer->header_ended)
        return OUTBOUND_CONNECTION_RESET; /* for curl a header ends with the connection, too */
    if (code == CURLE_OK || transfer->result.truncated)
        return OUTBOUND_OK;
    if (transfer->header_bytes > LIMIT_RESPONSE_HEADER_BYTES)
        return OUTBOUND_RESPONSE_TOO_LARGE;
    if (transfer->denied && (transfer->sockets_opened == 0 || code == CURLE_ABORTED_BY_CALLBACK))
        return OUTBOUND_ADDRESS_DENIED;
    if (transfer->socket_errno && transfer->sockets_opened == 0)
        return curl_errno_class(transfer->socket_errno);
    curl_off_t first_byte_us = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us);
    struct curl_failure failure = {
        .code = (int)code,
        .os_errno = (int)os_errno,
        .connected = transfer->begun,
        .answered = first_byte_us > 0,
        .detail = transfer->detail,
    };
    return curl_error_class(&failure);
}

static void set_detail(struct curl_transfer *transfer, const char *detail)
{
    snprintf(transfer->detail, sizeof(transfer->detail), "%s", detail);
}

static void complete(struct curl_transfer *transfer, enum outbound_error error)
{
    struct outbound_result *result = &transfer->result;
    uint64_t now_us = clock_mono_us();
    result->error = error;
    result->detail = transfer->detail;
    result->duration_us = now_us > transfer->started_us ? now_us - transfer->started_us : 0;
    result->connection_reused = transfer->begun && transfer->sockets_opened == 0;
    transfer->env->stats.connections_reused += result->connection_reused;
}

void curl_transfer_complete(struct curl_transfer *transfer, CURLcode code)
{
    long status_code = 0, os_errno = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status_code);
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_errno);
    transfer->errno_is_stale = os_errno != 0;
    enum outbound_error error = classify(transfer, code, os_errno);
    if (error == OUTBOUND_OK || status_code >= 200) /* a 1xx is no status yet */
        transfer->result.status_code = (int)status_code;
    if (error == OUTBOUND_OK)
        set_detail(transfer, "");
    else if (transfer->withheld)
        set_detail(transfer, "it must not be sent from here any more");
    else if (error == OUTBOUND_ADDRESS_DENIED && transfer->denied)
        set_detail(transfer, transfer->denied);
    else if (error == OUTBOUND_ADDRESS_DENIED)
        set_detail(transfer, "http is not allowed here, only https");
    else if (error == OUTBOUND_RESPONSE_TOO_LARGE)
        set_detail(transfer, "the response's headers are too large");
    else if (code == CURLE_OK)
        set_detail(transfer, "the connection was closed inside the response's header");
    else if (transfer->detail[0] == '\0')
        set_detail(transfer, curl_easy_strerror(code));
    complete(transfer, error);
}

void curl_transfer_abandon(struct curl_transfer *transfer, enum outbound_error error,
                           const char *detail)
{
    set_detail(transfer, detail);
    complete(transfer, error);
}

/* ---- What a transfer is to do --------------------------------------------------------------- */

/* The options that are the same for every request. */
static bool set_policy(struct curl_transfer *transfer)
{
    struct curl_env *env = transfer->env;
    bool failed = false;
#define SET(option, value) failed |= curl_easy_setopt(transfer->easy, option, value) != CURLE_OK
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->detail);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, env); /* the connection outlives the request */
    SET(CURLOPT_PREREQFUNCTION, on_before_request);
    SET(CURLOPT_PREREQDATA, transfer);

    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_USERAGENT, env->user_agent);
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

static bool make_handle(struct curl_transfer *transfer)
{
    transfer->easy = curl_easy_init();
    transfer->connect_timeout_ms = transfer->total_timeout_ms = 0;
    transfer->insecure_http_allowed = false;
    return transfer->easy && set_policy(transfer);
}

/* Chains the caller's lines and two that suppress curl's own. */
static bool set_lines(struct curl_transfer *transfer, const struct outbound_call *call)
{
    static const char *const suppressed[SUPPRESSED_LINES] = {"Expect:", "Accept:"};
    size_t count = call->header_count + SUPPRESSED_LINES;
    if (count > transfer->line_cap) {
        struct curl_slist *lines = realloc(transfer->lines, count * sizeof(*lines));
        if (!lines)
            return false;
        transfer->lines = lines;
        transfer->line_cap = count;
    }
    for (size_t i = 0; i < count; i++) {
        const char *line =
            i < call->header_count ? call->header_lines[i] : suppressed[i - call->header_count];
        transfer->lines[i].data = (char *)(uintptr_t)line; /* curl reads only */
        transfer->lines[i].next = i + 1 < count ? &transfer->lines[i + 1] : NULL;
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines) == CURLE_OK;
}

static long timeout_option(uint64_t ms)
{
    return ms > INT32_MAX ? INT32_MAX : (long)ms;
}

/* The options that differ between requests. */
static bool set_call(struct curl_transfer *transfer, const struct outbound_call *call)
{
    bool failed = !set_lines(transfer, call);
#define SET(option, value) failed |= curl_easy_setopt(transfer->easy, option, value) != CURLE_OK
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    SET(CURLOPT_POSTFIELDS, call->body.len ? call->body.ptr : ""); /* NULL would read from stdin */
    if (transfer->connect_timeout_ms != call->connect_timeout_ms)
        SET(CURLOPT_CONNECTTIMEOUT_MS, timeout_option(call->connect_timeout_ms));
    if (transfer->total_timeout_ms != call->total_timeout_ms)
        SET(CURLOPT_TIMEOUT_MS, timeout_option(call->total_timeout_ms));
    if (transfer->insecure_http_allowed != call->insecure_http_allowed)
        SET(CURLOPT_PROTOCOLS_STR, call->insecure_http_allowed ? "http,https" : "https");
#undef SET
    transfer->connect_timeout_ms = call->connect_timeout_ms;
    transfer->total_timeout_ms = call->total_timeout_ms;
    transfer->insecure_http_allowed = call->insecure_http_allowed;
    return !failed;
}

static void forget_last(struct curl_transfer *transfer)
{
    transfer->started_us = clock_mono_us();
    transfer->begun = false;
    transfer->withheld = false;
    transfer->header_bytes = 0;
    transfer->header_ended = false;
    transfer->sockets_opened = 0;
    transfer->socket_errno = 0;
    transfer->denied = NULL;
    transfer->detail[0] = '\0';
    transfer->result = (struct outbound_result){
        .body_head = slice_of(transfer->head, 0),
        .retry_after_ms = -1,
    };
}

static bool lines_are_clean(const struct outbound_call *call)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (strpbrk(call->header_lines[i], "\r\n"))
            return false;
    return true;
}

enum status curl_transfer_prepare(struct curl_transfer *transfer, const struct outbound_call *call,
                                  void *arg, void *watch_owner)
{
    if (!lines_are_clean(call))
        return ST_SYNTAX;
    if (transfer->errno_is_stale)
        curl_transfer_drop_handle(transfer);
    if (!transfer->easy && !make_handle(transfer))
        return ST_NOMEM;
    transfer->watch_owner = watch_owner;
    transfer->may_send = call->may_send;
    transfer->may_send_arg = arg;
    transfer->response_bytes_max = call->response_bytes_max;
    forget_last(transfer);
    return set_call(transfer, call) ? ST_OK : ST_NOMEM;
}

void curl_transfer_drop_handle(struct curl_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
    transfer->errno_is_stale = false;
}

void curl_transfer_deinit(struct curl_transfer *transfer)
{
    curl_transfer_drop_handle(transfer);
    free(transfer->lines);
    transfer->lines = NULL;
    transfer->line_cap = 0;
}
