/* Tests of net/outbound over https: which certificates pass, what failed handshakes are called, and
 * that sessions and connections are used again. All of them run on each route, and on the direct
 * one in both of its ways to speak TLS. The target is a child process with OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/netguard.h"
#include "net/outbound.h"
#include "net/reactor.h"

/* ---- Time that jumps, and a libcurl that is not told ---------------------------------------- */

static time_t ahead_s; /* of the real time, for all in this process */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec += ahead_s;
    return result;
}

/* In place of libcurl's functions. For the next handle (when `choose_untouched`) they do nothing:
 * its connection is left as it is after the connecting, and so counts as idle. */
enum { AGAIN = 81 /* CURLE_AGAIN */ };
int curl_easy_recv(void *easy, void *to, size_t room, size_t *count);
int curl_easy_send(void *easy, const void *from, size_t len, size_t *count);
static bool choose_untouched;
static void *untouched;

int curl_easy_recv(void *easy, void *to, size_t room, size_t *count)
{
    static int (*real)(void *, void *, size_t, size_t *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "curl_easy_recv");
    *count = 0;
    if (choose_untouched)
        untouched = easy;
    choose_untouched = false;
    return easy == untouched ? AGAIN : real(easy, to, room, count);
}

int curl_easy_send(void *easy, const void *from, size_t len, size_t *count)
{
    static int (*real)(void *, const void *, size_t, size_t *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "curl_easy_send");
    *count = 0;
    return easy == untouched ? AGAIN : real(easy, from, len, count);
}

/* ---- Certificates --------------------------------------------------------------------------- */

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Signed by `issuer`, or by itself when that is NULL; then it is an authority. */
static struct identity make_identity(const struct identity *issuer, const char *alt_name,
                                     long valid_from_s, long valid_until_s)
{
    static long serial = 1;
    struct identity made = {X509_new(), EVP_EC_gen("P-256")};
    assert_true(made.certificate && made.key);
    const struct identity *by = issuer ? issuer : &made;
    X509_set_version(made.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), valid_from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), valid_until_s);
    X509_set_pubkey(made.certificate, made.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)(issuer ? "target" : "authority"), -1, -1, 0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(by->certificate));
    add_extension(made.certificate, by->certificate, NID_basic_constraints,
                  issuer ? "CA:FALSE" : "critical,CA:TRUE");
    add_extension(made.certificate, by->certificate, NID_subject_alt_name, alt_name);
    assert_true(X509_sign(made.certificate, by->key, EVP_sha256()) > 0);
    return made;
}

static void free_identity(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

/* ---- The target ----------------------------------------------------------------------------- */

enum behaviour {
    ANSWER_KEEP,     /* 200 and the next request; the body tells whether the session was resumed */
    ANSWER_CLOSE,    /* 200, then the connection ends in order */
    CUT_IN_BODY,     /* half a body, then the end without close_notify */
    RESET_AFTER,     /* reset after the request */
    SECOND_CUT,      /* half a body for the second request, then the end without close_notify */
    SECOND_NOTIFIED, /* the same with close_notify */
    SECOND_RESET,    /* the same with a reset */
    SECOND_ENDED,    /* the end in order, in place of an answer to the second request */
    SECOND_LOST,     /* a reset in place of it */
    LARGE,           /* reads bodies slowly, and answers with a body of LARGE_ANSWER bytes */
    RESET_BEFORE,    /* reset in place of a handshake */
    CLOSE_BEFORE,    /* closed in place of a handshake */
    PLAIN_HTTP,      /* speaks http on this port */
    OLD_TLS,         /* nothing newer than TLS 1.1 */
    WANTS_CERTIFICATE, /* from the client, under TLS 1.3 */
    CROWD,             /* as ANSWER_KEEP, with a process for each connection */
    FIRST_WAITS        /* 200 on the first connection when the second comes, then both end */
};

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static int refuse_client(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 0;
}

enum { LARGE_ANSWER = 150000 };

/* The end of a connection that behaves badly with its second request. */
static void break_off(SSL *ssl, enum behaviour behaviour)
{
    static const char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    if (behaviour == CUT_IN_BODY || behaviour == SECOND_CUT || behaviour == SECOND_NOTIFIED ||
        behaviour == SECOND_RESET)
        SSL_write(ssl, cut, sizeof(cut) - 1);
    if (behaviour == SECOND_NOTIFIED || behaviour == SECOND_ENDED)
        SSL_shutdown(ssl);
    if (behaviour == SECOND_RESET || behaviour == SECOND_LOST || behaviour == RESET_AFTER)
        reset(SSL_get_fd(ssl));
}

/* Reads the body whose head is in `request` already, with the first of it. */
static void read_rest(SSL *ssl, const char *request, size_t len)
{
    char piece[1000];
    const char *body = strstr(request, "\r\n\r\n") + 4;
    size_t left = strtoul(strstr(request, "Content-Length: ") + 16, NULL, 10);
    left -= len - (size_t)(body - request);
    for (int count = 1; left > 0 && count > 0; left -= (size_t)count)
        count = SSL_read(ssl, piece, sizeof(piece));
}

static void answer_largely(SSL *ssl)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    char chunk[16 + 3000];
    SSL_write(ssl, head, sizeof(head) - 1);
    for (int i = 0; i < LARGE_ANSWER / 3000; i++) {
        int len = snprintf(chunk, sizeof(chunk), "%x\r\n%03000d\r\n", 3000, i);
        SSL_write(ssl, chunk, len);
    }
    SSL_write(ssl, "0\r\n\r\n", 5);
}

