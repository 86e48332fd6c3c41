"""Two replicas on one Redis: who owns which lane, and what becomes of them when one goes."""

import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from harness import wait_until
from harness.cluster import evenly_shared, lane_owners
from harness.formats import LANES, id_text, lane_of
from harness.invariants import check
from harness.monitor import Monitor
from harness.redis import Redis
from harness.sink import delayed

LEASE = 2.0
SET = ("--set", "replica.lease=2s", "--set", "replica.heartbeat=250ms")


def owners(redis):
    return Counter(lane_owners(redis).values())


@pytest.fixture
def pair(redis_server, start_daemon, sink):
    """Two replicas that know the same endpoints: (first, second, the endpoints' ids)."""
    first = start_daemon(*SET, redis=redis_server)
    with first.client() as client:
        webhooks = [client.create_webhook(sink.url(f"/{n}"), ["all"])["id"] for n in range(40)]
    second = start_daemon(*SET, redis=redis_server)
    wait_until(lambda: evenly_shared(redis_server, 2), 10, "both to own half of the lanes")
    return first, second, webhooks


def send(daemon, count=5, type="all"):
    with daemon.client() as client:
        return [client.event_id(type, {"n": n}) for n in range(count)]


def arrived(sink, events, times=40, timeout=20):
    """Every event at every endpoint, once."""
    def all_are_here():
        assert Counter(sink.ids()) == dict.fromkeys(events, times)
        return True
    wait_until(all_are_here, timeout, f"{len(events)} events to arrive {times} times")


def test_both_own_half_and_deliver_for_each_other(pair, redis_server, sink):
    first, second, webhooks = pair
    theirs = {lane_owners(redis_server)[lane_of(webhook)] for webhook in webhooks}
    assert theirs == {first.incarnation, second.incarnation}
    arrived(sink, send(first) + send(second))
    wait_until(lambda: not redis_server.keys("tl:{0}:due:*"), 10, "nothing to wait")
    with redis_server.connect(timeout=60) as redis:
        check(redis)


def test_one_is_killed(pair, redis_server, sink):
    """The other one has all lanes when the lease has ended, and all that was accepted arrives."""
    first, second, _ = pair
    events = send(first) + send(second)
    second.kill9()
    wait_until(lambda: owners(redis_server) == {first.incarnation: LANES}, LEASE + 2,
               "the survivor to have all lanes", interval=0.05)
    events += send(first)
    wait_until(lambda: set(sink.ids()) == set(events) and sink.count() >= 40 * len(events), 20,
               "everything to arrive")
    sink.wait_quiet(1)
    assert max(Counter(sink.ids()).values()) <= 2 * 40, "sent again only by who took it over"


def test_one_stops_and_comes_back(pair, redis_server, sink):
    """It hands its lanes over while it still serves; nothing is lost or sent twice."""
    first, second, _ = pair
    me = second.incarnation
    events = send(first) + send(second)
    second.arguments += ["--set", "drainDelay=3s"]
    second.restart()
    wait_until(lambda: evenly_shared(redis_server, 2), 10, "both to own half of the lanes")
    assert me not in owners(redis_server)
    events += send(second)
    second.terminate()
    wait_until(lambda: owners(redis_server) == {first.incarnation: LANES}, 2.5,
               "the other to have all lanes at once", interval=0.05)
    assert second.alive(), "it still serves"
    events += send(second)
    assert second.wait() == 0
    arrived(sink, events)


