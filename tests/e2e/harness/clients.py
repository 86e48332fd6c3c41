"""Receivers that verify with the npm libraries users have (tests/clients/receiver.js)."""

import json
import queue
import subprocess
import threading
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "clients"


class NodeReceiver:
    """`node receiver.js LIBRARY SECRET` on a port of its own; `npm ci` must have run there."""

    def __init__(self, library, secret, timeout=20.0):
        self.process = subprocess.Popen(["node", "receiver.js", library, secret], cwd=DIRECTORY,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        word, _, port = self._line(timeout).partition(" ")
        assert word == "listening", f"{word} {port}"
        self.port = int(port)

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _line(self, timeout):
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nothing from the receiver in {timeout} s") from None
        assert line is not None, f"the receiver ended: {self.process.stderr.read()[-2000:]}"
        return line

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def next(self, timeout=10.0):
        """The next request it got: verified, error, url, headers, body."""
        return json.loads(self._line(timeout))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
