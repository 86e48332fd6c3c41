"""move, peek, lease, renew, settle, dead_replay, attempts_add: deliveries that wait."""

import time

import pytest
from harness.formats import (lane_of, pack_log, pack_outcome, pack_record, pack_state, read_final,
                             read_log, read_state)
from harness.invariants import Snapshot, check, deliveries
from schedule import ONE, SENT, TWO, attempts, lane, leased, opened, score, waiting
from store import MEMBERS, MOVED, Batch, Settle, endpoint_id, lease_soon


# ---- move ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, value, due", [
    ("in", 0, 0), ("in", 2500, 2500), ("at", 0, 0), ("at", 1_000_000_000_000, 0)])
def test_a_moved_delivery_is_due(a, dump, kind, value, due):
    batch = opened(a, [ONE, TWO])
    record, state = pack_record("a.b", b"[1]"), pack_state(0, attempts=3)
    call = a.move.later(batch.events[0], ONE, 0, kind, value, record, state, b"tried")
    status, now, when = a.make(call)
    assert (status, when) == (b"ok", now + due)
    assert score(a, ONE, batch.events[0]) == when == lane(a)
    assert a.redis.call("HGETALL", a.key("event", batch.events[0])) == [
        b"e", record, ONE.encode(), state]
    assert attempts(a) == [b"tried"]
    before = dump()
    assert a.make(call)[::2] == [b"ok", when]
    assert dump() == before
    assert Snapshot(a.redis).progress(batch.name) == {0}


def test_a_move_to_a_time(a):
    batch = opened(a)
    when = int(time.time() * 1000) + 3_600_000
    assert a.move(batch.events[0], ONE, 0, "at", when)[2] == when


def test_a_move_to_the_dead_letters(a, dump):
    batch = opened(a, [ONE, TWO])
    call = a.move.later(batch.events[0], ONE, 0, "dead", attempt=b"gone")
    status, now, _ = a.make(call)
    assert status == b"ok" and score(a, ONE, batch.events[0], "dead") == now
    assert lane(a) is None
    before = dump()
    assert a.make(call)[0] == b"ok"
    assert dump() == before


def test_the_record_is_stored_once_for_all_endpoints(a):
    batch = opened(a, [ONE, TWO])
    event, = batch.events
    a.move(event, ONE, 0, record=batch.record)
    a.move(event, TWO, 1, "dead", record=batch.record)
    assert len(a.redis.call("HGETALL", a.key("event", event))) == 6


def test_a_move_is_for_batches_of_my_journal(a, b, dump):
    batch = opened(a)
    before = dump()
    assert b.move(batch.events[0], ONE, 0)[0] == b"gone"
    a.close(batch.name)
    before = dump()
    assert a.move(batch.events[0], ONE, 0)[0] == b"gone"
    assert dump() == before


def test_a_repeated_move_of_what_was_settled_meanwhile(a, dump):
    """The entry is gone, and stays gone."""
    batch = opened(a, [ONE, TWO])
    call = a.move.later(batch.events[0], ONE, 0)
    a.make(call)
    lease = a.lease(ONE)[1]
    a.settle(batch.events[0], ONE, lease, outcome=SENT)
    before = dump()
    assert a.make(call)[::2] == [b"ok", 0]
    assert dump() == before


def test_a_lane_is_never_later_than_what_is_due(a):
    batch = opened(a, [ONE], [ONE], [ONE])
    for ordinal, wait in enumerate((5000, 1000, 9000)):
        a.move(batch.events[ordinal], ONE, ordinal, "in", wait)
        check(a.redis, documents=False)
    assert lane(a) == score(a, ONE, batch.events[1])


# ---- peek ------------------------------------------------------------------------------------------

def test_peek_names_what_is_due_and_when_to_ask_again(a, dump):
    lanes = [lane_of(ONE), (lane_of(ONE) + 1) % 256]
    assert a.peek(lanes)[1:] == [-1, 0, -1, 0]
    batch = waiting(a, [ONE])
    assert a.peek(lanes)[1:] == [-1, 1, ONE.encode(), -1, 0]
    a.lease(ONE, length=5000)
    before = dump()
    now, later, names, *rest = a.peek(lanes)
    assert (names, rest) == (0, [-1, 0]) and 4000 < later - now <= 5000
    assert later == score(a, ONE, batch.events[0])
    assert dump() == before


