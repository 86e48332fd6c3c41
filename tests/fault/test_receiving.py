"""Third parties are answered 2xx when their event is durable, and repeat what was answered otherwise:
whatever is killed meanwhile, each of their ids becomes one event, and that arrives.

TROTLINE_FAULT_EVENTS (20,000 from the start; a quarter of it here) makes the runs longer.
"""

import os

import pytest
from harness import senders, wait_until
from harness.flood import Flood

SECRET = "It's a Secret to Everybody"
REQUESTS = int(os.environ.get("TROTLINE_FAULT_EVENTS", "20000")) // 4


def listen(daemon, recorder):
    with daemon.client() as client:
        client.post("/api/sources", {"name": "hooks", "scheme": "github",
                                     "secrets": [SECRET]}).expect(201)
        client.create_webhook(recorder.url(1), ["hooks.*"], maxInFlight=100)


def requests_to(ports):
    """Each twice, the second time soon, and at another port where there is one."""
    places = []
    for n in range(REQUESTS):
        body = b'{"n":%d}' % n
        request = senders.request_bytes("hooks", body, senders.github(body, SECRET, id=f"guid-{n}"))
        places += [(n, ports[n % len(ports)], n, request),
                   (n + n % 50, ports[(n + 1) % len(ports)], n, request)]
    return [place[1:] for place in sorted(places)]


def at(flood, fraction):
    wait_until(lambda: flood.done >= flood.total * fraction, 120, f"{fraction:.0%} of {flood}")


def check(flood, recorder):
    """All were taken in the end; all arrived, each as one event, however often it was delivered."""
    flood.wait(300)
    assert {status for answers in flood.answers.values() for status in answers} == {200}
    events = {}

    def arrived():
        for arrival in recorder.read():
            events.setdefault(arrival.number, set()).add(arrival.id)
        return len(events) == REQUESTS
    wait_until(arrived, 120, f"{REQUESTS} events to arrive", interval=0.2)
    recorder.wait_quiet()
    arrived()
    several = {number: ids for number, ids in events.items() if len(ids) > 1}
    assert not several, f"more than one event of one id: {dict(list(several.items())[:5])}"
    print(f"{flood}: {len(recorder.read()) - REQUESTS} deliveries repeated")


def test_replicas_are_killed_while_they_receive(make_cluster, recorder):
    cluster = make_cluster(count=2).start()
    cluster.wait_settled()
    listen(cluster[0], recorder)
    with cluster[1].client() as client:
        wait_until(lambda: client.get("/api/sources/hooks").status == 200, 10, "the source")
    with Flood(requests_to(cluster.ports())) as flood:
        for kill in range(1, 5):
            at(flood, kill / 6)
            cluster[kill % 2].kill9()
            cluster[kill % 2].start()
        assert flood.again, "the kills hit requests in flight"
        check(flood, recorder)


@pytest.mark.parametrize("how", ["kill9", "stop"])
def test_redis_goes_and_comes_while_it_receives(redis_server, start_daemon, recorder, how):
    daemon = start_daemon(redis=redis_server)
    listen(daemon, recorder)
    with Flood(requests_to([daemon.port])) as flood:
        for turn in range(1, 4):
            at(flood, turn / 5)
            getattr(redis_server, how)()
            wait_until(lambda: not daemon.ready(), 20, "/readyz to say that Redis is away")
            redis_server.start()
            wait_until(daemon.ready, 30, "/readyz to say that Redis is back")
        assert flood.again, "there were refusals while Redis was away"
        check(flood, recorder)


def test_redis_falls_silent_while_it_receives(redis_server, start_daemon, recorder):
    """What was answered 503 may be stored or not: sent again, it is still one event."""
    daemon = start_daemon("--set", "ingest.timeout=1s", redis=redis_server)
    listen(daemon, recorder)
    with Flood(requests_to([daemon.port]), connections=8) as flood:
        at(flood, 0.3)
        redis_server.pause()
        wait_until(lambda: not daemon.ready(), 20, "/readyz to say that Redis is away")
        assert daemon.alive(), "the loop goes on"
        redis_server.resume()
        wait_until(daemon.ready, 30, "/readyz to say that Redis is back")
        assert flood.again
        check(flood, recorder)
