"""GET /api/replicas: who shares the work."""

import socket

from harness import wait_until


def listed(daemon):
    with daemon.client() as client:
        return client.get("/api/replicas").expect(200).json


def test_one_process_by_itself(start_daemon):
    daemon = start_daemon()
    answer = listed(daemon)
    assert set(answer) == {"replicas", "lanes", "free", "count"}
    assert (answer["lanes"], answer["count"]) == (256, 1)
    [replica] = answer["replicas"]
    assert set(replica) == {"id", "host", "pid", "url", "version", "startedAt", "leaseEndsAt",
                            "draining", "lanes", "self"}
    daemon.wait_for_log(f"incarnation={replica['id']}")
    assert (replica["pid"], replica["url"]) == (daemon.pid, daemon.url)
    assert replica["host"] == socket.gethostname()
    assert replica["self"] is True and replica["draining"] is False
    assert (replica["lanes"], answer["free"]) == (256, 0)


def test_it_wants_a_key(start_daemon):
    daemon = start_daemon()
    with daemon.client(key=None) as client:
        client.get("/api/replicas").expect(401, "unauthorized")
    with daemon.client() as client:
        client.post("/api/replicas", {}).expect(405, "method_not_allowed")


def test_two_come_and_go(redis_server, start_daemon):
    one = start_daemon(redis=redis_server)
    two = start_daemon(redis=redis_server)
    wait_until(lambda: listed(one)["count"] == 2, what="two")
    for daemon in (one, two):
        replicas = listed(daemon)["replicas"]
        assert [replica["pid"] for replica in replicas] == [one.pid, two.pid], "oldest first"
        assert [replica["pid"] for replica in replicas if replica["self"]] == [daemon.pid]
    wait_until(lambda: [replica["lanes"] for replica in listed(one)["replicas"]] == [128, 128], 20)
    assert two.stop() == 0
    assert [replica["pid"] for replica in listed(one)["replicas"]] == [one.pid], "at once"
    wait_until(lambda: listed(one)["replicas"][0]["lanes"] == 256, 3, "all lanes to be taken")
    two.start()
    wait_until(lambda: listed(two)["count"] == 2, what="two again")


def test_without_redis_there_is_no_answer(redis_server, start_daemon):
    daemon = start_daemon(redis=redis_server)
    redis_server.kill9()
    with daemon.client() as client:
        wait_until(lambda: client.get("/readyz").status == 503)
        client.get("/api/replicas").expect(503, "redis_unavailable")
        redis_server.start()
        wait_until(lambda: client.get("/api/replicas").status == 200, 20)
