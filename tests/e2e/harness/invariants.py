"""What must hold between the keys of a Redis that Trotline uses, at every moment.

    check(redis)                 the invariants below; raises Broken with everything that is wrong
    check(redis, idle=True)      also: nothing is in hand, every batch is closed
    check(redis, settled=True)   also: every delivery of a closed batch is waiting, dead, or has its
                                 outcome; not after a process was killed, whose last outcomes are lost
    deliveries(snapshot)         (event, endpoint) -> what became of it

The snapshot is taken by one script, so the checks hold in the middle of any load: every script in
lua/ leaves all of them true, and nothing else writes but the SET of a blob with an expiry.

Batches
  J1  A part of a batch is in at most one journal. It is one that has deliveries, or part 0 of a batch
      without any.
  J2  The owner of a journal is in `journals`, and whoever has a lease is, too.
  J3  The blob of a journalled batch is there, has no expiry, and can be read.
  J4  A blob without expiry has a part in a journal.
  J5  A blob with an expiry is closed and has outcomes, or is an orphan that goes within ten minutes.
  J6  A closed batch is in no journal and is listed once; until its time it has its blob.
      An event that is listed in `closed` is listed once, and is there until its time.
  J7  `closed:bytes` is the sum of the sizes in the members of `closed`.
  J8  A progress bitmap is of an open batch, and as long as that at most: a bit for each delivery, and
      one for each event that was refused.
  J9  Outcomes have an expiry, or their batch is open; none is beyond the batch's deliveries. One byte
      is the tombstone of a batch that left no blob.
  J10 `open:<batch>` is of an open batch of which several parts have deliveries, and is the number of
      its parts in journals. Every such batch has it.

Deliveries
  D1  An event's hash either has its record `e`, at least one endpoint's state and no expiry, or it
      is history: finished deliveries alone, an expiry, a place in `closed`, and a record unless its
      batch has it. `f` is the number of finished ones; an endpoint that is finished and waits, waits.
  D2  A state's endpoint has the event in exactly one of `due:` and `dead:`, as the state says, or it
      is in a queue of `ord:` and not the head; and every entry of these has its state. Its ordinal is the one in its batch, or none
      when the batch has no such delivery (replayed to an endpoint that came later).
  D3  A state of an open batch's event has its progress bit: a recovery sees both or neither.
  D4  An endpoint with a non-empty `due:` is in its lane, not later than the earliest entry.
  D5  A lane's members are endpoints of that lane with a non-empty `due:`.
  D6  `dead` lists the endpoints with a non-empty `dead:`, and no others.
  D7  `due:`, `dead:`, `ord:` and `attempts:` are of endpoints that have a document, or a deleted one's mark.
      So are the records of `health`, each of which is JSON.
  D8  No more attempts are listed than are to be kept.

Ordered queues
  O1  The members of `ord:` can be read, and no event is in it twice. The state of each names its queue.
  O2  The head of each queue is in `due:` or in `dead:`, and nothing else of it is.
  O3  No member has a later place than the last one that was given.

Lanes
  L1  A lane's owner has a lease.
  L2  What was handed over is of lanes.
  L3  Only who has a lease is described in `replicas:info`.

Keys
  K1  Every key is one that is known here, of its type.
  K2  Each batch in `idem` has a list of keys in `idem:batches`, and none is there without. Each key of
      `idem:ids` is in the list of its answer's batch, or itself in `idem`. The same for `uid`; and for
      `dedup`, where a batch's keys have a list for each time to live.
  K3  `jobs` lists every job. One that is not finished has the score "inf", no expiry and an owner; one
      that is finished expires at its score.
  K4  Each version in `config:changes` is that of one change, above the floor and up to the present one.
  K5  Entries of a rejected stream begin with the fields id, reason, message and field, and no two are of
      one entry of the feed; nor is one that still is in the feed.
"""

import json
from collections import Counter, defaultdict

from .formats import (LANES, OUTCOME_BYTES, FormatError, batch_of, bits, lane_of, member_name,
                      member_of, read_batch, read_final, read_ordered, read_outcome, read_record,
                      read_state, unpack)

