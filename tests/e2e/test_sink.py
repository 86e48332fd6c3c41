"""trotline sink as a receiver sees it: printing, verifying, answering, and the summary.

TROTLINE_BIN names the program; build/dev/trotline is the default. Only loopback is used.
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TROTLINE_BIN", str(ROOT / "build" / "dev" / "trotline"))
RAW = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(RAW).decode()
BODY = b'{"type":"order.created","timestamp":"2026-01-02T03:04:05.678Z","data":{"n":1.10,"t":[]}}'


class Sink:
    def __init__(self, *args):
        self.process = subprocess.Popen([BIN, "sink", "--listen", "127.0.0.1:0", *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        assert first.startswith("listening on http://127.0.0.1:"), first
        self.port = int(first.rsplit(":", 1)[1])

    def post(self, body=BODY, headers=(), path="/hook", method="POST"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def stop(self, number=signal.SIGTERM):
        """The rest of the output, after a good end."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert (self.process.returncode, err) == (0, "")
        return out


@pytest.fixture
def sink():
    sinks = []

    def start(*args):
        sinks.append(Sink(*args))
        return sinks[-1]

    yield start
    for started in sinks:
        if started.process.poll() is None:
            started.process.kill()
            started.process.communicate()


def signed(event_id="msg_1", body=BODY, at=None, key=RAW, prefix="webhook"):
    stamp = str(int(at or time.time()))
    mac = hmac.new(key, f"{event_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {f"{prefix}-id": event_id, f"{prefix}-timestamp": stamp,
            f"{prefix}-signature": "v1," + base64.b64encode(mac).decode()}


def test_verifies_prints_and_counts(sink):
    it = sink("--secret", SECRET)
    assert it.post(headers=signed())[0] == 200
    assert it.post(headers=signed())[0] == 200
    assert it.post(headers=signed("msg_2", key=b"x" * 24))[0] == 200
    assert it.post(headers=signed("msg_3", at=time.time() - 3600))[0] == 200
    assert it.post(b"plain \x1b[2J text\n", path="/other?x=1")[0] == 200
    out = it.stop()
    lines = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert lines[0].endswith(" POST /hook  id=msg_1 type=order.created  verified ✓  -> 200")
    assert lines[1].endswith("id=msg_1 type=order.created (seen before)  verified ✓  -> 200")
    assert "id=msg_2 type=order.created  NOT VERIFIED ✗ bad_signature: " in lines[2]
    assert "NOT VERIFIED ✗ too_old: " in lines[3]
    assert " POST /other " in lines[4] and "NOT VERIFIED ✗" in lines[4]
    assert lines[5] == "received=5 verified=2 bad=3 duplicates=1"
    assert '\n      "data": {\n        "n": 1.10,\n        "t": []\n      }\n    }\n' in out
    assert "\n    plain [2J text\n" in out


def test_without_a_secret_nothing_is_verified(sink):
    it = sink()
    it.post(headers=signed())
    out = it.stop(signal.SIGINT)
    assert "id=msg_1 type=order.created  not verified (no --secret)  -> 200" in out
    assert out.endswith("received=1 verified=0 bad=0 duplicates=0\n")


def test_a_batch_has_a_line_for_each_event(sink):
    """Also those that came before in another batch are noticed."""
    body = b'[{"id":"msg_1","type":"a.b","data":{"n":1}},{"id":"msg_2","type":"c","data":null}]'
    it = sink("--secret", SECRET)
    it.post(body, headers={**signed("batch_1", body), "Trotline-Batch-Count": "2"})
    body = body.replace(b"msg_2", b"msg_3")
    it.post(body, headers={**signed("batch_2", body), "Trotline-Batch-Count": "2"})
    out = it.stop()
    assert " id=batch_1 events=2  verified \N{CHECK MARK}  -> 200\n    msg_1 a.b {\"n\":1}\n" in out
    assert " id=batch_2 events=2 (1 seen before)  verified" in out
    assert "    msg_3 c null\n" in out


def test_one_of_several_secrets_suffices(sink):
    other = "whsec_" + base64.b64encode(b"y" * 24).decode()
    it = sink("--secret", other, "--secret", SECRET, "--quiet")
    it.post(headers=signed())
    assert it.stop() == "received=1 verified=1 bad=0 duplicates=0\n"


