"""/api/webhooks: registering, reading, changing and deleting endpoints, and every way to get it wrong."""

import re

import pytest
from harness import schemes, wait_until

EP = re.compile(r"ep_[0-9A-Za-z]{27}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
URL = "http://127.0.0.1:9/hook"
UNKNOWN = "ep_" + "0" * 27


@pytest.fixture
def webhook(client):
    created = client.create_webhook(URL, ["order.created"])
    yield created
    client.delete_webhook(created["id"])


# ---- creating ----------------------------------------------------------------------------------

def test_create_answers_with_all_of_it(client):
    answer = client.post("/api/webhooks", {"url": URL, "events": ["order.created", "user.*"]})
    made = answer.expect(201).json
    assert EP.fullmatch(made["id"])
    assert made["url"] == URL and made["events"] == ["order.created", "user.*"]
    assert made["active"] is True and made["scheme"] == "standard"
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32}", made["secret"]), "24 random bytes"
    assert TIME.fullmatch(made["createdAt"]) and TIME.fullmatch(made["updatedAt"])
    assert answer.header("Content-Type").startswith("application/json")
    assert answer.header("X-Request-Id")


def test_create_takes_every_member(client):
    given = {
        "url": "http://127.0.0.1:9/all?x=1",
        "events": ["*"],
        "secret": "whsec_" + "QUJD" * 8,
        "scheme": "svix",
        "headers": {"X-Team": "billing", "x-token": "a b"},
        "retryPolicy": {"schedule": ["200ms", "5s"], "jitter": 0, "retryOn": ["5xx", 429, "timeout"]},
        "timeout": "2s",
        "maxInFlight": 7,
        "rateLimit": {"limit": 10, "period": "1s", "burst": 3},
        "description": "Grüße: 注文",
        "active": False,
    }
    made = client.post("/api/webhooks", given).expect(201).json
    read = client.get_webhook(made["id"]).expect(200).json
    for name in ("url", "events", "scheme", "headers", "rateLimit", "maxInFlight", "description",
                 "active"):
        assert read[name] == given[name] == made[name], name
    assert read["retryPolicy"]["jitter"] == 0 and len(read["retryPolicy"]["schedule"]) == 2


@pytest.mark.parametrize("policy", [
    {"schedule": []},
    {"schedule": [200, "5m", "2h"]},
    {"maxAttempts": 3, "initialInterval": "1s", "multiplier": 2, "maxInterval": "1m"},
    {"maxAttempts": 1},
    {"jitter": 0.5},
    {"retryOn": ["dns", "connection_refused", "connection_reset", "unreachable", "timeout", "tls",
                 "protocol", "response_too_large", "4xx", 503]},
])
def test_create_takes_every_form_of_retry_policy(client, policy):
    client.create_webhook(URL, ["a"], retryPolicy=policy)


@pytest.mark.parametrize("scheme, secret, generated", [
    ("standard", "whsec_" + "QUJD" * 8, r"whsec_[A-Za-z0-9+/]{32}"),
    ("svix", "whsec_" + "QUJD" * 8, r"whsec_[A-Za-z0-9+/]{32}"),
    ("event", "00ff" * 8, r"[0-9a-f]{32,}"),
    ("guide", "ein geheimes Wort", r"\S{16,}"),
    ("basic", "ein geheimes Wort", r"\S{16,}"),
])
def test_secrets_fit_the_scheme(client, scheme, secret, generated):
    made = client.create_webhook(URL, ["a"], scheme=scheme)
    assert re.fullmatch(generated, made["secret"])
    other = client.create_webhook(URL, ["a"], scheme=scheme)
    assert other["secret"] != made["secret"], "each has its own"
    client.create_webhook(URL, ["a"], scheme=scheme, secret=secret)


