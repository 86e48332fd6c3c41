"""stream_add: a stream that is not to be trimmed never has more entries than it may have."""

import pytest
from harness import RedisError
from store import Call

FIELDS = ["id", "msg_1", "type", "a", "timestamp", "1970-01-01T00:00:00.000Z", "e", "{}"]


def add(store, length, fields=tuple(FIELDS), name="orders"):
    return store.make(Call("stream_add", [store.key("out", name)], [length, *fields]))


def test_an_entry_is_added_until_it_is_full(a, redis):
    ids = [add(a, 3) for _ in range(3)]
    assert all(ids) and add(a, 3) is None
    entries = redis.call("XRANGE", a.key("out", "orders"), "-", "+")
    assert [entry_id for entry_id, _ in entries] == ids
    assert entries[0][1] == [word.encode() for word in FIELDS]


def test_deleted_entries_make_room(a, redis):
    first = add(a, 1)
    assert add(a, 1) is None
    redis.call("XDEL", a.key("out", "orders"), first)
    assert add(a, 1) and add(a, 1) is None


def test_a_lower_bound_takes_nothing_away(a, redis):
    for _ in range(5):
        add(a, 5)
    assert add(a, 2) is None
    assert redis.call("XLEN", a.key("out", "orders")) == 5


def test_another_types_key_is_left_alone(b, redis):
    redis.call("SET", b.key("out", "orders"), "x")
    with pytest.raises(RedisError, match="^WRONGTYPE"):
        add(b, 5)
    assert redis.call("GET", b.key("out", "orders")) == b"x"


def test_without_memory_nothing_is_added(a, redis):
    add(a, 5)
    redis.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(RedisError, match="^OOM"):
        add(a, 5)
    assert redis.call("XLEN", a.key("out", "orders")) == 1
