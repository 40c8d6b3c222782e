"""Client("local:"): the bits and the errors of a server, without copies, on threads, after a
fork."""
import asyncio
import copy
import os
import pickle
import pydoc
import shutil
import signal
import sys
import threading
import time

import numpy as np
import pytest

import lossd
import lossd.boost
import lossd.sklearn
from conftest import ROOT, need, need_library, run_python
from lossd import _library, _local

sys.path.append(str(ROOT / "bench"))
from operands import Problem  # noqa: E402

need_library()

X, Y = [2.5, 0, 2], [3, -0.5, 2]
ELEMENTS = 60_000


@pytest.fixture
def local():
    return lossd.Client("local:", threads=2)


@pytest.fixture(params=["calling thread", "worker"])
def place(request, monkeypatch):
    """Evaluates everything on the thread of the caller, or on other threads."""
    work = 10**18 if request.param == "calling thread" else 0
    monkeypatch.setattr(_local, "SMALL_WORK", work)


# ---- The table of losses ----


def random_arrays(loss, dtype, count=ELEMENTS):
    """Returns random operands by name, those of the benchmarks."""
    info, generator = lossd.LOSSES[loss], np.random.default_rng(5)
    required = {tensor.name: tensor.prediction for tensor in info.tensors if not tensor.optional}
    arrays = {}
    for name, operand in zip(required, Problem(loss, required, count).operands):
        law, low, high, shape = operand.split(":")[:4]
        shape, low, high = [int(n) for n in shape.split("x")], float(low), float(high)
        if law in ("integer", "labels"):
            arrays[name] = generator.integers(int(low), int(high), shape)
        elif law == "two":
            arrays[name] = generator.choice([low, high], shape).astype(dtype)
        else:
            arrays[name] = generator.uniform(low, high, shape).astype(dtype)
        if law == "labels":
            arrays[name][:, 3:] = -1
    return arrays


def assert_same_bits(ours, theirs):
    for name in ("reduction", "dtype", "count", "nonfinite", "warnings", "partial"):
        assert getattr(ours, name) == getattr(theirs, name), name
    pairs = [(ours.loss, theirs.loss)]
    for one, other in ((ours.grad, theirs.grad), (ours.hess, theirs.hess)):
        assert list(one) == list(other)
        pairs += [(one[name], other[name]) for name in other]
    for one, other in pairs:
        assert type(one) is type(other)
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype and one.shape == other.shape
        assert one.tobytes() == other.tobytes()


def variants(info):
    """Yields the arguments of several evaluations of a loss."""
    hess = {"hess": True} if info.hessian else {}
    for reduction in info.reductions:
        yield {"reduction": reduction, "grad": True, **hess}
    yield {}
    yield {"reduction": "sum", "grad_output": 0.3, "grad": True}


def partial_variants(info):
    if info.name == "info_nce":  # a term depends on all rows
        return
    yield {"partial": True, "offset": 7}
    yield {"partial": True, "reduction": "sum", "grad": True}


def both(ours, theirs, loss, *args, **arguments):
    results = []
    for one in (ours, theirs):
        try:
            results.append(getattr(one, loss)(*args, **arguments))
        except lossd.LossdError as error:
            results.append(error)
    return results


def assert_same(ours, theirs):
    if isinstance(theirs, lossd.LossdError):
        assert_same_error(ours, theirs)
    else:
        assert_same_bits(ours, theirs)


def assert_same_error(ours, theirs):
    assert type(ours) is type(theirs), (ours, theirs)
    assert ours.detail == str(theirs).partition(" (byte ")[0]
    assert (ours.pointer, ours.status) == (theirs.pointer, theirs.status)


@pytest.mark.filterwarnings("ignore::lossd.LossdWarning")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("loss", list(lossd.LOSSES))
def test_random_batches_have_the_bits_of_the_server(loss, dtype, place, client, local):
    info, arrays = lossd.LOSSES[loss], random_arrays(loss, dtype)
    for arguments in (*variants(info), *partial_variants(info)):
        ours, theirs = both(local, client, loss, **arrays, **arguments)
        assert_same(ours, theirs)


