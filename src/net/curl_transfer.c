/* curl_transfer.c - the easy handle's side of the plain route.
 *
 * What a transfer may do is set once for the life of a handle (curl_env_set_policy, set_policy);
 * what a call chooses is set in set_call(). One thing sticks to a handle that should not: 7.88
 * never clears CURLINFO_OS_ERRNO, so a handle that has seen an error of the system is not used
 * again.
 *
 * The callbacks here take notes and judge; they call nothing of libcurl's. Addresses, judged when a
 * socket is opened (curl_env.c), are judged again right before a request goes out, since the policy
 * may have changed while its connection was kept. That moment, CURLOPT_PREREQFUNCTION, comes for
 * every request: curl calls it in its state DO, which a request enters on a new connection, on a
 * kept one, and once more when it is sent again because the kept one turned out to be closed. So
 * the caller's may_send() is asked there too.
 */
#include "net/curl_transfer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/curl_error.h"

enum {
    RECEIVE_BUFFER_BYTES = 4096,
    UPLOAD_BUFFER_BYTES = 16384,
    SUPPRESSED_LINES = 2, /* "Expect:" and "Accept:" */
};

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

/* Just before the request goes out, on kept connections too: the policy may have changed since, and
 * the right to send may have ended. */
static int on_before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    (void)local;
    (void)local_port;
    struct curl_transfer *transfer = arg;
    struct curl_dial *dial = &transfer->dial;
    snprintf(dial->address, sizeof(dial->address), strchr(peer, ':') ? "[%s]:%d" : "%s:%d", peer,
             peer_port);
    if (!curl_env_allows_text(dial->sockets->env, peer, &dial->denied))
        return CURL_PREREQFUNC_ABORT;
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
    if (transfer->dial.denied && code == CURLE_ABORTED_BY_CALLBACK)
        return OUTBOUND_ADDRESS_DENIED;
    if (curl_dial_refusal(&transfer->dial) != OUTBOUND_OK)
        return curl_dial_refusal(&transfer->dial);
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
    result->connection_reused = transfer->begun && transfer->dial.opened == 0;
    transfer->dial.sockets->env->stats.connections_reused += result->connection_reused;
    memcpy(result->address, transfer->dial.address, sizeof(result->address));
}

void curl_transfer_complete(struct curl_transfer *transfer, CURLcode code)
{
    long status_code = 0, os_errno = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status_code);
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_errno);
    transfer->errno_is_stale = os_errno != 0;
    enum outbound_error error = classify(transfer, code, os_errno);
    if (transfer->header_ended && status_code >= 200) /* a 1xx is no status yet */
        transfer->result.status_code = (int)status_code;
    if (error == OUTBOUND_OK)
        set_detail(transfer, "");
    else if (transfer->withheld)
        set_detail(transfer, "it must not be sent from here any more");
    else if (error == OUTBOUND_ADDRESS_DENIED && transfer->dial.denied)
        set_detail(transfer, transfer->dial.denied);
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
    bool failed = !curl_env_set_policy(transfer->easy, &transfer->dial, transfer->detail);
#define SET(option, value) failed |= curl_easy_setopt(transfer->easy, option, value) != CURLE_OK
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_PREREQFUNCTION, on_before_request);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_USERAGENT, transfer->dial.sockets->env->user_agent);
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

static bool copy_lines(struct curl_transfer *transfer, const struct outbound_call *call)
{
    if (!transfer->text.ptr)
        buf_init(&transfer->text, SIZE_MAX);
    buf_clear(&transfer->text);
    for (size_t i = 0; i < call->header_count; i++)
        buf_add(&transfer->text, call->header_lines[i], strlen(call->header_lines[i]) + 1);
    return buf_status(&transfer->text) == ST_OK;
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
    if (!copy_lines(transfer, call))
        return false;
    char *line = transfer->text.ptr;
    for (size_t i = 0; i < call->header_count; i++, line += strlen(line) + 1)
        transfer->lines[i].data = line;
    for (size_t i = 0; i < SUPPRESSED_LINES; i++)
        transfer->lines[call->header_count + i].data =
            (char *)(uintptr_t)suppressed[i]; /* curl reads only */
    for (size_t i = 0; i < count; i++)
        transfer->lines[i].next = i + 1 < count ? &transfer->lines[i + 1] : NULL;
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines) == CURLE_OK;
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
        SET(CURLOPT_CONNECTTIMEOUT_MS, curl_timeout_option(call->connect_timeout_ms));
    if (transfer->total_timeout_ms != call->total_timeout_ms)
        SET(CURLOPT_TIMEOUT_MS, curl_timeout_option(call->total_timeout_ms));
    if (transfer->insecure_http_allowed != call->insecure_http_allowed)
        failed |= !curl_env_set_http(transfer->easy, call->insecure_http_allowed);
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
    curl_dial_begin(&transfer->dial);
    transfer->detail[0] = '\0';
    transfer->result = (struct outbound_result){
        .body_head = slice_of(transfer->head, 0),
        .retry_after_ms = -1,
    };
}

bool curl_transfer_prepare(struct curl_transfer *transfer, const struct outbound_call *call,
                           void *arg, void *watch_owner)
{
    if (transfer->errno_is_stale)
        curl_transfer_drop_handle(transfer);
    if (!transfer->easy && !make_handle(transfer))
        return false;
    transfer->dial.watch_owner = watch_owner;
    transfer->may_send = call->may_send;
    transfer->may_send_arg = arg;
    transfer->response_bytes_max = call->response_bytes_max;
    forget_last(transfer);
    return set_call(transfer, call);
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
    buf_free(&transfer->text);
    transfer->lines = NULL;
    transfer->line_cap = 0;
}
