"""`trotline serve --workers N`: several gateways on one port, kept alive by a parent."""

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from harness import Load, wait_until
from harness.daemon import binary
from harness.sink import delayed


def workers(daemon):
    """{number: pid} of the workers that are ready now, by the log, which is written by others and may
    be late: only what is waited for is certain."""
    running = {}
    for line in daemon.log.splitlines():
        started = re.search(r"worker\.ready pid=(\d+) worker=(\d+)", line)
        if started:
            running[int(started.group(2))] = int(started.group(1))
        ended = re.search(r"worker\.ended worker=(\d+) pid=(\d+)", line)
        if ended and running.get(int(ended.group(1))) == int(ended.group(2)):
            del running[int(ended.group(1))]
    return running


def replicas(daemon):
    with daemon.client() as client:
        return client.get("/api/replicas").expect(200).json


def shares(daemon):
    """Lanes of each, sorted; nothing while some are free."""
    answer = replicas(daemon)
    assert sum(replica["lanes"] for replica in answer["replicas"]) + answer["free"] == 256
    return not answer["free"] and sorted(replica["lanes"] for replica in answer["replicas"])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def all_workers(daemon, count):
    """The same, when there are so many."""
    wait_until(lambda: len(workers(daemon)) == count, what=f"{count} workers in the log")
    return workers(daemon)


def answered_by(daemon):
    """The process that answers a new connection."""
    listed = replicas(daemon)["replicas"]
    return next(replica["pid"] for replica in listed if replica["self"])


# ---- starting --------------------------------------------------------------------------------------

def test_workers_share_one_port_and_the_work(start_daemon, sink):
    daemon = start_daemon("--workers", 3)
    assert daemon.output == f"ready on {daemon.url}\n", "once, when all are"
    started = all_workers(daemon, 3)
    assert set(started) == {1, 2, 3}
    answer = replicas(daemon)
    assert answer["count"] == 3 and answer["lanes"] == 256
    assert {replica["pid"] for replica in answer["replicas"]} == set(started.values())
    assert len({replica["id"] for replica in answer["replicas"]}) == 3
    for replica in answer["replicas"]:
        assert replica["host"] == socket.gethostname() and replica["url"] == daemon.url
        assert replica["draining"] is False and replica["version"]
        assert replica["startedAt"] < replica["leaseEndsAt"]
    assert sum(replica["self"] for replica in answer["replicas"]) == 1
    wait_until(lambda: shares(daemon) == [84, 86, 86], 20, "even shares")
    wait_until(lambda: len({answered_by(daemon) for _ in range(20)}) == 3, 20,
               "connections to reach every worker")
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a"])
        client.event_id("a")
    sink.wait_for(1)
    daemon.restart()
    assert daemon.output.count("ready on") == 1 and daemon.api_key
    with daemon.client() as client:
        client.get_webhook(webhook["id"]).expect(200)
        client.event_id("a")
    sink.wait_for(2)


def test_one_worker_is_a_gateway_by_itself(start_daemon):
    daemon = start_daemon("--workers", 1)
    assert not workers(daemon)
    assert [replica["pid"] for replica in replicas(daemon)["replicas"]] == [daemon.pid]


def test_workers_with_a_redis_of_ones_own(redis_server, start_daemon):
    daemon = start_daemon("--workers", 2, redis=redis_server)
    wait_until(lambda: replicas(daemon)["count"] == 2, what="both")
    other = start_daemon("--workers", 2, "--set", "workerListen=127.0.0.1:0", redis=redis_server)
    wait_until(lambda: replicas(daemon)["count"] == 4, what="all four")
    assert {replica["id"] for replica in replicas(daemon)["replicas"]} == {
        replica["id"] for replica in replicas(other)["replicas"]}


def test_workers_with_a_path_too_long_for_a_socket(start_daemon, tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 40)
    deep.mkdir(parents=True)
    daemon = start_daemon("--workers", 2, "--data", deep)
    assert replicas_of(daemon, deep)["count"] == 2


def replicas_of(daemon, data):
    with daemon.client(key=(data / "api-key").read_text().strip()) as client:
        return client.get("/api/replicas").expect(200).json


