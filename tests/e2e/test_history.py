"""What can be read of an event later, and what it costs Redis while it waits."""

import re
import secrets

import pytest
from harness import RedisServer, free_port, wait_until
from harness.invariants import Snapshot, check
from harness.redis import Redis
from harness.sink import reply

SOON = {"schedule": ["300ms"] * 20, "jitter": 0}
LATER = {"schedule": ["1h"], "jitter": 0}
ONCE = {"schedule": []}


@pytest.fixture
def world(redis_server, start_daemon):
    """(server, client, its Redis); what is left in it must be in order."""
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client, redis_server.connect(timeout=60) as redis:
        yield daemon, client, redis
        check(redis)


def tried(client, event, **query):
    words = "&".join(f"{name}={value}" for name, value in query.items())
    answer = client.get(f"/api/events/{event}/attempts?{words}").expect(200).json
    assert answer["count"] == len(answer["attempts"])
    return answer["attempts"]


def becomes(client, event, webhook, status):
    def there():
        delivery = client.deliveries(event)[webhook["id"]]
        assert delivery["status"] == status, delivery
        return delivery
    return wait_until(there, 20, f"the delivery to be {status}")


def has_no_batch(redis):
    """Waits until no batch is left: not in a journal, not as history."""
    wait_until(lambda: not redis.call("KEYS", "tl:{0}:batch:*"), 10, "the batch to be dropped")


def same(attempt, listed):
    """An attempt as the event has it and as its endpoint has it. A first-try success keeps its time in
    units of 4 ms and no body."""
    assert {**listed, "webhookId": attempt["webhookId"], "timestamp": "", "responseBody": ""} == {
        **attempt, "timestamp": "", "responseBody": ""}


# ---- an event without a batch ------------------------------------------------------------------------

def test_an_event_outlives_its_batch(world, sink):
    """Waiting, failed, sent: each time all of it can be read, from the event's own hash."""
    _, client, redis = world
    sink.script("/", [reply(500, b"no"), reply(503, b""), 200])
    webhook = client.create_webhook(sink.url("/"), ["a.b"], retryPolicy=SOON)
    event = client.event_id("a.b", {"n": 1}, uid="mine", source="here")
    has_no_batch(redis)
    stored = client.get_event(event)
    assert (stored["data"], stored["uid"], stored["source"]) == ({"n": 1}, "mine", "here")
    assert becomes(client, event, webhook, "sent")["attempts"] == 3
    snapshot = check(redis)
    assert not snapshot.batches and 0 < snapshot.ttl[f"event:{event}"]
    after = client.get("/api/events/mine").expect(200).json
    assert {**after, "deliveries": 0} == {**stored, "deliveries": 0}
    attempts = tried(client, event)
    assert [a["attempt"] for a in attempts] == [3, 2, 1]
    assert [a["statusCode"] for a in attempts] == [200, 503, 500]
    assert [a["status"] for a in attempts] == ["sent", "failed", "failed"]
    assert attempts[2]["responseBody"] == "no" and attempts[2]["error"] == "http_status"
    assert attempts == [{**a, "webhookId": webhook["id"]} for a in client.attempts(webhook["id"])]
    assert tried(client, "mine", limit=2) == attempts[:2]


def test_a_connection_refused_can_be_read(world):
    _, client, redis = world
    webhook = client.create_webhook(f"http://127.0.0.1:{free_port()}/", ["a.b"], retryPolicy=LATER)
    event = client.event_id("a.b")
    has_no_batch(redis)
    delivery = becomes(client, event, webhook, "failed")
    assert delivery["lastError"] == "connection_refused" and delivery["nextAttemptAt"]
    (attempt,) = tried(client, event)
    assert attempt["error"] == "connection_refused" and attempt["statusCode"] is None


def test_a_dead_letter_without_a_batch_is_replayed(world, sink):
    _, client, redis = world
    sink.script("/", [404, 200])
    webhook = client.create_webhook(sink.url("/"), ["a.b"], retryPolicy=ONCE)
    event = client.event_id("a.b")
    becomes(client, event, webhook, "dead_letter")
    has_no_batch(redis)
    assert client.replay()["done"] == 1
    assert becomes(client, event, webhook, "sent")["attempts"] == 2
    assert [a["statusCode"] for a in tried(client, event)] == [200, 404]


