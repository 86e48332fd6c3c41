/* send_batch.c - trotline send --batch: NDJSON from a file or a pipe in requests of many events.
 *
 *   read --lines--> a request is full, or a pipe has paused --> POST --> results, by line
 *
 * One request at a time, and the next lines are read when it was answered: so the pipe is held up
 * when the server is. Lines that have come are not kept waiting for more of a pipe that pauses; but
 * with an idempotency key requests must be cut at the same lines every time, so then they are.
 *
 * It goes on behind refused events. It stops where going on could only lose: no answer, a refusal
 * of the request as a whole, or a server that can store nothing now; and says from which line on
 * nothing was sent.
 */
#include "app/send_batch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_scan.h"

enum {
    REQUEST_EVENTS = 1000,
    REQUEST_BYTES = 1024 * 1024, /* at which a request is full; a longer line goes alone */
    LINE_BYTES_MAX = 64 * 1024 * 1024,
    READ_BYTES = 64 * 1024,
    PAUSE_MS = 200, /* of a pipe, after which it is not waited for */
    PROGRESS_EVERY_MS = 1000,
    REFUSALS_SHOWN = 100,
    TEXT_BYTES_MAX = 1024 * 1024
};

struct batch_send {
    struct client *client;
    const char *key;
    int fd;
    struct buf lines; /* read, and not sent yet; the last may have more to come */
    size_t whole;     /* of them: complete lines, which are the next request */
    size_t events;    /* in these */
    size_t looked;    /* for the end of a line */
    bool ended;       /* of the file */
    uint64_t line;    /* the number of the first of them */
    uint64_t accepted, rejected;
    uint64_t told_ms; /* when the progress was */
    struct buf header;
    struct json_item results[REQUEST_EVENTS + 1];
};

/* ---- Lines ----------------------------------------------------------------------------------- */

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!strchr(" \t\r\n", line.ptr[i]) || line.ptr[i] == '\0')
            return false;
    return true;
}

/* The first line of *text, with its LF, which is cut off. */
static struct slice next_line(struct slice *text)
{
    const char *end = memchr(text->ptr, '\n', text->len);
    struct slice line = slice_of(text->ptr, end ? (size_t)(end - text->ptr) + 1 : text->len);
    *text = slice_from(*text, line.len);
    return line;
}

static bool is_full(const struct batch_send *send)
{
    return send->events == REQUEST_EVENTS || send->whole >= REQUEST_BYTES;
}

/* Counts complete lines into the request until it is full. */
static void count_lines(struct batch_send *send)
{
    while (!is_full(send) && send->looked < send->lines.len) {
        struct slice rest = slice_from(buf_slice(&send->lines), send->looked);
        bool complete = memchr(rest.ptr, '\n', rest.len) || send->ended;
        struct slice text = slice_from(buf_slice(&send->lines), send->whole);
        send->looked = send->lines.len;
        if (!complete)
            return;
        struct slice line = next_line(&text);
        send->events += !is_blank(line);
        send->whole += line.len;
        send->looked = send->whole;
    }
}

/* Is a request ready, and nothing to be waited for? */
static bool pipe_pauses(const struct batch_send *send)
{
    struct pollfd pipe = {.fd = send->fd, .events = POLLIN};
    return send->events > 0 && !send->key && poll(&pipe, 1, PAUSE_MS) == 0;
}

/* Reads until there is a request to be sent, or all has been. False with the reason in errno. */
static bool read_lines(struct batch_send *send)
{
    count_lines(send);
    while (!is_full(send) && !send->ended && !pipe_pauses(send)) {
        char *place = buf_reserve(&send->lines, READ_BYTES);
        if (!place) {
            errno = buf_status(&send->lines) == ST_NOMEM ? ENOMEM : EFBIG;
            return false;
        }
        ssize_t got = read(send->fd, place, READ_BYTES);
        if (got < 0 && errno != EINTR)
            return false;
        if (got == 0) {
            send->ended = true;
            send->looked = send->whole;
        } else if (got > 0) {
            send->lines.len += (size_t)got;
        }
        count_lines(send);
    }
    return true;
}

/* ---- Results --------------------------------------------------------------------------------- */

static void print_refusal(uint64_t line, struct slice error)
{
    fprintf(stderr, "trotline: line %" PRIu64 ": ", line);
    client_print_error(error, "");
}

static void take_result(struct batch_send *send, struct slice result, uint64_t line)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    struct slice error = client_member(result, "error", &text);
    if (!error.ptr) {
        send->accepted++;
    } else if (++send->rejected <= REFUSALS_SHOWN && !send->client->as_json) {
        print_refusal(line, error);
        if (send->rejected == REFUSALS_SHOWN)
            fputs("trotline: further refusals are only counted\n", stderr);
    }
    if (send->client->as_json) {
        fwrite(result.ptr, 1, result.len, stdout);
        fputc('\n', stdout);
    }
    buf_free(&text);
}

