"""Requests to /in/{source} are signed, each sender's in its own way: with which secrets, when, and over
what."""

import re
import time
import urllib.parse

import pytest
from harness import senders, wait_until
from harness.senders import SECRET, post

OTHER = "Somebody else's secret, as it seems"
BODY = b'{"id":"evt_1","type":"charge.succeeded","n":1}'

WHSEC, WHSEC_OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_plJ3nmyCDGBKInavdOK15jsl"
SIGN = {  # scheme -> (its secret, another, function of body, secret and time that makes headers)
    "stripe": (SECRET, OTHER, lambda body, secret, at: senders.stripe(body, secret, at=at)),
    "slack": (SECRET, OTHER, lambda body, secret, at: senders.slack(body, secret, at)),
    "zoom": (SECRET, OTHER, lambda body, secret, at: senders.zoom(body, secret, at)),
    "twitch": (SECRET, OTHER, lambda body, secret, at: senders.twitch(body, secret, at=at)),
    "standard": (WHSEC, WHSEC_OTHER,
                 lambda body, secret, at: senders.standard(body, secret, at=at)),
    "github": (SECRET, OTHER, lambda body, secret, at: senders.github(body, secret)),
    "shopify": (SECRET, OTHER, lambda body, secret, at: senders.shopify(body, secret)),
    "gitlab": (SECRET, OTHER, lambda body, secret, at: senders.gitlab(body, secret)),
}
TIMED = ("stripe", "slack", "zoom", "twitch", "standard")


@pytest.mark.parametrize("scheme", SIGN)
def test_a_signature_is_asked_for(server, make_source, scheme):
    secret, other, sign = SIGN[scheme]
    source = make_source(scheme, secrets=[secret])
    headers = sign(BODY, secret, None)
    post(server, source, BODY, headers).expect(200)
    post(server, source, BODY, sign(BODY, other, None)).expect(401)
    if scheme != "gitlab":  # whose token covers nothing
        post(server, source, BODY + b" ", headers).expect(401)
    bare = {name: value for name, value in headers.items()
            if not re.search(r"(?i)signature|hmac|token", name)}
    assert len(bare) < len(headers)
    answer = post(server, source, BODY, bare).expect(401)
    assert SECRET not in repr(answer)


@pytest.mark.parametrize("scheme", TIMED)
def test_a_signature_has_its_time(server, make_source, scheme):
    secret, _, sign = SIGN[scheme]
    source = make_source(scheme, secrets=[secret], tolerance={"past": "100s", "future": "50s"})
    for age, status in ((90, 200), (-40, 200), (110, 400), (-60, 400), (10 ** 8, 400)):
        post(server, source, BODY, sign(BODY, secret, time.time() - age)).expect(status)
    patient = make_source(scheme, secrets=[secret], tolerance="off")
    post(server, patient, BODY, sign(BODY, secret, time.time() - 10 ** 7)).expect(200)


def test_a_time_that_is_none(server, client, make_source):
    source = make_source("slack")
    for stamp in ("", "soon", "-1", "1e9", "99999999999999999999999"):
        headers = {**senders.slack(BODY, SECRET), "X-Slack-Request-Timestamp": stamp}
        assert post(server, source, BODY, headers).status == 400, stamp


def test_a_secret_is_rolled(server, client, make_source):
    """Both are taken while both are there; a change counts from its answer on."""
    source = make_source("github")
    path = f"/api/sources/{source}"

    def statuses():
        return [post(server, source, BODY, senders.github(BODY, secret)).status
                for secret in (SECRET, OTHER)]
    assert statuses() == [200, 401]
    for secrets, expected in (([OTHER, SECRET], [200, 200]), ([OTHER], [401, 200])):
        client.put(path, {"scheme": "github", "secrets": secrets}).expect(200)
        assert statuses() == expected


def test_a_secret_expires(server, make_source):
    until = time.time() + 3
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    source = make_source("github", secrets=[OTHER, {"secret": SECRET, "expiresAt": expires}])

    def status(secret):
        return post(server, source, BODY, senders.github(BODY, secret)).status
    assert status(SECRET) == 200
    wait_until(lambda: status(SECRET) == 401, 10, "the secret to expire")
    assert status(OTHER) == 200


def test_several_signatures_of_which_one_is_good(server, make_source):
    source = make_source("stripe")
    post(server, source, BODY, senders.stripe(BODY, OTHER, SECRET)).expect(200)
    post(server, source, BODY, senders.stripe(BODY, OTHER, OTHER)).expect(401)
    many = senders.stripe(BODY, *[OTHER] * 50, SECRET)
    assert post(server, source, BODY, many).status == 401, "not all of so many are tried"


