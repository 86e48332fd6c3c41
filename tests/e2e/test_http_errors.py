"""Malformed HTTP and malformed events as raw bytes: the exact answer to each, and nothing stored.

The server refuses whatever two parsers could read differently (request smuggling). After every
case it must still answer, and at the end exactly one event has reached the endpoint that listens to
everything: the one that was good.
"""

import socket
import threading
import time

import pytest
from harness import Daemon, Sink, parse_answers, wait_until

CRLF = "\r\n"
GOOD_BODY = '{"type":"bad.http","data":{}}'


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A server with an endpoint for every event; at the end only the marker may have come."""
    daemon = Daemon(tmp_path_factory.mktemp("watched")).start()
    with Sink() as sink:
        with daemon.client() as client:
            client.create_webhook(sink.url("/"), ["*"])
        yield daemon
        with daemon.client() as client:
            marker = client.event_id("the.marker")
        sink.wait_for(1)
        sink.wait_quiet(0.5)
        assert sink.ids() == [marker], "a refused request was stored and delivered"
    daemon.finish()


def request(line="POST /api/events HTTP/1.1", *headers, body=GOOD_BODY, host=True, auth=True,
            length=True, type=True):
    """A request that is right but for what the case changes. KEY becomes the API key."""
    lines = [line]
    lines += ["Host: 127.0.0.1"] if host else []
    lines += ["Authorization: Bearer KEY"] if auth else []
    lines += ["Content-Type: application/json"] if type else []
    lines += [f"Content-Length: {len(body.encode())}"] if length else []
    return CRLF.join([*lines, *headers, "", body])


def chunked(body, *headers):
    return request("POST /api/events HTTP/1.1", "Transfer-Encoding: chunked", *headers, body=body,
                   length=False)


ONE_CHUNK = f"{len(GOOD_BODY):x}\r\n{GOOD_BODY}\r\n"

# (name, bytes, status, code). Every one of these ends the connection.
BROKEN = [
    # ---- the request line
    ("tls_hello", "\x16\x03\x01\x02\x00\x01\x00\x01", 400, "bad_request"),
    ("nul", "\0" * 16, 400, "bad_request"),
    ("leading_space", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("two_empty_lines", "\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("bare_lf", "GET /healthz HTTP/1.1\nHost: x\n\n", 400, "bad_request"),
    ("bare_lf_in_headers", "GET /healthz HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400, "bad_request"),
    ("no_version", "GET /healthz\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("one_word", "GET\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("no_target", "GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("two_spaces", "GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("tab", "GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("space_at_end", "GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("space_in_target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("bad_method", "GE(T /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("method_utf8", "GÉT /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("connect", "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("fragment", "GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_utf8", "GET /hé HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_control", "GET /a\x01b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_nul", "GET /healthz\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_relative", "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_star", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_other_scheme", "GET ftp://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_no_authority", "GET http:///healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_userinfo", "GET http://a@x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("target_long", f"GET /{'a' * 8200} HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
    ("line_endless", "A" * 20000, 414, "uri_too_long"),
    ("http_2", "GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", 505, "http_version_unsupported"),
    ("http_2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_unsupported"),
    ("http_0_9", "GET /healthz HTTP/0.9\r\nHost: x\r\n\r\n", 505, "http_version_unsupported"),
    ("version_lower_case", "GET /healthz http/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("version_short", "GET /healthz HTTP/1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("version_long", "GET /healthz HTTP/1.10\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("version_other", "GET /healthz SIP/2.0\r\nHost: x\r\n\r\n", 400, "bad_request"),
    # ---- header lines
    ("fold", "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400, "bad_request"),
    ("fold_first", "GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n", 400, "bad_request"),
    ("space_before_colon", request("POST /api/events HTTP/1.1", "X : y"), 400, "bad_request"),
    ("length_space_colon", request("POST /api/events HTTP/1.1", f"Content-Length : {len(GOOD_BODY)}",
                                   length=False), 400, "bad_request"),
    ("no_colon", request("POST /api/events HTTP/1.1", "nonsense"), 400, "bad_request"),
    ("empty_name", request("POST /api/events HTTP/1.1", ": x"), 400, "bad_request"),
    ("name_with_space", request("POST /api/events HTTP/1.1", "X Y: z"), 400, "bad_request"),
    ("name_utf8", request("POST /api/events HTTP/1.1", "X-É: z"), 400, "bad_request"),
    ("name_nul", request("POST /api/events HTTP/1.1", "X\0: z"), 400, "bad_request"),
    ("value_nul", request("POST /api/events HTTP/1.1", "X: a\0b"), 400, "bad_request"),
    ("value_cr", request("POST /api/events HTTP/1.1", "X: a\rb"), 400, "bad_request"),
    ("value_control", request("POST /api/events HTTP/1.1", "X: a\x07b"), 400, "bad_request"),
    ("value_del", request("POST /api/events HTTP/1.1", "X: a\x7fb"), 400, "bad_request"),
    ("headers_101", request("POST /api/events HTTP/1.1", *[f"X-{n}: y" for n in range(101)]), 431,
     "headers_too_large"),
    ("header_long", request("POST /api/events HTTP/1.1", "X: " + "y" * 40000), 431,
     "headers_too_large"),
    ("headers_long", request("POST /api/events HTTP/1.1", *[f"X-{n}: {'y' * 900}"
                                                           for n in range(60)]), 431,
     "headers_too_large"),
    ("header_endless", "GET / HTTP/1.1\r\nX: " + "y" * 100000, 431, "headers_too_large"),
    ("no_host", request(host=False), 400, "bad_request"),
    ("two_hosts", request("POST /api/events HTTP/1.1", "Host: 127.0.0.1"), 400, "bad_request"),
    ("host_empty", request("POST /api/events HTTP/1.1", "Host:", host=False), 400, "bad_request"),
    ("host_path", request("POST /api/events HTTP/1.1", "Host: a/b", host=False), 400, "bad_request"),
    ("host_user", request("POST /api/events HTTP/1.1", "Host: u@a", host=False), 400, "bad_request"),
    ("host_port", request("POST /api/events HTTP/1.1", "Host: a:http", host=False), 400,
     "bad_request"),
    ("host_port_big", request("POST /api/events HTTP/1.1", "Host: a:65536", host=False), 400,
     "bad_request"),
    ("host_space", request("POST /api/events HTTP/1.1", "Host: a b", host=False), 400,
     "bad_request"),
    ("expect_other", request("POST /api/events HTTP/1.1", "Expect: 200-ok"), 417,
     "expectation_failed"),
    # ---- framing
    ("length_negative", request("POST /api/events HTTP/1.1", "Content-Length: -1", length=False),
     400, "bad_request"),
    ("length_plus", request("POST /api/events HTTP/1.1", "Content-Length: +3", length=False), 400,
     "bad_request"),
    ("length_hex", request("POST /api/events HTTP/1.1", "Content-Length: 0x1d", length=False), 400,
     "bad_request"),
    ("length_empty", request("POST /api/events HTTP/1.1", "Content-Length:", length=False), 400,
     "bad_request"),
    ("length_text", request("POST /api/events HTTP/1.1", "Content-Length: ten", length=False), 400,
     "bad_request"),
    ("length_list", request("POST /api/events HTTP/1.1",
                            f"Content-Length: {len(GOOD_BODY)}, {len(GOOD_BODY)}", length=False),
     400, "bad_request"),
    ("length_twice", request("POST /api/events HTTP/1.1", f"Content-Length: {len(GOOD_BODY)}"), 400,
     "bad_request"),
    ("length_twice_differs", request("POST /api/events HTTP/1.1", "Content-Length: 5"), 400,
     "bad_request"),
    ("length_huge", request("POST /api/events HTTP/1.1", "Content-Length: 99999999999999999999999",
                            length=False), 413, "body_too_large"),
    ("length_beyond", request("POST /api/events HTTP/1.1", f"Content-Length: {2 << 20}",
                              length=False), 413, "body_too_large"),
    ("length_and_chunked", request("POST /api/events HTTP/1.1", "Transfer-Encoding: chunked",
                                   body=ONE_CHUNK + "0\r\n\r\n"), 400, "bad_request"),
    ("coding_twice", chunked(ONE_CHUNK + "0\r\n\r\n", "Transfer-Encoding: chunked"), 400,
     "bad_request"),
    ("coding_gzip", request("POST /api/events HTTP/1.1", "Transfer-Encoding: gzip", length=False),
     501, "transfer_encoding_unsupported"),
    ("coding_gzip_chunked", request("POST /api/events HTTP/1.1", "Transfer-Encoding: gzip, chunked",
                                    length=False), 501, "transfer_encoding_unsupported"),
    ("coding_xchunked", request("POST /api/events HTTP/1.1", "Transfer-Encoding: xchunked",
                                length=False), 501, "transfer_encoding_unsupported"),
    ("coding_identity", request("POST /api/events HTTP/1.1", "Transfer-Encoding: identity",
                                length=False), 501, "transfer_encoding_unsupported"),
    ("coding_empty", request("POST /api/events HTTP/1.1", "Transfer-Encoding:", length=False), 501,
     "transfer_encoding_unsupported"),
    ("coding_http_1_0", chunked(ONE_CHUNK + "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"), 400,
     "bad_request"),
    ("chunk_hex_prefix", chunked("0x1d\r\n" + GOOD_BODY + "\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_negative", chunked("-1\r\n\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_text", chunked("zz\r\n\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_empty_size", chunked("\r\n\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_space", chunked("1d \r\n" + GOOD_BODY + "\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_nine_digits", chunked("00000001d\r\n" + GOOD_BODY + "\r\n0\r\n\r\n"), 400,
     "bad_request"),
    ("chunk_huge", chunked("ffffffff\r\n"), 413, "body_too_large"),
    ("chunk_bare_lf", chunked("1d\n" + GOOD_BODY + "\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_no_end", chunked("1d\r\n" + GOOD_BODY + "0\r\n\r\n"), 400, "bad_request"),
    ("chunk_too_long", chunked("1c\r\n" + GOOD_BODY + "\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_extension_space", chunked("1d; a=b\r\n" + GOOD_BODY + "\r\n0\r\n\r\n"), 400,
     "bad_request"),
    ("chunk_extension_lf", chunked("1d;a\n" + GOOD_BODY + "\r\n0\r\n\r\n"), 400, "bad_request"),
    ("chunk_extension_long", chunked("1d;a=" + "b" * 20000 + "\r\n" + GOOD_BODY + "\r\n0\r\n\r\n"),
     400, "bad_request"),
    ("trailer_no_colon", chunked(ONE_CHUNK + "0\r\nnonsense\r\n\r\n"), 400, "bad_request"),
    ("trailer_fold", chunked(ONE_CHUNK + "0\r\nX: y\r\n z\r\n\r\n"), 400, "bad_request"),
    ("trailer_long", chunked(ONE_CHUNK + "0\r\nX: " + "y" * 40000 + "\r\n\r\n"), 431,
     "headers_too_large"),
]

# Right as HTTP, wrong as a request to us: the connection may stay.
REFUSED = [
    ("no_key", request(auth=False), 401, "unauthorized"),
    ("key_twice", request("POST /api/events HTTP/1.1", "Authorization: Bearer KEY"), 401,
     "unauthorized"),
    ("not_there", request("POST /api/event HTTP/1.1"), 404, "not_found"),
    ("case_matters", request("POST /API/events HTTP/1.1"), 404, "not_found"),
    ("dots", request("POST /api/x/../events HTTP/1.1"), 404, "not_found"),
    ("double_slash", request("POST //api/events HTTP/1.1"), 404, "not_found"),
    ("wrong_method", request("PATCH /api/events HTTP/1.1"), 405, "method_not_allowed"),
    ("unknown_method", request("BREW /api/events HTTP/1.1"), 501, "not_implemented"),
    ("lower_case_method", request("post /api/events HTTP/1.1"), 501, "not_implemented"),
    ("text", request("POST /api/events HTTP/1.1", "Content-Type: text/plain", type=False), 415,
     "unsupported_media_type"),
]

# Bodies that are no event; sent with everything else right.
BODIES = [
    ("empty", "", "invalid_json"),
    ("blank", "  \r\n", "invalid_json"),
    ("half", '{"type":"a","data":', "invalid_json"),
    ("two_values", GOOD_BODY + GOOD_BODY, "invalid_json"),
    ("text_behind", GOOD_BODY + "x", "invalid_json"),
    ("array", "[" + GOOD_BODY + "]", "invalid_json"),
    ("string", '"type"', "invalid_json"),
    ("number", "5", "invalid_json"),
    ("null", "null", "invalid_json"),
    ("single_quotes", "{'type':'a','data':{}}", "invalid_json"),
    ("bare_names", '{type:"a",data:{}}', "invalid_json"),
    ("trailing_comma", '{"type":"a","data":{},}', "invalid_json"),
    ("comment", '{"type":"a",/* x */"data":{}}', "invalid_json"),
    ("missing_colon", '{"type" "a","data":{}}', "invalid_json"),
    ("leading_zero", '{"type":"a","data":01}', "invalid_json"),
    ("plus", '{"type":"a","data":+1}', "invalid_json"),
    ("bare_dot", '{"type":"a","data":1.}', "invalid_json"),
    ("dot_first", '{"type":"a","data":.5}', "invalid_json"),
    ("hex", '{"type":"a","data":0x10}', "invalid_json"),
    ("nan", '{"type":"a","data":NaN}', "invalid_json"),
    ("infinity", '{"type":"a","data":-Infinity}', "invalid_json"),
    ("true_upper", '{"type":"a","data":True}', "invalid_json"),
    ("raw_newline", '{"type":"a","data":"x\ny"}', "invalid_json"),
    ("raw_nul", '{"type":"a","data":"x\0y"}', "invalid_json"),
    ("bad_escape", '{"type":"a","data":"\\x41"}', "invalid_json"),
    ("short_u", '{"type":"a","data":"\\u12"}', "invalid_json"),
    ("half_surrogate", '{"type":"a","data":"\\ud800"}', "invalid_json"),
    ("bom", '\ufeff{"type":"a","data":{}}', "invalid_json"),
    ("repeated_type", '{"type":"a","type":"b","data":{}}', "invalid_json"),
    ("repeated_data", '{"type":"a","data":1,"d\\u0061ta":2}', "invalid_json"),
    ("too_deep", '{"type":"a","data":' + "[" * 65 + "]" * 65 + "}", "json_too_deep"),
    ("bottomless", '{"type":"a","data":' + "[" * 100_000, "json_too_deep"),
]
RAW_BODIES = [
    ("utf8_overlong", b'{"type":"a","data":"\xc0\xaf"}', "invalid_json"),
    ("utf8_surrogate", b'{"type":"a","data":"\xed\xa0\x80"}', "invalid_json"),
    ("utf8_latin1", b'{"type":"a","data":"gr\xfc\xdfe"}', "invalid_json"),
    ("utf8_cut", b'{"type":"a","data":"\xe2\x82"}', "invalid_json"),
    ("utf8_beyond", b'{"type":"a","data":"\xf4\x90\x80\x80"}', "invalid_json"),
    ("utf16", '{"type":"a","data":{}}'.encode("utf-16"), "invalid_json"),
    ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "invalid_json"),
]


def in_wire_bytes(text, key):
    return text.replace("KEY", key).encode("utf-8")


def test_there_are_enough_cases():
    names = [row[0] for row in BROKEN + REFUSED + BODIES + RAW_BODIES]
    assert len(names) == len(set(names)) >= 100


@pytest.mark.parametrize("text, status, code", [row[1:] for row in BROKEN],
                         ids=[row[0] for row in BROKEN])
@pytest.mark.parametrize("pieces", [None, 7], ids=["at_once", "in_pieces"])
def test_broken(watched, text, status, code, pieces):
    """The answer is the same however the bytes arrive, and the connection is closed after it."""
    if pieces and len(text) > 3000:
        pieces = 1500
    with watched.client() as client:
        data, closed = client.raw_exchange(in_wire_bytes(text, watched.api_key), pieces=pieces)
        (answer,) = parse_answers(data)
        answer.expect(status, code)
        assert answer.header("Connection") == "close" and closed
        assert answer.header("Content-Type").startswith("application/json")
    assert watched.alive()


@pytest.mark.parametrize("text, status, code", [row[1:] for row in REFUSED],
                         ids=[row[0] for row in REFUSED])
def test_refused(watched, text, status, code):
    with watched.client() as client:
        (answer,) = parse_answers(client.raw(in_wire_bytes(text, watched.api_key)))
    answer.expect(status, code)
    assert answer.header("X-Request-Id")
    assert watched.alive()


@pytest.mark.parametrize("body, code", [(row[1], row[2]) for row in BODIES + RAW_BODIES],
                         ids=[row[0] for row in BODIES + RAW_BODIES])
def test_no_event(watched, body, code):
    body = body if isinstance(body, bytes) else body.encode()
    with watched.client() as client:
        client.post("/api/events", body=body).expect(400, code)
        client.get("/healthz").expect(200)
        assert client.connection is not None, "a bad body does not cost the connection"


def test_body_of_exactly_the_limit_and_one_more(watched):
    """1 MiB is taken as a body (and refused for its content), one byte more is not read."""
    limit = 1 << 20
    with watched.client() as client:
        client.post("/api/events", body=b" " * limit).expect(400, "invalid_json")
        client.post("/api/events", body=b" " * (limit + 1)).expect(413, "body_too_large")
    text = chunked(f"{limit:x}\r\n" + " " * limit + "\r\n1\r\n \r\n0\r\n\r\n")
    with watched.client() as client:
        (answer,) = parse_answers(client.raw(in_wire_bytes(text, watched.api_key)))
    answer.expect(413, "body_too_large")


# ---- unusual but right ----------------------------------------------------------------------------------

GET = "GET /healthz HTTP/1.1\r\nHost: x\r\n"
RIGHT = [
    ("plain", GET + "\r\n", 1),
    ("empty_line_first", "\r\n" + GET + "\r\n", 1),
    ("http_1_0", "GET /healthz HTTP/1.0\r\n\r\n", 1),
    ("http_1_0_keep_alive", "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 1),
    ("http_1_9", "GET /healthz HTTP/1.9\r\nHost: x\r\n\r\n", 1),
    ("absolute_target", "GET http://other:80/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 1),
    ("host_ipv6", "GET /healthz HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 1),
    ("no_space_behind_colon", "GET /healthz HTTP/1.1\r\nHost:x\r\nX:\r\n\r\n", 1),
    ("case_of_names", "GET /healthz HTTP/1.1\r\nhOsT: x\r\n\r\n", 1),
    ("obs_text", GET + "X: caf\u00e9\r\n\r\n", 1),
    ("query", "GET /healthz?x=%20&y HTTP/1.1\r\nHost: x\r\n\r\n", 1),
    ("close", GET + "Connection: close\r\n\r\n", 1),
    ("headers_100", GET + "".join(f"X-{n}: y\r\n" for n in range(99)) + "\r\n", 1),
    ("pipelined", (GET + "\r\n") * 20, 20),
    ("body_with_get", GET + "Content-Length: 3\r\n\r\nabc" + GET + "\r\n", 2),
]


@pytest.mark.parametrize("text, count", [row[1:] for row in RIGHT], ids=[row[0] for row in RIGHT])
@pytest.mark.parametrize("pieces", [None, 3], ids=["at_once", "in_pieces"])
def test_unusual_but_right(watched, text, count, pieces):
    with watched.client() as client:
        data, closed = client.raw_exchange(text.encode(), pieces=pieces, answers=count)
    answers = parse_answers(data)
    assert [answer.status for answer in answers] == [200] * count
    assert closed == ("close" in text or text.startswith("GET /healthz HTTP/1.0\r\n\r\n"))


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("open")).start()
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("body", [
    ONE_CHUNK + "0\r\n\r\n",
    "".join(f"1\r\n{c}\r\n" for c in GOOD_BODY) + "0\r\n\r\n",
    f"1D;a;b=c;d=\"e;\\\"f\"\r\n{GOOD_BODY}\r\n0\r\n\r\n",
    f"0000001d\r\n{GOOD_BODY}\r\n000\r\n\r\n",
    ONE_CHUNK + "0\r\nX-Trailer: y\r\n\r\n",
], ids=["one", "bytes", "extensions", "zeros", "trailer"])
def test_chunked_events(open_server, body):
    with open_server.client() as client:
        (answer,) = parse_answers(client.raw(in_wire_bytes(chunked(body), open_server.api_key)))
        event = answer.expect(202).json["id"]
        assert client.get_event(event)["data"] == {}


def test_expect_100_continue(open_server):
    text = in_wire_bytes(request("POST /api/events HTTP/1.1", "Expect: 100-continue"),
                         open_server.api_key)
    head, _, body = text.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", open_server.port), 5) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(10000).startswith(b"HTTP/1.1 202 ")


def test_expect_100_continue_is_not_given_when_it_would_be_refused(open_server):
    text = in_wire_bytes(request("POST /api/events HTTP/1.1", "Expect: 100-continue",
                                 f"Content-Length: {64 << 20}", length=False, body=""),
                         open_server.api_key)
    with open_server.client() as client:
        (answer,) = parse_answers(client.raw(text))
    answer.expect(413, "body_too_large")


def test_head_has_no_body(open_server):
    with open_server.client() as client:
        data, _ = client.raw_exchange(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                                      timeout=3)
    assert data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n")
    assert data.count(b"\r\n\r\n") == 1


# ---- slow and rude clients --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    config = ("http:\n  headerTimeout: 500ms\n  bodyTimeout: 500ms\n  idleTimeout: 700ms\n"
              "  maxConnections: 200\n")
    daemon = Daemon(tmp_path_factory.mktemp("impatient"), config=config).start()
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("text", [
    "GET /healthz HTT", GET + "X: y",
    request("POST /api/events HTTP/1.1", "Content-Length: 100", length=False),
    chunked(ONE_CHUNK)], ids=["line", "headers", "body", "chunks"])
def test_a_request_that_never_ends_is_408(impatient, text):
    begin = time.monotonic()
    with impatient.client() as client:
        data, closed = client.raw_exchange(in_wire_bytes(text, impatient.api_key))
    (answer,) = parse_answers(data)
    answer.expect(408, "request_timeout")
    assert closed and 0.4 < time.monotonic() - begin < 3


def test_a_byte_now_and_then_does_not_help(impatient):
    """Slowloris: the deadline is absolute."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient.port), 5) as connection:
        connection.settimeout(0.1)
        received = b""
        for byte in (GET + "X: " + "y" * 100).encode():
            try:
                connection.send(bytes([byte]))
                received += connection.recv(1000)
            except socket.timeout:
                pass
            except OSError:
                break
            if b"\r\n\r\n" in received:
                break
        assert time.monotonic() - begin < 3
    assert received.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed(impatient):
    with socket.create_connection(("127.0.0.1", impatient.port), 5) as connection:
        assert connection.recv(1000) == b""


