/* serve_ready.c - what people and scripts are told when events are taken.
 *
 * One line on standard output is the contract; the rest goes to the log's place.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/serve.h"
#include "base/log.h"

static void print_ready(const struct serve_ready *ready)
{
    struct buf text;
    buf_init(&text, 8192);
    buf_add_str(&text, "ready on ");
    address_add_url(&text, &ready->config->listen, ready->port);
    buf_add_char(&text, '\n');
    if (buf_status(&text) == ST_OK) {
        fwrite(text.ptr, 1, text.len, stdout);
        fflush(stdout);
    }
    buf_free(&text);
}

/* Commands that work from any directory, with the same program and the same data. */
static void print_next_steps(const struct serve_ready *ready)
{
    char *program_path = realpath("/proc/self/exe", NULL);
    char *data_path = realpath(ready->config->data, NULL);
    const char *program = program_path ? program_path : "trotline";
    const char *data = data_path ? data_path : ready->config->data;
    struct buf url;
    buf_init(&url, 256);
    address_add_url(&url, &ready->config->listen, ready->port);
    buf_add_char(&url, '\0');
    const char *at = buf_status(&url) == ST_OK ? url.ptr : "";
    struct buf text;
    buf_init(&text, 16 * 1024);
    buf_addf(&text,
             "\n"
             "  Trotline " TROTLINE_VERSION " listens on %s\n"
             "  API key: %.*s  (in %s/api-key)\n"
             "\n"
             "  Try it, in another terminal:\n"
             "    export TROTLINE_URL=%s TROTLINE_API_KEY=$(cat %s/api-key)\n"
             "    curl \"$TROTLINE_URL/api/webhooks\" -H \"Authorization: Bearer "
             "$TROTLINE_API_KEY\" \\\n"
             "        -H 'Content-Type: application/json' \\\n"
             "        -d '{\"url\":\"http://127.0.0.1:9000/\",\"events\":[\"order.*\"]}'\n"
             "    %s sink --secret SECRET &     # a receiver; SECRET is in curl's answer\n"
             "    %s send order.created '{\"order\":17}'\n"
             "\n",
             at, SLICE_ARGS(ready->api_key), data, at, data, program, program);
    if (buf_status(&text) == ST_OK)
        log_plain(buf_slice(&text));
    buf_free(&text);
    buf_free(&url);
    free(program_path);
    free(data_path);
}

/* Whatever the log's level is. */
static void print_key(const struct serve_ready *ready)
{
    struct buf file, text;
    buf_init(&file, 8192);
    buf_init(&text, 8192);
    buf_addf(&file, "%s/api-key", ready->config->data);
    buf_addf(&text, "API key: %.*s (also in %.*s)\n", SLICE_ARGS(ready->api_key),
             SLICE_ARGS(buf_slice(&file)));
    if (ready->config->log.format == LOG_JSON)
        log_line(LOG_INFO, "serve.api_key", "key=%.*s file=%s", SLICE_ARGS(ready->api_key),
                 log_quote(buf_slice(&file)));
    else if (buf_status(&text) == ST_OK)
        log_plain(buf_slice(&text));
    buf_free(&text);
    buf_free(&file);
}

void serve_say_ready(const struct serve_ready *ready)
{
    log_info("serve.ready", "port=%u", ready->port);
    if (ready->config->dev && ready->config->log.format != LOG_JSON)
        print_next_steps(ready);
    else if (ready->key_made)
        print_key(ready);
    print_ready(ready);
}
