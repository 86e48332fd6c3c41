"""config_put, endpoint_delete, config_changes and health_put."""

import pytest
from harness.formats import lane_of
from harness.invariants import Snapshot
from store import MEMBERS, Batch, Store, endpoint_id

ONE, TWO = endpoint_id(), endpoint_id()
RECORD = '{"failingSince":1760000000000}'
DOCUMENT, OTHER, TOMBSTONE = '{"url":"a"}', '{"url":"b"}', '{"deleted":true}'
V = 9_000_000_000_000  # a version later than now, from which on they are counted


@pytest.fixture
def a(a):
    a.redis.call("HSET", a.key("config"), "version", V)
    return a


def version(store):
    return int(store.redis.call("HGET", store.key("config"), "version") or 0)


def documents(store):
    return {name: value.decode() for name, value
            in Snapshot(store.redis).one("config:endpoints").items()}


def test_create_and_replace(a):
    assert a.endpoint_put(ONE, DOCUMENT) == [b"ok", V + 1, V]
    assert a.endpoint_put(ONE, OTHER, "replace") == [b"ok", V + 2, V + 1]
    assert documents(a) == {ONE: OTHER} and version(a) == V + 2


def test_only_what_exists_is_replaced(a):
    assert a.endpoint_put(ONE, DOCUMENT, "replace") == [b"missing", 0]
    assert documents(a) == {} and version(a) == V


def test_no_more_than_there_may_be(a):
    assert a.endpoint_put(ONE, DOCUMENT, most=1)[0] == b"ok"
    assert a.endpoint_put(TWO, DOCUMENT, most=1) == [b"full", 0]
    assert a.endpoint_put(ONE, OTHER, "replace", most=1)[0] == b"ok"
    assert documents(a) == {ONE: OTHER} and version(a) == V + 2


def test_a_deleted_endpoint_does_not_come_back(a):
    """Another replica changes it while its schedule is being cleared."""
    a.endpoint_put(ONE, DOCUMENT)
    assert a.endpoint_put(ONE, TOMBSTONE, "replace") == [b"ok", V + 2, V + 1]
    assert a.endpoint_put(ONE, OTHER, "replace") == [b"missing", 0]
    assert a.endpoint_put(ONE, TOMBSTONE, "replace")[0] == b"ok", "a repeated deletion"
    assert documents(a) == {ONE: TOMBSTONE}
    a.endpoint_delete(ONE)
    assert a.endpoint_put(ONE, OTHER, "replace") == [b"missing", 0]


def test_delete_leaves_nothing(a):
    """But that it was changed, for those who have not heard of it."""
    a.endpoint_put(ONE, DOCUMENT)
    a.endpoint_put(ONE, TOMBSTONE, "replace")
    a.attempts_add(ONE, "x")
    a.health_put(ONE, RECORD)
    a.redis.call("ZADD", a.key("dead"), 0, TWO)
    a.redis.call("ZADD", a.key("dead"), 0, ONE)
    a.redis.call("ZREM", a.key("dead"), TWO)
    assert a.endpoint_delete(ONE) == b"ok"
    assert sorted(Snapshot(a.redis).ttl) == ["config", "config:changes", *MEMBERS]
    assert a.config_changes(0) == [b"ok", V + 2, V + 2, ONE.encode(), b""]
    assert a.endpoint_delete(ONE) == b"ok", "a repeated call"


def test_of_two_changes_at_once_one_is_refused(a, b, dump):
    """Both were made of version 1; the second one learns what there is now."""
    a.endpoint_put(ONE, DOCUMENT)
    assert a.endpoint_put(ONE, OTHER, "replace", base=V + 1) == [b"ok", V + 2, V + 1]
    before = dump()
    assert b.endpoint_put(ONE, DOCUMENT, "replace", base=V + 1) == [b"conflict", V + 2, OTHER.encode()]
    assert dump() == before
    assert b.endpoint_put(ONE, DOCUMENT, "replace", base=V + 2) == [b"ok", V + 3, V + 2]


