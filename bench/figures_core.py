"""Figures 1 to 4 and 16 to 19: libloss against PyTorch, against the memory bandwidth, and against
itself with another number of threads, dtype or size.

The rows follow the table of losses in the library. A loss without operands or without a peer is a
row that fails."""
import contextlib
import glob
import math
import os
import statistics

from operands import Problem
from processes import HERE, PYTHON, NotMeasured, driver
from rows import Row, geometric_means, ratios, time_text

# The losses of figures 1 and 3, and their goals in figure 3. The other losses are in figure 16.
STREAMED, COMPUTED, SOFT = (0.85, 0.95), (0.50, 0.75), (0.40, 0.60)
TRIAD_GOALS = {
    **dict.fromkeys(["mse", "l1", "smooth_l1", "huber", "hinge_embedding", "nll"], STREAMED),
    **dict.fromkeys(
        ["bce", "bce_with_logits", "cross_entropy", "kl_div", "cosine_embedding"], COMPUTED
    ),
    **dict.fromkeys(["bce/soft", "bce_with_logits/soft"], SOFT),
}
ELEMENTS, LARGE_ELEMENTS = 10_000_000, 100_000_000
# (name, elements, reach, stretch)
CROSS_ENTROPY = [
    ("cross_entropy", ELEMENTS, 4, 6),
    ("cross_entropy/10", ELEMENTS, 7, 9),
    ("cross_entropy/128256", 128 * 128_256, 10, 14),
]
NLL_GOALS = (1, 1.2)
BREAK_EVEN = ["mse", "bce_with_logits"]
SMALL = [(1000, 10), (10_000, 5), (100_000, 3)]  # (elements, reach)
LINEAR = ["mse", "bce_with_logits", "cross_entropy"]
LINEAR_MAX, LINEAR_ROUNDS, JUMP = 1_024_000_000, 3, 0.20
# Unless mapping is disabled, glibc maps new memory for each block above 32 MiB.
KEEP_BLOCKS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
# PyTorch with each allocator; the first one has the goals.
PEERS = {"kept": "blocks kept", "plain": "default allocator"}


# ---- Drivers and losses ----


@contextlib.contextmanager
def drivers(settings, *names):
    """Starts drivers by name: "ours" and "float32" are libloss, those of PEERS PyTorch."""
    core = [os.path.join(settings.build, "bench", "core")]
    torch = [PYTHON, os.path.join(HERE, "torch_peer.py")]
    with contextlib.ExitStack() as stack:
        started = {}
        for name in names:
            command, env = torch if name in PEERS else core, KEEP_BLOCKS if name == "kept" else {}
            log = os.path.join(settings.folder, f"core-{name}.log")
            started[name] = stack.enter_context(driver(command, log, env))
        # Importing PyTorch takes seconds, so wait until all have answered once.
        for one in started.values():
            with contextlib.suppress(NotMeasured):
                one.ask("loss", 1, 1, 1, "mse", "float32", "uniform:0:1:9:grad", "uniform:0:1:9")
        yield started


class Losses:
    """The losses of the library."""

    def __init__(self, core):
        answer = core.ask("list")
        self.tensors = {loss["name"]: loss["tensors"] for loss in answer["losses"]}
        self.classic = [name for name in self.tensors if name in TRIAD_GOALS]
        self.others = [name for name in self.tensors if name not in TRIAD_GOALS]
        self.soft = [name for name in TRIAD_GOALS if name.endswith("/soft")]

    def problem(self, name, elements):
        return Problem(name, self.tensors[name.partition("/")[0]], elements)


def ask(driver, problem, threads, repetitions, batch=1, dtype="float32"):
    """Returns a function that asks a driver for the times of a problem."""
    words = ("loss", threads, repetitions, batch, *problem.words(dtype))
    return lambda: driver.ask(*words)


# ---- Measurements ----


class Measured:
    """The times of each repetition by asker, or the reason why there are none."""

    def __init__(self, failure=None):
        self.ns, self.why, self.failure = {}, {}, failure

    def ratio(self, of, to):
        for who in (of, to):
            if reason := self.failure or self.why.get(who):
                raise reason
        return ratios(self.ns[of], self.ns[to])

    def time(self, who):
        return time_text(statistics.median(self.ns[who]))

    def row(self, figure, name, peer, reach=None, stretch=None, unit="x", slower=False):
        """Returns the row that says how many times as fast as the peer libloss is; with `slower`,
        how many times as slow."""
        try:
            samples = self.ratio("ours", peer) if slower else self.ratio(peer, "ours")
        except NotMeasured as reason:
            return Row(figure, name, error=reason)
        times = {"ours": self.time("ours"), "peer": self.time(peer)}
        return Row(figure, name, samples, reach, stretch, unit, low=slower, **times)