def test_json(sink):
    it = sink("--json", "--secret", SECRET, "--status", "204")
    status, _, body = it.post(headers=signed())
    assert (status, body) == (204, b"")
    it.post(b"\xff", method="PUT", headers={"X-A": "1"})
    first, second, summary = map(json.loads, it.stop().splitlines())
    assert {k: first[k] for k in first if k not in ("time", "headers")} == {
        "method": "POST", "path": "/hook", "id": "msg_1", "type": "order.created",
        "events": None, "seenBefore": False, "verified": True, "reason": None, "status": 204,
        "body": BODY.decode()}
    assert {"name": "webhook-id", "value": "msg_1"} in first["headers"]
    assert (second["method"], second["id"], second["type"]) == ("PUT", None, None)
    assert (second["verified"], second["body"]) == (False, "\ufffd")
    assert {"name": "X-A", "value": "1"} in second["headers"]
    assert summary == {"received": 2, "verified": 1, "bad": 1, "duplicates": 0}


def test_other_schemes_find_id_and_type(sink):
    """The places of id and type come from the description, whichever header or member it is."""
    cases = {
        "svix": (signed(prefix="svix"), b'{"a":1}', "msg_1", None),
        "event": ({"X-Webhook-Delivery-ID": "d1", "X-Webhook-Event-Type": "t.a"}, b"{}", "d1", "t.a"),
        "guide": ({"X-Webhook-Event": "t.b"}, b"{}", None, "t.b"),
        "basic": ({"X-Event-Type": "t.c"}, b'{"id":"b\\u0031","type":"t.c"}', "b1", "t.c"),
    }
    for scheme, (headers, body, event_id, event_type) in cases.items():
        it = sink("--json", "--scheme", scheme)
        it.post(body, headers)
        record = json.loads(it.stop().splitlines()[0])
        assert (record["id"], record["type"]) == (event_id, event_type), scheme


def test_own_scheme(sink, tmp_path):
    text = (ROOT / "conf" / "schemes" / "basic.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(
        text.replace("name: basic", "name: mine").replace("X-Event-Type", "X-Mine"))
    it = sink("--schemes", str(tmp_path), "--scheme", "mine", "--json")
    it.post(b"{}", {"X-Mine": "t"})
    assert json.loads(it.stop().splitlines()[0])["type"] == "t"


def test_answers_as_told(sink):
    it = sink("--status", "503", "--retry-after", "7", "--delay", "300ms", "--quiet")
    begun = time.monotonic()
    status, headers, _ = it.post()
    assert time.monotonic() - begun >= 0.29
    assert (status, headers["Retry-After"]) == (503, "7")
    assert it.stop() == "received=1 verified=0 bad=0 duplicates=0\n"


def test_a_good_answer_has_no_retry_after(sink):
    it = sink("--retry-after", "7", "--quiet")
    assert "Retry-After" not in it.post()[1]


def test_fail_ratio(sink):
    it = sink("--fail-ratio", "0.3", "--quiet")
    statuses = [it.post()[0] for _ in range(400)]
    assert set(statuses) == {200, 500}
    # Five standard deviations of a binomial distribution: once in two million runs.
    assert abs(statuses.count(500) - 120) < 46


def test_stopping_gives_the_answers_that_wait(sink):
    it = sink("--delay", "1h", "--json")
    answers = []
    client = threading.Thread(target=lambda: answers.append(it.post()))
    client.start()
    assert json.loads(it.process.stdout.readline())["status"] == 200
    it.stop()
    client.join(timeout=30)
    assert answers[0][0] == 200


def test_ends_when_nobody_reads(sink):
    it = sink("--json")
    it.process.stdout.close()
    deadline = time.monotonic() + 30
    while it.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            it.post()
    assert it.process.returncode == 1


@pytest.mark.parametrize("args, message", [
    (["--status", "199"], "allowed: 200 to 599"),
    (["--status", "x"], "allowed: 200 to 599"),
    (["--delay", "2h"], "--delay"),
    (["--delay", "5"], "--delay"),
    (["--fail-ratio", "1.1"], "--fail-ratio"),
    (["--retry-after", ""], "--retry-after"),
    (["--retry-after", "1\r\nX: y"], "--retry-after"),
    (["--listen", "9000"], "is not an address"),
    (["--scheme", "standrad"], 'did you mean "standard"?'),
    (["--secret", "whsec_x"], 'not a secret of the scheme "standard"'),
    (["--schemes", "/nonexistent"], "/nonexistent"),
    (["--prot", "1"], "unknown option --prot"),
    (["x"], 'unexpected argument "x"'),
] + [(["--secret", SECRET] * 12, "--secret: more than 11")])
def test_usage(args, message):
    done = subprocess.run([BIN, "sink", *args], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_an_address_in_use_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run([BIN, "sink", "--listen", address], capture_output=True, text=True,
                              timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot listen on 127.0.0.1 port" in done.stderr
    assert "Address already in use" in done.stderr
