"""Operational events: each comes once, signed, to those who asked for it by name, and to nobody else."""

import re

import pytest
from harness import schemes, wait_until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
QUICK = {"schedule": ["20ms"] * 4, "jitter": 0}
ONCE = {"schedule": []}
ATTEMPT = {"eventId", "eventType", "attempts", "statusCode", "error"}
FAILING = {"failingSince", "consecutiveFailures"}
COMMON = {"webhookId", "url"}


@pytest.fixture
def watcher(client, sink):
    """An endpoint that takes all operational events, at /watch."""
    made = client.create_webhook(sink.url("/watch"), ["endpoint.*", "delivery.*"])
    yield made
    client.delete_webhook(made["id"])


@pytest.fixture
def notices(client, sink, watcher):
    """notices(webhook, type, n): the data of the n notices of that type about it, verified."""
    def read(webhook, type, count=1, timeout=10.0):
        def there():
            found = [request for request in sink.requests("/watch")
                     if request.json()["type"] == type
                     and request.json()["data"]["webhookId"] == webhook["id"]]
            assert len(found) == count, found
            return found or True
        found = wait_until(there, timeout, f"{count} of {type}")
        for request in found if count else ():
            schemes.standard(request, watcher["secret"])
        return [request.json()["data"] for request in found] if count else []
    return read


def failing(client, sink, event_type, statuses, policy=QUICK, **members):
    sink.script("/target", statuses)
    return client.create_webhook(sink.url("/target"), [event_type], retryPolicy=policy, **members)


# ---- deliveries --------------------------------------------------------------------------------------

def test_the_fourth_failure(client, sink, notices, event_type):
    webhook = failing(client, sink, event_type, [500, 501, 502, 503],
                      {"schedule": ["20ms"] * 3 + ["1h"], "jitter": 0})
    event = client.event_id(event_type)
    data, = notices(webhook, "delivery.failing")
    assert set(data) == COMMON | ATTEMPT | FAILING | {"nextAttemptAt", "suppressed"}
    assert data["url"] == webhook["url"] and data["eventId"] == event
    assert (data["eventType"], data["attempts"]) == (event_type, 4)
    assert (data["statusCode"], data["error"], data["suppressed"]) == (503, "http_status", 0)
    assert TIME.fullmatch(data["failingSince"]) and data["consecutiveFailures"] == 4
    assert TIME.fullmatch(data["nextAttemptAt"])
    assert data["nextAttemptAt"] > data["failingSince"]
    notices(webhook, "delivery.exhausted", 0)


def test_no_more_attempts(client, sink, notices, event_type):
    webhook = failing(client, sink, event_type, 503)
    event = client.event_id(event_type)
    data, = notices(webhook, "delivery.exhausted")
    assert set(data) == COMMON | ATTEMPT | FAILING | {"reason", "suppressed"}
    assert (data["reason"], data["eventId"], data["attempts"]) == ("exhausted", event, 5)
    assert (data["statusCode"], data["error"]) == (503, "http_status")
    sink.wait_quiet(0.3)
    notices(webhook, "delivery.failing"), notices(webhook, "delivery.exhausted")
    notices(webhook, "delivery.recovered", 0)


def test_what_is_not_retried(client, sink, notices, event_type):
    webhook = failing(client, sink, event_type, 404,
                      {"schedule": ["20ms"], "retryOn": ["5xx"]})
    client.event_id(event_type)
    data, = notices(webhook, "delivery.exhausted")
    assert (data["reason"], data["attempts"], data["statusCode"]) == ("excluded", 1, 404)
    notices(webhook, "delivery.failing", 0)


def test_an_error_without_an_answer(client, sink, notices, event_type):
    webhook = client.create_webhook("http://127.0.0.1:9/", [event_type], retryPolicy=ONCE)
    client.event_id(event_type)
    data, = notices(webhook, "delivery.exhausted")
    assert (data["statusCode"], data["error"]) == (None, "connection_refused")


@pytest.mark.parametrize("failures, told", [(3, 0), (4, 1)])
def test_recovery_after_four_failures(client, sink, notices, event_type, failures, told):
    webhook = failing(client, sink, event_type, [500] * failures + [204])
    event = client.event_id(event_type)
    wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "sent")
    for data in notices(webhook, "delivery.recovered", told):
        assert set(data) == COMMON | ATTEMPT | {"suppressed"}
        assert (data["eventId"], data["attempts"]) == (event, 5)
        assert (data["statusCode"], data["error"]) == (204, None)
    notices(webhook, "delivery.failing", told), notices(webhook, "delivery.exhausted", 0)


