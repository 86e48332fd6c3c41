"""The command line as a user sees it: help, versions, configuration checks, and sending.

TROTLINE_BIN names the program; build/dev/trotline is the default. Only loopback is used.
"""
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TROTLINE_BIN", str(ROOT / "build" / "dev" / "trotline"))
KEY = "0123456789abcdef"


def run(*args, stdin="", cwd=None, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TROTLINE_")}
    return subprocess.run([BIN, *args], input=stdin, capture_output=True, text=True, timeout=30,
                          cwd=cwd, env={**clean, **env})


class Gateway:
    """Answers POST /api/events with what it is told to, and keeps the requests."""

    def __init__(self):
        gateway = self
        self.status, self.answer, self.requests = 202, {"id": "msg_1", "deliveries": 2}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.requests.append((self.path, dict(self.headers), body))
                answer = gateway.answer
                raw = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(gateway.status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gateway():
    gateway = Gateway()
    yield gateway
    gateway.close()


def commands():
    lines = run("help").stdout.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines]


# ---- help and version ---------------------------------------------------------------------------


def test_without_a_command_the_overview_is_an_error():
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: trotline COMMAND" in done.stderr


@pytest.mark.parametrize("args", [["help"], ["--help"], ["-h"]])
def test_overview(args):
    done = run(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "check-config" in done.stdout and "version" in done.stdout


def test_every_command_explains_itself():
    for command in commands():
        if command == "help":
            continue
        for args in ([command, "--help"], [command, "-h"], ["help", command]):
            done = run(*args)
            assert (done.returncode, done.stderr) == (0, ""), args
            assert done.stdout.startswith(f"Usage: trotline {command}"), args
            assert "Exit codes: 0" in done.stdout
            assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("typed, meant", [("verison", "version"), ("check-confg", "check-config"),
                                          ("sedn", "send")])
def test_unknown_command_has_a_suggestion(typed, meant):
    done = run(typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert f'unknown command "{typed}"; did you mean "{meant}"?' in done.stderr
    assert run("help", typed).stderr == done.stderr


def test_unknown_option_has_a_suggestion():
    done = run("version", "--jsno")
    assert done.returncode == 2
    assert done.stderr == ("trotline: unknown option --jsno; did you mean --json?\n"
                           "See: trotline version --help\n")


def test_version_names_all_libraries():
    names = ["trotline", "compiler", "libevent", "libcurl", "libcurlTls", "libcurlResolver",
             "openssl", "hiredis", "msgpack", "jansson", "libcyaml", "lz4"]
    versions = json.loads(run("version", "--json").stdout)
    assert list(versions) == names
    assert all(versions.values())
    lines = run("version").stdout.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert run("--version").stdout == run("version").stdout


# ---- check-config -------------------------------------------------------------------------------


def test_defaults_are_the_sample_file():
    done = run("check-config", "--print-defaults")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "conf" / "trotline.yaml").read_text()


def test_good_configuration(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text('outbound:\n  timeout: 7s\napiKeys: ["${THE_KEY}"]\n')
    done = run("check-config", "--config", str(file), "--set", "dev=true", "--json", THE_KEY=KEY)
    assert (done.returncode, done.stderr) == (0, "")
    options = json.loads(done.stdout)
    assert options["outbound.timeout"] == {"value": "7s", "from": "file"}
    assert options["dev"] == {"value": "true", "from": "command line"}
    assert options["redis"] == {"value": "embedded", "from": "default"}
    assert KEY not in done.stdout
    assert run("check-config").stdout == "the configuration is good\n"


def test_bad_configuration_tells_file_line_option_value_and_range(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text("dev: true\noutbound:\n  timeout: 7y\n")
    done = run("check-config", "--config", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f'trotline: {file}:3: outbound.timeout: "7y" is not a duration (a '
                           "number and ms, s, m, h or d); allowed: 10ms to 1h\n")


def test_unknown_setting_is_usage():
    done = run("check-config", "--set", "outbound.timeuot=1s")
    assert done.returncode == 2
    assert 'did you mean "outbound.timeout"?' in done.stderr


def test_help_lists_every_option_of_the_sample():
    help_text = run("check-config", "--help").stdout
    for name in json.loads(run("check-config", "--json").stdout):
        assert f"\n  {name}\n" in help_text


def test_full_output_is_a_failure():
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN, "version"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "cannot write" in done.stderr


# ---- send ---------------------------------------------------------------------------------------


def test_send(gateway):
    done = run("send", "order.created", '{"n":1.10}', "--idempotency-key", 'k"1', "--delay", "5s",
               TROTLINE_URL=gateway.url + "/", TROTLINE_API_KEY=KEY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "msg_1 deliveries=2\n", "")
    (path, headers, body), = gateway.requests
    assert path == "/api/events"
    assert headers["Authorization"] == "Bearer " + KEY
    assert headers["Content-Type"] == "application/json"
    # The data goes as it was written, and the rest is quoted.
    assert body == (b'{"type":"order.created","data":{"n":1.10},"idempotencyKey":"k\\"1",'
                    b'"delay":"5s"}')


def test_send_reads_standard_input(gateway):
    done = run("send", "t", "-", "--url", gateway.url, "--deliver-at", "2031-05-01T08:00:00Z",
               "--json", stdin=' [1,\n2] ')
    assert (done.returncode, json.loads(done.stdout)) == (0, gateway.answer)
    assert json.loads(gateway.requests[0][2]) == {
        "type": "t", "data": [1, 2], "deliverAt": "2031-05-01T08:00:00Z"}
    assert "Authorization" not in gateway.requests[0][1]


def test_send_sends_large_data_without_waiting(gateway):
    data = json.dumps(["x" * 1000] * 3000)
    assert run("send", "t", "-", "--url", gateway.url, stdin=data).returncode == 0
    assert json.loads(gateway.requests[0][2])["data"] == json.loads(data)


def test_send_finds_the_key(gateway, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "api-key").write_text("from-data\n")
    (tmp_path / "key").write_text("from-file\n")
    tries = [([], {}, "from-data"), ([], {"TROTLINE_API_KEY": "from-env"}, "from-env"),
             (["--api-key-file", "key"], {"TROTLINE_API_KEY": "from-env"}, "from-file"),
             (["--api-key", "given", "--api-key-file", "key"], {}, "given")]
    for args, env, expected in tries:
        assert run("send", "t", "--url", gateway.url, *args, cwd=tmp_path, **env).returncode == 0
        assert gateway.requests[-1][1]["Authorization"] == "Bearer " + expected
    done = run("send", "t", "--url", gateway.url, "--api-key-file", "none", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot read the API key from none: No such file" in done.stderr
    (tmp_path / "key").write_text("x" * 100000)
    done = run("send", "t", "--url", gateway.url, "--api-key-file", "key", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot read the API key from key: File too large" in done.stderr


def test_send_refused(gateway):
    gateway.status = 400
    gateway.answer = {"error": {"code": "invalid_type", "message": "no\x1b[31m blanks",
                                "field": "type"}}
    done = run("send", "t", "--url", gateway.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("trotline: refused: 400 invalid_type: no [31m blanks (field type)\n")
    done = run("send", "t", "--url", gateway.url, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, gateway.answer)


@pytest.mark.parametrize("status, answer", [(502, "<html>"), (301, ""), (200, "hello"), (200, "{}")])
def test_send_to_something_else(gateway, status, answer):
    gateway.status, gateway.answer = status, answer
    done = run("send", "t", "--url", gateway.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert ("does not answer like trotline" if status == 200 else f"refused: {status}\n") in done.stderr


@pytest.mark.parametrize("args, message", [
    ([], "the event's type is missing"),
    (["t", "{"], "the data is not JSON"),
    (["t", "{} {}"], "the data is not JSON"),
    (["t", "{}", "{}"], 'unexpected argument "{}"'),
    (["t", "--delay", "5"], '--delay: "5" is not a duration'),
    (["t", "--delay", "5s", "--deliver-at", "x"], "exclude each other"),
    (["t", "--timeout", "0s"], "--timeout: allowed: 1ms to 1h"),
    (["t", "--api-key", "a\nb"], "the API key has characters no key has"),
    (["t", "--url"], "--url needs a value"),
    (["t", "--ulr", "x"], "did you mean --url?"),
    (["t", "--url", "ftp://127.0.0.1"], "ftp"),
    (["t", "--url", "http://"], "http://"),
])
def test_send_usage_errors_send_nothing(gateway, args, message):
    done = run("send", *args, TROTLINE_URL=gateway.url)
    assert (done.returncode, done.stdout, gateway.requests) == (2, "", [])
    assert message in done.stderr


def test_send_unreachable():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and not listening
        done = run("send", "t", "--url", f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "/api/events: " in done.stderr


def test_send_gives_up_on_silence():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = run("send", "t", "--timeout", "200ms",
                   "--url", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert done.returncode == 3
    assert "timed out" in done.stderr
