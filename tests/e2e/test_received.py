"""Events that were received from third parties, on their way to endpoints: whatever bytes they are, each
scheme makes of them what it promises, and nothing of what came with them is lost or forged.

They are put into Redis as a replica that died had left them, so that no source is needed.
"""

import base64
import json
import random

import pytest
from harness import Daemon, RedisServer
from harness.formats import id_text, pack_batch, pack_received, pack_record, time_bytes
from harness.invariants import check
from harness.schemes import VERIFY

RECEIVED_MS = 1_760_000_000_123
RECEIVED_AT = "2025-10-09T08:53:20.123Z"
DEAD = "00000000000000dd"
ONCE = {"schedule": []}
FORM = b"payload=%7B%22a%22%3A1%7D&who=Zo\xc3\xab"
HEADERS = [("X-GitHub-Delivery", "72d3162e"), ("x-hub-signature-256", "sha256=00ff"),
           ("User-Agent", "GitHub-Hookshot/1"), ("Authorization", "Bearer of theirs"),
           ("X-Twice", "1"), ("X-Twice", "2")]

# name -> (bytes, kind, content type, as JSON)
DATA = {
    "json": (b'{"zen" : 1.10, "a":[]}', "json", "application/json", b'{"zen" : 1.10, "a":[]}'),
    "form": (FORM, "text", "application/x-www-form-urlencoded", json.dumps(FORM.decode()).encode()),
    "text": (b'say "hi"\n\x00\\', "text", "text/plain", json.dumps('say "hi"\n\x00\\').encode()),
    "bytes": (bytes(range(256)), "bytes", "application/octet-stream",
              b'{"base64":"' + base64.b64encode(bytes(range(256))) + b'"}'),
    "empty": (b"", "text", None, b'""'),
}


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory, redis):
    daemon = Daemon(tmp_path_factory.mktemp("server"), "--set", "breaker.enabled=false", redis=redis)
    daemon.start()
    yield daemon
    daemon.finish()
    with redis.connect() as connection:
        check(connection, idle=True)


def leave(redis, records, *targets):
    """A dead replica's journal has one more batch, of these records, each for all targets; their ids."""
    stamp, nonce = time_bytes(RECEIVED_MS), random.randbytes(8)
    name = (stamp + nonce).hex()
    ids = [id_text("msg", stamp + b"\0\0" + nonce + index.to_bytes(2, "big") + random.randbytes(3))
           for index in range(len(records))]
    blob = pack_batch(RECEIVED_MS, [(event, record, targets) for event, record in zip(ids, records)])
    with redis.connect() as connection:
        for words in (("SET", f"tl:{{0}}:batch:{name}", blob),
                      ("ZADD", f"tl:{{0}}:journal:{DEAD}", 1, name),
                      ("ZADD", "tl:{0}:journals", 0, DEAD)):
            connection.call(*words)
    return ids


def received(event_type, name="json", source="github", **members):
    """The record of an event with that data."""
    data, kind, content_type, _ = DATA[name]
    options = {"content_type": content_type, "headers": HEADERS, **members}
    return pack_record(event_type, data, source=source, timestamp_ms=RECEIVED_MS,
                       received=pack_received(RECEIVED_MS, kind, **options))


def without(headers, *names):
    """Those that the record had, of a delivery's: all but the connection's and the gateway's."""
    ours = {"host", "content-length", "content-type", "traceparent", "connection", *names}
    return [(name, value) for name, value in headers
            if name.lower() not in ours and not name.lower().startswith("trotline-")]


# ---- passthrough -------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", DATA)
def test_passthrough_sends_what_was_received(server, client, redis, sink, event_type, name):
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme="passthrough")
    assert "secret" not in webhook
    event, = leave(redis, [received(event_type, name)], webhook["id"])
    request, = sink.wait_for(1, timeout=20)
    data, _, content_type, _ = DATA[name]
    assert (request.method, request.body) == ("POST", data)
    assert without(request.headers) == HEADERS
    assert request.headers_named("Content-Type") == [content_type or "application/octet-stream"]
    assert {header: value for header, value in request.headers
            if header.startswith("Trotline-")} == {
        "Trotline-Event-Id": event, "Trotline-Event-Type": event_type, "Trotline-Source": "github",
        "Trotline-Received-At": RECEIVED_AT, "Trotline-Verified": "true"}


