/* Tests of net/outbound's direct route against targets that mean no good: what comes before it was
 * asked for, or after it was complete, must neither be waited for, nor be taken for the next
 * answer, nor keep the loop busy. The targets are threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/netguard.h"
#include "net/outbound.h"
#include "net/reactor.h"

/* ---- Targets -------------------------------------------------------------------------------- */

struct target {
    int listener;
    int port;
    pthread_t thread;
    void (*serve)(struct target *target, int fd); /* a connection, which is closed then */
    SSL_CTX *tls;
    int connections;
    sem_t answered; /* the client has its answer */
    sem_t written;  /* the target has written behind it */
};

static void *target_run(void *arg)
{
    struct target *target = arg;
    int fd;
    while ((fd = accept(target->listener, NULL, NULL)) >= 0) {
        target->connections++;
        target->serve(target, fd);
        close(fd);
    }
    return NULL;
}

static void target_start(struct target *target, void (*serve)(struct target *, int), SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *target =
        (struct target){.listener = socket(AF_INET, SOCK_STREAM, 0), .serve = serve, .tls = tls};
    assert_int_equal(sem_init(&target->answered, 0, 0), 0);
    assert_int_equal(sem_init(&target->written, 0, 0), 0);
    assert_int_equal(bind(target->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(target->listener, 16), 0);
    assert_int_equal(getsockname(target->listener, (struct sockaddr *)&address, &len), 0);
    target->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&target->thread, NULL, target_run, target), 0);
}

/* The connections to it must have ended. */
static void target_stop(struct target *target)
{
    shutdown(target->listener, SHUT_RDWR);
    pthread_join(target->thread, NULL);
    close(target->listener);
    sem_destroy(&target->answered);
    sem_destroy(&target->written);
}

static void wait_for_end(int fd)
{
    char rest[4096];
    while (read(fd, rest, sizeof(rest)) > 0)
        continue;
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t count = send(fd, bytes, len, MSG_NOSIGNAL);
        if (count <= 0)
            return;
        bytes += count;
        len -= (size_t)count;
    }
}

/* Reads a request whose body is short enough to come along with it; false at the end. */
static bool read_request(int fd)
{
    char request[4096] = "";
    size_t len = 0;
    while (len + 1 < sizeof(request) && !strstr(request, "\r\n\r\n{}")) {
        ssize_t count = read(fd, request + len, sizeof(request) - 1 - len);
        if (count <= 0)
            return false;
        len += (size_t)count;
        request[len] = '\0';
    }
    return true;
}

#define GOOD  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define EXTRA "HTTP/1.1 500 Not asked for\r\nContent-Length: 2\r\n\r\nno"

/* ---- TLS ------------------------------------------------------------------------------------ */

static char ca_file[64]; /* the targets' certificate, which vouches for itself */

static SSL_CTX *make_tls(int version)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_true(tls && key && certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION *address = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    assert_non_null(address);
    assert_int_equal(X509_add_ext(certificate, address, -1), 1);
    X509_EXTENSION_free(address);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(tls, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(tls, version), 1);
    SSL_CTX_set_max_early_data(tls, 1024);

    snprintf(ca_file, sizeof(ca_file), "/tmp/test_outbound_nasty.XXXXXX");
    int fd = mkstemp(ca_file);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return tls;
}

static void free_tls(SSL_CTX *tls)
{
    SSL_CTX_free(tls);
    unlink(ca_file);
    ca_file[0] = '\0';
}

