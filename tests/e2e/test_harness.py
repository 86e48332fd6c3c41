"""The tools the other tests stand on, tried by themselves: sink, Redis, certificates, clients."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from harness import (Redis, RedisError, RedisServer, Sink, cluster_invariants, free_port, parse_answers,
                     rawjson, schemes, wait_until)
from harness.certs import Authority
from harness.monitor import Monitor, written
from harness.producer import Producer
from harness.recorder import Recorder
from harness.sink import (Request, close, delayed, drip, endless, garbage, hang, huge_headers,
                          redirect, reply, reset, retry_after)


def exchange(sink, path="/", body=b"{}", headers=(), timeout=5.0):
    """One POST on a connection of its own; returns http.client's response, body read."""
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=timeout)
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        response = connection.getresponse()
        response.content = response.read()
        return response
    finally:
        connection.close()


# ---- the sink ----------------------------------------------------------------------------------

def test_sink_records_what_came(sink):
    exchange(sink, "/a?x=1", b'{"n": 1.0}', [("webhook-id", "msg_1"), ("X-Two", "b")])
    (request,) = sink.wait_for(1, "/a")
    assert (request.method, request.target, request.path) == ("POST", "/a?x=1", "/a")
    assert request.body == b'{"n": 1.0}' and request.json() == {"n": 1.0}
    assert request.header("WEBHOOK-ID") == "msg_1" and sink.ids() == ["msg_1"]
    names = [name for name, _ in request.headers]
    assert names.index("webhook-id") < names.index("X-Two"), "headers keep order and spelling"
    assert abs(request.wall - time.time()) < 5 and abs(request.at - time.monotonic()) < 5


def test_sink_takes_answers_in_turn_and_keeps_the_last(sink):
    sink.script("/s", [500, retry_after(7), 204])
    statuses = [exchange(sink, "/s").status for _ in range(5)]
    assert statuses == [500, 503, 204, 204, 204]
    assert exchange(sink, "/other").status == 200, "other paths have the default"


def test_sink_asks_a_function(sink):
    sink.script("/f", lambda request: 201 if request.json()["ok"] else reply(422, b"no"))
    assert exchange(sink, "/f", b'{"ok":true}').status == 201
    answer = exchange(sink, "/f", b'{"ok":false}')
    assert (answer.status, answer.content) == (422, b"no")


def test_sink_answers_late(sink):
    sink.script("/", delayed(0.3, 202))
    begin = time.monotonic()
    assert exchange(sink).status == 202
    assert time.monotonic() - begin >= 0.3


def test_sink_drips_a_body(sink):
    sink.script("/", drip(b"abcd", 0.05))
    begin = time.monotonic()
    assert exchange(sink).content == b"abcd"
    assert time.monotonic() - begin >= 0.2


