"""The examples converge to the optimum."""
import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT, need

HERE = ROOT / "clients/python"


def run(name, url):
    done = subprocess.run(
        [sys.executable, "-B", HERE / "examples" / name, url],
        env={**os.environ, "PYTHONPATH": str(HERE / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ") for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def best():
    """Returns the minimum mean squared error of a linear model."""
    data = np.loadtxt(HERE / "examples/diabetes.csv", delimiter=",", skiprows=1)
    x, y = np.column_stack([data[:, :-1], np.ones(len(data))]), data[:, -1]
    return np.mean((x @ np.linalg.lstsq(x, y, rcond=None)[0] - y) ** 2)


def test_regression(url, best):
    printed = run("regression.py", url)
    losses = [
        float(text.removeprefix("loss "))
        for step, text in printed.items()
        if step.startswith("step")
    ]
    assert losses == sorted(losses, reverse=True) and losses[0] > 10 * best
    assert losses[-1] == pytest.approx(best, rel=1e-3) and float(
        printed["least squares"]
    ) == pytest.approx(best, rel=1e-5)


def test_regression_with_torch(url, best):
    torch = need("torch")
    printed = run("regression_torch.py", url)
    assert float(printed["mse"]) == pytest.approx(best, rel=1e-5)

    data = torch.from_numpy(np.loadtxt(HERE / "examples/diabetes.csv", delimiter=",", skiprows=1))
    x, y = (data[:, :-1] - data[:, :-1].mean(0)) / data[:, :-1].std(0), data[:, -1:]
    model = torch.nn.Linear(x.shape[1], 1, dtype=x.dtype)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.huber_loss(model(x), y, delta=20.0)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(printed["huber"]) == pytest.approx(closure().item(), rel=1e-3)
