"""Redis fails over under a real Sentinel: what was acknowledged under replicas(1) is never lost.

TROTLINE_SENTINEL_EVENTS (4,000 from the start) makes the runs longer.
"""

import os

import pytest
from harness import Load, RedisGroup, RedisServer, wait_until
from harness.monitor import Monitor
from test_kill import at, check, listen

EVENTS = int(os.environ.get("TROTLINE_SENTINEL_EVENTS", "4000"))

# WAIT takes a quarter of ingest.timeout at most, so that a run without a replica is not slow.
REPLICAS_1 = ("--set", "durability=replicas(1)", "--set", "ingest.timeout=2s")


# A test asks for it before start_daemon, so that a daemon stops while its Redis is still there.
@pytest.fixture
def group(request):
    with RedisGroup(**getattr(request, "param", {})) as group:
        yield group


def wait_until_accepted(daemon, type, data=None, timeout=60):
    """Publishes until it is accepted; returns the event's id."""
    with daemon.client() as client:
        answer = wait_until(lambda: next((answer for answer in [client.post_event(type, data)]
                                          if answer.status == 202), None),
                            timeout, "an event to be accepted")
        return answer.json["id"]


# ---- Failover --------------------------------------------------------------------------------------

def failover_by_order(group):
    group.failover()
    group.wait_for_replica()


def failover_by_kill(group):
    """Until the killed server comes back, as a replica, nobody confirms anything."""
    old = group.master
    old.kill9()
    group.wait_for_switch(old)
    old.start()
    group.wait_until_followed()


