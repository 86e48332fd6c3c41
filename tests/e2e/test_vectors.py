"""Requests that vendors' libraries accept (tests/vectors/inbound.jsonl), and everything that can be
done to them, through `trotline verify`.

What is signed cannot be changed; what is not, can: UNCOVERED says which is which for each scheme, and
is checked in both directions.
"""
import base64
import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TROTLINE_BIN", str(ROOT / "build" / "dev" / "trotline"))
LINES = (ROOT / "tests" / "vectors" / "inbound.jsonl").read_text(encoding="utf-8").splitlines()
VECTORS = [json.loads(line) for line in LINES]

# What a scheme leaves uncovered, of what a request of it consists of: somebody on the way could
# change it, and the request would still verify. No scheme but hubspot covers the method, none but
# hubspot, square and twilio the URL; other headers (Content-Type, say) are covered by nobody.
#
# scheme            headers                                        body
UNCOVERED = {
    "standard":     ([],                                           "none"),
    "standard_v1a": ([],                                           "none"),
    "stripe":       ([],                                           "none"),
    "github":       (["x-github-event", "x-github-delivery"],      "none"),
    "slack":        ([],                                           "none"),
    "shopify":      (["x-shopify-topic", "x-shopify-shop-domain", "x-shopify-api-version",
                      "x-shopify-webhook-id", "x-shopify-event-id"], "none"),
    "sendgrid":     ([],                                           "none"),
    "discord":      ([],                                           "none"),
    # Name and value of a parameter are signed without what divides them, and their order is not.
    "twilio":       ([],                                           "division and order of a form"),
    "square":       ([],                                           "none"),
    "linear":       (["linear-event", "linear-delivery"],          "none"),
    # Eight members of each item are signed, as text: whether "true" has quotes is not.
    "adyen_item":   ([],                                           "all but eight members"),
    "hubspot":      ([],                                           "none"),
    "twitch":       (["twitch-eventsub-message-type"],             "none"),
    "zoom":         ([],                                           "none"),
    "intercom":     ([],                                           "none"),
    "meta":         ([],                                           "none"),
    "dropbox":      ([],                                           "none"),
    "docusign":     ([],                                           "none"),
}
URL_COVERED = {"twilio", "square", "hubspot"}
METHOD_COVERED = {"hubspot"}

# scheme -> what its signatures and its secrets are written in
HEX = {"stripe", "github", "slack", "discord", "linear", "twitch", "zoom", "intercom", "meta",
       "dropbox"}
KEYS = {"standard": "base64", "standard_v1a": "base64", "sendgrid": "base64", "discord": "hex",
        "adyen_item": "hex"}
TOLERANCE = {"linear": 60, "twitch": 600}
MILLISECONDS = {"linear", "hubspot"}

HEX_SIGNATURE = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{128}|[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
BASE64_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{27,}={0,2}")


def run(*args, stdin=b""):
    return subprocess.run([BIN, "verify", "--json", *args], input=stdin, capture_output=True,
                          timeout=30, check=False)


def judge_all(vectors, *args):
    """The names of the verdicts, in one run."""
    lines = "".join(json.dumps(vector) + "\n" for vector in vectors)
    done = run("--vector", "-", *args, stdin=lines.encode())
    assert done.returncode in (0, 1), done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(vectors)
    for one in found:
        assert one["verified"] == (one["reason"] == "ok"), one
    assert (done.returncode == 0) == all(one["verified"] for one in found)
    for vector in vectors:
        shown = json.dumps(changed(vector, secrets=[]))  # Twilio's secret is part of its body, too
        for secret in vector["secrets"]:
            assert secret in shown or secret.encode() not in done.stdout + done.stderr
    return [one["reason"] for one in found]


def judge(vector, *args):
    return judge_all([vector], *args)[0]


def changed(vector, **members):
    return {**vector, **members}


def with_header(vector, name, value):
    headers = dict(vector["headers"])
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    return changed(vector, headers=headers)


def flip(raw, at):
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]


# ---- Signatures as text ---------------------------------------------------------------------------

def in_hex(vector):
    return vector["scheme"] in HEX


