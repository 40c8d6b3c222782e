"""lossd.Accumulator: batches that are added one at a time have the result of the whole dataset."""
import copy
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lossd
from conftest import need, run_python

ROWS, BATCH = 61, 9
DELTA = {"delta": 0.5, "reduction": "sum"}


def dataset():
    generator = np.random.default_rng(2)
    x = generator.standard_normal((ROWS, 3)) * 10.0 ** generator.integers(-5, 6, (ROWS, 1))
    return x.astype("f4"), generator.standard_normal((ROWS, 3)).astype("f4")


def starts(first=0, end=ROWS):
    return range(first, end, BATCH)


def add(accumulator, rows=None, width=BATCH):
    x, y = dataset()
    for row in starts() if rows is None else rows:
        accumulator.update(x[row : row + width], y[row : row + width], offset=row)
    return accumulator


@pytest.fixture
def huber(client):
    return lossd.Accumulator("HuberLoss", client=client, **DELTA)


def whole(client):
    return client.huber(*dataset(), **DELTA)


def test_batches_have_the_result_of_the_whole_dataset(client, huber):
    expected = whole(client)
    assert repr(huber) == "Accumulator('huber', delta=0.5, reduction='sum', count=0)"
    result = add(huber).compute()
    assert result.loss == expected.loss and result.count == expected.count == ROWS * 3
    assert result.partial["rows"] == [[0, ROWS]] and result.divisor is None
    assert f"count={ROWS * 3}" in repr(huber)
    assert add(huber.reset(), reversed(starts())).compute().partial == result.partial
    weights = np.random.default_rng(3).random(ROWS)
    mean = lossd.Accumulator("mse", client=client)
    x, y = dataset()
    for row in starts():
        rows = slice(row, row + BATCH)
        mean.update(input=x[rows], target=y[rows], sample_weight=weights[rows])
    assert mean.compute().loss == client.mse(x, y, sample_weight=weights).loss
    assert mean.compute().partial["rows"] == []


def test_given_partial_results_are_added(client, huber):
    x, y = dataset()
    accumulator = lossd.Accumulator()
    for place, row in enumerate(starts()):
        part = client.huber(
            x[row : row + BATCH], y[row : row + BATCH], **DELTA, partial=True, offset=row
        )
        text = json.dumps(part.partial)
        given = (part, part.partial, text, text.encode())[place % 4]
        assert accumulator.update(given) is accumulator
    assert accumulator.compute().partial == add(huber).compute().partial
    assert repr(accumulator) == f"Accumulator(count={ROWS * 3})"


def test_states_are_merged_and_empty_ones_add_nothing(client, huber):
    others = [lossd.Accumulator("huber", client=client, **DELTA) for _ in range(3)]
    add(others[0], starts(0, 27)), add(others[2], starts(27))
    assert others[1].state_dict() == {"partial": None}
    states = [others[0].state_dict(), others[1].state_dict(), others[2]]
    assert lossd.Accumulator().merge_state(states).compute().loss == whole(client).loss
    assert huber.merge_state(states).merge_state([]).compute().loss == whole(client).loss
    with pytest.raises(ValueError, match="the accumulator is empty; call update first"):
        others[1].compute()
    with pytest.raises(ValueError, match="the accumulator is empty"):
        huber.reset().compute()


def test_state_survives_json_and_pickles_and_continues(client, huber):
    add(huber, starts(0, 27))
    state = huber.state_dict()
    assert json.loads(json.dumps(state)) == state and set(state) == {"partial"}
    resumed = lossd.Accumulator("huber", client=client, **DELTA)
    resumed.load_state_dict(json.loads(json.dumps(state)))
    for other in (
        resumed,
        copy.copy(huber),
        copy.deepcopy(huber),
        pickle.loads(pickle.dumps(huber)),
    ):
        assert other.compute().partial["rows"] == [[0, 27]]
        assert add(other, starts(27)).compute().loss == whole(client).loss
        other.client.close()
    assert huber.compute().partial["rows"] == [[0, 27]], "a copy changed the original"
    resumed.load_state_dict({"partial": None})
    assert resumed.state_dict() == {"partial": None}


def test_state_fits_into_a_checkpoint_of_pytorch(client, huber, tmp_path):
    torch = need("torch")
    add(huber, starts(0, 27))
    torch.save({"losses": huber.state_dict()}, tmp_path / "checkpoint.pt")
    loaded = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    resumed = lossd.Accumulator("huber", client=client, **DELTA)
    resumed.load_state_dict(loaded["losses"])
    assert add(resumed, starts(27)).compute().loss == whole(client).loss


