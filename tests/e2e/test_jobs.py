"""Replay and discard jobs: what they select, at which rate, and that they survive what happens."""

import datetime
import re
import threading
import time
from pathlib import Path

import pytest
from harness import Daemon, wait_until
from harness.formats import id_text, lane_of, pack_record, pack_state, time_bytes
from harness.invariants import Snapshot, check, problems
from harness.sink import hang

ONCE = {"schedule": []}
JOB = {"id", "kind", "status", "filter", "rate", "done", "skipped", "total", "error", "createdAt",
       "updatedAt", "finishedAt"}


def rfc3339(when):
    return when.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


# Dead letters in hundreds, one right after the other, are what a breaker is there to prevent.
NO_BREAKER = ("--set", "breaker.enabled=false")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("server"), *NO_BREAKER)
    daemon.start()
    yield daemon
    daemon.finish()


def bury(client, sink, event_type, count, path="/", **members):
    """A webhook with `count` more dead letters, whose sink answers 200 from now on."""
    sink.script(path, 500)
    webhook = client.create_webhook(sink.url(path), [event_type + ".*"], retryPolicy=ONCE, **members)
    events = [client.event_id(event_type + ".a", {"n": n}) for n in range(count)]
    letters(client, webhook, count)
    sink.script(path, 200)
    sink.clear()
    return webhook, events


def letters(client, webhook, count, timeout=20):
    query = {"webhookId": webhook["id"], "limit": 500}
    wait_until(lambda: len(client.dead_letters(**query)) == count, timeout, f"{count} dead letters")
    return client.dead_letters(**query)


def get_job(client, job):
    return client.get(f"/api/jobs/{job['id']}").expect(200).json


# ---- the document ------------------------------------------------------------------------------------

def test_a_job_is_shown_from_its_beginning_to_its_end(client, sink, event_type):
    webhook, events = bury(client, sink, event_type, 3)
    answer = client.post("/api/dead-letters/replay",
                         {"webhookId": webhook["id"], "type": event_type + ".a", "rate": 500})
    job = answer.expect(202).json
    assert set(job) == JOB and re.fullmatch("job_[0-9A-Za-z]{27}", job["id"])
    assert (job["kind"], job["status"], job["rate"], job["done"]) == ("replay", "running", 500, 0)
    assert job["filter"] == {"what": "dead_letters", "webhookId": webhook["id"],
                             "type": event_type + ".a"}
    assert job["finishedAt"] is None and job["error"] is None
    done = client.job(answer)
    assert set(done) == JOB and (done["done"], done["skipped"], done["total"]) == (3, 0, 3)
    assert done["status"] == "done"
    assert job["createdAt"] == done["createdAt"] <= done["updatedAt"] == done["finishedAt"]
    sink.wait_for(3)
    assert sorted(sink.ids()) == sorted(events)
    assert client.metric("trotline_jobs_running") == 0
    assert client.metric("trotline_jobs_deliveries_total") >= 3


def test_jobs_are_listed_newest_first(start_daemon):
    with start_daemon(*NO_BREAKER).client() as client:
        assert client.get("/api/jobs").expect(200).json == {"jobs": [], "cursor": None}
        made = []
        for _ in range(5):
            made.insert(0, client.replay()["id"])
            time.sleep(0.005)  # ids sort by units of 4 ms
        seen, cursor = [], ""
        while cursor is not None:
            page = client.get("/api/jobs?limit=2" + (f"&cursor={cursor}" if cursor else "")).json
            assert 1 <= len(page["jobs"]) <= 2 and all(set(job) == JOB for job in page["jobs"])
            seen += [job["id"] for job in page["jobs"]]
            cursor = page["cursor"]
        assert seen == made


def test_a_job_expires_with_the_history(start_daemon):
    with start_daemon(*NO_BREAKER, config="history: {ttl: 1s}\n").client() as client:
        job = client.replay()
        wait_until(lambda: client.get(f"/api/jobs/{job['id']}").status == 404, 10, "its end")
        assert client.get("/api/jobs").json["jobs"] == []


