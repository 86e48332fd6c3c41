/* options.c - the command line of bench-load. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bench-load --url http://HOST:PORT[/PATH] --api-key KEY [options]\n"
    "\n"
    "Publishes events and prints one line of JSON: how many were answered how, how fast, how "
    "late,\n"
    "and what CPU time and memory the given processes used.\n"
    "\n"
    "  --type T             event type; bench from the start\n"
    "  --types N            N types T.0000, T.0001, … in turn (at most 10000)\n"
    "  --size BYTES         of the JSON body; 1024 from the start\n"
    "  --payload WHAT       json, from the start: orders, different ones; padding: the letter x\n"
    "  --deliver-at TIME    every event's deliverAt (RFC 3339)\n"
    "  --connections N      128 from the start\n"
    "  --events N           closed loop: N events, the next when the last is answered (100000)\n"
    "  --rate R             open loop: R events a second, for --duration\n"
    "  --duration SECONDS   open loop: 10 from the start. Closed loop: sends for so long\n"
    "  --per-request N      requests of N events each, as a JSON array, to the path with /batch "
    "behind it\n"
    "  --first N            number of the first event, where several publish to one sink; 0\n"
    "  --idempotency-keys   a fresh Idempotency-Key with every event\n"
    "  --github SECRET      the same bodies with GitHub's headers instead of the key: each has a "
    "fresh\n"
    "                       X-GitHub-Delivery, and is signed by this secret\n"
    "  --pid PID            measure this process (repeat for several); after the last answer "
    "waits\n"
    "                       until they are quiet, so that deliveries count\n"
    "  --print              writes the bodies of --events to standard output, a line each, and\n"
    "                       publishes nothing; needs no --url\n"
    "  --timeout SECONDS    give up after this long without any answer; 30 from the start\n";

static const struct load_options defaults = {.path = "/api/events",
                                             .key = "",
                                             .type = "bench",
                                             .size_bytes = 1024,
                                             .connections = 128,
                                             .types = 1,
                                             .per_request = 1,
                                             .timeout_s = 30};
enum { EVENTS_DEFAULT = 100000, DURATION_DEFAULT_S = 10 };

void load_options_refuse(const char *what)
{
    fprintf(stderr, "bench-load: %s\n\n%s", what, usage);
    exit(2);
}

static void read_url(struct load_options *options, const char *url)
{
    const char prefix[] = "http://";
    if (strncmp(url, prefix, sizeof prefix - 1) != 0)
        load_options_refuse("--url must begin with http://");
    int n = sscanf(url + sizeof prefix - 1, "%255[^:/]:%7[0-9]%1023s", options->host, options->port,
                   options->path);
    if (n < 2 || (n == 3 && options->path[0] != '/'))
        load_options_refuse("--url must be http://HOST:PORT or http://HOST:PORT/PATH");
}

static void read_payload(struct load_options *options, const char *what)
{
    options->is_padded = strcmp(what, "padding") == 0;
    if (!options->is_padded && strcmp(what, "json") != 0)
        load_options_refuse("--payload must be json or padding");
}

static void add_pid(struct load_options *options, const char *pid)
{
    if (options->pid_count == PROCESSES_MAX)
        load_options_refuse("too many --pid");
    options->pids[options->pid_count++] = atoi(pid);
}

/* One option that was given. */
static void take(struct load_options *options, int letter, const char *value)
{
    switch (letter) {
    case 'u':
        read_url(options, value);
        break;
    case 'k':
        options->key = value;
        break;
    case 't':
        options->type = value;
        break;
    case 'T':
        options->types = (unsigned)atoi(value);
        break;
    case 'a':
        options->deliver_at = value;
        break;
    case 's':
        options->size_bytes = strtoul(value, NULL, 10);
        break;
    case 'l':
        read_payload(options, value);
        break;
    case 'c':
        options->connections = (unsigned)atoi(value);
        break;
    case 'n':
        options->events = strtoull(value, NULL, 10);
        break;
    case 'r':
        options->rate = atof(value);
        break;
    case 'd':
        options->duration_s = atof(value);
        break;
    case 'f':
        options->first = strtoull(value, NULL, 10);
        break;
    case 'm':
        options->per_request = (unsigned)atoi(value);
        break;
    case 'i':
        options->has_keys = true;
        break;
    case 'g':
        options->github = value;
        break;
    case 'p':
        add_pid(options, value);
        break;
    case 'P':
        options->prints = true;
        break;
    case 'o':
        options->timeout_s = (unsigned)atoi(value);
        break;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

/* Checks all of them together, and fills in what depends on others. */
static void complete(struct load_options *options)
{
    if (!options->host[0] && !options->prints)
        load_options_refuse("--url is missing");
    if (options->connections < 1 || options->connections > 10000)
        load_options_refuse("--connections must be 1 to 10000");
    if (options->github && options->has_keys)
        load_options_refuse("--github has ids of its own: no --idempotency-keys");
    if (options->per_request < 1 || options->per_request > 10000)
        load_options_refuse("--per-request must be 1 to 10000");
    if (options->per_request > 1 && options->github)
        load_options_refuse("--github sends one event a request");
    if (options->per_request > 1 && strlen(options->path) + sizeof "/batch" <= sizeof options->path)
        strcat(options->path, "/batch");
    if (options->types < 1 || options->types > 10000)
        load_options_refuse("--types must be 1 to 10000");
    if (options->rate > 0) {
        if (options->duration_s <= 0)
            options->duration_s = DURATION_DEFAULT_S;
        options->events = (uint64_t)(options->rate * options->duration_s);
    } else if (options->events == 0) {
        options->events = options->duration_s > 0 ? UINT64_MAX : EVENTS_DEFAULT;
    }
    options->events -= options->events % options->per_request;
}

void load_options_read(struct load_options *options, int argc, char **argv)
{
    static const struct option known[] = {{"url", required_argument, NULL, 'u'},
                                          {"api-key", required_argument, NULL, 'k'},
                                          {"type", required_argument, NULL, 't'},
                                          {"types", required_argument, NULL, 'T'},
                                          {"size", required_argument, NULL, 's'},
                                          {"payload", required_argument, NULL, 'l'},
                                          {"deliver-at", required_argument, NULL, 'a'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"events", required_argument, NULL, 'n'},
                                          {"rate", required_argument, NULL, 'r'},
                                          {"duration", required_argument, NULL, 'd'},
                                          {"first", required_argument, NULL, 'f'},
                                          {"per-request", required_argument, NULL, 'm'},
                                          {"idempotency-keys", no_argument, NULL, 'i'},
                                          {"github", required_argument, NULL, 'g'},
                                          {"pid", required_argument, NULL, 'p'},
                                          {"print", no_argument, NULL, 'P'},
                                          {"timeout", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = defaults;
    int letter;
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1)
        take(options, letter, optarg);
    complete(options);
}