def test_changes_of_others_are_no_conflict(a):
    a.endpoint_put(ONE, DOCUMENT)
    for version in range(V + 2, V + 5):
        assert a.endpoint_put(TWO, DOCUMENT, "create" if version == V + 2 else "replace")[1] == version
    assert a.endpoint_put(ONE, OTHER, "replace", base=V + 1) == [b"ok", V + 5, V + 4]


def test_a_deletion_holds_whatever_was_changed(a):
    a.endpoint_put(ONE, DOCUMENT)
    a.endpoint_put(ONE, OTHER, "replace", base=V + 1)
    assert a.endpoint_put(ONE, TOMBSTONE, "replace") == [b"ok", V + 3, V + 2]
    assert a.endpoint_put(ONE, OTHER, "replace", base=V + 2) == [b"missing", 0]


def test_changes_since_a_version(a):
    a.endpoint_put(ONE, DOCUMENT)
    a.endpoint_put(TWO, DOCUMENT)
    a.endpoint_put(ONE, OTHER, "replace")
    one, two = (ONE.encode(), OTHER.encode()), (TWO.encode(), DOCUMENT.encode())
    assert a.config_changes(0) == [b"ok", V + 3, V + 3, *two, *one], "each once, in the order of versions"
    assert a.config_changes(V + 1) == [b"ok", V + 3, V + 3, *two, *one]
    assert a.config_changes(V + 2) == [b"ok", V + 3, V + 3, *one]
    assert a.config_changes(V + 3) == [b"ok", V + 3, V + 3]


def test_changes_come_in_pages(a):
    names = [endpoint_id() for _ in range(5)]
    for name in names:
        a.endpoint_put(name, DOCUMENT)
    version, seen = 0, []
    while version < V + 5:
        status, version, present, *found = a.config_changes(version, most=2)
        assert (status, present, len(found)) == (b"ok", V + 5, 2 * (version - V - len(seen)))
        seen += [name.decode() for name in found[::2]]
    assert seen == names


def test_an_endpoint_that_is_changed_between_two_pages_comes_again(a):
    for name in (ONE, TWO):
        a.endpoint_put(name, DOCUMENT)
    assert a.config_changes(0, most=1)[:4] == [b"ok", V + 1, V + 2, ONE.encode()]
    a.endpoint_put(ONE, OTHER, "replace")
    assert a.config_changes(V + 1) == [b"ok", V + 3, V + 3, TWO.encode(), DOCUMENT.encode(),
                                   ONE.encode(), OTHER.encode()]


def test_changes_are_dropped_oldest_first(a):
    """Who is behind what was dropped is told so, and so is a change that was made before it."""
    names = [endpoint_id() for _ in range(5)]
    for name in names:
        a.endpoint_put(name, DOCUMENT, kept=3)
    assert a.redis.call("HGET", a.key("config"), "floor") == b"%d" % (V + 2)
    for version in (0, V + 1):
        assert a.config_changes(version) == [b"behind"]
    assert [name.decode() for name in a.config_changes(V + 2)[3::2]] == names[2:]
    assert a.endpoint_put(names[0], OTHER, "replace", base=V + 1) == [b"conflict", V + 5, DOCUMENT.encode()]
    assert a.endpoint_put(names[0], OTHER, "replace", base=V + 2, kept=3) == [b"ok", V + 6, V + 5]
    assert a.endpoint_put(names[4], OTHER, "replace", base=V + 5, kept=1) == [b"ok", V + 7, V + 6], "a lower limit"
    assert a.redis.call("HGET", a.key("config"), "floor") == b"%d" % (V + 6)


def test_a_version_that_redis_does_not_have(a):
    """It was restored from an older state."""
    a.endpoint_put(ONE, DOCUMENT)
    assert a.config_changes(V + 2) == [b"behind"]


@pytest.mark.parametrize("left, had", [(None, 0), (None, 10**12), (5, 10**12)])
def test_a_change_of_what_is_left_does_not_hide_what_is_lost(a, left, had):
    """Redis has lost all, or the last changes: whoever had an older version loads everything."""
    a.endpoint_put(ONE, DOCUMENT)
    a.redis.call("FLUSHALL")
    a.heartbeat()
    if left:
        a.redis.call("HSET", a.key("config"), "version", left)
    version = a.endpoint_put(TWO, OTHER, had=had)[1]
    for known in (0, left or 0, had):
        assert a.config_changes(known) == [b"behind"]
    assert a.endpoint_put(ONE, DOCUMENT, had=version)[1:] == [version + 1, version]
    assert a.config_changes(version)[3:] == [ONE.encode(), DOCUMENT.encode()], "the next one is like any other"


