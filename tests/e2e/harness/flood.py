"""Many requests at once, made beforehand, over kept connections to several servers: one thread.

    with Flood([(port, number, request), …], connections=32) as flood:
        flood.wait()
    flood.answers[number]    # {200: 2}: how often it was answered what

A request that got no answer, or 503, is sent again, as senders do, to the same port: so in the end
each has an answer of its own. load.py does the same for producers.
"""

import re
import select
import socket
import threading
import time
from collections import Counter, deque

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class _Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(30)
        self.port, self.number, self.request, self.data = port, None, None, b""

    def send(self, number, request):
        self.number, self.request, self.data = number, request, b""
        self.socket.sendall(request)

    def read(self):
        """The status when the answer is whole."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionResetError("closed in the middle of an answer")
        self.data += chunk
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = LENGTH.search(self.data, 0, end + 2)
        size = int(length.group(1)) if length else 0
        return int(self.data[9:12]) if len(self.data) >= end + 4 + size else None


class Flood:
    def __init__(self, requests, connections=32, pause=0.05):
        self.total, self.pause = len(requests), pause
        self.waiting = {}  # port -> (number, request) in the order to be sent
        for port, number, request in requests:
            self.waiting.setdefault(port, deque()).append((number, request))
        self.places = {port: connections for port in self.waiting}  # connections still to be opened
        self.idle = {port: [] for port in self.waiting}
        self.open, self.busy = {}, set()  # by descriptor
        self.answers, self.done, self.again = {}, 0, 0
        self.error, self.stopping = None, threading.Event()
        self.poll = select.epoll()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        for connection in self.open.values():
            connection.socket.close()
        self.poll.close()

    def wait(self, timeout=120):
        """Waits until each request is answered."""
        self.thread.join(timeout)
        assert not self.thread.is_alive(), f"not done in {timeout} s: {self}"
        assert self.error is None, self.error

    def __repr__(self):
        return f"<{self.done} of {self.total} answered, {self.again} sent again>"

    def _run(self):
        try:
            while self.done < self.total and not self.stopping.is_set():
                if not self._send():
                    self.stopping.wait(self.pause)  # nobody is there
                for descriptor, _ in self.poll.poll(1 if self.busy else 0):
                    self._receive(self.open[descriptor])
        except Exception as error:  # for wait(): a thread of its own cannot fail a test
            self.error = repr(error)

    def _send(self):
        """Gives each free connection a request. False when there is nothing but to wait."""
        for port, waiting in self.waiting.items():
            while waiting and (self.idle[port] or self.places[port]):
                connection = self.idle[port].pop() if self.idle[port] else self._open(port)
                if not connection:
                    break
                number, request = waiting.popleft()
                self.busy.add(connection)
                try:
                    connection.send(number, request)
                except OSError:
                    self._close(connection)
        return bool(self.busy)

    def _open(self, port):
        try:
            connection = _Connection(port)
        except OSError:
            return None
        self.places[port] -= 1
        self.open[connection.socket.fileno()] = connection
        self.poll.register(connection.socket, select.EPOLLIN)
        return connection

    def _close(self, connection):
        """What it was to bring is sent again: whether it came is not known."""
        del self.open[connection.socket.fileno()]
        self.poll.unregister(connection.socket)
        connection.socket.close()
        self.places[connection.port] += 1
        if connection in self.busy:
            self.busy.remove(connection)
            self._repeat(connection)
        else:
            self.idle[connection.port].remove(connection)

    def _repeat(self, connection):
        self.again += 1
        self.waiting[connection.port].append((connection.number, connection.request))

    def _receive(self, connection):
        try:
            status = connection.read()
        except OSError:
            self._close(connection)
            return
        if status is None:
            return
        self.busy.remove(connection)
        self.idle[connection.port].append(connection)
        if status == 503:
            self._repeat(connection)
            time.sleep(0.001)  # an answer that comes at once must not be asked for at full speed
        else:
            self.done += 1
            self.answers.setdefault(connection.number, Counter())[status] += 1
