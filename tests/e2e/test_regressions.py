"""Faults that were found by trying, and mended: each test failed once."""

import re
import secrets
import subprocess
import threading
import time
import urllib.parse

import pytest
from harness import wait_until
from harness.daemon import binary
from harness.sink import delayed, hang

ONCE = {"schedule": []}


def delivery_of(client, event, webhook):
    return client.deliveries(event)[webhook["id"]]


@pytest.mark.parametrize("round", range(3))
def test_with_redis_away_every_call_is_answered(redis_server, start_daemon, sink, round):
    daemon = start_daemon(redis=redis_server)
    with daemon.client(timeout=5) as client:
        sink.script("/slow", delayed(1.0, 200))
        webhook = client.create_webhook(sink.url("/slow"), ["*"])
        event = client.event_id("a.b")
        sink.wait_for(1)
        redis_server.kill9()
        wait_until(lambda: client.get("/readyz").status == 503, 10)
        sink.wait_quiet(1.5)  # the delivery has ended and is to be settled
        try:
            for method, path, body in [
                    ("POST", "/api/webhooks", {"url": sink.url("/"), "events": ["*"]}),
                    ("PATCH", f"/api/webhooks/{webhook['id']}", {"description": "x"}),
                    ("GET", f"/api/events/{event}", None),
                    ("GET", f"/api/webhooks/{webhook['id']}/attempts", None),
                    ("GET", "/api/dead-letters", None),
                    ("POST", "/api/dead-letters/replay", {})]:
                try:
                    answer = client.request(method, path, body)
                except TimeoutError:
                    pytest.fail(f"no answer in 5 s: {method} {path}")
                assert answer.status == 503 and answer.header("Retry-After"), (method, path, answer)
        finally:
            redis_server.start()
            wait_until(daemon.ready, 20)


def test_a_replay_replays_each_letter_once(start_daemon, sink):
    sink.script("/", 500)
    with start_daemon("--set", "breaker.enabled=false").client() as client:
        webhook = client.create_webhook(sink.url("/"), ["a"], retryPolicy=ONCE)
        for n in range(400):
            client.event_id("a", {"n": n})
        wait_until(lambda: len(client.dead_letters(webhookId=webhook["id"])) == 400, 20)
        sink.clear()
        assert client.replay(webhookId=webhook["id"])["done"] == 400
        sink.wait_for(400)
        sink.wait_quiet(0.5)
        assert sink.count() == 400


