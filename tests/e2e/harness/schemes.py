"""Verifying deliveries without anything of the server's: hmac, base64, and the openssl command.

Each function takes a sink.Request and a secret as the API shows it, and raises AssertionError with
the reason when the delivery does not verify.
"""

import base64
import hashlib
import hmac
import re
import subprocess
import tempfile
from pathlib import Path

from . import rawjson

MESSAGE_ID = re.compile(r"msg_[0-9A-Za-z]{27}")
RFC3339_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _mac(key, content):
    return hmac.new(key, content, hashlib.sha256).digest()


def _once(request, name):
    values = request.headers_named(name)
    assert len(values) == 1, f"{name} stands there {len(values)} times: {request}"
    return values[0]


def _near_now(seconds, request):
    assert abs(seconds - request.wall) < 10, f"timestamp {seconds} is not of this attempt: {request}"


def whsec(secret):
    """The key's bytes of a `whsec_…` secret."""
    assert secret.startswith("whsec_"), secret
    return base64.b64decode(secret[len("whsec_"):], validate=True)


def signatures(request, family="webhook"):
    """The list in webhook-signature: [["v1", "…base64…"], …]."""
    return [entry.split(",", 1) for entry in _once(request, f"{family}-signature").split(" ")]


def signed_content(request, family="webhook"):
    identifier, timestamp = _once(request, f"{family}-id"), _once(request, f"{family}-timestamp")
    assert MESSAGE_ID.fullmatch(identifier), identifier
    assert re.fullmatch(r"[1-9]\d{9}", timestamp), timestamp
    _near_now(int(timestamp), request)
    return f"{identifier}.{timestamp}.".encode() + request.body


def standard(request, secret, family="webhook"):
    # Compared as text, as the JavaScript libraries do: padding and alphabet count.
    mac = base64.b64encode(_mac(whsec(secret), signed_content(request, family))).decode()
    assert ["v1", mac] in signatures(request, family), f"no signature matches: {request}"
    if family == "webhook":
        members = rawjson.members(request.body)
        assert list(members) == ["type", "timestamp", "data"], list(members)
        assert RFC3339_MS.fullmatch(members["timestamp"][1:-1]), members["timestamp"]


def svix(request, secret):
    standard(request, secret, "svix")


def event(request, secret):
    timestamp = _once(request, "X-Webhook-Timestamp")
    assert re.fullmatch(r"[1-9]\d{9}", timestamp), timestamp
    _near_now(int(timestamp), request)
    assert MESSAGE_ID.fullmatch(_once(request, "X-Webhook-Delivery-ID"))
    expected = "sha256=" + _mac(bytes.fromhex(secret), request.body).hex()
    assert _once(request, "X-Webhook-Signature-256") == expected, f"does not match: {request}"
    members = rawjson.members(request.body)
    assert list(members) == ["id", "type", "timestamp", "data", "version", "source"], list(members)
    assert members["type"] == f'"{_once(request, "X-Webhook-Event-Type")}"'


def guide(request, secret):
    timestamp = _once(request, "X-Webhook-Timestamp")
    assert re.fullmatch(r"[1-9]\d{12}", timestamp), timestamp
    _near_now(int(timestamp) / 1000, request)
    expected = _mac(secret.encode(), request.body).hex()
    assert _once(request, "X-Webhook-Signature") == expected, f"does not match: {request}"
    members = rawjson.members(request.body)
    assert list(members) == ["event", "timestamp", "payload"], list(members)
    assert RFC3339_MS.fullmatch(members["timestamp"][1:-1]), members["timestamp"]
    assert members["event"] == f'"{_once(request, "X-Webhook-Event")}"'


def basic(request, secret):
    expected = _mac(secret.encode(), request.body).hex()
    assert _once(request, "X-Signature") == expected, f"does not match: {request}"
    members = rawjson.members(request.body)
    assert list(members) == ["id", "type", "data", "timestamp"], list(members)
    assert members["type"] == f'"{_once(request, "X-Event-Type")}"'


def ed25519(request, public_key):
    """`v1a`: `public_key` is `whpk_` and base64 of 32 bytes; openssl does the verifying."""
    assert public_key.startswith("whpk_"), public_key
    raw = base64.b64decode(public_key[len("whpk_"):], validate=True)
    assert len(raw) == 32, f"a public key of {len(raw)} bytes"
    # SubjectPublicKeyInfo of an Ed25519 key, RFC 8410 section 4: a fixed head and the 32 bytes.
    der = bytes.fromhex("302a300506032b6570032100") + raw
    content = signed_content(request)
    entries = [base64.b64decode(text, validate=True)
               for version, text in signatures(request) if version == "v1a"]
    assert entries, f"no v1a signature: {request}"
    with tempfile.TemporaryDirectory() as directory:
        key, data, signature = (Path(directory) / name for name in ("key", "data", "sig"))
        key.write_bytes(der)
        data.write_bytes(content)
        for entry in entries:
            signature.write_bytes(entry)
            done = subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform",
                                   "DER", "-inkey", key, "-in", data, "-sigfile", signature],
                                  capture_output=True, check=False)
            if done.returncode == 0:
                return
    raise AssertionError(f"no v1a signature matches: {request}")


VERIFY = {"standard": standard, "svix": svix, "event": event, "guide": guide, "basic": basic}
