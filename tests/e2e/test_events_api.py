"""/api/events: what an event may be, whom it reaches, byte for byte, and how often."""

import datetime
import json
import re
import threading
import time

import pytest
from harness import Daemon, parse_answers, rawjson, wait_until

MSG = re.compile(r"msg_[0-9A-Za-z]{27}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def post_bytes(client, body, **headers):
    return client.post("/api/events", body=body, headers=headers)


def in_future(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---- accepted ----------------------------------------------------------------------------------

def test_accepted_delivered_and_readable(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    answer = client.post_event(event_type, {"x": 1}).expect(202)
    assert set(answer.json) == {"id", "deliveries"} and answer.json["deliveries"] == 1
    event = answer.json["id"]
    assert MSG.fullmatch(event) and answer.header("X-Request-Id")
    (request,) = sink.wait_for(1)
    assert request.id == event and request.method == "POST"
    wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "sent", 10, "sent")
    read = client.get_event(event)
    assert read["id"] == event and read["type"] == event_type and read["data"] == {"x": 1}
    assert TIME.fullmatch(read["timestamp"])
    (delivery,) = read["deliveries"]
    assert (delivery["webhookId"], delivery["attempts"]) == (webhook["id"], 1)


def test_an_event_for_nobody_is_stored(client, event_type):
    answer = client.post_event(event_type, [1, 2]).expect(202).json
    assert answer["deliveries"] == 0
    read = client.get_event(answer["id"])
    assert read["data"] == [1, 2] and read["deliveries"] == []


def test_ids_sort_by_time(client, event_type):
    ids = []
    for n in range(5):
        ids.append(client.event_id(event_type, {"n": n}))
        stop = time.monotonic() + 0.01
        wait_until(lambda: time.monotonic() > stop, 1, "another unit of the id's time")
    assert ids == sorted(ids) and len(set(ids)) == 5


def test_optional_members_are_kept(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type], scheme="event")
    event = client.event_id(event_type, {}, timestamp="2024-02-29T12:00:00.5+02:00", version="2.1",
                            source="shop/eu")
    (request,) = sink.wait_for(1)
    body = request.json()
    assert body["timestamp"] == "2024-02-29T10:00:00.500Z"
    assert (body["version"], body["source"]) == ("2.1", "shop/eu")
    read = client.get_event(event)
    assert (read["version"], read["source"]) == ("2.1", "shop/eu")


# ---- data goes through untouched ------------------------------------------------------------------

DATA = {
    "number_one_zero": '{"n":1.0}',
    "number_trailing": '[0.10,100.00]',
    "number_minus_zero": '-0',
    "number_huge": '{"n":1e400}',
    "number_long": '123456789012345678901234567890',
    "number_fraction": '0.1000000000000000055511151231257827',
    "number_exponents": '[1E5,1e+5,1E-07]',
    "key_order": '{"z":1,"a":2,"m":{"y":1,"b":2}}',
    "blanks": '{ "a" :  [ 1 ,\t2 ]\n, "b" : { } }',
    "escapes": r'{"s":"\u00e9\/\u0041\n\"\\\ud83d\ude00"}',
    "raw_unicode": '{"s":"é 注文 😀\u2028"}',
    "escaped_nul": r'{"s":"\u0000"}',
    "inner_repeated_names": '{"a":{"x":1,"x":2}}',
    "empty_names": '{"":{"":""}}',
    "null": 'null', "true": 'true', "string": '"text"', "empty_string": '""',
    "empty_array": '[]', "empty_object": '{}',
    "deep": '[' * 60 + ']' * 60,
    "braces_in_strings": '{"a":"}]\\"{[","b":"\\\\"}',
    "100_kb": '{"pad":"' + 'x' * 100_000 + '"}',
}


@pytest.mark.parametrize("name", DATA)
def test_data_arrives_byte_for_byte(client, sink, event_type, name):
    data = DATA[name]
    client.create_webhook(sink.url("/standard"), [event_type])
    client.create_webhook(sink.url("/svix"), [event_type], scheme="svix")
    body = f'{{"type":"{event_type}","data":{data}}}'.encode()
    event = post_bytes(client, body).expect(202).json["id"]
    (standard,), (svix,) = sink.wait_for(1, "/standard"), sink.wait_for(1, "/svix")
    assert rawjson.members(standard.body)["data"] == data
    assert svix.body == data.encode(), "this scheme's body is the data alone"
    if name != "number_huge":  # python would call it infinity
        assert rawjson.members(client.get(f"/api/events/{event}").body)["data"] == data


def test_members_may_come_in_any_order_and_spelling(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    body = f' {{ "data" : {{"a":1.0}} ,\n"\\u0074ype":"{event_type}" }} '.encode()
    post_bytes(client, body).expect(202)
    (request,) = sink.wait_for(1)
    assert rawjson.members(request.body)["data"] == '{"a":1.0}'


# ---- whom it reaches -------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A server where nothing else is registered, for matching `*`."""
    daemon = Daemon(tmp_path_factory.mktemp("quiet")).start()
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("patterns, type, matches", [
    (["order.created"], "order.created", True),
    (["order.created"], "order.created.x", False),
    (["order.created"], "order", False),
    (["order.*"], "order.created", True),
    (["order.*"], "order.item.added", True),
    (["order.*"], "order", False),
    (["order.*"], "orders.created", False),
    (["order.item.*"], "order.created", False),
    (["*"], "anything.at.all", True),
    (["*"], "one", True),
    (["a", "b", "order.*"], "order.x", True),
    (["Order.created"], "order.created", False),
])
def test_matching(quiet, patterns, type, matches):
    """`prefix.*` takes everything below the prefix, not the prefix itself; case counts."""
    with quiet.client() as client:
        webhook = client.create_webhook("http://127.0.0.1:9/", patterns)
        event = client.post_event(type).expect(202).json
        assert event["deliveries"] == (1 if matches else 0)
        assert [d["webhookId"] for d in client.get_event(event["id"])["deliveries"]] == \
            ([webhook["id"]] if matches else [])
        client.delete_webhook(webhook["id"]).expect(204)


def test_several_endpoints_and_one_with_several_patterns(client, sink, event_type):
    prefix = event_type.split(".")[0] + ".*"
    client.create_webhook(sink.url("/a"), [event_type])
    client.create_webhook(sink.url("/b"), [event_type, prefix])
    client.create_webhook(sink.url("/c"), [prefix])
    client.create_webhook(sink.url("/d"), ["something.else"])
    client.create_webhook(sink.url("/e"), [event_type], active=False)
    assert client.post_event(event_type).expect(202).json["deliveries"] == 3
    sink.wait_for(3)
    sink.wait_quiet(0.3)
    assert sorted(request.path for request in sink.requests()) == ["/a", "/b", "/c"]
    assert len(set(sink.ids())) == 1, "one event, one id"


def test_a_change_acts_on_the_next_event(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), ["not.yet"])
    assert client.post_event(event_type).expect(202).json["deliveries"] == 0
    client.patch(f"/api/webhooks/{webhook['id']}", {"events": [event_type]}).expect(200)
    assert client.post_event(event_type).expect(202).json["deliveries"] == 1
    client.delete_webhook(webhook["id"])
    assert client.post_event(event_type).expect(202).json["deliveries"] == 0
    sink.wait_for(1)


def test_a_thousand_endpoints_each_get_theirs(client, sink, event_type):
    for n in range(1000):
        client.create_webhook(sink.url(f"/{n}"), [event_type])
    assert client.post_event(event_type).expect(202).json["deliveries"] == 1000
    sink.wait_for(1000, timeout=60)
    sink.wait_quiet(0.5)
    assert len({request.path for request in sink.requests()}) == sink.count() == 1000


# ---- refused ---------------------------------------------------------------------------------------

BAD = [
    # name, members beside a good type and data (... takes one away), code, field
    ("no_type", {"type": ...}, "missing_field", "type"),
    ("no_data", {"data": ...}, "missing_field", "data"),
    ("type_number", {"type": 1}, "invalid_type", "type"),
    ("type_null", {"type": None}, "invalid_type", "type"),
    ("type_empty", {"type": ""}, "invalid_type", "type"),
    ("type_space", {"type": "a b"}, "invalid_type", "type"),
    ("type_star", {"type": "a.*"}, "invalid_type", "type"),
    ("type_dots", {"type": "a..b"}, "invalid_type", "type"),
    ("type_dot_end", {"type": "a."}, "invalid_type", "type"),
    ("type_crlf", {"type": "a\r\nX: y"}, "invalid_type", "type"),
    ("type_umlaut", {"type": "größe"}, "invalid_type", "type"),
    ("type_long", {"type": "x" * 257}, "invalid_type", "type"),
    ("timestamp_number", {"timestamp": 1700000000}, "invalid_timestamp", "timestamp"),
    ("timestamp_date", {"timestamp": "2024-02-30T00:00:00Z"}, "invalid_timestamp", "timestamp"),
    ("timestamp_text", {"timestamp": "yesterday"}, "invalid_timestamp", "timestamp"),
    ("version_number", {"version": 1}, "invalid_version", "version"),
    ("source_list", {"source": []}, "invalid_source", "source"),
    ("uid_number", {"uid": 1}, "invalid_uid", "uid"),
    ("uid_empty", {"uid": ""}, "invalid_uid", "uid"),
    ("uid_long", {"uid": "x" * 257}, "invalid_uid", "uid"),
    ("key_number", {"idempotencyKey": 1}, "invalid_idempotency_key", "idempotencyKey"),
    ("key_empty", {"idempotencyKey": ""}, "invalid_idempotency_key", "idempotencyKey"),
    ("key_long", {"idempotencyKey": "x" * 257}, "invalid_idempotency_key", "idempotencyKey"),
    ("delay_text", {"delay": "soon"}, "invalid_delay", "delay"),
    ("delay_negative", {"delay": -1}, "invalid_delay", "delay"),
    ("delay_no_unit", {"delay": "5"}, "invalid_delay", "delay"),
    ("deliver_at_number", {"deliverAt": 5}, "invalid_deliver_at", "deliverAt"),
    ("deliver_at_text", {"deliverAt": "tomorrow"}, "invalid_deliver_at", "deliverAt"),
    ("delay_and_deliver_at", {"delay": "1s", "deliverAt": "2030-01-01T00:00:00Z"},
     "invalid_delay", "delay"),
    ("id", {"id": "msg_" + "0" * 27}, "unknown_field", "id"),
    ("unknown", {"payload": {}}, "unknown_field", "payload"),
]


@pytest.mark.parametrize("members, code, field", [row[1:] for row in BAD], ids=[r[0] for r in BAD])
def test_refused(client, sink, event_type, members, code, field):
    client.create_webhook(sink.url("/"), [event_type])
    body = {name: value for name, value in
            {"type": event_type, "data": {}, **members}.items() if value is not ...}
    client.post("/api/events", body).expect(400, code, field)
    marker = client.event_id(event_type)
    sink.wait_for(1)
    assert sink.ids() == [marker], "nothing of the refused event was stored"


def test_unknown_event_is_404(client):
    client.get("/api/events/msg_" + "0" * 27).expect(404, "not_found")
    client.get("/api/events/nonsense").expect(404, "not_found")


def test_data_beyond_the_limit_is_413(client, event_type):
    client.post_event(event_type, "x" * (300 * 1024)).expect(413)
    client.post_event(event_type, "x" * (200 * 1024)).expect(202)


# ---- idempotency -------------------------------------------------------------------------------------

def test_same_key_same_answer_one_delivery(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    first = client.post_event(event_type, {"n": 1}, key=event_type).expect(202).json
    for _ in range(3):
        assert client.post_event(event_type, {"n": 1}, key=event_type).expect(202).json == first
    other = client.event_id(event_type, {"n": 1}, key=event_type + "x")
    sink.wait_for(2)
    sink.wait_quiet(0.3)
    assert sorted(sink.ids()) == sorted([first["id"], other])


def test_key_as_member_header_and_quoted_header_are_one(client, event_type):
    first = client.event_id(event_type, idempotencyKey=f"k-{event_type}")
    assert client.event_id(event_type, idempotencyKey=f"k-{event_type}") == first
    body = json.dumps({"type": event_type, "data": {}}, separators=(",", ":")).encode()
    by_header = post_bytes(client, body, **{"Idempotency-Key": f"h-{event_type}"}).expect(202).json
    quoted = post_bytes(client, body, **{"Idempotency-Key": f'"h-{event_type}"'}).expect(202).json
    assert quoted["id"] == by_header["id"] != first


def test_key_with_another_body_is_422(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    event = client.event_id(event_type, {"n": 1}, key=event_type)
    client.post_event(event_type, {"n": 2}, key=event_type).expect(422, "idempotency_key_reused")
    sink.wait_for(1)
    sink.wait_quiet(0.3)
    assert sink.ids() == [event]


def test_same_key_at_the_same_instant(server, sink, event_type):
    """Twenty producers at once, many of them in one turn of the loop and one batch."""
    with server.client() as client:
        client.create_webhook(sink.url("/"), [event_type])
    ids, start = [], threading.Barrier(20)

    def publish():
        with server.client() as client:
            client.get("/healthz")
            start.wait()
            ids.append(client.event_id(event_type, {"n": 1}, key=event_type))
    threads = [threading.Thread(target=publish) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 20 and len(set(ids)) == 1
    sink.wait_for(1)
    sink.wait_quiet(0.3)
    assert sink.ids() == ids[:1]


def test_keys_pipelined_in_one_segment(server, client, sink, event_type):
    """Two requests in one packet are in the same turn for certain."""
    client.create_webhook(sink.url("/"), [event_type])
    body = f'{{"type":"{event_type}","data":1,"idempotencyKey":"{event_type}"}}'
    one = (f"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api_key}\r\n"
           f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
    data, _ = client.raw_exchange(one * 2, answers=2)
    first, second = parse_answers(data)
    assert first.expect(202).json["id"] == second.expect(202).json["id"]
    sink.wait_for(1)
    sink.wait_quiet(0.3)
    assert sink.count() == 1


def test_keys_survive_a_restart(start_daemon, sink):
    daemon = start_daemon()
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"])
        event = client.event_id("a", {"n": 1}, key="k")
        sink.wait_for(1)
        daemon.restart()
        assert client.event_id("a", {"n": 1}, key="k") == event
        client.post_event("a", {"n": 2}, key="k").expect(422, "idempotency_key_reused")
    sink.wait_quiet(0.5)
    assert sink.ids() == [event]


def test_uid_is_unique_and_can_be_read_by(client, event_type):
    event = client.event_id(event_type, uid=f"order-{event_type}")
    assert client.get_event(f"order-{event_type}")["id"] == event
    client.post_event(event_type, {"other": 1}, uid=f"order-{event_type}").expect(409)


# ---- later ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("member", ["delay", "deliverAt"])
def test_delivered_later(client, sink, event_type, member):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    begin = time.time()
    value = "1s" if member == "delay" else in_future(1)
    event = client.event_id(event_type, **{member: value})
    waiting = client.deliveries(event)[webhook["id"]]
    assert waiting["status"] == "pending" and waiting["attempts"] == 0
    assert TIME.fullmatch(waiting["nextAttemptAt"])
    (request,) = sink.wait_for(1)
    assert 0.95 <= request.wall - begin < 3
    wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "sent", 5, "sent")


def test_the_past_is_now(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type])
    client.event_id(event_type, deliverAt="2020-01-01T00:00:00Z")
    client.event_id(event_type, delay=0)
    sink.wait_for(2, timeout=3)


def test_delayed_events_survive_a_restart(start_daemon, sink):
    daemon = start_daemon()
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"])
        event = client.event_id("a", delay="3s")
        daemon.restart()
        (request,) = sink.wait_for(1, timeout=15)
    assert request.id == event
