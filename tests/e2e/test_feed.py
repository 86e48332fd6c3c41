"""Events out of a Redis stream, as producers, operators and misfortune write it."""

import json
import subprocess
import time

import msgpack
import pytest
from harness import RedisServer, Sink, wait_until
from harness.daemon import binary
from harness.feeders import STREAM
from harness.invariants import check
from harness.sink import delayed

REJECTED = f"{STREAM}:rejected"
FAST = ("--set", "replica.lease=1s", "--set", "replica.heartbeat=200ms")


@pytest.fixture
def redis(redis_server):
    with redis_server.connect(timeout=60) as redis:
        yield redis
        check(redis)


@pytest.fixture
def daemon(redis_server, start_daemon):
    return start_daemon(*FAST, redis=redis_server)


@pytest.fixture
def hook(daemon, sink):
    with daemon.client() as client:
        return client.create_webhook(sink.url("/"), ["fed"])


def event(data, **members):
    return json.dumps({"type": "fed", "data": data, **members}).encode()


def add(redis, *words, stream=STREAM):
    return redis.call("XADD", stream, "*", *words).decode()


def empty(redis, stream=STREAM):
    wait_until(lambda: redis.call("XLEN", stream) == 0, 20, "the stream to be empty")


def arrived(sink, *data):
    """Waits until events with these data have arrived, each once and nothing else."""
    wanted = sorted(map(json.dumps, data))

    def here():
        got = sorted(json.dumps(request.json()["data"]) for request in sink.requests("/"))
        assert got == wanted
        return True
    wait_until(here, 20, f"{data}")


def rejected(redis, stream=REJECTED):
    """Of each rejected entry: original id, reason, field at fault, original fields."""
    entries = redis.call("XRANGE", stream, "-", "+")
    return [(f[1].decode(), f[3].decode(), f[7].decode(), f[8:]) for _, f in entries]


def status(daemon, name="feed"):
    with daemon.client() as client:
        feeds = client.get("/api/feeds").expect(200).json["feeds"]
    return next(feed for feed in feeds if feed["name"] == name)


def command(daemon, *words):
    environment = {"TROTLINE_URL": daemon.url, "TROTLINE_API_KEY": daemon.api_key, "PATH": "/bin"}
    return subprocess.run([str(binary()), "feed", *words], env=environment, capture_output=True, text=True,
                          timeout=30)


# ---- what is an event ------------------------------------------------------------------------------

def test_events_are_delivered_and_leave_the_stream(daemon, hook, redis, sink):
    add(redis, "e", event(1))
    add(redis, "e", b" \n" + event({"a": ["\u00e9", None]}))
    add(redis, "app", "default", "e", event(3, source="till", uid="u-3"))
    arrived(sink, 1, {"a": ["\u00e9", None]}, 3)
    empty(redis)
    with daemon.client() as client:
        read = client.get_event("u-3")
    assert read["source"] == "till" and read["uid"] == "u-3"
    assert not rejected(redis) and redis.call("XPENDING", STREAM, "trotline")[0] == 0
    assert status(daemon)["results"]["published"] == 3


def test_msgpack(daemon, hook, redis, sink):
    """By its first byte; what has no JSON is rejected, with its path."""
    add(redis, "e", msgpack.packb({"type": "fed", "data": {"n": 2**60, "a": [None, True, "\u00e9"]}}),
        "k", "m")
    bad = add(redis, "e", msgpack.packb({"type": "fed", "data": {"blob": b"\xff"}}))
    cut = add(redis, "e", msgpack.packb({"type": "fed", "data": "x" * 100})[:-1])
    arrived(sink, {"n": 2**60, "a": [None, True, "\u00e9"]})
    empty(redis)
    assert [row[:3] for row in sorted(rejected(redis))] == \
        [(bad, "unsupported_value", "data.blob"), (cut, "invalid_msgpack", "data")]


