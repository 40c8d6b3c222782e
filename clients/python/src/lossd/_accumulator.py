"""Accumulates the loss of a dataset that is evaluated in batches."""
import copy
import json
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

from ._adapter import check_arguments, fixed_arguments, info_of
from ._client import Client, UsesClient, checked
from ._fork import ModuleLock
from ._merge import Partial, merged, result
from ._result import Result
from ._session import dtype_name, text
from ._table import LossInfo

State = Union["Accumulator", Mapping[str, Any]]


class Accumulator(UsesClient):
    """The loss of a dataset that is evaluated in batches, with the methods of a metric of
    torchmetrics or torcheval.

        losses = lossd.Accumulator("huber", delta=0.5, client=client)
        for row, x, y in batches:
            losses.update(x, y, offset=row)
        losses.compute().loss

    The loss has the same bits as if the whole dataset were evaluated at once, for any sizes and
    order of the batches, in any number of processes. The state is a partial result: a few hundred
    bytes, and the intervals of its rows. Threads can share an accumulator. It can be copied and
    pickled.

    Args:
        loss: its name: "huber", "HuberLoss". None for an accumulator of partial results.
        client: evaluates the batches; default lossd.default_client().
        arguments: for every batch: parameters of the loss, reduction (not "none"), dtype, and
            tensors that all batches share, such as class weights.

    Raises:
        ValueError: there is no such loss.
        TypeError: the loss does not take an argument.
    """

    def __init__(
        self, loss: Optional[str] = None, *, client: Optional[Client] = None, **arguments: Any
    ) -> None:
        info = None if loss is None else info_of(loss)
        if info is not None:
            check_arguments(info, arguments, fixed_arguments(info))
        elif arguments:
            raise TypeError("an accumulator without a loss takes no arguments of losses")
        self.info = info
        self.client = client if client is None else checked(client)
        self.arguments = arguments
        self._partial: Optional[Dict[str, Any]] = None

    def update(self, *batch: Any, **arguments: Any) -> "Accumulator":
        """Evaluates a batch and adds it, or adds a partial result.

            losses.update(x, y, offset=1000)
            losses.update(client.huber(x, y, delta=0.5, partial=True, offset=1000))

        Args:
            batch: the tensors of the loss; or one result of a call with partial=True, or its
                `partial`, as a dict or as JSON.
            arguments: tensors by name, `sample_weight`, and `offset`, the row of the first sample
                in the dataset. With offsets, rows that were already added are rejected.

        Returns:
            The accumulator itself.

        Raises:
            ValueError: lossd.merge rejects the partial result; partials[0] in its message is what
                was accumulated so far. The accumulator does not change.
            LossdError: the evaluation failed.
        """
        given = batch[0] if len(batch) == 1 else None
        if not isinstance(given, (Result, Mapping, str, bytes)):
            return self._add([self._evaluate(batch, arguments)])
        if arguments:
            raise TypeError(
                f"got the argument '{next(iter(arguments))}', but a partial result takes none"
            )
        return self._add([given])

    def merge_state(self, others: Iterable[State]) -> "Accumulator":
        """Adds the states of other accumulators, such as those of other processes.

        Args:
            others: accumulators, or what their `state_dict` returned. States of accumulators that
                were never updated add nothing.

        Returns:
            The accumulator itself.

        Raises:
            ValueError: as `update`.
        """
        partials = [
            other._partial if isinstance(other, Accumulator) else partial_of(other)
            for other in others
        ]
        return self._add([partial for partial in partials if partial is not None])

    def compute(self) -> Result:
        """Returns the result of all batches: loss, count, nonfinite, warnings, partial and divisor.

        Raises:
            ValueError: nothing was accumulated.
        """
        partial = self._partial
        if partial is None:
            raise ValueError("the accumulator is empty; call update first")
        return result(copy.deepcopy(partial))

    def reset(self) -> "Accumulator":
        """Removes all batches. Returns the accumulator itself."""
        with _lock.current:
            self._partial = None
        return self

    def state_dict(self) -> Dict[str, Optional[str]]:
        """Returns the state for a checkpoint, or to send to another process: a dict whose only key
        is "partial", with the partial result as JSON, or None if nothing was accumulated."""
        partial = self._partial
        if partial is None:
            return {"partial": None}
        return {"partial": json.dumps(partial, ensure_ascii=False, separators=(",", ":"))}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Replaces the state by one that `state_dict` returned.

        Raises:
            ValueError: the state is invalid, or of another loss or other arguments. The accumulator
                does not change.
        """
        given = partial_of(state_dict)
        partial = None if given is None else self._merged([given])
        with _lock.current:
            self._partial = partial

    def __repr__(self) -> str:
        partial = self._partial
        parts = [] if self.info is None else [repr(self.info.name)]
        parts += [f"{name}={value!r}" for name, value in self.arguments.items()]
        parts += [f"count={0 if partial is None else partial['count']}"]
        return f"Accumulator({', '.join(parts)})"

    def _evaluate(self, batch: Iterable[Any], arguments: Mapping[str, Any]) -> Result:
        if self.info is None:
            raise TypeError("an accumulator without a loss takes only partial results")
        tensors = [tensor.name for tensor in self.info.tensors]
        check_arguments(self.info, arguments, [*tensors, "sample_weight", "offset"])
        evaluated: Result = getattr(self.used_client(), self.info.name)(
            *batch, **self.arguments, **arguments, partial=True
        )
        return evaluated

    def _add(self, partials: List[Partial]) -> "Accumulator":
        if not partials:
            return self
        with _lock.current:
            before = [] if self._partial is None else [self._partial]
            self._partial = self._merged([*before, *partials])
        return self

    def _merged(self, partials: Iterable[Partial]) -> Dict[str, Any]:
        partial = copy.deepcopy(merged(partials))  # the caller may change what it passed
        if self.info is not None:
            check_settings(self.info, self.arguments, partial)
        return partial


def partial_of(state: Any) -> Optional[Partial]:
    if not isinstance(state, Mapping) or set(state) != {"partial"}:
        raise ValueError(
            f"{state!r} is not the state of an accumulator; it must be a dict with only the key"
            " 'partial'"
        )
    partial: Optional[Partial] = state["partial"]
    return partial


def check_settings(
    info: LossInfo, arguments: Mapping[str, Any], partial: Mapping[str, Any]
) -> None:
    """Raises a ValueError if a partial result does not have the settings of the accumulator. A
    parameter that is missing from it, because an older server wrote it, has its default."""
    found = {name: partial[name] for name in ("loss", "reduction", "dtype")}
    wanted = {"loss": info.name, "reduction": arguments.get("reduction", "mean")}
    if arguments.get("dtype") is not None:
        wanted["dtype"] = dtype_name(arguments["dtype"])
    for name, default in info.parameters:
        found[f"parameters.{name}"] = partial["parameters"].get(name, default)
        wanted[f"parameters.{name}"] = arguments.get(name, default)
    for name, value in wanted.items():
        if found[name] != value and text(name, found[name]) != text(name, value):
            raise ValueError(
                f"{name} is {found[name]!r} in the partial result, but {value!r} in the accumulator"
            )


# One lock for all accumulators, because locks cannot be copied and pickled. Held while merging.
_lock = ModuleLock()