static int listener_fd; /* of a target, in its process */

/* Until another connection comes, or the client closes this one. */
static void wait_for_second(SSL *ssl)
{
    static bool was_here;
    struct pollfd fds[] = {{.fd = listener_fd, .events = POLLIN},
                           {.fd = SSL_get_fd(ssl), .events = POLLIN}};
    if (!was_here)
        poll(fds, 2, -1);
    was_here = true;
}

static void answer_requests(SSL *ssl, enum behaviour behaviour)
{
    char request[4096], answer[128];
    int count;
    for (int nth = 0; (count = SSL_read(ssl, request, sizeof(request) - 1)) > 0; nth++) {
        request[count] = '\0';
        if (behaviour == CUT_IN_BODY || behaviour == RESET_AFTER ||
            (behaviour >= SECOND_CUT && behaviour <= SECOND_LOST && nth == 1)) {
            break_off(ssl, behaviour);
            return;
        }
        if (behaviour == LARGE) {
            read_rest(ssl, request, (size_t)count);
            answer_largely(ssl);
            continue;
        }
        if (behaviour == FIRST_WAITS)
            wait_for_second(ssl);
        int len = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d",
                           SSL_session_reused(ssl));
        SSL_write(ssl, answer, len);
        if (behaviour == ANSWER_CLOSE || behaviour == FIRST_WAITS) {
            SSL_shutdown(ssl);
            return;
        }
    }
}

/* Reads until the client is gone: what is left unread would turn our close into a reset, which may
 * overtake the alert that was sent. */
static void wait_for_end(int fd)
{
    char rest[4096];
    shutdown(fd, SHUT_WR);
    while (read(fd, rest, sizeof(rest)) > 0)
        continue;
}

static void serve_one(SSL_CTX *context, int fd, enum behaviour behaviour)
{
    static const char plain[] = "HTTP/1.1 400 This is http\r\nContent-Length: 0\r\n\r\n";
    char hello[1];
    if (behaviour == RESET_BEFORE || behaviour == CLOSE_BEFORE || behaviour == PLAIN_HTTP) {
        (void)!recv(fd, hello, 1, MSG_PEEK); /* the client's first bytes are here */
        if (behaviour == PLAIN_HTTP)
            (void)!write(fd, plain, sizeof(plain) - 1);
        if (behaviour != RESET_BEFORE)
            wait_for_end(fd);
        else
            reset(fd);
        return;
    }
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1)
        answer_requests(ssl, behaviour);
    else
        wait_for_end(fd);
    SSL_free(ssl);
}

static int newest_version; /* of TLS, for targets */

