"""The scenarios of bench/run: what each one measures, beside what, and what must hold.

A scenario is a few *variants*, which run in turn in each round: Trotline, the same with something
changed, and what it is compared with. A variant is a function that takes the options and answers
one run's figures, by name (measure.py says what they are). A bound is about the medians of all
rounds, or about the median of the rounds' ratios, for neighbours in time are disturbed alike.

The conditions of all, unless a scenario says otherwise: events of 1 KiB, signed, keep-alive, durability
everysec, the server on the first CPU, everything else on the second, no idempotency keys.
"""

import dataclasses
import statistics
from collections.abc import Callable

import variants as v


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


def ratio(variant, other, name):
    """Median of the ratios of neighbours, in those rounds that have both."""
    def of(rounds):
        others = {figures["round"]: figures[name] for figures in rounds[other]}
        return statistics.median(figures[name] / others[figures["round"]]
                                 for figures in rounds[variant] if figures["round"] in others)
    return of


def at_least(what, value, limit):
    return Bound(what, value, limit, at_least=True)


def at_most(what, value, limit):
    return Bound(what, value, limit)


def lost(rounds):
    """Events of all rounds that were accepted and never arrived."""
    return sum(figures.get("lost", 0) for each in rounds.values() for figures in each)


@dataclasses.dataclass
class Scenario:
    about: str
    variants: dict  # name -> function(options)
    bounds: list
    seconds: int  # that a round takes, about
    rounds_max: int = 10
    compared: tuple = ("bullmq", "nginx", "raw", "straight")  # variants that are not Trotline
    plots: tuple = ("rate", "server_us", "redis_us")

    def judge(self, rounds):
        """All bounds, and that nothing was lost."""
        bounds = [bound.judge(rounds) for bound in self.bounds]
        if any("lost" in figures for each in rounds.values() for figures in each):
            bounds.append(at_most("lost", lost, 0).judge(rounds))
        return bounds


# ---- the scenarios ---------------------------------------------------------------------------------


def e2e(rate, bounds=()):
    return Scenario(f"{rate:,} events a second, offered whatever the server does",
                    {"trotline": lambda o: v.e2e(o, rate=rate),
                     "straight": lambda o: v.e2e_straight(o, rate)}, list(bounds), 35,
                    plots=("curve", "server_us", "redis_us"))