def signature_places(vector):
    """[(header or None for the body, match)] of each signature."""
    pattern = HEX_SIGNATURE if in_hex(vector) else BASE64_SIGNATURE
    if vector["scheme"] == "adyen_item":
        at = vector["body"].index('"hmacSignature":"') + len('"hmacSignature":"')
        return [(None, BASE64_SIGNATURE.search(vector["body"], at))]
    return [(name, match) for name, value in vector["headers"].items() if "signature" in name or
            "hmac" in name for match in pattern.finditer(value)]


def with_signatures(vector, change):
    """The vector with change(text) in place of each signature."""
    for name in dict.fromkeys(name for name, _ in signature_places(vector)):
        text = vector["body"] if name is None else vector["headers"][name]
        pattern = HEX_SIGNATURE if in_hex(vector) else BASE64_SIGNATURE
        if name is None:
            match = signature_places(vector)[0][1]
            vector = changed(vector, body=text[:match.start()] + change(match[0]) +
                             text[match.end():])
        else:
            vector = with_header(vector, name, pattern.sub(lambda m: change(m[0]), text))
    return vector


def flipper(vector, at):
    """A change of one bit of the decoded signature; the length stays."""
    if in_hex(vector):
        return lambda text: flip(bytes.fromhex(text), at % (len(text) // 2)).hex()
    return lambda text: base64.b64encode(
        flip(base64.b64decode(text), at % len(base64.b64decode(text)))).decode()


def signed_headers(vector):
    return [name for name in vector["headers"] if name not in UNCOVERED[vector["scheme"]][0]]


def timestamp(vector):
    """Where a time is signed: seconds; else None."""
    headers, scheme = vector["headers"], vector["scheme"]
    found = [value for name, value in headers.items() if "timestamp" in name]
    if scheme == "stripe":
        found = re.findall(r"t=(\d+)", headers["stripe-signature"])
    if scheme == "linear":
        found = [str(json.loads(vector["body"])["webhookTimestamp"])]
    if not found:
        return None
    if scheme == "twitch":
        return 1700000000  # 2023-11-14T22:13:20Z
    return int(found[0]) // (1000 if scheme in MILLISECONDS else 1)


each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])


# ---- The tests ------------------------------------------------------------------------------------

def test_all_are_there():
    """Each scheme of the vectors has its row, and none is for nothing."""
    assert {v["scheme"] for v in VECTORS} == set(UNCOVERED)


@each_vector
def test_verifies(vector):
    assert judge(vector) == "ok"
    if vector["name"] == "sw-rotate":  # each of its secrets alone does
        for secret in vector["secrets"]:
            assert judge(changed(vector, secrets=[secret])) == "ok"


@each_vector
def test_changed_body(vector):
    """Every byte that is covered matters."""
    body, uncovered = vector["body"], UNCOVERED[vector["scheme"]][1]
    assert judge(changed(vector, body=body + " ")) != "ok" or uncovered != "none"
    if uncovered == "none":
        others = [body[:-1] or "x"]
        others += [body[:at] + chr(ord(body[at]) ^ 1) + body[at + 1:] for at in range(len(body))]
        assert "ok" not in judge_all([changed(vector, body=other) for other in others])


def test_what_adyen_covers():
    """The eight members, each of them; nothing else. A member that is doubled is refused."""
    vector = next(v for v in VECTORS if v["scheme"] == "adyen_item")

    def put(old, new):
        assert vector["body"].count(old) == 1, old
        return judge(changed(vector, body=vector["body"].replace(old, new)))
    for old, new in [('"7914073381342284"', '"7914073381342285"'),
                     ('"originalReference":""', '"originalReference":"x"'),
                     ('"TestMerchant"', '"testMerchant"'),
                     ('"TestPayment-1407325143704"', '"TestPayment-140732514370"'),
                     ("1130", "1131"), ('"EUR"', '"USD"'),
                     ('"AUTHORISATION"', '"REFUND"'), ('"true"', '"false"')]:
        assert put(old, new) == "bad_signature", old
    assert put('"live":"false"', '"live":"true"') == "ok"
    assert put('"originalReference":"",', "") == "ok"  # not there is empty, as for its library
    assert put('"originalReference":""',
               '"originalReference":"a","originalReference":"b"') == "missing_header"
    assert put('"value":1130', '"value":1131,"value":1130') == "missing_header"
    assert put('"pspReference":"7914073381342284",', "") == "missing_header"
    # Every item has to be good, and there has to be one.
    forged = put('"notificationItems":[', '"notificationItems":[{"NotificationRequestItem":{}},')
    assert forged == "no_signature"
    assert judge(changed(vector, body='{"notificationItems":[]}')) == "no_signature"
    assert judge(changed(vector, body='{"notificationItems":{}}')) == "malformed"
    assert judge(changed(vector, body=vector["body"] + "x")) == "malformed"