# ---- what is selected --------------------------------------------------------------------------------

def test_each_filter(client, sink, event_type):
    webhook, early = bury(client, sink, event_type, 4)
    other, _ = bury(client, sink, event_type + "x", 2, "/other")
    between = now() + datetime.timedelta(milliseconds=5)
    wait_until(lambda: now() > between + datetime.timedelta(milliseconds=5), 5, "a moment", interval=0.001)
    between = rfc3339(between)
    sink.script("/", 500)
    late = [client.event_id(event_type + ".b", {"n": n}) for n in range(3)]
    letters(client, webhook, 7)
    sink.script("/", 200)
    sink.clear()
    mine = {"webhookId": webhook["id"]}
    for selection, expected in [({"type": event_type + ".c"}, []),
                                ({"until": "2020-01-01T00:00:00Z"}, []),
                                ({"since": rfc3339(now() + datetime.timedelta(hours=1))}, []),
                                ({"errorClass": "timeout"}, []),
                                ({"eventIds": early[:2]}, early[:2]),
                                ({"until": between}, early[2:]),
                                ({"type": event_type + ".b", "errorClass": "http_status"}, late)]:
        job = client.replay(**mine, **selection)
        assert job["done"] == len(expected), (selection, job)
        sink.wait_for(len(expected))
        sink.wait_quiet(0.2)
        assert sorted(sink.ids("/")) == sorted(expected), selection
        sink.clear()
    assert len(letters(client, other, 2)) == 2, "another webhook's are not touched"
    assert client.replay(since=between, webhookId=other["id"])["done"] == 0
    assert client.replay(eventIds=[late[0]])["skipped"] == 1, "it is no dead letter any more"


def test_an_error_class_selects(client, sink, event_type):
    sink.script("/", hang())
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy=ONCE, timeout="300ms")
    slow = client.event_id(event_type)
    letters(client, webhook, 1)
    sink.script("/", 503)
    client.event_id(event_type)
    letters(client, webhook, 2)
    sink.script("/", 200)
    sink.clear()
    assert client.replay(webhookId=webhook["id"], errorClass="timeout")["done"] == 1
    sink.wait_for(1)
    assert sink.ids() == [slow]
    assert letters(client, webhook, 1)[0]["lastError"] == "HTTP 503"


def test_events_are_named_by_their_uids_too(client, sink, event_type):
    """And an event that is a dead letter of several webhooks is replayed to all of them."""
    for path in ("/one", "/two", "/three"):
        sink.script(path, 500)
    hooks = [client.create_webhook(sink.url(path), [event_type], retryPolicy=ONCE)
             for path in ("/one", "/two", "/three")]
    event = client.event_id(event_type, uid=event_type + "-1")
    for hook in hooks:
        letters(client, hook, 1)
    for path in ("/one", "/two", "/three"):
        sink.script(path, 200)
    sink.clear()
    job = client.replay(eventIds=["no such uid", event_type + "-1"], rate=20)
    assert (job["done"], job["skipped"]) == (3, 1)
    sink.wait_for(3)
    assert sink.ids() == [event] * 3 and {request.path for request in sink.requests()} == {
        "/one", "/two", "/three"}


def test_everything_but_of_disabled_webhooks(start_daemon, sink):
    with start_daemon(*NO_BREAKER).client() as client:
        hooks = [bury(client, sink, f"t{n}", 2, f"/{n}")[0] for n in range(4)]
        client.post(f"/api/webhooks/{hooks[1]['id']}/disable").expect(200)
        assert client.job(client.post("/api/dead-letters/replay"))["done"] == 6
        sink.wait_for(6)
        left = letters(client, hooks[1], 2)
        assert client.dead_letters() == left
        path = f"/api/webhooks/{hooks[1]['id']}/replay"
        client.post(path, {}).expect(409, "webhook_disabled")
        assert client.discard(all=True)["done"] == 2 and client.dead_letters() == []