def test_the_time_of_an_event_is_when_it_was_added(daemon, hook, redis, sink):
    """Also when nobody read it then; what an entry's own id says that cannot be is not believed."""
    add(redis, "e", event(1))
    arrived(sink, 1)
    seconds, _ = redis.call("TIME")
    early = f"{(int(seconds) - 3600) * 1000}-0"
    redis.call("XADD", STREAM, "*", "e", event(2))
    redis.call("XADD", f"{STREAM}", f"{2**60}-1", "e", event(3))
    arrived(sink, 1, 2, 3)
    stamps = {request.json()["data"]: request.json()["timestamp"] for request in sink.requests("/")}
    year = time.strftime("%Y", time.gmtime(int(seconds)))
    assert all(stamp.startswith(year) for stamp in stamps.values()), (stamps, early)


BAD = [([b"e", b"{"], "invalid_json", ""), ([b"e", b""], "invalid_json", ""),
       ([b"e", b'{"type":"fed"}'], "missing_field", "data"),
       ([b"e", b'{"type":"no type!","data":1}'], "invalid_type", "type"),
       ([b"e", b'{"type":"fed","data":1,"more":2}'], "unknown_field", "more"),
       ([b"e", b'{"type":"fed","data":"\xff\xfe"}'], "invalid_json", ""),
       ([b"e", b'{"type":"fed","data":1}', b"extra", b"1"], "unknown_field", "extra"),
       ([b"e", b'{"type":"fed","data":1}', b"e", b'{"type":"fed","data":2}'], "duplicate_field", "e"),
       ([b"E", b'{"type":"fed","data":1}'], "unknown_field", "E"), ([b"k", b"1"], "missing_field", "e"),
       ([b"e", b'{"type":"fed","data":1}', b"app", b"nobody"], "unknown_application", "app"),
       ([b"e", b'{"type":"fed","data":1}', b"k", b""], "invalid_idempotency_key", "k"),
       ([b"e", b'{"type":"fed","data":1}', b"k", b"x" * 300], "invalid_idempotency_key", "k"),
       ([b"e", b'{"type":"fed","data":"' + b"x" * 300_000 + b'"}'], "payload_too_large", "data"),
       ([b"e", b" " * 400_000 + b'{"type":"fed","data":1}'], "payload_too_large", "e"),
       ([b"e", b'{"type":"fed","data":' + b"[" * 5000 + b"]" * 5000 + b"}"], "json_too_deep", "")]


def test_everything_else_is_rejected_with_its_reason(daemon, hook, redis, sink):
    """In one go, between events that are good: those are not held up, and nothing of it is changed."""
    ids = []
    for number, (words, _, _) in enumerate(BAD):
        ids.append(add(redis, *words))
        add(redis, "e", event(number))
    arrived(sink, *range(len(BAD)))
    empty(redis)
    wanted = [(entry, reason, field, words) for entry, (words, reason, field) in zip(ids, BAD)]
    assert sorted(rejected(redis)) == sorted(wanted)
    with daemon.client() as client:
        assert client.metric('trotline_feed_entries_total{feed="feed",result="rejected"}') == len(BAD)


def test_keys(daemon, hook, redis, sink):
    """A duplicate is no event and no error; another event with the key, or the uid, is rejected."""
    add(redis, "e", event(1), "k", "one")
    add(redis, "e", event(1), "k", "one")
    add(redis, "e", event(2, uid="u"))
    empty(redis)
    other = add(redis, "e", event(7), "k", "one")
    taken = add(redis, "e", event(8, uid="u"))
    empty(redis)
    arrived(sink, 1, 2)
    assert [row[:3] for row in sorted(rejected(redis))] == \
        [(other, "idempotency_key_reused", "k"), (taken, "uid_taken", "uid")]
    with daemon.client() as client: # the same key over HTTP, and the same body
        answer = client.post("/api/events", body=event(1), headers={"Idempotency-Key": "one",
                                                                    "Content-Type": "application/json"})
        assert answer.expect(202).json["id"] == sink.requests("/")[0].id or len(sink.requests("/")) == 2
    assert status(daemon)["results"]["duplicate"] == 1


