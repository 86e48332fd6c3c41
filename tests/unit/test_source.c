/* test_source.c - documents of sources: what is refused, what is kept, what is shown; and what a
 * received request asks of a source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/source_document.h"
#include "core/sources.h"

#define NOW_MS UINT64_C(1790000000000)

static struct source_rules rules;

static int setup(void **state)
{
    (void)state;
    rules = (struct source_rules){.schemes = scheme_set_new(), .body_bytes_max = 262144};
    return rules.schemes ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    scheme_set_free((struct scheme_set *)(uintptr_t)rules.schemes);
    free(rules.trusted_proxies.items);
    return 0;
}

/* Single quotes stand for double ones. */
static const char *json(const char *text)
{
    static char out[8][2048];
    static unsigned turn;
    char *to = out[turn++ % 8];
    snprintf(to, sizeof(out[0]), "%s", text);
    for (char *c = to; *c; c++)
        if (*c == '\'')
            *c = '"';
    return to;
}

static struct source *make_of(const struct source *old, const char *name, const char *body)
{
    struct source *source;
    struct field_error error = {.code = ""};
    enum status status = source_document_make(&rules, old, slice_str(name), slice_str(json(body)),
                                              NOW_MS, &source, &error);
    if (status != ST_OK)
        fail_msg("%s: %s %s: %s", body, error.code, error.field, error.message);
    return source;
}

static struct source *make(const char *body)
{
    return make_of(NULL, NULL, body);
}

static struct source *load(const char *document)
{
    struct source *source;
    struct field_error error;
    assert_int_equal(source_document_load(&rules, slice_str(document), &source, &error), ST_OK);
    return source;
}

#define GITHUB "'name':'gh','scheme':'github','secrets':['It is a Secret to Everybody']"

/* ---- What is refused ------------------------------------------------------------------------ */