ORPHAN_MS = 600_000
ORDINAL_NONE = 2**32 - 1
TOMBSTONE = b"\0"
KEY_BYTES = 16  # of a key's member
# What an index of keys has for the keys of a batch that expire together begins each of their answers.
ENTRY_BYTES = {"idem": 15, "uid": 15, "dedup": 21}
SLACK_MS = 1000  # between an expiry and the score that repeats it

# kind -> type, of keys with a name behind it, and of those without
NAMED = {"batch": "string", "journal": "zset", "progress": "string", "outcome": "string",
         "open": "string", "event": "hash", "due": "zset", "dead": "zset", "ord": "zset", "lane": "zset",
         "attempts": "list", "job": "hash", "out": "stream", "feed": "stream"}
SINGLE = {"journals": "zset", "replicas": "zset", "closed": "zset", "closed:bytes": "string",
          "dead": "zset", "idem": "zset", "idem:ids": "hash", "idem:batches": "hash",
          "uid": "zset", "uid:ids": "hash", "uid:batches": "hash",
          "dedup": "zset", "dedup:ids": "hash", "dedup:batches": "hash",
          "config": "hash", "config:endpoints": "hash", "config:sources": "hash",
           "config:changes": "zset",
          "config:deleted": "set", "health": "hash", "jobs": "zset", "lanes": "hash",
          "membership": "hash", "replicas:info": "hash", "handover": "hash", "sequence": "string",
          "feed": "stream", "feed:rejected": "stream"}
RAW = {*ENTRY_BYTES, "ord"}  # whose members are bytes

DUMP = """
local time = redis.call('TIME')
local reply = {time[1] * 1000 + math.floor(time[2] / 1000)}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
    local kind, value = redis.call('TYPE', key).ok, false
    if kind == 'string' then
        value = redis.call('GET', key)
    elseif kind == 'hash' then
        value = redis.call('HGETALL', key)
    elseif kind == 'zset' then
        value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    elseif kind == 'list' then
        value = redis.call('LRANGE', key, 0, -1)
    elseif kind == 'set' then
        value = redis.call('SMEMBERS', key)
    elseif kind == 'stream' then
        value = redis.call('XRANGE', key, '-', '+')
    end
    reply[#reply + 1] = {key, kind, redis.call('PTTL', key), value}
end
return reply
"""


class Broken(AssertionError):
    """Invariants that do not hold; `problems` is the list."""

    def __init__(self, problems):
        self.problems = problems
        more = f"\n  … and {len(problems) - 40} more" if len(problems) > 40 else ""
        super().__init__("\n  ".join(["invariants are broken:", *problems[:40]]) + more)


