"""Results as text: a line for a run, a table for a scenario."""

import statistics

STEAL_PERCENT = 2  # beyond it a figure is not the server's alone

# What is shown, in this order, and what it is called; other figures are in the JSON only.
SHOWN = {
    "rate": "rate, 1/s",
    "accepted_rate": "accepted, 1/s",
    "p50_us": "latency p50, µs",
    "p99_us": "p99",
    "p999_us": "p99.9",
    "accept_p50_us": "answer p50, µs",
    "accept_p99_us": "p99",
    "late_p99_us": "load late p99, µs",
    "server_us": "CPU: server, µs",
    "redis_us": "Redis",
    "load_us": "load",
    "sink_us": "sink",
    "server_mib": "RSS: server, MiB",
    "redis_mib": "Redis",
    "redis_bytes": "Redis, bytes",
    "redis_commands": "Redis, commands",
    "server_percent": "CPU: server, %",
    "redis_percent": "Redis",
    "redis_calls": "Redis calls, 1/s",
    "lost": "lost",
    "repeated": "repeated",
    "steal_percent": "steal, %",
}


def number(value):
    """Three digits that matter; whole numbers as they are."""
    if value is None:
        return "–"
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values):
    """median (least – most)"""
    if not values:
        return "–"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}–{number(max(values))})"


def cells(result):
    """[label, a cell for each variant] for each figure that any variant has."""
    rounds = result["rounds"].values()
    for name, label in SHOWN.items():
        values = [[figures[name] for figures in each if name in figures] for each in rounds]
        if any(values):
            yield [label, *map(spread, values)]


def brief(figures):
    return ", ".join(f"{name} {number(figures[name])}" for name in SHOWN if name in figures)


def judged(bound):
    word = {True: "met", False: "MISSED", None: "not measured"}[bound["met"]]
    return f"{word}: {bound['what']}: {number(bound['value'])}"


def remarks(result):
    """What stands below a scenario's figures: (kind, line)."""
    for bound in result["bounds"]:
        yield {True: "met", False: "missed", None: "none"}[bound["met"]], judged(bound)
    for problem in result["problems"]:
        yield "none", f"not measured: {problem}"
    for variant, rounds in result["rounds"].items():
        stolen = max((figures["steal_percent"] for figures in rounds
                      if "steal_percent" in figures), default=0)
        if stolen > STEAL_PERCENT:
            yield "none", f"disturbed: {variant}: others had up to {number(stolen)} % of the machine"


def facts(document):
    """What all of it was taken on: (name, value)."""
    box = document["machine"]
    yield "when", document["began"]
    yield "command", box["command"]
    yield "commit", box["commit"]
    yield "machine", f"{box['cpus']} × {box['cpu']}, {box['memory_gib']} GiB, Linux {box['kernel']}"
    yield "CPUs", ("the server has the first, all others the second" if document["pinned"]
                   else "not pinned")
    yield "versions", ", ".join(f"{name} {version}" for name, version in box["versions"].items())
    compared = sorted({figures["version"] for result in document["scenarios"].values()
                       for rounds in result["rounds"].values() for figures in rounds
                       if figures.get("version")})
    yield "compared with", "; ".join(compared) or "nothing"


def table(name, result):
    """A scenario's figures, its bounds and its problems, as text."""
    rows = [["", *result["rounds"]], *cells(result)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{name}: {result['about']}"]
    for first, *others in rows:
        lines.append("  " + "   ".join([first.ljust(widths[0]), *(
            cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]))
    lines += [f"  {line}" for _, line in remarks(result)]
    return "\n".join(lines) + "\n"


def facts_text(document):
    small = ["--small: these figures mean nothing"] if document["small"] else []
    return "\n".join(small + [f"{name}: {value}" for name, value in facts(document)]) + "\n"


def document_text(document):
    return "\n".join([facts_text(document), *(
        table(name, result) for name, result in document["scenarios"].items())])
