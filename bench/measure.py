"""One measurement: what a bench's processes use while events go through them, and how late these are.

    with Rig(options) as rig:
        rig.webhook("/ok/0", ["bench"])
        figures = through(rig, lambda *words: [rig.load(*words)], warmup=5000)

Figures are of one run and flat: name -> number. Times are in µs; CPU time and Redis's figures are for
each delivery (for each event, where none are delivered). The names:

    rate                        events accepted and delivered (or what the scenario counts) a second
    accepted_rate               events answered with 202 a second
    p50_us p99_us p999_us       from the instant an event was meant to be sent to its arrival
    accept_p50_us …             from that instant to the answer
    late_p99_us                 from when it was due, and a connection free, to the sending
    server_us redis_us …        CPU time, user and kernel, of each process of the bench
    server_mib redis_mib …      the most memory that it had (resident)
    redis_bytes redis_commands  growth of used_memory; commands, those of scripts included
    steal_percent               of the machine's time, given to others by its owner meanwhile
    lost                        accepted and never arrived: must be 0
    curve                       not a number: all percentiles of the latency
"""

import statistics
import time

import machine
from rig import CannotMeasure, wait_for

PATIENCE = 180        # seconds for what should come soon
QUIET_SHARE = 0.03    # of a core: what a process that does nothing uses at most
QUIET_SECONDS = 0.25


def wait_quiet(bench, timeout=60):
    """Waits until all processes of the bench rest, so that nothing is counted in the wrong place."""
    deadline, before = time.monotonic() + timeout, sum(bench.cpu().values())
    while time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        now = sum(bench.cpu().values())
        if now - before < QUIET_SHARE * QUIET_SECONDS:
            return
        before = now
    raise CannotMeasure(f"the processes are still busy after {timeout} s")


class Meter:
    """What is used from the moment it is made. Not `quiet`: work may be under way by then."""

    def __init__(self, bench, quiet=True):
        if quiet:
            wait_quiet(bench)
        self.bench, self.ticks, self.cpu = bench, machine.ticks(), bench.cpu()
        self.memory, self.commands = self._redis()

    def _redis(self):
        redis = self.bench.redis
        if not redis:
            return 0, 0
        return redis.info("used_memory"), redis.info("total_commands_processed")

    def figures(self, events, quiet=True):
        """What was used since, for each of so many events. Not `quiet`: what was used by now."""
        stop = machine.ticks()
        if quiet:
            wait_quiet(self.bench)
        cpu, events = self.bench.cpu(), max(events, 1)
        figures = {"steal_percent": machine.steal_percent(self.ticks, stop)}
        for name, pids in self.bench.pids.items():
            figures[f"{name}_us"] = 1e6 * (cpu[name] - self.cpu[name]) / events
            figures[f"{name}_mib"] = machine.memory_mib(pids)
        if self.bench.redis:
            memory, commands = self._redis()
            figures["redis_bytes"] = (memory - self.memory) / events
            figures["redis_commands"] = (commands - self.commands) / events
        return figures


def mean(each):
    """Of several measurements, figure by figure."""
    return {name: statistics.fmean(figures[name] for figures in each) for name in each[0]}


def latencies(latency, prefix=""):
    return {f"{prefix}{name}_us": latency[name] for name in ("p50", "p99", "p999")}


def arrived(bench, count, patience=PATIENCE):
    """Waits until the sink has seen so many requests; its summary."""
    if not wait_for(lambda: bench.sink.summary()["received"] >= count, patience, 0.1):
        raise CannotMeasure(f"{bench.sink.summary()['received']} of {count} requests arrived")
    return bench.sink.summary()


def reset(bench):
    bench.sink.reset()
    if not wait_for(lambda: bench.sink.summary()["received"] == 0, 10):
        raise CannotMeasure("the sink's figures do not go back to zero")


def results(loads):
    """Of load generators that run at the same time, as if they were one."""
    each = [load.result() for load in loads]
    for result in each:
        if result["accepted"] != result["sent"] or result["unanswered"]:
            raise CannotMeasure(f"not all events were accepted: {result}")
    total = dict(max(each, key=lambda result: result["latency_us"]["p99"]))
    for name in ("sent", "accepted", "rate", "cpu_seconds"):
        total[name] = sum(result[name] for result in each)
    total["start_ns"] = min(result["start_ns"] for result in each)
    return total


def through(bench, load, warmup, per_event=1):
    """Publishes and waits until all have arrived, each `per_event` times. `load()` starts the load
    generators; `load("--events", n)` does for the `warmup` events before, which do not count."""
    if warmup:
        warmed = results(load("--events", warmup))
        arrived(bench, warmed["accepted"] * per_event)
        wait_quiet(bench)
        reset(bench)
    meter = Meter(bench)
    published = results(load())
    expected = published["accepted"] * per_event
    seen = arrived(bench, expected) if per_event else {}
    events = published["accepted"] * max(per_event, 1)
    figures = {"rate": published["rate"], "accepted_rate": published["rate"], "events": events,
               **latencies(published["latency_us"], "accept_"), **meter.figures(events),
               "load_us": 1e6 * published["cpu_seconds"] / events}
    if published["mode"] == "open":
        figures["late_p99_us"] = published["late_us"]["p99"]
    if per_event:
        figures.update(latencies(seen["latency_us"]), curve=seen["latency_us"],
                       rate=expected / ((seen["last_ns"] - published["start_ns"]) / 1e9),
                       lost=published["accepted"] - seen["unique"],
                       repeated=seen["received"] - expected)
    return figures
