"""bench-raw, the client that only signs and sends: the limit of HTTP out."""

import json
from pathlib import Path

from rig import CannotMeasure, Process

# What it signs with unless told otherwise.
SECRET = "whsec_dGhlIHNlY3JldCBvZiBldmVyeSBiZW5jaG1hcms="


def raw_client(build, directory, url, *arguments, cpu=None):
    """Runs bench-raw of the `build` directory against `url` to its end; its figures, a dict with
    rate, cpu_us_per_delivery and so on. `arguments` are its options: "--connections", 512."""
    program = Path(build) / "bench-raw"
    if not program.exists():
        raise CannotMeasure(f"{program} is not there; build it, or name its directory by --build")
    process = Process([program, "--url", url, *arguments], cpu, Path(directory) / "bench-raw.log")
    try:
        output, _ = process.popen.communicate()
    except BaseException:
        process.kill()
        raise
    if process.popen.returncode != 0:
        raise CannotMeasure(f"bench-raw ended with {process.popen.returncode}: {process.errors()}")
    result = json.loads(output)
    result["version"] = f"bench-raw, openssl {result['openssl']}"
    return result