static const struct {
    const char *body, *code, *field;
} refused[] = {
    {"[]", "invalid_json", ""},
    {"{", "invalid_json", ""},
    {"{'name':'a','name':'b'}", "invalid_json", ""},
    {"{}", "missing_field", "name"},
    {"{'name':'Acme'}", "invalid_name", "name"},
    {"{'name':''}", "invalid_name", "name"},
    {"{'name':'-a'}", "invalid_name", "name"},
    {"{'name':'a b'}", "invalid_name", "name"},
    {"{'name':'a/b'}", "invalid_name", "name"},
    {"{'name':7}", "invalid_name", "name"},
    {"{'name':'a'}", "missing_field", "scheme"},
    {"{'name':'a','scheme':null}", "missing_field", "scheme"},
    {"{'name':'a','scheme':7}", "invalid_scheme", "scheme"},
    {"{'name':'a','scheme':'githup'}", "invalid_scheme", "scheme"},
    {"{'name':'a','scheme':'github'}", "missing_field", "secrets"},
    {"{'name':'a','scheme':'github','secrets':[]}", "missing_field", "secrets"},
    {"{'name':'a','scheme':'github','secrets':'s'}", "invalid_secret", "secrets"},
    {"{'name':'a','scheme':'github','secrets':['']}", "invalid_secret", "secrets[0]"},
    {"{'name':'a','scheme':'github','secrets':['a good long secret',7]}", "invalid_secret",
     "secrets[1]"},
    {"{'name':'a','scheme':'github','secrets':['***']}", "invalid_secret", "secrets[0]"},
    {"{'name':'a','scheme':'github','secrets':[{'secret':'a good long secret','expires':1}]}",
     "unknown_field", "secrets[0].expires"},
    {"{'name':'a','scheme':'github','secrets':[{'secret':'a good long "
     "secret','expiresAt':'soon'}]}",
     "invalid_secret", "secrets[0]"},
    {"{'name':'a','scheme':'github','secrets':['1','2','3','4','5','6','7','8','9','0','a','b']}",
     "invalid_secret", "secrets"},
    {"{'name':'a','scheme':'standard','secrets':['whsec_***']}", "invalid_secret", "secrets[0]"},
    {"{'name':'a','scheme':'github','verifier':{}}", "invalid_verifier", "verifier"},
    {"{'name':'a','verifier':'x'}", "invalid_verifier", "verifier"},
    {"{'name':'a','verifier':{}}", "invalid_verifier", "verifier"},
    {"{'name':'a','verifier':{'signed':'{body}','encoding':'hex','what':1}}", "invalid_verifier",
     "verifier"},
    {"{" GITHUB ",'application':'acme'}", "invalid_application", "application"},
    {"{" GITHUB ",'tolerance':'1ms'}", "invalid_tolerance", "tolerance"},
    {"{" GITHUB ",'tolerance':'never'}", "invalid_tolerance", "tolerance"},
    {"{" GITHUB ",'tolerance':{'past':'5m'}}", "invalid_tolerance", "tolerance"},
    {"{" GITHUB ",'tolerance':{'past':'5m','future':'5m','x':1}}", "unknown_field", "tolerance.x"},
    {"{" GITHUB ",'allowedNetworks':'10.0.0.0/8'}", "invalid_networks", "allowedNetworks"},
    {"{" GITHUB ",'allowedNetworks':['10.0.0.0/8','10.0.0.1/8']}", "invalid_networks",
     "allowedNetworks[1]"},
    {"{" GITHUB ",'trustedProxies':['proxy']}", "invalid_networks", "trustedProxies[0]"},
    {"{" GITHUB ",'methods':[]}", "invalid_methods", "methods"},
    {"{" GITHUB ",'methods':['GET']}", "invalid_methods", "methods"},
    {"{" GITHUB ",'methods':['post']}", "invalid_methods", "methods"},
    {"{" GITHUB ",'contentTypes':['json']}", "invalid_content_types", "contentTypes[0]"},
    {"{" GITHUB ",'contentTypes':['text/plain; charset=utf-8']}", "invalid_content_types",
     "contentTypes[0]"},
    {"{" GITHUB ",'contentTypes':['*/*']}", "invalid_content_types", "contentTypes[0]"},
    {"{" GITHUB ",'maxBodyBytes':0}", "invalid_max_body_bytes", "maxBodyBytes"},
    {"{" GITHUB ",'maxBodyBytes':262145}", "invalid_max_body_bytes", "maxBodyBytes"},
    {"{" GITHUB ",'maxBodyBytes':'1 KiB'}", "invalid_max_body_bytes", "maxBodyBytes"},
    {"{" GITHUB ",'eventId':'X-Id'}", "invalid_places", "eventId"},
    {"{" GITHUB ",'eventType':['json:type','nothing']}", "invalid_places", "eventType"},
    {"{" GITHUB ",'typePrefix':'a..b'}", "invalid_type_prefix", "typePrefix"},
    {"{" GITHUB ",'typePrefix':'a.*'}", "invalid_type_prefix", "typePrefix"},
    {"{" GITHUB ",'deduplication':'off'}", "invalid_deduplication", "deduplication"},
    {"{" GITHUB ",'deduplication':{'policy':'keep'}}", "invalid_deduplication",
     "deduplication.policy"},
    {"{" GITHUB ",'deduplication':{'ttl':'91d'}}", "invalid_deduplication", "deduplication.ttl"},
    {"{" GITHUB ",'reply':{'status':302}}", "invalid_reply", "reply.status"},
    {"{" GITHUB ",'reply':{'status':204,'body':'ok'}}", "invalid_reply", "reply.body"},
    {"{" GITHUB ",'reply':{'contentType':'text/plain'}}", "invalid_reply", "reply.contentType"},
    {"{" GITHUB ",'reply':{'body':'ok','contentType':'a\\r\\nb: c'}}", "invalid_reply",
     "reply.contentType"},
    {"{" GITHUB ",'reply':{'code':200}}", "unknown_field", "reply.code"},
    {"{" GITHUB ",'publicUrl':'example.com/in'}", "invalid_url", "publicUrl"},
    {"{" GITHUB ",'variables':[]}", "invalid_variables", "variables"},
    {"{" GITHUB ",'variables':{'Token':'x'}}", "invalid_variables", "variables.Token"},
    {"{" GITHUB ",'variables':{'token':7}}", "invalid_variables", "variables.token"},
    {"{" GITHUB ",'variables':{'token':'***'}}", "invalid_variables", "variables.token"},
    {"{" GITHUB ",'keepHeaders':['X Y']}", "invalid_headers", "keepHeaders"},
    {"{" GITHUB ",'active':1}", "invalid_active", "active"},
    {"{" GITHUB ",'description':1}", "invalid_description", "description"},
    {"{" GITHUB ",'secret':'x'}", "unknown_field", "secret"},
    {"{'name':'t','scheme':'twilio','secrets':['a good long secret of it']}", "missing_field",
     "publicUrl"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct source *source;
        struct field_error error = {.code = "nothing"};
        enum status status = source_document_make(
            &rules, NULL, SLICE_NULL, slice_str(json(refused[i].body)), NOW_MS, &source, &error);
        if (status == ST_OK || source || strcmp(error.code, refused[i].code) != 0 ||
            strcmp(error.field, refused[i].field) != 0 || error.message[0] == '\0')
            fail_msg("%s: %s %s %s", refused[i].body, status_name(status), error.code, error.field);
    }
}

