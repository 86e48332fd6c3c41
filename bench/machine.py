"""What a figure was taken on, and how undisturbed the machine was meanwhile."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from rig import ROOT


def output(*command):
    """What a program says first, or None when there is no such program."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=30, check=False, cwd=ROOT)
    except OSError:
        return None
    return (done.stdout or done.stderr).strip()


def cpu_model():
    found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1) if found else platform.machine()


def memory_gib():
    kib = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M).group(1)
    return round(int(kib) / 1024 / 1024, 1)


def commit():
    """The commit of the tree, `+` when it was changed since; a copy without git has none."""
    name = output("git", "rev-parse", "--short=12", "HEAD")
    if not name or not re.fullmatch(r"[0-9a-f]+", name):
        return "unknown"
    return name + ("+" if output("git", "status", "--porcelain", "--untracked-files=no") else "")


def versions(build):
    """Of the server and its libraries, and of Redis."""
    lines = (output(build / "trotline", "version") or "").splitlines()
    found = dict(re.split(r"\s+", line.strip(), maxsplit=1) for line in lines if " " in line)
    redis = re.search(r"v=(\S+)", output("redis-server", "--version") or "")
    found["redis"] = redis.group(1) if redis else "unknown"
    return found


def describe(build):
    return {"cpu": cpu_model(), "cpus": os.cpu_count(), "memory_gib": memory_gib(),
            "kernel": platform.release(), "commit": commit(), "versions": versions(build),
            "command": " ".join(sys.argv)}


def ticks():
    """(ticks that the machine's owner gave to others, ticks of all kinds) since it started."""
    with open("/proc/stat", encoding="ascii") as file:
        words = [int(word) for word in file.readline().split()[1:9]]
    return words[7], sum(words)


def steal_percent(before, after):
    return 100 * (after[0] - before[0]) / max(after[1] - before[1], 1)


def memory_mib(pids, name="VmHWM"):
    """The most memory that these processes had (VmHWM), or have (VmRSS), together."""
    kib = 0
    for pid in pids:
        found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)
        kib += int(found.group(1)) if found else 0
    return kib / 1024
