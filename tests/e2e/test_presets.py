"""Each built-in description of a sender, against requests that are made here with Python's hmac and
openssl from what the sender documents; nothing of the scheme files is used for that.

Those of tests/vectors are left to test_vectors.py. A scheme that has neither is an error.
"""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import zlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TROTLINE_BIN", str(ROOT / "build" / "dev" / "trotline"))
OURS = {"svix", "event", "guide", "basic"}  # for sending: tests/unit/test_scheme.c

NOW = 1700000000
MS = NOW * 1000 + 123
RFC3339 = "2023-11-14T22:13:20.123456789Z"
KEY = "a secret of somebody"
URL = "https://hooks.example.com/in/x"


def mac(text, algorithm="sha256", key=KEY):
    return hmac.new(key.encode(), text.encode(), algorithm).digest()


def hexed(text, **how):
    return mac(text, **how).hex()


def b64(text, **how):
    return base64.b64encode(mac(text, **how)).decode()


def b64url(text):
    return base64.urlsafe_b64encode(mac(text)).decode().rstrip("=")


def kv(body, prefix="v1", time=NOW, separator=",", join=".", key="t"):
    return f"{key}={time}{separator}{prefix}=" + hexed(f"{time}{join}{body}")


# scheme -> the request: body, headers, and what else it needs; then the id and the type that are
# found, where the id is none for the hash of the body.
def request(body, headers=None, kind=None, identity=None, secret=KEY, **more):
    return {"body": body, "headers": headers or {}, "type": kind, "id": identity,
            "secret": secret, **more}


A = '{"id":"e1","type":"a.b","event":"c.d"}'
MAILGUN = '{"signature":{"timestamp":"1700000000","token":"T","signature":"%s"},"event-data":' \
          '{"event":"opened","id":"z"}}'
GRAPH = '{"value":[{"clientState":"%s","changeType":"created"},{"clientState":"%s"}]}'
BASIC = base64.b64encode(b"user:pass word").decode()
PADDLE = '{"event_id":"evt_1","event_type":"transaction.paid"}'

