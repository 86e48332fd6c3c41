"""What becomes of a delivery: every class of result, retries and their times, dead letters."""

import datetime
import time

import pytest
from harness import Sink, free_port, wait_until
from harness.certs import Authority
from harness.sink import (close, delayed, drip, endless, garbage, hang, huge_headers, redirect,
                          reply, reset, retry_after)

QUICK = {"schedule": ["200ms", "400ms"], "jitter": 0}
ONCE = {"schedule": []}


def settled(client, event, webhook, status, timeout=10.0):
    """Waits for the delivery's status and returns the delivery."""
    def there():
        delivery = client.deliveries(event)[webhook["id"]]
        assert delivery["status"] == status, delivery
        return delivery
    return wait_until(there, timeout, f"the delivery to be {status}")


def listed(client, webhook, count):
    """Waits until so many attempts are listed, and returns them, oldest first."""
    def there():
        attempts = client.attempts(webhook["id"])
        assert len(attempts) == count, attempts
        return attempts
    return wait_until(there, 10, f"{count} attempts")[::-1]


@pytest.fixture(scope="module")
def server(server_on_each_route):
    return server_on_each_route


# ---- success -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_any_2xx_is_success(client, sink, event_type, status):
    sink.script("/", reply(status, b"" if status == 204 else b"ok"))
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=QUICK)
    event = client.event_id(event_type)
    delivery = settled(client, event, webhook, "sent")
    assert delivery["attempts"] == 1 and not delivery.get("nextAttemptAt")
    (attempt,) = listed(client, webhook, 1)
    assert attempt["statusCode"] == status and attempt["eventId"] == event
    assert attempt["attempt"] == 1 and not attempt["error"]


def test_slow_but_in_time_is_success(client, sink, event_type):
    sink.script("/", drip(b"0123456789", 0.05))
    webhook = client.create_webhook(sink.url("/"), [event_type], timeout="3s", retryPolicy=ONCE)
    settled(client, client.event_id(event_type), webhook, "sent")


def test_an_endless_answer_is_cut_and_its_status_decides(client, server, sink, event_type):
    sink.script("/", endless(200))
    webhook = client.create_webhook(sink.url("/"), [event_type], timeout="10s", retryPolicy=ONCE)
    begin, before = time.monotonic(), server.rss_kib()
    settled(client, client.event_id(event_type), webhook, "sent")
    assert time.monotonic() - begin < 5, "cut at its size, not at its time"
    assert server.rss_kib() - before < 32 * 1024


# ---- every other result, once ------------------------------------------------------------------------

STATUSES = [300, 301, 302, 304, 307, 400, 401, 403, 404, 409, 413, 418, 422, 425, 429, 451,
            500, 501, 502, 503, 504, 599]


@pytest.mark.parametrize("status", STATUSES)
def test_any_other_status_is_tried_again(client, sink, event_type, status):
    sink.script("/", [status, 200])
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={"schedule": ["100ms"], "jitter": 0})
    event = client.event_id(event_type)
    settled(client, event, webhook, "sent")
    first, second = listed(client, webhook, 2)
    assert (first["statusCode"], second["statusCode"]) == (status, 200)
    assert (first["attempt"], second["attempt"]) == (1, 2)


