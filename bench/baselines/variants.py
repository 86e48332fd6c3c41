"""Which way of running the BullMQ service is fastest, so that Trotline is held against that one.

    cd bench && python3 -m baselines.variants [--build …] [--rounds 5] [--events 20000]

Prints a line for each: deliveries a second from the first request to the last arrival, and CPU time
for each of application and Redis; medians of interleaved rounds, lowest and highest rate. It is a
figure only when the machine does nothing else. The fastest are the defaults of BullMQ (bullmq.py).
"""

import argparse
import os
import signal
import statistics
import tempfile
from pathlib import Path

from rig import OTHER_CPU, SERVER_CPU, CannotMeasure, Load, Sink, pin, say, wait_for

from .bullmq import BullMQ

VARIANTS = {"as it is": {},
            "two processes": {"split": True},
            "concurrency 100": {"concurrency": 100},
            "concurrency 400": {"concurrency": 400},
            "autopipelining": {"autopipelining": True},
            "semi-space 64 MiB": {"semi_space_mib": 64}}
WARM_UP = 6000  # events until V8 has compiled what is hot
CONNECTIONS = 64
SECONDS = 120


def measure(build, directory, events, variant):
    """(deliveries a second, µs of the application, µs of Redis) of one run."""
    sink = Sink([build / "bench-sink"], OTHER_CPU, directory / "sink.log")
    try:
        with BullMQ(directory / "bullmq", SERVER_CPU, OTHER_CPU, **variant) as bullmq:
            bullmq.webhook(f"http://127.0.0.1:{sink.port}/ok/0", ["bench"])

            def publish(count):
                command = [build / "bench-load", "--url", bullmq.url, "--api-key", bullmq.api_key,
                           "--events", count, "--connections", CONNECTIONS, "--idempotency-keys"]
                result = Load(command, OTHER_CPU, directory / "load.log").result()
                if not wait_for(lambda: bullmq.waiting() == 0, SECONDS, interval=0.1):
                    raise CannotMeasure(f"{bullmq.waiting()} are not delivered after {SECONDS} s")
                return result

            publish(WARM_UP)
            os.kill(sink.pid, signal.SIGUSR2)
            before = bullmq.cpu_seconds()
            begin = publish(events)["start_ns"]
            spent = [after - then for after, then in zip(bullmq.cpu_seconds(), before)]
            summary = sink.summary()
            if summary["unique"] != events:
                raise CannotMeasure(f"{summary['unique']} of {events} arrived")
            return (events / (summary["last_ns"] - begin) * 1e9, *(s / events * 1e6 for s in spent))
    finally:
        sink.kill()


def main():
    parser = argparse.ArgumentParser(prog="python3 -m baselines.variants", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parent.parent.parent / "build/release"
    parser.add_argument("--build", type=Path, default=default, help="where the programs are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=20000)
    options = parser.parse_args()
    if OTHER_CPU is not None:
        pin(os.getpid(), OTHER_CPU)
    runs = {name: [] for name in VARIANTS}
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for name, variant in VARIANTS.items():
            with tempfile.TemporaryDirectory(prefix="trotline-variants-") as directory:
                runs[name].append(measure(options.build, Path(directory), options.events, variant))
    for name, figures in runs.items():
        rates, app, redis = zip(*figures)
        rate, app, redis = map(statistics.median, (rates, app, redis))
        print(f"{name:20} {rate:6.0f}/s ({min(rates):.0f} to {max(rates):.0f}), "
              f"application {app:4.0f} µs, Redis {redis:4.0f} µs")


if __name__ == "__main__":
    main()
