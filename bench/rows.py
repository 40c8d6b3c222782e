"""The rows of the table, with median, quartiles and goals, as text and as JSON."""
import json
import math
import statistics

TITLES = {
    1: "Loss and gradient, libloss against PyTorch eager (times faster)",
    2: "cross_entropy with gradient against PyTorch, other shapes (times faster)",
    3: "Share of the machine's triad bandwidth (loss and gradient)",
    4: "A second thread (times faster than one)",
    5: "JSON numbers to floats, one core (times faster than the peer)",
    6: "Floats to shortest JSON text, one core (times faster than the peer)",
    7: "Number text on two cores against one (times faster)",
    8: "A whole JSON request with gradient against FastAPI and PyTorch (times faster)",
    9: "Small requests per second, 10 elements each (ratio to the peer)",
    10: "Latency of small requests during large requests",
    11: "Peak memory of a large request, against body + 4 bytes per number + response",
    12: "A float64 request against float32 (times slower)",
    13: "A binary request with gradient (times faster)",
    14: "A binary request of the Open Inference Protocol, against copying the same bytes (times"
    " slower)",
    15: "Several losses in one request, against one request per loss (times faster)",
    16: "The other losses, against PyTorch or a formula in PyTorch (times faster)",
    17: "float64 against float32, loss and gradient (times slower)",
    18: "Small batches on one thread, against PyTorch with blocks kept (times faster)",
    19: "Time per element (marked: changes of more than 20 % from one size to the next)",
    20: "mse over shards, against one rank of one thread (times faster; share of its CPUs)",
    21: "Loss and gradient in a Python process, against Python's libraries (times faster)",
    22: "Training of XGBoost with an objective of lossd.boost, against its own (times slower)",
}


def quartiles(samples):
    if len(samples) == 1:
        return samples[0], samples[0]
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, high


def ratios(of, to):
    """Returns the ratio of each repetition. `of` and `to` were measured in alternation."""
    return [a / b for a, b in zip(of, to)]


def geometric_means(series):
    """Returns the geometric mean of several series, per repetition."""
    return [math.exp(statistics.fmean(map(math.log, values))) for values in zip(*series)]


def time_text(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


class Row:
    """One line of the table. `samples` are the repetitions; with `low`, less is better; `note`
    replaces the verdict if there are no goals; `error` is a NotMeasured that says why there are no
    samples."""

    def __init__(
        self,
        figure,
        name,
        samples=None,
        reach=None,
        stretch=None,
        unit="x",
        low=False,
        ours="",
        peer="",
        note="",
        error=None,
    ):
        self.figure, self.name, self.unit = figure, name, unit
        self.samples = list(samples or [])
        self.reach, self.stretch, self.low = reach, stretch, low
        self.ours, self.peer, self.note = ours, peer, note
        self.status, self.fatal = (error.text, error.fatal) if error else ("ok", False)
        self.missing = bool(error and error.is_missing)

    @property
    def value(self):
        return statistics.median(self.samples) if self.samples else None

    def verdict(self):
        def meets(mark):
            return mark is not None and (self.value <= mark if self.low else self.value >= mark)

        if self.status != "ok" or self.reach is None:
            return self.note
        return "STRETCH" if meets(self.stretch) else "reach" if meets(self.reach) else "below"

    def number(self, value):
        if value is None:
            return ""
        if self.unit == "%":
            return f"{100 * value:.0f}%"
        if self.unit == "numbers":
            return f"{value:.0f}"
        unit = f" {self.unit}" if self.unit in ("ms", "ns") else "x"
        return f"{value:.{2 if value < 100 else 0}f}{unit}"

    def cells(self):
        if self.status != "ok":
            return [self.name, self.status]
        spread = (
            "" if len(self.samples) < 2 else " .. ".join(map(self.number, quartiles(self.samples)))
        )
        marks = [self.number(self.reach), self.number(self.stretch)]
        return [
            self.name,
            self.number(self.value),
            spread,
            *marks,
            self.verdict(),
            self.ours,
            self.peer,
        ]

    def as_json(self):
        low, high = quartiles(self.samples) if self.samples else (None, None)
        return {
            "figure": self.figure,
            "name": self.name,
            "status": self.status,
            "unit": self.unit,
            "value": self.value,
            "quartiles": [low, high],
            "samples": self.samples,
            "reach": self.reach,
            "stretch": self.stretch,
            "less_is_better": self.low,
            "verdict": self.verdict(),
            "ours": self.ours,
            "peer": self.peer,
        }


HEADER = ["", "measured", "quartiles", "reach", "stretch", "", "ours", "peer"]
WIDTHS = [49, 10, 22, 10, 10, 9, 10, 10]


def print_row(row, last_figure):
    """Prints a row, after a title if a new figure starts. Returns its figure."""

    def line(texts):
        return "   " + "".join(text.ljust(width) for text, width in zip(texts, WIDTHS)).rstrip()

    if row.figure != last_figure:
        print(f"\n{row.figure}. {TITLES[row.figure]}\n{line(HEADER)}")
    print(line(row.cells()), flush=True)
    return row.figure


def write_json(path, about, rows):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**about, "rows": [row.as_json() for row in rows]}, file, indent=1)
        file.write("\n")
