"""Ordered queues: publish.lua fills them, and whoever ends a head lets the next one go."""

import pytest
from harness.formats import id_text, lane_of, read_ordered, read_state, bits
from schedule import ONE, SENT, TWO, lane, score
from store import BLOCKS, MOVED, Batch, Ordered, Settle, lease_soon, member

KEY, OTHER = member("key"), member("other")
ALL = bytes(16)


def ordered(store, count, key=ALL, endpoint=ONE, due=0):
    """A batch of events with an ordered delivery each; their ids."""
    batch = Batch(*[[endpoint]] * count)
    assert store.publish(batch, ordered=[Ordered(n, key, due) for n in range(count)])[0] == b"ok"
    return batch.events


def queue(store, endpoint=ONE, key=ALL):
    """The events of one queue, the head first."""
    members = map(read_ordered, store.redis.call("ZRANGE", store.key("ord", endpoint), 0, -1))
    return [event for hash_, _, event, _ in members if hash_ == key]


def due(store, endpoint=ONE):
    return {event.decode() for event in
            store.redis.call("ZRANGE", store.key("due", endpoint), 0, -1)}


def dead(store, endpoint=ONE):
    return {event.decode() for event in
            store.redis.call("ZRANGE", store.key("dead", endpoint), 0, -1)}


def state(store, event, endpoint=ONE):
    return read_state(store.redis.call("HGET", store.key("event", event), endpoint))


def end(store, event, kind="done", key=ALL, endpoint=ONE, **how):
    """Leases what is due, which must be this event alone, and settles it."""
    _, until, _, _, *claimed = lease_soon(store, endpoint)
    assert claimed == [event.encode()]
    ordinal = state(store, event, endpoint)["ordinal"]
    return store.settle(event, endpoint, until, kind, ordinal=ordinal, order=key, **how)


@pytest.fixture(autouse=True)
def mine(a):
    a.own(ONE, TWO)


# ---- publish ---------------------------------------------------------------------------------------

def test_the_first_is_due_and_the_others_wait(a):
    batch = Batch([ONE], [ONE], [ONE])
    assert a.publish(batch, ordered=[Ordered(0), Ordered(1), Ordered(2)]) == [b"ok", 0, b"0"]
    assert queue(a) == batch.events and due(a) == {batch.events[0]}
    assert score(a, ONE, batch.events[0]) == lane(a)
    hash_ = a.redis.call("HGETALL", a.key("event", batch.events[2]))
    assert dict(zip(hash_[::2], hash_[1::2]))[b"e"] == batch.record
    assert state(a, batch.events[2])["order"] == ALL and state(a, batch.events[2])["ordinal"] == 2


def test_they_are_moved_as_far_as_the_batch_knows(a):
    """Whoever reads the batch has nothing to send, and may close it."""
    batch = Batch([ONE], [ONE, TWO])
    a.publish(batch, ordered=[Ordered(0), Ordered(1)])
    assert bits(a.redis.call("GET", a.key("progress", batch.name))) == {0, 1}
    a.progress(batch.name, 2)
    a.close((batch.name, {2: SENT}, len(batch.blob), 3))
    assert due(a) == {batch.events[0]}


def test_a_batch_of_these_alone_is_closed_and_leaves_no_blob(a):
    batch = Batch([ONE], [ONE])
    a.publish(batch, ordered=[Ordered(0), Ordered(1)])
    a.close((batch.name, MOVED, len(batch.blob), 2))
    assert not a.redis.call("EXISTS", a.key("batch", batch.name))
    for event in batch.events:
        assert end(a, event)[0] == b"ok"
    assert queue(a) == [] and due(a) == set() and lane(a) is None


def test_each_key_has_a_queue(a):
    """Theirs, ALL included, flow by the side of each other."""
    events = ordered(a, 2, KEY), ordered(a, 2, OTHER), ordered(a, 2)
    assert due(a) == {first for first, _ in events}
    assert queue(a, key=KEY) == events[0] and queue(a, key=OTHER) == events[1] and queue(a) == events[2]


