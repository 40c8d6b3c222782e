"""Client: losses, gradients, arrays of every kind, errors."""
import copy
import os
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import lossd
from conftest import ROOT, need, run_python, start, stop
from fake import Fake, answer
from lossd import _http

X, Y = [2.5, 0, 2], [3, -0.5, 2]


def test_loss_and_gradient(client):
    result = client.mse(X, Y, grad=True)
    assert isinstance(result.loss, float) and result.loss == pytest.approx(1 / 6)
    np.testing.assert_allclose(result.grad.input, [-1 / 3, 1 / 3, 0])
    assert result.grad["input"] is result.grad.input and list(result.grad) == ["input"]
    assert (result.count, result.nonfinite, result.warnings, result.reduction, result.dtype) == (
        3,
        0,
        [],
        "mean",
        "float64",
    )
    assert set(result.timing) == {"decode", "compute", "encode"} and all(
        time >= 0 for time in result.timing.values()
    )
    assert result.request_id and float(result) == result.loss


def test_result_repr(client):
    assert repr(client.mse(X, Y, grad=True)).startswith(
        "Result(loss=0.16666666666666666, reduction='mean', dtype='float64', count=3,"
        " grad=['input'])"
    )


def test_gradients_are_writable(client):
    gradient = client.mse(X, Y, grad=True).grad.input
    gradient *= 2  # memory of its own
    assert gradient.flags.aligned and gradient.flags.c_contiguous


def test_loss_arguments(client):
    assert client.huber(X, Y, delta=0.25, reduction="sum").loss == pytest.approx(
        2 * 0.25 * (0.5 - 0.125)
    )
    assert client.quantile([1.0], [2.0], q=np.float32(0.75)).loss == pytest.approx(0.75)
    assert (
        client.kl_div(
            np.log([0.5, 0.5]), np.log([0.9, 0.1]), log_target=np.True_, reduction="batchmean"
        ).reduction
        == "batchmean"
    )
    weighted = client.cross_entropy(
        [[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]],
        [1, 0, -1],
        weight=[1, 2],
        ignore_index=-1,
        label_smoothing=0.1,
    )
    assert weighted.count == 2
    same = np.eye(2)
    assert client.triplet_margin(
        same, same, same, distance="cosine", margin=0.3, swap=True
    ).loss == pytest.approx(0.3)


def test_reduction_none_gives_the_terms(client):
    result = client.mse(
        np.float32([[1, 2], [3, 4]]),
        np.float32([[0, 0], [0, 0]]),
        reduction="none",
        grad=True,
        grad_output=[[1, 0], [0, 10]],
    )
    np.testing.assert_array_equal(result.loss, np.float32([[1, 4], [9, 16]]))
    assert result.loss.dtype == np.float32
    np.testing.assert_array_equal(result.grad.input, [[2, 0], [0, 80]])


def test_gradients_by_name_hessians_and_weights(client):
    result = client.bce_with_logits(
        [0.3, -1.2],
        [1, 0],
        grad=["input", "target"],
        hess=True,
        sample_weight=[1, 2],
        reduction="sum",
        grad_output=2,
    )
    probability = 1 / (1 + np.exp([-0.3, 1.2]))
    np.testing.assert_allclose(result.grad.input, 2 * np.array([1, 2]) * (probability - [1, 0]))
    np.testing.assert_allclose(result.grad.target, -2 * np.array([0.3, -2.4]))
    np.testing.assert_allclose(
        result.hess.input, 2 * np.array([1, 2]) * probability * (1 - probability)
    )
    assert set(client.cosine_embedding(np.eye(2), np.eye(2), [1, 1], grad="input2").grad) == {
        "input2"
    }
    assert set(client.cosine_embedding(np.eye(2), np.eye(2), [1, 1], grad=True).grad) == {
        "input1",
        "input2",
    }


