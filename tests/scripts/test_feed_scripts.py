"""Entries of feeds: publish.lua takes them out of their stream when their events are stored, and no event of
an entry that is not there is stored; feed_*.lua."""

import random

import pytest
from harness import RedisError, wait_until
from harness.formats import read_ordered
from harness.invariants import Snapshot, check
from store import Batch, Ordered, Store, endpoint_ids, member

ONE, TWO = endpoint_ids(2)


def add(store, count=1, ids=None, stream="feed"):
    return [store.redis.call("XADD", store.key(stream), ids[n] if ids else "*", "e", n).decode()
            for n in range(count)]


def left(store, stream="feed"):
    return [entry.decode() for entry, _ in store.redis.call("XRANGE", store.key(stream), "-", "+")]


def rows(*runs):
    """Events are counted through."""
    numbers = iter(range(1000))
    return [[(entry, next(numbers)) for entry in run] for run in runs]


def refused(store, batch):
    return Snapshot(store.redis).refused(batch.name)


def commands(store, name):
    text = store.redis.call("INFO", "commandstats").decode()
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in text.split("\r\n")
               if line.startswith(f"cmdstat_{name}:"))


# ---- published -------------------------------------------------------------------------------------

def test_what_the_stream_begins_with_is_cut_off(a, redis):
    """One command for a whole row, and what is behind it stays."""
    entries = add(a, 8)
    batch = Batch(*[[ONE]] * 5)
    redis.call("CONFIG", "RESETSTAT")
    assert a.publish(batch, feeds=[batch.feed(rows(entries[:5]))]) == [b"ok", 0, b"0"]
    assert left(a) == entries[5:] and refused(a, batch) == set()
    assert commands(a, "xtrim") == 1 and commands(a, "xdel") == 0


@pytest.mark.parametrize("runs", [
    [slice(3, 6)],                   # the stream begins with others' entries
    [slice(0, 2), slice(4, 8)],      # two rows, and others' between them
    [slice(5, 6), slice(0, 1)]])     # not in order
def test_entries_in_the_middle_leave_alone(a, runs):
    entries = add(a, 8)
    mine = [entries[run] for run in runs]
    batch = Batch(*[[ONE]] * sum(map(len, mine)))
    assert a.publish(batch, feeds=[batch.feed(rows(*mine))]) == [b"ok", 0, b"0"]
    gone = sum(mine, [])
    assert left(a) == [entry for entry in entries if entry not in gone]
    assert refused(a, batch) == set()


def test_rows_that_follow_each_other_are_both_cut_off(a, redis):
    entries = add(a, 6)
    batch = Batch(*[[]] * 6)
    redis.call("CONFIG", "RESETSTAT")
    assert a.publish(batch, feeds=[batch.feed(rows(entries[:3], entries[3:]))])[0] == b"ok"
    assert left(a) == [] and commands(a, "xtrim") == 2 and commands(a, "xdel") == 0


def test_without_the_right_to_trim(a, redis):
    """What is stored must not be called refused, whatever the rights are."""
    entries = add(a, 3)
    batch = Batch(*[[ONE]] * 3)
    redis.call("ACL", "SETUSER", "default", "-xtrim")
    try:
        assert a.publish(batch, feeds=[batch.feed(rows(entries))]) == [b"ok", 0, b"0"]
    finally:
        redis.call("ACL", "SETUSER", "default", "+xtrim")
    assert left(a) == [] and refused(a, batch) == set()


@pytest.mark.parametrize("gone", [[0], [1], [4], [0, 1, 2, 3, 4], [2, 3]])
def test_entries_that_are_not_there_are_refused(a, redis, gone):
    """Others published or deleted them: nobody delivers their events, and the rest counts."""
    entries = add(a, 7)
    batch = Batch(*[[ONE, TWO]] * 5)
    redis.call("XDEL", a.key("feed"), *[entries[n] for n in gone])
    reply = a.publish(batch, feeds=[batch.feed(rows(entries[:5]))])
    assert reply == [b"ok", 0, b"0", [10 + n for n in gone]]
    assert left(a) == entries[5:]
    assert refused(a, batch) == set(gone)
    assert Snapshot(redis).progress(batch.name) == {2 * n + bit for n in gone for bit in (0, 1)}


def test_who_comes_second_publishes_nothing(a, b):
    entries = add(a, 4)
    first, second = Batch(*[[ONE]] * 4), Batch(*[[ONE]] * 4)
    assert a.publish(first, feeds=[first.feed(rows(entries))]) == [b"ok", 0, b"0"]
    assert b.publish(second, feeds=[second.feed(rows(entries))])[-1] == [4, 5, 6, 7]
    assert refused(a, second) == {0, 1, 2, 3} and refused(a, first) == set()


