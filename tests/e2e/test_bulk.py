"""POST /api/events/batch: one result per event, whatever form, limit, fault or pace."""

import concurrent.futures
import json
import os
import random
import socket
import subprocess
import threading

import msgpack
import pytest
from harness import Daemon, parse_answers, wait_until
from harness.daemon import binary

BATCH = "/api/events/batch"
NDJSON = "application/x-ndjson"


def events_of(event_type, count, **members):
    return [{"type": event_type, "data": {"n": n}, **members} for n in range(count)]


def lines_of(events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def array_of(events):
    return json.dumps(events).encode()


def post(client, body, content_type="application/json", **headers):
    return client.post(BATCH, body=body, headers={"Content-Type": content_type, **headers})


def msgpack_of(events):
    return msgpack.packb(events)


def cloud_events_of(events):
    """The same as CloudEvents; each has an id of its own."""
    return json.dumps([{"specversion": "1.0", "id": f"{event['type']}-{number}", "source": "/tests",
                        "type": event["type"], "data": event["data"]}
                       for number, event in enumerate(events)]).encode()


MSGPACK, CLOUD = "application/msgpack", "application/cloudevents-batch+json"


def results(answer, status=202):
    """The results, checked against the counts."""
    told = answer.expect(status).json
    assert set(told) - {"error"} == {"results", "accepted", "rejected"}, told
    accepted = [one for one in told["results"] if "id" in one]
    assert told["accepted"] == len(accepted)
    assert told["rejected"] == len(told["results"]) - len(accepted)
    for one in told["results"]:
        assert set(one) == ({"id", "deliveries"} if "id" in one else {"error"}), one
    return told["results"]


def codes(answer, status=202):
    return [one["error"]["code"] if "error" in one else "ok" for one in results(answer, status)]


class Upload:
    """A batch request that is sent as the test goes on. `length`: None is chunked."""

    def __init__(self, server, content_type=NDJSON, length=None, expect=False):
        self.chunked = length is None
        framing = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {length}"
        self.socket = socket.create_connection((server.address, server.port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(f"POST {BATCH} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n"
                            f"Authorization: Bearer {server.api_key}\r\n{framing}\r\n"
                            f"{'Expect: 100-continue' + chr(13) + chr(10) if expect else ''}"
                            "\r\n".encode())

    def send(self, data):
        if self.chunked:
            data = f"{len(data):x}\r\n".encode() + data + b"\r\n"
        self.socket.sendall(data)

    def end(self):
        if self.chunked:
            self.socket.sendall(b"0\r\n\r\n")

    def answer(self):
        received = b""
        while True:
            piece = self.socket.recv(65536)
            received += piece
            try:
                (answer,) = parse_answers(received)
                return answer
            except (AssertionError, ValueError):
                assert piece, received

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type,body_of", [
    ("application/json", array_of), (None, array_of), ("application/vnd.x+json", array_of),
    ("application/json; charset=utf-8", array_of), (NDJSON, lines_of),
    ("application/ndjson", lines_of), ("application/jsonl", lines_of),
    (f"{NDJSON}; charset=utf-8", lines_of), (MSGPACK, msgpack_of),
    ("application/vnd.msgpack", msgpack_of), (CLOUD, cloud_events_of)])
def test_each_event_is_published_in_order(client, sink, event_type, content_type, body_of):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    answer = post(client, body_of(events_of(event_type, 30)), content_type)
    ids = [one["id"] for one in results(answer)]
    assert len(set(ids)) == 30 and {one["deliveries"] for one in results(answer)} == {1}
    requests = sink.wait_for(30)
    assert {request.id: json.loads(request.body)["data"]["n"] for request in requests} == {
        event: n for n, event in enumerate(ids)}
    wait_until(lambda: client.deliveries(ids[7])[webhook["id"]]["status"] == "sent", 10, "sent")


def test_an_event_may_have_all_that_a_single_one_has(client, event_type):
    event = {"type": event_type, "data": [1, {"a": "]}\"\\"}], "uid": f"u-{event_type}",
             "timestamp": "2024-02-29T10:00:00.500Z", "version": "2", "source": "shop", "delay": "1d"}
    (one, again) = results(post(client, array_of([event, event])))
    read = client.get_event(one["id"])
    assert (read["version"], read["source"], read["data"]) == ("2", "shop", event["data"])
    assert read["timestamp"] == event["timestamp"]
    assert client.get_event(event["uid"])["id"] == one["id"]
    assert (again["error"]["code"], again["error"]["field"]) == ("uid_taken", "uid")


@pytest.mark.parametrize("body,content_type", [
    (b"[]", "application/json"), (b" [ ]\n", "application/json"), (b"", NDJSON), (b"\n \r\n", NDJSON),
    (b"\x90", MSGPACK), (b"\xdd\0\0\0\0", MSGPACK), (b"[]", CLOUD)])
def test_no_events_are_no_error(client, body, content_type):
    assert results(post(client, body, content_type)) == []


def test_blank_lines_and_a_missing_last_newline(client, event_type):
    first, second = (json.dumps(event).encode() for event in events_of(event_type, 2))
    assert codes(post(client, b"\n\n" + first + b"\r\n \n\n" + second, NDJSON)) == ["ok", "ok"]


def test_the_producers_trace_goes_with_each(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    results(post(client, array_of(events_of(event_type, 2)), traceparent=trace, tracestate="a=b"))
    for request in sink.wait_for(2):
        assert request.header("traceparent").split("-")[1] == trace.split("-")[1]


# ---- what is wrong ---------------------------------------------------------------------------------


def bad_events(event_type):
    """(event, code, field)"""
    return [
        ({"type": event_type}, "missing_field", "data"),
        ({"type": "a..b", "data": 1}, "invalid_type", "type"),
        ({"type": event_type, "data": 1, "colour": 2}, "unknown_field", "colour"),
        ({"type": event_type, "data": 1, "delay": "soon"}, "invalid_delay", "delay"),
        ({"type": event_type, "data": "x" * 300_000}, "payload_too_large", "data"),
        ({"type": event_type, "data": "x" * 900_000}, "payload_too_large", None),
        (17, "invalid_json", None),
        ("text, with ] and }", "invalid_json", None),
        ([1, [2]], "invalid_json", None),
    ]


@pytest.mark.parametrize("content_type,body_of", [("application/json", array_of), (NDJSON, lines_of)])
def test_a_bad_event_harms_no_other(client, event_type, content_type, body_of):
    bad = bad_events(event_type)
    events = events_of(event_type, len(bad) + 1)
    mixed = [event for pair in zip(events, (one for one, _, _ in bad)) for event in pair]
    told = results(post(client, body_of(mixed + [events[-1]]), content_type))
    assert len(told) == 2 * len(bad) + 1
    assert all("id" in one for one in told[::2])
    for one, (_, code, field) in zip(told[1::2], bad):
        assert (one["error"]["code"], one["error"].get("field")) == (code, field), one
        assert one["error"]["message"]


def test_the_codes_are_those_of_single_events(client, event_type):
    for event, code, field in bad_events(event_type):
        single = client.post("/api/events", event)
        if single.status == 413 and field is None:
            continue  # longer than the envelope allows, which only a batch has to say
        (one,) = results(post(client, array_of([event])))
        assert one["error"] == single.error


def test_malformed_values_between_good_ones(client, event_type):
    good = json.dumps(events_of(event_type, 1)[0])
    body = f'[{good}, {{"type": nonsense}}, {good}, tru, {good}, {{"a":[}}], {good}]'
    assert codes(post(client, body.encode())) == ["ok", "invalid_json"] * 3 + ["ok"]
    body = f"{good}\n{{\"type\": \n{good}\n]]]\n\x00\n{good}"
    assert codes(post(client, body.encode(), NDJSON)) == [
        "ok", "invalid_json", "ok", "invalid_json", "invalid_json", "ok"]


@pytest.mark.parametrize("tail", ["", ",", ", ]", " {}]", "] x", "]]", "}", ", {\"type\":\"a"])
def test_broken_between_events_is_the_last_result(client, event_type, tail):
    good = json.dumps(events_of(event_type, 1)[0])
    body = f"[{good}, {good}{tail}".encode()
    told = results(post(client, body))
    assert ["id" in one for one in told] == [True, True, False]
    assert told[2]["error"]["code"] == "invalid_json"
    at = int(told[2]["error"]["message"].rstrip(".").rsplit(" ", 1)[1])
    assert len(f"[{good}, {good}") <= at <= len(body)
    assert client.get_event(told[1]["id"])["data"] == {"n": 0}, "what was stored before stays"


@pytest.mark.parametrize("body", [b"", b"{}", b"17", b"[", b"x", b'"[]"'])
@pytest.mark.parametrize("content_type", ["application/json", CLOUD])
def test_no_array_at_all_refuses_the_request(client, body, content_type):
    post(client, body, content_type).expect(400, "invalid_json")


@pytest.mark.parametrize("body", [b"", b"\x80", b"[]", b"\xc1", b"\xdc\0", b"\x91"])
def test_no_msgpack_array_at_all_refuses_the_request(client, body):
    post(client, body, MSGPACK).expect(400, "invalid_msgpack")


def test_bad_events_in_msgpack(client, event_type):
    """Those whose ends can be found harm no other; a byte that is no value ends the reading."""
    good = msgpack.packb({"type": event_type, "data": {"price": 1.5}})
    other = [msgpack.packb(17), msgpack.packb({"type": event_type, "data": {"a": b"bytes"}}),
             msgpack.packb({"type": event_type, "data": "x" * 2_000_000}), msgpack.packb({1: 2}),
             msgpack.packb([[[]]])]
    body = b"\xdc\0\x0b" + b"".join(good + one for one in other) + good
    told = results(post(client, body, MSGPACK))
    assert ["id" in one for one in told] == [True, False] * 5 + [True]
    assert told[3]["error"]["field"] == "data.a"
    assert told[5]["error"]["code"] == "payload_too_large"
    assert client.get_event(told[10]["id"])["data"] == {"price": 1.5}
    for tail in (b"", b"\xc1", good + b"\x90", b"\x82\xa1", b"\xdf\xff\xff\xff\xff\x01"):
        told = results(post(client, b"\x92" + good + tail, MSGPACK))
        assert "id" in told[0] and told[-1]["error"]["code"] == "invalid_msgpack"


def test_an_event_may_be_longer_in_msgpack_than_what_is_kept(client, event_type):
    event = {"type": event_type, "data": [1.0] * 60_000}
    body = msgpack_of([event])
    assert len(body) > 500_000 and codes(post(client, body, MSGPACK)) == ["ok"]
    assert codes(post(client, array_of([event]))) == ["payload_too_large"], "blanks count in JSON"


def test_cloud_events_are_known_by_their_ids(client, event_type):
    body = cloud_events_of(events_of(event_type, 3))
    first = results(post(client, body, CLOUD))
    assert results(post(client, body, CLOUD, **{"Idempotency-Key": event_type})) == first
    bad = json.loads(body)
    bad[1]["specversion"] = "0.3"
    told = results(post(client, json.dumps(bad).encode(), CLOUD))
    assert told[0] == first[0] and told[1]["error"]["code"] and told[2] == first[2]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "",
                                          "application/json; charset=latin-1",
                                          "application/cloudevents+json", "application/ndjson2"])