ERRORS = {
    "reset": (reset(), "connection_reset"),
    "close": (close(), "connection_reset"),
    "garbage": (garbage(), "protocol"),
    "half_a_head": (garbage(b"HTTP/1.1 200 OK\r\nContent-Le"), "connection_reset"),
    "half_a_body": (garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
                    "connection_reset"),
    "no_answer": (hang(), "timeout"),
    "slow_head": (delayed(30), "timeout"),
    "slow_body": (drip(b"x" * 1000, 0.2), "timeout"),
    "huge_headers": (huge_headers(2 << 20), "response_too_large"),
    "bad_chunks": (garbage(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                   "protocol"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_told_apart_and_tried_again(client, sink, event_type, name):
    answer, error = ERRORS[name]
    sink.script("/", [answer, 200])
    webhook = client.create_webhook(sink.url("/"), [event_type], timeout="700ms",
                                    retryPolicy={"schedule": ["50ms"], "jitter": 0})
    settled(client, client.event_id(event_type), webhook, "sent")
    first, second = listed(client, webhook, 2)
    assert first["error"] == error and not second["error"]
    if error == "timeout":
        assert 600 <= first["durationMs"] <= 3000


def test_nobody_listens(client, event_type):
    webhook = client.create_webhook(f"http://127.0.0.1:{free_port()}/", [event_type],
                                    retryPolicy=ONCE)
    event = client.event_id(event_type)
    delivery = settled(client, event, webhook, "dead_letter")
    assert "connection_refused" in delivery["lastError"]
    (attempt,) = listed(client, webhook, 1)
    assert attempt["error"] == "connection_refused" and not attempt["statusCode"]


def test_no_such_host(client, event_type):
    webhook = client.create_webhook("http://no-such-host.invalid/", [event_type], retryPolicy=ONCE)
    event = client.event_id(event_type)
    settled(client, event, webhook, "dead_letter", timeout=20)
    (attempt,) = listed(client, webhook, 1)
    assert attempt["error"] == "dns"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("kind", ["good", "wrong-name", "expired", "self-signed"])
def test_certificates_nobody_vouches_for(client, authority, event_type, kind):
    """The server trusts the system's authorities only, so even the `good` one must be refused."""
    with Sink(tls=authority.context(kind)) as sink:
        webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE)
        event = client.event_id(event_type)
        settled(client, event, webhook, "dead_letter")
        (attempt,) = listed(client, webhook, 1)
        assert attempt["error"] == "tls" and sink.count() == 0


@pytest.mark.parametrize("route", ["auto", "auto\n  directTls: libcurl", "plain"])
@pytest.mark.parametrize("kind, delivered", [("good", True), ("wrong-name", False),
                                             ("expired", False), ("self-signed", False)])
def test_certificates_with_a_trusted_authority(start_daemon, authority, kind, delivered, route):
    daemon = start_daemon(config=f"outbound:\n  caFile: {authority.path}\n  route: {route}\n")
    with Sink(tls=authority.context(kind)) as sink, daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy=ONCE)
        event = client.event_id("a")
        settled(client, event, webhook, "sent" if delivered else "dead_letter")
        assert sink.count() == (1 if delivered else 0)


def test_redirects_are_not_followed(client, sink, event_type):
    sink.script("/", redirect(sink.url("/elsewhere"), 302))
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE)
    settled(client, client.event_id(event_type), webhook, "dead_letter")
    assert sink.count("/elsewhere") == 0


# ---- schedules ---------------------------------------------------------------------------------------

def test_retries_keep_their_times_and_end_in_the_dead_letters(client, sink, event_type):
    sink.script("/", 500)
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=QUICK)
    event = client.event_id(event_type, {"n": 1})
    first, second, third = sink.wait_for(3)
    assert 0.19 <= second.at - first.at < 1.2 and 0.39 <= third.at - second.at < 1.4
    delivery = settled(client, event, webhook, "dead_letter")
    assert delivery["attempts"] == 3 and "500" in delivery["lastError"]
    attempts = listed(client, webhook, 3)
    assert [attempt["attempt"] for attempt in attempts] == [1, 2, 3]
    (letter,) = client.dead_letters(webhookId=webhook["id"])
    assert (letter["eventId"], letter["type"], letter["attempts"]) == (event, event_type, 3)
    assert "500" in letter["lastError"] and letter["deadAt"]
    sink.wait_quiet(1)
    assert sink.count() == 3


def test_while_it_waits_it_is_failed_with_its_next_time(client, sink, event_type):
    sink.script("/", 503)
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={"schedule": ["1h"], "jitter": 0})
    event = client.event_id(event_type)
    delivery = settled(client, event, webhook, "failed")
    due = datetime.datetime.fromisoformat(delivery["nextAttemptAt"].replace("Z", "+00:00"))
    assert 3500 < due.timestamp() - time.time() < 3610
    assert delivery["attempts"] == 1


def test_exponential_policy(client, sink, event_type):
    sink.script("/", 500)
    client.create_webhook(sink.url("/"), [event_type], retryPolicy={
        "maxAttempts": 4, "initialInterval": "100ms", "multiplier": 2, "maxInterval": "200ms",
        "jitter": 0})
    client.event_id(event_type)
    requests = sink.wait_for(4)
    gaps = [b.at - a.at for a, b in zip(requests, requests[1:])]
    for gap, least in zip(gaps, (0.1, 0.2, 0.2)):
        assert least - 0.01 <= gap < least + 1, gaps
    sink.wait_quiet(0.7)
    assert sink.count() == 4