def test_a_transaction_is_an_outbox(daemon, hook, redis, sink):
    """MULTI: the event is there with what it is about, or not at all."""
    redis.call("MULTI")
    redis.call("SET", "app:order:1", "paid")
    redis.call("XADD", STREAM, "*", "e", event("paid"))
    redis.call("EXEC")
    redis.call("MULTI")
    redis.call("XADD", STREAM, "*", "e", event("never"))
    redis.call("DISCARD")
    arrived(sink, "paid")
    redis.call("DEL", "app:order:1")


def test_the_greatest_id_that_there_is(daemon, hook, redis, sink):
    """Nothing can be cut off behind it; it leaves like any other."""
    most = 2**64 - 1
    redis.call("XADD", STREAM, f"{most}-{most - 1}", "e", event(1))
    redis.call("XADD", STREAM, f"{most}-{most}", "e", event(2))
    empty(redis)
    arrived(sink, 1, 2)


# ---- when it cannot be stored ----------------------------------------------------------------------

def test_what_is_added_while_nobody_reads(redis_server, start_daemon, redis, sink):
    daemon = start_daemon(*FAST, redis=redis_server)
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["fed"])
    daemon.stop()
    for number in range(500):
        add(redis, "e", event(number))
    daemon.start()
    arrived(sink, *range(500))
    empty(redis)


def test_reading_stops_while_the_journal_is_full(redis_server, start_daemon, redis):
    """Entries wait in the stream, none is rejected, and all are published when there is room."""
    with Sink() as sink:
        sink.script("/", delayed(3))
        daemon = start_daemon(*FAST, "--set", "journal.maxBatches=2", "--set", "ingest.batchEvents=5",
                              redis=redis_server)
        with daemon.client() as client:
            client.create_webhook(sink.url("/"), ["fed"], maxInFlight=1)
            for number in range(100):
                add(redis, "e", event(number))
            wait_until(lambda: client.metric(
                'trotline_feed_entries_total{feed="feed",result="put_off"}') > 0, 20, "a full journal")
            sink.script("/", 200)
            empty(redis)
            wait_until(lambda: len({r.json()["data"] for r in sink.requests("/")}) == 100, 60, "all events")
    assert not rejected(redis)


def test_redis_out_of_memory(start_daemon, sink):
    """The feed rests, and goes on when there is room."""
    with RedisServer(appendonly="yes", maxmemory_policy="noeviction") as server:
        daemon = start_daemon(*FAST, redis=server)
        with daemon.client() as client, server.connect() as redis:
            client.create_webhook(sink.url("/"), ["fed"])
            daemon.pause()
            for number in range(20):
                add(redis, "e", event(number))
            add(redis, "e", b"{")
            redis.call("CONFIG", "SET", "maxmemory", 1)
            daemon.resume()
            wait_until(lambda: client.metric(
                'trotline_feed_entries_total{feed="feed",result="put_off"}') > 0, 20, "memory to be out")
            assert redis.call("XLEN", STREAM) == 21 and not rejected(redis)
            redis.call("CONFIG", "SET", "maxmemory", 0)
            arrived(sink, *range(20))
            empty(redis)
            assert len(rejected(redis)) == 1
        daemon.stop()


def test_redis_is_restarted(daemon, hook, redis_server, sink):
    with redis_server.connect() as redis:
        add(redis, "e", event(1))
        arrived(sink, 1)
    redis_server.kill9()
    redis_server.start()
    with redis_server.connect() as redis:
        add(redis, "e", event(2))
        arrived(sink, 1, 2)
        empty(redis)


# ---- operators -------------------------------------------------------------------------------------

def end_connections(redis, name):
    for line in redis.call("CLIENT", "LIST").decode().splitlines():
        if f" name={name} " in line:
            redis.call("CLIENT", "KILL", "ID", line.split()[0][len("id="):])


