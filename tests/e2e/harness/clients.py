"""Receivers and senders with the npm libraries that users and providers have (tests/clients/)."""

import json
import queue
import subprocess
import threading
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "clients"


class NodeProcess:
    """`node …` in tests/clients, where `npm ci` must have run; what it writes is read by lines."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(["node", *arguments], cwd=DIRECTORY, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        encoding="utf-8")
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _line(self, timeout):
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nothing from {self.process.args} in {timeout} s") from None
        assert line is not None, (f"{self.process.args} ended: "
                                  f"{self.process.stderr.read()[-2000:]}")
        return line

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


class NodeReceiver(NodeProcess):
    """`node receiver.js LIBRARY SECRET [URL]` on a port of its own."""

    def __init__(self, library, secret, url=None, timeout=20.0):
        super().__init__("receiver.js", library, secret, *([url] if url else []))
        word, _, port = self._line(timeout).partition(" ")
        assert word == "listening", f"{word} {port}"
        self.port = int(port)

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def next(self, timeout=10.0):
        """The next request it got: verified, error, url, headers, body."""
        return json.loads(self._line(timeout))


class NodeSigner(NodeProcess):
    """`node signer.js`: signs with the libraries' own generators."""

    def __init__(self):
        super().__init__("signer.js")

    def sign(self, library, body, timeout=20.0, **members):
        """Headers (dict) and query (text without '?') that the provider sends with `body`."""
        line = json.dumps({"library": library, "body": body.decode(), **members})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        signed = json.loads(self._line(timeout))
        return signed["headers"], signed["query"]


class NodeProducer(NodeProcess):
    """`node producer.js`: publishes CloudEvents with the library of their project."""

    def __init__(self, server):
        super().__init__("producer.js", f"{server.url}/api/events", server.api_key)

    def publish(self, mode, event, text=None, base64=None, timeout=20.0):
        """Status and JSON of the answer. `mode`: "structured" or "binary"; data may be given as text
        or bytes in base64 instead of event["data"]."""
        line = json.dumps({"mode": mode, "event": event, "text": text, "base64": base64})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self._line(timeout))
        return answer["status"], answer["body"]
