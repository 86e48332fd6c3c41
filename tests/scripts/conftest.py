"""One redis-server for all tests of the scripts; each test begins with it empty."""

import pytest
from harness import RedisServer
from harness.invariants import check
from store import Store


@pytest.fixture(scope="session")
def server():
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(server):
    with server.connect(timeout=60) as redis:
        redis.call("FLUSHALL")
        yield redis
        redis.call("CONFIG", "SET", "maxmemory", 0)


@pytest.fixture
def a(redis):
    """A replica that lives. What a test leaves behind must be in order."""
    store = Store(redis, "a")
    store.heartbeat()
    yield store
    check(redis, documents=False)


@pytest.fixture
def b(redis):
    store = Store(redis, "b")
    store.heartbeat()
    return store


@pytest.fixture
def dump(redis):
    """dump() -> everything there is, to be compared: a repeated call changes nothing."""
    def dump():
        everything = {}
        for key in redis.call("KEYS", "*"):
            everything[key] = redis.call("DUMP", key), redis.call("PTTL", key) >= 0
        return everything
    return dump
