"""The driver for PyTorch in eager mode: forward and backward of one loss. Reads the same lines as
core.c:

    loss THREADS REPETITIONS BATCH NAME DTYPE OPERAND...         {"ns": [...], "loss": ...}

A loss that PyTorch does not have is a formula of tensors. The gradient is a new tensor each time
(`x.grad = None` first), as after an optimizer's zero_grad; otherwise PyTorch would add a pass over
the gradient. The operands are the same as in core.c.
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
    import torch.nn.functional as F
except ImportError:
    for line in sys.stdin:
        print(json.dumps({"missing": "python3-torch"}), flush=True)
    sys.exit()

warnings.filterwarnings("ignore")  # kl_div recommends "batchmean"


# ---- Losses, with the default parameters of lossd ----


def sigmoid_focal(x, y, alpha=0.25, gamma=2):
    """The code of torchvision.ops.sigmoid_focal_loss."""
    p = torch.sigmoid(x)
    p_t = p * y + (1 - p) * (1 - y)
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="none") * (1 - p_t) ** gamma
    return ((alpha * y + (1 - alpha) * (1 - y)) * loss).mean()


def dice(p, y, smooth=1e-5):
    overlap, total = (p * y).sum(2), p.sum(2) + y.sum(2)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def log_cosh(x, y):
    d = x - y
    return (d + F.softplus(-2 * d) - math.log(2)).mean()


def quantile(x, y, q=0.5):
    d = y - x
    return torch.max(q * d, (q - 1) * d).mean()


def tweedie(x, y, p=1.5):
    a, b = 1 - p, 2 - p
    return (2 * (y**b / (a * b) - y * x**a / a + x**b / b)).mean()


def info_nce(query, key, temperature=0.1):
    scores = F.normalize(query) @ F.normalize(key).T / temperature
    return F.cross_entropy(scores, torch.arange(len(query)))


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
    "poisson_nll": F.poisson_nll_loss,
    "gaussian_nll": F.gaussian_nll_loss,
    "margin_ranking": F.margin_ranking_loss,
    "soft_margin": F.soft_margin_loss,
    "multi_margin": F.multi_margin_loss,
    "multilabel_margin": F.multilabel_margin_loss,
    "multilabel_soft_margin": F.multilabel_soft_margin_loss,
    "triplet_margin": F.triplet_margin_loss,
    "ctc": F.ctc_loss,
    "sigmoid_focal": sigmoid_focal,
    "dice": dice,
    "log_cosh": log_cosh,
    "quantile": quantile,
    "tweedie": tweedie,
    "info_nce": info_nce,
}

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
        error = f"LOSSES in bench/torch_peer.py has no peer for {name}"
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
