"""job_put, job_take, job_step, job_end, dead_replay and event_replay as steps of a job, page,
open_between."""

import random

import pytest
from harness.formats import (lane_of, pack_log, pack_outcome, pack_state, read_final, read_log,
                             read_state)
from harness.invariants import ORDINAL_NONE, Snapshot, check, deliveries
from store import Batch, endpoint_id, endpoint_ids, lease_soon

ONE, TWO = endpoint_id(), endpoint_id()
JOB = "job_" + "1" * 27
SENT = pack_outcome("sent")


def buried(store, *targets):
    """A closed batch whose deliveries are all dead letters."""
    batch = Batch(*targets)
    assert store.publish(batch)[0] == b"ok"
    for ordinal, (event, endpoint) in enumerate(batch.deliveries):
        assert store.move(event, endpoint, ordinal, "dead")[0] == b"ok"
    store.close(batch.name)
    return batch


def sent(store, *targets):
    """A closed batch whose deliveries have all succeeded."""
    batch = Batch(*targets)
    assert store.publish(batch)[0] == b"ok"
    count = len(batch.deliveries)
    store.close((batch.name, {ordinal: SENT for ordinal in range(count)}, len(batch.blob), count))
    return batch


def forget_batch(store):
    """Its history ends early; that of its events does not."""
    for member in store.redis.call("ZRANGE", store.key("closed"), 0, -1):
        store.trim(member.decode())


def letters(batch, log=b""):
    return [(event, ordinal, None, log) for ordinal, (event, _) in enumerate(batch.deliveries)]


def fields(store, job=JOB):
    flat = store.redis.call("HGETALL", store.key("job", job))
    return dict(zip((name.decode() for name in flat[::2]), flat[1::2]))


def ids(page):
    return [member.decode() for member in page[::2]]


# ---- a job's life ------------------------------------------------------------------------------------

def test_a_job_begins_goes_on_and_ends(a, dump):
    call = a.job_put.later(JOB, b"spec", status="queued")
    status, created = a.make(call)
    before = dump()
    assert status == b"ok" and a.make(call) == [b"ok", created] and dump() == before

    status, _, *flat = a.job_take(JOB)
    assert status == b"ok" and dict(zip(flat[::2], flat[1::2]))[b"spec"] == b"spec"
    assert fields(a)["status"] == b"running"
    assert a.job_step(JOB, 1, "here", 3, total=17)[2:] == [0, 0, 3]
    assert a.job_step(JOB, 2, "there", 4)[2:] == [0, 0, 7]
    assert fields(a)["cursor"] == b"there" and fields(a)["total"] == b"17"

    call = a.job_end.later(JOB)
    assert a.make(call)[0] == b"ok"
    before = dump()
    assert a.make(call)[0] == b"ended" and dump() == before
    assert a.job_take(JOB)[0] == b"ended" and a.job_step(JOB, 3)[0] == b"ended"
    assert dump() == before


def test_a_repeated_step_does_nothing_and_answers_the_same(a, dump):
    a.job_put(JOB)
    call = a.job_step.later(JOB, 1, "here", 3)
    first, before = a.make(call), dump()
    assert a.make(call)[2:] == first[2:] and dump() == before


def test_a_cancelled_job_does_nothing_more(a, b, dump):
    batch = buried(a, [ONE], [ONE])
    a.job_put(JOB)
    assert a.dead_step(ONE, letters(batch)[:1], job=JOB)[0] == b"ok"
    assert b.job_end(JOB, "cancelled", owner="")[0] == b"ok"
    before = dump()
    assert a.dead_step(ONE, letters(batch)[1:], job=JOB, step=2)[0] == b"ended"
    assert a.job_end(JOB)[0] == b"ended" and dump() == before
    assert fields(a)["done"] == b"1"