def test_a_public_key(server, make_source):
    app, stranger = senders.Discord(), senders.Discord()
    source = make_source("discord", secrets=[app.public_key])
    post(server, source, BODY, app(BODY)).expect(200)
    post(server, source, BODY, stranger(BODY)).expect(401)


def test_a_signed_header_that_is_there_twice(server, client, make_source):
    for name in ("X-Hub-Signature-256", "x-hub-signature-256"):
        source = make_source("github")
        request = senders.request_bytes(source, BODY, senders.github(BODY, SECRET))
        again = f"\r\n{name}: {senders.github(BODY, SECRET)['X-Hub-Signature-256']}\r\n\r\n"
        assert client.raw(request).startswith(b"HTTP/1.1 200 ")
        answer = client.raw(request.replace(b"\r\n\r\n", again.encode(), 1))
        assert answer.startswith(b"HTTP/1.1 401 "), answer


# ---- what else is signed -----------------------------------------------------------------------------

URL = "https://hooks.example.com/in/from?the=console"


def test_the_url_that_the_sender_was_told(server, make_source):
    """Never that which a request claims to be sent to."""
    source = make_source("square", publicUrl=URL)
    post(server, source, BODY, senders.square(BODY, SECRET, URL)).expect(200)
    for other in (URL + "&x=1", URL.replace("https", "http"), server.url + f"/in/{source}",
                  "https://evil.example/in/from?the=console"):
        headers = {**senders.square(BODY, SECRET, other), "Host": other.split("/")[2],
                   "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
        post(server, source, BODY, headers).expect(401)


def test_the_query_of_a_url_is_the_requests_where_none_is_configured(server, make_source):
    url = "https://hooks.example.com/in/square"
    source = make_source("square", publicUrl=url)
    headers = senders.square(BODY, SECRET, url + "?a=1&b=%20")
    post(server, source, BODY, headers, path="?a=1&b=%20").expect(200)
    for query in ("?a=1&b=+", "?b=%20&a=1", ""):
        post(server, source, BODY, headers, path=query).expect(401)


def test_a_form_in_the_order_of_its_names(server, make_source):
    source = make_source("twilio", publicUrl=URL)
    form = {"To": "+1 800", "Body": "\u00e9 & more", "AccountSid": "AC1", "Empty": ""}
    headers = senders.twilio(form, SECRET, URL)
    body = urllib.parse.urlencode(form).encode()
    post(server, source, body, headers).expect(200)
    post(server, source, body.replace(b"AC1", b"AC2"), headers).expect(401)
    post(server, source, body + b"&Extra=1", headers).expect(401)


# ---- how it is sent ----------------------------------------------------------------------------------

def test_a_body_in_chunks(server, client, make_source):
    source = make_source()
    head, body = senders.request_bytes(source, BODY, senders.github(BODY, SECRET)).split(
        b"\r\n\r\n", 1)
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:7], body[7:]))
    request = head + b"\r\n\r\n" + chunks + b"0\r\n\r\n"
    assert client.raw(request).startswith(b"HTTP/1.1 200 ")
    assert client.raw(request, pieces=5).startswith(b"HTTP/1.1 200 ")
    assert client.raw(request.replace(b"evt_1", b"evt_2")).startswith(b"HTTP/1.1 401 ")


def test_several_requests_ahead(server, client, make_source):
    """Each answered for itself, in their order."""
    source = make_source()
    requests = [senders.request_bytes(source, BODY, senders.github(BODY, secret, id=str(n)))
                for n, secret in enumerate((SECRET, OTHER, SECRET, SECRET, OTHER))]
    answer, _ = client.raw_exchange(b"".join(requests), answers=5)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
    assert statuses == [b"200", b"401", b"200", b"200", b"401"]


def test_a_handshake_brings_the_secret(server, make_source, client):
    """Its first request brings the secret, which is stored before it is echoed, and only once."""
    source = make_source("asana", secrets=[])
    secret = "b537207f20cbfa02357cf448134da559"
    body = b'{"events":[]}'
    signed = {"X-Hook-Signature": senders.hex_of(secret, body)}
    post(server, source, body, signed).expect(401)
    for bad in ({"X-Hook-Secret": "a\x80"}, {"X-Hook-Secret": "x" * 3000}):
        assert post(server, source, b"", bad).status in (400, 401)
    answer = post(server, source, b"", {"X-Hook-Secret": secret}).expect(200)
    assert answer.header("X-Hook-Secret") == secret
    assert len(client.get(f"/api/sources/{source}").expect(200).json["secrets"]) == 1
    post(server, source, body, signed).expect(200)
    other = post(server, source, b"", {"X-Hook-Secret": "of-somebody-else"}).expect(401)
    assert other.header("X-Hook-Secret") is None
    post(server, source, body, signed).expect(200)