def test_what_twilio_covers():
    """The parameters, decoded and in the order of their names. What divides name and value is not
    signed, and equal ones count once."""
    vector = next(v for v in VECTORS if v["scheme"] == "twilio")
    body = vector["body"]
    parts = body.split("&")
    for part in parts:
        assert judge(changed(vector, body=body.replace(part, part + "x"))) == "bad_signature"
        assert judge(changed(vector, body="&".join(p for p in parts if p != part))) != "ok"
    assert judge(changed(vector, body="&".join(reversed(parts)))) == "ok"
    assert judge(changed(vector, body=body + "&" + parts[0])) == "ok"
    assert judge(changed(vector, body=body.replace("Digits=1234", "Digits1=234"))) == "ok"
    assert judge(changed(vector, body=body.replace("%2B", "%2b"))) == "ok"
    assert judge(changed(vector, body=body.replace("%2B", "%ZZ"))) == "missing_header"
    assert judge(changed(vector, body=body + "&x=1")) == "bad_signature"


@each_vector
def test_changed_headers(vector):
    """A signed header cannot be changed, left out or doubled; the others can."""
    covered = signed_headers(vector)
    several = {name for name, _ in signature_places(vector)} \
        if len(signature_places(vector)) > 1 else set()  # one of them suffices
    for name, value in vector["headers"].items():
        other, gone = judge_all([with_header(vector, name, value + "0"),
                                 with_header(vector, name, None)])
        if name in several:
            continue  # test_changed_signatures has them
        if name in covered:
            assert other != "ok" and gone != "ok", name
        else:
            assert other == gone == "ok", name


def arguments(vector, doubled=None):
    args = ["--scheme", vector["scheme"], "--url", vector.get("url", "")]
    for secret in vector["secrets"]:
        args += ["--secret", secret]
    for name, value in vector["headers"].items():
        args += ["--header", f"{name}: {value}"] * (2 if name == doubled else 1)
    when = timestamp(vector)
    return args + (["--now", str(when)] if when else [])


@each_vector
def test_doubled_headers(vector):
    body = vector["body"].encode()
    assert run(*arguments(vector), stdin=body).returncode == 0
    for name in signed_headers(vector):
        done = run(*arguments(vector, doubled=name), stdin=body)
        assert done.returncode == 1, name


@each_vector
def test_changed_url_and_method(vector):
    url = vector.get("url", "https://example.com/")
    other = [url + "x", url.replace("https", "http"), url.replace(".com", ".org"), ""]
    for verdict in judge_all([changed(vector, url=text) for text in other]):
        assert (verdict == "ok") == (vector["scheme"] not in URL_COVERED)
    assert (judge(changed(vector, method="PUT")) == "ok") == (
        vector["scheme"] not in METHOD_COVERED)


@each_vector
def test_changed_signatures(vector):
    """Each byte of all signatures, as decoded; and as shorter, longer or no text."""
    length = len(base64.b64decode(signature_places(vector)[0][1][0])) if not in_hex(vector) else \
        len(signature_places(vector)[0][1][0]) // 2
    others = [with_signatures(vector, flipper(vector, at)) for at in range(length)]
    for change in (lambda text: text[:-4], lambda text: text + text, lambda text: "", lambda text:
                   "A" * len(text)):
        others.append(with_signatures(vector, change))
    assert "ok" not in judge_all(others)


