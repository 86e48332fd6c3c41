"""The tools of bench/ still do what they say. Their figures are taken elsewhere: here is no bound."""

import concurrent.futures
import http.client
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from harness import wait_until
from harness.daemon import ROOT, binary

sys.path.insert(0, str(ROOT / "bench"))
import rig  # noqa: E402  (it is no package: its programs run from where they are)

BUILD = binary().parent
# They end with their sockets and buffers, which a leak checker would count.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:exitcode=99"}


class BenchSink:
    """A running bench-sink."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([BUILD / "bench-sink", *map(str, arguments)], text=True,
                                        stdout=subprocess.PIPE, env=ENVIRONMENT)
        self.port = int(self.process.stdout.readline().split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def post(self, path, number=0, age_ms=5, timeout=10):
        """The status that an event as bench-load writes it is answered with."""
        sent = 10**18 + time.monotonic_ns() - age_ms * 1_000_000
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            client.request("POST", path, f'{{"data":{{"t":{sent},"n":{10**9 + number}}}}}')
            return client.getresponse().status
        finally:
            client.close()

    def summary(self):
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())


def bench_load(*arguments):
    return subprocess.run([BUILD / "bench-load", *map(str, arguments)], capture_output=True,
                          text=True, timeout=60, env=ENVIRONMENT, check=False)


# ---- bench-sink -----------------------------------------------------------------------------------


def test_sink_behaves_as_the_path_says():
    with BenchSink("--status", 202) as sink:
        for path, status in [("/", 202), ("/other/0", 202), ("/ok/0", 200), ("/ok/some/1", 200),
                             ("/500/0", 500), ("/204/0", 204)]:
            assert sink.post(path) == status, path
        with pytest.raises(TimeoutError):
            sink.post("/hang/0", timeout=0.2)
        with pytest.raises(ConnectionResetError):
            sink.post("/reset/0")
        with pytest.raises(TimeoutError):
            sink.post("/delay/600000/0", timeout=0.2)  # goes away while it waits
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = pool.map(sink.post, ["/delay/50/0", "/delay/50/1", "/delay/80/0"] * 5)
            assert set(answers) == {200}
        assert time.monotonic() - began >= 0.08


def test_sink_counts_by_class():
    with BenchSink() as sink:
        for number in (0, 1, 1):
            sink.post("/ok/a/0", number, age_ms=20)
        sink.post("/ok/b/0", 7, age_ms=4000)
        sink.post("/503/0", 8)
        seen = sink.summary()
        classes = seen["classes"]
        assert (seen["received"], seen["refused"], seen["unique"]) == (5, 1, 3)
        assert set(classes) == {"/ok/a", "/ok/b", "/503"}
        assert (classes["/ok/a"]["received"], classes["/ok/a"]["unique"]) == (3, 2)
        assert (classes["/503"]["refused"], classes["/503"]["unique"]) == (1, 0)
        assert 20_000 <= classes["/ok/a"]["latency_us"]["p50"] < 3_900_000
        assert classes["/ok/b"]["latency_us"]["p50"] >= 3_900_000

        sink.process.send_signal(signal.SIGUSR2)
        # Of two signals that are pending the kernel may hand out the later one first.
        assert wait_until(lambda: sink.summary()["received"] == 0, what="the figures to be zero")
        assert sink.summary()["classes"] == {}


def test_sink_switch_is_dead_while_told_so():
    def answers(status):
        assert sink.post("/switch/503/0") == status
        return True

    with BenchSink() as sink:
        answers(200)
        sink.process.send_signal(signal.SIGRTMIN)
        wait_until(lambda: answers(503), what="the switch to die")
        assert sink.post("/ok/0") == 200, "only /switch has one"
        sink.process.send_signal(signal.SIGRTMIN + 1)
        wait_until(lambda: answers(200), what="the switch to come back")
        assert sink.summary()["classes"]["/switch/503"]["refused"] >= 1


def test_sink_skip_stamps_and_expect(tmp_path):
    stamps = tmp_path / "stamps"
    with BenchSink("--skip", 2, "--stamps", f"/ok/a:{stamps}", "--expect", 4) as sink:
        began = time.monotonic_ns()
        sink.post("/ok/a/0", 0, age_ms=9000)
        sink.post("/ok/a/0", 1, age_ms=9000)
        sink.post("/ok/b/0", 2)
        sink.post("/ok/a/1", 3)
        summary = json.loads(sink.process.stdout.readline())
        assert sink.process.wait(10) == 0
        assert summary["latency_us"]["max"] < 9_000_000, "the first two are left out"
        times = [int(line) for line in stamps.read_text().split()]
        assert len(times) == 3 and times == sorted(times)
        assert began < times[0] and times[-1] < time.monotonic_ns()


@pytest.mark.parametrize("tool", ["bench-sink", "bench-load"])
def test_tools_have_help_and_refuse_what_they_do_not_know(tool):
    def run(option):
        return subprocess.run([BUILD / tool, option], capture_output=True, text=True, timeout=10,
                              env=ENVIRONMENT, check=False)

    assert run("--help").returncode == 0 and f"usage: {tool}" in run("--help").stdout
    assert run("--no-such-option").returncode == 2


# ---- bench-load -----------------------------------------------------------------------------------


def test_load_closed_loop_measures_processes():
    with BenchSink("--status", 202) as sink:
        done = bench_load("--url", f"http://127.0.0.1:{sink.port}/api/events", "--api-key", "k",
                          "--events", 300, "--connections", 4, "--idempotency-keys",
                          "--pid", sink.process.pid)
        result = json.loads(done.stdout)
        assert (done.returncode, result["mode"], result["accepted"]) == (0, "closed", 300)
        assert result["processes"][0]["rss_kib"] > 0
        seen = sink.summary()
        assert (seen["unique"], seen["unstamped"], seen["broken"]) == (300, 0, 0)


def test_load_open_loop_offers_its_rate():
    with BenchSink("--status", 202) as sink:
        done = bench_load("--url", f"http://127.0.0.1:{sink.port}", "--api-key", "k",
                          "--rate", 200, "--duration", 0.5, "--types", 3)
        result = json.loads(done.stdout)
        assert (done.returncode, result["mode"], result["sent"]) == (0, "open", 100)
        assert result["seconds"] >= 0.49, "the last is due after half a second"


def test_load_publishes_what_it_is_told_to(sink):
    """As a server sees it: types in turn, the time of delivery, the size."""
    done = bench_load("--url", sink.url(), "--api-key", "secret", "--events", 4, "--connections", 1,
                      "--type", "x.y", "--types", 2, "--size", 400, "--deliver-at",
                      "2030-01-02T03:04:05.678Z")
    assert done.returncode == 0, done.stderr
    requests = sink.wait_for(4)
    documents = [json.loads(request.body) for request in requests]
    assert [document["type"] for document in documents] == ["x.y.0000", "x.y.0001"] * 2
    assert {document["deliverAt"] for document in documents} == {"2030-01-02T03:04:05.678Z"}
    assert [document["data"]["n"] for document in documents] == [10**9 + i for i in range(4)]
    assert {len(request.body) for request in requests} == {400}


# ---- bench/protect --------------------------------------------------------------------------------


def test_windows_of_arrivals():
    """busiest() and quietest() against counting in each window that opens at a whole number."""
    even = list(range(10, 110, 10))  # 10 … 100
    assert rig.busiest(even, 20) == 2 and rig.busiest(even, 21) == 3
    assert rig.quietest(even, 20, 0, 100) == 2 and rig.quietest(even, 19, 0, 100) == 1
    assert (rig.busiest([], 5), rig.quietest([], 5, 0, 10)) == (0, 0)
    assert rig.busiest([7, 7, 7], 1) == 3

    gaps = [1, 2, 3, 4, 30, 31, 50, 51, 52, 53, 54, 80]
    for length in (1, 3, 10, 25):
        opens = range(-length, 100)
        assert rig.busiest(gaps, length) == max(
            sum(at <= gap < at + length for gap in gaps) for at in opens)
        assert rig.quietest(gaps, length, 0, 90) == min(
            sum(at < gap <= at + length for gap in gaps) for at in range(0, 90 - length + 1))


FIGURES = {
    "isolation": ["ratio", "p99_us_without", "p99_us_beside", "attempts_hanging"],
    "limited": ["ratio", "window_least", "window_most", "second_most", "left"],
    "dead": ["attempts_while_dead", "first_after_s", "last_after_s"],
    "claim": ["ratio", "redis_ratio", "few", "many"],
    "waiting": ["bytes", "kinds"],
}


@pytest.mark.parametrize("scenario", FIGURES)
def test_protect(scenario, tmp_path):
    """Each scenario runs through and has its figures; nothing is left behind. 1 is a missed bound,
    which means nothing at this size."""
    done = subprocess.run([ROOT / "bench/protect", scenario, "--small", "--build", BUILD,
                           "--directory", tmp_path], capture_output=True, text=True, timeout=300,
                          env=ENVIRONMENT, check=False)
    assert done.returncode in (0, 1), done.stderr
    figures, sentence = done.stdout.splitlines()
    figures = json.loads(figures)
    assert figures["scenario"] == scenario and figures["holds"] == (done.returncode == 0)
    assert all(figures[name] is not None for name in FIGURES[scenario]), figures
    assert figures.get("lost", 0) == 0 and figures.get("arrived") == figures.get("sent")
    assert sentence.startswith(f"{scenario}: ")
    assert not list(tmp_path.iterdir())


def test_protect_says_when_it_cannot_measure(tmp_path):
    done = subprocess.run([ROOT / "bench/protect", "waiting", "--small", "--build", tmp_path],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "") and "bench-sink is not there" in done.stderr
