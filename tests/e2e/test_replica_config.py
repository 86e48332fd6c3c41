"""Configuration changes reach every replica: two servers on one Redis, A is told, B knows."""

import threading
import time

import pytest
from harness import wait_until

TYPES = ["order.paid"]
BOUND = 2.0  # s, for a machine that is busy; what it took is printed

# Nobody learns anything from heartbeats within the time of a test.
RARE_HEARTBEATS = ("--set", "replica.lease=60s", "--set", "replica.heartbeat=20s")
with_heartbeats = pytest.mark.parametrize("replicas", [()], indirect=True, ids=[""])


@pytest.fixture
def replicas(redis_server, start_daemon, request):
    """A and B, which hear each other."""
    options = getattr(request, "param", RARE_HEARTBEATS)
    daemons = [start_daemon(*options, redis=redis_server) for _ in range(2)]
    wait_until(lambda: hears(redis_server) == 2, 10)
    return daemons


@pytest.fixture
def a(replicas):
    with replicas[0].client() as client:
        yield client


@pytest.fixture
def b(replicas):
    with replicas[1].client() as client:
        yield client


@pytest.fixture
def alone(redis_server, start_daemon):
    daemon = start_daemon(*RARE_HEARTBEATS, redis=redis_server)
    wait_until(lambda: hears(redis_server) == 1, 10)
    with daemon.client() as client:
        yield client


def hook(sink, path="/", **members):
    return {"url": sink.url(path), "events": TYPES, **members}


def shown(client, webhook):
    """The webhook as that replica has it, without what is its own view of how it fares; or None."""
    answer = client.get_webhook(webhook)
    if answer.status == 404:
        return None
    document = answer.expect(200).json
    document.pop("health", None)
    return document


def listed(client):
    return {webhook["id"] for webhook in client.get("/api/webhooks").expect(200).json["webhooks"]}


def reached(condition, what):
    """Waits, and says how long it took since the change was answered."""
    started = time.monotonic()
    wait_until(condition, BOUND, what, interval=0.001)
    print(f"{what}: {(time.monotonic() - started) * 1000:.1f} ms")


def deliveries(client):
    """How many webhooks an event matches that is published there."""
    return client.post_event(TYPES[0]).expect(202).json["deliveries"]