def test_each_endpoint_has_queues_of_its_own(a):
    batch = Batch([ONE, TWO], [ONE, TWO])
    a.publish(batch, ordered=[Ordered(n, KEY) for n in range(4)])
    assert end(a, batch.events[0], key=KEY)[0] == b"ok"
    assert due(a) == {batch.events[1]} and due(a, TWO) == {batch.events[0]}
    assert queue(a, TWO, KEY) == batch.events


def test_the_order_is_that_of_the_calls_whoever_makes_them(a, b):
    events = [ordered(store, 1)[0] for store in (b, a, b, a)]
    assert queue(a) == events and due(a) == {events[0]}


def test_a_repeated_call_enters_nothing(a, dump):
    batch = Batch([ONE], [ONE])
    call = a.publish.later(batch, ordered=[Ordered(0), Ordered(1)])
    assert a.make(call)[0] == b"ok"
    before = dump()
    assert a.make(call) == [b"ok", 0, b"0"] and dump() == before
    end(a, batch.events[0])
    before = dump()
    assert a.make(call) == [b"ok", 0, b"0"] and dump() == before


def test_a_repeated_call_enters_nothing_behind_the_close(a, dump):
    batch = Batch([ONE])
    call = a.publish.later(batch, ordered=[Ordered(0)])
    a.make(call)
    a.close((batch.name, MOVED, len(batch.blob), 1, ""))
    end(a, batch.events[0])
    before = dump()
    assert a.make(call) == [b"ok", 0, b""] and dump() == before
    assert a.make(call, first=False) == [b"ok", 0, b""] and queue(a) == []


@pytest.mark.parametrize("how, status", [({"version": "0"}, b"stale"), ({"journal_max": 0}, b"journal_full"),
                                         ({"blob": False}, b"noblob")])
def test_a_batch_that_does_not_count_enters_nothing(a, how, status):
    a.endpoint_put(ONE, "{}")
    assert a.publish(Batch([ONE]), ordered=[Ordered(0)], **how)[0] == status
    assert not a.redis.call("EXISTS", a.key("ord", ONE), a.key("due", ONE), a.key("sequence"))


def test_redis_without_memory_enters_nothing(a):
    call = a.publish.later(Batch([ONE]), ordered=[Ordered(0)])
    for command in call.before:
        a.redis.call(*command)
    a.redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        a.make(call, first=False)
    a.redis.call("CONFIG", "SET", "maxmemory", 0)
    assert not a.redis.call("EXISTS", a.key("ord", ONE), a.key("sequence"))
    assert a.make(call, first=False)[0] == b"ok" and len(queue(a)) == 1


def test_a_refused_event_enters_nothing(a):
    """Duplicates of another batch's and of the same one's; also the one that would be the head."""
    first = Batch([ONE])
    a.publish(first, [first.claim(0, "k")])
    batch = Batch([ONE], [ONE], [ONE], [ONE], [ONE])
    claims = [batch.claim(0, "k"), batch.claim(1, "l"), batch.claim(3, "l"), batch.claim(4, "", "u")]
    reply = a.publish(batch, claims, ordered=[Ordered(n) for n in range(5)])
    assert [verdict == 0 for verdict in reply[3:]] == [False, True, False, True]
    assert queue(a) == [batch.events[n] for n in (1, 2, 4)] and due(a) == {batch.events[1]}
    for n in (0, 3):
        assert not a.redis.call("EXISTS", a.key("event", batch.events[n]))


def test_deliveries_of_a_part_of_another_are_entered_as_well(a, b):
    """The part is in its journal, and there is nothing left of it to be sent."""
    batch = Batch([ONE, TWO], others={"b": [lane_of(TWO)]})
    assert a.publish(batch, ordered=[Ordered(1)])[2] == b"0"
    assert b.redis.call("ZSCORE", b.key("journal", "b"), batch.member(1)) is not None
    assert due(a, TWO) == {batch.events[0]} and due(a) == set()
    b.close((batch.member(1), {}, len(batch.blob), 2, "p"))
    assert queue(a, TWO) == batch.events