def test_a_discarded_dead_letter_without_a_batch_is_cancelled(world, sink):
    _, client, redis = world
    sink.script("/", 404)
    webhook = client.create_webhook(sink.url("/"), ["a.b"], retryPolicy=ONCE)
    event = client.event_id("a.b")
    becomes(client, event, webhook, "dead_letter")
    has_no_batch(redis)
    assert client.discard(all=True)["done"] == 1
    assert becomes(client, event, webhook, "cancelled")["attempts"] == 1
    assert [a["statusCode"] for a in tried(client, event)] == [404]


def test_an_event_for_a_deleted_webhook_is_cancelled(world):
    _, client, redis = world
    webhook = client.create_webhook(f"http://127.0.0.1:{free_port()}/", ["a.b"], retryPolicy=LATER)
    event = client.event_id("a.b")
    has_no_batch(redis)
    becomes(client, event, webhook, "failed")
    assert redis.call("EXISTS", "tl:{0}:attempts:" + webhook["id"])
    client.delete_webhook(webhook["id"]).expect(204)
    becomes(client, event, webhook, "cancelled")
    assert len(tried(client, event)) == 1
    wait_until(lambda: not redis.call("HEXISTS", "tl:{0}:config:endpoints", webhook["id"]), 20)
    assert not redis.call("EXISTS", "tl:{0}:attempts:" + webhook["id"])


def test_all_this_survives_a_restart(start_daemon, sink):
    daemon = start_daemon()
    sink.script("/", [500, 200])
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a.b"], retryPolicy=SOON)
        event = client.event_id("a.b")
        becomes(client, event, webhook, "sent")
        before = tried(client, event)
    daemon.kill9()
    daemon.start()
    with daemon.client() as client:
        becomes(client, event, webhook, "sent")
        assert tried(client, event) == before and len(before) == 2


# ---- an event with its batch -------------------------------------------------------------------------

def test_attempts_of_several_deliveries(world, sink):
    """One at once, one at the third attempt: newest first over both, as each webhook lists them."""
    _, client, _ = world
    sink.script("/late", [500, 500, 200])
    quick = client.create_webhook(sink.url("/"), ["a.b"])
    late = client.create_webhook(sink.url("/late"), ["a.b"], retryPolicy=SOON)
    event = client.event_id("a.b")
    becomes(client, event, late, "sent")
    becomes(client, event, quick, "sent")
    attempts = tried(client, event)
    assert [a["timestamp"] for a in attempts] == sorted((a["timestamp"] for a in attempts), reverse=True)
    assert {a["eventId"] for a in attempts} == {event}
    for webhook, numbers in ((quick, [1]), (late, [3, 2, 1])):
        mine = [a for a in attempts if a["webhookId"] == webhook["id"]]
        listed = wait_until(lambda: client.attempts(webhook["id"]), 10, "attempts to be listed")
        assert [a["attempt"] for a in mine] == numbers
        for attempt, other in zip(mine, listed, strict=True):
            same(attempt, other)


def test_a_first_try_success(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    event = client.event_id(event_type)
    becomes(client, event, webhook, "sent")
    (attempt,) = tried(client, event)
    (listed,) = client.attempts(webhook["id"])
    same(attempt, listed)
    assert attempt["timestamp"][:-2] == listed["timestamp"][:-2] or abs(
        int(attempt["timestamp"][-4:-1]) - int(listed["timestamp"][-4:-1])) < 4


def test_the_last_attempts_are_kept(client, sink, event_type):
    sink.script("/", reply(500, b"x" * 1000))
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={"schedule": ["1ms"] * 13, "jitter": 0})
    event = client.event_id(event_type)
    assert becomes(client, event, webhook, "dead_letter")["attempts"] == 14
    attempts = tried(client, event)
    assert [a["attempt"] for a in attempts] == list(range(14, 4, -1))
    assert {a["responseBody"] for a in attempts} == {"x" * 256}


