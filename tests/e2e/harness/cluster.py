"""Several replicas on one Redis, and what happens to replicas.

    with Cluster(tmp_path, redis_server) as cluster:
        cluster.start()
        cluster.wait_settled()
        cluster[0].kill9()
        cluster[0].start()

Each process a replica is in its life has a name of its own, `r<replica>.<life>`, which it sends as the
User-Agent of its deliveries: so a receiver knows who sent what. What was done to whom, and when, is
in `cluster.faults`.
"""

import os
import re
import shutil
import time
from collections import Counter, namedtuple
from pathlib import Path

from .daemon import Daemon
from .formats import LANES
from .wait import wait_until

API_KEY = "tl_key_of_all_replicas_of_a_test"

# agent: the process it happened to. Times of CLOCK_MONOTONIC; until_ns: when it was over, or None.
Fault = namedtuple("Fault", "kind agent at_ns until_ns")


def agents(faults, *kinds):
    """Processes that one of these kinds of faults happened to."""
    return {fault.agent for fault in faults if fault.kind in kinds}


def lane_owners(redis):
    """lane -> incarnation of its owner; free ones are missing."""
    flat = redis.call("HGETALL", "tl:{0}:lanes")
    return {int(lane): owner.decode() for lane, owner in zip(flat[::2], flat[1::2])}


def evenly_shared(redis, count):
    """Do so many own all lanes, in equal shares?"""
    shares = Counter(lane_owners(redis).values())
    return len(shares) == count and shares.total() == LANES and max(shares.values()) <= -(-LANES // count)


class Replica(Daemon):
    """A Daemon that has lives, and notes what ends them."""

    def __init__(self, cluster, index, *arguments, **options):
        super().__init__(cluster.directory / f"r{index}", *arguments, **options)
        self.cluster, self.index, self.life = cluster, index, 0
        self.base_arguments = self.arguments
        self.paused_at_ns = None
        key = self.data / "api-key"
        key.write_text(API_KEY + "\n")
        key.chmod(0o600)

    @property
    def agent(self):
        return f"r{self.index}.{self.life}"

    @property
    def running(self):
        return self.process is not None

    def log_contains(self, pattern):
        return re.search(pattern, self.log[self.begun_at:], re.M) is not None

    def start(self, timeout=60.0, ready=True):
        self.life += 1
        self.arguments = [*self.base_arguments, "--set", f"outbound.userAgent={self.agent}"]
        return super().start(timeout, ready)

    def kill9(self):
        at_ns = time.monotonic_ns()
        super().kill9()
        self._note("kill", at_ns)

    def stop(self, timeout=60.0):
        at_ns = time.monotonic_ns()
        code = super().stop(timeout)
        self._note("stop", at_ns)
        return code

    def pause(self):
        """Returns when the process has stopped."""
        self.paused_at_ns = time.monotonic_ns()
        super().pause()
        wait_until(lambda: process_state(self.pid) == "T", 5, f"{self.agent} to be stopped")

    def resume(self):
        if self.paused_at_ns is not None:
            self._note("pause", self.paused_at_ns)
            self.paused_at_ns = None
        super().resume()

    def _note(self, kind, at_ns):
        self.cluster.faults.append(Fault(kind, self.agent, at_ns, time.monotonic_ns()))

    def ports(self):
        """Local ports of its TCP connections, to tell in Redis which clients are this process."""
        return local_ports(self.pid)


class Cluster:
    """`count` replicas; further ones by add(). Nothing is started yet. `arguments` are for all."""

    def __init__(self, directory, redis, *arguments, count=3, lease="2s", heartbeat="300ms", **options):
        self.directory, self.redis = Path(directory), redis
        self.arguments = [*arguments, "--set", f"replica.lease={lease}",
                          "--set", f"replica.heartbeat={heartbeat}"]
        self.options, self.replicas, self.faults = options, [], []
        for _ in range(count):
            self.add()

    def add(self):
        replica = Replica(self, len(self.replicas) + 1, *self.arguments, redis=self.redis,
                          **self.options)
        self.replicas.append(replica)
        return replica

    def __getitem__(self, index):
        return self.replicas[index]

    def __iter__(self):
        return iter(self.replicas)

    def __len__(self):
        return len(self.replicas)

    def start(self):
        for replica in self.replicas:
            if not replica.running:
                replica.start()
        return self

    def running(self):
        return [replica for replica in self.replicas if replica.running]

    def ports(self):
        return [replica.port for replica in self.replicas]

    @property
    def api_key(self):
        return API_KEY

    def client(self, **options):
        """A client of some replica that runs."""
        return self.running()[0].client(**options)

    def finish(self):
        """Ends all that run and fails on what must never happen; keeps Redis's log."""
        problems = []
        for replica in self.replicas:
            try:
                replica.finish()
            except AssertionError as error:
                problems.append(f"{replica.agent}: {error}")
        log = self.redis.directory / "redis.log"
        if log.exists():
            shutil.copy(log, self.directory / "redis.log")
        assert not problems, "\n\n".join(problems)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()

    # ---- what Redis says ---------------------------------------------------------------------------

    def lanes(self):
        return lane_owners(self.redis)

    def owner_of(self, lane):
        """The running replica that owns the lane, or None."""
        name = self.lanes().get(lane)
        return next((r for r in self.running() if r.incarnation == name), None)

    def members(self):
        """Incarnations that have not been buried."""
        return {name.decode() for name in self.redis.call("ZRANGE", "tl:{0}:replicas", 0, -1)}

    def wait_settled(self, timeout=30.0):
        """Until the running replicas, and nobody else, own all lanes in equal shares; the map."""
        alive = {replica.incarnation for replica in self.running()}

        def settled():
            lanes = self.lanes()
            shares = Counter(lanes.values())
            assert len(lanes) == LANES and set(shares) == alive, shares
            assert max(shares.values()) <= -(-LANES // len(alive)), shares
            assert self.members() == alive, self.members()
            return lanes
        return wait_until(settled, timeout, f"{len(alive)} replicas to own all lanes")

    def wait_buried(self, incarnation, timeout=30.0):
        """Until it is no member and owns no lane."""
        def buried():
            return incarnation not in self.members() and incarnation not in self.lanes().values()
        wait_until(buried, timeout, f"{incarnation} to be buried")

    def wait_drained(self, timeout=60.0):
        """Until nothing is in hand and nothing waits."""
        def drained():
            left = [key for family in ("journal", "open", "progress", "due", "lane")
                    for key in self.redis.keys(f"tl:{{0}}:{family}:*")]
            assert not left, left[:10]
            return True
        wait_until(drained, timeout, "everything to be delivered", interval=0.1)


# ---- processes -------------------------------------------------------------------------------------

def process_state(pid):
    """R, S, T, … as in ps."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def local_ports(pid):
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue  # closed meanwhile
        if match:
            inodes.add(match.group(1))
    ports = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            ports.add(int(fields[1].split(":")[1], 16))
    return ports