static void test_too_large(void **state)
{
    (void)state;
    struct source *source;
    struct field_error error;
    char *text = malloc(LIMIT_SOURCE_BYTES + 64);
    assert_non_null(text);
    memset(text, ' ', LIMIT_SOURCE_BYTES + 1);
    assert_int_equal(source_document_make(&rules, NULL, SLICE_NULL,
                                          slice_of(text, LIMIT_SOURCE_BYTES + 1), NOW_MS, &source,
                                          &error),
                     ST_LIMIT);
    assert_string_equal(error.code, "payload_too_large");
    free(text);
}

/* ---- What a source is ----------------------------------------------------------------------- */

static void test_defaults(void **state)
{
    (void)state;
    struct source *source = make("{" GITHUB "}");
    assert_string_equal(source->name, "gh");
    assert_string_equal(source->application, "default");
    assert_string_equal(scheme_name(source->scheme), "github");
    assert_string_equal(source->type_prefix, "gh");
    assert_int_equal(source->methods, SOURCE_POST);
    assert_int_equal(source->body_bytes_max, 262144);
    assert_int_equal(source->dedup, SOURCE_DEDUP_DROP);
    assert_int_equal(source->dedup_ttl_ms, 4 * 24 * 3600 * 1000);
    assert_int_equal(source->reply.status, 200);
    assert_null(source->reply.body);
    assert_null(source->event_id);
    assert_null(source->event_type);
    assert_null(source->public_url);
    assert_true(source->active && source->keep_all_headers);
    assert_false(source->tolerance_given || source->from_file);
    assert_int_equal(source->created_at_ms, NOW_MS);
    assert_int_equal(source->updated_at_ms, NOW_MS);
    source_put(source);
}

static const char *const everything =
    "{'name':'all','application':'default','scheme':'twilio','secrets':['a good long secret of "
    "it',{'secret':'and another secret of it','expiresAt':'2027-01-01T00:00:00Z'}],"
    "'tolerance':{'past':'1h','future':'off'},'publicUrl':'https://hooks.example.com/in/all?x=1',"
    "'variables':{'verify_token':'open sesame, and more'},'allowedNetworks':['203.0.113.0/24',"
    "'2001:db8::/32'],'trustedProxies':['10.0.0.0/8'],'methods':['POST','PUT'],'contentTypes':"
    "['Application/JSON','text/*'],'maxBodyBytes':'64KiB','eventId':['header:X-Id','body_hash'],"
    "'eventType':'json:type','typePrefix':'sms.in','deduplication':{'policy':'forward','ttl':'90m'}"
    ","
    "'reply':{'status':202,'contentType':'text/xml','body':'<Response/>'},'keepHeaders':"
    "['X-Id','authorization'],'active':false,'description':'the lot'}";

