"""Webhooks of kind redis-stream: how they are made and changed, what consumers of the stream find, and
what becomes of deliveries when Redis, or the stream, does not take them."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import redis as redis_library  # Debian's python3-redis: what a consumer would use
from harness import Daemon, RedisGroup, RedisServer, wait_until
from harness.cluster import evenly_shared, lane_owners
from harness.formats import lane_of
from harness.invariants import check
from harness.senders import SECRET, github, post

AT_ONCE = {"schedule": ["50ms"] * 2, "jitter": 0}
PATIENT = {"schedule": ["200ms"] * 60, "jitter": 0}
NODE_ENTRIES = 100  # Redis's stream-node-max-entries


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def server(redis, tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("server"), redis=redis)
    daemon.start()
    yield daemon
    daemon.finish()


@pytest.fixture
def name(event_type):
    """A stream no other test uses."""
    return event_type


def make(client, name, events, maxLength=None, whenFull=None, **members):
    stream = {"name": name, "maxLength": maxLength, "whenFull": whenFull}
    stream = {member: value for member, value in stream.items() if value is not None}
    body = {"kind": "redis-stream", "stream": stream, "events": events, **members}
    return client.post("/api/webhooks", body).expect(201).json


def key_of(name):
    return "tl:{0}:out:" + name


def read(redis, name):
    """The entries: (id, {field: value})."""
    entries = redis.call("XRANGE", key_of(name), "-", "+")
    return [(id.decode(), {f.decode(): v.decode() for f, v in zip(fields[::2], fields[1::2])})
            for id, fields in entries]


def wait_entries(redis, name, count, timeout=10):
    wait_until(lambda: len(read(redis, name)) == count, timeout, f"{count} entries")
    return read(redis, name)


def delivery(client, event, webhook):
    return client.deliveries(event)[webhook["id"]]


def wait_status(client, event, webhook, status, timeout=10):
    wait_until(lambda: delivery(client, event, webhook)["status"] == status, timeout,
               f"the delivery to be {status}")
    return delivery(client, event, webhook)


# ---- the webhook ---------------------------------------------------------------------------------

def test_a_webhook_with_only_what_is_needed(client, name):
    webhook = make(client, name, ["order.*"])
    assert webhook["kind"] == "redis-stream"
    assert webhook["stream"] == {"name": name, "maxLength": 100000, "whenFull": "trim"}
    assert webhook["streamKey"] == key_of(name)
    assert not {"url", "scheme", "secret", "headers", "timeout"} & set(webhook)
    assert webhook["events"] == ["order.*"] and webhook["active"] is True
    assert client.get_webhook(webhook["id"]).expect(200).json == webhook
    listed = client.get("/api/webhooks?limit=100").expect(200).json["webhooks"]
    assert next(w for w in listed if w["id"] == webhook["id"])["streamKey"] == key_of(name)


def test_all_that_such_a_webhook_may_have(client, name):
    webhook = make(client, name, ["a", "b.*"], 5, "wait", filter={"a": 1}, description="the stock's",
                   rateLimit={"limit": 5, "period": "1s"}, maxInFlight=3, active=False,
                   retryPolicy={"schedule": ["1s"], "retryOn": ["stream_full", "redis_out_of_memory"]})
    assert webhook["stream"] == {"name": name, "maxLength": 5, "whenFull": "wait"}
    assert webhook["maxInFlight"] == 3 and webhook["filter"] == {"a": 1}
    assert webhook["retryPolicy"]["retryOn"] == ["stream_full", "redis_out_of_memory"]
    assert webhook["disabledReason"] == "manual"


def test_others_say_that_they_are_http(client):
    assert client.create_webhook("http://127.0.0.1:9/", ["never"])["kind"] == "http"
    assert client.create_webhook("http://127.0.0.1:9/", ["never"], kind="http")["kind"] == "http"


@pytest.mark.parametrize("members, code, field", [
    ({"kind": "kafka"}, "invalid_kind", "kind"),
    ({"kind": 1}, "invalid_kind", "kind"),
    ({"stream": None}, "missing_field", "stream"),
    ({"stream": "orders"}, "invalid_stream", "stream"),
    ({"stream": {}}, "invalid_stream", "stream.name"),
    ({"stream": {"name": ""}}, "invalid_stream", "stream.name"),
    ({"stream": {"name": "a:b"}}, "invalid_stream", "stream.name"),
    ({"stream": {"name": "a}b"}}, "invalid_stream", "stream.name"),
    ({"stream": {"name": "x" * 129}}, "invalid_stream", "stream.name"),
    ({"stream": {"name": "a", "maxLength": 0}}, "invalid_stream", "stream.maxLength"),
    ({"stream": {"name": "a", "maxLength": "9"}}, "invalid_stream", "stream.maxLength"),
    ({"stream": {"name": "a", "maxLength": 10**8}}, "invalid_stream", "stream.maxLength"),
    ({"stream": {"name": "a", "whenFull": "drop"}}, "invalid_stream", "stream.whenFull"),
    ({"stream": {"name": "a", "maxlength": 1}}, "unknown_field", "stream.maxlength"),
    ({"url": "http://127.0.0.1:9/"}, "invalid_url", "url"),
    ({"scheme": "standard"}, "invalid_scheme", "scheme"),
    ({"secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}, "invalid_secret", "secret"),
    ({"headers": {}}, "invalid_headers", "headers"),
    ({"timeout": "5s"}, "invalid_timeout", "timeout"),
    ({"streamKey": "tl:{0}:idem"}, "unknown_field", "streamKey"),
])
def test_what_is_refused(client, members, code, field):
    body = {"kind": "redis-stream", "stream": {"name": "a"}, "events": ["*"], **members}
    client.post("/api/webhooks", body).expect(400, code, field)


def test_an_http_webhook_has_no_stream(client):
    body = {"url": "http://127.0.0.1:9/", "events": ["*"], "stream": {"name": "a"}}
    client.post("/api/webhooks", body).expect(400, "invalid_stream", "stream")
    client.post("/api/webhooks", {"events": ["*"]}).expect(400, "missing_field", "url")


def test_what_may_be_changed(client, name):
    path = f"/api/webhooks/{make(client, name, ['a'], 7, 'wait')['id']}"
    changed = client.patch(path, {"stream": {"maxLength": 9}, "events": ["b"]}).expect(200).json
    assert changed["stream"] == {"name": name, "maxLength": 9, "whenFull": "wait"}
    changed = client.patch(path, {"stream": {"whenFull": None, "name": name + "-2"}}).expect(200).json
    assert changed["stream"] == {"name": name + "-2", "maxLength": 9, "whenFull": "trim"}
    assert changed["streamKey"] == key_of(name + "-2")
    client.patch(path, {"url": "http://127.0.0.1:9/"}).expect(400, "invalid_url", "url")
    client.patch(path, {"stream": None}).expect(400, "missing_field", "stream")
    put = {"kind": "redis-stream", "stream": {"name": name}, "events": ["c"]}
    assert client.put(path, put).expect(200).json["stream"]["maxLength"] == 100000


def test_the_kind_stays(client, name):
    stream = f"/api/webhooks/{make(client, name, ['a'])['id']}"
    http = f"/api/webhooks/{client.create_webhook('http://127.0.0.1:9/', ['never'])['id']}"
    as_http = {"url": "http://127.0.0.1:9/", "events": ["a"]}
    as_stream = {"kind": "redis-stream", "stream": {"name": name}, "events": ["a"]}
    client.patch(stream, {"kind": "http"}).expect(400, "invalid_kind", "kind")
    client.patch(stream, {"kind": None}).expect(400, "invalid_kind", "kind")
    client.put(stream, as_http).expect(400, "invalid_kind", "kind")
    client.patch(http, {"kind": "redis-stream"}).expect(400, "invalid_kind", "kind")
    client.put(http, as_stream).expect(400, "invalid_kind", "kind")
    client.patch(stream, {"kind": "redis-stream"}).expect(200)
    client.put(http, {"kind": "http", **as_http}).expect(200)


def test_a_deleted_webhook_leaves_its_stream(client, redis, name, event_type):
    webhook = make(client, name, [event_type])
    client.event_id(event_type)
    wait_entries(redis, name, 1)
    client.delete_webhook(webhook["id"]).expect(204)
    client.event_id(event_type)
    assert len(read(redis, name)) == 1


# ---- what arrives --------------------------------------------------------------------------------

def test_an_entry(client, redis, name, event_type):
    webhook = make(client, name, [event_type])
    event = client.event_id(event_type, {"order": 17, "name": "Zoë 😀"}, version="2", source="shop",
                            timestamp="2026-11-22T05:45:07.139Z")
    (entry_id, fields), = wait_entries(redis, name, 1)
    assert list(fields) == ["id", "type", "timestamp", "e"]
    assert fields["id"] == event and fields["type"] == event_type
    assert fields["timestamp"] == "2026-11-22T05:45:07.139Z"
    assert json.loads(fields["e"]) == {
        "id": event, "type": event_type, "timestamp": "2026-11-22T05:45:07.139Z",
        "data": {"order": 17, "name": "Zoë 😀"}, "version": "2", "source": "shop"}
    assert wait_status(client, event, webhook, "sent")["attempts"] == 1
    attempt, = wait_until(lambda: client.attempts(webhook["id"]), 10, "the attempt to be listed")
    assert (attempt["status"], attempt["statusCode"], attempt["error"]) == ("sent", None, None)


def test_the_event_is_what_the_scheme_event_has_for_a_body(client, redis, sink, name, event_type):
    make(client, name, [event_type])
    client.create_webhook(sink.url("/"), [event_type], scheme="event")
    client.event_id(event_type, {"price": "9.90"})
    sink.wait_for(1)
    (_, fields), = wait_entries(redis, name, 1)
    assert fields["e"] == sink.requests()[0].body.decode()


def test_numbers_come_as_they_were_written(client, redis, name, event_type):
    make(client, name, [event_type])
    data = b'{"n":[9007199254740993,1.50,-0,1e400], "s" : "\\u0041"}'
    client.post("/api/events", body=b'{"type":"%s","data":%s}' % (event_type.encode(), data)).expect(202)
    (_, fields), = wait_entries(redis, name, 1)
    assert '"data":' + data.decode() + "," in fields["e"]


def test_what_was_received_and_is_no_json(client, server, redis, name, make_source):
    source = make_source()
    make(client, name, [f"{source}.*"])
    for id, body in enumerate((b"a=1&b=\xc3\xa4", b"\xff\x00")):
        headers = {**github(body, SECRET, id=str(id)), "Content-Type": "application/octet-stream"}
        post(server, source, body, headers).expect(200)
    entries = wait_entries(redis, name, 2)
    assert [json.loads(fields["e"])["data"] for _, fields in entries] == \
        ["a=1&b=ä", {"base64": "/wA="}]


def test_a_received_duplicate_says_whose(client, server, redis, name, make_source):
    source = make_source(deduplication={"policy": "forward"})
    make(client, name, [f"{source}.*"])
    headers = github(b"{}", SECRET)
    post(server, source, b"{}", headers).expect(200)
    post(server, source, b"{}", headers).expect(200)
    (_, first), (_, second) = wait_entries(redis, name, 2)
    assert "duplicateOf" not in first and second["duplicateOf"] == first["id"]


def test_both_kinds_get_an_event_and_filters_hold(client, redis, sink, name, event_type):
    make(client, name, [event_type], filter={"n": {"$gte": 2}})
    client.create_webhook(sink.url("/"), [event_type], filter={"n": {"$lte": 2}})
    events = [client.post_event(event_type, {"n": n}).expect(202).json for n in range(4)]
    assert [event["deliveries"] for event in events] == [1, 1, 2, 1]
    sink.wait_for(3)
    assert sorted(sink.ids("/")) == sorted(event["id"] for event in events[:3])
    entries = wait_entries(redis, name, 2)
    assert sorted(fields["id"] for _, fields in entries) == sorted(e["id"] for e in events[2:])


def test_a_consumer_group(client, redis, name, event_type):
    """What README.md shows, with two workers, one of which dies with what it took."""
    make(client, name, [event_type])
    events = [client.event_id(event_type, {"n": n}) for n in range(20)]
    wait_entries(redis, name, 20)
    broker = redis_library.Redis(port=redis.port, decode_responses=True)
    key = key_of(name)
    broker.xgroup_create(key, "workers", id="0", mkstream=True)
    (_, taken), = broker.xreadgroup("workers", "dies", {key: ">"}, count=5)
    done = []

    def work(entries):
        for entry_id, fields in entries:
            done.append(json.loads(fields["e"])["id"])
            broker.xack(key, "workers", entry_id)

    (_, entries), = broker.xreadgroup("workers", "lives", {key: ">"}, count=100)
    work(entries)
    _, claimed, *_ = broker.xautoclaim(key, "workers", "lives", min_idle_time=0)
    work(claimed)
    assert len(taken) == len(claimed) == 5
    assert sorted(done) == sorted(events)
    assert broker.xpending(key, "workers")["pending"] == 0
    broker.close()


def test_a_test_send(client, redis, name):
    webhook = make(client, name, ["never"], filter={"a": 1}, active=False)
    answer = client.post(f"/api/webhooks/{webhook['id']}/test",
                         {"event": "order.test", "payload": {"a": 2}}).expect(200).json
    (entry_id, fields), = read(redis, name)
    assert answer["success"] is True and answer["statusCode"] is None
    assert answer["message"] == f"The stream has it as its entry {entry_id}."
    assert answer["responseBody"] == entry_id
    assert fields["type"] == "order.test" and json.loads(fields["e"])["data"] == {"a": 2}
    redis.call("DEL", key_of(name))
    redis.call("SET", key_of(name), "no stream")
    answer = client.post(f"/api/webhooks/{webhook['id']}/test").expect(200).json
    assert answer["success"] is False and answer["message"].startswith("stream_refused: WRONGTYPE")


def test_a_rate_limit_holds(client, redis, name, event_type):
    make(client, name, [event_type], rateLimit={"limit": 1, "period": "300ms"})
    for n in range(5):
        client.event_id(event_type, {"n": n})
    times = [int(entry_id.split("-")[0]) for entry_id, _ in wait_entries(redis, name, 5)]
    assert all(later - earlier >= 290 for earlier, later in zip(times, times[1:])), times


def test_an_event_for_later(client, redis, name, event_type):
    make(client, name, [event_type])
    event = client.post_event(event_type, delay="1s").expect(202).json["id"]
    (entry_id, _), = wait_entries(redis, name, 1)
    accepted = datetime.fromisoformat(client.get_event(event)["createdAt"].replace("Z", "+00:00"))
    assert int(entry_id.split("-")[0]) - accepted.timestamp() * 1000 >= 990


def test_more_bytes_than_may_be_on_their_way_at_once(server, client, redis, name, event_type):
    """They wait for their turn: nothing fails, nothing takes the way through the schedule."""
    webhooks = [make(client, f"{name}-{n}", [event_type]) for n in range(12)]
    moved = client.metric("trotline_deliveries_moved_total")

    def publish(n):
        with server.client() as client:
            return client.event_id(event_type, {"n": n, "text": "x" * 200_000})
    with ThreadPoolExecutor(16) as pool:
        events = list(pool.map(publish, range(16)))
    for n in range(len(webhooks)):
        entries = wait_entries(redis, f"{name}-{n}", 16, 30)
        assert sorted(fields["id"] for _, fields in entries) == sorted(events)
        redis.call("DEL", key_of(f"{name}-{n}"))
    assert {d["attempts"] for event in events for d in client.deliveries(event).values()} == {1}
    assert client.metric("trotline_deliveries_moved_total") == moved


# ---- length --------------------------------------------------------------------------------------

def test_a_trimmed_stream_stays_below_its_length_and_a_node(client, redis, name, event_type):
    make(client, name, [event_type], 50)
    longest = 0
    for n in range(400):
        client.event_id(event_type, {"n": n})
        longest = max(longest, redis.call("XLEN", key_of(name)))
    wait_until(lambda: json.loads(read(redis, name)[-1][1]["e"])["data"]["n"] == 399, 10, "the last")
    assert 50 <= longest < 50 + NODE_ENTRIES
    assert 50 <= redis.call("XLEN", key_of(name)) < 50 + NODE_ENTRIES


def test_a_full_stream_waits_for_room(client, redis, name, event_type):
    """Never more than maxLength; what does not fit is retried and arrives when entries are deleted."""
    webhook = make(client, name, [event_type], 3, "wait", retryPolicy=PATIENT)
    events = [client.event_id(event_type, {"n": n}) for n in range(8)]
    wait_until(lambda: sum(d["lastError"] == "stream_full" for e in events
                           for d in [delivery(client, e, webhook)]) == 5, 10, "five to have failed")
    arrived = set()
    while len(arrived) < 8:
        entries = wait_until(lambda: read(redis, name), 10, "an entry")
        assert len(entries) <= 3
        arrived |= {fields["id"] for _, fields in entries}
        redis.call("XDEL", key_of(name), *[entry_id for entry_id, _ in entries])
    assert arrived == set(events)
    for event in events:
        wait_status(client, event, webhook, "sent")


# ---- when it does not go well --------------------------------------------------------------------

def test_a_key_of_another_type_ends_among_the_dead_letters(client, redis, name, event_type):
    redis.call("SET", key_of(name), "no stream")
    for when_full in ("trim", "wait"):
        webhook = make(client, name, [event_type], whenFull=when_full, retryPolicy=AT_ONCE)
        event = client.event_id(event_type)
        dead = wait_status(client, event, webhook, "dead_letter")
        assert dead["lastError"] == "stream_refused" and dead["attempts"] == 3
        client.patch(f"/api/webhooks/{webhook['id']}", {"stream": {"name": name + "-2"}}).expect(200)
        client.replay(webhookId=webhook["id"])
        wait_status(client, event, webhook, "sent")
        client.delete_webhook(webhook["id"]).expect(204)
    assert len(read(redis, name + "-2")) == 2


def test_retry_on_leaves_out(client, redis, name, event_type):
    redis.call("SET", key_of(name), "no stream")
    webhook = make(client, name, [event_type], retryPolicy={**PATIENT, "retryOn": ["stream_full"]})
    event = client.event_id(event_type)
    assert wait_status(client, event, webhook, "dead_letter")["attempts"] == 1


def test_a_redis_without_memory(start_daemon):
    """Attempts fail and are retried; nothing is lost, and all arrives when there is room again."""
    with RedisServer() as redis:
        server = start_daemon(redis=redis)
        with server.client() as client:
            webhook = make(client, "orders", ["t"], retryPolicy=PATIENT)
            event = client.event_id("t", delay="1s")
            redis.call("CONFIG", "SET", "maxmemory", "1mb")
            wait_until(lambda: delivery(client, event, webhook)["lastError"] == "redis_out_of_memory",
                       10, "an attempt to fail")
            assert client.metric('trotline_attempts_total{class="redis_out_of_memory"}') >= 1
            redis.call("CONFIG", "SET", "maxmemory", "0")
            wait_status(client, event, webhook, "sent")
            assert len(read(redis, "orders")) == 1


def test_redis_is_restarted_while_entries_are_added(start_daemon, redis_server):
    """No attempts are burnt while it is away, all of them arrive, and few of them twice."""
    server = start_daemon(redis=redis_server)
    with server.client() as client:
        webhook = make(client, "orders", ["t"], retryPolicy={"schedule": []})
        accepted = []

        def send(count):
            for n in range(count):
                answer = client.post_event("t", {"n": n})
                if answer.status == 202:
                    accepted.append(answer.json["id"])
        send(100)
        client.post_event("t", delay="500ms").expect(202)
        redis_server.kill9()
        send(20)
        redis_server.start()
        wait_until(lambda: client.post_event("other").status == 202, 20, "Redis to be back")
        send(100)

        def arrived():
            return {fields["id"] for _, fields in read(redis_server, "orders")}
        wait_until(lambda: set(accepted) <= arrived() and len(arrived()) > len(accepted), 20,
                   "all to arrive")
        assert client.dead_letters(webhookId=webhook["id"]) == []


def test_a_breaker_opens_and_closes(start_daemon, redis_server):
    config = "breaker:\n  consecutiveFailures: 3\n  openFor: 300ms\n"
    server = start_daemon(redis=redis_server, config=config)
    with server.client() as client:
        redis_server.call("SET", key_of("orders"), "no stream")
        webhook = make(client, "orders", ["t"], retryPolicy=PATIENT)
        events = [client.event_id("t", {"n": n}) for n in range(20)]
        wait_until(lambda: client.get_webhook(webhook["id"]).json["health"]["breaker"]["state"]
                   != "closed", 10, "the breaker to open")
        redis_server.call("DEL", key_of("orders"))
        for event in events:
            wait_status(client, event, webhook, "sent", 15)
        health = client.get_webhook(webhook["id"]).json["health"]
        assert health["breaker"] == {"state": "closed"}
        assert health["inFlightAllowed"] == webhook["maxInFlight"]  # no allowance holds it back


def test_a_stop_waits_for_no_one(start_daemon, redis_server):
    """What is in hand goes out at a stop, and what cannot waits in Redis for the next start."""
    server = start_daemon(redis=redis_server)
    with server.client() as client:
        make(client, "orders", ["t"], 10, "wait", retryPolicy=PATIENT)
        events = [client.event_id("t", {"n": n}) for n in range(30)]
    server.stop()
    assert redis_server.call("XLEN", key_of("orders")) == 10
    redis_server.call("XTRIM", key_of("orders"), "MAXLEN", 0)
    server.start()
    seen = set()

    def all_seen():
        entries = read(redis_server, "orders")
        seen.update(fields["id"] for _, fields in entries)
        if entries:
            redis_server.call("XDEL", key_of("orders"), *[entry_id for entry_id, _ in entries])
        return len(seen) == 20
    wait_until(all_seen, 20, "the rest to arrive")
    assert seen < set(events)


def test_an_entry_counts_when_redis_s_replicas_have_it(start_daemon):
    """With replicas(n) a failover forgets nothing that was said to be in the stream."""
    with RedisGroup() as group:
        server = start_daemon("--set", "durability=replicas(1)", "--set", "ingest.timeout=2s",
                              redis=group.url)
        with server.client() as client:
            webhook = make(client, "orders", ["t"])
            path = f"/api/webhooks/{webhook['id']}/test"
            event = client.event_id("t")
            wait_status(client, event, webhook, "sent")
            group.replica.pause()
            answer = client.post(path).expect(200).json
            group.replica.resume()
            assert answer["success"] is True and answer["durationMs"] >= 400  # asked for 500 ms
            group.wait_for_replica()
            assert client.post(path).expect(200).json["durationMs"] < 400
            assert group.master.call("XLEN", key_of("orders")) == 3


# ---- replicas ------------------------------------------------------------------------------------

def test_two_replicas(start_daemon, redis_server):
    """Whichever takes an event, the owner of the webhook's lane adds it, once; a kill loses nothing."""
    names = [f"s{n}" for n in range(12)]
    fast = ("--set", "replica.lease=2s", "--set", "replica.heartbeat=250ms")
    first = start_daemon(*fast, redis=redis_server)
    with first.client() as client:
        webhooks = [make(client, name, ["all"])["id"] for name in names]
    second = start_daemon(*fast, redis=redis_server)
    wait_until(lambda: evenly_shared(redis_server, 2), 10, "both to own half of the lanes")
    owners = {lane_owners(redis_server)[lane_of(webhook)] for webhook in webhooks}
    assert owners == {first.incarnation, second.incarnation}

    def send(daemon):
        with daemon.client() as client:
            return [client.event_id("all", {"n": n}) for n in range(20)]
    events = send(first) + send(second)
    for name in names:
        entries = wait_entries(redis_server, name, 40)
        assert sorted(fields["id"] for _, fields in entries) == sorted(events)
    events += send(second)
    second.kill9()
    events += send(first)
    for name in names:
        wait_until(lambda: {fields["id"] for _, fields in read(redis_server, name)} == set(events), 20,
                   "all of them, some perhaps twice")
    with redis_server.connect(timeout=60) as redis:
        wait_until(lambda: not redis.call("KEYS", "tl:{0}:due:*"), 10, "nothing to wait")
        check(redis)