def test_missing_gradients_are_helpful_errors(client):
    result = client.mse(X, Y)
    with pytest.raises(AttributeError, match="pass grad=True"):
        result.grad.input
    with pytest.raises(KeyError, match="no hess of 'target'; the result has that of input"):
        client.mse(X, Y, hess=True).hess["target"]


@pytest.mark.parametrize(
    "dtype",
    [
        "f8",
        "f4",
        "f2",
        "i8",
        "i4",
        "i2",
        "i1",
        "u1",
        "u2",
        "u4",
        "u8",
        "?",
        ">f8",
        ">f4",
        ">i4",
        ">u2",
        ">u4",
        ">u8",
    ],
)
def test_dtypes_in_either_byte_order(client, dtype):
    numbers = np.array([1, 0, 1, 1], dtype)
    result = client.mse(
        numbers, np.zeros(4, dtype), reduction="none", grad=numbers.dtype.kind == "f"
    )
    np.testing.assert_array_equal(result.loss, [1, 0, 1, 1])
    assert result.dtype == result.loss.dtype == ("float64" if dtype.endswith("f8") else "float32")
    if numbers.dtype.kind != "f":
        assert client.nll(np.zeros((4, 2)), numbers).loss == 0


def test_unsigned_integers_keep_their_values(client):
    largest = np.array([2**64 - 1], np.uint64)
    assert client.l1(largest, np.zeros(1), dtype="float64").loss == 2.0**64
    with pytest.raises(
        lossd.InvalidRequest,
        match=r"target\[0\] is 18446744073709551615; class indices must be in \[0, 2\)",
    ):
        client.nll(np.zeros((1, 2)), largest)


def test_bfloat16(client):
    exact = np.array([1, -2.5, 0.1567, 1e18, np.inf, np.nan], np.float32)
    rounded = lossd.BFloat16.from_float32(exact)
    assert rounded.bits.dtype == np.uint16
    result = client.mse(rounded, np.zeros(6, np.float32), reduction="none")
    np.testing.assert_array_equal(result.loss, rounded.to_float32() ** 2)
    np.testing.assert_allclose(rounded.to_float32()[:4], exact[:4], rtol=2**-8)
    ties = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF], np.uint32).view(np.float32)
    assert [hex(bits) for bits in lossd.BFloat16.from_float32(ties).bits] == [
        "0x3f80",
        "0x3f82",
        "0x3f81",
        "0x7f80",
    ]
    with pytest.raises(TypeError, match="they must be uint16"):
        lossd.BFloat16(np.float32([1]))


@pytest.mark.parametrize(
    "numbers",
    [np.array(["a"]), np.array([1j]), np.array([10**30], object), np.array(["2020"], "M8[Y]")],
)
def test_arrays_that_are_not_numeric_are_rejected_locally(client, numbers):
    with pytest.raises(
        TypeError,
        match="input has dtype .*, which lossd does not support; convert it to one of float64",
    ):
        client.mse(numbers, [0])


@pytest.mark.parametrize(
    "numbers, message",
    [
        ([1, None], r"input\[1\] is None; it must be a number"),
        (np.array([[1, 2], [3, "x"]], object), r"input\[1\]\[1\] is 'x'; it must be a number"),
        ({1, 2}, r"input is \{1, 2\}; it must be a number"),
    ],
)
def test_objects_that_are_not_numbers_are_errors_with_position(client, numbers, message):
    with pytest.raises(TypeError, match=message):
        client.mse(numbers, [0, 0])


def test_arrays_of_number_objects_are_converted(client):
    assert client.mse(np.array([1, 2.5], object), [0, 0]).loss == pytest.approx(3.625)
    assert client.mse(np.array([3], object), [0], grad=True).grad.input.tolist() == [6]
    assert client.nll(np.zeros((1, 2)), np.array([1], object)).loss == 0