def test_connections_end_within_long_replies(redis_server, start_daemon, redis):
    """Entries of a reply are published while others of it come. When the connection ends in between,
    none is published twice, and the rest is read again."""
    entries, each, ended = 8000, 400, 0
    with Sink() as sink:
        daemon = start_daemon(*FAST, redis=redis_server)
        with daemon.client() as client:
            client.create_webhook(sink.url("/"), ["fed"])
        daemon.stop()
        for number in range(entries):
            add(redis, b"e", event({"n": number, "filler": "x" * 2000}))
        daemon.start()
        left = entries
        while (length := redis.call("XLEN", STREAM)) > 0:
            if length < left - each:
                end_connections(redis, "trotline-feed")
                ended, left = ended + 1, length
        assert ended >= 2
        wait_until(lambda: len(sink.requests("/")) >= entries, 60, "all events")
        assert sorted(request.json()["data"]["n"] for request in sink.requests("/")) == list(range(entries))
    assert not rejected(redis)


def test_the_group_is_destroyed(daemon, hook, redis, sink):
    add(redis, "e", event(1))
    arrived(sink, 1)
    redis.call("XGROUP", "DESTROY", STREAM, "trotline")
    add(redis, "e", event(2))
    arrived(sink, 1, 2)


def test_the_stream_is_deleted(daemon, hook, redis, sink):
    add(redis, "e", event(1))
    arrived(sink, 1)
    redis.call("DEL", STREAM)
    add(redis, "e", event(2))
    arrived(sink, 1, 2)


def test_the_stream_is_something_else_for_a_while(daemon, hook, redis, sink):
    redis.call("DEL", STREAM)
    redis.call("SET", STREAM, "mine")
    wait_until(lambda: "feed.refused" in daemon.log, 20, "the log to say so")
    redis.call("DEL", STREAM)
    add(redis, "e", event(1))
    arrived(sink, 1)


def test_entries_that_are_trimmed_are_gone(daemon, hook, redis, sink):
    daemon.pause()
    for number in range(100):
        redis.call("XADD", STREAM, "MAXLEN", 10, "*", "e", event(number))
    daemon.resume()
    empty(redis)
    sink.wait_quiet(1)
    got = {request.json()["data"] for request in sink.requests("/")}
    assert set(range(90, 100)) <= got and len(got) <= 11 # one may have been handed out before the pause


def test_somebody_else_reads_in_the_group(daemon, hook, redis, sink):
    """What others took and never acknowledged is published after the length of a lease."""
    daemon.pause()
    for number in range(10):
        add(redis, "e", event(number))
    redis.call("XREADGROUP", "GROUP", "trotline", "somebody", "COUNT", 5, "STREAMS", STREAM, ">")
    daemon.resume()
    arrived(sink, *range(10))
    empty(redis)
    wait_until(lambda: redis.call("XPENDING", STREAM, "trotline")[0] == 0, 20, "none to be pending")


# ---- several ---------------------------------------------------------------------------------------

def test_two_replicas_share(redis_server, start_daemon, redis, sink):
    daemons = [start_daemon(*FAST, redis=redis_server) for _ in range(2)]
    with daemons[0].client() as client:
        client.create_webhook(sink.url("/"), ["fed"], maxInFlight=100)
    for number in range(3000):
        add(redis, "e", event(number))
    arrived(sink, *range(3000))
    empty(redis)
    shares = [status(daemon)["results"]["published"] for daemon in daemons]
    assert sum(shares) == 3000 and min(shares) > 0
    daemons[1].stop()
    add(redis, "e", event(3000))
    arrived(sink, *range(3001))


def test_several_streams(redis_server, start_daemon, redis, sink):
    """One for an application that does not exist: all of it is rejected. Off: nothing is read."""
    daemon = start_daemon(*FAST, "--set", "feed.streams=[feed, billing=default, shop=shop]",
                          redis=redis_server)
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["fed"])
    for number, name in enumerate(("", ":billing", ":shop")):
        add(redis, "e", event(number), stream=STREAM + name)
    arrived(sink, 0, 1)
    empty(redis, f"{STREAM}:shop")
    assert rejected(redis, f"{STREAM}:shop:rejected")[0][1] == "unknown_application"
    assert status(daemon, "shop")["rejected"] == 1 and status(daemon, "billing")["application"] == "default"
    assert command(daemon, "rejected", "--feed", "shop").stdout.count("unknown_application") == 1
    daemon.stop()
    off = start_daemon("--set", "feed.enabled=false", redis=redis_server)
    add(redis, "e", event(9))
    with off.client() as client:
        assert client.get("/api/feeds").expect(200).json == {"feeds": [], "count": 0}
    off.stop()
    assert redis.call("XLEN", STREAM) == 1


