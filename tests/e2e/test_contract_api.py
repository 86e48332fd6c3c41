"""The plain API against what README.md promises, member by member, over whole lives."""

import collections
import json
import threading
import time

import pytest
from harness import parse_answers, wait_until
from harness.sink import delayed, hang, reply

ONCE = {"schedule": []}
WEBHOOK = {"id", "kind", "url", "events", "scheme", "secret", "headers", "retryPolicy", "rateLimit",
           "ordering", "onDeadLetter", "batch", "maxInFlight", "timeout", "filter", "description",
           "active", "disabledReason", "createdAt", "updatedAt", "health"}
EVENT = {"id", "type", "timestamp", "data", "version", "source", "uid", "orderingKey", "createdAt",
         "deliveries"}
DELIVERY = {"webhookId", "status", "attempts", "nextAttemptAt", "lastError"}
ATTEMPT = {"id", "eventId", "attempt", "status", "statusCode", "responseBody", "durationMs", "error",
           "timestamp"}
DEAD_LETTER = {"webhookId", "eventId", "type", "attempts", "lastError", "deadAt"}
STATUSES = {"pending", "sending", "sent", "failed", "dead_letter", "cancelled"}


def delivery_of(client, event, webhook):
    return client.deliveries(event)[webhook["id"]]


def settled(client, event, webhook, status, timeout=10.0):
    def there():
        delivery = delivery_of(client, event, webhook)
        assert delivery["status"] == status, delivery
        return delivery
    return wait_until(there, timeout, f"the delivery to be {status}")


# ---- shapes ------------------------------------------------------------------------------------------

def test_members_of_every_answer(client, sink, event_type):
    sink.script("/", reply(500, b"no"))
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE)
    assert set(webhook) == WEBHOOK
    assert set(client.get_webhook(webhook["id"]).expect(200).json) == WEBHOOK
    page = client.get(f"/api/webhooks?eventType={event_type}").expect(200).json
    assert set(page) == {"webhooks", "count", "cursor"} and page["count"] == 1
    assert set(page["webhooks"][0]) == WEBHOOK - {"secret", "health"}

    accepted = client.post_event(event_type).expect(202).json
    assert set(accepted) == {"id", "deliveries"} and accepted["deliveries"] == 1
    settled(client, accepted["id"], webhook, "dead_letter")
    event = client.get_event(accepted["id"])
    assert set(event) == EVENT and set(event["deliveries"][0]) == DELIVERY
    page = client.get(f"/api/webhooks/{webhook['id']}/attempts").expect(200).json
    assert set(page) == {"attempts", "count"} and page["count"] == len(page["attempts"]) == 1
    attempt = page["attempts"][0]
    assert set(attempt) == ATTEMPT and attempt["id"].startswith("atmpt_")
    assert attempt["responseBody"] == "no" and attempt["statusCode"] == 500
    page = client.get(f"/api/dead-letters?webhookId={webhook['id']}").expect(200).json
    assert set(page) == {"deadLetters", "cursor"} and page["cursor"] is None
    assert set(page["deadLetters"][0]) == DEAD_LETTER
    tested = client.post(f"/api/webhooks/{webhook['id']}/test").expect(200).json
    assert set(tested) >= {"success", "statusCode", "message", "durationMs"}


@pytest.mark.parametrize("request_line", [
    "GET /healthz", "GET /readyz", "GET /metrics", "GET /nope", "GET /api/webhooks",
    "POST /api/events", "DELETE /api/events", "BREW /api/events", "GARBAGE", "GET /" + "a" * 9000,
], ids=lambda line: line[:20])
def test_every_answer_has_a_request_id(client, server, request_line):
    for key in ("", f"Authorization: Bearer {server.api_key}\r\n"):
        for version in ("1.1", "2.0"):
            data = f"{request_line} HTTP/{version}\r\nHost: x\r\n{key}Content-Length: 0\r\n\r\n"
            (answer,) = parse_answers(client.raw(data.encode()))
            assert answer.header("X-Request-Id"), answer
            if answer.status >= 400:
                assert answer.error["code"]


def test_a_request_id_of_the_client_is_kept(client):
    answer = client.get("/healthz", headers={"X-Request-Id": "mine-1"})
    assert answer.header("X-Request-Id") == "mine-1"


