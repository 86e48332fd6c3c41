"""Filters of webhooks from outside: only what matches is delivered; how they are changed and refused."""

import json

import pytest
from harness import rawjson, wait_until

URL = "http://127.0.0.1:9/hook"


def path_of(event_type, name):
    return f"/{event_type}/{name}"


# ---- matching ----------------------------------------------------------------------------------

ORDERS = [
    # name of the webhook, filter, numbers of the payloads below that it takes
    ("all", None, [0, 1, 2, 3, 4, 5]),
    ("big", {"order.total": {"$gte": 100}}, [1, 2]),
    ("between", {"order": {"total": {"$gt": 10, "$lt": 150}}}, [0, 1]),
    ("euro", {"order.currency": "EUR"}, [0, 1]),
    ("other", {"order.currency": {"$nin": ["EUR", "CHF"]}}, [3, 4, 5]),
    ("sku", {"items.sku": {"$startsWith": "B-"}}, [1, 2]),
    ("first", {"items.0.sku": {"$endsWith": "-1"}}, [0, 1]),
    ("either", {"$or": [{"order.total": {"$lt": 50}}, {"customer.vip": True}]}, [0, 2]),
    ("not", {"$not": {"order": {"$exists": True}}}, [3, 4, 5]),
    ("name", {"customer.name": "Zoë 😀"}, [2]),
    ("dotted", {"a\\.b": 9007199254740993}, [4]),
    ("nothing", {"no.such.thing": 1}, []),
]

PAYLOADS = [
    b'{"order":{"total":20,"currency":"EUR"},"items":[{"sku":"A-1"}]}',
    b'{"order":{"total":1.00e2,"currency":"EUR"},"items":[{"sku":"A-1"},{"sku":"B-2"}],"pad":[[],{"order":1}]}',
    b'{"customer":{"vip":true,"name":"Zo\\u00eb \\ud83d\\ude00"},"items":[{"sku":"\\u0042-3"}],'
    b'"order":{"currency":"CHF","total":999}}',
    b'{"a.b":9007199254740992}',
    b'{"a.b":9007199254740993}',
    b'[]',
]


def test_only_what_matches_is_delivered(client, sink, event_type):
    for name, given, _ in ORDERS:
        members = {} if given is None else {"filter": given}
        client.create_webhook(sink.url(path_of(event_type, name)), [event_type], **members)
    expected = {name: [] for name, _, _ in ORDERS}
    for number, payload in enumerate(PAYLOADS):
        body = b'{"type":"%s","data":%s}' % (event_type.encode(), payload)
        answer = client.post("/api/events", body=body).expect(202).json
        takers = [name for name, _, numbers in ORDERS if number in numbers]
        assert answer["deliveries"] == len(takers), payload
        assert len(client.get_event(answer["id"])["deliveries"]) == len(takers)
        for name in takers:
            expected[name].append(answer["id"])
    sink.wait_for(sum(map(len, expected.values())))
    for name, ids in expected.items():
        assert sorted(sink.ids(path_of(event_type, name))) == sorted(ids), name


def test_an_event_that_no_filter_takes_is_stored(client, sink, event_type):
    client.create_webhook(sink.url("/"), [event_type], filter={"a": 1})
    answer = client.post_event(event_type, {"a": 2}).expect(202).json
    assert answer["deliveries"] == 0
    assert client.get_event(answer["id"])["deliveries"] == []


def test_a_test_send_ignores_the_filter(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type], filter={"a": 1})
    answer = client.post(f"/api/webhooks/{webhook['id']}/test", {"payload": {"a": 2}}).expect(200)
    assert answer.json["success"] is True
    assert sink.count("/") == 1


def test_a_repeated_key_is_answered_with_the_first_count(client, sink, event_type):
    """What was matched is remembered: a changed filter does not change the answer."""
    webhook = client.create_webhook(sink.url("/"), [event_type], filter={"a": 1})
    first = client.post_event(event_type, {"a": 1}, key=event_type).expect(202).json
    client.patch(f"/api/webhooks/{webhook['id']}", {"filter": {"a": 2}}).expect(200)
    assert client.post_event(event_type, {"a": 1}, key=event_type).expect(202).json == first
    assert first["deliveries"] == 1


