"""Compares lossd with its peers on this machine and prints a table; see bench/README.md.

lossd and its peers take turns, several times. Most figures are medians of the ratios of neighbors.
Exit status: 0, or 1 if something could not be measured because a peer is missing or something
failed. Missing features and missed goals do not count, nor do missing peers with --smoke.
"""
import argparse
import os
import platform
import resource
import shutil
import signal
import sys
import time
from types import SimpleNamespace

import figures_binary
import figures_core
import figures_http
import figures_python
import figures_several
import figures_text
from chart import write_chart
from processes import NotMeasured
from rows import TITLES, print_row, write_json

# The parts of each group: the figures that a part makes, and its function.
GROUPS = {
    "core": figures_core.FIGURES,
    "text": {(5, 6, 7): figures_text.figures},
    "http": {(8, 9, 10, 11, 12): figures_http.figures},
    "binary": {(13, 14): figures_binary.figures},
    "several": {(15,): figures_several.figures},
    "python": {(21, 22): figures_python.figures},
}

# rounds: number of turns of each program; repetitions: measurements per turn, of which the median
# counts; shrink: divisor of all other batch sizes.
FULL = {
    "rounds": 9,
    "repetitions": 3,
    "numbers": 1_000_000,
    "small_numbers": 200_000,
    "peer_rounds": 7,
    "load_seconds": 1.5,
    "tail_seconds": 8,
    "tail_rounds": 5,
    "memory_rounds": 3,
    "large_megabytes": 100,
    "binary_numbers": 10_000_000,
    "shrink": 1,
}
QUICK = {
    "rounds": 3,
    "repetitions": 1,
    "numbers": 200_000,
    "small_numbers": 100_000,
    "peer_rounds": 1,
    "load_seconds": 0.5,
    "tail_seconds": 1.5,
    "tail_rounds": 1,
    "memory_rounds": 1,
    "large_megabytes": 20,
    "binary_numbers": 1_000_000,
    "shrink": 1,
}
# Tests that everything runs; the figures are meaningless.
SMOKE = {
    "rounds": 1,
    "repetitions": 1,
    "numbers": 1000,
    "small_numbers": 1000,
    "peer_rounds": 1,
    "load_seconds": 0.5,
    "tail_seconds": 0.5,
    "tail_rounds": 1,
    "memory_rounds": 1,
    "large_megabytes": 0.1,
    "binary_numbers": 2000,
    "shrink": 625,
}
RUNS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next(
            (line.split(":", 1)[1].strip() for line in file if line.startswith("model name")),
            platform.machine(),
        )


class Others:
    """Measures the share of the CPU time that other processes and virtual machines use. Figures
    from a busy machine are not reliable."""

    def __init__(self, cores):
        self.cores, self.wall, self.busy, self.ours = (
            cores,
            time.monotonic(),
            self._busy(),
            self._ours(),
        )

    def share(self):
        """Call after all processes of the bench have exited."""
        seconds = self._busy() - self.busy - (self._ours() - self.ours)
        return max(0.0, seconds / (self.cores * (time.monotonic() - self.wall)))

    @staticmethod
    def _busy():
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _wait, irq, softirq, steal = map(
                int, file.readline().split()[1:9]
            )
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _ours():
        usages = [
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def chosen(only):
    """Returns the functions of the parts that `only` names, by group or figure; all if it is
    empty. Raises ValueError if it names something else."""
    names, functions = set(only.replace(",", " ").split()), []
    known = set(GROUPS)
    for group, parts in GROUPS.items():
        for figures, function in parts.items():
            labels = {group, *map(str, figures)}
            known |= labels
            if not names or names & labels:
                functions.append(function)
    if unknown := names - known:
        raise ValueError(f"unknown group or figure {min(unknown)}")
    return functions


def end(number, _frame):
    sys.exit(128 + number)  # runs every `finally`, which ends the processes


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", default="build", help="the build folder")
    parser.add_argument(
        "--only",
        default="",
        help=f"figures, or groups of figures: {', '.join(GROUPS)} (default: all). Figures that are"
        " measured together run together.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick",
        dest="run",
        action="store_const",
        const="quick",
        default="full",
        help="fewer repetitions, smaller batches",
    )
    size.add_argument(
        "--smoke",
        dest="run",
        action="store_const",
        const="smoke",
        help="tiny batches, to test that everything runs; writes bench-smoke.json",
    )
    arguments = parser.parse_args()
    try:
        functions = chosen(arguments.only)
    except ValueError as error:
        parser.error(f"{error}; figures: 1 to {max(TITLES)}, groups: {', '.join(GROUPS)}")
    if not os.path.exists(os.path.join(arguments.build, "lossd")):
        parser.error(f"{arguments.build}/lossd does not exist; run `make bench`")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)

    cores = len(os.sched_getaffinity(0))
    about = {
        "run": arguments.run,
        "quick": arguments.run == "quick",
        "cpu": cpu_model(),
        "cores": cores,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    print(
        f"{about['cpu']}, {cores} cores; {arguments.run} run. "
        "Times are medians; ratios are of neighbors."
    )
    folder = os.path.abspath(os.path.join(arguments.build, "bench", "logs"))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    settings = SimpleNamespace(
        build=arguments.build, folder=folder, threads=cores, **RUNS[arguments.run]
    )
    rows, figure, started, others = [], None, time.monotonic(), Others(os.cpu_count())
    try:
        for function in functions:
            for row in function(settings):
                rows.append(row)
                figure = print_row(row, figure)
    finally:
        about["seconds"], about["others"] = round(time.monotonic() - started, 1), round(
            others.share(), 3
        )
        path = os.path.join(
            arguments.build, "bench-smoke.json" if arguments.run == "smoke" else "bench.json"
        )
        write_json(path, about, rows)
    chart = path.replace(".json", ".svg")
    drawn = f"; as a chart: {chart}" if write_chart(path, chart) else ""
    print(f"\n{about['seconds']:.0f} s; with every repetition, as JSON: {path}{drawn}")
    smoke = arguments.run == "smoke"
    if about["others"] > 0.05 and not smoke:
        print(
            f"bench: other processes used {100 * about['others']:.0f}% of the machine; "
            "these figures are rough",
            file=sys.stderr,
        )
    failed = [row for row in rows if row.fatal and not (smoke and row.missing)]
    for row in rows:
        if row.fatal:
            skipped = "" if row in failed else ", skipped"
            print(
                f"bench: {row.figure}. {row.name}: {row.status}{skipped}",
                file=sys.stderr,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotMeasured as reason:  # lossd itself failed
        sys.exit(f"bench: {reason}")
    except KeyboardInterrupt:
        sys.exit(130)
