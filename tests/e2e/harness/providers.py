"""Providers whose libraries tests/clients/ has: what each sends, and how it signs.

Where the library can sign, it does (signer.js). Libraries that only verify get what is signed here
and by senders.py. Nothing of the server's takes part.
"""

import base64
import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Callable

from . import senders

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
WHSEC = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def _document(**members):
    """JSON that nobody has the same bytes of who parses it and writes it again. "@" becomes a number
    and more that can be written in several ways."""
    text = json.dumps(members, ensure_ascii=False, indent=3)
    return text.replace('"@"', '1.10e0, "é": "\\u00e9 😀 \\/"').encode()


# ---- How those sign whose libraries only verify --------------------------------------------------


def _slack(call):
    return senders.slack(call.body, call.secret, at=call.seconds)


def _shopify(call):
    return senders.shopify(call.body, call.secret)


def _razorpay(call):
    return {"X-Razorpay-Signature": senders.hex_of(call.secret, call.body)}


def _discord(call):
    return call.secret(call.body, at=call.seconds)


class SendGrid:
    """An account with a key pair; `public_key` is what its settings show."""

    def __init__(self):
        self._key = self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                                  "ec_paramgen_curve:P-256")
        der = self._openssl("pkey", "-pubout", "-outform", "DER", data=self._key)
        self.public_key = base64.b64encode(der).decode()

    @staticmethod
    def _openssl(*arguments, data=None):
        done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True)
        return done.stdout

    def __call__(self, body, at):
        with tempfile.NamedTemporaryFile() as key:
            key.write(self._key)
            key.flush()
            signature = self._openssl("dgst", "-sha256", "-sign", key.name,
                                      data=str(at).encode() + body)
        return {"X-Twilio-Email-Event-Webhook-Timestamp": str(at),
                "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode()}


def _sendgrid(call):
    return call.secret(call.body, call.seconds)


# ---- The providers -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    secret: str | senders.Discord | SendGrid
    body: bytes
    seconds: int


@dataclass(frozen=True)
class Provider:
    library: str
    scheme: str
    body: bytes
    type: str  # what it calls this event, as Trotline writes it
    secret: Callable  # makes what signs: a text, or an object with a key pair …
    other_secret: Callable  # … and one that is not the source's
    by_hand: Callable[[Call], dict] | None = None  # None: the library signs
    headers: dict = field(default_factory=dict)  # not signed
    content_type: str = JSON
    timed: bool = False  # the time is signed …
    library_judges_age: bool = False  # … and the library refuses what is too old

    def sign(self, signer, secret, body, seconds, url):
        """Headers (dict) and query of a request with this body."""
        query = ""
        if self.by_hand:
            signed = self.by_hand(Call(secret, body, seconds))
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
        secret=_text("It's a Secret to Everybody"),
        other_secret=_text("it's a secret to everybody"),
        headers={"X-GitHub-Event": "pull_request", "X-GitHub-Delivery": "72d3162e-cc78-11e3"}),
    "twilio form": Provider(
        "twilio", "twilio", type="callback", content_type=FORM,
        body=b"To=%2B15550100&Body=Gr%C3%BC%C3%9Fe+an+alle&MessageStatus=delivered&ApiVersion="
             b"&From=%2B1",
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
        headers={"X-Shopify-Shop-Domain": "a.myshopify.com", "X-Shopify-API-Version": "2025-07"}),
    "sendgrid": Provider(
        "@sendgrid/eventwebhook", "sendgrid", type="delivered", by_hand=_sendgrid,
        body=b'[{"email":"a@example.com","event":"delivered","sg_event_id":"Zu\xc3\x9fe"}]\r\n',
        secret=SendGrid, other_secret=SendGrid, timed=True),
    "discord": Provider(
        "discord-interactions", "discord", type="2", by_hand=_discord,
        body=_document(id="846462639134605312", type=2, n="@"),
        secret=senders.Discord, other_secret=senders.Discord, timed=True),
    "razorpay": Provider(
        "razorpay", "razorpay", type="payment.captured", by_hand=_razorpay,
        body=_document(entity="event", event="payment.captured", n="@"),
        secret=_text("a secret of the dashboard"), other_secret=_text("a secret of last month"),
        headers={"X-Razorpay-Event-Id": "evt_razor"}),
}
