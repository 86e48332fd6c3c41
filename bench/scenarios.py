"""The scenarios of bench/run: what each one measures, beside what, and what must hold.

A scenario is a few *variants*, which run in turn in each round: Trotline, the same with something
changed, and what it is compared with. A variant is a function that takes the options and answers
one run's figures, by name (measure.py says what they are). A bound is about the medians of all
rounds, or about the median of the rounds' ratios, for neighbours in time are disturbed alike.

The conditions of all of them, unless a scenario says otherwise: events of 1 KiB, signed, keep-alive,
durability everysec, the server on the first CPU, everything else on the second, no keys of idempotency.
"""

import dataclasses
import statistics
from collections.abc import Callable

from measure import results, through
from rig import Rig

CONDITIONS = ["durability=everysec"]
ENDPOINTS = 100


# ---- what a scenario is made of --------------------------------------------------------------------


@dataclasses.dataclass
class Bound:
    """`value(rounds)` must be at least, or at most, `limit`; rounds: variant -> figures of each."""

    what: str
    value: Callable
    limit: float
    at_least: bool = False

    def judge(self, rounds):
        """{what, limit, value, met}; value and met are None when something of it was not measured."""
        try:
            value = self.value(rounds)
        except (KeyError, statistics.StatisticsError):
            value = None
        met = None if value is None else (value >= self.limit if self.at_least
                                          else value <= self.limit)
        return {"what": f"{self.what} {'≥' if self.at_least else '≤'} {self.limit:g}",
                "value": value, "met": met}


def median(variant, name):
    return lambda rounds: statistics.median(figures[name] for figures in rounds[variant])


def most(variant, name):
    return lambda rounds: max(figures[name] for figures in rounds[variant])


def ratio(variant, other, name):
    """Median of the ratios of neighbours."""
    return lambda rounds: statistics.median(
        a[name] / b[name] for a, b in zip(rounds[variant], rounds[other], strict=True))


def at_least(what, value, limit):
    return Bound(what, value, limit, at_least=True)


def at_most(what, value, limit):
    return Bound(what, value, limit)


@dataclasses.dataclass
class Scenario:
    about: str
    variants: dict  # name -> function(options)
    bounds: list = dataclasses.field(default_factory=list)
    seconds: float = 30  # that a round takes, about


# ---- end to end ------------------------------------------------------------------------------------


def type_name(number, types):
    """What bench-load --types calls its types."""
    return f"bench.{number:04}" if types > 1 else "bench"


def register(rig, count, path="/ok", **members):
    """`count` endpoints, each for one of as many types."""
    return rig.webhooks([{"url": rig.target(f"{path}/{number}"),
                          "events": [type_name(number, count)], **members}
                         for number in range(count)])


def closed(o, events, *arguments, settings=(), endpoints=ENDPOINTS, path="/ok"):
    """As fast as events are taken, to as many endpoints as there are types."""
    with Rig(o, settings=[*CONDITIONS, *settings]) as rig:
        if path:
            register(rig, endpoints, path)

        def load(*words):
            return [rig.load("--types", endpoints, "--events", events, *arguments, *words)]

        return through(rig, load, warmup=o.size(20_000, 200), per_event=1 if path else 0)


def opened(o, rate, settings=()):
    """At a fixed rate, whatever the server does."""
    with Rig(o, settings=[*CONDITIONS, *settings]) as rig:
        register(rig, ENDPOINTS)

        def load(*warmup):
            pace = () if warmup else ("--rate", rate, "--duration", o.size(10, 1))
            return [rig.load("--types", ENDPOINTS, *warmup, *pace)]

        return through(rig, load, warmup=o.size(20_000, 200))


def e2e(rate):
    return lambda o: opened(o, o.size(rate, 100))


SCENARIOS = {
    "ingest": Scenario(
        "no endpoint takes the events; 202 when Redis has them",
        {"trotline": lambda o: closed(o, o.size(200_000, 500), path=None)}),
    "e2e-10000": Scenario(
        "10,000 events a second, offered whatever the server does",
        {"trotline": e2e(10_000)},
        [at_most("p50 µs", median("trotline", "p50_us"), 500),
         at_most("p99 µs", median("trotline", "p99_us"), 3000)]),
    "e2e-max": Scenario(
        "as fast as events are accepted, 128 at once, to 100 endpoints",
        {"trotline": lambda o: closed(o, o.size(100_000, 500)),
         "trotline-keys": lambda o: closed(o, o.size(100_000, 500), "--idempotency-keys")},
        [at_least("rate", median("trotline", "rate"), 24_000),
         at_most("server's µs", median("trotline", "server_us"), 30),
         at_most("Redis's µs", median("trotline", "redis_us"), 4),
         at_most("Redis's µs with keys", median("trotline-keys", "redis_us"), 7)]),
}