def test_passthrough_says_what_was_not_verified(server, client, redis, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme="passthrough")
    leave(redis, [received(event_type, verified=False, headers=())], webhook["id"])
    request, = sink.wait_for(1, timeout=20)
    assert request.headers_named("Trotline-Verified") == ["false"]
    assert [name for name, _ in without(request.headers)] in ([], ["User-Agent"])


def test_passthrough_of_a_published_event_is_its_data(client, sink, event_type):
    """Whatever the producer calls its source: nothing was received."""
    client.create_webhook(sink.url("/"), [event_type], scheme="passthrough")
    event = client.event_id(event_type, {"a": [1, "é"]}, source="github")
    request, = sink.wait_for(1)
    assert request.json() == {"a": [1, "é"]}
    assert request.headers_named("Content-Type") == ["application/json"]
    assert {name: value for name, value in request.headers if name.startswith("Trotline-")} == {
        "Trotline-Event-Id": event, "Trotline-Event-Type": event_type}


def test_an_endpoints_own_headers_replace_received_ones(server, client, redis, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme="passthrough",
                                    headers={"authorization": "Bearer of ours", "X-TWICE": "3"})
    leave(redis, [received(event_type)], webhook["id"])
    request, = sink.wait_for(1, timeout=20)
    assert request.headers_named("Authorization") == ["Bearer of ours"]
    assert request.headers_named("X-Twice") == ["3"]
    assert request.headers_named("X-GitHub-Delivery") == ["72d3162e"]


def test_a_passthrough_endpoint_has_no_secret(client, sink, event_type):
    """None is made, none is taken, and those of another scheme go with that."""
    url = sink.url("/")
    client.post("/api/webhooks", {"url": url, "events": [event_type], "scheme": "passthrough",
                                  "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}).expect(
        400, "invalid_secret", "secret")
    webhook = client.create_webhook(url, [event_type])
    path = f"/api/webhooks/{webhook['id']}"
    changed = client.patch(path, {"scheme": "passthrough"}).expect(200).json
    assert "secret" not in changed and "secret" not in client.get(path).expect(200).json
    back = client.patch(path, {"scheme": "standard"}).expect(200).json
    assert back["secret"] not in ("", webhook["secret"])


@pytest.mark.parametrize("name", ["Trotline-Verified", "trotline-source", "Trotline-X"])
def test_an_endpoint_cannot_speak_for_the_gateway(client, sink, event_type, name):
    for scheme in ("passthrough", "standard"):
        client.post("/api/webhooks", {"url": sink.url("/"), "events": [event_type], "scheme": scheme,
                                      "headers": {name: "true"}}).expect(400, "invalid_headers")


def test_a_test_send_to_a_passthrough_endpoint(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme="passthrough")
    assert client.post(f"/api/webhooks/{webhook['id']}/test").expect(200).json["success"]
    request, = sink.wait_for(1)
    assert request.headers_named("Content-Type") == ["application/json"]
    assert not request.headers_named("Trotline-Verified")


# ---- signing schemes ---------------------------------------------------------------------------------

@pytest.mark.parametrize("scheme", VERIFY)
def test_schemes_sign_whatever_was_received(server, client, redis, sink, event_type, scheme):
    """JSON is there byte for byte, the rest as JSON; none of the received headers is sent."""
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme=scheme)
    leave(redis, [received(event_type, name) for name in DATA], webhook["id"])
    requests = sink.wait_for(len(DATA), timeout=20)
    bodies = []
    for request in requests:
        VERIFY[scheme](request, webhook["secret"])
        assert request.headers_named("Content-Type") == ["application/json"]
        assert not request.headers_named("X-GitHub-Delivery") + request.headers_named("X-Twice")
        assert not [name for name, _ in request.headers if name.lower().startswith("trotline-")]
        bodies.append(request.body)
    for name, (_, _, _, as_json) in DATA.items():
        value = json.loads(as_json)
        found = [body for body in bodies if
                 (json.loads(body) == value if scheme == "svix" else
                  value in (json.loads(body).get("data"), json.loads(body).get("payload")))]
        assert len(found) == 1, name
    assert sum(DATA["json"][0] in body for body in bodies) == 1