def test_many_at_once_are_counted_instead(client, sink, notices, event_type):
    """A burst comes through; the rest is a number in the next one."""
    webhook = failing(client, sink, event_type, 500, ONCE)
    suppressed = client.metric("trotline_notices_suppressed_total")
    for _ in range(40):  # fewer than open its breaker
        client.event_id(event_type)
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 40)
    sink.wait_quiet(0.3)
    left_out = client.metric("trotline_notices_suppressed_total") - suppressed
    assert left_out >= 20
    came = 40 - int(left_out)
    notices(webhook, "delivery.exhausted", came)

    def another():
        client.event_id(event_type)
        return len(sink.requests("/watch")) > came
    wait_until(another, 10, "one more notice", interval=0.2)
    sink.wait_quiet(0.3)
    told = [request.json()["data"]["suppressed"] for request in sink.requests("/watch")
            if request.json()["type"] == "delivery.exhausted"]
    assert sum(told) >= left_out


# ---- endpoints ---------------------------------------------------------------------------------------

def test_disabled_by_an_answer(client, sink, notices, event_type):
    webhook = failing(client, sink, event_type, 410)
    event = client.event_id(event_type)
    data, = notices(webhook, "endpoint.disabled")
    assert set(data) == COMMON | ATTEMPT | FAILING | {"reason"}
    assert (data["reason"], data["statusCode"], data["attempts"]) == ("gone", 410, 1)
    assert (data["eventId"], data["eventType"]) == (event, event_type)
    notices(webhook, "delivery.exhausted", 0)


@pytest.mark.parametrize("how", ["disable", "patch"])
def test_disabled_by_hand(client, sink, notices, event_type, how):
    webhook = client.create_webhook(sink.url("/target"), [event_type])
    path = f"/api/webhooks/{webhook['id']}"
    for _ in range(2):
        if how == "disable":
            client.post(path + "/disable").expect(200)
        else:
            client.patch(path, {"active": False}).expect(200)
    data, = notices(webhook, "endpoint.disabled")
    assert data["reason"] == "manual" and data["attempts"] == 0
    assert all(data[name] is None for name in ("eventId", "eventType", "statusCode", "error"))
    client.post(path + "/enable").expect(200)
    client.post(path + "/disable").expect(200)
    notices(webhook, "endpoint.disabled", 2)


def test_a_backlog(start_daemon, sink):
    """Told once when it grows, and again only after it was worked off."""
    daemon = start_daemon("--set", "backlog.threshold=20", "--set", "memory.maxQueuedPerEndpoint=1",
                          "--set", "breaker.enabled=false")
    with daemon.client() as client:
        watcher = client.create_webhook(sink.url("/watch"), ["endpoint.backlog"])
        for crossing in (1, 2):
            sink.script("/slow", 503)
            slow = client.create_webhook(sink.url("/slow"), ["a"], maxInFlight=1, retryPolicy={
                "schedule": ["300ms"] * 60, "jitter": 0}) if crossing == 1 else slow
            before = sink.count("/slow")
            for _ in range(60):
                client.event_id("a")
            sink.wait_for(before + 70, "/slow", timeout=20)
            sink.wait_for(crossing, "/watch")
            sink.script("/slow", 200)
            sent = 'trotline_deliveries_total{outcome="sent"}'
            wait_until(lambda: client.metric(sent) == 61 * crossing, 30)
        assert sink.count("/watch") == 2
        for request in sink.requests("/watch"):
            schemes.standard(request, watcher["secret"])
            data = request.json()["data"]
            assert set(data) == COMMON | FAILING | {"waiting", "threshold"}
            assert data["webhookId"] == slow["id"] and data["waiting"] >= 20 == data["threshold"]


# ---- who gets them -----------------------------------------------------------------------------------

def test_a_star_takes_none(client, sink, notices, event_type):
    all_of_it = client.create_webhook(sink.url("/all"), ["*"])
    named = client.create_webhook(sink.url("/named"), ["*", "delivery.exhausted"])
    other = client.create_webhook(sink.url("/other"), ["endpoint.disabled"])
    webhook = failing(client, sink, event_type, 500, ONCE)
    client.event_id(event_type)
    notices(webhook, "delivery.exhausted")
    sink.wait_quiet(0.3)
    types = [sorted(request.json()["type"] for request in sink.requests(path))
             for path in ("/all", "/named", "/other")]
    assert types == [[event_type], sorted([event_type, "delivery.exhausted"]), []]
    for made in (all_of_it, named, other):
        client.delete_webhook(made["id"])