def test_masked_elements_are_rejected(client):
    whole = np.ma.masked_array([1.0, 2.0], [False, False])
    assert client.mse(whole, [0, 0]).loss == 2.5
    with pytest.raises(ValueError, match="input has masked elements"):
        client.mse(np.ma.masked_array([1.0, 2.0], [False, True]), [0, 0])
    with pytest.raises(ValueError, match="target has masked elements"):
        client.evaluate(
            ["mse"], input=[1.0, 2.0], target=np.ma.masked_array([0.0, 0.0], [True, False])
        )


def test_ragged_lists_are_rejected_by_name(client):
    with pytest.raises(ValueError, match="target"):
        client.mse([[1, 2], [3, 4]], [[1, 2], [3]])


def test_arrays_of_pandas(client):
    pandas = need("pandas")
    assert (
        client.mse(pandas.Series([1, 2], index=[7, 3]), pandas.DataFrame({"a": [0, 0]})["a"]).loss
        == 2.5
    )
    assert client.mse(pandas.Series([1, 2], dtype="Int64"), [0, 0], grad=True).loss == 2.5
    assert client.cross_entropy(
        [[1.0, 2.0]], pandas.Series([1], dtype="Int64")
    ).loss == pytest.approx(np.log1p(np.exp(-1)))
    with pytest.raises(TypeError, match=r"input\[1\] is <NA>"):
        client.mse(pandas.Series([1, None], dtype="Int64"), [0, 0])


def test_unknown_arguments_list_the_valid_ones(client):
    with pytest.raises(
        TypeError,
        match=(
            "mse got an unexpected keyword argument 'wieght'; it takes input, target, .*reduction"
        ),
    ):
        client.mse(X, Y, wieght=[1, 1, 1])
    with pytest.raises(TypeError, match="ctc got an unexpected keyword argument 'hess'"):
        client.ctc(np.zeros((2, 1, 2)), [[1]], [2], [1], hess=True)
    for unknown in (1, [1], np.ones(1)):
        with pytest.raises(lossd.InvalidRequest, match="none of these losses has a field 'wieght'"):
            client.evaluate(["mse"], input=X, target=Y, wieght=unknown)


def test_derivatives_can_be_named_in_any_collection(client):
    for asked in ("input", ["input"], ("input",), {"input"}, np.array(["input"])):
        assert (
            set(client.mse(X, Y, grad=asked).grad)
            == set(client.evaluate(["mse"], input=X, target=Y, grad=asked)[0].grad)
            == {"input"}
        )
    for asked in (False, None, [], (), ""):
        assert (
            not client.mse(X, Y, grad=asked).grad
            and not client.evaluate(["mse"], input=X, target=Y, grad=asked)[0].grad
        )
    for asked in (1, 2.5, [True]):
        with pytest.raises(
            TypeError, match="grad is .*; it must be True, False, a tensor name, or a list"
        ):
            client.mse(X, Y, grad=asked)


def test_evaluate_accepts_what_methods_accept(client):
    for delta in (0.25, np.float32(0.25), np.array(0.25)):
        assert (
            client.evaluate([{"loss": "huber", "delta": delta}], input=X, target=Y)[0].loss
            == client.huber(X, Y, delta=delta).loss
        )
    with pytest.raises(TypeError, match="losses is 'mse'; it must be a sequence"):
        client.evaluate("mse", input=X, target=Y)
    with pytest.raises(TypeError, match=r"losses\[1\] is 3; it must be a name, or a mapping"):
        client.evaluate(["mse", 3], input=X, target=Y)
    with pytest.raises(TypeError, match='dtype is .*; it must be "float32" or "float64"'):
        client.mse(X, Y, dtype="flaot32")


def test_arrays_in_any_layout(client):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (
        base.T,
        base[::2, ::-1],
        base[:, 1:3],
        np.asfortranarray(base),
        np.broadcast_to(np.float32(3), (4, 6)),
    ):
        target = np.zeros_like(view)
        result = client.mse(view, target, reduction="none", grad=True)
        np.testing.assert_array_equal(result.loss, view**2)
        np.testing.assert_array_equal(result.grad.input, 2 * view)


