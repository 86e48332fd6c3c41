"""The scripts of lua/ as methods: keys and arguments laid out as src/core/store_*.c lays them out.

A `Call` is one script call that can be made any number of times, as the server repeats it after a
lost reply: `store.move(…)` makes it at once, `store.move.later(…)` gives the Call.
"""

import functools
import hashlib
import itertools
import random
import struct
from dataclasses import dataclass
from pathlib import Path

from harness import RedisError, wait_until
from harness.formats import (LANES, ORDER_HASH_BYTES, OUTCOME_BYTES, batch_of, id_bytes, id_text,
                             lane_of, member_name, member_of, pack_batch, pack_mask, pack_outcome,
                             pack_record, pack_state, part_of, time_bytes)

LUA = Path(__file__).resolve().parents[2] / "lua"
SCRIPTS = {path.stem: path.read_bytes() for path in sorted(LUA.glob("*.lua"))}
HASHES = {verb: hashlib.sha1(text).hexdigest() for verb, text in SCRIPTS.items()}
ORPHAN_SECONDS = 600
MOVED = "moved"  # instead of a batch's outcomes
# Keys that are there as soon as somebody lives.
MEMBERS = ["journals", "lanes", "membership", "replicas", "replicas:info"]


class Call:
    """One script call. `before`: commands sent in front of it the first time (a batch's SET). `read`: what
    is made of the reply."""

    def __init__(self, verb, keys, args, before=(), read=lambda reply: reply):
        self.verb, self.keys, self.args, self.before, self.read = verb, keys, args, before, read

    def __repr__(self):
        return f"{self.verb} {self.args[:4]!r}"

    def words(self):
        return ("EVALSHA", HASHES[self.verb], len(self.keys), *self.keys, *self.args)


class Read(Call):
    """A plain command."""

    def __init__(self, *words):
        super().__init__(words[0], [], list(words[1:]))

    def words(self):
        return (self.verb, *self.args)


class Numbers(dict):
    """What several have in common, with its number from 1 on."""

    def __init__(self, things):
        super().__init__((thing, n) for n, thing in enumerate(dict.fromkeys(things), 1))


@dataclass
class Move:
    """One delivery to be moved."""
    event: str
    endpoint: str
    ordinal: int
    kind: str = "in"
    value: int = 0
    record: bytes = b""
    state: bytes = b""
    attempt: bytes = b""
    part: int = 0


@dataclass
class Settle:
    """One delivery to be settled."""
    event: str
    endpoint: str
    lease: object  # "": none
    kind: str = "done"
    delay: int = 0
    ordinal: object = 0  # "": none
    state: bytes = b""
    outcome: bytes = None
    log: bytes = b""
    attempt: bytes = b""
    record_bytes: int = 1000
    order: bytes = b""  # hash of the key whose queue it is in; what is postponed, or BLOCKS, stays there


BLOCKS = "blocks"  # a kind of settling: dead, and the head of its queue all the same


@dataclass
class Ordered:
    """One ordered delivery of a batch."""
    ordinal: int
    key: bytes = bytes(ORDER_HASH_BYTES)
    due: int = 0


def verb(function):
    """A method that gives a Call becomes one that makes it; `.later` gives it instead."""
    @property
    def method(self):
        def now(*args, **kwargs):
            return self.make(function(self, *args, **kwargs))
        now.later = functools.partial(function, self)
        return now
    return method


