"""/api/sources: making, reading, changing and deleting sources, files, and what other replicas know."""

import json

import pytest
from harness import wait_until

SECRET, OTHER = "It is a Secret to Everybody", "another Secret, for everybody else"
GITHUB = {"scheme": "github", "secrets": [SECRET]}


@pytest.fixture
def name(request, client):
    name = request.node.name.split("[")[0].removeprefix("test_")[:64]
    yield name
    client.delete(f"/api/sources/{name}")


def names(client):
    return [source["name"] for source in client.get("/api/sources?limit=500").expect(200).json["sources"]]


# ---- making and reading ------------------------------------------------------------------------

def test_made_with_post(client, name):
    answer = client.post("/api/sources", {"name": name, **GITHUB}).expect(201)
    assert answer.header("Location") == f"/api/sources/{name}"
    source = answer.json
    assert source["name"] == name and source["scheme"] == "github" and source["origin"] == "api"
    assert source["secrets"] == ["***body"] and source["active"] is True
    assert source["typePrefix"] == name and source["methods"] == ["POST"]
    assert source["deduplication"] == {"policy": "drop", "ttl": "4d"}
    assert source["reply"] == {"status": 200, "contentType": None, "body": None}
    assert set(source["received"]) >= {"accepted", "duplicate", "bad_signature", "lastAcceptedAt"}
    assert client.get(f"/api/sources/{name}").expect(200).json == source
    client.post("/api/sources", {"name": name, **GITHUB}).expect(409, "source_exists", "name")


def test_made_with_put(client, name):
    made = client.put(f"/api/sources/{name}", GITHUB).expect(201).json
    changed = client.put(f"/api/sources/{name}", {"scheme": "github", "active": False}).expect(200).json
    assert made["createdAt"] == changed["createdAt"] and made["active"] and not changed["active"]


def test_no_answer_has_a_secret(server, client, name):
    body = {"name": name, "scheme": "github", "secrets": [SECRET, {"secret": OTHER, "expiresAt": "2999-01-01T00:00:00Z"}],
            "variables": {"token": "sesame, open the door"}}
    answers = [client.post("/api/sources", body).expect(201),
               client.get(f"/api/sources/{name}").expect(200), client.get("/api/sources").expect(200),
               client.put(f"/api/sources/{name}", {"scheme": "github"}).expect(200)]
    for answer in answers:
        for secret in (SECRET, OTHER, "sesame"):
            assert secret not in answer.body.decode()
    for secret in (SECRET, OTHER, "sesame"):
        assert secret not in server.log


def test_secrets_are_rotated_without_being_known(server, client, name):
    """What was shown is sent back with one secret more, and then without the old one."""
    shown = client.put(f"/api/sources/{name}", GITHUB).expect(201).json
    shown["secrets"].insert(0, OTHER)
    shown = client.put(f"/api/sources/{name}", shown).expect(200).json
    assert shown["secrets"] == ["***else", "***body"]
    shown["secrets"].pop()
    shown = client.put(f"/api/sources/{name}", shown).expect(200).json
    assert shown["secrets"] == ["***else"]
    shown["secrets"] = ["***body"]
    client.put(f"/api/sources/{name}", shown).expect(400, "invalid_secret", "secrets[0]")


def test_every_member(client, name):
    given = {
        "name": name, "application": "default", "scheme": "github", "secrets": [SECRET],
        "tolerance": {"past": "1h", "future": "off"}, "publicUrl": "https://hooks.example.com/in/x",
        "variables": {"token": "x"}, "allowedNetworks": ["203.0.113.0/24", "2001:db8::/32"],
        "trustedProxies": ["10.0.0.0/8"], "methods": ["POST", "PUT"], "contentTypes": ["text/*"],
        "maxBodyBytes": "64KiB", "eventId": ["header:X-Id", "body_hash"], "eventType": "json:type",
        "typePrefix": "my.hub", "deduplication": {"policy": "forward", "ttl": "90m"},
        "reply": {"status": 202, "contentType": "text/plain", "body": "thanks"},
        "keepHeaders": ["X-Id"], "active": False, "description": "Grüße"}
    client.post("/api/sources", given).expect(201)
    read = client.get(f"/api/sources/{name}").expect(200).json
    for member in given.keys() - {"secrets", "variables", "maxBodyBytes"}:
        assert read[member] == given[member], member
    assert read["maxBodyBytes"] == 65536 and read["variables"] == {"token": "***"}


def test_a_verifier_of_its_own(client, name):
    verifier = {"signed": "{timestamp}.{body}", "encoding": "hex",
                "signatures": [{"algorithm": "hmac-sha256", "key": {"format": "raw"}}],
                "receive": {"signature": "header:X-Signature", "timestamp": "header:X-Timestamp"}}
    made = client.post("/api/sources", {"name": name, "verifier": verifier, "secrets": [SECRET]}).expect(201)
    assert made.json["verifier"] == verifier and "scheme" not in made.json
    verifier["encoding"] = "rot13"
    answer = client.post("/api/sources", {"name": name, "verifier": verifier, "secrets": [SECRET]})
    answer.expect(400, "invalid_verifier", "verifier")
    assert "hex" in answer.error["message"], "the scheme's own complaint"


