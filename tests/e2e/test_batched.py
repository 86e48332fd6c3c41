"""Endpoints that take several events in one request: what goes together and when, and that it stays
together, in its order and under its id, whatever happens on the way."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from harness import Sink, wait_until
from harness.sink import delayed, hang, retry_after

BIN = os.environ.get("TROTLINE_BIN", str(pathlib.Path(__file__).resolve().parents[2] / "build" / "dev"
                                         / "trotline"))
WHSEC = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()
LONG = {"schedule": ["300ms"] * 30, "jitter": 0}


def batched(client, sink, path, event_type, wait="1s", retry=None, **batch):
    members = {"retryPolicy": retry} if retry else {}
    return client.create_webhook(sink.url(path), [event_type],
                                 batch={"maxWait": wait, **batch}, **members)


def post(client, event_type, count, first=0, **data):
    return [client.event_id(event_type, {"n": n, **data}) for n in range(first, first + count)]


def ids(request):
    return [event["id"] for event in request.json()]


def check(request, event_type=None):
    """What every request of a batch has; returns its events."""
    events = request.json()
    assert request.header("Content-Type") == "application/json"
    assert request.header("Trotline-Batch-Count") == str(len(events))
    assert request.id.startswith("batch_") and len(request.id) == len("batch_") + 27
    if event_type:
        assert {event["type"] for event in events} == {event_type}
    return events


def requests(sink, path):
    """In the order of their events: what is sent at once may arrive in any order."""
    return sorted(sink.requests(path), key=ids)


def received(sink, path):
    return [event for request in requests(sink, path) for event in ids(request)]


# ---- When ---------------------------------------------------------------------------------------------

def test_it_goes_when_it_has_as_many_events_as_it_may(client, sink, event_type):
    batched(client, sink, "/a", event_type, wait="50s", maxEvents=5)
    events = post(client, event_type, 10)
    sink.wait_for(2, "/a")
    first, second = requests(sink, "/a")
    assert [event["data"]["n"] for event in check(first, event_type)] == [0, 1, 2, 3, 4]
    assert ids(first) + ids(second) == events
    assert first.id != second.id


def test_it_goes_when_the_first_has_waited(client, sink, event_type):
    batched(client, sink, "/a", event_type, wait="1500ms")
    began = time.monotonic()
    events = post(client, event_type, 3)
    (request,) = sink.wait_for(1, "/a")
    assert 1.4 < request.at - began < 6
    assert ids(request) == events


def test_it_goes_when_it_is_as_long_as_it_may_be(client, sink, event_type):
    """Some of eight events fit together, in order, and no body is longer."""
    batched(client, sink, "/a", event_type, wait="2s", maxBytes=10000)
    events = post(client, event_type, 8, filler="x" * 3000)
    wait_until(lambda: len(received(sink, "/a")) == 8)
    assert received(sink, "/a") == events
    bodies = [request.body for request in sink.requests("/a")]
    assert all(len(body) <= 10000 for body in bodies) and len(bodies) == 3


def test_an_event_that_is_longer_goes_alone(client, sink, event_type):
    batched(client, sink, "/a", event_type, wait="500ms", maxBytes=5000)
    small = client.event_id(event_type, {"n": 1})
    large = client.event_id(event_type, {"n": 2, "filler": "x" * 20000})
    after = client.event_id(event_type, {"n": 3})
    wait_until(lambda: len(received(sink, "/a")) == 3)
    assert [ids(request) for request in requests(sink, "/a")] == [[small], [large], [after]]


def test_without_a_wait_each_turn_sends_what_is_there(client, sink, event_type):
    batched(client, sink, "/a", event_type, wait="0s")
    event = client.event_id(event_type, {"n": 1})
    (request,) = sink.wait_for(1, "/a")
    assert ids(request) == [event], "one event is a list of one"


def test_events_wait_long_and_keep_no_batch_open(client, sink, event_type):
    """The journal has let go of them long before they are sent; then they go at once, together."""
    batched(client, sink, "/a", event_type, wait="50s", maxEvents=6)
    events = post(client, event_type, 3)
    wait_until(lambda: client.metric("trotline_batches_open") == 0, timeout=10)
    assert sink.count("/a") == 0
    time.sleep(6)  # longer than half of a lease: they are held on to
    assert sink.count("/a") == 0
    assert [client.deliveries(event).popitem()[1]["status"] for event in events] == ["pending"] * 3
    events += post(client, event_type, 3, first=3)
    (request,) = sink.wait_for(1, "/a")
    assert ids(request) == events
    wait_until(lambda: all(client.deliveries(event).popitem()[1]["status"] == "sent"
                           for event in events))


# ---- What ---------------------------------------------------------------------------------------------

def test_events_have_what_they_were_published_with(client, sink, event_type):
    batched(client, sink, "/a", event_type, wait="50s", maxEvents=3)
    sent = [{"data": {"text": "ü\n", "big": 12345678901234567890}},
            {"data": [1, 2], "version": "3", "source": "https://shop.example/\u20ac"},
            {"data": "x", "orderingKey": "k\"1", "timestamp": "2026-01-02T03:04:05.678Z"}]
    events = [client.post_event(event_type, **members).expect(202).json["id"]
              for members in sent]
    (request,) = sink.wait_for(1, "/a")
    got = check(request, event_type)
    assert [event["id"] for event in got] == events
    for event, members in zip(got, sent):
        assert {name: event[name] for name in members} == members
        assert set(event) == {"id", "type", "timestamp", "version", "source", *members}
        assert all(event[name] is None for name in {"version", "source"} - set(members))


def test_lines_of_json(client, sink, event_type):
    """Whatever line breaks an event came with, it is one line."""
    batched(client, sink, "/a", event_type, wait="50s", maxEvents=2, format="ndjson")
    body = '{"type": "%s", "data": {\n "a":\r\n [1,\n2], "s": "x\\ny"}}' % event_type
    first = client.post("/api/events", body=body.encode(),
                        headers={"Content-Type": "application/json"}).expect(202).json["id"]
    second = client.event_id(event_type, {"n": 2})
    (request,) = sink.wait_for(1, "/a")
    assert request.header("Content-Type") == "application/x-ndjson"
    assert request.body.endswith(b"\n")
    lines = [json.loads(line) for line in request.body.splitlines()]
    assert [line["id"] for line in lines] == [first, second]
    assert lines[0]["data"] == {"a": [1, 2], "s": "x\ny"}


LIBRARIES = [("standardwebhooks", "standard", WHSEC), ("svix", "svix", WHSEC),
             ("svix", "standard", WHSEC), ("event", "event", "00ff10ef" * 8),
             ("guide", "guide", "g\u00e4nse und f\u00fcchse"),
             ("basic", "basic", "a shared secret word")]


# Svix's library parses what it has verified, as one JSON value; the others need not.
@pytest.mark.parametrize("form, library, scheme, secret", [
    (form, *library) for form in ("json", "ndjson") for library in LIBRARIES
    if (form, library[0]) != ("ndjson", "svix")])
def test_real_libraries_verify_it(client, node_receiver, event_type, form, library, scheme, secret):
    """The signature covers all of it; where a scheme names the type or the id, it is the batch's."""
    receiver = node_receiver(library, secret)
    client.create_webhook(receiver.url("/in"), [event_type], scheme=scheme, secret=secret,
                          batch={"maxEvents": 3, "maxWait": "20s", "format": form})
    events = post(client, event_type, 3, text="Gr\u00fc\u00dfe \U0001f600")
    got = receiver.next()
    assert got["verified"], got
    body = got["body"].splitlines() if form == "ndjson" else json.loads(got["body"])
    lists = [json.loads(line) for line in body] if form == "ndjson" else body
    assert [event["id"] for event in lists] == events
    headers = got["headers"]
    for name in ("x-webhook-event-type", "x-webhook-event", "x-event-type"):
        assert headers.get(name, "batch") == "batch"
    for name in ("webhook-id", "svix-id", "x-webhook-delivery-id"):
        assert headers.get(name, "batch_").startswith("batch_")


