"""Starting, stopping and crashing against what README.md promises."""

import os
import signal
import socket
import stat
import subprocess
import time

import pytest
from harness import Load, wait_until
from harness.daemon import binary
from harness.sink import delayed, hang


def serve(*arguments, env=None, timeout=20):
    """A start that is expected to fail, as a finished process."""
    return subprocess.run([str(binary()), "serve", "--dev", *map(str, arguments)], timeout=timeout,
                          capture_output=True, text=True, check=False,
                          env={**os.environ, **(env or {})})


# ---- starting ----------------------------------------------------------------------------------------

def test_first_start(start_daemon):
    daemon = start_daemon()
    assert daemon.output == f"ready on {daemon.url}\n", "one line, and the log is elsewhere"
    daemon.wait_for_log(r"serve\.ready")
    key = daemon.data / "api-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_text()
    assert daemon.client().get("/api/webhooks").status == 200
    daemon.restart()
    assert key.read_text() == before


@pytest.mark.parametrize("first", [1, 2], ids=["alone", "workers"])
@pytest.mark.parametrize("external", [False, True], ids=["embedded", "external"])
def test_data_directory_in_use(start_daemon, redis_server, first, external):
    """Also when they share a Redis, and so could share the port."""
    daemon = start_daemon("--workers", first, redis=redis_server if external else "embedded")
    where = ("--listen", "127.0.0.1:0")
    if external:
        where = ("--listen", f"127.0.0.1:{daemon.port}", "--redis", f"redis://127.0.0.1:{redis_server.port}")
    for count in ("1", "2"):
        done = serve("--data", daemon.data, "--workers", count, *where)
        assert done.returncode == 1 and done.stdout == ""
        assert str(daemon.data) in done.stderr and "in use" in done.stderr
    assert daemon.ready()
    daemon.restart()  # it has let go of it


def test_a_data_directory_in_which_no_lock_can_be_made(redis_server, start_daemon):
    """As on a file system that is only to be read."""
    daemon = start_daemon(redis=redis_server)
    daemon.stop()
    (daemon.data / "lock").unlink()
    (daemon.data / "lock").mkdir()
    daemon.start()
    daemon.wait_for_log(r"serve\.data_not_locked")
    assert daemon.ready()


def test_port_of_another_program(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve("--data", tmp_path / "data", "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1 and str(port) in done.stderr and "in use" in done.stderr


def test_no_redis_server_to_start(tmp_path):
    done = serve("--data", tmp_path / "data", "--listen", "127.0.0.1:0", env={"PATH": "/nonexistent"})
    assert done.returncode == 1 and "redis-server" in done.stderr and done.stdout == ""


def test_data_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    done = serve("--data", tmp_path / "file", "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and "file" in done.stderr


@pytest.mark.parametrize("arguments", [
    ["--listen", "foo"], ["--listen", "127.0.0.1:99999"], ["--redis", "bar"], ["--data", ""],
    ["--config", "/nonexistent"], ["--set", "retry.jitter=2"], ["--nonsense"], ["extra"],
], ids=" ".join)
def test_wrong_settings_end_with_a_sentence(arguments):
    done = serve(*arguments)
    assert done.returncode in (1, 2) and done.stderr.startswith("trotline: ") and not done.stdout


# ---- stopping ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["embedded", "unix", "tcp"])
@pytest.mark.parametrize("how", ["term", "kill9"])
def test_nothing_accepted_is_lost(redis_server, start_daemon, sink, where, how):
    redis = {"embedded": "embedded", "unix": redis_server.unix_url, "tcp": redis_server.url}[where]
    daemon = start_daemon(redis=redis)
    sink.script("/", delayed(0.02, 200))
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["load.*"],
                                        retryPolicy={"schedule": ["300ms"] * 10})
    with Load(daemon, "load.a", 1200, keys=True) as load:
        for _ in range(2):
            before = load.done()
            wait_until(lambda: load.done() > before + 200, 60)
            if how == "term":
                assert daemon.stop() == 0
            else:
                daemon.kill9()
            daemon.start()
        load.wait()
    assert len(load.accepted) == 1200
    wait_until(lambda: set(load.accepted.values()) <= set(sink.ids()), 60)
    if how == "term":
        sink.wait_quiet(0.5)
        assert len(sink.ids()) == len(set(sink.ids())), "a graceful stop repeats nothing"
    with daemon.client() as client:
        def sent():
            for event in list(load.accepted.values())[::10]:
                delivery = client.deliveries(event)[webhook["id"]]
                assert delivery["status"] == "sent", delivery
            return True
        wait_until(sent, 20)


def test_interrupt_of_the_whole_group_as_a_terminal_sends_it(start_daemon, sink, monkeypatch):
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen",
                        lambda *a, **k: popen(*a, **{**k, "start_new_session": True}))
    daemon = start_daemon()
    monkeypatch.undo()
    sink.script("/", delayed(0.3, 200))
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"], maxInFlight=20)
        events = [client.event_id("a.b", {"n": n}) for n in range(100)]
    os.killpg(daemon.pid, signal.SIGINT)
    assert daemon.wait() == 0
    daemon.start()
    wait_until(lambda: set(events) <= set(sink.ids()), 20)
    sink.wait_quiet(0.5)
    assert len(sink.ids()) == 100, "a graceful stop repeats nothing"


def test_stopping_with_an_endpoint_that_hangs(start_daemon, sink):
    daemon = start_daemon()
    sink.script("/", hang())
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["*"], timeout="2s")
        event = client.event_id("a.b")
    sink.wait_for(1)
    begin = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begin < 10
    daemon.start()
    with daemon.client() as client:
        delivery = client.deliveries(event)[webhook["id"]]
        assert delivery["status"] == "failed" and delivery["attempts"] == 1, delivery


# ---- Redis -------------------------------------------------------------------------------------------

def test_the_embedded_redis_is_killed(start_daemon, sink):
    daemon = start_daemon()
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        first = client.event_id("a.b")
        sink.wait_for(1)
        children = open(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read().split()
        os.kill(int(children[0]), signal.SIGKILL)
        wait_until(lambda: client.post_event("a.b").status == 202, 20)
        sink.wait_for(2)
        assert client.get_event(first)["deliveries"][0]["status"] == "sent"


def test_redis_away_and_back(redis_server, start_daemon, sink):
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        client.event_id("a.b")
        sink.wait_for(1)
        redis_server.kill9()
        wait_until(lambda: client.get("/readyz").status == 503, 10)
        assert client.get("/healthz").status == 200 and client.get("/metrics").status == 200
        answer = client.post_event("a.b")
        assert answer.status == 503 and answer.header("Retry-After"), answer
        redis_server.start()
        wait_until(daemon.ready, 20)
        client.post_event("a.b").expect(202)
        sink.wait_for(2)


def test_redis_out_of_memory(redis_server, start_daemon, sink):
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["*"])
        redis_server.call("CONFIG", "SET", "maxmemory", "1")
        answer = client.post_event("a.b").expect(503, code="redis_out_of_memory")
        assert answer.header("Retry-After")
        redis_server.call("CONFIG", "SET", "maxmemory", "0")
        client.post_event("a.b").expect(202)
        sink.wait_for(1)
        sink.wait_quiet(0.5)
        assert sink.count() == 1