def test_more_filters_than_fit_in_a_turn(client, sink, event_type):
    """Each has to look at 60,000 numbers: the event waits for some turns of the loop, and nothing is left out."""
    count = 60
    for number in range(count):
        wanted = 7 if number % 3 == 0 else -number - 1
        client.create_webhook(sink.url(path_of(event_type, number)), [event_type],
                              filter={"n": wanted, "$not": {"n": -number - 1}})
    body = b'{"type":"%s","data":{"n":[%s7]}}' % (event_type.encode(), b"1,2," * 30000)
    for key in ("a", "a"):
        answer = client.post("/api/events", body=body, headers={"Idempotency-Key": event_type + key})
        assert answer.expect(202).json["deliveries"] == count / 3
    sink.wait_for(count // 3)
    for number in range(count):
        assert sink.count(path_of(event_type, number)) == (number % 3 == 0), number


# ---- changing ----------------------------------------------------------------------------------

def taken(client, event_type, *payloads):
    return [client.post_event(event_type, data).expect(202).json["deliveries"] for data in payloads]


def test_shown_byte_for_byte(client, event_type):
    given = '{ "total" : {"$gt":0.10,"$lt":1E999},\n"id":99999999999999999999, "n":"\\u00e9\\ud83d\\ude00" }'
    body = '{"url":"%s","events":["%s"],"filter":%s}' % (URL, event_type, given)
    answer = client.post("/api/webhooks", body=body.encode()).expect(201)
    assert rawjson.members(answer.body)["filter"] == given
    read = client.get_webhook(answer.json["id"]).expect(200)
    assert rawjson.members(read.body)["filter"] == given


def test_patch_replaces_put_resets_null_removes(client, sink, event_type):
    created = client.create_webhook(sink.url("/"), [event_type], filter={"a": 1, "b": {"$gt": 5}})
    path = f"/api/webhooks/{created['id']}"
    assert taken(client, event_type, {"a": 1, "b": 6}, {"a": 1}) == [1, 0]

    client.patch(path, {"description": "left as it is"}).expect(200)
    assert client.get(path).json["filter"] == {"a": 1, "b": {"$gt": 5}}

    patched = client.patch(path, {"filter": {"b": {"$lt": 3}}}).expect(200).json
    assert patched["filter"] == {"b": {"$lt": 3}}, "replaced, not merged"
    assert taken(client, event_type, {"a": 1, "b": 6}, {"b": 2}) == [0, 1]

    assert client.patch(path, {"filter": None}).expect(200).json["filter"] is None
    assert taken(client, event_type, {}, {"b": 9}) == [1, 1]

    body = {"url": sink.url("/"), "events": [event_type]}
    put = client.put(path, {**body, "filter": {"c": True}}).expect(200).json
    assert put["filter"] == {"c": True}
    assert taken(client, event_type, {"c": True}, {"c": 1}) == [1, 0]
    assert client.put(path, body).expect(200).json["filter"] is None
    assert taken(client, event_type, {}) == [1]

    listed = client.get(f"/api/webhooks?eventType={event_type}").expect(200).json["webhooks"]
    assert [webhook["filter"] for webhook in listed] == [None]


def test_a_refused_change_leaves_the_old_filter(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type], filter={"a": 1})
    path = f"/api/webhooks/{webhook['id']}"
    client.patch(path, {"filter": {"a": {"$gt": {}}}}).expect(400, "invalid_filter", "filter.a.$gt")
    assert client.get(path).json["filter"] == {"a": 1}
    assert taken(client, event_type, {"a": 1}, {"a": 2}) == [1, 0]


@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_survives_a_restart(start_daemon, sink, end):
    daemon = start_daemon()
    given = '{"order.id":9007199254740993,"$not":{"tags":"old\\u0021"}}'
    with daemon.client() as client:
        body = '{"url":"%s","events":["*"],"filter":%s}' % (sink.url("/"), given)
        webhook = client.post("/api/webhooks", body=body.encode()).expect(201).json["id"]
        client.patch(f"/api/webhooks/{webhook}", {"description": "changed"}).expect(200)
        client.post(f"/api/webhooks/{webhook}/disable").expect(200)
        client.post(f"/api/webhooks/{webhook}/enable").expect(200)
    getattr(daemon, end)()
    daemon.start()
    with daemon.client() as client:
        read = client.get_webhook(webhook).expect(200)
        assert rawjson.members(read.body)["filter"] == given
        matching = client.post_event("a", {"order": {"id": 9007199254740993}}).expect(202).json
        assert matching["deliveries"] == 1
        assert taken(client, "a", {"order": {"id": 9007199254740992}},
                     {"order": {"id": 9007199254740993}, "tags": ["new", "old!"]}) == [0, 0]
    sink.wait_for(1)
    wait_until(lambda: sink.ids("/") == [matching["id"]], what="the one event")


# ---- refused -----------------------------------------------------------------------------------

BAD = [
    ("string", '"a = 1"', "filter"),
    ("number", "1", "filter"),
    ("list", '[{"a":1}]', "filter"),
    ("empty", "{}", "filter"),
    ("operator", '{"order":{"total":{"$gtt":1}}}', "filter.order.total.$gtt"),
    ("path_operator", '{"order.total.$gt":1}', "filter.order.total.$gt"),
    ("gt_bool", '{"order.total":{"$gt":true}}', "filter.order.total.$gt"),
    ("eq_object", '{"a":{"$eq":{"b":1}}}', "filter.a.$eq"),
    ("bare_list", '{"a":["x","y"]}', "filter.a"),
    ("in_scalar", '{"a":{"$in":"x"}}', "filter.a.$in"),
    ("in_object", '{"a":{"$in":["x",{}]}}', "filter.a.$in[1]"),
    ("in_many", '{"a":{"$in":[%s]}}' % ",".join(["1"] * 513), "filter.a.$in"),
    ("or_empty", '{"$or":[]}', "filter.$or"),
    ("or_item", '{"$or":[{"a":1},{}]}', "filter.$or[1]"),
    ("or_deep", '{"$or":[{"a":1},{"$and":[{"b":{"$exists":1}}]}]}', "filter.$or[1].$and[0].b.$exists"),
    ("not_list", '{"$not":[]}', "filter.$not"),
    ("starts", '{"a":{"$startsWith":1}}', "filter.a.$startsWith"),
    ("dots", '{"a..b":1}', "filter.a..b"),
    ("twice", '{"a":{"$gt":1,"$gt":2}}', "filter.a"),
    ("deep", '{"$not":' * 16 + '{"a":1}' + "}" * 16, "filter" + ".$not" * 16),
    ("conditions", json.dumps({f"n{i}": i for i in range(65)}), "filter"),
    ("bytes", '{"a":"%s"}' % ("x" * 32768), "filter"),
    ("far", '{"a":1e1000000000000000000}', "filter.a"),
]


@pytest.mark.parametrize("given, field", [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_refused_with_the_place(client, event_type, given, field):
    body = '{"url":"%s","events":["%s"],"filter":%s}' % (URL, event_type, given)
    client.post("/api/webhooks", body=body.encode()).expect(400, "invalid_filter", field)
    assert client.get(f"/api/webhooks?eventType={event_type}").json["count"] == 0