BAD = [
    # name, members beside a good url and events (None takes a member away), code, field
    ("no_url", {"url": None}, "missing_field", "url"),
    ("no_events", {"events": None}, "missing_field", "events"),
    ("url_number", {"url": 5}, "invalid_url", "url"),
    ("url_empty", {"url": ""}, "invalid_url", "url"),
    ("url_relative", {"url": "/hook"}, "invalid_url", "url"),
    ("url_ftp", {"url": "ftp://example.com/"}, "invalid_url", "url"),
    ("url_file", {"url": "file:///etc/passwd"}, "invalid_url", "url"),
    ("url_no_host", {"url": "http:///x"}, "invalid_url", "url"),
    ("url_space", {"url": "http://a b/"}, "invalid_url", "url"),
    ("url_user", {"url": "http://user:pw@example.com/"}, "invalid_url", "url"),
    ("url_fragment", {"url": "http://example.com/#x"}, "invalid_url", "url"),
    ("url_port_0", {"url": "http://example.com:0/"}, "invalid_url", "url"),
    ("url_port_65536", {"url": "http://example.com:65536/"}, "invalid_url", "url"),
    ("url_crlf", {"url": "http://example.com/\r\nX: y"}, "invalid_url", "url"),
    ("url_backslash", {"url": "http://example.com\\@evil/"}, "invalid_url", "url"),
    ("url_long", {"url": "http://example.com/" + "x" * 2048}, "invalid_url", "url"),
    ("events_string", {"events": "order.created"}, "invalid_events", "events"),
    ("events_empty", {"events": []}, "invalid_events", "events"),
    ("events_number", {"events": ["ok", 5]}, "invalid_events", "events[1]"),
    ("events_blank", {"events": [""]}, "invalid_events", "events[0]"),
    ("events_star_inside", {"events": ["a.*.b"]}, "invalid_events", "events[0]"),
    ("events_half_star", {"events": ["order.cr*"]}, "invalid_events", "events[0]"),
    ("events_dots", {"events": ["a..b"]}, "invalid_events", "events[0]"),
    ("events_long", {"events": ["x" * 257]}, "invalid_events", "events[0]"),
    ("events_many", {"events": [f"e{n}" for n in range(65)]}, "invalid_events", "events"),
    ("scheme_unknown", {"scheme": "nope"}, "invalid_scheme", "scheme"),
    ("scheme_number", {"scheme": 1}, "invalid_scheme", "scheme"),
    ("secret_number", {"secret": 1}, "invalid_secret", "secret"),
    ("secret_plain", {"secret": "not base64!"}, "invalid_secret", "secret"),
    ("secret_short", {"secret": "whsec_QUJD"}, "invalid_secret", "secret"),
    ("secret_long", {"secret": "whsec_" + "QUJD" * 26}, "invalid_secret", "secret"),
    ("secret_event_hex", {"scheme": "event", "secret": "xyz" * 20}, "invalid_secret", "secret"),
    ("secret_event_odd", {"scheme": "event", "secret": "0" * 33}, "invalid_secret", "secret"),
    ("secret_guide_short", {"scheme": "guide", "secret": "short"}, "invalid_secret", "secret"),
    ("headers_list", {"headers": ["X: y"]}, "invalid_headers", "headers"),
    ("headers_name", {"headers": {"X Y": "z"}}, "invalid_headers", "headers.X Y"),
    ("headers_value", {"headers": {"X": 5}}, "invalid_headers", "headers.X"),
    ("headers_crlf", {"headers": {"X": "a\r\nY: b"}}, "invalid_headers", "headers.X"),
    ("headers_host", {"headers": {"Host": "a"}}, "invalid_headers", "headers.Host"),
    ("headers_length", {"headers": {"content-length": "1"}}, "invalid_headers",
     "headers.content-length"),
    ("headers_owned", {"headers": {"Webhook-Id": "1"}}, "invalid_headers", "headers.Webhook-Id"),
    ("headers_many", {"headers": {f"X-{n}": "" for n in range(33)}}, "invalid_headers", "headers"),
    ("policy_string", {"retryPolicy": "often"}, "invalid_retry_policy", "retryPolicy"),
    ("policy_unknown", {"retryPolicy": {"shedule": []}}, "unknown_field", "retryPolicy.shedule"),
    ("policy_both", {"retryPolicy": {"schedule": ["1s"], "maxAttempts": 2}}, "invalid_retry_policy",
     "retryPolicy"),
    ("policy_unit", {"retryPolicy": {"schedule": ["5"]}}, "invalid_retry_policy",
     "retryPolicy.schedule[0]"),
    ("policy_negative", {"retryPolicy": {"schedule": [-1]}}, "invalid_retry_policy",
     "retryPolicy.schedule[0]"),
    ("policy_long", {"retryPolicy": {"schedule": ["1s"] * 65}}, "invalid_retry_policy",
     "retryPolicy.schedule"),
    ("policy_jitter", {"retryPolicy": {"jitter": 20}}, "invalid_retry_policy", "retryPolicy.jitter"),
    ("policy_attempts", {"retryPolicy": {"maxAttempts": 0}}, "invalid_retry_policy",
     "retryPolicy.maxAttempts"),
    ("policy_on", {"retryPolicy": {"retryOn": ["6xx"]}}, "invalid_retry_policy",
     "retryPolicy.retryOn[0]"),
    ("policy_on_success", {"retryPolicy": {"retryOn": [200]}}, "invalid_retry_policy",
     "retryPolicy.retryOn[0]"),
    ("rate_number", {"rateLimit": 5}, "invalid_rate_limit", "rateLimit"),
    ("rate_unknown", {"rateLimit": {"limit": 5, "per": "1s"}}, "unknown_field", "rateLimit.per"),
    ("rate_zero", {"rateLimit": {"limit": 0, "period": "1s"}}, "invalid_rate_limit",
     "rateLimit.limit"),
    ("rate_no_period", {"rateLimit": {"limit": 5}}, "invalid_rate_limit", "rateLimit.period"),
    ("rate_too_fast", {"rateLimit": {"limit": 1000000, "period": "1ms"}}, "invalid_rate_limit",
     "rateLimit.period"),
    ("rate_burst", {"rateLimit": {"limit": 5, "period": "1s", "burst": 6}}, "invalid_rate_limit",
     "rateLimit.burst"),
    ("timeout_zero", {"timeout": 0}, "invalid_timeout", "timeout"),
    ("timeout_word", {"timeout": "soon"}, "invalid_timeout", "timeout"),
    ("timeout_long", {"timeout": "2h"}, "invalid_timeout", "timeout"),
    ("in_flight_zero", {"maxInFlight": 0}, "invalid_max_in_flight", "maxInFlight"),
    ("in_flight_text", {"maxInFlight": "7"}, "invalid_max_in_flight", "maxInFlight"),
    ("in_flight_half", {"maxInFlight": 1.5}, "invalid_max_in_flight", "maxInFlight"),
    ("description_number", {"description": 1}, "invalid_description", "description"),
    ("active_text", {"active": "yes"}, "invalid_active", "active"),
    ("unknown", {"urls": URL}, "unknown_field", "urls"),
    ("id", {"id": UNKNOWN}, "unknown_field", "id"),
]


