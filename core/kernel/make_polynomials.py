#!/usr/bin/python3
"""Computes the coefficients of core/kernel/vector_math.h.

The polynomials are near-minimax, fitted with 40 digits.

    make_polynomials.py    prints each polynomial's coefficients and the bound of its relative error

Needs mpmath (Debian: python3-mpmath)."""
from mpmath import atanh, chebyfit, exp, log, mp, mpf, nstr, sqrt

mp.dps = 40


def exp_tail(r):
    """Returns (exp(r) - 1 - r) / r^2."""
    return mpf(1) / 2 + r / 6 if abs(r) < mpf(10) ** -15 else (exp(r) - 1 - r) / r**2


def log_tail(z):
    """Returns (2 atanh(s) - 2 s) / (s z) for s = sqrt(z)."""
    s = sqrt(z)
    return mpf(2) / 3 + 2 * z / 5 if z < mpf(10) ** -15 else (2 * atanh(s) - 2 * s) / (s * z)


def show(name, function, low, high, terms, scale):
    coefficients, error = chebyfit(lambda t: function(mpf(t)), [low, high], terms, error=True)
    print(f"{name}: error {nstr(error * scale, 3)}")
    for c in reversed(coefficients):
        print(f"    {float(c)!r},")


half_step = log(2) / 2 * (1 + mpf(2) ** -20)
largest_z = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2 * (1 + mpf(2) ** -20)
third = mpf(1) / 9 * (1 + mpf(2) ** -20)
show("LOG_TAIL of a third", log_tail, 0, third, 10, third / 2)
show("LOG_TAIL of a third, float32", log_tail, 0, third, 5, third / 2)
show("EXP_TAIL", exp_tail, -half_step, half_step, 10, half_step**2)
show("EXP_TAIL, float32", exp_tail, -half_step, half_step, 5, half_step**2)
show("LOG_TAIL", log_tail, 0, largest_z, 7, largest_z / 2)
show("LOG_TAIL, float32", log_tail, 0, largest_z, 3, largest_z / 2)