/* Whatever is written while it is on leaves together, when it is off again. */
static void hold_back(int fd, int on)
{
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* ---- Sending -------------------------------------------------------------------------------- */

struct world {
    struct netguard guard;
    struct reactor *reactor;
    struct outbound *outbound;
};

struct answer {
    struct world *world;
    int calls;
    enum outbound_error error;
    int status_code;
    char detail[300];
    const struct outbound_call *next; /* sent by done(), once */
};

static void world_init(struct world *world, enum outbound_tls direct_tls)
{
    *world = (struct world){.guard = {.allow_private = true}};
    struct outbound_options options = {.in_flight_max = 4,
                                       .idle_connections_max = 4,
                                       .ca_file = ca_file[0] ? ca_file : NULL,
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
}

static struct outbound_call call_of(const struct target *target)
{
    static char url[64];
    snprintf(url, sizeof(url), "%s://127.0.0.1:%d/hook", target->tls ? "https" : "http",
             target->port);
    return (struct outbound_call){
        .url = url,
        .body = SLICE("{}"),
        .connect_timeout_ms = 5000,
        .total_timeout_ms = 5000,
        .response_bytes_max = 64 * 1024,
        .insecure_http_allowed = true,
    };
}

static void on_done(void *arg, const struct outbound_result *result)
{
    struct answer *answer = arg;
    answer->calls++;
    answer->error = result->error;
    answer->status_code = result->status_code;
    snprintf(answer->detail, sizeof(answer->detail), "%s", result->detail);
    const struct outbound_call *next = answer->next;
    answer->next = NULL;
    if (next)
        assert_int_equal(outbound_send(answer->world->outbound, next, on_done, answer, NULL),
                         ST_OK);
    else
        reactor_stop(answer->world->reactor);
}

static void begin(struct world *world, const struct outbound_call *call, struct answer *answer)
{
    assert_int_equal(outbound_send(world->outbound, call, on_done, answer, NULL), ST_OK);
}

static void exchange(struct world *world, const struct outbound_call *call, struct answer *answer)
{
    begin(world, call, answer);
    assert_int_equal(reactor_run(world->reactor), ST_OK);
}

static void assert_answer(const struct answer *answer, enum outbound_error error, int status_code)
{
    if (answer->error != error || answer->status_code != status_code)
        fail_msg("got '%s' %d (%s)", outbound_error_name(answer->error), answer->status_code,
                 answer->detail);
}

/* ---- Too early ------------------------------------------------------------------------------ */

/* The answer leaves together with the target's last message of the handshake, before any request.
 * In TLS 1.3 that is before the client's last one. */
static void serve_before_request(struct target *target, int fd)
{
    size_t count;
    char byte;
    SSL *ssl = SSL_new(target->tls);
    SSL_set_fd(ssl, fd);
    hold_back(fd, 1);
    if (SSL_CTX_get_max_proto_version(target->tls) == TLS1_3_VERSION) {
        if (SSL_read_early_data(ssl, &byte, 1, &count) == SSL_READ_EARLY_DATA_FINISH)
            SSL_write_early_data(ssl, EXTRA, strlen(EXTRA), &count);
        hold_back(fd, 0);
        SSL_accept(ssl);
    } else {
        if (SSL_accept(ssl) == 1)
            SSL_write(ssl, EXTRA, (int)strlen(EXTRA));
        hold_back(fd, 0);
    }
    wait_for_end(fd);
    SSL_free(ssl);
}

/* An answer that is there before the request is read to its end, although nothing more comes to
 * announce what TLS holds of it already. */
static void test_answer_in_advance(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 4; i++) {
        struct world world;
        struct target target;
        SSL_CTX *tls = make_tls(versions[i % 2]);
        target_start(&target, serve_before_request, tls);
        world_init(&world, i / 2 ? OUTBOUND_TLS_LIBCURL : OUTBOUND_TLS_OPENSSL);
        struct answer answer = {.world = &world};
        struct outbound_call call = call_of(&target);
        exchange(&world, &call, &answer);
        assert_answer(&answer, OUTBOUND_OK, 500);
        world_end(&world);
        target_stop(&target);
        free_tls(tls);
    }
}

/* Asks for another handshake with the last message of the first one, and then says nothing. */
static void serve_renegotiation(struct target *target, int fd)
{
    SSL *ssl = SSL_new(target->tls);
    SSL_set_fd(ssl, fd);
    hold_back(fd, 1);
    if (SSL_accept(ssl) == 1 && SSL_renegotiate(ssl) == 1)
        SSL_do_handshake(ssl);
    hold_back(fd, 0);
    wait_for_end(fd);
    SSL_free(ssl);
}

/* A target that wants another handshake and does not go on with it is waited for asleep. */
static void test_renegotiation(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    SSL_CTX *tls = make_tls(TLS1_2_VERSION);
    target_start(&target, serve_renegotiation, tls);
    world_init(&world, OUTBOUND_TLS_OPENSSL);
    struct answer answer = {.world = &world};
    struct outbound_call call = call_of(&target);
    call.total_timeout_ms = 300;
    exchange(&world, &call, &answer);
    assert_answer(&answer, OUTBOUND_TIMEOUT, 0);
    assert_true(reactor_stats(world.reactor)->turns < 200);
    world_end(&world);
    target_stop(&target);
    free_tls(tls);
}

enum { TICKETS = 2500 /* of 250 bytes or so */ };

/* The second answer comes behind more tickets to resume the session by than anybody needs, all of
 * which are there at once. */
static void serve_tickets(struct target *target, int fd)
{
    char request[4096], *bytes;
    SSL *ssl = SSL_new(target->tls);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof(request)) > 0) {
        SSL_write(ssl, GOOD, (int)strlen(GOOD));
        SSL_read(ssl, request, sizeof(request));
        SSL_set0_wbio(ssl, BIO_new(BIO_s_mem()));
        for (int i = 0; i < TICKETS; i++)
            if (SSL_new_session_ticket(ssl) != 1 || SSL_do_handshake(ssl) != 1)
                break;
        SSL_write(ssl, GOOD, (int)strlen(GOOD));
        long len = BIO_get_mem_data(SSL_get_wbio(ssl), &bytes);
        write_all(fd, bytes, (size_t)len);
        wait_for_end(fd);
    }
    SSL_free(ssl);
}