def test_values_without_dtype_get_the_dtype_of_the_loss(client):
    assert client.mse([3, 0], [1, 0], grad=True).grad.input.tolist() == [2, 0]
    assert client.cross_entropy([[0, 0]], [1], grad=True).grad.input.tolist() == [[0.5, -0.5]]


def test_scalars_and_empty_arrays(client):
    result = client.mse(3.0, np.float64(1), grad=True)
    assert result.loss == 4 and result.grad.input.shape == () and result.grad.input == 4
    empty = client.mse(np.zeros((0, 5)), np.zeros((0, 5)), reduction="sum", grad=True)
    assert empty.loss == 0 and empty.count == 0 and empty.grad.input.shape == (0, 5)
    assert np.isnan(client.mse([], []).loss)


def test_mixed_widths_are_aligned(client):
    result = client.cross_entropy(
        np.zeros((3, 2)),
        np.array([0, 1, 0], np.uint8),
        sample_weight=np.float16([1, 2, 3]),
        grad=True,
    )
    assert result.loss == pytest.approx(np.log(2))


def test_computing_dtype(client):
    assert client.mse(X, Y, dtype="float32", grad=True).grad.input.dtype == np.float32
    assert client.mse(np.float32(X), Y, dtype=np.float64, grad=True).grad.input.dtype == np.float64


def test_nonfinite_terms_are_counted(client):
    result = client.mse([np.nan, np.inf, 1], [0, 0, 0])
    assert result.nonfinite == 2 and np.isnan(result.loss) and "nonfinite=2" in repr(result)


def test_warnings_point_at_the_caller(client):
    with pytest.warns(lossd.LossdWarning, match="broadcast") as caught:
        result = client.mse(np.zeros((3, 1)), np.zeros(3))
    assert result.count == 9 and result.warnings == [str(caught[0].message)]
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "ask, status, pointer, detail",
    [
        (
            lambda client: client.cross_entropy([[0.2, 0.8]], [2]),
            422,
            "/target/0",
            "target[0] is 2; class indices must be in [0, 2), or -100 to be ignored",
        ),
        (lambda client: client.mse([1, 2], [1, 2, 3]), 422, "/target", "shape"),
        (lambda client: client.huber(X, Y, delta=-1), 422, "/delta", "delta"),
        (
            lambda client: client.huber(X, Y, delta="much"),
            400,
            "/delta",
            "delta is 'much'; it must be a number",
        ),
        (lambda client: client.mse(X, Y, reduction="median"), 422, "/reduction", "reduction"),
        (lambda client: client.mse(X, Y, grad=["inptu"]), 422, "/grad", "inptu"),
        (
            lambda client: client.huber(X, Y, delta=float("-inf")),
            422,
            "/delta",
            "delta is -Infinity; it must be greater than 0",
        ),
        (
            lambda client: client.mse(np.arange(3), Y, grad=True),
            422,
            None,
            "only floating point tensors have derivatives",
        ),
        (lambda client: client.mse(None, Y), 422, "/input", "input is missing"),
    ],
)
def test_invalid_requests_are_value_errors_with_position(client, ask, status, pointer, detail):
    with pytest.raises(lossd.InvalidRequest) as caught:
        ask(client)
    error = caught.value
    assert isinstance(error, ValueError) and isinstance(error, lossd.LossdError)
    assert (
        error.status == status
        and detail in error.detail
        and str(error) == error.detail
        and error.request_id
    )
    assert pointer is None or error.pointer == pointer
    other = pickle.loads(pickle.dumps(error))
    assert (other.detail, other.status, other.pointer) == (
        error.detail,
        error.status,
        error.pointer,
    )


def test_connection_is_kept_after_errors(client):
    for _ in range(3):
        with pytest.raises(ValueError):
            client.mse([1, 2], [1, 2, 3])
    assert client.mse(X, Y).loss == pytest.approx(1 / 6)
    assert len(client._session.server._idle) == 1


