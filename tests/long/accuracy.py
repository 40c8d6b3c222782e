#!/usr/bin/python3
"""Measures the accuracy of float32 and prints it as a Markdown table.

    accuracy.py GOLDEN_BITS     (make check-accuracy; Debian: apt-get install python3-torch)

Evaluates each loss and its options over a wide grid of float32 numbers, in float32 and in float64.
The float64 result stands for the exact one; tests/golden/reference compares it with mpmath. Errors
are in ulp of float32; exact results that are not normal float32 numbers are left out. PyTorch
evaluates the same numbers in float32. Fails if an error exceeds the limits."""

import math
import random
import sys
import warnings
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT / "tests/arm64"), str(ROOT / "tests/golden")]
from compare import request, run  # noqa: E402
from generate import FUNCTION  # noqa: E402

warnings.simplefilter("ignore")
random.seed(18)
torch.manual_seed(18)
N, ROWS, COLUMNS = 480, 60, 8  # golden_bits.c prints results of up to 512 numbers completely

# ---- Grids ----

EDGES = [0, 1e-45, 1e-38, 1e-20, 1e-7, 1e-3, 0.1, 0.25, 0.5, 1, 2, 10, 50, 86, 88, 103]


def f32(values):
    return torch.tensor(values, dtype=torch.float32)


def real(limit=1e15):
    """Numbers of both signs and all magnitudes up to a limit."""
    signed = [s * v for v in EDGES for s in (1, -1) if v <= limit]
    rest = [
        random.choice((1, -1)) * 10 ** random.uniform(-9, math.log10(limit))
        for _ in range(N - len(signed))
    ]
    values = signed + rest
    random.shuffle(values)
    return f32(values)


def near(x):
    """Numbers at all distances from x."""
    return f32(
        [v + abs(v or 1) * random.choice((1, -1)) * 10 ** random.uniform(-7, 2) for v in x.tolist()]
    )


def positive(limit=1e15):
    return real(limit).abs().clamp(min=1e-30)


def unit():
    values = [0, 1, 0.5, 1e-45, 1e-38, 1e-7, 1 - 2**-24, 0.25, 0.75]
    values += [10 ** random.uniform(-9, 0) for _ in range(200)]
    values += [1 - 10 ** random.uniform(-7, 0) for _ in range(N - len(values))]
    return f32(values)


def hard():
    return f32([random.choice((0, 1)) for _ in range(N)])


def soft():
    return f32([random.choice((0, 1, random.random())) for _ in range(N)])


def signs(n=N):
    return f32([random.choice((1.0, -1.0)) for _ in range(n)])


def matrix(scale=None, rows=ROWS, columns=COLUMNS):
    return f32(
        [
            [random.gauss(0, 1) * (scale or 10 ** random.uniform(-3, 2)) for _ in range(columns)]
            for _ in range(rows)
        ]
    )


def classes(rows=ROWS, columns=COLUMNS):
    return torch.tensor([random.randrange(columns) for _ in range(rows)])


def close_distributions():
    target = unit().clamp(min=1e-30)
    return {"input": (target.double().log() * 1.001).float(), "target": target}


def pair(make=real):
    x = make()
    return {"input": x, "target": near(x)}


def sequences(steps=8, batch=10, labels=3, columns=6):
    return {
        "log_probs": matrix(None, steps * batch, columns)
        .log_softmax(-1)
        .view(steps, batch, columns),
        "targets": torch.randint(1, columns, (batch, labels)),
        "input_lengths": torch.full((batch,), steps),
        "target_lengths": torch.full((batch,), labels),
    }


GRIDS = {
    "mse": (pair, [{}]),
    "l1": (pair, [{}]),
    "smooth_l1": (pair, [{}, {"beta": 0.3}]),
    "huber": (pair, [{}, {"delta": 0.3}]),
    "log_cosh": (pair, [{}]),
    "quantile": (pair, [{}, {"q": 0.9}]),
    "bce": (lambda: {"input": unit(), "target": soft()}, [{}]),
    "bce of labels": (lambda: {"input": unit(), "target": hard()}, [{}]),
    "bce_with_logits": (lambda: {"input": real(1e3), "target": soft()}, [{}]),
    "bce_with_logits of labels": (lambda: {"input": real(1e3), "target": hard()}, [{}]),
    "sigmoid_focal": (lambda: {"input": real(80), "target": soft()}, [{}]),
    "sigmoid_focal of labels": (lambda: {"input": real(80), "target": hard()}, [{}]),
    "kl_div": (lambda: {"input": -positive(100), "target": unit()}, [{}]),
    "kl_div near 0": (close_distributions, [{}]),
    "poisson_nll": (lambda: {"input": real(80), "target": positive(1e3)}, [{}, {"full": True}]),
    "gaussian_nll": (lambda: {**pair(), "var": positive(1e3)}, [{}, {"full": True}]),
    "tweedie": (lambda: {"input": positive(1e3), "target": positive(1e3)}, [{}]),
    "hinge_embedding": (lambda: {"input": real(), "target": signs()}, [{}]),
    "soft_margin": (lambda: {"input": real(1e3), "target": signs()}, [{}]),
    "margin_ranking": (
        lambda: dict(zip(("input1", "input2", "target"), (*pair().values(), signs()))),
        [{}, {"margin": 0.5}],
    ),
    "cross_entropy": (
        lambda: {"input": matrix(), "target": classes()},
        [{}, {"label_smoothing": 0.1}],
    ),
    "cross_entropy of 100 classes": (
        lambda: {"input": matrix(None, 5, 100), "target": classes(5, 100)},
        [{}],
    ),
    "nll": (lambda: {"input": -matrix().abs(), "target": classes()}, [{}]),
    "multi_margin": (lambda: {"input": matrix(), "target": classes()}, [{}]),
    "multilabel_soft_margin": (
        lambda: {"input": matrix(), "target": (matrix() > 0).float()},
        [{}],
    ),
    "cosine_embedding": (
        lambda: {"input1": matrix(1.0), "input2": matrix(1.0), "target": signs(ROWS)},
        [{}, {"margin": 0.2}],
    ),
    "triplet_margin": (
        lambda: {"anchor": matrix(1.0), "positive": matrix(1.0), "negative": matrix(1.0)},
        [{}],
    ),
    "info_nce": (lambda: {"query": matrix(1.0), "key": matrix(1.0)}, [{}]),
    "ctc": (sequences, [{}]),
    "dice": (
        lambda: {"input": unit().view(6, 8, 10), "target": soft().view(6, 8, 10)},
        [{}, {"jaccard": True}, {"squared_pred": True}],
    ),
    "dice of logits": (
        lambda: {"input": real(80).view(6, 8, 10), "target": soft().view(6, 8, 10)},
        [{"sigmoid": True}],
    ),
}
CONSTANT = {"target", "var"}  # not differentiated