class Store:
    """One connection, as one replica: `me` names its journal."""

    def __init__(self, redis, me="a", prefix="tl"):
        self.redis, self.me, self.prefix = redis, me, prefix

    def key(self, *names):
        return ":".join((self.prefix, "{0}", *map(str, names)))

    def key_names(self, kind):
        """What is kept of a kind of keys: index, answers, lists."""
        return [self.key(kind), self.key(kind, "ids"), self.key(kind, "batches")]

    def make(self, call, first=True):
        """Sends it; a server that does not know the script is given it, as redis_conn.c does."""
        for command in call.before if first else ():
            self.redis.call(*command)
        try:
            return call.read(self.redis.call(*call.words()))
        except RedisError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        self.redis.call("SCRIPT", "LOAD", SCRIPTS[call.verb])
        return call.read(self.redis.call(*call.words()))

    def wait(self, ms):
        """Until Redis's clock has gone on by so much: what ends at a time has ended then."""
        def now():
            seconds, us = self.redis.call("TIME")
            return int(seconds) * 1000 + int(us) // 1000
        end = now() + ms
        wait_until(lambda: now() >= end, ms / 1000 + 10, "Redis's clock", interval=0.001)

    # ---- batches -------------------------------------------------------------------------------

    @verb
    def publish(self, batch, claims=(), sequence=1, journal_max=1000, idem_max=1000,
                idem_ttl=60_000, uid_max=1000, uid_ttl=60_000, blob=True, version="", dedup_max=1000,
                feeds=(), ordered=()):
        """`claims`: what Batch.claim() gives; `feeds`: what Batch.feed() gives, of each stream;
        `ordered`: Ordered ones, by their ordinals."""
        key = self.key("batch", batch.name)
        claims = list(claims)
        ordered_keys, ordered_words = self.ordered(batch, ordered)
        before = [("SET", key, batch.blob, "NX", "EX", ORPHAN_SECONDS)] if blob else ()
        keys = [key, self.key("journal", self.me), self.key("outcome", batch.name),
                self.key("journals"), self.key("config")]
        parts = batch.parts()
        args = [batch.name, sequence, journal_max, self.me, version, len(parts) if parts != [0] else 0,
                len(feeds), len(ordered_words)]
        if parts != [0]:
            owners = [self.me, *batch.owners]
            keys += [self.key("open", batch.name), self.key("replicas")]
            keys += [self.key("journal", owners[part]) for part in parts]
            args += [self.key("to", "")]
            args += itertools.chain.from_iterable((part, owners[part]) for part in parts)
        for stream, *words in feeds:
            keys.append(self.key(stream))
            args += words
        keys += [self.key("progress", batch.name)] if feeds else []
        if claims:
            keys += [self.key("progress", batch.name), *self.key_names("idem")]
            args += [b"".join(struct.pack("<BIII", sum(bool(member) << kind for kind, (member, _)
                                                       in enumerate(claim.keys)), *claim.numbers)
                              for claim in claims),
                     idem_max, idem_ttl, *key_lists(claims, 0)]
        dedup = any(claim.keys[2][0] for claim in claims)
        if dedup or any(claim.keys[1][0] for claim in claims):
            keys += self.key_names("uid")
            args += [uid_max, uid_ttl, *key_lists(claims, 1)]
        if dedup:
            keys += self.key_names("dedup")
            args += [dedup_max, "", *key_lists(claims, 2)]
        keys, args = keys + ordered_keys, args + ordered_words

        def read(reply):
            """With a verdict for each, also when there are none because all are new."""
            taken = reply[-1:] if isinstance(reply[-1], list) else []
            plain = reply[:len(reply) - len(taken)]
            plain += [0] * len(claims) if plain[0] == b"ok" and len(plain) == 3 else []
            return plain + taken
        return Call("publish", keys, args, before, read)

    def ordered(self, batch, ordered):
        """(keys, words) that publish.lua is given about these."""
        if not ordered:
            return [], []
        deliveries = [batch.deliveries[one.ordinal] for one in ordered]
        events, endpoints = Numbers(event for event, _ in deliveries), Numbers(e for _, e in deliveries)
        keys = [self.key("progress", batch.name), self.key("sequence")]
        for endpoint in endpoints:
            keys += [self.key("ord", endpoint), self.key("due", endpoint),
                     self.key("lane", lane_of(endpoint))]
        keys += [self.key("event", event) for event in events]
        words = [len(endpoints), len(events), *endpoints]
        for event in events:
            words += [event, batch.record, len(batch.deliveries) + batch.events.index(event)]
        for one, (event, endpoint) in zip(ordered, deliveries):
            words += [events[event], endpoints[endpoint], one.ordinal, one.key, one.due,
                      pack_state(one.ordinal, order=one.key)]
        return keys, words

    @verb
    def progress(self, member, *ordinals):
        keys = [self.key("journal", self.me), self.key("progress", member_of(member)[0])]
        return Call("progress", keys, [member, *ordinals])

    @verb
    def close(self, *parts, keep=60_000):
        """`parts`: (member, outcomes as {ordinal: 12 bytes}, bytes of the blob, number of ordinals,
        flags), or the first of these: outcomes of all ordinals are sent as one, others in runs. MOVED
        instead of outcomes: all were moved. Flags are "s" unless they are given."""
        keys = [self.key("journal", self.me), self.key("closed"), self.key("closed", "bytes")]
        args = [keep]
        for part in parts:
            given = part if isinstance(part, tuple) else (part,)
            defaults = None, {}, 0, None, "s"
            member, outcomes, size, ordinals, flags = (*given, *defaults[len(given):])
            name, _ = member_of(member)
            families = ("batch", "progress", "outcome") + (("open",) if "p" in flags else ())
            keys += [self.key(family, name) for family in families]
            args += [member, size, flags, *outcome_words(outcomes, ordinals)]
        return Call("close", keys, args)

    @verb
    def trim(self, *members):
        keys = [self.key("closed"), self.key("closed", "bytes")]
        for member in members:
            name = member.partition(":")[0]
            kinds = ("event", "event") if name.startswith("msg_") else ("batch", "outcome")
            keys += [self.key(kind, name) for kind in kinds]
        return Call("trim", keys, list(members))

    @verb
    def adopt(self, member, dead):
        keys = [self.key("journal", dead), self.key("journal", self.me), self.key("replicas"),
                self.key("journals")]
        return Call("adopt", keys, [member, dead, self.me])

    # ---- feeds ---------------------------------------------------------------------------------

    @verb
    def feed_look(self, idle=1000, stream="feed"):
        return Call("feed_look", [self.key(stream), self.key(stream, "rejected")], ["trotline", idle])

    @verb
    def feed_reject(self, first, last=None, bytes_min=0, most=0, reason="r", message="m", field="",
                    stream="feed"):
        return Call("feed_reject", [self.key(stream), self.key(stream, "rejected")],
                    [first, last or first, bytes_min, most, reason, message, field])

    @verb
    def feed_requeue(self, *ids, stream="feed"):
        return Call("feed_requeue", [self.key(stream), self.key(stream, "rejected")], list(ids))

    # ---- replicas ------------------------------------------------------------------------------

    @verb
    def heartbeat(self, lease=1000, others="", known=0, draining=False, lanes=LANES):
        """Its reply as a Beat: beat()."""
        keys = [self.key("replicas"), self.key("journals"), self.key("config"), self.key("lanes"),
                self.key("membership"), self.key("replicas", "info"), self.key("handover"),
                self.key("journal", self.me)]
        info = '{"host":"x","draining":%s}' % str(draining).lower()
        return Call("heartbeat", keys, [self.me, lease, others, known, lanes, info,
                                        self.key("all")])

    def beat(self, *args, **options):
        return Beat(self.heartbeat(*args, **options))

    @verb
    def lanes_release(self, version, states):
        """`states`: lane -> what its next owner is told."""
        keys = [self.key("lanes"), self.key("membership"), self.key("handover")]
        return Call("lanes_release", keys, [self.me, version, self.key("all"),
                                            *itertools.chain.from_iterable(states.items())])

    @verb
    def lanes_take(self, *lanes):
        return Call("lanes_take", [self.key("lanes"), self.key("handover")], [self.me, *lanes])

    def own(self, *endpoints):
        """Makes their lanes mine, whoever has them."""
        for endpoint in endpoints:
            self.redis.call("HSET", self.key("lanes"), lane_of(endpoint), self.me)

    @verb
    def bury(self, incarnation, mode=""):
        keys = [self.key("replicas"), self.key("journals"), self.key("journal", incarnation),
                self.key("lanes"), self.key("membership"), self.key("replicas", "info"),
                self.key("handover")]
        return Call("bury", keys, [incarnation, mode, self.key("all")])

    # ---- the schedule --------------------------------------------------------------------------

    @verb
    def move(self, event, endpoint, *args, kept=100, keep=60_000, **options):
        """One of them: (status, now, due time in ms)."""
        def read(reply):
            now, due = reply
            return [b"gone" if due < 0 else b"ok", now, max(due, 0)]
        call = self.moves.later([Move(event, endpoint, *args, **options)], kept, keep)
        call.read = read
        return call

    @verb
    def moves(self, moves, kept=100, keep=60_000):
        """Of any events, batches and endpoints: [now, due time of each, or -1]."""
        batches = Numbers((batch_of(move.event)[0], move.part) for move in moves)
        records = {move.event: move.record for move in moves}
        events = Numbers((move.event, batch_of(move.event)[0], move.part) for move in moves)
        endpoints = Numbers(move.endpoint for move in moves)
        keys = [self.key("journal", self.me), self.key("dead")]
        keys += [self.key("progress", name) for name, _ in batches]
        keys += [self.key("event", event) for event, _, _ in events]
        args = [kept, keep, len(batches), len(events), len(endpoints)]
        args += [member_name(*batch) for batch in batches]
        for event, *batch in events:
            args += [event, records[event] or pack_record("a.b", b"{}"), batches[tuple(batch)]]
        for endpoint in endpoints:
            keys += self.of_endpoint(endpoint)
            args.append(endpoint)
        for move in moves:
            state = move.state or pack_state(move.ordinal, dead=move.kind == "dead")
            args += [events[move.event, batch_of(move.event)[0], move.part],
                     endpoints[move.endpoint], move.ordinal, move.kind, move.value, state, move.attempt]
        return Call("move", keys, args)

    def of_endpoint(self, endpoint):
        return [self.key("due", endpoint), self.key("lane", lane_of(endpoint)),
                self.key("attempts", endpoint), self.key("dead", endpoint)]

    @verb
    def peek(self, lanes, most=100, skip=0):
        return Call("peek", [self.key("lane", lane) for lane in lanes],
                    [most] + [skip] * len(lanes))

    @verb
    def lease(self, endpoint, count=10, length=10_000, not_before=0):
        """Of one endpoint: [now, end of the lease or 0, earliest score left, how many are left, event …]."""
        def read(reply):
            now, end, claimed, *rest = reply
            return [now, end if claimed >= 0 else 0, *rest]
        call = self.leases.later([(endpoint, count, not_before)], length)
        call.read = read
        return call

    @verb
    def leases(self, wishes, length=10_000):
        """`wishes`: (endpoint, how many, not before)."""
        keys, args = [self.key("lanes")], [self.me, length]
        for endpoint, count, not_before in wishes:
            keys += [self.key("due", endpoint), self.key("lane", lane_of(endpoint))]
            args += [endpoint, lane_of(endpoint), count, not_before]
        return Call("lease", keys, args)

    @verb
    def renew(self, endpoint, *held, length=10_000):
        """`held`: lease, event, lease, event …"""
        return Call("renew", [self.key("due", endpoint)], [length, *held])

    @verb
    def settle(self, event, endpoint, *args, kept=100, keep=60_000, **options):
        """One of them: [status, now, due time in ms or 0, bytes of all history or -1]."""
        def read(reply):
            now, history, due = reply
            status = {-1: b"stale", -2: b"moved", -3: b"leased"}.get(due, b"ok")
            return [status, now, max(due, 0), history]
        call = self.settles.later([Settle(event, endpoint, *args, **options)], kept, keep)
        call.read = read
        return call

    @verb
    def settles(self, settles, kept=100, keep=60_000):
        """Of any events and endpoints: [now, bytes of all history or -1, due time of each or why not]."""
        batches = Numbers(batch_of(settle.event)[0] for settle in settles if settle.kind == "done")
        endpoints = Numbers(settle.endpoint for settle in settles)
        keys = [self.key("dead"), self.key("closed"), self.key("closed", "bytes"), self.key("lanes")]
        args = [self.me, kept, keep, len(batches), len(endpoints)]
        for batch in batches:
            keys += [self.key("batch", batch), self.key("outcome", batch)]
        for endpoint in endpoints:
            keys += [*self.of_endpoint(endpoint), self.key("ord", endpoint)]
            args += [endpoint, lane_of(endpoint)]
        for settle in settles:
            kind = "dead" if settle.kind == BLOCKS else settle.kind
            keys.append(self.key("event", settle.event))
            args += [endpoints[settle.endpoint], settle.event, settle.lease, settle.attempt, kind]
            leaves = settle.kind in ("done", "dead")
            state = settle.state or pack_state(settle.ordinal, dead=kind == "dead", log=settle.log,
                                               order=b"" if leaves else settle.order)
            args += {"done": [settle.log, batches.get(batch_of(settle.event)[0]),
                              settle.ordinal * OUTCOME_BYTES,
                              pack_outcome("sent") if settle.outcome is None else settle.outcome,
                              settle.record_bytes],
                     "retry": [state, settle.delay, "", "", ""],
                     "dead": [state, "", "", "", ""]}[kind]
            args.append(settle.order if leaves else "")
        return Call("settle", keys, args)

    @verb
    def order_free(self, endpoint, most=1000):
        keys = [self.key("ord", endpoint), self.key("due", endpoint),
                self.key("lane", lane_of(endpoint)), self.key("dead", endpoint), self.key("lanes")]
        return Call("order_free", keys, [endpoint, lane_of(endpoint), self.me, most])

    @verb
    def dead_replay(self, event, endpoint, what="replay", ordinal=0, state=None, log=b"",
                    keep=60_000, order=b""):
        """One letter, for no job."""
        return self.dead_step.later(endpoint, [(event, ordinal, state, log, order)], what, keep=keep)

    @verb
    def dead_step(self, endpoint, letters, what="replay", job=None, step=1, cursor="x", skipped=0,
                  keep=60_000):
        """`letters`: (event, ordinal or "" for none, state or None, log), and what it blocks, if it does."""
        keys = [self.key("dead", endpoint), self.key("due", endpoint),
                self.key("lane", lane_of(endpoint)), self.key("dead"), self.key("closed"),
                self.key("closed", "bytes"), self.key("ord", endpoint)]
        args = [endpoint, what, self.me if job else "", step, cursor, skipped, keep]
        for event, ordinal, state, log, *order in letters:
            batch, order = batch_of(event)[0], order[0] if order else b""
            keys += [self.key("event", event), self.key("batch", batch), self.key("outcome", batch)]
            if what == "replay":
                args += [event, state or pack_state(ordinal, log=log, order=order)]
            else:
                args += [event, pack_outcome("cancelled")]
            args += [ordinal * OUTCOME_BYTES, *((log, order) if what == "discard" else (b"", b""))]
        return Call("dead_replay", keys + ([self.key("job", job)] if job else []), args)

    @verb
    def event_step(self, endpoint, events, job, step=1, cursor="x", skipped=0):
        """`events`: (event, record or "" for a dead letter, state)."""
        keys = [self.key("due", endpoint), self.key("lane", lane_of(endpoint)),
                self.key("dead", endpoint), self.key("dead"), self.key("job", job)]
        args = [endpoint, self.me, step, cursor, skipped]
        for event, record, state in events:
            keys.append(self.key("event", event))
            args += [event, record, state]
        return Call("event_replay", keys, args)

    @verb
    def open_between(self, since_ms, until_ms):
        first, last = (int.from_bytes(time_bytes(ms), "big") for ms in (since_ms, until_ms))
        return Call("open_between", [self.key("journals")], [self.key("journal", ""), first, last])

    @verb
    def page(self, *name, lowest=0, score="", member="", most=10):
        return Call("page", [self.key(*name)], [lowest, score, member, most])

    # ---- jobs ----------------------------------------------------------------------------------

    @verb
    def job_put(self, job, spec=b"s", most=1000, drop="", status="running"):
        keys = [self.key("jobs"), self.key("job", job)]
        keys += [self.key("job", drop)] if drop else []
        return Call("job_put", keys, [job, self.me, spec, most, drop, status])

    @verb
    def job_take(self, job):
        return Call("job_take", [self.key("job", job), self.key("replicas")], [self.me])

    @verb
    def job_step(self, job, step=1, cursor="x", skipped=0, total=""):
        return Call("job_step", [self.key("job", job)], [self.me, step, cursor, skipped, total])

    @verb
    def job_end(self, job, status="done", owner=None, error="", keep=60_000):
        owner = self.me if owner is None else owner
        return Call("job_end", [self.key("jobs"), self.key("job", job)],
                    [job, status, owner, error, keep])

    @verb
    def attempts_add(self, endpoint, *records, kept=100, keep=60_000):
        return Call("attempts_add", [self.key("attempts", endpoint)], [kept, keep, *records])

    # ---- endpoints -----------------------------------------------------------------------------

    @verb
    def endpoint_put(self, endpoint, document, kind="create", most=1000, base="", kept=1000, had=0):
        return self._config_put("endpoints", endpoint, document, kind, most, base, kept, had)

    @verb
    def source_put(self, name, document, kind="create", most=1000, base="", kept=1000, had=0):
        return self._config_put("sources", f"src_{name}", document, kind, most, base, kept, had)

    def _config_put(self, hash, id, document, kind, most, base, kept, had):
        keys = [self.key("config", hash), self.key("config"), self.key("config", "changes"),
                self.key("config", "deleted")]
        return Call("config_put", keys,
                    [id, document, kind, most, base, kept, self.key("all"), had])

    @verb
    def config_changes(self, version, most=100):
        keys = [self.key("config", "endpoints"), self.key("config"), self.key("config", "changes"),
                self.key("config", "sources")]
        return Call("config_changes", keys, [version, most])

    @verb
    def endpoint_delete(self, endpoint):
        keys = [self.key("config", "endpoints"), self.key("due", endpoint),
                self.key("dead", endpoint), self.key("lane", lane_of(endpoint)),
                self.key("attempts", endpoint), self.key("dead"), self.key("health"),
                self.key("config", "deleted"), self.key("ord", endpoint)]
        return Call("endpoint_delete", keys, [endpoint])

    @verb
    def health_put(self, *records):
        """`records`: endpoint, record, endpoint, record …; "" when nothing is wrong."""
        keys = [self.key("health"), self.key("config", "endpoints"), self.key("lanes")]
        args = [self.me]
        for endpoint, record in zip(records[::2], records[1::2]):
            args += [endpoint, lane_of(endpoint), record]
        return Call("health_put", keys, args)


