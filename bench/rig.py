"""What a benchmark stands on: a server, a sink and load generators, pinned, in a directory that goes.

    with Rig(options) as rig:
        rig.webhook("/ok/0", ["bench"])
        load = rig.load("--rate", 500, "--duration", 10).result()
        summary = rig.sink.summary()

Standard library only. Everything is on 127.0.0.1 and on ports that were free. Where there are two
CPUs the server has the first for itself, and Redis, sink and load share the second, so that what is
measured does not depend on who happens to run beside whom.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRARS = 8           # connections that register endpoints at once
KEY_PREFIX = "tl:{0}:"  # the server's default: see src/core/store.c


class CannotMeasure(Exception):
    """The benchmark itself went wrong: there is no figure, good or bad."""


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def wait_for(condition, timeout, interval=0.02):
    """True as soon as `condition` is; False after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def wait_grown(value, timeout, seconds=1):
    """Waits until `value()` has not grown for so long; the value."""
    deadline, most, since = time.monotonic() + timeout, value(), time.monotonic()
    while time.monotonic() - since < seconds:
        if time.monotonic() > deadline:
            raise CannotMeasure(f"still growing after {timeout:g} s: {most}")
        time.sleep(0.1)
        now = value()
        if now > most:
            most, since = now, time.monotonic()
    return value()


# ---- processes ------------------------------------------------------------------------------------


def _two_cpus():
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


SERVER_CPU, OTHER_CPU = _two_cpus()  # None where there is only one


def cpu_seconds(pid):
    """CPU time of all threads that live, user and kernel, to the nanosecond."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def pin(pid, cpu):
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cpu})


class Process:
    """A program on one CPU; `log` takes its standard error."""

    def __init__(self, command, cpu, log):
        command = [str(word) for word in command]
        self.name, self.log = Path(command[0]).name, log
        pinned = command if cpu is None else ["taskset", "-c", str(cpu), *command]
        with open(log, "wb") as errors:
            self.popen = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stderr=errors,
                                          stdout=subprocess.PIPE, text=True)
        self.pid = self.popen.pid  # taskset becomes the program

    def line(self):
        """The next line of its output."""
        line = self.popen.stdout.readline()
        if not line:
            raise CannotMeasure(f"{self.name} ended with {self.popen.wait()}: {self.errors()}")
        return line.rstrip("\n")

    def errors(self):
        return self.log.read_text(errors="replace")[-2000:]

    def kill(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdout.close()


class Load(Process):
    """A run of bench-load."""

    def result(self):
        """Waits for its end; its figures."""
        output, _ = self.popen.communicate()
        try:
            return json.loads(output)
        except ValueError:
            raise CannotMeasure(f"bench-load ended with {self.popen.returncode}: "
                                f"{self.errors()}") from None


class Sink(Process):
    """A running bench-sink."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.port = int(self.line().split()[1])

    def summary(self):
        os.kill(self.pid, signal.SIGUSR1)
        return json.loads(self.line())

    @contextlib.contextmanager
    def stopped(self):
        """Answers nothing meanwhile; connections are made and requests are taken, by the kernel."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def reset(self):
        """Back to zero; when, tells its next summary."""
        os.kill(self.pid, signal.SIGUSR2)

    def of(self, name):
        """The figures of one class; zeros when nothing came."""
        nothing = {"received": 0, "refused": 0, "unique": 0, "last_ns": 0,
                   "latency_us": {"p50": 0, "p99": 0}}
        return self.summary()["classes"].get(name, nothing)

    def switch(self, dead):
        os.kill(self.pid, signal.SIGRTMIN if dead else signal.SIGRTMIN + 1)


class Redis:
    """One connection, RESP2: `redis.call("ZCARD", "key")`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def call(self, *words):
        request = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            request.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(request))
        return self._read()

    def pipeline(self, commands):
        """Sends commands that are bytes as they go over the wire; their answers."""
        self.socket.sendall(b"".join(commands))
        return [self._read() for _ in commands]

    def _read(self):
        line = self.stream.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-" or not line:
            raise CannotMeasure(f"Redis: {rest.decode()}")
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._read() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def monitor(self, seconds):
        """How many commands clients send meanwhile; those within scripts do not count. The connection
        is of no more use then."""
        self.socket.sendall(b"*1\r\n$7\r\nMONITOR\r\n")
        seen, deadline = b"", time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                seen += self.socket.recv(65536)
            except TimeoutError:
                break
        return sum(b" [" in line and b" lua] " not in line for line in seen.split(b"\r\n"))

    def info(self, name):
        """One number of INFO."""
        return int(re.search(rf"^{name}:(\d+)", self.call("INFO").decode(), re.M).group(1))


