"""A producer that publishes at a steady rate to several replicas, and does what producers should do.

It is a process of its own, one epoll loop, so that it neither slows nor is slowed by the test. Events
are numbered; event n is of type types[n % len(types)] and has the idempotency key `<run>-<n>`. On a
lost connection, on silence and on 503 it asks again with the same key, at another replica if it can,
until it is answered 202. Replicas that failed are left alone for a moment.

Of every 20 events one is sent to two replicas at the same time, and one is published again a second
after it was accepted: all answers for a number must name the same event.

`strict` is a producer without second thoughts: no keys, no repetition, and whatever is not 202 is a
failure. It is for what stands behind a load balancer.

The process notes each answer in a file, `A n id` (202), `F n what` (strict), `U n status body` (an
answer that no producer should ever get). Standard input tells it to stop: it then ends what is
unfinished and prints its figures.
"""

import heapq
import itertools
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict, deque


class Producer:
    """`ports`: where to publish. with Producer(…) as producer: … figures = producer.stop()"""

    def __init__(self, directory, ports, api_key, types, rate, strict=False, name="producer",
                 first=0, timeout=2.0, connections=64):
        self.path = directory / f"{name}.answers"
        self.errors = open(directory / f"{name}.log", "ab")
        self.types, self.figures = types, None
        self.path.touch()
        options = {"path": str(self.path), "ports": list(ports), "key": api_key, "types": types,
                   "rate": rate, "strict": strict, "name": f"{name}-{os.getpid()}-{id(self)}",
                   "first": first, "timeout": timeout, "connections": connections}
        harness = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.process = subprocess.Popen([sys.executable, "-m", "harness.producer",
                                         json.dumps(options)], cwd=harness, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        assert self.process.stdout.readline() == "started\n", f"see {self.errors.name}"

    def type_of(self, number):
        return self.types[number % len(self.types)]

    def count(self):
        """About how many answers have come: to wait until the run is under way."""
        return self.path.read_bytes().count(b"\n")

    def stop(self, timeout=90.0):
        """Waits until every event that was begun is accepted (or failed, if strict). The figures:
        begun, accepted, refused, timeouts, lost, unfinished, slowest_ms."""
        if self.figures is None:
            output, _ = self.process.communicate("stop\n", timeout)
            assert self.process.returncode == 0, f"the producer ended badly: {self.errors.name}"
            self.figures = json.loads(output)
        return self.figures

    def answers(self):
        """({number: set of the ids it was answered with}, [failures as text])"""
        accepted, failures = defaultdict(set), []
        for line in self.path.read_text().splitlines():
            kind, number, rest = line.split(" ", 2)
            if kind == "A":
                accepted[int(number)].add(rest)
            else:
                failures.append(line)
        return accepted, failures

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- the process -----------------------------------------------------------------------------------

AGAIN_NS = 50_000_000       # from a 503 to the next attempt; twice as long each time …
AGAIN_MAX_NS = 800_000_000  # … up to this
AVOID_NS = 300_000_000      # a replica that failed is left alone for so long
REPEAT_NS = 1_000_000_000   # from the first 202 to publishing it once more
SPECIAL = 20                # one event in so many is sent twice at once, and one once more later
UNFINISHED_NS = 60_000_000_000


class _Job:
    """One event on its way to one answer."""

    __slots__ = ("number", "begun_ns", "avoid", "repeat", "twin", "again_ns")

    def __init__(self, number, now, avoid=None, repeat=False):
        self.number, self.begun_ns, self.avoid, self.repeat = number, now, avoid, repeat
        self.twin, self.again_ns = None, AGAIN_NS


class _Connection:
    __slots__ = ("socket", "port", "job", "deadline_ns", "data", "unsent", "waits")

    def __init__(self, port):
        self.port, self.job, self.data, self.unsent = port, None, b"", b""
        self.waits = False  # until it can be written to
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))  # how it went is seen when it is polled


