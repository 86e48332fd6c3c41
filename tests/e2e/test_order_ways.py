"""Ordered delivery, whatever way events come in by, and whatever makes their queues wait."""

import json

import pytest
from harness import Daemon, RedisServer, wait_until
from harness.feeders import STREAM
from harness.invariants import check

ONCE = {"schedule": []}
OFTEN = {"schedule": ["50ms"] * 40, "jitter": 0}


@pytest.fixture(scope="module")
def redis():
    with RedisServer(appendonly="yes", appendfsync="no") as server:
        yield server


@pytest.fixture(scope="module")
def server(redis, tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("server"), "--set", "breaker.enabled=false", redis=redis)
    daemon.start()
    yield daemon
    with redis.connect(timeout=60) as connection:
        check(connection)
    daemon.finish()


def listen(client, sink, event_type, ordering="key", path="/", **members):
    return client.create_webhook(sink.url(path), [event_type], ordering=ordering,
                                 **{"retryPolicy": OFTEN, **members})["id"]


def event(event_type, n, key=None, **members):
    if key is not None:
        members["orderingKey"] = key
    return {"type": event_type, "data": {"n": n}, **members}


def send(client, events):
    """In one request; the results."""
    return client.post("/api/events/batch", events).expect(202).json["results"]


def number(request):
    return request.json()["data"]["n"]


def numbers(sink, path="/"):
    return [number(request) for request in sink.requests(path)]


def first_fails(sink, which):
    """A sink's script: the first attempt of those events is answered 500."""
    def answer(request):
        n = number(request)
        return 500 if which(n) and numbers(sink, request.path).count(n) == 1 else 200
    return answer


def taken(sink, which, path="/"):
    """Numbers in the order in which they were answered 200, for first_fails()."""
    seen, found = set(), []
    for n in numbers(sink, path):
        if n in seen or not which(n):
            found.append(n)
        seen.add(n)
    return found


def wait_taken(sink, which, count, path="/"):
    wait_until(lambda: len(taken(sink, which, path)) >= count, 30, f"{count} at {path}")
    return taken(sink, which, path)


def every_seventh(n):
    return n % 7 == 3


# ---- ways in -------------------------------------------------------------------------------------------

def test_events_of_one_request(client, sink, event_type):
    """They have the order of the request: in each of its keys, and at an endpoint that takes all."""
    for path, ordering in (("/keys", "key"), ("/all", "endpoint")):
        sink.script(path, first_fails(sink, every_seventh))
        listen(client, sink, event_type, ordering, path)
    keys, count = 5, 200
    answers = send(client, [event(event_type, n, f"k{n % keys}") for n in range(count)])
    assert [answer["deliveries"] for answer in answers] == [2] * count
    assert wait_taken(sink, every_seventh, count, "/all") == list(range(count))
    arrived = wait_taken(sink, every_seventh, count, "/keys")
    for key in range(keys):
        assert [n for n in arrived if n % keys == key] == list(range(key, count, keys))


def test_requests_one_after_the_other(server, client, sink, event_type):
    """What is sent when the one before was answered comes behind it, by whatever connection and route."""
    listen(client, sink, event_type)
    sink.script("/", first_fails(sink, every_seventh))
    with server.client() as other:
        for n in range(0, 60, 6):
            client.post("/api/events", event(event_type, n, "k")).expect(202)
            send(other, [event(event_type, n + 1, "k"), event(event_type, n + 2, "k")])
            other.post("/api/events", event(event_type, n + 3, "k")).expect(202)
            send(client, [event(event_type, n + 4, "k"), event(event_type, n + 5, "k")])
    assert wait_taken(sink, every_seventh, 60) == list(range(60))


def test_entries_of_one_stream(redis, client, sink, event_type):
    listen(client, sink, event_type)
    sink.script("/", first_fails(sink, every_seventh))
    with redis.connect() as connection:
        for n in range(200):
            connection.call("XADD", STREAM, "*", "e", json.dumps(event(event_type, n, f"k{n % 3}")))
    arrived = wait_taken(sink, every_seventh, 200)
    for key in range(3):
        assert [n for n in arrived if n % 3 == key] == list(range(key, 200, 3))


