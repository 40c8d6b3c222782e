"""The driver for Python without PyTorch. Argument: what computes losses, lossd (in this process) or
numpy. Reads one of the commands of core.c, with the same operands, and one for XGBoost:

    loss THREADS REPETITIONS BATCH NAME DTYPE OPERAND...         {"ns": [...], "loss": ...}
    train THREADS REPETITIONS OBJECTIVE ROWS ROUNDS              {"ns": [...]}

OBJECTIVE is lossd, bce_with_logits of lossd.boost, or xgboost, its own binary:logistic.
"""
import functools
import json
import math
import sys
import time
from pathlib import Path

MISSING = {"scipy": "python3-scipy", "numpy": "python3-numpy", "xgboost": "python3-xgboost"}
# The steps of the sequences of operands; see torch_peer.py.
STEPS = (2654435761, 2246822507, 3266489917)
COLUMNS = 20

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients/python/src"))


class Missing(Exception):
    """A package is not installed."""


def load(name):
    try:
        return __import__(name, fromlist=["__name__"])
    except ImportError as error:
        raise Missing(MISSING.get(error.name, str(error))) from error


# ---- Losses ----


def operand(text, k, dtype):
    """Returns the array of an operand in the notation of operands.py."""
    np = load("numpy")
    law, low, high, shape = text.split(":")[:4]
    shape, low, high = [int(n) for n in shape.split("x")], float(low), float(high)
    numbers = np.arange(math.prod(shape), dtype=np.uint32) * np.uint32(STEPS[k % 3]) >> 8
    if law == "integer":
        return ((numbers % np.uint32(high - low)).astype(np.int64) + int(low)).reshape(shape)
    unit = (numbers * np.float32(2.0**-24)).astype(dtype)
    if law == "two":
        unit = (unit >= 0.5).astype(dtype)
    return (unit * np.array(high - low, dtype) + np.array(low, dtype)).reshape(shape)


def numpy_mse(x, y):
    np = load("numpy")
    d = x - y
    return np.mean(d * d), d * np.float32(2 / d.size)


def numpy_bce_with_logits(x, y):
    np, special = load("numpy"), load("scipy.special")
    return np.mean(np.logaddexp(0, x) - x * y), (special.expit(x) - y) / np.float32(x.size)


def numpy_cross_entropy(x, y):
    np, special = load("numpy"), load("scipy.special")
    rows = np.arange(len(y))
    loss = np.mean(special.logsumexp(x, axis=1) - x[rows, y])
    gradient = special.softmax(x, axis=1)
    gradient[rows, y] -= 1
    gradient /= np.float32(len(y))
    return loss, gradient


def function(who, name, threads):
    """Returns a function of operands that computes a loss and its gradient."""
    if who == "numpy":
        return globals()[f"numpy_{name}"]
    method = getattr(load("lossd").Client("local:", threads=threads), name)

    def evaluate(*operands):
        result = method(*operands, grad=True)
        return result.loss, result.grad.input

    return evaluate


@functools.lru_cache(maxsize=1)
def operands_of(dtype, texts):
    return [operand(text, k, dtype) for k, text in enumerate(texts)]


def measure(evaluate, repetitions, batch):
    times = []
    for _ in range(int(repetitions)):
        start = time.perf_counter_ns()
        for _ in range(int(batch)):
            evaluate()
        times.append((time.perf_counter_ns() - start) / int(batch))
    return times


def loss(who, threads, repetitions, batch, name, dtype, *texts):
    evaluate, operands = function(who, name, int(threads)), operands_of(dtype, texts)
    for _ in range(2):
        value, _ = evaluate(*operands)
    return {
        "loss": float(value),
        "ns": measure(lambda: evaluate(*operands), repetitions, batch),
    }


# ---- XGBoost ----


@functools.lru_cache(maxsize=1)
def data(rows):
    np = load("numpy")
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, COLUMNS), np.float32)
    noise = generator.standard_normal(rows, np.float32)
    return load("xgboost").DMatrix(x, label=(x[:, 0] + x[:, 1] * x[:, 2] + noise > 0))


def train(who, threads, repetitions, objective, rows, rounds):
    xgboost = load("xgboost")
    samples = data(int(rows))
    parameters = {"max_depth": 6, "tree_method": "hist", "nthread": int(threads), "verbosity": 0}
    if objective == "lossd":
        boost = load("lossd.boost")
        client = load("lossd").Client("local:", threads=int(threads))
        own = boost.xgboost("bce_with_logits", client=client)
        parameters["base_score"] = 0.0  # the margin at which the other objective starts too
    else:
        own, parameters["objective"] = None, "binary:logistic"

    def run():
        return xgboost.train(parameters, samples, int(rounds), obj=own)

    margins = run().predict(samples, output_margin=True)
    value, _ = numpy_bce_with_logits(margins, samples.get_label())
    return {"value": float(value), "ns": measure(run, repetitions, 1)}


def main():
    who = sys.argv[1]
    for line in sys.stdin:
        command, *words = line.split()
        try:
            answer = {"loss": loss, "train": train}[command](who, *words)
        except Missing as missing:
            answer = {"missing": str(missing)}
        except Exception as error:  # the row says why
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
