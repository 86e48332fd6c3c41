/* test_webhooks.c - /api/webhooks through the API's door, with an endpoint store that answers when
 * the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>

#include "api/api.h"
#include "core/endpoint_store.h"
#include "core/health_store.h"
#include "endpoint_rules.h"
#include "fake_http.h"

/* ---- A store that holds one change back until it is told what becomes of it ----------------- */

enum store_verb { STORE_NOTHING, STORE_CREATE, STORE_REPLACE, STORE_DELETE };

struct endpoint_store {
    struct registry *registry;
    enum store_verb verb; /* of the change that waits */
    struct endpoint *endpoint;
    struct endpoint_config *config;
    endpoint_store_fn *fn;
    void *arg;
    uint8_t last_id;
    int resets;
};

static void store_hold(struct endpoint_store *store, enum store_verb verb,
                       struct endpoint *endpoint, struct endpoint_config *config,
                       endpoint_store_fn *fn, void *arg)
{
    assert_int_equal(store->verb, STORE_NOTHING);
    store->verb = verb;
    store->endpoint = endpoint;
    store->config = config;
    store->fn = fn;
    store->arg = arg;
}

enum status endpoint_store_create(struct endpoint_store *store, struct endpoint_config *config,
                                  endpoint_store_fn *fn, void *arg)
{
    store_hold(store, STORE_CREATE, NULL, config, fn, arg);
    return ST_OK;
}

enum status endpoint_store_replace(struct endpoint_store *store, struct endpoint *endpoint,
                                   struct endpoint_config *config, endpoint_store_fn *fn, void *arg)
{
    store_hold(store, STORE_REPLACE, endpoint, config, fn, arg);
    return ST_OK;
}

enum status endpoint_store_delete(struct endpoint_store *store, struct endpoint *endpoint,
                                  endpoint_store_fn *fn, void *arg)
{
    store_hold(store, STORE_DELETE, endpoint, NULL, fn, arg);
    return ST_OK;
}

void endpoint_store_reset(struct endpoint_store *store, struct endpoint *endpoint)
{
    (void)endpoint;
    store->resets++;
}

struct registry *endpoint_store_registry(struct endpoint_store *store)
{
    return store->registry;
}

/* What Redis's answer would do. */
static void store_answer(struct endpoint_store *store, enum status status)
{
    struct endpoint *endpoint = NULL;
    enum store_verb verb = store->verb;
    store->verb = STORE_NOTHING;
    if (status) {
        endpoint_config_put(store->config);
    } else if (verb == STORE_DELETE) {
        registry_remove(store->registry, store->endpoint);
    } else {
        struct id id = {.bytes = {[19] = ++store->last_id}};
        assert_int_equal(registry_put(store->registry,
                                      verb == STORE_CREATE ? &id : &store->endpoint->id,
                                      store->config, &endpoint),
                         ST_OK);
    }
    store->fn(store->arg, status, endpoint);
}

/* ---- What Redis has of how an endpoint fares ------------------------------------------------ */

static struct {
    health_store_read_fn *fn; /* NULL: nobody asked */
    void *arg;
    enum status status; /* of the asking */
} health;

enum status health_store_read(struct health_store *unused, const struct endpoint *endpoint,
                              health_store_read_fn *fn, void *arg)
{
    (void)unused;
    (void)endpoint;
    if (health.status != ST_OK)
        return health.status;
    assert_null(health.fn);
    health.fn = fn;
    health.arg = arg;
    return ST_OK;
}

static void health_answer(const struct health_record *record)
{
    health_store_read_fn *fn = health.fn;
    assert_non_null(fn);
    health.fn = NULL;
    fn(health.arg, record);
}

/* ---- Fixture -------------------------------------------------------------------------------- */

static struct endpoint_rules rules;
static struct endpoint_store store;
static struct core core = {.loaded = true};
static struct api api;
static struct http_request request;

/* All lanes become this process's, or another's. */
static void own_lanes(bool mine)
{
    static const char me[] = "00000000000000aa", other[] = "00000000000000bb";
    uint8_t owner_of[LANES];
    memset(owner_of, 1, sizeof(owner_of));
    struct slice owner = slice_str(mine ? me : other);
    assert_int_equal(
        lanes_update(core.lanes, lanes_version(core.lanes) + 1, &owner, 1, owner_of, NULL, NULL),
        ST_OK);
    for (uint32_t lane = 0; mine && lane < LANES; lane++)
        lanes_step(core.lanes, lane, LANE_MINE);
}