# ---- all of them together -------------------------------------------------------------------------


class Bench:
    """A sink of its own and a directory that goes; what is measured is a subclass's.

    `options` has: build (directory of the programs), directory (where data goes, or None), pin, keep.
    `sink` are further options of bench-sink, which speaks https if `tls`; `stamps` is a class whose
    arrivals it notes.

    At the end all are killed: their data is thrown away, unless it is to be kept.
    """

    def __init__(self, options, stamps=None, sink=(), tls=False):
        self.options, self.stamps_class, self.sink_options, self.tls = options, stamps, sink, tls
        self.server_cpu, self.other_cpu = (SERVER_CPU, OTHER_CPU) if options.pin else (None, None)
        self.processes, self.redis = [], None  # a connection to what is measured, if it has a Redis
        self.pids = {}  # name -> processes whose CPU time and memory are told together

    def __enter__(self):
        if self.other_cpu is not None:
            pin(os.getpid(), self.other_cpu)
        self.directory = Path(tempfile.mkdtemp(prefix="trotline-bench-",
                                               dir=self.options.directory))
        try:
            self._start_sink()
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _start(self):
        """Starts what is measured."""

    def _end(self):
        for process in reversed(self.processes):
            process.kill()
        self._ended()
        if self.options.keep:
            say(f"logs and data are left in {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _ended(self):
        """Waits for what ends with the processes."""

    def begin(self, kind, cpu, program, *arguments):
        """Starts a program of the build directory."""
        path = Path(self.options.build) / program
        if not path.exists():
            raise CannotMeasure(f"{path} is not there; build it, or name its directory by --build")
        log = self.directory / f"{program}-{len(self.processes)}.log"
        process = kind([path, *arguments], cpu, log)
        self.processes.append(process)
        return process

    def _start_sink(self):
        self.stamps_path = self.directory / "stamps"
        stamps = ("--stamps", f"{self.stamps_class}:{self.stamps_path}") if self.stamps_class else ()
        self.ca_path = self.directory / "authority.pem"
        tls = ("--tls", self.ca_path) if self.tls else ()
        self.sink = self.begin(Sink, self.other_cpu, "bench-sink", *self.sink_options, *stamps, *tls)
        self.pids["sink"] = [self.sink.pid]

    def load_at(self, url, *arguments):
        """Starts a load generator that publishes there."""
        return self.begin(Load, self.other_cpu, "bench-load", "--url", url, *arguments)

    def target(self, path, host="127.0.0.1"):
        """The URL of the sink's `path`."""
        return f"{'https' if self.tls else 'http'}://{host}:{self.sink.port}{path}"

    def stamps(self):
        """When the requests of the class came, in ns, in order."""
        self.sink.summary()  # which writes what is still in its buffer
        return [int(line) for line in self.stamps_path.read_text().split()]

    def cpu(self):
        """CPU time of each so far, in seconds."""
        return {name: sum(map(cpu_seconds, pids)) for name, pids in self.pids.items()}


class Rig(Bench):
    """A Trotline server with a Redis of its own. `options` has, besides: set (options of the server),
    to which `settings` are added. The sink leaves the first `skip` events out of its latencies."""

    def __init__(self, options, skip=0, stamps=None, sink=(), settings=(), tls=False):
        super().__init__(options, stamps, ("--skip", skip, *sink), tls)
        self.settings = [*settings, *options.set]

    def __exit__(self, kind, *_):
        code, log = self.server.popen.poll(), self.server.errors()
        self._end()
        if code is not None and kind is None:
            raise CannotMeasure(f"the server had ended with {code}: {log}")

    def _ended(self):
        if self.redis:
            self.redis.close()
            # Its redis-server dies with the server; the directory can go when it has.
            wait_for(lambda: not os.path.exists(f"/proc/{self.redis_pid}"), 30)

    def _start(self):
        data = self.directory / "data"
        self.server, self.url = self.serve(data)
        self.api_key = (data / "api-key").read_text().strip()
        self.port = int(self.url.rsplit(":", 1)[1])
        self.redis_path = data / "redis/redis.sock"
        self.redis = Redis(self.redis_path)
        self.redis_pid = self.redis.info("process_id")
        if self.other_cpu is not None:
            pin(self.redis_pid, self.other_cpu)
        self.pids.update(server=[self.server.pid], redis=[self.redis_pid])

    def serve(self, data, *arguments):
        """Starts a server with that data directory; it and its URL, once it is ready."""
        settings = [word for setting in self.settings for word in ("--set", setting)]
        if self.tls:
            settings += ["--set", f"outbound.caFile={self.ca_path}"]
        server = self.begin(Process, self.server_cpu, "trotline", "serve", "--dev", "--data", data,
                            "--listen", "127.0.0.1:0", *arguments, *settings)
        while True:
            ready = re.fullmatch(r"ready on (http://.+:\d+)", server.line())
            if ready:
                return server, ready.group(1)

    def replica(self):
        """Starts a second server on the same Redis; its URL."""
        data = self.directory / "data-2"
        data.mkdir()
        shutil.copy(self.directory / "data/api-key", data)
        server, url = self.serve(data, "--redis", f"unix:{self.redis_path}")
        self.pids["server"].append(server.pid)
        return url

    def webhook(self, path, events, **members):
        """Registers an endpoint at the sink's `path`; its id."""
        return self.webhooks([{"url": self.target(path), "events": events, **members}])[0]

    def webhooks(self, documents):
        """Registers endpoints, many at once; their ids, in order."""
        ids = [None] * len(documents)
        # Each connection sends its part without waiting for answers: ten times quicker.
        with concurrent.futures.ThreadPoolExecutor(REGISTRARS) as pool:
            parts = [slice(first, None, REGISTRARS) for first in range(REGISTRARS)]
            for part, answers in zip(parts, pool.map(self._register,
                                                     [documents[part] for part in parts])):
                ids[part] = answers
        return ids

    def _register(self, documents):
        """The same on one connection."""
        requests = b"".join(map(self._request, documents))
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            sender = threading.Thread(target=connection.sendall, args=(requests,))
            sender.start()
            with connection.makefile("rb") as stream:
                ids = [self._answer(stream)["id"] for _ in documents]
            sender.join()
        return ids

    def post(self, path, document):
        """Asks the API for it; the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(self._request(document, path))
            with connection.makefile("rb") as stream:
                return self._answer(stream)

    def _request(self, document, path="/api/webhooks"):
        body = json.dumps(document).encode()
        return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
                f"{self.api_key}\r\nContent-Type: application/json\r\nContent-Length: "
                f"{len(body)}\r\n\r\n").encode() + body

    @staticmethod
    def _answer(stream):
        status, length = stream.readline().split(), 0
        while (line := stream.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = stream.read(length)
        if status[1:2] != [b"201"]:
            raise CannotMeasure(f"a request to the API was answered {status}: {body}")
        return json.loads(body)

    def load(self, *arguments):
        """Starts a load generator with these options."""
        return self.load_at(self.url, "--api-key", self.api_key, *arguments)

    def waiting(self, endpoints):
        """Deliveries of these endpoints that wait in the schedule."""
        return sum(self.redis.call("ZCARD", f"{KEY_PREFIX}due:{endpoint}")
                   for endpoint in endpoints)

    def cpu_seconds(self):
        """(the server's, Redis's) so far."""
        spent = self.cpu()
        return spent["server"], spent["redis"]


# ---- arrival times --------------------------------------------------------------------------------


def busiest(stamps, length):
    """The most arrivals in any window [t, t + length). `stamps` are in order."""
    most = first = 0
    for last, stamp in enumerate(stamps):
        while stamps[first] <= stamp - length:
            first += 1
        most = max(most, last - first + 1)
    return most


def quietest(stamps, length, begin, end):
    """The fewest arrivals in any window (t, t + length] that lies within (begin, end]."""
    # Fewest are in a window that opens with an arrival just gone.
    stamps = [stamp for stamp in stamps if begin < stamp <= end]
    fewest, after = len(stamps), 0
    for index, opens in enumerate([begin, *stamps]):
        if opens + length > end:
            break
        while after < len(stamps) and stamps[after] <= opens + length:
            after += 1
        fewest = min(fewest, after - index)
    return fewest