/* Never returns. */
static void serve(int listener, const struct identity *identity, enum behaviour behaviour)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    listener_fd = listener;
    SSL_CTX_use_certificate(context, identity->certificate);
    SSL_CTX_use_PrivateKey(context, identity->key);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"t", 1);
    SSL_CTX_set_max_proto_version(context, newest_version);
    if (behaviour == OLD_TLS) {
        SSL_CTX_set_security_level(context, 0);
        SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    }
    if (behaviour == WANTS_CERTIFICATE)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           refuse_client);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            _exit(1);
        if (behaviour == CROWD && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve_one(context, fd, ANSWER_KEEP);
            _exit(0);
        }
        if (behaviour != CROWD)
            serve_one(context, fd, behaviour);
        close(fd);
    }
}

struct target {
    pid_t child;
    int port;
};

static int listen_somewhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

static struct target start_target(const struct identity *identity, enum behaviour behaviour)
{
    struct target target;
    int listener = listen_somewhere(&target.port);
    target.child = fork();
    assert_true(target.child >= 0);
    if (target.child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener, identity, behaviour);
    }
    close(listener);
    return target;
}

static void stop_target(const struct target *target)
{
    kill(target->child, SIGKILL);
    waitpid(target->child, NULL, 0);
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* How the tests send. */
static enum outbound_choice route;
static enum outbound_tls direct_tls;

struct world {
    struct identity authority;
    char ca_file[64];
    struct netguard guard;
    struct outbound_options options;
    struct reactor *reactor;
    struct outbound *outbound;
};

struct answer {
    struct reactor *reactor;
    enum outbound_error error;
    int status_code;
    bool begun; /* it was let go out */
    bool reused;
    size_t body_bytes;
    char body;
    char detail[300];
};

static void on_done(void *arg, const struct outbound_result *result)
{
    struct answer *answer = arg;
    answer->error = result->error;
    answer->status_code = result->status_code;
    answer->reused = result->connection_reused;
    answer->body_bytes = result->body_bytes;
    answer->body = result->body_head.len ? result->body_head.ptr[0] : '\0';
    snprintf(answer->detail, sizeof(answer->detail), "%s", result->detail);
    reactor_stop(answer->reactor);
}

/* `trusting`: the authority's certificate is the file of certificates, else the system's is. */
static void world_init(struct world *world, bool trusting)
{
    *world = (struct world){.guard = {.allow_private = true}};
    world->authority = make_identity(NULL, "DNS:authority.test", -3600, 3600);
    snprintf(world->ca_file, sizeof(world->ca_file), "/tmp/test_outbound_tls.XXXXXX");
    int fd = mkstemp(world->ca_file);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, world->authority.certificate), 1);
    assert_int_equal(fclose(file), 0);
    world->options = (struct outbound_options){.in_flight_max = 4,
                                               .idle_connections_max = 4,
                                               .ca_file = trusting ? world->ca_file : NULL,
                                               .route = route,
                                               .direct_tls = direct_tls,
                                               .guard = &world->guard};
    world->reactor = reactor_new();
    assert_non_null(world->reactor);
    world->outbound = outbound_new(world->reactor, &world->options);
    assert_non_null(world->outbound);
}

static void world_end(struct world *world)
{
    outbound_free(world->outbound);
    reactor_free(world->reactor);
    unlink(world->ca_file);
    free_identity(&world->authority);
}

/* Another outbound in place of the present one, with options that have changed. */
static void world_renew(struct world *world)
{
    outbound_free(world->outbound);
    reactor_free(world->reactor);
    world->reactor = reactor_new();
    assert_non_null(world->reactor);
    world->outbound = outbound_new(world->reactor, &world->options);
    assert_non_null(world->outbound);
}

/* `url` must outlive the outbound. */
static void world_use_proxy(struct world *world, const char *url)
{
    world->options.proxy = url;
    world_renew(world);
}

static struct answer post_body(struct world *world, const struct target *target, const char *host,
                               struct slice body)
{
    static const char *const lines[] = {"Content-Type: application/json"};
    struct answer answer = {.reactor = world->reactor};
    char url[64];
    snprintf(url, sizeof(url), "https://%s:%d/hook", host, target->port);
    struct outbound_call call = {.url = url,
                                 .header_lines = lines,
                                 .header_count = 1,
                                 .body = body,
                                 .connect_timeout_ms = 20000,
                                 .total_timeout_ms = 20000,
                                 .response_bytes_max = 1000000};
    assert_int_equal(outbound_send(world->outbound, &call, on_done, &answer, NULL), ST_OK);
    assert_int_equal(reactor_run(world->reactor), ST_OK);
    return answer;
}