/* A target that does not stop to send what is not an answer does not have the loop for itself. */
static void test_many_tickets(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct target target;
        SSL_CTX *tls = make_tls(TLS1_3_VERSION);
        target_start(&target, serve_tickets, tls);
        world_init(&world, i ? OUTBOUND_TLS_LIBCURL : OUTBOUND_TLS_OPENSSL);
        struct answer answer = {.world = &world};
        struct outbound_call call = call_of(&target);
        call.total_timeout_ms = 60000;
        exchange(&world, &call, &answer);
        assert_answer(&answer, OUTBOUND_OK, 200);
        uint64_t turns = reactor_stats(world.reactor)->turns;
        exchange(&world, &call, &answer);
        assert_answer(&answer, OUTBOUND_OK, 200);
        assert_true(reactor_stats(world.reactor)->turns - turns > TICKETS / 500);
        world_end(&world);
        target_stop(&target);
        free_tls(tls);
    }
}

/* ---- Too much ------------------------------------------------------------------------------- */

enum { READ_BYTES = 16384 /* of one read of the direct route */ };

/* An answer that ends where a read ends, and another one behind it. */
static void serve_full_read(struct target *target, int fd)
{
    static char bytes[READ_BYTES + sizeof(EXTRA)];
    (void)target;
    int head = snprintf(bytes, sizeof(bytes), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                        READ_BYTES - 42);
    assert_int_equal(head, 42);
    memset(bytes + head, 'x', READ_BYTES - 42);
    memcpy(bytes + READ_BYTES, EXTRA, strlen(EXTRA));
    if (read_request(fd))
        write_all(fd, bytes, READ_BYTES + strlen(EXTRA));
    while (read_request(fd))
        write_all(fd, GOOD, strlen(GOOD));
}

/* What follows an answer is not the answer to the next request, even if that is sent before the
 * loop has looked at the connection again. */
static void test_answer_behind_full_read(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    target_start(&target, serve_full_read, NULL);
    world_init(&world, OUTBOUND_TLS_OPENSSL);
    struct outbound_call call = call_of(&target);
    struct answer answer = {.world = &world, .next = &call};
    exchange(&world, &call, &answer);
    assert_int_equal(answer.calls, 2);
    assert_answer(&answer, OUTBOUND_OK, 200);
    world_end(&world);
    target_stop(&target);
}

/* On the first connection one answer too many, when the client has had the first. */
static void serve_twice(struct target *target, int fd)
{
    if (target->connections == 1 && read_request(fd)) {
        write_all(fd, GOOD, strlen(GOOD));
        sem_wait(&target->answered);
        write_all(fd, EXTRA, strlen(EXTRA));
        sem_post(&target->written);
        wait_for_end(fd);
    }
    while (read_request(fd))
        write_all(fd, GOOD, strlen(GOOD));
}