@pytest.mark.parametrize("path", ["/healthz", "/api/webhooks", "/api/nope"])
def test_head_is_get_without_a_body(client, path):
    get, head = client.get(path), client.request("HEAD", path)
    assert head.status == get.status and head.body == b""
    assert head.header("Content-Type") == get.header("Content-Type")
    assert head.header("Content-Length") == get.header("Content-Length")


# ---- wrong types -------------------------------------------------------------------------------------

WRONG = {
    "url": [1, 1.5, True, "", [], {}, "abc", [1]],
    "events": [1, True, "", [], {}, "abc", {"a": 1}],
    "secret": [1, True, "", [], {}, "abc"],
    "scheme": [1, True, "", [], {}, "abc"],
    "headers": [1, True, "", [], "abc", [1]],
    "retryPolicy": [1, True, "", [], "abc", [None]],
    "rateLimit": [1, True, "", [], {}, "abc", {"limit": 1}, {"limit": True, "period": "1s"},
                  {"limit": 1, "period": True}, {"limit": 1, "period": "1s", "burst": []}],
    "ordering": [1, True, "", [], {}, "abc", "keys", ["key"]],
    "onDeadLetter": [1, True, "", [], {}, "abc", {"block": True}],
    "maxInFlight": [0, -1, 1.5, True, "", "1", [], {}],
    "timeout": [0, -1, 1.5, True, "", "5", [], {}, "abc"],
    "description": [1, True, [], {}, "x" * 1001],
    "active": [0, 1, "", "true", [], {}],
}


@pytest.mark.parametrize("member", WRONG)
def test_wrong_types_of_a_webhook_store_nothing(client, sink, event_type, member):
    good = {"url": sink.url("/"), "events": [event_type]}
    webhook = client.create_webhook(**good)
    for value in WRONG[member]:
        for answer in (client.post("/api/webhooks", {**good, member: value}),
                       client.put(f"/api/webhooks/{webhook['id']}", {**good, member: value}),
                       client.patch(f"/api/webhooks/{webhook['id']}", {member: value})):
            assert answer.status == 400, (value, answer)
            assert answer.error["field"].split(".")[0].split("[")[0] == member, (value, answer)
    assert client.get_webhook(webhook["id"]).json == webhook
    assert client.get(f"/api/webhooks?eventType={event_type}").json["count"] == 1


@pytest.mark.parametrize("member", ["type", "timestamp", "version", "source", "uid",
                                    "idempotencyKey", "deliverAt", "delay"])
def test_wrong_types_of_an_event_store_nothing(client, sink, event_type, member):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    for value in [-1, 1.5, True, "", [], {}, [1], {"a": 1}, 1e300]:
        answer = client.post("/api/events", {"type": event_type, "data": {}, member: value})
        assert answer.status == 400 and answer.error["field"] == member, (value, answer)
    sink.wait_quiet(0.3)
    assert sink.count() == 0 and client.attempts(webhook["id"]) == []


def test_numbers_no_parser_can_hold_are_no_fault_in_data(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type], scheme="svix")
    data = b'{"z":1.10,"a":1e400,"m":-0,"n":12345678901234567890123456789,"\\u00e9": [ 1 ,2 ]}'
    body = b'{"data" : %s, "type":"%s"}' % (data, event_type.encode())
    event = client.request("POST", "/api/events", body=body).expect(202).json["id"]
    assert sink.wait_for(1)[0].body == data
    assert data in client.get(f"/api/events/{event}").body


# ---- a delivery's life -------------------------------------------------------------------------------

def test_statuses_over_a_whole_life(client, sink, event_type):
    answers = [delayed(0.4, reply(500, b"one")), delayed(0.4, 503), delayed(0.4, 200)]
    sink.script("/", answers)
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={"schedule": ["600ms", "600ms"], "jitter": 0})
    event, seen, begin = client.event_id(event_type), [], time.monotonic()
    while (not seen or seen[-1] != ("sent", 3)) and time.monotonic() - begin < 10:
        delivery = delivery_of(client, event, webhook)
        assert delivery["status"] in STATUSES
        state = (delivery["status"], delivery["attempts"])
        if state[0] != "pending" and (not seen or seen[-1] != state):
            seen.append(state)
        if state[0] == "failed" and delivery["nextAttemptAt"]:
            assert delivery["lastError"] == {1: "HTTP 500", 2: "HTTP 503"}[state[1]]
        time.sleep(0.02)  # between two looks
    assert [s for s in seen if s[0] in ("sending", "failed", "sent")][0] == ("sending", 0)
    for state in [("failed", 1), ("sending", 1), ("failed", 2), ("sending", 2), ("sent", 3)]:
        assert state in seen, seen
    attempts = wait_until(lambda: client.attempts(webhook["id"]), 5)
    assert [a["attempt"] for a in attempts] == [3, 2, 1], "newest first"
    assert [a["status"] for a in attempts] == ["sent", "failed", "failed"]
    assert [a["statusCode"] for a in attempts] == [200, 503, 500]
    assert attempts[2]["responseBody"] == "one" and attempts[0]["durationMs"] >= 400