@each_vector
def test_spelling_of_signatures(vector):
    """Hexadecimal in either case; base64 in one way only."""
    if in_hex(vector):
        assert judge(with_signatures(vector, str.upper)) == "ok"
        return
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def loose_bits(text):
        core = text.rstrip("=")
        last = alphabet[alphabet.index(core[-1]) ^ 1]  # a bit behind the last byte
        return core[:-1] + last + text[len(core):]

    for change in (lambda text: text.rstrip("="), lambda text: text + "=", lambda text: text + "\n",
                   lambda text: text[:8] + " " + text[8:]):
        assert judge(with_signatures(vector, change)) != "ok" or not any(
            change(m[0]) != m[0] for _, m in signature_places(vector))
    if all(match[0].endswith("=") for _, match in signature_places(vector)):
        loose = with_signatures(vector, loose_bits)
        assert loose != vector and judge(loose) != "ok"
    safe = with_signatures(vector, lambda text: text.replace("+", "-").replace("/", "_"))
    assert judge(safe) != "ok" or safe == vector


@each_vector
def test_changed_secrets(vector):
    """Each byte of every secret's key."""
    form = KEYS.get(vector["scheme"], "raw")

    def key_changed(secret, at):
        prefix, text = re.fullmatch(r"(whsec_|whpk_|)(.*)", secret).groups() if form != "raw" \
            else ("", secret)
        raw = {"raw": str.encode, "hex": bytes.fromhex, "base64": base64.b64decode}[form](text)
        raw = flip(raw, at % len(raw))
        return prefix + {"raw": bytes.decode, "hex": bytes.hex,
                         "base64": lambda r: base64.b64encode(r).decode()}[form](raw)
    others = [changed(vector, secrets=[key_changed(secret, at) for secret in vector["secrets"]])
              for at in range(32)]
    assert "ok" not in judge_all(others)
    assert judge(changed(vector, secrets=[])) == "bad_signature"
    # A good one among others is found, wherever it is.
    others = [key_changed(secret, 0) for secret in vector["secrets"]]
    assert judge(changed(vector, secrets=others + vector["secrets"] + others)) == "ok"


@each_vector
def test_age(vector):
    when, tolerance = timestamp(vector), TOLERANCE.get(vector["scheme"], 300)
    if when is None:
        assert judge(vector, "--now", "0") == "ok"
        return
    assert judge(vector, "--now", str(when + tolerance)) == "ok"
    assert judge(vector, "--now", str(when + tolerance + 1)) == "too_old"
    assert judge(vector, "--now", str(when - tolerance)) == "ok"
    assert judge(vector, "--now", str(when - tolerance - 1)) == "in_future"


@each_vector
def test_timestamp_is_strict(vector):
    """Digits and nothing else; a time that is written otherwise is not the one that was signed."""
    scheme = vector["scheme"]
    if timestamp(vector) is None or scheme in ("linear", "twitch"):
        return
    others = []
    for change in (lambda t: "0" + t, lambda t: "+" + t, lambda t: t + ".0", lambda t: "-" + t,
                   lambda t: t + "x", lambda t: "1e9", lambda t: "9" * 30):
        if scheme == "stripe":
            text = re.sub(r"t=(\d+)", lambda m: "t=" + change(m[1]),
                          vector["headers"]["stripe-signature"])
            others.append(with_header(vector, "stripe-signature", text))
        else:
            name = next(n for n in vector["headers"] if "timestamp" in n)
            others.append(with_header(vector, name, change(vector["headers"][name])))
    assert set(judge_all(others)) == {"malformed"}


def test_two_times():
    """Which of two would have been signed is not ours to choose."""
    vector = next(v for v in VECTORS if v["scheme"] == "stripe")
    text = vector["headers"]["stripe-signature"]
    assert judge(with_header(vector, "stripe-signature", text + ",t=1700000000")) == \
        "missing_header"
    # Other entries, of versions that we do not know, are passed over.
    assert judge(with_header(vector, "stripe-signature", text + ",v0=00,x")) == "ok"


def test_sixteen_candidates():
    """The sixteenth signature counts, the seventeenth does not."""
    vector = next(v for v in VECTORS if v["name"] == "sw-spec1")
    good = vector["headers"]["webhook-signature"]
    bad = "v1," + base64.b64encode(bytes(32)).decode()
    for others, verdict in ((15, "ok"), (16, "bad_signature")):
        text = " ".join([bad] * others + [good])
        assert judge(with_header(vector, "webhook-signature", text)) == verdict