@pytest.mark.parametrize("body, code, field", [
    ({}, "missing_field", "name"),
    ({"name": "No"}, "invalid_name", "name"),
    ({"name": "x"}, "missing_field", "scheme"),
    ({"name": "x", "scheme": "githab"}, "invalid_scheme", "scheme"),
    ({"name": "x", "scheme": "github"}, "missing_field", "secrets"),
    ({"name": "x", **GITHUB, "alowedNetworks": []}, "unknown_field", "alowedNetworks"),
    ({"name": "x", **GITHUB, "allowedNetworks": ["10.0.0.1/8"]}, "invalid_networks", "allowedNetworks[0]"),
    ({"name": "x", "scheme": "twilio", "secrets": [SECRET]}, "missing_field", "publicUrl"),
])
def test_refused(client, body, code, field):
    client.post("/api/sources", body).expect(400, code, field)
    assert "x" not in names(client)


def test_refused_before_that(client):
    client.request("POST", "/api/sources", body=b"{", headers={"Content-Type": "application/json"}).expect(400, "invalid_json")
    client.request("POST", "/api/sources", body=b"{}", headers={"Content-Type": "text/plain"}).expect(415)
    client.request("POST", "/api/sources", body=b" " * 70000, headers={"Content-Type": "application/json"}).expect(413)
    client.put("/api/sources/Not-a-name", GITHUB).expect(400, "invalid_name", "name")
    client.put("/api/sources/one", {"name": "two", **GITHUB}).expect(400, "invalid_name", "name")
    for method in ("get", "delete"):
        getattr(client, method)("/api/sources/nobody").expect(404, "not_found")
    assert client.patch("/api/sources/x", {}).expect(405).header("Allow") == "GET, HEAD, PUT, DELETE"


def test_deleted(client, name):
    client.put(f"/api/sources/{name}", GITHUB).expect(201)
    client.delete(f"/api/sources/{name}").expect(204)
    client.get(f"/api/sources/{name}").expect(404)
    client.delete(f"/api/sources/{name}").expect(404)
    assert name not in names(client)
    assert client.put(f"/api/sources/{name}", GITHUB).expect(201), "the name is free again"


def test_the_list_has_pages(client):
    made = [f"page-{i}" for i in range(5)]
    for source in reversed(made):
        client.put(f"/api/sources/{source}", GITHUB).expect(201)
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/sources?limit=2{cursor and '&cursor=' + cursor}").expect(200).json
        assert page["count"] == len(page["sources"]) <= 2
        seen += [source["name"] for source in page["sources"]]
        cursor = page["cursor"]
    assert seen == sorted(names(client)) and set(made) <= set(seen)
    client.get("/api/sources?limit=0").expect(400, "invalid_limit", "limit")
    client.get("/api/sources?cursor=A").expect(400, "invalid_cursor", "cursor")
    for source in made:
        client.delete(f"/api/sources/{source}").expect(204)


def test_metrics_name_each_source(client, name):
    client.put(f"/api/sources/{name}", GITHUB).expect(201)
    metrics = client.get("/metrics").expect(200).body.decode().splitlines()
    for source in (name, "_others"):
        assert f'trotline_source_requests_total{{source="{source}",outcome="accepted"}} 0' in metrics
    assert "trotline_source_unknown_total 0" in metrics


# ---- what is kept ------------------------------------------------------------------------------

def test_sources_survive_a_restart(start_daemon):
    server = start_daemon()
    with server.client() as client:
        made = client.put("/api/sources/gh", GITHUB).expect(201).json
        server.restart()
        kept = client.get("/api/sources/gh").expect(200).json
    assert kept == made


# ---- files -------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


def test_files(start_daemon, folder):
    (folder / "github.yaml").write_text('scheme: github\nsecrets: ["${HUB_SECRET}"]\n')
    (folder / "b.yaml").write_text("name: other\nscheme: stripe\nsecrets:\n  - secret: whsec_0123456789abcdef\n"
                                   "    expiresAt: 2999-01-01T00:00:00Z\nactive: false\nreply: {status: 204}\n")
    (folder / "README.md").write_text("no source")
    server = start_daemon("--set", f"sources.dir={folder}", env={"HUB_SECRET": SECRET})
    with server.client() as client:
        assert names(client) == ["github", "other"]
        source = client.get("/api/sources/github").expect(200).json
        assert source["origin"] == "file" and source["secrets"] == ["***body"] and source["createdAt"] is None
        assert client.get("/api/sources/other").json["reply"]["status"] == 204
        client.put("/api/sources/github", GITHUB).expect(409, "source_in_file")
        client.delete("/api/sources/github").expect(409, "source_in_file")
        client.post("/api/sources", {"name": "github", **GITHUB}).expect(409, "source_exists")
        client.put("/api/sources/stored", GITHUB).expect(201)
        server.restart()
        assert names(client) == ["github", "other", "stored"]
    assert SECRET not in server.log


