"""progress, close, trim, adopt, heartbeat and bury: a batch from its journal into history."""

import pytest
from harness.formats import lane_of, pack_log, pack_outcome
from harness.invariants import Snapshot, check, deliveries
from store import MEMBERS, MOVED, Batch, Store, endpoint_ids

ONE, TWO = endpoint_ids(2)
SENT, CANCELLED = pack_outcome("sent", at_ms=1_760_000_000_000), pack_outcome("cancelled")


def opened(store, *targets):
    batch = Batch(*targets or [[ONE]])
    assert store.publish(batch)[0] == b"ok"
    return batch


def twice(store, call, dump):
    """Makes the call twice; the second changes nothing. Both answers, without the time."""
    first = store.make(call)
    before = dump()
    second = store.make(call)
    assert dump() == before
    return first, second


# ---- progress --------------------------------------------------------------------------------------

def test_progress_marks_ordinals(a, dump):
    batch = opened(a, [ONE] * 20)
    first, second = twice(a, a.progress.later(batch.name, 0, 7, 19), dump)
    assert first[0] == second[0] == b"ok"
    assert Snapshot(a.redis).progress(batch.name) == {0, 7, 19}


def test_progress_is_for_batches_of_my_journal(a, b, dump):
    batch = opened(a)
    before = dump()
    assert b.progress(batch.name, 0)[0] == b"gone"
    a.close(batch.name)
    after = dump()
    assert a.progress(batch.name, 0)[0] == b"gone"
    assert dump() == after != before


# ---- close -----------------------------------------------------------------------------------------

def test_a_closed_batch_is_history_with_its_outcomes(a, redis, dump):
    batch = opened(a, [ONE, TWO], [ONE, TWO])
    a.progress(batch.name, 0)
    call = a.close.later((batch.name, {0: SENT, 1: SENT, 3: CANCELLED}, len(batch.blob)), keep=5000)
    (now, size, count), second = twice(a, call, dump)
    assert count == 1 and second[1:] == [size, 0]
    assert size == len(batch.blob) + 4 * 12
    assert redis.call("ZRANGE", a.key("closed"), 0, -1, "WITHSCORES") == [
        f"{batch.name}:{size}".encode(), str(now + 5000).encode()]
    snapshot = Snapshot(redis)
    assert not snapshot.all("progress") and not snapshot.all("journal")
    assert [snapshot.outcome(batch.name, n)["status"] for n in range(4)] == [
        "sent", "sent", "none", "cancelled"]
    for family in ("batch", "outcome"):
        assert 0 < snapshot.ttl[f"{family}:{batch.name}"] <= 5000


def test_without_history_nothing_is_left(a, redis):
    batch = opened(a)
    a.progress(batch.name, 0)
    assert a.close((batch.name, {0: SENT}, len(batch.blob)), keep=0)[1:] == [0, 1]
    assert sorted(Snapshot(redis).ttl) == MEMBERS


def test_outcomes_settled_before_the_close_stay(a, redis):
    batch = opened(a, [ONE, TWO])
    a.move(batch.events[0], TWO, 1)
    lease = a.lease(TWO)[1]
    a.settle(batch.events[0], TWO, lease, ordinal=1, outcome=CANCELLED)
    assert redis.call("PTTL", a.key("outcome", batch.name)) == -1, "as long as the batch is open"
    check(redis, documents=False)
    a.close((batch.name, {0: SENT}))
    assert set(deliveries(Snapshot(redis)).values()) == {"sent", "cancelled"}


def test_a_batch_of_moved_deliveries_has_outcomes_when_closed(a, redis):
    batch = opened(a)
    a.move(batch.events[0], ONE, 0)
    a.close(batch.name, keep=5000)
    lease = a.lease(ONE)[1]
    a.settle(batch.events[0], ONE, lease, outcome=SENT)
    snapshot = Snapshot(redis)
    assert deliveries(snapshot) == {(batch.events[0], ONE): "sent"}
    assert 0 < snapshot.ttl[f"outcome:{batch.name}"] <= 5000


