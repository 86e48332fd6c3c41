"""Random interleavings of all scripts; world.py tells what may happen, and runs for longer by hand."""

import random

import pytest
from harness import RedisServer
from world import run_world

SECONDS = 3
RUNS = 5  # at most, until all that is to happen has happened


@pytest.mark.parametrize("calm", [True, False], ids=["calm", "wild"])
@pytest.mark.parametrize("seed", [1, 2, None])
def test_whatever_happens_nothing_accepted_is_lost(redis, seed, calm):
    """Seed None: another one in every run; a failure names it. Few deliveries of an order are sent in
    three seconds, and now and then none: what happens depends on the time, too."""
    seed = random.randrange(10**6) if seed is None else seed
    for _ in range(RUNS):
        world = run_world(redis, seed, SECONDS, calm=calm)
        print(world)
        assert world.sent and world.counts["settle"] and world.counts["close"]
        if world.counts["in order"] or not any(world.ordering.values()):
            return
    raise AssertionError(f"nothing was sent in its order in {RUNS} runs")


class Lasting:
    """A connection that is made anew after a restart."""

    def __init__(self, server):
        self.server, self.redis = server, server.connect(timeout=60)

    def call(self, *words):
        return self.redis.call(*words)

    def restart(self):
        self.redis.close()
        self.server.kill9()
        self.server.start()
        self.redis = self.server.connect(timeout=60)


def test_redis_is_killed_and_comes_back():
    """With its append-only file written before every reply, as the embedded one has it."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        redis = Lasting(server)
        world = run_world(redis, random.randrange(10**6), 2 * SECONDS, restart=redis.restart)
        redis.restart()
        world.check(idle=True)
        print(world)
        redis.redis.close()
