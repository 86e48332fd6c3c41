"""POST /api/events in its other forms: msgpack, and CloudEvents structured and in binary mode."""

import base64
import datetime
import json
import math
import struct
import time

import msgpack
import pytest
from harness import wait_until
from harness.clients import NodeProducer

MSGPACK = "application/msgpack"
CLOUD = "application/cloudevents+json"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def post(client, body, content_type, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/api/events", body=body, headers={"Content-Type": content_type, **headers})


def post_msgpack(client, event, content_type=MSGPACK, **headers):
    return post(client, msgpack.packb(event, datetime=True), content_type, **headers)


def cloud_event(event_type, **attributes):
    return {"specversion": "1.0", "id": f"{event_type}-1", "source": "/shop", "type": event_type,
            **attributes}


def binary_headers(event):
    return {f"ce-{name}": str(value) for name, value in event.items()}


def delivered(client, sink, event_type, **webhook):
    """Makes a webhook for the type; a call then gives the next request that it got."""
    client.create_webhook(sink.url("/" + event_type), [event_type], **webhook)
    unseen = iter(range(1000))

    def following():
        index = next(unseen)
        return sink.wait_for(index + 1, "/" + event_type)[index]

    return following


# ---- msgpack -------------------------------------------------------------------------------------

@pytest.mark.parametrize("content_type", [MSGPACK, "application/vnd.msgpack",
                                          "Application/X-Msgpack; x=y"])
def test_msgpack_is_delivered_as_json(client, sink, event_type, content_type):
    following = delivered(client, sink, event_type, scheme="event")
    data = {"name": "Gr\u00fc\u00dfe \u20ac \U0001f600", "lines": [1, [], {}, {"": None}], "yes": True,
            "text": 'a "quoted" \\ line\n\x00'}
    event = post_msgpack(client, {
        "type": event_type, "data": data, "version": "2", "source": "shop", "orderingKey": "c-5",
        "uid": event_type, "timestamp": "2023-01-02T03:04:05.678Z"}, content_type).expect(202).json["id"]
    body = following().json()
    assert body == {"id": event, "type": event_type, "timestamp": "2023-01-02T03:04:05.678Z",
                    "data": data, "version": "2", "source": "shop"}
    shown = client.get_event(event_type)
    assert (shown["id"], shown["data"], shown["orderingKey"]) == (event, data, "c-5")
    assert "cloudEvent" not in shown and "dataKind" not in shown


def test_numbers_are_exact(client, sink, event_type):
    """Each as it was, and of the same kind."""
    following = delivered(client, sink, event_type)
    numbers = [0, -1, 2**53 + 1, 2**63 - 1, 2**64 - 1, -2**63, 0.1, 1 / 3, 1.0, -0.0, 1e300, 5e-324,
               1.7976931348623157e308, 19.99, 123456789.123456, 2.0**70, 1e-7]
    post_msgpack(client, {"type": event_type, "data": numbers}).expect(202)
    received = following().json()["data"]
    assert received == numbers and list(map(type, received)) == list(map(type, numbers))
    assert math.copysign(1, received[9]) == -1
    singles = [0.1, 3.14159274, 16777216.0, 1e-45]
    post(client, msgpack.packb({"type": event_type, "data": singles}, use_single_float=True),
         MSGPACK).expect(202)
    received = following().json()["data"]
    assert [struct.pack(">f", one) for one in received] == [struct.pack(">f", one) for one in singles]
    assert received[0] == 0.1


def test_times_of_msgpack(client, sink, event_type):
    following = delivered(client, sink, event_type, scheme="event")
    utc = datetime.timezone.utc
    at = datetime.datetime(2023, 11, 14, 22, 13, 20, 123456, utc)
    data = [at, msgpack.Timestamp(1700000000, 1), datetime.datetime(1901, 2, 3, tzinfo=utc)]
    post_msgpack(client, {"type": event_type, "timestamp": at, "data": data}).expect(202)
    body = following().json()
    assert body["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert body["data"] == ["2023-11-14T22:13:20.123456000Z", "2023-11-14T22:13:20.000000001Z",
                            "1901-02-03T00:00:00.000Z"]
    soon = datetime.datetime.now(utc) + datetime.timedelta(seconds=1)
    post_msgpack(client, {"type": event_type, "deliverAt": soon, "data": 2}).expect(202)
    assert following().wall >= soon.timestamp() - 0.01
    post_msgpack(client, {"type": event_type, "delay": 300, "data": 3}).expect(202)
    assert following().json()["data"] == 3


@pytest.mark.parametrize("data, field", [
    (b"bytes", "data"), ({"items": [1, 2, 3, {"price": math.nan}]}, "data.items[3].price"),
    ([-math.inf], "data[0]"), ({"a": {1: 2}}, "data.a"), ({"a": msgpack.ExtType(5, b"")}, "data.a")])
def test_what_json_cannot_say(client, event_type, data, field):
    post_msgpack(client, {"type": event_type, "data": data}).expect(400, "unsupported_value", field)


def test_refused_like_json(client, event_type):
    for event, code, field in [
            ({"type": event_type}, "missing_field", "data"),
            ({"data": 1}, "missing_field", "type"),
            ({"type": event_type, "data": 1, "id": "x"}, "unknown_field", "id"),
            ({"type": event_type, "data": 1, "delay": -1}, "invalid_delay", "delay"),
            ({"type": event_type, "data": 1, "orderingKey": ""}, "invalid_ordering_key", "orderingKey"),
            ({"type": event_type, "data": 1, "uid": b"u"}, "invalid_uid", "uid"),
            ([], "invalid_msgpack", None), (5, "invalid_msgpack", None)]:
        post_msgpack(client, event).expect(400, code, field)
    whole = msgpack.packb({"type": event_type, "data": [1, "x", {}]})
    for length in range(len(whole)):
        post(client, whole[:length], MSGPACK).expect(400, "invalid_msgpack")
    post(client, whole + b"\xc0", MSGPACK).expect(400, "invalid_msgpack")
    twice = b"\x81\xa4data\x82\xa1k\x01\xa1k\x02"
    post(client, twice, MSGPACK).expect(400, "unsupported_value", "data.k")


def resident_kib(server):
    for line in open(f"/proc/{server.process.pid}/status", encoding="ascii"):
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


def test_hostile_msgpack_costs_nothing(server, client, event_type):
    """Lengths, counts and depths of which the input has nothing; and as many keys as fit."""
    start = b"\x82\xa4type\xa1a\xa4data"
    post_msgpack(client, {"type": event_type, "data": "x" * 200000}).expect(202)
    before = resident_kib(server)
    for lie in [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
                b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01"]:
        post(client, start + lie, MSGPACK).expect(400, "invalid_msgpack")
    post(client, start + b"\x91" * 200000, MSGPACK).expect(400, "json_too_deep")
    post(client, start + b"\xdf\x00\x01\x00\x00\xa1k" * 30000, MSGPACK)
    assert resident_kib(server) - before < 16 * 1024
    keys = {f"{n:05}": None for n in range(20000)}
    started = time.monotonic()
    post_msgpack(client, {"type": event_type, "data": keys}).expect(202)
    equal = msgpack.packb({"type": event_type, "data": keys}).replace(b"19999", b"00000")
    post(client, equal, MSGPACK).expect(400, "unsupported_value", "data.00000")
    assert time.monotonic() - started < 10  # pairs would take minutes under a sanitizer


def test_the_limit_is_of_the_json(client, event_type):
    """262,144 bytes (ingest.maxEventBytes), whatever it was written in."""
    at_limit = {"type": event_type, "data": "\n" * 131071}  # two bytes each, and two quotes
    post_msgpack(client, at_limit).expect(202)
    at_limit["data"] += "x"
    post_msgpack(client, at_limit).expect(413, "payload_too_large", "data")


def test_msgpack_keys(client, event_type):
    event = {"type": event_type, "data": 1, "idempotencyKey": event_type}
    first = post_msgpack(client, event).expect(202).json["id"]
    assert post_msgpack(client, event).expect(202).json["id"] == first
    assert post_msgpack(client, event, Idempotency_Key=event_type).expect(202).json["id"] == first
    post_msgpack(client, event, Idempotency_Key="another").expect(400, "invalid_idempotency_key")
    post_msgpack(client, {**event, "data": 2}).expect(422, "idempotency_key_reused")


# ---- CloudEvents ---------------------------------------------------------------------------------

def test_structured(client, sink, event_type):
    following = delivered(client, sink, event_type, scheme="event")
    sent = cloud_event(event_type, time="2018-04-05T17:31:00.123456789Z", subject="order/5 \u20ac",
                       datacontenttype="application/json", dataschema="https://example.org/o.json",
                       partitionkey="customer-5", myext="x", count=-7, flag=True)
    text = json.dumps({**sent, "unset": None, "data": {"total": 19.99}})
    event = post(client, text.encode(), CLOUD + "; charset=utf-8").expect(202).json["id"]
    assert following().json() == {
        "id": event, "type": event_type, "timestamp": "2018-04-05T17:31:00.123Z",
        "data": {"total": 19.99}, "version": None, "source": "/shop"}
    shown = client.get_event(event)
    assert shown["cloudEvent"] == sent and shown["orderingKey"] == "customer-5"
    assert (shown["source"], shown["dataKind"], shown["contentType"]) == (
        "/shop", "json", "application/json")


def test_binary(client, sink, event_type):
    """The whole body is the data; attributes are decoded once."""
    following = delivered(client, sink, event_type)
    body = b'{ "total": 19.990 }'
    headers = {**binary_headers(cloud_event(event_type)), "ce-subject": "Euro%20%E2%82%AC%20100%25",
               "CE-Time": "2018-04-05T03:56:24Z", "ce-partitionkey": '"p \\"1\\""',
               "ce-traceparent": TRACE, "Content-Type": "application/json; charset=utf-8"}
    event = client.post("/api/events", body=body, headers=headers).expect(202).json["id"]
    request = following()
    assert body in request.body and request.json()["timestamp"] == "2018-04-05T03:56:24.000Z"
    assert request.header("traceparent").split("-")[1] == TRACE.split("-")[1]
    shown = client.get_event(event)
    assert shown["cloudEvent"] == cloud_event(
        event_type, subject="Euro \u20ac 100%", time="2018-04-05T03:56:24Z", partitionkey='p "1"',
        traceparent=TRACE, datacontenttype="application/json; charset=utf-8")
    assert shown["orderingKey"] == 'p "1"'


def test_the_trace_of_the_request_is_the_newer_one(client, sink, event_type):
    following = delivered(client, sink, event_type)
    other = TRACE.replace("0af7", "ffff")
    headers = {**binary_headers(cloud_event(event_type)), "ce-traceparent": TRACE, "traceparent": other}
    client.post("/api/events", body=b"{}", headers=headers).expect(202)
    assert following().header("traceparent").split("-")[1] == other.split("-")[1]


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("content_type, data, kind, as_json", [
    ("application/xml", b'<much wow="xml"/>', "text", '<much wow="xml"/>'),
    ("text/plain", b'{"looks": "like JSON"}', "text", '{"looks": "like JSON"}'),
    ("image/png", b"\x89PNG\x00", "bytes", {"base64": base64.b64encode(b"\x89PNG\x00").decode()}),
    ("application/vnd.x+json", b'"a string"', "json", "a string")],
    ids=["xml", "text", "bytes", "json"])
def test_data_that_is_not_json(client, sink, event_type, mode, content_type, data, kind, as_json):
    """JSON of it for those who are sent JSON; the bytes for those who want them."""
    following = delivered(client, sink, event_type)
    client.create_webhook(sink.url("/raw" + event_type), [event_type], scheme="passthrough")
    if mode == "binary":
        answer = client.post("/api/events", body=data, headers={
            **binary_headers(cloud_event(event_type)), "Content-Type": content_type})
    else:
        answer = post(client, json.dumps(cloud_event(
            event_type, datacontenttype=content_type,
            data_base64=base64.b64encode(data).decode())).encode(), CLOUD)
    event = answer.expect(202).json["id"]
    assert following().json()["data"] == as_json
    raw, = sink.wait_for(1, "/raw" + event_type)
    assert raw.body == data and raw.header("Content-Type") == content_type
    shown = client.get_event(event)
    assert (shown["dataKind"], shown["contentType"], shown["data"]) == (kind, content_type, as_json)


def test_no_data(client, sink, event_type):
    following = delivered(client, sink, event_type)
    post(client, json.dumps(cloud_event(event_type)).encode(), CLOUD).expect(202)
    assert following().json()["data"] is None
    for content_type in [None, "application/json"]:
        headers = {**binary_headers(cloud_event(event_type)), "ce-id": f"n-{content_type}",
                   "Content-Type": content_type}
        client.post("/api/events", body=b"", headers=headers).expect(202)
        assert following().json()["data"] is None


def test_source_and_id_are_the_event(client, sink, event_type):
    """A repeated one is answered with the first's id, in either mode, whatever else differs."""
    following = delivered(client, sink, event_type)
    sent = cloud_event(event_type)
    first = post(client, json.dumps({**sent, "data": 1}).encode(), CLOUD).expect(202).json
    again = post(client, json.dumps({**sent, "data": 2, "attempt": 2}).encode(), CLOUD).expect(202).json
    binary = client.post("/api/events", body=b"3", headers=binary_headers(sent)).expect(202).json
    assert first == again == binary
    other = post(client, json.dumps({**sent, "source": "/other", "data": 4}).encode(), CLOUD)
    assert other.expect(202).json["id"] != first["id"]
    assert [following().json()["data"], following().json()["data"]] == [1, 4]
    # A key that is given counts instead, and then the event has to be the same.
    keyed = post(client, json.dumps({**sent, "data": 5}).encode(), CLOUD, Idempotency_Key=event_type)
    assert keyed.expect(202).json["id"] not in (first["id"], other.json["id"])
    post(client, json.dumps({**sent, "data": 6}).encode(), CLOUD,
         Idempotency_Key=event_type).expect(422, "idempotency_key_reused")
    headers = {**binary_headers(sent), "Idempotency-Key": event_type + "b"}
    client.post("/api/events", body=b"7", headers=headers).expect(202)
    client.post("/api/events", body=b"7", headers=headers).expect(202)
    headers["ce-subject"] = "another"
    client.post("/api/events", body=b"7", headers=headers).expect(422, "idempotency_key_reused")


def test_cloudevents_refused(client, event_type):
    good = cloud_event(event_type)
    for changes, code, field in [
            ({"specversion": "0.3"}, "invalid_cloudevent", "specversion"),
            ({"id": None}, "missing_field", "id"), ({"id": ""}, "invalid_cloudevent", "id"),
            ({"source": None}, "missing_field", "source"), ({"type": None}, "missing_field", "type"),
            ({"type": "/not/ours"}, "invalid_type", "type"),
            ({"time": "now"}, "invalid_timestamp", "time"),
            ({"partitionkey": "x" * 257}, "invalid_ordering_key", "partitionkey"),
            ({"my_ext": "x"}, "invalid_cloudevent", "my_ext"),
            ({"ext": {}}, "invalid_cloudevent", "ext"),
            ({"data": 1, "data_base64": ""}, "invalid_cloudevent", "data_base64"),
            ({"data_base64": "%"}, "invalid_cloudevent", "data_base64")]:
        body = json.dumps({**good, **changes}).encode()
        post(client, body, CLOUD).expect(400, code, field)
    for headers, code, field in [
            ({"ce-id": None}, "missing_field", "id"),
            ({"ce-type": "a%20b"}, "invalid_type", "type"),
            ({"ce-subject": "%C0%A0"}, "invalid_cloudevent", "ce-subject"),
            ({"ce-my-ext": "x"}, "invalid_cloudevent", "my-ext"),
            ({"ce-datacontenttype": "text/plain"}, "invalid_cloudevent", "ce-datacontenttype")]:
        client.post("/api/events", body=b"{}",
                    headers={**binary_headers(good), **headers}).expect(400, code, field)
    client.post("/api/events", body=b"{", headers=binary_headers(good)).expect(400, "invalid_json", "data")
    large = json.dumps({**good, "data": "x" * 262143}).encode()
    post(client, large, CLOUD).expect(413, "payload_too_large", "data")


# ---- which form ----------------------------------------------------------------------------------

def test_types_that_are_not_taken(client, event_type):
    event = json.dumps({"type": event_type, "data": 1}).encode()
    for content_type in ["text/plain", "application/cloudevents-batch+json", "application/x-ndjson",
                         "application/cloudevents+avro", "application/cloudevents+json; charset=utf-16"]:
        answer = post(client, event, content_type).expect(415, "unsupported_media_type")
        for taken in ["application/json", MSGPACK, CLOUD, "ce-specversion"]:
            assert taken in answer.error["message"]
    # A structured one stays one, though its headers repeat attributes (HTTP binding, section 3.2.3).
    post(client, json.dumps(cloud_event(event_type)).encode(), CLOUD, ce_specversion="1.0",
         ce_id="other").expect(202)
    post(client, json.dumps(cloud_event(event_type)).encode(), "application/cloudevents+avro",
         ce_specversion="1.0").expect(415, "unsupported_media_type")


def test_refusals_are_counted(client):
    def counted(reason):
        return client.metric(f'trotline_events_rejected_total{{reason="{reason}"}}')
    codes = "invalid_msgpack", "invalid_cloudevent"
    before = [counted(code) for code in codes]
    post(client, b"x", MSGPACK).expect(400)
    post(client, b'{"specversion":"2"}', CLOUD).expect(400)
    assert [counted(code) for code in codes] == [number + 1 for number in before]


# ---- the library of the CloudEvents project ------------------------------------------------------

@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_sdk(server, client, sink, event_type, mode):
    following = delivered(client, sink, event_type)
    producer = NodeProducer(server)
    try:
        event = {"type": event_type, "source": f"/sdk/{mode}", "subject": "order/5", "partitionkey": "p1",
                 "time": "2018-04-05T17:31:00.123Z"}
        status, answer = producer.publish(mode, {**event, "id": "1", "data": {"total": 19.99}})
        assert status == 202, answer
        assert following().json() == {"type": event_type, "timestamp": "2018-04-05T17:31:00.123Z",
                                      "data": {"total": 19.99}}
        shown = client.get_event(answer["id"])
        assert shown["cloudEvent"]["subject"] == "order/5" and shown["orderingKey"] == "p1"
        assert producer.publish(mode, {**event, "id": "1", "data": {"total": 19.99}}) == (202, answer)
        status, answer = producer.publish(mode, {**event, "id": "2"})
        assert status == 202 and following().json()["data"] is None, answer
        status, answer = producer.publish(
            mode, {**event, "id": "3", "datacontenttype": "text/plain"}, text="just text")
        assert status == 202 and following().json()["data"] == "just text", answer
        status, answer = producer.publish(
            mode, {**event, "id": "4", "datacontenttype": "image/png"}, base64="iVBORw0KGgoA/w==")
        assert status == 202 and following().json()["data"] == {"base64": "iVBORw0KGgoA/w=="}, answer
        status, answer = producer.publish(mode, {**event, "id": "5", "type": "not ours"})
        assert (status, answer["error"]["code"]) == (400, "invalid_type")
    finally:
        producer.close()
    wait_until(lambda: len(sink.wait_for(4, "/" + event_type)) == 4, 5, "one delivery each")
