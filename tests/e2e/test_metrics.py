"""/metrics, and what reads it: the alerting rules and the board of conf/, and the README's table."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from harness import Sink, free_port, wait_until
from harness.sink import hang, redirect, reset

ROOT = Path(__file__).resolve().parents[2]
ONCE = {"schedule": []}

SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z_]+="(?:[^"\\]|\\.)*"(?:,[a-z_]+="[^"]*")*)\})? (\S+)$')


def scrape(client):
    """{series as it is written: value}."""
    answer = client.get("/metrics").expect(200)
    assert answer.header("Content-Type") == "text/plain; version=0.0.4"
    series = {}
    for line in answer.body.decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert SAMPLE.match(line) and name not in series, line
            series[name] = float(value)
    return series


def family(series):
    """The name of a series, without labels and without what histograms add."""
    return re.sub(r"_(bucket|sum|count)$", "", series.partition("{")[0])


def changed(before, after):
    """What moved, of the counters that this test asks for."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def moved(changes, prefix):
    """{label's value: change} of one family's series."""
    found = {}
    for name, change in changes.items():
        match = re.fullmatch(re.escape(prefix) + r'\{[a-z]+="(.*)"\}', name)
        if match:
            found[match.group(1)] = change
    return found


def promtool(*arguments, stdin=None):
    result = subprocess.run(["promtool", *map(str, arguments)], input=stdin, text=True, timeout=60,
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def busy(server):
    """The module's server, after traffic of all kinds."""
    with Sink() as sink, server.client() as client:
        sink.script("/flaky", [500, 200])
        sink.script("/bad", 404)
        webhooks = [client.create_webhook(sink.url(path), ["busy"],
                                          retryPolicy={"schedule": ["50ms"], "jitter": 0})
                    for path in ("/", "/flaky", "/bad")]
        webhooks.append(client.create_webhook(sink.url("/batched"), ["busy"], batch={"maxWait": 0}))
        event = client.event_id("busy", key="one")
        client.post_event("busy", key="one").expect(202)
        client.post_event("no type").expect(400)
        wait_until(lambda: [client.deliveries(event)[webhook["id"]]["status"]
                            for webhook in webhooks] == ["sent", "sent", "dead_letter", "sent"],
                   what="all to be settled")
        wait_until(lambda: client.metric("trotline_batches_open") == 0,
                   what="the batches to be closed")
    return server


# ---- the form of a scrape ------------------------------------------------------------------------------

def test_promtool_has_nothing_to_say(busy):
    with busy.client(key=None) as client:
        text = client.get("/metrics").expect(200).body.decode()
    assert promtool("check", "metrics", stdin=text) == ""


def test_families_are_whole(busy):
    """Each has one HELP and one TYPE, before its samples, which stand together."""
    with busy.client() as client:
        lines = client.get("/metrics").body.decode().splitlines()
    helped, typed, current = set(), {}, None
    for line in lines:
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            assert current not in helped, line
            assert line.endswith(".") or line.split(" ", 3)[3].startswith("1; "), line
            helped.add(current)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current and name not in typed, line
            typed[name] = kind
        else:
            name = line.partition("{")[0].partition(" ")[0]
            assert (family(line.rpartition(" ")[0]) if typed[current] == "histogram"
                    else name) == current, line
    assert helped == set(typed)
    for name, kind in typed.items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith(("_seconds", "_bytes", "_events")), name


def test_histograms_are_cumulative(busy):
    with busy.client() as client:
        series = scrape(client)
    rows = {}
    for name, value in series.items():
        match = re.match(r'([a-z_]+)_bucket\{(.*,)?le="(.*)"\}$', name)
        if match:
            rows.setdefault((match.group(1), match.group(2) or ""), []).append(
                (float(match.group(3)), value))
    assert len(rows) == 9
    for (name, label), buckets in rows.items():
        labels = "{" + label[:-1] + "}" if label else ""
        assert buckets == sorted(buckets) and buckets[-1][0] == float("inf"), name
        assert [count for _, count in buckets] == sorted(count for _, count in buckets), name
        assert buckets[-1][1] == series[f"{name}_count{labels}"], name
        assert series[f"{name}_count{labels}"] > 0 < series[f"{name}_sum{labels}"], name


def test_the_process_is_seen_as_the_system_sees_it(busy):
    with busy.client() as client:
        series = scrape(client)
    assert 0.5 < series["process_resident_memory_bytes"] / 1024 / busy.rss_kib() < 2
    assert series["process_virtual_memory_bytes"] > series["process_resident_memory_bytes"]
    assert abs(series["process_open_fds"] - busy.descriptors()) <= 4
    assert series["process_open_fds"] < series["process_max_fds"]
    assert abs(series["process_cpu_seconds_total"] - busy.cpu_seconds()) < 2
    assert 0 < time.time() - series["process_start_time_seconds"] < 600


# ---- what is bounded -----------------------------------------------------------------------------------

def test_series_do_not_grow_with_endpoints_or_types(start_daemon, sink):
    daemon = start_daemon()
    with daemon.client() as client:
        before = scrape(client)
        for number in range(200):
            client.create_webhook(sink.url(f"/{number}"), [f"type.{number}"])
        for number in range(200):
            client.event_id(f"type.{number}", key=f"key-{number}")
        sink.wait_for(200, timeout=60)
        answer = client.get("/metrics")
        assert set(scrape(client)) == set(before), "the same series"
        assert client.metric('trotline_endpoints{state="active"}') == 200
    assert len(answer.body) < 48 * 1024
    assert len(before) < 400


def test_a_scrape_does_not_ask_redis(redis_server, start_daemon):
    """Many scrapes make no command of Redis as frequent; and they are answered while it is frozen."""
    daemon = start_daemon(redis=redis_server)

    def calls():
        return {name: int(text["calls"] if isinstance(text, dict)
                          else re.search(r"calls=(\d+)", text).group(1))
                for name, text in redis_server.info("commandstats").items()}

    scrapes = 400
    with daemon.client(key=None) as client:
        before = calls()
        for _ in range(scrapes):
            client.get("/metrics").expect(200)
        after = calls()
        assert max(after[name] - before.get(name, 0) for name in after) < scrapes, (before, after)
        redis_server.pause()
        try:
            for _ in range(20):
                client.get("/metrics").expect(200)
        finally:
            redis_server.resume()


# ---- counters against what was done ----------------------------------------------------------------------

REFUSED = {
    "invalid_json": b'{"type":',
    "json_too_deep": b'{"type":"a","data":' + b"[" * 100 + b"]" * 100 + b"}",
    "unknown_field": b'{"type":"a","data":1,"colour":"red"}',
    "missing_field": b'{"type":"a"}',
    "payload_too_large": b'{"type":"a","data":"' + b"x" * 2000 + b'"}',
    "invalid_type": b'{"type":"a b","data":1}',
    "invalid_version": b'{"type":"a","data":1,"version":1}',
    "invalid_timestamp": b'{"type":"a","data":1,"timestamp":"yesterday"}',
    "invalid_idempotency_key": b'{"type":"a","data":1,"idempotencyKey":""}',
    "invalid_source": b'{"type":"a","data":1,"source":1}',
    "invalid_delay": b'{"type":"a","data":1,"delay":"soon"}',
    "invalid_deliver_at": b'{"type":"a","data":1,"deliverAt":"tomorrow"}',
    "invalid_uid": b'{"type":"a","data":1,"uid":""}',
}


def test_events_are_counted_by_their_answer(start_daemon):
    daemon = start_daemon(config="ingest: {maxEventBytes: 1KiB}\n")
    with daemon.client() as client:
        before = scrape(client)
        for number in range(5):
            client.post_event("a", {"n": number}, key=f"k{number}").expect(202)
        for number in range(3):
            client.post_event("a", {"n": number}, key=f"k{number}").expect(202)
        client.post_event("a", {"n": "other"}, key="k0").expect(422, "idempotency_key_reused")
        client.post_event("a", uid="u").expect(202)
        client.post_event("a", {"n": 1}, uid="u").expect(409, "uid_taken")
        for code, body in REFUSED.items():
            answer = client.post("/api/events", body=body)
            assert answer.status in (400, 413) and answer.code == code, answer
        client.post_event("a", key="x" * 300).expect(400, "invalid_idempotency_key")
        client.get("/nothing").expect(404)
        changes = changed(before, scrape(client))
    assert changes["trotline_events_accepted_total"] == 6
    assert changes["trotline_events_deduplicated_total"] == 3
    assert moved(changes, "trotline_events_rejected_total") == {
        **dict.fromkeys(REFUSED, 1), "invalid_idempotency_key": 2, "idempotency_key_reused": 1,
        "uid_taken": 1}
    # The answer to the first scrape was counted after it was written.
    assert moved(changes, "trotline_http_responses_total") == {
        "2xx": 6 + 3 + 1, "4xx": len(REFUSED) + 4}
    assert changes["trotline_publish_duration_seconds_count"] == 6
    assert changes["trotline_batch_events_sum"] == 6 + 3 + 2, "those judged by Redis are in a batch"
    assert changes["trotline_batches_stored_total"] == changes["trotline_batch_events_count"]
    assert changes["trotline_batch_bytes_sum"] > 6 * 30


def test_refusals_without_redis_are_counted(redis_server, start_daemon):
    daemon = start_daemon(redis=redis_server)
    with daemon.client() as client:
        client.post_event("a").expect(202)
        assert client.metric("trotline_redis_up") == 1
        redis_server.kill9()
        wait_until(lambda: client.metric("trotline_redis_up") == 0, what="the loss to be seen")
        before = scrape(client)
        for _ in range(4):
            client.post_event("a").expect(503, "redis_unavailable")
        after = scrape(client)
        redis_server.start()
        wait_until(lambda: client.metric("trotline_redis_up") == 1, what="Redis to be back")
        end = scrape(client)
    assert moved(changed(before, after), "trotline_events_rejected_total") == {
        "redis_unavailable": 4}
    assert end['trotline_redis_connects_total{conn="work"}'] == 2
    assert end['trotline_redis_failures_total{conn="work"}'] >= 1


def test_attempts_are_counted_by_class_and_deliveries_by_outcome(start_daemon, sink):
    daemon = start_daemon()
    targets = {  # path: answers, so many attempts of each class
        "/ok": (200, {"success": 1}),
        "/flaky": ([500, 503, 200], {"http_5xx": 2, "success": 1}),
        "/bad": (404, {"http_4xx": 3}),
        "/elsewhere": (redirect("http://127.0.0.1:9/"), {"http_3xx": 3}),
        "/reset": ([reset(), 204], {"connection_reset": 1, "success": 1}),
        "/hang": ([hang(), 200], {"timeout": 1, "success": 1}),
    }
    policy = {"schedule": ["20ms", "20ms"], "jitter": 0}
    expected = {"connection_refused": 1}
    with daemon.client() as client:
        before = scrape(client)
        for path, (answers, classes) in targets.items():
            sink.script(path, answers)
            client.create_webhook(sink.url(path), ["a"], timeout="1s", retryPolicy=policy)
            for name, count in classes.items():
                expected[name] = expected.get(name, 0) + count
        client.create_webhook(f"http://127.0.0.1:{free_port()}/", ["a"], retryPolicy=ONCE)
        gone = client.create_webhook(sink.url("/gone"), ["later"])
        client.event_id("a")
        client.event_id("later", delay="1h")
        client.delete_webhook(gone["id"]).expect(204)

        def settled():
            changes = changed(before, scrape(client))
            assert moved(changes, "trotline_deliveries_total") == {
                "sent": 4, "dead_letter": 3, "cancelled": 1}, changes
            return changes
        changes = wait_until(settled, 30, "all deliveries to end")
    assert moved(changes, "trotline_attempts_total") == expected
    failed = sum(expected.values()) - expected["success"]
    assert changes["trotline_deliveries_retried_total"] == failed - 3
    assert changes["trotline_attempt_duration_seconds_count"] == sum(expected.values())
    assert changes["trotline_attempt_duration_seconds_sum"] > 1, "one of them took a second"
    assert changes["trotline_delivery_duration_seconds_count"] == 4
    assert changes["trotline_delivery_duration_seconds_sum"] > 1
    assert changes["trotline_outbound_requests_total"] == sum(expected.values())
    assert changes["trotline_outbound_connections_reused_total"] > 0
    assert changes["trotline_deliveries_moved_total"] >= 1


def test_a_delay_that_was_asked_for_is_not_latency(start_daemon, sink):
    daemon = start_daemon()
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"])
        client.event_id("a", delay="1500ms")
        sink.wait_for(1)
        wait_until(lambda: client.metric("trotline_delivery_duration_seconds_count") == 1)
        assert client.metric("trotline_delivery_duration_seconds_sum") < 1


def test_a_replay_ends_a_second_time_and_is_no_latency(start_daemon, sink):
    daemon = start_daemon()
    sink.script("/", [500, 200])
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"], retryPolicy=ONCE)
        client.event_id("a")
        wait_until(client.dead_letters, what="the dead letter")
        client.post("/api/dead-letters/replay").expect(202)
        wait_until(lambda: client.metric('trotline_deliveries_total{outcome="sent"}') == 1)
        assert client.metric('trotline_deliveries_total{outcome="dead_letter"}') == 1
        assert client.metric("trotline_delivery_duration_seconds_count") == 0


def test_endpoints_are_counted_by_state(start_daemon):
    daemon = start_daemon()

    def states():
        series = scrape(client)
        return (series['trotline_endpoints{state="active"}'],
                series['trotline_endpoints{state="disabled"}'])

    with daemon.client() as client:
        webhooks = [client.create_webhook(f"http://127.0.0.1:9/{n}", ["a"])["id"] for n in range(3)]
        assert states() == (3, 0)
        client.post(f"/api/webhooks/{webhooks[0]}/disable").expect(200)
        assert states() == (2, 1)
        client.delete_webhook(webhooks[1]).expect(204)
        assert states() == (1, 1)
        daemon.restart()
        assert states() == (1, 1)
        client.post(f"/api/webhooks/{webhooks[0]}/enable").expect(200)
        assert states() == (2, 0)


def test_in_flight_is_what_is_under_way(start_daemon, sink):
    daemon = start_daemon()
    sink.script("/", hang())
    with daemon.client() as client:
        client.create_webhook(sink.url("/"), ["a"], timeout="2s", retryPolicy=ONCE)
        for _ in range(5):
            client.event_id("a")
        sink.wait_for(5)
        series = scrape(client)
        assert series["trotline_attempts_in_flight"] == 5
        assert series["trotline_deliveries_in_hand"] == 5
        assert series["trotline_events_in_hand_bytes"] > 0
        assert series["trotline_attempts_in_flight_max"] == 1000
        wait_until(lambda: client.metric("trotline_attempts_in_flight") == 0)
        wait_until(lambda: client.metric("trotline_events_in_hand_bytes") == 0)


# ---- rules, board, README --------------------------------------------------------------------------------

WORDS = {"by", "and", "or", "unless", "on", "ignoring", "without", "bool", "offset", "group_left"}


def metrics_of(expression):
    """The metric names in an expression: what is left without strings, selectors, ranges, label
    lists, functions and words of the language."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left)\s*\([^)]*\)", "", text)
    text = re.sub(r"\b[a-z_]+\s*\(", "(", text)
    return set(re.findall(r"\b[a-z_][a-zA-Z0-9_:]*\b", text)) - WORDS


def selectors_of(expression):
    """(name, [(label, operator, value)]) of each selector with labels."""
    for name, inside in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
        yield name, re.findall(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"', inside)


def matches(series, name, conditions):
    if series.partition("{")[0] != name:
        return False
    labels = dict(re.findall(r'([a-z_]+)="([^"]*)"', series))
    for label, operator, value in conditions:
        if label in ("instance", "job"):
            continue  # Prometheus' own
        has = labels.get(label, "")
        met = re.fullmatch(value, has) is not None if "~" in operator else has == value
        if met != (operator[0] == "="):
            return False
    return True


def rule_expressions():
    text = (ROOT / "conf/alerts.yaml").read_text()
    found = re.findall(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", text, re.M)
    assert len(found) == text.count("- alert:") > 10
    return [folded or plain for folded, plain in found]


def board():
    return json.loads((ROOT / "conf/grafana.json").read_text())


def board_expressions():
    expressions = [target["expr"] for panel in board()["panels"]
                   for target in panel.get("targets", ())]
    expressions += [each["expr"] for each in board()["annotations"]["list"]]
    assert len(expressions) > 40
    return expressions


@pytest.mark.parametrize("expressions", [rule_expressions, board_expressions])
def test_every_metric_that_is_read_exists(busy, expressions):
    with busy.client() as client:
        series = scrape(client)
    names = {name.partition("{")[0] for name in series} | {"up"}
    for expression in expressions():
        used = metrics_of(expression)
        assert used and used <= names, f"{used - names} in {expression}"
        for name, conditions in selectors_of(expression):
            if name != "up":
                assert any(matches(each, name, conditions) for each in series), expression
            for label, operator, value in conditions:
                if operator == "=~" and label != "instance":
                    for one in value.split("|"):
                        assert any(matches(each, name, [(label, "=", one)]) for each in series), one


def test_rules():
    assert "SUCCESS" in promtool("check", "rules", ROOT / "conf/alerts.yaml")
    assert "SUCCESS" in promtool("test", "rules", ROOT / "conf/alerts_test.yaml")


def test_every_rule_says_what_to_do_and_is_tested():
    rules = re.split(r"^ +- alert: ", (ROOT / "conf/alerts.yaml").read_text(), flags=re.M)[1:]
    tests = (ROOT / "conf/alerts_test.yaml").read_text()
    for rule in rules:
        name = rule.split("\n")[0]
        assert re.search(r"^ +severity: (critical|warning)$", rule, re.M), name
        assert re.search(r"^ +summary: \S.*\.$", rule, re.M), name
        assert re.search(r"^ +description: >-\n +\S", rule, re.M), name
        assert f'alertname="{name}"' in tests, name


def test_the_board_is_sound(tmp_path):
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [(place["x"] + dx, place["y"] + dy) for place in places
             for dx in range(place["w"]) for dy in range(place["h"])]
    assert len(set(cells)) == len(cells), "panels lie on each other"
    assert max(x for x, _ in cells) < 24
    variables = {variable["name"] for variable in board()["templating"]["list"]}
    text = (ROOT / "conf/grafana.json").read_text()
    used = set(re.findall(r"\$\{?([a-z_]+)", text)) - {"__rate_interval"}
    assert used == variables == {"datasource", "instance"}
    assert set(re.findall(r'"uid": "([^"]*)"', text)) == {"${datasource}", "trotline"}
    rules = tmp_path / "board.yaml"
    records = [{"record": f"board:{number}", "expr": re.sub(r"\$__rate_interval", "5m", expression)}
               for number, expression in enumerate(board_expressions())]
    rules.write_text(json.dumps({"groups": [{"name": "board", "rules": records}]}))
    promtool("check", "rules", rules)


def test_the_readme_names_what_exists(busy):
    with busy.client() as client:
        families = {family(name) for name in scrape(client)}
    named = set(re.findall(r"`((?:trotline|process)_[a-z_]+)", (ROOT / "README.md").read_text()))
    assert len(named) > 30 and named <= families, named - families