class Beat:
    """The reply of heartbeat.lua. `owners`: lane -> owner or None; None when the map is known."""

    def __init__(self, reply):
        self.status, self.now, *rest = reply
        self.status = self.status.decode()
        if self.status not in ("renewed", "joined"):
            return
        self.config, self.journal, self.version, self.surplus, self.members, dead, *names = rest
        self.dead, names = [name.decode() for name in names[:dead]], names[dead:]
        self.owners = None
        if names:
            owners = [None] + [name.decode() for name in names[1:-1]]
            assert names[0] == len(owners) - 1 and len(names[-1]) == LANES
            self.owners = [owners[number] for number in names[-1]]

    def lanes(self, me):
        return {lane for lane, owner in enumerate(self.owners) if owner == me}


# ---- things to store -------------------------------------------------------------------------------

def member(text):
    """What stands for a key: 16 bytes."""
    return hashlib.sha256(text.encode()).digest()[:16]


def answer(event, deliveries=1):
    """What is kept for a key: the event's id, a fingerprint, and how many deliveries it has."""
    return id_bytes(event, "msg") + bytes(6) + deliveries.to_bytes(4, "little")


def dedup_answer(event, ttl_ms, deliveries=1):
    """The same for a deduplication key: its time to live stands behind what names the batch."""
    name = id_bytes(event, "msg")
    return name[:15] + ttl_ms.to_bytes(6, "little") + name[15:] + deliveries.to_bytes(4, "little")