@pytest.mark.parametrize("members, code, field", [row[1:] for row in BAD], ids=[r[0] for r in BAD])
def test_create_refuses(client, members, code, field):
    before = client.get("/api/webhooks?limit=1").expect(200).json["count"]
    body = {"url": URL, "events": ["a"], **members}
    body = {name: value for name, value in body.items() if value is not None}
    client.post("/api/webhooks", body).expect(400, code, field)
    assert client.get("/api/webhooks?limit=1").json["count"] == before, "nothing is stored"


@pytest.mark.parametrize("body, code", [
    (b"", "invalid_json"), (b"{", "invalid_json"), (b"[]", "invalid_json"), (b'"x"', "invalid_json"),
    (b'{"url":1,"url":2}', "invalid_json"), (b'{"url":"\xff"}', "invalid_json"),
    (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "json_too_deep"),
], ids=["empty", "half", "array", "string", "repeated", "latin1", "deep"])
def test_create_refuses_what_is_no_object(client, body, code):
    client.post("/api/webhooks", body=body).expect(400, code)


# ---- reading -----------------------------------------------------------------------------------

def test_read_one(client, webhook):
    read = client.get_webhook(webhook["id"]).expect(200).json
    assert {n: v for n, v in webhook.items() if n != "secret"} == \
        {n: v for n, v in read.items() if n != "secret"}


