#!/usr/bin/python3
"""Linear regression by gradient descent, with loss and gradient from lossd.

    regression.py [URL]     default http://127.0.0.1:8080

diabetes.csv: ten measurements of 442 patients, and the progression of the disease after a year
(Efron et al. 2004; from scikit-learn).
"""
import sys
from pathlib import Path

import numpy as np

import lossd

client = lossd.Client(*sys.argv[1:])
data = np.loadtxt(Path(__file__).with_name("diabetes.csv"), delimiter=",", skiprows=1)
x, y = data[:, :-1], data[:, -1]
x = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(len(x))])

weights = np.zeros(x.shape[1])
for step in range(1001):
    result = client.mse(x @ weights, y, grad=True)
    weights -= 0.2 * x.T @ result.grad.input
    if step % 200 == 0:
        print(f"step {step:4d}: loss {result.loss:.3f}")

best = client.mse(x @ np.linalg.lstsq(x, y, rcond=None)[0], y).loss
print(f"least squares: {best:.3f}")
