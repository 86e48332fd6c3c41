"""Nothing accepted is forgotten: kill -9, Redis killed, stopped, silent, away, all in mid-load.

TROTLINE_FAULT_EVENTS (20,000 from the start) makes the runs longer.
"""

import os
import secrets
import signal
from pathlib import Path

import pytest
from harness import Daemon, Load, RedisServer, Sink, wait_until

EVENTS = int(os.environ.get("TROTLINE_FAULT_EVENTS", "20000"))


def at(load, fraction):
    """Waits until that part of the load is over."""
    wait_until(lambda: load.done() >= load.events * fraction, 120, f"{fraction:.0%} of {load}")


def check(load, sink, path="/", timeout=90):
    """Every accepted event has arrived and nothing refused has; returns the repetitions."""
    accepted = set(load.accepted.values())
    assert len(accepted) == len(load.accepted), "every event has an id of its own"
    wait_until(lambda: accepted <= set(sink.ids(path)), timeout,
               f"the {len(accepted)} accepted events to arrive", interval=0.3)
    sink.wait_quiet(1)
    requests = sink.requests(path)
    refused = [data for data in ((r.json()["data"]["n"], r.json()["data"]["try"]) for r in requests)
               if data in load.refused]
    assert not refused, f"answered 503 and delivered all the same: {refused[:10]}"
    by_id = {}
    for request in requests:
        by_id.setdefault(request.id, set()).add(request.json()["data"]["n"])
    assert all(len(numbers) == 1 for numbers in by_id.values()), "an id stands for one event"
    strangers = {n for numbers in by_id.values() for n in numbers} - set(load.accepted) - load.unknown
    assert not strangers, f"delivered, but neither accepted nor unknown: {sorted(strangers)[:10]}"
    repeated = len(requests) - len(by_id)
    print(f"{load}: {len(by_id)} events arrived, {repeated} repetitions")
    return repeated


def listen(daemon, sink, type="load", **members):
    with daemon.client() as client:
        return client.create_webhook(sink.url("/"), [type], maxInFlight=100, timeout="10s",
                                     **members)


# ---- the server ------------------------------------------------------------------------------------

@pytest.mark.parametrize("redis", ["embedded", "external"])
def test_kill_9_five_times_in_mid_load(redis_server, start_daemon, sink, redis):
    daemon = start_daemon(redis=redis if redis == "embedded" else redis_server)
    listen(daemon, sink)
    with Load(daemon, "load", EVENTS) as load:
        for kill in range(1, 6):
            at(load, kill / 6)
            daemon.kill9()
            daemon.start(timeout=60)
        load.wait()
        assert load.unknown, "the kills hit requests in flight"
        repeated = check(load, sink)
    # A kill may repeat what was on the wire or not yet marked: a tenth of a second's work each.
    assert repeated < 5 * 2000


def test_kill_9_with_idempotency_keys(start_daemon, sink):
    """A producer that repeats with the same key until it is answered has each event once stored."""
    daemon = start_daemon()
    listen(daemon, sink)
    with Load(daemon, "load", EVENTS // 4, keys=True) as load:
        for kill in range(1, 4):
            at(load, kill / 4)
            daemon.kill9()
            daemon.start(timeout=60)
        load.wait()
        assert len(load.accepted) == EVENTS // 4
        check(load, sink)
    numbers = {}
    for request in sink.requests("/"):
        numbers.setdefault(request.json()["data"]["n"], set()).add(request.id)
    assert all(len(ids) == 1 for ids in numbers.values()), "one key, one event"


def test_kill_9_while_retries_wait(start_daemon, sink):
    """Failed deliveries are in the schedule; none is lost, none forgets its attempts."""
    daemon = start_daemon("--set", "breaker.enabled=false")
    sink.script("/", 500)
    webhook = listen(daemon, sink, retryPolicy={"schedule": ["4s", "4s", "4s"], "jitter": 0})
    with Load(daemon, "load", 300) as load:
        load.wait()
    sink.wait_for(300)
    daemon.kill9()
    sink.script("/", 200)
    daemon.start(timeout=60)
    with daemon.client() as client:
        for event in load.accepted.values():
            wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "sent", 60,
                       f"{event} to be sent")


