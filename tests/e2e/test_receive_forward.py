"""What becomes of a request that is taken: an event, delivered like every other; once, as often as its
sender repeats it. That it is not forgotten is in test_receive_kept.py."""

import base64
import datetime
import gzip
import json
import time

import pytest
from harness import Sink, senders, wait_until
from harness.schemes import MESSAGE_ID, RFC3339_MS, VERIFY
from harness.senders import SECRET, post

BODY = b'{ "zen" : 1.10, "n":1, "e":"\\u00e9" }'
FORM = "payload=%7B%22a%22%3A1%7D&who=Zo\u00eb".encode()


def send(server, source, body=BODY, headers=(), **options):
    answer = post(server, source, body, {**senders.github(body, SECRET, **options), **dict(headers)})
    return answer.expect(200)


def counted(client, source):
    counts = client.get(f"/api/sources/{source}").expect(200).json["received"]
    return tuple(counts[name] for name in ("accepted", "duplicate", "repeated"))


# ---- the event ---------------------------------------------------------------------------------------

def test_a_received_event_is_delivered_and_shown(server, client, sink, make_source):
    source = make_source()
    webhook = client.create_webhook(sink.url("/"), [f"{source}.push"])
    before = time.time()
    send(server, source, id="guid-1", headers={"User-Agent": "GitHub-Hookshot/1"})
    request, = sink.wait_for(1)
    VERIFY["standard"](request, webhook["secret"])
    assert request.json()["type"] == f"{source}.push" and BODY in request.body
    assert not request.headers_named("X-GitHub-Delivery")
    shown = client.get_event(request.id)
    assert shown["type"] == f"{source}.push" and shown["source"] == source
    assert shown["data"] == json.loads(BODY)
    assert (shown["dataKind"], shown["contentType"]) == ("json", "application/json")
    assert (shown["verified"], shown["duplicateOf"]) == (True, None)
    assert RFC3339_MS.fullmatch(shown["receivedAt"])
    at = datetime.datetime.fromisoformat(shown["receivedAt"]).timestamp()
    assert before - 0.001 <= at <= time.time()
    kept = {header["name"].lower(): header["value"] for header in shown["headers"]}
    assert kept["x-github-delivery"] == "guid-1" and kept["user-agent"] == "GitHub-Hookshot/1"


@pytest.mark.parametrize("sent, expected", [
    ("push", "push"), ("issue_comment", "issue_comment"), ("orders/create", "orders.create"),
    ("Push Hook", "Push_Hook"), ("a..b.", "a.b"), ("\u00e9".encode().decode("latin-1"), "unknown"),
    ("*", "unknown"), ("", "unknown"), (None, "unknown")])
def test_a_senders_type_becomes_one_of_ours(server, client, sink, make_source, sent, expected):
    source = make_source()
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    send(server, source, headers={"X-GitHub-Event": sent})
    assert sink.wait_for(1)[0].json()["type"] == f"{source}.{expected}"


def test_type_and_id_are_where_the_source_says(server, client, sink, make_source):
    source = make_source(typePrefix="shop.eu", eventType=["header:X-Type", "json:kind", "text:other"],
                         eventId=["query:id", "json:n"])
    client.create_webhook(sink.url("/"), ["shop.eu.*"])
    for number, (path, body, headers, expected) in enumerate((
            ("", b'{"n":1,"kind":"a.b"}', {"X-Type": "first"}, "first"),
            ("", b'{"n":2,"kind":"a.b"}', {}, "a.b"), ("", b'{"n":3}', {}, "other"),
            ("", b'{"n":3,"kind":"again"}', {}, None), ("?id=7", b'{"n":3,"kind":"b"}', {}, "b"),
            ("?x=1&id=7", b'{"n":9}', {}, None))):
        signed = {**senders.github(body, SECRET, id=str(number)), **headers}
        post(server, source, body, signed, path=path).expect(200)
        if expected:
            assert sink.wait_for(sink.count() or 1)
    types = [request.json()["type"] for request in sink.wait_for(4)]
    assert sorted(types) == sorted(f"shop.eu.{name}" for name in ("first", "a.b", "other", "b"))
    assert counted(client, source) == (4, 2, 0)


