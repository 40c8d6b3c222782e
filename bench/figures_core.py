"""Figures 1 to 4: libloss against PyTorch, against the memory bandwidth, and two threads against
one."""
import contextlib
import math
import os
import statistics

from processes import HERE, PYTHON, NotMeasured, driver
from rows import Row, geometric_means, ratios, time_text

# (name, length of a row)
LOSSES = [
    ("mse", 0),
    ("l1", 0),
    ("smooth_l1", 0),
    ("huber", 0),
    ("bce", 0),
    ("bce_with_logits", 0),
    ("cross_entropy", 1000),
    ("nll", 1000),
    ("kl_div", 0),
    ("hinge_embedding", 0),
    ("cosine_embedding", 128),
]
SOFT = ["bce/soft", "bce_with_logits/soft"]  # targets are probabilities; no goals
ELEMENTS = 10_000_000
# (rows, classes, reach, stretch)
CROSS_ENTROPY = [(10_000, 1000, 8, 12), (1_000_000, 10, 6, 10), (128, 128_256, 8, 12)]
TRIAD_MARKS = {
    **dict.fromkeys(["mse", "l1", "smooth_l1", "huber", "hinge_embedding"], (0.85, 0.95)),
    **dict.fromkeys(["bce_with_logits", "kl_div", "cross_entropy"], (0.50, 0.80)),
}
TWO_THREADS = ["mse", "bce_with_logits"]
BREAK_EVEN_REACH = 65536
# Unless mapping is disabled, glibc maps new memory for each block above 32 MiB.
KEEP_BLOCKS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


class Measured:
    """Returns the times of each repetition by asker, or the reason why there are none."""

    def __init__(self):
        self.ns, self.why, self.bytes = {}, {}, {}

    def ratio(self, of, to):
        for who in (of, to):
            if who in self.why:
                raise self.why[who]
        return ratios(self.ns[of], self.ns[to])

    def time(self, who):
        return time_text(statistics.median(self.ns[who])) if who in self.ns else ""


def measure(settings, askers):
    """Runs all askers in turn in each round. An asker returns the answer of a driver."""
    result, values = Measured(), {}
    for _ in range(settings.rounds):
        for who, ask in askers.items():
            if who in result.why:
                continue
            try:
                answer = ask()
            except NotMeasured as reason:
                result.why[who] = reason
                continue
            result.ns.setdefault(who, []).append(statistics.median(answer["ns"]))
            result.bytes[who] = answer.get("bytes")
            if "loss" in answer:
                values[who] = answer["loss"]
    for who, value in values.items():
        if not math.isclose(value, values.get("ours", value), rel_tol=1e-4):
            result.why[who] = NotMeasured(
                f"failed: the loss is {value}, that of lossd is {values['ours']}"
            )
    return result


def against_torch(settings, drivers, name, count, classes, triad=False, second_thread=False):
    words = ("loss", name, count, classes)
    tail = (settings.repetitions, 1)
    askers = {}
    if triad:
        askers["triad"] = lambda: drivers["core"].ask(
            "triad", count, settings.threads, settings.repetitions
        )
    askers["ours"] = lambda: drivers["core"].ask(*words, settings.threads, *tail)
    if second_thread:
        askers["one"] = lambda: drivers["core"].ask(*words, 1, *tail)
        askers["two"] = lambda: drivers["core"].ask(*words, 2, *tail)
    askers["plain"] = lambda: drivers["torch"].ask(*words, settings.threads, *tail)
    askers["kept"] = lambda: drivers["torch kept"].ask(*words, settings.threads, *tail)
    return measure(settings, askers)


def shape_text(name, count, classes):
    return f"{name} {count // classes}x{classes}" if classes else name


def torch_rows(figure, name, measured, reach=None, stretch=None):
    for who, label in (("plain", "plain"), ("kept", "blocks kept")):
        try:
            yield Row(
                figure,
                f"{name}, {label}",
                measured.ratio(who, "ours"),
                reach,
                stretch,
                ours=measured.time("ours"),
                peer=measured.time(who),
            )
        except NotMeasured as reason:
            yield Row(figure, f"{name}, {label}", error=reason)