static int setup(void **state)
{
    (void)state;
    rules = test_rules_new();
    core.lanes = lanes_new("00000000000000aa");
    assert_non_null(core.lanes);
    own_lanes(true);
    health.fn = NULL;
    health.status = ST_OK;
    store = (struct endpoint_store){.registry = registry_new(&rules)};
    struct slice key = SLICE("key");
    api = (struct api){.auth = auth_new(&key, 1), .endpoints = &store, .core = &core};
    return store.registry && api.auth ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fake_free(&request);
    request = (struct http_request){0};
    registry_free(store.registry);
    lanes_free(core.lanes);
    test_rules_free(&rules);
    auth_free((struct auth *)(uintptr_t)api.auth);
    return 0;
}

/* Sends a request; its answer may have to wait for store_answer(). */
static void send(enum http_method method, const char *target, const char *body)
{
    fake_free(&request);
    fake_init(&request, method, target, body);
    fake_header(&request, "Authorization", "Bearer key");
    api_handle(&api, &request);
}

/* Sends a change, lets Redis take it, and expects the status. */
static void change(enum http_method method, const char *target, const char *body, int status)
{
    send(method, target, body);
    assert_int_equal(request.replies, 0);
    store_answer(&store, ST_OK);
    assert_int_equal(request.replies, 1);
    assert_int_equal(request.status, status);
}

static void expect_error(int status, const char *code)
{
    assert_int_equal(request.replies, 1);
    json_t *body = json_loads(request.reply_body.ptr, 0, NULL);
    const char *got = "", *message = "";
    assert_non_null(body);
    assert_int_equal(json_unpack(body, "{s:{s:s,s:s}}", "error", "code", &got, "message", &message),
                     0);
    if (request.status != status || strcmp(got, code) != 0)
        fail_msg("%d %s", request.status, request.reply_body.ptr);
    assert_true(message[0] != '\0');
    assert_int_equal(status == 503, strstr(request.reply_headers.ptr, "Retry-After: ") != NULL);
    assert_non_null(strstr(request.reply_headers.ptr, "Content-Type: application/json\n"));
    json_decref(body);
}

static bool reply_has(const char *text)
{
    return strstr(request.reply_body.ptr, text) != NULL;
}

#define WEBHOOKS "/api/webhooks"
#define FIRST    WEBHOOKS "/ep_000000000000000000000000001"
#define BODY     "{\"url\":\"https://example.com/\",\"events\":[\"order.*\"]}"

/* ---- Tests ---------------------------------------------------------------------------------- */

/* One webhook's life: made, read, changed, switched, deleted. */
static void test_life(void **state)
{
    (void)state;
    change(HTTP_POST, WEBHOOKS, BODY, 201);
    assert_true(reply_has("\"id\":\"ep_000000000000000000000000001\""));
    assert_true(reply_has("\"secret\":\"whsec_"));
    assert_non_null(strstr(request.reply_headers.ptr, "Location: " FIRST "\n"));

    send(HTTP_GET, FIRST, "");
    assert_int_equal(request.status, 200);
    assert_true(reply_has("\"secret\":\"whsec_"));
    send(HTTP_HEAD, FIRST, "");
    assert_int_equal(request.status, 200);

    change(HTTP_PATCH, FIRST, "{\"timeout\":\"5s\"}", 200);
    assert_true(reply_has("\"timeout\":\"5s\""));
    change(HTTP_PUT, FIRST, "{\"url\":\"https://other.com/\",\"events\":[\"a\"]}", 200);
    assert_true(reply_has("\"url\":\"https://other.com/\"") && reply_has("\"timeout\":\"15s\""));

    change(HTTP_POST, FIRST "/disable", "", 200);
    assert_true(reply_has("\"active\":false,\"disabledReason\":\"manual\""));
    send(HTTP_POST, FIRST "/disable", ""); /* already: nothing to store */
    assert_int_equal(request.status, 200);
    change(HTTP_POST, FIRST "/enable", "", 200);
    assert_true(reply_has("\"active\":true,\"disabledReason\":null"));

    change(HTTP_DELETE, FIRST, "", 204);
    assert_string_equal(request.reply_body.ptr, "");
    send(HTTP_GET, FIRST, "");
    expect_error(404, "not_found");
}

