"""The server under test as a process."""

import os
import re
import signal
import subprocess
from pathlib import Path

from .client import Client
from .wait import wait_until

ROOT = Path(__file__).resolve().parents[3]

# What must never be in a log, whichever way the process ended.
FORBIDDEN = re.compile(
    r"ERROR: (Address|Leak|Memory|Thread)Sanitizer|LeakSanitizer: detected|SUMMARY: \w*Sanitizer"
    r"|runtime error:|Assertion .* failed|stack smashing detected|double free or corruption")


def binary():
    """The program under test: $TROTLINE_BIN, or what the asan preset builds."""
    return Path(os.environ.get("TROTLINE_BIN", ROOT / "build/asan/trotline")).absolute()


class Daemon:
    """`trotline serve` on a free port, with its data and log below `directory`.

    start() returns when `/readyz` answers 200. The port is chosen at the first start and kept, so
    clients and load go on after a restart. finish() is called at the end of every test that used
    it: it stops the process and fails on whatever a test would not see by itself.
    """

    def __init__(self, directory, *arguments, redis="embedded", config=None, dev=True, env=None):
        self.directory = Path(directory)
        self.data = self.directory / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory / "trotline.log"
        self.output_path = self.directory / "trotline.out"
        self.redis = redis if isinstance(redis, str) else redis.url
        self.arguments = [str(argument) for argument in arguments]
        if config is not None:
            path = self.directory / "trotline.yaml"
            path.write_text(config)
            self.arguments += ["--config", str(path)]
        if dev:
            self.arguments.append("--dev")
        self.env = env or {}
        self.address, self.port = "127.0.0.1", 0
        self.process = None
        self.children = set()

    # ---- the life of the process ---------------------------------------------------------------

    def start(self, timeout=30.0, ready=True):
        """`ready=False` waits only until the log says that it listens (Redis may be away)."""
        self.begun_at = len(self.log)
        assert self.process is None, "this daemon runs already"
        environment = {
            **os.environ,
            "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            **self.env,
        }
        command = [str(binary()), "serve", "--listen", f"{self.address}:{self.port}",
                   "--redis", self.redis, "--data", str(self.data), *self.arguments]
        with open(self.log_path, "ab") as log, open(self.output_path, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=log, env=environment)
        try:
            wait_until(lambda: self._listening(ready), timeout, "the line that it listens")
            if ready:
                wait_until(self.ready, timeout, "/readyz to answer 200")
        except BaseException as error:
            self.process.kill()
            self.process.wait()
            self.process = None
            raise AssertionError(f"{error}\n{' '.join(command)}\n{self.log[-6000:]}") from None
        self.children |= _children(self.process.pid)
        return self

    def _listening(self, ready):
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode} while starting")
        match = re.search(r"^ready on https?://(.+):(\d+)/?$", self.output, re.M) if ready else \
            re.search(r"serve\.listening url=https?://(.+):(\d+)$", self.log, re.M)
        if match:
            self.port = int(match.group(2))
        return match is not None

    def ready(self):
        """Does /readyz answer 200 now?"""
        try:
            with self.client(key=None) as client:
                return client.get("/readyz").status == 200
        except OSError:
            return False

    def alive(self):
        """Does /healthz answer 200 now?"""
        with self.client(key=None) as client:
            return client.get("/healthz").status == 200

    def kill9(self):
        """SIGKILL, as a power cut of the process; children must follow on their own."""
        self.children |= _children(self.process.pid)
        self.process.kill()
        self.process.wait(10)
        self.process = None
        self._wait_for_children()

    def terminate(self):
        """Sends SIGTERM and returns at once."""
        self.children |= _children(self.process.pid)
        self.process.terminate()

    def stop(self, timeout=40.0):
        """A graceful stop; returns the exit code."""
        self.terminate()
        return self.wait(timeout)

    def wait(self, timeout=40.0):
        """The exit code of a process that ends by itself."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.process = None
            raise AssertionError(f"the server did not stop in {timeout} s:\n{self.log[-6000:]}")
        self.process = None
        return code

    def restart(self, **options):
        code = self.stop()
        assert code == 0, f"a graceful stop ended with {code}:\n{self.log[-6000:]}"
        return self.start(**options)

    def pause(self):
        """SIGSTOP: as a machine that is frozen, or a process starved for a long time."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def finish(self):
        """Stops what still runs and fails on what must never happen."""
        problems = []
        if self.process is not None:
            self.resume()
            if self.process.poll() is not None:
                problems.append(f"the server had ended by itself with {self.process.returncode}")
                self.process = None
            else:
                try:
                    code = self.stop()
                    if code != 0:
                        problems.append(f"a graceful stop ended with {code}")
                except AssertionError as error:
                    problems.append(str(error).splitlines()[0])
        match = FORBIDDEN.search(self.log)
        if match:
            problems.append(f"the log has {match.group(0)!r}:\n{self.log[match.start():][:6000]}")
        try:
            self._wait_for_children()
        except AssertionError as error:
            problems.append(str(error))
        assert not problems, "\n".join(problems) + f"\nlog: {self.log_path}\n{self.log[-3000:]}"

    def _wait_for_children(self):
        """The embedded redis-server, for one, must not outlive the process."""
        def gone():
            left = {child for child in self.children if _start_time(child[0]) == child[1]}
            left |= _inside(self.data)
            return not left
        try:
            wait_until(gone, 15, "child processes to end")
        finally:
            for pid, started in self.children | _inside(self.data):
                if _start_time(pid) == started:
                    os.kill(pid, signal.SIGKILL)
            self.children.clear()

    # ---- what it says --------------------------------------------------------------------------

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"http://{self.address}:{self.port}"

    @property
    def api_key(self):
        return (self.data / "api-key").read_text().strip()

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def output(self):
        return self.output_path.read_text(errors="replace") if self.output_path.exists() else ""

    def log_contains(self, pattern):
        return re.search(pattern, self.log, re.M) is not None

    @property
    def incarnation(self):
        """The name that this process has in Redis."""
        def told():
            return re.findall(r"redis\.ready incarnation=(\w+)$", self.log[self.begun_at:], re.M)
        return wait_until(told, 10, "the process to tell its incarnation")[-1]

    def wait_for_log(self, pattern, timeout=10.0):
        wait_until(lambda: self.log_contains(pattern), timeout, f"{pattern!r} in the log")

    def client(self, key="", **options):
        """A client with the server's own key; key=None sends none."""
        return Client(self.address, self.port, self.api_key if key == "" else key, **options)

    def rss_kib(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def command(self, *arguments, timeout=30.0, stdin=None):
        """A client command (`trotline send …`) against this server, as a finished process."""
        environment = {**os.environ, "TROTLINE_URL": self.url, "TROTLINE_API_KEY": self.api_key}
        return subprocess.run([str(binary()), *map(str, arguments)], input=stdin, timeout=timeout,
                              capture_output=True, env=environment, check=False)


def _start_time(pid):
    """What tells a process from a later one with the same id; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _children(pid):
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return set()
    return {(int(child), _start_time(child)) for child in pids if _start_time(child)}


def _inside(directory):
    """Processes that work in `directory`, as the embedded redis-server does."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            where = os.readlink(entry / "cwd")
        except OSError:
            continue
        if Path(where).is_relative_to(directory) and _start_time(entry.name):
            found.add((int(entry.name), _start_time(entry.name)))
    return found
