"""Draws the results of bench/run.py as an SVG chart.

    chart.py JSON SVG

Bars show how many times as fast as its peer lossd is, on a logarithmic scale; a bar to the left of
1x means that lossd is slower. Whiskers are quartiles. The chart shows no times, and names the
machine.

Losses are compared with PyTorch whose allocator keeps its memory ("blocks kept" in the table). The
colors are those of web/tokens.css, light and dark."""
import json
import math
import re
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ", blocks kept"
# Groups of bars: title, and the figure of the losses to show, or the rows: (figure, name in
# bench.json, label).
LOSSES = [
    ("Loss and gradient, against PyTorch with a warm allocator", 1),
    ("Other losses, against PyTorch or a formula in PyTorch, with a warm allocator", 16),
]
REQUESTS = (
    "HTTP requests with gradients, against FastAPI with PyTorch",
    [
        (8, "mse, 1e5 elements", "mse, JSON, 1e5 elements"),
        (8, "mse, 1e6 elements", "mse, JSON, 1e6 elements"),
        (8, "cross_entropy, 10000x100", "cross_entropy, JSON, 1e4 x 100"),
        (13, "mse, 1e7 elements: FastAPI, raw bytes", "mse, binary, 1e7 elements"),
        (9, "FastAPI", "small requests per second"),
    ],
)
NUMBERS = (
    "Numbers in JSON, one core",
    [
        (5, "float32 from 17 digits, simdjson", "read float32, against simdjson"),
        (5, "float64 from 17 digits, simdjson", "read float64, against simdjson"),
        (6, "float32, to_chars", "write float32, against to_chars"),
    ],
)
WIDTH, LEFT, RIGHT, BAR, GAP = 760, 250, 70, 14, 8
TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)


def tokens():
    """Returns the variables of web/tokens.css: the light ones, and those that dark mode
    overrides."""
    text = (ROOT / "web/tokens.css").read_text(encoding="utf-8")
    light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
    return [dict(re.findall(r"--([\w-]+):\s*([^;]+);", part)) for part in (light, dark)]


def style():
    """Returns the style sheet of the chart, with the tokens that it uses."""
    light, dark = tokens()
    used = ("panel", "text", "soft", "grid", "line", "accent")

    def variables(values):
        return " ".join(f"--{name}: {values[name]};" for name in used if name in values)

    return (
        f":root {{ {variables(light)} }} "
        f"@media (prefers-color-scheme: dark) {{ :root {{ {variables(dark)} }} }} "
        f"text {{ font: 13px {light['font-text']}; fill: var(--text); }} "
        ".title { font-weight: 600; } .soft { fill: var(--soft); font-size: 12px; } "
        ".back { fill: var(--panel); } .grid { stroke: var(--grid); } "
        ".one { stroke: var(--soft); } .bar { fill: var(--line); } "
        ".mean { fill: var(--accent); } .whisker { stroke: var(--text); }"
    )


def losses(found, figure):
    """Returns the bars of the losses in a figure, fastest first, and of their geometric mean."""
    bars = [
        (name.removesuffix(KEPT), row)
        for (number, name), row in found.items()
        if number == figure
        and name.endswith(KEPT)
        and not name.startswith(("worst", "geometric"))
        and "/" not in name
    ]
    bars.sort(key=lambda item: -item[1]["value"])
    mean = found.get((figure, "geometric mean" + KEPT))
    return bars + ([("geometric mean", mean)] if mean else [])


def groups(rows):
    """Returns (title, [(label, row)]) of each group that has rows."""
    found = {(row["figure"], row["name"]): row for row in rows if row["status"] == "ok"}
    every = [(title, losses(found, figure)) for title, figure in LOSSES]
    for title, wanted in (REQUESTS, NUMBERS):
        every.append(
            (
                title,
                [
                    (label, found[figure, name])
                    for figure, name, label in wanted
                    if (figure, name) in found
                ],
            )
        )
    return [(title, bars) for title, bars in every if bars]


class Scale:
    """A logarithmic scale from values to pixels."""

    def __init__(self, values):
        self.low = max(tick for tick in TICKS if tick <= min(0.5, *values) or tick == TICKS[0])
        self.high = next((tick for tick in TICKS if tick >= max(2, *values)), max(values))

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        return [tick for tick in TICKS if self.low <= tick <= self.high]


def bar(label, row, y, scale):
    """Returns the SVG of a bar with its label, whisker and number."""
    value, (low, high) = row["value"], row["quartiles"]
    left, right, middle = sorted((scale(1), scale(value))) + [y + BAR / 2]
    kind = "mean" if label == "geometric mean" else "bar"
    end, number = max(right, scale(high)), f"{value:.{2 if value < 10 else 0}f}x"
    return [
        f'<text x="{LEFT - 10}" y="{middle + 4.5:.1f}" text-anchor="end">{escape(label)}</text>',
        f'<rect class="{kind}" x="{left:.1f}" y="{y}" width="{right - left:.1f}" height="{BAR}"/>',
        f'<path class="whisker" d="M{scale(low):.1f} {middle:.1f}H{scale(high):.1f}"/>',
        f'<text x="{end + 6:.1f}" y="{middle + 4.5:.1f}">{number}</text>',
    ]


def draw(results, shown):
    """Returns the chart of the groups as SVG."""
    scale = Scale([row["value"] for _, bars in shown for _, row in bars])
    lines, y = [], 16
    for title, bars in shown:
        y += 22
        lines.append(f'<text class="title" x="16" y="{y}">{escape(title)}</text>')
        y += 10
        for label, row in bars:
            lines += bar(label, row, y, scale)
            y += BAR + GAP
    grid = []
    for tick in scale.ticks():
        x, kind = scale(tick), "one" if tick == 1 else "grid"
        grid += [
            f'<path class="{kind}" d="M{x:.1f} 16V{y}"/>',
            f'<text class="soft" x="{x:.1f}" y="{y + 16}" text-anchor="middle">{tick:g}x</text>',
        ]
    machine = f"{results['cpu']}, {results['cores']} cores, {results['started'][:10]}"
    note = f"Times as fast as the peer (logarithmic). {machine}"
    lines.append(f'<text class="soft" x="16" y="{y + 40}">{escape(note)}</text>')
    height = y + 54
    return (
        "\n".join(
            [
                '<svg xmlns="http://www.w3.org/2000/svg"'
                f' viewBox="0 0 {WIDTH} {height}" role="img">',
                f"<title>{escape(note)}</title>",
                f"<style>{style()}</style>",
                f'<rect class="back" width="{WIDTH}" height="{height}" rx="8"/>',
                *grid,
                *lines,
                "</svg>",
            ]
        )
        + "\n"
    )


def write_chart(json_path, svg_path):
    """Draws the chart of a JSON file. Returns false if the file contains no row that the chart
    shows."""
    results = json.loads(Path(json_path).read_text(encoding="utf-8"))
    shown = groups(results["rows"])
    if shown:
        Path(svg_path).write_text(draw(results, shown), encoding="utf-8")
    return bool(shown)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    if not write_chart(*sys.argv[1:]):
        raise SystemExit(f"chart.py: {sys.argv[1]} contains no row that the chart shows")


if __name__ == "__main__":
    main()
