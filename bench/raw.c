/* raw.c - the least a signed delivery can cost: what outbound HTTP is held against.
 *
 * Sends the same requests as the server does (Standard Webhooks, HMAC-SHA256, a fresh id, timestamp
 * and signature each) over connections that stay open, each with one request on its way, and counts
 * the answers. There is no queue, no Redis, no retry and no timeout of a single request: what is
 * left is the kernel, the digest and, for https, OpenSSL.
 *
 * One thread, one epoll. Every connection owns a request that was rendered once; before each
 * sending digits and the signature are written over in place, so that head and body leave by one
 * write:
 *
 *     POST /ok/0 HTTP/1.1 … webhook-id: evt_<run>_1000000042 … webhook-signature: v1,<base64> …
 *     {"type":"bench","timestamp":"…","data":{"t":1000000123456789012,"n":1000000042,"pad":"xxx…"}}
 *
 * t and n are what bench-load writes, so bench-sink can tell each delivery's age and whether one
 * came twice. All connections are made, and TLS agreed on, before the clock starts.
 *
 * The reading of answers is strict and knows only what a receiver in a benchmark needs to send:
 * HTTP/1.1, a status line, Content-Length, nothing behind it, and the connection stays. Anything
 * else ends the program, for no figure is better than a wrong one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "hist.h"

enum {
    ANSWER_BYTES = 4 * 1024, /* of an answer, head and body */
    EVENTS = 256,
    TIME_DIGITS = 19,
    NUMBER_DIGITS = 10,
    SECONDS_DIGITS = 10,
    ID_BYTES = 4 + 16 + 1 + NUMBER_DIGITS,            /* evt_, the run, _, the number */
    PREFIX_BYTES = ID_BYTES + 1 + SECONDS_DIGITS + 1, /* what is signed before the body */
    SIGNATURE_BYTES = 44,                             /* 32 in base64 */
    SECRET_BYTES_MIN = 24,
    SECRET_BYTES_MAX = 75
};
/* Keep t and n at their count of digits: see load.c. */
static const uint64_t TIME_BASE = UINT64_C(1000000000000000000);
static const uint64_t NUMBER_BASE = UINT64_C(1000000000);
static const uint64_t SECOND_NS = UINT64_C(1000000000);

/* ---- options ------------------------------------------------------------------------------- */

static struct {
    bool https, is_unsigned;
    char host[256], port[8], path[1024];
    const char *secret, *ca;
    size_t size;
    unsigned connections;
    uint64_t deliveries;
    unsigned timeout; /* seconds without any answer after which we give up */
} option = {.path = "/",
            .secret = "whsec_dGhlIHNlY3JldCBvZiBldmVyeSBiZW5jaG1hcms=",
            .size = 1024,
            .connections = 128,
            .deliveries = 100000,
            .timeout = 30};