def summary_rows(all_measured):
    """Makes the rows for the geometric mean and the worst of all losses, which have goals."""
    for who, label in (("plain", "plain"), ("kept", "blocks kept")):
        try:
            series = {name: measured.ratio(who, "ours") for name, measured in all_measured.items()}
        except NotMeasured as reason:
            yield Row(1, f"geometric mean, {label}", error=reason)
            continue
        yield Row(1, f"geometric mean, {label}", geometric_means(series.values()), 8, 12)
        worst = min(series, key=lambda name: statistics.median(series[name]))
        yield Row(1, f"worst ({worst}), {label}", series[worst], 4, 6)


def triad_rows(all_measured):
    for name, (reach, stretch) in {**TRIAD_MARKS, **dict.fromkeys(SOFT, (None, None))}.items():
        measured = all_measured[name]
        try:
            times = measured.ratio("triad", "ours")
            share = measured.bytes["ours"] / measured.bytes["triad"]
            yield Row(
                3,
                name,
                [share * time for time in times],
                reach,
                stretch,
                "%",
                ours=measured.time("ours"),
                peer=measured.time("triad"),
            )
        except NotMeasured as reason:
            yield Row(3, name, error=reason)


def break_even(settings, drivers, name):
    """Returns the smallest size at which two threads are at least 10 % faster than one, and also at
    twice that size; the largest size if there is none. Compares the best of several short runs,
    because runs that are interrupted do not measure the cost of a team."""
    sizes = [1 << k for k in range(10, 21) if 1 << k <= max(2048, (1 << 20) // settings.shrink)]
    found = []
    for _ in range(settings.rounds):
        wins = []
        for size in sizes:
            batch = max(1, settings.break_even_numbers // size)
            one, two = (
                min(drivers["core"].ask("loss", name, size, 0, threads, 9, batch)["ns"])
                for threads in (1, 2)
            )
            wins.append(one >= 1.1 * two)
        found.append(
            next((size for size, *both in zip(sizes, wins, wins[1:]) if all(both)), sizes[-1])
        )
    return found


def second_thread_rows(settings, drivers, all_measured):
    for name in TWO_THREADS:
        measured = all_measured[name]
        try:
            yield Row(
                4,
                f"{name}, {ELEMENTS // settings.shrink:.0e} elements: gain",
                measured.ratio("one", "two"),
                1.8,
                ours=measured.time("two"),
                peer=measured.time("one"),
            )
            yield Row(
                4,
                f"{name}, break-even size",
                break_even(settings, drivers, name),
                BREAK_EVEN_REACH - 1,
                unit="numbers",
                low=True,
            )
        except NotMeasured as reason:
            yield Row(4, name, error=reason)


def figures(settings):
    elements = ELEMENTS // settings.shrink
    with contextlib.ExitStack() as stack:

        def start(name, command, env=None):
            return stack.enter_context(
                driver(command, os.path.join(settings.folder, name + ".log"), env)
            )

        torch = [PYTHON, os.path.join(HERE, "torch_peer.py")]
        drivers = {
            "core": start("core", [os.path.join(settings.build, "bench", "core")]),
            "torch": start("torch", torch),
            "torch kept": start("torch-kept", torch, KEEP_BLOCKS),
        }
        # Importing PyTorch takes seconds, so wait until all have answered once.
        for one in drivers.values():
            with contextlib.suppress(NotMeasured):
                one.ask("loss", "mse", 1000, 0, settings.threads, 1, 1)
        all_measured = {}
        for name, classes in LOSSES:
            measured = against_torch(
                settings, drivers, name, elements, classes, name in TRIAD_MARKS, name in TWO_THREADS
            )
            all_measured[name] = measured
            yield from torch_rows(1, shape_text(name, elements, classes), measured)
        yield from summary_rows(all_measured)
        for name in SOFT:
            all_measured[name] = against_torch(settings, drivers, name, elements, 0, triad=True)
            yield from torch_rows(1, name, all_measured[name])
        for rows, classes, reach, stretch in CROSS_ENTROPY:
            count = max(1, rows // settings.shrink) * classes
            if count == elements and classes == 1000:
                measured = all_measured["cross_entropy"]
            else:
                measured = against_torch(settings, drivers, "cross_entropy", count, classes)
            yield from torch_rows(
                2, shape_text("cross_entropy", count, classes), measured, reach, stretch
            )
        yield from triad_rows(all_measured)
        yield from second_thread_rows(settings, drivers, all_measured)
