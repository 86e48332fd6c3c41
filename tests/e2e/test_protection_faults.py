"""What protects a target, in the cases in which something else happens at the same time: a restart, a
change, a neighbour; and what waiting costs."""

import re
import time

from harness import wait_until
from harness.formats import lane_of
from harness.sink import delayed, hang

from test_protection import QUICK, breaker, post, status

OPEN = 'trotline_breakers{state="open"}'
FOR_LONG = {"openFor": "1h", "openForMax": "1h"}


def opened(client, count=1):
    wait_until(lambda: client.metric(OPEN) == count, 10, "the breaker to open")


def restart(server, config=None):
    """Twice: the first one finds all that waits due already, and says in the schedule that nobody
    need look at the endpoint before its probe's time."""
    for step in range(2):
        server.kill9()
        if config and step == 1:
            (server.directory / "trotline.yaml").write_text(config)
        server.start()
        with server.client() as client:
            if step == 0:
                opened(client)
                time.sleep(1)  # it looks at its schedule at once; nothing outside tells when


def scripts(redis):
    """How many scripts Redis has run."""
    stats = redis.call("INFO", "commandstats").decode()
    return sum(int(calls) for calls in re.findall(r"cmdstat_evalsha\w*:calls=(\d+)", stats))


def scripts_in(redis, seconds):
    before = scripts(redis)
    time.sleep(seconds)  # what is measured is how much happens in a time
    return scripts(redis) - before


# ---- a breaker, and what happens meanwhile ---------------------------------------------------------------

def test_a_breaker_of_before_the_restart_that_is_closed_by_hand_lets_the_rest_go(start_daemon, sink):
    """The schedule still says that nobody need look before the probe's time, in an hour."""
    server = start_daemon(config=breaker(**FOR_LONG))
    with server.client() as client:
        webhook = client.create_webhook(sink.url("/dead"), ["t"], retryPolicy=QUICK)
        sink.script("/dead", 500)
        post(client, "t", 20)
        opened(client)
        sink.wait_quiet(1.0)
    restart(server)
    with server.client() as client:
        opened(client)
        client.patch(f"/api/webhooks/{webhook['id']}", {"url": sink.url("/alive")}).expect(200)
        sink.wait_for(20, "/alive", timeout=15)


def test_breakers_that_were_switched_off_hold_back_nothing_after_the_restart(start_daemon, sink):
    server = start_daemon(config=breaker(**FOR_LONG))
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK)
        sink.script("/", 500)
        events = post(client, "t", 20)
        opened(client)
        sink.wait_quiet(1.0)
    sink.script("/", 200)
    restart(server, breaker(enabled="false"))
    with server.client() as client:
        wait_until(lambda: {status(client, event) for event in events} == {"sent"}, 15,
                   "everything to arrive")


def test_a_shorter_time_applies_to_breakers_that_are_open(start_daemon, sink):
    server = start_daemon(config=breaker(**FOR_LONG))
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK)
        sink.script("/", 500)
        events = post(client, "t", 20)
        opened(client)
        sink.wait_quiet(1.0)
    sink.script("/", 200)
    restart(server, breaker(openFor="1s", openForMax="1s"))
    with server.client() as client:
        wait_until(lambda: {status(client, event) for event in events} == {"sent"}, 15,
                   "everything to arrive")


def test_a_breaker_that_was_closed_by_hand_is_told_of_when_it_opens_again(start_daemon, sink):
    server = start_daemon(config=breaker(**FOR_LONG))
    with server.client() as client:
        client.create_webhook(sink.url("/ops"), ["endpoint.*"])
        webhook = client.create_webhook(sink.url("/dead"), ["t"], retryPolicy=QUICK)
        sink.script("/dead", 500)
        sink.script("/worse", 500)
        post(client, "t", 20)
        opened(client)
        sink.wait_for(1, "/ops")
        client.patch(f"/api/webhooks/{webhook['id']}", {"url": sink.url("/worse")}).expect(200)
        sink.wait_for(5, "/worse", timeout=15)
        opened(client)
        told = [request.json()["type"] for request in sink.wait_for(3, "/ops")]
        assert sorted(told) == ["endpoint.breaker_closed", "endpoint.breaker_opened",
                                "endpoint.breaker_opened"]


# ---- waiting endpoints keep no batch open -------------------------------------------------------------------

def test_what_waits_for_a_full_host_keeps_no_batch_open(start_daemon, sink):
    """Two endpoints that hang have all that their host may have; a third one waits."""
    server = start_daemon(config="outbound:\n  maxInFlightPerHost: 2\n")
    with server.client() as client:
        sink.script("/hangs", hang())
        client.create_webhook(sink.url("/hangs"), ["a"], timeout="20s")
        client.create_webhook(sink.url("/waits"), ["b"])
        post(client, "a", 5)
        wait_until(lambda: sink.count("/hangs") == 2, 10, "the host to be full")
        post(client, "b", 20)
        wait_until(lambda: client.metric("trotline_batches_open") == 0, 8, "batches to be closed")
        assert sink.count("/waits") == 0
        sink.script("/hangs", 200)
        sink.drop_connections()
        sink.wait_for(20, "/waits", timeout=30)