def test_our_own_sink_shows_and_verifies_it(client, event_type):
    process = subprocess.Popen([BIN, "sink", "--listen", "127.0.0.1:0", "--secret", WHSEC],
                               stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[-1]
    client.create_webhook(url + "/in", [event_type], secret=WHSEC,
                          batch={"maxEvents": 2, "maxWait": "20s"})
    events = post(client, event_type, 2)
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert " id=batch_" in lines[0] and " events=2  verified" in lines[0]
    assert [line.split()[:2] for line in lines[1:]] == [[event, event_type] for event in events]
    assert out == "received=1 verified=1 bad=0 duplicates=0\n"


def test_a_test_send_has_the_same_form(client, sink, event_type):
    webhook = batched(client, sink, "/a", event_type)
    client.post(f"/api/webhooks/{webhook['id']}/test", {}).expect(200)
    (request,) = sink.wait_for(1, "/a")
    assert len(check(request)) == 1


# ---- Again --------------------------------------------------------------------------------------------

def same_each_time(requests):
    """Each id comes with the same events in the same order whenever it comes."""
    seen = {}
    for request in requests:
        assert seen.setdefault(request.id, request.body) == request.body
    return seen


def test_what_failed_goes_again_as_it_was(client, sink, event_type):
    webhook = batched(client, sink, "/a", event_type, wait="1500ms", maxEvents=7, retry=LONG)
    sink.script("/a", [500, 503, 200])
    events = post(client, event_type, 7)
    sink.wait_for(1, "/a")
    later = post(client, event_type, 2, first=7)  # which must not join those that failed
    wait_until(lambda: len(sink.requests("/a")) == 4)
    seen = same_each_time(sink.requests("/a"))
    assert sorted(len(json.loads(body)) for body in seen.values()) == [2, 7]
    assert ids(sink.requests("/a")[0]) == events
    wait_until(lambda: all(client.deliveries(event)[webhook["id"]]["status"] == "sent"
                           for event in events + later))
    assert client.deliveries(events[3])[webhook["id"]]["attempts"] >= 2


def test_the_retry_policy_is_one_for_all(client, sink, event_type):
    """So many attempts for the batch, then each event is a dead letter of its own; and replayed,
    they go together again, as new."""
    webhook = batched(client, sink, "/a", event_type, wait="50s", maxEvents=5,
                      retry={"schedule": ["200ms", "200ms"], "jitter": 0})
    sink.script("/a", [500, 500, 500, 200])
    events = post(client, event_type, 5)
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 5)
    failed = sink.requests("/a")
    assert len(failed) == 3 and len({request.id for request in failed}) == 1
    listed = client.attempts(webhook["id"])
    assert sorted(attempt["eventId"] for attempt in listed) == sorted(events * 3)
    client.replay(webhookId=webhook["id"])
    wait_until(lambda: len(received(sink, "/a")) == 4 * 5)
    assert sorted(received(sink, "/a")) == sorted(events * 4)
    assert all(client.deliveries(event)[webhook["id"]]["status"] == "sent" for event in events)