# Operands that may cancel: the gradient of bce_with_logits is sigmoid(x) - y. Its error is then
# measured in ulp of y.
CANCELS = {
    "bce_with_logits": lambda inputs: [y if 0 < y < 1 else 0 for y in inputs["target"].tolist()]
}

# The greatest error of the library in ulp, and 1 more than PyTorch's. The mean is a float64 number.
LIMITS = {"terms": 2, "grad": 2, "loss": 1}

# ---- Evaluation ----


def case_of(loss, place, inputs, options, reduction):
    """Returns a golden case (tests/golden/generate.py) without expected numbers."""
    names = [k for k, v in inputs.items() if v.is_floating_point() and k not in CONSTANT]
    return {
        "id": f"{loss}/{place}{reduction}",
        "loss": loss,
        "params": {**options, "reduction": reduction},
        "inputs": {
            k: {
                "shape": list(v.shape),
                "dtype": "float64" if v.is_floating_point() else "int64",
                "data": v.reshape(-1).tolist(),
            }
            for k, v in inputs.items()
        },
        "expect": {"loss": None, **{f"grad_{k}": None for k in names}},
    }


def library(program, case, dtype):
    lines = run([program], request(case, dtype, 1))[1:]
    rows = {line.split()[1]: [float.fromhex(w) for w in line.split()[2:]] for line in lines}
    if "refused" in "".join(lines):
        sys.exit("".join(lines))
    return rows


def pytorch(case, inputs):
    names = [what[5:] for what in case["expect"] if what != "loss"]
    leaves = {k: v.clone().requires_grad_(k in names) for k, v in inputs.items()}
    out = FUNCTION[case["loss"]](**leaves, **case["params"])
    grads = torch.autograd.grad(out.sum(), [leaves[k] for k in names])
    what = "terms" if case["params"]["reduction"] == "none" else "loss"
    results = {what: out.detach().reshape(-1).tolist()}
    return {**results, **{f"grad_{k}": g.reshape(-1).tolist() for k, g in zip(names, grads)}}


def error(value, exact, operand):
    """Returns the error of a float32 in ulp of the larger of result and operand; 0 where the exact
    number is not a normal float32."""
    if not 2.0**-126 <= abs(exact) < 2.0**128:
        return 0.0
    if not math.isfinite(value):
        return math.inf
    return abs(value - exact) / 2.0 ** (math.frexp(max(abs(exact), operand))[1] - 24)


def operands(loss, what, inputs, exact, reduction):
    """Returns the operand that may cancel in each of the exact results, or zeros."""
    if loss not in CANCELS or not what.startswith("grad"):
        return [0] * len(exact)
    divisor = len(exact) if reduction == "mean" else 1
    return [operand / divisor for operand in CANCELS[loss](inputs)]


def measure(program, grid):
    """Returns {(who, what): worst error} of the library ("lossd") and of PyTorch ("torch")."""
    loss = grid.split()[0]
    make, options = GRIDS[grid]
    worst = {}
    for place, option in enumerate(options):
        for reduction in ("none", "mean"):
            inputs = make()
            case = case_of(loss, place, inputs, option, reduction)
            exact = library(program, case, "float64")
            found = {"lossd": library(program, case, "float32")}
            if loss in FUNCTION:
                found["torch"] = pytorch(case, inputs)
            for who, results in found.items():
                for what in exact.keys() - {"count"}:
                    key = who, what.split("_")[0]
                    operand = operands(loss, what, inputs, exact[what], reduction)
                    errors = map(error, results[what], exact[what], operand)
                    worst[key] = max(worst.get(key, 0), *errors)
    return worst


def faults(grid, worst):
    """Yields what breaks the contract."""
    for what, limit in LIMITS.items():
        ulp, peer = worst["lossd", what], worst.get(("torch", what), math.inf)
        if ulp > limit:
            yield f"{grid}: {what} is off by {ulp:.3g} ulp; the limit is {limit}"
        if ulp > peer + 1:
            yield f"{grid}: {what} is off by {ulp:.3g} ulp, PyTorch by {peer:.3g}"


def main(program):
    found = []
    print("| loss | terms | PyTorch | gradients | PyTorch | mean | PyTorch |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for grid in GRIDS:
        worst = measure(program, grid)
        cells = [
            f"{worst[who, what]:.2g}" if (who, what) in worst else ""
            for what in LIMITS
            for who in ("lossd", "torch")
        ]
        print(f"| {grid} | {' | '.join(cells)} |", flush=True)
        found += faults(grid, worst)
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
