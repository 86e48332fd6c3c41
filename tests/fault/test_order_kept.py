"""Ordered deliveries while things happen to replicas: of each key no event is sent before the one
before it has succeeded.

    pytest fault/test_order_kept.py                                      2,000 events, over 50 keys
    TROTLINE_ORDERED_EVENTS=10000 pytest fault/test_order_kept.py        its full size

Each key has one writer, who publishes an event when the last one was accepted, at any replica, with an
idempotency key that it repeats until it is answered: so the order of a key is that of its numbers,
whatever was lost on the way. Of ten events one is answered 503 at first.

**What is disorder.** An event that arrives, whatever it is answered, while one before it has not
succeeded yet. An event that has succeeded and comes again is not: that is at-least-once, and who
repeats what is the matter of test_replicas.py.
"""

import http.client
import json
import os
import threading

import pytest
from harness import cluster_invariants, wait_until
from harness.formats import lane_of

EVENTS = int(os.environ.get("TROTLINE_ORDERED_EVENTS", "2000"))
KEYS, WRITERS = 50, 10
RETRY = {"schedule": ["100ms"] * 50, "jitter": 0}
PLACES = 1_000_000  # event `place` of key k has the number k * PLACES + place


class Writers:
    """Threads, each of which has some of the keys for itself, and writes one event of each in turn."""

    def __init__(self, cluster, events):
        self.ports, self.api_key, self.events = cluster.ports(), cluster.api_key, events
        self.ids, self.failures = {}, []  # number -> event
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._guarded, args=(n,)) for n in range(WRITERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures[:5]

    def _guarded(self, writer):
        try:
            self._write(writer)
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.failures.append(repr(error))

    def _write(self, writer):
        connections = {}
        for n in range(self.events):
            key, place = n % KEYS, n // KEYS
            if key % WRITERS == writer:
                self.ids[key * PLACES + place] = self._publish(connections, key, place)

    def _publish(self, connections, key, place):
        """At the replicas in turn until one of them has accepted it; the event's id."""
        attempt = place
        while not self.stopping.is_set():
            port = self.ports[attempt % len(self.ports)]
            attempt += 1
            try:
                status, answer = self._post(connections, port, key, place)
            except (OSError, http.client.HTTPException):
                connections.pop(port).close()
                self.stopping.wait(0.02)
                continue
            if status == 202:
                return answer["id"]
            assert status == 503, (status, answer)
            self.stopping.wait(0.05)
        raise AssertionError("the test has ended")

    def _post(self, connections, port, key, place):
        connection = connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=3))
        body = {"type": "ordered", "orderingKey": f"key {key}", "data": {"n": key * PLACES + place}}
        connection.request("POST", "/api/events", json.dumps(body, separators=(",", ":")),
                           {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json",
                            "Idempotency-Key": f"{key}-{place}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def succeeded(recorder):
    return {arrival.number for arrival in recorder.read() if arrival.status == 200}


def disorder(recorder):
    """Arrivals that came before one that they had to wait for had succeeded, as sentences."""
    done, found = {}, []  # key -> places that have succeeded without a gap
    for arrival in recorder.read():
        key, place = divmod(arrival.number, PLACES)
        next_place = done.get(key, 0)
        if place > next_place:
            found.append(f"{arrival.at_ns / 1e9:.3f} by {arrival.agent}: {place} of key {key} before "
                         f"{next_place} had succeeded")
        elif place == next_place and arrival.status == 200:
            done[key] = place + 1
    return found


def happen(cluster, owner, what):
    if what == "restart":
        owner.restart(timeout=60)
    elif what == "kill":
        name = owner.incarnation
        owner.kill9()
        cluster.wait_buried(name)
        owner.start()
    else:
        owner.pause()
        cluster.wait_buried(owner.incarnation)
        owner.resume()


@pytest.mark.parametrize("what", ["kill", "pause", "restart"])
def test_order_of_keys_holds(make_cluster, recorder, what):
    """What happens to the replica that sends, while events come in and while there is a backlog."""
    cluster = make_cluster(count=2).start()
    cluster.wait_settled()
    with cluster.client() as client:
        webhook = client.create_webhook(recorder.url(0, refuse=10), ["ordered"], ordering="key",
                                        retryPolicy=RETRY)["id"]
    for replica in cluster:
        with replica.client() as client:
            wait_until(lambda: client.get_webhook(webhook).status == 200, 10, "the webhook to be known")
    with Writers(cluster, EVENTS) as writers:
        wait_until(lambda: len(succeeded(recorder)) >= EVENTS / 3, 120, "a third of the deliveries")
        owner = wait_until(lambda: cluster.owner_of(lane_of(webhook)), 30, "the lane to have an owner")
        happen(cluster, owner, what)
        writers.join()
    assert len(writers.ids) == EVENTS
    wait_until(lambda: len(succeeded(recorder)) == EVENTS, 120, "all to be delivered")
    cluster.wait_drained()
    cluster.wait_settled()
    recorder.wait_quiet(2)

    arrivals = recorder.read()
    refused = sum(arrival.status == 503 for arrival in arrivals)
    again = len(arrivals) - refused - EVENTS
    print(f"{EVENTS} events, {refused} refused once, {again} repeated, by "
          f"{sorted({arrival.agent for arrival in arrivals})}")
    found = disorder(recorder)
    assert not found, "\n".join([f"{len(found)} out of order:", *found[:20]])
    assert {arrival.id for arrival in arrivals} == set(writers.ids.values()), "one event for each number"
    assert refused >= EVENTS / 20, "there was something to wait for"
    assert len({arrival.agent for arrival in arrivals}) >= 2, "another replica went on"
    cluster_invariants.check(cluster, {event: {webhook} for event in writers.ids.values()},
                             {(arrival.id, webhook) for arrival in arrivals if arrival.status == 200})