def test_gone_is_gone_for_all(client, sink, event_type):
    webhook = batched(client, sink, "/a", event_type, wait="50s", maxEvents=4)
    sink.script("/a", 410)
    post(client, event_type, 4)
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 4)
    wait_until(lambda: client.get_webhook(webhook["id"]).json["disabledReason"] == "gone")
    assert sink.count("/a") == 1


def test_retry_after_holds_for_all(client, sink, event_type):
    batched(client, sink, "/a", event_type, wait="50s", maxEvents=4,
            retry={"schedule": ["100ms"] * 5, "jitter": 0})
    sink.script("/a", [retry_after(2), 200])
    post(client, event_type, 4)
    first, second = sink.wait_for(2, "/a")
    assert 1.9 < second.at - first.at < 10
    assert first.body == second.body and first.id == second.id


def test_a_long_attempt_ends_for_all(client, sink, event_type):
    """It takes longer than a lease: its members are moved to the schedule and held on to."""
    webhook = batched(client, sink, "/a", event_type, wait="50s", maxEvents=20)
    client.patch(f"/api/webhooks/{webhook['id']}", {"timeout": "30s"}).expect(200)
    sink.script("/a", delayed(11, 200))
    events = post(client, event_type, 20)
    wait_until(lambda: all(client.deliveries(event)[webhook["id"]]["status"] == "sent"
                           for event in events), timeout=30)
    assert sink.count("/a") == 1


# ---- What becomes of the process ----------------------------------------------------------------------

def test_the_same_goes_together_after_a_kill(start_daemon, event_type):
    with Sink() as sink:
        daemon = start_daemon()
        client = daemon.client()
        batched(client, sink, "/a", event_type, wait="50s", maxEvents=40,
                retry={"schedule": ["2s"] * 30, "jitter": 0})
        sink.script("/a", 500)
        events = post(client, event_type, 120)
        sink.wait_for(3, "/a", timeout=20)
        wait_until(lambda: client.metric("trotline_deliveries_retried_total") >= 120)
        daemon.kill9()
        before = sink.count("/a")
        sink.script("/a", 200)
        daemon.start()
        sink.wait_for(before + 3, "/a", timeout=30)
        seen = same_each_time(sink.requests("/a"))
        assert len(seen) == 3 and set(received(sink, "/a")) == set(events)


