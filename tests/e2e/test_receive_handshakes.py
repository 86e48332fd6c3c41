"""What third parties ask before they send, over HTTP as they ask it: each is answered as its provider
wants it, and none of these requests becomes an event."""

import json
import urllib.parse

import pytest
from harness import senders
from harness.senders import SECRET, post

OTHER = "Somebody else's secret, as it seems"
NEAR = "203.0.113.7"


@pytest.fixture(autouse=True)
def no_event_comes_of_it(client, sink):
    """A handshake is not forwarded."""
    client.create_webhook(sink.url("/every"), ["*"])
    yield
    sink.wait_quiet(0.2)
    assert [request.json() for request in sink.requests("/every")] == []


def ask(server, source, query="", method="GET", headers=None, body=None):
    return post(server, source, body, headers or {}, method, query)


def text(answer):
    """A text that no browser takes for a page."""
    answer.expect(200)
    assert answer.header("Content-Type").partition(";")[0] == "text/plain"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    return answer.body.decode()


# ---- challenges that are signed ----------------------------------------------------------------------

def test_slack(server, client, make_source):
    source = make_source("slack")
    body = b'{"token":"t","challenge":"3eZbrw1aB\\/10","type":"url_verification"}'
    assert text(post(server, source, body, senders.slack(body, SECRET))) == "3eZbrw1aB/10"
    post(server, source, body, senders.slack(body, OTHER)).expect(401)
    post(server, source, body, {}).expect(401)
    post(server, source, body, senders.slack(body, SECRET, at=1)).expect(400)
    counts = client.get(f"/api/sources/{source}").json["received"]
    assert (counts["handshake"], counts["accepted"]) == (1, 0)


def test_slacks_probe_is_not_signed(server, make_source):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    post(server, make_source("slack"), b"ssl_check=1&token=t", form).expect(200)
    post(server, make_source("slack"), b"ssl_check=0&token=t", form).expect(401)


def test_zoom(server, make_source):
    source = make_source("zoom")
    body = b'{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}'
    answer = post(server, source, body, senders.zoom(body, SECRET)).expect(200)
    assert answer.header("Content-Type").startswith("application/json")
    assert answer.json == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw",
                           "encryptedToken": senders.hex_of(SECRET, b"qgg8vlvZRS6UYooatFL8Aw")}
    post(server, source, body, senders.zoom(body, OTHER)).expect(401)


def test_twitch(server, make_source):
    source = make_source("twitch")
    body = b'{"challenge":"pogchamp-kappa-360noscope","subscription":{"type":"stream.online"}}'
    kind = "webhook_callback_verification"
    answer = post(server, source, body, senders.twitch(body, SECRET, kind))
    assert text(answer) == "pogchamp-kappa-360noscope"
    post(server, source, body, senders.twitch(body, OTHER, kind)).expect(401)


def test_discord(server, make_source):
    """A ping of events, and one of interactions. Bad signatures are sent on purpose."""
    app = senders.Discord()
    source = make_source("discord", secrets=[app.public_key])
    ping = b'{"version":1,"application_id":"1","type":0}'
    answer = post(server, source, ping, app(ping)).expect(204)
    assert answer.body == b""
    ping = b'{"application_id":"1","id":"2","type":1,"version":1}'
    assert post(server, source, ping, app(ping)).expect(200).json == {"type": 1}
    for ping in (ping, b'{"version":1,"application_id":"1","type":0}'):
        post(server, source, ping, senders.Discord()(ping)).expect(401)


def test_xero(server, make_source):
    """An intent to receive is an event like all others: only the status counts, and 401 is wanted."""
    body = b'{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m"}'
    source = make_source("xero")
    post(server, source, body, senders.xero(body, OTHER)).expect(401)
    post(server, source, body, {}).expect(401)


def test_front(server, make_source):
    source = make_source("front")
    body = b'{"type":"sync"}'
    stamp = senders.zoom(body, SECRET)["x-zm-request-timestamp"] + "000"
    headers = {"X-Front-Challenge": "c4a11e", "X-Front-Request-Timestamp": stamp}
    signature = senders.base64_of(SECRET, stamp.encode() + b":" + body)
    answer = post(server, source, body, {**headers, "X-Front-Signature": signature})
    assert text(answer) == "c4a11e"
    signature = senders.base64_of(OTHER, stamp.encode() + b":" + body)
    post(server, source, body, {**headers, "X-Front-Signature": signature}).expect(401)


# ---- challenges that are not -------------------------------------------------------------------------

def test_meta(server, make_source):
    source = make_source("meta", variables={"verify_token": "a token of ours"})
    query = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert text(ask(server, source, query + "a%20token+of%20ours")) == "1158201444"
    for token in ("another", "", "a%20token+of%20our"):
        ask(server, source, query + token).expect(403)
    assert ask(server, source, "?hub.mode=subscribe&hub.challenge=1").status == 403
    assert ask(server, source, query.replace("subscribe", "other") + "a%20token+of%20ours"
               ).status in (403, 405)
    ask(server, source).expect(405)


def test_x(server, make_source):
    """Its token is signed with the newest secret."""
    for secrets in ([SECRET], [SECRET, OTHER]):
        source = make_source("x", secrets=secrets)
        answer = ask(server, source, "?crc_token=Nzk2YjI&nonce=1").expect(200)
        assert answer.header("Content-Type").startswith("application/json")
        expected = "sha256=" + senders.base64_of(SECRET, b"Nzk2YjI")
        assert answer.json == {"response_token": expected}


