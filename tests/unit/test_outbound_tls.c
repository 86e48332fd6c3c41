/* Tests of net/outbound over https: which certificates pass, what failed handshakes are called, and
 * that sessions and connections are used again. All of them run on each route, and on the direct
 * one in both of its ways to speak TLS. The target is a child process with OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "net/netguard.h"
#include "net/outbound.h"
#include "net/reactor.h"

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
    ANSWER_KEEP,      /* 200 and the next request; the body tells whether the session was resumed */
    ANSWER_CLOSE,     /* 200, then the connection ends in order */
    CUT_IN_BODY,      /* half a body, then the end without close_notify */
    RESET_AFTER,      /* reset after the request */
    RESET_BEFORE,     /* reset in place of a handshake */
    CLOSE_BEFORE,     /* closed in place of a handshake */
    PLAIN_HTTP,       /* speaks http on this port */
    OLD_TLS,          /* nothing newer than TLS 1.1 */
    WANTS_CERTIFICATE /* from the client, under TLS 1.3 */
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

static void answer_requests(SSL *ssl, enum behaviour behaviour)
{
    static const char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    char request[4096], answer[128];
    while (SSL_read(ssl, request, sizeof(request)) > 0) {
        if (behaviour == CUT_IN_BODY)
            SSL_write(ssl, cut, sizeof(cut) - 1);
        if (behaviour == CUT_IN_BODY || behaviour == RESET_AFTER)
            return;
        int len = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d",
                           SSL_session_reused(ssl));
        SSL_write(ssl, answer, len);
        if (behaviour == ANSWER_CLOSE) {
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
    if (behaviour == RESET_AFTER)
        reset(fd);
    SSL_free(ssl);
}

/* Never returns. */
static void serve(int listener, const struct identity *identity, enum behaviour behaviour)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, identity->certificate);
    SSL_CTX_use_PrivateKey(context, identity->key);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"t", 1);
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
        serve_one(context, fd, behaviour);
        close(fd);
    }
}

struct target {
    pid_t child;
    int port;
};

static struct target start_target(const struct identity *identity, enum behaviour behaviour)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    struct target target;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    target.port = ntohs(address.sin_port);
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
    struct reactor *reactor;
    struct outbound *outbound;
};

struct answer {
    struct reactor *reactor;
    enum outbound_error error;
    int status_code;
    bool reused;
    char body;
    char detail[300];
};

static void on_done(void *arg, const struct outbound_result *result)
{
    struct answer *answer = arg;
    answer->error = result->error;
    answer->status_code = result->status_code;
    answer->reused = result->connection_reused;
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
    struct outbound_options options = {.in_flight_max = 4,
                                       .idle_connections_max = 4,
                                       .ca_file = trusting ? world->ca_file : NULL,
                                       .route = route,
                                       .direct_tls = direct_tls,
                                       .guard = &world->guard};
    world->reactor = reactor_new();
    assert_non_null(world->reactor);
    world->outbound = outbound_new(world->reactor, &options);
    assert_non_null(world->outbound);
}

static void world_end(struct world *world)
{
    outbound_free(world->outbound);
    reactor_free(world->reactor);
    unlink(world->ca_file);
    free_identity(&world->authority);
}

static struct answer post(struct world *world, const struct target *target, const char *host)
{
    static const char *const lines[] = {"Content-Type: application/json"};
    struct answer answer = {.reactor = world->reactor};
    char url[64];
    snprintf(url, sizeof(url), "https://%s:%d/hook", host, target->port);
    struct outbound_call call = {.url = url,
                                 .header_lines = lines,
                                 .header_count = 1,
                                 .body = SLICE("{}"),
                                 .connect_timeout_ms = 20000,
                                 .total_timeout_ms = 20000,
                                 .response_bytes_max = 1000};
    assert_int_equal(outbound_send(world->outbound, &call, on_done, &answer, NULL), ST_OK);
    assert_int_equal(reactor_run(world->reactor), ST_OK);
    return answer;
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

/* A connection is used again; a new one to the same target resumes the session. */
static void test_reuse(void **state)
{
    (void)state;
    struct world world;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_system_certificates),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_reuse),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(240);
    int failed = cmocka_run_group_tests_name("direct route, OpenSSL", tests, NULL, NULL);
    direct_tls = OUTBOUND_TLS_LIBCURL;
    failed += cmocka_run_group_tests_name("direct route, libcurl", tests, NULL, NULL);
    route = OUTBOUND_PLAIN;
    return failed + cmocka_run_group_tests_name("plain route", tests, NULL, NULL);
}
