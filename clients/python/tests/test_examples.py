"""The regressions converge to the optimum; merged partitions have the loss of the whole batch."""
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT, need, start, stop

HERE = ROOT / "clients/python"
STUBS = HERE / "tests/stubs"
TIMEOUT_S = 120


def launch(name, *urls, path=(), **environment):
    folders = [str(folder) for folder in (HERE / "src", *path)]
    return subprocess.Popen(
        [sys.executable, "-B", HERE / "examples" / name, *urls],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(folders)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    """Returns the output of the first process."""
    try:
        outputs = [process.communicate(timeout=TIMEOUT_S) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, errors) in zip(processes, outputs):
        assert process.returncode == 0, errors
    return dict(line.split(": ") for line in outputs[0][0].splitlines())


def run(name, *urls, path=(), **environment):
    return finish(launch(name, *urls, path=path, **environment))


def check_merged(printed):
    loss, rows = printed["merged"].split(", rows ")
    assert loss == printed["whole"] and rows == "[[0, 20000]]"


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


def test_dask_on_a_local_cluster_of_two_workers(url, tmp_path):
    need("distributed")
    process, other = start()
    try:
        check_merged(run("evaluate_dask.py", url, other, TMPDIR=str(tmp_path)))
    finally:
        stop(process)


def test_spark_with_a_stub_of_pyspark(url):
    check_merged(run("evaluate_spark.py", url, path=[STUBS]))


def test_ray_with_a_stub_of_ray_data(url):
    check_merged(run("evaluate_ray.py", url, path=[STUBS]))


def test_torch_with_two_processes_of_gloo(url):
    need("torch")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    check_merged(
        finish(*[launch("evaluate_torch.py", url, RANK=str(rank), **settings) for rank in (0, 1)])
    )


def test_guide_quotes_the_examples():
    guide = (ROOT / "docs/guides/frameworks.md").read_text("utf-8")
    examples = [path.read_text("utf-8") for path in (HERE / "examples").glob("evaluate_*.py")]
    quotes = re.findall(r"^```py\n(.*?)^```$", guide, re.S | re.M)
    assert len(quotes) == len(examples)
    for quote in quotes:
        assert any(quote in example for example in examples), quote
