"""The scenarios of bench/protect: one target's trouble stays its own.

Each is a function of its options (OPTIONS has them) that answers whether its bound holds, its
figures, and a sentence.
"""

import argparse
import statistics
import time

from publishing import fill, fill_until, type_name
from rig import CannotMeasure, Rig, busiest, quietest, say, wait_for, wait_grown

SECOND = 1_000_000_000  # of the stamps, which are in ns

HEALTHY_RATIO = 1.3   # p99 of healthy endpoints beside trouble to that without
CLAIM_RATIO = 1.5     # cost of a delivery claimed among many waiting to that among few
PACE_SHARE = 0.02     # how far a limited endpoint may be from its rate in a long window
DEAD_ATTEMPTS = 100   # fewer than these reach a dead endpoint
WAITING_BYTES = 1700  # of Redis, for one waiting delivery of 1 KiB

PATIENCE = 120        # seconds for what should come at once


# ---- healthy endpoints beside trouble -------------------------------------------------------------


def offer(rig, o, types, healthy, name):
    """Offers events of so many types in turn, the first `healthy` of which have one endpoint each,
    of the sink's class `name`. What those saw of it once the warm-up was over."""
    load = rig.load("--types", types, "--rate", o.rate, "--duration",
                    o.warmup + o.duration).result()
    expected = sum(number % types < healthy for number in range(load["sent"]))
    wait_for(lambda: rig.sink.of(name)["unique"] >= expected, PATIENCE / 2, 0.2)
    seen = rig.sink.of(name)
    return {"p50_us": seen["latency_us"]["p50"], "p99_us": seen["latency_us"]["p99"],
            "accept_p99_us": load["latency_us"]["p99"], "start_ns": load["start_ns"],
            "lost": load["sent"] - load["accepted"] + expected - seen["unique"]}


def interleave(o, phase):
    """phase(False) and phase(True), with trouble, in each round; first now the one, now the other.
    What they answered, and what is said of both together."""
    without, beside = [], []
    for number in range(o.rounds):
        for trouble in (False, True) if number % 2 == 0 else (True, False):
            figures = phase(trouble)
            (beside if trouble else without).append(figures)
            say(f"round {number + 1}/{o.rounds} {'beside' if trouble else 'without'}: {figures}")
    ratios = [b["p99_us"] / max(a["p99_us"], 1) for a, b in zip(without, beside)]
    return beside, {"ratio": round(statistics.median(ratios), 3),
                    "ratios": [round(ratio, 3) for ratio in ratios],
                    "p99_us_without": [one["p99_us"] for one in without],
                    "p99_us_beside": [one["p99_us"] for one in beside],
                    "p50_us_without": [one["p50_us"] for one in without],
                    "p50_us_beside": [one["p50_us"] for one in beside],
                    "lost": sum(one["lost"] for one in without + beside)}


def isolation_phase(o, trouble):
    """One run with the bad endpoints, or without. (Then their events are offered all the same, and
    match nothing.)"""
    healthy = o.endpoints - o.hanging - o.failing
    if healthy < 1:
        raise CannotMeasure("--hanging and --failing leave no healthy endpoint")
    with Rig(o, skip=int(o.rate * o.warmup)) as rig:
        for number in range(o.endpoints if trouble else healthy):
            kind = ("ok" if number < healthy else
                    "hang" if number < healthy + o.hanging else "500")
            rig.webhook(f"/{kind}/{number}", [type_name(number, o.endpoints)],
                        timeout=int(o.timeout * 1000))
        figures = offer(rig, o, o.endpoints, healthy, "/ok")
        figures["attempts_hanging"] = rig.sink.of("/hang")["received"]
        figures["attempts_failing"] = rig.sink.of("/500")["received"]
        return figures