class Snapshot:
    """All keys of one prefix at one moment. Names are str; values are bytes where they may be."""

    def __init__(self, redis, prefix="tl"):
        self.now_ms, *keys = redis.call("EVAL", DUMP, 0, f"{prefix}:*")
        self.problems = []
        self.ttl = {}
        self.single = {}
        self.named = defaultdict(dict)
        begin = f"{prefix}:{{0}}:"
        for raw, kind, ttl, value in keys:
            self._add(raw.decode(errors="replace"), begin, kind.decode(), ttl, value)
        self.batches = {name: self._batch(name, blob) for name, blob in self.all("batch").items()}
        self.journals = {owner: list(journal) for owner, journal in self.all("journal").items()}
        # member -> owner, and batch -> parts
        self.owner = {member: owner for owner, journal in self.journals.items() for member in journal}
        self.opened = defaultdict(set)
        for member in self.owner:
            batch, part = self._member(member)
            self.opened[batch].add(part)
        # endpoint -> hash of an ordering key -> (sequence, event), the head first
        self.queues = {endpoint: self._queues(endpoint, members)
                       for endpoint, members in self.all("ord").items()}
        # What is in them and not a head.
        self.followers = {(event, endpoint) for endpoint, queues in self.queues.items()
                          for queue in queues.values() for _, event in queue[1:]}
        # Batches and events that are history.
        self.kept = {member.partition(":")[0] for member in self.one("closed")}

    def _add(self, key, begin, kind, ttl, value):
        rest = key[len(begin):] if key.startswith(begin) else ""
        family, _, name = rest.partition(":")
        wanted = SINGLE.get(rest) or (NAMED.get(family) if name else None)
        if wanted is None:
            self.problems.append(f"K1 unknown key {key}")
            return
        if wanted != kind:
            self.problems.append(f"K1 {key} is a {kind}")
            return
        if kind == "hash":
            value = dict(zip(value[::2], value[1::2]))
        elif kind == "zset":
            value = {member: float(score) for member, score in zip(value[::2], value[1::2])}
        if kind in ("hash", "zset") and rest.partition(":")[0] not in RAW:
            value = {member.decode(errors="replace"): rest for member, rest in value.items()}
        self.ttl[rest] = ttl
        if rest in SINGLE:
            self.single[rest] = value
        else:
            self.named[family][name] = value

    def all(self, family):
        """name -> value of all keys `<prefix>:{0}:<family>:<name>`."""
        return self.named[family]

    def one(self, name):
        return self.single.get(name, {})

    def _batch(self, name, blob):
        try:
            return read_batch(name, blob)
        except FormatError as error:
            self.problems.append(f"J3 batch {name} cannot be read: {error}")
            return []

    def _member(self, member):
        try:
            return member_of(member)
        except ValueError:
            self.problems.append(f"J1 a journal has {member!r}")
            return member, 0

    def _queues(self, endpoint, members):
        queues = defaultdict(list)
        for member in members:
            try:
                key, sequence, event, _ = read_ordered(member)
                queues[key].append((sequence, event))
            except FormatError as error:
                self.problems.append(f"O1 ord:{endpoint} has {member!r}: {error}")
        return {key: sorted(queue) for key, queue in queues.items()}

    def progress(self, batch):
        """The ordinals of an open batch that are finished or moved."""
        count = self.delivery_count(batch)
        return {ordinal for ordinal in bits(self.all("progress").get(batch)) if ordinal < count}

    def refused(self, batch):
        """The places of the refused ones among the events of an open batch."""
        count = self.delivery_count(batch)
        return {bit - count for bit in bits(self.all("progress").get(batch)) if bit >= count}

    def parts(self, batch):
        """The parts that an open batch began with."""
        return {part for event in self.batches[batch] for part in event.parts} or {0}

    def outcome(self, batch, ordinal):
        data = self.all("outcome").get(batch, b"")
        at = ordinal * OUTCOME_BYTES
        return read_outcome(data[at:at + OUTCOME_BYTES].ljust(OUTCOME_BYTES, b"\0"))

    def delivery_count(self, batch):
        return sum(len(event.targets) for event in self.batches.get(batch, ()))


# ---- batches ---------------------------------------------------------------------------------------

def _journals(snapshot, say):
    counts = Counter(member for journal in snapshot.journals.values() for member in journal)
    for member, count in counts.items():
        if count > 1:
            say(f"J1 batch {member} is in {count} journals")
    for owner in snapshot.journals:
        if owner not in snapshot.one("journals"):
            say(f"J2 {owner} has a journal and is not in `journals`")
    for owner in snapshot.one("replicas"):
        if owner not in snapshot.one("journals"):
            say(f"J2 {owner} has a lease and is not in `journals`")
    for batch, parts in snapshot.opened.items():
        owners = " and ".join(sorted({snapshot.owner[member_name(batch, part)] for part in parts}))
        if batch not in snapshot.batches:
            say(f"J3 batch {batch} of {owners}'s journal has no blob")
        elif snapshot.ttl[f"batch:{batch}"] != -1:
            say(f"J3 batch {batch} of {owners}'s journal is going to expire")
        elif snapshot.batches[batch] and parts - snapshot.parts(batch):
            say(f"J1 batch {batch} has no part {parts - snapshot.parts(batch)}")


def _open(snapshot, say):
    for batch, count in snapshot.all("open").items():
        if batch not in snapshot.opened:
            say(f"J10 batch {batch} is not open and has {count.decode()} open parts")
        if snapshot.ttl[f"open:{batch}"] != -1:
            say(f"J10 the number of open parts of batch {batch} is going to expire")
    for batch, parts in snapshot.opened.items():
        if not snapshot.batches.get(batch):
            continue
        several, count = len(snapshot.parts(batch)) > 1, snapshot.all("open").get(batch)
        if several != (count is not None):
            say(f"J10 batch {batch} began with {len(snapshot.parts(batch))} parts and says {count}")
        elif several and int(count) != len(parts):
            say(f"J10 batch {batch} has {len(parts)} parts in journals and says {count.decode()}")


