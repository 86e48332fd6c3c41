"""What providers' own libraries sign is accepted, and what they would refuse is not; what
`passthrough` hands on verifies with the library as if the provider had sent it there.
"""

import http.client
import itertools
import json
import re
import time

import pytest
from harness import wait_until
from harness.clients import NodeSigner
from harness.providers import JSON, PROVIDERS, WHSEC

PUBLIC = "https://hooks.example.com/in/"  # what providers were told, before a proxy
STALE_SECONDS = 3600
SIGNATURE = re.compile("hmac|signature(?!-timestamp)", re.IGNORECASE)  # headers that carry one

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def signer():
    signer = NodeSigner()
    yield signer
    signer.close()


def post(port, path, body, headers):
    """As a provider does: a connection of its own, nothing of the API's. The status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body=body, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


class Sender:
    """One provider that has been told to call a source of its own."""

    def __init__(self, provider, signer, server, client):
        self.provider, self.signer, self.server = provider, signer, server
        self.name = f"p{next(numbers)}"
        self.url = PUBLIC + self.name
        self.secret = provider.secret()
        # what the source and the library are given
        self.verifies = getattr(self.secret, "public_key", self.secret)
        source = {"name": self.name, "scheme": provider.scheme, "secrets": [self.verifies],
                  "publicUrl": self.url}
        client.post("/api/sources", source).expect(201)

    def sign(self, secret=None, seconds=None):
        return self.provider.sign(self.signer, secret or self.secret, self.provider.body,
                                  int(time.time()) if seconds is None else seconds, self.url)

    def post(self, signed, body=None):
        headers, query = signed
        return post(self.server.port, f"/in/{self.name}" + (f"?{query}" if query else ""),
                    self.provider.body if body is None else body, headers)


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return PROVIDERS[request.param]


@pytest.fixture
def sender(provider, signer, server, client):
    return Sender(provider, signer, server, client)


@pytest.fixture
def receiver(sender, node_receiver):
    return node_receiver(sender.provider.library, sender.verifies, sender.url)


def changed(body):
    """The same length, and still JSON or a form: one letter of a value is another."""
    at = body.rindex(b"d")
    return body[:at] + b"b" + body[at + 1:]


def test_what_is_signed_arrives_and_still_verifies_there(sender, receiver, client):
    """A subscriber with the provider's own library finds the bytes and headers that were sent."""
    provider = sender.provider
    webhook = client.create_webhook(receiver.url("/theirs"), [f"{sender.name}.*"],
                                    scheme="passthrough")
    headers, _ = signed = sender.sign()
    assert 200 <= sender.post(signed) < 300
    got = receiver.next()
    assert got["verified"], got
    assert got["body"].encode() == provider.body
    assert got["headers"]["trotline-event-type"] == f"{sender.name}.{provider.type}"
    for name, value in headers.items():
        assert got["headers"][name.lower()] == value
    event = got["headers"]["trotline-event-id"]
    wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "sent", 5, "sent")


def test_server_and_library_refuse_the_same(sender, receiver, client):
    """Another body, another secret, no signature; and only what is good is handed on."""
    client.create_webhook(receiver.url("/theirs"), [f"{sender.name}.*"], scheme="passthrough")
    good, provider = sender.sign(), sender.provider
    forged = sender.sign(secret=provider.other_secret())
    bare = {name: value for name, value in good[0].items() if not SIGNATURE.search(name)}, good[1]
    for signed, body in [(good, changed(provider.body)), (good, provider.body + b" "),
                         (forged, provider.body), (bare, provider.body)]:
        # A hash in the URL does not fit another body: the request contradicts itself.
        expected = 400 if good[1] and body != provider.body else 401
        assert sender.post(signed, body) == expected
        assert post(receiver.port, "/direct", body, signed[0]) == 401
        assert receiver.next()["url"] == "/direct", "nothing but this has reached the receiver"
    assert post(receiver.port, "/direct", provider.body, good[0]) == 204
    assert receiver.next()["url"] == "/direct"
    assert 200 <= sender.post(good) < 300
    assert receiver.next()["url"] == "/theirs"


@pytest.mark.parametrize("provider", [name for name, p in PROVIDERS.items() if p.timed],
                         indirect=True)
def test_what_is_too_old_is_refused(sender, receiver):
    provider = sender.provider
    old = sender.sign(seconds=int(time.time()) - STALE_SECONDS)
    assert sender.post(old) == 400
    refuses = provider.library_judges_age
    assert post(receiver.port, "/direct", provider.body, old[0]) == (401 if refuses else 204)


def test_subscribers_of_another_scheme_get_the_bytes_signed_anew(sender, node_receiver, client):
    """The svix scheme's body is the event's data alone: JSON as it came, and else a JSON string."""
    provider = sender.provider
    receiver = node_receiver("svix", WHSEC)
    client.create_webhook(receiver.url("/ours"), [f"{sender.name}.*"], scheme="svix", secret=WHSEC)
    assert 200 <= sender.post(sender.sign()) < 300
    got = receiver.next()
    assert got["verified"], got
    if provider.content_type == JSON:
        assert got["body"].encode() == provider.body
    else:
        assert json.loads(got["body"]) == provider.body.decode()


@pytest.mark.parametrize("provider", ["stripe", "standardwebhooks", "svix", "octokit", "slack",
                                      "shopify", "razorpay"], indirect=True)
def test_our_own_signer_satisfies_the_library(sender, receiver, client):
    """`trotline source test` signs as the provider does, where the secret is not a public key; a
    webhook's own headers are those that the library asks for and that are not signed."""
    client.create_webhook(receiver.url("/theirs"), [f"{sender.name}.*"], scheme="passthrough",
                          headers=sender.provider.headers)
    done = sender.server.command("source", "test", sender.name, "--secret", sender.secret, "-",
                                 stdin=sender.provider.body)
    assert done.returncode == 0, done
    got = receiver.next()
    assert got["verified"], got
    assert got["body"].encode() == sender.provider.body
