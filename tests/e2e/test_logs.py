"""Logs: their form, their levels at run time, and that nobody has to read them."""

import fcntl
import json
import os
import re
import subprocess

import pytest
from harness import wait_until
from harness.daemon import binary

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
HOSTILE = 'quo"te back\\slash\nnew line\t\x7f\u2028 \U0001f600 =x event=y'


def lines(daemon):
    """The log as objects; a line that is not JSON fails. The last one may still be on its way."""
    text = daemon.log
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]


def named(daemon, event):
    return [line for line in lines(daemon) if line["event"] == event]


def test_every_line_is_json(start_daemon, sink):
    daemon = start_daemon("--log-format", "json", "--log-level=debug")
    sink.script("/down", [503])
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["*"])["id"]
        down = client.create_webhook(sink.url("/down"), ["*"], retryPolicy={"schedule": []})["id"]
        event = client.event_id("order.paid", {"text": HOSTILE}, source=HOSTILE)
        wait_until(lambda: {d["status"] for d in client.get_event(event)["deliveries"]} ==
                   {"sent", "dead_letter"}, 10, "both ends")
        client.raw(b"GET /\xff\x01\"\\ HTTP/1.1\r\nHost: \x80\"x\r\n\r\n")
        client.create_webhook("http://no-such-host.invalid/%22%0a", ["other"])
        client.event_id("other", HOSTILE)
        wait_until(lambda: len(named(daemon, "delivery.failed")) == 3, 10, "three failures")
    sent, = (line for line in named(daemon, "delivery.sent") if line["event_id"] == event)
    assert sent["endpoint"] == webhook
    assert (sent["level"], sent["attempt"], sent["status"]) == ("debug", 1, 200)
    assert isinstance(sent["duration_ms"], int)
    failed = next(line for line in named(daemon, "delivery.failed") if line["endpoint"] == down)
    assert (failed["level"], failed["status"], failed["verdict"]) == ("info", 503, "exhausted")
    daemon.stop()
    everything = lines(daemon)
    assert all(TIME.fullmatch(line["time"]) for line in everything)
    assert all(list(line)[:3] == ["time", "level", "event"] for line in everything)
    assert any(line["event"] == "serve.stopped" for line in everything[-3:])


@pytest.mark.parametrize("dev", [True, False])
def test_the_first_start_tells_the_key(start_daemon, dev):
    """At every level: it is no message of the log, but what the start is asked for."""
    daemon = start_daemon("--log-format", "json", "--log-level=error", dev=dev)
    wait_until(lambda: named(daemon, "serve.api_key"), 10, "the key")
    line, = named(daemon, "serve.api_key")
    assert line["key"] == daemon.api_key == (daemon.data / "api-key").read_text().strip()
    assert line["file"] == str(daemon.data / "api-key")
    before = len(lines(daemon))
    daemon.restart()
    assert not [line for line in lines(daemon)[before:] if line["event"] == "serve.api_key"]


def test_a_failed_start_is_json_too(tmp_path):
    done = subprocess.run([binary(), "serve", "--data", tmp_path / "no" / "where", "--log-format=json"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and done.stdout == ""
    last = [json.loads(line) for line in done.stderr.splitlines()]
    assert any(line["event"] == "serve.not_started" and "where" in line["reason"] for line in last)


def test_logfmt(start_daemon, sink):
    daemon = start_daemon("--set", "log.levels=delivery=debug")
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["*"])["id"]
        event = client.event_id("order.paid")
        daemon.wait_for_log(rf"^{TIME.pattern} debug delivery\.sent endpoint={webhook} "
                            rf"event={event} attempt=1 status=200 duration_ms=\d+$")
        client.raw(b"nonsense\r\n\r\n")
    daemon.stop()
    assert not daemon.log_contains(" debug http"), "only delivery was to be debugged"


# ---- levels at run time ------------------------------------------------------------------------------

def test_levels_are_changed_while_it_runs(start_daemon, sink):
    daemon = start_daemon("--set", "log.levels=http=warn")
    sink.script("/down", [503])
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["good"])
        client.create_webhook(sink.url("/down"), ["bad"], retryPolicy={"schedule": []})
        first = client.get("/api/log").expect(200).json
        assert (first["level"], first["levels"]) == ("info", {"http": "warn"})
        assert first["components"] == sorted(set(first["components"]))
        assert {"delivery", "http", "redis", "serve"} <= set(first["components"])

        put = client.put("/api/log", {"level": "warn", "levels": {"delivery": "debug"}})
        assert put.expect(200).json == {**first, "level": "warn", "levels": {"delivery": "debug"}}
        assert client.get("/api/log").json == put.json
        good = client.event_id("good")
        daemon.wait_for_log(rf"debug delivery\.sent .*event={good} ")
        daemon.wait_for_log(r'log\.levels_changed level=warn levels="delivery=debug"')

        # What is left out stays.
        assert client.put("/api/log", {"level": "error"}).json["levels"] == {"delivery": "debug"}
        assert client.put("/api/log", {"levels": {}}).json["level"] == "error"
        quiet = client.event_id("bad")
        wait_until(lambda: client.deliveries(quiet).popitem()[1]["status"] == "dead_letter", 10, "it")
        assert client.put("/api/log", {}).json["level"] == "error"
        client.put("/api/log", {"level": "info"}).expect(200)
        loud = client.event_id("bad")
        daemon.wait_for_log(rf"info delivery\.failed .*event={loud} ")
    assert quiet not in daemon.log
    daemon.restart()
    with daemon.client() as client:
        assert client.get("/api/log").json == first, "changes are not kept"