REQUESTS = {
    "mailgun": request(MAILGUN % hexed("1700000000T"), kind="opened", identity="T"),
    "paddle": request(PADDLE, {"Paddle-Signature": kv(PADDLE, "h1", separator=";", join=":",
                                                      key="ts")}, "transaction.paid", "evt_1"),
    "gitlab": request(A, {"X-Gitlab-Token": KEY, "X-Gitlab-Event": "Push Hook",
                          "X-Gitlab-Event-UUID": "u1"}, "Push Hook", "u1"),
    "bitbucket": request(A, {"X-Hub-Signature": "sha256=" + hexed(A), "X-Event-Key": "repo:push",
                             "X-Request-UUID": "r1"}, "repo:push", "r1"),
    "graph": request(GRAPH % (KEY, KEY), kind="created"),
    "razorpay": request(A, {"X-Razorpay-Signature": hexed(A), "X-Razorpay-Event-Id": "r2"}, "c.d",
                        "r2"),
    "adyen_platform": request(A, {"HmacSignature": b64(A, key="\x01\x02\x03\x04")}, "a.b",
                              secret="01020304"),
    "telegram": request('{"update_id":7,"message":{}}', {"X-Telegram-Bot-Api-Secret-Token": KEY},
                        "update", "7"),
    "x": request(A, {"x-twitter-webhooks-signature": "sha256=" + b64(A)}, "activity"),
    "zendesk": request(A, {"X-Zendesk-Webhook-Signature": b64(RFC3339 + A),
                           "X-Zendesk-Webhook-Signature-Timestamp": RFC3339}, "a.b", "e1"),
    "jira": request('{"webhookEvent":"jira:issue_created"}', {
        "X-Hub-Signature": "sha256=" + hexed('{"webhookEvent":"jira:issue_created"}'),
        "X-Atlassian-Webhook-Identifier": "j1"}, "jira:issue_created", "j1"),
    "notion": request(A, {"X-Notion-Signature": "sha256=" + hexed(A)}, "a.b", "e1"),
    "doppler": request(A, {"X-Doppler-Signature": "sha256=" + hexed(A)}, "a.b"),
    "cursor": request(A, {"X-Webhook-Signature": "sha256=" + hexed(A), "X-Webhook-ID": "w1",
                          "X-Webhook-Event": "statusChange"}, "statusChange", "w1"),
    "asana": request('{"events":[]}', {"X-Hook-Signature": hexed('{"events":[]}')}, "events"),
    "front": request(A, {"X-Front-Signature": b64(f"{MS}:{A}"), "X-Front-Request-Timestamp": MS},
                     "a.b", "e1"),
    "xero": request(A, {"x-xero-signature": b64(A)}, "events"),
    "trello": request('{"action":{"id":"t1","type":"updateCard"}}', {"x-trello-webhook": b64(
        '{"action":{"id":"t1","type":"updateCard"}}' + URL, algorithm="sha1")}, "updateCard", "t1",
                      url=URL),
    "vercel": request(A, {"x-vercel-signature": hexed(A, algorithm="sha1")}, "a.b", "e1"),
    "typeform": request('{"event_id":"f1","event_type":"form_response"}', {
        "Typeform-Signature": "sha256=" + b64('{"event_id":"f1","event_type":"form_response"}')},
                        "form_response", "f1"),
    "woocommerce": request(A, {"X-WC-Webhook-Signature": b64(A), "X-WC-Webhook-Topic":
                               "order.created", "X-WC-Webhook-Delivery-ID": "9"}, "order.created",
                           "9"),
    "commerce_layer": request(A, {"X-CommerceLayer-Signature": b64(A), "X-CommerceLayer-Topic":
                                  "orders.place"}, "orders.place"),
    "calendly": request(A, {"Calendly-Webhook-Signature": kv(A)}, "c.d"),
    "workos": request(A, {"WorkOS-Signature": kv(A, time=MS, separator=", ")}, "c.d", "e1"),
    "persona": request('{"data":{"id":"p1","attributes":{"name":"inquiry.completed"}}}', {
        "Persona-Signature": kv('{"data":{"id":"p1","attributes":{"name":"inquiry.completed"}}}')},
                       "inquiry.completed", "p1"),
    "elevenlabs": request(A, {"ElevenLabs-Signature": kv(A, "v0")}, "a.b", tolerance=1800),
    "sanity": request(A, {"sanity-webhook-signature": f"t={MS},v1=" + b64url(f"{MS}.{A}"),
                          "idempotency-key": "s1", "sanity-operation": "create"}, "create", "s1"),
    "webflow": request('{"triggerType":"form_submission"}', {
        "x-webflow-signature": hexed(f'{MS}:{{"triggerType":"form_submission"}}'),
        "x-webflow-timestamp": MS}, "form_submission"),
    "revolut": request(A, {"Revolut-Signature": "v1=" + hexed(f"v1.{MS}.{A}"),
                           "Revolut-Request-Timestamp": MS}, "c.d"),
    "customer_io": request('{"event_id":"c1","metric":"sent"}', {
        "X-CIO-Signature": hexed(f'v0:{NOW}:{{"event_id":"c1","metric":"sent"}}'),
        "X-CIO-Timestamp": NOW}, "sent", "c1"),
    "polar": request(A, {"webhook-id": "m1", "webhook-timestamp": NOW,
                         "webhook-signature": "v1," + b64(f"m1.{NOW}.{A}")}, "a.b", "m1"),
    "cloudevents": request('{"id":"c0","type":"c.d"}', {"Authorization": "Bearer " + KEY,
                                                        "ce-id": "c1", "ce-type": "c.e"},
                           "c.e", "c1"),
    "okta": request('{"eventId":"o1","eventType":"com.okta.event_hook"}', {"Authorization": KEY},
                    "com.okta.event_hook", "o1"),
    "mailchimp": request("type=subscribe", kind="form",
                         url="https://x.example/in/m?a=1&secret=a+secret%20of+somebody"),
    "postmark": request('{"RecordType":"Bounce"}', {"Authorization": "Basic " + BASIC}, "Bounce",
                        secret="user:pass word"),
    "chargebee": request('{"id":"ev_1","event_type":"x"}', {"authorization": "basic " + BASIC},
                         "x", "ev_1", secret="user:pass word"),
    "pipedrive": request('{"meta":{"id":"p","action":"change"}}', {"Authorization": "BASIC " +
                         BASIC}, "change", "p", secret="user:pass word"),
    "recurly": request('{"id":"rc","event_type":"y"}', {"Authorization": "Basic " + BASIC}, "y",
                       "rc", secret="user:pass word"),
    # The vector of Orb's own libraries.
    "orb": request('{"id": "o4mmewpfNNTnjfZc", "created_at": "2024-03-27T15:42:29+00:00", "type": '
                   '"resource_event.test", "properties": {"message": "A test webhook from Orb. '
                   'Happy testing!"}}', {
                       "X-Orb-Timestamp": "2024-03-27T15:42:29.551", "X-Orb-Signature": "v1="
                       "9d25de966891ab0bc18754faf8d83d0980b44ae330fcc130b41a6cf3daf1f391"},
                   "resource_event.test", "o4mmewpfNNTnjfZc",
                   secret="c-UGKYdnhHh436B_sMouYAPUvXyWpzOdunZBV5dFSD8", now=1711554149),
}
UNSIGNED = {"event_grid": request('[{"id":"g1","eventType":"x.y"}]', kind="x.y", identity="g1"),
            "strava": request('{"object_type":"activity"}', kind="activity")}