def test_what_dies_again_is_left(client, sink, event_type):
    webhook, events = bury(client, sink, event_type, 30)
    sink.script("/", 500)
    job = client.replay(webhookId=webhook["id"], rate=50)
    assert job["done"] == 30
    letters(client, webhook, 30)
    sink.wait_quiet(0.5)
    assert sorted(sink.ids()) == sorted(events), "each once"


def test_discard(client, sink, event_type):
    webhook, events = bury(client, sink, event_type, 5)
    assert client.discard(webhookId=webhook["id"], eventIds=events[:2])["done"] == 2
    assert {letter["eventId"] for letter in letters(client, webhook, 3)} == set(events[2:])
    job = client.discard(webhookId=webhook["id"])
    assert (job["kind"], job["done"], job["rate"]) == ("discard", 3, None)
    for event in events:
        assert client.deliveries(event)[webhook["id"]]["status"] == "cancelled"
    assert sink.count() == 0


# ---- events of the history ---------------------------------------------------------------------------

def a_moment_later():
    """A time between what has been and what will be: times of events are of units of 4 ms."""
    between = now() + datetime.timedelta(milliseconds=5)
    wait_until(lambda: now() > between + datetime.timedelta(milliseconds=5), 5, "a moment", interval=0.001)
    return rfc3339(between)


def test_a_time_range_is_sent_again(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type + ".*"])
    before = [client.event_id(event_type + ".a", {"n": n}) for n in range(5)]
    sink.wait_for(5)
    since = a_moment_later()
    events = [client.event_id(event_type + name, {"n": n}) for n in range(20) for name in (".a", ".b")]
    client.event_id(event_type + "x", {})
    sink.wait_for(45)
    until = a_moment_later()
    client.event_id(event_type + ".a")
    sink.wait_for(46)
    sink.clear()
    path = f"/api/webhooks/{webhook['id']}/replay"
    job = client.job(client.post(path, {"what": "events", "since": since, "until": until}))
    assert (job["status"], job["done"], job["total"]) == ("done", 40, None)
    assert job["filter"]["what"] == "events" and job["filter"]["webhookId"] == webhook["id"]
    sink.wait_for(40)
    sink.wait_quiet(0.3)
    assert sorted(sink.ids()) == sorted(events)
    sink.clear()
    selection = {"what": "events", "since": since, "until": until, "type": event_type + ".b"}
    assert client.job(client.post(path, selection))["done"] == 20
    sink.wait_for(20)
    assert not set(sink.ids()) & set(before)
    assert client.deliveries(events[0])[webhook["id"]]["status"] == "sent"


def test_a_webhook_gets_the_events_from_before_it_was_made(client, sink, event_type):
    since = rfc3339(now() - datetime.timedelta(milliseconds=5))
    other = client.create_webhook(sink.url("/other"), [event_type])
    events = [client.event_id(event_type, {"n": n}) for n in range(10)]
    events += [client.event_id(event_type + ".b", {"n": n}) for n in range(10)]
    sink.wait_for(10)
    webhook = client.create_webhook(sink.url("/"), [event_type, event_type + ".*"],
                                    retryPolicy={"schedule": ["1s"]})
    sink.script("/", [500, 200])
    sink.clear()
    job = client.job(client.post(f"/api/webhooks/{webhook['id']}/replay",
                                 {"what": "events", "since": since}))
    assert job["done"] == 20
    sink.wait_for(21, timeout=20)
    assert sorted(set(sink.ids("/"))) == sorted(events) and sink.count("/other") == 0
    assert client.deliveries(events[0])[other["id"]]["status"] == "sent", "it is untouched"
    wait_until(lambda: {line["status"] for event in events
                        for line in client.deliveries(event).values()} == {"sent"}, 10)
    assert webhook["id"] in client.deliveries(events[0]), "what only its hash knows is shown"