def test_deleting_cancels_the_queue_and_lets_what_is_on_the_wire_end(client, sink, event_type):
    sink.script("/", delayed(0.6, 200))
    webhook = client.create_webhook(sink.url("/"), [event_type], maxInFlight=1)
    events = [client.event_id(event_type, {"n": n}) for n in range(4)]
    events.append(client.event_id(event_type, delay="1h"))
    sink.wait_for(1)
    client.delete_webhook(webhook["id"]).expect(204)
    for event in events[1:]:
        assert settled(client, event, webhook, "cancelled")["attempts"] == 0
    assert settled(client, events[0], webhook, "sent")["attempts"] == 1
    sink.wait_quiet(0.7)
    assert sink.count() == 1
    client.get_webhook(webhook["id"]).expect(404)
    client.delete_webhook(webhook["id"]).expect(404)


def test_disabling_makes_dead_letters_that_enabling_and_replay_deliver(client, sink, event_type):
    sink.script("/", delayed(0.5, 200))
    webhook = client.create_webhook(sink.url("/"), [event_type], maxInFlight=1)
    events = [client.event_id(event_type, {"n": n}) for n in range(3)]
    events.append(client.event_id(event_type, delay="1h"))
    sink.wait_for(1)
    off = client.post(f"/api/webhooks/{webhook['id']}/disable").expect(200).json
    assert off["active"] is False
    for event in events[1:]:
        assert settled(client, event, webhook, "dead_letter")["lastError"] == "endpoint_disabled"
    settled(client, events[0], webhook, "sent")
    assert client.post_event(event_type).expect(202).json["deliveries"] == 0
    replay = {"webhookId": webhook["id"]}
    assert client.replay(**replay)["done"] == 0
    client.post(f"/api/webhooks/{webhook['id']}/enable").expect(200)
    assert client.replay(**replay)["done"] == 3
    for event in events[1:]:
        settled(client, event, webhook, "sent")
    assert client.dead_letters(webhookId=webhook["id"]) == []
    assert sorted(sink.ids()) == sorted(events)


def test_gone_takes_what_waits_to_the_dead_letters(client, sink, event_type):
    sink.script("/", 410)
    webhook = client.create_webhook(sink.url("/"), [event_type])
    later = client.event_id(event_type, delay="1h")
    now = client.event_id(event_type)
    settled(client, now, webhook, "dead_letter")
    assert settled(client, later, webhook, "dead_letter")["lastError"] == "endpoint_disabled"
    shown = client.get_webhook(webhook["id"]).expect(200).json
    assert shown["active"] is False and shown["disabledReason"] == "gone"


# ---- what receivers get ------------------------------------------------------------------------------

def test_headers_sent_are_these_and_no_others(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type], headers={"X-Mine": "1"})
    client.event_id(event_type)
    (request,) = sink.wait_for(1)
    assert request.method == "POST"
    assert sorted(name for name, _ in request.headers) == sorted(
        ["Host", "User-Agent", "Content-Type", "Content-Length", "traceparent", "webhook-id",
         "webhook-timestamp", "webhook-signature", "X-Mine"])
    assert request.header("Content-Type") == "application/json"
    assert request.header("User-Agent").startswith("Trotline/")


def test_a_trace_goes_on_through_every_attempt(client, sink, event_type):
    sink.script("/", [500, 200])
    client.create_webhook(sink.url("/"), [event_type], retryPolicy={"schedule": ["100ms"]})
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    client.post("/api/events", {"type": event_type, "data": 1},
                headers={"traceparent": parent, "tracestate": "a=b"}).expect(202)
    requests = sink.wait_for(2)
    traces = [request.header("traceparent").split("-") for request in requests]
    assert all(trace[1] == parent.split("-")[1] and trace[3] == "01" for trace in traces)
    assert len({trace[2] for trace in traces} | {parent.split("-")[2]}) == 3, "a span for each"
    assert all(request.header("tracestate") == "a=b" for request in requests)