AGED = {"mailgun", "paddle", "zendesk", "front", "calendly", "workos", "persona", "elevenlabs",
        "sanity", "webflow", "revolut", "customer_io", "polar", "orb"}
BODY_UNCOVERED = {"mailgun", "gitlab", "graph", "telegram", "okta", "cloudevents", "mailchimp",
                  "postmark", "chargebee", "pipedrive", "recurly"}


def verify(scheme, made, *more, body=None, secret=None):
    args = ["--scheme", scheme, "--now", str(made.get("now", NOW)), "--url", made.get("url", "")]
    if scheme not in UNSIGNED:
        args += ["--secret=" + (secret or made["secret"])]
    for name, value in made["headers"].items():
        args += ["--header", f"{name}: {value}"]
    done = subprocess.run([BIN, "verify", "--json", *args, *more], timeout=30, check=False,
                          input=(made["body"] if body is None else body).encode(),
                          capture_output=True)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_none_is_forgotten():
    names = {path.stem for path in (ROOT / "conf" / "schemes").glob("*.yaml")}
    lines = (ROOT / "tests" / "vectors" / "inbound.jsonl").read_text(encoding="utf-8").splitlines()
    vectors = {json.loads(line)["scheme"] for line in lines}
    assert names - vectors - OURS - {"telnyx"} == set(REQUESTS) | set(UNSIGNED)


@pytest.mark.parametrize("scheme", sorted(REQUESTS) + sorted(UNSIGNED))
def test_verifies(scheme):
    made = {**REQUESTS, **UNSIGNED}[scheme]
    found = verify(scheme, made)
    assert found["reason"] == "ok", found
    assert found["type"] == made["type"]
    assert found["id"] == (made["id"] or hashlib.sha256(made["body"].encode()).hexdigest())


