"""tests/examples in Python, Node and shell: each is started as its comment says, against a real server, and
does what it says."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Daemon, RedisServer, wait_until

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PUBLISHERS = [("python", "publish"), ("python", "publish_msgpack"), ("node", "publish"),
              ("node", "publish_msgpack"), ("shell", "publish")]
LANGUAGES = ["python", "node", "shell"]


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def server(redis, tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("server"), redis=redis)
    daemon.start()
    yield daemon
    daemon.finish()


def command(language, name):
    suffix = {"python": "py", "node": "js", "shell": "sh"}[language]
    path = str(EXAMPLES / language / f"{name}.{suffix}")
    return {"python": ["/usr/bin/python3", path], "node": ["node", path], "shell": [path]}[language]


def environment(redis):
    return {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{redis.port}"}


def run(redis, language, name, *arguments):
    """Starts it and waits for its end, which must be a good one; what it printed."""
    done = subprocess.run([*command(language, name), *arguments], env=environment(redis), timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout


@contextmanager
def running(redis, language, name, *arguments, output):
    """It runs until the end of the block, then it is asked to end."""
    with output.open("w") as file:
        process = subprocess.Popen([*command(language, name), *arguments], env=environment(redis),
                                   stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
        assert process.poll() is None, output.read_text()
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(10) == (-signal.SIGTERM if language == "shell" else 0), output.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# ---- publishing ----------------------------------------------------------------------------------

@pytest.mark.parametrize("language, name", PUBLISHERS)
def test_an_event_is_published(client, redis, sink, event_type, language, name):
    client.create_webhook(sink.url("/"), [event_type], scheme="event")
    data = {"order": 17, "items": [{"sku": "B-1", "price": "9.90", "n": 2**53 - 1}], "name": "Zoë 😀",
            "text": "it's a \\ \"quote\"\n$HOME `id` %s", "none": None, "ratio": 0.25, "sure": True}
    run(redis, language, name, event_type, json.dumps(data))
    event = sink.wait_for(1)[0].json()
    assert (event["type"], event["data"]) == (event_type, data)
    assert redis.call("XLEN", "tl:{0}:feed") == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_key_publishes_once(client, redis, sink, event_type, language):
    client.create_webhook(sink.url("/"), [event_type])
    for _ in range(3):
        run(redis, language, "publish", event_type, '{"order": 17}', f"{event_type}-17")
    run(redis, language, "publish", event_type, '{"order": 18}', f"{event_type}-18")
    wait_until(lambda: redis.call("XLEN", "tl:{0}:feed") == 0, 10, "the feed to be empty")
    sink.wait_for(2)
    sink.wait_quiet()
    assert sorted(request.json()["data"]["order"] for request in sink.requests()) == [17, 18]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_outbox(client, redis, sink, language):
    webhook = client.create_webhook(sink.url("/"), ["order.created"], scheme="event")
    number = 100 + LANGUAGES.index(language)
    for _ in range(2):
        run(redis, language, "outbox", str(number), "9.90")
    assert redis.call("HGET", f"shop:order:{number}", "state") == b"created"
    sink.wait_for(1)
    wait_until(lambda: redis.call("XLEN", "tl:{0}:feed") == 0, 10, "the feed to be empty")
    sink.wait_quiet()
    event, = sink.requests()
    assert event.json()["data"] == {"order": number, "total": "9.90"}
    client.delete_webhook(webhook["id"]).expect(204)


def test_an_outbox_that_fails_says_so(redis):
    """The feed's key is of another type: nothing of the transaction may pass for done."""
    with RedisServer() as other:
        other.call("SET", "tl:{0}:feed", "no stream")
        for language in LANGUAGES:
            done = subprocess.run([*command(language, "outbox"), "1", "9.90"], timeout=30, check=False,
                                  env=environment(other), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert done.returncode != 0 and b"WRONGTYPE" in done.stderr, done


# ---- consuming -----------------------------------------------------------------------------------

@pytest.mark.parametrize("language", LANGUAGES)
def test_a_group_of_workers(client, redis, event_type, tmp_path, language):
    """Two share the events; a third one, who died with some in hand, finishes when it is back."""
    stream = {"kind": "redis-stream", "stream": {"name": event_type}, "events": [event_type]}
    client.post("/api/webhooks", stream).expect(201)
    key = "tl:{0}:out:" + event_type
    redis.call("XGROUP", "CREATE", key, "stock", "0", "MKSTREAM")
    body = b'{"type":"%s","data":{"n":%d,\n "text":"it\'s \\\\ \\"100 %%\\""}}'
    expected = {}

    def publish(count):
        for _ in range(count):
            n = len(expected)
            answer = client.post("/api/events", body=body % (event_type.encode(), n)).expect(202)
            expected[answer.json["id"]] = n
    publish(5)
    wait_until(lambda: redis.call("XLEN", key) == 5, 10, "the entries")
    redis.call("XREADGROUP", "GROUP", "stock", "c", "COUNT", 3, "STREAMS", key, ">")
    outputs = {worker: tmp_path / worker for worker in "abc"}
    with running(redis, language, "consume", event_type, "stock", "a", output=outputs["a"]), \
            running(redis, language, "consume", event_type, "stock", "b", output=outputs["b"]):
        publish(15)

        def all_but(count):
            return redis.call("XPENDING", key, "stock")[0] == count and \
                redis.call("XINFO", "GROUPS", key)[0][-1] == 0
        wait_until(lambda: all_but(3), 20, "a and b to finish all the others")
        with running(redis, language, "consume", event_type, "stock", "c", output=outputs["c"]):
            wait_until(lambda: all_but(0), 20, "c to finish what it had taken")
    done = [event for output in outputs.values() for event in events_of(language, output.read_text())]
    assert sorted(done) == sorted(expected)
    assert len(events_of(language, outputs["c"].read_text())) >= 3


def events_of(language, text):
    """The ids of the events that a worker printed."""
    if language != "shell":
        return [line.split()[0] for line in text.splitlines()]
    decoder, at, ids = json.JSONDecoder(), 0, []
    while at < len(text):
        event, at = decoder.raw_decode(text, at)
        assert event["data"]["text"] == 'it\'s \\ "100 %"'
        ids.append(event["id"])
        at += len(text[at:]) - len(text[at:].lstrip())
    return ids


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_worker_makes_its_group(client, redis, event_type, tmp_path, language):
    stream = {"kind": "redis-stream", "stream": {"name": event_type}, "events": [event_type]}
    client.post("/api/webhooks", stream).expect(201)
    event = client.event_id(event_type)
    output = tmp_path / "output"
    for _ in range(2):  # the second time the group is there
        with running(redis, language, "consume", event_type, "stock", "a", output=output):
            wait_until(lambda: redis.call("EXISTS", "tl:{0}:out:" + event_type), 10, "the stream")
            wait_until(lambda: event in output.read_text(), 20, "the event to be worked on")
        event = client.event_id(event_type)
