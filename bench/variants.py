"""What the scenarios of bench/run are made of: functions that take the options, start what is
measured, and answer one run's figures (measure.py has their names).
"""

import time

import feeding
import protection
from baselines import BullMQ, Nginx, raw_client
from measure import Meter, arrived, latencies, mean, reset, results, through, wait_quiet
from publishing import due_after, fill_until, register, type_name
from rig import Bench, CannotMeasure, Rig, pin

CONDITIONS = ["durability=everysec"]
ENDPOINTS = 100
V8_WARM_UP = 6000  # events until what is hot has been compiled
IN_FLIGHT = 512
EVERY_IN_FLIGHT = [f"outbound.maxInFlight={IN_FLIGHT}",
                   f"outbound.maxInFlightPerEndpoint={IN_FLIGHT}", "outbound.adaptiveConcurrency=false", "breaker.enabled=false"]


# ---- end to end -------------------------------------------------------------------------------------


def pace(o, rate=None):
    """The load's options: closed loop, or so many events a second."""
    if rate is None:
        return ["--duration", o.size(5, 0.3)]
    return ["--rate", o.size(rate, 100), "--duration", o.size(10, 0.5)]


def published(o, bench, url, api_key, words, types=ENDPOINTS, per_event=1, warmup=20_000, always=()):
    """What goes through when bench-load publishes there by `words`; those of `always` are for the warm-up,
    too."""

    def load(*warmup):
        return [bench.load_at(url, "--api-key", api_key, "--types", types, *always,
                              *(warmup or words))]

    return through(bench, load, o.size(warmup, 200) // max(per_event, 1), per_event)


def e2e(o, *words, rate=None, settings=()):
    """Accepted and delivered, to a hundred endpoints."""
    with Rig(o, settings=[*CONDITIONS, *settings]) as rig:
        register(rig, ENDPOINTS)
        return published(o, rig, rig.url, rig.api_key, [*pace(o, rate), *words])


def e2e_https(o):
    """The same, by TLS connections that stay open."""
    with Rig(o, settings=CONDITIONS, tls=True) as rig:
        register(rig, ENDPOINTS)
        return published(o, rig, rig.url, rig.api_key, pace(o))


def e2e_held(o):
    """A thousand deliveries on the wire all the time: the sink answers after 0.2 s, 5000 a second."""
    settings = [*CONDITIONS, "outbound.maxInFlight=1100", "outbound.adaptiveConcurrency=false"]
    with Rig(o, settings=settings) as rig:
        register(rig, ENDPOINTS, "/delay/200")
        # A longer warm-up would wait in memory, and that is not what is asked for.
        return published(o, rig, rig.url, rig.api_key, pace(o, 5000), warmup=1000)


def e2e_straight(o, rate):
    """No server: the load sends to a sink that has the server's CPU and answers 202. How late events
    arrive and are answered where nothing is done with them."""
    with Bench(o, sink=["--status", "202"]) as bench:
        if bench.server_cpu is not None:
            pin(bench.sink.pid, bench.server_cpu)
        return published(o, bench, bench.target("/api/events"), "none", pace(o, rate))


def e2e_bullmq(o):
    """What a team would build today does the same."""
    with Bench(o) as bench, BullMQ(bench.directory / "bullmq", bench.server_cpu,
                                   bench.other_cpu) as app:
        bench.redis = app.redis
        bench.pids.update(server=app.pids, redis=[app.redis_pid])
        for number in range(ENDPOINTS):
            app.webhook(bench.target(f"/ok/{number}"), [type_name(number, ENDPOINTS)])
        figures = published(o, bench, app.url, app.api_key, pace(o), warmup=V8_WARM_UP)
        return {**figures, "version": app.version}


def ingest(o, *words):
    """Events that no endpoint takes."""
    with Rig(o, settings=CONDITIONS) as rig:
        return published(o, rig, rig.url, rig.api_key, [*pace(o), *words], per_event=0)


def feed(o, form=bytes):
    """The same events out of a Redis stream, which no endpoint takes either."""
    with Rig(o, settings=CONDITIONS) as rig:
        events = [form(document) for document in feeding.documents(o)]
        feeding.drained(rig, events, o.size(50_000, 200))
        return feeding.drained(rig, events, o.size(500_000, 1000))


def feed_msgpack(o):
    return feed(o, feeding.as_msgpack)


def ingest_bulk(o):
    """The same, a hundred events in a request, from sixteen producers."""
    with Rig(o, settings=CONDITIONS) as rig:
        return published(o, rig, rig.url, rig.api_key, pace(o), per_event=0,
                         always=["--per-request", 100, "--connections", 16])


def ingest_nginx(o):
    """The same requests to nginx, which answers 202 and does nothing."""
    with Bench(o) as bench, Nginx(bench.directory / "nginx", bench.server_cpu) as nginx:
        bench.pids["server"] = nginx.pids
        figures = published(o, bench, nginx.url, "none", pace(o), per_event=0)
        return {**figures, "version": nginx.version}


def receive(o):
    """The same bodies as a third party sends them: verified, and deduplicated by the sender's id. No
    endpoint takes these events either."""
    with Rig(o, settings=CONDITIONS) as rig:
        secret = "bench-secret-of-github"
        rig.post("/api/sources", {"name": "bench", "scheme": "github", "secrets": [secret]})
        return published(o, rig, f"{rig.url}/in/bench", "none", pace(o), per_event=0,
                         always=["--github", secret])


def fanout(o):
    """Each event to every endpoint. So many that they fit into memory: no endpoint falls behind."""
    with Rig(o, settings=CONDITIONS) as rig:
        rig.webhooks([{"url": rig.target(f"/ok/{number}"), "events": ["bench"]}
                      for number in range(ENDPOINTS)])
        words = ["--events", o.size(900, 5), "--connections", 16]
        return published(o, rig, rig.url, rig.api_key, words, types=1, per_event=ENDPOINTS)


def many_endpoints(o):
    """10,000 endpoints on 1,000 hosts: each address of 127.0.0.0/8 is one."""
    endpoints, hosts = o.size(10_000, 200), o.size(1000, 20)
    with Rig(o, settings=CONDITIONS, sink=["--everywhere"]) as rig:
        addresses = [f"127.1.{host // 250}.{host % 250 + 1}" for host in range(hosts)]
        rig.webhooks([{"url": rig.target(f"/ok/{number}", addresses[number % hosts]),
                       "events": [type_name(number, endpoints)]} for number in range(endpoints)])
        return published(o, rig, rig.url, rig.api_key, pace(o), types=endpoints)


def replicas(o):
    """Two servers that share a Redis and the first CPU, each with half of the producers."""
    with Rig(o, settings=CONDITIONS) as rig:
        register(rig, ENDPOINTS)
        urls = [rig.url, rig.replica()]

        def load(*warmup):
            return [rig.load_at(url, "--api-key", rig.api_key, "--types", ENDPOINTS, "--connections",
                                64, "--first", number * 10_000_000, *(warmup or pace(o)))
                    for number, url in enumerate(urls)]

        return through(rig, load, o.size(10_000, 100))


# ---- backlogs ---------------------------------------------------------------------------------------


def drained(o, rig, events, path, **members):
    """Deliveries that wait in the schedule and are all due at one moment: from that to the last."""
    endpoints = register(rig, ENDPOINTS, path, **members)
    due = due_after(rig, events, lead=o.size(5, 2))
    before = rig.redis.info("used_memory")
    fill_until(rig, events, ENDPOINTS, endpoints, due)
    waiting_bytes = (rig.redis.info("used_memory") - before) / events
    wait_quiet(rig)
    meter = Meter(rig)
    if time.time() > due:
        raise CannotMeasure(f"storing {events} events to wait took too long")
    due_ns = time.monotonic_ns() + int((due - time.time()) * 1e9)
    seen = arrived(rig, events, patience=due - time.time() + o.size(600, 60))
    return {"rate": events / ((seen["last_ns"] - due_ns) / 1e9), "events": events,
            **meter.figures(events), "redis_bytes": waiting_bytes,
            "first_ms": (seen["first_ns"] - due_ns) / 1e6,
            "repeated": seen["received"] - events}


def egress(o, path="/ok", events=100_000):
    """A backlog, with 512 requests on the wire."""
    with Rig(o, settings=[*CONDITIONS, *EVERY_IN_FLIGHT, "retry.schedule=[1d]"]) as rig:
        return drained(o, rig, o.size(events, 500), path)


def egress_batched(o, events=100_000):
    """The same, to endpoints that take forty events in a request: as many as the sink reads at once."""
    with Rig(o, settings=[*CONDITIONS, *EVERY_IN_FLIGHT, "retry.schedule=[1d]"]) as rig:
        return drained(o, rig, o.size(events, 500), "/ok",
                       batch={"maxEvents": 40, "maxBytes": "56KiB", "maxWait": "0s"})


def burst(rig, events):
    """Deliveries that are in the server's memory because the sink is stopped for a moment; it goes on as
    soon as all have been accepted, for what waits longer is moved to Redis. (Seconds, figures.)"""
    reset(rig)
    with rig.sink.stopped():
        results([rig.load("--types", ENDPOINTS, "--events", events)])
        meter, began_ns = Meter(rig, quiet=False), time.monotonic_ns()
    seen = arrived(rig, events)
    figures = {**meter.figures(events), "lost": events - seen["unique"],
               "repeated": seen["received"] - events}
    return (seen["last_ns"] - began_ns) / 1e9, figures


def egress_memory(o):
    """Bursts of 20,000, which have been accepted and come neither from producers nor out of Redis."""
    events, bursts = o.size(20_000, 500), o.size(5, 2)
    settings = [*CONDITIONS, *EVERY_IN_FLIGHT, "outbound.timeout=5m"]
    with Rig(o, settings=settings) as rig:
        register(rig, ENDPOINTS)
        burst(rig, events)  # makes the connections
        each = [burst(rig, events) for _ in range(bursts)]
    return {"rate": bursts * events / sum(seconds for seconds, _ in each),
            "events": bursts * events, **mean([figures for _, figures in each])}


def egress_raw(o, path="/ok", events=300_000):
    """The raw client sends as many at once to the same sink."""
    events = o.size(events, 1000)
    with Bench(o) as bench:
        meter = Meter(bench)
        client = raw_client(o.build, bench.directory, bench.target(f"{path}/0"), "--deliveries",
                            events, "--connections", IN_FLIGHT, cpu=bench.server_cpu)
        return {**meter.figures(events), "rate": client["rate"], "events": events,
                "server_us": client["cpu_us_per_delivery"],
                "server_mib": client["rss_peak_kib"] / 1024,
                **latencies(client["latency_us"], "accept_"), "version": client.get("version")}


def backlog(o):
    """A million deliveries, with the server's own limits."""
    with Rig(o, settings=CONDITIONS) as rig:
        return drained(o, rig, o.size(1_000_000, 1000), "/ok")


# ---- others -----------------------------------------------------------------------------------------


def idle(o):
    """Nothing happens, for a minute; there are 100,000 endpoints."""
    seconds = o.size(60, 2)
    with Rig(o, settings=CONDITIONS) as rig:
        register(rig, o.size(100_000, 200))
        meter = Meter(rig)
        time.sleep(seconds)
        figures = meter.figures(seconds, quiet=False)
        calls = rig.redis.monitor(seconds)
        return {"server_percent": figures["server_us"] / 1e4,
                "redis_percent": figures["redis_us"] / 1e4, "redis_calls": calls / seconds,
                **{name: figures[name] for name in ("server_mib", "redis_mib", "steal_percent")}}


def isolation(o, trouble):
    """Healthy endpoints beside bad ones, which are bench/protect's."""
    options = protection.options_for(protection.isolation, o)
    options.set = [*CONDITIONS, *o.set]
    return protection.isolation_phase(options, trouble)
