"""Endpoints that are switched off by what their attempts come to, and switched on again."""

import datetime
import json
import time

import pytest
from harness import wait_until
from harness.invariants import check

OFTEN = {"schedule": ["100ms"] * 60, "jitter": 0}
ONCE = {"schedule": []}


def read(client, webhook):
    return client.get_webhook(webhook["id"]).expect(200).json


def health(client, webhook):
    return read(client, webhook)["health"]


def unix(time_text):
    return datetime.datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


def disabled(client, webhook, reason, timeout=10.0):
    def there():
        shown = read(client, webhook)
        assert not shown["active"] and shown["disabledReason"] == reason, shown
        return shown
    shown = wait_until(there, timeout, f"the webhook to be disabled: {reason}")
    assert shown["health"]["disabledReason"] == reason
    return shown


def kept(redis):
    """What Redis has of every endpoint: id -> record."""
    words = redis.call("HGETALL", "tl:{0}:health")
    return {words[i].decode(): json.loads(words[i + 1]) for i in range(0, len(words), 2)}


def wait_kept(redis, webhook, there=True):
    wait_until(lambda: (webhook["id"] in kept(redis)) == there, 5,
               f"the record to be {'there' if there else 'gone'}")


# ---- what is shown -----------------------------------------------------------------------------------

def test_health_is_shown_with_one_webhook_alone(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    assert webhook["health"] == {"failingSince": None, "consecutiveFailures": 0,
                                 "disabledReason": None, "breaker": {"state": "closed"},
                                 "inFlight": 0, "inFlightAllowed": 8}
    assert health(client, webhook) == webhook["health"]
    listed = client.get("/api/webhooks?limit=500").expect(200).json["webhooks"]
    assert all("health" not in shown for shown in listed)
    changed = client.patch(f"/api/webhooks/{webhook['id']}", {"timeout": "5s"}).expect(200).json
    assert changed["health"] == webhook["health"]


def test_failing_since_the_first_failure_after_a_success(client, sink, event_type):
    sink.script("/", [204, 500, 500, 500, 204, 500])
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=OFTEN)
    client.event_id(event_type)
    begin = time.time()
    client.event_id(event_type)
    wait_until(lambda: health(client, webhook)["consecutiveFailures"] == 3)
    shown = health(client, webhook)
    assert begin - 0.01 <= unix(shown["failingSince"]) <= sink.requests("/")[2].wall
    sink.wait_for(5)
    wait_until(lambda: health(client, webhook)["failingSince"] is None)
    assert health(client, webhook)["consecutiveFailures"] == 0
    client.event_id(event_type)
    wait_until(lambda: health(client, webhook)["consecutiveFailures"] >= 1)
    assert unix(health(client, webhook)["failingSince"]) > unix(shown["failingSince"])
    client.delete_webhook(webhook["id"])


# ---- by time -----------------------------------------------------------------------------------------

def test_nothing_but_failure_for_a_time(redis_server, start_daemon, sink):
    """Over a kill and a restart; the clock is not started anew."""
    daemon = start_daemon("--set", "disable.after=3s", redis=redis_server)
    with daemon.client() as client:
        sink.script("/", 500)
        watcher = client.create_webhook(sink.url("/watch"), ["endpoint.disabled"])
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy=OFTEN)
        client.event_id("a")
        sink.wait_for(2, "/")
        since = health(client, webhook)["failingSince"]
        wait_kept(redis_server, webhook)
        assert kept(redis_server) == {webhook["id"]: {"failingSince": round(unix(since) * 1000)}}
        daemon.kill9()
        daemon.start()
        assert health(client, webhook)["failingSince"] == since
        assert read(client, webhook)["active"]
        daemon.restart()
        shown = disabled(client, webhook, "failing", 20)
        assert shown["health"]["failingSince"] == since
        first_late = next(request for request in sink.requests("/")
                          if request.wall >= unix(since) + 3)
        assert sink.requests("/")[-1].wall <= first_late.wall + 0.3, "by the first failure after it"
        data = sink.wait_for(1, "/watch")[0].json()["data"]
        assert (data["webhookId"], data["reason"]) == (webhook["id"], "failing")
        assert data["failingSince"] == since
        wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 1)
        assert read(client, watcher)["active"] and sink.count("/watch") == 1
        check(redis_server)


