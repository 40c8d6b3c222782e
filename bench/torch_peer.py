"""The driver for PyTorch in eager mode: forward and backward of one loss. Reads one of the
commands of core.c:

    loss THREADS REPETITIONS BATCH NAME DTYPE OPERAND...         {"ns": [...], "loss": ...}

The gradient is a new tensor each time (`x.grad = None` first), as after an optimizer's zero_grad;
otherwise PyTorch would add a pass over the gradient. The operands are the same as in core.c.
"""
import functools
import json
import math
import sys
import time
import warnings

try:
    import numpy as np
    import torch
    from torch_losses import LOSSES
except ImportError:
    for line in sys.stdin:
        print(json.dumps({"missing": "python3-torch"}), flush=True)
    sys.exit()

warnings.filterwarnings("ignore")  # kl_div recommends "batchmean"

# ---- Operands ----

STEPS = (2654435761, 2246822507, 3266489917)


@functools.lru_cache(maxsize=3)
def bits(count, step):
    numbers = np.arange(count, dtype=np.uint32)
    numbers *= np.uint32(step)
    numbers >>= 8
    return numbers


def labels(rows, classes, step):
    columns = np.full((rows, classes), -1, dtype=np.int64)
    first = bits(rows, step)[:, None] + np.arange(min(3, classes), dtype=np.uint32)
    columns[:, :3] = first % np.uint32(classes)
    return torch.from_numpy(columns)


def operand(text, k, dtype):
    """Returns the tensor of an operand in the notation of operands.py."""
    law, low, high, shape, *grad = text.split(":")
    shape, low, high = [int(n) for n in shape.split("x")], float(low), float(high)
    step = STEPS[k % 3]
    if law == "labels":
        return labels(*shape, step)
    numbers = bits(math.prod(shape), step)
    if law == "integer":
        numbers = (numbers % np.uint32(high - low)).astype(np.int64) + int(low)
        return torch.from_numpy(numbers).reshape(shape)
    unit = torch.from_numpy(numbers.astype(np.float32)).mul_(2.0**-24).to(dtype)
    if law == "two":
        unit.ge_(0.5)
    return unit.mul_(high - low).add_(low).reshape(shape).requires_grad_(bool(grad))


# ---- Commands ----


def evaluate(loss, operands):
    for tensor in operands:
        tensor.grad = None
    value = loss(*operands)
    value.backward()
    return value


prepared, operands = None, None
for line in sys.stdin:
    _, threads, repetitions, batch, *problem = line.split()
    name, dtype, *texts = problem
    if name not in LOSSES:
        error = f"LOSSES in bench/torch_losses.py has no function for {name}"
        print(json.dumps({"error": error}), flush=True)
        continue
    loss = LOSSES[name]
    torch.set_num_threads(int(threads))
    if problem != prepared:
        operands = None
        operands = [operand(text, k, getattr(torch, dtype)) for k, text in enumerate(texts)]
        prepared = problem
        for _ in range(2):  # so that the heap contains blocks to reuse
            evaluate(loss, operands)
    value = evaluate(loss, operands)
    times = []
    for _ in range(int(repetitions)):
        start = time.perf_counter_ns()
        for _ in range(int(batch)):
            evaluate(loss, operands)
        times.append((time.perf_counter_ns() - start) / int(batch))
    print(json.dumps({"loss": value.item(), "ns": times}), flush=True)