SCENARIOS = {
    "ingest": Scenario(
        "no endpoint takes the events; answered with 202 when Redis has them",
        {"trotline": v.ingest, "nginx": v.ingest_nginx},
        [at_least("rate, to nginx's", ratio("trotline", "nginx", "rate"), 0.6)], 25),
    "ingest-bulk": Scenario(
        "as ingest, a hundred events in a request (JSON arrays), beside one in each",
        {"bulk": v.ingest_bulk, "single": v.ingest},
        [at_most("server's CPU, to that of single ones", ratio("bulk", "single", "server_us"), 0.5)],
        30),
    "receive": Scenario(
        "requests of a third party that are verified, as fast as they are taken, beside as many bytes "
        "published; no endpoint takes either",
        {"receive": v.receive, "publish": v.ingest,
         "publish-keys": lambda o: v.ingest(o, "--idempotency-keys")},
        [at_most("server's CPU, to that of a publish", ratio("receive", "publish", "server_us"), 1.5)],
        40),
    "feed": Scenario(
        "half a million events wait in a Redis stream, as JSON or msgpack, beside as many requests with one "
        "each; no endpoint takes them; a rate of events that are journalled",
        {"json": v.feed, "msgpack": v.feed_msgpack, "http": v.ingest},
        [at_least("rate, to that of single requests", ratio("json", "http", "rate"), 3)], 40),
    "egress": Scenario(
        "a backlog, 512 requests on the wire: bursts of 20,000 that the server has in memory; 100,000 "
        "that wait in Redis's schedule and are due at once",
        {"memory": v.egress_memory, "schedule": v.egress, "raw": v.egress_raw},
        [at_least("rate from memory, to the raw client's", ratio("memory", "raw", "rate"), 0.7),
         at_least("rate from the schedule, to it", ratio("schedule", "raw", "rate"), 0.7)], 75),
    "egress-batched": Scenario(
        "100,000 of the schedule, to endpoints that take forty in a request, beside one in each",
        {"batched": v.egress_batched, "single": v.egress}, [], 50),
    "egress-slow": Scenario(
        "40,000 from the schedule; the sink answers after 100 ms (so 5,120 a second are the limit)",
        {"schedule": lambda o: v.egress(o, "/delay/100", 40_000),
         "raw": lambda o: v.egress_raw(o, "/delay/100", 40_000)}, [], 50),
    "egress-fail": Scenario(
        "100,000 from the schedule; the sink answers 500, and all are to be retried tomorrow",
        {"schedule": lambda o: v.egress(o, "/500", 100_000)}, [], 70),
    "e2e-1000": e2e(1000),
    "e2e-5000": e2e(5000),
    "e2e-10000": e2e(10_000, [
        at_most("p50, µs", median("trotline", "p50_us"), 500),
        at_most("p99, µs", median("trotline", "p99_us"), 3000)]),
    "e2e-max": Scenario(
        "as fast as events are accepted, 128 producers, 100 endpoints; with a fresh idempotency key "
        "each; with 1,000 deliveries on the wire all the time (5,000 a second, answered after 0.2 s)",
        {"trotline": v.e2e, "trotline-keys": lambda o: v.e2e(o, "--idempotency-keys"),
         "bullmq": v.e2e_bullmq, "in-flight": v.e2e_held},
        [at_least("rate", median("trotline", "rate"), 24_000),
         at_least("rate, to BullMQ's", ratio("trotline", "bullmq", "rate"), 6),
         at_most("server's CPU, µs", median("trotline", "server_us"), 30),
         at_most("Redis's CPU, µs", median("trotline", "redis_us"), 4),
         at_most("Redis's CPU with keys, µs", median("trotline-keys", "redis_us"), 7),
         at_most("server's RSS with 1,000 in flight, MiB", median("in-flight", "server_mib"), 32)],
        75),
    "e2e-https": Scenario(
        "as e2e-max, to an https sink, over connections that stay open",
        {"https": v.e2e_https, "http": v.e2e},
        [at_most("server's CPU, µs", median("https", "server_us"), 40)], 30),
    "fanout-100": Scenario(
        "each event to 100 endpoints; a rate of deliveries",
        {"trotline": v.fanout}, [], 20),
    "many-endpoints": Scenario(
        "as e2e-max, but to 10,000 endpoints on 1,000 hosts",
        {"many": v.many_endpoints, "few": v.e2e},
        [at_least("rate, to that of 100 on one host", ratio("many", "few", "rate"), 0.8)], 35),
    "backlog-drain": Scenario(
        "a million deliveries wait and are due at once; Redis's bytes are of a waiting one",
        {"trotline": v.backlog}, [], 400, rounds_max=1),
    "isolation": Scenario(
        "200 endpoints, 2,000 events a second: 160 healthy ones alone, and beside 40 bad ones",
        {"without": lambda o: v.isolation(o, False), "beside": lambda o: v.isolation(o, True)},
        [at_most("p99, to that without", ratio("beside", "without", "p99_us"), 1.3)], 100,
        plots=("p50_us", "p99_us")),
    "aof-always": Scenario(
        "as e2e-max; each batch is synced to disk before the answer, and every second",
        {"always": lambda o: v.e2e(o, settings=["durability=always"]), "everysec": v.e2e},
        [at_least("rate, to that of everysec", ratio("always", "everysec", "rate"), 0.9)], 30),
    "replicas-2": Scenario(
        "as e2e-max; two servers share a Redis, and the first CPU",
        {"two": v.replicas, "one": v.e2e}, [], 35),
    "idle": Scenario(
        "nothing happens for a minute; there are 100,000 endpoints",
        {"trotline": v.idle},
        [at_most("server's CPU, % of a core", median("trotline", "server_percent"), 0.2),
         at_most("Redis calls a second", median("trotline", "redis_calls"), 2)], 150, rounds_max=1,
        plots=("server_percent", "redis_percent")),
}
