/* options.c - the command line of bench-sink. */
#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bench-sink [options]\n"
    "\n"
    "Answers HTTP/1.1 requests on 127.0.0.1 and measures how old they are: from the timestamp "
    "that\n"
    "bench-load put into the event to its arrival here.\n"
    "\n"
    "  --port P             0, the default, takes a free one; `listening PORT` is printed\n"
    "  --everywhere         on all addresses of 127.0.0.0/8, each of which is a host of its own\n"
    "  --tls FILE           https, with a new certificate for 127.0.0.1 and localhost; FILE is\n"
    "                       written and has the authority to trust\n"
    "  --status N           what to answer where the path does not say; 200 from the start\n"
    "  --expect N           print the summary and end after N requests\n"
    "  --skip N             leave the first N events out of the latencies: they warm up\n"
    "  --stamps CLASS:FILE  write when each request of the class came, in ns, one a line\n"
    "\n"
    "A path without its last segment is a class; the summary has its figures. What it begins with\n"
    "says what happens: /ok /500 (any status) /hang /reset /delay/MS /switch/500 (or hang, reset:\n"
    "what it does while dead). So /hang/0 to /hang/19 are twenty endpoints of one class.\n"
    "\n"
    "SIGUSR1 prints the summary (one line of JSON), SIGUSR2 resets it, SIGTERM prints and ends;\n"
    "SIGRTMIN makes the classes below /switch dead, SIGRTMIN+1 alive. Times are CLOCK_MONOTONIC;\n"
    "unique counts the events answered with 2xx, refused all other requests, and latency_us is of\n"
    "first arrivals and repetitions.\n";

static void refuse(const char *what)
{
    fprintf(stderr, "bench-sink: %s\n\n%s", what, usage);
    exit(2);
}

static void stamps_open(struct sink_options *options, char *class)
{
    char *colon = strchr(class, ':');
    if (!colon)
        refuse("--stamps takes CLASS:FILE");
    *colon = '\0';
    options->stamps_class = class;
    options->stamps = fopen(colon + 1, "ae"); /* to append, so that a reset begins it anew */
    if (!options->stamps) {
        perror(colon + 1);
        exit(1);
    }
}

/* One option that was given. */
static void take(struct sink_options *options, int letter, char *value)
{
    switch (letter) {
    case 'p':
        options->port = (uint16_t)strtoul(value, NULL, 10);
        break;
    case 'a':
        options->is_everywhere = true;
        break;
    case 'c':
        options->ca_path = value;
        break;
    case 's':
        options->status = atoi(value);
        break;
    case 'e':
        options->expect = strtoull(value, NULL, 10);
        break;
    case 'k':
        options->skip = strtoull(value, NULL, 10);
        break;
    case 't':
        stamps_open(options, value);
        break;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

void sink_options_read(struct sink_options *options, int argc, char **argv)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"everywhere", no_argument, NULL, 'a'},
                                          {"tls", required_argument, NULL, 'c'},
                                          {"status", required_argument, NULL, 's'},
                                          {"expect", required_argument, NULL, 'e'},
                                          {"skip", required_argument, NULL, 'k'},
                                          {"stamps", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = (struct sink_options){.status = 200};
    int letter;
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1)
        take(options, letter, optarg);
}
