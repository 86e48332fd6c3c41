"""Third parties, as they send: each signs a body as its own documentation says, without anything of
the server's.

    headers = senders.github(b"{}", "the secret", type="push", id="1")
    post(server, "hooks", b"{}", headers)

`at` is the time a request is signed at, Unix seconds; now if it is not given. What a sender has no
header for is in the body, which is the test's.
"""

import base64
import hashlib
import hmac
import subprocess
import tempfile
import time
from pathlib import Path

from . import schemes

SECRET = "It's a Secret to Everybody"  # of those who do not say which


def _now(at):
    return str(int(time.time() if at is None else at))


def _mac(secret, content):
    key = secret if isinstance(secret, bytes) else secret.encode()
    return hmac.new(key, content, hashlib.sha256)


def hex_of(secret, content):
    return _mac(secret, content).hexdigest()


def base64_of(secret, content):
    return base64.b64encode(_mac(secret, content).digest()).decode()


# ---- signing -----------------------------------------------------------------------------------------

def github(body, secret, type="push", id="1", at=None):
    return {"X-GitHub-Event": type, "X-GitHub-Delivery": id,
            "X-Hub-Signature-256": "sha256=" + hex_of(secret, body)}


def stripe(body, *secrets, at=None):
    """One v1 for each secret, as while a secret is rolled."""
    words = [f"t={_now(at)}"]
    words += ["v1=" + hex_of(secret, words[0][2:].encode() + b"." + body) for secret in secrets]
    return {"Stripe-Signature": ",".join(words)}


def slack(body, secret, at=None):
    content = f"v0:{_now(at)}:".encode() + body
    return {"X-Slack-Request-Timestamp": _now(at),
            "X-Slack-Signature": "v0=" + hex_of(secret, content)}


def standard(body, *secrets, id="msg_1", at=None):
    content = f"{id}.{_now(at)}.".encode() + body
    signatures = ["v1," + base64_of(schemes.whsec(secret), content) for secret in secrets]
    return {"webhook-id": id, "webhook-timestamp": _now(at),
            "webhook-signature": " ".join(signatures)}


def shopify(body, secret, type="orders/create", id="1"):
    return {"X-Shopify-Topic": type, "X-Shopify-Webhook-Id": id,
            "X-Shopify-Hmac-Sha256": base64_of(secret, body)}


def zoom(body, secret, at=None):
    content = f"v0:{_now(at)}:".encode() + body
    return {"x-zm-request-timestamp": _now(at), "x-zm-signature": "v0=" + hex_of(secret, content)}


def twitch(body, secret, type="notification", id="1", at=None):
    """With nanoseconds, as Twitch writes them."""
    seconds = time.time() if at is None else at
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".123456789Z"
    content = (id + stamp).encode() + body
    return {"Twitch-Eventsub-Message-Id": id, "Twitch-Eventsub-Message-Type": type,
            "Twitch-Eventsub-Message-Timestamp": stamp,
            "Twitch-Eventsub-Message-Signature": "sha256=" + hex_of(secret, content)}


def meta(body, secret):
    return {"X-Hub-Signature-256": "sha256=" + hex_of(secret, body)}


def asana(body, secret):
    return {"X-Hook-Signature": hex_of(secret, body)}


def xero(body, secret):
    return {"x-xero-signature": base64_of(secret, body)}


def gitlab(body, secret, type="Push Hook", id="1"):
    """A token that is the secret itself."""
    return {"X-Gitlab-Event": type, "X-Gitlab-Event-UUID": id, "X-Gitlab-Token": secret}


def twilio(form, secret, url, id="1"):
    """`form` is a dictionary; the URL is what Twilio was told."""
    text = url + "".join(name + form[name] for name in sorted(form))
    mac = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return {"Content-Type": "application/x-www-form-urlencoded", "I-Twilio-Idempotency-Token": id,
            "X-Twilio-Signature": base64.b64encode(mac).decode()}


def square(body, secret, url):
    return {"X-Square-HmacSha256-Signature": base64_of(secret, url.encode() + body)}


class Discord:
    """An application with a key pair; `public_key` is what its settings show."""

    def __init__(self):
        done = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-outform", "DER"],
                              capture_output=True, check=True)
        self._key = done.stdout
        done = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
                              input=self._key, capture_output=True, check=True)
        self.public_key = done.stdout[-32:].hex()  # RFC 8410 section 4: the key ends it

    def __call__(self, body, at=None):
        stamp = _now(at)
        with tempfile.TemporaryDirectory() as directory:
            key, content = Path(directory) / "key", Path(directory) / "content"
            key.write_bytes(self._key)
            content.write_bytes(stamp.encode() + body)
            done = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key,
                                   "-keyform", "DER", "-in", content],
                                  capture_output=True, check=True)
        return {"X-Signature-Timestamp": stamp, "X-Signature-Ed25519": done.stdout.hex()}


# ---- sending -----------------------------------------------------------------------------------------

def post(daemon, source, body, headers, method="POST", path=""):
    """One request of a stranger to /in/{source}, of application/json if `headers` do not say else;
    the Answer. `path` goes behind the name: a query."""
    with daemon.client(key=None) as client:
        return client.request(method, f"/in/{source}{path}", body=body, headers=headers)


def request_bytes(source, body, headers):
    """The same as bytes, for those who send many."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (f"POST /in/{source} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body