def test_a_batch_without_deliveries(a):
    batch = opened(a, [])
    assert a.close((batch.name, {}, len(batch.blob), 0))[1:] == [len(batch.blob) + 12, 1]


def test_many_batches_are_closed_at_once(a, b, redis, dump):
    """All finished, some moved, nothing in it, not mine (any more): each as if it were alone."""
    whole, partly, empty = opened(a, [ONE, TWO]), opened(a, [ONE] * 3), opened(a, [])
    foreign = opened(b, [ONE])
    a.move(partly.events[0], ONE, 1)
    call = a.close.later((whole.name, {0: SENT, 1: CANCELLED}, len(whole.blob), 2),
                         (foreign.name, {0: SENT}, len(foreign.blob), 1),
                         (partly.name, {0: SENT, 2: SENT}, len(partly.blob), 3),
                         (empty.name, {}, len(empty.blob), 0))
    (_, size, count), second = twice(a, call, dump)
    assert count == 3 and second[1:] == [size, 0]
    assert size == sum(len(batch.blob) for batch in (whole, partly, empty)) + (2 + 3 + 1) * 12
    snapshot = Snapshot(redis)
    assert snapshot.owner == {foreign.name: "b"}
    assert [snapshot.outcome(whole.name, n)["status"] for n in range(2)] == ["sent", "cancelled"]
    assert [snapshot.outcome(partly.name, n)["status"] for n in range(3)] == ["sent", "none", "sent"]
    check(redis, documents=False)


def test_a_batch_that_is_named_twice_is_closed_once(a, redis):
    """It went to another replica and came back while this one still had it in memory."""
    batch = opened(a, [ONE, TWO])
    size = len(batch.blob)
    assert a.close((batch.name, {0: SENT, 1: SENT}, size, 2),
                   (batch.name, {1: CANCELLED}, size, 2))[1:] == [size + 24, 1]
    check(redis, documents=False)


def test_only_the_owner_closes(a, b, dump):
    batch = opened(a)
    before = dump()
    assert b.close((batch.name, {0: SENT}))[2] == 0
    assert dump() == before


def test_the_bytes_of_all_closed_batches_add_up(a):
    total = 0
    for count in range(1, 6):
        batch = opened(a, [ONE] * count)
        total += len(batch.blob) + 12 * count
        outcomes = {n: SENT for n in range(count)}
        assert a.close((batch.name, outcomes, len(batch.blob), count))[1] == total


def test_a_batch_of_moved_deliveries_is_dropped(a, redis, dump):
    """Each event has a hash of its own; the blob would be a second copy."""
    batch = opened(a, [ONE], [ONE, TWO])
    for ordinal, (event, endpoint) in enumerate(batch.deliveries):
        a.move(event, endpoint, ordinal, "dead" if endpoint == TWO else "in")
    call = a.close.later((batch.name, MOVED, len(batch.blob), 3))
    assert [reply[1:] for reply in twice(a, call, dump)] == [[0, 1], [0, 0]]
    snapshot = check(redis, documents=False)
    assert not any(snapshot.all(family) for family in ("batch", "outcome", "progress", "journal"))
    assert sorted(deliveries(snapshot).values()) == ["dead", "waiting", "waiting"]


@pytest.mark.parametrize("why", ["settled", "pending", "foreign"])
def test_a_batch_is_dropped_only_if_redis_says_the_same(a, b, redis, why):
    batch = opened(a, [ONE, TWO])
    event, = batch.events
    a.move(event, ONE, 0)
    if why != "pending":  # else the other was taken from another object of the same batch
        a.move(event, TWO, 1)
    if why == "settled":
        a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT)
    store = b if why == "foreign" else a
    closed_now = store.close((batch.name, MOVED, len(batch.blob), 2))[2]
    snapshot = check(redis, documents=False)
    assert closed_now == (why != "foreign") and batch.name in snapshot.batches
    expected = {"settled": {"sent", "waiting"}, "pending": {"waiting", "none"}, "foreign": {"waiting"}}
    assert set(deliveries(snapshot).values()) == expected[why]