def test_peek_names_a_bounded_number(a):
    same, chosen = lane_of(ONE), [ONE]
    while len(chosen) < 5:
        other = endpoint_id()
        if lane_of(other) == same:
            chosen.append(other)
    waiting(a, chosen)
    first, second = a.peek([same], most=3), a.peek([same], most=3, skip=3)
    assert (first[2], second[2]) == (3, 2)
    assert sorted(first[3:] + second[3:]) == sorted(endpoint.encode() for endpoint in chosen)


# ---- lease -----------------------------------------------------------------------------------------

def test_a_lease_takes_the_earliest_and_nobody_else_gets_them(a, b):
    batch = opened(a, [ONE], [ONE], [ONE])
    for ordinal, event in enumerate(batch.events):
        a.move(event, ONE, ordinal, "at", ordinal + 1)
        a.redis.call("ZADD", a.key("due", ONE), ordinal + 1, event)
    a.redis.call("ZADD", a.key("lane", lane_of(ONE)), 1, ONE)
    now, end, left, others, *events = a.lease(ONE, 2, 5000)
    assert others == 1
    assert [event.decode() for event in events] == batch.events[:2]
    assert end == now + 5000 and left == 3 == lane(a)
    b.own(ONE)
    _, _, left, others, *events = b.lease(ONE, 2, 9000)
    assert others == 2, "those in hand are counted"
    assert [event.decode() for event in events] == batch.events[2:] and left == end == lane(a)
    assert b.lease(ONE)[3:] == [3]


def test_a_lease_that_ends_lets_go(a, b):
    event, = waiting(a).events
    a.lease(ONE, length=1)
    a.wait(3)
    b.own(ONE)
    assert [name.decode() for name in b.lease(ONE)[4:]] == [event]


def test_only_the_owner_of_its_lane_leases(a, b, dump):
    waiting(a)
    before = dump()
    assert b.lease(ONE)[1:] == [0, -1, 0] and b.lease(ONE, 0, not_before=9)[1:] == [0, -1, 0]
    assert dump() == before
    a.redis.call("DEL", a.key("lanes"))
    assert a.lease(ONE)[1:] == [0, -1, 0], "a free lane is nobody's"


def test_only_the_owner_of_its_lane_settles_without_a_lease(a, b, dump):
    event, = waiting(a).events
    before = dump()
    assert b.settle(event, ONE, "", "dead")[0] == b"moved"
    assert dump() == before
    assert a.settle(event, ONE, "", "dead")[0] == b"ok"


def test_who_holds_the_lease_settles_after_the_lane_has_moved(a, b):
    event, = waiting(a).events
    lease = a.lease(ONE)[1]
    b.own(ONE)
    assert a.settle(event, ONE, lease, outcome=SENT)[0] == b"ok"


def test_a_lease_of_nothing(a):
    """The lane forgets an endpoint without deliveries, wherever the entry came from."""
    a.redis.call("ZADD", a.key("lane", lane_of(ONE)), 1, ONE)
    assert a.lease(ONE)[2:] == [-1, 0]
    assert lane(a) is None


def test_a_lease_of_none_sets_the_time_alone(a, dump):
    event, = waiting(a, value=2000).events
    when = score(a, ONE, event)
    assert a.lease(ONE, 0)[2:] == [when, 1] and lane(a) == when
    assert a.lease(ONE, 0, not_before=when + 500)[2:] == [when, 1] and lane(a) == when + 500
    a.lease(ONE, 0)


def test_a_repeated_lease_takes_others(a):
    """Its reply is lost: what it took comes back when the lease ends, and nothing is taken twice."""
    waiting(a, *[[ONE]] * 5)
    first, second = a.lease(ONE, 3)[4:], a.lease(ONE, 3)[4:]
    assert len(first) == 3 and len(second) == 2 and not set(first) & set(second)


# ---- renew -----------------------------------------------------------------------------------------

def test_a_lease_is_renewed_by_its_holder_alone(a):
    event, lease = leased(a)
    a.wait(3)
    now, end, *held = a.renew(ONE, lease, event, lease - 1, event, lease, "msg_other", length=20_000)
    assert held == [1, 0, 0]
    assert score(a, ONE, event) == end == now + 20_000
    assert a.renew(ONE, lease, event)[2:] == [0], "a repeated call, and the new lease holds"
    assert score(a, ONE, event) == end


# ---- settle ----------------------------------------------------------------------------------------