@pytest.mark.parametrize("retry_on, answers, requests", [
    (["5xx"], [404], 1),
    (["5xx"], [500, 404], 2),
    ([404], [404, 200], 2),
    (["4xx", "timeout"], [500], 1),
    (["connection_reset"], [reset(), 200], 2),
    (["connection_refused"], [reset()], 1),
    ([], [500], 1),
])
def test_retry_on_narrows(client, sink, event_type, retry_on, answers, requests):
    sink.script("/", answers)
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={**QUICK, "retryOn": retry_on})
    event = client.event_id(event_type)
    sink.wait_for(requests)
    settled(client, event, webhook, "sent" if answers[-1] == 200 else "dead_letter")
    assert sink.count() == requests


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(client, sink, event_type, status, form):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    value, least = (2, 1.95) if form == "seconds" else (when, 1.0)
    sink.script("/", [retry_after(value, status), 200])
    client.create_webhook(sink.url("/"), [event_type],
                          retryPolicy={"schedule": ["50ms", "50ms"], "jitter": 0})
    client.event_id(event_type)
    first, second = sink.wait_for(2)
    assert least <= second.at - first.at < 5
    if form == "date":
        assert second.wall >= int(when.timestamp()), "not before the second it names"


@pytest.mark.parametrize("value", ["soon", "-5", "", "Wed, 99 Jan 2030 00:00:00 GMT",
                                   "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_nonsense_in_retry_after_is_ignored(client, sink, event_type, value):
    sink.script("/", [retry_after(value), 200])
    client.create_webhook(sink.url("/"), [event_type],
                          retryPolicy={"schedule": ["100ms"], "jitter": 0})
    client.event_id(event_type)
    first, second = sink.wait_for(2, timeout=3)
    assert second.at - first.at >= 0.09


# ---- gone --------------------------------------------------------------------------------------------

def test_410_disables_the_endpoint(client, sink, event_type):
    sink.script("/", [500, 410])
    webhook = client.create_webhook(sink.url("/"), [event_type], maxInFlight=1,
                                    retryPolicy={"schedule": ["1h"], "jitter": 0})
    waiting = client.event_id(event_type, {"n": 1})
    settled(client, waiting, webhook, "failed")
    gone = client.event_id(event_type, {"n": 2})
    for event in (gone, waiting):
        settled(client, event, webhook, "dead_letter")
    assert client.get_webhook(webhook["id"]).json["active"] is False
    assert client.post_event(event_type).expect(202).json["deliveries"] == 0
    letters = {letter["eventId"]: letter for letter in client.dead_letters(webhookId=webhook["id"])}
    assert set(letters) == {gone, waiting}
    assert "endpoint_disabled" in letters[waiting]["lastError"]
    sink.wait_quiet(0.3)
    assert sink.count() == 2


# ---- dead letters -----------------------------------------------------------------------------------

def dead(client, sink, event_type, count):
    """An endpoint with `count` dead letters whose sink answers 200 from now on."""
    sink.script("/", 500)
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE)
    events = [client.event_id(event_type, {"n": n}) for n in range(count)]
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == count, 20, "dead letters")
    sink.script("/", 200)
    sink.clear()
    return webhook, events


def test_replay_everything_of_a_webhook(client, sink, event_type):
    webhook, events = dead(client, sink, event_type, 5)
    assert client.replay(webhookId=webhook["id"])["done"] == 5
    sink.wait_for(5)
    assert sorted(sink.ids()) == sorted(events), "the ids stay"
    for event in events:
        settled(client, event, webhook, "sent")
    wait_until(lambda: client.dead_letters(webhookId=webhook["id"]) == [], 5, "no dead letters")


def test_replay_some(client, sink, event_type):
    webhook, events = dead(client, sink, event_type, 4)
    assert client.replay(webhookId=webhook["id"], eventIds=events[:2])["done"] == 2
    sink.wait_for(2)
    sink.wait_quiet(0.5)
    assert sorted(sink.ids()) == sorted(events[:2])
    left = {letter["eventId"] for letter in client.dead_letters(webhookId=webhook["id"])}
    assert left == set(events[2:])


def test_a_replay_that_fails_is_dead_again(client, sink, event_type):
    webhook, (event,) = dead(client, sink, event_type, 1)
    sink.script("/", 500)
    client.replay(webhookId=webhook["id"])
    sink.wait_for(1)
    wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 1, 5, "the dead letter")
    assert settled(client, event, webhook, "dead_letter")["attempts"] == 2


