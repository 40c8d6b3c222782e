#!/usr/bin/python3
"""Compares the results of libloss on x86-64 and on arm64, bit by bit.

    compare.py NATIVE COMMAND...     (make check-arm64)

NATIVE and COMMAND run golden_bits.c, built for this machine and for arm64. Both evaluate every
golden case in every floating-point dtype, and again with its rows repeated to about LONG elements,
so that blocks are full and several threads work. Fails if a bit differs."""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from itertools import zip_longest
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
DTYPES = ("float64", "float32", "float16", "bfloat16")
LONG = {"info_nce": 200}  # compares every row with every other one
LONG_OF_OTHERS = 2500
SHOWN = 50  # differences that are printed


# ---- Requests ----


def number(value):
    """Returns a number of a case, which can be the name of a number that JSON lacks."""
    return float(value) if isinstance(value, (int, float)) else float(value.replace("inity", ""))


def tensor_words(name, tensor, dtype, rows):
    is_float = "float" in tensor["dtype"]
    shape = tensor["shape"]
    tiled = int(rows is not None and len(shape) > 0 and shape[0] == rows)
    data = tensor["data"]
    values = [number(v).hex() if is_float else str(int(v)) for v in data]
    return ["tensor", name, dtype if is_float else "int64", tiled, len(shape), *shape, *values]


def request(case, dtype, repeat):
    """Returns the words of a request; golden_bits.c describes them."""
    rows = next(iter(case["inputs"].values()))["shape"][0] if repeat > 1 else None
    params = dict(case["params"])
    reduction = params.pop("reduction", "mean")
    grad_output = params.pop("grad_output", None)
    kind = f"{dtype}*{repeat}" if repeat > 1 else dtype
    words = ["request", f"{case['id']}:{kind}", case["loss"], reduction, min(repeat, 3), repeat]
    for name, value in params.items():
        integer = int(value) if isinstance(value, (bool, int)) else 0
        words += ["param", name, number(value).hex(), integer]
    for name, tensor in case["inputs"].items():
        words += tensor_words(name, tensor, dtype, rows)
    if grad_output is not None:
        words += tensor_words("grad_output", grad_output, dtype, rows)
    for what in case["expect"]:
        words += what.split("_", 1) if what != "loss" else []
    return " ".join(map(str, [*words, "run"]))


def requests():
    for path in sorted([*GOLDEN.glob("cases/*.jsonl"), *GOLDEN.glob("reference/*.jsonl")]):
        for line in path.read_text(encoding="utf-8").splitlines():
            case = json.loads(line)
            if "error" in case["expect"]:
                continue
            for dtype in DTYPES:
                yield request(case, dtype, 1)
            first = next(iter(case["inputs"].values()))["shape"]
            long = LONG.get(case["loss"], LONG_OF_OTHERS)
            if first and 0 < math.prod(first) < long:
                for dtype in DTYPES[:2]:
                    yield request(case, dtype, long // math.prod(first) + 1)


# ---- Comparison ----


def results(lines):
    """Returns {(case and dtype, result): words}."""
    return {(words[0], words[1]): words[2:] for words in map(str.split, lines)}


def compare(native, other):
    """Prints the first differences. Returns the number of numbers that differ in each loss, and of
    those compared."""
    differ, compared = Counter(), Counter()
    for key in native.keys() | other.keys():
        ours, theirs = native.get(key, []), other.get(key, [])
        loss = key[0].split("/")[0]
        compared[loss] += len(ours)
        places = [i for i, pair in enumerate(zip_longest(ours, theirs)) if pair[0] != pair[1]]
        differ[loss] += len(places)
        if places and sum(differ.values()) <= SHOWN:
            i = places[0]
            print(f"{key[0]} {key[1]}[{i}]: {ours[i:i + 1]} on x86-64, {theirs[i:i + 1]} on arm64")
    return +differ, compared


def run(command, text):
    # Threads that wait must not spin: the emulator needs the processor.
    environment = dict(os.environ, OMP_WAIT_POLICY="passive")
    return subprocess.run(
        command, input=text, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout.splitlines()


def main(native, *command):
    text = "\n".join(requests())
    first, second = run([native], text), run(command, text)
    print(f"{first[0]} and {second[0]}")
    differ, compared = compare(results(first[1:]), results(second[1:]))
    for loss, count in sorted(differ.items()):
        print(f"{loss}: {count} of {compared[loss]} numbers differ")
    print(f"{sum(compared.values())} numbers of {len(compared)} losses compared")
    return 1 if differ or not compared else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
