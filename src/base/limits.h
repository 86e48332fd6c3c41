/* limits.h - every built-in maximum, its reason, and what happens when it is reached.
 *
 * What an operator may want to change is an option of the configuration (conf/trotline.yaml); what
 * is here bounds the code itself. [SQLite sqliteLimit.h]
 */
#ifndef TROTLINE_BASE_LIMITS_H
#define TROTLINE_BASE_LIMITS_H

/* ---- HTTP server: one request -------------------------------------------------------------- */
#define LIMIT_HTTP_HEADERS         100  /* header lines; more is 431 */
#define LIMIT_HTTP_TARGET_BYTES    8192 /* RFC 9112 section 3 asks for 8000 at least; more is 414 */
#define LIMIT_HTTP_HEADER_BYTES    (32 * 1024) /* request line and all headers; more is 431 */
#define LIMIT_HTTP_TRAILER_BYTES   4096        /* trailer of a chunked body, dropped; more is 431 */
#define LIMIT_HTTP_EXTENSION_BYTES 1024 /* chunk extensions of one body, dropped; more is 400 */
#define LIMIT_HTTP_STREAM_BYTES                                                                    \
    (64 * 1024) /* of a body in pieces, in each http.bodyTimeout; fewer is 408 */

/* ---- HTTP server: connections --------------------------------------------------------------- */
#define LIMIT_HTTP_BACKLOG      1024 /* connections the kernel holds until we accept them */
#define LIMIT_HTTP_REFUSED      64   /* beyond the maximum, answered 503; more: just closed */
#define LIMIT_HTTP_LINGER_MS    2000 /* reading on after the last answer; then a reset */
#define LIMIT_HTTP_LINGER_BYTES (1024 * 1024) /* … and at most so much */

/* ---- JSON ---------------------------------------------------------------------------------- */
#define LIMIT_JSON_DEPTH                                                                           \
    64 /* nesting; deeper is 400 `json_too_deep`. jansson's recursion stays small */

/* ---- Events and endpoints ------------------------------------------------------------------- */
#define LIMIT_TYPE_BYTES            256 /* an event type; longer is 400 */
#define LIMIT_IDEMPOTENCY_KEY_BYTES 256 /* longer is 400; only a 16-byte hash of it is kept */
#define LIMIT_UID_BYTES             256
#define LIMIT_ORDERING_KEY_BYTES    256
#define LIMIT_EVENT_HEADERS_BYTES                                                                  \
    (16 * 1024)                        /* kept of a received request; those behind are left out */
#define LIMIT_CLOUDEVENT_ATTRIBUTES 64 /* of one CloudEvent, extensions included; more is 400 */
#define LIMIT_CLOUDEVENT_BYTES                                                                     \
    (16 * 1024) /* all of them as JSON, kept with the event; more is 400 */
#define LIMIT_URL_BYTES          2048
#define LIMIT_DESCRIPTION_BYTES  1000
#define LIMIT_HEADER_LIST        32                         /* custom headers of an endpoint */
#define LIMIT_HEADER_NAME_BYTES  128                        /* one custom header's name */
#define LIMIT_HEADER_VALUE_BYTES 4096                       /* one custom header's value */
#define LIMIT_ENDPOINT_TYPES     64                         /* `events` of an endpoint */
#define LIMIT_RETRY_STEPS        64                         /* entries of a retry schedule */
#define LIMIT_RETRY_STEP_MS      (30ull * 24 * 3600 * 1000) /* 30 days: the longest step */
#define LIMIT_RETRY_STATUSES     32 /* single statuses in a policy's retryOn */
#define LIMIT_SECRETS            11 /* valid at once during rotation: Svix's 10 old ones and the new */
#define LIMIT_SECRET_BYTES       1024        /* one secret, as text */
#define LIMIT_FILTER_BYTES       (32 * 1024) /* a filter's JSON; more of any of these is 400 */
#define LIMIT_FILTER_DEPTH       16          /* objects and lists within each other */
#define LIMIT_FILTER_CONDITIONS  64  /* operators and bare values: each is judged for each event */
#define LIMIT_FILTER_VALUES      512 /* that are compared with, in all lists together */
#define LIMIT_FILTER_PATH        16  /* names in one path */
#define LIMIT_STREAM_NAME_BYTES  128 /* of an endpoint's stream; longer is 400 */
#define LIMIT_STREAM_LENGTH      10000000 /* its entries: 10 GB of 1 KiB each; more is 400 */
#define LIMIT_ENDPOINT_BYTES                                                                       \
    (256 * 1024) /* an endpoint's JSON; all of the above fit; more is 413 */

/* ---- Several events in one request ------------------------------------------------------------
 */
#define LIMIT_GROUP_EVENTS  1000               /* of an endpoint's `batch`; more is 400 */
#define LIMIT_GROUP_BYTES   (16 * 1024 * 1024) /* of the body; an event beyond it goes alone */
#define LIMIT_GROUP_WAIT_MS (60 * 1000)        /* how long the first of them may wait */

