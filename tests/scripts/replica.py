"""A replica, reduced to the calls it makes: the part of the model in world.py that src/core/ does.

It publishes batches, sends (a number in World.sent), moves, leases, settles, clears, adopts and trims,
one call at a time; a call may be lost, or its reply, as World's chance has it.
"""

from collections import defaultdict

from harness import RedisError
from harness.formats import (OUTCOMES, bits, id_text, lane_of, member_of, pack_log, pack_outcome, read_batch,
                             read_state)
from store import BLOCKS, MOVED, Batch, Beat, Move, Ordered, Read, Settle, Store, answer, member

DOCUMENT, TOMBSTONE = "{}", '{"deleted":true}'
LIVE_MS, LEASE_MS, KEEP_MS = 60, 40, 60_000
LONG_MS = 600_000
ATTEMPTS_KEPT = 5
KEYS = (member("one"), member("two"), None)  # ordering keys of events
GONE = -1  # of a part that is not in my journal


class Waiting:
    """A call on its way: made again until it is answered, unless `once`."""

    def __init__(self, call, done, once=False):
        self.call, self.done, self.once = call, done, once
        self.first = self.sure = True


class Open:
    """A part of a batch in memory. slots: ordinal -> "pending", "busy", "moved", an outcome's name, or
    "foreign". `sure`: no copy of its publish can come any more. `alone`: each event that has been moved
    lives on without the batch, and none has no deliveries."""

    def __init__(self, member, deliveries, parts, record, size, sure, alone):
        self.member, self.deliveries, self.record, self.size = member, deliveries, record, size
        self.sure, self.alone, self.part = sure, alone, member_of(member)[1]
        self.slots = ["pending" if part == self.part else "foreign" for part in parts]
        self.marked, self.closing, self.taken_away = set(), False, False

    def done(self):
        return not any(slot in ("pending", "busy") for slot in self.slots)

    def flags(self):
        return ("s" if self.sure else "") + ("p" if "foreign" in self.slots else "")