def test_done(a, redis, dump):
    event, lease = leased(a)
    call = a.settle.later(event, ONE, lease, outcome=SENT, attempt=b"ok")
    assert a.make(call)[::2] == [b"ok", 0]
    snapshot = Snapshot(redis)
    assert not any(snapshot.all(family) for family in ("due", "lane", "event"))
    assert list(deliveries(snapshot).values()) == ["sent"] and attempts(a) == [b"ok"]
    before = dump()
    assert a.make(call)[0] == b"stale"
    assert dump() == before


def test_retry(a, dump):
    event, lease = leased(a)
    state = pack_state(0, attempts=2, error="timeout")
    call = a.settle.later(event, ONE, lease, "retry", 3000, state=state, attempt=b"no")
    status, now, when, _ = a.make(call)
    assert status == b"ok" and when == now + 3000 == score(a, ONE, event)
    assert lane(a) <= when
    assert a.redis.call("HGET", a.key("event", event), ONE) == state
    before = dump()
    assert a.make(call)[0] == b"stale"
    assert dump() == before and attempts(a) == [b"no"]


def test_a_lease_after_a_settle_is_another_one(a):
    """Even within a millisecond; else a repeated settle would take it for its own."""
    event, lease = leased(a)
    for kind in ("retry", "dead"):
        assert a.settle(event, ONE, lease, kind)[0] == b"ok"
        if kind == "dead":
            a.dead_replay(event, ONE)
        before, lease = lease, lease_soon(a, ONE)[1]
        assert lease > before


# ---- history of an event ---------------------------------------------------------------------------

def alone(store, *targets):
    """An event whose deliveries wait and whose batch was dropped."""
    batch = waiting(store, *targets)
    assert store.close((batch.name, MOVED, len(batch.blob), len(batch.deliveries)))[2] == 1
    return batch.events[0]


def test_an_event_without_a_batch_becomes_history(a, redis, dump):
    event = alone(a, [ONE, TWO])
    log = pack_log(1, 2)
    first = a.settle.later(event, ONE, a.lease(ONE)[1], outcome=SENT, log=log)
    assert a.make(first)[3] == -1
    assert redis.call("PTTL", a.key("event", event)) == -1, "TWO still waits"
    call = a.settle.later(event, TWO, a.lease(TWO)[1], outcome=pack_outcome("cancelled"), keep=5000)
    now, size = a.make(call)[1::2]
    before = dump()
    assert a.make(call)[0] == a.make(first)[0] == b"stale" and dump() == before
    snapshot = check(redis, documents=False)
    fields = snapshot.all("event")[event]
    assert read_final(fields[f"={ONE}"])["log"] == read_log(log) and "e" in fields
    assert deliveries(snapshot) == {(event, ONE): "sent", (event, TWO): "cancelled"}
    assert 0 < snapshot.ttl[f"event:{event}"] <= 5000
    assert redis.call("ZRANGE", a.key("closed"), 0, -1, "WITHSCORES") == [
        f"{event}:{size}".encode(), str(now + 5000).encode()]


def test_attempts_stay_with_the_event_as_long_as_its_batch(a, redis):
    """The record is not kept twice."""
    batch = waiting(a, [ONE])
    event, = batch.events
    a.close(batch.name, keep=5000)
    a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT, log=pack_log(1))
    snapshot = check(redis, documents=False)
    assert sorted(snapshot.all("event")[event]) == [f"={ONE}", "b", "f"]
    assert 0 < snapshot.ttl[f"event:{event}"] <= 5000, "not the minute of the settle"
    assert deliveries(snapshot) == {(event, ONE): "sent"}


def test_an_event_that_is_replayed_is_no_history_meanwhile(a, redis):
    """As a replay of finished deliveries does it: the field, the entry, and no expiry any more."""
    event = alone(a)
    a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT)
    member, = redis.call("ZRANGE", a.key("closed"), 0, -1)
    redis.call("HSET", a.key("event", event), ONE, pack_state(0, attempts=1, replayed_at=1))
    redis.call("PERSIST", a.key("event", event))
    redis.call("ZADD", a.key("due", ONE), 1, event)
    redis.call("ZADD", a.key("lane", lane_of(ONE)), 1, ONE)
    check(redis, documents=False)
    a.trim(member.decode())
    assert deliveries(check(redis, documents=False)) == {(event, ONE): "waiting"}
    a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT)
    assert redis.call("ZRANGE", a.key("closed"), 0, -1) == [member]


