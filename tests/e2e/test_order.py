"""Ordered delivery as a user sees it: one after the other, whatever becomes of the one before."""

import threading
import time
from collections import defaultdict

import pytest
from harness import Daemon, wait_until
from harness.formats import lane_of
from harness.sink import hang

ONCE = {"schedule": []}
OFTEN = {"schedule": ["100ms"] * 20, "jitter": 0}
NO_BREAKER = ("--set", "breaker.enabled=false")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("server"), *NO_BREAKER)
    daemon.start()
    yield daemon
    daemon.finish()


def listen(client, sink, event_type, ordering="key", path="/", **members):
    return client.create_webhook(sink.url(path), [event_type], ordering=ordering,
                                 **{"retryPolicy": OFTEN, **members})["id"]


def publish(client, event_type, numbers, key=None, **members):
    """Events with these numbers, one after the other; their ids."""
    if key is not None:
        members["orderingKey"] = key
    return [client.event_id(event_type, {"n": n}, **members) for n in numbers]


def number(request):
    return request.json()["data"]["n"]


def numbers(sink, path="/"):
    return [number(request) for request in sink.requests(path)]


def refusing(*those):
    """A sink's script: these numbers are answered 500, as long as they are in the set that is returned."""
    bad = set(those)
    return bad, lambda request: 500 if number(request) in bad else 200


def wait_numbers(sink, expected, path="/"):
    sink.wait_for(len(expected), path)
    assert numbers(sink, path) == expected


def pending(client, event, webhook):
    delivery = client.deliveries(event)[webhook]
    return delivery["status"] == "pending" and delivery["attempts"] == 0 and delivery


def letters(client, webhook, count):
    wait_until(lambda: len(client.dead_letters(webhookId=webhook)) == count, 10, f"{count} dead letters")
    return client.dead_letters(webhookId=webhook)


# ---- the order -----------------------------------------------------------------------------------------

def test_a_retry_is_waited_for(client, sink, event_type):
    """Of ten events the fourth fails twice: those behind it come after it, and none is under way with
    another."""
    failures = iter([500, 500])
    sink.script("/", lambda request: next(failures, 200) if number(request) == 3 else 200)
    listen(client, sink, event_type, "endpoint")
    publish(client, event_type, range(10))
    wait_numbers(sink, [0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9])
    assert sink.most_running["/"] == 1


def test_keys_do_not_wait_for_each_other(client, sink, event_type):
    """While one key fails all others go on, and so do events without a key."""
    bad, script = refusing(0)
    sink.script("/", script)
    listen(client, sink, event_type, "key")
    publish(client, event_type, [0, 1], key="a")
    for n in range(10, 20):
        publish(client, event_type, [n], key=f"b{n % 3}")
    publish(client, event_type, [20, 21])
    wait_until(lambda: set(numbers(sink)) >= {0, *range(10, 22)}, 10, "the others")
    assert 1 not in numbers(sink)
    bad.clear()
    wait_until(lambda: 1 in numbers(sink), 10, "the key to go on")
    keys = defaultdict(list)
    for n in numbers(sink):
        keys[n % 3].append(n)
    for rest in range(3):
        assert [n for n in keys[rest] if 10 <= n < 20] == sorted(n for n in keys[rest] if 10 <= n < 20)


def test_new_keys_at_the_same_time_do_not_wait(server, client, sink, event_type):
    """An event that finds its queue empty goes out at once, also while a lease for another key is on
    its way. (It waited for the sweep that comes every five seconds.)"""
    listen(client, sink, event_type, "key")
    turns, writers = 100, 3
    together = threading.Barrier(writers + 1)

    def write(writer):
        with server.client() as own:
            for turn in range(turns):
                together.wait(30)
                publish(own, event_type, [turn], key=f"{writer} {turn}")

    threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(writers)]
    for thread in threads:
        thread.start()
    for turn in range(1, turns + 1):
        together.wait(30)
        begin = time.monotonic()
        sink.wait_for(writers * turn, "/")
        assert time.monotonic() - begin < 3
    for thread in threads:
        thread.join()


def test_an_event_that_is_not_due_keeps_those_behind_it(client, sink, event_type):
    webhook = listen(client, sink, event_type, "endpoint")
    at = time.time() + 1.5
    deliver_at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"
    first, = publish(client, event_type, [0], deliverAt=deliver_at)
    second, = publish(client, event_type, [1])
    assert pending(client, first, webhook)["nextAttemptAt"] == deliver_at
    assert pending(client, second, webhook)["nextAttemptAt"] is None, "it waits for another"
    wait_numbers(sink, [0, 1])
    assert sink.requests("/")[0].wall >= at - 0.01