def delete_all(client):
    """A webhook on "*" that another test left would be listed under every type."""
    for webhook in client.get("/api/webhooks?limit=500").expect(200).json["webhooks"]:
        client.delete_webhook(webhook["id"]).expect(204)


def test_list_pages_through_all_and_never_shows_secrets(client, event_type):
    delete_all(client)
    made = {client.create_webhook(URL, [event_type])["id"] for _ in range(5)}
    seen, cursor, pages = [], None, 0
    while True:
        path = f"/api/webhooks?eventType={event_type}&limit=2"
        answer = client.get(path + (f"&cursor={cursor}" if cursor else "")).expect(200)
        assert b"whsec_" not in answer.body
        page = answer.json
        assert len(page["webhooks"]) <= 2
        seen += [webhook["id"] for webhook in page["webhooks"]]
        pages += 1
        cursor = page.get("cursor")
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 5 and set(seen) == made and pages == 3


def test_list_filters(client, event_type):
    delete_all(client)
    exact = client.create_webhook(URL, [event_type])["id"]
    prefix = client.create_webhook(URL, [event_type.split(".")[0] + ".*"])["id"]
    off = client.create_webhook(URL, [event_type], active=False)["id"]

    def ids(query):
        return {w["id"] for w in client.get(f"/api/webhooks?limit=100&{query}").expect(200)
                .json["webhooks"]}
    assert {exact, prefix, off} <= ids(f"eventType={event_type}")
    assert {exact, prefix} <= ids(f"eventType={event_type}&active=true")
    assert ids(f"eventType={event_type}&active=false") == {off}
    assert exact not in ids("eventType=quite.another")


@pytest.mark.parametrize("query, field", [("limit=0", "limit"), ("limit=x", "limit"),
                                          ("limit=100000", "limit"), ("active=maybe", "active"),
                                          ("cursor=%21%21", "cursor"), ("colour=red", "colour")])
def test_list_refuses(client, query, field):
    answer = client.get(f"/api/webhooks?{query}").expect(400)
    assert answer.error["field"] == field


# ---- changing ----------------------------------------------------------------------------------

def test_patch_changes_only_what_is_given(client, webhook):
    patched = client.patch(f"/api/webhooks/{webhook['id']}", {"description": "new"}).expect(200).json
    assert patched["description"] == "new"
    assert patched["url"] == webhook["url"] and patched["events"] == webhook["events"]
    patched = client.patch(f"/api/webhooks/{webhook['id']}", {"description": None}).expect(200).json
    assert patched.get("description") in (None, ""), "null resets"
    assert patched["updatedAt"] >= webhook["updatedAt"]
    assert patched["createdAt"] == webhook["createdAt"]


def test_put_replaces_and_keeps_the_secret(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/old"), [event_type], description="old",
                                    headers={"X-Old": "1"})
    put = client.put(f"/api/webhooks/{webhook['id']}",
                     {"url": sink.url("/new"), "events": [event_type]}).expect(200).json
    assert put["id"] == webhook["id"] and put.get("description") in (None, "")
    client.event_id(event_type)
    (request,) = sink.wait_for(1)
    assert request.path == "/new" and request.header("X-Old") is None
    schemes.standard(request, webhook["secret"])


def test_put_needs_the_whole(client, webhook):
    client.put(f"/api/webhooks/{webhook['id']}", {"url": URL}).expect(400, "missing_field", "events")
    assert client.get_webhook(webhook["id"]).json["events"] == webhook["events"]


