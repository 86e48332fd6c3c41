"""What receivers see: the five wire formats, verified by hand and by the libraries they use."""

import base64
import subprocess

import pytest
from harness import rawjson, schemes, wait_until
from harness.sink import reply

SECRETS = {"standard": "whsec_" + base64.b64encode(bytes(range(100, 132))).decode(),
           "svix": "whsec_" + base64.b64encode(bytes(range(100, 132))).decode(),
           "event": "00ff10ef" * 8, "guide": "gänse und füchse", "basic": "a shared secret word"}


@pytest.fixture(scope="module")
def server(server_on_each_route):
    return server_on_each_route


@pytest.mark.parametrize("given", [False, True], ids=["generated", "given"])
@pytest.mark.parametrize("scheme", schemes.VERIFY)
def test_scheme_verifies(client, sink, event_type, scheme, given):
    members = {"secret": SECRETS[scheme]} if given else {}
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme=scheme, **members)
    secret = SECRETS[scheme] if given else webhook["secret"]
    event = client.event_id(event_type, {"n": 1, "text": "Grüße"}, version="1", source="test",
                            timestamp="2024-02-29T12:34:56.789Z")
    (request,) = sink.wait_for(1)
    schemes.VERIFY[scheme](request, secret)
    assert request.header("Content-Type") == "application/json"
    assert request.header("User-Agent", "").lower().startswith("trotline")
    assert request.header("Expect") is None and request.header("Accept-Encoding") is None
    if scheme in ("standard", "svix", "event"):
        assert request.id == event
    if scheme != "svix":
        stamp = rawjson.members(request.body)["timestamp"]
        assert stamp == '"2024-02-29T12:34:56.789Z"', "the event's own time, in every body"


@pytest.mark.parametrize("scheme", schemes.VERIFY)
def test_values_stand_where_the_scheme_says(client, sink, event_type, scheme):
    client.create_webhook(sink.url("/"), [event_type], scheme=scheme)
    event = client.event_id(event_type, {"k": [1.0]}, version="7", source="s/1")
    (request,) = sink.wait_for(1)
    if scheme == "svix":
        assert request.body == b'{"k":[1.0]}'
        return
    body = rawjson.members(request.body)
    assert body.get("data", body.get("payload")) == '{"k":[1.0]}'
    assert body.get("type", body.get("event")) == f'"{event_type}"'
    if "id" in body:
        assert body["id"] == f'"{event}"'
    if scheme == "event":
        assert (body["version"], body["source"]) == ('"7"', '"s/1"')


def test_event_scheme_says_null_for_what_is_not_there(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type], scheme="event")
    client.event_id(event_type)
    (request,) = sink.wait_for(1)
    schemes.event(request, webhook["secret"])
    body = rawjson.members(request.body)
    assert (body["version"], body["source"]) == ("null", "null")


@pytest.mark.parametrize("library, scheme", [("standardwebhooks", "standard"), ("svix", "svix"),
                                             ("svix", "standard"), ("event", "event"),
                                             ("guide", "guide"), ("basic", "basic")])
def test_real_libraries_accept_it(client, node_receiver, event_type, library, scheme):
    secret = SECRETS[scheme]
    receiver = node_receiver(library, secret)
    webhook = client.create_webhook(receiver.url("/in"), [event_type], scheme=scheme, secret=secret)
    for n in range(3):
        event = client.event_id(event_type, {"n": n, "text": "Grüße 😀"})
        got = receiver.next()
        assert got["verified"], got
        wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "sent", 5, "sent")


def test_real_library_refuses_another_secret(client, node_receiver, event_type):
    receiver = node_receiver("standardwebhooks", SECRETS["standard"])
    webhook = client.create_webhook(receiver.url("/"), [event_type],
                                    retryPolicy={"schedule": []})
    event = client.event_id(event_type)
    assert not receiver.next()["verified"]
    wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "dead_letter", 5,
               "the dead letter")


@pytest.mark.parametrize("form", ["seed and public key", "seed alone"])
def test_ed25519(client, sink, node_receiver, event_type, tmp_path, form):
    """A `whsk_` secret signs `v1a`; the public key is derived by openssl, not by the server."""
    key = tmp_path / "key.der"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-outform", "DER", "-out", key],
                   check=True)
    public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", key, "-pubout", "-outform",
                             "DER"], check=True, capture_output=True).stdout[-32:]
    seed = key.read_bytes()[-32:]
    raw = seed + public if form == "seed and public key" else seed
    secret, public_key = ("whsk_" + base64.b64encode(raw).decode(),
                          "whpk_" + base64.b64encode(public).decode())
    receiver = node_receiver("v1a", public_key)
    client.create_webhook(sink.url("/"), [event_type], secret=secret)
    client.create_webhook(receiver.url("/"), [event_type], secret=secret)
    client.event_id(event_type, {"n": 1})
    (request,) = sink.wait_for(1)
    schemes.ed25519(request, public_key)
    assert [version for version, _ in schemes.signatures(request)] == ["v1a"]
    assert receiver.next()["verified"]


def test_a_retry_keeps_id_and_body_and_is_signed_anew(client, sink, event_type):
    sink.script("/", [500, 503, 200])
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={"schedule": ["1100ms", "100ms"], "jitter": 0})
    event = client.event_id(event_type, {"n": 1})
    requests = sink.wait_for(3)
    assert {request.id for request in requests} == {event}
    assert len({request.body for request in requests}) == 1
    for request in requests:
        schemes.standard(request, webhook["secret"])
    first, second, _ = (int(request.header("webhook-timestamp")) for request in requests)
    assert second > first, "the timestamp is the attempt's"


def test_custom_headers(client, sink, event_type):
    headers = {"X-Team": "billing", "Authorization": "Bearer abc", "x-lower": "a, b; c=\"d\""}
    client.create_webhook(sink.url("/path?q=1&r=%20"), [event_type], headers=headers)
    client.event_id(event_type)
    (request,) = sink.wait_for(1)
    for name, value in headers.items():
        assert [v for n, v in request.headers if n == name] == [value], f"{name}, as it was written"
    assert request.target == "/path?q=1&r=%20"
    names = [name.lower() for name, _ in request.headers]
    assert len(names) == len(set(names)), "no header stands there twice"


def test_response_body_is_kept_up_to_its_cap(client, sink, event_type):
    sink.script("/", [reply(500, b"y" * 5000), 200])
    webhook = client.create_webhook(sink.url("/"), [event_type],
                                    retryPolicy={"schedule": ["50ms"], "jitter": 0})
    client.event_id(event_type)
    sink.wait_for(2)
    attempts = wait_until(lambda: (a := client.attempts(webhook["id"])) and len(a) == 2 and a, 5,
                          "both attempts to be listed")
    assert attempts[1]["responseBody"] == "y" * 1024