def test_what_is_refused_joins_no_queue(client, sink, event_type):
    """Duplicates by idempotency key, alone and in the midst of others."""
    sink.script("/", [hang(), 200])
    webhook = listen(client, sink, event_type, "endpoint", timeout="500ms")
    ids = [client.post_event(event_type, {"n": n}, key=f"{event_type}-{n}").json["id"] for n in (0, 1, 1, 2, 0)]
    assert ids[1] == ids[2] and ids[0] == ids[4]
    wait_numbers(sink, [0, 0, 1, 2])
    sink.wait_quiet()
    assert len(numbers(sink)) == 4
    delivery, = client.get_event(ids[2])["deliveries"]
    assert (delivery["webhookId"], delivery["status"]) == (webhook, "sent")


# ---- dead letters --------------------------------------------------------------------------------------

def test_skip_lets_the_next_one_go(client, sink, event_type):
    bad, script = refusing(1)
    sink.script("/", script)
    webhook = listen(client, sink, event_type, "key", retryPolicy=ONCE)
    publish(client, event_type, range(4), key="a")
    wait_numbers(sink, [0, 1, 2, 3])
    letter, = letters(client, webhook, 1)
    assert "blocksOrder" not in letter
    bad.clear()
    client.replay(webhookId=webhook)
    wait_numbers(sink, [0, 1, 2, 3, 1])


@pytest.mark.parametrize("how", ["replay", "replay that fails", "discard"])
def test_block_keeps_the_key_until_somebody_decides(client, sink, event_type, how):
    bad, script = refusing(1)
    sink.script("/", script)
    webhook = listen(client, sink, event_type, "key", retryPolicy=ONCE, onDeadLetter="block")
    events = publish(client, event_type, range(4), key="a")
    publish(client, event_type, [10, 11], key="b")
    letter, = letters(client, webhook, 1)
    assert letter["eventId"] == events[1] and letter["blocksOrder"] is True
    sink.wait_quiet()
    assert sorted(numbers(sink)) == [0, 1, 10, 11], "the other key goes on"
    assert pending(client, events[2], webhook) and pending(client, events[3], webhook)
    sink.clear()
    if how == "discard":
        client.discard(webhookId=webhook)
        wait_numbers(sink, [2, 3])
        assert client.deliveries(events[1])[webhook]["status"] == "cancelled"
        return
    if how == "replay that fails":
        client.replay(webhookId=webhook)
        sink.wait_for(1, "/")
        assert letters(client, webhook, 1)[0]["blocksOrder"] is True
        sink.wait_quiet()
        assert numbers(sink) == [1], "it blocks again"
        sink.clear()
    bad.clear()
    client.replay(webhookId=webhook)
    wait_numbers(sink, [1, 2, 3])


# ---- changes -------------------------------------------------------------------------------------------

def test_from_ordered_to_unordered_and_back(client, sink, event_type):
    """What waits keeps its order, nothing is lost, and new events do not wait for it."""
    bad, script = refusing(0)
    sink.script("/", script)
    webhook = listen(client, sink, event_type, "endpoint")
    publish(client, event_type, range(3))
    sink.wait_for(1, "/")
    client.patch(f"/api/webhooks/{webhook}", {"ordering": None}).expect(200)
    publish(client, event_type, [10, 11])
    wait_until(lambda: {10, 11} <= set(numbers(sink)), 10, "those without an order")
    client.patch(f"/api/webhooks/{webhook}", {"ordering": "key"}).expect(200)
    publish(client, event_type, [20, 21], key="a")
    wait_until(lambda: {20, 21} <= set(numbers(sink)), 10, "those of another queue")
    assert not {1, 2} & set(numbers(sink))
    bad.clear()
    wait_until(lambda: {1, 2} <= set(numbers(sink)), 10, "the rest")
    assert [n for n in numbers(sink) if n in (1, 2, 20, 21)] == [20, 21, 1, 2]


def test_disabled_with_a_queue(client, sink, event_type):
    """All of it becomes dead letters, and a replay brings all of it."""
    _, script = refusing(0)
    sink.script("/", script)
    webhook = listen(client, sink, event_type, "key", retryPolicy={"schedule": ["1h"]})
    publish(client, event_type, range(30), key="a")
    publish(client, event_type, range(30, 33), key="b")
    wait_until(lambda: {0, 32} <= set(numbers(sink)), 10, "the first, and the other key")
    client.patch(f"/api/webhooks/{webhook}", {"active": False}).expect(200)
    assert {letter["lastError"] for letter in letters(client, webhook, 30)} == {"endpoint_disabled"}
    sink.script("/", 200)
    sink.clear()
    client.patch(f"/api/webhooks/{webhook}", {"active": True}).expect(200)
    client.replay(webhookId=webhook)
    sink.wait_for(30, "/")
    assert sorted(numbers(sink)) == list(range(30))
    publish(client, event_type, [40], key="a")
    sink.wait_for(31, "/")


def test_a_key_that_is_blocked_is_freed_by_disabling(client, sink, event_type):
    """Those behind a dead letter have nothing that is due, and become dead letters all the same."""
    _, script = refusing(0)
    sink.script("/", script)
    webhook = listen(client, sink, event_type, "endpoint", retryPolicy=ONCE, onDeadLetter="block")
    publish(client, event_type, range(5))
    letters(client, webhook, 1)
    client.patch(f"/api/webhooks/{webhook}", {"active": False}).expect(200)
    letters(client, webhook, 5)
    client.discard(webhookId=webhook)
    client.patch(f"/api/webhooks/{webhook}", {"active": True}).expect(200)
    publish(client, event_type, [7])
    wait_until(lambda: numbers(sink)[-1] == 7, 10, "it to go on")