def test_a_dropped_batch_without_history(a, redis):
    batch = opened(a)
    a.move(batch.events[0], ONE, 0)
    a.close((batch.name, MOVED, len(batch.blob), 1), keep=0)
    a.settle(batch.events[0], ONE, a.lease(ONE)[1], outcome=SENT, log=pack_log(1), keep=0)
    assert sorted(Snapshot(redis).ttl) == MEMBERS


# ---- parts -----------------------------------------------------------------------------------------

def in_parts(store, *targets):
    """A batch whose deliveries for TWO are b's."""
    batch = Batch(*targets, others={"b": [lane_of(TWO)]})
    assert store.publish(batch)[0] == b"ok"
    return batch


@pytest.mark.parametrize("first", ["a", "b"])
def test_the_last_part_ends_the_batch(a, b, redis, dump, first):
    batch = in_parts(a, [ONE, TWO], [TWO])
    size, member = len(batch.blob), batch.member(1)
    calls = {"a": (a, a.close.later((batch.name, {0: SENT}, size, 3, "sp"), keep=5000)),
             "b": (b, b.close.later((member, {1: SENT, 2: CANCELLED}, size, 3, "p"), keep=5000))}
    store, call = calls.pop(first)
    assert [reply[1:] for reply in twice(store, call, dump)] == [[0, 0]] * 2
    snapshot = check(redis, documents=False)
    assert snapshot.all("open")[batch.name] == b"1" and not snapshot.one("closed")
    assert snapshot.ttl[f"outcome:{batch.name}"] == snapshot.ttl[f"batch:{batch.name}"] == -1
    states = deliveries(snapshot)
    assert states[batch.events[0], ONE] == ("sent" if first == "a" else "open")
    assert states[batch.events[0], TWO] == ("open" if first == "a" else "sent")
    (store, call), = calls.values()
    bytes_ = size + 3 * 12
    assert [reply[1:] for reply in twice(store, call, dump)] == [[bytes_, 1], [bytes_, 0]]
    snapshot = check(redis, documents=False, idle=True, settled=True)
    assert sorted(deliveries(snapshot).values()) == ["cancelled", "sent", "sent"]
    assert not any(snapshot.all(family) for family in ("open", "progress", "journal"))
    assert 0 < snapshot.ttl[f"outcome:{batch.name}"] <= 5000


def test_parts_of_one_batch_are_closed_by_one_call(a, redis):
    """The other's fell to me."""
    redis.call("ZREM", a.key("replicas"), "b")
    batch = in_parts(a, [ONE, TWO])
    size = len(batch.blob)
    assert a.close((batch.name, {0: SENT}, size, 2, "sp"),
                   (batch.member(1), {1: SENT}, size, 2, "p"))[1:] == [size + 24, 1]
    assert set(deliveries(check(redis, documents=False, idle=True)).values()) == {"sent"}


def test_each_part_is_moved_marked_and_adopted_by_itself(a, b, redis):
    batch = in_parts(a, [ONE, TWO], [TWO])
    event, member = batch.events[0], batch.member(1)
    assert b.move(event, TWO, 1)[0] == b"gone", "part 0 is not b's"
    assert b.progress(batch.name, 0)[0] == a.progress(member, 1)[0] == b"gone"
    assert b.move(event, TWO, 1, part=1)[0] == a.progress(batch.name, 0)[0] == b"ok"
    b.heartbeat(lease=0)
    assert a.adopt(member, "b") == b"ok"
    assert Snapshot(redis).progress(batch.name) == {0, 1}
    now, due = a.move(event, TWO, 1, "in", 9000, part=1)[1:]
    assert 0 < due <= now, "it is there already"
    assert b.progress(member, 2)[0] == b"gone" and b.close((member, {}, 0, 3, "p"))[2] == 0
    assert a.close((member, {2: SENT}, 0, 3, "p"))[2] == 0
    assert a.close((batch.name, {0: SENT}, 0, 3, "sp"))[2] == 1
    check(redis, documents=False, idle=True, settled=True)


