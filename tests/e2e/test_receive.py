"""/in/{source}: what a stranger's request is answered, in which order it is judged, and what is told
of it. How it is verified is in test_receive_signed.py, what becomes of it in test_receive_forward.py."""

import itertools
import re
import time

import pytest
from harness import senders
from harness.senders import SECRET, post

OTHER = "Somebody else's secret, as it seems"
BODY = b'{"id":"evt_1","type":"charge.succeeded","n":1}'
NEAR, FAR = "203.0.113.7", "198.51.100.9"
NETWORKS = {"allowedNetworks": ["203.0.113.0/24", "2001:db8:1::/48"]}
BEHIND = {**NETWORKS, "trustedProxies": ["127.0.0.1/32", "10.0.0.0/8"]}


def received(client, source):
    """What was counted, without what has not happened."""
    counts = client.get(f"/api/sources/{source}").expect(200).json["received"]
    return {name: count for name, count in counts.items() if count and name != "lastAcceptedAt"}


# ---- the order ---------------------------------------------------------------------------------------

def unknown_method(sent):
    sent["method"] = "DELETE"


def unknown_source(sent):
    sent["source"] = "nobody"


def other_method(sent):
    sent["method"] = "PUT"


def too_large(sent):
    sent["body"] += b" " * 1000


def other_type(sent):
    sent["headers"]["Content-Type"] = "text/plain"


def from_elsewhere(sent):
    sent["headers"]["X-Forwarded-For"] = FAR


def badly_signed(sent):
    sent["secret"] = OTHER


def too_old(sent):
    sent["at"] = time.time() - 3600


# In the order in which they are judged, with what each is answered.
FAULTS = [(unknown_method, 405), (unknown_source, 404), (other_method, 405), (too_large, 413),
          (other_type, 415), (from_elsewhere, 403), (badly_signed, 401), (too_old, 400)]
PAIRS = [pair for pair in itertools.combinations(FAULTS, 2)
         if {pair[0][0], pair[1][0]} != {unknown_method, other_method}]


def send_with(server, source, faults):
    sent = {"method": "POST", "source": source, "body": BODY, "secret": SECRET, "at": None,
            "headers": {"X-Forwarded-For": NEAR, "Content-Type": "application/json"}}
    for fault in faults:
        fault(sent)
    headers = {**sent["headers"], **senders.stripe(sent["body"], sent["secret"], at=sent["at"])}
    return post(server, sent["source"], sent["body"], headers, sent["method"])


@pytest.fixture(scope="module")
def strict(server):
    """A source that every fault can be made at."""
    with server.client() as client:
        client.post("/api/sources", {
            "name": "strict", "scheme": "stripe", "secrets": [SECRET], "maxBodyBytes": 1000,
            "contentTypes": ["application/json"], **BEHIND}).expect(201)
    return "strict"


def test_without_a_fault_it_is_taken(server, strict):
    send_with(server, strict, []).expect(200)


