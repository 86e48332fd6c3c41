"""The webhook service that a team would build today: bullmq-app/app.js, with a Redis of its own."""

import hashlib
import http.client
import json
import os
import platform
import secrets
import subprocess
from pathlib import Path

from rig import CannotMeasure, Process, Redis, cpu_seconds, say, wait_for

APP = Path(__file__).resolve().parent / "bullmq-app"
MODULES = APP / "node_modules"

# What Trotline writes for the Redis it starts: see src/net/redis_server.c.
REDIS = """\
port 0
unixsocket {directory}/redis.sock
dir {directory}
save ""
appendonly yes
appendfsync {durability}
aof-use-rdb-preamble yes
latency-tracking no
maxmemory-policy noeviction
"""


def install():
    """Fetches the packages that package-lock.json pins, Node among them, unless they are there."""
    wanted = hashlib.sha256((APP / "package-lock.json").read_bytes()).hexdigest()
    mark = MODULES / ".trotline-lock"
    if mark.exists() and mark.read_text() == wanted:
        return
    say("fetching BullMQ, undici and Node from npm")
    try:
        subprocess.run(["npm", "ci", "--loglevel=error"], cwd=APP, check=True, timeout=600,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise CannotMeasure("npm is not installed: bench/install-packages does that") from None
    except subprocess.SubprocessError as error:
        raise CannotMeasure(f"npm ci failed: {error} {error.stderr or ''}") from None
    mark.write_text(wanted)


def _node():
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return MODULES / f"node-linux-{machine}/bin/node"


def _version_of(package):
    return f"{package} {json.loads((MODULES / package / 'package.json').read_text())['version']}"


class BullMQ:
    """A running service. `directory` is its own, and new. The application has the CPU `cpu`, Redis
    `redis_cpu`. The rest has the values it is fastest with when it has one core (variants.py shows
    that): `split` makes it two processes, one that answers and one that delivers; `concurrency` is
    deliveries on their way at once; `autopipelining` is ioredis's; `semi_space_mib` is how much V8
    allocates between its small garbage collections (None: its own choice).

    url, api_key  for bench-load
    pids          of the application
    redis_pid, redis (a connection)
    version       of everything
    """

    def __init__(self, directory, cpu=None, redis_cpu=None, durability="everysec", split=False,
                 concurrency=200, autopipelining=False, semi_space_mib=None):
        install()
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.processes, self.redis, self.api = [], None, None
        self.api_key = secrets.token_hex(16)
        try:
            self._start_redis(redis_cpu, durability)
            flags = [f"--max-semi-space-size={semi_space_mib}"] if semi_space_mib else []
            options = ["--concurrency", concurrency]
            options += ["--autopipelining"] if autopipelining else []
            for role in ["worker", "api"] if split else ["all"]:
                ready = self._start_app(role, cpu, flags, options)
            self.url = ready.removeprefix("ready ")
            self.api = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        except BaseException:
            self.stop()
            raise
        self.pids = [process.pid for process in self.processes[1:]]
        node = subprocess.run([_node(), "--version"], capture_output=True, text=True, check=True)
        self.version = ", ".join([*map(_version_of, ("bullmq", "ioredis", "undici")),
                                  f"node {node.stdout.strip().removeprefix('v')}",
                                  f"redis {self._redis_version()}"])

    def _start_redis(self, cpu, durability):
        path = self.directory / "redis.conf"
        path.write_text(REDIS.format(durability=durability, directory=self.directory))
        process = Process(["redis-server", path], cpu, self.directory / "redis.err")
        self.processes.append(process)
        self.socket = self.directory / "redis.sock"

        def connected():
            try:
                self.redis = Redis(self.socket)
            except OSError:
                return process.popen.poll() is not None
            return True

        if not wait_for(connected, 20) or not self.redis:
            raise CannotMeasure(f"redis-server does not start: {process.errors()}")
        self.redis_pid = process.pid

    def _start_app(self, role, cpu, flags, options):
        command = ["env", f"API_KEY={self.api_key}", "NODE_ENV=production", _node(), *flags,
                   APP / "app.js", "--redis", self.socket, "--role", role, *options]
        process = Process(command, cpu, self.directory / f"{role}.log")
        self.processes.append(process)
        return process.line()

    def _redis_version(self):
        lines = self.redis.call("INFO", "server").decode().splitlines()
        return next(line.split(":")[1] for line in lines if line.startswith("redis_version:"))

    def webhook(self, url, events):
        """Registers an endpoint: its document, with `id` and `secret`."""
        self.api.request("POST", "/api/webhooks", json.dumps({"url": url, "events": events}),
                         {"Authorization": f"Bearer {self.api_key}",
                          "Content-Type": "application/json"})
        answer = self.api.getresponse()
        body = answer.read().decode(errors="replace")
        if answer.status != 201:
            raise CannotMeasure(f"POST /api/webhooks was answered {answer.status}: {body}")
        return json.loads(body)

    def waiting(self):
        """Deliveries that are not done and not given up: waiting, on their way or due later."""
        return sum(self.redis.call(command, f"bull:deliveries:{key}") for command, key in
                   (("LLEN", "wait"), ("LLEN", "active"), ("ZCARD", "delayed")))

    def failed(self):
        """Deliveries given up."""
        return self.redis.call("ZCARD", "bull:deliveries:failed")

    def cpu_seconds(self):
        """(the application's, Redis's) so far."""
        return sum(map(cpu_seconds, self.pids)), cpu_seconds(self.redis_pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.api:
            self.api.close()
        for process in reversed(self.processes):
            process.kill()
        if self.redis:
            self.redis.close()
