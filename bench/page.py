"""Results as an HTML page that needs nothing but itself.

Its plots are SVG, drawn here: bars and lines are all that is wanted, and a plotting program, or a
script in the page, would be one more thing to install now and to be without in ten years.
"""

import html
import math
import statistics

from report import SHOWN, cells, facts, number, remarks

COLOURS = ["#2f6fab", "#c8553d", "#588157", "#8d6a9f"]
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem }
table { border-collapse: collapse; margin: .6rem 0 }
td, th { padding: .1rem .9rem .1rem 0; text-align: right; font-variant-numeric: tabular-nums;
         font-weight: normal; vertical-align: top }
th:first-child, td:first-child { text-align: left; color: #666 }
.facts td { text-align: left }
thead th { border-bottom: 1px solid #999; font-weight: 600 }
h2 { margin: 2.2rem 0 .2rem; font-size: 1.15rem }
p { margin: .2rem 0 }
.met { color: #2d6a2d } .missed { color: #a1260d; font-weight: 600 } .none { color: #8a6d00 }
svg { display: block; margin: .6rem 0 } svg text { font: 12px system-ui, sans-serif; fill: #444 }
"""

# ---- bars ------------------------------------------------------------------------------------------

BAR_LEFT, BAR_WIDTH, BAR_STEP = 130, 380, 24


def bars(result, name):
    """A bar for each variant's median, with a line from least to most and a dot for each round."""
    values = {variant: [figures[name] for figures in rounds if name in figures]
              for variant, rounds in result["rounds"].items()}
    values = {variant: each for variant, each in values.items() if each}
    if not values:
        return ""
    scale = BAR_WIDTH / (max(map(max, values.values())) or 1)
    parts = [svg(640, 22 + len(values) * BAR_STEP), text(0, 12, SHOWN[name])]
    for row, (variant, each) in enumerate(values.items()):
        y, middle = 28 + row * BAR_STEP, statistics.median(each)
        least, most = (BAR_LEFT + scale * end for end in (min(each), max(each)))
        parts += [text(0, y + 4, variant),
                  f'<rect x="{BAR_LEFT}" y="{y - 7}" width="{middle * scale:.1f}" height="14" '
                  f'fill="{COLOURS[row % len(COLOURS)]}" opacity=".75"/>',
                  f'<line x1="{least:.1f}" x2="{most:.1f}" y1="{y}" y2="{y}" stroke="#222"/>',
                  *(f'<circle cx="{BAR_LEFT + one * scale:.1f}" cy="{y}" r="2" fill="#222"/>'
                    for one in each),
                  text(most + 8, y + 4, number(middle))]
    return "".join(parts) + "</svg>"


# ---- percentiles -----------------------------------------------------------------------------------

CURVE_LEFT, CURVE_WIDTH, CURVE_HEIGHT = 60, 480, 200
NINES = 4  # the curve ends with 99.99 %


def percentile_x(name):
    """Where p999 stands: each further nine has as much room."""
    nines = -math.log10(1 - float("0." + name[1:]))
    return CURVE_LEFT + CURVE_WIDTH * nines / NINES


def curves(result):
    """Latency, by percentile: a line for each round. Both axes are logarithmic."""
    lines = [(row, {name: max(us, 1) for name, us in figures["curve"].items() if name != "max"})
             for row, rounds in enumerate(result["rounds"].values())
             for figures in rounds if "curve" in figures]
    if not lines:
        return ""
    low = math.floor(math.log10(min(min(line.values()) for _, line in lines)))
    high = math.ceil(math.log10(max(max(line.values()) for _, line in lines)) + 1e-9)

    def y_of(us):
        return 24 + CURVE_HEIGHT * (high - math.log10(us)) / max(high - low, 1)

    bottom = 24 + CURVE_HEIGHT
    parts = [svg(640, CURVE_HEIGHT + 70), text(0, 12, "latency by percentile, µs")]
    for power in range(low, high + 1):
        y = y_of(10**power)
        parts += [f'<line x1="{CURVE_LEFT}" x2="{CURVE_LEFT + CURVE_WIDTH}" y1="{y:.1f}" '
                  f'y2="{y:.1f}" stroke="#ddd"/>', text(0, y + 4, f"{10**power:,}")]
    for name, label in (("p50", "50 %"), ("p90", "90 %"), ("p99", "99 %"), ("p999", "99.9 %"),
                        ("p9999", "99.99 %")):
        x = percentile_x(name)
        parts += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="24" y2="{bottom}" stroke="#eee"/>',
                  text(x - 14, bottom + 16, label)]
    for row, line in lines:
        points = " ".join(f"{percentile_x(name):.1f},{y_of(us):.1f}" for name, us in line.items())
        parts.append(f'<polyline points="{points}" fill="none" '
                     f'stroke="{COLOURS[row % len(COLOURS)]}" stroke-width="1.5"/>')
    for row, variant in enumerate(result["rounds"]):
        x = CURVE_LEFT + 130 * row
        parts += [f'<rect x="{x}" y="{bottom + 26}" width="12" height="12" '
                  f'fill="{COLOURS[row % len(COLOURS)]}"/>', text(x + 18, bottom + 36, variant)]
    return "".join(parts) + "</svg>"


# ---- the page --------------------------------------------------------------------------------------


def svg(width, height):
    return f'<svg width="{width}" height="{height}" role="img">'


def text(x, y, words):
    return f'<text x="{x:.1f}" y="{y:.1f}">{html.escape(words)}</text>'


def table(rows, head=(), kind=""):
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
                   for row in rows)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def section(name, result):
    notes = "".join(f'<p class="{kind}">{html.escape(line)}</p>' for kind, line in remarks(result))
    plots = "".join(curves(result) if plot == "curve" else bars(result, plot)
                    for plot in result["plots"])
    return (f"<h2>{html.escape(name)}</h2><p>{html.escape(result['about'])}</p>{notes}{plots}"
            f"{table(cells(result), ['', *result['rounds']])}")


def page(document):
    """The whole document as HTML."""
    small = ('<p class="missed">--small: these figures mean nothing.</p>' if document["small"]
             else "")
    sections = "".join(section(name, result) for name, result in document["scenarios"].items())
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f"<title>Trotline: figures</title><style>{STYLE}</style></head><body>"
            f"<h1>Trotline: figures</h1>{small}{table(facts(document), kind='facts')}"
            f"<p>Figures are median (least–most) of the rounds. CPU time and Redis's figures are "
            f"for each delivery, or event where none are delivered.</p>"
            f"{sections}</body></html>\n")