def test_one_is_frozen_and_wakes_up(redis_server, start_daemon, sink):
    """What it had is another's when it wakes. It sends none of it, and is a member again."""
    first = start_daemon(*SET, redis=redis_server)
    with first.client() as client:
        webhooks = [client.create_webhook(sink.url(f"/{n}"), [f"t{n}", "all"], rateLimit={
            "limit": 5, "period": "1s", "burst": 1})["id"] for n in range(20)]
    second = start_daemon(*SET, redis=redis_server)
    wait_until(lambda: evenly_shared(redis_server, 2), 10, "both to own half of the lanes")
    number = next(n for n, webhook in enumerate(webhooks)
                  if lane_owners(redis_server)[lane_of(webhook)] == second.incarnation)
    events = send(second, 40, f"t{number}")
    sink.wait_for(3)
    second.pause()
    wait_until(lambda: owners(redis_server) == {first.incarnation: LANES}, LEASE + 2,
               "the other to have all lanes")
    wait_until(lambda: set(sink.ids()) == set(events), 20, "the other to deliver all")
    before = sink.count()
    second.resume()
    second.wait_for_log("replica.buried_alive")
    wait_until(lambda: evenly_shared(redis_server, 2), 10, "both to own half of the lanes")
    sink.wait_quiet(1.5)
    assert sink.count() == before, "it has sent nothing of what was another's"
    assert before - len(events) <= 4, "and what the other repeated was on its way, or not yet marked"
    events = send(second)
    wait_until(lambda: set(events) <= set(sink.ids()), 10, "it works again")


def test_what_another_has_on_the_wire_is_not_cancelled(redis_server, start_daemon, sink):
    """The lanes of half of the endpoints move while each has a request at its receiver; then all are
    deleted. The new owners clear what waits; what is in flight ends as it ends."""
    first = start_daemon(*SET, redis=redis_server)
    with first.client() as client:
        webhooks = [client.create_webhook(sink.url(f"/{n}"), ["all"])["id"] for n in range(12)]
        for n in range(12):
            sink.script(f"/{n}", delayed(6))
        event = client.event_id("all")
        sink.wait_for(12)
        second = start_daemon(*SET, redis=redis_server)
        wait_until(lambda: evenly_shared(redis_server, 2), 5, "both to own half of the lanes")
        moved = [webhook for webhook in webhooks
                 if lane_owners(redis_server)[lane_of(webhook)] == second.incarnation]
        assert moved
        for webhook in webhooks:
            client.delete(f"/api/webhooks/{webhook}").expect(204)

        def finished():
            deliveries = client.get(f"/api/events/{event}").expect(200).json["deliveries"]
            assert [delivery["status"] for delivery in deliveries] == ["sent"] * 12
            return True
        wait_until(finished, 15, "all to be sent")
    wait_until(lambda: redis_server.call("SCARD", "tl:{0}:config:deleted") == 0, 10,
               "the endpoints to be cleared")
    for daemon in (first, second):
        with daemon.client() as client:
            assert client.metric('trotline_deliveries_total{outcome="cancelled"}') == 0


def test_what_was_taken_away_is_let_go(redis_server, start_daemon, sink):
    """One wakes up with a request on the wire whose batch another has adopted meanwhile. It finds that
    out once, and not with every look at its attempts."""
    first, second = (start_daemon(*SET, redis=redis_server) for _ in range(2))
    wait_until(lambda: evenly_shared(redis_server, 2), 10, "both to own half of the lanes")
    with first.client() as client:
        while True:
            webhook = client.create_webhook(sink.url("/"), ["a"], timeout="30s")["id"]
            if lane_owners(redis_server)[lane_of(webhook)] == first.incarnation:
                break
            client.delete(f"/api/webhooks/{webhook}").expect(204)
        sink.script("/", [delayed(8), 200])
        event = client.event_id("a")
        sink.wait_for(1)
        first.pause()  # before it has been on the wire for a second, and is moved
    wait_until(lambda: sink.ids() == [event] * 2, 15, "the other to adopt and deliver it")
    with Monitor(redis_server) as monitor:
        first.resume()
        first.wait_for_log("replica.buried_alive")
        time.sleep(2)  # in which it looks eight times at what it has on the wire
        monitor.mark("end")
        moves = [command for command in monitor.commands() if b"leased" in command.words]
    assert len(moves) == 1
    wait_until(lambda: first.client().metric("trotline_attempts_in_flight") == 0, 10, "its end")
    assert sink.ids() == [event] * 2


