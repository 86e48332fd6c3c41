"""The tools of bench/ still do what they say. Their figures are taken elsewhere: here is no bound."""

import concurrent.futures
import hmac
import html.parser
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time

import pytest
from harness import wait_until
from harness.daemon import ROOT, binary

sys.path.insert(0, str(ROOT / "bench"))
import rig  # noqa: E402  (it is no package: its programs run from where they are)
import scenarios  # noqa: E402

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

    def post(self, path, number=0, age_ms=5, timeout=10, host="127.0.0.1", trust=None):
        """The status that an event as bench-load writes it is answered with."""
        sent = 10**18 + time.monotonic_ns() - age_ms * 1_000_000
        if trust:
            context = ssl.create_default_context(cafile=trust)
            client = http.client.HTTPSConnection(host, self.port, timeout=timeout, context=context)
        else:
            client = http.client.HTTPConnection(host, self.port, timeout=timeout)
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


def test_sink_speaks_https_with_a_certificate_that_verifies(tmp_path):
    authority, other = tmp_path / "authority.pem", tmp_path / "other.pem"
    with BenchSink("--tls", authority) as sink, BenchSink("--tls", other):
        assert sink.post("/ok/0", 0, trust=authority) == 200
        assert sink.post("/ok/0", 1, host="localhost", trust=authority) == 200
        assert sink.post("/delay/20/0", 2, trust=authority) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            sink.post("/ok/0", 3, trust=other)
        with pytest.raises((http.client.HTTPException, OSError)):
            sink.post("/ok/0", 4)  # without TLS
        assert (sink.summary()["unique"], sink.summary()["broken"]) == (3, 0)


def test_sink_is_many_hosts():
    with BenchSink("--everywhere") as sink:
        for number, host in enumerate(["127.0.0.1", "127.1.0.1", "127.255.254.253"]):
            assert sink.post("/ok/0", number, host=host) == 200
        assert sink.summary()["unique"] == 3


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


def test_load_puts_many_events_in_a_request(server):
    """As arrays that the server takes whole; what it takes none of does not count as accepted."""
    with server.client() as client:
        before = client.metric("trotline_events_accepted_total")
        words = ("--url", server.url + "/api/events", "--api-key", server.api_key, "--events", 330,
                 "--connections", 3, "--per-request", 30, "--types", 3, "--idempotency-keys")
        result = json.loads(bench_load(*words).stdout)
        assert (result["sent"], result["accepted"], result["lost"]) == (330, 330, 0)
        assert client.metric("trotline_events_accepted_total") - before == 330
        refused = json.loads(bench_load(*words, "--type", "a..b").stdout)
        assert (refused["sent"], refused["accepted"], refused["other"]) == (330, 0, 330)


def test_load_signs_as_github_does(sink):
    """The same bodies; each has an id of its own, its type, and a signature of the bytes that were sent."""
    load = bench_load("--url", sink.url("/in/bench"), "--api-key", "k", "--github", "a secret",
                      "--events", 70, "--connections", 3, "--types", 2, "--size", 400)
    assert load.returncode == 0, load.stderr
    requests = sink.wait_for(70)
    for request in requests:
        mac = hmac.new(b"a secret", request.body, "sha256").hexdigest()
        assert request.headers_named("X-Hub-Signature-256") == [f"sha256={mac}"]
        assert request.headers_named("X-GitHub-Event") == [request.json()["type"]]
        number = request.json()["data"]["n"]
        assert request.header("X-GitHub-Delivery").endswith(f"-{number}")
        assert not request.headers_named("Authorization")
    assert {request.json()["type"] for request in requests} == {"bench.0000", "bench.0001"}
    assert len({request.header("X-GitHub-Delivery") for request in requests}) == 70
    assert {len(request.body) for request in requests} == {400}


def test_load_publishes_orders_of_the_exact_size(sink):
    """All of them are JSON and say different things; --padding is a kilobyte of one letter."""
    for size in (110, 300, 520, 1024, 4000):
        load = bench_load("--url", sink.url(), "--api-key", "k", "--events", 70, "--connections", 2,
                          "--size", size, "--first", size * 1000)
        assert load.returncode == 0, load.stderr
    requests = sink.wait_for(350)
    documents = {}
    for request in requests:
        data = json.loads(request.body)["data"]
        documents.setdefault((data["n"] - 10**9) // 1000, []).append(
            (len(request.body), data.pop("t"), data.pop("n"), json.dumps(data)))
    for size, each in documents.items():
        assert {length for length, *_ in each} == {size}
        assert sorted(number for *_, number, _ in each) == [
            10**9 + size * 1000 + i for i in range(70)]
        assert len({data for *_, data in each}) == 70, "there are 509, more than LZ4 looks back"
    assert json.loads(documents[1024][0][-1])["items"][0]["sku"]
    assert set(documents) == {110, 300, 520, 1024, 4000}

    bench_load("--url", sink.url(), "--api-key", "k", "--events", 1, "--connections", 1,
               "--payload", "padding")
    assert set(json.loads(sink.wait_for(351)[-1].body)["data"]["pad"]) == {"x"}