def test_a_file_goes_before_a_stored_source(start_daemon, folder):
    server = start_daemon("--set", f"sources.dir={folder}")
    with server.client() as client:
        client.put("/api/sources/gh", {**GITHUB, "description": "stored"}).expect(201)
        (folder / "gh.yaml").write_text(f'scheme: github\nsecrets: ["{OTHER}"]\n')
        server.restart()
        assert client.get("/api/sources/gh").json["origin"] == "file"
        (folder / "gh.yaml").unlink()
        server.restart()
        assert client.get("/api/sources/gh").json["description"] == "stored"


@pytest.mark.parametrize("text, reason", [
    ("scheme: github", 'secrets: The scheme "github" needs a secret.'),
    ("scheme: github\nsecrets: [\"${NOT_SET_HERE}\"]", "x.yaml:2: the environment variable NOT_SET_HERE is not set"),
    ("scheme: [github", "x.yaml:2: "),
    ("scheme: github\nsecret: x", 'There is no field "secret" here; did you mean "secrets"?'),
], ids=["incomplete", "variable", "syntax", "unknown"])
def test_a_wrong_file_ends_the_start(start_daemon, folder, text, reason):
    (folder / "x.yaml").write_text(text)
    server = start_daemon("--set", f"sources.dir={folder}", started=False)
    with pytest.raises(AssertionError, match="ended with 1"):
        server.start()
    assert reason in server.log.replace('\\"', '"')


def test_the_sample_is_good(start_daemon, request):
    folder = request.config.rootpath.parent / "conf/sources"
    server = start_daemon("--set", f"sources.dir={folder}", env={"GITHUB_WEBHOOK_SECRET": SECRET})
    with server.client() as client:
        assert names(client) == ["github"]


# ---- two replicas ------------------------------------------------------------------------------

# Nobody learns anything from heartbeats within the time of a test.
RARE_HEARTBEATS = ("--set", "replica.lease=60s", "--set", "replica.heartbeat=20s")


@pytest.fixture
def pair(redis_server, start_daemon):
    daemons = [start_daemon(*RARE_HEARTBEATS, redis=redis_server) for _ in range(2)]

    def heard():
        lines = redis_server.call("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()
        return len([line for line in lines if " sub=2 " in line]) == 2

    wait_until(heard, 10, "both to hear each other")
    with daemons[0].client() as a, daemons[1].client() as b:
        yield a, b


def shown(client, name):
    answer = client.get(f"/api/sources/{name}")
    return None if answer.status == 404 else json.dumps({**answer.json, "received": None})


def test_a_change_is_known_everywhere(pair):
    a, b = pair
    a.put("/api/sources/gh", GITHUB).expect(201)
    wait_until(lambda: shown(b, "gh") == shown(a, "gh"), 2, "made")
    b.put("/api/sources/gh", {"scheme": "github", "description": "by b"}).expect(200)
    wait_until(lambda: shown(a, "gh") == shown(b, "gh"), 2, "changed by the other one")
    assert a.get("/api/sources/gh").json["description"] == "by b"
    webhook = a.create_webhook("http://127.0.0.1:9/", ["x"])["id"]
    a.delete("/api/sources/gh").expect(204)
    wait_until(lambda: shown(b, "gh") is None, 2, "deleted")
    b.get_webhook(webhook).expect(200)


def test_changes_behind_their_backs_are_conflicts(pair, redis_server):
    """As if the notice had been lost: who makes a change of what is outdated is told, and then knows."""
    a, b = pair
    a.put("/api/sources/gh", {**GITHUB, "description": "one"}).expect(201)
    wait_until(lambda: shown(b, "gh"), 2, "made")
    key = "tl:{0}:config:sources"
    document = redis_server.call("HGET", key, "src_gh").decode()
    redis_server.call("HSET", key, "src_gh", document.replace('"one"', '"two"'))
    redis_server.call("HSET", key, "src_new", document.replace('"gh"', '"new"'))
    for source in ("src_gh", "src_new"):
        version = redis_server.call("HINCRBY", "tl:{0}:config", "version", 1)
        redis_server.call("ZADD", "tl:{0}:config:changes", version, source)
    b.put("/api/sources/gh", {"scheme": "github", "description": "three"}).expect(409, "conflict")
    wait_until(lambda: b.get("/api/sources/gh").json["description"] == "two", 2, "the present one")
    b.put("/api/sources/gh", {"scheme": "github", "description": "three"}).expect(200)
    a.put("/api/sources/new", GITHUB)
    wait_until(lambda: shown(a, "new"), 2, "the one that it had not heard of")


def test_of_many_at_once_one_makes_it(pair):
    a, b = pair
    answers = []
    for client in (a, b) * 5:
        answers.append(client.post("/api/sources", {"name": "gh", **GITHUB}))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 9
