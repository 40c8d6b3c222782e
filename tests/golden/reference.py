#!/usr/bin/python3
"""Generates golden cases for features that torch.nn does not have: six more losses,
`sample_weight`, and the diagonal of the Hessian.

    reference.py OUTDIR [--seed N] [--torch]        (Debian 12: apt-get install python3-numpy
    python3-mpmath)

The format is that of generate.py, with two additions. "hess_<name>" is the second derivative of
sum(loss * grad_output) with respect to each element of that tensor (the diagonal only). A case can
contain "atol", the absolute tolerance, instead of 1e-13; with 1e-300 all the digits of tiny values
are compared. "rtol" is given if half an ulp in the inputs changes the values by more than a
relative 1e-13.

Values are computed from textbook formulas and the exact values of the doubles, with 60 digits of
mpmath, and rounded once at the end. Every case is computed again with 400 digits; if that gives
other doubles, they are used, and 1000 digits must confirm them. NumPy is used only for shapes and
broadcasting. Before writing, the derivatives of every case are compared with mpmath.diff of its
loss at one or two random elements of each tensor; if they disagree, the exit status is 1. --torch
also compares the terms and gradients of the losses of torch.nn with PyTorch's; these are not
written."""
import math
import sys
import zlib
from pathlib import Path

import numpy as np
from case_files import json_float, write_cases
from mpmath import mp

# Numbers of digits to try, until two consecutive ones give the same doubles.
DIGITS = (
    60,
    400,
    1000,
)
NAN, INF = math.nan, math.inf


class Tensor:
    """Flat numbers and a shape. `at(shape)` lists the element for each position of a broadcast
    shape."""

    def __init__(self, shape, flat):
        self.shape, self.flat = tuple(shape), list(flat)

    @classmethod
    def of(cls, array):
        exact = int if array.dtype.kind == "i" else (lambda v: mp.mpf(float(v)))
        return cls(array.shape, [exact(v) for v in array.reshape(-1)])

    def at(self, shape):
        return np.broadcast_to(self.grid(), shape).reshape(-1).tolist()

    def grid(self):
        return np.arange(len(self.flat)).reshape(self.shape)


ONE = Tensor((), [1])


def positive(d):
    return d if d > 0 else d * 0


def sign(d):
    return (d > 0) - (d < 0)


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return positive(x) + mp.log1p(mp.exp(-abs(x)))


def total(values):
    values = list(values)
    return sum(values[1:], values[0]) if values else mp.mpf(0)


# Losses. Each has shape(x, p), terms(x, p), pull(x, p, c): the gradients of sum(c * terms),
# second(x, p, c): its second derivatives, and counted(x, p): the part of each term in the divisor
# of `mean`. x: tensors by name; p: parameters.


class Loss:
    grads, hess = (), ()

    def counted(self, x, p):
        return [1] * math.prod(self.shape(x, p))


class Elementwise(Loss):
    def __init__(self, term, grads, hess=None, tensors=("input", "target"), view=None, **defaults):
        self.term, self.d1, self.d2, self.tensors, self.defaults = (
            term,
            grads,
            hess or {},
            tensors,
            defaults,
        )
        self.grads, self.hess, self.view = (
            tuple(grads),
            tuple(self.d2),
            view or (lambda name, x: x[name]),
        )

    def views(self, x):
        return [self.view(name, x) if name in x else ONE for name in self.tensors]

    def shape(self, x, p):
        return np.broadcast_shapes(*(v.shape for v in self.views(x)))

    def apply(self, x, p, function):
        views, shape = self.views(x), self.shape(x, p)
        columns = [[v.flat[i] for i in v.at(shape)] for v in views]
        return (
            [function(p, *values) for values in zip(*columns)]
            if shape == () or 0 not in shape
            else []
        )

    def terms(self, x, p):
        return self.apply(x, p, self.term)

    def gather(self, x, p, c, functions):
        out, shape = {}, self.shape(x, p)
        for name, function in functions.items():
            sums = [mp.mpf(0)] * len(x[name].flat)
            for i, k, g in zip(self.view(name, x).at(shape), c, self.apply(x, p, function)):
                sums[i] += k * g
            out[name] = sums
        return out

    def pull(self, x, p, c):
        return self.gather(x, p, c, self.d1)

    def second(self, x, p, c):
        return self.gather(x, p, c, self.d2)


class WeightedMean(Elementwise):
    """The mean divides by the sum of the weights of the terms."""

    def counted(self, x, p):
        return self.apply(x, p, lambda p, x, y, w: w)


def of_weighted(kind, term, d1, d2, **defaults):
    """A loss of d = x - y, times a weight."""
    return kind(
        lambda p, x, y, w: w * term(p, x - y),
        {
            "input": lambda p, x, y, w: w * d1(p, x - y),
            "target": lambda p, x, y, w: -w * d1(p, x - y),
        },
        {"input": lambda p, x, y, w: w * d2(p, x - y)},
        ("input", "target", "weight"),
        **defaults,
    )


def of_difference(term, d1, d2, **defaults):
    """A loss of d = x - y."""
    return Elementwise(
        lambda p, x, y: term(p, x - y),
        {"input": lambda p, x, y: d1(p, x - y), "target": lambda p, x, y: -d1(p, x - y)},
        {"input": lambda p, x, y: d2(p, x - y)},
        **defaults,
    )


def smooth_l1():
    inside = lambda p, d: abs(d) < p["beta"]
    return of_difference(
        lambda p, d: d * d / (2 * p["beta"]) if inside(p, d) else abs(d) - p["beta"] / 2,
        lambda p, d: d / p["beta"] if inside(p, d) else sign(d),
        lambda p, d: 1 / p["beta"] if inside(p, d) else 0,
        beta=1.0,
    )


def huber():
    inside = lambda p, d: abs(d) <= p["delta"]
    return of_weighted(
        Elementwise,
        lambda p, d: d * d / 2 if inside(p, d) else p["delta"] * (abs(d) - p["delta"] / 2),
        lambda p, d: d if inside(p, d) else p["delta"] * sign(d),
        lambda p, d: 1 if inside(p, d) else 0,
        delta=1.0,
    )


def quantile():
    slope = lambda p, d: p["q"] * sign(d) if d > 0 else (p["q"] - 1) * -sign(d)
    return Elementwise(
        lambda p, x, y: p["q"] * (y - x) if y > x else (p["q"] - 1) * (y - x),
        {"input": lambda p, x, y: -slope(p, y - x), "target": lambda p, x, y: slope(p, y - x)},
        {"input": lambda p, x, y: 0},
        q=0.5,
    )


def bce():
    return Elementwise(
        lambda p, x, y, w: -w * (y * mp.log(x) + (1 - y) * mp.log(1 - x)),
        {
            "input": lambda p, x, y, w: w * (x - y) / (x * (1 - x)),
            "target": lambda p, x, y, w: w * (mp.log(1 - x) - mp.log(x)),
        },
        {"input": lambda p, x, y, w: w * (y / x**2 + (1 - y) / (1 - x) ** 2)},
        ("input", "target", "weight"),
    )


def bce_with_logits():
    k = lambda y, v: 1 + (v - 1) * y
    return Elementwise(
        lambda p, x, y, w, v: w * ((1 - y) * x + k(y, v) * softplus(-x)),
        {
            "input": lambda p, x, y, w, v: w * ((1 - y) * sigmoid(x) - v * y * sigmoid(-x)),
            "target": lambda p, x, y, w, v: w * (-x + (v - 1) * softplus(-x)),
        },
        {"input": lambda p, x, y, w, v: w * k(y, v) * sigmoid(x) * sigmoid(-x)},
        ("input", "target", "weight", "pos_weight"),
    )


def kl_div():
    def term(p, x, y):
        return mp.exp(y) * (y - x) if p["log_target"] else y * (mp.log(y) - x) if y else y * 0

    return Elementwise(
        term,
        {
            "input": lambda p, x, y: -mp.exp(y) if p["log_target"] else -y,
            "target": lambda p, x, y: (
                mp.exp(y) * (y - x + 1) if p["log_target"] else mp.log(y) + 1 - x
            ),
        },
        {"input": lambda p, x, y: 0},
        log_target=False,
    )


def hinge_embedding():
    return Elementwise(
        lambda p, x, y: x if y == 1 else positive(p["margin"] - x),
        {"input": lambda p, x, y: 1 if y == 1 else -1 if x <= p["margin"] else 0},
        {"input": lambda p, x, y: 0},
        margin=1.0,
    )


def margin_ranking():
    active = lambda p, a, b, y: 1 if p["margin"] - y * (a - b) >= 0 else 0
    return Elementwise(
        lambda p, a, b, y: positive(p["margin"] - y * (a - b)),
        {
            "input1": lambda p, a, b, y: -y * active(p, a, b, y),
            "input2": lambda p, a, b, y: y * active(p, a, b, y),
        },
        {"input1": lambda p, a, b, y: 0, "input2": lambda p, a, b, y: 0},
        ("input1", "input2", "target"),
        margin=0.0,
    )


def soft_margin():
    return Elementwise(
        lambda p, x, y: softplus(-y * x),
        {"input": lambda p, x, y: -y * sigmoid(-y * x)},
        {"input": lambda p, x, y: y * y * sigmoid(y * x) * sigmoid(-y * x)},
    )


def poisson_nll():
    def term(p, x, y):
        stirling = y * mp.log(y) - y + mp.log(2 * mp.pi * y) / 2 if p["full"] and y > 1 else 0
        return (mp.exp(x) - y * x if p["log_input"] else x - y * mp.log(x + p["eps"])) + stirling

    return Elementwise(
        term,
        {"input": lambda p, x, y: mp.exp(x) - y if p["log_input"] else 1 - y / (x + p["eps"])},
        {"input": lambda p, x, y: mp.exp(x) if p["log_input"] else y / (x + p["eps"]) ** 2},
        log_input=True,
        full=False,
        eps=1e-8,
    )


def gaussian_nll():
    def view(name, x):
        t = x[name]
        return (
            Tensor((*t.shape, 1), t.flat)
            if name == "var" and t.shape == x["input"].shape[:-1]
            else t
        )

    v = lambda p, var: max(var, p["eps"])
    return Elementwise(
        lambda p, x, y, var: (
            mp.log(v(p, var)) + (x - y) ** 2 / v(p, var) + (mp.log(2 * mp.pi) if p["full"] else 0)
        )
        / 2,
        {
            "input": lambda p, x, y, var: (x - y) / v(p, var),
            "target": lambda p, x, y, var: (y - x) / v(p, var),
            "var": lambda p, x, y, var: (1 - (x - y) ** 2 / v(p, var)) / v(p, var) / 2,
        },
        {
            "input": lambda p, x, y, var: 1 / v(p, var),
            "var": lambda p, x, y, var: ((x - y) ** 2 / v(p, var) - mp.mpf(0.5)) / v(p, var) ** 2,
        },
        ("input", "target", "var"),
        view,
        full=False,
        eps=1e-6,
    )