@pytest.mark.parametrize("scheme", VERIFY)
def test_each_subscribers_scheme_signs_anew(server, client, sink, make_source, scheme):
    source = make_source()
    webhook = client.create_webhook(sink.url("/"), [f"{source}.*"], scheme=scheme)
    send(server, source)
    request, = sink.wait_for(1)
    VERIFY[scheme](request, webhook["secret"])
    assert BODY in request.body, "byte for byte"


@pytest.mark.parametrize("body, content_type, kind, as_json", [
    (FORM, "application/x-www-form-urlencoded", "text", FORM.decode()),
    (b'say "hi"\r\n\x00', "text/plain", "text", 'say "hi"\r\n\x00'),
    (b"{not json", "application/json", "text", "{not json"),
    (b"\xff\xfe" + bytes(range(256)), "application/octet-stream", "bytes",
     {"base64": base64.b64encode(b"\xff\xfe" + bytes(range(256))).decode()}),
    (b"", "text/plain", "text", "")], ids=["form", "text", "no_json", "bytes", "empty"])
def test_bodies_that_are_not_json(server, client, sink, make_source, body, content_type, kind, as_json):
    """JSON of them for those who are sent JSON; the bytes for those who want them."""
    source = make_source()
    webhook = client.create_webhook(sink.url("/signed"), [f"{source}.*"])
    client.create_webhook(sink.url("/raw"), [f"{source}.*"], scheme="passthrough")
    send(server, source, body, {"Content-Type": content_type})
    signed, = sink.wait_for(1, "/signed")
    VERIFY["standard"](signed, webhook["secret"])
    assert signed.json()["data"] == as_json
    raw, = sink.wait_for(1, "/raw")
    assert raw.body == body and raw.headers_named("Content-Type") == [content_type]
    shown = client.get_event(signed.id)
    assert (shown["dataKind"], shown["contentType"], shown["data"]) == (kind, content_type, as_json)


# ---- raw ---------------------------------------------------------------------------------------------

def test_passthrough_can_be_verified_like_the_origin(server, client, sink, make_source):
    """The gateway's own headers say who it was; those that a stranger sent are gone."""
    source = make_source()
    client.create_webhook(sink.url("/"), [f"{source}.*"], scheme="passthrough")
    forged = {"Trotline-Verified": "true; really", "trotline-source": "bank", "Trotline-X": "1",
              "TROTLINE-Event-Id": "msg_forged", "Trotline-Duplicate-Of": "msg_forged"}
    way = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": "evil", "Forwarded": "for=evil",
           "traceparent": "00-" + "1" * 32 + "-" + "1" * 16 + "-01", "Connection": "X-Hop",
           "X-Hop": "1", "Proxy-Authorization": "Basic eDp5", "Via": "1.1 x"}
    secrets = {"Authorization": "Bearer of theirs", "Cookie": "session=1"}
    send(server, source, headers={**forged, **way, **secrets, "X-Their-Own": "kept"})
    request, = sink.wait_for(1)
    assert request.body == BODY
    signed = senders.github(BODY, SECRET)
    assert {name: request.header(name) for name in signed} == signed
    assert request.headers_named("X-Their-Own") == ["kept"]
    for name in (*way, *secrets):
        assert name == "traceparent" or not request.headers_named(name), name
    assert "1" * 32 not in request.header("traceparent", "")
    ours = {name: value for name, value in request.headers if name.lower().startswith("trotline-")}
    assert MESSAGE_ID.fullmatch(ours.pop("Trotline-Event-Id"))
    assert RFC3339_MS.fullmatch(ours.pop("Trotline-Received-At"))
    assert ours == {"Trotline-Verified": "true", "Trotline-Source": source,
                    "Trotline-Event-Type": f"{source}.push"}


@pytest.mark.parametrize("keep, expected", [
    (None, {"x-one", "x-two", "user-agent", "x-github-event", "x-github-delivery",
            "x-hub-signature-256"}),
    ([], set()), (["x-ONE", "Authorization", "Trotline-Source", "Host"], {"x-one", "authorization"}),
    (["*", "cookie"], {"x-one", "x-two", "user-agent", "x-github-event", "x-github-delivery",
                       "x-hub-signature-256", "cookie"})])
