"""A receiver for runs of many events: a process of its own that answers and notes what came.

    with Recorder(tmp_path) as recorder:
        client.create_webhook(recorder.url(17), …)
        …
        for arrival in recorder.read(): …

What sink.py does with a thread a connection is here one epoll loop, because the tests of several
replicas share two cores with everything they test. A delivery is known by the number of its endpoint
(in the path), the number `n` in its data, its webhook-id, and the process that sent it, which says
who it is in its User-Agent (cluster.py). The process writes a line for each request, when all of it
has come, to a file that the test reads as it grows.
"""

import os
import re
import select
import socket
import subprocess
import sys
import time
import zlib
from collections import deque, namedtuple

from .wait import wait_until

# at_ns: CLOCK_MONOTONIC, which all processes of a machine share. status: what it was answered with.
Arrival = namedtuple("Arrival", "at_ns endpoint number id agent status")


class Recorder:
    def __init__(self, directory):
        self.path = directory / "arrivals"
        self.errors = open(directory / "recorder.log", "ab")
        self.path.touch()
        harness = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.process = subprocess.Popen([sys.executable, "-m", "harness.recorder", str(self.path)],
                                        cwd=harness, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        self.port = int(self.process.stdout.readline())
        self.stream = open(self.path, "rb")
        self.rest = b""
        self.arrivals = []

    def url(self, endpoint, delay_ms=0, refuse=0):
        """`delay_ms`: of every answer. `refuse`: the first attempt of one in so many events is
        answered 503."""
        return f"http://127.0.0.1:{self.port}/{endpoint}/{delay_ms}/{refuse}"

    def read(self):
        """All that has come, in the order of arrival. The list is the recorder's own."""
        data = self.rest + self.stream.read()
        lines = data.split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            at, endpoint, number, event, agent, status = line.decode().split(" ")
            self.arrivals.append(Arrival(int(at), int(endpoint), int(number), event, agent,
                                         int(status)))
        return self.arrivals

    def wait_quiet(self, seconds=1.0, timeout=60.0):
        """Waits until nothing has come for `seconds`."""
        begin = time.monotonic_ns()

        def quiet():
            arrivals = self.read()
            last = max(begin, arrivals[-1].at_ns if arrivals else 0)
            return time.monotonic_ns() - last > seconds * 1e9
        wait_until(quiet, timeout, "deliveries to stop")

    def close(self):
        self.process.stdin.close()  # which ends it
        try:
            self.process.wait(5)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.stream.close()
            self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- the process -----------------------------------------------------------------------------------

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
ID = re.compile(rb"(?i)\r\nwebhook-id: *([^\r]+)")
AGENT = re.compile(rb"(?i)\r\nuser-agent: *([^\r ]+)")
TARGET = re.compile(rb"POST /(\d+)/(\d+)/(\d+) ")
NUMBER = re.compile(rb'"n":(\d+)')
ANSWERS = {200: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
           503: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"}


class _Server:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.poll.register(0, select.EPOLLIN | select.EPOLLHUP)
        self.sockets, self.buffers = {}, {}
        self.refused = set()
        self.lines = []
        self.delayed = {}  # delay in ms -> (due, descriptor, socket, answer) in the order of due

    def run(self):
        print(self.listener.getsockname()[1], flush=True)
        while True:
            for descriptor, _ in self.poll.poll(self._wait_s()):
                if descriptor == 0:
                    return
                if descriptor == self.listener.fileno():
                    self._accept()
                else:
                    self._receive(descriptor)
            self._answer_delayed()
            if self.lines:
                os.write(self.file, b"".join(self.lines))
                self.lines.clear()

    def _wait_s(self):
        due = min((queue[0][0] for queue in self.delayed.values() if queue), default=None)
        return -1 if due is None else max(0, (due - time.monotonic_ns()) / 1e9)

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except BlockingIOError:
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[accepted.fileno()], self.buffers[accepted.fileno()] = accepted, b""
            self.poll.register(accepted, select.EPOLLIN)

    def _receive(self, descriptor):
        try:
            chunk = self.sockets[descriptor].recv(65536)
        except OSError:  # its process was killed
            chunk = b""
        if not chunk:
            self._drop(descriptor)
            return
        data = self.buffers[descriptor] + chunk
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            head = data[:end]
            size = end + 4 + int(LENGTH.search(head).group(1))
            if len(data) < size:
                break
            self._request(descriptor, head, data[end + 4:size])
            data = data[size:]
        if descriptor in self.buffers:
            self.buffers[descriptor] = data

    def _drop(self, descriptor):
        self.poll.unregister(descriptor)
        self.sockets.pop(descriptor).close()
        del self.buffers[descriptor]

    def _request(self, descriptor, head, body):
        now = time.monotonic_ns()
        endpoint, delay_ms, refuse = map(int, TARGET.match(head).groups())
        event, agent = ID.search(head).group(1), AGENT.search(head).group(1)
        status = 200
        if refuse and zlib.crc32(event) % refuse == 0 and (endpoint, event) not in self.refused:
            self.refused.add((endpoint, event))
            status = 503
        self.lines.append(b"%d %d %s %s %s %d\n" % (now, endpoint, NUMBER.search(body).group(1),
                                                   event, agent, status))
        if delay_ms:
            self.delayed.setdefault(delay_ms, deque()).append(
                (now + delay_ms * 1_000_000, descriptor, self.sockets[descriptor], ANSWERS[status]))
        else:
            self._send(self.sockets[descriptor], ANSWERS[status])

    def _answer_delayed(self):
        now = time.monotonic_ns()
        for queue in self.delayed.values():
            while queue and queue[0][0] <= now:
                _, descriptor, connection, answer = queue.popleft()
                if self.sockets.get(descriptor) is connection:
                    self._send(connection, answer)

    @staticmethod
    def _send(connection, answer):
        try:
            connection.send(answer)
        except OSError:
            pass  # its process was killed: the poll says so, too


if __name__ == "__main__":
    _Server(sys.argv[1]).run()
