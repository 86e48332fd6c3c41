"""What tests of POST /api/events/batch share: bodies of many events, and their results."""

import json
import socket

import msgpack

from .client import parse_answers

BATCH = "/api/events/batch"
NDJSON = "application/x-ndjson"


def events_of(event_type, count, **members):
    return [{"type": event_type, "data": {"n": n}, **members} for n in range(count)]


def lines_of(events):
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def array_of(events):
    return json.dumps(events).encode()


def post(client, body, content_type="application/json", **headers):
    return client.post(BATCH, body=body, headers={"Content-Type": content_type, **headers})


def msgpack_of(events):
    return msgpack.packb(events)


def cloud_events_of(events):
    """The same as CloudEvents; each has an id of its own."""
    return json.dumps([{"specversion": "1.0", "id": f"{event['type']}-{number}", "source": "/tests",
                        "type": event["type"], "data": event["data"]}
                       for number, event in enumerate(events)]).encode()


MSGPACK, CLOUD = "application/msgpack", "application/cloudevents-batch+json"


def results(answer, status=202):
    """The results, checked against the counts."""
    told = answer.expect(status).json
    assert set(told) - {"error"} == {"results", "accepted", "rejected"}, told
    accepted = [one for one in told["results"] if "id" in one]
    assert told["accepted"] == len(accepted)
    assert told["rejected"] == len(told["results"]) - len(accepted)
    for one in told["results"]:
        assert set(one) == ({"id", "deliveries"} if "id" in one else {"error"}), one
    return told["results"]


def codes(answer, status=202):
    return [one["error"]["code"] if "error" in one else "ok" for one in results(answer, status)]


class Upload:
    """A batch request that is sent as the test goes on. `length`: None is chunked."""

    def __init__(self, server, content_type=NDJSON, length=None, expect=False):
        self.chunked = length is None
        framing = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {length}"
        self.socket = socket.create_connection((server.address, server.port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(f"POST {BATCH} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n"
                            f"Authorization: Bearer {server.api_key}\r\n{framing}\r\n"
                            f"{'Expect: 100-continue' + chr(13) + chr(10) if expect else ''}"
                            "\r\n".encode())

    def send(self, data):
        if self.chunked:
            data = f"{len(data):x}\r\n".encode() + data + b"\r\n"
        self.socket.sendall(data)

    def end(self):
        if self.chunked:
            self.socket.sendall(b"0\r\n\r\n")

    def answer(self):
        received = b""
        while True:
            piece = self.socket.recv(65536)
            received += piece
            try:
                (answer,) = parse_answers(received)
                return answer
            except (AssertionError, ValueError):
                assert piece, received

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
