"""What is fed is published once, whatever happens to the replicas that read it.

TROTLINE_FAULT_EVENTS (20,000 from the start) makes the runs longer: half of it is fed.
"""

import contextlib
import json
import os
import threading
from collections import defaultdict

import pytest
from harness import wait_until
from harness.feeders import STREAM, Feeder

EVENTS = int(os.environ.get("TROTLINE_FAULT_EVENTS", "20000")) // 2
KINDS = ["python", "python", "node", "redis-cli"]  # producers: four in three languages
KILLS = 3
CHUNK = 50
BAD_EVERY = 97
BAD = [[b"e", b"{"], [b"e", b'{"data":1}'], [b"e", b'{"type":"load","data":1}', b"x", b"1"],
       [b"e", b'{"type":"load","data":"\xff"}'], [b"k", b"1"],
       [b"e", b'{"type":"load","data":1}', b"app", b"other"], [b"e", b""]]
FAST = ("--set", "replica.lease=1s", "--set", "replica.heartbeat=200ms")


def entry(producer, number):
    if number % BAD_EVERY == 0:
        return BAD[number // BAD_EVERY % len(BAD)]
    event = {"type": "load", "data": {"producer": producer, "n": number}}
    fields = [b"e", json.dumps(event).encode()]
    return fields + [b"k", f"{producer}-{number}".encode()] if number % 5 == 0 else fields


class Feeding(threading.Thread):
    """One producer at work; `allowed` numbers may be fed by now."""

    def __init__(self, feeder, producer, events):
        super().__init__(daemon=True)
        self.feeder, self.producer, self.events = feeder, producer, events
        self.allowed, self.bad, self.failed = threading.Semaphore(0), set(), None

    def run(self):
        try:
            for first in range(0, self.events, CHUNK):
                self.allowed.acquire()
                numbers = range(first, min(first + CHUNK, self.events))
                ids = self.feeder.add([entry(self.producer, number) for number in numbers])
                self.bad.update(entry_id for number, entry_id in zip(numbers, ids)
                                if number % BAD_EVERY == 0)
        except Exception as error:  # for the test to see
            self.failed = error

    def allow(self, chunks):
        self.allowed.release(chunks)


def length(redis, stream=STREAM):
    return redis.call("XLEN", stream)


def kill_in_mid_read(redis, victim, others):
    """Entries wait while all are stopped; then the victim dies when some of them have been read."""
    for daemon in (victim, *others):
        daemon.pause()
    wait_until(lambda: length(redis) >= EVENTS // 10, 120, "entries to wait")
    most = length(redis)
    for daemon in (victim, *others):
        daemon.resume()
    wait_until(lambda: length(redis) < most, 60, "entries to be published", interval=0.001)
    victim.kill9()


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_replica_is_killed_in_mid_read(redis_server, start_daemon, sink, replicas):
    """Every entry is published once, none is left pending, and those that are rejected are exactly the
    malformed ones."""
    daemons = [start_daemon(*FAST, redis=redis_server) for _ in range(replicas)]
    with daemons[0].client() as client:
        client.create_webhook(sink.url("/"), ["load"], maxInFlight=100, timeout="10s")
    chunks = EVENTS // len(KINDS) // CHUNK
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server.connect())
        producers = [Feeding(stack.enter_context(Feeder(kind, redis_server)), number, chunks * CHUNK)
                     for number, kind in enumerate(KINDS)]
        for producer in producers:
            producer.start()
        for kill in range(KILLS):
            for producer in producers:
                producer.allow(chunks // (KILLS + 1))
            kill_in_mid_read(redis, daemons[0], daemons[1:])
            daemons[0].start(timeout=60)
        for producer in producers:
            producer.allow(chunks)
        for producer in producers:
            producer.join(120)
            assert not producer.is_alive() and producer.failed is None, producer.failed
        wait_until(lambda: length(redis) == 0, 120, "the stream to be empty")
        check(redis, sink, producers)


def test_a_replica_sleeps_in_mid_read(redis_server, start_daemon, sink):
    """It wakes up with entries in hand that another one has published since: they are refused."""
    sleeper, other = (start_daemon(*FAST, redis=redis_server) for _ in range(2))
    with sleeper.client() as client:
        client.create_webhook(sink.url("/"), ["load"], maxInFlight=100, timeout="10s")
    chunks = EVENTS // len(KINDS) // CHUNK
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server.connect())
        producers = [Feeding(stack.enter_context(Feeder(kind, redis_server)), number,
                             chunks * CHUNK) for number, kind in enumerate(KINDS)]
        for producer in producers:
            producer.start()
        for _ in range(KILLS):
            for producer in producers:
                producer.allow(chunks // KILLS)
            other.pause()
            sleeper.pause()
            wait_until(lambda: length(redis) >= EVENTS // 10, 120, "entries to wait")
            most = length(redis)
            sleeper.resume()
            wait_until(lambda: length(redis) < most, 60, "entries to be published", interval=0.001)
            sleeper.pause()
            other.resume()
            wait_until(lambda: length(redis) < EVENTS // 20, 120, "the other one to publish them")
            sleeper.resume()
        for producer in producers:
            producer.allow(chunks)
            producer.join(120)
            assert not producer.is_alive() and producer.failed is None, producer.failed
        wait_until(lambda: length(redis) == 0, 120, "the stream to be empty")
        check(redis, sink, producers)


def check(redis, sink, producers):
    good = {(producer.producer, number) for producer in producers
            for number in range(producer.events) if number % BAD_EVERY}
    pairs = lambda request: tuple(request.json()["data"][name] for name in ("producer", "n"))
    wait_until(lambda: good <= set(map(pairs, sink.requests("/"))), 120,
               f"the {len(good)} events to arrive", interval=0.5)
    sink.wait_quiet(1)
    ids = defaultdict(set)
    for request in sink.requests("/"):
        ids[pairs(request)].add(request.id)
    twice = {pair: each for pair, each in ids.items() if len(each) > 1}
    assert not twice, f"published more than once: {len(twice)}, such as {sorted(twice)[:5]}"
    assert set(ids) == good
    rejected = redis.call("XRANGE", f"{STREAM}:rejected", "-", "+")
    assert all(fields[0] == b"id" for _, fields in rejected)
    originals = [fields[1].decode() for _, fields in rejected]
    bad = set().union(*(producer.bad for producer in producers))
    assert len(originals) == len(set(originals)) and set(originals) == bad
    assert redis.call("XPENDING", STREAM, "trotline")[0] == 0