static struct answer post(struct world *world, const struct target *target, const char *host)
{
    return post_body(world, target, host, SLICE("{}"));
}

static void assert_answer(const struct answer *answer, enum outbound_error error, int status_code)
{
    if (answer->error != error || answer->status_code != status_code)
        fail_msg("got '%s' %d (%s), expected '%s' %d", outbound_error_name(answer->error),
                 answer->status_code, answer->detail, outbound_error_name(error), status_code);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* Which certificates are accepted: name, validity and issuer are all checked. */
static void test_certificates(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, true);
    struct identity stranger = make_identity(NULL, "DNS:authority.test", -3600, 3600);
    const struct {
        const char *what;
        const struct identity *issuer;
        const char *alt_name;
        long from_s, until_s;
        const char *host;
        enum outbound_error error;
    } cases[] = {
        {"good name", &world.authority, "DNS:localhost", -60, 60, "localhost", OUTBOUND_OK},
        {"good address", &world.authority, "IP:127.0.0.1", -60, 60, "127.0.0.1", OUTBOUND_OK},
        {"wrong name", &world.authority, "DNS:other.test", -60, 60, "localhost", OUTBOUND_TLS},
        {"wrong address", &world.authority, "IP:127.0.0.2", -60, 60, "127.0.0.1", OUTBOUND_TLS},
        {"expired", &world.authority, "DNS:localhost", -120, -60, "localhost", OUTBOUND_TLS},
        {"not yet valid", &world.authority, "DNS:localhost", 600, 900, "localhost", OUTBOUND_TLS},
        {"self-signed", NULL, "DNS:localhost", -60, 60, "localhost", OUTBOUND_TLS},
        {"unknown issuer", &stranger, "DNS:localhost", -60, 60, "localhost", OUTBOUND_TLS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct identity identity =
            make_identity(cases[i].issuer, cases[i].alt_name, cases[i].from_s, cases[i].until_s);
        struct target target = start_target(&identity, ANSWER_CLOSE);
        struct answer answer = post(&world, &target, cases[i].host);
        if (answer.error != cases[i].error)
            print_message("%s\n", cases[i].what);
        assert_answer(&answer, cases[i].error, cases[i].error == OUTBOUND_OK ? 200 : 0);
        assert_true(answer.error == OUTBOUND_OK || strstr(answer.detail, "SSL"));
        stop_target(&target);
        free_identity(&identity);
    }
    free_identity(&stranger);
    world_end(&world);
}

/* Without a file of our own the system's certificates count, and do not know this authority. */
static void test_system_certificates(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, false);
    struct identity identity = make_identity(&world.authority, "DNS:localhost", -60, 60);
    struct target target = start_target(&identity, ANSWER_CLOSE);
    struct answer answer = post(&world, &target, "localhost");
    assert_answer(&answer, OUTBOUND_TLS, 0);
    stop_target(&target);
    free_identity(&identity);
    world_end(&world);
}

/* What goes wrong around a handshake, by class. */
static void test_failures(void **state)
{
    (void)state;
    static const struct {
        enum behaviour behaviour;
        enum outbound_error error;
        int status_code;
    } cases[] = {
        {CUT_IN_BODY, OUTBOUND_CONNECTION_RESET, 200},
        {RESET_AFTER, OUTBOUND_CONNECTION_RESET, 0},
        {RESET_BEFORE, OUTBOUND_CONNECTION_RESET, 0},
        {CLOSE_BEFORE, OUTBOUND_TLS, 0},
        {PLAIN_HTTP, OUTBOUND_TLS, 0},
        {OLD_TLS, OUTBOUND_TLS, 0},
        {WANTS_CERTIFICATE, OUTBOUND_TLS, 0},
    };
    struct world world;
    world_init(&world, true);
    struct identity identity = make_identity(&world.authority, "DNS:localhost", -60, 60);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target target = start_target(&identity, cases[i].behaviour);
        struct answer answer = post(&world, &target, "localhost");
        if (answer.error != cases[i].error)
            print_message("case %zu\n", i);
        assert_answer(&answer, cases[i].error, cases[i].status_code);
        stop_target(&target);
    }
    free_identity(&identity);
    world_end(&world);
}