@pytest.mark.parametrize("keys", [False, True])
def test_failovers_in_mid_load(group, start_daemon, sink, keys):
    """By order and by kill -9: every 202 arrives, what was refused does not, and the process is the
    same. With keys every event is accepted in the end, once."""
    daemon = start_daemon(*REPLICAS_1, redis=group)
    listen(daemon, sink)
    with Load(daemon, "load", EVENTS, keys=keys) as load:
        at(load, 1 / 3)
        failover_by_order(group)
        at(load, 2 / 3)
        failover_by_kill(group)
        load.wait()
        check(load, sink)
    assert not keys or len(load.accepted) == EVENTS
    with daemon.client() as client:
        webhook = client.get("/api/webhooks").json["webhooks"][0]
        for event in list(load.accepted.values())[::EVENTS // 20]:
            wait_until(lambda: client.deliveries(event)[webhook["id"]]["status"] == "sent", 30,
                       f"{event} to be sent")
    assert daemon.ready()


def test_retries_through_a_failover(group, start_daemon, sink):
    """The master dies while failed deliveries go to the schedule: a batch is closed only when the
    replica has what was moved out of it, so none is forgotten with the old master."""
    daemon = start_daemon(*REPLICAS_1, "--set", "breaker.enabled=false", redis=group)
    sink.script("/", 500)
    listen(daemon, sink, retryPolicy={"schedule": ["2s"] * 60, "jitter": 0})
    with Load(daemon, "load", EVENTS // 4) as load:
        at(load, 1 / 2)
        failover_by_kill(group)
        load.wait()
    sink.script("/", 200)
    sink.clear()
    wait_until(lambda: set(load.accepted.values()) <= set(sink.ids("/")), 90,
               "all of them to be sent again")


def test_master_falls_silent(group, start_daemon, sink):
    """Its connections stay open and say nothing. The daemon asks the Sentinel, not its patience."""
    daemon = start_daemon("--set", "redisOptions.commandTimeout=10m", redis=group)
    listen(daemon, sink)
    before = wait_until_accepted(daemon, "load", {"n": 0, "try": 0})
    old = group.master
    with old.connect() as connection:  # of what the webhook is in, the replica has all
        connection.call("SET", "test:written", "last")
        wait_until(lambda: connection.call("WAIT", "1", "1000") >= 1, 20, "the replica to have it")
    old.pause()
    group.wait_for_switch(old)
    after = wait_until_accepted(daemon, "load", {"n": 1, "try": 0})
    daemon.wait_for_log(rf"redis\.not_ready .*the master is 127\.0\.0\.1:{group.master.port} now")
    wait_until(lambda: {before, after} <= set(sink.ids("/")), 30, "both events")
    old.resume()
    group.wait_until_followed()
    assert wait_until_accepted(daemon, "load", {"n": 2, "try": 0})


def test_master_demoted_by_hand(redis_server, start_daemon, sink):
    """Without a Sentinel: READONLY is no storing, and it works again when it is a master again."""
    with RedisServer() as other:
        daemon = start_daemon(redis=redis_server)
        listen(daemon, sink)
        redis_server.call("REPLICAOF", "127.0.0.1", other.port)
        wait_until(lambda: not daemon.ready(), 20, "/readyz to say so")
        with daemon.client() as client:
            assert client.post_event("load").expect(503).code != "outcome_unknown"
        redis_server.call("REPLICAOF", "NO", "ONE")
        wait_until(daemon.ready, 30, "the master to be one again")


# ---- Durability ------------------------------------------------------------------------------------

def test_no_replica_to_confirm(group, start_daemon, sink):
    """Stored and delivered, but the producer is told that nobody knows; later it works, and the same
    key is answered with the same event."""
    daemon = start_daemon(*REPLICAS_1, redis=group)
    listen(daemon, sink, "a")
    replica = group.replica
    replica.kill9()
    with daemon.client() as client:
        for _ in range(2):  # the second is a duplicate of an event that is not confirmed either
            answer = client.post_event("a", {"n": 1}, key="key-1").expect(503, "outcome_unknown")
            assert answer.header("Retry-After")
        sink.wait_for(1)
        daemon.wait_for_log(r"publish\.refused .*too few replicas")
        replica.start()
        replica.call("REPLICAOF", "127.0.0.1", group.master.port)
        event = wait_until(lambda: next((answer.json["id"] for answer in
                                         [client.post_event("a", {"n": 1}, key="key-1")]
                                         if answer.status == 202), None), 30, "202")
    assert sink.ids("/") == [event]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_lane_is_mine_when_replicas_know_it(group, start_daemon, confirmed):
    """Else a failover may give it back to its last owner while both send. Nothing is published, so
    it is for this that they are asked. Without that wish nobody is."""
    with Monitor(group.master) as monitor:
        start_daemon(*(REPLICAS_1 if confirmed else ()), redis=group)
        monitor.mark("ready")
        commands = monitor.commands()
    takes = [n for n, command in enumerate(commands) if command.words[0] == b"evalsha"
             and command.words[2:5] == [b"2", b"tl:{0}:lanes", b"tl:{0}:handover"]]
    waits = [n for n, command in enumerate(commands) if command.words[0] == b"wait"]
    assert len(takes) == 1 and bool(waits) == confirmed
    assert not confirmed or waits[0] > takes[0]


def test_replicas_need_a_redis_that_has_them(start_daemon):
    daemon = start_daemon("--set", "durability=replicas(1)", started=False)
    with pytest.raises(AssertionError, match="the embedded one has none"):
        daemon.start()


# ---- Access ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("group", [{"sentinel_password": "watchful", "redis_password": "se:cr@t"}],
                         indirect=True)
def test_passwords(group, start_daemon, sink):
    """Redis's is in the URL, the Sentinel's in an option; a wrong one is told and waits."""
    daemon = start_daemon("--set", "redisOptions.sentinelPassword=watchful", redis=group)
    listen(daemon, sink, "a")
    event = wait_until_accepted(daemon, "a")
    wait_until(lambda: sink.ids("/") == [event], 20, "the event")
    stranger = start_daemon("--set", "redisOptions.sentinelPassword=wrong", redis=group,
                            started=False)
    stranger.start(ready=False)
    stranger.wait_for_log(r"redis\.not_ready .*Sentinel .*WRONGPASS")
    assert not stranger.ready()
    assert "watchful" not in daemon.log and "cr@t" not in daemon.log


def test_unknown_master_name(group, start_daemon):
    daemon = start_daemon(redis=group.url.replace("mymaster", "nobody"), started=False)
    daemon.start(ready=False)
    daemon.wait_for_log(r"redis\.not_ready .*it knows no master: nobody")