def test_a_change_made_of_a_document_that_is_lost_is_a_conflict(redis):
    """A master takes another's place that had one change more. Its next one has another version."""
    store = Store(redis, "a")
    store.endpoint_put(ONE, DOCUMENT)
    kept = {key: redis.call("DUMP", key) for key in redis.call("KEYS", "*")}
    made_of = store.endpoint_put(ONE, OTHER, "replace")[1]
    for key, value in kept.items():
        redis.call("RESTORE", key, 0, value, "REPLACE")
    store.wait(2)
    assert store.endpoint_put(ONE, '{"url":"c"}', "replace")[1] > made_of
    assert store.endpoint_put(ONE, OTHER, "replace", base=made_of)[0] == b"conflict"


def test_every_change_is_announced(a, server):
    with server.connect() as hears:
        hears.call("SUBSCRIBE", a.key("all"))
        for number, kind in enumerate(("create", "replace"), 1):
            a.endpoint_put(ONE, DOCUMENT, kind)
            assert hears.read() == [b"message", a.key("all").encode(), b"c%d" % (V + number)]


def test_without_the_right_to_announce(a, server):
    """Notices are hints: a change is made all the same."""
    a.redis.call("ACL", "SETUSER", "mute", "on", ">x", "~*", "+@all", "resetchannels")
    with server.connect() as redis:
        redis.call("AUTH", "mute", "x")
        assert Store(redis, "m").endpoint_put(ONE, DOCUMENT) == [b"ok", V + 1, V]
    a.redis.call("ACL", "DELUSER", "mute")


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


def test_health_is_written_by_the_lane_s_owner_alone(a, b, dump):
    """What a replica says of a lane that is another's by now changes nothing, neither way."""
    for endpoint in (ONE, TWO):
        a.endpoint_put(endpoint, DOCUMENT)
    assert lane_of(ONE) != lane_of(TWO)
    a.redis.call("HSET", a.key("lanes"), lane_of(ONE), b.me)
    assert a.health_put(ONE, RECORD, TWO, RECORD) == 1
    assert health(a) == {TWO: RECORD}
    assert b.health_put(ONE, RECORD) == 1
    before = dump()
    assert a.health_put(ONE, "") == 0
    assert dump() == before
    assert b.health_put(ONE, "") == 0 and health(b) == {TWO: RECORD}


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


def test_sources_lie_beside_endpoints(a, b, dump):
    """One version and one list of changes for both; a deleted source leaves no mark."""
    source = '{"name":"gh"}'
    a.endpoint_put(ONE, DOCUMENT)
    assert a.source_put("gh", source) == [b"ok", V + 2, V + 1]
    before = dump()
    assert b.source_put("gh", OTHER) == [b"conflict", V + 2, source.encode()], "made by somebody else"
    assert b.source_put("gl", OTHER, most=1) == [b"full", 0]
    assert b.source_put("gl", OTHER, "replace") == [b"missing", 0]
    assert dump() == before
    assert b.source_put("gh", OTHER, "replace", base=V + 2) == [b"ok", V + 3, V + 2]
    assert a.source_put("gh", source, "replace", base=V + 2) == [b"conflict", V + 3, OTHER.encode()]
    assert a.config_changes(0) == [b"ok", V + 3, V + 3, ONE.encode(), DOCUMENT.encode(),
                                   b"src_gh", OTHER.encode()]
    assert a.source_put("gh", "", "replace") == [b"ok", V + 4, V + 3]
    assert a.config_changes(V + 3) == [b"ok", V + 4, V + 4, b"src_gh", b""]
    assert a.source_put("gh", "", "replace") == [b"missing", 0], "a repeated deletion"
    assert sorted(Snapshot(a.redis).ttl) == ["config", "config:changes", "config:endpoints", *MEMBERS]
    assert a.source_put("gh", source) == [b"ok", V + 5, V + 4], "the name is free again"