def test_events_include_dead_letters_and_leave_what_waits(client, sink, event_type):
    since = rfc3339(now() - datetime.timedelta(milliseconds=5))
    webhook, dead = bury(client, sink, event_type, 3)
    good = [client.event_id(event_type + ".a", {"n": n}) for n in range(3)]
    sink.wait_for(3)
    client.event_id(event_type + ".a", delay="1h")
    sink.clear()
    job = client.job(client.post(f"/api/webhooks/{webhook['id']}/replay",
                                 {"what": "events", "since": since}))
    assert job["done"] == 6
    sink.wait_for(6)
    sink.wait_quiet(0.3)
    assert sorted(sink.ids()) == sorted(dead + good)
    letters(client, webhook, 0)


def held_back(sink):
    """The sink answers when the event that is returned is set."""
    release = threading.Event()

    def answer(_):
        release.wait(20)
        return 200
    sink.script("/", answer)
    return release


def replay_what_is_under_way(client, sink, webhook, since, events, release):
    """The job is begun, looks, and waits until the events have had their first delivery."""
    sink.wait_for(1)
    started = client.post(f"/api/webhooks/{webhook['id']}/replay", {"what": "events", "since": since})
    job = started.expect(202).json
    wait_until(lambda: get_job(client, job)["updatedAt"] > job["updatedAt"], 10, "the job to look")
    release.set()
    job = client.job(started)
    assert job["status"] == "done" and job["done"] >= 2, "the first may have been moved meanwhile"
    sink.wait_for(3 + job["done"])
    sink.wait_quiet(0.5)
    assert set(sink.ids()) == set(events) and sink.count() == 3 + job["done"]


def test_events_that_are_under_way_are_replayed_when_that_is_over(client, sink, event_type):
    """Their batch is open, and so is the job."""
    since, release = rfc3339(now() - datetime.timedelta(milliseconds=5)), held_back(sink)
    webhook = client.create_webhook(sink.url("/"), [event_type], maxInFlight=1)
    events = [client.event_id(event_type, {"n": n}) for n in range(3)]
    replay_what_is_under_way(client, sink, webhook, since, events, release)


def test_events_that_are_under_way_at_another_replica(make_cluster, sink):
    """The job's own process has no batch of that time in hand, and waits all the same."""
    cluster = make_cluster(count=2).start()
    cluster.wait_settled()
    since, release = rfc3339(now() - datetime.timedelta(milliseconds=5)), held_back(sink)
    with cluster.client() as client:
        webhook = client.create_webhook(sink.url("/"), ["t"], maxInFlight=1)
    owner = cluster.owner_of(lane_of(webhook["id"]))
    other = next(replica for replica in cluster if replica is not owner)
    with owner.client() as client:
        wait_until(lambda: client.get_webhook(webhook["id"]).status == 200, 10, "the webhook to be known")
        events = [client.event_id("t", {"n": n}) for n in range(3)]
    with other.client() as client:
        wait_until(lambda: client.get_webhook(webhook["id"]).status == 200, 10, "the webhook to be known")
        replay_what_is_under_way(client, sink, webhook, since, events, release)


def test_a_webhook_that_is_deleted_ends_its_job(client, sink, event_type):
    since = rfc3339(now() - datetime.timedelta(milliseconds=5))
    webhook = client.create_webhook(sink.url("/"), [event_type])
    for n in range(50):
        client.event_id(event_type, {"n": n})
    sink.wait_for(50)
    started = client.post(f"/api/webhooks/{webhook['id']}/replay",
                          {"what": "events", "since": since, "rate": 2})
    client.delete_webhook(webhook["id"]).expect(204)
    job = client.job(started)
    assert (job["status"], job["error"]) == ("failed", "webhook_unavailable")