def test_an_embedded_redis_with_a_second_server_on_its_socket(start_daemon, sink):
    """Whoever thought that it was alone takes its lease seriously from then on: frozen, it loses its
    lanes, and wakes up without sending anything of them."""
    first = start_daemon(*SET)
    with first.client() as client:
        webhooks = [client.create_webhook(sink.url(f"/{n}"), [f"t{n}"], maxInFlight=1)["id"]
                    for n in range(20)]
    for n in range(20):
        sink.script(f"/{n}", delayed(0.2))
    with tempfile.TemporaryDirectory() as short:  # a path for a socket's address
        path = Path(short) / "redis"
        path.symlink_to(first.data / "redis")
        second = start_daemon(*SET, redis=f"unix:{path}/redis.sock")
        with Redis(f"{path}/redis.sock") as redis:
            wait_until(lambda: evenly_shared(redis, 2), 10, "both to own half of the lanes")
            name = second.incarnation
            mine = next(n for n, webhook in enumerate(webhooks) if lane_owners(redis)[lane_of(webhook)] != name)
            events = send(first, 20, f"t{mine}")
            sink.wait_for(2)
            first.pause()
            wait_until(lambda: owners(redis) == {name: LANES}, 10, "the other to have all lanes")
            wait_until(lambda: set(sink.ids()) == set(events), 20, "the other to deliver all")
            before = sink.count()
            first.resume()
            first.wait_for_log("replica.buried_alive")
            wait_until(lambda: evenly_shared(redis, 2), 10, "both to own half of the lanes")
            sink.wait_quiet(1.5)
            assert sink.count() == before, "it has sent nothing of what was another's"
        second.stop()


def test_nothing_is_sent_when_the_lease_has_lapsed(redis_server, start_daemon, sink):
    """Redis does not answer: another replica may own the lanes by now. When it does, all goes on."""
    daemon = start_daemon(*SET, redis=redis_server)
    sink.script("/", delayed(0.3))
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["all"], maxInFlight=1)
    events = send(daemon, 20)
    sink.wait_for(2)
    redis_server.pause()
    daemon.wait_for_log("replica.lease_lapsed", timeout=LEASE + 1)
    sink.wait_quiet(1)
    before = sink.count()
    assert before < 15, "about six fit into a lease"
    redis_server.resume()
    wait_until(lambda: set(sink.ids()) == set(events), 20, "the rest to arrive")
    assert sink.count() == len(events)


def test_who_does_not_know_the_endpoints_yet_takes_no_lanes(redis_server, start_daemon, sink):
    """What was left for them would be read for nobody, and events be taken that match nothing. Neither
    its own channel nor a notice that lanes have changed makes a replica join before."""
    first = start_daemon(*SET, redis=redis_server)
    with first.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["all"])["id"]
    first.stop()
    document = redis_server.call("HGET", "tl:{0}:config:endpoints", webhook)
    for n in range(0, 10_000, 500):
        ids = (id_text("ep", bytes(16) + k.to_bytes(4, "big")) for k in range(n, n + 500))
        redis_server.call("HSET", "tl:{0}:config:endpoints", *(word for i in ids for word in (i, document)))
    with Monitor(redis_server) as monitor:
        second = start_daemon(*SET, redis=redis_server, started=False)
        second.start(ready=False)

        def told():
            redis_server.call("PUBLISH", "tl:{0}:all", "l999999")
            return evenly_shared(redis_server, 1)
        wait_until(told, 30, "the replica to have all lanes", interval=0.001)
        monitor.mark("end")
        commands = monitor.commands()
    scans = [n for n, c in enumerate(commands) if c.words[:2] == [b"hscan", b"tl:{0}:config:endpoints"]]
    beats = [n for n, c in enumerate(commands) if c.words[0] == b"evalsha" and b"tl:{0}:membership" in c.words]
    assert len(scans) > 10 and beats[0] > scans[-1]
    wait_until(second.ready, 10, "the replica to be ready")