def test_refused_events_of_one_request_join_no_queue(client, sink, event_type):
    """Duplicates, taken uids and bad events among good ones: these go on without them."""
    listen(client, sink, event_type, "endpoint")
    events = []
    for n in range(30):
        events.append(event(event_type, n, idempotencyKey=f"{event_type}-{n // 3}"))
        events[-1]["data"] = {"n": n // 3} if n < 15 else {"n": n}  # the same body, or another
    events += [event(event_type, 100 + n, uid=f"{event_type}-{n // 2}") for n in range(10)]
    events.append({"type": event_type, "data": {}, "orderingKey": ""})
    codes = [answer["error"]["code"] if "error" in answer else "ok" for answer in send(client, events)]
    assert codes[:15] == ["ok"] * 15, "the first ones, and their duplicates"
    assert codes[15:30] == ["ok", "idempotency_key_reused", "idempotency_key_reused"] * 5
    assert codes[30:40] == ["ok", "uid_taken"] * 5 and codes[40] == "invalid_ordering_key"
    expected = [*range(5), *range(15, 30, 3), *range(100, 110, 2)]
    wait_until(lambda: len(numbers(sink)) >= len(expected), 10, "all that are new")
    sink.wait_quiet()
    assert numbers(sink) == expected


def test_an_event_whose_filters_take_long_stays_in_front(client, sink, event_type):
    """It waits for several turns of the loop until all filters have been asked; what was accepted behind it
    must not be stored before it."""
    for n in range(60):
        client.create_webhook(sink.url("/filtered"), [event_type], filter={"a": -n - 1})
    listen(client, sink, event_type, "endpoint")
    events = []
    for n in range(60):
        events.append(event(event_type, n))
        if n % 20 == 5:
            events[-1]["data"]["a"] = [1] * 100_000
    for first in range(0, 60, 20):
        assert all("id" in answer for answer in send(client, events[first:first + 20]))
    wait_until(lambda: len(numbers(sink)) == 60, 20, "all events")
    assert numbers(sink) == list(range(60))
    assert sink.count("/filtered") == 0


# ---- what makes a queue wait ---------------------------------------------------------------------------

def test_a_rate_limit_changes_no_order(client, sink, event_type):
    listen(client, sink, event_type, rateLimit={"limit": 20, "period": "1s", "burst": 1})
    sink.script("/", first_fails(sink, every_seventh))
    send(client, [event(event_type, n, f"k{n % 2}") for n in range(30)])
    arrived = wait_taken(sink, every_seventh, 30)
    assert [n for n in arrived if n % 2 == 0] == list(range(0, 30, 2))
    assert [n for n in arrived if n % 2] == list(range(1, 30, 2))
    requests = sink.requests("/")
    assert requests[-1].at - requests[0].at >= (len(requests) - 1) / 20 * 0.9


def test_an_open_breaker_keeps_the_order(start_daemon, sink):
    """It opens in the midst of the queue: what waits uses up no attempts, and goes on when it closes."""
    daemon = start_daemon("--set", "breaker.consecutiveFailures=3", "--set", "breaker.openFor=200ms")
    failing = True
    sink.script("/", lambda request: 500 if failing and number(request) >= 5 else 200)
    with daemon.client() as client:
        webhook = listen(client, sink, "a", "endpoint")
        send(client, [event("a", n) for n in range(20)])
        wait_until(lambda: client.get_webhook(webhook).json["health"]["breaker"]["state"] != "closed", 10,
                   "the breaker to open")
        failing = False
        wait_until(lambda: 19 in numbers(sink), 30, "the last one")
        arrived = numbers(sink)
        assert [n for n in arrived if n != 5] == [n for n in range(20) if n != 5]
        assert arrived[5:arrived.index(6)] == [5] * arrived.count(5)


def test_gone(client, sink, event_type):
    """410 disables the endpoint with its queue: all of it becomes dead letters, and new events flow when it
    is enabled again."""
    webhook = listen(client, sink, event_type, "endpoint")
    sink.script("/", lambda request: 410 if number(request) == 3 else 200)
    send(client, [event(event_type, n) for n in range(200)])
    wait_until(lambda: len(client.dead_letters(webhookId=webhook)) == 197, 20, "the rest to be dead letters")
    assert numbers(sink) == [0, 1, 2, 3]
    sink.script("/", 200)
    client.post(f"/api/webhooks/{webhook}/enable").expect(200)
    send(client, [event(event_type, n) for n in range(1000, 1010)])
    wait_until(lambda: numbers(sink)[4:] == list(range(1000, 1010)), 10, "the new ones, in order")
    client.replay(webhookId=webhook)
    wait_until(lambda: sorted(numbers(sink)[14:]) == list(range(3, 200)), 20, "the dead letters")


def test_killed_while_a_long_queue_is_cleared(start_daemon, sink, redis_server):
    """Nothing of it is forgotten: a restart goes on until all of it are dead letters."""
    daemon = start_daemon(redis=redis_server)
    sink.script("/", 500)
    with daemon.client() as client:
        webhook = listen(client, sink, "a", "endpoint", retryPolicy={"schedule": ["1h"]})
        for first in range(0, 5000, 1000):
            send(client, [event("a", n) for n in range(first, first + 1000)])
        sink.wait_for(1, "/")
        client.patch(f"/api/webhooks/{webhook}", {"active": False}).expect(200)
    daemon.kill9()
    left = redis_server.call("ZCARD", f"tl:{{0}}:dead:{webhook}")
    assert left < 5000, "it was killed in the midst of it"
    daemon.start()
    wait_until(lambda: redis_server.call("ZCARD", f"tl:{{0}}:dead:{webhook}") == 5000, 60, "all of them")
    assert not redis_server.keys("tl:{0}:ord:*") and not redis_server.keys("tl:{0}:due:*")
    with redis_server.connect(timeout=60) as connection:
        check(connection)


# ---- other destinations and replays --------------------------------------------------------------------

def test_a_redis_stream_in_order(redis, client, event_type):
    """One that is full makes its key wait, and entries have the order of the events."""
    name, key = event_type, f"tl:{{0}}:out:{event_type}"
    body = {"kind": "redis-stream", "stream": {"name": name, "maxLength": 10, "whenFull": "wait"},
            "events": [event_type], "ordering": "key", "retryPolicy": OFTEN}
    client.post("/api/webhooks", body).expect(201)
    send(client, [event(event_type, n, "k") for n in range(35)])
    got = []
    with redis.connect() as connection:
        while len(got) < 35:
            most = min(10, 35 - len(got))
            wait_until(lambda: connection.call("XLEN", key) == most, 10, f"{most} entries behind {got}")
            for entry, fields in connection.call("XRANGE", key, "-", "+"):
                words = dict(zip(fields[::2], fields[1::2]))
                got.append(json.loads(words[b"e"])["data"]["n"])
                connection.call("XDEL", key, entry)
    assert got == list(range(35))


def test_events_replayed_from_history_do_not_hold_up_the_queue(client, sink, event_type):
    """They have no order, and what is new goes on in its own."""
    webhook = listen(client, sink, event_type, "endpoint")
    send(client, [event(event_type, n) for n in range(20)])
    wait_until(lambda: len(numbers(sink)) == 20, 10, "the events")
    client.job(client.post(f"/api/webhooks/{webhook}/replay",
                           {"what": "events", "type": event_type, "since": "2020-01-01T00:00:00Z"}))
    send(client, [event(event_type, n) for n in range(50, 70)])
    wait_until(lambda: len(numbers(sink)) == 60, 10, "both")
    assert [n for n in numbers(sink) if n >= 50] == list(range(50, 70))
    assert sorted(n for n in numbers(sink) if n < 50) == sorted([*range(20), *range(20)])


def test_ordering_and_batch(client, sink, event_type):
    """Both at once are refused, also when one comes later."""
    body = {"url": sink.url(), "events": [event_type], "ordering": "key", "batch": {}}
    client.post("/api/webhooks", body).expect(400, "invalid_batch", "batch")
    webhook = listen(client, sink, event_type)
    client.patch(f"/api/webhooks/{webhook}", {"batch": {}}).expect(400, "invalid_batch", "batch")
    client.patch(f"/api/webhooks/{webhook}", {"ordering": None, "batch": {}}).expect(200)
    client.patch(f"/api/webhooks/{webhook}", {"ordering": "endpoint"}).expect(400)