static const char usage[] =
    "usage: bench-raw --url http[s]://HOST:PORT[/PATH] [options]\n"
    "\n"
    "Delivers signed requests as fast as they are answered and prints one line of JSON: how many, "
    "how\n"
    "fast, and what CPU time each took. All answers must be 2xx.\n"
    "\n"
    "  --deliveries N       100000 from the start\n"
    "  --connections N      each with one request on its way; 128 from the start\n"
    "  --size BYTES         of the JSON body; 1024 from the start\n"
    "  --secret whsec_…     what to sign with; a fixed one from the start\n"
    "  --unsigned           leave the signature of the first request in place: what signing costs\n"
    "  --ca FILE            https: verify the receiver's certificate with it; otherwise nothing "
    "is\n"
    "  --timeout SECONDS    give up after this long without any answer; 30 from the start\n";

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench-raw: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void die_ssl(const char *what)
{
    fprintf(stderr, "bench-raw: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void refuse(const char *what)
{
    fprintf(stderr, "bench-raw: %s\n\n%s", what, usage);
    exit(2);
}

/* ---- signing ------------------------------------------------------------------------------- */

static EVP_MAC_CTX *signer; /* keyed; each use begins with an init without a key */

static void signer_open(void)
{
    static const char prefix[] = "whsec_";
    size_t len = strlen(option.secret), padding = 0;
    if (strncmp(option.secret, prefix, sizeof prefix - 1) != 0 || len > 128)
        refuse("--secret must be whsec_ and base64");
    const char *text = option.secret + sizeof prefix - 1;
    len -= sizeof prefix - 1;
    while (padding < len && padding < 2 && text[len - 1 - padding] == '=')
        padding++;
    unsigned char key[128];
    int key_len = EVP_DecodeBlock(key, (const unsigned char *)text, (int)len) - (int)padding;
    if (len % 4 != 0 || key_len < SECRET_BYTES_MIN || key_len > SECRET_BYTES_MAX)
        refuse("--secret must be whsec_ and the base64 of 24 to 75 bytes");
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    signer = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac); /* the context has a reference of its own */
    if (!signer || !EVP_MAC_init(signer, key, (size_t)key_len, parameters))
        die_ssl("HMAC-SHA256");
}

/* Writes the signature of prefix and body, without a NUL. */
static void sign(char *out, const char *prefix, const char *body)
{
    unsigned char digest[32], text[SIGNATURE_BYTES + 1];
    size_t len;
    if (!EVP_MAC_init(signer, NULL, 0, NULL) ||
        !EVP_MAC_update(signer, (const unsigned char *)prefix, PREFIX_BYTES) ||
        !EVP_MAC_update(signer, (const unsigned char *)body, option.size) ||
        !EVP_MAC_final(signer, digest, &len, sizeof digest))
        die_ssl("signing");
    EVP_EncodeBlock(text, digest, (int)sizeof digest);
    memcpy(out, text, SIGNATURE_BYTES);
}

/* ---- requests ------------------------------------------------------------------------------ */

/* Where things stand in a rendered request; the same in all of them. */
static struct {
    size_t len, id_at, seconds_at, signature_at, body_at, time_at, number_at;
} layout;

/* Writes `value` with exactly `digits` digits. */
static void put_digits(char *at, unsigned digits, uint64_t value)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* The body up to what fills it; its length. */
static size_t body_render(char *out, size_t size)
{
    char when[32];
    time_t now = time(NULL);
    struct tm calendar;
    gmtime_r(&now, &calendar);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S.000Z", &calendar);
    int len =
        snprintf(out, size, "{\"type\":\"bench\",\"timestamp\":\"%s\",\"data\":{\"t\":", when);
    layout.time_at = layout.body_at + (size_t)len;
    len += snprintf(out + len, size - (size_t)len, "%0*d,\"n\":", TIME_DIGITS, 0);
    layout.number_at = layout.body_at + (size_t)len;
    len += snprintf(out + len, size - (size_t)len, "%0*d,\"pad\":\"", NUMBER_DIGITS, 0);
    return (size_t)len;
}

/* Renders the request that all connections copy and fills in `layout`. */
static char *request_render(void)
{
    char head[2048], body[256];
    uint64_t run;
    if (getrandom(&run, sizeof run, 0) != (ssize_t)sizeof run)
        die("getrandom");
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: bench-raw\r\n"
                       "Content-Length: %zu\r\nwebhook-id: ",
                       option.path, option.host, option.port, option.size);
    if (len >= (int)sizeof head - 256)
        refuse("the url is too long");
    layout.id_at = (size_t)len;
    len += snprintf(head + len, sizeof head - (size_t)len,
                    "evt_%016" PRIx64 "_%0*d\r\nwebhook-timestamp: ", run, NUMBER_DIGITS, 0);
    layout.seconds_at = (size_t)len;
    len += snprintf(head + len, sizeof head - (size_t)len, "%0*d\r\nwebhook-signature: v1,",
                    SECONDS_DIGITS, 0);
    layout.signature_at = (size_t)len;
    len += snprintf(head + len, sizeof head - (size_t)len,
                    "%0*d\r\nContent-Type: application/json\r\n\r\n", SIGNATURE_BYTES, 0);
    layout.body_at = (size_t)len;
    layout.len = layout.body_at + option.size;
    static const char tail[] = "\"}}";
    size_t body_len = body_render(body, sizeof body);
    if (option.size < body_len + sizeof tail - 1)
        refuse("--size is too small for the event around it");
    char *request = malloc(layout.len);
    if (!request)
        die("malloc");
    memset(request, 'x', layout.len);
    memcpy(request, head, layout.body_at);
    memcpy(request + layout.body_at, body, body_len);
    memcpy(request + layout.len - (sizeof tail - 1), tail, sizeof tail - 1);
    return request;
}

