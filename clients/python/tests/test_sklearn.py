"""lossd.sklearn with scikit-learn."""
import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import lossd
import lossd.boost
import lossd.sklearn
from conftest import ROOT, need

need("sklearn")
from sklearn import datasets, linear_model, metrics, model_selection  # noqa: E402

pytestmark = pytest.mark.usefixtures("default_client")


@pytest.fixture(scope="module")
def diabetes():
    return datasets.load_diabetes(return_X_y=True)


def test_metrics_equal_those_of_scikit_learn(diabetes):
    x, y = diabetes
    predictions = linear_model.LinearRegression().fit(x, y).predict(x)
    weights = np.linspace(0, 1, len(y))
    for loss, theirs in (
        ("mse", metrics.mean_squared_error),
        ("L1Loss", metrics.mean_absolute_error),
    ):
        assert lossd.sklearn.metric(loss)(y, predictions) == pytest.approx(theirs(y, predictions))
        assert lossd.sklearn.metric(loss)(
            y[:, None], predictions, sample_weight=weights
        ) == pytest.approx(theirs(y, predictions, sample_weight=weights))
    assert lossd.sklearn.metric("quantile", q=0.9)(y, predictions) == pytest.approx(
        metrics.mean_pinball_loss(y, predictions, alpha=0.9)
    )


def test_regression_scorers(diabetes):
    x, y = diabetes
    ours = model_selection.cross_val_score(
        linear_model.Ridge(), x, y, scoring=lossd.sklearn.make_scorer("mse"), error_score="raise"
    )
    theirs = model_selection.cross_val_score(
        linear_model.Ridge(), x, y, scoring="neg_mean_squared_error"
    )
    again = model_selection.cross_val_score(
        linear_model.Ridge(),
        x,
        y,
        scoring=metrics.make_scorer(lossd.sklearn.metric("mse"), greater_is_better=False),
    )
    np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(again, theirs)


def test_grid_search_equals_that_of_scikit_learn(diabetes):
    x, y = diabetes
    found = [
        model_selection.GridSearchCV(
            linear_model.Ridge(), {"alpha": [0.01, 0.1, 1, 10]}, scoring=scoring
        )
        .fit(x, y)
        .best_params_
        for scoring in (lossd.sklearn.make_scorer("l1"), "neg_mean_absolute_error")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("loss", ["cross_entropy", "nll"])
def test_classification_scorers(loss):
    x, y = datasets.load_iris(return_X_y=True)
    y = np.array(["setosa", "versicolor", "virginica"])[y]
    model = linear_model.LogisticRegression(max_iter=1000)
    ours = model_selection.cross_val_score(
        model, x, y, scoring=lossd.sklearn.make_scorer(loss), error_score="raise"
    )
    np.testing.assert_allclose(
        ours, model_selection.cross_val_score(model, x, y, scoring="neg_log_loss")
    )


@pytest.mark.parametrize(
    "loss, response, labels",
    [
        ("bce", "predict_proba", (0, 1)),
        ("bce_with_logits", "decision_function", (0, 1)),
        ("soft_margin", "decision_function", (-1, 1)),
        ("cross_entropy", "decision_function", (0, 1)),
        ("cross_entropy", None, (0, 1)),
    ],
)
def test_binary_scorers(loss, response, labels):
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x, y = (x - x.mean(0)) / x.std(0), np.array(["malignant", "benign"])[y]
    model = linear_model.LogisticRegression().fit(x, y)
    weights = np.linspace(0.1, 1, len(y))
    score = lossd.sklearn.make_scorer(loss, response=response, labels=labels)(
        model, x, y, sample_weight=weights
    )
    assert score == pytest.approx(
        -metrics.log_loss(y, model.predict_proba(x), sample_weight=weights)
    )


def test_scorers_can_be_pickled(diabetes):
    x, y = diabetes
    model = linear_model.Ridge().fit(x, y)
    scorer = lossd.sklearn.make_scorer("huber", delta=20.0, client=lossd.default_client())
    assert pickle.loads(pickle.dumps(scorer))(model, x, y) == scorer(model, x, y)
    assert repr(scorer) == "Scorer('huber', delta=20.0)"


def elsewhere(pickled, code):
    """Runs code in a new process without LOSSD_URL, with the unpickled object as `value`."""
    program = f"import pickle, sys, numpy as np; value = pickle.load(sys.stdin.buffer); {code}"
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        input=pickled,
        capture_output=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT / "clients/python/src"), "LOSSD_URL": "http://127.0.0.1:1"},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_workers_use_the_default_client_of_their_parent(diabetes, monkeypatch):
    x, y = diabetes
    # Workers that read the environment find no server.
    monkeypatch.setenv(
        "LOSSD_URL", "http://127.0.0.1:1"
    )
    scorer = lossd.sklearn.make_scorer("mse")
    alone = model_selection.cross_val_score(
        linear_model.Ridge(), x, y, scoring=scorer, cv=3, error_score="raise"
    )
    shared = model_selection.cross_val_score(
        linear_model.Ridge(), x, y, scoring=scorer, cv=3, error_score="raise", n_jobs=2
    )
    np.testing.assert_array_equal(shared, alone)