def test_a_limit_that_is_lowered_keeps_no_batch_open(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/limited"), [event_type],
                                    rateLimit={"limit": 60, "period": "1s", "burst": 1})
    post(client, event_type, 200)
    client.patch(f"/api/webhooks/{webhook['id']}",
                 {"rateLimit": {"limit": 1, "period": "1h", "burst": 1}}).expect(200)
    wait_until(lambda: client.metric("trotline_batches_open") == 0, 5, "batches to be closed")
    client.patch(f"/api/webhooks/{webhook['id']}", {"rateLimit": None}).expect(200)
    sink.wait_for(200, "/limited", timeout=15)


# ---- neighbours -------------------------------------------------------------------------------------------

def test_limited_endpoints_do_not_waste_their_hosts_slots(start_daemon, sink):
    """They wait for their own slots, not in the host's queue, where a slot that comes free would be
    given to one that may not use it."""
    server = start_daemon(config="outbound:\n  maxInFlightPerHost: 1\n")
    sink.script("/good", delayed(0.005))
    with server.client() as client:
        for n in range(5):
            client.create_webhook(sink.url(f"/limited{n}"), ["t"],
                                  rateLimit={"limit": 3, "period": "1s", "burst": 1})
        client.create_webhook(sink.url("/good"), ["t"])
        begin = time.monotonic()
        post(client, "t", 200)
        sink.wait_for(200, "/good", timeout=60)
        assert time.monotonic() - begin < 6


# ---- what it costs ----------------------------------------------------------------------------------------

def test_limited_endpoints_with_backlogs_ask_redis_for_little(redis_server, start_daemon, sink):
    """50 endpoints that may send once a minute."""
    server = start_daemon(redis=redis_server)
    with server.client() as client:
        for n in range(50):
            client.create_webhook(sink.url(f"/{n}"), ["t"],
                                  rateLimit={"limit": 1, "period": "1m", "burst": 1})
        post(client, "t", 200)
        sink.wait_for(50)
        wait_until(lambda: scripts_in(redis_server, 1) <= 2, 20, "the rest to be moved and closed")
        assert scripts_in(redis_server, 5) <= 10


def test_a_limited_endpoint_is_fed_in_portions(redis_server, start_daemon, sink):
    """Not with one lease for each delivery."""
    server = start_daemon(redis=redis_server)
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"],
                              rateLimit={"limit": 100, "period": "1s", "burst": 1})
        post(client, "t", 800)
        wait_until(lambda: client.metric("trotline_batches_open") == 0, 20, "batches to be closed")
        at, before = sink.count("/"), scripts(redis_server)
        sink.wait_for(at + 300, "/", timeout=20)
        spent = (scripts(redis_server) - before) / (sink.count("/") - at)
        assert spent < 1.35, "a settle for each, and few leases"


def test_what_waits_for_a_moment_goes_by_few_calls(redis_server, start_daemon, sink):
    """Moved, leased and settled many at once: not three calls for each."""
    server = start_daemon(redis=redis_server)
    events, endpoints = 50, 20
    with server.client() as client:
        for n in range(endpoints):
            client.create_webhook(sink.url(f"/{n}"), ["t"])
        before = scripts(redis_server)
        for _ in range(events):
            client.post_event("t", delay="2s").expect(202)
        sink.wait_for(events * endpoints, timeout=30)
        wait_until(lambda: client.metric("trotline_deliveries_in_hand") == 0, 20, "the settlements")
        assert scripts(redis_server) - before < 0.6 * events * endpoints


def test_events_for_an_endpoint_whose_probe_hangs_cost_a_move_each(redis_server, start_daemon, sink):
    """It may have one attempt only, so it is not asleep: all the same nobody looks for each event."""
    server = start_daemon(config=breaker(openFor="200ms"), redis=redis_server)
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK, timeout="20s", maxInFlight=1)
        sink.script("/", [500] * 5 + [hang()])
        post(client, "t", 10)
        wait_until(lambda: client.metric('trotline_breakers{state="half_open"}') == 1, 10, "a probe")
        before = scripts(redis_server)
        post(client, "t", 300)
        spent = (scripts(redis_server) - before) / 300
        assert spent < 2.7, "publish, move, and a share of a close"


# ---- many that sleep --------------------------------------------------------------------------------------

def test_many_that_sleep_do_not_hide_one_that_is_well(redis_server, start_daemon, sink):
    """A lane names 256 endpoints at a time. Those before it in its lane are due and may not send: here
    they are names that nobody knows, which stay for ever."""
    server = start_daemon(redis=redis_server)
    with server.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["t"], retryPolicy=QUICK)
        lane = f"tl:{{0}}:lane:{lane_of(webhook['id'])}"
        for n in range(300):
            redis_server.call("ZADD", lane, n + 1, "ep_" + "0" * 24 + f"{n:03}")
        sink.script("/", [500, 200])
        post(client, "t", 1)
        sink.wait_for(2, "/", timeout=10)
