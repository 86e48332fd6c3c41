#!/usr/bin/python3
"""Changes data and tells of it in one transaction: an outbox without a table and without a worker that
empties it. Nobody sees one without the other, and what Redis does not take (no memory, no right) undoes
both. Needs python3-redis.

    outbox.py 17 9.90

On a Redis Cluster a transaction's keys must share a hash tag: call yours `…{0}…`, as the feed is.
"""

import json
import os
import sys

import redis

FEED = "tl:{0}:feed"


def create_order(connection, number, total):
    event = {"type": "order.created", "data": {"order": number, "total": total}}
    with connection.pipeline(transaction=True) as both:
        both.hset(f"shop:order:{number}", mapping={"total": total, "state": "created"})
        both.xadd(FEED, {"e": json.dumps(event), "k": f"order-{number}-created"})
        both.execute()


if __name__ == "__main__":
    connection = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379"))
    create_order(connection, int(sys.argv[1]), sys.argv[2])