/* One result for each line that is not blank. With fewer than lines (*all is false then) the last
 * one says why the rest was not read. False when the answer is not like that. */
static bool take_results(struct batch_send *send, bool *all)
{
    struct slice answer = buf_slice(&send->client->answer);
    struct buf unused;
    size_t count, next = 0;
    buf_init(&unused, TEXT_BYTES_MAX);
    struct slice list = client_member(answer, "results", &unused);
    buf_free(&unused);
    if (!list.ptr || json_items(list, send->results, REQUEST_EVENTS + 1, &count, NULL) != ST_OK ||
        count == 0 || count > send->events)
        return false;
    *all = count == send->events;
    struct slice text = slice_of(send->lines.ptr, send->whole);
    for (uint64_t line = send->line; next < count; line++)
        if (!is_blank(next_line(&text)))
            take_result(send, send->results[next++].value, line);
    return true;
}

static void tell_progress(struct batch_send *send)
{
    clock_expire();
    uint64_t now_ms = clock_mono_ms();
    if (now_ms - send->told_ms < PROGRESS_EVERY_MS)
        return;
    send->told_ms = now_ms;
    fprintf(stderr, "trotline: %" PRIu64 " accepted, %" PRIu64 " rejected so far\n", send->accepted,
            send->rejected);
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* CLI_EXIT_OK to go on. */
static int take_answer(struct batch_send *send)
{
    const struct client *client = send->client;
    uint64_t before = send->accepted;
    bool all = false;
    if (!client_accepted(client) && client->status != 503)
        return client_report(client);
    if (!take_results(send, &all)) {
        if (!client_accepted(client))
            return client_report(client);
        fprintf(stderr, "trotline: %s does not answer like trotline\n", client->url.ptr);
        return CLIENT_EXIT_REFUSED;
    }
    /* It has not read all, or can store nothing now; the results said why. */
    if (!all || (!client_accepted(client) && send->accepted == before))
        return CLIENT_EXIT_REFUSED;
    return CLI_EXIT_OK;
}

static int send_request(struct batch_send *send)
{
    buf_clear(&send->header);
    if (send->key)
        buf_addf(&send->header, "Idempotency-Key: %s.%" PRIu64, send->key, send->line);
    buf_add_char(&send->header, '\0');
    const char *header = send->header.ptr;
    struct client_request request = {.method = "POST",
                                     .path = "/api/events/batch",
                                     .body = slice_of(send->lines.ptr, send->whole),
                                     .content_type = "application/x-ndjson",
                                     .headers = &header,
                                     .header_count = send->key ? 1 : 0,
                                     .with_key = true};
    if (buf_status(&send->header) != ST_OK)
        return CLI_EXIT_FAILED;
    int code = client_exchange(send->client, &request);
    return code == CLI_EXIT_OK ? take_answer(send) : code;
}

/* The lines of the request are done with. */
static void drop_lines(struct batch_send *send)
{
    struct slice text = slice_of(send->lines.ptr, send->whole);
    for (; text.len > 0; send->line++)
        (void)next_line(&text);
    buf_drop_front(&send->lines, send->whole);
    send->whole = send->events = send->looked = 0;
}

static int send_all(struct batch_send *send)
{
    for (;;) {
        if (!read_lines(send)) {
            fprintf(stderr, "trotline: cannot read line %" PRIu64 " and those behind it: %s\n",
                    send->line, strerror(errno));
            return CLI_EXIT_FAILED;
        }
        if (send->whole == 0)
            return CLI_EXIT_OK;
        uint64_t first = send->line;
        int code = send->events > 0 ? send_request(send) : CLI_EXIT_OK;
        drop_lines(send);
        if (code == CLIENT_EXIT_UNREACHABLE)
            fprintf(stderr, "trotline: lines %" PRIu64 " to %" PRIu64 " may be stored or not\n",
                    first, send->line - 1);
        if (code != CLI_EXIT_OK) {
            fprintf(stderr, "trotline: stopped: nothing was sent from line %" PRIu64 " on\n",
                    send->line);
            return code;
        }
        tell_progress(send);
    }
}

int send_batch(struct client *client, int fd, const char *key)
{
    struct batch_send *send = calloc(1, sizeof(*send));
    if (!send) {
        fputs("trotline: out of memory\n", stderr);
        return CLI_EXIT_FAILED;
    }
    *send = (struct batch_send){.client = client, .key = key, .fd = fd, .line = 1};
    send->told_ms = clock_mono_ms();
    buf_init(&send->lines, LINE_BYTES_MAX);
    buf_init(&send->header, 64 * 1024);
    int code = send_all(send);
    FILE *summary = client->as_json ? stderr : stdout;
    fprintf(summary, "accepted=%" PRIu64 " rejected=%" PRIu64 "\n", send->accepted, send->rejected);
    if (code == CLI_EXIT_OK && (send->rejected > 0 || fflush(stdout) != 0))
        code = CLIENT_EXIT_REFUSED;
    buf_free(&send->header);
    buf_free(&send->lines);
    free(send);
    return code;
}