def test_discard(client, sink, event_type):
    webhook, events = dead(client, sink, event_type, 3)
    assert client.discard(webhookId=webhook["id"], eventIds=events[:1])["done"] == 1
    assert len(client.dead_letters(webhookId=webhook["id"])) == 2
    assert sink.count() == 0


def test_dead_letters_survive_a_restart_and_can_be_replayed(start_daemon, sink):
    daemon = start_daemon()
    with daemon.client() as client:
        webhook, (event,) = dead(client, sink, "a", 1)
        daemon.restart()
        assert [letter["eventId"] for letter in client.dead_letters()] == [event]
        client.replay(webhookId=webhook["id"])
        sink.wait_for(1)
        assert sink.ids() == [event]


@pytest.mark.parametrize("body, field", [({"webhook": "x"}, "webhook"), ({"since": "x"}, "since"),
                                         ({"eventIds": "x"}, "eventIds")])
def test_replay_refuses(client, body, field):
    assert client.post("/api/dead-letters/replay", body).expect(400).error["field"] == field


# ---- isolation and limits ------------------------------------------------------------------------------

def test_a_hanging_endpoint_delays_nobody(client, sink, event_type):
    sink.script("/hang", hang())
    client.create_webhook(sink.url("/hang"), [event_type], timeout="5s", retryPolicy=ONCE)
    client.create_webhook(sink.url("/good"), [event_type])
    for n in range(300):
        client.event_id(event_type, {"n": n})
    last = time.monotonic()
    sink.wait_for(300, "/good")
    assert time.monotonic() - last < 3


def test_max_in_flight_holds(client, sink, event_type):
    sink.script("/", delayed(0.25))
    client.create_webhook(sink.url("/"), [event_type], maxInFlight=3)
    for n in range(30):
        client.event_id(event_type, {"n": n})
    sink.wait_for(30, timeout=20)
    assert sink.most_running["/"] == 3


def test_connections_are_reused(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type], maxInFlight=1)
    for n in range(20):
        client.event_id(event_type, {"n": n})
    sink.wait_for(20)
    assert sink.accepted == 1


def test_a_connection_closed_while_idle_costs_no_attempt(client, sink, event_type):
    sink.script("/", reply(200, drop=True))
    webhook = client.create_webhook(sink.url("/"), [event_type], maxInFlight=1, retryPolicy=ONCE)
    for n in range(10):
        event = client.event_id(event_type, {"n": n})
        settled(client, event, webhook, "sent")
    assert client.dead_letters(webhookId=webhook["id"]) == []


def test_retries_survive_a_restart(start_daemon, sink):
    daemon = start_daemon()
    sink.script("/", [500, 200])
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a"],
                                        retryPolicy={"schedule": ["3s"], "jitter": 0})
        event = client.event_id("a")
        settled(client, event, webhook, "failed")
        daemon.restart()
        sink.wait_for(2, timeout=20)
        assert settled(client, event, webhook, "sent")["attempts"] == 2
    assert sink.ids() == [event, event]


# ---- long attempts -----------------------------------------------------------------------------------

def test_attempts_longer_than_a_lease_arrive_once(start_daemon, sink):
    """After a second an attempt's delivery moves to the schedule, leased, so that its batch can close;
    the lease (10 s) is renewed as long as the attempt lasts."""
    daemon = start_daemon("--set", "outbound.adaptiveConcurrency=false")
    sink.script("/", delayed(13))
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a"], timeout="30s", retryPolicy=ONCE)
        events = [client.event_id("a", {"n": n}) for n in range(20)]
        sink.wait_for(20)
        wait_until(lambda: client.metric("trotline_batches_open") == 0, 5, "the batches to be closed")
        assert client.deliveries(events[0])[webhook["id"]]["status"] == "sending"
        for event in events:
            assert settled(client, event, webhook, "sent", timeout=25)["attempts"] == 1
        assert client.metric("trotline_leases_lost_total") == 0
    assert sorted(sink.ids()) == sorted(events), "each once"


def test_a_stop_cuts_attempts_that_hang_and_the_next_start_sends_them(start_daemon, sink):
    daemon = start_daemon(config="shutdownTimeout: 1s\n")
    sink.script("/", [hang(), 200])
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a"], timeout="30s", retryPolicy=ONCE)
        event = client.event_id("a")
        sink.wait_for(1)
        daemon.restart()
        assert settled(client, event, webhook, "sent", timeout=20)["attempts"] == 1, \
            "the attempt that was cut does not count"
    assert sink.ids() == [event, event]
