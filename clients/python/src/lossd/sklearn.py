"""Losses as metrics and scorers of scikit-learn.

    cross_val_score(model, X, y, scoring=lossd.sklearn.make_scorer("huber", delta=1.5))
    lossd.sklearn.metric("huber", delta=1.5)(y_true, y_pred)

scikit-learn itself is not imported: a scorer is a callable of an estimator, data and targets, and that is all it asks for.
"""
from typing import Any, Mapping, Optional, Tuple

import numpy as np

from ._adapter import Fixed
from ._client import Client
from ._table import LossInfo

RESPONSES = ("predict", "predict_proba", "predict_log_proba", "decision_function")


class OneNumber(Fixed):
    """A loss that is reduced to one number."""

    def _check(self, info: LossInfo, parameters: Mapping[str, Any]) -> None:
        super()._check(info, parameters)
        if parameters.get("reduction") == "none":
            raise ValueError("reduction is 'none'; a metric is one number")


class Metric(OneNumber):
    """A function of y_true, y_pred and sample_weight, as those of sklearn.metrics; less is better."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        return float(self.ask(y_pred, y_true, sample_weight=sample_weight))


class Scorer(OneNumber):
    """A scorer: minus the loss of what an estimator says, for to scikit-learn more is better."""

    def __init__(self, loss: str, client: Optional[Client], response: Optional[str], labels: Tuple[float, float], **parameters: Any) -> None:
        super().__init__(loss, client, **parameters)
        self.response = response or ("predict_log_proba" if self.takes_classes else "predict")
        self.labels = labels
        if self.response not in RESPONSES:
            raise ValueError(f"response is {response!r}; it must be {', '.join(RESPONSES)} or None")
        if self.response == "predict" and self.takes_classes:
            raise ValueError(f"{self.info.name} needs a number for each class, which predict does not give")

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        with np.errstate(divide="ignore"):  # a probability of 0 may have a logarithm
            predictions = np.asarray(getattr(estimator, self.response)(X))
        if self.response != "predict":
            predictions, y = self._of_classes(predictions, np.asarray(y), np.asarray(estimator.classes_))
        return -float(self.ask(predictions, y, sample_weight=sample_weight))

    def _of_classes(self, predictions: "np.ndarray[Any, Any]", y: "np.ndarray[Any, Any]", classes: "np.ndarray[Any, Any]") -> Tuple[Any, Any]:
        """A classifier's answer and its labels, in the form that the loss takes them in."""
        places = np.searchsorted(classes, y)
        if not np.array_equal(classes[np.minimum(places, len(classes) - 1)], y):
            raise ValueError("y has a class that the estimator was not fitted to")
        if self.takes_classes:  # a single score is that of the second class against 0
            return (predictions if predictions.ndim > 1 else np.column_stack([np.zeros_like(predictions), predictions])), places
        if len(classes) != 2:
            raise ValueError(f"{self.info.name} is for two classes; the estimator has {len(classes)}")
        return (predictions if predictions.ndim == 1 else predictions[:, 1]), np.asarray(self.labels, predictions.dtype)[places]


def metric(loss: str, *, client: Optional[Client] = None, **parameters: Any) -> Metric:
    """The loss as a metric; `sklearn.metrics.make_scorer(metric("mse"), greater_is_better=False)` makes a scorer of it.

    Args:
        loss: its name: "huber", "HuberLoss".
        client: left out, lossd.default_client().
        parameters: the loss's own, and reduction.
    """
    return Metric(loss, client, **parameters)


def make_scorer(loss: str, *, response: Optional[str] = None, labels: Tuple[float, float] = (0, 1), client: Optional[Client] = None,
                **parameters: Any) -> Scorer:
    """Minus the loss, as a scorer for cross_val_score, GridSearchCV and the like.

    Args:
        loss: its name: "huber", "cross_entropy".
        response: what to ask the estimator for. Left out, predict; for losses over classes (cross_entropy, nll) predict_log_proba. For
            "bce" it is "predict_proba", for "bce_with_logits" "decision_function".
        labels: what stands for the two classes of a classifier where the loss is not over classes: (-1, 1) for soft_margin.
        client: left out, lossd.default_client().
        parameters: the loss's own, and reduction.
    """
    return Scorer(loss, client, response, labels, **parameters)
