"""Results for people: a line, a table, and a page that needs nothing but itself.

The page has its plots as SVG, drawn here: bars and lines are all it needs, and a plotting program or a
script in the page would be one more thing to install, or to be without in ten years.
"""

import html
import statistics

# What is shown, in this order, and what it is called; other figures are in the JSON only.
SHOWN = {
    "rate": "rate, 1/s",
    "accepted_rate": "accepted, 1/s",
    "p50_us": "latency p50, µs",
    "p99_us": "p99",
    "p999_us": "p99.9",
    "accept_p50_us": "answer p50, µs",
    "accept_p99_us": "p99",
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
SERIES = ["#2f6fab", "#c8553d", "#588157", "#8d6a9f", "#b08900", "#4d908e"]


def number(value):
    """Three digits that matter; whole numbers as they are."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
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


def table(name, result):
    """A scenario's figures, its bounds and its problems, as text."""
    rows = [["", *result["rounds"]], *cells(result)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{name}: {result['about']}"]
    for first, *others in rows:
        lines.append("  " + "   ".join([first.ljust(widths[0]), *(
            cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]))
    lines += [f"  {judged(bound)}" for bound in result["bounds"]]
    lines += [f"  not measured: {problem}" for problem in result["problems"]]
    return "\n".join(lines) + "\n"


# ---- the page --------------------------------------------------------------------------------------


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .6rem 0 }
td, th { padding: .1rem .9rem .1rem 0; text-align: right; font-variant-numeric: tabular-nums; font-weight: normal }
th:first-child, td:first-child { text-align: left; color: #666 }
thead th { border-bottom: 1px solid #999; font-weight: 600 }
h2 { margin: 2.2rem 0 .2rem; font-size: 1.15rem } p { margin: .3rem 0 }
.met { color: #2d6a2d } .missed { color: #a1260d; font-weight: 600 } .none { color: #8a6d00 }
svg text { font: 12px system-ui, sans-serif; fill: #444 }
"""


def bars(result, name, label):
    """A bar for each variant's median, with a whisker from least to most and a dot for each round."""
    values = {variant: [figures[name] for figures in each if name in figures]
              for variant, each in result["rounds"].items()}
    values = {variant: each for variant, each in values.items() if each}
    if not values:
        return ""
    top = max(max(each) for each in values.values()) or 1
    scale, height = 380 / top, 24
    parts = [f'<svg width="640" height="{len(values) * height + 22}" role="img">'
             f'<text x="0" y="12">{html.escape(label)}</text>']
    for row, (variant, each) in enumerate(values.items()):
        y, middle = 18 + row * height, statistics.median(each)
        parts.append(
            f'<text x="0" y="{y + 14}">{html.escape(variant)}</text>'
            f'<rect x="130" y="{y + 3}" width="{middle * scale:.1f}" height="14" '
            f'fill="{SERIES[row % len(SERIES)]}" opacity=".75"/>'
            f'<line x1="{130 + min(each) * scale:.1f}" x2="{130 + max(each) * scale:.1f}" '
            f'y1="{y + 10}" y2="{y + 10}" stroke="#222"/>')
        parts += [f'<circle cx="{130 + one * scale:.1f}" cy="{y + 10}" r="2" fill="#222"/>'
                  for one in each]
        parts.append(f'<text x="{138 + max(each) * scale:.1f}" y="{y + 14}">{number(middle)}</text>')
    return "".join(parts) + "</svg>"


def section(name, result):
    parts = [f"<h2>{html.escape(name)}</h2><p>{html.escape(result['about'])}</p>"]
    for bound in result["bounds"]:
        kind = {True: "met", False: "missed", None: "none"}[bound["met"]]
        parts.append(f'<p class="{kind}">{html.escape(judged(bound))}</p>')
    parts += [f'<p class="none">not measured: {html.escape(problem)}</p>'
              for problem in result["problems"]]
    parts += [bars(result, figure, label) for figure, label in (
        ("rate", "rate, 1/s"), ("p99_us", "latency p99, µs"), ("server_us", "CPU of the server, µs"))]
    head = "".join(f"<th>{html.escape(variant)}</th>" for variant in ["", *result["rounds"]])
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
                   for row in cells(result))
    return "".join(parts) + f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def page(document):
    """The whole document as HTML."""
    box = document["machine"]
    facts = {"when": document["began"], "command": box["command"], "commit": box["commit"],
             "CPU": f"{box['cpus']} × {box['cpu']}", "memory": f"{box['memory_gib']} GiB",
             "kernel": box["kernel"], "rounds": document["rounds"],
             "versions": ", ".join(f"{name} {version}" for name, version in box["versions"].items())}
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td style='text-align:left'>"
                   f"{html.escape(str(value))}</td></tr>" for name, value in facts.items())
    small = "<p class='missed'>--small: these figures mean nothing.</p>" if document["small"] else ""
    sections = "".join(section(name, result) for name, result in document["scenarios"].items())
    return (f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Trotline: figures</title>"
            f"<style>{STYLE}</style><h1>Trotline: figures</h1>{small}<table>{rows}</table>"
            f"<p>median (least – most) of the rounds; CPU time and Redis's figures are for each "
            f"event.</p>{sections}</html>\n")
