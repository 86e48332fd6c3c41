"""POST /api/events/batch: one result per event, whatever form, limit, fault or pace."""

import json
import os
import socket
import subprocess

import msgpack
import pytest
from harness import Daemon, parse_answers, wait_until
from harness.bulk import (BATCH, CLOUD, MSGPACK, NDJSON, Upload, array_of, cloud_events_of, codes, events_of,
                          lines_of, msgpack_of, post, results)
from harness.daemon import binary


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