static void expect_everything(const struct source *source)
{
    assert_int_equal(source->secret_count, 2);
    assert_string_equal(source->secrets[1].text, "and another secret of it");
    assert_true(source->tolerance_given);
    assert_int_equal(source->tolerance.past_ms, 3600 * 1000);
    assert_true(source->tolerance.future_ms == RECEIVED_TOLERANCE_OFF);
    assert_string_equal(source->public_url, "https://hooks.example.com/in/all?x=1");
    assert_int_equal(source->var_count, 1);
    assert_true(slice_eq(source->vars[0].name, SLICE("verify_token")));
    assert_true(slice_eq(source->vars[0].value, SLICE("open sesame, and more")));
    assert_int_equal(source->allowed.count, 2);
    assert_int_equal(source->trusted_proxies.count, 1);
    assert_int_equal(source->methods, SOURCE_POST | SOURCE_PUT);
    assert_string_equal(source->content_types[0], "application/json");
    assert_int_equal(source->body_bytes_max, 65536);
    assert_non_null(source->event_id);
    assert_non_null(source->event_type);
    assert_string_equal(source->type_prefix, "sms.in");
    assert_int_equal(source->dedup, SOURCE_DEDUP_FORWARD);
    assert_int_equal(source->dedup_ttl_ms, 90 * 60 * 1000);
    assert_int_equal(source->reply.status, 202);
    assert_string_equal(source->reply.content_type, "text/xml");
    assert_string_equal(source->reply.body, "<Response/>");
    assert_int_equal(source->reply.body_len, 11);
    assert_int_equal(source->header_count, 2);
    assert_false(source->keep_all_headers || source->active);
    assert_string_equal(source->description, "the lot");
}

static void test_everything_is_kept(void **state)
{
    (void)state;
    struct source *source = make(everything);
    expect_everything(source);
    struct source *again = load(source->document);
    expect_everything(again);
    assert_string_equal(again->document, source->document);
    assert_string_equal(again->shown, source->shown);
    assert_int_equal(again->created_at_ms, NOW_MS);
    source_put(source);
    source_put(again);
}

static void test_shown(void **state)
{
    (void)state;
    struct source *source = make(everything);
    assert_string_equal(
        source->shown,
        json("{'name':'all','application':'default','scheme':'twilio','secrets':['***f*it',"
             "{'secret':'***f*it','expiresAt':'2027-01-01T00:00:00Z'}],'tolerance':{'past':'1h',"
             "'future':'off'},'publicUrl':'https://hooks.example.com/in/all?x=1','variables':"
             "{'verify_token':'***more'},'allowedNetworks':['203.0.113.0/24','2001:db8::/32'],"
             "'trustedProxies':['10.0.0.0/8'],'methods':['POST','PUT'],'contentTypes':"
             "['Application/JSON','text/*'],'maxBodyBytes':65536,'eventId':['header:X-Id',"
             "'body_hash'],'eventType':'json:type','typePrefix':'sms.in','deduplication':"
             "{'policy':'forward','ttl':'90m'},'reply':{'status':202,'contentType':'text/xml',"
             "'body':'<Response/>'},'keepHeaders':['X-Id','authorization'],'active':false,"
             "'description':'the lot','createdAt':'2026-09-21T14:13:20.000Z','updatedAt':"
             "'2026-09-21T14:13:20.000Z','origin':'api'}"));
    source_put(source);
}

/* A short secret would be half told by its end. */
static void test_short_secrets_show_nothing(void **state)
{
    (void)state;
    struct source *source = make("{'name':'a','scheme':'gitlab','secrets':['15 characters..']}");
    assert_non_null(strstr(source->shown, json("'secrets':['***'],")));
    source_put(source);
}