def test_parameter_of_wrong_type_is_rejected_locally(client):
    with pytest.raises(TypeError, match=r"delta is \[1, 2\]; it must be a number"):
        client.huber(X, Y, delta=[1, 2])


def test_response_to_a_body_over_the_limit_is_received():
    process, url = start("--max-body", "64KiB")
    try:
        with lossd.Client(url, retries=0) as client:
            for _ in range(3):
                with pytest.raises(lossd.InvalidRequest) as caught:
                    client.mse(np.zeros(2_000_000), np.zeros(2_000_000))
                assert caught.value.status == 413
            assert client.mse(X, Y).loss == pytest.approx(1 / 6)
    finally:
        stop(process)


def test_large_arrays(client):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 1_000_003)).astype(np.float32)
    result = client.mse(x, y, grad=True)
    np.testing.assert_allclose(result.loss, np.mean((x.astype(float) - y) ** 2), rtol=1e-6)
    np.testing.assert_allclose(result.grad.input, 2 * (x - y) / len(x), rtol=1e-5, atol=1e-12)


def test_threads_share_a_client(client):
    failures = []

    def work(seed):
        x, y = np.random.default_rng(seed).normal(size=(2, 5000))
        for _ in range(20):
            result = client.mse(x, y, grad=True)
            if not (
                np.isclose(result.loss, np.mean((x - y) ** 2))
                and np.allclose(result.grad.input, 2 * (x - y) / 5000)
            ):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert 1 <= len(client._session.server._idle) <= 8


def test_parameters_can_be_infinite_or_none(client):
    assert client.huber([3, -4], [0, 0], delta=np.inf).loss == 6.25
    assert client.triplet_margin(
        [[0.03, 0]], [[0.05, 0]], [[0, 0.01]], p=float("inf"), eps=0
    ).loss == pytest.approx(0.99)
    assert client.nll([[-1, -2]], [1], ignore_index=None).loss == 2
    with pytest.raises(
        lossd.InvalidRequest, match=r"target\[0\] is -100; class indices must be in \[0, 2\)$"
    ):
        client.nll([[-1, -2]], [-100], ignore_index=None)
    assert (
        client.evaluate([{"loss": "huber", "delta": np.inf}], input=[3, -4], target=[0, 0])[0].loss
        == 6.25
    )
    with pytest.raises(lossd.InvalidRequest, match=r"target\[0\] is -100"):
        client.evaluate(
            [{"loss": "nll", "ignore_index": None}],
            input=[[-1, -2]],
            target=[-100],
            ignore_index=-100,
        )


def test_evaluate_equals_separate_requests(client):
    x, y = np.random.default_rng(2).normal(size=(2, 50)).astype(np.float32)
    weight = np.linspace(0.5, 1, 50)
    mse, huber, terms, classes = client.evaluate(
        [
            "mse",
            {"loss": "HuberLoss", "delta": np.float64(0.5), "grad": ["input", "target"]},
            {"loss": "l1", "reduction": "none", "dtype": np.float64},
            {
                "loss": "cross_entropy",
                "input": np.zeros((2, 3)),
                "target": [0, 1],
                "sample_weight": None,
                "hess": True,
            },
        ],
        input=x,
        target=y,
        sample_weight=weight,
        reduction="sum",
        grad="input",
    )
    for several, own in (
        (mse, client.mse(x, y, sample_weight=weight, reduction="sum", grad=True)),
        (
            huber,
            client.huber(
                x, y, delta=0.5, sample_weight=weight, reduction="sum", grad=["input", "target"]
            ),
        ),
        (
            terms,
            client.l1(x, y, sample_weight=weight, reduction="none", dtype="float64", grad=True),
        ),
        (
            classes,
            client.cross_entropy(np.zeros((2, 3)), [0, 1], reduction="sum", hess=True, grad=True),
        ),
    ):
        np.testing.assert_array_equal(several.loss, own.loss)
        assert (
            type(several.loss) is type(own.loss)
            and list(several.grad) == list(own.grad)
            and list(several.hess) == list(own.hess)
        )
        for name in own.grad:
            np.testing.assert_array_equal(several.grad[name], own.grad[name])
            assert several.grad[name].dtype == own.grad[name].dtype
        assert (several.count, several.reduction, several.dtype) == (
            own.count,
            own.reduction,
            own.dtype,
        )
    huber.grad.target += 1  # memory of its own