@pytest.mark.parametrize("sure", [True, False])
def test_a_batch_whose_parts_were_all_moved_is_dropped(a, b, redis, sure):
    batch = in_parts(a, [ONE, TWO])
    event, = batch.events
    a.move(event, ONE, 0)
    b.move(event, TWO, 1, part=1)
    calls = [(a, (batch.name, MOVED, len(batch.blob), 2, "sp")),
             (b, (batch.member(1), MOVED, len(batch.blob), 2, "p"))]
    for store, part in reversed(calls) if sure else calls:
        store.close(part, keep=5000)
    snapshot = check(redis, documents=False)
    assert not any(snapshot.all(family) for family in ("batch", "open", "progress", "journal"))
    assert snapshot.all("outcome") == ({} if sure else {batch.name: b"\0"})
    assert set(deliveries(snapshot).values()) == {"waiting"}


@pytest.mark.parametrize("why", ["sent", "recovered", "pending"])
def test_a_batch_of_which_one_part_was_not_moved_is_kept(a, b, redis, why):
    """recovered: b found a mark, and does not know whether it was moved or sent."""
    batch = in_parts(a, [ONE, TWO])
    event, = batch.events
    a.move(event, ONE, 0)
    if why != "pending":
        b.progress(batch.member(1), 1)
    b.close((batch.member(1), {1: SENT} if why == "sent" else {}, len(batch.blob), 2, "p"))
    a.close((batch.name, MOVED, len(batch.blob), 2, "sp"))
    snapshot = check(redis, documents=False, idle=True)
    assert batch.name in snapshot.batches
    assert deliveries(snapshot)[event, TWO] == ("sent" if why == "sent" else "none")


def test_without_history_the_last_part_leaves_a_tombstone(a, b, redis):
    batch = in_parts(a, [ONE, TWO])
    a.close((batch.name, {0: SENT}, 0, 2, "sp"), keep=0)
    assert not Snapshot(redis).all("outcome")
    b.close((batch.member(1), {1: SENT}, 0, 2, "p"), keep=0)
    snapshot = check(redis, documents=False)
    assert snapshot.all("outcome") == {batch.name: b"\0"} and not snapshot.all("batch")
    assert 0 < snapshot.ttl[f"outcome:{batch.name}"] <= 600_000


def test_a_delivery_settled_while_another_part_is_open_has_its_outcome(a, b, redis):
    batch = in_parts(a, [ONE, TWO])
    event, = batch.events
    a.move(event, ONE, 0)
    a.close((batch.name, {}, len(batch.blob), 2, "sp"))
    a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT)
    assert deliveries(check(redis, documents=False)) == {(event, ONE): "sent", (event, TWO): "open"}
    b.close((batch.member(1), {1: CANCELLED}, len(batch.blob), 2, "p"))
    assert set(deliveries(check(redis, documents=False, settled=True)).values()) == {"sent", "cancelled"}


# ---- trim ------------------------------------------------------------------------------------------

def closed(store):
    return [member.decode() for member in store.redis.call("ZRANGE", store.key("closed"), 0, -1)]


def test_trim_drops_a_batch_with_all_that_belongs_to_it(a, redis, dump):
    for _ in range(3):
        a.close((opened(a).name, {0: SENT}))
    first, second, third = closed(a)
    left = int(third.partition(":")[2])
    assert twice(a, a.trim.later(first, second), dump) == ([left], [left])
    assert closed(a) == [third]
    assert a.trim(third) == [0]
    assert sorted(Snapshot(redis).ttl) == ["closed:bytes", *MEMBERS]


def test_trim_of_what_another_has_trimmed(a, b):
    a.close((opened(a).name, {0: SENT}))
    call = a.trim.later(*closed(a))
    assert a.make(call) == b.make(call) == [0]