def _closed(snapshot, say):
    closed, single = {}, {}
    for member, score in snapshot.one("closed").items():
        batch, _, size = member.partition(":")
        if batch.startswith("msg_"):
            if batch in single:
                say(f"J6 {batch} is listed twice: {member}")
            if batch not in snapshot.all("event") and score > snapshot.now_ms + SLACK_MS:
                say(f"J6 {batch} was history and is lost before its time")
            single[batch] = int(size)
            continue
        if batch in closed:
            say(f"J6 batch {batch} is closed twice: {member}")
        if batch in snapshot.opened:
            part = min(snapshot.opened[batch])
            say(f"J6 closed batch {batch} is in {snapshot.owner[member_name(batch, part)]}'s journal")
        if batch not in snapshot.batches and score > snapshot.now_ms + SLACK_MS:
            say(f"J6 closed batch {batch} has lost its blob before its time")
        closed[batch] = int(size) if size.isdigit() else say(f"J7 closed has {member!r}") or 0
    total = sum(closed.values()) + sum(single.values())
    counted = int(snapshot.one("closed:bytes") or 0)
    if total != counted:
        say(f"J7 closed:bytes is {counted}, its members' sum is {total}")
    for batch in snapshot.batches:
        ttl = snapshot.ttl[f"batch:{batch}"]
        if ttl == -1 and batch not in snapshot.opened:
            say(f"J4 batch {batch} has no expiry and is in no journal")
        elif ttl >= 0 and batch not in closed and ttl > ORPHAN_MS:
            say(f"J5 batch {batch} is neither open nor closed and stays for {ttl} ms")
        elif ttl > SLACK_MS and batch in closed and batch not in snapshot.all("outcome"):
            say(f"J5 closed batch {batch} has no outcomes")


def _progress(snapshot, say):
    for batch, bitmap in snapshot.all("progress").items():
        if batch not in snapshot.opened:
            say(f"J8 progress of batch {batch}, which is in no journal")
        elif batch in snapshot.batches:
            most = snapshot.delivery_count(batch) + len(snapshot.batches[batch])
            beyond = [o for o in bits(bitmap) if o >= most]
            if beyond:
                say(f"J8 progress of batch {batch} has ordinal {beyond[0]}")
        if snapshot.ttl[f"progress:{batch}"] != -1:
            say(f"J8 progress of batch {batch} is going to expire")


def _outcomes(snapshot, say):
    for batch, data in snapshot.all("outcome").items():
        if snapshot.ttl[f"outcome:{batch}"] == -1 and batch not in snapshot.opened:
            say(f"J9 outcomes of batch {batch}, which is not open, stay for ever")
        if data == TOMBSTONE and batch not in snapshot.opened:
            continue
        if len(data) % OUTCOME_BYTES:
            say(f"J9 outcomes of batch {batch} are {len(data)} bytes")
        elif batch in snapshot.batches:
            if len(data) > max(snapshot.delivery_count(batch), 1) * OUTCOME_BYTES:
                say(f"J9 outcomes of batch {batch} go beyond its deliveries")
            try:
                for at in range(0, len(data), OUTCOME_BYTES):
                    read_outcome(data[at:at + OUTCOME_BYTES])
            except FormatError as error:
                say(f"J9 outcomes of batch {batch}: {error}")


# ---- deliveries ------------------------------------------------------------------------------------