def test_one_success_starts_the_clock_anew(redis_server, start_daemon, sink):
    daemon = start_daemon("--set", "disable.after=1s", redis=redis_server)
    with daemon.client() as client:
        sink.script("/", lambda request: 204 if request.json()["type"] == "good" else 500)
        webhook = client.create_webhook(sink.url("/"), ["a", "good"], retryPolicy=OFTEN)
        client.event_id("a")
        begin = time.monotonic()

        def go_on():
            client.event_id("good")
            assert read(client, webhook)["active"]
            return time.monotonic() > begin + 3
        wait_until(go_on, 10, interval=0.1)
        disabled(client, webhook, "failing")


def test_a_success_is_kept_as_well(redis_server, start_daemon, sink):
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        sink.script("/", [500, 204])
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy={
            "schedule": ["700ms"], "jitter": 0})
        client.event_id("a")
        wait_kept(redis_server, webhook)
        sink.wait_for(2)
        wait_kept(redis_server, webhook, False)
        daemon.kill9()
        daemon.start()
        assert health(client, webhook)["failingSince"] is None


def test_what_has_just_changed_survives_an_ordered_stop(redis_server, start_daemon, sink):
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        sink.script("/", 500)
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy={"schedule": ["1h"]})
        client.event_id("a")
        wait_until(lambda: health(client, webhook)["failingSince"])
        since = health(client, webhook)["failingSince"]
        daemon.restart()
        assert health(client, webhook)["failingSince"] == since
        client.delete_webhook(webhook["id"])
        wait_kept(redis_server, webhook, False)


def test_never(start_daemon, sink):
    daemon = start_daemon("--set", "disable.after=0s")
    with daemon.client() as client:
        sink.script("/", 500)
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy=OFTEN)
        client.event_id("a")
        sink.wait_for(20)
        assert read(client, webhook)["active"]


# ---- by a delivery -----------------------------------------------------------------------------------

@pytest.mark.parametrize("policy, status", [(ONCE, 500), ({"schedule": ["1h"], "retryOn": ["5xx"]}, 404)])
def test_the_first_exhausted_delivery(start_daemon, sink, policy, status):
    daemon = start_daemon("--set", "disable.onExhausted=true")
    with daemon.client() as client:
        sink.script("/", status)
        client.create_webhook(sink.url("/watch"), ["endpoint.disabled"])
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy=policy)
        waiting = client.event_id("a", delay="1h")
        event = client.event_id("a")
        disabled(client, webhook, "exhausted")
        data = sink.wait_for(1, "/watch")[0].json()["data"]
        assert (data["reason"], data["eventId"], data["statusCode"]) == ("exhausted", event, status)
        wait_until(lambda: client.deliveries(waiting)[webhook["id"]]["status"] == "dead_letter")
        assert client.metric("trotline_endpoints_disabled_total") == 1


def test_an_exhausted_delivery_disables_nothing_by_default(client, sink, event_type):
    sink.script("/", 500)
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE)
    event = client.event_id(event_type)
    wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "dead_letter")
    assert read(client, webhook)["active"]


# ---- enabled again -----------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["enable", "patch", "put"])
def test_enabling_starts_anew(redis_server, start_daemon, sink, how):
    daemon = start_daemon("--set", "disable.after=1s", redis=redis_server)
    with daemon.client() as client:
        sink.script("/", 500)
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy=OFTEN)
        path = f"/api/webhooks/{webhook['id']}"
        client.event_id("a")
        disabled(client, webhook, "failing")
        if how == "enable":
            client.post(path + "/enable").expect(200)
        elif how == "patch":
            client.patch(path, {"active": True}).expect(200)
        else:
            client.put(path, {"url": webhook["url"], "events": ["a"], "retryPolicy": OFTEN}).expect(200)
        assert health(client, webhook) == {"failingSince": None, "consecutiveFailures": 0,
                                           "disabledReason": None, "breaker": {"state": "closed"},
                                           "inFlight": 0, "inFlightAllowed": 8}
        wait_kept(redis_server, webhook, False)
        client.event_id("a")
        before = sink.count()
        sink.wait_for(before + 3)
        assert read(client, webhook)["active"], "the time before it does not count"
        disabled(client, webhook, "failing")


@pytest.mark.parametrize("how", ["enable", "url"])
def test_one_that_still_fails_can_be_given_more_time(client, sink, event_type, how):
    """By saying so while it is active, or by another URL."""
    sink.script("/", 500)
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE)
    path = f"/api/webhooks/{webhook['id']}"
    client.event_id(event_type)
    wait_until(lambda: health(client, webhook)["failingSince"])
    client.patch(path, {"description": "the same"}).expect(200)
    assert health(client, webhook)["failingSince"]
    if how == "enable":
        client.post(path + "/enable").expect(200)
    else:
        client.patch(path, {"url": sink.url("/other")}).expect(200)
    assert health(client, webhook)["failingSince"] is None