def test_evaluate_reports_the_loss_of_an_error(client):
    with pytest.raises(lossd.InvalidRequest, match=r"losses\[1\], huber: delta is -1") as caught:
        client.evaluate(["mse", {"loss": "huber", "delta": -1}], input=X, target=Y)
    assert caught.value.pointer == "/losses/1/delta"
    with pytest.raises(lossd.InvalidRequest, match="no such loss 'mze'; did you mean 'mse'"):
        client.evaluate(["mze"], input=X, target=Y)
    with pytest.raises(lossd.InvalidRequest):
        client.evaluate([])
    with pytest.warns(lossd.LossdWarning) as warned:
        results = client.evaluate(
            ["mse", "l1"],
            input=np.full((3, 1), np.nan, "f2"),
            target=lossd.BFloat16.from_float32([0, 0, 0]),
        )
    assert [result.nonfinite for result in results] == [9, 9] and warned[0].filename == __file__


def test_unix_socket(tmp_path):
    process, url = start("--listen", f"unix:{tmp_path}/lossd.sock")
    try:
        assert url == f"unix:{tmp_path}/lossd.sock"
        with lossd.Client(url) as client:
            assert client.ready() and client.mse(X, Y).loss == pytest.approx(1 / 6)
    finally:
        stop(process)
    with pytest.raises(lossd.ConnectionFailed, match="cannot connect"):
        lossd.Client(url, retries=0).mse(X, Y)


def test_losses_of_the_server(client):
    losses = client.losses()
    assert [loss["name"] for loss in losses] == list(lossd.LOSSES)
    assert all(callable(getattr(client, loss["name"])) for loss in losses)