def test_graceful_restarts_in_mid_load(start_daemon, sink):
    """A stop hands over: nothing is lost, and nothing is delivered twice."""
    daemon = start_daemon()
    listen(daemon, sink)
    with Load(daemon, "load", EVENTS // 2) as load:
        for stop in range(1, 4):
            at(load, stop / 4)
            daemon.restart(timeout=60)
        load.wait()
        assert check(load, sink) == 0


def test_paused_for_a_while(start_daemon, sink):
    """SIGSTOP beyond a lease: the process comes back, is still the owner or becomes it again."""
    daemon = start_daemon()
    listen(daemon, sink)
    with Load(daemon, "load", EVENTS // 4) as load:
        at(load, 0.3)
        daemon.pause()
        answered = len(load.accepted)  # and one on its way for each of the load's threads
        with pytest.raises(AssertionError):
            wait_until(lambda: len(load.accepted) > answered + len(load.threads), 12,
                       "a stopped server to answer")
        daemon.resume()
        load.wait()
        check(load, sink)


# ---- Redis -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["kill9", "stop"])
def test_redis_goes_and_comes_in_mid_load(redis_server, start_daemon, sink, how):
    """Every 202 arrives, nothing answered 503 does, and the server is the same process."""
    daemon = start_daemon(redis=redis_server)
    listen(daemon, sink)
    pid = daemon.pid
    with Load(daemon, "load", EVENTS) as load:
        for turn in range(1, 4):
            at(load, turn / 4)
            getattr(redis_server, how)()
            wait_until(lambda: not daemon.ready(), 20, "/readyz to say that Redis is away")
            redis_server.start()
            wait_until(daemon.ready, 30, "/readyz to say that Redis is back")
        load.wait()
        assert load.refused, "there were refusals while Redis was away"
        check(load, sink)
    assert daemon.pid == pid and daemon.process.poll() is None


def test_redis_falls_silent(redis_server, start_daemon, sink):
    """SIGSTOP: connections stay open and nothing answers. Producers are told in bounded time."""
    daemon = start_daemon(redis=redis_server, config="ingest:\n  timeout: 1s\n")
    listen(daemon, sink)
    with Load(daemon, "load", EVENTS // 4, threads=4) as load:
        at(load, 0.3)
        redis_server.pause()
        wait_until(lambda: not daemon.ready(), 20, "/readyz to say that Redis is away")
        with daemon.client(timeout=15) as client:
            answer = client.post_event("load", {"n": -1, "try": 0}).expect(503)
            assert int(answer.header("Retry-After")) >= 1
            assert daemon.alive(), "the loop goes on"
        load.unknown.add(-1)
        redis_server.resume()
        wait_until(daemon.ready, 30, "/readyz to say that Redis is back")
        load.wait()
        check(load, sink)


def test_redis_is_away_at_the_start(redis_server, start_daemon, sink):
    redis_server.stop()
    daemon = start_daemon(redis=redis_server, started=False)
    daemon.start(ready=False)
    with daemon.client() as client:
        assert client.get("/readyz").status == 503 and client.get("/healthz").status == 200
        answer = client.post_event("a").expect(503)
        assert answer.header("Retry-After")
    redis_server.start()
    wait_until(daemon.ready, 30, "the server to find Redis")
    listen(daemon, sink, "a")
    with daemon.client() as client:
        client.event_id("a")
    sink.wait_for(1)
    assert sink.count() == 1, "what was refused does not come"


def test_redis_out_of_memory(start_daemon, sink):
    """Full memory is 503 for producers; what is stored is still delivered; room makes it accept."""
    with RedisServer(appendonly="yes", appendfsync="always", maxmemory="24mb",
                     maxmemory_policy="noeviction") as redis:
        daemon = start_daemon(redis=redis)
        sink.script("/", 500)
        listen(daemon, sink, "big", retryPolicy={"schedule": ["5s", "5s", "5s", "5s"], "jitter": 0})
        accepted, refused = set(), None
        noise = secrets.token_urlsafe(37_500)  # 50,000 characters that are stored as they are
        with daemon.client() as client:
            for n in range(2000):
                answer = client.post_event("big", {"n": n, "pad": noise})
                if answer.status != 202:
                    refused = answer
                    break
                accepted.add(answer.json["id"])
            assert refused is not None, "24 MiB were not filled by 100 MB"
            refused.expect(503)
            assert refused.header("Retry-After") and refused.code != "outcome_unknown"
            sink.script("/", 200)
            sink.clear()
            wait_until(lambda: accepted <= set(sink.ids("/")), 60, "what is stored to be delivered")
            redis.call("CONFIG", "SET", "maxmemory", "200mb")
            wait_until(lambda: client.post_event("big", {"n": -1}).status == 202, 20,
                       "the server to accept again")


def test_embedded_redis_dies(start_daemon, sink):
    """The private redis-server is started again, with everything it had acknowledged."""
    daemon = start_daemon()
    listen(daemon, sink)
    with Load(daemon, "load", EVENTS // 4) as load:
        at(load, 0.3)
        redis, = (pid for pid, _ in daemon.children
                  if b"redis-server" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(redis, signal.SIGKILL)
        wait_until(lambda: load.done() >= load.events * 0.6, 60, "the load to go on")
        load.wait()
        check(load, sink)


def test_the_data_of_a_server_that_is_gone(tmp_path, sink):
    """Accepted, then kill -9 before a delivery could succeed; a later start delivers it."""
    first = Daemon(tmp_path / "server").start()
    port = sink.port
    sink.close()
    listen(first, sink, retryPolicy={"schedule": ["1s"] * 30, "jitter": 0})
    with first.client() as client:
        events = {client.event_id("load", {"n": n, "try": 0}) for n in range(50)}
    first.kill9()
    first.finish()
    with Sink(port=port) as back:
        second = Daemon(tmp_path / "server").start(timeout=60)
        wait_until(lambda: events <= set(back.ids()), 60, "the events of the first process")
        second.finish()