/* What goes wrong on a kept connection. When no byte of an answer came the request is sent again,
 * on a new connection; on the direct route these are OpenSSL's errors, not libcurl's. */
static void test_failures_on_kept_connections(void **state)
{
    (void)state;
    static const struct {
        enum behaviour behaviour;
        enum outbound_error error;
    } cases[] = {
        {SECOND_CUT, OUTBOUND_CONNECTION_RESET},
        {SECOND_NOTIFIED, OUTBOUND_CONNECTION_RESET},
        {SECOND_RESET, OUTBOUND_CONNECTION_RESET},
        {SECOND_ENDED, OUTBOUND_OK},
        {SECOND_LOST, OUTBOUND_OK},
    };
    struct world world;
    world_init(&world, true);
    struct identity identity = make_identity(&world.authority, "DNS:localhost", -60, 60);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target target = start_target(&identity, cases[i].behaviour);
        struct answer answer = post(&world, &target, "localhost");
        assert_answer(&answer, OUTBOUND_OK, 200);
        answer = post(&world, &target, "localhost");
        if (answer.error != cases[i].error)
            print_message("case %zu\n", i);
        assert_answer(&answer, cases[i].error, 200);
        assert_int_equal(answer.reused, cases[i].error != OUTBOUND_OK);
        stop_target(&target);
    }
    free_identity(&identity);
    world_end(&world);
}

/* Bodies of many records in both directions, again and again on one connection. */
static void test_large_bodies(void **state)
{
    (void)state;
    static char body[2 * 1024 * 1024];
    struct world world;
    world_init(&world, true);
    struct identity identity = make_identity(&world.authority, "DNS:localhost", -60, 60);
    struct target target = start_target(&identity, LARGE);
    for (int i = 0; i < 3; i++) {
        struct answer answer =
            post_body(&world, &target, "localhost", slice_of(body, sizeof(body)));
        assert_answer(&answer, OUTBOUND_OK, 200);
        assert_int_equal(answer.reused, i > 0);
        assert_int_equal(answer.body_bytes, LARGE_ANSWER);
    }
    stop_target(&target);
    free_identity(&identity);
    world_end(&world);
}

/* A connection is used again; a new one to the same target resumes the session. So it is with TLS
 * 1.2, where the session is known after the handshake, and 1.3, where it comes before the answer.
 */
static void test_reuse(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t v = 0; v < 2; v++) {
        struct world world;
        newest_version = versions[v];
        world_init(&world, true);
        struct identity identity = make_identity(&world.authority, "DNS:localhost", -60, 60);
        struct target target = start_target(&identity, ANSWER_KEEP);
        for (int i = 0; i < 3; i++) {
            struct answer answer = post(&world, &target, "localhost");
            assert_answer(&answer, OUTBOUND_OK, 200);
            assert_int_equal(answer.reused, i > 0);
        }
        stop_target(&target);
        target = start_target(&identity, ANSWER_CLOSE);
        for (int i = 0; i < 3; i++) {
            struct answer answer = post(&world, &target, "localhost");
            assert_answer(&answer, OUTBOUND_OK, 200);
            assert_false(answer.reused);
            assert_int_equal(answer.body, i == 0 ? '0' : '1');
        }
        stop_target(&target);
        free_identity(&identity);
        world_end(&world);
    }
    newest_version = 0;
}

/* ---- Proxies -------------------------------------------------------------------------------- */

static void relay(int a, int b)
{
    char bytes[4096];
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    while (poll(fds, 2, -1) > 0)
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents == 0)
                continue;
            ssize_t count = read(fds[i].fd, bytes, sizeof(bytes));
            if (count <= 0 || write(fds[1 - i].fd, bytes, (size_t)count) != count)
                return;
        }
}