def test_generated_files_are_up_to_date(url):
    program = ROOT / "clients/python/generate.py"
    checked = subprocess.run(
        [sys.executable, "-B", program, url, "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_mypy_passes():
    if subprocess.run(["mypy", "--version"], capture_output=True).returncode:
        pytest.skip("mypy is not here: install mypy")
    done = subprocess.run(
        ["mypy", "--cache-dir", ROOT / "build/python/mypy"],
        cwd=ROOT / "clients/python",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_health_and_readiness(client):
    assert client.health() is True and client.ready() is True
    unreachable = lossd.Client("http://127.0.0.1:1", retries=0)
    assert unreachable.health() is False and unreachable.ready() is False


def test_pickled_client_has_the_same_settings(url):
    client = lossd.Client(url, timeout=7, retries=1)
    client.mse(X, Y)
    other = pickle.loads(pickle.dumps(client))
    assert other.mse(X, Y).loss == client.mse(X, Y).loss
    assert (other.url, other._session.timeout) == (url, 7)


def test_copies_use_the_server_of_the_original(url, monkeypatch):
    """Even if LOSSD_URL changes after the client was made."""
    monkeypatch.setenv("LOSSD_URL", url)
    client = lossd.Client(timeout=7)
    monkeypatch.setenv("LOSSD_URL", "http://127.0.0.1:1")
    for other in (copy.copy(client), copy.deepcopy(client), pickle.loads(pickle.dumps(client))):
        assert (other.url, other._session.timeout) == (url, 7) and other.mse(
            X, Y
        ).loss == client.mse(X, Y).loss
        other.close()
    client.close()


def test_pickle_contains_given_token_but_not_that_of_the_environment(monkeypatch):
    given = lossd.Client("http://127.0.0.1:9", token="given-token")
    assert b"given-token" in pickle.dumps(given)
    monkeypatch.setenv("LOSSD_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LOSSD_TOKEN", "environments-token")
    client = lossd.Client()
    pickled = pickle.dumps(client)
    assert b"environments-token" not in pickled
    for other, token in (
        (pickle.loads(pickled), "environments-token"),
        (copy.deepcopy(client), "environments-token"),
        (pickle.loads(pickle.dumps(pickle.loads(pickled))), "environments-token"),
        (copy.copy(given), "given-token"),
    ):
        assert other._arguments["token"] == token
    monkeypatch.setenv("LOSSD_URL", "http://127.0.0.1:10")  # LOSSD_TOKEN is not for this one
    assert (
        pickle.loads(pickled)._arguments["token"] is None
        and pickle.loads(pickled).url == "http://127.0.0.1:9"
    )


def test_client_with_ssl_context_can_be_copied_but_not_pickled():
    client = lossd.Client("https://127.0.0.1:9", ssl_context=ssl.create_default_context())
    assert copy.deepcopy(client).url == client.url
    with pytest.raises(
        TypeError,
        match="with an ssl_context cannot be pickled; one with verify, cafile and cert can",
    ):
        pickle.dumps(client)


FORKS = """
import os, sys, threading, lossd
client = lossd.Client(sys.argv[1])
client.mse([1.0], [0.0])
lossd.default_client()
held = [client._session.server._lock, lossd._client._default_lock.current]
inside = threading.Event()
def hold():
    for lock in held:
        lock.acquire()
    inside.set()
    threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
inside.wait()
child = os.fork()
if child == 0:
    lossd.default_client()
    os._exit(0 if client.mse([3.0], [0.0]).loss == 9 else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing")
def test_forked_child_does_not_inherit_locks(url):
    run_python(FORKS, url)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing")
def test_forked_children_have_their_own_connections(url):
    client = lossd.Client(url)
    client.mse([1.0], [0.0])
    children = []
    for first in range(1000, 4000, 1000):
        children.append(os.fork())
        if children[-1] == 0:
            right = all(
                client.mse([float(first + k)], [0.0]).loss == (first + k) ** 2 for k in range(20)
            )
            os._exit(0 if right else 1)
    assert all(client.mse([float(k)], [0.0]).loss == k**2 for k in range(20))
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
    client.close()


def test_server_from_the_environment(url, monkeypatch):
    monkeypatch.setenv("LOSSD_URL", url + "/")
    assert lossd.Client().mse(X, Y).loss == pytest.approx(1 / 6)
    monkeypatch.delenv("LOSSD_URL")
    assert lossd.Client().url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host/?q=1",
        "",
        " http://host",
        "http://ho st",
        "http://host/\nX: y",
        "http://host:99999",
        "unix:relative",
    ],
)
def test_invalid_urls(url):
    with pytest.raises(ValueError, match="url"):
        lossd.Client(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@127.0.0.1:8080",
        "http://me:hunter2@host:port",
        "http://me:hunter2@ho st",
        "ftp://me:hunter2@host",
        "me:hunter2@host",
        "http://me:hunter2/@host",
        "http://me:hunter2\u2100@host",
        "http://me:hunter2@[host",
    ],
)
@pytest.mark.parametrize("settings", [{}, {"verify": False}])
def test_password_in_url_is_rejected_and_not_shown(url, settings):
    with pytest.raises(ValueError, match="the url ") as caught:
        lossd.Client(url, **settings)
    assert "hunter2" not in str(caught.value)


def test_password_in_valid_url_is_rejected_with_a_hint():
    with pytest.raises(ValueError, match="use a token"):
        lossd.Client("http://me:hunter2@127.0.0.1:8080")


def test_url_in_capitals_is_https_too():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = lossd.Client(
            f"HTTPS://127.0.0.1:{server.getsockname()[1]}",
            token="secret",
            verify=False,
            retries=0,
            timeout=1,
        )
        with pytest.raises(lossd.LossdError):
            client.mse(X, Y)
        with server.accept()[0] as connection:
            assert connection.recv(1) == b"\x16"  # how TLS begins


def test_ipv6_address_without_port():
    assert _http.address("http://[::1]") == ("::1", 80, "") and _http.address(
        "https://[::1]/a/"
    ) == ("::1", 443, "/a")


def test_path_is_percent_encoded():
    with Fake(answer()) as server:
        lossd.Client(f"{server.url}/präfix/50%25/", retries=0).mse(X, Y)
    assert server.requests[0][0].startswith("POST /pr%C3%A4fix/50%25/v1/losses/mse")


def test_redirect_error_shows_the_location():
    with Fake(
        answer(301, b"", "text/html", Location="https://elsewhere.test/v1/losses/mse")
    ) as server:
        with pytest.raises(
            lossd.ProtocolError,
            match="301 Moved Permanently, to https://elsewhere.test/v1/losses/mse; use that URL",
        ):
            lossd.Client(server.url).mse(X, Y)


@pytest.mark.parametrize("timeout", [float("inf"), 1e12, np.float32(30), 30, 1e7])
def test_timeouts_of_any_length(url, timeout):
    with lossd.Client(url, timeout=timeout) as client:
        assert client.mse([1.0], [0.0]).loss == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": 3},
        {"url": b"http://host"},
        {"timeout": "3"},
        {"retries": 1.5},
        {"retries": None},
        {"connections": 2.5},
        {"token": b"secret"},
        {"token": 3},
    ],
)
def test_settings_of_wrong_type_are_errors(arguments):
    (name,) = arguments
    with pytest.raises(TypeError, match=name):
        lossd.Client(**{"url": "http://127.0.0.1:8080", **arguments})


def test_default_client_must_be_a_client():
    with pytest.raises(TypeError, match="client is 'http://host'; it must be a lossd.Client"):
        lossd.set_default_client("http://host")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"timeout": 0}, "timeout is 0; it must be positive"),
        ({"retries": -1}, "retries is -1; it must be at least 0"),
        ({"connections": 0}, "connections is 0; it must be at least 1"),
        ({"token": "two words"}, "the token must be one word"),
        ({"token": ""}, "the token must be one word"),
        ({"cafile": "ca.pem"}, "is not https"),
        ({"verify": False}, "is not https"),
    ],
)
def test_invalid_settings(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        lossd.Client("http://127.0.0.1:8080", **arguments)
    assert "two words" not in str(caught.value)


def test_import_needs_only_numpy():
    code = (
        "import sys, lossd; sys.exit(' '.join(set(name.partition('.')[0] for name in sys.modules) &"
        " {'torch', 'sklearn', 'xgboost', 'lightgbm', 'urllib3', 'requests', 'safetensors'}) or 0)"
    )
    subprocess.run(
        [sys.executable, "-B", "-c", code],
        check=True,
        env={"PYTHONPATH": str(ROOT / "clients/python/src")},
    )


def test_no_python_warnings(url):
    """Warnings such as those about unclosed sockets."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = lossd.Client(url)
        client.mse(X, Y)
        client.close()
        client.mse(X, Y)
        client.close()


def test_server_with_tokens(tmp_path):
    made = subprocess.run(
        [ROOT / os.environ.get("LOSSD", "build/lossd"), "--new-token", "somebody"],
        check=True,
        capture_output=True,
        text=True,
    )
    (tmp_path / "tokens").write_text(made.stdout)
    (tmp_path / "tokens").chmod(0o600)
    token = made.stderr.rpartition(": ")[2]
    process, url = start("--token-file", str(tmp_path / "tokens"))
    try:
        with lossd.Client(url, token=token) as client:
            assert client.mse(X, Y).loss == pytest.approx(1 / 6) and client.losses()
        for wrong in (None, "wrong"):
            with pytest.raises(lossd.AccessDenied) as caught:
                lossd.Client(url, token=wrong).mse(X, Y)
            assert caught.value.status in (401, 403) and "token" in caught.value.detail
    finally:
        stop(process)