@pytest.mark.filterwarnings("ignore::lossd.LossdWarning")
def test_examples_have_the_bits_of_the_server(client, local):
    losses = local.losses()
    assert losses == client.losses()
    for info in losses:
        example = {**info["example"], "grad": True}
        for dtype in (None, "float32", "float64"):
            for reduction in info["reductions"]:
                arguments = {**example, "dtype": dtype, "reduction": reduction}
                assert_same_bits(
                    getattr(local, info["name"])(**arguments),
                    getattr(client, info["name"])(**arguments),
                )


def test_sample_weights_have_the_bits_of_the_server(place, client, local):
    arrays = random_arrays("cross_entropy", "f4")
    weights = np.random.default_rng(6).random(len(arrays["target"]))
    for arguments in ({}, {"partial": True}, {"reduction": "none", "weight": np.arange(1000)}):
        ours, theirs = both(
            local,
            client,
            "cross_entropy",
            **arrays,
            **arguments,
            sample_weight=weights,
            grad=True,
            hess=True,
        )
        assert_same_bits(ours, theirs)


# ---- Arrays ----


def test_arrays_are_used_in_place(local):
    arrays = []

    class Seen(_local.Operands):
        def add(self, name, value):
            index = super().add(name, value)
            arrays.append(self._arrays[index])
            return index

    x = np.arange(24, dtype="f4").reshape(4, 6)
    operands = Seen()
    for view in (x, x.T, x[::2, ::-1], np.broadcast_to(x[0], (4, 6)), x[1:, 3]):
        operands.add("input", view)
        assert np.shares_memory(arrays[-1], x)
    for view in (x.astype(">f4"), np.zeros(3, "u1,f4")["f1"]):
        operands.add("input", view)
        assert not np.shares_memory(arrays[-1], view)


def layouts():
    generator = np.random.default_rng(7)
    x = generator.standard_normal((60, 40)).astype("f4")
    pairs = np.zeros((60, 40), "u1,f4")
    pairs["f1"] = x
    return {
        "transposed": (x.T, x[::-1].T),
        "reversed": (x[:, ::-1], x[::-1]),
        "every second": (x[::2, 1::3], x[1::2, ::3][:, :13]),
        "broadcast": (np.broadcast_to(x[0], (60, 40)), x),
        "structured": (pairs["f1"], x),
        "big-endian": (x.astype(">f4"), x.astype(">f8")),
        "half": (x.astype("f2"), x),
        "integers": (x, (x * 9).astype("i8")),
        "booleans": (x, x > 0),
        "empty": (x[:0], x[:0]),
        "unaligned": (np.frombuffer(b"?" + x.tobytes(), "f4", offset=1).reshape(x.shape), x),
        "bfloat16": (lossd.BFloat16.from_float32(x.T), x.T),
        "lists": (x.tolist(), x[0].tolist()),
        "a number": (1, 2.5),
        "Fortran": (np.asfortranarray(x), x),
    }


@pytest.mark.filterwarnings("ignore::lossd.LossdWarning")
@pytest.mark.parametrize("layout", layouts())
def test_layouts_and_dtypes(layout, place, client, local):
    x, y = layouts()[layout]
    for reduction in ("mean", "none"):
        for loss in ("huber", "bce_with_logits"):
            assert_same(*both(local, client, loss, x, y, reduction=reduction, grad=True, hess=True))


def test_results_are_arrays_of_their_own(local):
    result = local.mse(X, Y, reduction="none", grad=True)
    assert result.loss.flags.owndata and result.grad.input.flags.writeable
    assert result.timing["compute"] >= 0 and result.request_id == ""
    assert isinstance(local.mse(X, Y).loss, float)