@pytest.mark.parametrize("members, code, field", [row[1:] for row in BAD[2:]
                                                  if None not in row[1].values()],
                         ids=[r[0] for r in BAD[2:] if None not in r[1].values()])
def test_patch_refuses(client, webhook, members, code, field):
    client.patch(f"/api/webhooks/{webhook['id']}", members).expect(400, code, field)
    read = client.get_webhook(webhook["id"]).expect(200).json
    assert read["url"] == webhook["url"] and read["events"] == webhook["events"]


def test_disable_and_enable(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    path = f"/api/webhooks/{webhook['id']}"
    assert client.post(path + "/disable").expect(200).json["active"] is False
    assert client.post_event(event_type).expect(202).json["deliveries"] == 0
    assert client.post(path + "/enable").expect(200).json["active"] is True
    assert client.post_event(event_type, {"n": 2}).expect(202).json["deliveries"] == 1
    (request,) = sink.wait_for(1)
    assert request.json()["data"] == {"n": 2}


def test_delete(client, webhook):
    client.delete_webhook(webhook["id"]).expect(204)
    client.get_webhook(webhook["id"]).expect(404, "not_found")
    client.delete_webhook(webhook["id"]).expect(404, "not_found")
    ids = {w["id"] for w in client.get("/api/webhooks?limit=100").json["webhooks"]}
    assert webhook["id"] not in ids


def test_delete_cancels_what_waits(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={"schedule": ["1h"], "jitter": 0})
    sink.script("/", 500)
    event = client.event_id(event_type)
    sink.wait_for(1)
    client.delete_webhook(webhook["id"]).expect(204)
    wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "cancelled", 10,
               "the waiting delivery to be cancelled")


# ---- testing an endpoint ------------------------------------------------------------------------

def test_send_a_test_event(client, sink):
    webhook = client.create_webhook(sink.url("/t"), ["never.sent"])
    result = client.post(f"/api/webhooks/{webhook['id']}/test").expect(200).json
    assert result["success"] is True and result["statusCode"] == 200
    assert isinstance(result["durationMs"], int) and isinstance(result["message"], str)
    assert sink.count("/t") == 1
    sink.script("/t", 503)
    result = client.post(f"/api/webhooks/{webhook['id']}/test").expect(200).json
    assert result["success"] is False and result["statusCode"] == 503
    assert sink.count("/t") == 2, "a test is not retried"


def test_send_a_test_event_to_any_url(client, sink):
    result = client.post("/api/webhooks/test", {"url": sink.url("/any"), "event": "a.b",
                                                "payload": {"x": 1.0}}).expect(200).json
    assert result["success"] is True
    (request,) = sink.requests("/any")
    assert request.json()["data"] == {"x": 1.0}
    client.post("/api/webhooks/test", {"event": "a.b"}).expect(400, "missing_field", "url")
    deep = b'{"url":' + b"[" * 70 + b"]" * 70 + b"}"
    client.post("/api/webhooks/test", body=deep).expect(400, "json_too_deep")
    client.put("/api/log", body=deep).expect(400, "json_too_deep")


# ---- who may, and what is there ------------------------------------------------------------------

PATHS = [("GET", "/api/webhooks"), ("POST", "/api/webhooks"), ("GET", f"/api/webhooks/{UNKNOWN}"),
         ("PUT", f"/api/webhooks/{UNKNOWN}"), ("PATCH", f"/api/webhooks/{UNKNOWN}"),
         ("DELETE", f"/api/webhooks/{UNKNOWN}"), ("POST", "/api/events"),
         ("GET", "/api/events/msg_" + "0" * 27), ("GET", "/api/dead-letters")]


@pytest.mark.parametrize("method, path", PATHS)
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic Og==",
                                           "Bearer a.b.c"])