def _state(snapshot, event, endpoint, data, say):
    due = event in snapshot.all("due").get(endpoint, {})
    dead = event in snapshot.all("dead").get(endpoint, {})
    follows = (event, endpoint) in snapshot.followers
    if due + dead + follows != 1:
        where = " and ".join(name for name, is_there in (("due", due), ("dead", dead), ("in line", follows))
                             if is_there)
        say(f"D2 {event} for {endpoint} is {'both ' + where if where else 'neither due nor dead'}")
    try:
        state = read_state(data)
    except FormatError as error:
        say(f"D2 {event} for {endpoint}: {error}")
        return
    if state["dead"] != dead:
        say(f"D2 {event} for {endpoint} is {'dead' if dead else 'due'} and its state denies it")
    batch, index = batch_of(event)
    if batch not in snapshot.batches:
        return
    if index >= len(snapshot.batches[batch]):
        say(f"D2 {event} is not in its batch {batch}")
        return
    stored = snapshot.batches[batch][index]
    ordinal = state["ordinal"] - stored.first_ordinal
    if state["ordinal"] == ORDINAL_NONE:
        if endpoint in stored.targets and batch not in snapshot.opened:
            say(f"D2 {event} for {endpoint} has no ordinal, and its batch has")
    elif stored.id != event or not 0 <= ordinal < len(stored.targets):
        say(f"D2 {event} for {endpoint} has ordinal {state['ordinal']}")
    elif stored.targets[ordinal] != endpoint:
        say(f"D2 {event} for {endpoint} has the ordinal of {stored.targets[ordinal]}")
    elif batch in snapshot.opened and state["ordinal"] not in snapshot.progress(batch):
        say(f"D3 {event} for {endpoint} was moved and has no progress bit")


def _event(snapshot, event, fields, waiting, say):
    finals = [name for name in fields if name.startswith("=ep_")]
    ttl, expected = snapshot.ttl[f"event:{event}"], {"e", "f", "b", *waiting, *finals}
    try:
        if "e" in fields:
            read_record(unpack(fields["e"]))
        for name in finals:
            read_final(fields[name])
    except FormatError as error:
        say(f"D1 {event}: {error}")
    if set(fields) - expected:
        say(f"D1 {event} has fields {set(fields) - expected}")
    if int(fields.get("f", 0)) != len(finals):
        say(f"D1 {event} has {len(finals)} finished deliveries and says {fields.get('f')}")
    if waiting:
        if "e" not in fields:
            say(f"D1 {event} has no record")
        if ttl != -1:
            say(f"D1 {event} is going to expire")
    elif not finals:
        say(f"D1 {event} is kept and nobody waits for it")
    elif ttl == -1:
        say(f"D1 {event} is history and stays for ever")
    elif event not in snapshot.kept:
        say(f"D1 {event} is history and not in `closed`")


def _events(snapshot, say):
    for event, fields in snapshot.all("event").items():
        waiting = [name for name in fields if name.startswith("ep_")]
        _event(snapshot, event, fields, waiting, say)
        for endpoint in waiting:
            _state(snapshot, event, endpoint, fields[endpoint], say)
    for family in ("due", "dead"):
        for endpoint, entries in snapshot.all(family).items():
            for event in entries:
                if endpoint not in snapshot.all("event").get(event, {}):
                    say(f"D2 {event} in {family}:{endpoint} has no state")


def _queues(snapshot, say):
    last = int(snapshot.one("sequence") or 0)
    for endpoint, queues in snapshot.queues.items():
        times = Counter(event for queue in queues.values() for _, event in queue)
        for event in (event for event, count in times.items() if count > 1):
            say(f"O1 {event} is in ord:{endpoint} {times[event]} times")
        waits = {**snapshot.all("due").get(endpoint, {}), **snapshot.all("dead").get(endpoint, {})}
        for key, queue in queues.items():
            if queue[0][1] not in waits:
                say(f"O2 {queue[0][1]} for {endpoint} is the head of {key.hex()} and not due")
            if queue[-1][0] > last:
                say(f"O3 {queue[-1][1]} for {endpoint} has place {queue[-1][0]} of {last}")
            for place, event in queue:
                state = snapshot.all("event").get(event, {}).get(endpoint, b"")
                if not state.endswith(key):
                    say(f"O1 {event} for {endpoint} has place {place} in {key.hex()} and denies it")