def event_of(verdict):
    """The event that a verdict names."""
    kept = verdict[1:]
    return id_text("msg", kept[:15] + kept[21:26] if verdict[:1] == b"s" else kept[:20])


@dataclass
class Claim:
    """What publish.lua is told of one event. `keys`: of each kind (member or b"", answer); `numbers`: first
    ordinal, ordinals, refused's bit."""
    event: str
    keys: list
    numbers: tuple


def key_lists(claims, kind):
    """The members of a kind of key that events have; the same with the answer behind each."""
    has = [claim.keys[kind] for claim in claims if claim.keys[kind][0]]
    return b"".join(key for key, _ in has), b"".join(key + kept for key, kept in has)


class Batch:
    """A batch of events, given as lists of endpoints' ids; `rng` names it. `others`: owner -> the lanes
    that are another's, whose deliveries are a part of their own."""

    def __init__(self, *targets, rng=random, now_ms=1_760_000_000_000, data=b'{"n":1}', others=None):
        stamp, nonce = time_bytes(now_ms), rng.randbytes(8)
        self.name = (stamp + nonce).hex()
        self.entry = stamp + b"\0\0" + nonce  # in the indexes of keys
        self.events = [id_text("msg", stamp + b"\0\0" + nonce + index.to_bytes(2, "big")
                               + rng.randbytes(3)) for index in range(len(targets))]
        self.targets = [list(endpoints) for endpoints in targets]
        self.record = pack_record("a.b", data)
        self.owners = list(others or {})
        self.masks = [pack_mask(lanes) for lanes in (others or {}).values()]
        self.blob = pack_batch(now_ms, [(event, self.record, endpoints) for event, endpoints
                                        in zip(self.events, self.targets)], self.masks)
        # ordinal -> (event, endpoint)
        self.deliveries = [(event, endpoint) for event, endpoints in zip(self.events, self.targets)
                           for endpoint in endpoints]

    def part(self, ordinal):
        return part_of(self.masks, self.deliveries[ordinal][1])

    def parts(self):
        """Those that are entered in journals."""
        return sorted({self.part(ordinal) for ordinal in range(len(self.deliveries))}) or [0]

    def member(self, part):
        return member_name(self.name, part)

    def first_ordinal(self, index):
        return sum(len(endpoints) for endpoints in self.targets[:index])

    def feed(self, runs, stream="feed"):
        """What publish.lua is told of events that are entries of a stream: rows of (id, index of the
        event), each row without another entry in between."""
        entries = [entry for run in runs for entry in run]
        rows = "".join(f"{run[0][0]} {behind(run[-1][0])} {len(run)} " for run in runs)
        numbers = b"".join(struct.pack("<III", self.first_ordinal(index), len(self.targets[index]),
                                       len(self.deliveries) + index) for _, index in entries)
        return stream, rows, "".join(f"{entry} " for entry, _ in entries), numbers

    def claim(self, index, idem="", uid="", dedup="", ttl_ms=60_000):
        """What publish.lua is told of one event: publish()'s `claims`."""
        event, count = self.events[index], len(self.targets[index])
        keys = [(text and member(text), answer(event, count)) for text in (idem, uid)]
        keys.append((dedup and member(dedup), dedup_answer(event, ttl_ms, count)))
        return Claim(event, keys, (self.first_ordinal(index), count, len(self.deliveries) + index))