def test_tensors_of_pytorch(local, client):
    torch = need("torch")
    x = torch.arange(6.0).reshape(2, 3).t().requires_grad_()
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        value = x.to(dtype)
        assert_same_bits(*both(local, client, "l1", value, value * 2, grad=True))


def test_results_do_not_depend_on_the_floating_point_mode(client, local):
    torch = need("torch")
    tiny = np.full(100, 1e-310)
    assert torch.set_flush_denormal(True)
    try:
        for work in (0, 10**18):
            old, _local.SMALL_WORK = _local.SMALL_WORK, work
            ours = local.l1(tiny, np.zeros(100))
            _local.SMALL_WORK = old
            assert ours.loss == 1e-310
        assert float(torch.tensor([1e-310], dtype=torch.float64) * 1) == 0  # the mode is kept
    finally:
        torch.set_flush_denormal(False)


# ---- Errors ----


WRONG = [
    ("mse", ([1.0, 2], [1.0, 2, 3]), {}),
    ("mse", ([1.0, 2], [1.0, 2]), {"grad": "nothing"}),
    ("mse", ([1.0, 2], [1.0, 2]), {"grad": ["input", "inptu"]}),
    ("mse", ([1.0, 2], [1.0, 2]), {"reduction": "avg"}),
    ("mse", ([1.0, 2], [1.0, 2]), {"dtype": "float16"}),
    ("mse", ([1.0, 2], [1.0, 2]), {"sample_weight": [1.0]}),
    ("mse", ([1.0, 2], [1.0, 2]), {"grad": True, "grad_output": [1.0, 2]}),
    ("mse", ([1.0, 2], [1.0, 2]), {"offset": 3}),
    ("mse", ([1.0, 2], [1.0, 2]), {"partial": True, "offset": -3}),
    ("mse", ([1.0, 2], [1.0, 2]), {"divisor": float("nan")}),
    ("mse", ([1.0, 2], [1.0, 2]), {"divisor": 2, "reduction": "sum"}),
    ("mse", ([1.0, 2], [1.0, 2]), {"hess": "target"}),
    ("mse", (np.zeros((1,) * 17), np.zeros((1,) * 17)), {}),
    ("huber", (X, Y), {"delta": 0}),
    ("huber", (X, Y), {"delta": float("nan")}),
    ("huber", (X, Y), {"delta": "wide"}),
    ("huber", (X, Y), {"delta": "x" * 600}),
    ("quantile", (X, Y), {"q": 1.5}),
    ("cross_entropy", ([[0.2, 0.8]], [2]), {}),
    ("cross_entropy", (np.zeros((2, 5, 3, 4)), np.full((2, 3, 4), 9)), {}),
    ("cross_entropy", ([[0.2, 0.8]], [[2]]), {}),
    ("cross_entropy", ([[0.2, 0.8]], [1.5]), {}),
    ("cross_entropy", ([[0.2, 0.8]], [1]), {"label_smoothing": 2}),
    ("cross_entropy", ([[0.2, 0.8]], [1]), {"ignore_index": 1.5}),
    ("cross_entropy", ([[0.2, 0.8]], [1]), {"grad": "target"}),
    ("nll", ([[0.2, 0.8]], [1]), {"reduction": "batchmean"}),
    ("bce", ([0.5, 1.5], [0, 1]), {}),
    ("bce", (np.float32([[0.5], [0.5], [7]]).T, [[0.0, 1, 0]]), {}),
    ("triplet_margin", (np.eye(2), np.eye(2), np.eye(2)), {"distance": "cosin"}),
    ("triplet_margin", (np.eye(2), np.eye(2), np.eye(2)), {"swap": "yes"}),
    ("info_nce", (np.eye(2), np.eye(2)), {"partial": True}),
    ("ctc", (np.zeros((5, 2, 3)), [[1], [1]], [5, 6], [1, 1]), {}),
    ("gaussian_nll", (X, Y, [1, -1, 1]), {}),
]