def test_other_types_are_refused(client, content_type):
    post(client, b"[]", content_type).expect(415, "unsupported_media_type")


def test_the_door_is_that_of_all_requests(server, client):
    assert server.client(key="wrong-key-wrong-key").post(BATCH, body=b"[]").expect(401).error
    client.post(BATCH + "?x=1", body=b"[]").expect(400)
    client.request("PUT", BATCH, body=b"[]").expect(405)
    client.post(BATCH, body=b"[]", headers={"X-Application": "other"}).expect(404)
    client.get("/healthz").expect(200)


def test_a_long_body_without_a_key_is_cut_short(server):
    """Answered at once, and closed in order although the rest of it is still on its way."""
    with server.client(key=None) as stranger:
        head = (f"POST {BATCH} HTTP/1.1\r\nHost: h\r\nContent-Type: {NDJSON}\r\n"
                "Content-Length: 900000\r\n\r\n").encode()
        data, closed = stranger.raw_exchange(head + b" " * 900_000)
    (answer,) = parse_answers(data)
    assert answer.status == 401 and answer.header("Connection") == "close" and closed


# ---- idempotency keys ------------------------------------------------------------------------------


def test_keys_of_events(client, event_type):
    events = events_of(event_type, 4)
    for n, key in enumerate(("a", "b", "a", "b")):
        events[n]["idempotencyKey"] = f"{event_type}-{key}"
    events[2]["data"] = events[0]["data"]
    told = results(post(client, array_of(events)))
    assert told[2] == told[0] and "id" in told[1]
    assert told[3]["error"]["code"] == "idempotency_key_reused"
    assert told[3]["error"]["field"] == "idempotencyKey"
    assert results(post(client, array_of(events))) == told, "as often as it is repeated"