# ---- pages -------------------------------------------------------------------------------------------

def test_pages_of_webhooks_neither_skip_nor_repeat(client, sink, event_type):
    made = {client.create_webhook(sink.url("/"), [event_type])["id"] for _ in range(11)}
    for limit in (1, 4, 11, 12, 500):
        seen, cursor = [], None
        while cursor is not None or not seen:
            more = f"&cursor={cursor}" if cursor else ""
            page = client.get(f"/api/webhooks?eventType={event_type}&limit={limit}{more}").json
            assert page["count"] == len(page["webhooks"]) <= limit
            seen += [webhook["id"] for webhook in page["webhooks"]]
            cursor = page["cursor"]
            if cursor is None:
                break
        assert len(seen) == 11 and set(seen) == made


def test_pages_of_dead_letters_neither_skip_nor_repeat(start_daemon, sink, event_type):
    client = start_daemon("--set", "breaker.enabled=false").client()
    sink.script("/", 500)
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE)
    events = [client.event_id(event_type, {"n": n}) for n in range(115)]
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"], limit=500)) == 115)
    for limit in (7, 50, 115, 500):
        letters = client.dead_letters(webhookId=webhook["id"], limit=limit)
        assert sorted(letter["eventId"] for letter in letters) == sorted(events)
    assert client.discard(webhookId=webhook["id"])["done"] == 115
    assert delivery_of(client, events[0], webhook)["status"] == "cancelled"


# ---- load --------------------------------------------------------------------------------------------

def test_fan_out_to_1500(client, sink, event_type):
    paths = [f"/{event_type}/{n}" for n in range(1500)]
    webhooks = [client.create_webhook(sink.url(path), [event_type])["id"] for path in paths]
    accepted = client.post_event(event_type, {"n": 1}).expect(202).json
    assert accepted["deliveries"] == 1500
    sink.wait_for(1500, timeout=60)

    def all_sent():
        statuses = collections.Counter(
            delivery["status"] for delivery in client.get_event(accepted["id"])["deliveries"])
        assert statuses == {"sent": 1500}, statuses
        return True
    wait_until(all_sent, 20)
    sink.wait_quiet(0.5)
    assert collections.Counter(r.path for r in sink.requests()) == dict.fromkeys(paths, 1)
    for webhook in webhooks:
        client.delete_webhook(webhook).expect(204)


def test_fifty_rounds_of_pipelined_posts(server, client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    ids = []
    for turn in range(50):
        data = b""
        for n in range(20):
            body = json.dumps({"type": event_type, "data": [turn, n]}).encode()
            data += (b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (server.api_key.encode(), len(body), body))
        received, _ = client.raw_exchange(data, timeout=20, answers=20)
        ids += [answer.expect(202).json["id"] for answer in parse_answers(received)]
    assert len(ids) == len(set(ids)) == 1000
    sink.wait_for(1000, timeout=30)
    sink.wait_quiet(0.3)
    assert sorted(sink.ids()) == sorted(ids)


def test_max_in_flight_holds_over_first_attempts_and_retries(client, sink, event_type):
    count, lock = [0], threading.Lock()

    def some(_):
        with lock:
            count[0] += 1
            return delayed(0.2, 500 if count[0] % 3 == 0 else 200)
    sink.script("/", some)
    webhook = client.create_webhook(sink.url("/"), [event_type], maxInFlight=3,
                                    retryPolicy={"schedule": ["50ms"] * 12})
    events = [client.event_id(event_type, {"n": n}) for n in range(20)]
    for event in events:
        settled(client, event, webhook, "sent", timeout=20)
    assert sink.most_running["/"] == 3


def test_one_hanging_endpoint_with_a_long_queue_delays_nobody(client, sink, event_type):
    sink.script("/slow", hang())
    slow = client.create_webhook(sink.url("/slow"), [event_type], timeout="20s")
    for n in range(1500):
        client.event_id(event_type, {"n": n})
    client.create_webhook(sink.url("/fast"), [event_type + ".fast"])
    for n in range(1, 20):
        begin = time.monotonic()
        client.event_id(event_type + ".fast")
        sink.wait_for(n, "/fast")
        assert time.monotonic() - begin < 1
    client.delete_webhook(slow["id"]).expect(204)