def test_a_stream_that_is_gone_or_something_else(a, redis):
    """Whoever deletes it deletes what is in it."""
    for value in (None, "text"):
        entries = add(a, 2)
        redis.call("DEL", a.key("feed"))
        if value:
            redis.call("SET", a.key("feed"), value)
        batch = Batch([ONE], [ONE], [TWO])
        assert a.publish(batch, feeds=[batch.feed(rows(entries))])[-1] == [3, 4]
        redis.call("DEL", a.key("feed"))


def test_ids_that_no_number_holds(a):
    """Producers may give entries ids of their own, of 64 bits each."""
    most = 2**64 - 1
    entries = add(a, 5, [f"9-{most - 1}", f"9-{most}", "10-1", f"{most}-9", f"{most}-{most}"])
    batch = Batch(*[[ONE]] * 5)
    second = Batch([ONE])
    assert a.publish(batch, feeds=[batch.feed(rows(entries[:2], entries[2:3], entries[3:4]))]) == \
        [b"ok", 0, b"0"]
    assert left(a) == entries[4:]
    assert a.publish(second, feeds=[second.feed(rows(entries[:1]))])[-1] == [1]


def test_a_repeated_call_answers_the_same(a, redis, dump):
    entries = add(a, 6)
    redis.call("XDEL", a.key("feed"), entries[2])
    batch = Batch(*[[ONE]] * 4)
    call = a.publish.later(batch, feeds=[batch.feed(rows(entries[:4]))])
    assert a.make(call) == [b"ok", 0, b"0", [6]]
    before = dump()
    for first in (False, True):
        assert a.make(call, first) == [b"ok", 0, b"0", [6]]
    assert dump() == before
    whole = Batch([ONE], [ONE])
    call = a.publish.later(whole, feeds=[whole.feed(rows(entries[4:]))])
    assert a.make(call) == a.make(call, False) == [b"ok", 0, b"0"]


def test_keys_and_entries(a):
    """An entry whose event is refused because of its key stays; the others of its row leave."""
    entries = add(a, 4)
    batch = Batch(*[[ONE]] * 4)
    claims = [batch.claim(0, "k"), batch.claim(2, "k")]
    reply = a.publish(batch, claims, feeds=[batch.feed(rows(entries))])
    assert reply[3] == 0 and reply[4].startswith(b"d") and len(reply) == 5
    assert left(a) == [entries[2]] and refused(a, batch) == {2}
    # Both at once: a known key, and an entry that is gone.
    again = Batch(*[[ONE]] * 3)
    more = add(a, 1)
    reply = a.publish(again, [again.claim(0, "k")], feeds=[again.feed(rows([entries[2]], [entries[1]], more))])
    assert reply[3].startswith(b"d") and reply[4] == [4]
    assert left(a) == [entries[2]]


@pytest.mark.parametrize("keys", [{"idem": "k"}, {"uid": "u"}, {"idem": "k", "uid": "u"}])
def test_an_event_whose_entry_is_gone_keeps_no_key(a, keys):
    """The producer's entry was lost in a failover, or rejected and requeued, while it was in hand. It comes
    once more, under another id: it is no duplicate of an event that nobody delivers."""
    lost, = add(a, 1)
    a.redis.call("XDEL", a.key("feed"), lost)
    first, second, third = Batch([ONE], [ONE]), Batch([ONE]), Batch([ONE])
    call = a.publish.later(first, [first.claim(0, **keys), first.claim(1, idem="other")],
                           feeds=[first.feed(rows([lost]))])
    assert a.make(call)[2:] == [b"0", 0, 0, [2]]
    assert a.make(call, False)[3:] == [b"f", 0]
    again, = add(a, 1)
    reply = a.publish(second, [second.claim(0, **keys)], feeds=[second.feed(rows([again]))])
    assert reply[3:] == [0] and left(a) == []
    assert a.publish(third, [third.claim(0, **keys)])[3][:1] in (b"d", b"u")
    check(a.redis, documents=False)


def test_nor_is_one_behind_it_a_duplicate(a):
    """Of the same batch: it is put off, and is new when it comes once more."""
    lost, again = add(a, 2)
    a.redis.call("XDEL", a.key("feed"), lost)
    batch, second = Batch([ONE], [TWO]), Batch([ONE])
    claims = [batch.claim(0, "k"), batch.claim(1, "k")]
    reply = a.publish(batch, claims, feeds=[batch.feed(rows([lost], [again]))])
    assert reply[3:] == [0, b"f", [2]] and left(a) == [again]
    assert refused(a, batch) == {0, 1}
    assert a.publish(second, [second.claim(0, "k")], feeds=[second.feed(rows([again]))])[3:] == [0]
    assert left(a) == []
    check(a.redis, documents=False)