def sigmoid_focal():
    """l = a e m^g: e = (1-y) softplus(x) + y softplus(-x), m = 1 - p_t = y (1-s) + (1-y) s, s =
    sigmoid(x)."""

    def parts(p, x, y):
        s, r = sigmoid(x), sigmoid(-x)
        a, da = (
            (p["alpha"] * y + (1 - p["alpha"]) * (1 - y), 2 * p["alpha"] - 1)
            if p["alpha"] >= 0
            else (1, 0)
        )
        return (
            s,
            r,
            a,
            da,
            (1 - y) * softplus(x) + y * softplus(-x),
            y * r + (1 - y) * s,
            p["gamma"],
        )

    def term(p, x, y):
        s, r, a, da, e, m, g = parts(p, x, y)
        return a * e * m**g

    def dx(p, x, y):
        s, r, a, da, e, m, g = parts(p, x, y)
        return a * (((1 - y) * s - y * r) * m**g + e * g * m ** (g - 1) * (1 - 2 * y) * s * r)

    def dy(p, x, y):
        s, r, a, da, e, m, g = parts(p, x, y)
        return da * e * m**g + a * (-x * m**g + e * g * m ** (g - 1) * (r - s))

    def dxx(p, x, y):
        s, r, a, da, e, m, g = parts(p, x, y)
        m1 = (1 - 2 * y) * s * r
        return a * (
            s * r * m**g
            + 2 * ((1 - y) * s - y * r) * g * m ** (g - 1) * m1
            + e * g * m ** (g - 1) * ((g - 1) * m1**2 / m + m1 * (r - s))
        )

    return Elementwise(term, {"input": dx, "target": dy}, {"input": dxx}, alpha=0.25, gamma=2.0)


def tweedie():
    """Deviances as in scikit-learn; log likelihoods up to a constant."""

    def term(p, x, y):
        a, b = 1 - p["p"], 2 - p["p"]
        if p["log_input"]:
            return (-y * mp.exp(a * x) / a if a else -y * x) + (mp.exp(b * x) / b if b else x)
        if p["p"] == 0:
            return (x - y) ** 2
        if a == 0:
            return 2 * ((y * mp.log(y / x) if y else 0) - y + x)
        if b == 0:
            return 2 * (mp.log(x / y) + y / x - 1)
        return 2 * (positive(y) ** b / (a * b) - y * x**a / a + x**b / b)

    def dx(p, x, y):
        a, b = 1 - p["p"], 2 - p["p"]
        if p["p"] == 0 and not p["log_input"]:
            return 2 * (x - y)
        return mp.exp(b * x) - y * mp.exp(a * x) if p["log_input"] else 2 * x ** -p["p"] * (x - y)

    def dxx(p, x, y):
        a, b = 1 - p["p"], 2 - p["p"]
        if p["p"] == 0 and not p["log_input"]:
            return mp.mpf(2)
        return (
            b * mp.exp(b * x) - a * y * mp.exp(a * x)
            if p["log_input"]
            else 2 * x ** (-p["p"] - 1) * (a * x + p["p"] * y)
        )

    return Elementwise(term, {"input": dx}, {"input": dxx}, p=1.5, log_input=False)


class Rows(Loss):
    """Losses over rows of classes. Input: (C), (N,C) or (N,C,d1,...); terms: (), (N) or
    (N,d1,...)."""

    defaults = {}

    def shape(self, x, p):
        s = x["input"].shape
        return s[: 1 * (len(s) > 1)] + s[2:]

    def rows(self, t):
        g = t.grid()
        return (
            np.moveaxis(g, min(1, g.ndim - 1), -1).reshape(-1, g.shape[min(1, g.ndim - 1)]).tolist()
        )

    def each(self, x, p):
        """Returns for each row: its positions in input, its coefficients of -z_c, its part in the
        divisor, and its row in a target of probabilities."""
        size, soft = len(self.rows(x["input"])[0]) if x["input"].flat else 0, len(
            x["target"].shape
        ) == len(x["input"].shape)
        w, s = x["weight"].flat if "weight" in x else [1] * size, p.get("label_smoothing", 0)
        targets = self.rows(x["target"]) if soft else x["target"].flat
        for row, y in zip(self.rows(x["input"]), targets):
            if soft:
                yield row, [
                    w[c] * (x["target"].flat[i] * (1 - s) + s / size) for c, i in enumerate(y)
                ], 1, y
            elif y == p["ignore_index"]:
                yield row, [mp.mpf(0)] * size, 0, None
            else:
                yield row, [(1 - s) * w[c] * (c == y) + s / size * w[c] for c in range(size)], w[
                    y
                ], None

    def counted(self, x, p):
        return [count for row, k, count, y in self.each(x, p)]


class Nll(Rows):
    defaults, grads = {"ignore_index": -100}, ("input",)

    def terms(self, x, p):
        return [
            total(-k * x["input"].flat[i] for i, k in zip(row, ks) if k)
            for row, ks, count, y in self.each(x, p)
        ]

    def pull(self, x, p, c):
        g = [mp.mpf(0)] * len(x["input"].flat)
        for up, (row, ks, count, y) in zip(c, self.each(x, p)):
            for i, k in zip(row, ks):
                g[i] -= up * k
        return {"input": g}


class CrossEntropy(Rows):
    defaults, grads, hess = (
        {"ignore_index": -100, "label_smoothing": 0.0},
        ("input", "target"),
        ("input",),
    )

    def softmax(self, values):
        """Returns log q, q and 1 - q of a row."""
        top = max(range(len(values)), key=lambda c: values[c])
        tail = total(mp.exp(v - values[top]) for c, v in enumerate(values) if c != top)
        z = [v - values[top] - mp.log1p(tail) for v in values]
        q = [mp.exp(v) for v in z]
        return z, q, [total(q[j] for j in range(len(q)) if j != c) for c in range(len(q))]

    def terms(self, x, p):
        out = []
        for row, ks, count, y in self.each(x, p):
            z, q, rest = self.softmax([x["input"].flat[i] for i in row])
            out.append(total(-k * v for k, v in zip(ks, z) if k))
        return out

    def pull(self, x, p, c):
        g, t = [mp.mpf(0)] * len(x["input"].flat), [mp.mpf(0)] * len(x["target"].flat)
        for up, (row, ks, count, y) in zip(c, self.each(x, p)):
            z, q, rest = self.softmax([x["input"].flat[i] for i in row])
            for n, i in enumerate(row):
                g[i] += up * (total(k for j, k in enumerate(ks) if j != n) * q[n] - ks[n] * rest[n])
                if y:
                    t[y[n]] -= (
                        up
                        * (1 - p["label_smoothing"])
                        * (x["weight"].flat[n] if "weight" in x else 1)
                        * z[n]
                    )
        return {"input": g, "target": t}

    def second(self, x, p, c):
        h = [mp.mpf(0)] * len(x["input"].flat)
        for up, (row, ks, count, y) in zip(c, self.each(x, p)):
            z, q, rest = self.softmax([x["input"].flat[i] for i in row])
            for n, i in enumerate(row):
                h[i] += up * total(ks) * q[n] * rest[n]
        return {"input": h}


class Vectors(Loss):
    """Losses over the rows of (N,D) tensors, one term per row. `row(p, i, rows)` returns the term
    and {(tensor, row): gradient}."""

    def __init__(self, row, tensors, **defaults):
        self.row, self.tensors, self.defaults, self.grads = (
            row,
            tensors,
            defaults,
            tuple(n for n in tensors if n not in ("target", "weight")),
        )

    def shape(self, x, p):
        return x[self.tensors[0]].shape[:1] if len(x[self.tensors[0]].shape) > 1 else ()

    def split(self, x):
        n = math.prod(self.shape(x, None))
        out = {}
        for name, t in x.items():
            d = len(t.flat) // n if n else 0
            out[name] = (
                t.flat if name == "weight" else [t.flat[i * d : (i + 1) * d] for i in range(n)]
            )
        return out

    def terms(self, x, p):
        rows = self.split(x)
        return [self.row(p, i, rows)[0] for i in range(math.prod(self.shape(x, p)))]

    def pull(self, x, p, c):
        rows = self.split(x)
        g = {name: [mp.mpf(0)] * len(x[name].flat) for name in self.grads}
        for i, up in enumerate(c):
            for (name, j), values in self.row(p, i, rows)[1].items():
                for k, v in enumerate(values):
                    g[name][j * len(values) + k] += up * v
        return g


def dot(a, b):
    return total(u * v for u, v in zip(a, b))


def cosine_row(p, i, rows):
    a, b, y = rows["input1"][i], rows["input2"][i], rows["target"][i][0]
    na, nb = dot(a, a) + mp.mpf(1e-12), dot(b, b) + mp.mpf(1e-12)
    cos = dot(a, b) / mp.sqrt(na * nb)
    slope = -1 if y == 1 else 1 if cos >= p["margin"] else 0
    da = [slope * (v / mp.sqrt(na * nb) - cos * u / na) for u, v in zip(a, b)]
    db = [slope * (u / mp.sqrt(na * nb) - cos * v / nb) for u, v in zip(a, b)]
    return 1 - cos if y == 1 else positive(cos - p["margin"]), {
        ("input1", i): da,
        ("input2", i): db,
    }


def triplet_row(p, i, rows):
    def distance(u, v):
        z = [a - b + p["eps"] for a, b in zip(u, v)]
        if p["p"] == mp.inf:
            d = max(abs(e) for e in z)
            ties = sum(abs(e) == d for e in z)
            return d, [sign(e) / ties if abs(e) == d else mp.mpf(0) for e in z]
        d = total(abs(e) ** p["p"] for e in z) ** (1 / p["p"])
        return d, [sign(e) * (abs(e) / d) ** (p["p"] - 1) for e in z]

    a, b, c = (rows[name][i] for name in ("anchor", "positive", "negative"))
    (near, gn), (far, gf) = distance(a, b), distance(a, c)
    third, gt = distance(b, c)
    swapped = p["swap"] and third < far
    if swapped:
        far, gf = third, gt
    on = 1 if near - far + p["margin"] > 0 else 0
    da = [on * (u - (0 if swapped else v)) for u, v in zip(gn, gf)]
    db = [on * (-u - (v if swapped else 0)) for u, v in zip(gn, gf)]
    return positive(near - far + p["margin"]), {
        ("anchor", i): da,
        ("positive", i): db,
        ("negative", i): [on * v for v in gf],
    }


