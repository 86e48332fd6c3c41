"""What protects a target: rate limits, breakers, how many attempts at once; and what a neighbour of a
bad endpoint notices of it: nothing."""

import itertools
import time

import pytest
from harness import Sink, wait_until
from harness.sink import delayed, hang

QUICK = {"schedule": ["200ms"] * 20, "jitter": 0}


def breaker(**members):
    """A configuration in which five failures in a row open the breaker."""
    options = {"consecutiveFailures": 5, "openFor": "300ms", "openForMax": "1s", **members}
    return "breaker:\n" + "".join(f"  {name}: {value}\n" for name, value in options.items())


def post(client, event_type, count):
    return [client.event_id(event_type, {"n": n}) for n in range(count)]


def status(client, event):
    (delivery,) = client.deliveries(event).values()
    return delivery["status"]


def most_in_window(requests, seconds):
    """The largest number of arrivals in any window of that length."""
    times = sorted(request.at for request in requests)
    most = begin = 0
    for end, at in enumerate(times):
        while at - times[begin] >= seconds:
            begin += 1
        most = max(most, end - begin + 1)
    return most


# ---- rate limit --------------------------------------------------------------------------------------

def test_a_limited_endpoint_gets_its_rate_and_no_more(client, sink, event_type):
    """Events come much faster: some are in memory, most in the schedule."""
    client.create_webhook(sink.url("/limited"), [event_type],
                          rateLimit={"limit": 50, "period": "1s", "burst": 5})
    events = post(client, event_type, 200)
    requests = sink.wait_for(200, "/limited", timeout=30)
    assert sorted(sink.ids("/limited")) == sorted(events), "each once"
    assert most_in_window(requests, 1.0) <= 50 + 5 + 2, "2: the machine may hold one up on its way"
    took = requests[-1].at - requests[0].at
    assert took < 195 / 50 * 1.25, "and the slots are used"


def test_a_rate_below_one_a_second_is_exact_too(client, sink, event_type):
    client.create_webhook(sink.url("/slow"), [event_type],
                          rateLimit={"limit": 2, "period": "3s", "burst": 1})
    post(client, event_type, 4)
    times = [request.at for request in sink.wait_for(4, "/slow", timeout=30)]
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert all(1.4 < gap < 2.5 for gap in gaps), gaps


def test_a_limit_holds_back_nobody_else(client, sink, event_type):
    client.create_webhook(sink.url("/limited"), [event_type],
                          rateLimit={"limit": 1, "period": "10s"})
    client.create_webhook(sink.url("/free"), [event_type])
    events = post(client, event_type, 50)
    sink.wait_for(50, "/free", timeout=10)
    assert sink.count("/limited") <= 2
    waiting = [client.deliveries(event) for event in events]
    assert sum(d["status"] == "pending" for row in waiting for d in row.values()) >= 40


def test_a_limit_that_is_lifted_lets_the_rest_go(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/limited"), [event_type],
                                    rateLimit={"limit": 1, "period": "1h"})
    post(client, event_type, 20)
    sink.wait_for(1, "/limited")
    client.patch(f"/api/webhooks/{webhook['id']}", {"rateLimit": None}).expect(200)
    sink.wait_for(20, "/limited", timeout=15)


def test_after_a_death_the_bucket_is_empty(start_daemon, sink):
    """Nobody knows what was sent just before: the burst is not given a second time."""
    server = start_daemon()
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"],
                              rateLimit={"limit": 5, "period": "1s", "burst": 5})
        post(client, "t", 40)
        sink.wait_for(8, "/")
    server.kill9()
    server.start()
    sink.wait_for(40, "/", timeout=40)
    unique = {request.id: request for request in reversed(sink.requests("/"))}.values()
    assert most_in_window(unique, 1.0) <= 10 + 1


# ---- breaker -----------------------------------------------------------------------------------------

def test_a_dead_endpoint_is_left_alone_and_gets_everything_later(start_daemon, sink):
    server = start_daemon(config=breaker())
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK)
        sink.script("/", 500)
        events = post(client, "t", 300)
        wait_until(lambda: client.metric('trotline_breakers{state="open"}') == 1, 10, "it to open")
        before = sink.count("/")
        wait_until(lambda: sink.count("/") >= before + 2, 10, "probes")
        assert sink.count("/") < 40, "of 300 deliveries: no attempt is burnt while it is open"
        sink.script("/", 200)
        wait_until(lambda: client.metric('trotline_deliveries_total{outcome="sent"}') == 300, 30,
                   "everything to arrive")
        assert {status(client, event) for event in events} == {"sent"}
        wait_until(lambda: client.metric('trotline_breakers{state="open"}') == 0, 5, "it to close")


def test_one_probe_at_a_time(start_daemon, sink):
    """The probe hangs: nothing else is sent until it has ended."""
    server = start_daemon(config=breaker(openFor="200ms"))
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK, timeout="2s")
        sink.script("/", [500] * 5 + [hang()])
        post(client, "t", 30)
        wait_until(lambda: client.metric('trotline_breakers{state="half_open"}') == 1, 10, "a probe")
        sink.most_running.clear()
        at = sink.count("/")
        wait_until(lambda: client.metric('trotline_breakers{state="open"}') == 1, 10, "its end")
        assert sink.count("/") == at


