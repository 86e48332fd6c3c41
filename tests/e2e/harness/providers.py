"""Providers whose libraries tests/clients/ has: what each sends, and how it signs.

Where the library can sign, it does (signer.js). Libraries that only verify get what is signed here, by
hmac and the openssl command. Nothing of the server's takes part.
"""

import base64
import functools
import hashlib
import hmac
import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
WHSEC = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def _document(**members):
    """JSON as no serialiser of ours writes it: whoever parses it and writes it again has other bytes."""
    text = json.dumps(members, ensure_ascii=False, indent=3)
    return text.replace('"@"', '1.10e0, "é": "\\u00e9 😀 \\/"').encode()


# ---- Keys and signatures by openssl --------------------------------------------------------------


def _openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


@functools.cache
def _private_key(*options):
    """A new private key for this run, PEM."""
    return _openssl("genpkey", *options)


def _ed25519_key():
    return _private_key("-algorithm", "ed25519")


def _p256_key():
    return _private_key("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def _public_der(private):
    return _openssl("pkey", "-pubout", "-outform", "DER", data=private)


def _signature(private, content, *command):
    """Neither form of signing takes both key and content from a pipe."""
    with tempfile.TemporaryDirectory() as directory:
        key, data = Path(directory) / "key.pem", Path(directory) / "data"
        key.write_bytes(private)
        data.write_bytes(content)
        return _openssl(*(argument.format(key=key, data=data) for argument in command))


def _ed25519(private, content):
    return _signature(private, content, "pkeyutl", "-sign", "-rawin", "-inkey", "{key}",
                      "-in", "{data}")


def _ecdsa(private, content):
    return _signature(private, content, "dgst", "-sha256", "-sign", "{key}", "{data}")


def _mac(secret, content):
    return hmac.new(secret.encode(), content, hashlib.sha256)


# ---- How those sign whose libraries only verify --------------------------------------------------


def _slack(call):
    mac = _mac(call.secret, f"v0:{call.seconds}:".encode() + call.body)
    return {"X-Slack-Request-Timestamp": str(call.seconds),
            "X-Slack-Signature": "v0=" + mac.hexdigest()}


def _shopify(call):
    mac = _mac(call.secret, call.body).digest()
    return {"X-Shopify-Hmac-Sha256": base64.b64encode(mac).decode()}


def _razorpay(call):
    return {"X-Razorpay-Signature": _mac(call.secret, call.body).hexdigest()}


def _sendgrid(call):
    signature = _ecdsa(call.secret, str(call.seconds).encode() + call.body)
    return {"X-Twilio-Email-Event-Webhook-Timestamp": str(call.seconds),
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode()}


def _discord(call):
    signature = _ed25519(call.secret, str(call.seconds).encode() + call.body)
    return {"X-Signature-Timestamp": str(call.seconds), "X-Signature-Ed25519": signature.hex()}


# ---- The providers -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """What is signed. `secret` is the one that signs: a private key where there are two."""

    secret: str | bytes
    body: bytes
    seconds: int
    url: str


@dataclass(frozen=True)
class Provider:
    library: str
    scheme: str
    body: bytes
    type: str  # what it calls this event, as Trotline writes it
    secret: Callable[[], str | bytes]  # what signs …
    other_secret: Callable[[], str | bytes]  # … and one that is not the source's
    public: Callable[[str | bytes], str] = staticmethod(lambda secret: secret)  # what verifies
    by_hand: Callable[[Call], dict] | None = None  # None: the library signs
    headers: dict = field(default_factory=dict)  # not signed
    content_type: str = JSON
    timed: bool = False  # the time is signed …
    library_judges_age: bool = False  # … and the library refuses what is too old

    def sign(self, signer, secret, body, seconds, url):
        """Headers (dict) and query of a request with this body."""
        query = ""
        if self.by_hand:
            signed = self.by_hand(Call(secret, body, seconds, url))
        else:
            signed, query = signer.sign(self.library, body, secret=secret, seconds=seconds, url=url,
                                        id=f"msg_{seconds}", json=self.content_type == JSON)
        return {"Content-Type": self.content_type, **self.headers, **signed}, query


def _text(text):
    return lambda: text


PROVIDERS = {
    "stripe": Provider(
        "stripe", "stripe", type="invoice.paid",
        body=_document(id="evt_1", object="event", n="@", type="invoice.paid"),
        secret=_text("whsec_all of this is the key"), other_secret=_text("whsec_another"),
        timed=True, library_judges_age=True),
    "standardwebhooks": Provider(
        "standardwebhooks", "standard", type="user.created",
        body=_document(type="user.created", n="@"),
        secret=_text(WHSEC), other_secret=_text(WHSEC.replace("AAEC", "BBEC")),
        timed=True, library_judges_age=True),
    "svix": Provider(
        "svix", "svix", type="user.created",
        body=_document(type="user.created", n="@"),
        secret=_text(WHSEC), other_secret=_text(WHSEC.replace("AAEC", "BBEC")),
        timed=True, library_judges_age=True),
    "octokit": Provider(
        "@octokit/webhooks-methods", "github", type="pull_request",
        body=_document(action="opened", n="@"),
        secret=_text("It's a Secret to Everybody"), other_secret=_text("it's a secret to everybody"),
        headers={"X-GitHub-Event": "pull_request", "X-GitHub-Delivery": "72d3162e-cc78-11e3"}),
    "twilio form": Provider(
        "twilio", "twilio", type="callback", content_type=FORM,
        body=b"To=%2B15550100&Body=Gr%C3%BC%C3%9Fe+an+alle&MessageStatus=delivered&ApiVersion=&From=%2B1",
        secret=_text("0123456789abcdef0123456789abcdef"), other_secret=_text("f" * 32)),
    "twilio json": Provider(
        "twilio", "twilio", type="callback",
        body=_document(status="delivered", n="@"),
        secret=_text("0123456789abcdef0123456789abcdef"), other_secret=_text("f" * 32)),
    "slack": Provider(
        "@slack/bolt", "slack", type="app_mention", by_hand=_slack,
        body=_document(event_id="Ev1", type="event_callback", n="@", event={"type": "app_mention"}),
        secret=_text("8f742231b10e8888abcd99yyyzzz85a5"), other_secret=_text("e" * 32),
        timed=True, library_judges_age=True),
    "shopify": Provider(
        "@shopify/shopify-api", "shopify", type="orders.create", by_hand=_shopify,
        body=_document(id=820982911946154508, n="@"),
        secret=_text("shpss_b4d2e1"), other_secret=_text("shpss_b4d2e2"),
        headers={"X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "b54557e4",
                 "X-Shopify-Shop-Domain": "a.myshopify.com", "X-Shopify-API-Version": "2025-07"}),
    "sendgrid": Provider(
        "@sendgrid/eventwebhook", "sendgrid", type="delivered", by_hand=_sendgrid,
        body=b'[{"email":"a@example.com","event":"delivered","sg_event_id":"Zu\xc3\x9fe"}]\r\n',
        secret=_p256_key, other_secret=lambda: _openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                                                        "ec_paramgen_curve:P-256"),
        public=lambda key: base64.b64encode(_public_der(key)).decode(), timed=True),
    "discord": Provider(
        "discord-interactions", "discord", type="2", by_hand=_discord,
        body=_document(id="846462639134605312", type=2, n="@"),
        secret=_ed25519_key, other_secret=lambda: _openssl("genpkey", "-algorithm", "ed25519"),
        public=lambda key: _public_der(key)[-32:].hex(), timed=True),
    "razorpay": Provider(
        "razorpay", "razorpay", type="payment.captured", by_hand=_razorpay,
        body=_document(entity="event", event="payment.captured", n="@"),
        secret=_text("a secret of the dashboard"), other_secret=_text("a secret of last month"),
        headers={"X-Razorpay-Event-Id": "evt_razor"}),
}