def test_headers_that_are_kept(server, client, sink, make_source, keep, expected):
    source = make_source(**({} if keep is None else {"keepHeaders": keep}))
    client.create_webhook(sink.url("/"), [f"{source}.*"], scheme="passthrough")
    send(server, source, headers={"X-One": "1", "X-Two": "2", "User-Agent": "theirs",
                                  "Authorization": "Bearer x", "Cookie": "a=b",
                                  "Trotline-Source": "forged"})
    request, = sink.wait_for(1)
    shown = client.get_event(request.header("Trotline-Event-Id"))["headers"]
    names = {header["name"].lower() for header in shown}
    assert names == expected
    assert request.headers_named("Trotline-Source") == [source]
    hidden = {header["name"].lower() for header in shown if header["value"] == "(hidden)"}
    assert hidden == expected & {"authorization", "cookie"}


def test_what_nothing_verified_is_told_to_be_unverified(server, client, sink, make_source):
    source = make_source("strava", secrets=[], variables={"verify_token": "token"})
    client.create_webhook(sink.url("/"), [f"{source}.*"], scheme="passthrough")
    post(server, source, b'{"object_type":"activity"}', {}).expect(200)
    assert sink.wait_for(1)[0].headers_named("Trotline-Verified") == ["false"]


def test_a_compressed_body_is_not_touched(server, client, sink, make_source):
    """Its signature is that of the bytes that were sent, and who gets them is told how to read them."""
    source = make_source()
    client.create_webhook(sink.url("/"), [f"{source}.*"], scheme="passthrough")
    body = gzip.compress(BODY * 100)
    send(server, source, body, {"Content-Encoding": "gzip"})
    request, = sink.wait_for(1)
    assert request.body == body and request.headers_named("Content-Encoding") == ["gzip"]
    event = client.get_event(request.header("Trotline-Event-Id"))
    assert event["data"] == {"base64": base64.b64encode(body).decode()}


def test_the_largest_that_is_taken_is_delivered(start_daemon):
    """With as many headers as there may be: not the body alone has room."""
    server = start_daemon(config="ingest:\n  maxEventBytes: 64KiB\n")
    body = b'{"n":1,"pad":"' + b"x" * (64 * 1024 - 16) + b'"}'
    headers = {f"X-Filler-{n}": "y" * 400 for n in range(30)}
    with server.client() as client, Sink() as sink:
        client.post("/api/sources", {"name": "hooks", "scheme": "github",
                                     "secrets": [SECRET]}).expect(201)
        client.create_webhook(sink.url("/raw"), ["hooks.*"], scheme="passthrough")
        client.create_webhook(sink.url("/signed"), ["hooks.*"])
        assert len(body) == 64 * 1024
        send(server, "hooks", body, headers)
        assert sink.wait_for(1, "/raw")[0].body == body
        assert body in sink.wait_for(1, "/signed")[0].body
        larger = body + b" "
        post(server, "hooks", larger, senders.github(larger, SECRET, id="2")).expect(413)


def test_headers_that_have_no_room_are_left_out(server, client, sink, make_source):
    """The event is taken all the same: its sender can do nothing about it."""
    source = make_source()
    client.create_webhook(sink.url("/"), [f"{source}.*"], scheme="passthrough")
    send(server, source, headers={f"X-Filler-{n}": "y" * 1000 for n in range(25)})
    request, = sink.wait_for(1)
    assert request.body == BODY
    kept = [name for name, _ in request.headers if name.lower().startswith("x-filler-")]
    assert 5 <= len(kept) <= 25


# ---- duplicates --------------------------------------------------------------------------------------

def test_duplicates_are_dropped(server, client, sink, make_source):
    """An id is one, whatever the body; and another source's is another."""
    source, neighbour = make_source(), make_source()
    client.create_webhook(sink.url("/"), [f"{source}.*", f"{neighbour}.*"])
    for target, body, number in ((source, BODY, "1"), (source, BODY, "1"), (source, b"{}", "1"),
                                 (neighbour, BODY, "1"), (source, BODY, "2")):
        send(server, target, body, id=number)
    sink.wait_for(3)
    sink.wait_quiet()
    assert sink.count() == 3
    assert counted(client, source) == (2, 2, 0) and counted(client, neighbour) == (1, 0, 0)


