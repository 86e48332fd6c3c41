"""What a Redis was told, by whom, in the order in which it did it.

    with Monitor(redis_server) as monitor:
        monitor.mark("now")
        …
        for command in monitor.commands(): …

Commands that a script made stand behind the EVALSHA that ran it and have its client's port.
"""

import re
import threading
from collections import namedtuple

from .wait import wait_until

# at_s: unix time. port: of the client's end of its TCP connection, or None. words: bytes, the command
# first, in lower case. script: the SHA of the script that made it, or None for what a client sent.
Command = namedtuple("Command", "at_s port words script")

LINE = re.compile(rb'\+?([\d.]+) \[\d+ ([^\]]*)\] (.*)$', re.S)
WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S)
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.S)
PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}

# Commands that change the key which is their first argument (or all of them: DEL and UNLINK).
WRITES = {b"set", b"setex", b"psetex", b"setnx", b"setbit", b"setrange", b"append", b"incr", b"incrby",
          b"decr", b"decrby", b"del", b"unlink", b"expire", b"pexpire", b"expireat", b"pexpireat",
          b"persist", b"rename", b"renamenx", b"copy", b"getdel", b"getex", b"getset", b"zadd", b"zrem",
          b"zincrby", b"zpopmin", b"zpopmax", b"zremrangebyscore", b"zremrangebyrank",
          b"zremrangebylex", b"zunionstore", b"zinterstore", b"zrangestore", b"hset", b"hmset",
          b"hsetnx", b"hdel", b"hincrby", b"lpush", b"rpush", b"lpop", b"rpop", b"ltrim", b"lset",
          b"lrem", b"sadd", b"srem", b"spop", b"xadd", b"xdel", b"xtrim"}


def written(command):
    """The keys that a command may have changed."""
    if command.words[0] not in WRITES:
        return []
    keys = command.words[1:] if command.words[0] in (b"del", b"unlink") else command.words[1:2]
    return [key.decode(errors="replace") for key in keys]


def _unescape(match):
    what = match.group(1)
    return bytes([int(what[1:], 16)]) if len(what) == 3 else PLAIN.get(what, what)


class Monitor:
    def __init__(self, server):
        self.server = server
        self.connection = server.connect(timeout=None)
        assert self.connection.call("MONITOR") == b"OK"
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for line in self.connection.stream:
                self.lines.append(line)
        except (OSError, ValueError):
            pass  # closed

    def mark(self, text):
        """Puts a mark between what was done before and what is done after."""
        self.server.call("ECHO", f"mark {text}")
        wanted = f'"mark {text}"'.encode()
        wait_until(lambda: any(wanted in line for line in self.lines), 10, f"the mark {text}")

    def commands(self):
        """All until now. A mark is an `echo` with the word `mark <text>`."""
        found, port, script = [], None, None
        for line in list(self.lines):
            match = LINE.match(line.rstrip(b"\r\n"))
            if not match:
                continue
            words = [ESCAPE.sub(_unescape, word) for word in WORD.findall(match.group(3))]
            words[0] = words[0].lower()
            at_s = float(match.group(1))
            if match.group(2) == b"lua":
                found.append(Command(at_s, port, words, script))
                continue
            address, _, number = match.group(2).rpartition(b":")
            port = int(number) if address and number.isdigit() else None
            script = words[1].decode() if words[0] in (b"evalsha", b"eval") else None
            found.append(Command(at_s, port, words, None))
        return found

    def since(self, text):
        """The commands behind a mark."""
        commands = self.commands()
        mark = next(i for i, c in enumerate(commands) if c.words == [b"echo", f"mark {text}".encode()])
        return commands[mark + 1:]

    def close(self):
        self.connection.socket.shutdown(2)
        self.thread.join(5)
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
