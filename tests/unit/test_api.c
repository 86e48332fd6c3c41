/* test_api.c - the door of the API: routes, keys, media types, queries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/auth.h"
#include "api/media_type.h"
#include "api/query.h"
#include "api/router.h"

static void first(struct api *api, struct http_request *request, struct slice id)
{
    (void)api, (void)request, (void)id;
}

static void second(struct api *api, struct http_request *request, struct slice id)
{
    (void)api, (void)request, (void)id;
}

static const struct route routes[] = {
    {HTTP_POST, "/things/test", first, 0},    {HTTP_GET, "/things", first, 0},
    {HTTP_POST, "/things", second, 0},        {HTTP_GET, "/things/{id}", first, 0},
    {HTTP_DELETE, "/things/{id}", second, 0}, {HTTP_POST, "/things/{id}/on", second, 0},
};

/* The right row, its id, and what is allowed where the method does not fit. */
static void test_router(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *path;
        int row; /* -1: none */
        const char *id, *allowed;
    } cases[] = {
        {HTTP_GET, "/things", 1, NULL, NULL},
        {HTTP_HEAD, "/things", 1, NULL, NULL},
        {HTTP_POST, "/things", 2, NULL, NULL},
        {HTTP_PUT, "/things", -1, NULL, "GET, HEAD, POST"},
        {HTTP_GET, "/things/x", 3, "x", NULL},
        {HTTP_GET, "/things/test", 3, "test", NULL},
        {HTTP_POST, "/things/test", 0, NULL, NULL},
        {HTTP_PUT, "/things/test", -1, NULL, "GET, HEAD, POST, DELETE"},
        {HTTP_DELETE, "/things/a%2Fb", 4, "a%2Fb", NULL},
        {HTTP_OPTIONS, "/things/x", -1, NULL, "GET, HEAD, DELETE"},
        {HTTP_POST, "/things/x/on", 5, "x", NULL},
        {HTTP_GET, "/things/x/on", -1, NULL, "POST"},
        {HTTP_POST, "/things//on", -1, NULL, ""},
        {HTTP_GET, "/things/", -1, NULL, ""},
        {HTTP_GET, "/thing", -1, NULL, ""},
        {HTTP_GET, "/thingsx", -1, NULL, ""},
        {HTTP_GET, "/things/x/", -1, NULL, ""},
        {HTTP_GET, "/things/x/off", -1, NULL, ""},
        {HTTP_GET, "/Things", -1, NULL, ""},
        {HTTP_GET, "/", -1, NULL, ""},
        {HTTP_OPTIONS, "*", -1, NULL, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice id;
        unsigned allowed;
        const struct route *route =
            router_find(routes, sizeof(routes) / sizeof(routes[0]), cases[i].method,
                        slice_str(cases[i].path), &id, &allowed);
        assert_ptr_equal(route, cases[i].row < 0 ? NULL : &routes[cases[i].row]);
        assert_true(slice_eq(id, slice_str(cases[i].id)));
        if (route)
            continue;
        struct buf methods;
        buf_init(&methods, 100);
        router_methods(allowed, &methods);
        assert_true(slice_eq(buf_slice(&methods), slice_str(cases[i].allowed)));
        buf_free(&methods);
    }
}

/* Each of the keys opens, and nothing else does. */
static void test_auth(void **state)
{
    (void)state;
    static const struct slice keys[] = {{"first", 5}, {"", 0}, {"second-key", 10}};
    static const struct {
        const char *field;
        bool allowed;
    } cases[] = {
        {NULL, false},           {"", false},
        {"Bearer", false},       {"Bearer ", false},
        {"Bearer first", true},  {"bearer   second-key", true},
        {"Bearer firs", false},  {"Bearer first ", false},
        {"Bearer First", false}, {"Bearer second-keys", false},
        {"Basic first", false},  {"first", false},
        {"Bearerfirst", false},  {"Bearer firstsecond-key", false},
    };
    struct auth *auth = auth_new(keys, 3);
    assert_non_null(auth);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (auth_allows(auth, slice_str(cases[i].field)) != cases[i].allowed)
            fail_msg("%s", cases[i].field);
    auth_free(auth);

    auth = auth_new(NULL, 0);
    assert_false(auth_allows(auth, SLICE("Bearer ")));
    assert_false(auth_allows(auth, SLICE("Bearer x")));
    auth_free(auth);
    auth_free(NULL);
}