def test_a_job_is_taken_over_when_its_owner_is_dead_and_not_before(a, b, dump):
    batch = buried(a, [ONE])
    a.job_put(JOB)
    before = dump()
    assert b.job_take(JOB)[0] == b"alive" and dump() == before
    a.heartbeat(1)
    a.wait(5)
    assert b.job_take(JOB)[0] == b"ok"
    before = dump()
    assert a.dead_step(ONE, letters(batch), job=JOB)[0] == b"ended", "it wakes up"
    assert a.job_step(JOB)[0] == b"ended" and a.job_end(JOB)[0] == b"ended"
    assert dump() == before
    a.heartbeat()


def test_no_more_are_kept_than_may_be(a, redis):
    names = ["job_" + str(n) * 27 for n in range(4)]
    assert a.job_put(names[0], most=2)[0] == b"ok" and a.job_put(names[1], most=2)[0] == b"ok"
    assert a.job_put(names[2], most=2)[0] == b"full"
    assert a.job_put(names[2], most=2, drop=names[0])[0] == b"full", "it is not finished"
    a.job_end(names[0])
    assert a.job_put(names[2], most=3, drop=names[0])[0] == b"ok"
    assert redis.call("ZCARD", a.key("jobs")) == 3, "there was room"
    assert a.job_put(names[3], most=3, drop=names[0])[0] == b"ok"
    assert not fields(a, names[0]) and redis.call("ZCARD", a.key("jobs")) == 3


def test_what_has_expired_makes_room(a, redis):
    a.job_put(JOB)
    a.job_end(JOB, keep=1)
    a.wait(10)
    other = "job_" + "2" * 27
    a.job_put(other, drop=JOB)
    assert redis.call("ZRANGE", a.key("jobs"), 0, -1) == [other.encode()]


# ---- steps with dead letters -------------------------------------------------------------------------

@pytest.mark.parametrize("what", ["replay", "discard"])
def test_a_step_takes_many_letters_once(a, redis, dump, what):
    batch = buried(a, *[[ONE]] * 50, [ONE, TWO])
    a.job_put(JOB)
    mine = [letter for letter, (_, endpoint) in zip(letters(batch), batch.deliveries)
            if endpoint == ONE]
    call = a.dead_step.later(ONE, mine, what, job=JOB, cursor="c", skipped=2)
    status, now, taken, done, skipped, _ = a.make(call)
    assert (status, taken, done, skipped) == (b"ok", 51, 51, 2)
    before = dump()
    assert a.make(call)[0] == b"ok" and a.make(call)[2:] == [0, 51, 2, -1]
    assert dump() == before
    assert fields(a)["step"] == b"1" and fields(a)["cursor"] == b"c"
    found = deliveries(Snapshot(redis))
    left = {found[event, ONE] for event in batch.events}
    assert left == {"waiting" if what == "replay" else "cancelled"}
    assert found[batch.events[-1], TWO] == "dead"
    assert redis.call("ZRANGE", a.key("dead"), 0, -1) == [TWO.encode()]
    if what == "replay":
        assert int(redis.call("ZSCORE", a.key("lane", lane_of(ONE)), ONE)) == now + 1


def test_letters_that_others_took_count_as_skipped(a):
    batch = buried(a, [ONE], [ONE], [ONE])
    a.job_put(JOB)
    a.dead_replay(batch.events[1], ONE, ordinal=1)
    assert a.dead_step(ONE, letters(batch), job=JOB)[2:] == [2, 2, 1, -1]


@pytest.mark.parametrize("log", [b"", pack_log(1, 2)])
def test_discarded_letters_without_a_batch_are_history(a, redis, log):
    batch = buried(a, [ONE], [ONE, TWO])
    forget_batch(a)
    a.job_put(JOB)
    mine = [letter for letter, (_, endpoint) in zip(letters(batch, log), batch.deliveries)
            if endpoint == ONE]
    taken, _, _, history = a.dead_step(ONE, mine, "discard", job=JOB)[2:]
    assert taken == 2 and history == int(redis.call("GET", a.key("closed", "bytes")))
    alone, other = batch.events
    snapshot = check(redis, documents=False)
    assert deliveries(snapshot) == {(alone, ONE): "cancelled", (other, ONE): "cancelled",
                                    (other, TWO): "dead"}
    assert read_final(snapshot.all("event")[alone][f"={ONE}"])["log"] == read_log(log)
    assert list(snapshot.one("closed")) == [f"{alone}:{history}"], "TWO still has a dead letter"