def test_sink_sends_without_end(sink):
    sink.script("/", endless())
    with socket.create_connection(("127.0.0.1", sink.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        received = 0
        while received < 4 << 20:
            received += len(connection.recv(65536))


def test_sink_resets_and_closes(sink):
    sink.script("/reset", reset())
    sink.script("/close", close())
    with pytest.raises(ConnectionResetError):
        exchange(sink, "/reset")
    with pytest.raises(http.client.RemoteDisconnected):
        exchange(sink, "/close")
    assert sink.count("/reset") == sink.count("/close") == 1, "both had been read"


def test_sink_hangs_until_closed():
    with Sink(default=hang()) as sink:
        with pytest.raises(socket.timeout):
            exchange(sink, timeout=0.2)
        threads = threading.active_count()
    wait_until(lambda: threading.active_count() < threads, 5, "the hanging thread to end")


def test_sink_redirects_floods_and_lies(sink):
    sink.script("/r", redirect("http://127.0.0.1:1/x", 307))
    sink.script("/h", huge_headers(64 * 1024))
    sink.script("/g", garbage(b"nonsense\r\n\r\n"))
    moved = exchange(sink, "/r")
    assert (moved.status, moved.getheader("Location")) == (307, "http://127.0.0.1:1/x")
    assert sum(len(v) for _, v in exchange(sink, "/h").getheaders()) > 60000
    with pytest.raises(http.client.BadStatusLine):
        exchange(sink, "/g")


def test_sink_writes_both_forms_of_retry_after(sink):
    when = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    sink.script("/", [retry_after(3), retry_after(when, 429)])
    assert exchange(sink).getheader("Retry-After") == "3"
    second = exchange(sink)
    assert (second.status, second.getheader("Retry-After")) == (429,
                                                                "Wed, 02 Jan 2030 03:04:05 GMT")


def test_sink_keeps_or_drops_connections(sink):
    sink.script("/", [200, 200, reply(200, close=True)])
    connection = http.client.HTTPConnection("127.0.0.1", sink.port)
    for _ in range(3):
        connection.request("POST", "/", body=b"{}")
        response = connection.getresponse()
        response.read()
    connection.close()
    assert response.getheader("Connection") == "close"
    assert {request.connection for request in sink.requests()} == {1}
    exchange(sink)
    assert sink.requests()[-1].connection == 2


def test_sink_knows_how_many_ran_at_once(sink):
    sink.script("/slow", delayed(0.3))
    threads = [threading.Thread(target=exchange, args=(sink, "/slow")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.most_running["/slow"] == 5
    wait_until(lambda: sink.running["/slow"] == 0, 5, "the sink to have done with them")


def test_sink_says_what_is_missing(sink):
    exchange(sink, "/x")
    with pytest.raises(AssertionError, match="2 requests at /x; 1 came"):
        sink.wait_for(2, "/x", timeout=0.1)


def test_sink_is_fast_enough_for_load(sink):
    """200 connections and 4,000 requests, at 2,000 a second or better."""
    def load():
        with socket.create_connection(("127.0.0.1", sink.port)) as connection:
            for _ in range(20):
                connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    begin = time.monotonic()
    threads = [threading.Thread(target=load) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.wait_for(4000)
    assert sink.accepted == 200
    assert time.monotonic() - begin < 2.0


# ---- TLS ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_good_certificate_is_accepted(authority):
    trust = ssl.create_default_context(cafile=str(authority.path))
    with Sink(tls=authority.context("good")) as sink:
        connection = http.client.HTTPSConnection("127.0.0.1", sink.port, context=trust)
        connection.request("POST", "/s", body=b"{}")
        assert connection.getresponse().status == 200
        connection.close()
        assert sink.url("/s").startswith("https://") and sink.count("/s") == 1


@pytest.mark.parametrize("kind, words", [("wrong-name", "IP address mismatch"),
                                         ("expired", "expired"),
                                         ("self-signed", "self-signed")])
def test_bad_certificate_is_refused(authority, kind, words):
    trust = ssl.create_default_context(cafile=str(authority.path))
    with Sink(tls=authority.context(kind)) as sink:
        connection = http.client.HTTPSConnection("127.0.0.1", sink.port, context=trust)
        with pytest.raises(ssl.SSLCertVerificationError, match=words):
            connection.connect()
        wait_until(lambda: sink.handshake_errors, 5, "the sink to note the failed handshake")
        assert sink.count() == 0


# ---- Redis -------------------------------------------------------------------------------------

def test_redis_commands_and_replies(redis_server):
    with redis_server.connect() as redis:
        assert redis.call("SET", "k", b"\x00\r\n\xff") == b"OK"
        assert redis.call("GET", "k") == b"\x00\r\n\xff"
        assert redis.call("GET", "none") is None
        assert redis.call("RPUSH", "l", 1, 2, 3) == 3
        assert redis.call("LRANGE", "l", 0, -1) == [b"1", b"2", b"3"]
        with pytest.raises(RedisError, match="WRONGTYPE"):
            redis.call("INCR", "l")
        assert redis.call("PING") == b"PONG", "an error reply leaves the connection usable"
    assert redis_server.info("persistence")["aof_enabled"] == "1"
    assert redis_server.keys("[kl]") == ["k", "l"]


def test_redis_keeps_what_it_said_over_kill9(redis_server):
    for n in range(100):
        redis_server.call("RPUSH", "l", n)
    port = redis_server.port
    redis_server.kill9()
    with pytest.raises(OSError):
        redis_server.call("PING")
    redis_server.start()
    assert redis_server.port == port and redis_server.call("LLEN", "l") == 100


def test_redis_pause_is_silence(redis_server):
    redis_server.pause()
    with redis_server.connect(timeout=0.2) as redis:
        with pytest.raises(socket.timeout):
            redis.call("PING")
    redis_server.resume()
    assert redis_server.call("PING") == b"PONG"


def test_redis_without_persistence_forgets():
    with RedisServer() as server:
        server.call("SET", "k", 1)
        server.kill9()
        server.start()
        assert server.call("GET", "k") is None
        directory = server.directory
    assert not directory.exists(), "nothing is left behind"


# ---- verification ------------------------------------------------------------------------------

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ID = "msg_" + "0" * 27


def delivery(scheme, secret, data='{"b":1.0,"a":[1e400]}', now=None):
    """A correct delivery, as headers and body, made by hand."""
    now = time.time() if now is None else now
    stamp = "2030-01-02T03:04:05.678Z"
    if scheme in ("standard", "svix"):
        family = "webhook" if scheme == "standard" else "svix"
        body = f'{{"type":"t","timestamp":"{stamp}","data":{data}}}' if scheme == "standard" \
            else data
        content = f"{ID}.{int(now)}.{body}".encode()
        mac = hmac.new(base64.b64decode(secret[6:]), content, hashlib.sha256).digest()
        return {f"{family}-id": ID, f"{family}-timestamp": str(int(now)),
                f"{family}-signature": "v1," + base64.b64encode(mac).decode()}, body.encode()
    if scheme == "event":
        body = (f'{{"id":"{ID}","type":"t","timestamp":"{stamp}","data":{data},"version":"1",'
                '"source":"s"}').encode()
        mac = hmac.new(bytes.fromhex(secret), body, hashlib.sha256).hexdigest()
        return {"X-Webhook-Event-Type": "t", "X-Webhook-Delivery-ID": ID,
                "X-Webhook-Timestamp": str(int(now)),
                "X-Webhook-Signature-256": f"sha256={mac}"}, body
    if scheme == "guide":
        body = f'{{"event":"t","timestamp":"{stamp}","payload":{data}}}'.encode()
        mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Webhook-Event": "t", "X-Webhook-Timestamp": str(int(now * 1000)),
                "X-Webhook-Signature": mac}, body
    body = f'{{"id":"{ID}","type":"t","data":{data},"timestamp":"{stamp}"}}'.encode()
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Event-Type": "t", "X-Signature": mac}, body


SECRETS = {"standard": SECRET, "svix": SECRET, "event": "00ff" * 16, "guide": "gänse",
           "basic": "shared secret"}


def as_request(headers, body):
    lines = ["POST / HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
    return Request(1, "\r\n".join(lines).encode(), body)


@pytest.mark.parametrize("scheme", schemes.VERIFY)
def test_verifier_accepts_the_genuine_and_nothing_else(scheme):
    secret = SECRETS[scheme]
    headers, body = delivery(scheme, secret)
    schemes.VERIFY[scheme](as_request(headers, body), secret)
    with pytest.raises(AssertionError):
        schemes.VERIFY[scheme](as_request(headers, body.replace(b"1.0", b"1")), secret)
    for name in headers:
        with pytest.raises(AssertionError):
            schemes.VERIFY[scheme](as_request({**headers, name: headers[name][:-2]}, body), secret)
        with pytest.raises(AssertionError):
            rest = {n: v for n, v in headers.items() if n != name}
            schemes.VERIFY[scheme](as_request(rest, body), secret)


@pytest.mark.parametrize("library, scheme", [("standardwebhooks", "standard"), ("svix", "svix"),
                                             ("svix", "standard"), ("event", "event"),
                                             ("guide", "guide"), ("basic", "basic")])
def test_node_receiver_accepts_the_genuine_and_nothing_else(node_receiver, library, scheme):
    data = '{"b":1.0,"a":[1,2]}'
    headers, body = delivery(scheme, SECRETS[scheme], data)
    receiver = node_receiver(library, SECRETS[scheme])
    assert exchange(receiver, "/ok", body, headers.items()).status == 204
    assert exchange(receiver, "/bad", body.replace(b"1.0", b"1.1"), headers.items()).status == 401
    first, second = receiver.next(), receiver.next()
    assert first["verified"] and first["url"] == "/ok" and first["body"] == body.decode()
    assert not second["verified"] and second["error"]


def test_ed25519_is_verified_by_openssl_and_node(node_receiver, tmp_path):
    """The vector of RFC 8032 section 7.1 test 1's key, signed here by the openssl command."""

    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    (tmp_path / "key").write_bytes(bytes.fromhex("302e020100300506032b657004220420") + seed)
    now, body = str(int(time.time())), b'{"type":"t","timestamp":"x","data":{}}'
    (tmp_path / "data").write_bytes(f"{ID}.{now}.".encode() + body)
    subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey",
                    tmp_path / "key", "-in", tmp_path / "data", "-out", tmp_path / "sig"],
                   check=True)
    signature = base64.b64encode((tmp_path / "sig").read_bytes()).decode()
    headers = {"webhook-id": ID, "webhook-timestamp": now,
               "webhook-signature": f"v1,AAAA v1a,{signature}"}
    public_key = "whpk_" + base64.b64encode(public).decode()
    schemes.ed25519(as_request(headers, body), public_key)
    with pytest.raises(AssertionError):
        schemes.ed25519(as_request(headers, body + b" "), public_key)
    receiver = node_receiver("v1a", public_key)
    assert exchange(receiver, "/", body, headers.items()).status == 204
    assert exchange(receiver, "/", body + b" ", headers.items()).status == 401


def test_raw_members():
    text = ' {"a" : 1.0,"b":{ "c":[1e400, "}"] },"d\\u0041":"x"} '
    assert rawjson.members(text) == {"a": "1.0", "b": '{ "c":[1e400, "}"] }', "dA": '"x"'}
    assert rawjson.members(b"{}") == {}
    with pytest.raises(AssertionError):
        rawjson.members('{"a":1,"a":2}')


def test_parse_answers():
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 204 No Content\r\n\r\n"
    first, second = parse_answers(two)
    assert (first.status, first.body, second.status) == (200, b"hi", 204)
    with pytest.raises(AssertionError):
        parse_answers(two[:-4])
    error = {"error": {"code": "bad", "message": "Bad.", "field": "x"}}
    body = json.dumps(error).encode()
    (answer,) = parse_answers(b"HTTP/1.1 400 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    answer.expect(400, "bad", "x")
    with pytest.raises(AssertionError):
        answer.expect(400, "worse")


# ---- many replicas ---------------------------------------------------------------------------------

def test_recorder_notes_every_request(tmp_path):
    with Recorder(tmp_path) as recorder:
        def deliver(path, event, number, agent="r1.1"):
            client = http.client.HTTPConnection("127.0.0.1", recorder.port, timeout=5)
            client.request("POST", path, b'{"data":{"n":%d}}' % number,
                           {"Webhook-Id": event, "User-Agent": agent})
            status = client.getresponse().status
            client.close()
            return status

        assert deliver("/7/0/0", "msg_a", 1) == 200
        assert [deliver("/8/0/1", "msg_a", 1, "r2.1") for _ in range(2)] == [503, 200]
        before = time.monotonic()
        assert deliver("/9/200/0", "msg_b", 2) == 200
        assert time.monotonic() - before >= 0.2
        seen = [arrival[1:] for arrival in wait_until(lambda: len(recorder.read()) == 4
                                                      and recorder.arrivals, 5, "four lines")]
        assert seen == [(7, 1, "msg_a", "r1.1", 200), (8, 1, "msg_a", "r2.1", 503),
                        (8, 1, "msg_a", "r2.1", 200), (9, 2, "msg_b", "r1.1", 200)]


def answers_of_a_server(ids):
    """A function of the request: 202, one id for each key."""
    def answer(request):
        key = request.header("Idempotency-Key") or f"-{request.json()['data']['n']}"
        with ids["lock"]:
            event = ids.setdefault(key, f"msg_{len(ids)}")
        return reply(202, json.dumps({"id": event}).encode())
    return answer


def test_producer_asks_again_until_it_is_told(tmp_path):
    """One server fails in all ways there are and one is not there; the third takes everything."""
    ids = {"lock": threading.Lock()}
    with Sink() as bad, Sink() as good:
        ways = iter([reply(503, b"{}"), reset(), close(), hang()] * 10)
        bad.script("/api/events", lambda request: next(ways, hang()))
        good.script("/api/events", answers_of_a_server(ids))
        with Producer(tmp_path, [bad.port, free_port(), good.port], "key", ["a", "b"], rate=200,
                      timeout=0.3) as producer:
            wait_until(lambda: good.count() >= 200 and bad.count() >= 12, 20, "the load")
            figures = producer.stop()
            accepted, failures = producer.answers()
    assert not failures and figures["unfinished"] == 0
    assert set(accepted) == set(range(figures["begun"])) and all(map(len, accepted.values()))
    assert figures["refused"] and figures["lost"] and figures["timeouts"], figures
    assert len(good.requests("/api/events")) > figures["begun"], "some are published twice"


def test_a_strict_producer_takes_nothing_but_202(tmp_path):
    ids = {"lock": threading.Lock()}
    with Sink() as server:
        good = answers_of_a_server(ids)
        server.script("/api/events", lambda request:
                      reply(503, b"{}") if request.json()["data"]["n"] == 5 else good(request))
        with Producer(tmp_path, [server.port], "key", ["a"], rate=200, strict=True) as producer:
            wait_until(lambda: producer.count() >= 20, 20, "the load")
            figures = producer.stop()
            accepted, failures = producer.answers()
    assert failures == ["F 5 503 {}"] and set(accepted) == set(range(figures["begun"])) - {5}


def test_monitor_tells_who_did_what(redis_server):
    client = Redis(("127.0.0.1", redis_server.port))
    port = client.socket.getsockname()[1]
    with Monitor(redis_server) as monitor:
        client.call("SET", "before", "x")
        monitor.mark("now")
        client.call("EVAL", "redis.call('GET', 'b') redis.call('DEL', 'a\\n', 'c')", 0)
        client.call("GET", "a")
        monitor.mark("end")
        commands = [command for command in monitor.since("now") if command.port == port]
    client.close()
    assert [command.words[0] for command in commands] == [b"eval", b"get", b"del", b"get"]
    assert [bool(command.script) for command in commands] == [False, True, True, False]
    assert [key for command in commands for key in written(command)] == ["a\n", "c"]


def test_cluster_checker_finds_what_is_broken(redis_server):
    call = redis_server.call
    one, gone = "0" * 15 + "1", "0" * 15 + "2"
    cluster = SimpleNamespace(
        redis=redis_server, running=lambda: [SimpleNamespace(incarnation=one)],
        lanes=lambda: {int(lane): owner.decode() for lane, owner in zip(
            *[iter(call("HGETALL", "tl:{0}:lanes"))] * 2)})
    call("ZADD", "tl:{0}:replicas", int(time.time() * 1000) + 60000, one)
    call("HSET", "tl:{0}:replicas:info", one, "{}")
    call("HSET", "tl:{0}:membership", "lanes", 256, "version", 1)
    call("ZADD", "tl:{0}:journals", 0, one)
    call("HSET", "tl:{0}:lanes", *[word for lane in range(256) for word in (lane, one)])
    assert cluster_invariants.problems(cluster, quiet=True) == []

    def broken(rule, undo, *words):
        call(*words)
        found = cluster_invariants.problems(cluster, quiet=True)
        assert any(problem.startswith(rule) for problem in found), (rule, found)
        call(*undo)

    broken("R1", ("HSET", "tl:{0}:lanes", 7, one), "HSET", "tl:{0}:lanes", 7, gone)
    broken("Q1", ("HSET", "tl:{0}:lanes", 7, one), "HDEL", "tl:{0}:lanes", 7)
    broken("R2", ("HSET", "tl:{0}:membership", "lanes", 256),
           "HSET", "tl:{0}:membership", "lanes", 128)
    broken("R3", ("HDEL", "tl:{0}:replicas:info", gone), "HSET", "tl:{0}:replicas:info", gone, "{}")
    broken("R4", ("DEL", "tl:{0}:handover"), "HSET", "tl:{0}:handover", 7, "x")
    broken("Q1", ("ZREM", "tl:{0}:replicas", gone), "ZADD", "tl:{0}:replicas", 5, gone)
    broken("Q2", ("ZREM", "tl:{0}:journals", gone), "ZADD", "tl:{0}:journals", 0, gone)
    broken("Q2", ("DEL", "tl:{0}:open:x"), "SET", "tl:{0}:open:x", 1)
    broken("Q3", ("DEL", "tl:{0}:due:x"), "ZADD", "tl:{0}:due:x", 1, "x")
    assert cluster_invariants.problems(cluster, quiet=True) == []


def test_accounts_miss_nothing():
    snapshot = SimpleNamespace()
    recorded = {("a", "x"): "sent", ("a", "y"): "dead", ("b", "x"): "waiting", ("c", "x"): "sent"}
    expected = {"a": {"x", "y"}, "b": {"x"}, "d": {"y"}}
    with patch.object(cluster_invariants.invariants, "deliveries", lambda _: recorded):
        counts, found = cluster_invariants.account(snapshot, expected, {("a", "x"), ("e", "x")})
    assert counts == {"sent": 1, "dead": 1}
    assert sorted(problem[:2] for problem in found) == ["A1", "A1", "A2", "A3"]
