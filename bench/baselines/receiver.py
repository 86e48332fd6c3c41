"""A receiver that verifies what it is sent, so that a fast sender is also seen to be right."""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time

TOLERANCE_S = 300  # of the timestamp, as Standard Webhooks says


def fault_of(headers, body, secret):
    """What is wrong with a delivery by Standard Webhooks; None when nothing is."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    identity, sent = headers["webhook-id"] or "", headers["webhook-timestamp"] or ""
    if not identity or not sent.isdigit() or abs(int(sent) - time.time()) > TOLERANCE_S:
        return f"webhook-id {identity!r}, webhook-timestamp {sent!r}"
    digest = hmac.new(key, f"{identity}.{sent}.".encode() + body, hashlib.sha256).digest()
    if headers["webhook-signature"] != f"v1,{base64.b64encode(digest).decode()}":
        return "the signature does not verify"
    if headers["content-type"] != "application/json":
        return f"content-type {headers['content-type']!r}"
    event = json.loads(body)
    if event["type"] != "bench" or not event["timestamp"] or "n" not in event["data"]:
        return "the body is not an event of bench-load"
    return None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class Receiver:
    """Listens from the start. The secret is set when it is known.

    `numbers` counts the deliveries that verify, by the event's number; `identities` are their ids;
    `faults` are the others' faults. Every event whose number `refuse` says is answered with 503 the
    first time, and does not count then.
    """

    def __init__(self, certificate=None, refuse=lambda number: False):
        self.secret, self.refuse = None, refuse
        self.numbers, self.identities, self.faults, self.refused = {}, set(), [], set()
        self._lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response_only(receiver.take(self.headers, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, headers, body):
        """Verifies and counts one delivery; the status to answer."""
        try:
            fault = fault_of(headers, body, self.secret)
            number = None if fault else json.loads(body)["data"]["n"] - 10**9
        except (ValueError, KeyError, TypeError) as error:
            fault = repr(error)
        with self._lock:
            if fault:
                self.faults.append(fault)
                return 400
            if number not in self.refused and self.refuse(number):
                self.refused.add(number)
                return 503
            self.numbers[number] = self.numbers.get(number, 0) + 1
            self.identities.add(headers["webhook-id"])
        return 204

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
