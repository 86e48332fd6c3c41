"""Endpoints by the hundred, and events that wait for a moment."""

import datetime
import time

from rig import CannotMeasure, wait_for

PATIENCE = 120        # seconds for what should come at once
CALIBRATION_TYPE = "calibration"


def type_name(number, types):
    """What bench-load --types calls its types."""
    return f"bench.{number:04}" if types > 1 else "bench"


def register(rig, count, path="/ok", **members):
    """`count` endpoints, each for one of as many types; their ids."""
    return rig.webhooks([{"url": rig.target(f"{path}/{number}"),
                          "events": [type_name(number, count)], **members}
                         for number in range(count)])


def fill(rig, events, *options):
    """Publishes so many events as fast as they are taken. Those that are refused, because Redis has
    too many others to enter in the schedule at that moment, are offered again, by other numbers."""
    first = 0
    while events > 0:
        result = rig.load("--first", first, "--events", events, "--timeout", 60, *options).result()
        if result["accepted"] == 0 or result["accepted"] + result["unavailable"] != events:
            raise CannotMeasure(f"not all of {events} events to wait were accepted: {result}")
        first += events
        events -= result["accepted"]


def fill_until(rig, events, types, endpoints, due, type_="bench"):
    """Publishes events that wait for the time `due`; returns when all are in the schedule."""
    when = datetime.datetime.fromtimestamp(due, datetime.timezone.utc)
    when = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    size = 1024 + len(f',"deliverAt":"{when}"')  # which is not stored as text
    fill(rig, events, "--type", type_, "--types", types, "--deliver-at", when, "--size", size)
    if not wait_for(lambda: rig.waiting(endpoints) == events, PATIENCE):
        raise CannotMeasure(f"{rig.waiting(endpoints)} of {events} deliveries are waiting")


def due_after(rig, events, lead):
    """A time by which so many events can be stored that wait for it, and `lead` seconds later: half
    as late again as a tenth of them says. Leaves an endpoint behind that waits for tomorrow."""
    endpoint, some = rig.webhook("/ok/calibration", [CALIBRATION_TYPE]), max(events // 10, 500)
    began = time.monotonic()
    fill_until(rig, some, 1, [endpoint], time.time() + 24 * 3600, CALIBRATION_TYPE)
    return time.time() + lead + 1.5 * (time.monotonic() - began) * events / some