def _lanes(snapshot, say):
    due, lanes = snapshot.all("due"), snapshot.all("lane")
    for endpoint, entries in due.items():
        score = lanes.get(str(lane_of(endpoint)), {}).get(endpoint)
        if score is None:
            say(f"D4 {endpoint} has {len(entries)} due and is not in its lane {lane_of(endpoint)}")
        elif score > min(entries.values()):
            say(f"D4 {endpoint} is {score - min(entries.values()):g} ms too late in its lane")
    for lane, endpoints in lanes.items():
        if not lane.isdigit() or int(lane) >= LANES:
            say(f"D5 there is a lane {lane}")
        for endpoint in endpoints:
            if str(lane_of(endpoint)) != lane:
                say(f"D5 {endpoint} is in lane {lane} instead of {lane_of(endpoint)}")
            if endpoint not in due:
                say(f"D5 {endpoint} is in lane {lane} and has nothing due")


def _owners(snapshot, say):
    lanes, replicas = snapshot.one("lanes"), snapshot.one("replicas")
    for lane, owner in lanes.items():
        if not lane.isdigit() or int(lane) >= LANES:
            say(f"L1 there is a lane {lane}")
        elif owner.decode() not in replicas:
            say(f"L1 lane {lane} is owned by {owner.decode()}, who has no lease")
    for lane in snapshot.one("handover"):
        if not lane.isdigit() or int(lane) >= LANES:
            say(f"L2 a lane {lane} was handed over")
    for name in snapshot.one("replicas:info"):
        if name not in replicas:
            say(f"L3 {name} is described and has no lease")


def _endpoints(snapshot, say, attempts_kept, documents):
    listed, there = set(snapshot.one("dead")), set(snapshot.all("dead"))
    for endpoint in listed - there:
        say(f"D6 {endpoint} is listed in `dead` and has no dead letters")
    for endpoint in there - listed:
        say(f"D6 {endpoint} has dead letters and is not listed in `dead`")
    for family in ("due", "dead", "ord", "attempts") if documents else ():
        for endpoint in snapshot.all(family):
            if endpoint not in snapshot.one("config:endpoints"):
                say(f"D7 {family}:{endpoint} is of an endpoint that is gone")
    for endpoint, record in snapshot.one("health").items():
        if documents and endpoint not in snapshot.one("config:endpoints"):
            say(f"D7 health of {endpoint}, which is gone")
        if not isinstance(_json(record), dict):
            say(f"D7 health of {endpoint} is {record!r:.80}")
    for endpoint, attempts in snapshot.all("attempts").items():
        if attempts_kept is not None and len(attempts) > attempts_kept:
            say(f"D8 {endpoint} has {len(attempts)} attempts listed, not {attempts_kept}")