def test_who_adopts_the_batch_finds_them_done(a, b):
    batch = Batch([ONE], [ONE])
    b.publish(batch, ordered=[Ordered(0), Ordered(1)])
    b.heartbeat(lease=0)
    assert a.adopt(batch.name, "b") == b"ok"
    assert bits(a.redis.call("GET", a.key("progress", batch.name))) == {0, 1}
    assert due(a) == {batch.events[0]}


def test_one_that_is_due_later_makes_the_others_wait(a):
    later = int(a.redis.call("TIME")[0]) * 1000 + 3_600_000
    first, = ordered(a, 1, due=later)
    second, = ordered(a, 1)
    assert score(a, ONE, first) == later == lane(a) and due(a) == {first}
    a.settle(first, ONE, "", order=ALL)
    assert due(a) == {second} and score(a, ONE, second) < later and lane(a) < later


def test_a_follower_is_not_due_before_its_time(a):
    later = int(a.redis.call("TIME")[0]) * 1000 + 3_600_000
    first, = ordered(a, 1)
    second, = ordered(a, 1, due=later)
    assert end(a, first)[2] == later
    assert score(a, ONE, second) == later and lane(a) <= later


def test_many_heads_of_one_batch(a):
    """As many as a batch can have events (LIMIT_BATCH_EVENTS)."""
    batch = Batch(*[[ONE]] * 1024)
    a.publish(batch, ordered=[Ordered(n, member(str(n))) for n in range(1024)])
    assert due(a) == set(batch.events)


# ---- settle ----------------------------------------------------------------------------------------

def test_one_goes_after_the_other(a):
    events = ordered(a, 3)
    for event, follower in zip(events, events[1:]):
        status, now, due_ms, _ = end(a, event)
        assert status == b"ok" and due_ms == now == score(a, ONE, follower)
        assert due(a) == {follower} and lane(a) <= now
    assert end(a, events[-1])[2] == 0 and lane(a) is None and queue(a) == []


def test_a_retry_stays_the_head(a):
    first, second = ordered(a, 2)
    status, now, due_ms, _ = end(a, first, "retry", delay=5000)
    assert status == b"ok" and due_ms == now + 5000 == score(a, ONE, first)
    assert queue(a) == [first, second] and due(a) == {first} and state(a, first)["order"] == ALL


def test_what_is_dead_lets_the_next_one_go(a):
    first, second = ordered(a, 2)
    _, now, due_ms, _ = end(a, first, "dead")
    assert due_ms == now and due(a) == {second} and dead(a) == {first}
    assert queue(a) == [second] and state(a, first)["order"] == b""


def test_or_blocks_it(a):
    first, second = ordered(a, 2)
    assert end(a, first, BLOCKS)[2] == 0
    assert due(a) == set() and dead(a) == {first} and queue(a) == [first, second] and lane(a) is None
    third, = ordered(a, 1)
    assert due(a) == set() and queue(a) == [first, second, third]
    other, = ordered(a, 1, KEY)
    assert due(a) == {other}


def test_a_repeated_settle_lets_nobody_go(a, dump):
    first, second, third = ordered(a, 3)
    _, until, _, _, _ = lease_soon(a, ONE)
    call = a.settle.later(first, ONE, until, order=ALL)
    a.make(call)
    before = dump()
    assert a.make(call)[0] == b"stale" and dump() == before and due(a) == {second}
    assert queue(a) == [second, third]


def test_a_lost_lease_lets_nobody_go(a):
    """The other one has it in hand, and no follower is due twice."""
    first, second = ordered(a, 2)
    _, until, *_ = a.lease(ONE, length=1)
    a.wait(3)
    _, again, *_ = a.lease(ONE)
    assert a.settle(first, ONE, until, order=ALL)[0] == b"stale" and queue(a) == [first, second]
    assert a.settle(first, ONE, again, order=ALL)[0] == b"ok" and due(a) == {second}


