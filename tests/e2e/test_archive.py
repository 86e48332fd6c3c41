"""The archive: one line for each finished delivery, whatever its end, over all kept files."""

import json
import os
import re
import subprocess
from collections import Counter

import pytest
from harness import wait_until
from harness.daemon import binary

MEMBERS = ["time", "eventId", "type", "webhookId", "status", "attempts", "statusCode", "durationMs",
           "error", "acceptedAt"]


def archive(daemon, name="archive.jsonl"):
    """All lines of all files, the oldest first; each must be an object with exactly the members.
    A file that is being renamed at this moment is missing."""
    files = sorted(daemon.data.glob(name + ".*"), key=lambda f: -int(f.suffix[1:]))
    found = []
    for file in [*files, daemon.data / name]:
        try:
            text = file.read_text()
        except FileNotFoundError:
            continue
        for line in text[:text.rfind("\n") + 1].splitlines():
            found.append(json.loads(line))
            assert list(found[-1]) == MEMBERS
    return found


def wait_for_lines(daemon, count):
    wait_until(lambda: len(archive(daemon)) >= count, 20, f"{count} lines in the archive")
    return archive(daemon)


def start(start_daemon, *arguments, **options):
    return start_daemon("--set", "archive.file=archive.jsonl", *arguments, **options)


def test_each_end_has_its_line(start_daemon, sink):
    daemon = start(start_daemon)
    sink.script("/down", [503])
    sink.script("/later", [500, 204])
    with daemon.client() as client:
        good = client.create_webhook(sink.url("/"), ["order.*"])["id"]
        down = client.create_webhook(sink.url("/down"), ["order.*"],
                                     retryPolicy={"schedule": ["50ms"], "jitter": 0})["id"]
        later = client.create_webhook(sink.url("/later"), ["order.*"],
                                      retryPolicy={"schedule": ["50ms"], "jitter": 0})["id"]
        refused = client.create_webhook("http://127.0.0.1:1/", ["order.*"],
                                        retryPolicy={"schedule": []})["id"]
        event = client.event_id("order.paid")
        found = {line["webhookId"]: line for line in wait_for_lines(daemon, 4)}
    assert len(found) == 4 and {line["eventId"] for line in found.values()} == {event}
    assert {line["type"] for line in found.values()} == {"order.paid"}
    ends = {w: [found[w][m] for m in ("status", "attempts", "statusCode", "error")] for w in found}
    assert ends == {
        good: ["sent", 1, 200, None],
        down: ["dead_letter", 2, 503, "http_status"],
        later: ["sent", 2, 204, None],
        refused: ["dead_letter", 1, None, "connection_refused"],
    }
    for line in found.values():
        assert isinstance(line["durationMs"], int) and line["acceptedAt"] <= line["time"]


def test_cancelled_and_disabled(start_daemon, sink):
    """What waits when its webhook goes: both while it is in memory and in the schedule."""
    daemon = start(start_daemon)
    with daemon.client() as client:
        gone = client.create_webhook(sink.url("/"), ["a"])["id"]
        off = client.create_webhook(sink.url("/"), ["b"])["id"]
        waiting = [client.event_id("a", delay="1h") for _ in range(150)]
        paused = [client.event_id("b", delay="1h") for _ in range(100)]
        client.delete_webhook(gone).expect(204)
        client.post(f"/api/webhooks/{off}/disable").expect(200)
        found = wait_for_lines(daemon, 250)
    assert Counter((line["webhookId"], line["eventId"], line["type"], line["status"], line["error"])
                   for line in found) == Counter(
        [(gone, event, "a", "cancelled", None) for event in waiting] +
        [(off, event, "b", "dead_letter", "endpoint_disabled") for event in paused])
    assert all((line["attempts"], line["statusCode"], line["durationMs"]) == (0, None, None)
               for line in found)


def test_a_replayed_delivery_ends_again(start_daemon, sink):
    daemon = start(start_daemon)
    sink.script("/", [503, 200])
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"], retryPolicy={"schedule": []})
        event = client.event_id("a")
        wait_for_lines(daemon, 1)
        client.post("/api/dead-letters/replay").expect(202)
        found = wait_for_lines(daemon, 2)
    assert [(line["eventId"], line["status"], line["attempts"]) for line in found] == \
        [(event, "dead_letter", 1), (event, "sent", 2)]