def test_without_a_key_nothing(server, method, path, authorization):
    with server.client(key=None) as client:
        answer = client.request(method, path, headers={"Authorization": authorization})
        answer.expect(401, "unauthorized")
        assert answer.header("WWW-Authenticate", "").startswith("Bearer")


def test_key_with_one_character_changed(server):
    key = server.api_key
    with server.client(key=key[:-1] + ("a" if key[-1] != "a" else "b")) as client:
        client.get("/api/webhooks").expect(401, "unauthorized")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_key(server, path):
    with server.client(key=None) as client:
        client.get(path).expect(200)


@pytest.mark.parametrize("method, path", [(m, p) for m, p in PATHS if UNKNOWN in p] + [
    ("POST", f"/api/webhooks/{UNKNOWN}/test"), ("POST", f"/api/webhooks/{UNKNOWN}/enable"),
    ("POST", f"/api/webhooks/{UNKNOWN}/secret"), ("GET", f"/api/webhooks/{UNKNOWN}/attempts"),
    ("GET", "/api/webhooks/nonsense"), ("GET", "/api/nothing"), ("GET", "/"), ("GET", "/api"),
    ("GET", "/api/webhooks/"), ("POST", "/api/events/")])
def test_what_is_not_there_is_404(client, method, path):
    body = {"url": URL, "events": ["a"]} if method in ("PUT", "PATCH") else None
    client.request(method, path, body).expect(404, "not_found")


@pytest.mark.parametrize("method, path, allowed", [
    ("DELETE", "/api/webhooks", {"GET", "POST"}), ("PUT", "/api/events", {"POST"}),
    ("GET", "/api/events", {"POST"}), ("POST", "/healthz", {"GET"}),
    ("DELETE", "/api/events/msg_" + "0" * 27, {"GET"})])
def test_wrong_method_is_405_with_allow(client, method, path, allowed):
    answer = client.request(method, path).expect(405, "method_not_allowed")
    assert allowed <= {word.strip() for word in answer.header("Allow").split(",")}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/jsonx",
                                          "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", ["/api/webhooks", "/api/events"])
def test_wrong_content_type_is_415(client, path, content_type):
    body = b'{"url":"http://127.0.0.1:9/","events":["a"],"type":"a","data":{}}'
    client.post(path, body=body, headers={"Content-Type": content_type}).expect(
        415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON",
                                          "application/json;charset=UTF-8"])
def test_json_with_parameters_is_json(client, content_type):
    client.post("/api/events", body=b'{"type":"nobody.listens","data":1}',
                headers={"Content-Type": content_type}).expect(202)


def test_attempts_limit(client, webhook):
    path = f"/api/webhooks/{webhook['id']}/attempts"
    assert client.get(path).expect(200).json == {"attempts": [], "count": 0}
    for limit in ("0", "101", "-1", "x", ""):
        assert client.get(f"{path}?limit={limit}").expect(400).error["field"] == "limit"


def test_webhooks_survive_a_restart(start_daemon):
    daemon = start_daemon()
    with daemon.client() as client:
        made = client.create_webhook(URL, ["a", "b.*"], description="stays")
        key = daemon.api_key
        daemon.restart()
        assert daemon.api_key == key, "the key stays, too"
        read = client.get_webhook(made["id"]).expect(200).json
    assert {n: v for n, v in read.items() if n != "secret"} == \
        {n: v for n, v in made.items() if n != "secret"}


def test_private_addresses_are_refused_outside_development(start_daemon):
    daemon = start_daemon(dev=False)
    with daemon.client() as client:
        for url in ("https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "https://127.1/",
                    "https://2130706433/", "https://169.254.169.254/latest", "https://0.0.0.0/",
                    "https://[::ffff:127.0.0.1]/", "https://100.64.0.1/", "http://example.com/"):
            client.post("/api/webhooks", {"url": url, "events": ["a"]}).expect(
                400, "invalid_url", "url")
        client.create_webhook("https://example.com/", ["a"], active=False)