@pytest.mark.parametrize("scheme", sorted(REQUESTS))
def test_refuses(scheme):
    """Another secret, another body where that is covered, and no signature."""
    made = REQUESTS[scheme]
    other = "0" + made["secret"][1:] if scheme != "adyen_platform" else "01020305"
    assert verify(scheme, made, secret=other)["reason"] == "bad_signature"
    assert verify(scheme, made, body=made["body"] + " ")["verified"] == (scheme in BODY_UNCOVERED)
    if scheme not in ("mailgun", "graph", "mailchimp"):
        assert not verify(scheme, {**made, "headers": {}})["verified"]
        name = next(name for name in made["headers"] if made["headers"][name] and (
            "ignature" in name or "oken" in name or name.lower() in
            ("authorization", "x-trello-webhook")))
        assert not verify(scheme, made, "--header", f"{name}: {made['headers'][name]}")["verified"]


@pytest.mark.parametrize("scheme", sorted(AGED))
def test_age(scheme):
    made = REQUESTS[scheme]
    tolerance = made.get("tolerance", 300)
    for late, verdict in ((0, "ok"), (tolerance, "ok"), (tolerance + 2, "too_old"),
                          (1 - tolerance, "ok"), (-tolerance - 1, "in_future")):
        when = made.get("now", NOW) + late
        assert verify(scheme, {**made, "now": when})["reason"] == verdict, late


def test_telnyx(tmp_path):
    """Ed25519 with the key in base64, signed by openssl."""
    key, data, signature = (tmp_path / name for name in ("key", "data", "signature"))
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                         capture_output=True).stdout
    body = '{"data":{"id":"t9","event_type":"message.received"}}'
    data.write_text(f"{NOW}|{body}")
    subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", data, "-out",
                    signature], check=True)
    made = request(body, {"telnyx-timestamp": NOW, "telnyx-signature-ed25519":
                          base64.b64encode(signature.read_bytes()).decode()},
                   secret=base64.b64encode(der[-32:]).decode())
    found = verify("telnyx", made)
    assert (found["reason"], found["id"], found["type"]) == ("ok", "t9", "message.received")
    assert verify("telnyx", made, body=body + " ")["reason"] == "bad_signature"


def test_twilio_hash_in_the_url():
    """What is no form is covered by its hash, which is in the URL that is signed."""
    body = '{"a":1}'
    url = URL + "?bodySHA256=" + hashlib.sha256(body.encode()).hexdigest()
    made = request(body, {"X-Twilio-Signature": b64(url, algorithm="sha1")}, url=url)
    assert verify("twilio", made)["reason"] == "ok"
    assert verify("twilio", made, body='{"a":2}')["reason"] == "body_changed"
    made["url"] = url[:-1] + "0"
    assert verify("twilio", made)["reason"] == "bad_signature"


PAYPAL = """
name: paypal_fixed
timestamp: rfc3339
signed: "{header:paypal-transmission-id}|{timestamp}|{var:webhook_id}|{crc32}"
encoding: base64
signatures: [{algorithm: rsa-sha256, key: {format: spki}}]
receive: {signature: "header:PAYPAL-TRANSMISSION-SIG", timestamp: "header:PAYPAL-TRANSMISSION-TIME"}
"""


def test_rsa_and_variables(tmp_path):
    """The form of PayPal with a key that is configured, as PEM and as the base64 in it."""
    (tmp_path / "schemes").mkdir()
    (tmp_path / "schemes" / "paypal.yaml").write_text(PAYPAL)
    key, data = tmp_path / "key", tmp_path / "data"
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "rsa", "-out", key], check=True)
    pem = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, text=True,
                         capture_output=True).stdout
    body = '{"id":"WH-1","event_type":"PAYMENT.SALE.COMPLETED"}'
    assert zlib.crc32(body.encode()) == 1429317798
    data.write_text("T1|2023-11-14T22:13:20Z|WH9|1429317798")
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, data], check=True,
                               capture_output=True).stdout
    made = request(body, {"paypal-transmission-id": "T1", "PAYPAL-TRANSMISSION-TIME":
                          "2023-11-14T22:13:20Z", "PAYPAL-TRANSMISSION-SIG":
                          base64.b64encode(signature).decode()}, secret=pem)
    files = ("--schemes", str(tmp_path / "schemes"))
    good = (*files, "--var", "webhook_id=WH9")
    assert verify("paypal_fixed", made, *good)["reason"] == "ok"
    bare = "".join(line for line in pem.splitlines() if "-----" not in line)
    assert verify("paypal_fixed", made, *good, secret=bare)["reason"] == "ok"
    assert verify("paypal_fixed", made, *good, body=body + " ")["reason"] == "bad_signature"
    assert verify("paypal_fixed", made, *files)["reason"] == "not_configured"
    assert verify("paypal_fixed", made, *files, "--var", "webhook_id=WH8")["reason"] == \
        "bad_signature"