@pytest.mark.parametrize("batch_is", ["kept", "gone"])
def test_history_that_is_no_longer_kept(a, redis, batch_is):
    """An event of which one delivery was finished while history was kept: it ends with the last one, and
    what is settled in the same call is not disturbed."""
    batch = waiting(a, [ONE, TWO], [ONE, TWO], [ONE])
    first, second, third = batch.events
    a.close((batch.name, {}, len(batch.blob), 5) if batch_is == "kept" else
            (batch.name, MOVED, len(batch.blob), 5))
    lease = a.lease(ONE)[1]
    for event in (first, second):
        a.settle(event, ONE, lease, outcome=SENT, log=pack_log(1))
    two = a.lease(TWO)[1]
    now, history, *dues = a.settles(
        [Settle(first, TWO, two, ordinal=1, log=pack_log(1)), Settle(second, TWO, two, ordinal=3),
         Settle(third, ONE, lease, ordinal=4, log=pack_log(1))], keep=0)
    assert (history, dues) == (-1, [0, 0, 0])
    assert not redis.call("EXISTS", *(a.key("event", event) for event in batch.events))


def test_a_letter_is_discarded_when_history_is_no_longer_kept(a, redis):
    batch = waiting(a, [ONE, TWO])
    event, = batch.events
    a.close((batch.name, MOVED, len(batch.blob), 2))
    a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT, log=pack_log(1))
    a.settle(event, TWO, a.lease(TWO)[1], "dead", ordinal=1)
    assert a.dead_replay(event, TWO, "discard", 1, keep=0)[0] == b"ok"
    assert not redis.call("EXISTS", a.key("event", event))


def test_a_discarded_event_without_a_batch(a, redis):
    batch = waiting(a, [ONE], kind="dead")
    event, = batch.events
    a.close((batch.name, MOVED, len(batch.blob), 1))
    assert a.dead_replay(event, ONE, "discard", log=pack_log(1))[5] > 0
    assert deliveries(check(redis, documents=False)) == {(event, ONE): "cancelled"}


def test_dead(a, dump):
    event, lease = leased(a)
    call = a.settle.later(event, ONE, lease, "dead", attempt=b"no")
    status, now, _, _ = a.make(call)
    assert status == b"ok" and score(a, ONE, event, "dead") == now and lane(a) is None
    assert read_state(a.redis.call("HGET", a.key("event", event), ONE))["dead"]
    before = dump()
    assert a.make(call)[0] == b"stale"
    assert dump() == before


@pytest.mark.parametrize("kind", ["done", "retry", "dead"])
def test_another_holds_the_lease(a, b, dump, kind):
    event, lease = waiting(a).events[0], a.lease(ONE, length=1)[1]
    a.wait(3)
    b.own(ONE)
    other = b.lease(ONE)[1]
    before = dump()
    assert a.settle(event, ONE, lease, kind)[0] == b"stale"
    assert dump() == before
    assert b.settle(event, ONE, other, kind)[0] == b"ok"


def test_the_event_stays_until_the_last_endpoint(a, redis):
    event, = waiting(a, [ONE, TWO]).events
    a.settle(event, ONE, a.lease(ONE)[1], outcome=SENT)
    assert redis.call("HLEN", a.key("event", event)) == 2
    a.settle(event, TWO, a.lease(TWO)[1], ordinal=1, outcome=SENT)
    assert not redis.call("EXISTS", a.key("event", event))


@pytest.mark.parametrize("value", [0, 5000])
def test_whoever_clears_an_endpoint_needs_no_lease(a, value):
    event, = waiting(a, value=value).events
    assert a.settle(event, ONE, "", "dead")[0] == b"ok"
    assert a.settle(event, ONE, "", "dead")[0] == b"stale", "a repeated call"


@pytest.mark.parametrize("how", ["leased", "renewed", "moved"])
def test_whoever_clears_an_endpoint_leaves_what_another_has_on_the_wire(a, b, dump, how):
    """The lane went to b while a was sending: what a has sent is not cancelled."""
    if how == "moved":
        event, = opened(a).events
        lease = a.move(event, ONE, 0, "leased", 10_000)[2]
    else:
        event, lease = leased(a)
    if how == "renewed":
        lease = a.renew(ONE, lease, event)[1]
    b.own(ONE)
    before = dump()
    assert b.settle(event, ONE, "", outcome=pack_outcome("cancelled"))[0] == b"leased"
    assert dump() == before
    assert a.settle(event, ONE, lease, outcome=SENT)[0] == b"ok"
    assert list(deliveries(Snapshot(a.redis)).values()) == ["sent"]


