"""A stop that loses no request: from clients with keep-alive connections, from the accept queue, and
through the load balancer that the README sets up."""

import http.client
import json
import re
import select
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from harness import RedisServer, free_port, parse_answers, wait_until
from harness.sink import hang

README = Path(__file__).resolve().parents[2] / "README.md"


class Talker(threading.Thread):
    """A client that sends one event after the other on a keep-alive connection, with a pause between.
    It ends when an answer says that the connection does, or (`again`) goes on with another one. What
    goes wrong is in `failures`."""

    def __init__(self, port, api_key, pause, again=False):
        super().__init__(daemon=True)
        self.port, self.api_key, self.pause, self.again = port, api_key, pause, again
        self.answers, self.failures, self.closed = 0, [], 0
        self.stopping = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.stopping.is_set():
            body = json.dumps({"type": "a", "data": {"pad": "x" * 100}})
            try:
                connection.request("POST", "/api/events", body, {
                    "Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"after {self.answers} answers: {error!r}")
                break
            self.answers += 1
            if response.status != 202:
                self.failures.append(f"status {response.status}")
            if response.getheader("Connection") == "close":
                self.closed += 1
                connection.close()
                if not self.again:
                    break
            self.stopping.wait(self.pause)
        connection.close()


def connect(daemon):
    connection = socket.create_connection((daemon.address, daemon.port), 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def publish(daemon):
    return (b"POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            b"Content-Type: application/json\r\nContent-Length: 21\r\n\r\n"
            b'{"type":"a","data":1}' % daemon.api_key.encode())


def read_all(connection):
    """Until the end; a reset is an error."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def test_clients_at_work_are_told_before_the_end(start_daemon):
    """Without any drainDelay: nobody loses a request, each learns it from an answer."""
    daemon = start_daemon()
    talkers = [Talker(daemon.port, daemon.api_key, pause)
               for pause in [0, 0, 0, 0, 0.01, 0.01, 0.05, 0.05, 0.1, 0.2, 0.3, 0.3]]
    for talker in talkers:
        talker.start()
    wait_until(lambda: all(talker.answers > 3 for talker in talkers), 30)
    assert daemon.stop() == 0
    for talker in talkers:
        talker.join(20)
    assert [talker.failures for talker in talkers] == [[]] * len(talkers)
    assert [talker.closed for talker in talkers] == [1] * len(talkers)


def test_connections_at_rest_hold_nobody_up(start_daemon):
    daemon = start_daemon()
    fresh, used = connect(daemon), connect(daemon)
    used.sendall(publish(daemon))
    assert b"202 Accepted" in used.recv(65536)
    time.sleep(0.6)  # at rest is a matter of time
    begin = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begin < 10
    assert read_all(used) == b"" and read_all(fresh) == b"", "in order, not by a reset"
    used.close()
    fresh.close()


def test_drain_delay(start_daemon):
    """/readyz says no at once; everything is served as before, but every answer is a last one."""
    daemon = start_daemon("--set", "drainDelay=1500ms")
    idle = connect(daemon)
    with daemon.client() as client:
        client.post_event("a").expect(202)
        daemon.terminate()
        wait_until(lambda: client.get("/readyz").status == 503, 10)
        begin = time.monotonic()
        answer = client.post_event("a").expect(202)
        assert answer.header("Connection") == "close"
        client.get("/healthz").expect(200)
        listed = client.get("/api/replicas").expect(200).json["replicas"]
        assert [replica["draining"] for replica in listed] == [True]
        idle.sendall(publish(daemon))
        [answer], _ = parse_answers(read_all(idle)), idle.close()
        assert answer.status == 202 and answer.header("Connection") == "close"
    assert daemon.wait() == 0
    assert time.monotonic() - begin > 0.9
    with pytest.raises(OSError):
        connect(daemon)


def test_the_accept_queue_is_emptied(start_daemon):
    daemon = start_daemon()
    daemon.pause()
    queued = [connect(daemon) for _ in range(150)]
    for connection in queued:
        connection.sendall(publish(daemon))
    daemon.terminate()
    daemon.resume()
    for connection in queued:
        [answer] = parse_answers(read_all(connection))
        assert answer.status == 202 and answer.header("Connection") == "close"
        connection.close()
    assert daemon.wait() == 0


def test_a_request_that_has_begun_is_waited_for(start_daemon):
    daemon = start_daemon()
    slow = connect(daemon)
    request = publish(daemon)
    slow.sendall(request[:60])
    daemon.terminate()
    daemon.wait_for_log(r"serve\.stopping")
    assert not select.select([slow], [], [], 1)[0], "neither answered nor closed"
    slow.sendall(request[60:])
    [answer] = parse_answers(read_all(slow))
    assert answer.status == 202
    slow.close()
    assert daemon.wait() == 0


# ---- without Redis ---------------------------------------------------------------------------------

LEFT = r"serve\.left_in_redis reason=%s redis=away deliveries=%s batches=%s "


def test_a_stop_without_redis_does_not_wait_for_records(start_daemon, sink):
    """The attempt is in no history yet, but the delivery is done."""
    with RedisServer() as redis:
        daemon = start_daemon("--set", "shutdownTimeout=1m", redis=redis)
        with daemon.client() as client:
            client.create_webhook(sink.url("/"), ["a"])
            client.event_id("a")
            sink.wait_for(1)
            wait_until(lambda: client.metric("trotline_batches_open") == 0, 10, "it to be closed")
        redis.kill9()
        daemon.wait_for_log(r"redis\.lost")
        assert daemon.stop(timeout=20) == 0
    daemon.wait_for_log(LEFT % ("redis", 0, 0))


def test_a_stop_without_redis_ends_by_its_deadline(redis_server, start_daemon, sink):
    """And says what it has left; the next one finds it."""
    daemon = start_daemon("--set", "shutdownTimeout=4s", "--set", "replica.lease=3s",
                          redis=redis_server)
    sink.script("/", [hang(), 200])
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"], timeout="30s")
        event = client.event_id("a")
        sink.wait_for(1)
        redis_server.kill9()
        daemon.wait_for_log(r"redis\.lost")
    begin = time.monotonic()
    assert daemon.stop(timeout=20) == 0
    assert 3.5 < time.monotonic() - begin < 5.5
    daemon.wait_for_log(LEFT % ("shutdownTimeout", 1, 1))
    redis_server.start()
    daemon.start()
    wait_until(lambda: sink.ids("/") == [event] * 2, 20, "the next one to send it")


# ---- behind a load balancer ------------------------------------------------------------------------

def readme_configuration(port, servers):
    """What the README tells to put into haproxy.cfg, with the ports of this test."""
    [text] = re.findall(r"^```haproxy\n(.*?)^```", README.read_text(), re.M | re.S)
    assert text.count("bind :8080") == 1
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}")
    lines = [line for line in text.splitlines() if not re.match(r"\s+server ", line)]
    assert len(lines) < len(text.splitlines())
    return "\n".join(lines + [f"    server s{number} 127.0.0.1:{server}"
                              for number, server in enumerate(servers)]) + "\n"


def test_a_stop_behind_the_readmes_haproxy(redis_server, start_daemon, tmp_path):
    """One of two is stopped and started while everybody publishes: nobody notices."""
    delay = re.search(r"^drainDelay: (\w+)$", README.read_text(), re.M).group(1)
    key = "tl_key_of_both_of_them"
    daemons = [start_daemon("--set", f"drainDelay={delay}", "--set", f"apiKeys={key}",
                            redis=redis_server) for _ in range(2)]
    port = free_port()
    path = tmp_path / "haproxy.cfg"
    path.write_text(readme_configuration(port, [daemon.port for daemon in daemons]))
    with open(tmp_path / "haproxy.log", "wb") as log:
        haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL)
    talkers = []
    try:
        def answers():
            assert haproxy.poll() is None, (tmp_path / "haproxy.log").read_text()
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return read_all(connection).startswith(b"HTTP/1.1 200")
        wait_until(lambda: _quietly(answers), 20, "haproxy to find somebody")
        talkers = [Talker(port, key, pause, again=True)
                   for pause in [0, 0, 0, 0, 0.01, 0.01, 0.05, 0.2, 0.5, 1.2]]
        for talker in talkers:
            talker.start()
        wait_until(lambda: all(talker.answers > 2 for talker in talkers), 30)
        assert daemons[0].stop() == 0
        reached = [talker.answers for talker in talkers]
        wait_until(lambda: all(talker.answers > before + 2
                               for talker, before in zip(talkers, reached)), 30)
        daemons[0].start()
        reached = [talker.answers for talker in talkers]
        wait_until(lambda: all(talker.answers > before + 2
                               for talker, before in zip(talkers, reached)), 30)
    finally:
        for talker in talkers:
            talker.stopping.set()
        for talker in talkers:
            talker.join(25)
        haproxy.kill()
        haproxy.wait()
    assert [talker.failures for talker in talkers] == [[]] * len(talkers)


def _quietly(condition):
    try:
        return condition()
    except OSError:
        return False