/* The same when it comes after the answer, while the loop is busy with something else for longer
 * than it is trusted to have seen everything. */
static void test_answer_while_loop_is_busy(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    target_start(&target, serve_twice, NULL);
    world_init(&world, OUTBOUND_TLS_OPENSSL);
    struct outbound_call call = call_of(&target);
    struct answer answer = {.world = &world};
    exchange(&world, &call, &answer);
    assert_answer(&answer, OUTBOUND_OK, 200);
    sem_post(&target.answered);
    sem_wait(&target.written); /* which on loopback is: it is there */
    for (uint64_t began_us = clock_now_us(); clock_now_us() - began_us < 10 * 1000;)
        continue;
    exchange(&world, &call, &answer);
    assert_answer(&answer, OUTBOUND_OK, 200);
    assert_int_equal(outbound_stats(world.outbound)->connections_reused, 0);
    world_end(&world);
    target_stop(&target);
}

/* Ends the first connection in place of its second answer, and gives one answer too many on the
 * second one. */
static void serve_end_and_twice(struct target *target, int fd)
{
    if (target->connections == 1) {
        if (read_request(fd))
            write_all(fd, GOOD, strlen(GOOD));
        read_request(fd);
        return;
    }
    if (target->connections == 2 && read_request(fd)) {
        write_all(fd, GOOD, strlen(GOOD));
        sem_wait(&target->answered);
        write_all(fd, EXTRA, strlen(EXTRA));
        sem_post(&target->written);
        wait_for_end(fd);
    }
    while (read_request(fd))
        write_all(fd, GOOD, strlen(GOOD));
}

/* A target whose connection has ended under a request is trusted less: the next connection to it is
 * looked at before it is used, however short the time since the loop has done so. */
static void test_wary_after_stale(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    target_start(&target, serve_end_and_twice, NULL);
    world_init(&world, OUTBOUND_TLS_OPENSSL);
    struct outbound_call call = call_of(&target);
    struct answer answer = {.world = &world};
    for (int i = 0; i < 2; i++) {
        exchange(&world, &call, &answer);
        assert_answer(&answer, OUTBOUND_OK, 200);
    }
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, 2);
    sem_post(&target.answered);
    sem_wait(&target.written);
    exchange(&world, &call, &answer);
    assert_answer(&answer, OUTBOUND_OK, 200);
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, 3);
    world_end(&world);
    target_stop(&target);
}

/* ---- What is not said ----------------------------------------------------------------------- */

static bool user_agent_seen;

static void serve_and_look(struct target *target, int fd)
{
    char request[1024] = "";
    (void)target;
    if (recv(fd, request, sizeof(request) - 1, 0) > 0)
        write_all(fd, GOOD, strlen(GOOD));
    user_agent_seen = strcasestr(request, "user-agent") != NULL;
    wait_for_end(fd);
}

/* An empty User-Agent is none, on both routes. */
static void test_no_user_agent(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world = {.guard = {.allow_private = true}};
        struct target target;
        struct outbound_options options = {.in_flight_max = 1,
                                           .user_agent = "",
                                           .route = i ? OUTBOUND_PLAIN : OUTBOUND_AUTO,
                                           .guard = &world.guard};
        target_start(&target, serve_and_look, NULL);
        world.reactor = reactor_new();
        world.outbound = outbound_new(world.reactor, &options);
        struct answer answer = {.world = &world};
        struct outbound_call call = call_of(&target);
        exchange(&world, &call, &answer);
        assert_answer(&answer, OUTBOUND_OK, 200);
        world_end(&world);
        target_stop(&target);
        assert_false(user_agent_seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_in_advance),
        cmocka_unit_test(test_renegotiation),
        cmocka_unit_test(test_many_tickets),
        cmocka_unit_test(test_answer_behind_full_read),
        cmocka_unit_test(test_answer_while_loop_is_busy),
        cmocka_unit_test(test_wary_after_stale),
        cmocka_unit_test(test_no_user_agent),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