def test_pickles_contain_the_server(diabetes):
    assert (
        float(elsewhere(pickle.dumps(lossd.sklearn.metric("mse")), "print(value([1.0], [3.0]))"))
        == 4
    )
    assert (
        elsewhere(
            pickle.dumps(lossd.boost.xgboost("mse")),
            "print(value._derivatives([3.0], [1.0], None)[0])",
        )
        == "[4.]"
    )
    assert (
        float(
            elsewhere(pickle.dumps(lossd.default_client()), "print(value.mse([1.0], [3.0]).loss)")
        )
        == 4
    )


def test_copies_in_this_process_follow_the_default_client(url):
    scorer = lossd.sklearn.metric("mse")
    copies = [copy.copy(scorer), copy.deepcopy(scorer)]
    lossd.set_default_client(lossd.Client("http://127.0.0.1:1", retries=0))
    for other in copies:
        with pytest.raises(lossd.ConnectionFailed):
            other([1.0], [3.0])
    lossd.set_default_client(lossd.Client(url))
    assert [other([1.0], [3.0]) for other in copies] == [4, 4]


def test_invalid_arguments():
    for arguments, kind, message in (
        ({"loss": "mze"}, ValueError, "no such loss 'mze'; the losses are bce, "),
        ({"loss": "ctc"}, ValueError, "ctc takes log_probs, targets"),
        (
            {"loss": "huber", "detla": 1},
            TypeError,
            "huber got an unexpected keyword argument 'detla'; it takes .*delta.*reduction, dtype",
        ),
        ({"loss": "mse", "grad": True}, TypeError, "unexpected keyword argument 'grad'"),
        (
            {"loss": "mse", "sample_weight": [1]},
            TypeError,
            "unexpected keyword argument 'sample_weight'",
        ),
        (
            {"loss": "mse", "reduction": "none"},
            ValueError,
            "reduction is 'none'; a metric is one number",
        ),
        (
            {"loss": "mse", "client": "http://host"},
            TypeError,
            "client is 'http://host'; it must be a lossd.Client",
        ),
        ({"loss": "mse", "response": "guess"}, ValueError, "response is 'guess'"),
        (
            {"loss": "cross_entropy", "response": "predict"},
            ValueError,
            "needs a value for each class",
        ),
    ):
        with pytest.raises(kind, match=message):
            lossd.sklearn.make_scorer(**arguments)
    x, y = datasets.load_iris(return_X_y=True)
    model = linear_model.LogisticRegression(max_iter=1000).fit(x, y)
    with pytest.raises(ValueError, match="bce supports only two classes; the estimator has 3"):
        lossd.sklearn.make_scorer("bce", response="predict_proba")(model, x, y)
    with pytest.raises(ValueError, match="a class that the estimator was not fitted to"):
        lossd.sklearn.make_scorer("nll")(model, x, y + 1)