/* A verifier of its own is compiled as a scheme's file is. */
static void test_verifier(void **state)
{
    (void)state;
    struct source *source =
        make("{'name':'own','secrets':['a good long secret'],'verifier':{'signed':'{body}',"
             "'encoding':'hex','signatures':[{'algorithm':'hmac-sha256','prefix':'sha256=',"
             "'key':{'format':'raw'}}],'receive':{'signature':'header:X-Sig','id':['json:id']}}}");
    const struct received_header header = {
        SLICE("X-Sig"),
        SLICE("sha256=1f3e1f1ad4ab0dcba2fa62aab2fe5bbd8bea8ba2ba7a6ba9f4ef0fe2d9e6d4d2")};
    struct received received = {.method = SLICE("POST"),
                                .path = SLICE("/in/own"),
                                .headers = &header,
                                .header_count = 1,
                                .body = SLICE("{}"),
                                .now_ms = NOW_MS};
    assert_ptr_equal(source->scheme, source->own_scheme);
    assert_int_equal(scheme_verify(source->scheme, &received, source->keys, 1, NULL),
                     VERIFY_BAD_SIGNATURE);
    struct buf lines;
    size_t count = 0;
    buf_init(&lines, 4096);
    received.header_count = 0;
    assert_int_equal(
        scheme_sign_received(source->scheme, &received, source->keys[0], &lines, &count), ST_OK);
    assert_int_equal(count, 1);
    const struct received_header signed_header = {SLICE("X-Sig"),
                                                  slice_str(strchr(lines.ptr, ':') + 2)};
    received.headers = &signed_header;
    received.header_count = 1;
    assert_int_equal(scheme_verify(source->scheme, &received, source->keys, 1, NULL), VERIFY_OK);
    buf_free(&lines);
    source_put(source);
}

/* ---- What stays ----------------------------------------------------------------------------- */

#define ONE "a first long secret 1111"
#define TWO "a second long secret 2222"

static void expect_secrets(const struct source *source, const char *one, const char *two)
{
    assert_int_equal(source->secret_count, two ? 2 : 1);
    assert_string_equal(source->secrets[0].text, one);
    if (two)
        assert_string_equal(source->secrets[1].text, two);
}

static void test_secrets_stay(void **state)
{
    (void)state;
    struct source *old = make("{'name':'gh','scheme':'github','secrets':['" ONE "'],"
                              "'variables':{'token':'sesame'},'description':'old'}");
    struct source *next = make_of(old, "gh", "{'scheme':'github'}");
    expect_secrets(next, ONE, NULL);
    assert_int_equal(next->var_count, 1);
    assert_null(next->description); /* what is not given is reset */
    source_put(next);

    /* What was shown may be sent back as it is. */
    next = make_of(old, "gh", old->shown);
    expect_secrets(next, ONE, NULL);
    assert_true(slice_eq(next->vars[0].value, SLICE("sesame")));
    assert_string_equal(next->shown, old->shown);
    source_put(next);

    /* Rotation: the new one beside the one that is masked. */
    next = make_of(old, "gh", "{'scheme':'github','secrets':['" TWO "','***1111']}");
    expect_secrets(next, TWO, ONE);
    source_put(old);
    old = next;
    next = make_of(old, "gh",
                   "{'scheme':'github','secrets':['***2222',{'secret':'***1111','expiresAt':"
                   "'2026-10-01T00:00:00Z'}],'variables':{}}");
    expect_secrets(next, TWO, ONE);
    assert_int_equal(next->var_count, 0);
    assert_true(next->keys_expire);
    source_put(next);

    /* Others replace them. */
    next = make_of(old, "gh", "{'scheme':'github','secrets':['" TWO "']}");
    expect_secrets(next, TWO, NULL);
    source_put(next);
    source_put(old);
}

static void test_masks_that_tell_nothing(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{'scheme':'github','secrets':['***3333']}", /* there is none */
        "{'scheme':'github','secrets':['***1111']}", /* there are two */
        "{'scheme':'github','secrets':['***']}", "{'scheme':'github','variables':{'token':'***'}}"};
    struct source *old = make("{'name':'gh','scheme':'github','secrets':['" ONE "',"
                              "'another secret that ends in 1111']}");
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct source *next;
        struct field_error error;
        assert_int_equal(source_document_make(&rules, old, SLICE("gh"), slice_str(json(bodies[i])),
                                              NOW_MS, &next, &error),
                         ST_RANGE);
        assert_null(next);
    }
    source_put(old);
}