def test_rotation_keeps_every_line(start_daemon, sink):
    daemon = start(start_daemon, "--set", "archive.maxBytes=64KiB", "--set", "archive.files=20",
                   "--set", "breaker.enabled=false")
    sink.script("/down", [503])
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        client.create_webhook(sink.url("/down"), ["*"], retryPolicy={"schedule": []})
        events = [client.event_id("order.created") for _ in range(1000)]
        found = wait_for_lines(daemon, 2000)
    expected = Counter({(event, status): 1 for event in events for status in ("sent", "dead_letter")})
    assert Counter((line["eventId"], line["status"]) for line in found) == expected
    sizes = [file.stat().st_size for file in daemon.data.glob("archive.jsonl*")]
    assert len(sizes) > 5 and max(sizes) <= 64 * 1024
    daemon.restart()
    with daemon.client() as client:
        client.event_id("order.created")
    assert len(wait_for_lines(daemon, 2002)) == 2002, "a restart goes on with the same files"


def test_the_oldest_file_goes(start_daemon, sink):
    daemon = start(start_daemon, "--set", "archive.maxBytes=64KiB", "--set", "archive.files=1")
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        events = [client.event_id("order.created") for _ in range(1000)]
        wait_until(lambda: len(archive(daemon)) and archive(daemon)[-1]["eventId"] in events[-100:] and
                   client.metric('trotline_deliveries_total{outcome="sent"}') == 1000, 20, "the last lines")
    daemon.stop()
    assert {file.name for file in daemon.data.glob("archive.jsonl*")} == \
        {"archive.jsonl", "archive.jsonl.1"}
    kept = [line["eventId"] for line in archive(daemon)]
    assert len(kept) == len(set(kept)) < 1000 and set(kept) <= set(events)


def test_hostile_types(start_daemon, sink):
    """Whatever may be a type, or must not be."""
    daemon = start(start_daemon)
    types = ["a\u2028b", "\U0001f600", 'quo"te', "back\\slash", "a=b,c", "\x7f", "x" * 256, "tab\t",
             "new\nline", "nul\0"]
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        taken = [t for t in types if client.post_event(t).status == 202]
        found = wait_for_lines(daemon, len(taken))
    assert taken and sorted(line["type"] for line in found) == sorted(taken)


@pytest.mark.parametrize("file, says", [
    ("missing/archive.jsonl", "No such file or directory"), ("/", "directory"),
    ("/dev/null", "not an ordinary file"), ("x" * 300, "name too long"),
])
def test_a_file_that_cannot_be_written(tmp_path, file, says):
    done = subprocess.run([binary(), "serve", "--dev", "--data", tmp_path / "data", "--listen",
                           "127.0.0.1:0", "--set", f"archive.file={file}"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "archive.file: cannot write " in done.stderr
    assert says in done.stderr and done.stdout == ""


def test_an_archive_that_cannot_be_rotated_costs_lines_only(start_daemon, sink):
    """Lines are lost, counted, and said once; when it can be written again, it is."""
    daemon = start(start_daemon, "--set", "archive.maxBytes=64KiB", "--set", "archive.files=1")
    (daemon.data / "archive.jsonl.1").mkdir()
    dropped = 'trotline_log_dropped_total{stream="archive"}'
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        sent = 0
        while client.metric(dropped) < 20:
            client.event_id("order.created")
            sent += 1
            assert sent < 3000
        daemon.wait_for_log(r'warn archive\.dropped lines=\d+ last_error="Is a directory"')
        assert (daemon.data / "archive.jsonl").stat().st_size <= 64 * 1024
        wait_until(lambda: client.metric('trotline_deliveries_total{outcome="sent"}') == sent, 10, "the rest")
        (daemon.data / "archive.jsonl.1").rmdir()
        last = client.event_id("order.created")
        wait_until(lambda: [line["eventId"] for line in archive(daemon)][-1:] == [last], 10,
                   "the last line")
        lost = client.metric(dropped)
    daemon.stop()
    assert len(archive(daemon)) + lost == sent + 1
    assert len(re.findall(r"archive\.dropped", daemon.log)) == 1


def test_an_absolute_path(start_daemon, sink, tmp_path):
    file = tmp_path / "elsewhere.jsonl"
    daemon = start_daemon("--set", f"archive.file={file}")
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        client.event_id("a")
        wait_until(lambda: file.read_text().count("\n") == 1, 10, "its line")
    assert oct(os.stat(file).st_mode & 0o777) == "0o600"
