"""Losses as objectives of XGBoost and LightGBM: gradient and diagonal of the Hessian for every
margin.

    xgboost.train(params, data, obj=lossd.boost.xgboost("huber", delta=1.5))
    XGBRegressor(objective=lossd.boost.xgboost("huber", delta=1.5))
    lightgbm.train({"objective": lossd.boost.lightgbm("quantile", q=0.9)}, data)
    LGBMRegressor(objective=lossd.boost.lightgbm("quantile", q=0.9))

Weights of the data are applied once, as sample weights. With a custom objective, a booster predicts
raw margins, for example logits with bce_with_logits. Neither library is imported."""
import sys
from typing import Any, Optional, Tuple

import numpy as np

from ._adapter import Fixed
from ._client import Client

Derivatives = Tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]


class Objective(Fixed):
    """Callable by both libraries: with predictions and the data set, or, through their scikit-learn
    interface, with targets, predictions and optional weights."""

    fixed = ("reduction",)  # sum: boosters add the derivatives of the terms

    def __init__(
        self, loss: str, client: Optional[Client], flat_hessian: float, **parameters: Any
    ) -> None:
        super().__init__(loss, client, **parameters)
        if not self.info.hessian:
            raise ValueError(f"{self.info.name} has no Hessian diagonal, which boosting requires")
        self.flat_hessian = flat_hessian

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Derivatives:
        if hasattr(second, "get_label"):
            return self._derivatives(first, second.get_label(), second.get_weight())
        return self._derivatives(second, first, sample_weight)

    def _derivatives(self, predictions: Any, targets: Any, weights: Any) -> Derivatives:
        predictions, targets = np.asarray(predictions), np.asarray(targets)
        if self.takes_classes and predictions.ndim != 2:
            raise ValueError(
                f"{self.info.name} needs a margin for each class, but the predictions have shape"
                f" {predictions.shape}; set num_class, which requires XGBoost 1.6 or LightGBM 4"
            )
        weights = None if weights is None or np.size(weights) == 0 else np.asarray(weights)
        result = self.evaluate(
            predictions, targets, sample_weight=weights, reduction="sum", grad="input", hess="input"
        )
        grad, hess = result.grad.input, result.hess.input
        flat = (
            self.flat_hessian
            if weights is None
            else self.flat_hessian * weights.reshape(-1, *[1] * (hess.ndim - 1))
        )
        return grad, np.where(hess > 0, hess, flat).astype(hess.dtype)


class XGBoostObjective(Objective):
    def _derivatives(self, predictions: Any, targets: Any, weights: Any) -> Derivatives:
        grad, hess = super()._derivatives(predictions, targets, weights)
        return (grad, hess) if xgboost_takes_rows() else (grad.reshape(-1), hess.reshape(-1))


def xgboost_takes_rows() -> bool:
    """Returns True if XGBoost takes derivatives in the shape of the predictions (2.1 and later),
    not as one vector."""
    version = getattr(sys.modules.get("xgboost"), "__version__", "1.0").split(".")
    return (int(version[0]), int(version[1])) >= (2, 1)


def xgboost(
    loss: str, *, client: Optional[Client] = None, flat_hessian: float = 1.0, **parameters: Any
) -> Objective:
    """Returns the loss as `obj` of xgboost.train, and as `objective` of XGBRegressor and similar
    classes.

    XGBRegressor before XGBoost 2.1 does not pass weights to an objective: use xgboost.train with
    weights.

    Args:
        loss: its name. GET /v1/losses must show `hessian` true, as for elementwise losses and
            cross_entropy.
        client: default: that of lossd.set_default_client or $LOSSD_URL, or if neither is set,
            Client("local:") if its library is installed, else lossd.default_client().
        flat_hessian: this value times the weight replaces second derivatives that are not positive.
            The value of a leaf is divided by the sum of its second derivatives, which is 0 for l1,
            quantile and the linear parts of huber. With 1, which LightGBM uses too, a leaf is a
            mean of gradients, so scale the targets to a few units.
        parameters: of the loss.
    """
    return XGBoostObjective(loss, client, flat_hessian, **parameters)


def lightgbm(
    loss: str, *, client: Optional[Client] = None, flat_hessian: float = 1.0, **parameters: Any
) -> Objective:
    """Returns the loss as `objective` of lightgbm.train, LGBMRegressor and similar classes.
    The arguments are those of `xgboost`."""
    return Objective(loss, client, flat_hessian, **parameters)