def _json(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def _keys(snapshot, say):
    for index, entry_bytes in ENTRY_BYTES.items():
        entries, answers, lists = (snapshot.one(index + name) for name in ("", ":ids", ":batches"))
        batches = {entry for entry in entries if len(entry) == entry_bytes}
        for batch in batches ^ lists.keys():
            has, lacks = (index, f"{index}:batches") if batch in batches else (f"{index}:batches", index)
            say(f"K2 {batch.hex()} is in {has} and not in {lacks}")
        for member, answer in answers.items():
            keys = lists.get(answer[:entry_bytes], b"")
            if member not in entries and member not in (keys[at:at + KEY_BYTES] for at
                                                        in range(0, len(keys), KEY_BYTES)):
                say(f"K2 {member.hex()} is in {index}:ids and nothing of it in {index}")


def _jobs(snapshot, say):
    listed, there = snapshot.one("jobs"), snapshot.all("job")
    for job, expiry in listed.items():
        if job not in there and expiry > snapshot.now_ms + SLACK_MS:
            say(f"K3 {job} is listed and is gone before its time")
    for job, fields in there.items():
        status, ttl = fields.get("status", b"").decode(), snapshot.ttl[f"job:{job}"]
        if job not in listed:
            say(f"K3 {job} is not listed")
        elif status in ("queued", "running"):
            if listed[job] != float("inf") or ttl != -1 or not fields.get("owner"):
                say(f"K3 {job} is {status}, and its expiry is {listed[job]:g} ({ttl} ms)")
        elif status not in ("done", "failed", "cancelled"):
            say(f"K3 {job} is {status!r}")
        elif ttl < 0 or abs(snapshot.now_ms + ttl - listed[job]) > SLACK_MS:
            say(f"K3 {job} is {status} and expires in {ttl} ms, listed at {listed[job]:g}")


def _config(snapshot, say):
    config, changes = snapshot.one("config"), snapshot.one("config:changes")
    version, floor = (int(config.get(name, 0)) for name in ("version", "floor"))
    for endpoint, change in changes.items():
        if not floor < change <= version:
            say(f"K4 {endpoint} was changed in version {change:g}, not of {floor}..{version}")
    for change, count in Counter(changes.values()).items():
        if count > 1:
            say(f"K4 {count} endpoints were changed in version {change:g}")


def _feeds(snapshot, say):
    streams = {**{f"feed:{name}": entries for name, entries in snapshot.all("feed").items()},
               **{name: snapshot.one(name) for name in ("feed", "feed:rejected")}}
    for name, entries in streams.items():
        if not name.endswith(":rejected"):
            continue
        originals = Counter()
        for entry, fields in entries or ():
            if fields[0:8:2] != [b"id", b"reason", b"message", b"field"]:
                say(f"K5 {name} has {entry} with the fields {fields[0:8:2]}")
            originals[fields[1]] += 1
        waiting = {entry for entry, _ in streams.get(name.removesuffix(":rejected")) or ()}
        for entry, count in originals.items():
            if count > 1 or entry in waiting:
                say(f"K5 {entry} is {count} times in {name}" + " and in the feed" * (entry in waiting))


# ---- the whole -------------------------------------------------------------------------------------

def deliveries(snapshot):
    """(event, endpoint) -> "open" (its part is in a journal), "waiting", "dead", an outcome's name, or "none".

    Of the batches whose blob is there, and else what the hashes of events say: without a batch, or of
    endpoints that it does not know. "none": the batch is closed and nothing is known.
    """
    found = {}
    for batch, events in snapshot.batches.items():
        if (batch not in snapshot.opened and snapshot.ttl[f"batch:{batch}"] >= 0
                and batch not in snapshot.kept):
            continue  # an orphan: never accepted
        opened, done = snapshot.opened.get(batch, ()), snapshot.progress(batch)
        for event in events:
            for place, endpoint in enumerate(event.targets):
                ordinal = event.first_ordinal + place
                if endpoint in snapshot.all("event").get(event.id, {}):
                    found[event.id, endpoint] = _waits(snapshot, event.id, endpoint)
                elif event.parts[place] in opened and ordinal not in done:
                    found[event.id, endpoint] = "open"
                else:
                    found[event.id, endpoint] = snapshot.outcome(batch, ordinal)["status"]
    for event, fields in snapshot.all("event").items():
        for name, data in fields.items():
            endpoint = name.lstrip("=")
            if not endpoint.startswith("ep_") or (event, endpoint) in found:
                continue
            if endpoint in fields:
                found[event, endpoint] = _waits(snapshot, event, endpoint)
            else:
                found[event, endpoint] = read_final(data)["status"]
    return found


def _waits(snapshot, event, endpoint):
    return "dead" if event in snapshot.all("dead").get(endpoint, {}) else "waiting"


def problems(snapshot, attempts_kept=None, documents=True, idle=False, settled=False):
    """What is wrong, as sentences. documents=False: endpoints are not stored (D7)."""
    found = list(snapshot.problems)
    for part in (_journals, _open, _closed, _progress, _outcomes, _events, _queues, _lanes, _owners,
                 _keys, _jobs, _config, _feeds):
        part(snapshot, found.append)
    _endpoints(snapshot, found.append, attempts_kept, documents)
    if idle:
        found += [f"idle: batch {batch} is open, of {owner}" for batch, owner in snapshot.owner.items()]
    if settled:
        found += [f"settled: what became of {event} for {endpoint} is not known"
                  for (event, endpoint), state in deliveries(snapshot).items() if state == "none"]
    return found


def check(redis, prefix="tl", **options):
    """Raises Broken, or returns the snapshot. Give it a connection with time enough."""
    snapshot = Snapshot(redis, prefix)
    found = problems(snapshot, **options)
    if found:
        raise Broken(found)
    return snapshot