class Replica:
    def __init__(self, world):
        self.world, self.rng = world, world.rng
        self.store = Store(world.redis, f"{world.rng.getrandbits(64):016x}")
        self.calls, self.open, self.shipped = [], [], {}
        self.hand = {}  # (event, endpoint) -> (lease, ordinal)
        self.letters, self.reading = [], []  # members of the journal, to be opened
        self.sequence, self.adopting, self.sleeps_until = 0, None, 0
        self.lanes, self.owners, self.version = set(), [], 0  # mine; whose each lane is
        if world.calm:  # in the others it may come late, and what is published be adopted before
            self.beaten(self.store.heartbeat(world.live_ms))

    def call(self, call, done=lambda reply: None, once=False):
        self.calls.append(Waiting(call, done, once))

    # ---- one call to Redis ---------------------------------------------------------------------

    def deliver(self):
        """Makes the first call that waits, and lets go wrong what can."""
        waiting, world = self.calls[0], self.world
        fate = world.fate(waiting)
        if fate == "late":
            world.late.append((self.store, waiting.call, waiting.first))
        if fate in ("late", "not sent"):
            waiting.sure = waiting.sure and fate == "not sent"
            return self.lost(waiting)
        try:
            reply = self.store.make(waiting.call, waiting.first)
            world.announce(waiting.call, reply)
        except RedisError as error:
            assert str(error).startswith("OOM") and waiting.call.verb == "publish", error
            reply = "OOM"
        waiting.first = False
        if fate == "no reply":
            waiting.sure = False
            return self.lost(waiting)
        if reply == "OOM" and not waiting.sure:
            return None  # only an answer of the script tells
        self.calls.remove(waiting)
        world.counts[waiting.call.verb] += 1
        return waiting.done(reply)

    def lost(self, waiting):
        self.world.counts["lost"] += 1
        if waiting.once:
            self.calls.remove(waiting)
            waiting.done("lost" if isinstance(waiting.call, Read) else None)

    # ---- publishing ----------------------------------------------------------------------------

    def publish(self):
        world, rng = self.world, self.rng
        if len(self.shipped) >= 2 or not world.active():
            return
        events = rng.randint(1, 4)
        others = defaultdict(list)
        for lane, owner in enumerate(self.owners):
            if owner and owner != self.store.me:
                others[owner].append(lane)
        batch = Batch(*[rng.sample(world.active(), rng.randint(0, min(3, len(world.active()))))
                        for _ in range(events)], rng=rng, others=others)
        keys = {event: rng.choice(KEYS) for event in batch.events}
        ordered = [Ordered(ordinal, key)
                   for ordinal, (event, endpoint) in enumerate(batch.deliveries)
                   if (key := world.queue_of(endpoint, keys[event])) is not None]
        age = len(world.targets) // 50
        claims = [batch.claim(n, *(f"{age}.{rng.randrange(20)}" if rng.random() < 0.3 else ""
                                   for _ in range(3)), rng.choice((LONG_MS, LONG_MS + 1, 20)))
                  for n in range(events)]
        claims = [claim for claim in claims if any(key for key, _ in claim.keys)]
        self.sequence += 1
        journal, idem, idem_ms, uid, uid_ms = (rng.choice(choices) for choices in (
            (20, 20, 20, 1), *((1000, 1000, 9), (LONG_MS, LONG_MS, 20)) * 2))
        version = -1 if rng.random() < 0.1 else ""  # the configuration is always newer than -1
        call = self.store.publish.later(batch, claims, self.sequence, journal, idem, idem_ms, uid,
                                        uid_ms, version=version, dedup_max=rng.choice((1000, 9)),
                                        ordered=ordered)
        batch.ordered = {one.ordinal for one in ordered}
        for event, endpoints in zip(batch.events, batch.targets):
            world.targets[event] = endpoints
        self.shipped[batch.name] = batch
        self.send_batch(batch, call, [claim.event for claim in claims])

    def send_batch(self, batch, call, claiming, sure=True):
        waiting = Waiting(call, None)
        waiting.sure = sure
        waiting.done = lambda reply: self.published(batch, claiming, waiting, reply)
        self.calls.append(waiting)

    def published(self, batch, claiming, waiting, reply):
        if reply != "OOM" and reply[0] == b"noblob":
            self.send_batch(batch, waiting.call, claiming, waiting.sure)
            return
        del self.shipped[batch.name]
        if reply == "OOM" or reply[0] in (b"journal_full", b"stale"):
            for event in batch.events:
                self.world.answer(event, "refused", waiting.sure)
            return
        verdicts = dict(zip(claiming, reply[3:]))
        parts = [batch.part(ordinal) for ordinal in range(len(batch.deliveries))]
        opened = Open(batch.name, batch.deliveries, parts, batch.record, len(batch.blob), waiting.sure,
                      all(batch.targets))
        for event in batch.events:
            verdict = verdicts.get(event, 0)
            self.world.answer(event, "refused" if verdict else "accepted", waiting.sure)
            if verdict and verdict[:1] in b"dus":
                self.world.refer(verdict)
        for ordinal, (event, _) in enumerate(batch.deliveries):
            if verdicts.get(event, 0) and opened.slots[ordinal] == "pending":
                opened.slots[ordinal] = "duplicate"
                opened.marked.add(ordinal)
            elif ordinal in batch.ordered and opened.slots[ordinal] == "pending":
                opened.slots[ordinal] = "moved"
                opened.marked.add(ordinal)
        mine = [int(part) for part in reply[2].decode().split(",") if part]
        if 0 in mine:
            self.open.append(opened)
        for part in mine:
            if part:
                self.letter(batch.member(part))

    # ---- batches in memory ---------------------------------------------------------------------

    def work(self):
        """Some deliveries of open batches; those that are moved go in one call."""
        moves = []
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            self.work_one(moves)
        if not moves:
            return

        def answered(reply):
            for (_, moved), due in zip(moves, reply[1:]):
                moved(due)
        self.call(self.store.moves.later([move for move, _ in moves], ATTEMPTS_KEPT), answered)

    def work_one(self, moves):
        if not self.open:
            return
        opened = self.rng.choice(self.open)
        pending = [n for n, slot in enumerate(opened.slots) if slot == "pending"]
        if not pending:
            return
        ordinal = self.rng.choice(pending)
        event, endpoint = opened.deliveries[ordinal]
        if endpoint in self.world.deleted:
            opened.slots[ordinal] = "cancelled"
        elif lane_of(endpoint) not in self.lanes:
            moves.append(self.move(opened, ordinal, "foreign"))
        elif not self.world.endpoints[endpoint]:
            moves.append(self.move(opened, ordinal, "dead"))
        else:
            what = self.world.attempt(self.rng)
            if what == "sent":
                self.world.send(event, endpoint)
                opened.slots[ordinal] = "sent"
            else:
                moves.append(self.move(opened, ordinal, what))

    def move(self, opened, ordinal, what):
        """(what is asked for, what is done with the answer)."""
        event, endpoint = opened.deliveries[ordinal]
        opened.slots[ordinal] = "busy"

        def moved(due):
            if what == "long" and due == GONE:
                opened.slots[ordinal] = "pending"  # goes on as it is
                return
            opened.slots[ordinal] = "moved"
            opened.marked.add(ordinal)
            opened.taken_away |= due == GONE
            if what == "long" and due > 0:
                self.hand[event, endpoint] = (due, ordinal, b"")

        kind = {"long": "leased", "retry": "in", "foreign": "in", "dead": "dead"}[what]
        value = self.world.lease_ms if what == "long" else self.rng.choice((0, 5, 50))
        return Move(event, endpoint, ordinal, kind, value, opened.record, attempt=b"x",
                    part=opened.part), moved

    def mark(self):
        for opened in self.open:
            finished = [n for n, slot in enumerate(opened.slots)
                        if slot in OUTCOMES and n not in opened.marked]
            if finished and not opened.done():
                self.call(self.store.progress.later(opened.member, *finished))
                opened.marked.update(finished)
                return

    def close(self):
        """All that can be closed, or some of it, in one call."""
        self.open = [opened for opened in self.open if not (opened.done() and opened.taken_away)]
        done = [opened for opened in self.open if opened.done() and not opened.closing]
        some = self.rng.sample(done, self.rng.randint(1, len(done))) if done else ()
        batches = []
        for opened in some:
            opened.closing = True
            outcomes = {n: pack_outcome(slot) for n, slot in enumerate(opened.slots)
                        if slot in OUTCOMES}
            if opened.alone and set(opened.slots) - {"foreign"} == {"moved"}:
                outcomes = MOVED
            batches.append((opened.member, outcomes, opened.size, len(opened.slots), opened.flags()))

        def closed(_):
            for opened in some:
                self.open.remove(opened)

        if some:
            self.call(self.store.close.later(*batches, keep=KEEP_MS), closed)

    # ---- parts that others have put into the journal -------------------------------------------

    def letter(self, member):
        """Of a batch that is on its way to Redis the reply will tell."""
        if member not in self.letters + self.reading and member_of(member)[0] not in self.shipped:
            self.letters.append(member)

    def holds(self, member):
        return any(opened.member == member and not opened.taken_away for opened in self.open)

    def read(self):
        """One of those that were announced, or found: its blob and what is done, then the journal."""
        if not self.letters:
            return
        member = self.letters.pop(self.rng.randrange(len(self.letters)))
        if self.holds(member):
            return
        store, (name, _), found = self.store, member_of(member), []
        self.reading.append(member)

        def again():
            self.reading.remove(member)
            self.letters.append(member)

        def read(reply):
            if reply == "lost":
                again()
                return
            found.extend(reply)
            self.call(Read("ZSCORE", store.key("journal", store.me), member), held, once=True)

        def held(reply):
            if reply == "lost":
                again()
                return
            self.reading.remove(member)
            if reply is not None and not self.holds(member):
                self.opened(member, *found)

        self.call(Read("MGET", store.key("batch", name), store.key("progress", name)), read,
                  once=True)

    def opened(self, member, blob, done):
        events = read_batch(member_of(member)[0], blob)
        opened = Open(member, [(event.id, endpoint) for event in events for endpoint in event.targets],
                      [part for event in events for part in event.parts], None, len(blob), False,
                      all(event.targets for event in events))
        done = bits(done)
        refused = [events[bit - len(opened.slots)].id for bit in done if bit >= len(opened.slots)]
        for ordinal in done:
            if ordinal < len(opened.slots) and opened.slots[ordinal] == "pending":
                known = opened.deliveries[ordinal][0] in refused
                opened.slots[ordinal] = "duplicate" if known else "moved"
                opened.marked.add(ordinal)
                opened.alone = False
        self.open.append(opened)
        self.world.counts["part"] += opened.part > 0

    def look(self):
        """Compares the journal with what is in memory."""
        def looked(reply):
            for raw in () if reply == "lost" else reply:
                member = raw.decode()
                if not self.holds(member):
                    self.letter(member)
                    self.world.counts["found"] += 1
        self.call(Read("ZRANGE", self.store.key("journal", self.store.me), 0, -1), looked, once=True)

    def trim(self):
        members = self.store.redis.call("ZRANGE", self.store.key("closed"), 0, -1)
        if len(members) > self.world.history:
            few = [member.decode() for member in members[:len(members) - self.world.history][:5]]
            self.world.trimmed.update(member.partition(":")[0] for member in few)
            self.call(self.store.trim.later(*few))

    # ---- the schedule --------------------------------------------------------------------------

    def lease(self):
        """Peeks, and claims some of what one endpoint has."""
        lanes = sorted({lane_of(endpoint) for endpoint in self.world.endpoints} & self.lanes)
        if not lanes:
            return
        reply, names = self.store.peek(lanes), []
        at = 1
        for _ in lanes:
            names += reply[at + 2:at + 2 + reply[at + 1]]
            at += 2 + reply[at + 1]
        if not names:
            return
        endpoint = self.rng.choice(names).decode()
        if not self.world.endpoints[endpoint]:
            self.clear(endpoint)
            return

        some = self.rng.sample([name.decode() for name in names], self.rng.randint(1, len(names)))
        some = [endpoint] + [other for other in some
                             if other != endpoint and self.world.endpoints[other]]

        def claimed(reply):
            at = 2
            for wished in some if reply else ():
                count, events = reply[at], reply[at + 3:at + 3 + max(reply[at], 0)]
                at += 3 + len(events)
                if count < 0:
                    self.lanes.discard(lane_of(wished))
                for event in events:
                    state = self.store.redis.call("HGET", self.store.key("event", event.decode()),
                                                  wished)
                    assert state is not None, f"{event} is due for {wished} and has no state"
                    state = read_state(state)
                    self.hand[event.decode(), wished] = (reply[1], state["ordinal"], state["order"])

        self.call(self.store.leases.later([(wished, self.rng.randint(1, 3), 0) for wished in some],
                                          self.world.lease_ms), claimed, once=True)

    def finish(self):
        """Some deliveries in hand, in one call: sent, failed or put back; or one is renewed."""
        if not self.hand:
            return
        if not self.world.calm and self.rng.random() < 0.1:
            (event, endpoint), (lease, *of_it) = self.rng.choice(sorted(self.hand.items()))

            def renewed(reply):
                if reply and reply[2] == 1 and (event, endpoint) in self.hand:
                    self.hand[event, endpoint] = (reply[1], *of_it)
            self.call(self.store.renew.later(endpoint, lease, event, length=self.world.lease_ms),
                      renewed, once=True)
            return
        count = min(self.rng.choice((1, 1, 2, 4, 8)), len(self.hand))
        settles = [self.settle(*key) for key in self.rng.sample(sorted(self.hand), count)]
        if self.rng.random() < 0.1:
            settles.append(self.rng.choice(settles))
        self.call(self.store.settles.later(settles, ATTEMPTS_KEPT))

    def settle(self, event, endpoint):
        lease, ordinal, order = self.hand.pop((event, endpoint))
        what, outcome = self.world.attempt(self.rng), "sent"
        if endpoint in self.world.deleted:
            what, outcome = "sent", "cancelled"
        elif not self.world.endpoints[endpoint]:
            what = "dead"
        elif what == "sent":
            self.world.send(event, endpoint)
        kind = {"sent": "done", "long": "retry"}.get(what, what)
        if kind == "dead" and order and self.world.blocks(endpoint):
            kind = BLOCKS
        if kind == "dead" or outcome == "cancelled":
            self.world.ended.add((event, endpoint))
        return Settle(event, endpoint, lease, kind, self.rng.choice((0, 5, 50)), ordinal,
                      outcome=pack_outcome(outcome), log=self.log(), attempt=b"x", order=order)

    def log(self):
        return self.rng.choice((b"", pack_log(1), pack_log(2, 3)))

    # ---- endpoints that take nothing any more --------------------------------------------------

    def clear(self, endpoint):
        """What is in hand is left alone: of its own the replica knows that, of others' Redis does."""
        if lane_of(endpoint) not in self.lanes:
            return
        redis, key = self.store.redis, self.store.key
        if redis.call("EXISTS", key("ord", endpoint)) and self.rng.random() < 0.5:
            self.call(self.store.order_free.later(endpoint, self.rng.choice((1, 2, 5))))
            return
        for family in ("due", "dead") if endpoint in self.world.deleted else ("due",):
            events = [raw.decode() for raw in redis.call("ZRANGE", key(family, endpoint), 0, 9)]
            for event in events:
                if self.holds_delivery(event, endpoint):
                    continue
                state = redis.call("HGET", key("event", event), endpoint)
                assert state is not None, f"{event} is {family} for {endpoint} and has no state"
                ordinal, order = read_state(state)["ordinal"], read_state(state)["order"]
                self.world.ended.add((event, endpoint))
                if family == "dead":
                    self.call(self.store.dead_replay.later(event, endpoint, "discard", ordinal,
                                                           log=self.log(), order=order))
                else:
                    kind = "done" if endpoint in self.world.deleted else "dead"
                    self.call(self.store.settle.later(event, endpoint, "", kind, 0, ordinal,
                                                      outcome=pack_outcome("cancelled"),
                                                      log=self.log(), order=order))
            if events:
                return
        if endpoint in self.world.deleted and not self.world.touched(endpoint):
            self.call(self.store.endpoint_delete.later(endpoint),
                      lambda reply: self.world.forget(endpoint, reply))

    def holds_delivery(self, event, endpoint):
        """Is it in hand, its settle included?"""
        return (event, endpoint) in self.hand or any(
            event in waiting.call.args and endpoint in waiting.call.args for waiting in self.calls)

    def clear_some(self):
        cleared = [endpoint for endpoint, active in self.world.endpoints.items() if not active]
        if cleared and not any(waiting.call.verb == "endpoint_delete" for waiting in self.calls):
            self.clear(self.rng.choice(cleared))

    def dead_letters(self):
        redis, key = self.store.redis, self.store.key
        names = [raw.decode() for raw in redis.call("ZRANGE", key("dead"), 0, -1)]
        names = [name for name in names if self.world.endpoints.get(name)]
        if not names:
            return
        endpoint = self.rng.choice(names)
        events = [raw.decode() for raw in
                  redis.call("ZRANGE", key("dead", endpoint), 0, self.rng.randrange(4))]
        states = [read_state(redis.call("HGET", key("event", event), endpoint)) for event in events]
        discard = self.rng.random() < 0.2 and not self.world.draining
        if discard:
            self.world.discarded.update((event, endpoint) for event in events)
            self.world.ended.update((event, endpoint) for event in events)
        self.call(self.store.dead_step.later(
            endpoint, [(event, state["ordinal"], None, self.log(), state["order"])
                       for event, state in zip(events, states)],
            "discard" if discard else "replay"))

    # ---- replicas ------------------------------------------------------------------------------

    def heartbeat(self):
        self.call(self.store.heartbeat.later(self.world.live_ms, known=self.version), self.beaten,
                  once=True)

    def beaten(self, reply):
        if not reply:
            return
        beat = Beat(reply)
        if beat.owners:
            self.lanes, self.owners = beat.lanes(self.store.me), beat.owners
            self.version = beat.version
        self.release(beat.surplus)
        if beat.dead and self.adopting is None:
            self.adopting = self.rng.choice(beat.dead)
            self.adopt_next()

    def release(self, count):
        if count and not any(waiting.call.verb == "lanes_release" for waiting in self.calls):
            leave = self.rng.sample(sorted(self.lanes), min(count, len(self.lanes)))
            self.lanes -= set(leave)
            self.call(self.store.lanes_release.later(self.version, dict.fromkeys(leave, b"s")),
                      self.released)

    def released(self, reply):
        self.version = 0  # the next heartbeat tells what is mine

    def adopt_next(self):
        dead, store = self.adopting, self.store
        batches = store.redis.call("ZRANGE", store.key("journal", dead), 0, 0)
        if batches:
            name = batches[0].decode()
            self.call(store.adopt.later(name, dead), lambda reply: self.adopted(name, reply))
        else:
            self.call(store.bury.later(dead), lambda reply: setattr(self, "adopting", None))

    def adopted(self, member, reply):
        if reply == b"ok":
            self.letter(member)
        if reply == b"alive":
            self.adopting = None
        else:
            self.adopt_next()
