"""lossd.boost, called as XGBoost and LightGBM call objectives, and by XGBoost if it is
installed."""
import copy
import inspect
import pickle

import numpy as np
import pytest

import lossd
import lossd.boost
from conftest import ROOT, need

pytestmark = pytest.mark.usefixtures("default_client")

LABELS = np.array([1, 0, 2, 1], np.float32)
MARGINS = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)
WEIGHTS = np.array([1, 2, 0.5, 3], np.float32)


class Data:
    """A data set with the methods that both libraries have."""

    def __init__(self, label, weight=None):
        self.label, self.weight = label, weight

    def get_label(self):
        return self.label

    def get_weight(self):
        return self.weight


@pytest.mark.parametrize("make", [lossd.boost.xgboost, lossd.boost.lightgbm])
def test_calling_conventions(make):
    objective = make("bce_with_logits")
    margins, labels = MARGINS[:, 0], (LABELS > 0).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-margins))
    for weights, given in ((1, None), (1, np.array([], np.float32)), (WEIGHTS, WEIGHTS)):
        for grad, hess in (
            objective(margins, Data(labels, given)),
            objective(labels, margins, given),
            objective(labels, margins, sample_weight=given),
        ):
            np.testing.assert_allclose(grad, weights * (probabilities - labels), rtol=1e-5)
            np.testing.assert_allclose(
                hess, weights * probabilities * (1 - probabilities), rtol=1e-5
            )
            assert grad.shape == hess.shape == margins.shape and grad.dtype == np.float32
    # LightGBM passes weights depending on the number of arguments, XGBoost by this name.
    assert list(inspect.signature(objective).parameters)[2:] == ["sample_weight"]


def test_classes():
    objective = lossd.boost.lightgbm("cross_entropy")
    grad, hess = objective(MARGINS, Data(LABELS, WEIGHTS))
    probabilities = np.exp(MARGINS) / np.exp(MARGINS).sum(1, keepdims=True)
    np.testing.assert_allclose(
        grad,
        WEIGHTS[:, None] * (probabilities - np.eye(3)[LABELS.astype(int)]),
        rtol=1e-4,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        hess, WEIGHTS[:, None] * probabilities * (1 - probabilities), rtol=1e-4, atol=1e-6
    )
    with pytest.raises(
        ValueError, match="needs a margin for each class, but the predictions have shape \\(12,\\)"
    ):
        objective(MARGINS.T.reshape(-1), Data(LABELS))
    with pytest.raises(ValueError, match=r"a target is \d\.5; class indices must be integers"):
        objective(MARGINS, Data(LABELS + 0.5))


@pytest.mark.parametrize(
    "version, shape", [("1.7.4", (12,)), ("2.0.3", (12,)), ("2.1.0", (4, 3)), ("3.0.0-dev", (4, 3))]
)
def test_shape_by_version_of_xgboost(version, shape, monkeypatch):
    module = type("module", (), {"__version__": version})
    monkeypatch.setitem(__import__("sys").modules, "xgboost", module)
    grad, hess = lossd.boost.xgboost("cross_entropy")(MARGINS, Data(LABELS))
    assert grad.shape == hess.shape == shape


def test_flat_hessian_replaces_zeros():
    for weights, expected in ((None, np.ones(4)), (WEIGHTS, WEIGHTS)):
        grad, hess = lossd.boost.xgboost("l1")(MARGINS[:, 0], Data(LABELS, weights))
        np.testing.assert_array_equal(np.abs(grad), expected)
        np.testing.assert_array_equal(hess, expected)
        assert np.all(
            lossd.boost.lightgbm("l1", flat_hessian=0.5)(MARGINS[:, 0], Data(LABELS, weights))[1]
            == expected / 2
        )
    assert lossd.boost.lightgbm("smooth_l1", beta=0.5)(
        np.float32([0, 9]), Data(np.float32([0.1, 0]))
    )[1].tolist() == [2, 1]
    both = lossd.boost.lightgbm("hinge_embedding")(
        np.zeros((2, 3)), Data(np.full((2, 3), -1.0), np.float64([2, 3]))
    )
    assert both[1].tolist() == [[2] * 3, [3] * 3]


def test_objectives_can_be_pickled(url):
    objective = lossd.boost.xgboost("huber", delta=0.5, client=lossd.Client(url))
    for other in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        np.testing.assert_array_equal(
            other(MARGINS[:, 0], Data(LABELS)), objective(MARGINS[:, 0], Data(LABELS))
        )
        other.client.close()
    objective.client.close()


def test_invalid_arguments():
    with pytest.raises(ValueError, match="nll has no Hessian diagonal"):
        lossd.boost.xgboost("nll")
    with pytest.raises(ValueError, match="gaussian_nll takes input, target, var"):
        lossd.boost.lightgbm("gaussian_nll")
    with pytest.raises(
        TypeError, match="quantile got an unexpected keyword argument 'alpha'; it takes q, dtype"
    ):
        lossd.boost.lightgbm("quantile", alpha=0.9)
    for fixed in ({"reduction": "mean"}, {"grad": True}, {"hess": True}, {"sample_weight": [1]}):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            lossd.boost.xgboost("mse", **fixed)


@pytest.fixture(scope="module")
def diabetes():
    data = np.loadtxt(ROOT / "clients/python/examples/diabetes.csv", delimiter=",", skiprows=1)
    return data[:, :-1], data[:, -1] / 100


def test_xgboost_trains_like_with_its_own_objectives(diabetes):
    xgboost = need("xgboost")
    x, y = diabetes
    classes = np.digitize(y, [1.0, 2.0])
    weights = np.linspace(0.5, 1.5, len(y))
    for loss, theirs, label, settings in (
        ("mse", "reg:squarederror", y, {}),
        ("bce_with_logits", "binary:logitraw", y > 1, {}),
        ("cross_entropy", "multi:softprob", classes, {"num_class": 3}),
    ):
        data = xgboost.DMatrix(x, label, weight=weights)
        # XGBoost's squared error has a factor 1/2, and its softmax Hessian a factor 2; scale the
        # regularization likewise.
        factor = {"mse": 2, "bce_with_logits": 1, "cross_entropy": 0.5}[loss]
        common = {
            "max_depth": 2,
            "eta": 0.3 if loss != "cross_entropy" else 0.15,
            "base_score": 0.5,
            "min_child_weight": 0,
            "nthread": 1,
            **settings,
        }
        ours = xgboost.train({**common, "lambda": factor}, data, 5, obj=lossd.boost.xgboost(loss))
        own = xgboost.train({**common, "lambda": 1, "objective": theirs, "eta": 0.3}, data, 5)
        np.testing.assert_allclose(
            ours.predict(data, output_margin=True),
            own.predict(data, output_margin=True),
            rtol=1e-3,
            atol=1e-3,
        )


@pytest.mark.parametrize(
    "loss, parameters",
    [("huber", {"delta": 0.5}), ("quantile", {"q": 0.9}), ("l1", {}), ("log_cosh", {})],
)
def test_xgboost_scikit_learn_interface(diabetes, client, loss, parameters):
    xgboost = need("xgboost")
    need("sklearn")
    x, y = diabetes
    model = xgboost.XGBRegressor(
        objective=lossd.boost.xgboost(loss, **parameters), n_estimators=40, max_depth=3, n_jobs=1
    ).fit(x, y)
    ask = getattr(client, loss)
    constant = min(
        ask(np.full(len(y), c), y, **parameters).loss
        for c in np.quantile(y, np.linspace(0.05, 0.95, 19))
    )
    assert ask(model.predict(x).astype(float), y, **parameters).loss < 0.6 * constant
