"""`trotline source`: listing, reading, putting and deleting sources, and trying one."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import threading

import pytest
from harness.daemon import binary

SECRET = "It is a Secret to Everybody"
GITHUB = {"scheme": "github", "secrets": [SECRET]}


@pytest.fixture
def run(server):
    """run(…): `trotline source …` of that server."""
    def run(*args, stdin="", url=None, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TROTLINE_")}
        clean |= {"TROTLINE_URL": url or server.url, "TROTLINE_API_KEY": server.api_key}
        return subprocess.run([binary(), "source", *args], input=stdin, capture_output=True, text=True,
                              timeout=30, env={**clean, **env})
    return run


def test_put_get_list_delete(run, client):
    done = run("put", "gh", "-", stdin=json.dumps(GITHUB))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == client.get("/api/sources/gh").json
    got = run("get", "gh")
    assert got.returncode == 0 and json.loads(got.stdout)["secrets"] == ["***body"]

    # What was got can be put, and the secret stays.
    document = json.loads(got.stdout) | {"description": "changed"}
    assert run("put", "gh", "-", stdin=json.dumps(document)).returncode == 0
    assert client.get("/api/sources/gh").json["secrets"] == ["***body"]

    listed = run("list")
    assert listed.returncode == 0
    assert listed.stdout.split()[:4] == ["gh", "github", "api", "active"] and "accepted=0" in listed.stdout
    assert json.loads(run("list", "--json").stdout)["sources"][0]["name"] == "gh"

    assert run("delete", "gh").returncode == 0
    gone = run("get", "gh")
    assert gone.returncode == 1 and "404 not_found" in gone.stderr
    assert run("delete", "gh").returncode == 1


def test_put_takes_the_files_of_a_folder(run, client, tmp_path):
    path = tmp_path / "hub.yaml"
    path.write_text('scheme: github # of our repositories\nsecrets: ["${HUB_SECRET}"]\n')
    done = run("put", "hub", str(path), HUB_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    assert client.get("/api/sources/hub").json["secrets"] == ["***body"]
    done = run("put", "hub", str(path))
    assert done.returncode == 2 and "HUB_SECRET is not set" in done.stderr
    client.delete("/api/sources/hub").expect(204)


def test_refusals_name_the_field(run):
    done = run("put", "gh", "-", stdin='{"scheme":"github"}')
    assert done.returncode == 1 and done.stdout == ""
    assert "400 missing_field" in done.stderr and "(field secrets)" in done.stderr


@pytest.mark.parametrize("args, message", [
    ([], "say what to do"),
    (["show"], "say what to do"),
    (["get"], "usage: "),
    (["get", "a", "b"], "usage: "),
    (["delete", "../events"], "cannot be a source's name"),
    (["put", "a", "nothing.json"], "cannot read nothing.json"),
    (["put", "a", "-"], "- is not JSON"),
    (["list", "--limit", "3"], "--limit"),
])
def test_usage(run, args, message):
    done = run(*args)
    assert done.returncode == 2 and message in done.stderr


def test_nobody_answers(run):
    assert run("list", url="http://127.0.0.1:1").returncode == 3


# ---- test: against a stand-in, which keeps what it is posted --------------------------------------

class StandIn:
    def __init__(self, source):
        stand_in = self
        self.status, self.answer, self.posted = 200, b'{"ok":true}', []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                assert self.path == f"/api/sources/{source['name']}" and self.headers["Authorization"]
                self.reply(200, json.dumps(source).encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stand_in.posted.append((self.path, self.headers, body))
                self.reply(stand_in.status, stand_in.answer)

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def stand_in(client):
    """stand_in(members) -> a server that shows the source that the real one makes of these members."""
    started = []

    def start(members):
        client.put("/api/sources/trial", members).expect(201)
        started.append(StandIn(client.get("/api/sources/trial").json))
        client.delete("/api/sources/trial").expect(204)
        return started[-1]

    yield start
    for server in started:
        server.close()


def mac(text, secret=SECRET.encode(), hash=hashlib.sha256):
    return hmac.new(secret, text, hash)


def github(headers, body):
    assert headers["X-Hub-Signature-256"] == "sha256=" + mac(body).hexdigest()


def stripe(headers, body):
    parts = dict(part.split("=") for part in headers["Stripe-Signature"].split(","))
    assert parts["v1"] == mac(f"{parts['t']}.".encode() + body).hexdigest()


def standard(headers, body):
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac(text, b"ABC" * 8).digest()).decode()


def own(headers, body):
    assert headers["X-Signature"] == mac(headers["X-Time"].encode() + b"." + body).hexdigest()


VERIFIER = {"signed": "{timestamp}.{body}", "encoding": "hex",
            "signatures": [{"algorithm": "hmac-sha256", "key": {"format": "raw"}}],
            "receive": {"signature": "header:X-Signature", "timestamp": "header:X-Time"}}


@pytest.mark.parametrize("members, secret, verify", [
    (GITHUB, SECRET, github),
    ({"scheme": "stripe", "secrets": [SECRET]}, SECRET, stripe),
    ({"scheme": "standard", "secrets": ["whsec_" + "QUJD" * 8]}, "whsec_" + "QUJD" * 8, standard),
    ({"verifier": VERIFIER, "secrets": [SECRET]}, SECRET, own),
], ids=["github", "stripe", "standard", "verifier"])
def test_a_source_is_tried(run, stand_in, members, secret, verify):
    server = stand_in(members)
    done = run("test", "trial", url=server.url, TROTLINE_SOURCE_SECRET=secret)
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'HTTP 200 {"ok":true}\n'
    done = run("test", "trial", '{"n": 1.10}', "--secret", secret, url=server.url)
    assert done.returncode == 0, done.stderr
    (first, _, body), (path, headers, given) = server.posted
    assert first == path == "/in/trial" and given == b'{"n": 1.10}' and json.loads(body)["type"] == "test"
    for path, headers, body in server.posted:
        verify(headers, body)
        assert headers["Authorization"] is None and headers["Content-Type"] == "application/json"


def test_what_a_try_comes_to(run, stand_in):
    server = stand_in(GITHUB)
    server.status, server.answer = 401, b'{"error":{"code":"bad_signature","message":"No.","field":null}}'
    done = run("test", "trial", "--secret", "another secret", url=server.url)
    assert done.returncode == 1 and "401 bad_signature: No." in done.stderr
    done = run("test", "trial", url=server.url)
    assert done.returncode == 2 and "TROTLINE_SOURCE_SECRET" in done.stderr
    done = run("test", "trial", "{", "--secret", SECRET, url=server.url)
    assert done.returncode == 2 and "is not JSON" in done.stderr
    assert len(server.posted) == 1, "the others posted nothing"


def test_schemes_of_ones_own(run, stand_in, tmp_path):
    """The command has the built-in ones; the server's own are in a folder."""
    server = stand_in({"scheme": "stripe", "secrets": [SECRET]})
    folder = tmp_path / "schemes"
    folder.mkdir()
    (folder / "stripe.yaml").write_text(json.dumps({"name": "stripe", **VERIFIER}))
    done = run("test", "trial", "--secret", SECRET, "--schemes", str(folder), url=server.url)
    assert done.returncode == 0, done.stderr
    own(*server.posted[0][1:])