def test_nobody_has_a_webhook_signed(server, make_source):
    """X signs its webhooks as it wants its token signed: whoever gets a body's signature may send it."""
    source = make_source("x")
    for body in ('{"for_user_id":"1"}', "[1]", "a=1&b=2", '"text"', "a b", "1.2"):
        answer = ask(server, source, "?crc_token=" + urllib.parse.quote(body, safe=""))
        assert answer.status == 400 and "response_token" not in answer.body.decode(), body
    for token in ("Nzk2YjI=", "a+b/c==", "a-b_c~d"):
        ask(server, source, "?crc_token=" + urllib.parse.quote(token, safe="")).expect(200)


def test_graph(server, make_source):
    source = make_source("graph")
    query = "?validationToken=Validation%3A%20Testing+client%20application"
    for body in (b"", None):
        answer = ask(server, source, query, "POST", {"Content-Type": "text/plain"}, body)
        assert text(answer) == "Validation: Testing client application"


def test_dropbox(server, make_source):
    source = make_source("dropbox")
    assert text(ask(server, source, "?challenge=c4a11e-x_y")) == "c4a11e-x_y"
    page = ask(server, source, "?challenge=%3Cscript%3Ealert(1)%3C/script%3E")
    assert page.status == 400 or text(page), "never a page"
    for bad in ("%0d%0aSet-Cookie:%20a=b", "%00", "x" * 5000):
        answer = ask(server, source, "?challenge=" + bad)
        assert answer.status in (400, 405) and answer.header("Set-Cookie") is None
    ask(server, source).expect(405)


def test_okta(server, make_source):
    source = make_source("okta", secrets=["a header's value"])
    answer = ask(server, source, headers={"X-Okta-Verification-Challenge": 'say "it"'}).expect(200)
    assert answer.json == {"verification": 'say "it"'}


def test_strava(server, make_source):
    source = make_source("strava", secrets=[], variables={"verify_token": "STRAVA"})
    query = "?hub.verify_token=%s&hub.challenge=15f7d1a91c1f40f8a748fd134752feb3&hub.mode=subscribe"
    answer = ask(server, source, query % "STRAVA").expect(200)
    assert answer.json == {"hub.challenge": "15f7d1a91c1f40f8a748fd134752feb3"}
    ask(server, source, query % "OTHER").expect(403)


def test_event_grid(server, make_source):
    source = make_source("event_grid", secrets=[], variables={"allowed_origin": "eventgrid.azure.net"})
    body = json.dumps([{"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
                        "data": {"validationCode": '512d38b6-"c7b8'}}]).encode()
    answer = post(server, source, body, {"aeg-event-type": "SubscriptionValidation"}).expect(200)
    assert answer.json == {"validationResponse": '512d38b6-"c7b8'}


def test_cloudevents_may_be_sent(server, make_source):
    """The status proves nothing to the sender: who may not is told no origin at all."""
    source = make_source("event_grid", secrets=[], variables={"allowed_origin": "eventgrid.azure.net"})
    headers = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}
    answer = ask(server, source, method="OPTIONS", headers=headers).expect(200)
    assert answer.header("WebHook-Allowed-Origin") == "eventgrid.azure.net"
    assert answer.header("WebHook-Allowed-Rate") == "*" and "POST" in answer.header("Allow")
    for origin in ("evil.example", None):
        answer = ask(server, source, method="OPTIONS",
                     headers={**headers, "WebHook-Request-Origin": origin})
        assert answer.status >= 400 and answer.header("WebHook-Allowed-Origin") is None


@pytest.mark.parametrize("scheme, method", [("intercom", "HEAD"), ("trello", "HEAD"),
                                            ("mailchimp", "GET"), ("mailchimp", "HEAD")])
def test_is_anybody_there(server, make_source, scheme, method):
    members = {"publicUrl": "https://hooks.example/in/x"} if scheme == "trello" else {}
    answer = ask(server, make_source(scheme, **members), method=method).expect(200)
    assert answer.body == b""


# ---- all of them -------------------------------------------------------------------------------------

def test_a_handshake_comes_from_an_allowed_address(server, make_source):
    source = make_source("x", allowedNetworks=["203.0.113.0/24"], trustedProxies=["127.0.0.1/32"])
    ask(server, source, "?crc_token=1").expect(403)
    ask(server, source, "?crc_token=1", headers={"X-Forwarded-For": NEAR}).expect(200)


def test_a_handshake_is_as_small_as_an_event(server, make_source):
    body = b'{"token":"t","challenge":"c","type":"url_verification"}'
    headers = senders.slack(body, SECRET)
    post(server, make_source("slack", maxBodyBytes=10), body, headers).expect(413)
    source = make_source("slack", contentTypes=["text/plain"])
    post(server, source, body, headers).expect(415)


def test_one_that_a_file_describes(start_daemon, tmp_path):
    """A new provider needs a file, no code."""
    (tmp_path / "schemes").mkdir()
    (tmp_path / "schemes" / "acme.yaml").write_text("""\
name: acme
signed: "{body}"
encoding: hex
signatures:
  - algorithm: hmac-sha256
    key: {format: raw}
receive:
  signature: header:X-Acme
handshakes:
  - method: GET
    when: [{at: "query:hello"}]
    reply:
      status: 202
      type: application/json
      body: '{"hello":{json_string query:name},"proof":"{hmac_hex query:hello}"}'
""")
    server = start_daemon("--set", f"schemes={tmp_path / 'schemes'}")
    with server.client() as client:
        client.post("/api/sources", {"name": "acme", "scheme": "acme",
                                     "secrets": [SECRET]}).expect(201)
    answer = ask(server, "acme", "?name=%22you%22%0a&hello=world").expect(202)
    assert answer.json["proof"] == senders.hex_of(SECRET, b"world")
    assert answer.json["hello"] == '"you"\n'
