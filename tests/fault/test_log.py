"""Log and archive against readers that stop, writers that are killed, and a server that is."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import Load, wait_until
from harness.daemon import binary

WEBHOOKS, EVENTS = 100, 500  # 50,000 failures


def writers(daemon, kind):
    """The processes that write this server's log ("stderr") or archive ("file")."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    return [int(child) for child in children
            if Path(f"/proc/{child}/cmdline").read_text().split("\0")[1:3] == ["write-lines", kind]]


def test_nobody_reads_while_everything_fails(start_daemon):
    """Standard error is a pipe that nobody reads, and 50,000 attempts fail at level debug."""
    daemon = start_daemon(started=False)
    reading, writing = os.pipe()
    with open(daemon.output_path, "wb") as output:
        daemon.process = subprocess.Popen(
            [binary(), "serve", "--listen", "127.0.0.1:0", "--data", daemon.data, "--dev",
             "--log-level=debug", "--set", "breaker.enabled=false"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=writing)
    os.close(writing)
    try:
        wait_until(lambda: daemon.output.startswith("ready on "), 20, "the server to be ready")
        daemon.port = int(re.search(r":(\d+)$", daemon.output, re.M).group(1))
        wait_until(daemon.ready, 20, "/readyz")
        slowest = 0
        with daemon.client() as client:
            for _ in range(WEBHOOKS):
                client.create_webhook("http://127.0.0.1:1/", ["*"], retryPolicy={"schedule": []})
            for _ in range(EVENTS):
                before = time.monotonic()
                client.event_id("x")
                slowest = max(slowest, time.monotonic() - before)
            failed = 'trotline_attempts_total{class="connection_refused"}'
            wait_until(lambda: client.metric(failed) >= WEBHOOKS * EVENTS, 240, "the failures",
                       interval=0.2)
            dropped = client.metric('trotline_log_dropped_total{stream="log"}')
        print(f"{dropped:.0f} lines dropped; slowest answer {slowest * 1000:.0f} ms")
        assert dropped > WEBHOOKS * EVENTS / 2 and slowest < 5
        daemon.terminate()
        assert daemon.wait(60) == 0
        with os.fdopen(reading, "rb", closefd=False) as pipe:
            lines = pipe.read().decode().splitlines()
        kept = [line for line in lines if " delivery.failed " in line]
        assert len(kept) > 1000 and all("detail=" in line for line in kept), "what is there is whole"
    finally:
        os.close(reading)


def test_a_killed_writer_is_replaced(start_daemon, sink):
    daemon = start_daemon("--set", "archive.file=archive.jsonl", "--log-level=debug")
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        old = {kind: writers(daemon, kind) for kind in ("stderr", "file")}
        assert all(len(pids) == 1 for pids in old.values())
        for pids in old.values():
            os.kill(pids[0], signal.SIGKILL)

        def replaced():
            client.event_id("x")
            return all(len(writers(daemon, kind)) == 1 and writers(daemon, kind) != old[kind]
                       for kind in old)
        wait_until(replaced, 20, "new writers", interval=0.05)
        last = client.event_id("x")
        daemon.wait_for_log(rf"delivery\.sent .*event={last} ")
        archive = daemon.data / "archive.jsonl"
        wait_until(lambda: last in archive.read_text(), 10, "the last line of the archive")
    for writer in ("log", "archive"):
        assert daemon.log_contains(rf"error writer\.died writer={writer} signal=9 ")


@pytest.mark.parametrize("part", [0.1, 0.5])
def test_the_last_lines_of_a_killed_server(start_daemon, sink, part):
    """What it had handed over is written, though it was killed in the middle of it all, and no line
    is half."""
    daemon = start_daemon("--set", "archive.file=archive.jsonl", "--log-level=debug")
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["load"])
    with Load(daemon, "load", 10000) as load:
        wait_until(lambda: load.done() >= load.events * part, 120, f"{part:.0%} of {load}")
        daemon.kill9()
    delivered = {request.id for request in sink.requests("/")}
    logged = re.findall(r"delivery\.sent endpoint=ep_\w+ event=(msg_\w+) .*duration_ms=\d+$",
                        daemon.log, re.M)
    archived = re.findall(r'"eventId":"(msg_\w+)".*"acceptedAt":"[^"]+"}$',
                          (daemon.data / "archive.jsonl").read_text(), re.M)
    # Missing are at most those of its last turn, and those that were on the wire.
    assert len(logged) == len(set(logged)) > len(delivered) - 500
    assert len(archived) == len(set(archived)) > len(delivered) - 500
    assert set(logged) <= delivered and set(archived) <= delivered
    assert daemon.log.endswith("\n") and daemon.log.count(" delivery.sent ") == len(logged)
    print(f"{len(delivered)} delivered, {len(logged)} logged, {len(archived)} in the archive")
    daemon.start()