def test_deleted_with_queues(start_daemon, sink, redis_server):
    """A key under way, one that is blocked, and hundreds behind both: nothing of them stays in Redis."""
    daemon = start_daemon(*NO_BREAKER, redis=redis_server)
    _, script = refusing(0)
    sink.script("/", lambda request: hang() if number(request) == 1000 else script(request))
    with daemon.client() as client:
        webhook = listen(client, sink, "a", "key", retryPolicy=ONCE, onDeadLetter="block", timeout="2s")
        blocked = publish(client, "a", range(200), key="a")
        under_way = publish(client, "a", range(1000, 1100), key="b")
        letters(client, webhook, 1)
        client.delete_webhook(webhook).expect(204)
        wait_until(lambda: not redis_server.keys(f"tl:{{0}}:*{webhook}*"), 30, "the webhook to be gone")
        for event in (blocked[0], blocked[-1], under_way[-1]):
            assert client.deliveries(event)[webhook]["status"] == "cancelled"
    assert sorted(set(numbers(sink))) == [0, 1000]


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_a_restart_goes_on_where_it_was(start_daemon, sink, redis_server, how):
    daemon = start_daemon(*NO_BREAKER, "--set", "drainDelay=0s", redis=redis_server)
    bad, script = refusing(0, 100)
    sink.script("/", script)
    with daemon.client() as client:
        webhook = listen(client, sink, "a", "key")
        blocking = listen(client, sink, "b", "key", path="/b", retryPolicy=ONCE, onDeadLetter="block")
        sink.script("/b", script)
        publish(client, "a", range(50), key="a")
        publish(client, "b", [100, 101, 102], key="a")
        letters(client, blocking, 1)
        sink.wait_for(2, "/")
    getattr(daemon, how)()
    daemon.start()
    bad.clear()
    with daemon.client() as client:
        wait_until(lambda: 49 in numbers(sink), 30, "the last one")
        assert [n for n in numbers(sink) if n] == list(range(1, 50))
        assert numbers(sink, "/b") == [100]
        client.replay(webhookId=blocking)
        wait_numbers(sink, [100, 100, 101, 102], "/b")
        assert client.dead_letters(webhookId=webhook) == []


def test_a_lane_that_moves_takes_its_queues_along(make_cluster, sink):
    """One replica has the lane, joins, leaves; the other one publishes all the time."""
    cluster = make_cluster(*NO_BREAKER, "--set", "drainDelay=0s", count=2)
    first, second = cluster
    first.start()
    sink.script("/", lambda request: 500 if number(request) % 10 == 0 and request.id not in sink.ids("/")[:-1]
                else 200)
    with first.client() as client:
        webhook = listen(client, sink, "a", "endpoint")
        second.start()
        cluster.wait_settled()
        publish(client, "a", range(100))
        cluster.owner_of(lane_of(webhook)).stop()
        left, = cluster.running()
    with left.client() as client:
        publish(client, "a", range(100, 150))
        cluster.start()
        cluster.wait_settled()
        publish(client, "a", range(150, 200))
    wait_until(lambda: len(set(numbers(sink))) == 200, 60, "all to arrive")
    first_success = []
    for request in sink.requests("/"):
        n = number(request)
        if n not in first_success and (n % 10 or sum(r.id == request.id for r in sink.requests("/")) > 1):
            first_success.append(n)
    assert first_success == list(range(200))


# ---- what is refused -----------------------------------------------------------------------------------

@pytest.mark.parametrize("member, value, code", [
    ("ordering", "none", "invalid_ordering"), ("ordering", True, "invalid_ordering"),
    ("ordering", "", "invalid_ordering"), ("ordering", ["key"], "invalid_ordering"),
    ("onDeadLetter", "stop", "invalid_on_dead_letter"), ("onDeadLetter", 1, "invalid_on_dead_letter")])
def test_what_is_no_order(client, sink, event_type, member, value, code):
    body = {"url": sink.url(), "events": [event_type], member: value}
    client.post("/api/webhooks", body).expect(400, code, member)


def test_it_is_shown(client, sink, event_type):
    webhook = listen(client, sink, event_type, None)
    path = f"/api/webhooks/{webhook}"
    assert (client.get(path).json["ordering"], client.get(path).json["onDeadLetter"]) == (None, "skip")
    client.patch(path, {"ordering": "key", "onDeadLetter": "block"}).expect(200)
    assert (client.get(path).json["ordering"], client.get(path).json["onDeadLetter"]) == ("key", "block")
    client.patch(path, {"ordering": None, "onDeadLetter": None}).expect(200)
    assert (client.get(path).json["ordering"], client.get(path).json["onDeadLetter"]) == (None, "skip")
