"""Checks that what Trotline is compared with does its work: all events, each signed, none lost.

    cd bench && python3 -m baselines [--build ../build/release]

Takes half a minute, of which BullMQ's retries are the most. Measures nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rig import CannotMeasure, say, wait_for

from . import BullMQ, Nginx, raw_client
from .raw import SECRET
from .receiver import Receiver

EVENTS = 1000
SECONDS = 60  # for the events of one check


def expect(condition, text):
    if not condition:
        raise CannotMeasure(text)


def load(build, url, api_key, *arguments):
    """Publishes the events; fails unless all were accepted."""
    command = [build / "bench-load", "--url", url, "--api-key", api_key, "--connections", "32",
               "--events", str(EVENTS), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    expect(run.returncode == 0, f"bench-load: {run.stderr}")
    result = json.loads(run.stdout)
    expect(result["accepted"] == EVENTS, f"not all were accepted: {run.stdout}")


def check_received(receiver, refused=0):
    wait_for(lambda: len(receiver.numbers) == EVENTS or receiver.faults, SECONDS)
    expect(not receiver.faults, f"{len(receiver.faults)} faults: {receiver.faults[:3]}")
    expect(sorted(receiver.numbers) == list(range(EVENTS)),
           f"{len(receiver.numbers)} of {EVENTS} events arrived")
    expect(set(receiver.numbers.values()) == {1} and len(receiver.identities) == EVENTS,
           "an event came twice, or two with one id")
    expect(len(receiver.refused) == refused, f"{len(receiver.refused)} were refused")


def check_bullmq(build, directory, split):
    with Receiver(refuse=lambda number: number % 100 == 0) as receiver, \
            BullMQ(directory, split=split) as bullmq:
        receiver.secret = bullmq.webhook(receiver.url + "/hook?q=1", ["bench", "other"])["secret"]
        load(build, bullmq.url, bullmq.api_key, *(["--idempotency-keys"] if split else []))
        check_received(receiver, refused=EVENTS // 100)
        expect(wait_for(lambda: bullmq.waiting() == 0, SECONDS), "some are never done")
        expect(bullmq.failed() == 0, "some were given up")
        app, redis = bullmq.cpu_seconds()
        expect(app > 0 and redis > 0, "no CPU time is seen")
        return bullmq.version


def check_nginx(build, directory):
    with Nginx(directory) as nginx:
        load(build, nginx.url, "none")
        return nginx.version


def make_certificate(directory):
    """(certificate, key) for 127.0.0.1, which is its own authority."""
    directory.mkdir()
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=trotline-bench", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return certificate, key


def check_raw(build, directory, https):
    directory.mkdir()
    certificate = make_certificate(directory / "tls") if https else None
    trust = ["--ca", certificate[0]] if https else []
    with Receiver(certificate) as receiver:
        receiver.secret = SECRET
        result = raw_client(build, directory, receiver.url + "/hook", "--deliveries", EVENTS,
                            "--connections", 32, *trust)
        check_received(receiver)
    expect(result["deliveries"] == EVENTS and result["cpu_us_per_delivery"] > 0, f"odd: {result}")
    return result["version"]


def main():
    parser = argparse.ArgumentParser(prog="python3 -m baselines", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parent.parent.parent / "build/release"
    parser.add_argument("--build", type=Path, default=default, help="where the programs are")
    build = parser.parse_args().build.resolve()
    checks = [("BullMQ, one process", lambda path: check_bullmq(build, path, split=False)),
              ("BullMQ, two processes", lambda path: check_bullmq(build, path, split=True)),
              ("nginx", lambda path: check_nginx(build, path)),
              ("raw client, http", lambda path: check_raw(build, path, https=False)),
              ("raw client, https", lambda path: check_raw(build, path, https=True))]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="trotline-baselines-") as directory:
        for number, (name, check) in enumerate(checks):
            try:
                say(f"{name}: works ({check(Path(directory) / str(number))})")
            except (CannotMeasure, subprocess.SubprocessError) as error:
                say(f"{name}: FAILED: {error}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