def test_an_event_kept_by_itself_is_found_and_what_is_unknown_is_passed_over(redis_server,
                                                                             start_daemon, sink):
    """An event whose batch has left the history; and members of `closed` that nobody knows."""
    with start_daemon(*NO_BREAKER, redis=redis_server).client() as client:
        webhook = client.create_webhook(sink.url("/"), ["t"])
        for name in ("what is this", "x" * 200, "msg_x:5", ":", "00:1"):
            redis_server.call("ZADD", "tl:{0}:closed", 5, name)
        stamp = time_bytes(int(time.time() * 1000) - 1000)
        event = id_text("msg", stamp + b"\0\0" + b"12345678" + b"\0\0abc")
        redis_server.call("HSET", f"tl:{{0}}:event:{event}", "e", pack_record("t", b"{}"))
        redis_server.call("ZADD", "tl:{0}:closed", int(time.time() * 1000), f"{event}:100")
        job = client.job(client.post(f"/api/webhooks/{webhook['id']}/replay", {
            "what": "events", "since": "2026-01-01T00:00:00Z"}))
        assert job["done"] == 1
        sink.wait_for(1)
        assert sink.ids() == [event]


# ---- rate, progress, cancel --------------------------------------------------------------------------

def test_the_rate_is_kept_and_progress_is_seen(client, sink, event_type):
    webhook, _ = bury(client, sink, event_type, 60)
    started = client.post("/api/dead-letters/replay", {"webhookId": webhook["id"], "rate": 20})
    seen = set()
    while not seen or get_job(client, started.json)["finishedAt"] is None:
        seen.add(get_job(client, started.json)["done"])
    job = client.job(started)
    assert job["done"] == 60 and len(seen) > 4, "page after page"
    begun, ended = (datetime.datetime.fromisoformat(job[name].replace("Z", "+00:00"))
                    for name in ("createdAt", "finishedAt"))
    assert (ended - begun).total_seconds() > 58 / 20, "not faster than 20 a second"
    sink.wait_for(60)


def test_a_cancelled_job_leaves_the_rest(client, sink, event_type):
    webhook, _ = bury(client, sink, event_type, 40)
    job = client.post("/api/dead-letters/replay", {"webhookId": webhook["id"], "rate": 10}).json
    sink.wait_for(3)
    cancelled = client.delete(f"/api/jobs/{job['id']}").expect(200).json
    assert cancelled["status"] == "cancelled" and cancelled["finishedAt"]
    wait_until(lambda: client.metric("trotline_jobs_running") == 0, 10, "it to stop")
    done = get_job(client, job)["done"]
    assert 3 <= done < 40
    sink.wait_for(done)
    sink.wait_quiet(0.5)
    assert sink.count() == done, "what it has done stays done"
    assert len(letters(client, webhook, 40 - done)) == 40 - done
    assert client.delete(f"/api/jobs/{job['id']}").expect(200).json["status"] == "cancelled"


def test_four_run_and_others_wait_for_them(start_daemon, sink):
    with start_daemon(*NO_BREAKER).client() as client:
        webhook, _ = bury(client, sink, "t", 30)
        started = [client.post("/api/dead-letters/replay", {"webhookId": webhook["id"], "rate": 1})
                   for _ in range(6)]
        status = [get_job(client, answer.json)["status"] for answer in started]
        assert sorted(status) == ["queued"] * 2 + ["running"] * 4
        assert client.metric("trotline_jobs_running") == 4
        queued = [answer.json for answer, is_ in zip(started, status) if is_ == "queued"]
        client.delete(f"/api/jobs/{queued[0]['id']}").expect(200)
        running = [answer.json for answer, is_ in zip(started, status) if is_ == "running"]
        client.delete(f"/api/jobs/{running[0]['id']}").expect(200)
        wait_until(lambda: get_job(client, queued[1])["status"] == "running", 10, "the next to start")
        assert get_job(client, queued[0])["done"] == 0
        for job in running + queued:
            client.delete(f"/api/jobs/{job['id']}").expect(200)


# ---- what happens to the process, and to Redis -------------------------------------------------------