/* What does not get past the door, in the order of the checks. */
static void test_door(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *target;
        const char *headers[4]; /* names and values; Authorization is added when not here */
        int status;
        const char *code;
    } cases[] = {
        {HTTP_OTHER, "/nothing", {"Authorization", ""}, 501, "not_implemented"},
        {HTTP_GET, WEBHOOKS, {"Authorization", ""}, 401, "unauthorized"},
        {HTTP_GET, WEBHOOKS, {"Authorization", "Bearer other"}, 401, "unauthorized"},
        {HTTP_GET, "/nothing", {"Authorization", ""}, 401, "unauthorized"},
        {HTTP_GET,
         WEBHOOKS,
         {"Authorization", "Bearer key", "authorization", "Bearer key"},
         401,
         "unauthorized"},
        {HTTP_GET, "/nothing", {NULL}, 404, "not_found"},
        {HTTP_PUT, WEBHOOKS, {NULL}, 405, "method_not_allowed"},
        {HTTP_GET, WEBHOOKS, {"X-Application", "other"}, 404, "application_not_found"},
        {HTTP_POST, WEBHOOKS "?a=1", {NULL}, 400, "unknown_parameter"},
        {HTTP_GET, FIRST "?limit=1", {NULL}, 400, "unknown_parameter"},
        {HTTP_POST, WEBHOOKS, {"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
        {HTTP_POST,
         WEBHOOKS,
         {"Content-Type", "application/json", "Content-Type", "application/json"},
         415,
         "unsupported_media_type"},
        {HTTP_PATCH,
         FIRST,
         {"Content-Type", "application/x-www-form-urlencoded"},
         415,
         "unsupported_media_type"},
        {HTTP_POST, WEBHOOKS, {"Content-Type", "application/json"}, 400, "invalid_json"},
        {HTTP_POST, WEBHOOKS, {"X-Application", "default"}, 400, "invalid_json"},
        {HTTP_GET, FIRST, {NULL}, 404, "not_found"},
        {HTTP_DELETE, WEBHOOKS "/nonsense", {NULL}, 404, "not_found"},
        {HTTP_POST, WEBHOOKS "/ep_/enable", {NULL}, 404, "not_found"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_free(&request);
        fake_init(&request, cases[i].method, cases[i].target, "");
        for (size_t k = 0; k < 4 && cases[i].headers[k]; k += 2)
            fake_header(&request, cases[i].headers[k], cases[i].headers[k + 1]);
        if (http_request_header_count(&request, SLICE("Authorization")) == 0)
            fake_header(&request, "Authorization", "Bearer key");
        api_handle(&api, &request);
        expect_error(cases[i].status, cases[i].code);
        if (cases[i].status == 401)
            assert_non_null(strstr(request.reply_headers.ptr, "WWW-Authenticate: Bearer\n"));
        if (cases[i].status == 405)
            assert_non_null(strstr(request.reply_headers.ptr, "Allow: GET, HEAD, POST\n"));
    }
}

/* A refused body is answered with code and field, and nothing is stored. */
static void test_refused(void **state)
{
    (void)state;
    send(HTTP_POST, WEBHOOKS, "{\"url\":\"https://example.com/\",\"events\":[\"a\",\"\"]}");
    expect_error(400, "invalid_events");
    assert_true(reply_has("\"field\":\"events[1]\""));
    assert_int_equal(store.verb, STORE_NOTHING);

    change(HTTP_POST, WEBHOOKS, BODY, 201);
    send(HTTP_PATCH, FIRST, "{\"rateLimits\":1}");
    expect_error(400, "unknown_field");
    send(HTTP_PUT, FIRST, "{\"url\":\"https://example.com/\"}");
    expect_error(400, "missing_field");
    change(HTTP_PATCH, FIRST, "{}", 200); /* a refused change does not stand in the way */

    char *huge = malloc(LIMIT_ENDPOINT_BYTES + 2);
    assert_non_null(huge);
    memset(huge, ' ', LIMIT_ENDPOINT_BYTES + 1);
    huge[LIMIT_ENDPOINT_BYTES + 1] = '\0';
    send(HTTP_POST, WEBHOOKS, huge);
    expect_error(413, "payload_too_large");
    free(huge);
}

/* Each way in which storing can fail has its answer, and leaves things as they were. */
static void test_not_stored(void **state)
{
    (void)state;
    static const struct {
        enum status stored;
        int status;
        const char *code;
    } cases[] = {
        {ST_AGAIN, 503, "redis_unavailable"}, {ST_LOST, 503, "outcome_unknown"},
        {ST_STOPPED, 503, "shutting_down"},   {ST_NOMEM, 503, "out_of_memory"},
        {ST_REFUSED, 503, "redis_refused"},   {ST_LIMIT, 409, "too_many_webhooks"},
        {ST_NOTFOUND, 404, "not_found"},
    };
    change(HTTP_POST, WEBHOOKS, BODY, 201);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static const struct {
            enum http_method method;
            const char *target, *body;
        } changes[] = {
            {HTTP_POST, WEBHOOKS, BODY},
            {HTTP_PATCH, FIRST, "{\"timeout\":\"5s\"}"},
            {HTTP_POST, FIRST "/disable", ""},
            {HTTP_DELETE, FIRST, ""},
        };
        for (size_t k = 0; k < sizeof(changes) / sizeof(changes[0]); k++) {
            send(changes[k].method, changes[k].target, changes[k].body);
            store_answer(&store, cases[i].stored);
            expect_error(cases[i].status, cases[i].code);
        }
    }
    send(HTTP_GET, FIRST, "");
    assert_int_equal(request.status, 200);
    assert_true(reply_has("\"timeout\":\"15s\"") && reply_has("\"active\":true"));
    assert_int_equal(registry_count(store.registry), 1);
}

/* How a webhook fares that another replica sends to is read from Redis, for every answer that shows
 * it; what only that replica knows is null. */
static void test_health_of_others(void **state)
{
    (void)state;
    static const struct health_record well = {.failing_since_ms = 0},
                                      open = {.failing_since_ms = 1760000000123,
                                              .breaker = "open",
                                              .probe_at_ms = 1760000002000,
                                              .opened = 3,
                                              .opened_at_ms = 1760000001000,
                                              .reason = "probe_failed"};
    static const char *const unknown = "\"inFlight\":null,\"inFlightAllowed\":null}";
    own_lanes(false);
    send(HTTP_POST, WEBHOOKS, BODY);
    store_answer(&store, ST_OK);
    assert_int_equal(request.replies, 0);
    health_answer(&well);
    assert_int_equal(request.status, 201);
    assert_non_null(strstr(request.reply_headers.ptr, "Location: " FIRST "\n"));
    assert_true(reply_has("\"failingSince\":null,\"consecutiveFailures\":null,"
                          "\"disabledReason\":null,\"breaker\":{\"state\":\"closed\"}"));
    assert_true(reply_has(unknown));

    send(HTTP_GET, FIRST, "");
    assert_int_equal(request.replies, 0);
    health_answer(&open);
    assert_int_equal(request.status, 200);
    assert_true(reply_has("\"failingSince\":\"2025-10-09T08:53:20.123Z\""));
    assert_true(reply_has("\"breaker\":{\"state\":\"open\",\"reason\":\"probe_failed\","
                          "\"timesOpened\":3,\"openedAt\":\"2025-10-09T08:53:21.000Z\","
                          "\"nextProbeAt\":\"2025-10-09T08:53:22.000Z\"}"));
    assert_true(reply_has(unknown));

    send(HTTP_POST, FIRST "/disable", "");
    store_answer(&store, ST_OK);
    health_answer(&open);
    assert_int_equal(request.status, 200);
    assert_true(reply_has("\"consecutiveFailures\":null,\"disabledReason\":\"manual\""));

    /* The answer shows what was changed, and not what came while Redis was asked. */
    send(HTTP_GET, FIRST, "");
    struct endpoint *endpoint = registry_next(store.registry, NULL);
    registry_remove(store.registry, endpoint);
    health_answer(&well);
    assert_int_equal(request.status, 200);
    assert_true(reply_has("\"url\":\"https://example.com/\""));
}

/* Redis cannot tell: the webhook is shown all the same, and a change that was stored is not
 * answered with an error. */
static void test_health_of_others_unknown(void **state)
{
    (void)state;
    own_lanes(false);
    send(HTTP_POST, WEBHOOKS, BODY);
    store_answer(&store, ST_OK);
    health_answer(NULL);
    assert_int_equal(request.status, 201);
    assert_true(reply_has("\"health\":null"));
    health.status = ST_NOMEM;
    send(HTTP_GET, FIRST, "");
    assert_int_equal(request.status, 200);
    assert_true(reply_has("\"health\":null"));
    json_t *body = json_loads(request.reply_body.ptr, 0, NULL);
    assert_non_null(body);
    json_decref(body);
}

/* Another replica was first: 409. Enabling and disabling is done anew on what it left, some times;
 * and what is so already is no change. */
static void test_other_replica(void **state)
{
    (void)state;
    change(HTTP_POST, WEBHOOKS, BODY, 201);
    send(HTTP_PATCH, FIRST, "{\"timeout\":\"5s\"}");
    store_answer(&store, ST_CONFLICT);
    expect_error(409, "conflict");
    send(HTTP_PUT, FIRST, BODY);
    store_answer(&store, ST_CONFLICT);
    expect_error(409, "conflict");

    send(HTTP_POST, FIRST "/disable", "");
    store_answer(&store, ST_CONFLICT);
    store_answer(&store, ST_CONFLICT);
    store_answer(&store, ST_OK);
    assert_int_equal(request.status, 200);
    assert_true(reply_has("\"active\":false"));
    send(HTTP_POST, FIRST "/enable", "");
    for (int i = 0; i < 3; i++)
        store_answer(&store, ST_CONFLICT);
    expect_error(409, "conflict");
    change(HTTP_POST, FIRST "/enable", "", 200);
    assert_int_equal(store.resets, 0);
    send(HTTP_POST, FIRST "/enable", "");
    assert_int_equal(request.status, 200);
    assert_int_equal(store.resets, 1);
}

/* While a change is on its way, another one of the same webhook is refused instead of undoing it;
 * reading goes on. */
static void test_conflict(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *target, *body;
    } others[] = {
        {HTTP_PATCH, FIRST, "{\"maxInFlight\":2}"},
        {HTTP_PUT, FIRST, BODY},
        {HTTP_POST, FIRST "/enable", ""},
        {HTTP_DELETE, FIRST, ""},
    };
    change(HTTP_POST, WEBHOOKS, BODY, 201);
    struct http_request slow;
    fake_init(&slow, HTTP_PATCH, FIRST, "{\"timeout\":\"5s\"}");
    fake_header(&slow, "Authorization", "Bearer key");
    api_handle(&api, &slow);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        send(others[i].method, others[i].target, others[i].body);
        expect_error(409, "conflict");
    }
    send(HTTP_GET, FIRST, "");
    assert_true(reply_has("\"timeout\":\"15s\""));
    store_answer(&store, ST_OK);
    assert_int_equal(slow.status, 200);
    fake_free(&slow);
    change(HTTP_PATCH, FIRST, "{\"maxInFlight\":2}", 200);
    assert_true(reply_has("\"timeout\":\"5s\"") && reply_has("\"maxInFlight\":2"));
}

