"""The result of an evaluation."""
from typing import Any, Dict, Iterator, List, Mapping, Optional, Union

import numpy as np


class Tensors(Mapping[str, "np.ndarray[Any, Any]"]):
    """Arrays by tensor name, as a mapping and as attributes: `grad["input"]`, `grad.input`."""

    def __init__(self, arrays: Mapping[str, "np.ndarray[Any, Any]"], what: str) -> None:
        self._arrays = dict(arrays)
        self._what = what

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        try:
            return self._arrays[name]
        except KeyError:
            raise KeyError(self._missing(name)) from None

    def __getattr__(self, name: str) -> "np.ndarray[Any, Any]":
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._arrays[name]
        except KeyError:
            raise AttributeError(self._missing(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __dir__(self) -> List[str]:
        return [*super().__dir__(), *self._arrays]

    def __repr__(self) -> str:
        return f"Tensors({', '.join(f'{name}={array!r}' for name, array in self._arrays.items())})"

    def _missing(self, name: str) -> str:
        if not self._arrays:
            return (
                f"no {self._what} was requested; pass {self._what}=True or {self._what}=['{name}']"
            )
        return f"no {self._what} of '{name}'; the result has that of {', '.join(self._arrays)}"


class Result:
    """A loss, and the requested derivatives.

    Attributes:
        loss: a float; with reduction "none" an array of the terms.
        grad: gradients by tensor, `grad.input`; empty unless requested.
        hess: diagonals of the Hessian, likewise.
        count: the number of terms, without ignored ones.
        nonfinite: the number of terms that are NaN or infinite.
        warnings: warnings that PyTorch would give, also issued through Python's `warnings`.
        reduction: the reduction.
        dtype: the dtype of the computation, "float32" or "float64".
        timing: times on the server in milliseconds: "decode", "compute", "encode".
        request_id: the identifier of the request in the server's log.
        partial: with partial=True, and of `lossd.merge`, the exact result of a part of a batch, a
            dict; otherwise None.
    """

    def __init__(
        self,
        loss: Union[float, "np.ndarray[Any, Any]"],
        grad: Tensors,
        hess: Tensors,
        count: int,
        nonfinite: int,
        warnings: List[str],
        reduction: str,
        dtype: str,
        timing: Dict[str, float],
        request_id: str,
        partial: Optional[Dict[str, Any]] = None,
    ) -> None:
        # Any, because the type depends on the reduction.
        self.loss: Any = loss
        self.grad = grad
        self.hess = hess
        self.count = count
        self.nonfinite = nonfinite
        self.warnings = warnings
        self.reduction = reduction
        self.dtype = dtype
        self.timing = timing
        self.request_id = request_id
        self.partial = partial

    @property
    def divisor(self) -> Optional[float]:
        """What the reduction divides by; pass it as `divisor` to compute the gradients of a part.
        None if there is no partial result, or if the reduction is "sum"."""
        return None if self.partial is None else divisor_of(self.partial)

    def __float__(self) -> float:
        return float(self.loss)

    def __repr__(self) -> str:
        parts = [
            f"loss={self.loss!r}",
            f"reduction={self.reduction!r}",
            f"dtype={self.dtype!r}",
            f"count={self.count}",
        ]
        parts += [f"nonfinite={self.nonfinite}"] if self.nonfinite else []
        parts += [
            f"{name}={list(tensors)}"
            for name, tensors in (("grad", self.grad), ("hess", self.hess))
            if tensors
        ]
        return f"Result({', '.join(parts)})"


def number(text: str) -> float:
    """Rounds a sum to the nearest float."""
    try:
        return float.fromhex(text)
    except OverflowError:
        return -np.inf if text.startswith("-") else np.inf


def divisor_of(partial: Mapping[str, Any]) -> Optional[float]:
    """Returns what the reduction divides by; None if it does not divide."""
    if partial["reduction"] == "sum":
        return None
    if partial["reduction"] == "batchmean":
        return float(partial["samples"])
    return number(partial["weight"]) if partial["weighed"] else float(partial["terms"])
