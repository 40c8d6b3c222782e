"""Losses as objectives of XGBoost and LightGBM: the gradient and the Hessian's diagonal for every margin.

    xgboost.train(params, data, obj=lossd.boost.xgboost("huber", delta=1.5))
    XGBRegressor(objective=lossd.boost.xgboost("huber", delta=1.5))
    lightgbm.train({"objective": lossd.boost.lightgbm("quantile", q=0.9)}, data)
    LGBMRegressor(objective=lossd.boost.lightgbm("quantile", q=0.9))

The data's weights count, once, as sample weights. With an objective of one's own a booster predicts raw margins: for bce_with_logits, say,
the logits. Neither library is imported.
"""
import sys
from typing import Any, Optional, Tuple

import numpy as np

from ._adapter import Fixed
from ._client import Client

Derivatives = Tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]


class Objective(Fixed):
    """Called as either library calls it: with predictions and the data set, or, by its scikit-learn face, with targets and predictions,
    and weights if there are any."""

    fixed = ("reduction",)  # sum: a booster adds up what the terms give

    def __init__(self, loss: str, client: Optional[Client], flat_hessian: float, **parameters: Any) -> None:
        super().__init__(loss, client, **parameters)
        if not self.info.hessian:
            raise ValueError(f"{self.info.name} gives no hess, which boosting needs")
        self.flat_hessian = flat_hessian

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Derivatives:
        if hasattr(second, "get_label"):
            return self._derivatives(first, second.get_label(), second.get_weight())
        return self._derivatives(second, first, sample_weight)

    def _derivatives(self, predictions: Any, targets: Any, weights: Any) -> Derivatives:
        predictions, targets = np.asarray(predictions), np.asarray(targets)
        if self.takes_classes and predictions.ndim != 2:
            raise ValueError(f"{self.info.name} needs a margin for each class; the predictions are of shape {predictions.shape}: num_class says "
                             "how many classes there are, and it takes XGBoost 1.6 or LightGBM 4")
        weights = None if weights is None or np.size(weights) == 0 else np.asarray(weights)
        result = self.ask(predictions, targets, sample_weight=weights, reduction="sum", grad="input", hess="input")
        grad, hess = result.grad.input, result.hess.input
        flat = self.flat_hessian if weights is None else self.flat_hessian * weights.reshape(-1, *[1] * (hess.ndim - 1))
        return grad, np.where(hess > 0, hess, flat).astype(hess.dtype)


class XGBoostObjective(Objective):
    def _derivatives(self, predictions: Any, targets: Any, weights: Any) -> Derivatives:
        grad, hess = super()._derivatives(predictions, targets, weights)
        return (grad, hess) if xgboost_takes_rows() else (grad.reshape(-1), hess.reshape(-1))


def xgboost_takes_rows() -> bool:
    """Since 2.1 derivatives have the shape of the predictions; before, they are in one row."""
    version = getattr(sys.modules.get("xgboost"), "__version__", "1.0").split(".")
    return (int(version[0]), int(version[1])) >= (2, 1)


def xgboost(loss: str, *, client: Optional[Client] = None, flat_hessian: float = 1.0, **parameters: Any) -> Objective:
    """The loss as `obj` of xgboost.train, and as `objective` of XGBRegressor and its like.

    XGBRegressor before XGBoost 2.1 does not tell an objective of weights: use xgboost.train with them.

    Args:
        loss: its name; one whose `hessian` is true in GET /v1/losses, as those over elements and cross_entropy are.
        client: left out, lossd.default_client().
        flat_hessian: what stands for a second derivative that is not above 0, times the weight: leaves divide by their sum, and
            l1, quantile and the far sides of huber have none. With 1, LightGBM's own choice there, a leaf is a mean of gradients, so that
            targets had best be scaled to few units.
        parameters: the loss's own.
    """
    return XGBoostObjective(loss, client, flat_hessian, **parameters)


def lightgbm(loss: str, *, client: Optional[Client] = None, flat_hessian: float = 1.0, **parameters: Any) -> Objective:
    """The loss as `objective` of lightgbm.train, and of LGBMRegressor and its like. Arguments as for xgboost."""
    return Objective(loss, client, flat_hessian, **parameters)