/* The webhooks of the list in the last answer, as the last digits of their ids; *cursor (if there
 * is one) is copied out. */
static void read_list(char *ids, char cursor[64])
{
    json_t *body = json_loads(request.reply_body.ptr, 0, NULL);
    if (request.status != 200 || !body)
        fail_msg("%d %s", request.status, request.reply_body.ptr);
    json_t *list = json_object_get(body, "webhooks");
    assert_true(json_is_array(list));
    assert_int_equal(json_integer_value(json_object_get(body, "count")), json_array_size(list));
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        assert_null(json_object_get(item, "secret"));
        ids[i] = json_string_value(json_object_get(item, "id"))[ID_DIGITS + 2];
    }
    ids[i] = '\0';
    json_t *next = json_object_get(body, "cursor");
    assert_true(json_is_string(next) || json_is_null(next));
    snprintf(cursor, 64, "%s", json_is_string(next) ? json_string_value(next) : "");
    json_decref(body);
}

static void expect_list(const char *query, const char *expected, bool more)
{
    char target[256], ids[64], cursor[64];
    snprintf(target, sizeof(target), WEBHOOKS "%s", query);
    send(HTTP_GET, target, "");
    read_list(ids, cursor);
    assert_string_equal(ids, expected);
    assert_int_equal(cursor[0] != '\0', more);
}