static void request_patch(char *request, uint64_t number, uint64_t sent_ns)
{
    put_digits(request + layout.time_at, TIME_DIGITS, TIME_BASE + sent_ns);
    put_digits(request + layout.number_at, NUMBER_DIGITS, NUMBER_BASE + number);
    put_digits(request + layout.id_at + ID_BYTES - NUMBER_DIGITS, NUMBER_DIGITS,
               NUMBER_BASE + number);
    put_digits(request + layout.seconds_at, SECONDS_DIGITS,
               now_ns(CLOCK_REALTIME_COARSE) / SECOND_NS);
    if (option.is_unsigned)
        return;
    char prefix[PREFIX_BYTES];
    memcpy(prefix, request + layout.id_at, ID_BYTES);
    prefix[ID_BYTES] = '.';
    memcpy(prefix + ID_BYTES + 1, request + layout.seconds_at, SECONDS_DIGITS);
    prefix[PREFIX_BYTES - 1] = '.';
    sign(request + layout.signature_at, prefix, request + layout.body_at);
}

/* ---- connections ---------------------------------------------------------------------------- */

/*   idle --send--> on its way --answer--> idle */
struct connection {
    int fd;
    bool wants_write; /* epoll knows that we wait for room */
    SSL *ssl;         /* NULL: http */
    char *request;
    uint64_t sent_ns;
    size_t sent, len; /* bytes of the request that left; bytes in `in` */
    char in[ANSWER_BYTES];
};

static struct {
    uint64_t sent, answered, start_ns, end_ns;
    struct hist latency_us;
} total;

static int epoll;
static struct connection *connections;
static SSL_CTX *tls;

static void tls_open(void)
{
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || (option.ca && !SSL_CTX_load_verify_locations(tls, option.ca, NULL)))
        die_ssl(option.ca ? option.ca : "TLS");
    SSL_CTX_set_verify(tls, option.ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/* Blocking, for the clock does not run yet. Server Name Indication is for names (RFC 6066). */
static void connection_secure(struct connection *connection)
{
    struct in_addr numeric;
    bool named = inet_pton(AF_INET, option.host, &numeric) != 1;
    SSL *ssl = SSL_new(tls);
    if (!ssl || !SSL_set_fd(ssl, connection->fd) ||
        (named && !SSL_set_tlsext_host_name(ssl, option.host)) ||
        (option.ca && !SSL_set1_host(ssl, option.host)) || SSL_connect(ssl) != 1)
        die_ssl("the TLS handshake failed");
    connection->ssl = ssl;
}

static void connection_open(struct connection *connection, const struct addrinfo *address,
                            const char *request)
{
    int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->fd = fd;
    if (option.https)
        connection_secure(connection);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    connection->request = malloc(layout.len);
    if (!connection->request)
        die("malloc");
    memcpy(connection->request, request, layout.len);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl");
}

/* As read() and write(), for both kinds; -1 is "not now", and everything worse ends the program. A
 * TLS 1.3 peer may rekey, but then it is the reading that writes, with room in the socket. */
static ssize_t connection_read(struct connection *connection)
{
    char *to = connection->in + connection->len;
    size_t room = ANSWER_BYTES - connection->len;
    ssize_t n;
    if (connection->ssl) {
        n = SSL_read(connection->ssl, to, (int)room);
        if (n <= 0 && SSL_get_error(connection->ssl, (int)n) != SSL_ERROR_WANT_READ)
            die_ssl("the receiver ended a connection");
        return n > 0 ? n : -1;
    }
    n = read(connection->fd, to, room);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        errno = n == 0 ? ECONNRESET : errno;
        die("the receiver ended a connection");
    }
    return n;
}