@pytest.mark.parametrize("graceful", [False, True])
def test_a_restart_midway(start_daemon, sink, graceful):
    """The job goes on where it was, and each dead letter is replayed once."""
    daemon = start_daemon(*NO_BREAKER)
    with daemon.client() as client:
        webhook, events = bury(client, sink, "t", 200)
        started = client.post("/api/dead-letters/replay", {"webhookId": webhook["id"], "rate": 60})
        for count in (20, 80):
            sink.wait_for(count, timeout=20)
            if graceful:
                daemon.restart()
            else:
                wait_until(lambda: set(sink.running.values()) <= {0}, 5, "nothing on the wire")
                daemon.kill9()
                daemon.start()
        job = client.job(started, timeout=30)
        assert (job["status"], job["done"], job["total"]) == ("done", 200, 200)
        wait_until(lambda: len(set(sink.ids())) == 200, 30, "all of them")
        sink.wait_quiet(0.5)
        assert set(sink.ids()) == set(events)
        again = sink.count() - 200  # what was on the wire when the process was killed
        assert again <= 10 if not graceful else again == 0
        letters(client, webhook, 0)


def test_a_job_of_the_history_goes_on_after_a_kill(start_daemon, sink):
    daemon = start_daemon(*NO_BREAKER)
    with daemon.client() as client:
        since = rfc3339(now() - datetime.timedelta(milliseconds=5))
        other = client.create_webhook(sink.url("/other"), ["t"])
        events = [client.event_id("t", {"n": n}) for n in range(120)]
        sink.wait_for(120)
        webhook = client.create_webhook(sink.url("/"), ["t"])
        started = client.post(f"/api/webhooks/{webhook['id']}/replay",
                              {"what": "events", "since": since, "rate": 40})
        sink.wait_for(20, "/")
        daemon.kill9()
        daemon.start()
        job = client.job(started, timeout=30)
        assert (job["status"], job["done"]) == ("done", 120)
        wait_until(lambda: len(set(sink.ids("/"))) == 120, 20, "all of them")
        assert set(sink.ids("/")) == set(events)
        assert client.deliveries(events[0])[other["id"]]["status"] == "sent"


def test_a_job_waits_for_redis(redis_server, start_daemon, sink):
    daemon = start_daemon(*NO_BREAKER, redis=redis_server)
    with daemon.client() as client:
        webhook, events = bury(client, sink, "t", 100)
        started = client.post("/api/dead-letters/replay", {"webhookId": webhook["id"], "rate": 50})
        sink.wait_for(20)
        redis_server.kill9()
        wait_until(lambda: not daemon.ready(), 10, "Redis to be missed")
        client.get(f"/api/jobs/{started.json['id']}").expect(503)
        client.post("/api/dead-letters/replay", {}).expect(503)
        redis_server.start()
        wait_until(daemon.ready, 20)
        job = client.job(started, timeout=30)
        assert (job["status"], job["done"]) == ("done", 100)
        sink.wait_for(100, timeout=20)
        sink.wait_quiet(0.5)
        assert set(sink.ids()) == set(events)
    with redis_server.connect(timeout=30) as redis:
        check(redis)


def test_a_successor_takes_over_when_the_lease_has_ended(redis_server, start_daemon, sink):
    """With a Redis of its own nobody knows at once that the other is dead."""
    first = start_daemon(*NO_BREAKER, redis=redis_server)
    with first.client() as client:
        webhook, _ = bury(client, sink, "t", 60)
        started = client.post("/api/dead-letters/replay", {"webhookId": webhook["id"], "rate": 20})
        sink.wait_for(10)
    first.kill9()
    with start_daemon(*NO_BREAKER, redis=redis_server).client() as client:
        job = client.job(started, timeout=40)
        assert (job["status"], job["done"]) == ("done", 60)


@pytest.mark.parametrize("graceful", [True, False], ids=["stop", "kill"])
def test_a_replica_that_was_there_already_takes_over(redis_server, start_daemon, sink, graceful):
    """Nobody starts anew, and nobody knew of the job before: its owner's going is the occasion."""
    fast = (*NO_BREAKER, "--set", "replica.lease=1s", "--set", "replica.heartbeat=200ms")
    first, second = (start_daemon(*fast, redis=redis_server) for _ in range(2))
    with first.client() as client:
        webhook, _ = bury(client, sink, "t", 60)
        started = client.post("/api/dead-letters/replay", {"webhookId": webhook["id"], "rate": 20})
        sink.wait_for(10)
    assert first.stop() == 0 if graceful else first.kill9() is None
    with second.client() as client:
        job = client.job(started, timeout=20)
        assert (job["status"], job["done"]) == ("done", 60)