@pytest.mark.parametrize("arguments, words", [
    (["--set", "schemes=/nonexistent"], "/nonexistent"),
    (["--redis", "redis://127.0.0.1:0"], "port"),
    (["--set", "outbound.caFile=/nonexistent"], "caFile"),
], ids=["schemes", "redis", "caFile"])
def test_what_is_wrong_is_told_once_and_ends_all(tmp_path, arguments, words):
    done = subprocess.run([str(binary()), "serve", "--workers", "3", "--listen", "127.0.0.1:0",
                           "--data", str(tmp_path / "data"), *arguments], timeout=30, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    complaints = [line for line in done.stderr.splitlines() if line.startswith("trotline: ")]
    assert len(complaints) == 1 and words in complaints[0], done.stderr


@pytest.mark.parametrize("count", ["0", "65", "x"])
def test_wrong_numbers(tmp_path, count):
    done = subprocess.run([str(binary()), "serve", "--workers", count, "--data", str(tmp_path / "d")],
                          timeout=30, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "workers" in done.stderr and "1 to 64" in done.stderr


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_a_port_that_is_taken(tmp_path, shared):
    """Also by somebody who would share it: with a Redis of its own that is another gateway."""
    with socket.socket() as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run([str(binary()), "serve", "--workers", "2", "--data",
                               str(tmp_path / "data"), "--listen", f"127.0.0.1:{port}"],
                              timeout=30, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and str(port) in done.stderr and "in use" in done.stderr


def test_the_data_directory_belongs_to_the_parent(start_daemon):
    daemon = start_daemon("--workers", 2)
    for count in ("1", "2"):
        done = subprocess.run([str(binary()), "serve", "--workers", count, "--listen",
                               "127.0.0.1:0", "--data", str(daemon.data)], timeout=30,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 1 and str(daemon.pid) in done.stderr
    assert daemon.ready()


# ---- staying ---------------------------------------------------------------------------------------

def test_a_worker_that_is_killed_comes_back(start_daemon, sink):
    daemon = start_daemon("--workers", 2, "--set", "replica.lease=1s", "--set",
                          "replica.heartbeat=200ms")
    sink.script("/", delayed(0.01, 200))
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["load"], retryPolicy={"schedule": ["200ms"] * 20})
    before = all_workers(daemon, 2)
    with Load(daemon, "load", 1500, keys=True) as load:
        for number in (1, 2):
            reached = min(load.done() + 200, load.events)  # a successor may take as long as the rest
            wait_until(lambda: load.done() >= reached, 60)
            os.kill(before[number], signal.SIGKILL)
            wait_until(lambda: workers(daemon).get(number, before[number]) != before[number], 20,
                       "its successor")
        load.wait()
    wait_until(lambda: set(load.accepted.values()) <= set(sink.ids()), 60)
    assert set(all_workers(daemon, 2)) == {1, 2}
    daemon.wait_for_log(r"worker\.ended worker=1 pid=\d+ signal=9")
    assert daemon.output.count("ready on") == 1
    wait_until(lambda: {replica["pid"] for replica in replicas(daemon)["replicas"]}
               == set(workers(daemon).values()), 20, "the dead to be buried")
    wait_until(lambda: shares(daemon) == [128, 128], 20, "even shares")


def test_a_worker_that_is_told_to_stop_comes_back(start_daemon):
    """A rolling restart by hand."""
    daemon = start_daemon("--workers", 2)
    before = all_workers(daemon, 2)
    os.kill(before[1], signal.SIGTERM)
    wait_until(lambda: workers(daemon).get(1, before[1]) != before[1], 20, "its successor")
    assert workers(daemon)[2] == before[2]
    daemon.wait_for_log(r"worker\.ended worker=1 pid=\d+ status=0")
    wait_until(lambda: {replica["pid"] for replica in replicas(daemon)["replicas"]}
               == set(workers(daemon).values()), 20, "the list to say so")


def test_the_embedded_redis_is_killed_under_workers(start_daemon, sink):
    daemon = start_daemon("--workers", 2)
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"])
        client.event_id("a")
    sink.wait_for(1)
    pid = int(re.findall(r"redis_server\.started pid=(\d+)", daemon.log)[-1])
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon.log.count("redis_server.started") == 2, 20, "another one")

    def accepted():
        with daemon.client() as client:
            return client.post_event("a").status == 202
    wait_until(accepted, 20, "an event to be taken")
    sink.wait_for(2)


# ---- stopping --------------------------------------------------------------------------------------

def everybody(daemon, count):
    pids = list(all_workers(daemon, count).values())
    return pids + [int(pid) for pid in re.findall(r"redis_server\.started pid=(\d+)", daemon.log)]


def test_stop_ends_everybody_and_keeps_everything(start_daemon, sink):
    daemon = start_daemon("--workers", 3)
    sink.script("/", delayed(0.05, 200))
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"])
        events = [client.event_id("a") for _ in range(50)]
    pids = everybody(daemon, 3)
    assert len(pids) == 4 and all(alive(pid) for pid in pids)
    assert daemon.stop() == 0
    assert not any(alive(pid) for pid in pids)
    daemon.start()
    wait_until(lambda: set(events) <= set(sink.ids()), 20)
    sink.wait_quiet(0.5)
    assert len(sink.ids()) == 50, "a graceful stop repeats nothing"


def test_everybody_dies_with_the_parent(start_daemon):
    daemon = start_daemon("--workers", 3)
    pids = everybody(daemon, 3)
    daemon.kill9()
    wait_until(lambda: not any(alive(pid) for pid in pids), 15, "all to end")
    daemon.start()
    assert replicas(daemon)["count"] == 3, "those of before are buried at once"


def test_interrupt_of_the_terminal_reaches_the_parent_alone(start_daemon, monkeypatch):
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen",
                        lambda *a, **k: popen(*a, **{**k, "start_new_session": True}))
    daemon = start_daemon("--workers", 2)
    monkeypatch.undo()
    os.killpg(daemon.pid, signal.SIGINT)
    assert daemon.wait() == 0
    wait_until(lambda: daemon.log.count("serve.stopping signal=15") == 2)
    assert "stopped_at_once" not in daemon.log


def test_everybody_is_told_to_stop(start_daemon, sink):
    """By systemd or killall: the parent tells the workers once more, and that is no hurry."""
    daemon = start_daemon("--workers", 2, "--set", "drainDelay=0s")
    sink.script("/", delayed(1, 200))
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"])
        client.event_id("a")
    sink.wait_for(1)
    for pid in all_workers(daemon, 2).values():
        os.kill(pid, signal.SIGTERM)
    assert daemon.stop() == 0
    assert "stopped_at_once" not in daemon.log
    assert re.findall(r"worker\.ended .* status=(\d+)", daemon.log)[-2:] == ["0", "0"]
    assert len(sink.ids()) == 1
    daemon.start()
    sink.wait_quiet(0.5)
    assert len(sink.ids()) == 1, "what was on the wire was waited for"


def test_a_second_signal_ends_at_once(start_daemon, sink):
    daemon = start_daemon("--workers", 2, "--set", "drainDelay=10m")
    pids = everybody(daemon, 2)
    daemon.terminate()
    daemon.wait_for_log(r"serve\.stopping(.|\n)*serve\.stopping")
    daemon.terminate()
    assert daemon.wait(10) == 1
    assert not any(alive(pid) for pid in pids)


# ---- what each of them has -------------------------------------------------------------------------

def test_each_worker_has_a_port_of_its_own(start_daemon):
    daemon = start_daemon("--workers", 2, "--set", "workerListen=127.0.0.1:0")
    listed = replicas(daemon)["replicas"]
    urls = {replica["pid"]: replica["url"] for replica in listed}
    assert len(set(urls.values())) == 2 and daemon.url not in urls.values()
    for pid, url in urls.items():
        client = daemon.client()
        client.port = int(url.rsplit(":", 1)[1])
        for _ in range(3):
            selves = [replica["pid"] for replica in
                      client.get("/api/replicas").expect(200).json["replicas"] if replica["self"]]
            assert selves == [pid]
        client.get("/readyz").expect(200)
        wait_until(lambda: client.metric('trotline_lanes{state="mine"}') == 128, what="its share")
        assert client.metric('trotline_lanes{state="other"}') == 128
        wait_until(lambda: client.metric("trotline_replicas") == 2, what="it to know of the other")
        assert client.metric('trotline_lanes_moved_total{way="gained"}') >= 128
        client.close()


def test_each_worker_has_an_archive_of_its_own(start_daemon, sink):
    daemon = start_daemon("--workers", 2, "--set", "archive.file=done.jsonl")
    with daemon.client() as client:
        for number in range(8):
            client.create_webhook(sink.url(f"/{number}"), ["a"])
    events = set()
    for _ in range(20):
        with daemon.client() as client:
            events.add(client.event_id("a"))
    sink.wait_for(8 * 20)
    assert daemon.stop() == 0
    assert not (daemon.data / "done.jsonl").exists()
    lines = []
    for number in (1, 2):
        lines += (daemon.data / f"done-{number}.jsonl").read_text().splitlines()
    ended = [json.loads(line) for line in lines]
    assert len(ended) == 8 * 20 and {end["eventId"] for end in ended} == events


def test_every_line_of_the_log_says_which_worker(start_daemon):
    daemon = start_daemon("--workers", 2, "--set", "log.format=json")

    def told():
        lines = [json.loads(line) for line in daemon.log.splitlines()]
        return {line["worker"] for line in lines if line["event"] == "worker.ready"} == {1, 2}
    wait_until(told, what="both to say so")
