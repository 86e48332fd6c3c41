#!/usr/bin/env python3
"""What the tree promises and no compiler checks; prints each breach and fails if there is one.

Layers: a file includes from its own folder of src/ and from those before it, nothing else.
Libraries: a third-party header appears only in the files that wrap its library.
Size: a file of src/ or include/ has at most 700 lines; more are two concerns.
Guards: a header's guard is made of its path.
Leftovers: no marks for later, no paths of somebody's machine.
"""

import os
import re
import sys

LAYERS = ["base", "wire", "net", "core", "api", "app"]
BESIDE = {"lib": ["base", "wire", "lib"]}  # the C library, which the server does not include
LINES_MAX = 700

# Header (by its first word) -> who may include it. version.c asks every library for its version.
VERSIONS = "src/app/version.c"
LIBRARIES = {
    "event2": [
        "src/net/fd_watch.c",
        "src/net/http_accept.c",
        "src/net/http_conn.c",
        "src/net/reactor.c",
        "src/net/redis_conn.c",
        "src/net/redis_dial.c",
        "src/net/redis_sentinel.c",
        "src/net/redis_server.c",
        "src/net/signals.c",
        VERSIONS,
    ],
    "curl": [
        "src/net/curl_error.c",
        "src/net/curl_env.h",
        "src/net/curl_shard.h",
        "src/net/direct_head.c",
        "src/net/direct_stream.c",
        "src/net/outbound.c",
        "src/app/client.c",  # of the API, not a part of the server
        VERSIONS,
    ],
    "hiredis": ["src/net/redis_reply.c", VERSIONS],
    "msgpack": ["src/wire/codec.c", VERSIONS],
    "openssl": [
        "src/wire/digest.c",
        "src/wire/signer.c",
        "src/net/direct_stream.c",
        "src/net/redis_script.c",
        "src/api/auth.c",
        VERSIONS,
    ],
    "lz4": ["src/core/batch.c", VERSIONS],
    "jansson": [
        "src/core/endpoint_compile.c",
        "src/core/endpoint_document.c",
        "src/core/endpoint_stream.c",
        "src/core/group_rule.c",
        "src/core/json_field.c",
        "src/core/ordering.c",
        "src/core/rate_limit.c",
        "src/core/retry_policy.c",
        "src/core/source_compile.c",
        "src/core/source_document.c",
        "src/core/source_members.c",
        "src/api/feed_request.c",
        "src/api/job_request.c",
        VERSIONS,
    ],
    "yaml": ["src/wire/yaml_walk.c", "src/wire/yaml_json.c", "src/app/config_place.c"],
    "cyaml": ["src/app/config_file.c", VERSIONS],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
LEFTOVER = re.compile(r"\b([T]ODO|[F]IXME|[X]XX)\b|/(?:home|root|Users)/\w")

# What is ours; other files may lie about in somebody's copy.
FOLDERS = [".ci", "bench", "conf", "include", "lua", "src", "tests"]
FILES = ["CMakeLists.txt", "CMakePresets.json", "README.md", "run"]
SKIPPED = {"__pycache__", ".pytest_cache", "corpus", "node_modules"}


def check_includes(path, text):
    """`path` is in a folder of src/."""
    layer = path.split("/")[1]
    allowed = BESIDE.get(layer) or LAYERS[: LAYERS.index(layer) + 1]
    for form, header in INCLUDE.findall(text):
        first = re.split(r"[/.]", header)[0]
        if form == '"' and first not in allowed and not header.startswith("trotline/"):
            yield f"{path}: {layer}/ does not include {header}"
        if form == "<" and path not in LIBRARIES.get(first, [path]):
            yield f"{path}: <{header}> is for {', '.join(LIBRARIES[first])}"


def check_guard(path, text):
    inside = path.removeprefix("src/").removeprefix("include/").removeprefix("trotline/")
    guard = "TROTLINE_" + re.sub(r"\W", "_", inside).upper()
    if f"#ifndef {guard}\n#define {guard}\n" not in text:
        yield f"{path}: its guard should be {guard}"


def check(path, text):
    folder = path.split("/")
    if folder[0] in ("src", "include") and path.endswith((".c", ".h")):
        if text.count("\n") > LINES_MAX:
            yield f"{path}: more than {LINES_MAX} lines"
        if path.endswith(".h"):
            yield from check_guard(path, text)
        if folder[0] == "src" and len(folder) > 2:
            yield from check_includes(path, text)
    for number, line in enumerate(text.split("\n"), 1):
        if LEFTOVER.search(line):
            yield f"{path}:{number}: {line.strip()}"


def paths():
    yield from filter(os.path.exists, FILES)
    for top in FOLDERS:
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(set(folders) - SKIPPED)
            yield from (os.path.join(folder, name) for name in sorted(names))


def main():
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    breaches = []
    for path in paths():
        try:
            with open(path, encoding="utf-8") as file:
                breaches += check(path, file.read())
        except UnicodeDecodeError:
            continue  # not text
    print("\n".join(breaches) if breaches else "the tree is in order")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