def test_trim_of_a_batch_that_expired(a, redis):
    batch = opened(a)
    a.close((batch.name, {0: SENT}), keep=1)
    while redis.call("EXISTS", a.key("batch", batch.name), a.key("outcome", batch.name)):
        pass
    assert a.trim(*closed(a)) == [0]


def test_a_settle_after_the_history_was_trimmed(a, redis):
    """A delivery outlives its batch; its event is history by itself."""
    batch = opened(a)
    event, = batch.events
    a.move(event, ONE, 0)
    a.close(batch.name)
    a.trim(*closed(a))
    lease = a.lease(ONE)[1]
    assert a.settle(event, ONE, lease, outcome=SENT)[0] == b"ok"
    snapshot = check(redis, documents=False)
    assert deliveries(snapshot) == {(event, ONE): "sent"} and "e" in snapshot.all("event")[event]


def test_history_is_trimmed_event_by_event(a, redis, dump):
    one, two = opened(a), opened(a)
    for batch in (one, two):
        a.move(batch.events[0], ONE, 0)
        a.close((batch.name, MOVED, len(batch.blob), 1))
        a.settle(batch.events[0], ONE, a.lease(ONE)[1], outcome=SENT)
    first, second = sorted(closed(a), key=lambda member: member.startswith(two.events[0]))
    assert first.startswith(one.events[0])
    assert twice(a, a.trim.later(first), dump) == ([int(second.partition(":")[2])],) * 2
    assert set(Snapshot(redis).all("event")) == {two.events[0]}
    check(redis, documents=False)


def test_what_waits_again_is_not_trimmed(a, redis):
    """An event of an open batch: one delivery is finished before the other is moved."""
    batch = opened(a, [ONE, TWO])
    event, = batch.events
    a.move(event, ONE, 0)
    a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT, log=pack_log(1))
    assert "e" not in check(redis, documents=False).all("event")[event], "its batch has it"
    a.move(event, TWO, 1, record=batch.record)
    a.trim(*closed(a))
    assert deliveries(check(redis, documents=False)) == {(event, ONE): "sent", (event, TWO): "waiting"}
    assert a.settle(event, TWO, a.lease(TWO)[1], ordinal=1, outcome=SENT, log=pack_log(1))[3] > 0
    assert len(closed(a)) == 1


def test_trim_tells_the_bytes(a):
    assert a.trim() == [0]
    a.close((opened(a).name, {0: SENT}, 100, 1))
    assert a.trim() == [112]


# ---- heartbeat and bury ----------------------------------------------------------------------------

def test_a_heartbeat_names_the_dead_that_left_a_journal(a, b, redis):
    redis.call("HSET", a.key("config"), "version", 7)
    beat = a.beat(lease=700)
    assert beat.config == 7 and beat.dead == []
    assert int(redis.call("ZSCORE", a.key("replicas"), "a")) == beat.now + 700
    b.heartbeat(lease=0)
    assert a.beat().dead == ["b"]
    assert b.beat().dead == [] and a.beat().dead == []


def test_the_holder_of_the_data_directory_knows_all_others_to_be_dead(a, b):
    assert a.beat(others="others").dead == ["b"]
    assert a.beat(others="others").dead == ["b"], "a repeated call"
    assert b.beat().dead == []


def test_the_living_are_not_buried(a, b, dump):
    before = dump()
    assert b.bury("a") == b"alive"
    assert dump() == before


def test_a_journal_is_emptied_before_its_owner_is_buried(a, b, redis):
    batch = opened(a)
    a.heartbeat(lease=0)
    assert b.bury("a") == b.bury("a") == b"busy"
    assert b.beat().dead == ["a"]
    assert b.adopt(batch.name, "a") == b"ok"
    assert b.bury("a") == b.bury("a") == b"ok"
    assert redis.call("ZRANGE", a.key("journals"), 0, -1) == [b"b"]


