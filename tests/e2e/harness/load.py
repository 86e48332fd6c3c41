"""Publishing from several threads through crashes, and keeping account of what was promised.

For every number 0 … events-1 an event `{"n": number, "try": t}` is published until it is over:

    202                        accepted[number] = id: must arrive
    503 outcome_unknown        unknown: may arrive
    another 503                not stored: published again, with a fresh mark `try`, and the refused
                               (number, try) must not arrive
    connection lost in flight  unknown: may arrive
    cannot connect             nothing was sent: tried again until the server is back

With `keys` each number has an idempotency key, so an unknown outcome is asked about again with the
same key until it is known, and in the end every number is accepted.
"""

import json
import socket
import threading
import time


class Load:
    def __init__(self, daemon, type, events, threads=8, keys=False, pause=0.05):
        self.daemon, self.type, self.events = daemon, type, events
        self.keys, self.pause, self.api_key = keys, pause, daemon.api_key
        self.accepted, self.unknown, self.refused, self.others = {}, set(), set(), []
        self.stopping = threading.Event()
        self.lock, self.next = threading.Lock(), 0
        self.threads = [threading.Thread(target=self._publish, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def wait(self, timeout=300):
        """Waits until all numbers are over."""
        deadline = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self.threads), f"not done: {self}"
        assert not self.others, f"unexpected answers: {self.others[:5]}"

    def done(self):
        """How many numbers are over."""
        return len(self.accepted) + len(self.unknown)

    def __repr__(self):
        return (f"<{len(self.accepted)} accepted, {len(self.unknown)} unknown, "
                f"{len(self.refused)} times refused, of {self.events}>")

    def _take(self):
        with self.lock:
            number, self.next = self.next, self.next + 1
        return number if number < self.events else None

    def _publish(self):
        connection, number, attempt = None, self._take(), 0
        while number is not None and not self.stopping.is_set():
            outcome = None
            try:
                connection = connection or _Connection(self.daemon.port)
            except OSError:
                self.stopping.wait(self.pause)  # down: nothing was sent
                continue
            try:
                status, body = connection.post(self._request(number, attempt))
                outcome = self._outcome(number, attempt, status, body)
                if not connection.usable:
                    connection = connection.close()
            except OSError:
                connection = connection.close()
                outcome = "unknown"
            if outcome == "unknown" and not self.keys:
                self.unknown.add(number)
            if outcome == "again" or (outcome == "unknown" and self.keys):
                # The same key must come with the same body, so only without keys is it marked anew.
                attempt += 0 if self.keys else 1
                self.stopping.wait(self.pause)
                continue
            number, attempt = self._take(), 0
        if connection:
            connection.close()

    def _request(self, number, attempt):
        body = b'{"type":"%s","data":{"n":%d,"try":%d}}' % (self.type.encode(), number, attempt)
        key = b"Idempotency-Key: load-%d\r\n" % number if self.keys else b""
        return (b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                b"Content-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
                % (self.api_key.encode(), key, len(body), body))

    def _outcome(self, number, attempt, status, body):
        if status == 202:
            self.accepted[number] = json.loads(body)["id"]
            return "over"
        if status == 503:
            if json.loads(body)["error"]["code"] == "outcome_unknown":
                return "unknown"
            if not self.keys:
                self.refused.add((number, attempt))
            return "again"
        self.others.append((number, status, body))
        return "over"


class _Connection:
    """Keep-alive on a plain socket: http.client costs more than the server does."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.usable = True

    def post(self, request):
        self.socket.sendall(request)
        data = b""
        while True:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionResetError("closed in the middle of an answer")
            data += chunk
            head, separator, body = data.partition(b"\r\n\r\n")
            if separator:
                lower = head.lower()
                at = lower.index(b"content-length:") + len(b"content-length:")
                if len(body) >= int(lower[at:].split(b"\r\n", 1)[0]):
                    self.usable = b"connection: close" not in lower
                    return int(head[9:12]), body

    def close(self):
        self.socket.close()