@pytest.mark.parametrize("loss, operands, arguments", WRONG)
def test_errors_are_those_of_the_server(loss, operands, arguments, place, client, local):
    ours, theirs = both(local, client, loss, *operands, **arguments)
    assert isinstance(theirs, lossd.InvalidRequest)
    assert_same_error(ours, theirs)


@pytest.mark.parametrize(
    "operands, arguments, error",
    [
        ((["a"], [1.0]), {}, TypeError),
        (([[1.0], [1.0, 2.0]], [1.0]), {}, ValueError),
        ((np.array(["a"]), [1.0]), {}, TypeError),
        ((np.ma.masked_array([1.0], [True]), [1.0]), {}, ValueError),
        (([1.0], [1.0]), {"grad": 3}, TypeError),
        (([1.0], [1.0]), {"dtype": object()}, TypeError),
        (([1.0], [1.0]), {"beta": 1}, TypeError),
    ],
)
def test_wrong_arguments_are_the_errors_of_a_remote_client(
    operands, arguments, error, client, local
):
    with pytest.raises(error) as theirs:
        client.mse(*operands, **arguments)
    with pytest.raises(error) as ours:
        local.mse(*operands, **arguments)
    assert str(ours.value) == str(theirs.value)


def test_broadcasting_is_not_limited(client, local):
    x, y = np.zeros((3000, 1), "f4"), np.ones((1, 3000), "f4")
    with pytest.warns(lossd.LossdWarning, match="shapes of target and input differ"):
        assert local.mse(x, y).count == 9_000_000
    with pytest.raises(lossd.InvalidRequest, match="broadcasting expands this request"):
        client.mse(x, y)


# ---- Several losses ----


SEVERAL = [
    (["mse", {"loss": "huber", "delta": 0.5, "grad": True}], {"input": X, "target": Y}),
    (["mse", "l1"], {"input": X, "target": Y, "reduction": "none", "grad": ["input", "target"]}),
    (
        ["cross_entropy", {"loss": "multi_margin", "weight": [1.0, 2]}],
        {"input": np.float32([[0.2, 0.8], [1, 0]]), "target": [0, 1], "grad": True},
    ),
    (["mse", {"loss": "l1", "target": Y}], {"input": 3.0, "target": 1.0, "reduction": "none"}),
    (
        ["mse", {"loss": "l1", "partial": True}],
        {"input": X, "target": Y, "sample_weight": [1, 2, 3]},
    ),
    (["mse", {"loss": "l1", "sample_weight": None}], {"input": X, "target": Y, "sample_weight": X}),
    (["mse", "no_such_loss"], {"input": X, "target": Y}),
    (["mse"], {"input": X, "target": Y, "pos_weight": [1.0]}),
    (["mse"], {"input": X, "target": Y, "reductoin": "sum"}),
    (["mse", {"loss": "huber", "delta": -1}], {"input": X, "target": Y}),
    (["mse", {"loss": "huber", "delta": np.zeros(2)}], {"input": X, "target": Y}),
    (["mse", {"loss": "huber", "delta": "a"}], {"input": X, "target": Y}),
    (["cross_entropy"], {"input": [[0.2, 0.8]], "target": [2]}),
    ([{"loss": "cross_entropy", "target": [2]}], {"input": [[0.2, 0.8]]}),
    (["mse"], {"input": X}),
    (["mse"], {"input": X, "target": [1.0, 2]}),
    ([], {"input": X, "target": Y}),
    ([{"delta": 3}], {"input": X, "target": Y}),
]


@pytest.mark.filterwarnings("ignore::lossd.LossdWarning")
@pytest.mark.parametrize("losses, fields", SEVERAL)
def test_several_losses(losses, fields, place, client, local):
    ours, theirs = both(local, client, "evaluate", losses, **fields)
    if isinstance(theirs, lossd.LossdError):
        assert_same_error(ours, theirs)
    else:
        for one, other in zip(ours, theirs):
            assert_same_bits(one, other)