class _Sender:
    def __init__(self, options):
        self.__dict__.update(options)
        self.file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self.poll = select.epoll()
        self.poll.register(0, select.EPOLLIN | select.EPOLLHUP)
        self.by_descriptor = {}
        self.idle = {port: [] for port in self.ports}
        self.open = Counter()
        self.avoid_until = Counter()
        self.ready = deque()   # jobs that want a connection
        self.later, self.order = [], itertools.count()  # heap of (time, order, job)
        self.unanswered = 0    # jobs in all
        self.lines = []
        self.figures = Counter(begun=0, accepted=0, refused=0, timeouts=0, lost=0, slowest_ms=0)
        self.running, self.stopped_ns = True, 0
        self.begin_ns = time.monotonic_ns()

    def run(self):
        print("started", flush=True)
        while self.running or self.unanswered:
            now = time.monotonic_ns()
            self._generate(now)
            while self.later and self.later[0][0] <= now:
                self.ready.append(heapq.heappop(self.later)[2])
            self._give_out(now)
            for descriptor, events in self.poll.poll(self._wait_s(now)):
                self._polled(descriptor, events)
            self._look_at_deadlines()
            if self.lines:
                os.write(self.file, "".join(self.lines).encode())
                self.lines.clear()
            if self.stopped_ns and time.monotonic_ns() - self.stopped_ns > UNFINISHED_NS:
                break
        print(json.dumps({**self.figures, "unfinished": self.unanswered}), flush=True)

    # ---- what to send ------------------------------------------------------------------------------

    def _generate(self, now):
        """Open loop: what is due is begun, however the server fares."""
        while self.running and self.begin_ns + self.figures["begun"] * 1e9 / self.rate <= now:
            number = self.first + self.figures["begun"]
            self.figures["begun"] += 1
            jobs = [_Job(number, now)]
            if not self.strict and number % SPECIAL == 0:
                jobs.append(_Job(number, now))
                jobs[0].twin = jobs[1]
            self.ready.extend(jobs)
            self.unanswered += len(jobs)

    def _wait_s(self, now):
        times = [now + 50_000_000]
        if self.running:
            times.append(self.begin_ns + self.figures["begun"] * 1e9 / self.rate)
        if self.later:
            times.append(self.later[0][0])
        return max(0.0, (min(times) - now) / 1e9)

    def _give_out(self, now):
        for _ in range(len(self.ready)):
            job = self.ready.popleft()
            port = self._port(job, now)
            if port is None:
                self.ready.appendleft(job)
                return
            self._send(job, port, now)

    def _port(self, job, now):
        """A replica that has not just failed and has room; not the one that the job had last, if
        there is another."""
        good = [port for port in self.ports if self.avoid_until[port] <= now
                and (self.idle[port] or self.open[port] < self.connections)]
        others = [port for port in good if port != job.avoid]
        return random.choice(others or good) if good else None

    def _send(self, job, port, now):
        if job.twin:
            job.twin.avoid, job.twin = port, None
        connection = self.idle[port].pop() if self.idle[port] else self._open(port)
        connection.job, connection.deadline_ns = job, now + self.timeout * 1e9
        body = b'{"type":"%s","data":{"n":%d,"pad":"%s"}}' % (
            self.types[job.number % len(self.types)].encode(), job.number, b"." * 100)
        key = b"" if self.strict else b"Idempotency-Key: %s-%d\r\n" % (self.name.encode(), job.number)
        connection.unsent = (b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                             b"Content-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
                             % (self.key.encode(), key, len(body), body))
        self._write(connection)

    # ---- connections -------------------------------------------------------------------------------

    def _open(self, port):
        connection = _Connection(port)
        self.open[port] += 1
        self.by_descriptor[connection.socket.fileno()] = connection
        self.poll.register(connection.socket, select.EPOLLIN)
        return connection

    def _close(self, connection):
        self.poll.unregister(connection.socket)
        del self.by_descriptor[connection.socket.fileno()]
        connection.socket.close()
        self.open[connection.port] -= 1
        if connection in self.idle[connection.port]:
            self.idle[connection.port].remove(connection)

    def _write(self, connection):
        try:
            sent = connection.socket.send(connection.unsent)
            connection.unsent = connection.unsent[sent:]
        except BlockingIOError:
            pass  # still connecting
        except OSError as error:
            self._failed(connection, "lost", error)
            return
        if bool(connection.unsent) != connection.waits:
            connection.waits = not connection.waits
            self.poll.modify(connection.socket, select.EPOLLIN
                             | (select.EPOLLOUT if connection.waits else 0))

    def _polled(self, descriptor, events):
        if descriptor == 0:
            self.poll.unregister(0)
            self.running, self.stopped_ns = False, time.monotonic_ns()
            return
        connection = self.by_descriptor.get(descriptor)
        if connection is None:
            return  # closed by one that was polled with it
        if connection.unsent and events & select.EPOLLOUT and not events & select.EPOLLERR:
            self._write(connection)
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read(connection)

    def _read(self, connection):
        try:
            chunk = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(connection, "lost", error)
            return
        connection.data += chunk
        if not chunk:
            self._failed(connection, "lost", "closed without an answer")
            return
        head, separator, body = connection.data.partition(b"\r\n\r\n")
        if separator:
            lower = head.lower()
            at = lower.index(b"content-length:") + len(b"content-length:")
            if len(body) >= int(lower[at:].split(b"\r\n", 1)[0]):
                self._answered(connection, int(head[9:12]), body, b"connection: close" in lower)

    def _look_at_deadlines(self):
        now = time.monotonic_ns()
        for connection in [c for c in self.by_descriptor.values() if c.job and c.deadline_ns < now]:
            self._failed(connection, "timeouts", "no answer in time")

    # ---- what came of it ---------------------------------------------------------------------------

    def _answered(self, connection, status, body, close):
        job, connection.job, connection.data = connection.job, None, b""
        if close:
            self._close(connection)
        else:
            self.idle[connection.port].append(connection)
        if job is None:
            raise RuntimeError(f"an answer to nothing: {status} {body}")
        now = time.monotonic_ns()
        if status == 202:
            self._accepted(job, json.loads(body)["id"], connection.port, now)
        elif status == 503 and not self.strict:
            self.figures["refused"] += 1
            job.avoid = connection.port
            self._send_later(job, now + job.again_ns)
            job.again_ns = min(2 * job.again_ns, AGAIN_MAX_NS)
        else:
            kind = "F" if self.strict else "U"
            self.lines.append(f"{kind} {job.number} {status} {body.decode().strip()}\n")
            self.unanswered -= 1

    def _accepted(self, job, event, port, now):
        self.lines.append(f"A {job.number} {event}\n")
        self.unanswered -= 1
        self.figures["accepted"] += not job.repeat
        took_ms = (now - job.begun_ns) // 1_000_000
        self.figures["slowest_ms"] = max(self.figures["slowest_ms"], took_ms)
        if not self.strict and not job.repeat and job.number % SPECIAL == 1 and self.running:
            self._send_later(_Job(job.number, now + REPEAT_NS, port, repeat=True), now + REPEAT_NS)
            self.unanswered += 1

    def _send_later(self, job, at_ns):
        heapq.heappush(self.later, (at_ns, next(self.order), job))

    def _failed(self, connection, kind, why):
        """Closes the connection. What was on it is published again, unless strict."""
        job = connection.job
        self._close(connection)
        if job is None:
            return  # it was idle
        now = time.monotonic_ns()
        self.figures[kind] += 1
        if self.strict:
            self.lines.append(f"F {job.number} {kind}: {why}\n")
            self.unanswered -= 1
            return
        self.avoid_until[connection.port] = now + AVOID_NS
        job.avoid = connection.port
        self.ready.append(job)


if __name__ == "__main__":
    _Sender(json.loads(sys.argv[1])).run()
