"""Losses as metrics and scorers for scikit-learn.

    cross_val_score(model, X, y, scoring=lossd.sklearn.make_scorer("huber", delta=1.5))
    lossd.sklearn.metric("huber", delta=1.5)(y_true, y_pred)

scikit-learn is not imported: a scorer is any callable of an estimator, data and targets.
"""
from typing import Any, Mapping, Optional, Tuple

import numpy as np

from ._adapter import Fixed
from ._client import Client
from ._table import LossInfo

RESPONSES = ("predict", "predict_proba", "predict_log_proba", "decision_function")


class Reduced(Fixed):
    """A loss that is reduced to one number."""

    def _check(self, info: LossInfo, parameters: Mapping[str, Any]) -> None:
        super()._check(info, parameters)
        if parameters.get("reduction") == "none":
            raise ValueError("reduction is 'none'; a metric is one number")


class Metric(Reduced):
    """A function of y_true, y_pred and sample_weight, like those of sklearn.metrics. Lower is
    better."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        return float(self.evaluate(y_pred, y_true, sample_weight=sample_weight))


class Scorer(Reduced):
    """A scorer: minus the loss of the predictions of an estimator, because in scikit-learn higher
    is better."""

    def __init__(
        self,
        loss: str,
        client: Optional[Client],
        response: Optional[str],
        labels: Tuple[float, float],
        **parameters: Any,
    ) -> None:
        super().__init__(loss, client, **parameters)
        self.response = response or ("predict_log_proba" if self.takes_classes else "predict")
        self.labels = labels
        if self.response not in RESPONSES:
            raise ValueError(f"response is {response!r}; it must be {', '.join(RESPONSES)} or None")
        if self.response == "predict" and self.takes_classes:
            raise ValueError(
                f"{self.info.name} needs a value for each class, which predict does not return"
            )

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        with np.errstate(divide="ignore"):  # the logarithm of 0
            predictions = np.asarray(getattr(estimator, self.response)(X))
        if self.response != "predict":
            predictions, y = self._of_classes(
                predictions, np.asarray(y), np.asarray(estimator.classes_)
            )
        return -float(self.evaluate(predictions, y, sample_weight=sample_weight))

    def _of_classes(
        self,
        predictions: "np.ndarray[Any, Any]",
        y: "np.ndarray[Any, Any]",
        classes: "np.ndarray[Any, Any]",
    ) -> Tuple[Any, Any]:
        """Converts the output and labels of a classifier to the form that the loss takes."""
        places = np.searchsorted(classes, y)
        if not np.array_equal(classes[np.minimum(places, len(classes) - 1)], y):
            raise ValueError("y contains a class that the estimator was not fitted to")
        if self.takes_classes:  # a single score is the logit of the second class
            return (
                predictions
                if predictions.ndim > 1
                else np.column_stack([np.zeros_like(predictions), predictions])
            ), places
        if len(classes) != 2:
            raise ValueError(
                f"{self.info.name} supports only two classes; the estimator has {len(classes)}"
            )
        return (predictions if predictions.ndim == 1 else predictions[:, 1]), np.asarray(
            self.labels, predictions.dtype
        )[places]


def metric(loss: str, *, client: Optional[Client] = None, **parameters: Any) -> Metric:
    """Returns the loss as a metric; `sklearn.metrics.make_scorer(metric("mse"),
    greater_is_better=False)` makes it a scorer.

    Args:
        loss: its name: "huber", "HuberLoss".
        client: default: that of lossd.set_default_client or $LOSSD_URL, or if neither is set,
            Client("local:") if its library is installed, else lossd.default_client().
        parameters: of the loss, and reduction.
    """
    return Metric(loss, client, **parameters)


def make_scorer(
    loss: str,
    *,
    response: Optional[str] = None,
    labels: Tuple[float, float] = (0, 1),
    client: Optional[Client] = None,
    **parameters: Any,
) -> Scorer:
    """Returns minus the loss as a scorer for cross_val_score, GridSearchCV and others.

    Args:
        loss: its name: "huber", "cross_entropy".
        response: the method of the estimator. Default: predict, or predict_log_proba for losses
            over classes (cross_entropy, nll). Use "predict_proba" with "bce", "decision_function"
            with "bce_with_logits".
        labels: targets for the two classes of a classifier if the loss is not over classes: (-1, 1)
            for soft_margin.
        client: default: that of lossd.set_default_client or $LOSSD_URL, or if neither is set,
            Client("local:") if its library is installed, else lossd.default_client().
        parameters: of the loss, and reduction.
    """
    return Scorer(loss, client, response, labels, **parameters)
