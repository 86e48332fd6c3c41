"""POST /api/events/batch among other requests on one connection, and while Redis or a replica is away."""

import concurrent.futures
import json
import random
import socket
import threading

import pytest
from harness import parse_answers, wait_until
from harness.bulk import BATCH, NDJSON, Upload, array_of, codes, events_of, lines_of, post, results


# ---- what is in front and behind --------------------------------------------------------------------

def request(server, method, path, body=None, chunked=False, headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: h", f"Authorization: Bearer {server.api_key}", *headers]
    if body is not None and chunked:
        pieces = [body[at:at + 37] for at in range(0, len(body), 37)]
        body = b"".join(f"{len(piece):x};x=y\r\n".encode() + piece + b"\r\n" for piece in pieces)
        body += b"0\r\nX-Trailer: GET /stats HTTP/1.1\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    elif body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def exchange(server, data, rng=None):
    """All that is answered until the server closes, or everything was said; sent in pieces of any size."""
    received = b""
    with socket.create_connection((server.address, server.port), 30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data:
            size = rng.choice((1, 7, 100, 1000, 100_000)) if rng else len(data)
            connection.sendall(data[:size])
            data = data[size:]
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    return parse_answers(received)


@pytest.mark.parametrize("seed", range(12))
def test_requests_in_a_row(server, event_type, seed):
    """Batches and other requests, of every framing, cut anywhere: each has its own answer, in order, and no
    byte of a body is taken for a request."""
    rng = random.Random(seed)
    data, wanted = b"", []
    for _ in range(rng.randint(3, 8)):
        kind, chunked = rng.randrange(6), rng.random() < 0.5
        events = events_of(event_type, rng.randint(0, 40))
        body = lines_of(events) + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" * rng.randrange(9)
        if kind < 3:
            data += request(server, "POST", BATCH, body, chunked, [f"Content-Type: {NDJSON}"])
            wanted.append((202, len(events)))
        elif kind == 3:
            data += request(server, "GET", "/healthz")
            wanted.append((200, None))
        elif kind == 4:
            data += request(server, "POST", "/api/events", json.dumps({"type": event_type, "data": 1}).encode(),
                            chunked, ["Content-Type: application/json"])
            wanted.append((202, None))
        else:
            data += request(server, "PUT", BATCH, body, chunked)
            wanted.append((405, None))
    answers = exchange(server, data, rng)
    assert [answer.status for answer in answers] == [status for status, _ in wanted]
    for answer, (_, accepted) in zip(answers, wanted):
        assert accepted is None or answer.json["accepted"] == accepted


@pytest.mark.parametrize("first,status", [
    (["Content-Type: text/plain"], 415),                     # refused before the body
    (["Content-Type: application/json", "Idempotency-Key: " + 300 * "k"], 400),
    (["Content-Type: text/plain", "Expect: 100-continue"], 415)])
def test_what_was_refused_early_is_no_request(server, first, status):
    """Its body was not read: none of it may be taken for the next request, so the connection ends."""
    hidden = request(server, "GET", "/healthz")
    head = request(server, "POST", BATCH, hidden, headers=first)[:-len(hidden)]
    with socket.create_connection((server.address, server.port), 30) as connection:
        connection.sendall(head)
        received = connection.recv(65536)
        try:
            connection.sendall(hidden)
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass
    (answer,) = parse_answers(received)
    assert answer.status == status and answer.header("Connection") == "close"
    assert not received.startswith(b"HTTP/1.1 100")


@pytest.mark.parametrize("framing", [
    ["Content-Length: 2", "Transfer-Encoding: chunked"], ["Content-Length: 2", "Content-Length: 3"],
    ["Transfer-Encoding: chunked, chunked"], ["Transfer-Encoding: identity"], ["Content-Length: +2"]])
def test_framing_that_has_two_meanings(server, framing):
    data = request(server, "POST", BATCH, headers=["Content-Type: application/json", *framing])
    (answer,) = exchange(server, data + b"2\r\n[]\r\n0\r\n\r\n" + request(server, "GET", "/healthz"))
    assert answer.status in (400, 501) and answer.header("Connection") == "close"


# ---- Redis -----------------------------------------------------------------------------------------

PATIENT = "ingest:\n  timeout: 2m\nredisOptions:\n  commandTimeout: 2m\n"


def test_back_pressure(redis_server, start_daemon, event_type):
    """While Redis stands still no more is read than a bound; then all of it is stored."""
    server = start_daemon(redis=redis_server, config=PATIENT)
    events = events_of(event_type, 10_000, source="x" * 200)
    for event in events:
        event["data"] = {"text": "y" * 1000}
    body = lines_of(events)
    before_kib = server.rss_kib()
    redis_server.pause()
    try:
        with Upload(server, length=len(body)) as upload:
            sender = threading.Thread(target=upload.send, args=(body,))
            sender.start()
            with server.client() as client:
                client.get("/healthz").expect(200)  # the loop does not wait
                sender.join(1.0)
                assert sender.is_alive(), "somebody has read 12 MiB"
                assert client.metric("trotline_events_accepted_total") == 0
            assert server.rss_kib() - before_kib < 60_000
            redis_server.resume()
            sender.join(60)
            assert codes(upload.answer()) == ["ok"] * 10_000
    finally:
        redis_server.resume()


def test_redis_is_away(redis_server, start_daemon, event_type):
    server = start_daemon(redis=redis_server, config="ingest:\n  timeout: 1s\n")
    with server.client() as client:
        redis_server.kill9()
        wait_until(lambda: client.get("/readyz").status == 503, 10, "the loss to be seen")
        answer = post(client, array_of([*events_of(event_type, 2), 17]))
        assert codes(answer, 503) == ["redis_unavailable", "redis_unavailable", "invalid_json"]
        assert answer.code == "redis_unavailable" and answer.header("Retry-After") == "1"
        # Nothing that could have been stored: no reason to try again.
        assert codes(post(client, b"[17]")) == ["invalid_json"]
        redis_server.start()
        wait_until(lambda: client.get("/readyz").status == 200, 20, "Redis to be back")
        assert codes(post(client, array_of(events_of(event_type, 2)))) == ["ok", "ok"]


def test_many_requests_share_the_room(redis_server, start_daemon, event_type):
    """Sixty at once, with Redis away for a moment in the middle: each gets all of its results."""
    server = start_daemon(redis=redis_server, config=PATIENT)

    def one(number):
        with server.client(timeout=90) as client:
            body = lines_of(events_of(event_type, 700, source=f"s{number}"))
            return codes(post(client, body, NDJSON))

    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        redis_server.pause()
        each = [pool.submit(one, number) for number in range(60)]
        try:
            with server.client() as client:
                client.get("/healthz").expect(200)
        finally:
            redis_server.resume()
        for future in each:
            assert future.result(90) == ["ok"] * 700


def test_two_replicas_and_one_batch(make_cluster, redis_server, sink, event_type):
    """The same batch to both at once, with a key: each event is published once."""
    cluster = make_cluster(count=2)
    cluster.start()
    with cluster[0].client() as client:
        client.create_webhook(sink.url("/"), [event_type])
    cluster.wait_settled()
    body = array_of(events_of(event_type, 400))

    def send(replica):
        with replica.client() as client:
            return results(post(client, body, **{"Idempotency-Key": event_type}))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(send, list(cluster))
    assert first == second and len({one["id"] for one in first}) == 400
    sink.wait_for(400, timeout=30)
    sink.wait_quiet()
    assert sink.count() == 400