def measure(rounds, askers):
    """Runs all askers in turn in each round. An asker returns the answer of a driver."""
    result, values = Measured(), {}
    for _ in range(rounds):
        for who, asker in askers.items():
            if who in result.why:
                continue
            try:
                answer = asker()
            except NotMeasured as reason:
                result.why[who] = reason
                continue
            result.ns.setdefault(who, []).append(statistics.median(answer["ns"]))
            if "loss" in answer:
                values[who] = answer["loss"]
    for who, value in values.items():
        if not math.isclose(value, values.get("ours", value), rel_tol=1e-4):
            result.why[who] = NotMeasured(
                f"failed: the loss is {value}, that of lossd is {values['ours']}"
            )
    return result


def compare(settings, losses, name, elements, askers):
    """Measures a loss. `askers` returns its askers for a problem. Returns a title and the times."""
    try:
        problem = losses.problem(name, elements)
        return str(problem), measure(settings.rounds, askers(problem))
    except NotMeasured as reason:
        return name, Measured(reason)


def summary(figure, label, all_measured, peer, mean=(), worst=(), apart=()):
    """Makes the rows of the geometric mean and the worst of several losses. `mean` and `worst` are
    goals. The losses in `apart` have their own goals and do not count as the worst."""
    try:
        series = {name: measured.ratio(peer, "ours") for name, measured in all_measured.items()}
    except NotMeasured as reason:
        yield Row(figure, f"geometric mean, {label}", error=reason)
        return
    yield Row(figure, f"geometric mean, {label}", geometric_means(series.values()), *mean)
    least = min(series.keys() - set(apart), key=lambda name: statistics.median(series[name]))
    yield Row(figure, f"worst ({least}), {label}", series[least], *worst)