def multi_margin_row(p, i, rows):
    x, y = rows["input"][i], rows["target"][i][0]
    scale = (rows["weight"][y] if "weight" in rows else 1) / mp.mpf(len(x))
    h = [positive(p["margin"] - x[y] + v) if c != y else mp.mpf(0) for c, v in enumerate(x)]
    g = [scale * (p["p"] * v ** (p["p"] - 1) if v > 0 else 0) for v in h]
    g[y] = -total(g)
    return scale * total(v ** p["p"] for v in h), {("input", i): g}


def multilabel_soft_row(p, i, rows):
    x, y = rows["input"][i], rows["target"][i]
    w = [v / mp.mpf(len(x)) for v in rows.get("weight", [1] * len(x))]
    return (
        total(k * (t * softplus(-v) + (1 - t) * softplus(v)) for k, t, v in zip(w, y, x)),
        {("input", i): [k * ((1 - t) * sigmoid(v) - t * sigmoid(-v)) for k, t, v in zip(w, y, x)]},
    )


def info_nce_row(p, i, rows):
    def unit(v):
        norm = mp.sqrt(dot(v, v))
        u = [e / max(norm, mp.mpf(1e-12)) for e in v]
        # Converts the gradient g with respect to u to that with respect to v; a clamped norm is
        # constant.
        return u, lambda g: (
            [e / mp.mpf(1e-12) for e in g]
            if norm < mp.mpf(1e-12)
            else [(e - a * dot(u, g)) / norm for e, a in zip(g, u)]
        )

    u, back = unit(rows["query"][i])
    keys = [unit(k) for k in rows["key"]]
    s = [dot(u, v) / p["temperature"] for v, _ in keys]
    ratio = [mp.exp(e - s[i]) if j != i else mp.mpf(0) for j, e in enumerate(s)]
    odds = total(ratio)
    g = [r / (1 + odds) for r in ratio]
    g[i] = -odds / (1 + odds)
    grads = {
        ("key", j): keys[j][1]([g[j] * e / p["temperature"] for e in u]) for j in range(len(keys))
    }
    grads["query", i] = back(
        [
            total(g[j] * keys[j][0][d] for j in range(len(keys))) / p["temperature"]
            for d in range(len(u))
        ]
    )
    return mp.log1p(odds), grads


class Dice(Loss):
    """The Dice loss of MONAI: a term for each sample and channel, or for each channel with
    batch."""

    defaults = {
        "smooth": 1e-5,
        "batch": False,
        "include_background": True,
        "squared_pred": False,
        "jaccard": False,
        "sigmoid": False,
    }
    grads = ("input", "target")

    def shape(self, x, p):
        n, c = x["input"].shape[:2]
        return (c,) if p["batch"] else (n, c)

    def skipped(self, x, p):
        return 1 if not p["include_background"] and x["input"].shape[1] > 1 else 0

    def counted(self, x, p):
        return [0 if c < self.skipped(x, p) else 1 for c in self.channels(x, p)]

    def channels(self, x, p):
        return [i % x["input"].shape[1] for i in range(math.prod(self.shape(x, p)))]

    def rows(self, x, p):
        """Returns the positions of the elements of each term."""
        n, c = x["input"].shape[:2]
        within = math.prod(x["input"].shape[2:])
        grid = x["input"].grid().reshape(n, c, within)
        rows = (
            grid.transpose(1, 0, 2).reshape(c, n * within)
            if p["batch"]
            else grid.reshape(n * c, within)
        )
        return rows.tolist()

    def factor(self, x, p, channel):
        if channel < self.skipped(x, p):
            return mp.mpf(0)
        # MONAI does not apply the weight of the only channel.
        only = (
            x["input"].shape[1] - self.skipped(x, p) == 1
        )
        return (
            x["weight"].flat[channel - self.skipped(x, p)]
            if "weight" in x and not only
            else mp.mpf(1)
        )

    def parts(self, x, p, row):
        a, b = ([x[name].flat[i] for i in row] for name in ("input", "target"))
        slope = [sigmoid(v) * sigmoid(-v) for v in a] if p["sigmoid"] else [mp.mpf(1)] * len(a)
        a = [sigmoid(v) for v in a] if p["sigmoid"] else a
        size = (lambda v: v * v) if p["squared_pred"] else (lambda v: v)
        common, both = dot(a, b), total(size(v) for v in a) + total(size(v) for v in b)
        below = 2 * (both - common) if p["jaccard"] else both
        return a, b, slope, 2 * common + p["smooth"], below + p["smooth"]

    def terms(self, x, p):
        out = []
        for channel, row in zip(self.channels(x, p), self.rows(x, p)):
            _, _, _, above, below = self.parts(x, p, row)
            k = self.factor(x, p, channel)
            out.append(
                mp.mpf(0)
                if channel < self.skipped(x, p)
                else k * (1 - above / below) if below else mp.nan
            )
        return out

    def pull(self, x, p, c):
        g = {name: [mp.mpf(0)] * len(x[name].flat) for name in self.grads}
        for up, channel, row in zip(c, self.channels(x, p), self.rows(x, p)):
            a, b, slope, above, below = self.parts(x, p, row)
            up *= self.factor(x, p, channel)
            for name, own, other, chain in (
                ("input", a, b, slope),
                ("target", b, a, [mp.mpf(1)] * len(a)),
            ):
                for i, u, v, k in zip(row, own, other, chain):
                    d = 2 * u if p["squared_pred"] else mp.mpf(1)
                    d = 2 * (d - v) if p["jaccard"] else d
                    g[name][i] = up * k * (above * d - 2 * v * below) / below**2
        return g


LOSSES = {
    "mse": of_weighted(WeightedMean, lambda p, d: d * d, lambda p, d: 2 * d, lambda p, d: 2),
    "l1": of_weighted(WeightedMean, lambda p, d: abs(d), lambda p, d: sign(d), lambda p, d: 0),
    "smooth_l1": smooth_l1(),
    "huber": huber(),
    "bce": bce(),
    "bce_with_logits": bce_with_logits(),
    "kl_div": kl_div(),
    "cross_entropy": CrossEntropy(),
    "nll": Nll(),
    "hinge_embedding": hinge_embedding(),
    "margin_ranking": margin_ranking(),
    "soft_margin": soft_margin(),
    "poisson_nll": poisson_nll(),
    "gaussian_nll": gaussian_nll(),
    "cosine_embedding": Vectors(cosine_row, ("input1", "input2", "target"), margin=0.0),
    "triplet_margin": Vectors(
        triplet_row, ("anchor", "positive", "negative"), margin=1.0, p=2.0, eps=1e-6, swap=False
    ),
    "multi_margin": Vectors(multi_margin_row, ("input", "target"), p=1, margin=1.0),
    "multilabel_soft_margin": Vectors(multilabel_soft_row, ("input", "target")),
    "sigmoid_focal": sigmoid_focal(),
    "quantile": quantile(),
    "tweedie": tweedie(),
    "dice": Dice(),
    "log_cosh": of_difference(
        lambda p, d: mp.log1p(2 * mp.sinh(d / 2) ** 2),
        lambda p, d: mp.tanh(d),
        lambda p, d: mp.sech(d) ** 2,
    ),
    "info_nce": Vectors(info_nce_row, ("query", "key"), temperature=0.1),
}
# Losses that subtract sums: the effect of half an ulp in the inputs is measured.
SENSITIVE = (
    "info_nce",
    "cosine_embedding",
    "triplet_margin",
)


class Problem:
    """One evaluation: tensors and parameters of the loss, sample weights, and the upstream
    gradient."""

    def __init__(self, loss, params, inputs):
        self.loss, params = LOSSES[loss], dict(params)
        self.reduction, upstream = params.pop("reduction", "mean"), params.pop("grad_output", None)
        exact = lambda v: mp.mpf(v) if isinstance(v, float) else v
        self.p = {k: exact(v) for k, v in {**self.loss.defaults, **params}.items()}
        self.x = {k: Tensor.of(v) for k, v in inputs.items() if k != "sample_weight"}
        self.shape = self.loss.shape(self.x, self.p)
        count = math.prod(self.shape)
        self.weight = [1] * count
        if "sample_weight" in inputs:
            w = Tensor.of(inputs["sample_weight"])
            assert w.shape in (self.shape, self.shape[:1]), (loss, w.shape, self.shape)
            if w.shape != self.shape:
                w.shape += (1,) * (len(self.shape) - 1)
            self.weight = [w.flat[i] for i in w.at(self.shape)]
        self.upstream = (
            Tensor.of(upstream).flat
            if upstream is not None
            else [1] * (count if self.reduction == "none" else 1)
        )
        self.divisor = 1
        if self.reduction == "mean":
            self.divisor = total(
                w * n for w, n in zip(self.weight, self.loss.counted(self.x, self.p))
            )
        if self.reduction == "batchmean":
            self.divisor = self.x["input"].shape[0]

    def output(self):
        terms = [w * l for w, l in zip(self.weight, self.loss.terms(self.x, self.p))]
        if self.reduction == "none":
            return self.shape, terms
        return (), [total(terms) / self.divisor if self.divisor else mp.nan]

    def scalar(self):
        return total(u * v for u, v in zip(self.upstream, self.output()[1]))

    def coefficients(self):
        upstream = self.upstream if self.reduction == "none" else self.upstream * len(self.weight)
        return [
            u * w / self.divisor if self.divisor else mp.nan for u, w in zip(upstream, self.weight)
        ]


def evaluate(case, digits=DIGITS[0], disturb=None):
    """Returns {"loss", "grad_<name>", "hess_<name>"}: (shape, exact values), as the case
    requests."""
    with mp.workdps(digits):
        problem = Problem(case["loss"], case["params"], case["inputs"])
        if disturb:
            for t in (problem.x[name] for name in problem.loss.grads):
                t.flat = [v * (1 + disturb()) for v in t.flat]
        out, c = {"loss": problem.output()}, problem.coefficients()
        first = problem.loss.pull(problem.x, problem.p, c) if case["grad"] else {}
        second = problem.loss.second(problem.x, problem.p, c) if case["hess"] else {}
        for prefix, names, found in (
            ("grad_", case["grad"], first),
            ("hess_", case["hess"], second),
        ):
            out.update({prefix + name: (problem.x[name].shape, found[name]) for name in names})
        return out


def close(a, b, relative, absolute=0.0):
    return (
        (a == b)
        or (mp.isnan(a) and mp.isnan(b))
        or (mp.isfinite(a) and mp.isfinite(b) and abs(a - b) <= absolute + relative * abs(b))
    )


def settle(case):
    """Returns the values of a case, computed with enough digits for correctly rounded doubles."""
    out = evaluate(case, DIGITS[0])
    for digits in DIGITS[1:]:
        last, out = out, evaluate(case, digits)
        if all(
            close(float(a), float(b), 2.0**-52)
            for name in out
            for a, b in zip(last[name][1], out[name][1])
        ):
            return last
    raise ArithmeticError(f"{case['loss']}: the values change with the number of digits")