def test_heads_of_several_queues_in_one_call(a):
    one, other, all_ = ordered(a, 2, KEY), ordered(a, 2, OTHER), ordered(a, 2)
    two = ordered(a, 2, KEY, TWO)
    _, until, *_ = a.lease(ONE)
    _, until_two, *_ = a.lease(TWO)
    reply = a.settles([Settle(one[0], ONE, until, order=KEY), Settle(other[0], ONE, until, "dead", order=OTHER),
                       Settle(all_[0], ONE, until, "retry", 5000, order=ALL),
                       Settle(two[0], TWO, until_two, BLOCKS, order=KEY),
                       Settle(one[0], ONE, until, order=KEY)])
    assert reply[2:] == [reply[0], reply[0], reply[0] + 5000, 0, -1]
    assert due(a) == {one[1], other[1], all_[0]} and due(a, TWO) == set()


def test_a_settle_of_what_is_not_in_order_touches_no_queue(a):
    first, second = ordered(a, 2)
    batch = Batch([ONE])
    a.publish(batch)
    a.move(batch.events[0], ONE, 0)
    assert a.settle(batch.events[0], ONE, "")[0] == b"ok" and queue(a) == [first, second]


@pytest.mark.parametrize("count", [3, 2000])
def test_an_entry_without_its_event_leaves_the_queue_it_is_in(a, count):
    """The key is in its state, which is lost: it is looked for. Twice: zsets come in two forms."""
    ordered(a, count, OTHER)
    first, second = ordered(a, 2, KEY)
    a.redis.call("DEL", a.key("event", first))
    assert a.settle(first, ONE, "", order=b"*")[2] == score(a, ONE, second)
    assert queue(a, key=KEY) == [second] and len(queue(a, key=OTHER)) == count
    lost = id_text("msg", bytes(20))
    a.redis.call("ZADD", a.key("due", ONE), 1, lost)
    a.redis.call("ZADD", a.key("lane", lane_of(ONE)), 1, ONE)
    assert a.settle(lost, ONE, "", order=b"*")[0] == b"ok" and len(queue(a, key=OTHER)) == count


def test_the_event_is_history_when_its_last_delivery_ends(a):
    batch = Batch([ONE, TWO], [ONE])
    a.publish(batch, ordered=[Ordered(0), Ordered(2)])
    a.move(batch.events[0], TWO, 1)
    a.close((batch.name, MOVED, len(batch.blob), 3))
    end(a, batch.events[0], outcome=SENT)
    assert a.redis.call("PTTL", a.key("event", batch.events[0])) == -1
    a.settle(batch.events[0], TWO, "", outcome=SENT)
    assert a.redis.call("PTTL", a.key("event", batch.events[0])) > 0


# ---- dead letters ----------------------------------------------------------------------------------

def blocked(store, count=3):
    events = ordered(store, count)
    end(store, events[0], BLOCKS)
    return events


def test_a_replayed_letter_is_the_head_as_before(a):
    first, second, _ = blocked(a)
    assert a.dead_replay(first, ONE, order=ALL)[0] == b"ok"
    assert due(a) == {first} and dead(a) == set() and lane(a) == score(a, ONE, first)
    assert end(a, first)[0] == b"ok" and due(a) == {second}


def test_a_discarded_letter_lets_the_next_one_go(a):
    first, second, third = blocked(a)
    status, now, taken, *_ = a.dead_replay(first, ONE, "discard", order=ALL)
    assert (status, taken) == (b"ok", 1)
    assert due(a) == {second} and score(a, ONE, second) == lane(a) == now and queue(a) == [second, third]


def test_a_repeated_discard_lets_nobody_go(a, dump):
    first, second, _ = blocked(a)
    call = a.dead_replay.later(first, ONE, "discard", order=ALL)
    a.make(call)
    before = dump()
    assert a.make(call)[0] == b"gone" and dump() == before and due(a) == {second}