def test_a_key_of_the_batch_makes_repeating_it_exact(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    events = events_of(event_type, 300)
    events[7]["idempotencyKey"] = f"own-{event_type}"
    body = array_of(events)
    first = results(post(client, body, **{"Idempotency-Key": f'"batch-{event_type}"'}))
    # Other blanks between the events and another form change no event.
    again = results(post(client, lines_of(events), NDJSON,
                         **{"Idempotency-Key": f"batch-{event_type}"}))
    assert again == first
    sink.wait_for(300)
    sink.wait_quiet()
    assert sink.count() == 300
    # An event's own key goes before the batch's.
    assert results(post(client, array_of([events[7]]))) == [first[7]]
    # Another event at a place that was taken.
    told = results(post(client, array_of([events[1], events[1]]),
                        **{"Idempotency-Key": f"batch-{event_type}"}))
    assert told[0]["error"]["code"] == "idempotency_key_reused" and told[1] == first[1]


@pytest.mark.parametrize("key", ["", '""', "k" * 241])
def test_keys_that_cannot_be(client, key):
    answer = post(client, b"[]", **{"Idempotency-Key": key})
    answer.expect(400, "invalid_idempotency_key", "Idempotency-Key")


# ---- limits ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server that takes few and short ones."""
    daemon = Daemon(tmp_path_factory.mktemp("small"), config=(
        "bulk:\n  maxEvents: 5\n  maxBytes: 20KiB\nhttp:\n  bodyTimeout: 700ms\n"
        "ingest:\n  maxEventBytes: 1KiB\n"))
    daemon.start()
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("content_type,body_of", [
    ("application/json", array_of), (NDJSON, lines_of), (MSGPACK, msgpack_of)])
def test_more_events_than_are_taken(small, event_type, content_type, body_of):
    with small.client() as client:
        assert codes(post(client, body_of(events_of(event_type, 5)), content_type)) == ["ok"] * 5
        told = codes(post(client, body_of(events_of(event_type, 9)), content_type))
        assert told == ["ok"] * 5 + ["too_many_events"]
        client.get("/healthz").expect(200)  # on the same connection


def test_a_body_that_is_too_long(small, event_type):
    with small.client() as client:
        post(client, b" " * 20481).expect(413, "body_too_large")
    line = lines_of(events_of(event_type, 1))
    with Upload(small) as upload:  # not known before
        upload.send(line + line)
        upload.send(b" " * 30_000)
        told = codes(upload.answer())
    assert told == ["ok", "ok", "body_too_large"]


def test_ten_thousand_events(client, event_type):
    for content_type, body_of in (("application/json", array_of), (NDJSON, lines_of),
                                  (MSGPACK, msgpack_of)):
        told = results(post(client, body_of(events_of(event_type, 10_000)), content_type))
        ids = [one["id"] for one in told]
        assert len(set(ids)) == 10_000
        for n in (0, 1, 255, 256, 257, 5000, 9999):
            assert client.get_event(ids[n])["data"] == {"n": n}


def test_gigantic_lines(client, event_type):
    """Two of several megabytes among good ones: nothing of them is kept."""
    line = lines_of(events_of(event_type, 1))
    body = line + b"x" * 5_000_000 + b"\n" + line + b"[" * 5_000_000 + b"\n" + line
    assert codes(post(client, body, NDJSON)) == ["ok", "payload_too_large"] * 2 + ["ok"]
    text = b'{"type":"a","data":"' + b"]" * 5_000_000 + b'"}'
    good = line.strip()
    body = b"[" + b",".join([good, text, good, b"[" * 600_000 + b"]" * 600_000, good]) + b"]"
    assert codes(post(client, body)) == ["ok", "payload_too_large"] * 2 + ["ok"]


def test_many_tiny_and_wrong_ones(client):
    """Every text of an error up to a bound, then its code; the answer stays an answer."""
    told = results(post(client, b'{"type":0}\n' * 20_000, NDJSON))
    assert [one["error"]["code"] for one in told] == ["invalid_type"] * 10_000 + ["too_many_events"]
    assert "message" in told[0]["error"] and "message" not in told[9999]["error"]


# ---- as it arrives ---------------------------------------------------------------------------------


def test_events_go_out_before_the_body_ends(server, client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    first, second = lines_of(events_of(event_type, 1)), lines_of(events_of(event_type, 1))
    with Upload(server) as upload:
        upload.send(first)
        sink.wait_for(1)
        upload.send(second[:20])
        upload.send(second[20:])
        sink.wait_for(2)
        upload.end()
        assert codes(upload.answer()) == ["ok", "ok"]


@pytest.mark.parametrize("length", [True, False])
def test_byte_by_byte_and_expected(server, event_type, length):
    body = array_of(events_of(event_type, 3))
    with Upload(server, "application/json", len(body) if length else None, expect=True) as upload:
        assert upload.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for at in range(len(body)):
            upload.send(body[at:at + 1])
        upload.end()
        assert codes(upload.answer()) == ["ok"] * 3


def test_a_sender_that_stops_is_told_what_was_stored(small, sink, event_type):
    with small.client() as client:
        client.create_webhook(sink.url("/"), [event_type])
    with Upload(small) as upload:
        upload.send(lines_of(events_of(event_type, 2)) + b'{"type":')
        sink.wait_for(2)
        answer = upload.answer()
        assert codes(answer) == ["ok", "ok", "request_timeout"]
        assert answer.header("Connection") == "close"
    with Upload(small) as upload:
        upload.answer().expect(408, "request_timeout")


def test_a_truncated_body(server, client, event_type):
    with Upload(server, length=10_000) as upload:
        upload.send(lines_of(events_of(event_type, 2)) + b'{"type":"never.whole","data":1}')
        upload.socket.shutdown(socket.SHUT_WR)
        told = results(upload.answer())
    assert ["id" in one for one in told] == [True, True, False], "the last line may have been longer"
    assert "closed before the end" in told[2]["error"]["message"]
    assert client.get_event(told[1]["id"])


def test_what_came_before_a_disconnect_stays(server, client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    upload = Upload(server)
    upload.send(lines_of(events_of(event_type, 50)))
    sink.wait_for(50)
    upload.close()
    client.get("/healthz").expect(200)
    sink.wait_quiet()
    assert sink.count() == 50


def test_a_stop_waits_for_the_end_of_the_body(start_daemon, event_type):
    server = start_daemon()
    upload = Upload(server)
    with server.client() as client:
        upload.send(lines_of(events_of(event_type, 1)))
        wait_until(lambda: client.metric("trotline_events_accepted_total") == 1, 10, "1")
    server.terminate()
    server.wait_for_log("serve.stopping")
    upload.send(lines_of(events_of(event_type, 1)))
    upload.end()
    answer = upload.answer()
    assert answer.header("Connection") == "close" and len(results(answer)) == 2
    upload.close()
    server.wait()


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


# ---- trotline send --batch -------------------------------------------------------------------------


def send_batch(server, text, *words):
    return server.command("send", "--batch", "-", *words, stdin=text)


def test_send_a_file_of_many(server, client, event_type, tmp_path):
    """More than fits in one request, by lines or by bytes."""
    events = events_of(event_type, 2_500)
    for event in events[:30]:
        event["data"] = "x" * 100_000
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines_of(events)[:-1])
    before = client.metric("trotline_events_accepted_total")
    done = server.command("send", "--batch", path)
    assert (done.returncode, done.stdout) == (0, b"accepted=2500 rejected=0\n"), done.stderr
    assert client.metric("trotline_events_accepted_total") - before == 2500


def test_send_tells_the_lines_that_were_refused(server, event_type):
    good = lines_of(events_of(event_type, 1))
    text = b"\n" + good + b"nonsense\n\n" + good + b'{"type":"a..b","data":1}'
    done = send_batch(server, text)
    assert (done.returncode, done.stdout) == (1, b"accepted=2 rejected=2\n")
    first, second = done.stderr.decode().splitlines()
    assert first.startswith("trotline: line 3: invalid_json: ")
    assert second.startswith("trotline: line 6: invalid_type: ") and "(field type)" in second
    done = send_batch(server, text, "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and ["id" in one for one in told] == [True, False, True, False]


def test_send_again_with_a_key(server, event_type):
    text = lines_of(events_of(event_type, 1_200))
    words = ("--json", "--idempotency-key", event_type)
    first, second = send_batch(server, text, *words), send_batch(server, text, *words)
    assert first.returncode == 0 and first.stdout == second.stdout
    assert len(set(first.stdout.splitlines())) == 1_200


def test_send_does_not_wait_for_more_of_a_pipe(server, client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    environment = {**os.environ, "TROTLINE_URL": server.url, "TROTLINE_API_KEY": server.api_key}
    with subprocess.Popen([str(binary()), "send", "--batch", "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=environment) as process:
        for count in (1, 2):
            process.stdin.write(lines_of(events_of(event_type, 1)))
            process.stdin.flush()
            sink.wait_for(count)
        process.stdin.close()
        assert process.stdout.read() == b"accepted=2 rejected=0\n"
    assert process.returncode == 0


@pytest.mark.parametrize("text", [b"", b"\n\n"])
def test_send_nothing(server, text):
    done = send_batch(server, text)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"accepted=0 rejected=0\n", b"")


def test_send_stops_where_nothing_can_be_gained(small, server, event_type):
    with small.client() as client:
        client.get("/healthz").expect(200)
    done = send_batch(small, lines_of(events_of(event_type, 9)))  # it takes five a request
    assert (done.returncode, done.stdout) == (1, b"accepted=5 rejected=1\n")
    assert b"line 6: too_many_events" in done.stderr
    done = send_batch(server, b"{}\n", "--api-key", "wrong-key-wrong-key")
    assert (done.returncode, done.stdout) == (1, b"accepted=0 rejected=0\n")
    assert b"401 unauthorized" in done.stderr and b"from line 2 on" in done.stderr
    done = send_batch(server, b"{}\n", "--url", "http://127.0.0.1:1")
    assert done.returncode == 3 and b"lines 1 to 1 may be stored" in done.stderr


@pytest.mark.parametrize("words,message", [
    (["order.created"], "no \"order.created\""), (["--delay", "5s"], "deliverAt in each"),
    ([], "cannot open /nowhere/at/all")])
def test_send_batch_usage(server, words, message):
    done = server.command("send", "--batch", "/nowhere/at/all", *words)
    assert done.returncode == 2 and message in done.stderr.decode()
