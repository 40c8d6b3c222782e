"""Figures 21 and 22: losses in a Python process, against PyTorch and formulas in NumPy and SciPy,
and XGBoost with an objective of lossd.boost."""
import contextlib
import math
import os

from figures_core import KEEP_BLOCKS, ask, count_text, measure
from operands import Problem
from processes import HERE, PYTHON, NotMeasured, driver
from rows import Row, ratios, time_text

LOSSES = ["mse", "bce_with_logits", "cross_entropy/10"]
TENSORS = {"input": True, "target": False}
SIZES = [1000, 100_000, 10_000_000]
PEERS = {"kept": "PyTorch", "numpy": "NumPy and SciPy"}
SAMPLES, ROUNDS, REACH = 200_000, 20, 1.2
CLOSE = 0.01  # between the losses of both models


@contextlib.contextmanager
def drivers(settings):
    library = os.path.abspath(os.path.join(settings.build, "lossd-local.so"))
    # All keep large blocks, as a training loop does.
    environment = {**KEEP_BLOCKS, "LOSSD_LIBRARY": library}
    commands = {
        "ours": ["python_peer.py", "lossd"],
        "kept": ["torch_peer.py"],
        "numpy": ["python_peer.py", "numpy"],
    }
    with contextlib.ExitStack() as stack:
        started = {}
        for name, (program, *words) in commands.items():
            command = [PYTHON, "-B", os.path.join(HERE, program), *words]
            log = os.path.join(settings.folder, f"python-{name}.log")
            started[name] = stack.enter_context(driver(command, log, environment))
        yield started


def losses(settings, started):
    for elements in SIZES:
        count = max(1000, elements // settings.shrink)
        for name in LOSSES:
            problem = Problem(name, TENSORS, count)
            batch = max(1, settings.small_numbers // count)
            how = (problem, settings.threads, settings.repetitions, batch)
            askers = {who: ask(one, *how) for who, one in started.items()}
            measured = measure(settings.rounds, askers)
            for who, label in PEERS.items():
                title = f"{problem.loss}, {count_text(elements)}, {label}"
                yield measured.row(21, title, who)


def training(settings, driver):
    """Compares the times of training with both objectives, which take turns."""
    rows, rounds = max(1000, SAMPLES // settings.shrink), max(2, ROUNDS // settings.shrink)
    times, values = {"lossd": [], "xgboost": []}, {}
    try:
        for _ in range(settings.peer_rounds):
            for objective, found in times.items():
                answer = driver.ask("train", settings.threads, 1, objective, rows, rounds)
                found += answer["ns"]
                values[objective] = answer["value"]
        if not math.isclose(values["lossd"], values["xgboost"], rel_tol=CLOSE):
            raise NotMeasured(f"failed: the losses of the models differ: {values}")
    except NotMeasured as reason:
        yield Row(22, "binary:logistic", error=reason)
        return
    ours, peer = (time_text(sorted(found)[len(found) // 2]) for found in times.values())
    samples = ratios(times["lossd"], times["xgboost"])
    yield Row(22, "binary:logistic", samples, REACH, 1.0, low=True, ours=ours, peer=peer)


def figures(settings):
    with drivers(settings) as started:
        yield from losses(settings, started)
        yield from training(settings, started["ours"])