def all_drivers(settings, started, threads):
    """Returns a function that makes the askers of a problem: all drivers."""

    def askers(problem):
        batch = max(1, settings.small_numbers // problem.elements)
        how = (problem, threads, settings.repetitions, batch)
        return {who: ask(one, *how) for who, one in started.items()}

    return askers


# ---- Figures ----


def classic(settings):
    with drivers(settings, "ours", *PEERS) as started:
        losses, all_measured = Losses(started["ours"]), {}
        askers = all_drivers(settings, started, settings.threads)
        for name in [*losses.classic, *losses.soft]:
            elements = ELEMENTS // settings.shrink
            title, measured = compare(settings, losses, name, elements, askers)
            if name in losses.classic:
                all_measured[name] = measured
            for who, label in PEERS.items():
                goals = NLL_GOALS if (name, who) == ("nll", "kept") else ()
                yield measured.row(1, f"{title}, {label}", who, *goals)
        yield from summary(1, PEERS["kept"], all_measured, "kept", (4.5, 6), (2.2, 2.6), ["nll"])
        yield from summary(1, PEERS["plain"], all_measured, "plain")
        for name, elements, *goals in CROSS_ENTROPY:
            title, measured = compare(settings, losses, name, elements // settings.shrink, askers)
            for who, label in PEERS.items():
                yield measured.row(2, f"{title}, {label}", who, *(goals if who == "kept" else ()))


def others(settings):
    with drivers(settings, "ours", "kept") as started:
        losses, all_measured = Losses(started["ours"]), {}
        askers = all_drivers(settings, started, settings.threads)
        for name in losses.others:
            elements = ELEMENTS // settings.shrink
            title, all_measured[name] = compare(settings, losses, name, elements, askers)
            yield all_measured[name].row(16, f"{title}, {PEERS['kept']}", "kept")
        yield from summary(16, PEERS["kept"], all_measured, "kept", (4, 6), (1.5, 2))


def small(settings):
    with drivers(settings, "ours", "kept") as started:
        losses, askers = Losses(started["ours"]), all_drivers(settings, started, 1)
        for elements, reach in SMALL:
            all_measured, label = {}, count_text(elements)
            for name in losses.tensors:
                _, all_measured[name] = compare(settings, losses, name, elements, askers)
                yield all_measured[name].row(18, f"{name}, {label}", "kept")
            yield from summary(18, label, all_measured, "kept", [reach])


def count_text(elements):
    return f"{elements:.2g} elements".replace("e+0", "e")


def available_memory():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) * 1024


def large_elements(settings):
    """Returns a number of elements for which two float32 tensors are twice as large as the largest
    cache, at least 1e8; fewer if less than 64 bytes per element are available. Four tensors, and
    triad with as many bytes, need half of that."""
    caches = [0]
    for path in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*/size"):
        with open(path, encoding="ascii") as file:
            caches.append(int(file.read().strip().removesuffix("K")) * 1024)
    wanted = max(LARGE_ELEMENTS, max(caches) // 4)
    return min(wanted, available_memory() // 64) // settings.shrink


def moved(problem, size):
    """Returns the bytes that a loss must read and write. `size` is that of its tensors. nll reads
    one number of each row, which costs a cache line."""
    return size - 4 * problem.elements + 64 * problem.rows if problem.loss == "nll" else size


def bandwidth(settings):
    with drivers(settings, "ours") as started:
        core = started["ours"]
        losses, large = Losses(core), large_elements(settings)
        for elements in (large, *(elements for elements, _ in SMALL)):
            threads = settings.threads if elements == large else 1

            def askers(problem):
                how = (threads, settings.repetitions)
                batch = max(1, settings.small_numbers // problem.elements)
                size = moved(problem, ask(core, problem, threads, 1)()["bytes"])
                return {
                    "ours": ask(core, problem, *how, batch),
                    "triad": lambda: core.ask("triad", size, *how, batch),
                }

            for name in [*losses.classic, *losses.soft]:
                _, measured = compare(settings, losses, name, elements, askers)
                goals = TRIAD_GOALS[name] if elements == large else ()
                title = f"{name}, {count_text(elements)}"
                yield measured.row(3, title, "triad", *goals, unit="%")


def second_thread(settings):
    with drivers(settings, "ours") as started:
        core = started["ours"]
        losses = Losses(core)

        def askers(problem):
            return {
                "ours": ask(core, problem, 2, settings.repetitions),
                "one": ask(core, problem, 1, settings.repetitions),
            }

        for name in losses.tensors:
            elements = ELEMENTS // settings.shrink
            title, measured = compare(settings, losses, name, elements, askers)
            yield measured.row(4, f"{title}: gain", "one", 1.9)
        for name in BREAK_EVEN:
            found = break_even(settings, core, losses, name)
            yield Row(4, f"{name}: break-even size", found, 32768, unit="numbers", low=True)


def break_even(settings, core, losses, name):
    """Returns the smallest size at which two threads are at least 10 % faster than one, and also at
    twice that size; the largest size if there is none. Compares the best of several short runs,
    because runs that are interrupted do not measure the cost of a team."""
    sizes = [1 << k for k in range(10, 21) if 1 << k <= max(2048, (1 << 20) // settings.shrink)]
    found = []
    for _ in range(settings.rounds):
        wins = []
        for size in sizes:
            problem, batch = losses.problem(name, size), max(1, settings.small_numbers // size)
            one, two = (min(ask(core, problem, threads, 9, batch)()["ns"]) for threads in (1, 2))
            wins.append(one >= 1.1 * two)
        found.append(
            next((size for size, *both in zip(sizes, wins, wins[1:]) if all(both)), sizes[-1])
        )
    return found


def float64(settings):
    with drivers(settings, "ours", "float32") as started:
        losses = Losses(started["ours"])

        def askers(problem):
            how = (problem, settings.threads, settings.repetitions, 1)
            return {
                "ours": ask(started["ours"], *how, "float64"),
                "float32": ask(started["float32"], *how),
            }

        for name in losses.tensors:
            elements = ELEMENTS // settings.shrink
            title, measured = compare(settings, losses, name, elements, askers)
            yield measured.row(17, title, "float32", 2.3, 2, slower=True)


def linear(settings):
    with drivers(settings, "ours") as started:
        losses, rounds = Losses(started["ours"]), min(settings.rounds, LINEAR_ROUNDS)
        askers = all_drivers(settings, started, settings.threads)
        most = min(LINEAR_MAX // settings.shrink, available_memory() // 16)
        sizes = [1000 << k for k in range(21) if 1000 << k <= most]
        for name in LINEAR:
            by_size = {size: askers(losses.problem(name, size))["ours"] for size in sizes}
            yield from linear_rows(name, measure(rounds, by_size), sizes)


def linear_rows(name, measured, sizes):
    before = None
    for size in sizes:
        title = f"{name}, {size:,} elements"
        if size in measured.why:
            yield Row(19, title, error=measured.why[size])
            continue
        times = [ns / size for ns in measured.ns[size]]
        change = statistics.median(times) / (before or statistics.median(times)) - 1
        note = f"{change:+.0%}" if abs(change) > JUMP else ""
        yield Row(19, title, times, unit="ns", low=True, note=note, ours=measured.time(size))
        before = statistics.median(times)


FIGURES = {
    (1, 2): classic,
    (3,): bandwidth,
    (4,): second_thread,
    (16,): others,
    (17,): float64,
    (18,): small,
    (19,): linear,
}