# ---- many --------------------------------------------------------------------------------------------

def peak_kib(daemon):
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1))


def bury_directly(redis, webhook, count, first=0):
    """Dead letters as settle.lua leaves them, whose batches' history has ended."""
    stamp, record = time_bytes(int(time.time() * 1000)), pack_record("t", b'"' + b"x" * 1000 + b'"')
    state = pack_state(0, attempts=1, dead=True, error="http_status")
    for at in range(first, first + count, 500):
        events = [id_text("msg", stamp + b"\0\0" + n.to_bytes(13, "big")) for n in range(at, at + 500)]
        redis.call("EVAL", """
            local time = redis.call('TIME')
            for i = 4, #ARGV do
                redis.call('HSET', 'tl:{0}:event:' .. ARGV[i], 'e', ARGV[2], ARGV[1], ARGV[3])
                redis.call('ZADD', 'tl:{0}:dead:' .. ARGV[1], time[1] * 1000 - 1000, ARGV[i])
            end
            redis.call('ZADD', 'tl:{0}:dead', 0, ARGV[1])
            """, 0, webhook["id"], record, state, *events)


def test_memory_does_not_grow_with_the_number_of_dead_letters(redis_server, start_daemon, sink):
    """What deliveries need is bounded elsewhere, so here the replayed ones wait in the schedule."""
    sink.script("/", hang())
    # Without the memory that AddressSanitizer keeps back from being used again.
    sanitizer = "detect_leaks=1:exitcode=99:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
    daemon = start_daemon(*NO_BREAKER, redis=redis_server, config="shutdownTimeout: 1s\n",
                          env={"ASAN_OPTIONS": sanitizer})
    with daemon.client() as client, redis_server.connect(timeout=60) as redis:
        webhook = client.create_webhook(sink.url("/"), ["t"], maxInFlight=1, timeout="60s")
        selection = {"webhookId": webhook["id"], "rate": 1000000, "timeout": 120}
        bury_directly(redis, webhook, 1000)
        assert client.replay(**selection)["done"] == 1000
        before = peak_kib(daemon)
        bury_directly(redis, webhook, 30000, first=1000)
        passed = client.replay(type="other", **selection)
        assert (passed["done"], passed["skipped"], passed["total"]) == (0, 30000, 30000)
        job = client.replay(**selection)
        assert (job["done"], job["skipped"], job["total"]) == (30000, 0, 30000)
        assert peak_kib(daemon) - before < 2 * 1024
        assert redis.call("ZCARD", f"tl:{{0}}:due:{webhook['id']}") == 31000
        check(redis)


# ---- bad requests ------------------------------------------------------------------------------------

@pytest.mark.parametrize("body, code, field", [
    ({"webhookId": "x"}, "invalid_webhook_id", "webhookId"),
    ({"eventIds": []}, "invalid_event_ids", "eventIds"),
    ({"eventIds": [1]}, "invalid_event_ids", "eventIds"),
    ({"eventIds": [""]}, "invalid_event_ids", "eventIds"),
    ({"eventIds": ["x" * 257]}, "invalid_event_ids", "eventIds"),
    ({"eventIds": ["x"] * 1001}, "invalid_event_ids", "eventIds"),
    ({"type": "a..b"}, "invalid_type", "type"),
    ({"since": "yesterday"}, "invalid_time", "since"),
    ({"until": 5}, "invalid_time", "until"),
    ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "invalid_time", "until"),
    ({"errorClass": "bad_luck"}, "invalid_error_class", "errorClass"),
    ({"rate": 0}, "invalid_rate", "rate"),
    ({"rate": 1.5}, "invalid_rate", "rate"),
    ({"rate": 10**7}, "invalid_rate", "rate"),
    ({"all": False}, "invalid_all", "all"),
    ({"all": True, "type": "a"}, "invalid_all", "all"),
    ({"what": "events"}, "unknown_field", "what"),
    ({"webhookId": None}, "invalid_webhook_id", "webhookId"),
    ({"all": None}, "invalid_all", "all"),
    ({"rate": None}, "invalid_rate", "rate"),
    ({"colour": 1}, "unknown_field", "colour"),
    (b'{"rate":1e400}', "invalid_json", None),
    (b'{"rate":1,"rate":2}', "invalid_json", None),
    (b'{"x":' + b"[" * 70 + b"]" * 70 + b"}", "json_too_deep", None),
    (b"{", "invalid_json", None),
    ([], "invalid_json", None)])
