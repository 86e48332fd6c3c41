"""A private redis-server, and a client for it in thirty lines."""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from .wait import free_port, wait_until


class RedisError(Exception):
    """An error reply."""


class Redis:
    """One blocking connection speaking RESP2: `Redis(path).call("GET", "key")` -> bytes."""

    def __init__(self, address, timeout=5.0):
        """`address` is a unix socket's path or a (host, port)."""
        family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, *words):
        """Sends one command; str, bytes and numbers are taken. An error reply raises RedisError."""
        request = b"*%d\r\n" % len(words)
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            request += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(request)
        return self.read()

    def read(self):
        """The next reply, also one that nobody asked for: a message of a channel."""
        reply = self._read()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def _read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.stream.read(size + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self._read() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP: {line!r}")


class RedisServer:
    """redis-server in a directory of its own, on a free port and a unix socket.

    It keeps port, socket and directory over stop/kill9 and start, so that a daemon finds it again.
    Options are Redis's own: RedisServer(appendonly="yes", appendfsync="always").
    """

    def __init__(self, **options):
        # Not pytest's tmp_path: its names are too long for a unix socket.
        self.directory = Path(tempfile.mkdtemp(prefix="tl-redis-"))
        self.path = str(self.directory / "redis.sock")
        self.port = free_port()
        self.options = {"save": "", "appendonly": "no", **options}
        self.password = options.get("requirepass")
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self):
        return f"unix:{self.path}"

    @property
    def log(self):
        log = self.directory / "redis.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def start(self, timeout=20.0):
        assert self.process is None, "this redis-server runs already"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                   "--unixsocket", self.path, "--dir", str(self.directory),
                   "--logfile", str(self.directory / "redis.log"), "--daemonize", "no"]
        for name, value in self.options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"redis-server ended with {self.process.returncode}:\n{self.log}")
            try:
                with self.connect() as redis:
                    return redis.call("PING") == b"PONG"
            except (OSError, RedisError):  # not listening yet, or loading its append-only file
                return False

        wait_until(answers, timeout, "redis-server to answer PING")
        return self

    def connect(self, timeout=5.0):
        redis = Redis(self.path, timeout)
        if self.password:
            redis.call("AUTH", self.password)
        return redis

    def call(self, *words):
        """One command on a connection of its own."""
        with self.connect() as redis:
            return redis.call(*words)

    def info(self, section="all"):
        """INFO as a dictionary of strings."""
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def keys(self, pattern="*"):
        return sorted(key.decode() for key in self.call("KEYS", pattern))

    def kill9(self):
        self._end(signal.SIGKILL)

    def stop(self):
        """SIGTERM: Redis writes and syncs its append-only file first."""
        self._end(signal.SIGTERM)

    def pause(self):
        """SIGSTOP: connections stay, nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.process.pid) == "T", 5, "redis-server to be stopped")

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
            raise AssertionError(f"redis-server did not end on signal {number}:\n{self.log[-4000:]}")
        finally:
            self.process = None

    def close(self):
        self._end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.close()


def _state(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]