def test_leaving_needs_no_end_of_a_lease(a, b, redis):
    batch = opened(a)
    assert a.bury("a", "leave") == b"busy"
    assert b.beat().dead == ["a"], "what it left is adopted at once"
    assert b.adopt(batch.name, "a") == b"ok"
    assert b.bury("b", "leave") == b"busy"
    b.close(batch.name)
    assert b.bury("b", "leave") == b.bury("b", "leave") == b"ok"
    assert redis.call("ZRANGE", a.key("journals"), 0, -1) == [b"a"]


# ---- adopt -----------------------------------------------------------------------------------------

def test_a_batch_is_adopted_with_its_progress(a, b, dump):
    batch = opened(a, [ONE] * 3)
    a.progress(batch.name, 1)
    a.heartbeat(lease=0)
    assert twice(b, b.adopt.later(batch.name, "a"), dump) == (b"ok", b"ok")
    snapshot = Snapshot(b.redis)
    assert snapshot.owner == {batch.name: "b"} and snapshot.progress(batch.name) == {1}


def test_nothing_is_taken_from_the_living(a, b, dump):
    batch = opened(a)
    before = dump()
    assert b.adopt(batch.name, "a") == b"alive"
    assert dump() == before


def test_one_of_two_adopts(a, b, redis, dump):
    other = Store(redis, "c")
    other.heartbeat()
    batch = opened(a)
    a.heartbeat(lease=0)
    assert b.adopt(batch.name, "a") == b"ok"
    before = dump()
    assert other.adopt(batch.name, "a") == b"gone"
    assert dump() == before


def test_one_that_was_taken_for_dead_loses_its_batches_call_by_call(a, b, dump):
    """Every call of the old owner finds that the batch is not in its journal, and changes nothing."""
    batch = opened(a, [ONE, TWO])
    a.heartbeat(lease=0)
    b.adopt(batch.name, "a")
    before = dump()
    assert a.progress(batch.name, 0)[0] == b"gone"
    assert a.move(batch.events[0], ONE, 0)[0] == b"gone"
    assert a.close((batch.name, {0: SENT}))[2] == 0
    assert dump() == before


def test_a_batch_goes_and_comes_back(a, b):
    """Adopted from a by b, and from b by a, which still has it in memory: both carry on, once."""
    batch = opened(a, [ONE, TWO])
    a.heartbeat(lease=0)
    b.adopt(batch.name, "a")
    assert b.move(batch.events[0], ONE, 0)[0] == b"ok"
    a.heartbeat()
    b.heartbeat(lease=0)
    a.adopt(batch.name, "b")
    now, due = a.move(batch.events[0], ONE, 0, "in", 9000)[1:]
    assert 0 < due <= now, "it is there already"
    assert a.move(batch.events[0], TWO, 1)[0] == b"ok"
    assert a.close(batch.name)[2] == 1 and b.close(batch.name)[2] == 0


def test_an_adopter_that_was_buried_itself_is_known_again(a, b, redis):
    """b slept, was taken for dead and buried, and wakes up in the middle of its adoption."""
    batch = opened(a)
    other = Store(redis, "c")
    other.heartbeat()
    for dead in (a, b):
        dead.heartbeat(lease=0)
    assert other.bury("b") == b"ok"
    assert b.adopt(batch.name, "a") == b"ok"
    assert b"b" in other.heartbeat()[2:]


# ---- memory ----------------------------------------------------------------------------------------

def test_out_of_memory_all_this_goes_on(a, b, redis):
    one, two = opened(a, [ONE] * 9), opened(a)
    redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        redis.call("SET", "x", "y")
    assert a.progress(one.name, 3)[0] == b"ok"
    a.heartbeat(lease=0)
    assert b.beat().dead == ["a"]
    for batch in (one, two):
        assert b.adopt(batch.name, "a") == b"ok"
    assert b.bury("a") == b"ok"
    assert b.close((one.name, {n: SENT for n in range(9)}, len(one.blob), 9))[2] == 1
    b.trim(*closed(b))
    assert b.close((two.name, {0: SENT}), keep=0)[1:] == [0, 1]