def check(case, out, random):
    """Returns the list of errors in the derivatives of a case."""
    problems, everything = [], [v for _, values in out.values() for v in values]
    if case["kink"] or not all(mp.isfinite(v) for v in everything):
        return problems
    # A huge term hides the differences of other terms, and a focal loss near 0 needs a smaller
    # step.
    wide = (
        case["loss"] == "sigmoid_focal"
        and "extreme" in case["note"]
        or any(abs(v) > 1e12 for v in everything)
    )
    with mp.workdps(1600 if wide else 100):
        for order, prefix, names in ((1, "grad_", case["grad"]), (2, "hess_", case["hess"])):
            for name in names:
                size = len(out[prefix + name][1])
                for i in random.permutation(size)[: 1 if wide else 2]:
                    problem = Problem(case["loss"], case["params"], case["inputs"])
                    flat, start = problem.x[name].flat, problem.x[name].flat[i]

                    def along(v):
                        flat[i] = v
                        return problem.scalar()

                    step = mp.mpf(10) ** -(mp.dps // 4) * (
                        abs(start) if abs(start) > 1 or case["loss"] == "tweedie" and start else 1
                    )
                    step = (
                        min(step, mp.mpf(10) ** -13 * abs(start))
                        if case["loss"] == "info_nce" and start
                        else step
                    )
                    slope, value = mp.diff(along, start, order, h=step), out[prefix + name][1][i]
                    if not close(
                        value, slope, mp.mpf(10) ** -14, mp.mpf(10) ** -20 * (1 + abs(slope))
                    ):
                        problems.append(
                            f"{prefix}{name}[{i}] is {mp.nstr(value, 17)}, mpmath.diff gives"
                            f" {mp.nstr(slope, 17)}"
                        )
    return problems


def against_torch(case, out):
    """Returns the list of differences from PyTorch's terms and gradients, for losses of torch.nn.
    The tolerance is larger because PyTorch's formulas lose precision."""
    import torch
    from generate import FUNCTION

    if case["loss"] not in FUNCTION or case["kink"]:
        return []
    params = {k: v for k, v in case["params"].items() if k not in ("reduction", "grad_output")}
    leaves = {k: torch.tensor(v) for k, v in case["inputs"].items() if k != "sample_weight"}
    for name in case["grad"]:
        leaves[name].requires_grad_()
    terms = FUNCTION[case["loss"]](**leaves, **params, reduction="none")
    problem = Problem(case["loss"], case["params"], case["inputs"])
    weight = torch.tensor([float(w) for w in problem.weight], dtype=torch.float64).reshape(
        terms.shape
    )
    value = terms * weight
    if problem.reduction != "none":
        value = value.sum() / float(problem.divisor) if problem.divisor else value.sum() / 0.0
    found = {"loss": value}
    if case["grad"]:
        upstream = torch.tensor([float(u) for u in problem.upstream], dtype=torch.float64).reshape(
            value.shape
        )
        found.update(
            {
                "grad_" + n: g
                for n, g in zip(
                    case["grad"],
                    torch.autograd.grad(value, [leaves[n] for n in case["grad"]], upstream),
                )
            }
        )
    return [
        f"{n}: PyTorch gives {found[n].tolist()}"
        for n in found
        if not all(
            close(mp.mpf(a), b, 1e-6, 1e-9)
            for a, b in zip(found[n].reshape(-1).tolist(), out[n][1])
        )
    ]


def tensor(array):
    kind = array.dtype.kind == "i"
    return {
        "shape": list(array.shape),
        "dtype": "int64" if kind else "float64",
        "data": [int(v) if kind else json_float(v) for v in array.reshape(-1)],
    }


class Writer:
    def __init__(self, folder, seed, torch):
        self.folder, self.seed, self.torch, self.rows, self.random, self.problems = (
            Path(folder),
            seed,
            torch,
            {},
            None,
            [],
        )

    def start(self, loss):
        """Each loss has its own random numbers, so that a new case of one does not change the
        others."""
        self.random = np.random.RandomState((self.seed + zlib.crc32(loss.encode())) % 2**32)

    def add(
        self,
        loss,
        inputs,
        params=None,
        note="",
        grad=True,
        hess=True,
        atol=None,
        error=None,
        kink=False,
    ):
        """grad, hess: the derivatives to request; True requests all that the loss has. kink: the
        derivative does not exist there, so it is not compared."""
        rows = self.rows.setdefault(loss, [])
        params = dict(params or {})
        spec = LOSSES[loss]
        floats = lambda names, wanted: (
            [
                n
                for n in names
                if n in inputs and inputs[n].dtype.kind == "f" and (wanted is True or n in wanted)
            ]
            if wanted
            else []
        )
        case = {
            "loss": loss,
            "params": params,
            "inputs": inputs,
            "grad": floats(spec.grads, grad),
            "hess": floats(spec.hess, hess),
            "kink": kink,
            "note": note,
        }
        written = {
            "id": f"{loss}/ref{len(rows):03d}",
            "loss": loss,
            "params": {
                k: (
                    tensor(v)
                    if isinstance(v, np.ndarray)
                    else json_float(v) if isinstance(v, float) else v
                )
                for k, v in params.items()
            },
            "inputs": {k: tensor(v) for k, v in inputs.items()},
        }
        rows.append(written)
        if note:
            written["note"] = note
        if error:
            written["expect"] = {"error": error}
            return
        out = settle(case)
        check_random = np.random.RandomState(len(rows))
        problems = check(case, out, check_random) + (against_torch(case, out) if self.torch else [])
        self.problems += [f"{written['id']}: {t}" for t in problems]
        if loss in SENSITIVE and not kink:
            moved = self.sensitivity(case, out, 1e-13 if atol is None else atol, check_random)
            if 8 * moved > 1e-12:
                written["rtol"] = float(f"{8 * moved:.0e}")
        if atol is not None:
            written["atol"] = atol
        written["expect"] = {
            k: {"shape": list(shape), "dtype": "float64", "data": [json_float(v) for v in values]}
            for k, (shape, values) in out.items()
        }

    def sensitivity(self, case, out, atol, random):
        """Returns the relative change of the values if each input changes by at most half an
        ulp."""
        worst = 0.0
        for _ in range(4):
            for name, (shape, values) in evaluate(
                case, disturb=lambda: mp.mpf(random.uniform(-1, 1)) * mp.mpf(2) ** -53
            ).items():
                worst = max(
                    [worst]
                    + [
                        float(abs(a - b) / (abs(b) + mp.mpf(atol) / mp.mpf(1e-12)))
                        for a, b in zip(values, out[name][1])
                        if mp.isfinite(b) and a != b
                    ]
                )
        return worst

    def close(self):
        write_cases(self.folder, self.rows)
        print(f"{'':24s} {sum(map(len, self.rows.values()))}")

    # The values of the cases.
    def normal(self, *shape, scale=1.0):
        return np.asarray(self.random.standard_normal(shape) * scale, dtype=np.float64)

    def unit(self, *shape):
        return np.asarray(self.random.random_sample(shape) * 0.98 + 0.01)

    def signs(self, *shape):
        return np.asarray(np.where(self.random.random_sample(shape) > 0.5, 1.0, -1.0))

    def whole(self, high, *shape):
        return np.asarray(self.random.randint(0, high, shape), dtype=np.int64)

    def counts(self, *shape):
        return self.whole(6, *shape).astype(np.float64)

    def probabilities(self, *shape, axis=-1):
        e = np.exp(self.normal(*shape))
        return e / e.sum(axis=axis, keepdims=True)


def t(*v):
    return np.array(v, dtype=np.float64)


def s(v):
    return np.array(float(v))


TINY = 1e-300
REDUCTIONS = ("mean", "sum", "none")


def weighted(w, loss, make, shape, options=({},)):
    """Adds cases with sample_weight in all its shapes, for terms of `shape`. make() returns the
    tensors of the loss."""
    pick, option = [0], lambda: options[pick[0] % len(options)]

    def add(weight, reduction, note="", upstream=None, **more):
        params = {
            "reduction": reduction,
            **option(),
            **({"grad_output": upstream} if upstream is not None else {}),
        }
        pick[0] += 1
        w.add(
            loss,
            {**make(), "sample_weight": weight},
            params,
            note,
            hess=more.pop("hess", False),
            **more,
        )

    some = lambda *sh: w.unit(*sh) * 3
    n = shape[0]
    for red in REDUCTIONS:
        add(some(n), red, "sample_weight (N)")
        if len(shape) > 1:
            add(some(*shape), red, "sample_weight of the terms' shape")
    add(some(*shape), "none", "vector-Jacobian product, weighted", w.normal(*shape))
    add(
        np.where(np.arange(n) % 2, 0.0, some(n)),
        "mean",
        "every second weight 0, scaled upstream",
        s(-2.5),
    )
    add(np.zeros(n), "mean", "all weights 0: NaN", grad=False)
    add(np.zeros(shape), "sum", "all weights 0: 0")
    for bad in ((n + 1,), (1,), (n, *shape[1:], 1), (), (1, n)) + (
        ((n, 1), shape[::-1], shape[1:]) if len(shape) > 1 else ()
    ):
        if bad not in (shape, (n,)):
            add(some(*bad), "mean", error="sample_weight has neither the terms' shape nor (N)")


def curved(w, loss, make, shape=(3, 4), narrow=None, options=({},), start=0):
    """Adds cases with the Hessian diagonal. make(*shape) returns the tensors of the loss; with
    narrow=True, the prediction is (3,1) and the target (3,4)."""
    for k, red in enumerate(REDUCTIONS):
        w.add(
            loss,
            make(*shape),
            {"reduction": red, **options[(start + k) % len(options)]},
            "Hessian diagonal",
        )
    for opt in options:
        w.add(
            loss,
            make(*shape),
            {"reduction": "none", "grad_output": w.normal(*shape), **opt},
            "Hessian diagonal, vector-Jacobian product",
        )
    w.add(
        loss,
        {**make(*shape), "sample_weight": w.unit(shape[0]) * 3},
        {"reduction": "mean", "grad_output": s(-2.5), **options[-1]},
        "Hessian diagonal, weighted, scaled upstream",
    )
    w.add(
        loss,
        {**make(*shape), "sample_weight": w.unit(*shape) * 3},
        {"reduction": "sum", **options[0]},
        "Hessian diagonal, weighted",
    )
    if narrow:
        w.add(
            loss,
            narrow(),
            {"reduction": "mean", **options[-1]},
            "broadcast: the Hessian is summed over the terms that share an element",
        )
        w.add(
            loss,
            {**narrow(), "sample_weight": w.unit(3, 4)},
            {"reduction": "none", "grad_output": w.normal(3, 4), **options[0]},
            "broadcast, weighted",
        )