static ssize_t connection_write(struct connection *connection)
{
    const char *from = connection->request + connection->sent;
    size_t left = layout.len - connection->sent;
    ssize_t n;
    if (connection->ssl) {
        n = SSL_write(connection->ssl, from, (int)left);
        if (n <= 0 && SSL_get_error(connection->ssl, (int)n) != SSL_ERROR_WANT_WRITE)
            die_ssl("writing to a connection failed");
        return n > 0 ? n : -1;
    }
    n = write(connection->fd, from, left);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("writing to a connection failed");
    return n;
}

/* Writes what is left of the request; asks to be woken only when the socket is full. */
static void connection_push(struct connection *connection)
{
    ssize_t n;
    while (connection->sent < layout.len && (n = connection_write(connection)) > 0)
        connection->sent += (size_t)n;
    bool wants_write = connection->sent < layout.len;
    if (wants_write == connection->wants_write)
        return;
    connection->wants_write = wants_write;
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0),
                                .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0)
        die("epoll_ctl");
}

static void connection_send(struct connection *connection)
{
    connection->sent_ns = now_ns(CLOCK_MONOTONIC);
    request_patch(connection->request, total.sent++, connection->sent_ns);
    connection->sent = 0;
    connection_push(connection);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void answer_refuse(const struct connection *connection, const char *what)
{
    fprintf(stderr, "bench-raw: an answer %s: %.*s\n", what,
            (int)(connection->len < 200 ? connection->len : 200), connection->in);
    exit(1);
}

static const char *line_after(const char *line, const char *end)
{
    const char *at = memmem(line, (size_t)(end - line), "\r\n", 2);
    return at ? at + 2 : end;
}

/* The value of the one Content-Length in a head, which ends with its last field's line break; -1:
 * none, several, or not a small number. */
static long content_length(const char *head, const char *end)
{
    static const char name[] = "content-length:";
    long found = -1;
    for (const char *line = line_after(head, end); line < end; line = line_after(line, end)) {
        if ((size_t)(end - line) < sizeof name || strncasecmp(line, name, sizeof name - 1) != 0)
            continue;
        const char *at = line + sizeof name - 1;
        at += strspn(at, " ");
        size_t digits = strspn(at, "0123456789");
        if (found >= 0 || digits == 0 || digits > 6 || at[digits] != '\r')
            return -1;
        found = atol(at);
    }
    return found;
}

/* True when the answer is all there; then it was a 2xx and nothing lies behind it. */
static bool answer_complete(const struct connection *connection)
{
    static const char version[] = "HTTP/1.1 2";
    const char *in = connection->in, *end = memmem(in, connection->len, "\r\n\r\n", 4);
    if (connection->len >= sizeof version + 2 &&
        (memcmp(in, version, sizeof version - 1) != 0 || strspn(in + 9, "0123456789") != 3))
        answer_refuse(connection, "is not HTTP/1.1 2xx");
    if (!end && connection->len == ANSWER_BYTES)
        answer_refuse(connection, "is too long");
    if (!end)
        return false;
    end += 4;
    long length = content_length(in, end - 2);
    if (memcmp(in + 9, "204", 3) == 0 && length < 0)
        length = 0;
    if (length < 0 || (size_t)(end - in) + (size_t)length > ANSWER_BYTES)
        answer_refuse(connection, "has no Content-Length, several or a large one");
    size_t whole = (size_t)(end - in) + (size_t)length;
    if (connection->len > whole)
        answer_refuse(connection, "has something behind it");
    return connection->len == whole;
}

static void connection_receive(struct connection *connection)
{
    ssize_t n = connection_read(connection);
    if (n <= 0)
        return;
    connection->len += (size_t)n;
    if (connection->sent < layout.len)
        answer_refuse(connection, "came before the request was sent");
    if (!answer_complete(connection))
        return;
    total.end_ns = now_ns(CLOCK_MONOTONIC);
    hist_add(&total.latency_us, (total.end_ns - connection->sent_ns) / 1000);
    total.answered++;
    connection->len = 0;
    if (total.sent < option.deliveries)
        connection_send(connection);
}

/* ---- the run ------------------------------------------------------------------------------- */

static void run(void)
{
    total.start_ns = total.end_ns = now_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < option.connections && total.sent < option.deliveries; i++)
        connection_send(&connections[i]);
    while (total.answered < option.deliveries) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, (int)option.timeout * 1000);
        if (n == 0) {
            errno = ETIMEDOUT;
            die("no answer");
        }
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                connection_push(connection);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                connection_receive(connection);
        }
    }
}