def test_whoever_clears_an_endpoint_takes_what_a_dead_one_had(a, b):
    event, = waiting(a).events
    a.lease(ONE, length=1)
    a.wait(3)
    b.own(ONE)
    assert b.settle(event, ONE, "", outcome=pack_outcome("cancelled"))[0] == b"ok"


def test_whoever_clears_an_endpoint_takes_what_waits_for_its_retry(a, b):
    event, lease = leased(a)
    a.settle(event, ONE, lease, "retry", 10_000)
    b.own(ONE)
    assert b.settle(event, ONE, "", outcome=pack_outcome("cancelled"))[0] == b"ok"


def test_an_entry_without_its_event_is_dropped(a, redis):
    """What the server does with a due entry it cannot read."""
    redis.call("ZADD", a.key("due", ONE), 1, "msg_" + "0" * 27)
    redis.call("ZADD", a.key("lane", lane_of(ONE)), 1, ONE)
    lease = a.lease(ONE)[1]
    assert a.settle("msg_" + "0" * 27, ONE, lease, outcome=b"", kept=1)[0] == b"ok"
    assert sorted(Snapshot(redis).ttl) == MEMBERS


def test_an_outcome_goes_with_its_batch_to_the_millisecond(a, redis):
    """A settle in the very last millisecond of its batch leaves no outcome without expiry."""
    batch = Batch(*[[ONE]] * 400)
    a.publish(batch)
    for ordinal, event in enumerate(batch.events):
        a.move(event, ONE, ordinal)
    a.close(batch.name)
    blob, outcome = a.key("batch", batch.name), a.key("outcome", batch.name)
    calls = [a.settle.later(event, ONE, "", ordinal=ordinal, outcome=SENT)
             for ordinal, event in enumerate(batch.events)]
    redis.call("PEXPIRE", blob, 3)
    redis.call("ZADD", a.key("closed"), 1, *redis.call("ZRANGE", a.key("closed"), 0, 0))
    redis.call("PEXPIRE", outcome, 3)
    for call in calls:
        a.make(call)
        assert redis.call("PTTL", outcome) != -1


# ---- attempts --------------------------------------------------------------------------------------

def test_the_newest_attempts_are_kept(a):
    assert a.attempts_add(ONE, *map(str, range(5)), kept=3) == 3
    assert attempts(a) == [b"4", b"3", b"2"]
    event, lease = leased(a)
    a.settle(event, ONE, lease, "retry", attempt=b"5", kept=3)
    assert attempts(a) == [b"5", b"4", b"3"]


def test_as_many_attempts_as_the_configuration_allows(a):
    assert a.attempts_add(ONE, *map(str, range(10_000)), kept=10_000) == 10_000
    assert attempts(a)[0] == b"9999" and attempts(a)[-1] == b"0"


def test_attempts_are_kept_as_long_as_history(a, redis):
    batch = opened(a, [ONE])
    event, = batch.events
    for call in (a.attempts_add.later(ONE, b"0", keep=1000),
                 a.move.later(event, ONE, 0, attempt=b"1", keep=2000)):
        a.make(call)
    assert 1000 < redis.call("PTTL", a.key("attempts", ONE)) <= 2000
    a.settle(event, ONE, a.lease(ONE)[1], "retry", attempt=b"2", keep=3000)
    assert 2000 < redis.call("PTTL", a.key("attempts", ONE)) <= 3000


def test_to_keep_none_is_to_keep_none(a):
    """Not all, as LTRIM understands it."""
    batch = opened(a, [ONE], [TWO])
    a.move(batch.events[0], ONE, 0, attempt=b"1", kept=0)
    a.settle(batch.events[0], ONE, a.lease(ONE)[1], "retry", attempt=b"2", kept=0)
    assert a.attempts_add(ONE, b"3", kept=0) == 0
    assert attempts(a) == []


# ---- dead letters ----------------------------------------------------------------------------------

def buried(store, *targets):
    batch = waiting(store, *targets or [[ONE]], kind="dead")
    store.close(batch.name)
    return batch