/* Reads what a client wants of a proxy: CONNECT, or SOCKS5 with a name; answers with yes or no. */
static bool greet(int fd, bool refuse)
{
    char bytes[1024];
    ssize_t count = read(fd, bytes, sizeof(bytes) - 1);
    if (count <= 0)
        return false;
    if (bytes[0] == 5) {
        static const char no_method[] = {5, 0};
        const char reply[] = {5, refuse ? 2 : 0, 0, 1, 0, 0, 0, 0, 0, 0};
        (void)!write(fd, no_method, sizeof(no_method));
        return read(fd, bytes, sizeof(bytes)) > 0 &&
               write(fd, reply, sizeof(reply)) == sizeof(reply) && !refuse;
    }
    bytes[count] = '\0';
    const char *reply =
        refuse ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n";
    return strncmp(bytes, "CONNECT proxied.test:443 HTTP/1.1\r\n", 35) == 0 &&
           write(fd, reply, strlen(reply)) > 0 && !refuse;
}

/* A proxy that connects to `target_port`, whatever it is asked for. */
static struct target start_proxy(int target_port, bool refuse)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct target proxy;
    int listener = listen_somewhere(&proxy.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)target_port);
    proxy.child = fork();
    assert_true(proxy.child >= 0);
    if (proxy.child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            int fd = accept(listener, NULL, NULL), onward = socket(AF_INET, SOCK_STREAM, 0);
            if (greet(fd, refuse) &&
                connect(onward, (const struct sockaddr *)&address, sizeof(address)) == 0)
                relay(fd, onward);
            close(fd);
            close(onward);
        }
    }
    close(listener);
    return proxy;
}

/* Through a tunnel the target's certificate is checked as without; the guard, which would refuse
 * the proxy's address, is not asked; a tunnel that is refused is no answer of the target's. */
static void test_tunnels(void **state)
{
    (void)state;
    static const char *const schemes[] = {"http", "socks5h"};
    static const struct {
        const char *name; /* in the certificate */
        bool refuse;
        enum outbound_error error;
    } cases[] = {{"DNS:proxied.test", false, OUTBOUND_OK},
                 {"DNS:other.test", false, OUTBOUND_TLS},
                 {"DNS:proxied.test", true, OUTBOUND_UNREACHABLE}};
    const struct target nominal = {.port = 443};
    for (size_t i = 0; i < 6; i++) {
        struct world world;
        world_init(&world, true);
        struct identity identity = make_identity(&world.authority, cases[i / 2].name, -60, 60);
        struct target target = start_target(&identity, ANSWER_KEEP);
        struct target proxy = start_proxy(target.port, cases[i / 2].refuse);
        char url[64];
        snprintf(url, sizeof(url), "%s://127.0.0.1:%d", schemes[i % 2], proxy.port);
        world.guard.allow_private = false;
        world_use_proxy(&world, url);
        for (int n = 0; n < 3; n++) {
            struct answer answer = post(&world, &nominal, "proxied.test");
            assert_answer(&answer, cases[i / 2].error, answer.error == OUTBOUND_OK ? 200 : 0);
            assert_int_equal(answer.reused, answer.error == OUTBOUND_OK && n > 0);
        }
        stop_target(&proxy);
        stop_target(&target);
        free_identity(&identity);
        world_end(&world);
    }
}

/* ---- libcurl's own idea of a connection's end ----------------------------------------------- */

static bool note_sending(void *arg)
{
    struct answer *answer = arg;
    answer->begun = true;
    reactor_stop(answer->reactor);
    return true;
}

/* Two requests: the second one begins long after the first was let go out, by which time libcurl
 * thinks that connection too old to be kept (118 s). */
static void send_two(struct world *world, const struct target *target, struct answer answers[2])
{
    char url[64];
    snprintf(url, sizeof(url), "https://localhost:%d/hook", target->port);
    struct outbound_call call = {.url = url,
                                 .body = SLICE("{}"),
                                 .connect_timeout_ms = 3600 * 1000,
                                 .total_timeout_ms = 3600 * 1000,
                                 .response_bytes_max = 1000,
                                 .may_send = note_sending};
    for (int i = 0; i < 2; i++) {
        answers[i] = (struct answer){.reactor = world->reactor};
        assert_int_equal(outbound_send(world->outbound, &call, on_done, &answers[i], NULL), ST_OK);
        while (!answers[i].begun)
            assert_int_equal(reactor_run(world->reactor), ST_OK);
        ahead_s += i == 0 ? 1000 : 0;
    }
    while (outbound_in_flight(world->outbound) > 0)
        assert_int_equal(reactor_run(world->reactor), ST_OK);
}