def test_a_discarded_letter_without_a_place_in_its_batch(a, redis):
    """It was an event replayed to an endpoint that came later."""
    batch = sent(a, [TWO])
    event, = batch.events
    a.job_put(JOB)
    a.event_step(ONE, [(event, batch.record, pack_state(ORDINAL_NONE))], JOB)
    a.settle(event, ONE, lease_soon(a, ONE)[1], "dead", ordinal="",
             state=pack_state(ORDINAL_NONE, dead=True))
    before = redis.call("GET", a.key("outcome", batch.name))
    assert a.dead_replay(event, ONE, "discard", "")[5] > 0
    assert redis.call("GET", a.key("outcome", batch.name)) == before
    assert deliveries(check(redis, documents=False)) == {(event, TWO): "sent",
                                                         (event, ONE): "cancelled"}


# ---- steps with events -------------------------------------------------------------------------------

def test_events_that_were_sent_are_sent_again(a, redis, dump):
    batch = sent(a, [TWO, ONE], [ONE])
    a.job_put(JOB)
    record = batch.record
    call = a.event_step.later(ONE, [(batch.events[0], record, pack_state(1)),
                                    (batch.events[1], record, pack_state(2))], JOB)
    assert a.make(call)[2:] == [2, 2, 0]
    before = dump()
    assert a.make(call)[2:] == [0, 2, 0] and dump() == before
    lease = lease_soon(a, ONE)
    assert {event.decode() for event in lease[4:]} == set(batch.events)
    again = a.event_step(ONE, [(batch.events[0], record, pack_state(1))], JOB, step=2)
    assert again[2:] == [0, 2, 1], "it waits already"
    cancelled = pack_outcome("cancelled")
    assert a.settle(batch.events[0], ONE, lease[1], ordinal=1, outcome=cancelled)[0] == b"ok"
    found = deliveries(check(redis, documents=False))
    assert found[batch.events[0], ONE] == "cancelled", "the new outcome counts"
    assert found[batch.events[0], TWO] == "sent"


def test_an_event_goes_to_an_endpoint_that_came_later(a, redis):
    batch = sent(a, [TWO])
    a.job_put(JOB)
    event, = batch.events
    assert a.event_step(ONE, [(event, batch.record, pack_state(ORDINAL_NONE))], JOB)[2] == 1
    lease = lease_soon(a, ONE)[1]
    cancelled = pack_outcome("cancelled")
    assert a.settle(event, ONE, lease, ordinal="", outcome=cancelled)[0] == b"ok"
    snapshot = check(redis, documents=False)
    assert deliveries(snapshot) == {(event, TWO): "sent", (event, ONE): "cancelled"}
    assert "e" not in snapshot.all("event")[event], "the batch has it"


@pytest.mark.parametrize("alone", [True, False])
def test_an_event_with_a_hash_is_sent_again(a, redis, alone):
    """Its new outcome replaces the old one, also when there are no attempts to tell of."""
    batch = buried(a, [ONE])
    event, = batch.events
    if alone:
        forget_batch(a)
    a.job_put(JOB)
    a.dead_replay(event, ONE)
    a.settle(event, ONE, lease_soon(a, ONE)[1], outcome=SENT, log=pack_log(1))
    assert a.event_step(ONE, [(event, batch.record, pack_state(0))], JOB)[2] == 1
    assert deliveries(check(redis, documents=False)) == {(event, ONE): "waiting"}
    cancelled = pack_outcome("cancelled")
    a.settle(event, ONE, lease_soon(a, ONE)[1], outcome=cancelled)
    snapshot = check(redis, documents=False)
    assert deliveries(snapshot) == {(event, ONE): "cancelled"}
    assert snapshot.all("event")[event][f"={ONE}"] == cancelled


