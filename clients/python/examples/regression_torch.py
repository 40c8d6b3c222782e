#!/usr/bin/python3
"""The same regression with PyTorch, least squares and robust: lossd computes the criterion.

    regression_torch.py [URL]     default http://127.0.0.1:8080
"""
import sys
from pathlib import Path

import numpy as np
import torch

import lossd
from lossd.torch import HuberLoss, MSELoss

client = lossd.Client(*sys.argv[1:])
data = torch.from_numpy(
    np.loadtxt(Path(__file__).with_name("diabetes.csv"), delimiter=",", skiprows=1)
)
x, y = data[:, :-1], data[:, -1:]
x = (x - x.mean(0)) / x.std(0)


def fit(criterion, steps):
    model = torch.nn.Linear(x.shape[1], 1, dtype=x.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


torch.manual_seed(0)
print(f"mse: {fit(MSELoss(client=client), 400):.3f}")
print(f"huber: {fit(HuberLoss(delta=20.0, client=client), 400):.3f}")