def test_several_losses_over_large_arrays(place, client, local):
    arrays = random_arrays("mse", "f4")
    losses = ["mse", "l1", {"loss": "huber", "delta": 0.5, "hess": True}]
    ours, theirs = both(local, client, "evaluate", losses, **arrays, grad=True, partial=True)
    for one, other in zip(ours, theirs):
        assert_same_bits(one, other)


# ---- Accumulators ----


def test_accumulators(client, local):
    arrays = random_arrays("huber", "f4")
    results = []
    for one in (client, local):
        losses = lossd.Accumulator("huber", delta=0.5, client=one)
        for row in range(0, ELEMENTS, 7000):
            batch = {name: array[row : row + 7000] for name, array in arrays.items()}
            losses.update(**batch, offset=row)
        results.append(losses.compute())
    assert_same_bits(*results)
    assert results[1].loss == local.huber(**arrays, delta=0.5).loss
    part = local.mse(X, Y, partial=True)
    assert lossd.merge([part, client.mse(X, Y, partial=True)]).count == 6


# ---- Clients ----


def test_health_and_losses(local):
    assert local.health() and local.ready() and local.url == "local:"
    assert [loss["name"] for loss in local.losses()] == list(lossd.LOSSES)
    with local as entered:
        assert entered is local and repr(local) == "Client('local:')"
    assert local.mse(X, Y).count == 3


@pytest.mark.parametrize(
    "name, value",
    [
        ("token", "secret"),
        ("cafile", "ca.pem"),
        ("cert", "me.pem"),
        ("verify", False),
        ("ssl_context", object()),
    ],
)
@pytest.mark.parametrize("kind", [lossd.Client, lossd.AsyncClient])
def test_options_of_servers_are_errors(kind, name, value):
    with pytest.raises(ValueError, match=f"the url is local:, without a server, which {name}"):
        kind("local:", **{name: value})