def test_a_dead_letter_among_the_events_is_taken_out(a, redis):
    batch = buried(a, [ONE])
    event, = batch.events
    a.job_put(JOB)
    state = pack_state(0, attempts=4, replayed_at=4)
    call = a.event_step.later(ONE, [(event, "", state)], JOB)
    assert a.make(call)[2:] == [1, 1, 0]
    assert read_state(redis.call("HGET", a.key("event", event), ONE))["attempts"] == 4
    assert not redis.call("EXISTS", a.key("dead"), a.key("dead", ONE))
    assert a.event_step(ONE, [(event, "", state)], JOB, step=2)[2:] == [0, 1, 1]


def test_without_memory_events_are_refused_and_dead_letters_are_not(a, redis):
    batch, dead = sent(a, [ONE]), buried(a, [ONE])
    a.job_put(JOB)
    redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        a.event_step(ONE, [(batch.events[0], batch.record, pack_state(0))], JOB)
    assert a.dead_step(ONE, letters(dead), job=JOB)[2] == 1
    assert a.job_step(JOB, 2)[0] == b"ok" and a.job_end(JOB)[0] == b"ok"


# ---- pages -------------------------------------------------------------------------------------------

def walk(store, most, between=lambda: None, **options):
    seen, score, member = [], "", ""
    while True:
        page = store.page("dead", ONE, score=score, member=member, most=most, **options)
        if not page:
            return seen
        seen += ids(page)
        member, score = page[-2], page[-1]
        between(seen)


@pytest.mark.parametrize("most", [1, 7, 100])
def test_pages_neither_skip_nor_repeat(a, redis, most):
    """Many letters of one millisecond; those that were seen leave and others come in between."""
    rng = random.Random(most)
    members = [f"msg_{n:03}" + rng.choice("aZ") for n in range(300)]
    for n, member in enumerate(members):
        redis.call("ZADD", a.key("dead", ONE), n // 120, member)
    gone = set()

    def between(seen):
        leaving = rng.sample(seen, min(len(seen), 5))
        gone.update(leaving + members[295:296])
        redis.call("ZREM", a.key("dead", ONE), *gone)

    seen = walk(a, most, between if most > 1 else lambda seen: None)
    assert len(seen) == len(set(seen))
    assert set(seen) | gone == set(members)
    redis.call("DEL", a.key("dead", ONE))


def test_a_page_begins_at_its_lowest_score(a, redis):
    for n in range(10):
        redis.call("ZADD", a.key("dead", ONE), n, f"msg_{n}")
    assert ids(a.page("dead", ONE, lowest=7)) == ["msg_7", "msg_8", "msg_9"]
    assert a.page("dead", ONE, lowest=10) == []
    redis.call("DEL", a.key("dead", ONE))


def test_a_set_that_is_gone_has_no_pages(a):
    assert a.page("dead", ONE, score="5", member="msg_5") == []


# ---- open_between ------------------------------------------------------------------------------------

def test_an_open_batch_is_seen_wherever_it_is(a, b):
    """At the one who publishes, at the owner of its last part, and at whoever adopts that."""
    at_ms = 1_760_000_000_000
    mine, theirs = endpoint_ids(2)
    batch = Batch([mine], [theirs], now_ms=at_ms, others={"b": [lane_of(theirs)]})
    assert a.publish(batch)[0] == b"ok"

    def seen(since_ms, until_ms):
        answers = {store.open_between(since_ms, until_ms) for store in (a, b)}
        assert len(answers) == 1
        return answers.pop() == 1

    assert seen(at_ms, at_ms) and seen(at_ms - 3_600_000, at_ms + 3_600_000) and seen(at_ms - 5, at_ms + 5)
    assert not seen(at_ms - 9000, at_ms - 4) and not seen(at_ms + 4, at_ms + 9000)
    a.close((batch.member(0), {0: SENT}, len(batch.blob), 2, "sp"))
    assert seen(at_ms, at_ms)
    a.heartbeat(others="others")
    assert a.adopt(batch.member(1), "b") == b"ok"
    assert a.bury("b") == b"ok" and seen(at_ms, at_ms)
    a.close((batch.member(1), {1: SENT}, len(batch.blob), 2, "sp"))
    assert not seen(at_ms - 3_600_000, at_ms + 3_600_000)