def test_replay(a, dump):
    event, = buried(a).events
    state = pack_state(0, attempts=4, replayed_at=4)
    call = a.dead_replay.later(event, ONE, state=state)
    status, now, taken, _, _, history = a.make(call)
    assert status == b"ok" and taken == 1 and history == -1
    assert score(a, ONE, event) == now + 1 == lane(a)
    assert a.redis.call("HGET", a.key("event", event), ONE) == state
    before = dump()
    assert a.make(call)[0] == b"gone"
    assert dump() == before


def test_discard(a, redis, dump):
    batch = buried(a, [ONE, TWO])
    event, = batch.events
    call = a.dead_replay.later(event, TWO, "discard", 1)
    assert a.make(call)[0] == b"ok"
    assert deliveries(Snapshot(redis)) == {(event, ONE): "dead", (event, TWO): "cancelled"}
    before = dump()
    assert a.make(call)[0] == b"gone"
    assert dump() == before
    assert a.dead_replay(event, ONE, "discard", 0)[0] == b"ok"
    assert not redis.call("EXISTS", a.key("event", event))


def test_a_replay_while_the_batch_is_open(a, redis):
    batch = waiting(a, [ONE, TWO], kind="dead")
    event, = batch.events
    assert a.dead_replay(event, ONE)[0] == b"ok"
    assert a.dead_replay(event, TWO, "discard", 1)[0] == b"ok"
    check(redis, documents=False)
    a.close(batch.name)
    assert deliveries(Snapshot(redis)) == {(event, ONE): "waiting", (event, TWO): "cancelled"}


def test_a_replay_after_the_batch_has_expired(a, redis):
    """A dead letter is as good without its batch."""
    batch = buried(a, [ONE, TWO])
    event, = batch.events
    redis.call("ZADD", a.key("closed"), 1, redis.call("ZRANGE", a.key("closed"), 0, 0)[0])
    redis.call("DEL", a.key("batch", batch.name), a.key("outcome", batch.name))
    assert a.dead_replay(event, TWO, "discard", 1)[0] == b"ok"
    assert a.dead_replay(event, ONE)[0] == b"ok"
    assert a.settle(event, ONE, lease_soon(a, ONE)[1], outcome=SENT)[0] == b"ok"
    assert deliveries(check(redis, documents=False)) == {(event, ONE): "sent", (event, TWO): "cancelled"}


def test_of_a_replay_and_a_discard_one_wins(a, b, dump):
    event, = buried(a).events
    assert a.dead_replay(event, ONE)[0] == b"ok"
    before = dump()
    assert b.dead_replay(event, ONE, "discard")[0] == b"gone"
    assert dump() == before


def test_a_discard_in_the_last_millisecond_of_the_batch(a, redis):
    batch = buried(a, *[[ONE]] * 400)
    blob, outcome = a.key("batch", batch.name), a.key("outcome", batch.name)
    redis.call("PEXPIRE", blob, 3)
    redis.call("ZADD", a.key("closed"), 1, *redis.call("ZRANGE", a.key("closed"), 0, 0))
    redis.call("PEXPIRE", outcome, 3)
    for ordinal, event in enumerate(batch.events):
        a.dead_replay(event, ONE, "discard", ordinal)
        assert redis.call("PTTL", outcome) != -1


# ---- memory ----------------------------------------------------------------------------------------

def test_out_of_memory_all_this_goes_on(a, redis):
    batch = opened(a, [ONE], [ONE], [ONE])
    redis.call("CONFIG", "SET", "maxmemory", 1)
    for ordinal, event in enumerate(batch.events):
        assert a.move(event, ONE, ordinal, attempt=b"x")[0] == b"ok"
    assert a.peek([lane_of(ONE)])[2] == 1
    lease, _, _, *events = a.lease(ONE)[1:]
    sent, late, dead = (event.decode() for event in events)
    lease = a.renew(ONE, lease, sent, lease, late, lease, dead)[1]
    assert a.settle(sent, ONE, lease, outcome=SENT, attempt=b"y")[0] == b"ok"
    late_at, dead_at = batch.events.index(late), batch.events.index(dead)
    assert a.settle(late, ONE, lease, "retry", 10, late_at)[0] == b"ok"
    assert a.settle(dead, ONE, lease, "dead", 0, dead_at)[0] == b"ok"
    assert a.dead_replay(dead, ONE, ordinal=dead_at)[0] == b"ok"
    assert a.attempts_add(ONE, b"z") == 5
    assert a.close(batch.name)[2] == 1