/* What waits for its answer is not closed by libcurl when it makes another. */
static void test_longer_than_libcurl_waits(void **state)
{
    (void)state;
    struct world world;
    struct answer answers[2];
    world_init(&world, true);
    struct identity identity = make_identity(&world.authority, "DNS:localhost", -7200, 7200);
    struct target target = start_target(&identity, FIRST_WAITS);
    send_two(&world, &target, answers);
    for (int i = 0; i < 2; i++)
        assert_answer(&answers[i], OUTBOUND_OK, 200);
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, 2);
    stop_target(&target);
    free_identity(&identity);
    world_end(&world);
}

/* Should libcurl close one all the same (here: because it was never told that it is in use), then
 * nothing is done with the socket any more, and the request on it fails. */
static void test_closed_by_libcurl(void **state)
{
    (void)state;
    struct world world;
    struct answer answers[2];
    if (route == OUTBOUND_PLAIN)
        return; /* there it is no different from any other end */
    world_init(&world, true);
    struct identity identity = make_identity(&world.authority, "DNS:localhost", -7200, 7200);
    struct target target = start_target(&identity, ANSWER_KEEP);
    choose_untouched = true;
    send_two(&world, &target, answers);
    untouched = NULL;
    assert_answer(&answers[0], OUTBOUND_CONNECTION_RESET, 0);
    assert_answer(&answers[1], OUTBOUND_OK, 200);
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, 2);
    stop_target(&target);
    free_identity(&identity);
    world_end(&world);
}

/* ---- Many at once --------------------------------------------------------------------------- */

enum { BURST = 100 };

static void on_burst_done(void *arg, const struct outbound_result *result)
{
    struct answer *answer = arg;
    static size_t done;
    answer->error = result->error;
    answer->status_code = result->status_code;
    snprintf(answer->detail, sizeof(answer->detail), "%s", result->detail);
    if (++done % BURST == 0)
        reactor_stop(answer->reactor);
}

/* A burst on the direct route: all are answered, over fewer connections than there are requests,
 * since those that were answered serve the others. Then they are all used again: also those that
 * were made and not needed. */
static void test_burst(void **state)
{
    (void)state;
    struct world world;
    static struct answer answers[BURST];
    char url[64];
    if (route == OUTBOUND_PLAIN)
        return;
    world_init(&world, true);
    world.options.in_flight_max = world.options.idle_connections_max = BURST;
    world_renew(&world);
    struct identity identity = make_identity(&world.authority, "IP:127.0.0.1", -3600, 3600);
    struct target target = start_target(&identity, CROWD);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/hook", target.port);
    struct outbound_call call = {.url = url,
                                 .body = SLICE("{}"),
                                 .connect_timeout_ms = 60000,
                                 .total_timeout_ms = 60000,
                                 .response_bytes_max = 1000000};
    const struct outbound_stats *stats = outbound_stats(world.outbound);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BURST; i++) {
            answers[i] = (struct answer){.reactor = world.reactor};
            assert_int_equal(outbound_send(world.outbound, &call, on_burst_done, &answers[i], NULL),
                             ST_OK);
        }
        assert_int_equal(reactor_run(world.reactor), ST_OK);
        for (int i = 0; i < BURST; i++)
            assert_answer(&answers[i], OUTBOUND_OK, 200);
    }
    assert_in_range(stats->connections_opened, 2, BURST - 1);
    assert_int_equal(stats->connections_open, stats->connections_opened);
    assert_true(stats->connections_reused > 2 * BURST);
    stop_target(&target);
    free_identity(&identity);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_system_certificates),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_failures_on_kept_connections),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_tunnels),
        cmocka_unit_test(test_longer_than_libcurl_waits),
        cmocka_unit_test(test_closed_by_libcurl),
        cmocka_unit_test(test_burst),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(240);
    int failed = cmocka_run_group_tests_name("direct route, OpenSSL", tests, NULL, NULL);
    direct_tls = OUTBOUND_TLS_LIBCURL;
    failed += cmocka_run_group_tests_name("direct route, libcurl", tests, NULL, NULL);
    route = OUTBOUND_PLAIN;
    return failed + cmocka_run_group_tests_name("plain route", tests, NULL, NULL);
}