def clients(redis_server):
    return redis_server.call("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()


def hears(redis_server):
    """How many subscribe to all that they should."""
    return len([line for line in clients(redis_server) if " sub=2 " in line])


def test_a_change_is_known_everywhere(a, b, sink):
    webhook = a.create_webhook(**hook(sink))["id"]
    reached(lambda: webhook in listed(b), "created")
    assert shown(b, webhook) == shown(a, webhook)
    assert deliveries(b) == 1
    sink.wait_for(1)

    a.patch(f"/api/webhooks/{webhook}", {"url": sink.url("/new"), "timeout": "7s"}).expect(200)
    reached(lambda: shown(b, webhook)["timeout"] == "7s", "changed")
    assert deliveries(b) == 1

    secret = "whsec_" + "QUJD" * 8
    a.patch(f"/api/webhooks/{webhook}", {"secret": secret}).expect(200)
    reached(lambda: shown(b, webhook)["secret"] == secret, "another secret")

    a.post(f"/api/webhooks/{webhook}/disable").expect(200)
    reached(lambda: not shown(b, webhook)["active"], "disabled")
    assert shown(b, webhook)["disabledReason"] == "manual" and deliveries(b) == 0

    b.post(f"/api/webhooks/{webhook}/enable").expect(200)
    reached(lambda: shown(a, webhook)["active"], "enabled by the other one")
    assert deliveries(a) == 1

    a.delete_webhook(webhook).expect(204)
    reached(lambda: webhook not in listed(b), "deleted")
    assert deliveries(b) == 0


def behind_their_backs(redis_server, webhook, old, new):
    """A change as a replica makes it, but without a notice: as if it had been lost."""
    document = redis_server.call("HGET", "tl:{0}:config:endpoints", webhook).decode()
    assert old in document
    redis_server.call("HSET", "tl:{0}:config:endpoints", webhook, document.replace(old, new))
    version = redis_server.call("HINCRBY", "tl:{0}:config", "version", 1)
    redis_server.call("ZADD", "tl:{0}:config:changes", version, webhook)


def test_two_change_one(alone, redis_server, sink):
    """Who has not heard of the other's change is refused once, and knows better then."""
    webhook = alone.create_webhook(**hook(sink, description="one"))["id"]
    path = f"/api/webhooks/{webhook}"
    for change in (alone.patch, alone.put):
        behind_their_backs(redis_server, webhook, '"one"', '"two"')
        change(path, hook(sink, timeout="7s")).expect(409, "conflict")
        assert shown(alone, webhook)["description"] == "two"
        change(path, hook(sink, description="one")).expect(200)


def test_enabling_and_disabling_is_never_refused(alone, redis_server, sink):
    """It means the same whatever else was changed; nor is it undone or does it undo."""
    webhook = alone.create_webhook(**hook(sink, description="one"))["id"]
    path = f"/api/webhooks/{webhook}"
    for verb, old, new in (("disable", "one", "two"), ("enable", "two", "one")):
        behind_their_backs(redis_server, webhook, f'"{old}"', f'"{new}"')
        answer = alone.post(f"{path}/{verb}").expect(200).json
        assert answer["active"] == (verb == "enable") and answer["description"] == new
    behind_their_backs(redis_server, webhook, '"one"', '"two"')
    alone.delete(path).expect(204)


def test_switched_off_by_the_data_path(alone, redis_server, sink):
    """410: the webhook is disabled although it was changed meanwhile, unless it sends elsewhere now."""
    sink.script("/gone", 410)
    webhook = alone.create_webhook(**hook(sink, "/gone", description="one"))["id"]
    behind_their_backs(redis_server, webhook, '"one"', '"two"')
    alone.post_event(TYPES[0]).expect(202)
    wait_until(lambda: shown(alone, webhook)["disabledReason"] == "gone", 10)
    assert shown(alone, webhook)["description"] == "two"

    moved = alone.create_webhook(**hook(sink, "/gone"))["id"]
    behind_their_backs(redis_server, moved, '/gone"', '/here"')
    alone.post_event(TYPES[0]).expect(202)
    wait_until(lambda: shown(alone, moved)["url"] == sink.url("/here"), 10)
    assert shown(alone, moved)["active"]


def test_the_subscription_is_cut(replicas, a, b, redis_server, sink):
    """What is changed meanwhile is found when it is there again."""
    redis_server.call("CLIENT", "KILL", "TYPE", "pubsub")
    first = a.create_webhook(**hook(sink))["id"]
    reached(lambda: first in listed(b), "created while nobody listened")
    wait_until(lambda: hears(redis_server) == 2, 10)
    second = a.create_webhook(**hook(sink))["id"]
    reached(lambda: second in listed(b), "created when they listened again")
    for daemon in replicas:
        assert daemon.ready(), "notices have no part in it"


def test_the_subscription_follows_the_store(a, b, redis_server, sink):
    """When the other connections were lost, it may be with the wrong server: it is made anew."""
    def subscribers():
        return {line.split()[0] for line in clients(redis_server) if " sub=2 " in line}

    before = subscribers()
    redis_server.call("CLIENT", "KILL", "TYPE", "normal")
    wait_until(lambda: len(subscribers()) == 2 and not subscribers() & before, 10)
    webhook = a.create_webhook(**hook(sink))["id"]
    reached(lambda: webhook in listed(b), "created then")


@with_heartbeats
def test_a_notice_is_lost(a, b, redis_server, sink):
    """The heartbeat's answer has the version, too."""
    webhook = a.create_webhook(**hook(sink, description="old"))["id"]
    wait_until(lambda: shown(b, webhook), BOUND)
    behind_their_backs(redis_server, webhook, '"old"', '"new"')
    for client in a, b:
        wait_until(lambda c=client: shown(c, webhook)["description"] == "new", 10)


def test_changes_while_one_is_stopped(replicas, a, b, sink):
    """500 changes of all kinds: more than a page."""
    kept = [a.create_webhook(**hook(sink, f"/{n}"))["id"] for n in range(150)]
    wait_until(lambda: deliveries(b) == 150, 10)
    replicas[1].pause()
    try:
        for n in range(200):
            kept.append(a.create_webhook(**hook(sink, f"/{n}"))["id"])
        for n, webhook in enumerate(kept[:150]):
            a.patch(f"/api/webhooks/{webhook}", {"description": f"number {n}"}).expect(200)
        for webhook in kept[:100]:
            a.delete_webhook(webhook).expect(204)
        for webhook in kept[100:150]:
            a.post(f"/api/webhooks/{webhook}/disable").expect(200)
    finally:
        replicas[1].resume()
    reached(lambda: listed_all(b) == listed_all(a), "500 changes")
    assert deliveries(b) == 200


def listed_all(client):
    found, cursor = {}, ""
    while True:
        path = f"/api/webhooks?limit=100{cursor and '&cursor=' + cursor}"
        page = client.get(path).expect(200).json
        for webhook in page["webhooks"]:
            webhook.pop("health", None)
            found[webhook["id"]] = webhook
        cursor = page["cursor"]
        if not cursor:
            return found


@with_heartbeats
def test_what_redis_does_not_have_any_more(a, b, redis_server, sink):
    """Restored from an older state, it is still what counts: nobody keeps what is not there."""
    webhook = a.create_webhook(**hook(sink))["id"]
    kept = a.create_webhook(**hook(sink))["id"]
    wait_until(lambda: listed(b) == {webhook, kept}, BOUND)
    redis_server.call("HDEL", "tl:{0}:config:endpoints", webhook)
    redis_server.call("HSET", "tl:{0}:config", "version", 1)
    redis_server.call("DEL", "tl:{0}:config:changes")
    for client in a, b:
        wait_until(lambda c=client: listed(c) == {kept}, 10)
    third = b.create_webhook(**hook(sink))["id"]
    reached(lambda: listed(a) == {kept, third}, "created on the restored one")


@pytest.mark.parametrize("lost", ["all", "some"])
def test_lost_data_that_has_been_changed_again(a, b, redis_server, sink, lost):
    """Redis loses what it has without going away, and the next change, whose version is newer than any
    before, comes sooner than a heartbeat could tell. Nobody keeps what is not there."""
    webhook = a.create_webhook(**hook(sink))["id"]
    reached(lambda: listed(b) == {webhook}, "created")
    if lost == "all":
        redis_server.call("FLUSHALL")
    else:  # an older state was restored
        redis_server.call("HDEL", "tl:{0}:config:endpoints", webhook)
        redis_server.call("HSET", "tl:{0}:config", "version", 1)
        redis_server.call("DEL", "tl:{0}:config:changes")
    another = a.create_webhook(**hook(sink, "/another"))["id"]
    for client in a, b:
        reached(lambda c=client: listed(c) == {another}, "created on what was left")


def test_redis_restarts(replicas, a, b, redis_server, sink):
    """Both find each other's changes again, also those that were made of an unknown outcome."""
    one = a.create_webhook(**hook(sink))["id"]
    redis_server.kill9()
    for client in a, b:
        wait_until(lambda c=client: c.get("/readyz").status == 503, 10)
    redis_server.start()
    for daemon in replicas:
        wait_until(daemon.ready, 10)
    assert listed(a) == {one}
    reached(lambda: listed(b) == {one}, "created right before the end")
    two = b.create_webhook(**hook(sink))["id"]
    reached(lambda: listed(a) == {one, two}, "created after the restart")


def test_nothing_is_taken_before_all_are_known(redis_server, start_daemon, sink):
    """Notices are heard long before so many webhooks are read; the lanes come behind them, and the
    heartbeats do not end."""
    count = 5000
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        webhook = client.create_webhook(sink.url("/"), TYPES, active=False)["id"]
    daemon.stop()
    redis_server.call("EVAL", """local document = redis.call('HGET', KEYS[1], ARGV[1])
                                 for n = 1, ARGV[2] - 1 do
                                     redis.call('HSET', KEYS[1], 'ep_1' .. ('%026d'):format(n), document)
                                 end""", 1, "tl:{0}:config:endpoints", webhook, count)
    daemon.start()
    this_life = daemon.log.rpartition("serve.listening")[2]
    assert f"endpoints.loaded count={count}" in this_life.partition("serve.ready port=")[0]

    def leases():
        return redis_server.call("ZRANGE", "tl:{0}:replicas", 0, -1, "WITHSCORES")

    first = leases()
    wait_until(lambda: leases() != first, 4, "another heartbeat")


def test_without_the_right_to_the_channels(redis_server, start_daemon, sink):
    """A Redis user whose channels were forgotten (none is the default): changes are found at the next
    heartbeat, and the log says what is missing once, not with every notice."""
    redis_server.call("ACL", "SETUSER", "some", "on", ">any", "~tl:*", "+@all", "resetchannels")
    url = redis_server.url.replace("redis://", "redis://some:any@")
    daemons = [start_daemon(redis=url) for _ in range(2)]
    with daemons[0].client() as a, daemons[1].client() as b:
        webhook = a.create_webhook(**hook(sink))["id"]
        wait_until(lambda: webhook in listed(b), 10)
        for _ in range(50):
            a.post(f"/api/webhooks/{webhook}/enable").expect(200)
        daemons[0].wait_for_log("store.refused")
        daemons[0].wait_for_log("redis.not_subscribed")
    for daemon in daemons:
        assert daemon.stop() == 0
        assert daemon.log.count("store.refused") <= 3
        assert daemon.log.count("redis.not_subscribed") <= 2


# ---- publishing ------------------------------------------------------------------------------------

@pytest.fixture
def deaf(redis_server, start_daemon):
    """A and B; no notices reach B, nor does a heartbeat within the time of a test."""
    redis_server.call("ACL", "SETUSER", "deaf", "on", ">any", "~tl:*", "+@all", "resetchannels")
    url = redis_server.url.replace("redis://", "redis://deaf:any@")
    daemons = [start_daemon(*RARE_HEARTBEATS, redis=redis) for redis in (redis_server, url)]
    with daemons[0].client() as a, daemons[1].client() as b:
        yield a, b


def test_an_event_is_matched_by_the_configuration_of_now(deaf, sink):
    """Whoever was told that a webhook exists, changed or is gone, by whatever replica, finds it so with
    the next event, at any other: Redis refuses a batch that was matched by an older configuration."""
    a, b = deaf
    assert deliveries(b) == 0
    webhook = a.create_webhook(**hook(sink))["id"]
    assert deliveries(b) == 1
    other = a.create_webhook(**hook(sink, "/other"))["id"]
    assert deliveries(b) == 2
    a.put(f"/api/webhooks/{other}", hook(sink, "/other", events=["another"])).expect(200)
    assert deliveries(b) == 1
    a.post(f"/api/webhooks/{webhook}/disable").expect(200)
    assert deliveries(b) == 0
    a.post(f"/api/webhooks/{webhook}/enable").expect(200)
    assert deliveries(b) == 1
    a.delete(f"/api/webhooks/{webhook}").expect(204)
    assert deliveries(b) == 0


def test_what_is_matched_anew_keeps_its_keys(deaf, sink):
    a, b = deaf
    first = b.post_event(TYPES[0], {"n": 1}, idempotencyKey="k", uid="u").expect(202).json
    for n in range(3):
        a.create_webhook(**hook(sink, f"/{n}"))
        again = b.post_event(TYPES[0], {"n": 1}, idempotencyKey="k", uid="u").expect(202).json
        assert (again["id"], again["deliveries"]) == (first["id"], 0)
        a.create_webhook(**hook(sink, f"/again/{n}"))
        assert b.post_event(TYPES[0], {"n": 2}, idempotencyKey="k").status == 422
        a.create_webhook(**hook(sink, f"/new/{n}"))
        event = b.post_event(TYPES[0], {}, idempotencyKey=f"new {n}").expect(202).json
        assert event["deliveries"] == 3 * (n + 1)


def test_events_while_the_configuration_goes_on_changing(replicas, a, b, sink):
    """None is refused or held up for that; each gets at least what existed when it was sent."""
    stop, made = threading.Event(), []

    def change():
        with replicas[0].client() as client:
            while not stop.is_set() and len(made) < 300:
                made.append(client.create_webhook(**hook(sink))["id"])

    changes = threading.Thread(target=change)
    changes.start()
    try:
        for _ in range(100):
            before = len(made)
            assert deliveries(b) >= before
    finally:
        stop.set()
        changes.join()
    assert deliveries(b) == len(made)


def test_changes_of_its_own_outdate_nothing(alone, sink):
    for n in range(20):
        alone.create_webhook(**hook(sink, f"/{n}"))
        assert deliveries(alone) == n + 1
    assert alone.metric("trotline_batches_outdated_total") == 0
