"""Replicas, reduced to the calls they make (replica.py): random interleavings of the scripts against one Redis.

    python3 tests/scripts/world.py [--minutes N] [--seed N] [--calm]

A Replica publishes batches, sends (a number in World.sent), moves, leases, settles, clears, adopts
and trims in the order in which src/core/ does, one call at a time. Every call may be lost before
Redis sees it, lose its reply, or leave a copy that Redis reads later, after the repeated call; a
replica may die or sleep between any two calls. World knows what producers were told, so at the end
it can say: what was accepted was sent (or is dead, cancelled, discarded), what was refused was not.

Lanes have owners, and wander from one replica to another; what a Replica knows of that may be old. Its
batches have a part for each of the others, who learn of theirs by a notice, if that arrives, or find
it in their journal. What a Replica holds and may not send it moves to the schedule.

Some endpoints have an order, which may change. Whenever something is sent for the first time, all that
was stored before it in its queue has been sent, or has come to another end.

`calm`: replicas that never die or sleep, and no late copies; then nothing is sent twice, and the
outcome of every delivery is in the history.
"""

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import RedisError, RedisServer
from harness.formats import ORDER_HASH_BYTES, batch_of, id_text, read_ordered
from harness.invariants import Broken, check, deliveries
from replica import DOCUMENT, LEASE_MS, LIVE_MS, LONG_MS, TOMBSTONE, ATTEMPTS_KEPT, Replica
from store import Store, answer, endpoint_id, event_of