static void test_names_in_paths(void **state)
{
    (void)state;
    struct source *source = make_of(NULL, "gh", "{" GITHUB "}");
    source_put(source);
    struct field_error error;
    assert_int_equal(source_document_make(&rules, NULL, SLICE("hub"),
                                          slice_str(json("{" GITHUB "}")), NOW_MS, &source, &error),
                     ST_RANGE);
    assert_string_equal(error.field, "name");
}

static void test_file(void **state)
{
    (void)state;
    struct source *source;
    struct field_error error;
    assert_int_equal(
        source_document_file(&rules, SLICE("gh"),
                             slice_str(json("{'scheme':'github','secrets':['" ONE "']}")), &source,
                             &error),
        ST_OK);
    assert_string_equal(source->name, "gh");
    assert_true(source->from_file);
    assert_null(source->document);
    assert_non_null(
        strstr(source->shown, json("'createdAt':null,'updatedAt':null,'origin':'file'")));
    source_put(source);
    assert_int_equal(source_document_file(&rules, SLICE("gh"),
                                          slice_str(json("{" GITHUB ",'createdAt':'x'}")), &source,
                                          &error),
                     ST_RANGE);
    assert_string_equal(error.code, "unknown_field");
}

/* A limit that has become lower since is not held against what is stored. */
static void test_stored_maximum(void **state)
{
    (void)state;
    struct source *source = make("{" GITHUB ",'maxBodyBytes':'64KiB'}");
    rules.body_bytes_max = 1024;
    struct source *again = load(source->document);
    assert_int_equal(again->body_bytes_max, 1024);
    source_put(source);
    source_put(again);
}

/* What a handshake brings is one more secret. */
static void test_secret_added(void **state)
{
    (void)state;
    struct source *old = make("{'name':'gh','scheme':'github','secrets':['" ONE "']}");
    struct source *next, *third;
    struct field_error error;
    assert_int_equal(source_document_add_secret(&rules, old, SLICE(TWO), NOW_MS + 1, &next, &error),
                     ST_OK);
    expect_secrets(next, TWO, ONE);
    assert_int_equal(next->created_at_ms, NOW_MS);
    assert_int_equal(next->updated_at_ms, NOW_MS + 1);
    assert_int_equal(source_document_add_secret(&rules, next, SLICE(""), NOW_MS, &third, &error),
                     ST_RANGE);
    assert_null(third);
    source_put(next);
    source_put(old);
}

/* A source may be without a secret only when its scheme's handshake brings one. */
static void test_secret_to_come(void **state)
{
    (void)state;
    struct source *open = make("{'name':'as','scheme':'asana'}"), *armed;
    struct field_error error;
    assert_int_equal(open->secret_count, 0);
    assert_int_equal(
        source_document_add_secret(&rules, open, SLICE(ONE), NOW_MS + 1, &armed, &error), ST_OK);
    assert_int_equal(armed->secret_count, 1);
    source_put(armed);
    source_put(open);
}

/* ---- What a request asks -------------------------------------------------------------------- */

static void test_keys_expire(void **state)
{
    (void)state;
    struct source *source = make("{'name':'gh','scheme':'github','secrets':['" ONE
                                 "',{'secret':'" TWO "','expiresAt':'2026-10-01T00:00:00Z'}]}");
    uint64_t expires_at_ms = source->secrets[1].expires_at_ms;
    struct signer_key *room[LIMIT_SECRETS];
    size_t count;
    (void)source_keys(source, expires_at_ms - 1, room, &count);
    assert_int_equal(count, 2);
    struct signer_key *const *keys = source_keys(source, expires_at_ms, room, &count);
    assert_int_equal(count, 1);
    assert_ptr_equal(keys[0], source->secrets[0].key);
    source_put(source);
}