@pytest.mark.parametrize("fault, status", FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_each_fault_has_its_answer(server, strict, fault, status):
    answer = send_with(server, strict, [fault]).expect(status)
    assert answer.error and answer.header("X-Request-Id")
    assert (answer.header("Allow") is not None) == (status == 405)


@pytest.mark.parametrize("first, second", PAIRS,
                         ids=[f"{a.__name__}-{b.__name__}" for (a, _), (b, _) in PAIRS])
def test_of_two_faults_the_earlier_is_answered(server, strict, first, second):
    send_with(server, strict, [first[0], second[0]]).expect(first[1])


def test_what_is_refused_is_no_event(server, client, sink, strict):
    client.create_webhook(sink.url("/"), [f"{strict}.*"])
    for fault, _ in FAULTS:
        send_with(server, strict, [fault])
    body = BODY.replace(b"evt_1", b"evt_last")
    post(server, strict, body, {"X-Forwarded-For": NEAR, **senders.stripe(body, SECRET)}).expect(200)
    assert sink.wait_for(1)[0].json()["data"]["id"] == "evt_last"
    sink.wait_quiet()
    assert sink.count() == 1


# ---- methods, sizes, types ---------------------------------------------------------------------------

def test_methods_that_a_source_takes(server, make_source):
    for methods in (["POST"], ["PUT"], ["POST", "PUT"]):
        source = make_source("github", methods=methods)
        for method in ("POST", "PUT", "GET", "HEAD", "OPTIONS"):
            answer = post(server, source, b"{}", senders.github(b"{}", SECRET), method)
            if method in methods:
                answer.expect(200)
            else:
                assert answer.status == 405
                assert answer.header("Allow") == ", ".join(methods)


def test_the_largest_body_and_one_byte_more(server, make_source):
    source = make_source("github", maxBodyBytes=100)
    for size, status in ((0, 200), (1, 200), (100, 200), (101, 413), (50_000, 413)):
        body = b"x" * size
        post(server, source, body, senders.github(body, SECRET, id=str(size))).expect(status)


def test_a_body_beyond_the_servers_own_limit_is_not_read(server, make_source):
    """The answer comes before the body does."""
    source = make_source("github")
    head = f"POST /in/{source} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n".encode()
    with server.client() as client:
        answer, closed = client.raw_exchange(head)
    assert b" 413 " in answer.split(b"\r\n", 1)[0] and closed


@pytest.mark.parametrize("given, taken", [
    ("application/json", True), ("APPLICATION/JSON", True),
    ("application/json; charset=utf-8", True), ("application/json ;x=y", True),
    ("text/plain", True), ("text/x-anything", True),
    ("application/jsonx", False), ("application/xml", False), ("text", False), ("textual/x", False),
    ("", False), ("; application/json", False), (None, False)])
def test_content_types(server, make_source, given, taken):
    source = make_source("github", contentTypes=["application/json", "text/*"])
    headers = {**senders.github(b"{}", SECRET), "Content-Type": given}
    post(server, source, b"{}", headers).expect(200 if taken else 415)


def test_two_content_types_are_none(server, client, make_source):
    for types in (["application/json"], []):
        source = make_source("github", contentTypes=types)
        request = senders.request_bytes(source, b"{}", senders.github(b"{}", SECRET))
        request = request.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n\r\n", 1)
        assert client.raw(request).startswith(b"HTTP/1.1 415 ")


# ---- addresses ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("forwarded, allowed", [
    ([NEAR], True), ([FAR], False), ([], False),
    ([f"{FAR}, {NEAR}"], True), ([f"{NEAR}, {FAR}"], False),       # who is left of it may be forged
    ([f"{NEAR}, 10.1.2.3"], True), ([f"{FAR}, 10.1.2.3"], False),  # another proxy on the way
    ([f"{NEAR}, {FAR}, 10.1.2.3"], False),
    ([NEAR, FAR], False), ([FAR, NEAR], True),                     # two lines are one list
    (["2001:db8:1::5"], True), (["2001:db8:2::5"], False), (["::ffff:203.0.113.7"], True),
    (["garbage"], False), ([f"{NEAR}, garbage"], False), ([""], False), ([NEAR + "x"], False)])
def test_who_it_is_behind_a_trusted_proxy(server, client, make_source, forwarded, allowed):
    source = make_source("github", **BEHIND)
    request = senders.request_bytes(source, b"{}", senders.github(b"{}", SECRET))
    lines = "".join(f"\r\nX-Forwarded-For: {value}" for value in forwarded)
    request = request.replace(b"\r\n\r\n", lines.encode() + b"\r\n\r\n", 1)
    assert client.raw(request).startswith(b"HTTP/1.1 200 " if allowed else b"HTTP/1.1 403 ")


def test_nobody_is_believed_who_is_no_trusted_proxy(server, make_source):
    """This machine is none: it cannot say that it is another, and is itself whatever it says."""
    headers = {**senders.github(b"{}", SECRET), "X-Forwarded-For": NEAR}
    post(server, make_source("github", **NETWORKS), b"{}", headers).expect(403)
    here = make_source("github", allowedNetworks=["127.0.0.0/8"])
    post(server, here, b"{}", {**headers, "X-Forwarded-For": FAR}).expect(200)


def test_the_servers_own_list_of_proxies(start_daemon):
    """Is that of sources that have none; one that is empty believes nobody."""
    server = start_daemon(config="sources:\n  trustedProxies: [127.0.0.0/8]\n")
    with server.client() as client:
        for name, members in (("theirs", NETWORKS), ("none", {**NETWORKS, "trustedProxies": []})):
            client.post("/api/sources", {"name": name, "scheme": "github", "secrets": [SECRET],
                                         **members}).expect(201)
    headers = {**senders.github(b"{}", SECRET), "X-Forwarded-For": NEAR}
    post(server, "theirs", b"{}", headers).expect(200)
    post(server, "none", b"{}", headers).expect(403)


# ---- what it is answered -----------------------------------------------------------------------------

@pytest.mark.parametrize("reply, expected", [
    (None, (200, None, b"")), ({"status": 204}, (204, None, b"")),
    ({"status": 202, "body": "accepted"}, (202, "text/plain; charset=utf-8", b"accepted")),
    ({"body": '{"ok":true}', "contentType": "application/json"},
     (200, "application/json", b'{"ok":true}'))])