class World:
    """What there is besides Redis; `fates` tells how calls may go."""

    STEPS = {"publish": 3, "read": 3, "look": 1, "work": 14, "mark": 2, "close": 4, "trim": 1, "lease": 6, "finish": 8,
             "clear_some": 2, "dead_letters": 2, "heartbeat": 2}

    def __init__(self, redis, seed, calm=False, history=30, restart=None):
        self.redis, self.seed, self.calm, self.history = redis, seed, calm, history
        self.restart = restart
        self.rng = random.Random(seed)
        self.live_ms, self.lease_ms = (LONG_MS, LONG_MS) if calm else (LIVE_MS, LEASE_MS)
        self.endpoints, self.deleted = {}, set()  # id -> active
        self.replicas = []
        self.targets, self.answers, self.trimmed = {}, {}, set()
        self.sent, self.discarded, self.counts = Counter(), set(), defaultdict(int)
        self.ordering = {}  # endpoint -> ("endpoint" or "key", does a dead letter block?), or None
        self.places = {}  # (event, endpoint) -> (key, sequence), of what was ever in an ordered queue
        self.queues = defaultdict(list)  # (endpoint, key) -> (sequence, event) of the same
        self.ended, self.freed = set(), set()  # (event, endpoint): dead or cancelled; taken out of its queue
        self.late, self.draining, self.full = [], False, False
        self.store = Store(redis, "world")
        for _ in range(5):
            self.create()
        self.replicas = [Replica(self) for _ in range(3)]

    # ---- chance --------------------------------------------------------------------------------

    def fate(self, waiting):
        if self.draining:
            return "answered"
        if self.calm:  # a lease or a renewal whose reply is lost would have to end by itself
            fates = {"answered": 85, "not sent": 7, "no reply": 0 if waiting.once else 8}
        else:
            fates = {"answered": 82, "not sent": 5, "no reply": 8, "late": 5}
        return self.rng.choices(list(fates), list(fates.values()))[0]

    def attempt(self, rng):
        if self.draining:
            return "sent"
        return rng.choices(("sent", "retry", "dead", "long"), (60, 20, 6, 14))[0]

    # ---- order ---------------------------------------------------------------------------------

    def queue_of(self, endpoint, key):
        """The queue that an event with this key joins; None: none."""
        mode, _ = self.ordering[endpoint] or (None, None)
        return bytes(ORDER_HASH_BYTES) if mode == "endpoint" else key if mode == "key" else None

    def blocks(self, endpoint):
        return self.ordering[endpoint] is not None and self.ordering[endpoint][1]

    def order(self, endpoint):
        self.ordering[endpoint] = self.rng.choice((None, None, ("endpoint", False), ("endpoint", True),
                                                   ("key", False), ("key", True)))

    def stored(self, call):
        """Redis has run the call: which of its deliveries are in queues now, and where?"""
        for key in (key for key in call.keys if ":ord:" in key):
            endpoint = key.rpartition(":")[2]
            for member in self.redis.call("ZRANGE", key, 0, -1):
                hash_, sequence, event, _ = read_ordered(member)
                if (event, endpoint) not in self.places:
                    self.places[event, endpoint] = hash_, sequence
                    self.queues[endpoint, hash_].append((sequence, event))

    def send(self, event, endpoint):
        self.sent[event, endpoint] += 1
        if self.sent[event, endpoint] > 1 or (event, endpoint) not in self.places or (
                event, endpoint) in self.ended | self.freed:
            return
        key, place = self.places[event, endpoint]
        self.counts["in order"] += 1
        for sequence, before in self.queues[endpoint, key]:
            over = self.sent[before, endpoint] or (before, endpoint) in self.ended | self.freed
            assert sequence >= place or over, (
                f"seed {self.seed}: {event} for {endpoint} is sent before {before}")

    # ---- what is known -------------------------------------------------------------------------

    def active(self):
        return [endpoint for endpoint, active in self.endpoints.items() if active]

    def answer(self, event, what, sure):
        """`sure`: no reply was lost and no copy is on its way, so refused means not stored."""
        assert event not in self.answers
        self.answers[event] = what if sure or what == "accepted" else "unknown"

    def refer(self, verdict):
        event = event_of(verdict)
        count = len(self.targets[event])
        if verdict[:1] == b"s":
            assert verdict[-4:] == count.to_bytes(4, "little")
        else:
            assert verdict[1:] == answer(event, count)
        assert self.answers.get(event) != "refused", f"duplicate of {event}, which was refused"

    def touched(self, endpoint):
        """Does a call that is on its way have to do with this endpoint?"""
        waiting = [waiting.call for replica in self.replicas for waiting in replica.calls]
        waiting += [call for _, call, _ in self.late]
        return any(endpoint in call.args or any(endpoint in key for key in call.keys)
                   for call in waiting)

    def forget(self, endpoint, reply):
        if reply == b"ok":
            self.endpoints.pop(endpoint, None)

    def announce(self, call, reply):
        """Redis has run it: if it published parts, their owners hear of them, or not."""
        if call.verb == "order_free" and reply >= 0:
            endpoint = call.args[0]
            self.freed.update(place for place in self.places if place[1] == endpoint)
        if call.verb != "publish":
            return
        self.stored(call)
        for replica in self.replicas:
            name = replica.store.me
            if name != call.args[3] and name in call.args[4:] and self.rng.random() < 0.7:
                replica.letter(f"{call.args[0]}.{call.args[call.args.index(name, 4) - 1]}")

    # ---- what happens to everybody -------------------------------------------------------------

    def create(self):
        endpoint = endpoint_id(self.rng)
        assert self.store.endpoint_put(endpoint, DOCUMENT)[0] == b"ok"
        self.endpoints[endpoint] = True
        self.order(endpoint)

    def change(self):
        endpoint = self.rng.choice(sorted(self.endpoints)) if self.endpoints else None
        if len(self.endpoints) < 4:
            self.create()
        elif endpoint not in self.deleted and self.rng.random() < 0.3:
            assert self.store.endpoint_put(endpoint, TOMBSTONE, "replace")[0] == b"ok"
            self.deleted.add(endpoint)
            self.endpoints[endpoint] = False
        elif endpoint not in self.deleted and self.rng.random() < 0.4:
            self.order(endpoint)
        elif endpoint not in self.deleted:
            self.endpoints[endpoint] = not self.endpoints[endpoint]

    def memory(self):
        self.full = not self.full and not self.draining
        self.redis.call("CONFIG", "SET", "maxmemory", 1 if self.full else 0)

    def disturb(self):
        chance = self.rng.random()
        if chance < 0.008 and not self.full:
            self.change()
        elif chance < 0.01 or (self.full and chance < 0.08):
            self.memory()
        elif chance < 0.012:
            self.redis.call("SCRIPT", "FLUSH")
        elif chance < 0.0125 and self.restart:
            self.restart()
            self.counts["restart"] += 1
        elif chance < 0.018 and not self.calm:  # dies; its successor knows nothing
            self.replicas[self.rng.randrange(len(self.replicas))] = Replica(self)
        elif chance < 0.024:
            self.rng.choice(self.replicas).release(1)
        elif chance < 0.03 and not self.calm:
            self.rng.choice(self.replicas).sleeps_until = time.monotonic() + self.rng.random() * 0.15
        elif chance < 0.05 and self.late:
            self.arrive()

    def arrive(self):
        """A call that was given up is read by Redis after all; nobody reads the reply."""
        store, call, first = self.late.pop(self.rng.randrange(len(self.late)))
        try:
            self.announce(call, store.make(call, first))
        except RedisError as error:
            assert str(error).startswith("OOM"), error

    # ---- the run -------------------------------------------------------------------------------

    def step(self):
        self.disturb()
        replica = self.rng.choice(self.replicas)
        if replica.sleeps_until > time.monotonic():
            return
        if replica.calls and (len(replica.calls) > 8 or self.rng.random() < 0.5):
            replica.deliver()
        else:
            name, = self.rng.choices(list(self.STEPS), list(self.STEPS.values()))
            getattr(replica, name)()

    def check(self, **options):
        try:
            return check(self.redis, attempts_kept=ATTEMPTS_KEPT, **options)
        except Broken as broken:
            raise AssertionError(f"seed {self.seed}: {broken}") from None

    def run(self, seconds, check_every=25):
        deadline, steps = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            self.step()
            steps += 1
            if steps % check_every == 0:
                self.check()
        self.check()
        self.drain()
        self.account()
        return steps

    def drain(self):
        """Everybody is well and everything succeeds, until nothing is left to do."""
        while self.late:
            self.arrive()
        self.draining = True
        self.live_ms = max(self.live_ms, 5000)  # on a slow machine nobody is taken for dead any more
        if self.full:
            self.memory()
        for endpoint in self.endpoints:
            self.endpoints[endpoint] = endpoint not in self.deleted
        deadline = time.monotonic() + 60
        while not self.idle():
            assert time.monotonic() < deadline, f"seed {self.seed}: it does not come to an end"
            for replica in self.replicas:
                replica.sleeps_until = 0
                for name in ("look", "read", "work", "mark", "close", "lease", "finish", "clear_some",
                             "dead_letters", "heartbeat"):
                    getattr(replica, name)()
                while replica.calls:
                    replica.deliver()

    def idle(self):
        families = ("due:*", "ord:*", "dead*", "journal:*")
        return not any(self.redis.call("KEYS", self.store.key(family)) for family in families) and \
            not any(replica.open or replica.hand or replica.letters for replica in self.replicas) and \
            not self.deleted & set(self.endpoints)

    def account(self):
        snapshot = self.check(idle=True, settled=self.calm)
        found = deliveries(snapshot)
        for event, what in self.answers.items():
            for endpoint in self.targets[event]:
                times, name = self.sent[event, endpoint], f"{event} for {endpoint}"
                assert what != "refused" or times == 0, f"seed {self.seed}: {name} refused and sent"
                if what != "accepted" or times or endpoint in self.deleted or (
                        event, endpoint) in self.discarded:
                    continue
                raise AssertionError(f"seed {self.seed}: {name} accepted and lost; it is "
                                     f"{found.get((event, endpoint))}")
        if self.calm:
            twice = [key for key, times in self.sent.items() if times > 1]
            assert not twice, f"seed {self.seed}: sent twice: {twice[:5]}"
            for (event, endpoint), state in found.items():
                sent = self.sent[event, endpoint] > 0
                assert (state == "sent") == sent, f"seed {self.seed}: {event} is {state}, {sent=}"
            self.remember(snapshot, found)

    def remember(self, snapshot, found):
        """What was accepted and not trimmed can be read, with what became of its deliveries."""
        for event, what in self.answers.items():
            batch, _ = batch_of(event)
            if what != "accepted" or {event, batch} & self.trimmed:
                continue
            hash_ = snapshot.all("event").get(event, {})
            assert batch in snapshot.batches or "e" in hash_, f"seed {self.seed}: {event} is forgotten"
            self.counts["read alone"] += batch not in snapshot.batches
            for endpoint in self.targets[event]:
                assert (event, endpoint) in found, f"seed {self.seed}: {event} for {endpoint} is forgotten"

    def __str__(self):
        answers = Counter(self.answers.values())
        again = sum(self.sent.values()) - len(self.sent)
        return (f"seed {self.seed}: events {dict(answers)}, {len(self.sent)} deliveries sent, "
                f"{again} again; calls {dict(sorted(self.counts.items()))}")


def run_world(redis, seed, seconds, **options):
    redis.call("FLUSHALL")
    world = World(redis, seed, **options)
    try:
        world.run(seconds)
    finally:
        redis.call("CONFIG", "SET", "maxmemory", 0)
    return world


def main():
    parser = argparse.ArgumentParser(description="Random interleavings of the scripts in lua/.")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--seconds", type=float, default=5, help="for each seed")
    parser.add_argument("--calm", action="store_true")
    options = parser.parse_args()
    deadline, seed = time.monotonic() + 60 * options.minutes, options.seed
    with RedisServer() as server, server.connect(timeout=60) as redis:
        while time.monotonic() < deadline:
            number = random.randrange(10**6) if seed is None else seed
            print(run_world(redis, number, options.seconds, calm=options.calm), flush=True)


if __name__ == "__main__":
    main()