@pytest.mark.parametrize("scheme", ["standard", "passthrough"])
def test_a_duplicate_is_marked(server, client, redis, sink, event_type, scheme):
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme=scheme)
    first, = leave(redis, [received(event_type)], webhook["id"])
    second, = leave(redis, [received(event_type, duplicate_of=first)], webhook["id"])
    marks = {request.header("webhook-id") or request.header("Trotline-Event-Id"):
             request.headers_named("Trotline-Duplicate-Of")
             for request in sink.wait_for(2, timeout=20)}
    assert marks == {first: [], second: [first]}
    assert client.get(f"/api/events/{second}").expect(200).json["duplicateOf"] == first


# ---- what is shown and kept --------------------------------------------------------------------------

@pytest.mark.parametrize("name", DATA)
def test_an_event_shows_what_was_received(server, client, redis, sink, event_type, name):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    event, = leave(redis, [received(event_type, name)], webhook["id"])
    sink.wait_for(1, timeout=20)
    shown = client.get(f"/api/events/{event}").expect(200).json
    _, kind, content_type, as_json = DATA[name]
    assert shown["data"] == json.loads(as_json)
    assert (shown["dataKind"], shown["contentType"]) == (kind, content_type)
    assert (shown["source"], shown["receivedAt"], shown["verified"], shown["duplicateOf"]) == (
        "github", RECEIVED_AT, True, None)
    assert [(header["name"], header["value"]) for header in shown["headers"]] == [
        (name, "(hidden)" if name == "Authorization" else value) for name, value in HEADERS]


def test_a_published_event_shows_nothing_of_that(client, sink, event_type):
    shown = client.get(f"/api/events/{client.event_id(event_type, 1)}").expect(200).json
    assert not {"dataKind", "receivedAt", "verified", "duplicateOf", "contentType", "headers"} & set(shown)


def test_dead_letters_keep_everything(server, client, redis, sink, event_type):
    """A delivery that is replayed is byte for byte the first one, but for its trace."""
    sink.script("/", [500, 500, 200])
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme="passthrough", retryPolicy=ONCE)
    first, = leave(redis, [received(event_type)], webhook["id"])
    leave(redis, [received(event_type, "bytes", duplicate_of=first)], webhook["id"])
    failed = sink.wait_for(2, timeout=20)
    sink.wait_quiet()
    assert len(client.dead_letters(webhookId=webhook["id"])) == 2
    client.replay(webhookId=webhook["id"])
    again = sink.wait_for(4)[2:]

    def whole(request):
        return request.body, [header for header in request.headers if header[0] != "traceparent"]
    assert sorted(map(whole, again)) == sorted(map(whole, failed))


def test_filters_take_no_data_that_is_not_json(server, client, redis, sink, event_type):
    """Nor do those that hold of everything else; a replay of what happened asks them."""
    first = client.create_webhook(sink.url("/first"), [event_type], scheme="passthrough")
    leave(redis, [received(event_type, name) for name in DATA], first["id"])
    sink.wait_for(len(DATA), "/first", timeout=20)
    sink.wait_quiet()
    for path, expected, members in (("/all", set(DATA), {}),
                                    ("/not", {"json"}, {"filter": {"$not": {"x": 1}}}),
                                    ("/some", {"json"}, {"filter": {"zen": 1.1}})):
        webhook = client.create_webhook(sink.url(path), [event_type], scheme="passthrough", **members)
        answer = client.post(f"/api/webhooks/{webhook['id']}/replay",
                             {"what": "events", "since": "2025-10-09T00:00:00Z",
                              "until": "2025-10-10T00:00:00Z"})
        job = client.job(answer)
        assert job["status"] == "done" and job["done"] == len(expected)
        assert sorted(request.body for request in sink.wait_for(len(expected), path)) == sorted(
            DATA[name][0] for name in expected)