/* Filters and pages. */
static void test_list(void **state)
{
    (void)state;
    expect_list("", "", false);
    for (int i = 1; i <= 7; i++)
        change(HTTP_POST, WEBHOOKS,
               i % 2 ? BODY
                     : "{\"url\":\"https://example.com/\",\"events\":[\"a\"],\"active\":false}",
               201);
    expect_list("", "1234567", false);
    expect_list("?limit=7", "1234567", false);
    expect_list("?limit=3", "123", true);
    expect_list("?limit=3&cursor=ep_000000000000000000000000003", "456", true);
    expect_list("?limit=3&cursor=ep_000000000000000000000000006", "7", false);
    expect_list("?cursor=ep_000000000000000000000000007", "", false);
    expect_list("?active=true", "1357", false);
    expect_list("?active=false&limit=3", "246", false);
    expect_list("?active=false&limit=2", "24", true);
    expect_list("?eventType=order.created", "1357", false);
    expect_list("?eventType=a", "246", false);
    expect_list("?eventType=a&active=true", "", false);
    expect_list("?eventType=order", "", false);

    /* Following the cursors visits each once, also when one that was a cursor is gone. */
    char target[128] = WEBHOOKS "?limit=2", ids[64], cursor[64], all[64] = "";
    do {
        send(HTTP_GET, target, "");
        read_list(ids, cursor);
        strcat(all, ids);
        snprintf(target, sizeof(target), WEBHOOKS "?limit=2&cursor=%s", cursor);
        if (strcmp(all, "12") == 0)
            change(HTTP_DELETE, WEBHOOKS "/ep_000000000000000000000000002", "", 204);
    } while (cursor[0] != '\0');
    assert_string_equal(all, "1234567");
}