def test_bad_selections(client, body, code, field):
    for method, path in (("POST", "/api/dead-letters/replay"), ("DELETE", "/api/dead-letters")):
        given = {"body": body} if isinstance(body, bytes) else {"json_body": body}
        client.request(method, path, **given).expect(400, code, field)


@pytest.mark.parametrize("body", [None, {}, {"rate": 5}])
def test_a_discard_must_say_what(client, body):
    client.delete("/api/dead-letters", body).expect(400, "missing_field", "all")


@pytest.mark.parametrize("body, code, field", [
    ({"what": "everything"}, "invalid_what", "what"),
    ({"what": "events"}, "missing_field", "since"),
    ({"what": "events", "since": "2026-01-01T00:00:00Z", "errorClass": "timeout"}, "invalid_what",
     "errorClass"),
    ({"what": "events", "since": "2026-01-01T00:00:00Z", "eventIds": ["a"]}, "invalid_what",
     "eventIds"),
    ({"webhookId": "x"}, "unknown_field", "webhookId"),
    ({"all": True}, "unknown_field", "all")])
def test_bad_replays_of_a_webhook(client, sink, event_type, body, code, field):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    client.post(f"/api/webhooks/{webhook['id']}/replay", body).expect(400, code, field)


def test_what_there_is_not(client):
    unknown = "0" * 27
    client.post(f"/api/webhooks/ep_{unknown}/replay", {}).expect(404, "not_found")
    for method in ("GET", "DELETE"):
        for job in (f"job_{unknown}", "x"):
            client.request(method, f"/api/jobs/{job}").expect(404, "not_found")
    client.get("/api/jobs?limit=0").expect(400, "invalid_limit", "limit")
    client.get("/api/jobs?cursor=x").expect(400, "invalid_cursor", "cursor")
    other = f"webhookId=ep_{'1' * 27}&cursor=ep_{unknown}.2"
    client.get(f"/api/dead-letters?{other}").expect(400, "invalid_cursor", "cursor")
    client.get(f"/api/dead-letters?cursor=ep_{unknown}.2").expect(200)
    client.get(f"/api/dead-letters?webhookId=ep_{unknown}&cursor=ep_{unknown}.2").expect(200)
    assert client.replay(webhookId=f"ep_{unknown}")["done"] == 0


def test_a_broken_job_fails_and_the_others_run(redis_server, start_daemon):
    """Written by another version: it is not run, and not thrown away."""
    daemon = start_daemon(*NO_BREAKER, redis=redis_server)
    with daemon.client() as client:
        job = client.replay()["id"]
        redis_server.call("HSET", f"tl:{{0}}:job:{job}", "status", "queued", "spec", "?")
        redis_server.call("PERSIST", f"tl:{{0}}:job:{job}")
        redis_server.call("ZADD", "tl:{0}:jobs", "inf", job)
        daemon.restart()
        wait_until(lambda: redis_server.call("HGET", f"tl:{{0}}:job:{job}", "status") == b"failed",
                   10, "it to fail")
        assert client.replay()["status"] == "done"
    with redis_server.connect(timeout=30) as redis:
        assert problems(Snapshot(redis)) == []