# ---- looked after ----------------------------------------------------------------------------------

def test_rejected_over_http(daemon, hook, redis, sink):
    for number in range(5):
        add(redis, "e", b"{", "n%d" % number, b"\xff\x00")
    wait_until(lambda: len(rejected(redis)) == 5, 20, "all to be rejected")
    with daemon.client() as client:
        page = client.get("/api/feeds/feed/rejected?limit=3").expect(200).json
        rest = client.get(f"/api/feeds/feed/rejected?cursor={page['cursor']}").expect(200).json
        entries = page["rejected"] + rest["rejected"]
        assert [entry["id"] for entry in entries] == sorted((e["id"] for e in entries), reverse=True)
        assert len(entries) == 5 and rest["cursor"] is None
        newest = entries[0]
        assert newest["reason"] == "unknown_field" and newest["field"] == "n4"
        assert newest["fields"] == [{"name": "e", "bytes": 1, "value": "{"},
                                    {"name": "n4", "bytes": 2, "valueBase64": "/wA="}]
        answer = client.request("DELETE", "/api/feeds/feed/rejected", json_body={"ids": [newest["id"], "1-1"]})
        assert answer.expect(200).json == {"discarded": 1}
        for body, code, field in (({}, "missing_field", "ids"), ({"ids": []}, "invalid_ids", "ids"),
                                  ({"ids": ["x"]}, "invalid_ids", "ids"), ({"all": False}, "invalid_all", "all"),
                                  ({"ids": ["1-1"], "all": True}, "missing_field", "ids"),
                                  ({"x": 1}, "unknown_field", "x")):
            client.post("/api/feeds/feed/requeue", body).expect(400, code, field)
        client.get("/api/feeds/nope/rejected").expect(404, "not_found")
        client.get("/api/feeds/feed/rejected?limit=0").expect(400, "invalid_limit", "limit")
        client.get("/api/feeds/feed/rejected?cursor=x").expect(400, "invalid_cursor", "cursor")
        assert client.post("/api/feeds/feed/requeue", {"all": True}).expect(200).json == {"requeued": 4}
        wait_until(lambda: len(rejected(redis)) == 4, 20, "all to be rejected once more")


def test_the_command(daemon, hook, redis, sink):
    """Mended by putting it back: here the cause was the key, which is free by then."""
    add(redis, "e", event(1), "k", "x")
    empty(redis)
    bad = add(redis, "e", event(2), "k", "x")
    wait_until(lambda: len(rejected(redis)) == 1, 20, "it to be rejected")
    shown = command(daemon)
    assert shown.returncode == 0 and "rejected=1" in shown.stdout and "length=0" in shown.stdout
    listed = command(daemon, "rejected")
    assert "idempotency_key_reused" in listed.stdout and '"data": 2' in listed.stdout
    assert json.loads(command(daemon, "rejected", "--json").stdout)["rejected"][0]["entryId"] == bad
    for kind in ("idem", "idem:ids", "idem:batches"):
        redis.call("DEL", "tl:{0}:" + kind)
    name = listed.stdout.split()[0]
    assert command(daemon, "requeue", name).stdout == "1 requeued\n"
    arrived(sink, 1, 2)
    assert command(daemon, "discard", "--all").stdout == "0 discarded\n"
    for words in (("requeue",), ("discard", "1-1", "--all"), ("status", "1-1"), ("what",),
                  ("rejected", "--limit", "x"), ("--feed", "a/b")):
        assert command(daemon, *words).returncode == 2
    assert command(daemon, "rejected", "--feed", "nope").returncode == 1