static void test_content_types(void **state)
{
    (void)state;
    static const struct {
        struct slice type;
        bool taken;
    } rows[] = {
        {SLICE("application/json"), true},
        {SLICE("Application/JSON; charset=utf-8"), true},
        {SLICE("application/json ;x"), true},
        {SLICE("application/jsonp"), false},
        {SLICE("text/plain"), true},
        {SLICE("TEXT/x"), true},
        {SLICE("text/"), false},
        {SLICE("text"), false},
        {SLICE(""), false},
        {SLICE_NULL, false},
    };
    struct source *source = make("{" GITHUB ",'contentTypes':['application/json','Text/*']}");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (source_takes_type(source, rows[i].type) != rows[i].taken)
            fail_msg("%.*s", SLICE_ARGS(rows[i].type));
    source_put(source);
    source = make("{" GITHUB "}");
    assert_true(source_takes_type(source, SLICE_NULL));
    source_put(source);
}

static bool allows(const struct source *source, const char *peer, const char *forwarded)
{
    struct network address;
    struct slice value = slice_str(forwarded);
    assert_int_equal(network_parse_address(slice_str(peer), &address), ST_OK);
    return source_allows(source, &address, &value, forwarded ? 1 : 0);
}

static void test_addresses(void **state)
{
    (void)state;
    struct source *source = make("{" GITHUB ",'allowedNetworks':['203.0.113.0/24'],"
                                 "'trustedProxies':['10.0.0.0/8']}");
    assert_true(allows(source, "203.0.113.1", NULL));
    assert_true(allows(source, "10.0.0.1", "203.0.113.1"));
    assert_false(allows(source, "198.51.100.1", "203.0.113.1"));
    assert_false(allows(source, "10.0.0.1", NULL));
    assert_false(allows(source, "10.0.0.1", "203.0.113.1, 198.51.100.1"));
    assert_false(allows(source, "10.0.0.1", "unknown"));
    source_put(source);

    /* Without a list everybody is allowed; without proxies of its own the server's count. */
    struct network proxy;
    assert_int_equal(network_parse(SLICE("10.0.0.0/8"), &proxy), ST_OK);
    rules.trusted_proxies.items = malloc(sizeof(proxy));
    assert_non_null(rules.trusted_proxies.items);
    rules.trusted_proxies.items[rules.trusted_proxies.count++] = proxy;
    source = make("{" GITHUB "}");
    assert_true(allows(source, "198.51.100.1", NULL));
    source_put(source);
    source = make("{" GITHUB ",'allowedNetworks':['203.0.113.0/24']}");
    assert_true(allows(source, "10.0.0.1", "203.0.113.1"));
    source_put(source);
    source = make("{" GITHUB ",'allowedNetworks':['203.0.113.0/24'],'trustedProxies':[]}");
    assert_false(allows(source, "10.0.0.1", "203.0.113.1"));
    source_put(source);
}

static void test_headers_to_keep(void **state)
{
    (void)state;
    struct source *source = make("{" GITHUB "}");
    assert_true(source_keeps_header(source, SLICE("X-Any")));
    assert_false(source_keeps_header(source, SLICE("authorization")));
    assert_false(source_keeps_header(source, SLICE("Cookie")));
    source_put(source);
    source = make("{" GITHUB ",'keepHeaders':['X-One','Cookie']}");
    assert_true(source_keeps_header(source, SLICE("x-one")));
    assert_true(source_keeps_header(source, SLICE("cookie")));
    assert_false(source_keeps_header(source, SLICE("x-two")));
    source_put(source);
    source = make("{" GITHUB ",'keepHeaders':[]}");
    assert_false(source_keeps_header(source, SLICE("x-one")));
    source_put(source);
}

/* ---- All of them ---------------------------------------------------------------------------- */

static struct source *named(const char *name)
{
    char body[256];
    snprintf(body, sizeof(body), "{'name':'%s','scheme':'github','secrets':['" ONE "']}", name);
    return make(body);
}