def test_a_delivery_that_failed_is_never_shown_as_sent(server, sink, event_type):
    sink.script("/", 500)
    lies = []
    with server.client() as client:
        webhook = client.create_webhook(sink.url("/"), [event_type])

    def publish():
        with server.client() as client:
            for _ in range(150):
                event = client.event_id(event_type)
                for _ in range(5):
                    delivery = delivery_of(client, event, webhook)
                    if delivery["status"] == "sent":
                        lies.append((event, delivery))
    threads = [threading.Thread(target=publish) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lies, f"{len(lies)} of 900 events: {lies[:2]}"


@pytest.mark.parametrize("change", ["delete", "disable", "disable and enable"])
def test_what_is_on_the_wire_is_settled_by_its_own_result(client, sink, event_type, change):
    moved = client.metric("trotline_deliveries_moved_total")
    sink.script("/", delayed(3, 200))
    webhook = client.create_webhook(sink.url("/"), [event_type])
    event = client.event_id(event_type)
    wait_until(lambda: client.metric("trotline_deliveries_moved_total") > moved, 2.5,
               "it to be in the schedule, leased")
    path = f"/api/webhooks/{webhook['id']}"
    if change == "delete":
        client.delete(path).expect(204)
    else:
        client.post(path + "/disable").expect(200)
    if "enable" in change:
        client.post(path + "/enable").expect(200)
    wait_until(lambda: client.metric("trotline_attempts_in_flight") == 0, 10, "the attempt to end")

    def settled():
        delivery = delivery_of(client, event, webhook)
        return delivery["status"] not in ("pending", "sending") and delivery
    delivery = wait_until(settled, 10, "the delivery to be settled")
    assert delivery["status"] == "sent" and delivery["attempts"] == 1, delivery


def test_ten_hanging_endpoints_delay_nobody(start_daemon, sink):
    daemon = start_daemon()
    with daemon.client() as client:
        for n in range(10):
            sink.script(f"/hang{n}", hang())
            client.create_webhook(sink.url(f"/hang{n}"), ["slow"], timeout="6s")
        client.create_webhook(sink.url("/fast"), ["fast"])
        for _ in range(100):
            client.event_id("slow")
        wait_until(lambda: client.metric("trotline_attempts_in_flight") >= 10, 10, "all ten to hang")
        begin = time.monotonic()
        client.event_id("fast")
        sink.wait_for(1, "/fast", timeout=20)
        assert time.monotonic() - begin < 2


def test_port_of_another_gateway(start_daemon, tmp_path):
    daemon = start_daemon()
    process = subprocess.Popen([str(binary()), "serve", "--dev", "--data", str(tmp_path / "other"),
                                "--listen", f"127.0.0.1:{daemon.port}"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.wait(5) == 1
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize("uid", ["order 1", "order/1", "bestellung-ä", "50%", "a?b#c"])
def test_any_uid_can_be_read_by(client, event_type, uid):
    event = client.event_id(event_type, uid=f"{event_type} {uid}")
    path = "/api/events/" + urllib.parse.quote(f"{event_type} {uid}", safe="")
    assert client.get(path).expect(200).json["id"] == event


def test_percent_encoded_ids_are_the_same_ids(client, sink, event_type):
    webhook = client.create_webhook(sink.url("/"), [event_type])
    client.get("/api/webhooks/%65" + webhook["id"][1:]).expect(200)


def test_the_first_start_prints_the_key(start_daemon):
    daemon = start_daemon(dev=False)
    daemon.wait_for_log(re.escape(daemon.api_key))


def test_redis_out_of_memory_is_503_for_webhooks_too(redis_server, start_daemon):
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        redis_server.call("CONFIG", "SET", "maxmemory", "1")
        try:
            answer = client.post("/api/webhooks", {"url": "http://127.0.0.1:1/", "events": ["*"]})
            assert answer.status == 503 and answer.header("Retry-After"), answer
        finally:
            redis_server.call("CONFIG", "SET", "maxmemory", "0")


def sending(client, event, webhook):
    delivery = delivery_of(client, event, webhook)
    return delivery if delivery["status"] == "sending" else None


def test_last_error_stays_while_the_retry_is_on_the_wire(client, sink, event_type):
    sink.script("/", [500, delayed(1, 500)])
    webhook = client.create_webhook(sink.url("/"), [event_type], retryPolicy={"schedule": ["50ms"]})
    event = client.event_id(event_type)
    sink.wait_for(2)
    delivery = wait_until(lambda: sending(client, event, webhook), 0.9, "the retry to be on the wire")
    assert delivery["lastError"] == "HTTP 500", delivery


def test_a_full_redis_refuses_large_events_at_once(start_daemon, sink):
    """The SET of a large batch is refused before its script finds that there is no blob."""
    daemon = start_daemon(config="redisOptions:\n  maxMemory: 20MiB\n")
    with daemon.client() as client:
        answers = []
        noise = secrets.token_urlsafe(150_000)  # 200,000 characters that are stored as they are
        for n in range(200):
            begin = time.monotonic()
            answers.append(client.post_event("a.b", noise))
            assert time.monotonic() - begin < 3, "answered at once, not after ingest.timeout"
            if answers[-1].status != 202:
                break
        answers[-1].expect(503, "redis_out_of_memory")


def test_what_came_while_all_slots_were_taken_is_not_forgotten(start_daemon, sink):
    """An endpoint with nothing under way has to be remembered until another one gives a slot back."""
    release = threading.Event()
    sink.script("/slow", lambda request: release.wait(20) and 200)
    daemon = start_daemon("--set", "outbound.maxInFlight=1")
    with daemon.client() as client:
        for name in ("slow", "other"):
            client.create_webhook(sink.url(f"/{name}"), [f"{name}.event"])
        client.event_id("slow.event")
        sink.wait_for(1, "/slow")
        client.event_id("other.event")
        # Answered from memory once the event has been placed, which is in the turn that stored it.
        client.get("/readyz").expect(200)
        release.set()
        sink.wait_for(1, "/other", timeout=5)
