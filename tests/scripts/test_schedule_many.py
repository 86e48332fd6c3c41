"""move, lease and settle: many deliveries in one call."""

import pytest
from harness.formats import pack_log, pack_outcome, pack_record
from harness.invariants import Snapshot, check, deliveries
from schedule import ONE, TWO, attempts, lane, opened, score, waiting
from store import MOVED, Move, Settle, endpoint_ids

STALE, GONE = -1, -1


def leased_all(store, batch):
    """(event, endpoint) -> lease, of all deliveries of the batch."""
    endpoints = list(dict.fromkeys(endpoint for _, endpoint in batch.deliveries))
    reply, leases, at = store.leases([(endpoint, 500, 0) for endpoint in endpoints]), {}, 2
    for endpoint in endpoints:
        events = reply[at + 3:at + 3 + reply[at]]
        at += 3 + len(events)
        leases.update({(event.decode(), endpoint): reply[1] for event in events})
    assert at == len(reply) and sorted(leases) == sorted(batch.deliveries)
    return leases


def test_many_moves(a, redis, dump):
    """Of two batches, three events and two endpoints; each event's record is told once."""
    first, second = opened(a, [ONE, TWO], [ONE]), opened(a, [TWO])
    later, dead = first.deliveries[1], first.deliveries[2]
    call = a.moves.later([Move(*first.deliveries[0], 0, "in", 5000, first.record, attempt=b"1"),
                          Move(*later, 1, "leased", 9000, first.record),
                          Move(*second.deliveries[0], 0, "at", 1, second.record),
                          Move(*dead, 2, "dead", 0, first.record, attempt=b"2")])
    now, *due = a.make(call)
    assert due == [now + 5000, now + 9000, now, 0]
    check(redis, documents=False)
    assert (lane(a), lane(a, TWO), attempts(a)) == (now + 5000, now, [b"2", b"1"])
    assert Snapshot(redis).progress(first.name) == {0, 1, 2}
    before = dump()
    assert a.make(call)[1:] == due and dump() == before


def test_a_move_among_others_is_refused_alone(a, b, redis):
    """The batch of one is another's by now; and one is named twice."""
    mine, others = opened(a), opened(b)
    moves = [Move(*batch.deliveries[0], 0, "leased", 5000, batch.record) for batch in (others, mine)]
    now, *due = a.moves([*moves, moves[1]])
    assert due == [GONE, now + 5000, now + 5000]
    assert deliveries(check(redis, documents=False))[others.deliveries[0]] != "waiting"


def test_leases_of_many_endpoints(a, b):
    """One has nothing, one is another's, one is only given a time."""
    three, four = endpoint_ids(2)
    waiting(a, [ONE, TWO], [ONE, four])
    a.own(ONE, three, four)
    b.own(TWO)
    now, end, *rest = a.leases([(ONE, 1, 0), (TWO, 5, 0), (three, 5, 0), (four, 0, 10**13)])
    assert rest[0] == 1 and now - 1000 < rest[1] <= now and rest[2] == 1
    assert rest[4:10] == [-1, -1, 0, 0, -1, 0]
    assert rest[10] == 0 and rest[12] == 1 and lane(a, four) == 10**13
    assert score(a, ONE, rest[3].decode()) == end
    a.lease(four, 0)  # and the wish is forgotten