static void test_registry(void **state)
{
    (void)state;
    static const char *const names[] = {"m", "b", "z", "a", "mm"};
    struct sources *sources = sources_new();
    assert_non_null(sources);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(sources_put(sources, named(names[i])), ST_OK);
    assert_int_equal(sources_count(sources), 5);
    assert_null(sources_find(sources, SLICE("")));
    assert_null(sources_find(sources, SLICE("c")));
    char order[32] = "";
    for (struct source *s = sources_next(sources, SLICE_NULL); s;
         s = sources_next(sources, slice_str(s->name)))
        strcat(strcat(order, s->name), " ");
    assert_string_equal(order, "a b m mm z ");
    assert_string_equal(sources_next(sources, SLICE("c"))->name, "m");
    assert_null(sources_next(sources, SLICE("z")));

    /* A request under way keeps its source; what it counts is not lost. */
    struct source *old = source_get(sources_find(sources, SLICE("m")));
    source_count(old, SOURCE_ACCEPTED);
    assert_int_equal(sources_put(sources, named("m")), ST_OK);
    source_count(old, SOURCE_BAD_SIGNATURE);
    struct source *now = sources_find(sources, SLICE("m"));
    assert_ptr_not_equal(now, old);
    assert_int_equal(now->counts->by_outcome[SOURCE_ACCEPTED], 1);
    assert_int_equal(now->counts->by_outcome[SOURCE_BAD_SIGNATURE], 1);
    assert_true(now->counts->last_at_ms > 0);
    sources_remove(sources, now);
    assert_null(sources_find(sources, SLICE("m")));
    source_count(old, SOURCE_ACCEPTED);
    sources_free(sources);
    source_count(old, SOURCE_ACCEPTED);
    source_put(old);
}

/* Beyond a number of sources they count together, and beyond another there are no more. */
static void test_bounds(void **state)
{
    (void)state;
    struct sources *sources = sources_new();
    char name[16];
    assert_non_null(sources);
    for (int i = 0; i < LIMIT_SOURCES; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        assert_int_equal(sources_put(sources, named(name)), ST_OK);
    }
    assert_int_equal(sources_put(sources, named("one-more")), ST_LIMIT);
    assert_int_equal(sources_put(sources, named("s7")), ST_OK);
    struct source *first = sources_find(sources, SLICE("s0"));
    struct source *last = sources_find(sources, SLICE("s999"));
    assert_true(first->counts->labelled);
    assert_false(last->counts->labelled);
    source_count(first, SOURCE_ACCEPTED);
    source_count(last, SOURCE_ACCEPTED);
    source_count(last, SOURCE_BAD_TYPE);
    assert_int_equal(sources_others(sources, SOURCE_ACCEPTED), 1);
    assert_int_equal(sources_others(sources, SOURCE_BAD_TYPE), 1);

    /* The place of one that goes is another's. */
    sources_remove(sources, first);
    assert_int_equal(sources_put(sources, named("new")), ST_OK);
    assert_true(sources_find(sources, SLICE("new"))->counts->labelled);
    sources_count_unknown(sources);
    assert_int_equal(sources_unknown(sources), 1);
    sources_free(sources);
}

static void test_outcome_names(void **state)
{
    (void)state;
    for (int i = 0; i < SOURCE_OUTCOMES; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(source_outcome_name((enum source_outcome)i),
                                    source_outcome_name((enum source_outcome)k));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refused),
        TEST(test_too_large),
        TEST(test_defaults),
        TEST(test_everything_is_kept),
        TEST(test_shown),
        TEST(test_short_secrets_show_nothing),
        TEST(test_verifier),
        TEST(test_secrets_stay),
        TEST(test_masks_that_tell_nothing),
        TEST(test_names_in_paths),
        TEST(test_secret_added),
        TEST(test_secret_to_come),
        TEST(test_file),
        TEST(test_stored_maximum),
        TEST(test_keys_expire),
        TEST(test_content_types),
        TEST(test_addresses),
        TEST(test_headers_to_keep),
        TEST(test_registry),
        TEST(test_bounds),
        TEST(test_outcome_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
