"""bench-raw, which the server's deliveries are compared with, sends what it says. The others that
bench/baselines starts are checked by `python3 -m baselines` there: they need packages from npm."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from harness.daemon import ROOT, binary

sys.path.insert(0, str(ROOT / "bench"))
from baselines.__main__ import make_certificate  # noqa: E402  (it is no package of the tests)
from baselines.raw import SECRET  # noqa: E402
from baselines.receiver import Receiver  # noqa: E402

# It ends with its sockets and buffers, which a leak checker would count.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:exitcode=99"}


def bench_raw(*arguments):
    command = [binary().parent / "bench-raw", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=ENVIRONMENT,
                          check=False)


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
def test_raw_signs_each_delivery(https, tmp_path):
    certificate = make_certificate(tmp_path / "tls") if https else None
    with Receiver(certificate) as receiver:
        receiver.secret = SECRET
        trust = ["--ca", certificate[0]] if https else []
        run = bench_raw("--url", receiver.url + "/hook/0", "--deliveries", 500, "--connections", 16,
                        "--size", 300, *trust)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert (result["deliveries"], result["https"], result["signed"]) == (500, https, True)
    assert result["cpu_us_per_delivery"] > 0 and result["rate"] > 0
    assert not receiver.faults
    assert receiver.numbers == {number: 1 for number in range(500)}
    assert len(receiver.identities) == 500


def test_raw_sends_large_bodies_whole():
    """A body larger than the socket takes at once, so that what is left waits for room."""
    with Receiver() as receiver:
        receiver.secret = SECRET
        run = bench_raw("--url", receiver.url, "--deliveries", 20, "--connections", 4, "--size",
                        1024 * 1024)
    assert run.returncode == 0, run.stderr
    assert sorted(receiver.numbers) == list(range(20)) and not receiver.faults


def test_receiver_sees_what_is_not_signed():
    """The check itself can fail: --unsigned, and another secret."""
    for options in (["--unsigned"], ["--secret", "whsec_" + "QUJD" * 8]):
        with Receiver() as receiver:
            receiver.secret = SECRET
            run = bench_raw("--url", receiver.url, "--deliveries", 5, "--connections", 1, *options)
        assert run.returncode == 1 and "is not HTTP/1.1 2xx" in run.stderr
        assert receiver.faults == ["the signature does not verify"]


def test_raw_does_not_trust_a_stranger(tmp_path):
    known, other = make_certificate(tmp_path / "known"), make_certificate(tmp_path / "other")
    with Receiver(other) as receiver:
        receiver.secret = SECRET
        run = bench_raw("--url", receiver.url, "--ca", known[0])
    assert run.returncode == 1 and "handshake failed" in run.stderr


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(("answer", "message"), [
    (OK + b"\r\n", "has no Content-Length"),
    (OK + b"Content-Length: 1\r\ncontent-length: 1\r\n\r\n{", "has no Content-Length"),
    (OK + b"Content-Length: 1x\r\n\r\n{", "has no Content-Length"),
    (OK + b"Content-Length: 99999\r\n\r\n", "has no Content-Length"),
    (OK + b"Content-Length: 2\r\n\r\n{}HTTP", "has something behind it"),
    (OK + b"X: " + b"x" * 5000, "is too long"),
    (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "is not HTTP/1.1 2xx"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "is not HTTP/1.1 2xx"),
    (b"", "ended a connection"),
])
def test_raw_takes_no_odd_answer(answer, message):
    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            while not connection.recv(65536).endswith(b"}}"):
                pass
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        run = bench_raw("--url", f"http://127.0.0.1:{listener.getsockname()[1]}/", "--connections",
                        1, "--deliveries", 1)
        thread.join()
    assert run.returncode == 1 and message in run.stderr


def test_receiver_refuses_only_the_first_time():
    """What the check of BullMQ's retries relies on."""
    with Receiver(refuse=lambda number: number == 0) as receiver:
        receiver.secret = SECRET
        first = bench_raw("--url", receiver.url, "--deliveries", 1, "--connections", 1)
        assert first.returncode == 1 and not receiver.numbers
        again = bench_raw("--url", receiver.url, "--deliveries", 1, "--connections", 1)
    assert again.returncode == 0 and receiver.numbers == {0: 1} and receiver.refused == {0}