@pytest.mark.parametrize("batch_is", ["open", "closed", "gone"])
def test_many_settlements(a, redis, dump, batch_is):
    """Every kind, for events whose deliveries end together, apart, or not at all."""
    targets = [[ONE], [ONE, TWO], [ONE, TWO], [ONE, TWO], [ONE, TWO], [TWO]]
    batch = waiting(a, *targets)
    if batch_is != "open":
        a.close((batch.name, MOVED, len(batch.blob), len(batch.deliveries)) if batch_is == "gone" else
                batch.name)
    leases = leased_all(a, batch)

    def settle(place, endpoint, kind="done", **how):
        event = batch.events[place]
        return Settle(event, endpoint, leases[event, endpoint], kind,
                      ordinal=batch.deliveries.index((event, endpoint)), **how)

    asked = [settle(0, ONE, log=pack_log(1), attempt=b"1"),
             settle(1, ONE, log=pack_log(1)), settle(1, TWO, log=pack_log(2), attempt=b"2"),
             settle(2, ONE, log=pack_log(1)), settle(2, TWO, "retry", delay=5000, attempt=b"3"),
             settle(3, ONE, "dead", attempt=b"4"), settle(3, TWO, "dead"),
             settle(4, TWO, outcome=pack_outcome("cancelled")), settle(0, ONE), settle(2, TWO, "dead")]
    call = a.settles.later(asked)
    now, history, *due = a.make(call)
    assert due == [0, 0, 0, 0, now + 5000, 0, 0, 0, STALE, STALE]
    snapshot = check(redis, documents=False)
    assert history == int(snapshot.one("closed:bytes"))
    found = deliveries(snapshot)
    assert [found[batch.events[place], endpoint] for place, endpoint in (
        (0, ONE), (1, ONE), (1, TWO), (2, ONE), (2, TWO), (3, ONE), (3, TWO), (4, ONE), (4, TWO),
        (5, TWO))] == ["sent", "sent", "sent", "sent", "waiting", "dead", "dead", "waiting",
                       "cancelled", "waiting"]
    assert attempts(a) == [b"4", b"1"] and attempts(a, TWO) == [b"3", b"2"]
    before = dump()
    assert a.make(call)[2:] == [STALE] * len(asked) and dump() == before


def test_settlements_of_others_do_not_matter(a, b):
    """Of several in a call only those whose lease is held are settled."""
    batch = waiting(a, [ONE], [ONE], [TWO])
    leases = leased_all(a, batch)
    asked = [Settle(event, endpoint, leases[event, endpoint] + n % 2, ordinal=n)
             for n, (event, endpoint) in enumerate(batch.deliveries)]
    assert a.settles(asked)[2:] == [0, STALE, 0]
    assert score(a, ONE, batch.events[1]) == leases[batch.deliveries[1]]


@pytest.mark.parametrize("spread", ["one event", "one endpoint"])
def test_as_many_as_fit_into_a_call(a, redis, spread):
    count = 128
    targets = [endpoint_ids(count)] if spread == "one event" else [[ONE]] * count
    batch = opened(a, *targets)
    now, *due = a.moves([Move(event, endpoint, n, record=batch.record, attempt=b"x")
                         for n, (event, endpoint) in enumerate(batch.deliveries)])
    assert due == [now] * count
    a.close((batch.name, MOVED, len(batch.blob), count))
    a.own(*{endpoint for _, endpoint in batch.deliveries})
    leases = leased_all(a, batch)
    asked = [Settle(*key, lease, ordinal=batch.deliveries.index(key), log=pack_log(1), attempt=b"y")
             for key, lease in leases.items()]
    assert a.settles(asked)[2:] == [0] * count
    assert set(deliveries(check(redis, documents=False, settled=True)).values()) == {"sent"}


@pytest.mark.parametrize("size", [100, 300, 1000, 3500, 5000, 100_000])
@pytest.mark.parametrize("log", [b"", pack_log(1), pack_log(1, 2, 3)], ids=["none", "one", "three"])
@pytest.mark.parametrize("keeps_record", [True, False])
def test_the_bytes_of_history_are_what_redis_takes(a, redis, size, log, keeps_record):
    """They are estimated; a tenth, and what an allocator rounds up, is near enough. (Packed, as the
    embedded Redis is set, and any other unless `packHashes` is off.)"""
    redis.call("CONFIG", "SET", "hash-max-listpack-value", 4096)
    batch = opened(a, [ONE])
    event, record = batch.events[0], pack_record("a.b", b"x" * size)
    a.move(event, ONE, 0, record=record)
    a.close((batch.name, MOVED, 0, 1) if keeps_record else batch.name)
    a.settle(event, ONE, a.lease(ONE)[1], log=log, record_bytes=len(record))
    member = f"{event}:".encode()
    told = [int(name[len(member):]) for name in redis.call("ZRANGE", a.key("closed"), 0, -1)
            if name.startswith(member)]
    if not keeps_record and not log:
        assert told == [], "the batch has it all"
        return
    real = redis.call("MEMORY", "USAGE", a.key("event", event))
    assert abs(told[0] - real) <= 0.12 * real + 100, (told[0], real)
