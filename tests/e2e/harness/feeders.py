"""Producers that write into a feed's stream, with the clients that people have: redis-py, ioredis, redis-cli.

    feeder = Feeder("node", redis_server)
    ids = feeder.add([[b"e", b'{"type":"a","data":1}'], …])
"""

import base64
import json
import subprocess
import sys
import threading

from .clients import DIRECTORY

STREAM = "tl:{0}:feed"


def quoted(word):
    """As redis-cli reads it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


class Feeder:
    """One process. add() is for one thread at a time."""

    def __init__(self, kind, redis, stream=STREAM):
        self.kind, self.stream = kind, stream
        command = {"python": [sys.executable, "feeder.py", redis.path, stream],
                   "node": ["node", "feeder.js", redis.path, stream],
                   "redis-cli": ["redis-cli", "-s", redis.path]}[kind]
        self.process = subprocess.Popen(command, cwd=DIRECTORY, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def add(self, entries):
        """Entries of fields and values, bytes each; their ids."""
        writer = threading.Thread(target=self._write, args=(entries,))
        writer.start()
        ids = [self.process.stdout.readline().strip() for _ in entries]
        writer.join()
        if not all(ids):
            raise AssertionError(f"{self.kind} ended: {self.process.stderr.read()[-2000:]}")
        return ids

    def _write(self, entries):
        if self.kind == "redis-cli":
            for entry in entries:
                words = " ".join(map(quoted, entry))
                self.process.stdin.write(f"XADD {self.stream} * {words}\n")
        else:
            line = [[base64.b64encode(word).decode() for word in entry] for entry in entries]
            self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