@pytest.mark.parametrize("body, code, field, says", [
    ({"levels": {"delivry": "debug"}}, "invalid_levels", "levels.delivry", " delivery, "),
    ({"levels": {"a\u00e4\n": "debug"}}, "invalid_levels", "levels.a\u00e4\n", " delivery, "),
    ({"levels": {"delivery": "loud"}}, "invalid_level", "levels.delivery", "debug"),
    ({"levels": {"delivery": 1}}, "invalid_level", "levels.delivery", "debug"),
    ({"levels": []}, "invalid_levels", "levels", "object"),
    ({"levels": {f"c{i}": "info" for i in range(100)}}, "invalid_levels", "levels", "object"),
    ({"level": "INFO"}, "invalid_level", "level", "debug"),
    ({"level": None}, "invalid_level", "level", "debug"),
    ({"level": "debug", "colour": 1}, "unknown_field", "colour", "levels"),
    ([], "invalid_json", None, "object"),
])
def test_bad_levels_change_nothing(client, body, code, field, says):
    before = client.get("/api/log").json
    error = client.put("/api/log", body).expect(400).json["error"]
    assert (error["code"], error.get("field")) == (code, field) and says in error["message"]
    assert client.get("/api/log").json == before


def test_api_log_is_guarded_like_the_rest(server):
    with server.client(key=None) as stranger:
        stranger.get("/api/log").expect(401)
        stranger.put("/api/log", {}).expect(401)
    with server.client() as client:
        assert client.delete("/api/log").expect(405).header("Allow") == "GET, HEAD, PUT"
        client.get("/api/log?x=1").expect(400)
        client.put("/api/log", body=b"{}", headers={"Content-Type": "text/plain"}).expect(415)


def test_levels_can_be_changed_before_redis_is_there(start_daemon, tmp_path):
    daemon = start_daemon(redis=f"unix:{tmp_path}/nothing.sock", started=False)
    daemon.start(ready=False)
    with daemon.client() as client:
        client.get("/api/webhooks").expect(503)
        client.put("/api/log", {"levels": {"redis": "debug"}}).expect(200)


@pytest.mark.parametrize("setting, says", [
    ("log.levels=delivry=debug", "COMPONENT=LEVEL"), ("log.levels=delivery", "COMPONENT=LEVEL"),
    ("log.levels=delivery=loud", "COMPONENT=LEVEL"), ("log.format=xml", "logfmt or json"),
])
def test_bad_settings(setting, says):
    done = subprocess.run([binary(), "check-config", "--set", setting], capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == 1 and says in done.stderr


# ---- nobody reads ------------------------------------------------------------------------------------

def start_with_stderr(daemon, stderr):
    """Like daemon.start(), with another standard error."""
    with open(daemon.output_path, "wb") as output:
        daemon.process = subprocess.Popen(
            [binary(), "serve", "--listen", "127.0.0.1:0", "--data", daemon.data, "--dev",
             *daemon.arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=stderr)
    wait_until(lambda: daemon.output.startswith("ready on "), 20, "the server to be ready")
    daemon.port = int(re.search(r":(\d+)$", daemon.output, re.M).group(1))
    wait_until(daemon.ready, 20, "/readyz")


def full_pipe():
    """(read end, write end) of a pipe that takes nothing more."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while True:
            os.write(writing, b"\n" * 4096)
    except BlockingIOError:
        fcntl.fcntl(writing, fcntl.F_SETFL, 0)
    return reading, writing


def test_a_full_pipe_does_not_stop_the_start(start_daemon):
    daemon = start_daemon(started=False)
    reading, writing = full_pipe()
    try:
        start_with_stderr(daemon, writing)
        os.close(writing)
        with daemon.client() as client:
            client.get("/api/webhooks").expect(200)
            daemon.terminate()
            assert daemon.wait(30) == 0, "nor the end"
        with os.fdopen(reading, "rb", closefd=False) as pipe:  # until the writer has ended
            text = pipe.read().lstrip(b"\n").decode()
        assert "serve.ready" in text and "serve.stopped" in text
    finally:
        os.close(reading)


def test_standard_error_closed(start_daemon, sink):
    daemon = start_daemon(started=False)
    command = ["sh", "-c", 'exec "$0" "$@" 2>&-', binary(), "serve", "--listen", "127.0.0.1:0",
               "--data", daemon.data, "--dev"]
    with open(daemon.output_path, "wb") as output:
        daemon.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output)
    wait_until(lambda: daemon.output.startswith("ready on "), 20, "the server to be ready")
    daemon.port = int(re.search(r":(\d+)$", daemon.output, re.M).group(1))
    sink.script("/", [503])
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"], retryPolicy={"schedule": []})
        event = client.event_id("x")
        wait_until(lambda: client.deliveries(event).popitem()[1]["status"] == "dead_letter", 10, "it")
