"""lossd.merge: the parts of a batch have the bits of the whole batch."""
import json
import urllib.request

import numpy as np
import pytest

import lossd

ROWS = 61


def batch():
    generator = np.random.default_rng(1)
    x = (
        generator.standard_normal((ROWS, 5)) * 10.0 ** generator.integers(-5, 6, (ROWS, 1))
    ).astype("f4")
    return x, generator.integers(0, 5, ROWS), generator.random(5).astype("f4")


def spans(parts):
    bounds = [ROWS * part // parts for part in range(parts + 1)]
    return list(zip(bounds, bounds[1:]))


def merged_by_server(url, partials):
    body = json.dumps({"partials": partials}).encode()
    request = urllib.request.Request(f"{url}/v1/merge", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_parts_have_the_result_of_the_whole_batch(client, url, parts, reduction):
    x, labels, weight = batch()
    whole = client.cross_entropy(x, labels, weight=weight, reduction=reduction, grad=True)
    found = [
        client.cross_entropy(
            x[first:end], labels[first:end], weight=weight, reduction=reduction, partial=True,
            offset=first,
        )
        for first, end in spans(parts)
    ]  # fmt: skip
    result = lossd.merge(found)
    assert result.loss == whole.loss and result.count == whole.count
    assert result.partial == lossd.merge(found[::-1]).partial
    server = merged_by_server(url, [part.partial for part in found])
    assert server["partial"] == result.partial and server["loss"] == result.loss
    grads = [
        client.cross_entropy(
            x[first:end], labels[first:end], weight=weight, reduction=reduction, grad=True,
            divisor=result.divisor,
        ).grad.input
        for first, end in spans(parts)
    ]  # fmt: skip
    assert np.concatenate(grads).tobytes() == whole.grad.input.tobytes()


def test_results_texts_and_mappings_are_merged_in_steps(client):
    x = np.array([0.1, 1e300, -5e-324, np.nan], "f8")
    one, two, three, four = (
        client.mse([value], [0.0], dtype="float64", partial=True, reduction="sum") for value in x
    )
    step = lossd.merge([one, json.dumps(two.partial)])
    assert step.loss == np.inf and step.divisor is None
    assert np.isnan(lossd.merge([step, three.partial, four]).loss)
    assert lossd.merge(iter([one])).partial == one.partial
    assert client.mse([1.0], [0.0]).partial is None and client.mse([1.0], [0.0]).divisor is None
    assert np.isnan(lossd.merge([client.mse([], [], partial=True)]).loss)


def test_several_losses_have_partial_results(client):
    mse, l1 = client.evaluate(["mse", "l1"], input=[1.0, 2.0], target=[0.0, 0.0], partial=True)
    assert lossd.merge([mse, mse]).loss == 2.5 and lossd.merge([l1]).loss == 1.5


@pytest.mark.parametrize(
    "change, message",
    [
        ({"parameters": {"delta": 1}}, "partials[1].parameters.delta is 1, but 0.5 in the first"),
        ({"dtype": "float32"}, "partials[1].dtype is 'float32', but 'float64'"),
        ({"rows": [[1, 3]]}, "rows 1 to 1 are in both partials[0] and partials[1]"),
        ({"rows": [[3, 3]]}, "the first row must be less than the end"),
        ({"rows": [3]}, "it must have intervals"),
        ({"format": "lossd-partial-2"}, "this version reads 'lossd-partial-1'"),
        ({"more": 1}, "missing or unknown fields: ['more']"),
        ({"sum": "0x2p+0"}, "partials[1].sum is '0x2p+0'; it must be an odd"),
        ({"sum": "0x1p+1101"}, "it must be an odd"),
        ({"sum": "0x1p+1100"}, "out of range"),
        ({"nan": -1}, "partials[1].nan is -1; it must be a whole number"),
        ({"terms": 2**53 - 1}, "out of range"),
        ({"warnings": ["?"]}, "unknown warnings: ['?']"),
    ],
)
def test_partial_results_that_do_not_fit_are_rejected(client, change, message):
    part = client.huber([1.0, 2.0], [0.0, 0.0], delta=0.5, partial=True, offset=0).partial
    with pytest.raises(ValueError) as caught:
        lossd.merge([part, {**part, "rows": [[2, 4]], **change}])
    assert message in str(caught.value)


def test_what_is_not_a_partial_result_is_rejected(client):
    for given in (3, "[]", client.mse([1.0], [0.0])):
        with pytest.raises(ValueError, match="not a partial result"):
            lossd.merge([given])
    with pytest.raises(ValueError, match="no partial results"):
        lossd.merge([])