def test_the_answer_to_what_was_taken(server, make_source, reply, expected):
    """A duplicate's is the same: the sender cannot tell, and need not."""
    source = make_source("github", **({"reply": reply} if reply else {}))
    for _ in range(2):
        answer = post(server, source, BODY, senders.github(BODY, SECRET))
        assert (answer.status, answer.header("Content-Type"), answer.body) == expected


def test_a_source_that_is_switched_off_can_be_tried_again(server, client, make_source):
    source = make_source("github", active=False)
    answer = post(server, source, BODY, senders.github(BODY, SECRET)).expect(503)
    assert int(answer.header("Retry-After")) > 0
    client.put(f"/api/sources/{source}", {"scheme": "github", "secrets": [SECRET]}).expect(200)
    post(server, source, BODY, senders.github(BODY, SECRET)).expect(200)
    client.delete(f"/api/sources/{source}").expect(204)
    post(server, source, BODY, senders.github(BODY, SECRET)).expect(404)


def test_neither_a_key_nor_an_application_is_asked_for(server, make_source):
    """And what a sender has in these headers is its own."""
    source = make_source("github")
    headers = {**senders.github(BODY, SECRET), "Authorization": "Basic dTpw", "X-Application": "a b"}
    post(server, source, BODY, headers).expect(200)


@pytest.mark.parametrize("name", ["", "/", "a/b", "A", "%67ithub", "..",
                                  pytest.param("x" * 200, id="long")])
def test_names_that_no_source_has(server, name):
    post(server, name, BODY, {}).expect(404)


def test_connections_are_kept(server, make_source):
    """Whatever the answer: senders keep theirs, too."""
    source = make_source("github")
    with server.client(key=None) as client:
        ports = set()
        for secret in (SECRET, OTHER, SECRET):
            client.post(f"/in/{source}", body=BODY, headers=senders.github(BODY, secret))
            ports.add(client.connection.sock.getsockname()[1])
        client.post("/in/nobody", body=BODY)
        ports.add(client.connection.sock.getsockname()[1])
    assert len(ports) == 1


# ---- what is counted and told ------------------------------------------------------------------------

def test_everything_is_counted_by_its_outcome(server, client, make_source):
    source = make_source("stripe", maxBodyBytes=1000, contentTypes=["application/json"], **BEHIND)
    expected = {"accepted": 1, "duplicate": 2, "bad_method": 1, "too_large": 1, "bad_type": 1,
                "bad_address": 1, "bad_signature": 2, "out_of_time": 1, "no_signature": 1}
    for faults in ([], [], [], [other_method], [too_large], [other_type], [from_elsewhere],
                   [badly_signed], [badly_signed], [too_old]):
        send_with(server, source, faults)
    post(server, source, BODY, {"X-Forwarded-For": NEAR}).expect(401)
    assert received(client, source) == expected
    for outcome, count in {**expected, "unavailable": 0}.items():
        series = f'trotline_source_requests_total{{source="{source}",outcome="{outcome}"}}'
        assert client.metric(series) == count
    shown = client.get(f"/api/sources/{source}").json["received"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["lastAcceptedAt"])
    unknown = client.metric("trotline_source_unknown_total")
    post(server, "nobody", BODY, {}).expect(404)
    assert client.metric("trotline_source_unknown_total") == unknown + 1


def test_refusals_do_not_fill_the_log_and_tell_no_secret(start_daemon):
    server = start_daemon("--set", "log.level=debug")
    with server.client() as client:
        client.post("/api/sources", {"name": "hooks", "scheme": "github",
                                     "secrets": [SECRET]}).expect(201)
    signature = senders.github(BODY, SECRET)["X-Hub-Signature-256"]
    begin = time.monotonic()
    with server.client(key=None) as client:
        for n in range(500):
            body = BODY + b" of nobody's business"
            headers = {**senders.github(BODY, SECRET), "Authorization": "Bearer of theirs"}
            client.post(f"/in/hooks?token=in-the-url-{n}", body=body, headers=headers).expect(401)
    seconds = time.monotonic() - begin
    server.wait_for_log(r"receive\.refused")
    lines = [line for line in server.log.splitlines() if "receive.refused" in line]
    assert len(lines) <= seconds + 2, f"{len(lines)} lines in {seconds:.1f} s"
    assert "source=hooks" in lines[0] and re.search(r"reason=\w+", lines[0])
    for text in (SECRET, signature, signature[7:], "of theirs", "in-the-url", "nobody's business"):
        assert text not in server.log