static void test_list_refused(void **state)
{
    (void)state;
    static const struct {
        const char *query, *code;
    } cases[] = {
        {"?limit=0", "invalid_limit"},      {"?limit=501", "invalid_limit"},
        {"?limit=x", "invalid_limit"},      {"?limit=", "invalid_limit"},
        {"?limit=-1", "invalid_limit"},     {"?cursor=", "invalid_cursor"},
        {"?cursor=ep_1", "invalid_cursor"}, {"?active=1", "invalid_active"},
        {"?active=", "invalid_active"},     {"?eventType=a.*", "invalid_events"},
        {"?eventType=", "invalid_events"},  {"?limit=1&limit=1", "invalid_parameter"},
        {"?sort=url", "unknown_parameter"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char target[128];
        snprintf(target, sizeof(target), WEBHOOKS "%s", cases[i].query);
        send(HTTP_GET, target, "");
        expect_error(400, cases[i].code);
    }
}

/* A page of large webhooks ends before it is too large, and the next one goes on. */
static void test_list_large(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, LIMIT_ENDPOINT_BYTES);
    buf_add_str(&body, "{\"url\":\"https://example.com/\",\"events\":[\"a\"],\"headers\":{");
    for (int i = 0; i < LIMIT_HEADER_LIST; i++) {
        buf_addf(&body, "%s\"h%d\":\"", i ? "," : "", i);
        memset(buf_reserve(&body, LIMIT_HEADER_VALUE_BYTES), 'x', LIMIT_HEADER_VALUE_BYTES);
        body.len += LIMIT_HEADER_VALUE_BYTES;
        buf_add_str(&body, "\"");
    }
    buf_add_str(&body, "}}");
    buf_add_char(&body, '\0');
    assert_int_equal(buf_status(&body), ST_OK);
    for (int i = 0; i < 12; i++)
        change(HTTP_POST, WEBHOOKS, body.ptr, 201);
    buf_free(&body);

    char ids[64], cursor[64], target[128];
    send(HTTP_GET, WEBHOOKS, "");
    assert_in_range(request.reply_body.len, 1024 * 1024, 2 * 1024 * 1024);
    read_list(ids, cursor);
    size_t first_page = strlen(ids);
    assert_in_range(first_page, 1, 11);
    snprintf(target, sizeof(target), WEBHOOKS "?cursor=%s", cursor);
    send(HTTP_GET, target, "");
    read_list(ids, cursor);
    assert_int_equal(first_page + strlen(ids), 12);
    assert_string_equal(cursor, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_door, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_replica, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_health_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_health_of_others_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_large, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