def test_load_closed_loop_ends_with_its_duration():
    with BenchSink("--status", 202) as sink:
        done = bench_load("--url", f"http://127.0.0.1:{sink.port}", "--api-key", "k",
                          "--duration", 0.3, "--connections", 2)
        result = json.loads(done.stdout)
        assert (done.returncode, result["mode"]) == (0, "closed")
        assert result["accepted"] == result["sent"] == sink.summary()["unique"] > 2
        assert 0.29 <= result["seconds"] < 20 and result["cpu_seconds"] > 0


# ---- bench/run ------------------------------------------------------------------------------------

# Every way of measuring, once, and a figure that it must have; other scenarios differ in their numbers.
RUN = {"ingest": "rate", "egress-fail": "redis_bytes", "e2e-1000": "p999_us",
       "e2e-https": "server_us", "fanout-100": "redis_us", "many-endpoints": "load_us", "isolation": "p99_us",
       "replicas-2": "server_mib", "idle": "redis_calls"}


def bench_run(*arguments):
    return subprocess.run([ROOT / "bench/run", "--small", *arguments], capture_output=True,
                          text=True, timeout=300, env=ENVIRONMENT, check=False)


def test_run(tmp_path):
    """A table, a document and a page, with all figures; nothing is lost, and nothing left behind."""
    data, output = tmp_path / "data", tmp_path / "output"
    data.mkdir()
    done = bench_run("--only-trotline", "--build", BUILD, "--directory", data, "--output", output,
                     *RUN)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads((output / "results.json").read_text())
    assert list(document["scenarios"]) == list(RUN)
    for name, figure in RUN.items():
        result = document["scenarios"][name]
        assert result["problems"] == []
        for rounds in result["rounds"].values():
            assert len(rounds) == 1 and rounds[0].get("lost", 0) == 0, rounds
            assert rounds[0][figure] > 0, (name, rounds)
        assert f"\n{name}: " in done.stdout
    bounds = [bound for result in document["scenarios"].values() for bound in result["bounds"]]
    assert {bound["what"] for bound in bounds if not bound["met"]} <= {
        "server's CPU, µs ≤ 40", "rate, to that of 100 on one host ≥ 0.8",
        "p99, to that without ≤ 1.3", "server's CPU, % of a core ≤ 0.2"}, "what is left does not depend on the size"
    assert "  met: lost ≤ 0: 0" in done.stdout
    assert document["machine"]["versions"]["redis"] and document["machine"]["kernel"]

    page = (output / "report.html").read_text()
    html.parser.HTMLParser().feed(page)
    assert all(f"<h2>{name}</h2>" in page for name in RUN) and "<polyline" in page
    assert "://" not in page and "src=" not in page, "it needs nothing but itself"
    assert not list(data.iterdir())


def test_run_says_what_it_cannot_measure(tmp_path):
    done = bench_run("--build", tmp_path, "--output", tmp_path / "output", "idle")
    assert done.returncode == 2 and "bench-sink is not there" in done.stdout
    assert "not measured: Redis calls" in done.stdout
    done = bench_run("no-such")
    assert done.returncode == 2 and "there is no scenario no-such" in done.stderr


def test_run_judges_by_medians_and_ratios_of_neighbours():
    a = [{"round": 1, "x": 10}, {"round": 2, "x": 30}, {"round": 3, "x": 20}]
    b = [{"round": 1, "x": 5}, {"round": 3, "x": 40}]
    bound = scenarios.at_least("x", scenarios.median("a", "x"), 20)
    assert bound.judge({"a": a}) == {"what": "x ≥ 20", "value": 20, "met": True}
    assert scenarios.at_most("x", scenarios.median("a", "x"), 19).judge({"a": a})["met"] is False
    both = {"a": a, "b": b}
    assert scenarios.ratio("a", "b", "x")(both) == 1.25, "of 2 and 0.5; round 2 is missing"
    for missing in ({}, {"a": []}, {"a": [{"round": 1}]}):
        assert bound.judge(missing)["met"] is None
    assert scenarios.at_least("x", scenarios.ratio("a", "b", "x"), 1).judge({"a": a})["met"] is None


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
