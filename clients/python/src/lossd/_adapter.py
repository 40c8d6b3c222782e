"""The base of the adapters for scikit-learn and boosting libraries: a loss of predictions and
targets with fixed arguments."""
from typing import Any, Iterable, Mapping, Optional, Sequence, Tuple

import numpy as np

from ._client import UsesClient, Client, adapter_client, checked
from ._losses import BY_NAME
from ._result import Result
from ._table import LossInfo


def info_of(loss: str) -> LossInfo:
    """Returns the description of a loss by one of its names. Raises a ValueError if there is no
    such loss."""
    info = BY_NAME.get(loss)
    if info is None:
        raise ValueError(
            f"no such loss '{loss}'; the losses are"
            f" {', '.join(sorted({known.name for known in BY_NAME.values()}))}"
        )
    return info


def fixed_arguments(info: LossInfo) -> Sequence[str]:
    """Returns the names of the arguments that do not depend on the batch."""
    optional = [tensor.name for tensor in info.tensors if tensor.optional]
    return [*optional, *(name for name, _ in info.parameters), "reduction", "dtype"]


def check_arguments(info: LossInfo, given: Iterable[str], taken: Sequence[str]) -> None:
    """Raises a TypeError for an argument that is not taken."""
    for name in given:
        if name not in taken:
            raise TypeError(
                f"{info.name} got an unexpected keyword argument '{name}'; it takes"
                f" {', '.join(taken)}"
            )


class Fixed(UsesClient):
    """A loss with its arguments. Can be pickled and copied."""

    fixed: Tuple[str, ...] = ()  # arguments that the adapter sets itself

    def __init__(self, loss: str, client: Optional[Client], **parameters: Any) -> None:
        info = info_of(loss)
        needed = [tensor.name for tensor in info.tensors if not tensor.optional]
        if needed != ["input", "target"]:
            raise ValueError(
                f"{info.name} takes {', '.join(needed)}; only losses of input and target are"
                " supported here"
            )
        self._check(info, parameters)
        self.__name__ = info.name  # some libraries print the name
        self.info = info
        self.client = client if client is None else checked(client)
        self.parameters = parameters

    def _check(self, info: LossInfo, parameters: Mapping[str, Any]) -> None:
        """Raises a TypeError for an argument that the loss or the adapter does not accept."""
        taken = [name for name in fixed_arguments(info) if name not in self.fixed]
        check_arguments(info, parameters, taken)

    def used_client(self) -> Client:
        return adapter_client() if self.client is None else checked(self.client)

    @property
    def takes_classes(self) -> bool:
        """Returns True if targets are class indices and predictions have one value per class."""
        tensor = self.info.tensor("target")
        return tensor is not None and tensor.kind != "real"

    def evaluate(self, predictions: Any, targets: Any, **options: Any) -> Result:
        predictions, targets = np.asarray(predictions), np.asarray(targets)
        if self.takes_classes:
            targets = whole(targets)
        # Targets can have shape (n,), predictions (n, 1), or the reverse.
        elif (
            targets.shape != predictions.shape and targets.size == predictions.size
        ):
            targets = targets.reshape(predictions.shape)
        result: Result = getattr(self.used_client(), self.info.name)(
            predictions, targets, **self.parameters, **options
        )
        return result

    def __repr__(self) -> str:
        parameters = "".join(f", {name}={value!r}" for name, value in self.parameters.items())
        return f"{type(self).__name__}({self.info.name!r}{parameters})"


def whole(targets: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Converts class indices that are floats, as in the boosting libraries, to integers. Raises a
    ValueError if one is a fraction."""
    if targets.dtype.kind != "f":
        return targets
    indices = targets.astype(np.int64)
    if not np.array_equal(indices, targets):
        wrong = targets[targets != indices][0]
        raise ValueError(f"a target is {wrong}; class indices must be integers")
    return indices
