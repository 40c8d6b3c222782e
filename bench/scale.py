"""Measures `lossctl eval` over shards: ranks and threads against one thread, and NumPy in chunks.

    scale.py [--build DIR] [--gigabytes N] [--rounds N] [--max-cpus N] [--folder DIR]

The shards contain the float32 inputs of mse. All commands take turns; a row is the median of the
ratios of neighbors, with quartiles. The share is the ratio to one thread, divided by the number of
CPUs used. Before each run from disk, the pages of the shards are dropped from the cache. Fails if
two runs of lossctl print different losses."""
import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from processes import PYTHON
from rows import Row, print_row, ratios, time_text

SHARDS = 8
CHUNK = 1 << 20
# What people write today: chunks of memory-mapped files.
NUMPY = f"""
import glob, sys
import numpy as np
total = count = 0
for x, y in zip(*(sorted(glob.glob(f"{{sys.argv[1]}}/{{name}}-*.npy")) for name in "xy")):
    x, y = np.load(x, mmap_mode="r"), np.load(y, mmap_mode="r")
    for at in range(0, len(x), {CHUNK}):
        d = x[at : at + {CHUNK}] - y[at : at + {CHUNK}]
        total += np.square(d).sum(dtype=np.float64)
        count += len(d)
print(total / count)
"""
WRITE = """
import sys
import numpy as np
random = np.random.default_rng(int(sys.argv[2]))
for name in "xy":
    np.save(f"{sys.argv[1]}/{name}-{sys.argv[2]}.npy",
            random.standard_normal(int(sys.argv[3]), dtype=np.float32))
"""


def write_shards(folder, gigabytes):
    rows = max(1, int(gigabytes * 1e9 / 8 / SHARDS))
    for shard in range(SHARDS):
        subprocess.run([PYTHON, "-c", WRITE, folder, str(shard), str(rows)], check=True)
    os.sync()


def drop_pages(folder):
    for name in os.listdir(folder):
        file = os.open(os.path.join(folder, name), os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def sizes(max_cpus):
    """Yields ranks and threads, for 1, 2, 4, ... CPUs: as threads, as ranks of two, as ranks."""
    cpus = 1
    while cpus <= max_cpus:
        yield from dict.fromkeys([(1, cpus), (max(1, cpus // 2), min(2, cpus)), (cpus, 1)])
        cpus *= 2


def command(lossctl, folder, ranks, threads):
    # Open MPI starts a rank for each core; more, for hardware threads, if it may oversubscribe.
    options = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
    launcher = ["mpirun", *options, "-np", str(ranks)]
    evaluate = [lossctl, "eval", "mse", "--json", "--threads", str(threads)]
    files = ["--input", f"{folder}/x-*.npy", "--target", f"{folder}/y-*.npy"]
    return [*(launcher if ranks > 1 else []), *evaluate, *files]


def run(argv):
    """Returns the duration in nanoseconds, and the loss as text."""
    started = time.monotonic_ns()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    duration = time.monotonic_ns() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)} failed with status {done.returncode}:\n{done.stderr}")
    found = re.search(r'"loss":([^,}]+)', done.stdout)
    return duration, found[1] if found else done.stdout


def measure(commands, folder, from_disk, rounds):
    """Returns the durations of each command. The first round, which fills the cache, is dropped."""
    times, losses = {name: [] for name in commands}, set()
    for turn in range(rounds + 1):
        for name, argv in commands.items():
            if from_disk:
                drop_pages(folder)
            duration, loss = run(argv)
            if turn > 0:
                times[name].append(duration)
            if name != "numpy":
                losses.add(loss)
    if len(losses) > 1:
        sys.exit(f"the losses differ: {', '.join(sorted(losses))}")
    return times


def rows_of(times, where, size):
    def row(name, of, cpus):
        samples = ratios(times[1, 1], times[of])
        return Row(
            20,
            f"{where}: {name}",
            samples,
            ours=time_text(statistics.median(times[of])),
            peer=time_text(statistics.median(times[1, 1])),
            note=f"{statistics.median(samples) / cpus:.0%}" if cpus else "",
        )

    yield row(f"NumPy, chunks of {CHUNK} rows", "numpy", None)
    for ranks, threads in (of for of in times if of not in ("numpy", (1, 1))):
        yield row(f"{ranks} rank(s) of {threads} thread(s)", (ranks, threads), ranks * threads)
    best = min(statistics.median(values) for of, values in times.items() if of != "numpy")
    print(f"   {where}: up to {size / best:.1f} GB/s")


def parse_arguments():
    cpus = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description="Measures `lossctl eval` over shards.")
    parser.add_argument("--build", default="build", help="where lossctl is")
    parser.add_argument("--gigabytes", type=float, default=4, help="size of all shards")
    parser.add_argument("--rounds", type=int, default=5, help="measured runs of each command")
    parser.add_argument("--max-cpus", type=int, default=cpus, help="of ranks times threads")
    parser.add_argument("--folder", help="where the shards are written (default: the build folder)")
    return parser.parse_args()


def main():
    args = parse_arguments()
    lossctl = os.path.abspath(os.path.join(args.build, "lossctl"))
    commands_of = [of for of in sizes(args.max_cpus) if of[0] == 1 or shutil.which("mpirun")]
    if not shutil.which("mpirun"):
        print("several ranks are not measured: mpirun is not installed (Debian: openmpi-bin)")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=args.folder or args.build))
        write_shards(folder, args.gigabytes)
        commands = {"numpy": [PYTHON, "-c", NUMPY, folder]}
        commands |= {of: command(lossctl, folder, *of) for of in commands_of}
        figure = None
        for where, from_disk in (("cache", False), ("disk", True)):
            times = measure(commands, folder, from_disk, args.rounds)
            for row in rows_of(times, where, args.gigabytes * 1e9):
                figure = print_row(row, figure)


if __name__ == "__main__":
    main()
