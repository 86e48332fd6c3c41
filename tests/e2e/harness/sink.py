"""A scripted endpoint: receives deliveries, answers what the test tells it to, remembers everything.

    with Sink() as sink:
        sink.script("/a", [500, delayed(0.2, 503), 200])   # in turn; the last one stays
        sink.script("/b", lambda request: 204 if request.json() else reset())
        …
        sink.wait_for(3, "/a")

An answer is a status or one of the functions below. A thread serves each connection with plain
blocking sockets, because only so can a test drip, reset, hang and lie on the wire as it likes.
"""

import datetime
import email.utils
import http.client
import json
import socket
import struct
import threading
import time

from .wait import wait_until


class Request:
    """One received request. `headers` are (name, value) pairs as they came, in their order."""

    __slots__ = ("at", "wall", "connection", "method", "target", "path", "headers", "body")

    def __init__(self, connection, head, body):
        self.at, self.wall = time.monotonic(), time.time()
        self.connection, self.body = connection, body
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.path = self.target.partition("?")[0]
        self.headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.append((name, value.strip()))

    def header(self, name, default=None):
        return next((v for n, v in self.headers if n.lower() == name.lower()), default)

    def headers_named(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    @property
    def id(self):
        """The delivery's id in whichever header the scheme puts it."""
        return (self.header("webhook-id") or self.header("svix-id")
                or self.header("X-Webhook-Delivery-ID"))

    def __repr__(self):
        return f"<{self.method} {self.target} {self.headers} {self.body[:300]!r}>"


# ---- answers -----------------------------------------------------------------------------------

class Reaction:
    """What to do with a request: wraps a function of (connection, request) that returns whether
    the connection is kept. The type tells it from a test's own function of the request."""

    def __init__(self, function):
        self.function = function

    def __call__(self, connection, request):
        return self.function(connection, request)


def reply(status=200, body=b"", headers=(), close=False, drop=False, reason=None):
    """A proper response. `close` announces the close; `drop` closes without a word after it."""
    reason = reason if reason is not None else http.client.responses.get(status, "Status")
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    head += "Connection: close\r\n\r\n" if close else "\r\n"
    data = head.encode("latin-1") + body

    @Reaction
    def answer(connection, _):
        connection.send(data)
        return not close and not drop
    return answer


def delayed(seconds, then=200):
    """The whole answer comes `seconds` late."""
    then = _as_answer(then)

    @Reaction
    def answer(connection, request):
        return connection.pause(seconds) and then(connection, request)
    return answer


def hang():
    """Reads the request and never answers."""
    return delayed(86400)


def drip(body, interval, status=200, chunk=1):
    """Headers at once, then the body `chunk` bytes at a time."""
    @Reaction
    def answer(connection, _):
        connection.send(f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for at in range(0, len(body), chunk):
            if not connection.pause(interval):
                return False
            connection.send(body[at:at + chunk])
        return True
    return answer


def endless(status=200, chunk=b"x" * 16384):
    """A body without an end, as fast as it is taken."""
    @Reaction
    def answer(connection, _):
        connection.send(f"HTTP/1.1 {status} OK\r\nContent-Type: text/plain\r\n\r\n".encode())
        while not connection.sink.stopping.is_set():
            connection.send(chunk)
        return False
    return answer


def reset():
    """RST instead of an answer."""
    @Reaction
    def answer(connection, _):
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    return answer


def close():
    """FIN instead of an answer."""
    return Reaction(lambda connection, _: False)


def redirect(url, status=302):
    return reply(status, headers=[("Location", url)])


def retry_after(value, status=503):
    """`value`: seconds, or a datetime for the date form."""
    if isinstance(value, datetime.datetime):
        value = email.utils.format_datetime(value.astimezone(datetime.timezone.utc), usegmt=True)
    return reply(status, headers=[("Retry-After", value)])


def huge_headers(size=1 << 20, status=200):
    """Header lines of `size` bytes in total."""
    line = "X-Filler-%d: " + "y" * 1000
    return reply(status, headers=[tuple((line % n).split(": ")) for n in range(size // 1000)])


def garbage(data=b"\x16\x03\x01\x00\x00 this is not HTTP\r\n\r\n"):
    """Any bytes, then FIN."""
    @Reaction
    def answer(connection, _):
        connection.send(data)
        return False
    return answer


def _as_answer(what):
    return reply(what) if isinstance(what, int) else what


# ---- the server --------------------------------------------------------------------------------

class _Connection:
    """One accepted socket and its thread."""

    def __init__(self, sink, accepted, number):
        self.sink, self.socket, self.number = sink, accepted, number
        self.buffer = b""

    def run(self):
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.sink.tls:
                self.socket.settimeout(20)
                self.socket = self.sink.tls.wrap_socket(self.socket, server_side=True)
                self.socket.settimeout(None)
            while self._serve_one():
                pass
        except OSError as error:
            if self.sink.tls and not self.buffer:
                self.sink.handshake_errors.append(str(error))
        finally:
            self.sink.forget(self)
            self.socket.close()

    def _serve_one(self):
        request = self._read()
        if request is None:
            return False
        answer = self.sink.record(request)
        try:
            return _as_answer(answer)(self, request)
        finally:
            self.sink.finished(request)

    def _read(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self._receive():
                return None
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"transfer-encoding":
                self.sink.problems.append(f"a delivery without a length: {head!r}")
                return None
        self.buffer = rest
        while len(self.buffer) < length:
            if not self._receive():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Request(self.number, head, body)

    def _receive(self):
        chunk = self.socket.recv(65536)
        self.buffer += chunk
        return chunk != b""

    def send(self, data):
        self.socket.sendall(data)

    def pause(self, seconds):
        """Waits; False when the sink is being closed meanwhile."""
        return not self.sink.stopping.wait(seconds)


class Sink:
    """An HTTP/1.1 server on 127.0.0.1. `tls` is an ssl.SSLContext (see certs.py)."""

    def __init__(self, tls=None, default=200, port=0, host="127.0.0.1"):
        self.tls, self.host = tls, host
        self.lock = threading.Lock()
        self.arrived = threading.Condition(self.lock)
        self.stopping = threading.Event()
        self.problems, self.handshake_errors = [], []
        self.connections, self.accepted = set(), 0
        self.running, self.most_running = {}, {}
        self._all, self._by_path = [], {}
        self._scripts, self._default = {}, default
        self.listener = socket.create_server((host, port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                connection = _Connection(self, accepted, self.accepted)
                self.connections.add(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    # ---- for the test --------------------------------------------------------------------------

    def url(self, path="/"):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{path}"

    def script(self, path, answers):
        """`answers`: one answer, a list of them taken in turn (the last one stays), or a function
        of the request that returns one."""
        with self.lock:
            self._scripts[path] = list(answers) if isinstance(answers, (list, tuple)) else answers

    def requests(self, path=None):
        with self.lock:
            return list(self._all if path is None else self._by_path.get(path, ()))

    def count(self, path=None):
        with self.lock:
            return len(self._all if path is None else self._by_path.get(path, ()))

    def ids(self, path=None):
        """The ids of what came, in the order of arrival, repetitions included."""
        return [request.id for request in self.requests(path)]

    def wait_for(self, n=1, path=None, timeout=10.0):
        """Waits until `n` requests have come and returns them all."""
        def enough():
            return len(self._all if path is None else self._by_path.get(path, ())) >= n
        with self.arrived:
            if not self.arrived.wait_for(enough, timeout):
                came = self._all if path is None else self._by_path.get(path, ())
                raise AssertionError(f"waited {timeout:g} s for {n} requests"
                                     f"{f' at {path}' if path else ''}; {len(came)} came"
                                     f": {came[-3:]!r}")
        return self.requests(path)

    def wait_quiet(self, seconds=0.5, timeout=30.0):
        """Waits until nothing has come for `seconds`."""
        begin = time.monotonic()

        def quiet():
            with self.lock:
                last = self._all[-1].at if self._all else begin
            return time.monotonic() - max(last, begin) > seconds
        wait_until(quiet, timeout + seconds, "deliveries to stop")

    def clear(self):
        """Forgets what came; scripts and connections stay."""
        with self.lock:
            self._all, self._by_path = [], {}
            self.most_running = dict(self.running)

    def drop_connections(self):
        """Closes every open connection, idle ones too."""
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            _shut(connection.socket)

    def close(self):
        """Closes the port and every connection; deliveries to it are refused from here on."""
        self.stopping.set()
        _shut(self.listener)
        self.listener.close()
        self.drop_connections()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close()
        if kind is None:
            assert not self.problems, self.problems

    # ---- for its connections ---------------------------------------------------------------------

    def record(self, request):
        """Remembers a request and says how to answer it."""
        with self.arrived:
            self._all.append(request)
            self._by_path.setdefault(request.path, []).append(request)
            running = self.running.get(request.path, 0) + 1
            self.running[request.path] = running
            self.most_running[request.path] = max(running, self.most_running.get(request.path, 0))
            answer = self._scripts.get(request.path, self._default)
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            self.arrived.notify_all()
        if callable(answer) and not isinstance(answer, Reaction):
            answer = answer(request)
        return answer

    def finished(self, request):
        with self.lock:
            self.running[request.path] -= 1

    def forget(self, connection):
        with self.lock:
            self.connections.discard(connection)


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