def test_the_breaker_is_in_the_api(start_daemon, sink):
    server = start_daemon(config=breaker(openFor="5s", openForMax="5s"))
    with server.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK)
        path = f"/api/webhooks/{webhook['id']}"
        health = client.get(path).expect(200).json["health"]
        assert health["breaker"] == {"state": "closed"}
        sink.script("/", 503)
        post(client, "t", 10)

        def opened():
            state = client.get(path).expect(200).json["health"]["breaker"]
            assert state["state"] == "open", state
            return state
        state = wait_until(opened, 10, "it to open")
        assert state["reason"] == "consecutive_failures"
        assert state["openedAt"] < state["nextProbeAt"]


def test_answers_that_the_policy_calls_final_do_not_open_it(start_daemon, sink):
    """A 400 that is not retried says something about the event, not about the endpoint."""
    server = start_daemon(config=breaker())
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"],
                              retryPolicy={"schedule": ["200ms"], "retryOn": ["5xx"]})
        sink.script("/", 400)
        post(client, "t", 50)
        sink.wait_for(50, "/")
        assert client.metric('trotline_breakers{state="open"}') == 0


def test_a_new_url_closes_it(start_daemon, sink):
    server = start_daemon(config=breaker(openFor="1h", openForMax="1h"))
    with server.client() as client:
        webhook = client.create_webhook(sink.url("/dead"), ["t"], retryPolicy=QUICK)
        sink.script("/dead", 500)
        events = post(client, "t", 20)
        wait_until(lambda: client.metric('trotline_breakers{state="open"}') == 1, 10, "it to open")
        client.patch(f"/api/webhooks/{webhook['id']}", {"url": sink.url("/alive")}).expect(200)
        sink.wait_for(20, "/alive", timeout=20)
        assert set(sink.ids("/alive")) == set(events)


def test_an_open_breaker_survives_a_restart(redis_server, start_daemon, sink):
    server = start_daemon(config=breaker(openFor="1h", openForMax="1h"), redis=redis_server)
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK)
        sink.script("/", 500)
        post(client, "t", 20)
        wait_until(lambda: client.metric('trotline_breakers{state="open"}') == 1, 10, "it to open")
    with redis_server.connect() as redis:
        wait_until(lambda: b'"open"' in b"".join(redis.call("HVALS", "tl:{0}:health")), 5,
                   "that to be written")
    server.kill9()
    server.start()
    at = sink.count("/")
    with server.client() as client:
        wait_until(lambda: client.metric('trotline_breakers{state="open"}') == 1, 10, "it to be open")
        post(client, "t", 5)
        sink.wait_quiet(1.0)
    assert sink.count("/") == at


# ---- how many at once ----------------------------------------------------------------------------------

def test_a_hanging_endpoint_holds_a_handful_of_slots(client, sink, event_type):
    sink.script("/hangs", hang())
    client.create_webhook(sink.url("/hangs"), [event_type], timeout="10s", maxInFlight=200)
    client.create_webhook(sink.url("/good"), [event_type])
    post(client, event_type, 300)
    sink.wait_for(300, "/good")
    sink.wait_quiet(1.0)
    assert 2 <= sink.most_running["/hangs"] <= 16
    wait_until(lambda: client.metric("trotline_batches_open") == 0, 5,
               "every batch to close: what waits for the hanging one keeps none open")


def test_a_fast_endpoint_gets_all_it_may_have(client, sink, event_type):
    """The allowance grows with the answers."""
    client.create_webhook(sink.url("/fast"), [event_type], maxInFlight=60)
    sink.script("/fast", delayed(0.05))
    post(client, event_type, 400)
    sink.wait_for(400, "/fast", timeout=30)
    assert sink.most_running["/fast"] > 30


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_host_has_its_own_maximum(start_daemon, hosts):
    """Ten endpoints of a host share what it may have; another host has as much for itself."""
    server = start_daemon(config="outbound:\n  maxInFlightPerHost: 6\n")
    sinks = [Sink(default=delayed(0.1)) for _ in range(hosts)]
    try:
        with server.client() as client:
            for number, sink in itertools.product(range(10), sinks):
                client.create_webhook(sink.url(f"/{number}"), ["t"])
            post(client, "t", 10)
            for sink in sinks:
                sink.wait_for(100, timeout=30)
                at_once = most_in_window(sink.requests(), 0.09)
                assert at_once <= 2 * 6, "at most 6 in 0.1 s, and those that follow them"
                assert {sink.count(f"/{number}") for number in range(10)} == {10}
    finally:
        for sink in sinks:
            sink.close()


# ---- neighbours ----------------------------------------------------------------------------------------

def test_bad_endpoints_do_not_hold_up_good_ones(client, sink, event_type):
    for n in range(10):
        sink.script(f"/hangs{n}", hang())
        client.create_webhook(sink.url(f"/hangs{n}"), [event_type], timeout="10s")
        sink.script(f"/fails{n}", 500)
        client.create_webhook(sink.url(f"/fails{n}"), [event_type], retryPolicy=QUICK)
    client.create_webhook(sink.url("/good"), [event_type])
    begin = time.monotonic()
    post(client, event_type, 100)
    sink.wait_for(100, "/good", timeout=10)
    assert time.monotonic() - begin < 10