def plain(w, loss, make, options=({},), shapes=((), (1,), (7,), (4, 5), (2, 3, 4)), broadcast=True):
    """Adds the usual cases of an elementwise loss. make() takes the input shape and the target
    shape (default: the same)."""
    for n, shape in enumerate(shapes):
        for k, red in enumerate(REDUCTIONS):
            if k == n % 3 or n == 3:
                w.add(loss, make(shape), {"reduction": red, **options[(n + k) % len(options)]})
    for n, opt in enumerate(options):
        w.add(loss, make((3, 4)), {"reduction": REDUCTIONS[n % 2], **opt})
        w.add(
            loss,
            make((3, 4)),
            {"reduction": "none", "grad_output": w.normal(3, 4), **opt},
            "vector-Jacobian product",
        )
    w.add(loss, make((3, 4)), {"reduction": "mean", "grad_output": s(-2.5)}, "scaled upstream")
    if broadcast:
        w.add(loss, make((4, 1), (1, 3)), {"reduction": "mean"}, "broadcast both ways")
        w.add(
            loss,
            make((2, 3), (3,)),
            {"reduction": "none", "grad_output": w.normal(2, 3)},
            "broadcast target",
        )
        w.add(loss, make((3, 1), (3, 4)), {"reduction": "sum"}, "broadcast input")
    w.add(loss, make((0,)), {"reduction": "mean"}, "empty: NaN")
    w.add(loss, make((0, 3)), {"reduction": "sum"}, "empty: 0")
    w.add(loss, make((3,), (4,)), error="shapes do not fit")
    w.add(loss, make((3,)), {"reduction": "average"}, error="unknown reduction")


def pair(w, scale=1.0):
    return lambda a, b=None: {
        "input": w.normal(*a, scale=scale),
        "target": w.normal(*(a if b is None else b), scale=scale),
    }


def sigmoid_focal_cases(w):
    loss = "sigmoid_focal"
    make = lambda a, b=None: {
        "input": w.normal(*a, scale=3),
        "target": w.unit(*(a if b is None else b)),
    }
    hard = lambda a: {
        "input": w.normal(*a, scale=3),
        "target": (w.unit(*a) > 0.5).astype(np.float64),
    }
    options = (
        {},
        {"alpha": -1.0},
        {"alpha": 0.9, "gamma": 1.0},
        {"gamma": 0.0},
        {"gamma": 0.5},
        {"alpha": 1.0, "gamma": 3.5},
        {"alpha": 0.0, "gamma": 5.0},
    )
    plain(w, loss, make, options, broadcast=False)
    for k, opt in enumerate(options):
        w.add(loss, hard((3, 4)), {"reduction": REDUCTIONS[k % 3], **opt}, "hard labels", atol=TINY)
    x = t(0, 1e-9, -1e-9, 1, -1, 20, -20, 40, -40, 88, -88, 300, -300, 800, -800)
    for opt in ({}, {"alpha": -1.0, "gamma": 0.5}, {"gamma": 0.0}, {"alpha": 0.5, "gamma": 1.0}):
        for y in (0.0, 1.0):
            w.add(
                loss,
                {"input": x, "target": np.full_like(x, y)},
                {"reduction": "none", **opt},
                "extreme logits, hard labels",
                atol=TINY,
            )
        w.add(
            loss,
            {"input": x, "target": np.full_like(x, 0.3)},
            {"reduction": "none", **opt},
            "extreme logits, soft labels",
        )
    weighted(w, loss, lambda: make((3, 4)), (3, 4), options)
    w.add(loss, make((3, 1), (3, 4)), error="input and target must have the same shape")
    for bad in ({"gamma": -0.5}, {"alpha": 1.5}):
        w.add(loss, make((3,)), bad, error="parameter out of range")
    for alpha in (-0.5, -1e-9, -0.999, -2.0, 1.0000001):
        w.add(loss, make((3,)), {"alpha": alpha}, error="alpha outside [0, 1], and not -1")
    w.add(
        loss,
        {"input": t(2, -2, 5, -700), "target": t(2, -0.5, 1.5, -1)},
        {"reduction": "none"},
        "targets outside [0, 1]: whole powers have values",
    )
    w.add(
        loss,
        {"input": t(2, 5), "target": t(1, 2)},
        {"gamma": 0.5},
        error="a fractional power of a negative number",
    )


def log_cosh_cases(w):
    loss = "log_cosh"
    plain(w, loss, pair(w, 2.0))
    d = t(
        0,
        1e-150,
        1e-20,
        -1e-9,
        1e-9,
        1e-5,
        1e-3,
        -1e-2,
        0.1,
        0.5,
        -1,
        2,
        5,
        -18,
        19,
        20,
        36,
        37,
        -100,
        354,
        -356,
        710,
        1e4,
        -1e4,
        1e150,
        1.7e308,
    )
    w.add(
        loss,
        {"input": d, "target": np.zeros_like(d)},
        {"reduction": "none"},
        "tiny and huge differences",
        atol=TINY,
    )
    w.add(
        loss,
        {"input": np.zeros_like(d), "target": d},
        {"reduction": "none", "grad_output": w.normal(len(d))},
        "tiny and huge differences",
        atol=TINY,
    )
    for red in ("mean", "sum"):
        w.add(
            loss,
            {"input": t(1e-9, -2e-9, 3e-9), "target": s(0)},
            {"reduction": red},
            "tiny differences",
            atol=TINY,
        )
        w.add(
            loss,
            {"input": t(1e4, -1e4, 3e4), "target": s(0)},
            {"reduction": red},
            "huge differences",
        )
    w.add(
        loss,
        {"input": t(1, 1 + 2.0**-30, 1e8), "target": t(1, 1, 1e8 + 1)},
        {"reduction": "none"},
        "close to each other, far from 0",
        atol=TINY,
    )
    w.add(
        loss,
        {"input": t(INF, -INF, NAN, 1), "target": t(0, 0, 0, INF)},
        {"reduction": "none"},
        "non-finite flows through",
    )
    weighted(w, loss, lambda: pair(w)((3, 4)), (3, 4))
    curved(w, loss, lambda *sh: pair(w)(sh), narrow=lambda: pair(w)((3, 1), (3, 4)))


def quantile_cases(w):
    loss = "quantile"
    options = ({}, {"q": 0.1}, {"q": 0.9}, {"q": 0.999}, {"q": 1e-6})
    plain(w, loss, pair(w), options)
    d = t(0, 0, 1, -1, 1e-300, -1e-300, 1e300, -1e300)
    for opt in options[:3]:
        w.add(
            loss,
            {"input": d, "target": np.zeros_like(d)},
            {"reduction": "none", **opt},
            "the kink, extremes",
            kink=True,
        )
    w.add(
        loss,
        {"input": t(2, 2, 3), "target": t(2, 3, 2)},
        {"reduction": "mean", "q": 0.25},
        "the kink in a mean",
        kink=True,
    )
    w.add(
        loss,
        {"input": t(INF, -INF), "target": t(0, 0)},
        {"reduction": "none"},
        "infinite flows through",
    )
    w.add(
        loss,
        {"input": t(NAN, 1), "target": t(0, NAN)},
        {"reduction": "none"},
        "NaN flows through",
        grad=False,
        hess=False,
    )
    weighted(w, loss, lambda: pair(w)((3, 4)), (3, 4), options)
    for end in (0.0, 1.0):
        for red in REDUCTIONS:
            w.add(loss, pair(w)((3, 4)), {"reduction": red, "q": end}, "an end of [0, 1]")
    for bad in (-0.1, 1.5):
        w.add(loss, pair(w)((3,)), {"q": bad}, error="q outside [0, 1]")


def tweedie_cases(w):
    loss = "tweedie"
    mean = lambda a, b=None: {
        "input": np.exp(w.normal(*a)),
        "target": np.exp(w.normal(*(a if b is None else b))) * (
            w.unit(*(a if b is None else b)) > 0.3
        ),
    }
    link = lambda a, b=None: {
        "input": w.normal(*a, scale=2),
        "target": np.exp(w.normal(*(a if b is None else b))) * (
            w.unit(*(a if b is None else b)) > 0.3
        ),
    }
    powers = ({}, {"p": 1.1}, {"p": 1.9})
    logs = tuple({"log_input": True, **o} for o in powers)
    plain(w, loss, mean, powers)
    for k, opt in enumerate(logs):
        for red in REDUCTIONS[:2]:
            w.add(loss, link((3, 4)), {"reduction": red, **opt}, "log link")
        w.add(
            loss,
            link((3, 4)),
            {"reduction": "none", "grad_output": w.normal(3, 4), **opt},
            "log link, vector-Jacobian product",
        )
    w.add(
        loss,
        link((4, 1), (1, 3)),
        {"reduction": "mean", "log_input": True},
        "log link, broadcast both ways",
    )
    close_to = t(1 + 1e-9, 1 - 1e-9, 1 + 2.0**-52, 1, 1 + 1e-5, 1.001, 0.99, 1.1, 0.5)
    for p in (1.5, 1.05, 1.95, 1.0001, 1.9999):
        for mu in (1.0, 3.7, 1e-3):
            w.add(
                loss,
                {"input": np.full_like(close_to, mu), "target": mu * close_to},
                {"reduction": "none", "p": p},
                "target near the mean: the deviance cancels",
                atol=TINY,
            )
    w.add(
        loss,
        {"input": 2.5 * close_to, "target": np.full_like(close_to, 2.5)},
        {"reduction": "sum"},
        "target near the mean",
        atol=TINY,
    )
    x = t(1e-10, 1e-3, 1, 1e3, 1e10, 1e-10, 1, 1e10, 1e100)
    y = t(0, 0, 0, 0, 0, 1e10, 1e-10, 1, 1e-100)
    for p in (1.5, 1.01, 1.99):
        w.add(
            loss,
            {"input": x, "target": y},
            {"reduction": "none", "p": p},
            "zeros, tiny, huge",
            atol=TINY,
        )
    x = t(0, 1, -1, 30, -30, 700, -700, 700, 1300, -1300)
    y = t(1, 0, 0, 2, 2, 1, 0, 0, 1, 0)
    for p in (1.5, 1.2):
        w.add(
            loss,
            {"input": x, "target": y},
            {"reduction": "none", "log_input": True, "p": p},
            "log link, extremes",
            atol=TINY,
        )
    w.add(
        loss,
        {"input": t(1e4, -1e4, -1e4), "target": t(1, 1, 0)},
        {"reduction": "none", "log_input": True},
        "log link: overflow; target 0 stays finite",
    )
    weighted(w, loss, lambda: mean((3, 4)), (3, 4), powers)
    w.add(
        loss,
        {**link((3, 4)), "sample_weight": w.unit(3)},
        {"reduction": "mean", "log_input": True},
        "log link, weighted",
    )
    positive_pair = lambda a: {"input": np.exp(w.normal(*a)), "target": np.exp(w.normal(*a))}
    for p in (1.0, 2.0, 3.0, 2.5, 7.0, -1.0, -0.5, -3.0, 0.0):
        for red in REDUCTIONS:
            w.add(loss, positive_pair((3, 4)), {"reduction": red, "p": p}, "other powers")
        w.add(
            loss,
            {"input": np.full_like(close_to, 3.7), "target": 3.7 * close_to},
            {"reduction": "none", "p": p},
            "other powers, target near the mean",
            atol=TINY,
        )
        w.add(
            loss,
            {"input": t(1e-3, 1, 1e3), "target": t(1e3, 1, 1e-3)},
            {"reduction": "none", "p": p},
            "other powers, far apart",
            atol=TINY,
        )
        w.add(
            loss,
            {"input": w.normal(3, 4), "target": np.exp(w.normal(3, 4))},
            {"reduction": "none", "p": p, "log_input": True},
            "other powers, log link",
        )
    for p in (-1.0, -2.5, 0.0):
        w.add(
            loss,
            {"input": t(1, 2, 0.5), "target": t(0, -1, -2.5)},
            {"reduction": "none", "p": p},
            "targets of 0 and below",
        )
    w.add(
        loss,
        {"input": t(1, 2, 0.5), "target": t(0, 0, 1)},
        {"reduction": "none", "p": 1.0},
        "Poisson, targets of 0",
    )
    w.add(
        loss,
        {"input": t(-1, 0, 2), "target": t(1, 0, -1)},
        {"reduction": "none", "p": 0.0},
        "normal, means of 0 and below",
    )
    for p in (2.0, 3.0):
        w.add(
            loss, {"input": t(1, 2), "target": t(1, 0)}, {"p": p}, error="target must be positive"
        )
    w.add(
        loss, {"input": t(1, 0), "target": t(1, 1)}, {"p": -1.0}, error="the mean must be positive"
    )
    w.add(
        loss,
        {"input": t(NAN, 1), "target": t(1, NAN)},
        {"reduction": "none"},
        "NaN flows through",
        grad=False,
        hess=False,
    )
    for bad in (t(1, 0), t(1, -1)):
        w.add(loss, {"input": bad, "target": t(1, 1)}, error="the mean must be positive")
    for log in (False, True):
        w.add(
            loss,
            {"input": t(1, 2), "target": t(1, -1e-9)},
            {"log_input": log},
            error="target must not be negative",
        )
    for bad in (0.5, 1e-9, 0.999):
        w.add(loss, {"input": t(1, 2), "target": t(1, 1)}, {"p": bad}, error="p between 0 and 1")


