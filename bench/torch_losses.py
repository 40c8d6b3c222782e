"""The losses as functions of PyTorch tensors, with the default parameters of lossd. A loss that
PyTorch does not have is a formula of tensors."""
import math

import torch
import torch.nn.functional as F


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
