"""An HTTP client for the plain API, and a raw socket for what no HTTP client would send."""

import http.client
import json
import select
import socket
import time

from .wait import wait_until


class Answer:
    """Status, headers (list of pairs, as they came) and body of one response."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name, default=None):
        return next((v for n, v in self.headers if n.lower() == name.lower()), default)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The `error` object, checked for its form: code, message, and a field where there is one."""
        error = self.json["error"]
        assert isinstance(error["code"], str) and error["code"], self
        assert isinstance(error["message"], str) and error["message"], self
        assert set(error) <= {"code", "message", "field"}, self
        return error

    @property
    def code(self):
        return self.error["code"]

    def expect(self, status, code=None, field=None):
        """Asserts and returns self, so that calls can be chained."""
        assert self.status == status, f"expected {status}, got {self}"
        if code is not None:
            assert self.code == code, f"expected {code}, got {self}"
        if field is not None:
            assert self.error.get("field") == field, f"expected field {field}, got {self}"
        return self

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:2000]!r}>"


class Client:
    """One keep-alive connection. Not for several threads at once."""

    def __init__(self, address, port, key, timeout=30.0, application=None):
        self.address, self.port, self.timeout = address, port, timeout
        self.key, self.application = key, application
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- HTTP ----------------------------------------------------------------------------------

    def request(self, method, path, json_body=None, body=None, headers=None):
        """`json_body` is serialised; `body` (bytes) goes out as it is. A lost connection raises
        OSError or http.client.HTTPException and is never retried: the outcome is unknown."""
        fields = {}
        if self.key is not None:
            fields["Authorization"] = f"Bearer {self.key}"
        if self.application is not None:
            fields["X-Application"] = self.application
        if json_body is not None:
            body = json.dumps(json_body, ensure_ascii=False, separators=(",", ":")).encode()
        if body is not None:
            fields["Content-Type"] = "application/json"
        for name, value in (headers or {}).items():
            fields = {n: v for n, v in fields.items() if n.lower() != name.lower()}
            if value is not None:
                fields[name] = value
        self._connect()
        try:
            self.connection.request(method, path, body=body, headers=fields)
            response = self.connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
            if response.will_close:
                self.close()
            return answer
        except BaseException:
            self.close()
            raise

    def _connect(self):
        """A connection that the server closed while it was idle is readable: start a new one."""
        if self.connection and self.connection.sock:
            if select.select([self.connection.sock], [], [], 0)[0]:
                self.close()
        if not self.connection:
            self.connection = http.client.HTTPConnection(self.address, self.port,
                                                         timeout=self.timeout)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, json_body=None, **options):
        return self.request("POST", path, json_body, **options)

    def put(self, path, json_body=None, **options):
        return self.request("PUT", path, json_body, **options)

    def patch(self, path, json_body=None, **options):
        return self.request("PATCH", path, json_body, **options)

    def delete(self, path, json_body=None, **options):
        return self.request("DELETE", path, json_body, **options)

    # ---- the API's nouns ------------------------------------------------------------------------

    def create_webhook(self, url, events=("*",), **members):
        """Registers and returns the webhook; anything but 201 fails."""
        body = {"url": url, "events": list(events), **members}
        return self.post("/api/webhooks", body).expect(201).json

    def get_webhook(self, webhook):
        return self.get(f"/api/webhooks/{webhook}")

    def delete_webhook(self, webhook):
        return self.delete(f"/api/webhooks/{webhook}")

    def attempts(self, webhook, limit=100):
        path = f"/api/webhooks/{webhook}/attempts?limit={limit}"
        return self.get(path).expect(200).json["attempts"]

    def post_event(self, type, data=None, key=None, **members):
        """Publishes; `key` is sent as the Idempotency-Key header. Returns the Answer."""
        headers = {"Idempotency-Key": key} if key is not None else None
        body = {"type": type, "data": {} if data is None else data, **members}
        return self.post("/api/events", body, headers=headers)

    def event_id(self, type, data=None, **members):
        """Publishes and returns the id; anything but 202 fails."""
        return self.post_event(type, data, **members).expect(202).json["id"]

    def get_event(self, event):
        return self.get(f"/api/events/{event}").expect(200).json

    def deliveries(self, event):
        """{webhook id: delivery} of an event."""
        return {d["webhookId"]: d for d in self.get_event(event)["deliveries"]}

    def metric(self, name):
        """One value of /metrics; `name` as it stands there, labels included."""
        for line in self.get("/metrics").expect(200).body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise AssertionError(f"there is no metric {name}")

    def dead_letters(self, **query):
        """All dead letters, over all pages."""
        letters, cursor = [], None
        while True:
            words = [f"{name}={value}" for name, value in query.items()]
            words += [f"cursor={cursor}"] if cursor else []
            page = self.get("/api/dead-letters" + ("?" + "&".join(words) if words else ""))
            letters += page.expect(200).json["deadLetters"]
            cursor = page.json.get("cursor")
            if not cursor:
                return letters

    def job(self, answer, timeout=20.0):
        """The job that an answer of 202 tells of, when it is finished."""
        job = answer.expect(202).json

        def finished():
            now = self.get(f"/api/jobs/{job['id']}").expect(200).json
            return now if now["finishedAt"] else None
        return wait_until(finished, timeout, f"{job} to finish")

    def replay(self, timeout=20.0, **selection):
        """Replays dead letters and returns the finished job."""
        job = self.job(self.post("/api/dead-letters/replay", selection), timeout)
        assert job["status"] == "done", job
        return job

    def discard(self, timeout=20.0, **selection):
        """Discards dead letters and returns the finished job."""
        job = self.job(self.delete("/api/dead-letters", selection), timeout)
        assert job["status"] == "done", job
        return job

    # ---- bytes ----------------------------------------------------------------------------------

    def raw(self, data, timeout=5.0, end=False, pieces=None):
        """Sends bytes on a new connection and returns what comes back until the server closes, one
        complete answer per complete request has come, or `timeout` passes.

        `end` half-closes after sending; `pieces` sends in steps of so many bytes. To see whether a
        connection is closed after the answer use raw_exchange().
        """
        return self.raw_exchange(data, timeout, end, pieces)[0]

    def raw_exchange(self, data, timeout=5.0, end=False, pieces=None, answers=1):
        """As raw(); returns (bytes, closed). Waits for the close only where an answer announces
        it with `Connection: close`."""
        received, deadline = b"", time.monotonic() + timeout
        with socket.create_connection((self.address, self.port), timeout) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                step = pieces or max(len(data), 1)
                for at in range(0, len(data), step):
                    connection.sendall(data[at:at + step])
                if end:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before everything was sent: the answer may be there all the same
            while time.monotonic() < deadline:
                complete, left = _split(received)
                if len(complete) >= answers and not left:
                    if (complete[-1].header("Connection") or "").lower() != "close":
                        return received, False
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                try:
                    chunk = connection.recv(65536)
                except socket.timeout:
                    return received, False
                except ConnectionResetError:
                    return received, True
                if not chunk:
                    return received, True
                received += chunk
        return received, False


def parse_answers(data):
    """The responses in `data`; anything that is not a well-formed series of them fails."""
    answers, left = _split(data)
    assert not left, f"not a complete response: {left[:500]!r}"
    return answers


def _split(data):
    """(complete answers, bytes left over). 1xx answers are left out."""
    answers = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            break
        lines = head.decode("latin-1").split("\r\n")
        version, status, _ = (lines[0] + " ").split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), f"not a status line: {lines[0]!r}"
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        answer = Answer(int(status), headers, b"")
        assert answer.header("Transfer-Encoding") is None, "raw answers are expected with a length"
        length = 0 if int(status) in (204, 304) or int(status) < 200 else \
            int(answer.header("Content-Length", "0"))
        if len(rest) < length:
            break
        answer.body, data = rest[:length], rest[length:]
        if answer.status >= 200:
            answers.append(answer)
    return answers, data