def test_what_was_on_the_wire_goes_again_after_a_kill(start_daemon, event_type):
    """The receiver hangs until the process is killed: its next one sends the same, for it was moved
    to the schedule as what it was."""
    with Sink() as sink:
        daemon = start_daemon()
        client = daemon.client()
        webhook = batched(client, sink, "/a", event_type, wait="50s", maxEvents=75)
        client.patch(f"/api/webhooks/{webhook['id']}", {"timeout": "60s"}).expect(200)
        sink.script("/a", hang())
        events = post(client, event_type, 150)
        sink.wait_for(2, "/a", timeout=20)
        wait_until(lambda: client.metric("trotline_deliveries_moved_total") >= 150)
        daemon.kill9()
        sink.script("/a", 200)
        daemon.start()
        sink.wait_for(4, "/a", timeout=40)
        assert len(same_each_time(sink.requests("/a"))) == 2
        assert set(received(sink, "/a")) == set(events)


def test_nothing_that_waits_is_lost_in_a_kill(start_daemon, event_type):
    with Sink() as sink:
        daemon = start_daemon()
        client = daemon.client()
        batched(client, sink, "/a", event_type, wait="8s")
        events = post(client, event_type, 20)
        wait_until(lambda: client.metric("trotline_deliveries_moved_total") >= 20)
        events += post(client, event_type, 20)
        daemon.kill9()
        daemon.start()
        wait_until(lambda: set(received(sink, "/a")) == set(events), timeout=40)
        assert len(received(sink, "/a")) == 40, "and each came once"


def test_a_stop_hands_on_what_waits(start_daemon, event_type):
    with Sink() as sink:
        daemon = start_daemon()
        client = daemon.client()
        webhook = batched(client, sink, "/a", event_type, wait="50s")
        events = post(client, event_type, 10)
        wait_until(lambda: client.metric("trotline_deliveries_moved_total") >= 10)
        events += post(client, event_type, 10)
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < 15
        assert sink.count("/a") == 0
        daemon.start()
        client = daemon.client()
        client.patch(f"/api/webhooks/{webhook['id']}",
                     {"batch": {"maxWait": "0s"}}).expect(200)
        wait_until(lambda: sorted(received(sink, "/a")) == sorted(events), timeout=30)


def test_another_replica_goes_on_with_the_same(make_cluster, event_type):
    with Sink() as sink:
        cluster = make_cluster(count=2)
        cluster.start()
        cluster.wait_settled()
        client = cluster.client()
        webhooks = [batched(client, sink, f"/{n}", event_type, wait="50s", maxEvents=30,
                            retry={"schedule": ["1s"] * 60, "jitter": 0}) for n in range(6)]
        for n in range(6):
            sink.script(f"/{n}", 500)
        events = post(client, event_type, 30)
        wait_until(lambda: all(sink.count(f"/{n}") >= 1 for n in range(6)), timeout=20)
        wait_until(lambda: all(delivery["attempts"] >= 1 for event in events
                               for delivery in client.deliveries(event).values()), timeout=20)
        first = {n: {r.id for r in sink.requests(f"/{n}")} for n in range(6)}
        cluster[0].kill9()
        for n in range(6):
            sink.script(f"/{n}", 200)
        client = cluster[1].client()
        wait_until(lambda: all(client.deliveries(event)[webhook["id"]]["status"] == "sent"
                               for event in events for webhook in webhooks), timeout=60)
        for n in range(6):
            seen = same_each_time(sink.requests(f"/{n}"))
            assert set(seen) == first[n] and len(seen) == 1
            assert ids(sink.requests(f"/{n}")[-1]) == events


# ---- What becomes of the endpoint ----------------------------------------------------------------------

def test_disabled_while_they_wait(client, sink, event_type):
    webhook = batched(client, sink, "/a", event_type, wait="50s")
    events = post(client, event_type, 5)
    wait_until(lambda: client.metric("trotline_batches_open") == 0)
    events += post(client, event_type, 5)
    client.patch(f"/api/webhooks/{webhook['id']}", {"active": False}).expect(200)
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 10)
    assert sink.count("/a") == 0