def test_clients_that_leave(impatient):
    """Half requests and resets by the hundred leave no connection behind."""
    def leave(n):
        with socket.create_connection(("127.0.0.1", impatient.port), 5) as connection:
            connection.sendall(in_wire_bytes(request(), impatient.api_key)[:n])
            if n % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    before = impatient.descriptors()
    for n in range(200):
        leave(n)
    wait_until(lambda: impatient.descriptors() <= before, 10, "the connections to be closed")
    assert impatient.alive()


def test_more_connections_than_allowed(impatient):
    """The newest beyond the limit are refused; the server recovers when they leave."""
    connections = []
    try:
        for _ in range(260):
            connections.append(socket.create_connection(("127.0.0.1", impatient.port), 5))
    finally:
        for connection in connections:
            connection.close()
    wait_until(impatient.ready, 10, "the server to serve again")


def test_many_bad_requests_at_once(watched):
    """All broken requests from eight clients at a time: the server answers each and stays."""
    texts = [in_wire_bytes(row[1], watched.api_key) for row in BROKEN]
    failures = []

    def hammer(offset):
        with watched.client() as client:
            for text, row in list(zip(texts, BROKEN))[offset::8]:
                answers = parse_answers(client.raw(text))
                if [answer.status for answer in answers] != [row[2]]:
                    failures.append((row[0], answers))
    threads = [threading.Thread(target=hammer, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert watched.alive()