def dice_cases(w):
    loss = "dice"
    make = lambda *sh: {"input": w.unit(*sh), "target": (w.unit(*sh) > 0.5).astype(np.float64)}
    soft = lambda *sh: {"input": w.unit(*sh), "target": w.unit(*sh)}
    options = (
        {},
        {"smooth": 0.0},
        {"batch": True},
        {"include_background": False},
        {"squared_pred": True},
        {"jaccard": True},
        {"sigmoid": True},
        {"squared_pred": True, "jaccard": True, "batch": True},
        {"include_background": False, "batch": True, "smooth": 1.0},
        {"sigmoid": True, "squared_pred": True, "include_background": False},
    )
    for shape in ((1, 1, 5), (4, 1, 3), (2, 3, 4), (2, 3, 2, 2), (3, 2, 2, 1, 2)):
        for k, opt in enumerate(options):
            w.add(loss, make(*shape), {"reduction": REDUCTIONS[k % 3], **opt})
            w.add(loss, soft(*shape), {"reduction": REDUCTIONS[(k + 1) % 3], **opt}, "soft target")
    for k, opt in enumerate(options):
        channels = 2 if opt.get("include_background") is False else 3
        w.add(
            loss,
            {**make(2, 3, 4), "weight": w.unit(channels) * 3},
            {"reduction": REDUCTIONS[k % 3], **opt},
            "channel weights",
        )
        terms = (3,) if opt.get("batch") else (2, 3)
        w.add(
            loss,
            soft(2, 3, 4),
            {"reduction": "none", "grad_output": w.normal(*terms), **opt},
            "vector-Jacobian product",
        )
        w.add(
            loss,
            {**soft(2, 3, 4), "sample_weight": w.unit(*terms)},
            {"reduction": "mean", "grad_output": s(-2.5), **opt},
            "weighted, scaled upstream",
        )
    bits = np.array([[1.0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).reshape(2, 2, 4)
    off = t(1e-10, 1e-15, 3e-7, 1e-3)
    for opt in ({"smooth": 1.0}, {"smooth": 0.0}, {}, {"squared_pred": True}, {"jaccard": True}):
        smooth = opt.get("smooth", 1e-5)
        w.add(
            loss,
            {"input": bits, "target": bits},
            {"reduction": "none", **opt},
            "perfect overlap; nothing at all",
            grad=smooth > 0,
        )
        w.add(loss, {"input": bits, "target": 1 - bits}, {"reduction": "none", **opt}, "no overlap")
        w.add(
            loss,
            {"input": np.abs(bits[:, :1] - off), "target": bits[:, :1]},
            {"reduction": "none", **opt},
            "nearly perfect overlap: the loss cancels",
            atol=TINY,
        )
    w.add(
        loss,
        {"input": t(40, -40, 20, -700).reshape(1, 1, 4), "target": t(1, 0, 1, 0).reshape(1, 1, 4)},
        {"reduction": "none", "sigmoid": True},
        "sure logits: the loss cancels",
        atol=TINY,
    )
    w.add(
        loss,
        {"input": w.unit(2, 1, 4) * 1e-200, "target": np.zeros((2, 1, 4))},
        {"reduction": "none"},
        "tiny input, no target",
        atol=TINY,
    )
    w.add(
        loss,
        {"input": np.zeros((0, 2, 3)), "target": np.zeros((0, 2, 3))},
        {"reduction": "mean"},
        "empty: NaN",
    )
    w.add(
        loss,
        {"input": np.zeros((0, 2, 3)), "target": np.zeros((0, 2, 3))},
        {"reduction": "sum"},
        "empty: 0",
    )
    weighted(w, loss, lambda: make(4, 2, 3), (4, 2), ({}, {"smooth": 0.5}))
    w.add(
        loss,
        {**make(3, 2, 4), "sample_weight": w.unit(3)},
        {"batch": True},
        error="sample_weight has not the shape of the terms, one for each channel",
    )
    w.add(loss, {**make(3, 2, 4), "weight": w.unit(3)}, error="not a weight for each channel")
    w.add(
        loss,
        {**make(3, 2, 4), "weight": w.unit(2)},
        {"include_background": False},
        error="not a weight for each channel that counts",
    )
    w.add(
        loss,
        {"input": w.unit(3, 2, 4), "target": w.unit(3, 1, 4)},
        error="input and target must have the same shape",
    )
    for shape in ((), (3,), (3, 4)):
        w.add(loss, make(*shape), error="no batch and channel dimensions before others")
    w.add(loss, make(3, 2, 4), {"smooth": -1.0}, error="negative smooth")
    for opt in ({}, {"batch": True}, {"include_background": False}):
        w.add(
            loss,
            {**make(2, 1, 4), "weight": t(3.0)},
            {"reduction": "none", **opt},
            "weight of the only channel: ignored",
        )
    w.add(
        loss,
        {**make(2, 2, 4), "weight": t(3.0)},
        {"include_background": False},
        "weight of the only channel that counts: ignored",
    )
    w.add(loss, {**make(2, 1, 4), "weight": w.unit(2)}, error="not a weight for each channel")


def info_nce_cases(w):
    loss = "info_nce"
    make = lambda n, d: {"query": w.normal(n, d), "key": w.normal(n, d)}
    for n, d in ((1, 3), (2, 2), (4, 3), (5, 8), (3, 20), (4, 1)):
        for red in REDUCTIONS:
            w.add(loss, make(n, d), {"reduction": red})
    for temperature in (0.01, 0.07, 0.5, 1.0, 20.0):
        w.add(loss, make(4, 6), {"reduction": "none", "temperature": temperature})
        w.add(loss, make(4, 6), {"reduction": "mean", "temperature": temperature})
    w.add(
        loss,
        make(4, 6),
        {"reduction": "none", "grad_output": w.normal(4)},
        "vector-Jacobian product",
    )
    w.add(loss, make(4, 6), {"reduction": "mean", "grad_output": s(-2.5)}, "scaled upstream")
    axes = np.eye(4, 5) + w.normal(4, 5, scale=0.05)
    for temperature in (0.1, 0.03, 0.01):
        case = {"query": axes, "key": axes + w.normal(4, 5, scale=0.05)}
        w.add(
            loss,
            case,
            {"reduction": "none", "temperature": temperature},
            "sure matches: tiny losses",
            atol=TINY,
        )
        w.add(
            loss,
            {"query": case["query"], "key": case["key"][::-1]},
            {"reduction": "none", "temperature": temperature},
            "sure mismatches",
        )
    for apart in (1e-3, 1e-6, 1e-9):
        near = np.ones((3, 1)) * w.normal(1, 4)
        case = {
            "query": near + w.normal(3, 4, scale=apart),
            "key": near + w.normal(3, 4, scale=apart),
        }
        w.add(
            loss,
            case,
            {"reduction": "none"},
            "near-identical vectors: the loss",
            grad=False,
            atol=TINY,
        )
        w.add(loss, case, {"reduction": "sum"}, "near-identical vectors")
        w.add(
            loss,
            case,
            {"reduction": "sum", "temperature": 0.01},
            "near-identical vectors: small gradients",
            atol=TINY,
        )
    same = np.ones((3, 1)) * w.normal(1, 4)
    w.add(loss, {"query": same, "key": same}, {"reduction": "none"}, "all rows the same: log 3")
    w.add(
        loss,
        {"query": axes, "key": -axes},
        {"reduction": "none", "temperature": 0.05},
        "opposite vectors",
    )
    for size in (1e-9, 1e9):
        w.add(
            loss,
            {"query": axes * size, "key": axes[::-1] / size},
            {"reduction": "none"},
            "lengths do not matter",
            atol=TINY,
        )
    w.add(
        loss,
        {"query": axes * 1e200, "key": axes[::-1] * 1e-200},
        {"reduction": "none"},
        "squares overflow; keys far below the clamp: log 4",
        grad=False,
    )
    w.add(
        loss,
        {"query": axes * 1e200, "key": axes[::-1] * 1e180},
        {"reduction": "none"},
        "squares overflow",
        atol=TINY,
    )
    small = w.normal(3, 4)
    small[0] = 0
    small[1] *= 1e-14
    w.add(
        loss,
        {"query": small, "key": w.normal(3, 4)},
        {"reduction": "none"},
        "zero and short vectors: norms clamped at 1e-12",
        kink=True,
    )
    w.add(
        loss,
        {"query": w.normal(3, 4), "key": small},
        {"reduction": "mean"},
        "zero and short vectors: norms clamped at 1e-12",
        kink=True,
    )
    w.add(
        loss,
        {"query": np.zeros((0, 3)), "key": np.zeros((0, 3))},
        {"reduction": "mean"},
        "empty: NaN",
    )
    w.add(
        loss, {"query": np.zeros((0, 3)), "key": np.zeros((0, 3))}, {"reduction": "sum"}, "empty: 0"
    )
    weighted(w, loss, lambda: make(4, 3), (4,))
    for bad in (0.0, -0.1):
        w.add(loss, make(3, 4), {"temperature": bad}, error="temperature must be positive")
    w.add(loss, {"query": w.normal(3, 4), "key": w.normal(3, 5)}, error="rows of different length")
    w.add(loss, {"query": w.normal(3, 4), "key": w.normal(4, 4)}, error="different numbers of rows")
    w.add(loss, {"query": w.normal(4), "key": w.normal(4)}, error="not (N, D)")
    w.add(loss, {"query": w.normal(2, 3, 4), "key": w.normal(2, 3, 4)}, error="not (N, D)")


def regression_cases(w):
    shape = (3, 4)
    d = t(0, 0.5, -0.5, 0.25, 1, -1, 2, -2, 1e-9, 1e8)
    for loss, options in (
        ("mse", ({},)),
        ("l1", ({},)),
        ("smooth_l1", ({}, {"beta": 0.5}, {"beta": 0.0})),
        ("huber", ({}, {"delta": 0.5})),
    ):
        w.start(loss)
        make = lambda *sh: pair(w)(sh)
        weighted(w, loss, lambda: make(*shape), shape, options)
        w.add(
            loss,
            {"input": s(1.5), "target": s(-0.25), "sample_weight": s(0.3)},
            {"reduction": "mean"},
            "one number, one weight",
            hess=False,
        )
        w.add(
            loss,
            {"input": w.normal(3, 1), "target": w.normal(3, 4), "sample_weight": w.unit(3, 4)},
            {"reduction": "mean"},
            "broadcast input, weighted",
            hess=False,
        )
        curved(w, loss, make, narrow=lambda: pair(w)((3, 1), (3, 4)), options=options)
        for opt in options:
            w.add(
                loss,
                {"input": d, "target": np.zeros_like(d)},
                {"reduction": "none", **opt},
                "Hessian at the kinks",
                kink=True,
            )
        if loss == "smooth_l1":
            continue
        for red in REDUCTIONS:
            w.add(
                loss,
                {**make(*shape), "weight": w.unit(*shape) * 3},
                {"reduction": red, **options[-1]},
                "weight",
            )
            w.add(
                loss,
                {**make(*shape), "weight": w.unit(4) * 3, "sample_weight": w.unit(3)},
                {"reduction": red},
                "weight broadcasts, sample_weight",
            )
        w.add(
            loss,
            {**pair(w)((3, 1), (1, 4)), "weight": w.unit(3, 1)},
            {"reduction": "mean"},
            "weight of broadcast terms",
        )
        w.add(
            loss,
            {**make(*shape), "weight": w.unit(*shape)},
            {"reduction": "none", "grad_output": w.normal(*shape)},
            "weight, vector-Jacobian product",
        )
        w.add(
            loss,
            {**make(*shape), "weight": np.zeros(shape)},
            {"reduction": "mean"},
            "all weights 0",
            grad=loss == "huber",
            hess=loss == "huber",
        )
        w.add(
            loss,
            {**make(*shape), "weight": w.unit(3)},
            error="weight does not broadcast to the terms",
        )
        w.add(loss, {**make(4), "weight": w.unit(3, 4)}, error="weight is wider than the terms")
        if loss == "huber":
            w.add(
                loss,
                {"input": d, "target": np.zeros_like(d)},
                {"reduction": "none", "delta": INF},
                "infinite delta: half of mse",
            )


def binary_cases(w):
    shape = (3, 4)
    w.start("bce")
    make = lambda *sh: {"input": w.unit(*sh), "target": w.unit(*sh)}
    heavy = lambda *sh: {**make(*sh), "weight": w.unit(*sh[-1:]) * 2}
    weighted(w, "bce", lambda: make(*shape), shape)
    for red in REDUCTIONS:
        w.add(
            "bce",
            {**heavy(*shape), "sample_weight": w.unit(3)},
            {"reduction": red},
            "weight and sample_weight",
            hess=False,
        )
    curved(w, "bce", make)
    w.add("bce", heavy(*shape), {"reduction": "mean"}, "Hessian diagonal, weight")
    w.add(
        "bce",
        {"input": t(1e-9, 1 - 1e-9, 1e-5, 0.5, 0.999), "target": t(1, 0, 0, 0.5, 1)},
        {"reduction": "none"},
        "Hessian near 0 and 1",
        atol=TINY,
    )
    loss = "bce_with_logits"
    w.start(loss)
    make = lambda *sh: {"input": w.normal(*sh, scale=3), "target": w.unit(*sh)}
    heavy = lambda *sh: {**make(*sh), "weight": w.unit(*sh) * 2, "pos_weight": w.unit(*sh[-1:]) * 5}
    weighted(w, loss, lambda: make(*shape), shape)
    for red in REDUCTIONS:
        w.add(
            loss,
            {**heavy(*shape), "sample_weight": w.unit(3)},
            {"reduction": red},
            "weight, pos_weight and sample_weight",
            hess=False,
        )
    curved(w, loss, make)
    w.add(loss, heavy(*shape), {"reduction": "mean"}, "Hessian diagonal, weight, pos_weight")
    w.add(
        loss,
        {**heavy(*shape), "sample_weight": w.unit(*shape)},
        {"reduction": "mean"},
        "Hessian diagonal, weight, pos_weight, sample_weight",
    )
    x = t(0, 1e-9, 1, -1, 20, -20, 37, 40, -40, 100, -100, 600, -600, 1e4, -1e4)
    for y in (0.0, 1.0):
        w.add(
            loss,
            {"input": x, "target": np.full_like(x, y)},
            {"reduction": "none"},
            "Hessian at extreme logits",
            grad=["input"],
            atol=TINY,
        )
    w.add(
        loss,
        {"input": x, "target": np.ones_like(x), "pos_weight": t(3)},
        {"reduction": "none"},
        "Hessian at extreme logits, pos_weight",
        grad=["input"],
        atol=TINY,
    )


def class_cases(w):
    for loss in ("cross_entropy", "nll"):
        w.start(loss)
        smooth = {"label_smoothing": 0.1} if loss == "cross_entropy" else {}
        x = lambda *sh: (
            w.normal(*sh, scale=2)
            if loss == "cross_entropy"
            else np.log(w.probabilities(*sh, axis=min(1, len(sh) - 1)))
        )
        y = lambda *sh: w.whole(3, *sh)
        for shape, terms in (((5, 3), (5,)), ((3, 4, 2), (3, 2))):
            weighted(w, loss, lambda: {"input": x(*shape), "target": y(*terms)}, terms)
            for red in REDUCTIONS:
                for lead in {terms[:1], terms}:
                    w.add(
                        loss,
                        {
                            "input": x(*shape),
                            "target": y(*terms),
                            "weight": w.unit(shape[1]) * 3,
                            "sample_weight": w.unit(*lead) * 3,
                        },
                        {"reduction": red, "ignore_index": 1, **smooth},
                        "class weights, an ignored class, sample_weight",
                        hess=False,
                    )
        w.add(
            loss,
            {
                "input": x(4, 3),
                "target": np.array([1, -100, 2, -100]),
                "sample_weight": t(0.5, 1, 2, 4),
            },
            {},
            "ignored targets do not count with their weights",
            hess=False,
        )
        w.add(
            loss,
            {
                "input": x(4, 3),
                "target": np.array([1, -100, 2, -100]),
                "sample_weight": t(0, 1, 0, 4),
            },
            {},
            "weight on ignored targets alone: NaN",
            grad=False,
            hess=False,
        )
        w.add(
            loss,
            {"input": x(3), "target": np.array(1), "sample_weight": s(0.3)},
            {"reduction": "sum"},
            "unbatched",
            hess=False,
        )
        w.add(
            loss,
            {"input": x(3), "target": np.array(1), "sample_weight": s(0.3)},
            {"reduction": "mean"},
            "unbatched",
            hess=False,
        )
    loss = "cross_entropy"
    w.start(loss + " probabilities")
    soft = lambda *sh: {
        "input": w.normal(*sh, scale=2),
        "target": w.probabilities(*sh, axis=min(1, len(sh) - 1)),
    }
    hard = lambda *sh: {"input": w.normal(*sh, scale=2), "target": w.whole(sh[1], sh[0], *sh[2:])}
    for shape, terms in (((4, 3), (4,)), ((2, 3, 4), (2, 4))):
        for red in REDUCTIONS:
            for lead in {terms[:1], terms}:
                w.add(
                    loss,
                    {**soft(*shape), "sample_weight": w.unit(*lead) * 3},
                    {"reduction": red},
                    "class probabilities, sample_weight",
                    hess=False,
                )
            w.add(
                loss,
                {**soft(*shape), "weight": w.unit(3), "sample_weight": w.unit(*terms)},
                {"reduction": red, "label_smoothing": 0.3},
                "probabilities, class weights, smoothing, sample_weight",
                hess=False,
            )
    w.add(
        loss,
        {**soft(4, 3), "sample_weight": np.zeros(4)},
        {},
        "probabilities, all weights 0: NaN",
        grad=False,
        hess=False,
    )
    w.add(
        loss,
        {**soft(4, 3), "sample_weight": w.unit(4, 3)},
        error="sample_weight has neither the terms' shape nor (N)",
    )
    w.add(
        loss,
        {**soft(2, 3, 4), "sample_weight": w.unit(4)},
        error="sample_weight has neither the terms' shape nor (N)",
    )
    w.start(loss + " Hessian")
    note = "Hessian diagonal"
    for red in REDUCTIONS:
        w.add(loss, hard(5, 3), {"reduction": red}, note)
        w.add(loss, soft(4, 3), {"reduction": red}, note + ", probabilities")
        w.add(
            loss,
            {**hard(6, 4), "weight": w.unit(4) * 3},
            {"reduction": red, "ignore_index": 1, "label_smoothing": 0.2},
            note + ", weights, smoothing, ignored rows 0",
        )
        w.add(
            loss,
            {**hard(2, 3, 4), "weight": w.unit(3), "sample_weight": w.unit(2) * 3},
            {"reduction": red},
            note + ", weights, sample_weight",
        )
        w.add(
            loss,
            {**soft(2, 3, 4), "weight": w.unit(3), "sample_weight": w.unit(2, 4) * 3},
            {"reduction": red, "label_smoothing": 0.3},
            note + ", probabilities, weights, smoothing, sample_weight",
        )
    w.add(
        loss,
        {"input": w.normal(4), "target": np.array(2)},
        {"reduction": "mean"},
        note + ", unbatched",
    )
    w.add(
        loss,
        hard(4, 3),
        {"reduction": "none", "grad_output": w.normal(4)},
        note + ", vector-Jacobian product",
    )
    w.add(
        loss,
        {**hard(4, 3), "sample_weight": w.unit(4)},
        {"reduction": "mean", "grad_output": s(-2.5)},
        note + ", weighted, scaled upstream",
    )
    w.add(
        loss,
        {"input": w.normal(4, 3), "target": np.array([0, -100, 2, -100])},
        {"reduction": "mean"},
        note + ", ignored rows 0",
    )
    w.add(
        loss,
        {"input": w.normal(3, 1), "target": np.zeros(3, dtype=np.int64)},
        {"reduction": "sum"},
        note + ", a single class",
    )
    x = np.array(
        [
            [40.0, 0, -3],
            [-3, 40, 0],
            [600, 0, 1],
            [0, 1e-9, 2e-9],
            [1e4, 0, -1e4],
            [300, 300, -300],
            [0, -700, 20],
        ]
    )
    for y in (0, 1):
        w.add(
            loss,
            {"input": x, "target": np.full(7, y)},
            {"reduction": "none"},
            note + ", sure rows: 1 - q keeps its digits",
            atol=TINY,
        )
    w.add(
        loss,
        {"input": x, "target": np.full(7, 0)},
        {"reduction": "none", "label_smoothing": 0.1},
        note + ", sure rows, smoothing",
        atol=TINY,
    )


def infinite_norm(w, make):
    loss = "triplet_margin"
    for k, opt in enumerate(({}, {"swap": True, "margin": 2.0}, {"eps": 0.25})):
        w.add(
            loss,
            make(),
            {"reduction": REDUCTIONS[k], "p": INF, **opt},
            "infinite p: the largest difference",
        )
    tied = {
        "anchor": t(0, 0, 0, 0).reshape(1, 4),
        "positive": t(2, -2, 1, 2).reshape(1, 4),
        "negative": t(-1, 0.5, 1, 0).reshape(1, 4),
    }
    w.add(
        loss,
        tied,
        {"reduction": "sum", "p": INF, "eps": 0.0},
        "infinite p: equal largest differences share the slope",
        kink=True,
    )


def rest_cases(w):
    shape = (3, 4)
    w.start("kl_div")
    make = lambda *sh: {"input": np.log(w.probabilities(*sh)), "target": w.probabilities(*sh)}
    logs = lambda *sh: {
        "input": np.log(w.probabilities(*sh)),
        "target": np.log(w.probabilities(*sh)),
    }
    weighted(w, "kl_div", lambda: make(*shape), shape)
    for red in (*REDUCTIONS, "batchmean"):
        w.add(
            "kl_div",
            {**logs(*shape), "sample_weight": w.unit(3)},
            {"reduction": red, "log_target": True},
            "log_target, weighted",
            hess=False,
        )
    for lead in ((3,), shape):
        w.add(
            "kl_div",
            {**make(*shape), "sample_weight": w.unit(*lead) * 3},
            {"reduction": "batchmean"},
            "batchmean divides by N, whatever the weights",
            hess=False,
        )
    w.add(
        "kl_div",
        {**make(*shape), "sample_weight": np.zeros(3)},
        {"reduction": "batchmean"},
        "all weights 0: 0",
        hess=False,
    )
    curved(
        w, "kl_div", make, narrow=lambda: {"input": w.normal(3, 1), "target": w.probabilities(3, 4)}
    )
    w.add(
        "kl_div", logs(*shape), {"reduction": "batchmean", "log_target": True}, "Hessian diagonal"
    )

    w.start("hinge_embedding")
    make = lambda *sh: {"input": w.normal(*sh), "target": w.signs(*sh)}
    weighted(w, "hinge_embedding", lambda: make(*shape), shape, ({}, {"margin": 0.5}))
    curved(w, "hinge_embedding", make, options=({}, {"margin": 0.5}))
    w.start("soft_margin")
    wide = lambda *sh: {"input": w.normal(*sh, scale=3), "target": w.signs(*sh)}
    weighted(w, "soft_margin", lambda: wide(*shape), shape)
    curved(w, "soft_margin", wide)
    x = t(0, 1e-9, 30, -30, 40, -40, 300, -300, 600, -600)
    for y in (1.0, -1.0):
        w.add(
            "soft_margin",
            {"input": x, "target": np.full_like(x, y)},
            {"reduction": "none"},
            "Hessian at extremes",
            atol=TINY,
        )
    w.start("margin_ranking")
    make = lambda *sh: {"input1": w.normal(*sh), "input2": w.normal(*sh), "target": w.signs(*sh)}
    weighted(w, "margin_ranking", lambda: make(*shape), shape, ({}, {"margin": 0.7}))
    curved(w, "margin_ranking", make, options=({}, {"margin": 0.7}))

    w.start("poisson_nll")
    make = lambda *sh: {"input": w.unit(*sh) * 3, "target": w.counts(*sh)}
    options = (
        {},
        {"full": True},
        {"log_input": False},
        {"log_input": False, "full": True, "eps": 0.1},
    )
    weighted(w, "poisson_nll", lambda: make(*shape), shape, options)
    curved(
        w,
        "poisson_nll",
        make,
        narrow=lambda: {"input": w.unit(3, 1) * 3, "target": w.counts(3, 4)},
        options=options,
    )
    w.add(
        "poisson_nll",
        {"input": t(0, -40, -300, 40, 300, 700), "target": t(0, 1, 2, 0, 1, 0)},
        {"reduction": "none"},
        "Hessian at extremes",
        atol=TINY,
    )
    w.add(
        "poisson_nll",
        {"input": t(1e-9, 1e-5, 1, 1e9), "target": t(1, 0, 3, 2)},
        {"reduction": "none", "log_input": False},
        "Hessian at extremes",
        atol=TINY,
    )

    w.start("gaussian_nll")
    base = lambda *sh: {"input": w.normal(*sh), "target": w.normal(*sh)}
    make = lambda *sh: {**base(*sh), "var": w.unit(*sh) * 2}
    options = ({}, {"full": True}, {"eps": 1e-3})
    weighted(w, "gaussian_nll", lambda: make(*shape), shape, options)
    curved(w, "gaussian_nll", make, options=options)
    for var in ((3, 1), (3,)):
        for red in REDUCTIONS:
            w.add(
                "gaussian_nll",
                {**base(3, 4), "var": w.unit(*var)},
                {"reduction": red},
                "one variance a row: its Hessian is summed over the row",
            )
        w.add(
            "gaussian_nll",
            {**base(3, 4), "var": w.unit(*var), "sample_weight": w.unit(3)},
            {"reduction": "mean"},
            "one variance a row, weighted",
        )
    for var in ((), (1,), (4,), (1, 4), (1, 1)):
        w.add(
            "gaussian_nll",
            {**base(3, 4), "var": w.unit(*var)},
            {"reduction": "mean"},
            "var broadcasts to input",
        )
    for var in ((2, 1, 4), (1, 3, 1), (3, 1), (2, 3), (4,), ()):
        w.add(
            "gaussian_nll",
            {**base(2, 3, 4), "var": w.unit(*var)},
            {"reduction": "sum"},
            "var broadcasts to input; (2, 3) is one a row",
        )
    w.add(
        "gaussian_nll",
        {**base(3, 3), "var": t(0.1, 1, 10)},
        {"reduction": "none"},
        "of two meanings of (3,) it is one variance a row",
        hess=["input"],
    )
    for var in ((2,), (2, 3, 4), (4, 1)):
        w.add(
            "gaussian_nll",
            {**base(3, 4), "var": w.unit(*var)},
            error="var does not broadcast to input",
        )
    w.add(
        "gaussian_nll",
        {**base(3), "var": t(0, 1e-9, 1)},
        {"reduction": "none"},
        "var below eps: clamped, derivatives pass",
        kink=True,
    )

    for loss, make, options in (
        (
            "cosine_embedding",
            lambda: {"input1": w.normal(5, 4), "input2": w.normal(5, 4), "target": w.signs(5)},
            ({}, {"margin": 0.3}, {"margin": -0.5}),
        ),
        (
            "triplet_margin",
            lambda: {n: w.normal(5, 4) for n in ("anchor", "positive", "negative")},
            ({}, {"swap": True, "margin": 2.0}, {"p": 1.0}, {"p": 3.0, "margin": 0.5}),
        ),
        (
            "multi_margin",
            lambda: {"input": w.normal(5, 4), "target": w.whole(4, 5)},
            ({}, {"p": 2}, {"margin": 0.5}),
        ),
        (
            "multilabel_soft_margin",
            lambda: {
                "input": w.normal(5, 4, scale=3),
                "target": (w.normal(5, 4) > 0).astype(np.float64),
            },
            ({},),
        ),
    ):
        w.start(loss)
        weighted(w, loss, make, (5,), options)
        for red in REDUCTIONS:
            if "margin" in loss and loss.startswith("multi"):
                w.add(
                    loss,
                    {**make(), "weight": w.unit(4) * 3, "sample_weight": w.unit(5)},
                    {"reduction": red},
                    "class weights and sample_weight",
                )
            else:
                w.add(
                    loss,
                    {**make(), "sample_weight": w.unit(5) * 3},
                    {"reduction": red, **options[-1]},
                    "sample_weight (N)",
                )
        w.add(
            loss,
            {**make(), "sample_weight": w.unit(5, 4)},
            error="sample_weight has neither the terms' shape nor (N)",
        )
        if loss == "triplet_margin":
            infinite_norm(w, make)


NEW = {
    "sigmoid_focal": sigmoid_focal_cases,
    "log_cosh": log_cosh_cases,
    "quantile": quantile_cases,
    "tweedie": tweedie_cases,
    "dice": dice_cases,
    "info_nce": info_nce_cases,
}

if __name__ == "__main__":
    seed = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 20261123
    writer = Writer(sys.argv[1], seed, "--torch" in sys.argv)
    for name, cases in NEW.items():
        writer.start(name)
        cases(writer)
    for part in (regression_cases, binary_cases, class_cases, rest_cases):
        part(writer)
    if writer.problems:
        sys.exit("\n".join(writer.problems))
    writer.close()