def test_several_streams_and_parts(a, b):
    """Of one batch, part of which is another replica's."""
    one, two = add(a, 3), add(a, 3, stream="feed:x")
    from harness.formats import lane_of
    batch = Batch([ONE], [TWO], [ONE, TWO], [], [ONE], others={"b": {lane_of(TWO)}})
    a.redis.call("XDEL", a.key("feed:x"), two[1])
    feeds = [batch.feed([[(one[0], 0), (one[1], 2)]]), batch.feed([[(two[0], 1), (two[1], 3)]], "feed:x")]
    reply = a.publish(batch, feeds=feeds)
    assert reply[2:] == [b"0", [5 + 3]]
    assert left(a) == one[2:] and left(a, "feed:x") == two[2:]


@pytest.mark.parametrize("keyed", [False, True])
def test_ordered_deliveries_of_entries_that_are_gone(a, redis, keyed):
    """They join no queue, and neither do those of what this batch called their duplicates; the others do."""
    entries = add(a, 4)
    redis.call("XDEL", a.key("feed"), entries[0], entries[2])
    a.own(ONE)
    batch = Batch(*[[ONE]] * 4)
    claims = [batch.claim(n, "k") for n in (0, 1)] if keyed else []
    reply = a.publish(batch, claims, feeds=[batch.feed(rows(entries))],
                      ordered=[Ordered(n, member("key")) for n in range(4)])
    assert reply[3:] == ([0, b"f", [4, 6]] if keyed else [[4, 6]])
    queue = [read_ordered(one)[2] for one in redis.call("ZRANGE", a.key("ord", ONE), 0, -1)]
    assert queue == (batch.events[3:] if keyed else batch.events[1::2])
    assert redis.call("ZRANGE", a.key("due", ONE), 0, -1) == [queue[0].encode()]
    assert left(a) == (entries[1:2] if keyed else [])
    check(redis, documents=False)


@pytest.mark.parametrize("why", ["noblob", "journal_full", "stale", "oom"])
def test_when_nothing_is_stored_everything_stays(a, redis, why):
    entries = add(a, 3)
    redis.call("HSET", a.key("config"), "version", 5)
    batch = Batch(*[[ONE]] * 3)
    options = {"noblob": {"blob": False}, "journal_full": {"journal_max": 0},
               "stale": {"version": 4}, "oom": {}}[why]
    if why == "oom":
        redis.call("SET", a.key("batch", batch.name), batch.blob, "EX", 600)
        redis.call("CONFIG", "SET", "maxmemory", 1)
        options = {"blob": False}
        with pytest.raises(RedisError, match="OOM"):
            a.publish(batch, feeds=[batch.feed(rows(entries))], **options)
        redis.call("CONFIG", "SET", "maxmemory", 0)
        redis.call("UNLINK", a.key("batch", batch.name))
    else:
        assert a.publish(batch, feeds=[batch.feed(rows(entries))], **options)[0] == why.encode()
    assert left(a) == entries


@pytest.mark.parametrize("seed", range(30))
def test_many_hands(redis, seed):
    """Entries are read again and again by several replicas, deleted, trimmed, and published in any order:
    each is published once, unless it was deleted."""
    rng = random.Random(seed)
    stores = [Store(redis, name) for name in "abc"]
    for store in stores:
        store.heartbeat()
    added, deleted, published, hands = [], set(), [], []
    for _ in range(60):
        what = rng.random()
        if what < 0.35:
            added += add(stores[0], rng.randint(1, 8))
        elif what < 0.7 and added:
            start = rng.randrange(len(added)) if rng.random() < 0.5 else 0
            reply = redis.call("XRANGE", "tl:{0}:feed", added[start], "+", "COUNT", rng.randint(1, 9))
            hands.append([entry.decode() for entry, _ in reply])
        elif what < 0.73 and left(stores[0]):
            deleted.add(rng.choice(left(stores[0])))
            redis.call("XDEL", "tl:{0}:feed", *deleted)
        elif hands:
            some = [hand for hand in (hands.pop(rng.randrange(len(hands)))
                                      for _ in range(min(len(hands), rng.randint(1, 3)))) if hand]
            known, runs = set(), []
            for hand in some: # an entry is in a batch once
                if not known & set(hand):
                    known.update(hand)
                    runs.append(hand)
            if not runs:
                continue
            batch = Batch(*[[ONE]] * len(known))
            call = rng.choice(stores).publish.later(batch, feeds=[batch.feed(rows(*runs))])
            reply = stores[0].make(call)
            taken = {bit - len(known) for bit in (reply[3] if len(reply) > 3 else ())}
            assert rng.random() < 0.5 or stores[0].make(call, False) == reply
            published += [entry for n, entry in enumerate(sum(runs, [])) if n not in taken]
    assert len(published) == len(set(published)), "published twice"
    assert set(published) | set(left(stores[0])) | deleted == set(added), "nothing is lost"
    assert not set(published) & set(left(stores[0]))
    check(redis, documents=False)