/* JSON in its spellings, and what is not JSON or not UTF-8. */
static void test_media_type(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        bool json;
    } cases[] = {
        {"application/json", true},
        {"Application/JSON", true},
        {"application/json; charset=utf-8", true},
        {"application/json;charset=\"UTF-8\"", true},
        {"application/json ; v=1 ; Charset = UTF-8", true},
        {"application/json;", true},
        {"application/cloudevents+json", true},
        {"application/vnd.x+JSON; q=1", true},
        {"application/json; charset=latin1", false},
        {"application/json; charset=utf-8; charset=utf-16", false},
        {"application/json; charset", false},
        {"application/+json", false},
        {"application/jsonx", false},
        {"application/json-seq", false},
        {"text/json", false},
        {"text/x+json", false},
        {"application/x-www-form-urlencoded", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (media_type_is_json(slice_str(cases[i].field)) != cases[i].json)
            fail_msg("%s", cases[i].field);
    assert_false(media_type_is_json(SLICE_NULL));
    assert_true(slice_eq(media_type_essence(SLICE(" a/b ; c=d")), SLICE("a/b")));
}

/* What each type is called, and which of two JSON types is meant. */
static void test_media_type_of(void **state)
{
    (void)state;
    static const struct {
        const char *field; /* NULL: none */
        enum media_type type;
    } cases[] = {
        {NULL, MEDIA_JSON},
        {"application/json", MEDIA_JSON},
        {"application/vnd.x+json; charset=utf-8", MEDIA_JSON},
        {"application/cloudevents+json", MEDIA_CLOUDEVENT},
        {"Application/CloudEvents+JSON; charset=UTF-8", MEDIA_CLOUDEVENT},
        {"application/cloudevents-batch+json", MEDIA_CLOUDEVENT_BATCH},
        {"application/cloudevents+json; charset=latin1", MEDIA_OTHER},
        {"application/cloudevents+avro", MEDIA_OTHER},
        {"application/msgpack", MEDIA_MSGPACK},
        {"application/vnd.msgpack", MEDIA_MSGPACK},
        {"application/X-MsgPack ; x=y", MEDIA_MSGPACK},
        {"application/msgpack+x", MEDIA_OTHER},
        {"text/msgpack", MEDIA_OTHER},
        {"", MEDIA_OTHER},
        {"text/plain", MEDIA_OTHER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(media_type_of(slice_str(cases[i].field)), cases[i].type);
}

/* Queries are decoded; what is not known or not well-formed is named. */
static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *query, *a, *b; /* values, NULL: not given */
        const char *code, *field;  /* or the error */
    } cases[] = {
        {"", NULL, NULL, NULL, NULL},
        {"&&", NULL, NULL, NULL, NULL},
        {"a=1", "1", NULL, NULL, NULL},
        {"a=1&long=2", "1", "2", NULL, NULL},
        {"long&a=", "", "", NULL, NULL},
        {"%61=x%20y+z%2B", "x y z+", NULL, NULL, NULL},
        {"a==&", "=", NULL, NULL, NULL},
        {"a=1&a=1", NULL, NULL, "invalid_parameter", "a"},
        {"a=%", NULL, NULL, "invalid_parameter", "a"},
        {"a=%4", NULL, NULL, "invalid_parameter", "a"},
        {"a=%gg", NULL, NULL, "invalid_parameter", "a"},
        {"a=%00", NULL, NULL, "invalid_parameter", "a"},
        {"b=1", NULL, NULL, "unknown_parameter", "b"},
        {"=1", NULL, NULL, "unknown_parameter", ""},
        {"%zz=1", NULL, NULL, "unknown_parameter", ""},
        {"A=1", NULL, NULL, "unknown_parameter", "A"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query_param params[] = {{.name = "a"}, {.name = "long"}};
        struct field_error error = {.code = NULL};
        enum status status = query_read(slice_str(cases[i].query), params, 2, &error);
        assert_int_equal(status, cases[i].code ? ST_RANGE : ST_OK);
        if (status) {
            assert_string_equal(error.code, cases[i].code);
            assert_string_equal(error.field, cases[i].field);
            continue;
        }
        const char *wanted[] = {cases[i].a, cases[i].b};
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(params[k].given, wanted[k] != NULL);
            if (wanted[k]) {
                assert_string_equal(params[k].value, wanted[k]);
                assert_int_equal(params[k].len, strlen(wanted[k]));
            }
        }
    }
    struct field_error error;
    assert_int_equal(query_read(SLICE_NULL, NULL, 0, &error), ST_OK);
}

/* A value fits to its last byte and not beyond. */
static void test_query_long(void **state)
{
    (void)state;
    char query[LIMIT_TYPE_BYTES + 3] = "a=";
    struct query_param params[] = {{.name = "a"}};
    struct field_error error;
    memset(query + 2, 'x', LIMIT_TYPE_BYTES + 1);
    assert_int_equal(query_read(slice_of(query, 2 + LIMIT_TYPE_BYTES), params, 1, &error), ST_OK);
    assert_int_equal(params[0].len, LIMIT_TYPE_BYTES);
    params[0].given = false;
    assert_int_equal(query_read(slice_of(query, sizeof(query)), params, 1, &error), ST_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router),     cmocka_unit_test(test_auth),
        cmocka_unit_test(test_media_type), cmocka_unit_test(test_media_type_of),
        cmocka_unit_test(test_query),      cmocka_unit_test(test_query_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
