"""The driver for PyTorch in eager mode: forward and backward of one loss. Reads the same lines as
core.c:

    loss NAME COUNT CLASSES THREADS REPETITIONS BATCH    {"ns": [...], "loss": ...}

The gradient is a new tensor each time (`x.grad = None` first), as after an optimizer's zero_grad;
otherwise PyTorch would add a pass over the gradient. The data is the same as in core.c.
"""
import functools
import json
import sys
import time
import warnings

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError:
    for line in sys.stdin:
        print(json.dumps({"missing": "python3-torch"}), flush=True)
    sys.exit()

warnings.filterwarnings("ignore")  # kl_div recommends "batchmean"

LOSSES = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
    "huber": F.huber_loss,
    "bce": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "kl_div": F.kl_div,
    "hinge_embedding": F.hinge_embedding_loss,
    "cosine_embedding": F.cosine_embedding_loss,
}
STEPS = (2654435761, 2246822507)


@functools.lru_cache(maxsize=2)
def unit(count, sequence):
    numbers = np.arange(count, dtype=np.uint32)
    numbers *= np.uint32(STEPS[sequence])
    numbers >>= 8
    return torch.from_numpy(numbers.astype(np.float32)).mul_(2.0**-24)


def anything(count, sequence):
    return unit(count, sequence).mul(6).sub_(3)


def probability(count, sequence):
    return unit(count, sequence).mul(0.98).add_(0.01)


def logarithm(count, sequence):
    return unit(count, sequence).mul(-8).sub_(0.01)


def sign(count, sequence):
    return (unit(count, sequence) < 0.5).float().mul_(-2).add_(1)


def label(count, sequence):
    return (unit(count, sequence) >= 0.5).float()


def prepare(name, count, classes):
    """Returns the arguments of a loss. Those whose gradient lossd computes require a gradient."""
    rows = count // classes if classes else count
    if name == "cosine_embedding":
        arguments = [anything(count, k).reshape(rows, classes).requires_grad_() for k in (0, 1)]
        return [*arguments, sign(rows, 1)]
    if name in ("cross_entropy", "nll"):
        x = (logarithm if name == "nll" else anything)(count, 0).reshape(rows, classes)
        y = (np.arange(rows, dtype=np.uint32) * np.uint32(STEPS[0]) >> 8) % np.uint32(classes)
        return [x.requires_grad_(), torch.from_numpy(y.astype(np.int64))]
    x = {"bce": probability, "bce/soft": probability, "kl_div": logarithm}.get(name, anything)(
        count, 0
    )
    y = {
        "bce": label,
        "bce_with_logits": label,
        "bce/soft": probability,
        "bce_with_logits/soft": probability,
        "kl_div": probability,
        "hinge_embedding": sign,
    }.get(name, anything)
    return [x.requires_grad_(), y(count, 1)]


def evaluate(name, arguments):
    for argument in arguments:
        argument.grad = None
    loss = LOSSES[name.partition("/")[0]](*arguments)
    loss.backward()
    return loss


prepared, arguments = None, None
for line in sys.stdin:
    _, name, count, classes, threads, repetitions, batch = line.split()
    problem = (name, int(count), int(classes))
    torch.set_num_threads(int(threads))
    if problem != prepared:
        arguments = None
        arguments = prepare(*problem)
        prepared = problem
        for _ in range(2):  # so that the heap contains blocks to reuse
            evaluate(name, arguments)
    loss = evaluate(name, arguments)
    times = []
    for _ in range(int(repetitions)):
        start = time.perf_counter_ns()
        for _ in range(int(batch)):
            evaluate(name, arguments)
        times.append((time.perf_counter_ns() - start) / int(batch))
    print(json.dumps({"loss": loss.item(), "ns": times}), flush=True)
