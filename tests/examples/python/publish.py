#!/usr/bin/python3
"""Publishes an event through Redis: one XADD to Trotline's feed, no HTTP. Needs python3-redis.

    publish.py order.created '{"order": 17}'
    publish.py order.created '{"order": 17}' order-17-created

With a key (the second form) the event is published once, however often this runs within a day.
REDIS_URL says where Redis is: redis://localhost:6379, unix:///path/to/redis.sock, …
"""

import json
import os
import sys

import redis

FEED = "tl:{0}:feed"


def publish(connection, type, data, key=None):
    """The event is safe as soon as this returns: Trotline takes it from the stream when it can."""
    fields = {"e": json.dumps({"type": type, "data": data})}
    if key is not None:
        fields["k"] = key
    return connection.xadd(FEED, fields)


if __name__ == "__main__":
    connection = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379"))
    type, data, *key = sys.argv[1:]
    print(publish(connection, type, json.loads(data), *key).decode())