static double cpu_us(const struct timeval *time)
{
    return (double)time->tv_sec * 1e6 + (double)time->tv_usec;
}

static void print_result(const struct rusage *before, const struct rusage *after)
{
    double seconds = (double)(total.end_ns - total.start_ns) / 1e9;
    double user = cpu_us(&after->ru_utime) - cpu_us(&before->ru_utime);
    double kernel = cpu_us(&after->ru_stime) - cpu_us(&before->ru_stime);
    double deliveries = (double)total.answered;
    printf("{\"deliveries\":%" PRIu64 ",\"connections\":%u,\"https\":%s,\"signed\":%s,"
           "\"size\":%zu,\"seconds\":%.3f,\"rate\":%.0f,\"cpu_us_per_delivery\":%.2f,"
           "\"user_us_per_delivery\":%.2f,\"kernel_us_per_delivery\":%.2f,\"rss_peak_kib\":%ld,"
           "\"openssl\":\"%s\",\"latency_us\":",
           total.answered, option.connections, option.https ? "true" : "false",
           option.is_unsigned ? "false" : "true", option.size, seconds, deliveries / seconds,
           (user + kernel) / deliveries, user / deliveries, kernel / deliveries, after->ru_maxrss,
           OpenSSL_version(OPENSSL_VERSION_STRING));
    hist_print_json(&total.latency_us, stdout);
    printf("}\n");
}

static void parse_url(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0)
        refuse("--url must begin with http:// or https://");
    option.https = scheme == 8;
    int n = sscanf(url + scheme, "%255[^:/]:%7[0-9]%1023s", option.host, option.port, option.path);
    if (n < 2 || (n == 3 && option.path[0] != '/'))
        refuse("--url must be http[s]://HOST:PORT or http[s]://HOST:PORT/PATH");
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"url", required_argument, NULL, 'u'},
                                            {"deliveries", required_argument, NULL, 'n'},
                                            {"connections", required_argument, NULL, 'c'},
                                            {"size", required_argument, NULL, 's'},
                                            {"secret", required_argument, NULL, 'k'},
                                            {"unsigned", no_argument, NULL, 'U'},
                                            {"ca", required_argument, NULL, 'a'},
                                            {"timeout", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'u':
            parse_url(optarg);
            break;
        case 'n':
            option.deliveries = strtoull(optarg, NULL, 10);
            break;
        case 'c':
            option.connections = (unsigned)atoi(optarg);
            break;
        case 's':
            option.size = strtoul(optarg, NULL, 10);
            break;
        case 'k':
            option.secret = optarg;
            break;
        case 'U':
            option.is_unsigned = true;
            break;
        case 'a':
            option.ca = optarg;
            break;
        case 'o':
            option.timeout = (unsigned)atoi(optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (!option.port[0])
        refuse("--url is missing");
    if (option.connections < 1 || option.connections > 20000 || option.deliveries < 1 ||
        option.size > 1024 * 1024 || option.timeout < 1 || option.timeout > 3600)
        refuse("an option is out of range");
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
    int fault = getaddrinfo(option.host, option.port, &hints, &address);
    if (fault != 0) {
        fprintf(stderr, "bench-raw: %s: %s\n", option.host, gai_strerror(fault));
        return 1;
    }
    signer_open();
    if (option.https)
        tls_open();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(option.connections, sizeof *connections);
    if (epoll < 0 || !connections)
        die("epoll_create1 or calloc");
    char *request = request_render();
    for (unsigned i = 0; i < option.connections; i++)
        connection_open(&connections[i], address, request);
    free(request);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    run();
    getrusage(RUSAGE_SELF, &after);
    print_result(&before, &after);
    return 0; /* memory and sockets end with the process */
}