def test_numbers_of_threads(url, place):
    assert lossd.Client("local:", threads=np.int64(2)).mse(X, Y).count == 3
    for threads, error in ((0, ValueError), (2000, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="threads is"):
            lossd.Client("local:", threads=threads)
    with pytest.raises(ValueError, match="threads is 2, but it requires the url local:"):
        lossd.Client(url, threads=2)


def test_default_number_of_threads(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert _local.default_threads() == len(os.sched_getaffinity(0))
    for text, count in (("3", 3), ("5,2", 5), ("all", len(os.sched_getaffinity(0)))):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert _local.default_threads() == count
    monkeypatch.setitem(sys.modules, "torch", type("torch", (), {"get_num_threads": lambda: 7}))
    assert _local.default_threads() == 7


def test_copies_and_pickles(local):
    for one in (copy.copy(local), copy.deepcopy(local), pickle.loads(pickle.dumps(local))):
        assert one.url == "local:" and one._session.threads == 2
        assert one.mse(X, Y).loss == local.mse(X, Y).loss


def test_environment(monkeypatch):
    monkeypatch.setenv("LOSSD_URL", "local:")
    monkeypatch.setenv("LOSSD_TOKEN", "not used")
    assert lossd.Client().url == "local:" and lossd.Client().mse(X, Y).count == 3


def test_a_missing_library_is_an_import_error(monkeypatch, tmp_path):
    monkeypatch.setattr(_library, "_library", None)
    monkeypatch.setenv("LOSSD_LIBRARY", str(tmp_path / "nothing.so"))
    with pytest.raises(ImportError, match=r"is not installed; looked for .*nothing\.so\. `make`"):
        lossd.Client("local:")
    (tmp_path / "text.so").write_text("not a library")
    monkeypatch.setenv("LOSSD_LIBRARY", str(tmp_path / "text.so"))
    with pytest.raises(ImportError, match="cannot be loaded: "):
        lossd.Client("local:")


def test_an_installed_package_contains_the_library(tmp_path, monkeypatch, url):
    shutil.copytree(ROOT / "clients/python/src/lossd", tmp_path / "lossd")
    shutil.copy(os.environ["LOSSD_LIBRARY"], tmp_path / "lossd/lossd-local.so")
    program = f"""
import os, sys
del os.environ["LOSSD_LIBRARY"]
sys.path.insert(0, {str(tmp_path)!r})
import lossd
assert lossd.__file__.startswith({str(tmp_path)!r})
assert lossd.local.mse([1.0, 2], [0.0, 0]).loss == 2.5
"""
    run_python(program, url)


def test_another_version_is_an_import_error(monkeypatch):
    monkeypatch.setattr(_library, "_library", None)
    monkeypatch.setattr(_library, "__version__", "9.9.9")
    with pytest.raises(ImportError, match="has version .*, this package 9.9.9"):
        lossd.Client("local:")


# ---- lossd.local ----


def test_functions(local):
    x, y = np.float32([[0.2, 0.8], [1, 0]]), [0, 1]
    assert lossd.local.__all__ == ["evaluate", *lossd.LOSSES]
    ours = lossd.local.cross_entropy(x, y, grad=True, label_smoothing=0.1)
    assert_same_bits(ours, local.cross_entropy(x, y, grad=True, label_smoothing=0.1))
    assert lossd.local.evaluate(["mse", "l1"], input=X, target=Y)[1].loss == local.l1(X, Y).loss
    assert "label_smoothing" in pydoc.render_doc(lossd.local.cross_entropy)
    assert "delta: " in pydoc.render_doc(lossd.local)
    with pytest.raises(AttributeError, match="module 'lossd' has no attribute 'locale'"):
        lossd.locale


def test_functions_need_the_library(monkeypatch, url):
    monkeypatch.setenv("LOSSD_LIBRARY", "/nothing.so")
    program = """
import lossd, lossd.boost, lossd.sklearn
assert lossd.boost.xgboost("mse").used_client() is lossd.default_client()
assert lossd.sklearn.metric("mse").used_client().url == "http://127.0.0.1:8080"
try:
    lossd.local.mse
except ImportError as error:
    assert "is not installed; looked for /nothing.so" in str(error)
else:
    assert False
"""
    run_python(program, url)


# ---- Defaults of adapters ----


def test_scorers_and_objectives_need_no_server(monkeypatch, client):
    monkeypatch.delenv("LOSSD_URL", raising=False)
    lossd.set_default_client(None)
    objective, metric = lossd.boost.xgboost("log_cosh"), lossd.sklearn.metric("huber", delta=0.5)
    assert objective.used_client() is metric.used_client()
    assert metric(X, Y) == client.huber(Y, X, delta=0.5).loss
    grad, hess = objective(np.float32(X), np.float32(Y))
    expected = client.log_cosh(np.float32(Y), np.float32(X), reduction="sum", grad=True, hess=True)
    assert grad.tobytes() == expected.grad.input.tobytes()
    assert hess.tobytes() == expected.hess.input.tobytes()
    for one in (objective, metric):
        assert one.used_client().url == pickle.loads(pickle.dumps(one)).client.url == "local:"
    monkeypatch.setenv("LOSSD_URL", client.url)
    assert metric.used_client() is lossd.default_client() and metric(X, Y) > 0
    monkeypatch.delenv("LOSSD_URL")
    lossd.set_default_client(client)
    assert metric.used_client() is objective.used_client() is client
    lossd.set_default_client(None)
    assert metric.used_client().url == "local:"


# ---- Threads, timeouts, interrupts ----


def slow(client):
    """Takes many seconds on any machine."""
    rows = np.zeros((60_000, 64), "f4")
    return client.info_nce(rows, rows, grad=True)


def test_timeout():
    started = time.monotonic()
    with pytest.raises(
        lossd.DeadlineExceeded, match="no response within the timeout of 0.2 seconds"
    ):
        slow(lossd.Client("local:", timeout=0.2))
    assert time.monotonic() - started < 5


def test_interrupt(local):
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        slow(local)
    assert time.monotonic() - started < 5
    timer.join()
    assert local.mse(X, Y).count == 3


def test_other_threads_run_meanwhile():
    """The interpreter is not locked during an evaluation."""
    client = lossd.Client("local:", threads=1, timeout=1)
    ticks = []
    thread = threading.Thread(target=lambda: pytest.raises(lossd.DeadlineExceeded, slow, client))
    thread.start()
    while thread.is_alive():
        ticks.append(time.monotonic())
        time.sleep(0.001)
    assert len(ticks) > 20


def test_threads_share_a_client(client, local):
    arrays = random_arrays("cross_entropy", "f4")
    expected = client.cross_entropy(**arrays, grad=True)
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                [local.cross_entropy(**arrays, grad=True) for _ in range(5)]
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for results in found:
        for result in results:
            assert_same_bits(result, expected)


# ---- Forks ----


FORKS = """
import multiprocessing, os, sys
import numpy as np, lossd

client = lossd.Client("local:", threads=2)
x = np.random.default_rng(0).random(1_000_000, "f4")
expected = client.mse(x, 1 - x, grad=True)

def same(_=None):
    result = lossd.Client("local:", threads=2).mse(x, 1 - x, grad=True)
    again = client.mse(x, 1 - x, grad=True)
    gradients = [found.grad.input.tobytes() for found in (result, again, expected)]
    return result.loss == again.loss == expected.loss and len(set(gradients)) == 1

assert same()
for _ in range(3):
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if same() else 1)
        status = os.waitpid(grandchild, 0)[1]
        os._exit(0 if same() and status == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(same, range(8)) == [True] * 8
assert same()
"""

TORCH_FORKS = """
import os, sys
import numpy as np, torch, lossd

torch.set_num_threads(2)
client = lossd.Client("local:")
x = torch.rand(1_000_000)
y = 1 - x
assert float((x * y).sum()) > 0  # starts the threads of PyTorch
expected = client.mse(x, y, grad=True)

class Losses(torch.utils.data.Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, index):
        for one in (client, lossd.Client("local:", threads=2)):
            result = one.mse(x, y, grad=True)
            if result.loss != expected.loss or (
                result.grad.input.tobytes() != expected.grad.input.tobytes()
            ):
                return -1.0
        return result.loss

loader = torch.utils.data.DataLoader(Losses(), num_workers=2)
assert [float(loss) for loss in loader] == [expected.loss] * 6
child = os.fork()
if child == 0:
    os._exit(0 if lossd.Client("local:", threads=2).mse(x, y).loss == expected.loss else 1)
assert os.waitpid(child, 0)[1] == 0
assert client.mse(x, y).loss == expected.loss
"""


def test_evaluates_after_a_fork(url):
    run_python(FORKS, url)


def test_evaluates_in_data_loaders_of_pytorch(url):
    need("torch")
    run_python(TORCH_FORKS, url)


# ---- asyncio ----


def test_asyncio(local):
    async def main():
        async with lossd.AsyncClient("local:", threads=2) as client:
            assert await client.health() and len(await client.losses()) == len(lossd.LOSSES)
            mse, huber = await asyncio.gather(client.mse(X, Y, grad=True), client.huber(X, Y))
            assert_same_bits(mse, local.mse(X, Y, grad=True))
            assert huber.loss == local.huber(X, Y).loss
            assert len(await client.evaluate(["mse", "l1"], input=X, target=Y)) == 2
            task = asyncio.ensure_future(slow(client))
            await asyncio.sleep(0.2)
            task.cancel()
            started = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert time.monotonic() - started < 5  # leaving waits for the thread

    asyncio.run(main())
