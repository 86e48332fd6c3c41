"""endpoint_put and endpoint_delete."""

import pytest
from harness.invariants import Snapshot
from store import MEMBERS, Batch, endpoint_id

ONE, TWO = endpoint_id(), endpoint_id()
RECORD = '{"failingSince":1760000000000}'
DOCUMENT, OTHER, TOMBSTONE = '{"url":"a"}', '{"url":"b"}', '{"deleted":true}'


def version(store):
    return int(store.redis.call("HGET", store.key("config"), "version") or 0)


def documents(store):
    return {name: value.decode() for name, value
            in Snapshot(store.redis).one("config:endpoints").items()}


def test_create_and_replace(a):
    assert a.endpoint_put(ONE, DOCUMENT) == [b"ok", 1]
    assert a.endpoint_put(ONE, OTHER, "replace") == [b"ok", 2]
    assert documents(a) == {ONE: OTHER} and version(a) == 2


def test_only_what_exists_is_replaced(a):
    assert a.endpoint_put(ONE, DOCUMENT, "replace") == [b"missing", 0]
    assert documents(a) == {} and version(a) == 0


def test_no_more_than_there_may_be(a):
    assert a.endpoint_put(ONE, DOCUMENT, most=1)[0] == b"ok"
    assert a.endpoint_put(TWO, DOCUMENT, most=1) == [b"full", 0]
    assert a.endpoint_put(ONE, OTHER, "replace", most=1)[0] == b"ok"
    assert documents(a) == {ONE: OTHER} and version(a) == 2


def test_a_deleted_endpoint_does_not_come_back(a):
    """Another replica changes it while its schedule is being cleared."""
    a.endpoint_put(ONE, DOCUMENT)
    assert a.endpoint_put(ONE, TOMBSTONE, "replace") == [b"ok", 2]
    assert a.endpoint_put(ONE, OTHER, "replace") == [b"missing", 0]
    assert a.endpoint_put(ONE, TOMBSTONE, "replace")[0] == b"ok", "a repeated deletion"
    assert documents(a) == {ONE: TOMBSTONE}
    a.endpoint_delete(ONE)
    assert a.endpoint_put(ONE, OTHER, "replace") == [b"missing", 0]


def test_delete_leaves_nothing(a):
    a.endpoint_put(ONE, DOCUMENT)
    a.attempts_add(ONE, "x")
    a.health_put(ONE, RECORD)
    a.redis.call("ZADD", a.key("dead"), 0, TWO)
    a.redis.call("ZADD", a.key("dead"), 0, ONE)
    a.redis.call("ZREM", a.key("dead"), TWO)
    assert a.endpoint_delete(ONE) == b"ok"
    assert sorted(Snapshot(a.redis).ttl) == ["config", *MEMBERS]
    assert a.endpoint_delete(ONE) == b"ok", "a repeated call"


@pytest.mark.parametrize("kind, family", [("in", "due"), ("dead", "dead")])
def test_an_endpoint_with_deliveries_is_not_deleted(a, dump, kind, family):
    a.endpoint_put(ONE, DOCUMENT)
    batch = Batch([ONE])
    a.publish(batch)
    a.move(batch.events[0], ONE, 0, kind, attempt=b"x")
    before = dump()
    assert a.endpoint_delete(ONE) == b"busy"
    assert dump() == before and Snapshot(a.redis).all(family)


def test_replay_and_delete_at_once(a, dump):
    """Whichever comes first: no delivery is left to an endpoint that is gone."""
    a.endpoint_put(ONE, DOCUMENT)
    batch = Batch([ONE], [ONE])
    a.publish(batch)
    for ordinal, event in enumerate(batch.events):
        a.move(event, ONE, ordinal, "dead")
    a.dead_replay(batch.events[0], ONE, "discard")
    assert a.dead_replay(batch.events[1], ONE)[0] == b"ok"
    assert a.endpoint_delete(ONE) == b"busy"
    a.settle(batch.events[1], ONE, "")
    assert a.endpoint_delete(ONE) == b"ok"
    before = dump()
    for event in batch.events:
        assert a.dead_replay(event, ONE)[0] == b"gone"
    assert dump() == before


def health(store):
    return {name: value.decode() for name, value in Snapshot(store.redis).one("health").items()}


def test_health_is_kept_while_something_is_wrong(a):
    a.endpoint_put(ONE, DOCUMENT)
    a.endpoint_put(TWO, DOCUMENT)
    assert a.health_put(ONE, "", TWO, RECORD) == 1
    assert health(a) == {TWO: RECORD}
    assert a.health_put(ONE, RECORD, TWO, "") == 1
    assert a.health_put(ONE, RECORD, TWO, "") == 1, "a repeated call"
    assert health(a) == {ONE: RECORD}


def test_health_is_written_by_the_owner_of_the_lane(a, b):
    a.endpoint_put(ONE, DOCUMENT)
    a.endpoint_put(TWO, DOCUMENT)
    b.own(TWO)
    assert a.health_put(ONE, RECORD, TWO, RECORD) == 1 and health(a) == {ONE: RECORD}
    assert b.health_put(ONE, "", TWO, RECORD) == 1 and health(a) == {ONE: RECORD, TWO: RECORD}


def test_the_deleted_are_listed_until_they_are_gone(a):
    a.endpoint_put(ONE, DOCUMENT)
    a.endpoint_put(ONE, TOMBSTONE, "replace")
    assert Snapshot(a.redis).one("config:deleted") == [ONE.encode()]
    a.endpoint_put(ONE, TOMBSTONE, "replace")
    assert a.endpoint_delete(ONE) == b"ok" and not Snapshot(a.redis).one("config:deleted")


def test_health_of_an_endpoint_that_is_gone(a, dump):
    """A call that comes late leaves nothing behind."""
    a.endpoint_put(ONE, DOCUMENT)
    a.health_put(ONE, RECORD)
    assert a.endpoint_delete(ONE) == b"ok" and health(a) == {}
    before = dump()
    assert a.health_put(ONE, RECORD, TWO, RECORD) == 0
    assert dump() == before


def test_out_of_memory(a, redis):
    """A new endpoint is refused; one that is to go can go, which gives memory back."""
    a.endpoint_put(ONE, DOCUMENT)
    redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        a.endpoint_put(TWO, DOCUMENT)
    assert a.endpoint_put(ONE, OTHER, "replace")[0] == b"ok", "to be disabled, for one"
    assert a.endpoint_put(ONE, TOMBSTONE, "replace")[0] == b"ok"
    assert a.endpoint_delete(ONE) == b"ok"
    assert documents(a) == {}
