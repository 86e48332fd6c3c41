"""replicas: who is there, and how many lanes each has."""

from store import Call, Store


def read(store):
    keys = [store.key("replicas"), store.key("replicas", "info"), store.key("lanes")]
    now, owned, *rows = store.make(Call("replicas", keys, []))
    return now, owned, [tuple(rows[at:at + 4]) for at in range(0, len(rows), 4)]


def test_nobody(redis, dump):
    before = dump()
    assert read(Store(redis))[1:] == (0, [])
    assert dump() == before


def test_replicas_with_their_lanes(redis, dump):
    a = Store(redis)
    redis.call("ZADD", a.key("replicas"), 2000, "one", 1000, "two", 3000, "silent")
    redis.call("HSET", a.key("replicas", "info"), "one", '{"pid":1}', "two", "{}", "gone", "{}")
    for lane in range(10):
        redis.call("HSET", a.key("lanes"), lane, "two" if lane < 3 else "one")
    redis.call("HSET", a.key("lanes"), 200, "gone")
    before = dump()
    now, owned, rows = read(a)
    assert dump() == before, "changes nothing"
    assert now > 1_700_000_000_000 and owned == 11
    assert rows == [(b"two", 1000, 3, b"{}"), (b"one", 2000, 7, b'{"pid":1}'),
                    (b"silent", 3000, 0, b"")]