def test_rows_and_settings_that_do_not_fit_are_rejected(client, huber):
    before = add(huber, starts(0, 27)).state_dict()
    x, y = dataset()
    other = client.huber(x, y, delta=1.0, reduction="sum", partial=True)
    overlap = "rows 18 to 26 are in both partials[0] and partials[1]"
    for call, message in (
        (lambda: add(huber, [18]), overlap),
        (lambda: huber.merge_state([huber]), "rows 0 to 26 are in both"),
        (lambda: huber.update(other), "partials[1].parameters.delta is 1, but 0.5 in the first"),
        (lambda: huber.update(client.mse(x, y)), "partials[1] is not a partial result"),
        (lambda: huber.update("{}"), "partials[1].format is None"),
        (
            lambda: huber.load_state_dict({"partial": other.partial}),
            "delta is 1 in the partial result, but 0.5 in the",
        ),
        (lambda: huber.load_state_dict({}), "{} is not the state of an accumulator; it must be"),
        (lambda: huber.merge_state([3]), "3 is not the state of an accumulator; it must be"),
        (lambda: huber.update(x[:, :2], y[:, :2], offset=27), "partials[1].tensors.input is"),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert message in str(caught.value)
        assert huber.state_dict() == before


@pytest.mark.parametrize(
    "change, message",
    [
        ({"reduction": "mean"}, "reduction is 'sum' in the partial result, but 'mean' in the"),
        ({"dtype": "float64"}, "dtype is 'float32' in the partial result, but 'float64'"),
        ({"delta": 1.0}, "parameters.delta is 0.5 in the partial result, but 1.0"),
        ({"delta": np.inf}, "parameters.delta is 0.5 in the partial result, but inf"),
    ],
)
def test_state_with_other_arguments_is_rejected(client, huber, change, message):
    other = lossd.Accumulator("huber", client=client, **{**DELTA, **change})
    with pytest.raises(ValueError) as caught:
        other.load_state_dict(add(huber, [0]).state_dict())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "field, value",
    [
        ("rows", None),
        ("rows", 5),
        ("warnings", None),
        ("warnings", [[1]]),
        ("parameters", []),
        ("parameters", {}),
        ("loss", [1]),
        ("dtype", 3),
    ],
)
def test_state_with_a_field_of_another_type_is_rejected(huber, field, value):
    state = add(huber, [0]).state_dict()
    partial = {**json.loads(state["partial"]), field: value}
    with pytest.raises(ValueError, match=field):
        huber.load_state_dict({"partial": json.dumps(partial)})
    assert huber.state_dict() == state


def test_state_does_not_share_what_the_caller_changes(client, huber):
    x, y = dataset()
    given = client.huber(x, y, **DELTA, partial=True, offset=0).partial
    state = huber.update(given).state_dict()
    given["parameters"]["delta"] = 7
    computed = huber.compute().partial
    computed["rows"].append([100, 200])
    computed["parameters"]["delta"] = 8
    assert huber.state_dict() == state


@pytest.mark.parametrize("delta", [2, 0.1, np.float32(0.1), np.inf, 1e-7, 1e30])
def test_state_with_the_same_arguments_is_accepted(client, delta):
    one, two = (lossd.Accumulator("huber", client=client, delta=delta) for _ in range(2))
    two.load_state_dict(add(one, [0]).state_dict())
    assert two.compute().loss == one.compute().loss
    classes = lossd.Accumulator("cross_entropy", client=client, ignore_index=None, dtype="f4")
    classes.load_state_dict(classes.update(np.float32([[1, 2]]), [1]).state_dict())


def test_arguments_that_a_loss_does_not_take_are_rejected(client, huber):
    x, y = dataset()
    for call, kind, message in (
        (lambda: lossd.Accumulator("hinge"), ValueError, "no such loss 'hinge'"),
        (lambda: lossd.Accumulator("mse", delta=1), TypeError, "argument 'delta'; it takes weight"),
        (lambda: lossd.Accumulator("mse", grad=True), TypeError, "argument 'grad'"),
        (lambda: lossd.Accumulator(delta=1), TypeError, "without a loss takes no arguments"),
        (lambda: lossd.Accumulator("mse", client="http://a"), TypeError, "must be a lossd.Client"),
        (lambda: lossd.Accumulator().update(x, y), TypeError, "takes only partial results"),
        (lambda: huber.update(x, y, delta=1), TypeError, "argument 'delta'; it takes input"),
        (lambda: huber.update(x, y, grad=True), TypeError, "argument 'grad'"),
        (
            lambda: huber.update({}, offset=3),
            TypeError,
            "got the argument 'offset', but a partial result takes none",
        ),
        (lambda: huber.update(x), TypeError, "target"),
        (
            lambda: lossd.Accumulator("mse", client=client, reduction="none").update(x, y),
            lossd.InvalidRequest,
            "reduction 'none' has no partial result",
        ),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert message in str(caught.value)


def test_threads_share_an_accumulator(client, huber):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: add(huber, [row], 1), range(ROWS)))
    assert huber.compute().loss == whole(client).loss
    assert huber.compute().partial["rows"] == [[0, ROWS]]


FORKS = """
import os, sys
import lossd
from lossd import _accumulator

accumulator = lossd.Accumulator("mse", client=lossd.Client(sys.argv[1])).update([1.0], [0.0])
with _accumulator._lock.current:  # as if a thread of the parent updated an accumulator
    child = os.fork()
    if child == 0:
        os._exit(0 if accumulator.update([3.0], [0.0]).compute().loss == 5 else 1)
assert os.waitpid(child, 0)[1] == 0
assert accumulator.compute().loss == 1
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing")
def test_accumulator_works_in_a_forked_child(url):
    run_python(FORKS, url)


def test_default_client_evaluates(default_client):
    accumulator = lossd.Accumulator("mse").update([1.0, 2.0], [0.0, 0.0])
    assert accumulator.update([3.0], [0.0]).compute().loss == pytest.approx(14 / 3)
