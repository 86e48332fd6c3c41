#!/usr/bin/python3
"""Takes the events of a webhook of kind redis-stream, as one of a group of workers. Needs python3-redis.

    consume.py orders stock worker-1        stream, group, and this worker's name in it

Start as many as there is work for; each event goes to one of the group. A name is a worker's own, also
over its restarts: so it finds again what it had taken and not finished.
"""

import json
import os
import signal
import sys

import redis

DEAD_MS = 60_000  # what another worker took so long ago and did not finish, it never will


def take(connection, key, group, me):
    """Entries to work on; none when nothing came for a second."""
    _, entries, *_ = connection.xautoclaim(key, group, me, min_idle_time=DEAD_MS, count=10)
    if not entries:
        for _, entries in connection.xreadgroup(group, me, {key: ">"}, count=10, block=1000):
            pass
    return entries


def take_unfinished(connection, key, group, me):
    """What this worker had taken before it was started again."""
    (_, entries), = connection.xreadgroup(group, me, {key: "0"})
    return entries


def work(event):
    """Here goes what is to be done. The same event may come twice: remember its id where that hurts."""
    print(event["id"], event["type"], json.dumps(event["data"]), flush=True)


def main(name, group, me):
    connection = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379"),
                                      decode_responses=True)
    key = "tl:{0}:out:" + name
    try:
        connection.xgroup_create(key, group, id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):  # it is there already
            raise
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    entries = take_unfinished(connection, key, group, me)
    while not stopped:
        for entry_id, fields in entries:
            if fields:  # else it was trimmed before it was finished
                work(json.loads(fields["e"]))
            connection.xack(key, group, entry_id)
        entries = take(connection, key, group, me)


if __name__ == "__main__":
    main(*sys.argv[1:])