def isolation(o):
    """Endpoints that hang and that answer 500 beside healthy ones: p99 of those with the bad ones to
    that without them."""
    healthy = o.endpoints - o.hanging - o.failing
    beside, figures = interleave(o, lambda trouble: isolation_phase(o, trouble))
    for name in ("attempts_hanging", "attempts_failing"):
        figures[name] = [one[name] for one in beside]
    return figures["ratio"] <= HEALTHY_RATIO and figures["lost"] == 0, figures, (
        f"{healthy} healthy endpoints, {o.rate}/s in all, beside {o.hanging} that hang and "
        f"{o.failing} that answer 500: p99 {figures['ratio']:.2f} times that without them (at most "
        f"{HEALTHY_RATIO}; median of {o.rounds}), {figures['lost']} events lost")


def limited(o):
    """An endpoint with a rate limit and a great many waiting deliveries beside healthy ones: p99 of
    those with it to that without it, and how exactly the limited one gets its rate."""
    if o.window >= o.duration:
        raise CannotMeasure("--duration must be longer than --window")

    def phase(trouble):
        with Rig(o, skip=int(o.rate * o.warmup), stamps="/ok/limited") as rig:
            for number in range(o.endpoints):
                rig.webhook(f"/ok/healthy/{number}", [type_name(number, o.endpoints)])
            if trouble:
                limit = {"limit": o.limit, "period": "1s", "burst": o.burst}
                flooded = rig.webhook("/ok/limited/0", ["flood"], rateLimit=limit)
                fill(rig, o.waiting, "--type", "flood")
                wait_grown(lambda: rig.waiting([flooded]), PATIENCE)
            figures = offer(rig, o, o.endpoints, o.endpoints, "/ok/healthy")
            if trouble:
                figures.update(pace(o, rig.stamps(), figures["start_ns"]))
                figures["left"] = rig.waiting([flooded])
                if figures["left"] == 0:
                    raise CannotMeasure("nothing is waiting any more; take a larger --waiting")
            return figures

    beside, figures = interleave(o, phase)
    for name in ("window_least", "window_most", "second_most", "left"):
        figures[name] = [one[name] for one in beside]
    least, most = min(figures["window_least"]), max(figures["window_most"])
    right, second_most = o.limit * o.window, max(figures["second_most"])
    holds = (figures["ratio"] <= HEALTHY_RATIO and figures["lost"] == 0 and
             least >= right * (1 - PACE_SHARE) and most <= right * (1 + PACE_SHARE) and
             second_most <= o.limit + o.burst)
    return holds, figures, (
        f"{o.endpoints} healthy endpoints, {o.rate}/s in all, beside one limited to {o.limit}/s "
        f"with {o.waiting} waiting: p99 {figures['ratio']:.2f} times that without it (at most "
        f"{HEALTHY_RATIO}; median of {o.rounds}), {figures['lost']} events lost; it got {least} to "
        f"{most} in any {o.window:g} s ({right:g} ± {PACE_SHARE:.0%}) and at most {second_most} in "
        f"any second (at most {o.limit + o.burst})")


def pace(o, stamps, start_ns):
    """How a limited endpoint's arrivals keep to its rate: long windows while the healthy ones are
    measured, when it had deliveries waiting all the time; any second since it exists."""
    begin = start_ns + int(o.warmup * SECOND)
    end = begin + int(o.duration * SECOND)
    window = int(o.window * SECOND)
    within = [stamp for stamp in stamps if begin < stamp <= end]
    return {"window_least": quietest(within, window, begin, end),
            "window_most": busiest(within, window), "second_most": busiest(stamps, SECOND)}


# ---- a dead endpoint ------------------------------------------------------------------------------