def test_several_vectors(tmp_path):
    """All of a file have to verify, and each is explained."""
    good = {"scheme": "gitlab", "secrets": [KEY], "headers": {"x-gitlab-token": KEY}, "body": ""}
    bad = {**good, "secrets": ["another"]}
    for vectors, code in (([good, good], 0), ([good, bad, good], 1)):
        path = tmp_path / "vectors"
        path.write_text("\n".join(json.dumps(vector) for vector in vectors) + "\n\n")
        done = subprocess.run([BIN, "verify", "--vector", path], capture_output=True, text=True,
                              timeout=30, check=False)
        assert done.returncode == code
        assert done.stdout.count("verdict    ") == len(vectors)
        assert done.stdout.count("verdict    ok") == sum(v is good for v in vectors)


def test_needs_a_url():
    made = {**REQUESTS["trello"], "url": ""}
    assert verify("trello", made)["reason"] == "not_configured"


def test_explanation():
    """For people: every step, the expected signature, and no secret."""
    made = REQUESTS["customer_io"]
    args = [BIN, "verify", "--scheme", "customer_io", "--secret", "not the one", "--now",
            str(NOW + 7)]
    for name, value in made["headers"].items():
        args += ["--header", f"{name}: {value}"]
    done = subprocess.run(args, input=made["body"], capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 1 and done.stderr == ""
    text = f"v0:{NOW}:{made['body']}"
    expected = [
        "scheme     customer_io: Customer.io",
        f"body       {len(made['body'])} bytes",
        "signatures 1 of a known form, 0 others",
        f'time       "{NOW}" = 2023-11-14T22:13:20.000Z, 7s ago',
        f"signed     {len(text)} bytes: " + json.dumps(text),
        "secret 1   does not fit; expected " + hexed(text, key="not the one"),
        'id         "c1"', 'type       "sent"',
        "verdict    bad_signature: no signature is by one of the secrets"]
    assert done.stdout.splitlines() == expected


def test_explanation_of_a_token():
    """The expected signature of a token is the token: it is not shown."""
    made = REQUESTS["gitlab"]
    done = subprocess.run([BIN, "verify", "--scheme", "gitlab", "--secret", "the right one",
                           "--header", "X-Gitlab-Token: the wrong one"], input=made["body"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "secret 1   does not fit\n" in done.stdout
    assert "right" not in done.stdout and "wrong" not in done.stdout


@pytest.mark.parametrize("args, error", [
    ([], "--scheme or --vector is needed"),
    (["--scheme", "githup"], 'did you mean "github"?'),
    (["--scheme", "github", "--header", "x"], "'Name: value'"),
    (["--scheme", "github", "--now", "yesterday"], "is no time"),
    (["--scheme", "discord", "--secret", "xyz"],
     "a secret is hexadecimal of an Ed25519 public key (32 bytes)"),
    (["--scheme", "sendgrid", "--secret", "xyz"], "ecdsa-p256-sha256 public key"),
    (["--scheme", "github", "--vector", "-"], "brings its own"),
    (["--vector", "/nonexistent"], "No such file"),
    (["--vector", "-"], "not a JSON object"),
    (["--vector", "/dev/null"], "it is empty"),
])
def test_usage(args, error):
    done = subprocess.run([BIN, "verify", *args], input="[", capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert error in done.stderr
    assert "xyz" not in done.stderr