def test_deleted_while_they_wait(client, sink, event_type):
    webhook = batched(client, sink, "/a", event_type, wait="50s")
    events = post(client, event_type, 5)
    wait_until(lambda: client.metric("trotline_batches_open") == 0)
    events += post(client, event_type, 5)
    client.delete_webhook(webhook["id"])
    wait_until(lambda: all(delivery["status"] == "cancelled" for event in events
                           for delivery in client.deliveries(event).values()))
    assert sink.count("/a") == 0


def test_a_change_of_the_rule_lets_them_go(client, sink, event_type):
    webhook = batched(client, sink, "/a", event_type, wait="50s")
    events = post(client, event_type, 5)
    client.patch(f"/api/webhooks/{webhook['id']}", {"batch": {"maxEvents": 5}}).expect(200)
    (request,) = sink.wait_for(1, "/a")
    assert ids(request) == events
    more = post(client, event_type, 3)
    client.patch(f"/api/webhooks/{webhook['id']}", {"batch": None}).expect(200)
    sink.wait_for(4, "/a")
    assert sorted(request.id for request in sink.requests("/a")[1:]) == sorted(more), "one by one"


def test_an_endpoint_may_begin_to_take_several(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/a"), [event_type],
                                    retryPolicy={"schedule": ["1s"] * 9, "jitter": 0})
    sink.script("/a", [500] * 3 + [200])
    alone = post(client, event_type, 3)
    sink.wait_for(3, "/a")
    client.patch(f"/api/webhooks/{webhook['id']}",
                 {"batch": {"maxWait": "50s", "maxEvents": 4}}).expect(200)
    together = post(client, event_type, 4)
    wait_until(lambda: all(client.deliveries(event)[webhook["id"]]["status"] == "sent"
                           for event in alone + together))
    groups = [ids(request) for request in sink.requests("/a")[3:]]
    assert together in groups
    assert sorted(group for group in groups if group != together) == sorted([e] for e in alone)


# ---- Protection -----------------------------------------------------------------------------------------

def test_a_rate_limit_counts_requests(client, sink, event_type):
    client.create_webhook(sink.url("/a"), [event_type], batch={"maxEvents": 10, "maxWait": "5s"},
                          rateLimit={"limit": 4, "period": "1s"})
    events = post(client, event_type, 80)
    wait_until(lambda: sorted(received(sink, "/a")) == sorted(events), timeout=30)
    times = [request.at for request in sink.requests("/a")]
    assert times[-1] - times[0] > (len(times) - 1) / 4 * 0.9, "four a second"
    assert 8 <= len(times) <= 16


def test_slots_count_requests(client, sink, event_type):
    """One request at a time, of ten events each."""
    client.create_webhook(sink.url("/a"), [event_type], maxInFlight=1,
                          batch={"maxEvents": 10, "maxWait": "1s"})
    sink.script("/a", delayed(0.1, 200))
    events = post(client, event_type, 60)
    wait_until(lambda: sorted(received(sink, "/a")) == sorted(events), timeout=20)
    assert len(sink.requests("/a")) <= 10
    for request in sink.requests("/a"):
        assert ids(request) == sorted(ids(request)), "in the order in which they were accepted"


def test_failures_count_once_for_the_breaker(start_daemon, event_type):
    with Sink() as sink:
        daemon = start_daemon(config="breaker:\n  consecutiveFailures: 3\n  openFor: 1h\n  openForMax: 1h\n")
        client = daemon.client()
        webhook = batched(client, sink, "/a", event_type, wait="50s", maxEvents=50, retry=LONG)
        sink.script("/a", [500, 500, 200])
        events = post(client, event_type, 50)
        wait_until(lambda: all(client.deliveries(event)[webhook["id"]]["status"] == "sent"
                               for event in events), timeout=20)


def test_metrics_say_how_many_go_together(client, sink, event_type):
    before = client.metric("trotline_batched_request_events_count")
    total = client.metric("trotline_batched_request_events_sum")
    batched(client, sink, "/a", event_type, wait="10s", maxEvents=7)
    post(client, event_type, 14)
    sink.wait_for(2, "/a")
    assert client.metric("trotline_batched_request_events_count") == before + 2
    assert client.metric("trotline_batched_request_events_sum") == total + 14