/* ---- Schemes -------------------------------------------------------------------------------- */
#define LIMIT_SCHEMES 256 /* built-in and from files; one more is an error of the configuration */

/* ---- Sources -------------------------------------------------------------------------------- */
#define LIMIT_SOURCES           1000 /* of files and stored ones; one more is 409 */
#define LIMIT_SOURCES_LABELLED  100  /* with series of their own in /metrics; the first ones */
#define LIMIT_SOURCE_NAME_BYTES 64   /* it is a part of paths, labels and event types */
#define LIMIT_SOURCE_BYTES      (64 * 1024) /* a source's JSON; more is 413, any of these below 400 */
#define LIMIT_SOURCE_NETWORKS   64          /* allowed ones, and trusted proxies */
#define LIMIT_SOURCE_TYPES      32          /* content types that are taken */
#define LIMIT_SOURCE_VARIABLES  16
#define LIMIT_SOURCE_HEADERS    64   /* names of headers that are kept */
#define LIMIT_SOURCE_PLACES     8    /* places where an event's id may be, and its type */
#define LIMIT_SOURCE_REPLY      4096 /* bytes of the configured answer */

/* ---- Batches -------------------------------------------------------------------------------- */
#define LIMIT_BATCH_EVENTS     1024               /* the configuration may ask for less */
#define LIMIT_BATCH_DELIVERIES (1024 * 1024)      /* resolved deliveries of one batch */
#define LIMIT_BATCH_BYTES      (16 * 1024 * 1024) /* packed size */
/* A batch with so many ordered deliveries takes no more events: Redis enters them in one call, at
 * 3-10 us each (publish.lua). One event may have more by itself, if so many endpoints have an
 * order.
 */
#define LIMIT_BATCH_ORDERED 512

/* ---- Batch requests ------------------------------------------------------------------------- */
#define LIMIT_BULK_RESULT_BYTES                                                                    \
    (128 * 1024 * 1024) /* results of all unanswered ones; more ends the reading of that request,  \
                           `overloaded`. Those of 10,000 events take half a MiB */

/* ---- Matching ------------------------------------------------------------------------------- */
#define LIMIT_MATCHING_BYTES                                                                       \
    (32 * 1024 * 1024) /* events whose filters did not fit in a turn; more is 503 `overloaded` */

/* ---- Redis ---------------------------------------------------------------------------------- */
#define LIMIT_REDIS_REPLY_BYTES                                                                    \
    (64 * 1024 * 1024) /* one reply; more ends the connection: page big reads */
#define LIMIT_REDIS_IN_FLIGHT_BYTES                                                                \
    (40 * 1024 * 1024) /* unless the options say otherwise; two full batches, and entries */
#define LIMIT_STREAM_IN_FLIGHT_BYTES                                                               \
    (8 * 1024 * 1024) /* of entries on their way to streams; beyond it a webhook has one at a      \
                         time, so that batches, on the same connection, go */
#define LIMIT_REDIS_SENTINELS                                                                      \
    8 /* asked one after the other, half a second each, within one attempt to connect */

/* ---- Feeds --------------------------------------------------------------------------------- */
#define LIMIT_FEEDS           16 /* streams that events are read from; each has a connection */
#define LIMIT_FEED_NAME_BYTES 32 /* it is a part of keys, paths and labels */
#define LIMIT_FEED_READ_BYTES                                                                      \
    (1024 * 1024) /* of entries that are asked for at once, by what the last ones had */
#define LIMIT_FEED_BLANKS_BYTES                                                                    \
    (64 * 1024) /* of an entry's event besides its data, blanks included; more is rejected */

/* ---- Replicas ------------------------------------------------------------------------------- */
/* A lane's state for its next owner: 40,000 endpoints. With more it is left out, which is safe. */
#define LIMIT_HANDOVER_BYTES (4 * 1024 * 1024)

/* ---- Configuration -------------------------------------------------------------------------- */
#define LIMIT_CONFIG_BYTES       (1024 * 1024) /* the file; more is refused unread */
#define LIMIT_CONFIG_VALUE_BYTES 4096          /* one value, after ${NAME} is replaced */
#define LIMIT_CONFIG_LIST        1024          /* entries of one list */

/* ---- Attempts ------------------------------------------------------------------------------- */
#define LIMIT_ATTEMPT_BODY_BYTES       1024 /* head of a response kept in the endpoint's list */
#define LIMIT_EVENT_ATTEMPTS           10   /* kept with each delivery of an event; the newest */
#define LIMIT_EVENT_ATTEMPT_BODY_BYTES 256  /* … and of their responses */
#define LIMIT_EVENT_LOG_BYTES          (16 * 1024) /* those attempts, packed: far above what they take */

/* ---- Outbound: one response ------------------------------------------------------------------ */
#define LIMIT_RESPONSE_HEADER_BYTES                                                                \
    (64 * 1024) /* all header lines, 1xx and trailers included;                                    \
                   more is `response_too_large` */
#define LIMIT_RESPONSE_PROVISIONAL                                                                 \
    32 /* 1xx responses before the final one, of which real servers send one or none */

#endif