def test_duplicates_are_forwarded_and_marked(server, client, sink, make_source):
    source = make_source(deduplication={"policy": "forward"})
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    client.create_webhook(sink.url("/raw"), [f"{source}.*"], scheme="passthrough")
    send(server, source)
    first, = sink.wait_for(1, "/")
    for _ in range(2):
        send(server, source)
    marks = {request.id: request.headers_named("Trotline-Duplicate-Of")
             for request in sink.wait_for(3, "/")}
    assert len(marks) == 3 and marks.pop(first.id) == []
    assert list(marks.values()) == [[first.id]] * 2
    raw = [request.headers_named("Trotline-Duplicate-Of") for request in sink.wait_for(3, "/raw")]
    assert sorted(raw) == [[], [first.id], [first.id]]
    assert {client.get_event(event)["duplicateOf"] for event in marks} == {first.id}
    assert counted(client, source) == (1, 0, 2)


def test_no_duplicates_without_a_policy(server, client, sink, make_source):
    source = make_source(deduplication={"policy": "off"})
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    for _ in range(3):
        send(server, source)
    assert len({request.id for request in sink.wait_for(3)}) == 3
    assert not any(request.headers_named("Trotline-Duplicate-Of") for request in sink.requests())


def test_without_an_id_nothing_is_a_duplicate(server, client, sink, make_source):
    source = make_source()
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    for _ in range(2):
        send(server, source, headers={"X-GitHub-Delivery": None})
    assert len(sink.wait_for(2)) == 2


@pytest.mark.parametrize("id", ["", "x" * 5000], ids=["empty", "long"])
def test_what_is_no_id_hides_nothing(server, client, sink, make_source, id):
    """One that is empty is none. Of two long ones that begin alike each is its own."""
    source = make_source(eventId="json:id")
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    for n in range(2):
        body = json.dumps({"id": id + (str(n) if id else ""), "n": n}).encode()
        send(server, source, body, id=str(n))
    assert {request.json()["data"]["n"] for request in sink.wait_for(2)} == {0, 1}


def test_an_id_may_be_anything(server, client, sink, make_source):
    """Whatever bytes: those that differ are different, and none is part of another."""
    source = make_source(eventId=["json:id"])
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    ids = [b'"a"', b'"A"', b'"a "', b'"a\\u0000"', b'"a\\u0000b"', b'"\\u00e9"', b'"e\\u0301"',
           b"1", b"10", b"-1", b"123456789012345678901234567890", b"true"]
    for n, id in enumerate(ids * 2):
        send(server, source, b'{"n":%d,"id":%s}' % (n % len(ids), id), id=str(n))
    sink.wait_for(len(ids))
    sink.wait_quiet()
    assert sorted(request.json()["data"]["n"] for request in sink.requests()) == list(range(len(ids)))


def test_a_sender_without_ids_repeats_its_body(server, client, sink, make_source):
    source = make_source("zoom")
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    for number, body in enumerate((BODY, BODY, BODY + b" ")):
        signed = senders.zoom(body, SECRET, time.time() - number)
        post(server, source, body, signed).expect(200)
    sink.wait_for(2)
    sink.wait_quiet()
    assert sink.count() == 2


def test_an_id_is_remembered_for_its_time(server, client, sink, make_source):
    source = make_source(deduplication={"ttl": "1s"})
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    send(server, source)
    send(server, source)

    def taken_again():
        send(server, source)
        return counted(client, source)[0] == 2
    wait_until(taken_again, 15, "the id to be forgotten", interval=0.3)
    assert len({request.id for request in sink.wait_for(2)}) == 2


def test_a_producers_key_is_no_senders_id(server, client, sink, make_source):
    """Whatever a sender's ids are, they do not hide what a producer publishes."""
    source = make_source()
    client.create_webhook(sink.url("/"), [f"{source}.*"])
    send(server, source, id="same")
    client.post_event(f"{source}.push", {"n": 2}, key="same").expect(202)
    client.post_event(f"{source}.push", {"n": 3}, uid="same").expect(202)
    assert len({request.id for request in sink.wait_for(3)}) == 3
