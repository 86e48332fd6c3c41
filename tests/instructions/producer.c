/* producer.c - registers the webhooks, then sends events in rounds: one on each connection, and the
 * next ones when all are answered and delivered. Counting begins after some rounds, when buffers
 * and allowances are what they will be, and ends with the last one; so does the process.
 */
#include "stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

enum {
    PRODUCERS = 64, /* so many events are a round, and a batch */
    ENDPOINTS = 16,
    ROUNDS_BEFORE = 40,
    ROUNDS = 157, /* that are counted: 10048 events */
    ROUND_MS = 3, /* with the attempts' one: what 64 events take at 16,000 a second */
    ANSWER_MS = 50,
    REQUEST_BYTES = 4096
};

static int fds[PRODUCERS];
static struct inbox inboxes[PRODUCERS];
static bool waiting[PRODUCERS]; /* for an answer */
static size_t endpoints, rounds, stored_before;
static bool refused; /* not ready: another try when some time has passed */

static void connect_all(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(stage_server_port())};
    int on = 1;
    for (size_t i = 0; i < PRODUCERS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[i] < 0 || setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
            connect(fds[i], (const struct sockaddr *)&address, sizeof(address)) != 0)
            stage_fail("a producer cannot connect: %s", strerror(errno));
    }
}

static void post(size_t producer, const char *path, const char *more, const char *body)
{
    char text[REQUEST_BYTES];
    int len = snprintf(text, sizeof(text),
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: stage/1\r\n"
                       "Authorization: Bearer %s\r\nContent-Type: application/json\r\n%s"
                       "Content-Length: %zu\r\n\r\n%s",
                       path, stage_setting("STAGE_API_KEY"), more, strlen(body), body);
    if (len < 0 || (size_t)len >= sizeof(text))
        stage_fail("a request too large");
    write_all(fds[producer], text, (size_t)len);
    waiting[producer] = true;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static bool all_answered(void)
{
    for (size_t i = 0; i < PRODUCERS; i++)
        if (waiting[i])
            return false;
    return true;
}

static void judge(const char *answer, size_t len)
{
    int status = len > 12 ? atoi(answer + 9) : 0;
    bool registering = endpoints < ENDPOINTS;
    refused = registering && status == 503;
    if (!refused && status != (registering ? 201 : 202))
        stage_fail("an answer of %d: %.*s", status, (int)len, answer);
    endpoints += status == 201;
}

static void take_answers(void)
{
    for (size_t i = 0; i < PRODUCERS; i++) {
        if (!inbox_fill(&inboxes[i], fds[i]))
            stage_fail("the server has closed a producer's connection");
        size_t len = http_length(&inboxes[i]);
        if (len == 0)
            continue;
        if (!waiting[i])
            stage_fail("an answer that nobody asked for");
        judge(inboxes[i].bytes, len);
        inbox_take(&inboxes[i], len);
        waiting[i] = false;
    }
}

/* ---- What they send ------------------------------------------------------------------------- */

static void register_endpoint(void)
{
    char body[256];
    snprintf(body, sizeof(body),
             "{\"url\":\"http://127.0.0.1:%d/hooks/%zu\",\"events\":[\"order.created.%02zu\"],"
             "\"secret\":\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"}",
             receiver_port(), endpoints, endpoints);
    post(0, "/api/webhooks", "", body);
}

/* An order of 1 KiB; every second one has an idempotency key. */
static void send_event(size_t producer)
{
    static const char item[] = "{\"sku\":\"A-100%zu\",\"name\":\"Widget, size %zu \\\"blue\\\"\","
                               "\"quantity\":%zu,\"price\":{\"amount\":12.5%zu,"
                               "\"currency\":\"EUR\"}}%s";
    size_t number = rounds * PRODUCERS + producer;
    char body[2048], more[64] = "";
    int len = snprintf(body, sizeof(body),
                       "{\"type\":\"order.created.%02zu\",\"data\":{\"order\":%010zu,"
                       "\"customer\":{\"id\":\"cus_%010zu\",\"name\":\"Zo\xc3\xab M\xc3\xbcller\","
                       "\"vip\":false,\"referrer\":null},\"items\":[",
                       number % ENDPOINTS, 1000000000 + number, number);
    for (size_t i = 0; i < 8; i++)
        len += snprintf(body + len, sizeof(body) - (size_t)len, item, i, i, i + 1, i,
                        i < 7 ? "," : "");
    snprintf(body + len, sizeof(body) - (size_t)len, "],\"total\":412.28,\"paid\":true}}");
    if (number % 2)
        snprintf(more, sizeof(more), "Idempotency-Key: order-%010zu\r\n", number);
    post(producer, "/api/events", more, body);
}

static void begin_round(void)
{
    stage_pass_ms(ROUND_MS);
    if (rounds == ROUNDS_BEFORE) {
        stored_before = relay_batches();
        stage_begins();
    }
    receiver_expect(PRODUCERS);
    for (size_t i = 0; i < PRODUCERS; i++)
        send_event(i);
    rounds++;
}

static _Noreturn void end(void)
{
    stage_ends();
    size_t batches = relay_batches() - stored_before;
    FILE *report = fopen(stage_setting("STAGE_REPORT"), "w");
    if (!report || fprintf(report, "%d %d %zu\n", ROUNDS * PRODUCERS, ROUNDS, batches) < 0 ||
        fclose(report) != 0)
        stage_fail("cannot write the report");
    _exit(0);
}

bool producer_step(void)
{
    if (stage_server_port() == 0)
        return false;
    if (fds[0] == 0) {
        connect_all();
        return true;
    }
    take_answers();
    while (!all_answered() && wait_readable(fds, PRODUCERS, ANSWER_MS))
        take_answers();
    if (!all_answered() || !receiver_done())
        return false;
    if (refused) {
        refused = false;
        return false;
    }
    if (endpoints < ENDPOINTS)
        register_endpoint();
    else if (rounds < ROUNDS_BEFORE + ROUNDS)
        begin_round();
    else
        end();
    return true;
}
