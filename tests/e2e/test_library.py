"""The C library as its users have it: built as for release, installed, found by pkg-config.

The programs of tests/unit/test_lib_*.c use nothing but the public headers; here they are compiled once
more, against the installed library, shared and static, and run under valgrind. The examples of
tests/examples are compiled as their first lines say, and run.
"""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import shlex
import subprocess
import time

import pytest
from harness.redis import Redis, RedisServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TROTLINE_BIN", ROOT / "build" / "dev" / "trotline"))
BUILD = ROOT / "build" / "library"
HEADERS = sorted((ROOT / "include" / "trotline").glob("*.h"))
EXAMPLES = ROOT / "tests" / "examples"
UNITS = sorted((ROOT / "tests" / "unit").glob("test_lib_*.c"))
PACKAGES = {"test_lib_vectors": ["jansson"], "test_lib_feed": ["hiredis"]}  # beside trotline, cmocka
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-O1", "-g"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = ["shared", "static"]


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=300,
                          check=False, **options)
    assert done.returncode == 0, (done.args, done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode()


class Library:
    """An installation of one kind. A static one is one in which there is no shared library."""

    def __init__(self, prefix, kind):
        self.kind = kind
        run("cmake", "--install", BUILD, "--component", "library", "--prefix", prefix)
        self.directory = next(prefix.rglob("libtrotline.a")).parent
        self.shared = sorted(self.directory.glob("libtrotline.so*"))
        if kind == "static":
            for file in self.shared:
                file.unlink()
        self.environment = {**os.environ, "PKG_CONFIG_PATH": f"{self.directory}/pkgconfig",
                            "LD_LIBRARY_PATH": str(self.directory)}

    def pkg_config(self, *arguments):
        static = ["--static"] if self.kind == "static" and "--libs" in arguments else []
        return shlex.split(run("pkg-config", *static, *arguments, env=self.environment))

    def compile(self, source, output, *flags, packages=()):
        """Also what the first lines of an example say: compiler source $(pkg-config …) -o output."""
        compiler = ["c++", "-std=c++17"] if source.suffix == ".cpp" else ["cc"]
        run(*compiler, *STRICT, *flags, source, "-pthread",
            *self.pkg_config("--cflags", "--libs", "trotline", *packages), "-o", output)
        return output

    def run(self, *command, **options):
        return run(*command, env={**self.environment, **options.pop("env", {})}, **options)


@pytest.fixture(scope="module")
def built():
    run("cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        "-DTROTLINE_TESTS=OFF", "-DTROTLINE_BENCH=OFF")
    run("cmake", "--build", BUILD, "--target", "trotline_shared", "trotline_static")


@pytest.fixture(scope="module")
def shared(built, tmp_path_factory):
    return Library(tmp_path_factory.mktemp("shared"), "shared")


@pytest.fixture(scope="module")
def static(built, tmp_path_factory):
    return Library(tmp_path_factory.mktemp("static"), "static")


@pytest.fixture(params=KINDS)
def library(request):
    return request.getfixturevalue(request.param)


# ---- What is installed ----------------------------------------------------------------------------

def declared():
    """The functions that the headers declare; those that are inline are none of the library's."""
    text = "".join(path.read_text(encoding="utf-8") for path in HEADERS)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return set(re.findall(r"TROTLINE_API\b[^;{]*?\b(trotline_\w+)\(", text))


def symbols(*arguments):
    lines = [line.split() for line in run("nm", *arguments).splitlines()]
    return {words[-1].split("@")[0] for words in lines if words}


def test_symbols(shared, static):
    """Visible is what the headers declare, all of it and nothing else."""
    names = declared()
    assert len(names) > 50
    found = symbols("-D", "--defined-only", shared.shared[-1]) - {"TROTLINE_0.1"}
    assert found == names
    found = symbols("-g", "--defined-only", static.directory / "libtrotline.a") - {"libtrotline.o:"}
    assert found == names


def test_needs_little(shared, static):
    """Neither libevent, libcurl, hiredis nor Redis; nothing that ends the process or writes anywhere;
    and the static library asks for no more than the shared one."""
    dynamic = run("readelf", "-d", shared.shared[-1])
    needed = {name for name in re.findall(r"NEEDED.*\[(.*)\]", dynamic) if "ld-linux" not in name}
    assert needed == {"libcrypto.so.3", "libyaml-0.so.2", "libc.so.6"}
    wanted = symbols("-D", "-u", shared.shared[-1])
    assert {"EVP_MAC_init", "getrandom", "malloc"} <= wanted
    forbidden = re.compile(r"abort|_?exit|f?printf|f?puts|f?write|perror|std(out|err)|v?syslog|signal|"
                           r"sigaction|fork|socket|f?open|setlocale|srand|rand")
    assert not {name for name in wanted if forbidden.fullmatch(name)}
    own = {"_GLOBAL_OFFSET_TABLE_", "libtrotline.o:", "__udivmodti4"}  # the last is the compiler's
    added_by_linker = {"__gmon_start__", "__cxa_finalize", "_ITM_deregisterTMCloneTable",
                       "_ITM_registerTMCloneTable"}
    asked = symbols("-u", static.directory / "libtrotline.a") - own
    assert asked <= wanted and wanted - asked <= added_by_linker


def test_no_state(static):
    """Nothing can be written to but what the loader fills in, and what each thread has for itself:
    there is nothing that threads share."""
    text = run("readelf", "-SW", static.directory / "libtrotline.a")
    sections = re.findall(r"\]\s+(\.\S+)\s+\S+\s+\w+\s+\w+\s+(\w+)\s+\w+\s+(W?AT?)\b", text)
    assert any(name.startswith(".data.rel.ro") for name, _, _ in sections)
    writable = [name for name, size, flags in sections if "W" in flags and int(size, 16) > 0 and
                not name.startswith((".data.rel.ro", ".tbss"))]
    assert writable == []


def test_versions(shared):
    """Header, library, SONAME and pkg-config say the same."""
    header = (ROOT / "include" / "trotline" / "trotline.h").read_text(encoding="utf-8")
    version = re.search(r'TROTLINE_VERSION_TEXT\s+"(.*)"', header)[1]
    numbers = [re.search(rf"TROTLINE_VERSION_{part}\s+(\d+)", header)[1]
               for part in ("MAJOR", "MINOR", "PATCH")]
    assert version == ".".join(numbers)
    assert shared.pkg_config("--modversion", "trotline") == [version]
    soname = f"libtrotline.so.{numbers[0]}.{numbers[1]}"
    assert f"[{soname}]" in run("readelf", "-d", shared.shared[-1])
    assert [path.name for path in shared.shared] == ["libtrotline.so", soname,
                                                     f"libtrotline.so.{version}"]
    assert sorted(path.name for path in shared.directory.parent.rglob("*.h")) == \
        [path.name for path in HEADERS]


def test_program_is_installed_beside(tmp_path):
    """`cmake --install` puts the program into bin."""
    run("cmake", "--install", BIN.parent, "--component", "program", "--prefix", tmp_path)
    assert run(tmp_path / "bin" / "trotline", "version").startswith("trotline")


# ---- Compiled against it --------------------------------------------------------------------------

@pytest.mark.parametrize("header", [path.name for path in HEADERS])
@pytest.mark.parametrize("language", ["c99", "c11", "c++11", "c++20"])
def test_headers_stand_alone(shared, tmp_path, header, language):
    """Each compiles by itself, in strict C and C++, before and behind others."""
    cpp = "++" in language
    source = tmp_path / f"alone.{'cpp' if cpp else 'c'}"
    source.write_text(f"#include <trotline/{header}>\n#include <trotline/trotline.h>\n"
                      f"#include <trotline/feed_hiredis.h>\n"
                      f"int main({'' if cpp else 'void'}) {{ return trotline_version()[0] == 0; }}\n")
    program = tmp_path / "alone"
    run("c++" if cpp else "cc", f"-std={language}", *STRICT, "-Wconversion", source,
        *shared.pkg_config("--cflags", "--libs", "trotline"), "-o", program)
    shared.run(program)


def test_memory(static, tmp_path):
    """Whichever allocation fails, it is a status, and nothing is left behind."""
    wrapped = ",".join(f"--wrap={name}" for name in
                       ("malloc", "calloc", "realloc", "reallocarray", "strdup", "free"))
    program = static.compile(ROOT / "tests" / "e2e" / "library_memory.c", tmp_path / "memory",
                             f"-Wl,{wrapped}")
    out = static.run("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", program)
    told, failed = map(int, re.findall(r"\d+", out))
    assert failed > 100 and told > 0.9 * failed, out


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units(library, tmp_path, unit):
    """What the unit tests say of the sources holds of what is installed; without a leak, and, with
    threads, without a race."""
    program = library.compile(unit, tmp_path / unit.stem,
                              packages=["cmocka", *PACKAGES.get(unit.stem, [])])
    tool = ["--tool=helgrind"] if unit.stem == "test_lib_threads" else ["--leak-check=full"]
    library.run("valgrind", "-q", "--error-exitcode=99", *tool, program, cwd=ROOT)


def test_decimal_comma(shared, tmp_path):
    """Events are the same in a program whose locale writes 0,5."""
    run("localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8")
    unit = ROOT / "tests" / "unit" / "test_lib_event.c"
    program = shared.compile(unit, tmp_path / "program", packages=["cmocka"])
    shared.run(program, env={"LOCPATH": str(tmp_path), "TROTLINE_TEST_LOCALE": "de_DE.UTF-8"})


def test_names_of_a_program(static, tmp_path):
    """A program may have functions that are called as ours are inside."""
    source = tmp_path / "clash.c"
    names = ["buf_init", "buf_add", "scheme_find", "signer_sign", "json_check", "slice_of",
             "clock_now_ms", "codec", "received_header", "lib_fail"]
    source.write_text("#include <stdlib.h>\n#include <trotline/trotline.h>\n" +
                      "".join(f"void {name}(void);\nvoid {name}(void) {{ abort(); }}\n"
                              for name in names) +
                      "int main(void)\n{\n    struct trotline_scheme *scheme;\n"
                      "    int bad = trotline_scheme_open(\"standard\", &scheme) != TROTLINE_OK;\n"
                      "    trotline_scheme_free(scheme);\n    return bad;\n}\n")
    run(static.compile(source, tmp_path / "clash"))


# ---- Examples -------------------------------------------------------------------------------------

def test_readme(shared, tmp_path):
    """What README shows compiles."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"^## From C$.*?^```c\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]
    source = tmp_path / "receive.c"
    source.write_text(code + """
int main(void)
{
    struct trotline_verifier *verifier = open_verifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    return verifier && receive(verifier, NULL, 0, "{}", 2) == 401 ? 0 : 1;
}
""")
    shared.run(shared.compile(source, tmp_path / "receive"))


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


def entries(server, key="tl:{0}:feed"):
    with Redis(server.path) as client:
        return [fields for _, fields in client.call("XRANGE", key, "-", "+")]


def test_feed_example(library, redis, tmp_path):
    """One event, a hundred in a pipeline, and one in a transaction, as the contract has them."""
    program = library.compile(EXAMPLES / "c" / "feed_events.c", tmp_path / "feed_events",
                              packages=["hiredis"])
    out = library.run(program, redis.path)
    assert re.fullmatch(r"one: \d+-\d+\nmany: 100\ntransaction: \d+-\d+\n", out)
    one, *many, last = entries(redis)
    assert len(many) == 100
    assert one[0] == b"e" and len(one) == 2
    assert json.loads(one[1]) == {"type": "order.paid", "idempotencyKey": "order-1",
                                  "data": {"order": 1, "total": 9.9}}
    for number, fields in enumerate(many, 100):
        assert fields[0] == b"e" and fields[1][0] == 0x83  # msgpack: a map of three
        assert f"order-{number}".encode() in fields[1]
    assert last[0::2] == [b"e", b"app", b"k"]
    assert last[3::2] == [b"default", b"order-2"]
    assert json.loads(last[1])["data"]["order"] == 2
    with Redis(redis.path) as client:
        assert client.call("HGET", "order:2", "state") == b"paid"


def test_feed_refused(shared, redis, tmp_path):
    """Redis's reason is told; and that the connection ended."""
    program = shared.compile(EXAMPLES / "c" / "feed_events.c", tmp_path / "feed_events",
                             packages=["hiredis"])
    with Redis(redis.path) as client:
        client.call("SET", "tl:{0}:feed", "not a stream")
    done = subprocess.run([program, redis.path], capture_output=True, env=shared.environment,
                          timeout=30, check=False)
    assert done.returncode == 1 and b"WRONGTYPE" in done.stderr


def test_feed_async_example(library, redis, tmp_path):
    program = library.compile(EXAMPLES / "c" / "feed_async.c", tmp_path / "feed_async",
                              "-Wno-pedantic", "-Wno-unused-parameter",  # hiredis's adapter
                              packages=["hiredis", "libevent"])
    out = library.run("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", program,
                      redis.path)
    assert len(re.findall(r"fed: \d+-\d+", out)) == 10
    assert [json.loads(fields[1])["type"] for fields in entries(redis)] == ["door.opened"] * 10


def test_verify_example(library, tmp_path):
    """It takes what the server's own code signs, and nothing else."""
    program = library.compile(EXAMPLES / "c" / "verify_webhook.c", tmp_path / "verify_webhook")
    signer = library.compile(EXAMPLES / "cpp" / "sign_and_verify.cpp", tmp_path / "sign_and_verify")
    assert "\nverified msg_1\n" in library.run(signer)

    body, now = b'{"type":"order.paid","data":1}', str(int(time.time()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.new(key, f"msg_1.{now}.".encode() + body,
                                          hashlib.sha256).digest()).decode()
    headers = ["Webhook-Id: msg_1", f"webhook-timestamp:{now}  ",
               f"webhook-signature: v1,{signature}"]
    out = library.run(program, "standard", SECRET, *headers, input=body)
    assert out.startswith("verified: id msg_1\n")
    done = subprocess.run([program, "standard", SECRET, *headers], input=body + b" ",
                          capture_output=True, env=library.environment, timeout=30, check=False)
    assert done.returncode == 1 and done.stdout.startswith(b"bad_signature: ")