# ---- looked at -------------------------------------------------------------------------------------

def test_a_look_makes_the_group(a, redis):
    """At the beginning of what is there, and a stream when there is none."""
    _, *rest = a.feed_look()
    assert rest == [0, 0, b"0-0", b"", 0]
    entries = add(a, 3)
    redis.call("XGROUP", "DESTROY", a.key("feed"), "trotline")
    assert a.feed_look()[1:] == [3, 3, b"0-0", entries[0].encode(), 0]
    reply = redis.call("XREADGROUP", "GROUP", "trotline", "trotline", "COUNT", 2, "NOACK", "STREAMS",
                       a.key("feed"), ">")
    assert [entry.decode() for entry, _ in reply[0][1]] == entries[:2]
    assert a.feed_look()[1:] == [3, 1, entries[1].encode(), entries[0].encode(), 0]


def test_what_others_left_pending_is_cleared_up(a, redis):
    """Somebody else's consumer read two entries and acknowledged none; one of them was published."""
    a.feed_look()
    entries = add(a, 2)
    redis.call("XREADGROUP", "GROUP", "trotline", "somebody", "STREAMS", a.key("feed"), ">")
    batch = Batch([ONE])
    a.publish(batch, feeds=[batch.feed(rows(entries[:1]))])

    def pending():
        a.feed_look(idle=1)
        return redis.call("XPENDING", a.key("feed"), "trotline")[0]
    wait_until(lambda: pending() == 1, 5, "the published one to be pending no more")
    batch = Batch([ONE])
    a.publish(batch, feeds=[batch.feed(rows(entries[1:]))])
    wait_until(lambda: pending() == 0, 5, "none to be pending")


# ---- rejected --------------------------------------------------------------------------------------

def test_a_rejected_entry_keeps_its_fields(a, redis):
    fields = [b"e", b"\x00\xff{", b"e", b"twice", b"id", b"mine"]
    entry = redis.call("XADD", a.key("feed"), "7-7", *fields).decode()
    call = a.feed_reject.later(entry, reason="unknown_field", message="Why.", field="id")
    assert a.make(call) == 1 and a.make(call) == 0
    (_, words), = redis.call("XRANGE", a.key("feed:rejected"), "-", "+")
    assert words == [b"id", b"7-7", b"reason", b"unknown_field", b"message", b"Why.", b"field", b"id",
                     *fields]
    assert left(a) == []
    name = left(a, "feed:rejected")[0]
    assert a.feed_requeue(name, name, "1-1") == 1
    (_, words), = redis.call("XRANGE", a.key("feed"), "-", "+")
    assert words == fields and left(a, "feed:rejected") == []


def test_the_first_one_behind_an_entry_is_rejected_if_it_is_large(a, redis):
    entries = add(a, 2)
    large = redis.call("XADD", a.key("feed"), "*", "e", "x" * 1000).decode()
    assert a.feed_reject(f"({entries[0]}", large, bytes_min=500) == 0
    assert a.feed_reject(f"({entries[1]}", large, bytes_min=500) == 1
    assert left(a) == entries


def test_rejected_entries_are_trimmed_only_if_asked(a):
    for entry in add(a, 5):
        a.feed_reject(entry)
    assert len(left(a, "feed:rejected")) == 5
    entry, = add(a)
    a.feed_reject(entry, most=3)
    assert len(left(a, "feed:rejected")) == 3


def test_an_entry_with_very_many_fields(a, redis):
    """More than Lua can hand on are cut; the entry does not stay for ever."""
    entry = redis.call("XADD", a.key("feed"), "*", *["f"] * 9000).decode()
    assert a.feed_reject(entry) == 1
    (_, words), = redis.call("XRANGE", a.key("feed:rejected"), "-", "+")
    assert len(words) == 8 + 7000 and left(a) == []
    assert a.feed_requeue(left(a, "feed:rejected")[0]) == 1


def test_without_memory_nothing_is_rejected(a, redis):
    entry, = add(a)
    redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(RedisError, match="OOM"):
        a.feed_reject(entry)
    redis.call("CONFIG", "SET", "maxmemory", 0)
    assert left(a) == [entry] and left(a, "feed:rejected") == []
