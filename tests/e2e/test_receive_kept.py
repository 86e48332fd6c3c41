"""Nothing is answered with 2xx before it is durable: what was received and Redis, kills, restarts."""

from harness import senders, wait_until
from harness.senders import SECRET, post

BODY = b'{"n":1}'
HOOKS = {"name": "hooks", "scheme": "github", "secrets": [SECRET]}


def send(server, source, body=BODY, **options):
    return post(server, source, body, senders.github(body, SECRET, **options)).expect(200)


def test_what_was_answered_survives_a_kill(start_daemon, sink):
    """Nothing is answered with 2xx before it is durable. Sent again, it is still known."""
    server = start_daemon()
    sink.script("/", 503)
    with server.client() as client:
        client.post("/api/sources", HOOKS).expect(201)
        client.create_webhook(sink.url("/"), ["hooks.*"],
                              retryPolicy={"schedule": ["200ms"] * 60})
    for n in range(20):
        body = b'{"n":%d}' % n
        send(server, "hooks", body, id=str(n))
    server.kill9()
    sink.script("/", 200)
    server.start()
    with server.client() as client:
        for n in range(20):
            send(server, "hooks", b'{"n":%d}' % n, id=str(n))
        counts = client.get("/api/sources/hooks").json["received"]
        assert (counts["accepted"], counts["duplicate"]) == (0, 20)

        def arrived():
            return {request.json()["data"]["n"] for request in sink.requests()}
        wait_until(lambda: arrived() == set(range(20)), 30, "everything to arrive")
        sink.wait_quiet()
    ids = {}
    for request in sink.requests():
        ids.setdefault(request.json()["data"]["n"], set()).add(request.id)
    assert all(len(events) == 1 for events in ids.values()), "one event each"


def test_without_redis_nothing_is_taken(redis_server, start_daemon, sink):
    """And what would have been refused is refused."""
    server = start_daemon(redis=redis_server)
    with server.client() as client:
        client.post("/api/sources", {**HOOKS, "maxBodyBytes": 100}).expect(201)
        client.create_webhook(sink.url("/"), ["hooks.*"])
    redis_server.stop()
    wait_until(lambda: not server.ready(), 10, "the server to notice")
    answer = post(server, "hooks", BODY, senders.github(BODY, SECRET, id="away")).expect(503)
    assert int(answer.header("Retry-After")) > 0
    post(server, "hooks", BODY, senders.github(BODY, "another secret of theirs")).expect(401)
    post(server, "hooks", b" " * 101, senders.github(b"", SECRET)).expect(413)
    post(server, "nobody", BODY, {}).expect(404)
    post(server, "hooks", BODY, {}, method="PUT").expect(405)
    redis_server.start()
    wait_until(server.ready, 20, "the server to be ready again")
    send(server, "hooks", id="back")
    assert sink.wait_for(1)[0].json()["type"] == "hooks.push"
    sink.wait_quiet()
    assert sink.count() == 1, "what was answered 503 is not stored"
    with server.client() as client:
        counts = client.get("/api/sources/hooks").json["received"]
        assert (counts["accepted"], counts["unavailable"]) == (1, 1)


def test_a_redis_that_hangs_is_no_2xx(redis_server, start_daemon, sink):
    """The outcome is not known, the sender repeats, and it is one event."""
    server = start_daemon("--set", "ingest.timeout=1s", redis=redis_server)
    with server.client() as client:
        client.post("/api/sources", HOOKS).expect(201)
        client.create_webhook(sink.url("/"), ["hooks.*"])
    redis_server.pause()
    answer = post(server, "hooks", BODY, senders.github(BODY, SECRET)).expect(503)
    assert int(answer.header("Retry-After")) > 0
    redis_server.resume()
    wait_until(lambda: post(server, "hooks", BODY, senders.github(BODY, SECRET)).status == 200, 20,
               "it to be taken", interval=0.2)
    sink.wait_for(1)
    sink.wait_quiet()
    assert len(set(sink.ids())) == 1


def test_before_redis_is_there_a_source_may_be_any(redis_server, start_daemon, sink):
    """Nobody knows yet which there are: a 404 would make its sender give up."""
    server = start_daemon(redis=redis_server)
    with server.client() as client:
        client.post("/api/sources", HOOKS).expect(201)
        client.create_webhook(sink.url("/"), ["hooks.*"])
    server.stop()
    redis_server.stop()
    server = start_daemon(redis=redis_server, started=False)
    server.start(ready=False)
    answer = post(server, "hooks", BODY, senders.github(BODY, SECRET)).expect(503)
    assert int(answer.header("Retry-After")) > 0
    redis_server.start()
    wait_until(server.ready, 20, "the server to find Redis")
    send(server, "hooks")
    sink.wait_for(1)
    assert sink.count() == 1


def test_a_source_of_a_file(start_daemon, sink, tmp_path):
    """Is there from the start, with a secret that the environment has."""
    directory = tmp_path / "sources"
    directory.mkdir()
    (directory / "hooks.yaml").write_text('scheme: github\nsecrets: ["${HOOKS_SECRET}"]\n')
    server = start_daemon("--set", f"sources.dir={directory}", env={"HOOKS_SECRET": SECRET})
    with server.client() as client:
        client.create_webhook(sink.url("/"), ["hooks.*"])
        send(server, "hooks")
        assert sink.wait_for(1)[0].json()["type"] == "hooks.push"
        post(server, "hooks", BODY, senders.github(BODY, "${HOOKS_SECRET}")).expect(401)
        assert client.get("/api/sources/hooks").json["received"]["accepted"] == 1
    assert SECRET not in server.log


def test_a_secret_that_another_replica_has_rolled(make_cluster):
    """Soon counts everywhere."""
    cluster = make_cluster(count=2).start()
    cluster.wait_settled()
    other = "the next secret of this source"
    with cluster[0].client() as client:
        client.post("/api/sources", HOOKS).expect(201)

        def statuses():
            return [post(cluster[1], "hooks", BODY, senders.github(BODY, secret)).status
                    for secret in (SECRET, other)]
        for secrets, expected in (([SECRET], [200, 401]), ([other, SECRET], [200, 200]),
                                  ([other], [401, 200])):
            client.put("/api/sources/hooks", {**HOOKS, "secrets": secrets}).expect(200)
            wait_until(lambda: statuses() == expected, 10, f"{expected} at the other replica")
        client.delete("/api/sources/hooks").expect(204)
        wait_until(lambda: statuses() == [404, 404], 10, "the source to be gone")