def behind(entry_id):
    """The smallest id of a stream's entry that is greater."""
    ms, sequence = map(int, entry_id.split("-"))
    return f"{ms}-{sequence + 1}" if sequence < 2**64 - 1 else f"{ms + 1}-0"


def outcome_words(outcomes, ordinals):
    """The outcomes of one batch as close.lua takes them."""
    if outcomes is MOVED:
        return ["moved", ordinals]
    if len(outcomes) == ordinals:
        return ["all", b"".join(outcomes[ordinal] for ordinal in range(ordinals)) or bytes(12)]
    words, last = [], None
    for ordinal, record in sorted(outcomes.items()):
        if last is not None and ordinal == last + 1:
            words[-1] += record
        else:
            words += [ordinal * OUTCOME_BYTES, record]
        last = ordinal
    return [len(words) // 2, *words]


def endpoint_id(rng=random):
    return id_text("ep", rng.randbytes(20))


def endpoint_ids(count):
    """Each of a lane of its own."""
    ids = {}
    while len(ids) < count:
        endpoint = endpoint_id()
        ids.setdefault(lane_of(endpoint), endpoint)
    return ids.values()


def lease_soon(store, endpoint):
    """Leases what is due within a millisecond."""
    lane = lane_of(endpoint)
    wait_until(lambda: store.peek([lane])[2] == 1, 1, "something to be due")
    return store.lease(endpoint)
