"""A master, its replica and a Sentinel that watches them: redis-server in three roles."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .redis import Redis, RedisError, RedisServer
from .wait import free_port, wait_until


class Sentinel:
    """`redis-server --sentinel` for one master, whose word alone is enough (quorum 1)."""

    def __init__(self, master, name="mymaster", password=None, redis_password=None):
        self.name, self.password = name, password
        self.directory = Path(tempfile.mkdtemp(prefix="tl-sentinel-"))
        self.port = free_port()
        self.process = None
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.directory}",
                 f"logfile {self.directory}/sentinel.log",
                 f"sentinel monitor {name} 127.0.0.1 {master.port} 1",
                 f"sentinel down-after-milliseconds {name} 1000",
                 f"sentinel failover-timeout {name} 5000"]
        if password:
            lines.append(f"requirepass {password}")
        if redis_password:
            lines.append(f"sentinel auth-pass {name} {redis_password}")
        # Sentinel keeps what it learns in its configuration.
        (self.directory / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def start(self, timeout=20.0):
        command = ["redis-server", str(self.directory / "sentinel.conf"), "--sentinel"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"the Sentinel ended with {self.process.returncode}:\n{self.log}")
            try:
                return self.call("PING") == b"PONG"
            except OSError:
                return False

        wait_until(answers, timeout, "the Sentinel to answer PING")
        return self

    @property
    def log(self):
        log = self.directory / "sentinel.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def call(self, *words):
        with Redis(("127.0.0.1", self.port)) as sentinel:
            if self.password:
                sentinel.call("AUTH", self.password)
            return sentinel.call(*words)

    def master_port(self):
        return int(self.call("SENTINEL", "get-master-addr-by-name", self.name)[1])

    def replicas(self):
        """Those that it takes for healthy, by port."""
        found = []
        for reply in self.call("SENTINEL", "replicas", self.name):
            fields = dict(zip(reply[::2], reply[1::2]))
            if fields[b"flags"] == b"slave" and fields[b"master-link-status"] == b"ok":
                found.append(int(fields[b"port"]))
        return found

    def close(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)


class RedisGroup:
    """Two redis-servers, one of which is the master, and a Sentinel: `url` is for the daemon.

    The URL names a Sentinel that does not exist before the one that does.
    """

    def __init__(self, sentinel_password=None, redis_password=None, **options):
        self.redis_password = redis_password
        if redis_password:
            options = {"requirepass": redis_password, "masterauth": redis_password, **options}
        options = {"appendonly": "yes", "repl_diskless_sync_delay": "0", **options}
        self.servers = [RedisServer(**options), RedisServer(**options)]
        self.sentinel = Sentinel(self.servers[0], password=sentinel_password,
                                 redis_password=redis_password)

    def __enter__(self):
        try:
            for server in self.servers:
                server.start()
            self.servers[1].call("REPLICAOF", "127.0.0.1", self.servers[0].port)
            wait_until(lambda: self.servers[1].info("replication")["master_link_status"] == "up",
                       20, "the replica to follow its master")
            self.sentinel.start()
            self.wait_for_replica()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.sentinel.close()
        for server in self.servers:
            server.close()

    @property
    def url(self):
        user = f":{self.redis_password}@" if self.redis_password else ""
        return (f"sentinel://{user}127.0.0.1:{free_port()},127.0.0.1:{self.sentinel.port}"
                f"/{self.sentinel.name}")

    @property
    def master(self):
        port = self.sentinel.master_port()
        return next(server for server in self.servers if server.port == port)

    @property
    def replica(self):
        return next(server for server in self.servers if server is not self.master)

    def failover(self):
        """By order: the master becomes a replica of what was its replica."""
        old = self.master
        self.sentinel.call("SENTINEL", "FAILOVER", self.sentinel.name)
        self.wait_for_switch(old)

    def wait_for_switch(self, old, timeout=60):
        """Until the Sentinel names another master, and that says it is one."""
        def switched():
            try:
                return self.master is not old and self.master.call("ROLE")[0] == b"master"
            except (OSError, RedisError):
                return False
        wait_until(switched, timeout, f"a failover:\n{self.sentinel.log[-2000:]}")

    def wait_until_followed(self, timeout=60):
        """Until the master has a replica, which confirms what it gets."""
        wait_until(lambda: "state=online" in self.master.info("replication").get("slave0", ""),
                   timeout, "the other one to follow the master")

    def wait_for_replica(self, timeout=60):
        """Until the Sentinel, which asks every ten seconds, knows it too: it may be promoted then."""
        self.wait_until_followed(timeout)
        wait_until(lambda: self.sentinel.replicas() == [self.replica.port], timeout,
                   "the Sentinel to know a healthy replica")
