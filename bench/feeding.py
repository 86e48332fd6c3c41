"""Events that are fed: added to the stream while the server is stopped for a moment, so that producers
take no part of Redis's CPU, and then read out of it as fast as it can.
"""

import contextlib
import json
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

from measure import Meter
from rig import KEY_PREFIX, CannotMeasure, wait_for

STREAM = f"{KEY_PREFIX}feed"
VARIANTS = 509    # different payloads: bench-load's
PIPELINE = 1000   # XADDs that are sent together
PATIENCE = 120
TICK = 0.005      # between looks at the stream


def documents(o):
    """Events as bench-load publishes them, of 1 KiB each."""
    words = [Path(o.build) / "bench-load", "--print", "--events", str(VARIANTS)]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
    return output.splitlines()


def pack(value):
    """msgpack of what JSON can say: without a library, which would have to be installed."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return struct.pack(">b", value) if 0 <= value < 128 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        head = bytes([0xa0 + len(text)]) if len(text) < 32 else b"\xda" + struct.pack(">H", len(text))
        return head + text
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(pack, value))
    items = (pack(key) + pack(each) for key, each in value.items())
    return b"\xde" + struct.pack(">H", len(value)) + b"".join(items)


def as_msgpack(document):
    return pack(json.loads(document))


def xadd(event):
    words = (b"XADD", STREAM.encode(), b"*", b"e", event)
    return b"*5\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def fill(redis, events, count):
    """Adds so many entries."""
    commands = [xadd(event) for event in events]
    for first in range(0, count, PIPELINE):
        numbers = range(first, min(first + PIPELINE, count))
        redis.pipeline([commands[number % len(commands)] for number in numbers])


def wait_rewritten(redis):
    """Has Redis rewrite its append-only file, and waits for the end of that."""
    def idle():
        return not redis.info("aof_rewrite_in_progress") and not redis.info("aof_rewrite_scheduled")

    if not wait_for(idle, PATIENCE):
        raise CannotMeasure("Redis does not come to the end of rewriting its file")
    redis.call("BGREWRITEAOF")
    if not wait_for(idle, PATIENCE):
        raise CannotMeasure("Redis does not come to the end of rewriting its file")


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def drained(rig, events, count):
    """Adds so many and waits until all are journalled: the rate, and what that took."""
    with stopped(rig.server.pid):
        fill(rig.redis, events, count)
        # So that Redis does not rewrite in the background what the producers have made it write.
        wait_rewritten(rig.redis)
        left = rig.redis.call("XLEN", STREAM)
        meter, began = Meter(rig), time.monotonic()
    if not wait_for(lambda: rig.redis.call("XLEN", STREAM) == 0, PATIENCE, TICK):
        raise CannotMeasure(f"{rig.redis.call('XLEN', STREAM)} entries are still in the stream")
    seconds = time.monotonic() - began
    rejected = rig.redis.call("XLEN", f"{STREAM}:rejected")
    if rejected:
        raise CannotMeasure(f"{rejected} entries were rejected")
    return {"rate": left / seconds, "events": left, **meter.figures(left)}
