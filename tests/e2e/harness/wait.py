"""Waiting for conditions instead of sleeping."""

import socket
import time


def wait_until(condition, timeout=10.0, what="the condition", interval=0.01):
    """Calls `condition` until it answers something true and returns that; fails after `timeout` s.

    An AssertionError inside the condition counts as "not yet" and is shown when time is up, so a
    condition may simply assert.
    """
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            result = condition()
            if result:
                return result
            last = result
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last seen: {last!r}")
        time.sleep(interval)
        interval = min(interval * 1.2, 0.1)


def free_port():
    """A TCP port of 127.0.0.1 that was free a moment ago: for programs that cannot take port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