def dead(o):
    """An endpoint that dies and comes back under load: how many attempts reach it while it is dead,
    and whether everything arrives afterwards."""
    name = f"/switch/{o.death}"
    with Rig(o, stamps=name) as rig:
        # Impatient, so that it is not the retry schedule that spares the endpoint.
        rig.webhook(f"{name}/0", ["bench"], retryPolicy={
            "maxAttempts": 50, "initialInterval": "5s", "multiplier": 1})
        load = rig.load("--rate", o.rate, "--duration", o.before + o.dead + o.after)
        time.sleep(o.before)
        rig.sink.switch(dead=True)
        say(f"dead for {o.dead:g} s")
        time.sleep(o.dead)
        rig.sink.switch(dead=False)
        revived = time.monotonic_ns()
        say("alive")
        sent = load.result()
        wait_for(lambda: rig.sink.of(name)["unique"] >= sent["sent"], o.patience, 0.2)
        seen, stamps = rig.sink.of(name), rig.stamps()
    after = [stamp for stamp in stamps if stamp > revived]
    figures = {"attempts_while_dead": seen["refused"], "sent": sent["sent"],
               "accepted": sent["accepted"], "arrived": seen["unique"],
               "repeated": seen["received"] - seen["refused"] - seen["unique"],
               "first_after_s": round((min(after) - revived) / SECOND, 3) if after else None,
               "last_after_s": round((max(after) - revived) / SECOND, 3) if after else None}
    return seen["refused"] < DEAD_ATTEMPTS and seen["unique"] == sent["sent"], figures, (
        f"{seen['refused']} attempts reached an endpoint dead ({o.death}) for {o.dead:g} s at "
        f"{o.rate}/s (fewer than {DEAD_ATTEMPTS}); {seen['unique']} of {sent['sent']} events "
        f"arrived, the last {figures['last_after_s']} s after it had come back")


# ---- what waiting costs ---------------------------------------------------------------------------


def claim_cost(o, events):
    """CPU time of server and Redis for each of the first deliveries claimed when `events` wait and
    all become due at one moment, in µs."""
    with Rig(o) as rig:
        endpoints = [rig.webhook(f"/ok/{number}", [type_name(number, o.endpoints)])
                     for number in range(o.endpoints)]
        due = time.time() + o.lead + events / o.fill_rate
        fill_until(rig, events, o.endpoints, endpoints, due)
        if time.time() > due - 1:
            raise CannotMeasure(f"publishing {events} events took too long: lower --fill-rate")
        say(f"{events} waiting; due in {due - time.time():.0f} s")
        time.sleep(due - time.time() - 0.5)
        before = rig.cpu_seconds()
        if not wait_for(lambda: rig.sink.of("/ok")["received"] >= o.take, PATIENCE):
            raise CannotMeasure(f"{rig.sink.of('/ok')['received']} of {o.take} have arrived")
        received, after = rig.sink.of("/ok")["received"], rig.cpu_seconds()
        figures = {"received": received, "rewriting": rig.redis.info("aof_rewrite_in_progress")}
    for name, first, last in zip(("server_us", "redis_us"), before, after):
        figures[name] = round((last - first) * 1e6 / received, 2)
    say(f"{events} waiting: {figures}")
    return figures


def claim(o):
    """CPU time for a delivery claimed from the schedule when many wait, to that when few do."""
    if o.take > o.few:
        raise CannotMeasure("--take must not be more than --few")
    few, many = [], []
    for number in range(o.rounds):
        for events in (o.few, o.waiting) if number % 2 == 0 else (o.waiting, o.few):
            (few if events == o.few else many).append(claim_cost(o, events))
    figures = {"few": few, "many": many}
    for name in ("server_us", "redis_us"):
        ratios = [b[name] / max(a[name], 0.01) for a, b in zip(few, many)]
        figures[name.replace("us", "ratio")] = round(statistics.median(ratios), 3)
    both = [(b["server_us"] + b["redis_us"]) / max(a["server_us"] + a["redis_us"], 0.01)
            for a, b in zip(few, many)]
    figures["ratio"] = round(statistics.median(both), 3)
    holds = max(figures["ratio"], figures["redis_ratio"]) <= CLAIM_RATIO
    return holds, figures, (
        f"a delivery claimed among {o.waiting} waiting costs {figures['ratio']:.2f} times what it "
        f"costs among {o.few} (Redis alone {figures['redis_ratio']:.2f} times; at most "
        f"{CLAIM_RATIO}; median of {o.rounds})")