def test_producers_may_post_the_same_types(client, sink, event_type):
    """Then they are ordinary events: a star takes them, and `source` tells the difference."""
    ours = client.create_webhook(sink.url("/ours"), ["endpoint.disabled"], scheme="event")
    all_of_it = client.create_webhook(sink.url("/all"), ["*"], scheme="event")
    event = client.event_id("endpoint.disabled", {"a": 1}, source="shop")
    for path in ("/ours", "/all"):
        body = sink.wait_for(1, path)[0].json()
        assert (body["id"], body["source"], body["data"]) == (event, "shop", {"a": 1})
    webhook = failing(client, sink, event_type, 410, ONCE)
    client.event_id(event_type)
    body = sink.wait_for(2, "/ours")[1].json()
    assert body["source"] == "trotline" and body["data"]["webhookId"] == webhook["id"]
    shown = client.get_event(body["id"])
    assert shown["source"] == "trotline" and len(shown["deliveries"]) == 1
    for made in (ours, all_of_it):
        client.delete_webhook(made["id"])


def test_what_nobody_takes_is_not_stored(client, sink, event_type):
    before = client.metric("trotline_events_accepted_total")
    webhook = failing(client, sink, event_type, 410, ONCE)
    client.event_id(event_type)
    wait_until(lambda: not client.get_webhook(webhook["id"]).json["active"])
    assert client.metric("trotline_events_accepted_total") == before + 1


# ---- no recursion ------------------------------------------------------------------------------------

def test_those_who_fail_themselves_make_no_storm(start_daemon, sink):
    """Two endpoints take everything operational, also about each other, and never succeed."""
    daemon = start_daemon()
    with daemon.client() as client:
        sink.script("/one", 500), sink.script("/two", 500), sink.script("/target", 500)
        watchers = [client.create_webhook(sink.url(path), ["delivery.*", "endpoint.*", "a"],
                                          retryPolicy=QUICK) for path in ("/one", "/two")]
        client.create_webhook(sink.url("/target"), ["a"], retryPolicy=QUICK)
        client.event_id("a")
        # Of the event's three deliveries each of the two is told about the two others, twice: with
        # its own delivery that makes five events of five attempts, and nothing more.
        for path in ("/one", "/two"):
            sink.wait_for(25, path, timeout=20)
        sink.wait_quiet(1)
        assert [sink.count(path) for path in ("/one", "/two", "/target")] == [25, 25, 5]
        assert client.metric("trotline_notices_published_total") == 6
        for watcher in watchers:
            types = [request.json()["type"] for request in sink.requests()
                     if request.path == watcher["url"][-4:]]
            assert set(types) == {"a", "delivery.failing", "delivery.exhausted"}


def test_an_endpoint_is_not_told_about_itself(client, sink, event_type):
    sink.script("/self", 500)
    webhook = client.create_webhook(sink.url("/self"), [event_type, "delivery.*", "endpoint.*"],
                                    retryPolicy=QUICK)
    client.event_id(event_type)
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 1)
    client.post(f"/api/webhooks/{webhook['id']}/disable").expect(200)
    sink.wait_quiet(0.5)
    assert {request.json()["type"] for request in sink.requests("/self")} == {event_type}


# ---- when they cannot be published -------------------------------------------------------------------

def test_redis_away(redis_server, start_daemon, sink):
    """They are dropped and counted; nothing else is."""
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        client.create_webhook(sink.url("/watch"), ["delivery.*"])
        held = []

        def late(request):
            held.append(request)
            wait_until(lambda: redis_server.process is None, 10, "Redis to be away")
            return 500
        sink.script("/target", late)
        webhook = client.create_webhook(sink.url("/target"), ["a"], retryPolicy=ONCE)
        event = client.event_id("a")
        wait_until(lambda: held, 10, "the attempt")
        redis_server.kill9()
        wait_until(lambda: client.metric("trotline_notices_dropped_total") == 1, 10, "the drop")
        assert "notice.dropped count=1 reason=unavailable" in daemon.log
        redis_server.start()
        wait_until(lambda: daemon.ready(), 20, "the server to be ready")
        wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "dead_letter", 20)
        assert sink.count("/watch") == 0