def test_bad_requests(client, event_type):
    event = client.event_id(event_type)
    assert tried(client, event) == []
    client.get("/api/events/msg_" + "0" * 27 + "/attempts").expect(404, code="not_found")
    client.get("/api/events/nobody/attempts").expect(404, code="not_found")
    for limit in ("0", "101", "x", ""):
        client.get(f"/api/events/{event}/attempts?limit={limit}").expect(400, code="invalid_limit")
    client.get(f"/api/events/{event}/attempts?strange=1").expect(400)


# ---- its bounds --------------------------------------------------------------------------------------

def test_history_ends(start_daemon, sink):
    daemon = start_daemon(config="history:\n  ttl: 2s\n")
    sink.script("/", [500, 200])
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a.b"],
                                        retryPolicy={"schedule": ["10ms"], "jitter": 0})
        event = client.event_id("a.b")
        becomes(client, event, webhook, "sent")
        assert len(tried(client, event)) == len(client.attempts(webhook["id"])) == 2
        wait_until(lambda: client.get(f"/api/events/{event}").status == 404, 10)
        wait_until(lambda: not client.attempts(webhook["id"]), 10)


def used(redis):
    return int(re.search(rb"used_memory:(\d+)", redis.call("INFO", "memory")).group(1))


def test_a_full_redis_makes_room_of_history(world, sink):
    """Producers are refused only until the oldest of what is finished is gone."""
    daemon, client, redis = world
    noise = secrets.token_urlsafe(75_000)  # 100,000 characters that are stored as they are
    for n in range(40):
        client.event_id("a.b", noise)
    wait_until(lambda: int(redis.call("GET", "tl:{0}:closed:bytes") or 0) > 4_000_000, 10)
    before = int(redis.call("GET", "tl:{0}:closed:bytes"))
    redis.call("CONFIG", "SET", "maxmemory", used(redis) - 100_000)
    client.post_event("a.b", noise).expect(503, code="redis_out_of_memory")
    wait_until(lambda: client.post_event("a.b", "y").status == 202, 20, "room for an event")
    assert 0 < int(redis.call("GET", "tl:{0}:closed:bytes")) < before
    assert len(re.findall("history.squeezed", daemon.log)) == 1
    redis.call("CONFIG", "SET", "maxmemory", 0)


# ---- what it costs -----------------------------------------------------------------------------------

def waits(client, count):
    return client.metric("trotline_deliveries_moved_total") >= count


@pytest.mark.parametrize("kind", ["embedded", "external"])
def test_bytes_of_a_waiting_delivery(start_daemon, kind):
    """1 KiB of JSON that failed once and waits for its retry takes at most 1,700 bytes in Redis, with
    its attempt, and with all that finds it again."""
    count = 2500  # of 4096: as sparse as a table gets, nearly
    with RedisServer() as external:
        daemon = start_daemon("--set", "breaker.enabled=false",
                              redis=external if kind == "external" else "embedded")
        path = external.path if kind == "external" else str(next(daemon.data.rglob("redis.sock")))
        with daemon.client() as client, Redis(path, timeout=60) as redis:
            client.create_webhook(f"http://127.0.0.1:{free_port()}/", ["a.b"], retryPolicy=LATER)
            event = client.event_id("a.b")
            wait_until(lambda: waits(client, 1), 20)
            before = used(redis)
            data = "x" * (1024 - len('{"type":"a.b","data":""}'))
            for _ in range(count):
                client.event_id("a.b", data)
            wait_until(lambda: waits(client, 1 + count), 60, "all to be in the schedule")
            has_no_batch(redis)
            each = (used(redis) - before) / count
            print(f"{kind}: {each:.0f} bytes for each waiting delivery")
            assert each <= 1700
            assert len(tried(client, event)) == 1
        daemon.finish()


def test_hashes_are_left_alone_if_so_told(redis_server, start_daemon):
    daemon = start_daemon("--set", "redisOptions.packHashes=false", redis=redis_server)
    with redis_server.connect() as redis:
        name = "hash-max-listpack-value"
        assert redis.call("CONFIG", "GET", name) == [name.encode(), b"64"]
    other = start_daemon(redis=redis_server)
    other.wait_for_log("redis.hashes_packed")
    assert daemon.alive() and other.alive()