def kinds(redis):
    """How many keys of each kind Redis has, and the mean bytes of some of them."""
    found, cursor = {}, b"0"
    while True:
        cursor, keys = redis.call("SCAN", cursor, "COUNT", 10000)
        for key in keys:
            kind = found.setdefault(key.decode().split(":")[2], [0, []])
            kind[0] += 1
            if len(kind[1]) < 200:
                kind[1].append(redis.call("MEMORY", "USAGE", key) or 0)
        if cursor == b"0":
            return {kind: {"keys": count, "mean_bytes": round(statistics.mean(sizes))}
                    for kind, (count, sizes) in sorted(found.items())}


def waiting(o):
    """Redis bytes for each waiting delivery of 1 KiB, of everything that Redis then holds."""
    with Rig(o) as rig:
        endpoint = rig.webhook("/ok/0", ["bench"])
        before = rig.redis.info("used_memory")
        fill_until(rig, o.waiting, 1, [endpoint], time.time() + 24 * 3600)
        wait_for(lambda: rig.redis.info("aof_rewrite_in_progress") == 0, PATIENCE)
        # Batches are closed, history is trimmed: that takes a moment.
        wait_grown(lambda: -(rig.redis.info("used_memory") >> 20), PATIENCE, 2)
        used = rig.redis.info("used_memory") - before
        figures = {"bytes": round(used / o.waiting), "used_memory": used,
                   "kinds": kinds(rig.redis)}
    return figures["bytes"] <= WAITING_BYTES, figures, (
        f"{figures['bytes']} bytes of Redis for each of {o.waiting} waiting deliveries of 1 KiB (at "
        f"most {WAITING_BYTES})")


# ---- their options --------------------------------------------------------------------------------

# Option -> (its value, its value with --small, what it says).
ROUNDS = (5, 1, "rounds, each with and without; the median decides")
OPTIONS = {
    isolation: {
        "endpoints": (200, 10, "in all"),
        "hanging": (20, 1, "of these never answer"),
        "failing": (20, 1, "of these answer 500"),
        "timeout": (15.0, 1.0, "of an attempt, in seconds"),
        "rate": (2000, 100, "events a second, to all endpoints in turn"),
        "warmup": (5.0, 0.5, "seconds that are left out of the latencies"),
        "duration": (30.0, 1.5, "seconds that are measured"),
        "rounds": ROUNDS,
    },
    limited: {
        "waiting": (200_000, 2000, "deliveries for the limited endpoint"),
        "limit": (100, 100, "of them a second"),
        "burst": (10, 10, "of its limit"),
        "endpoints": (50, 5, "healthy ones"),
        "rate": (2000, 100, "events a second, to the healthy ones in turn"),
        "warmup": (5.0, 0.5, "seconds that are left out of the figures"),
        "duration": (60.0, 2.5, "seconds that are measured"),
        "window": (10.0, 1.0, "seconds in which the rate must be right"),
        "rounds": ROUNDS,
    },
    dead: {
        "rate": (500, 100, "events a second"),
        "before": (5.0, 0.5, "seconds until it dies"),
        "dead": (60.0, 1.5, "seconds that it is dead"),
        "after": (5.0, 0.5, "seconds that events go on coming afterwards"),
        "death": ("503", "503", "how: a status, hang, or reset"),
        "patience": (600.0, 30.0, "seconds to wait for what has not arrived"),
    },
    claim: {
        "waiting": (1_000_000, 2000, "deliveries that are many (1.7 GB of Redis for a million)"),
        "few": (10_000, 1000, "deliveries that are few"),
        "take": (10_000, 500, "deliveries whose cost is measured, from the moment all are due"),
        "endpoints": (1, 2, "that they wait for"),
        "fill-rate": (3000, 400, "events a second that can be published at least"),
        "lead": (10.0, 2.0, "seconds of rest before they are due"),
        "rounds": (3, 1, ROUNDS[2]),
    },
    waiting: {
        "waiting": (200_000, 2000, "deliveries"),
    },
}


def options_for(scenario, given):
    """The common options and the scenario's own, with the defaults of what was not given."""
    options = argparse.Namespace(**vars(given))
    for name, (value, small, _) in OPTIONS[scenario].items():
        name = name.replace("-", "_")
        if getattr(options, name, None) is None:
            setattr(options, name, small if given.small else value)
    return options