def test_a_discarded_letter_that_blocks_nothing(a):
    """It was dead and skipped, or its endpoint was disabled since."""
    first, second, third = ordered(a, 3)
    end(a, first, "dead")
    a.dead_replay(first, ONE, "discard")
    assert queue(a) == [second, third] and due(a) == {second}
    end(a, second, BLOCKS)
    a.order_free(ONE)
    a.settle(third, ONE, "", "dead", ordinal=2)
    new = ordered(a, 2)
    a.dead_replay(second, ONE, "discard", order=ALL)
    assert queue(a) == new and due(a) == {new[0]}


def test_letters_of_several_queues_discarded_in_one_step(a):
    one, other = ordered(a, 2, KEY), ordered(a, 2, OTHER)
    _, until, *_ = a.lease(ONE)
    a.settles([Settle(one[0], ONE, until, BLOCKS, order=KEY),
               Settle(other[0], ONE, until, BLOCKS, order=OTHER)])
    a.dead_step(ONE, [(one[0], 0, None, b"", KEY), (other[0], 0, None, b"", OTHER)], "discard")
    assert due(a) == {one[1], other[1]} and dead(a) == set()


def test_a_follower_is_not_replayed_from_history(a):
    """It waits: to put it into the schedule would let it overtake."""
    first, second = ordered(a, 2)
    assert a.job_put("j")[0] == b"ok"
    a.event_step(ONE, [(second, b"r", b"s")], "j")
    assert due(a) == {first} and queue(a) == [first, second]


# ---- endpoints that take nothing any more ----------------------------------------------------------

def test_the_queues_of_an_endpoint_are_taken_apart(a):
    events = ordered(a, 3) + ordered(a, 2, KEY)
    assert a.order_free(ONE) == 0
    assert queue(a) == [] and due(a) == set(events) and lane(a) is not None
    for event in events:
        assert a.settle(event, ONE, "", "dead", ordinal=state(a, event)["ordinal"])[0] == b"ok"
    assert dead(a) == set(events) and lane(a) is None
    assert a.order_free(ONE) == 0


def test_in_pages_that_leave_whole_queues(a):
    """Should the endpoint be enabled meanwhile, what is left goes on in order."""
    first, second = ordered(a, 5), ordered(a, 3, KEY)
    left = [a.order_free(ONE, 2) for _ in range(3)]
    assert left == [6, 4, 2] and queue(a) == first[:2] and queue(a, key=KEY) == []
    assert due(a) == {first[0], *first[2:], *second}
    assert a.settle(first[0], ONE, "", order=ALL)[0] == b"ok" and first[1] in due(a)


def test_what_is_in_hand_keeps_its_lease(a):
    first, second = ordered(a, 2)
    _, until, *_ = lease_soon(a, ONE)
    a.order_free(ONE)
    assert score(a, ONE, first) == until and second in due(a)
    assert a.settle(first, ONE, until, order=ALL)[:3:2] == [b"ok", 0]


def test_a_letter_that_blocks_stays_one(a):
    first, second, third = blocked(a)
    a.order_free(ONE)
    assert dead(a) == {first} and due(a) == {second, third}


def test_only_the_owner_of_the_lane_takes_them_apart(a, b, dump):
    blocked(a)
    before = dump()
    assert b.order_free(ONE) == -1 and dump() == before


def test_an_endpoint_with_queues_is_not_deleted(a):
    first, second = ordered(a, 2)
    end(a, first, BLOCKS)
    a.endpoint_put(ONE, "{}")
    a.redis.call("DEL", a.key("dead", ONE), a.key("dead"))
    assert a.endpoint_delete(ONE) == b"busy"
    a.redis.call("ZADD", a.key("dead", ONE), 1, first)
    a.redis.call("ZADD", a.key("dead"), 0, ONE)
    a.order_free(ONE)
    a.settle(second, ONE, "")
    a.dead_replay(first, ONE, "discard", order=ALL)
    assert a.endpoint_delete(ONE) == b"ok"
