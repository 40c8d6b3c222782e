"""The module classes: subclasses of those of torch.nn, and classes made from the table for the
other losses."""
import inspect
from typing import Any, Dict, Iterable, List, Optional, Tuple, Type

import torch
from torch import Tensor, nn

from .. import LOSSES, Client
from .._client import UsesClient, checked
from .._table import LossInfo
from ._evaluate import distance_parameters, evaluate
from ._signature import (
    KEYWORD_ONLY,
    POSITIONAL,
    arguments_of,
    completed,
    of_table,
    reject_unknown,
    required_tensors,
    with_client,
)


class Remote(UsesClient, nn.Module):
    """A module computed by lossd. Subclasses also derive from the class whose constructor takes the
    arguments of the loss: that of torch.nn, or Arguments."""

    info: LossInfo
    operands: inspect.Signature  # of forward
    options: inspect.Signature  # of the constructor
    lacking: Tuple[str, ...]  # optional tensors that torch's class does not have

    def __init__(self, *args: Any, client: Optional[Client] = None, **kwargs: Any) -> None:
        name = type(self).__name__
        reject_unknown(
            name,
            self.info,
            self.options,
            arguments_of(name, self.options, self, *args, client=client, **kwargs),
        )
        tensors = {tensor: kwargs.pop(tensor, None) for tensor in self.lacking}
        super().__init__(*args, **kwargs)
        for tensor, value in tensors.items():
            self.register_buffer(tensor, None if value is None else torch.as_tensor(value))
        if hasattr(self, "distance_function"):
            distance_parameters(self.distance_function)  # raises if the server does not support it
        self.client = client if client is None else checked(client)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        arguments = arguments_of(
            f"{type(self).__name__}.forward", self.operands, self, *args, **kwargs
        )
        operands = list(arguments.values())[1:]
        tensors = {tensor.name: getattr(self, tensor.name, None) for tensor in self.info.tensors}
        tensors.update(zip(required_tensors(self.info), operands))
        parameters = {
            name: getattr(self, name) for name, _ in self.info.parameters if hasattr(self, name)
        }
        if hasattr(self, "distance_function"):
            parameters.update(distance_parameters(self.distance_function))
        return evaluate(self.client, self.info, tensors, parameters, self.reduction)


class Arguments(nn.Module):
    """The arguments of a loss that torch.nn does not have. Weights are buffers, as in torch."""

    info: LossInfo

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        arguments = arguments_of(
            type(self).__name__, of_table(self.info, tensors=False), *args, **kwargs
        )
        for name, value in arguments.items():
            if self.info.tensor(name) is None:
                setattr(self, name, value)
            else:
                self.register_buffer(name, None if value is None else torch.as_tensor(value))

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name, _ in self.info.parameters)


def class_names(info: LossInfo) -> List[str]:
    """Returns the name in torch.nn, or the names in other libraries, or a name in the same style.
    """
    classes = [alias for alias in info.aliases if alias[0].isupper()]
    known = [alias for alias in classes if hasattr(nn, alias)]
    return (
        known or classes or ["".join(word.capitalize() for word in info.name.split("_")) + "Loss"]
    )


def make(name: str, info: LossInfo) -> Type[Remote]:
    original: Optional[Type[nn.Module]] = getattr(nn, name, None)
    own = (
        inspect.signature(original.__init__)
        if original
        else method_of(of_table(info, tensors=False).parameters.values())
    )
    options = with_client(completed(own, info, KEYWORD_ONLY) if original else own)
    required = required_tensors(info)
    operands = (
        inspect.signature(original.forward)
        if original
        else method_of([inspect.Parameter(name, POSITIONAL) for name in required])
    )

    def __init__(self: Remote, *args: Any, **kwargs: Any) -> None:
        Remote.__init__(self, *args, **kwargs)

    __init__.__signature__ = options  # type: ignore[attr-defined]
    doc = f"{info.title}: {f'torch.nn.{name}' if original else info.name}, computed by lossd."
    members = {
        "info": info,
        "operands": operands.replace(
            parameters=list(operands.parameters.values())[: 1 + len(required)]
        ),
        "options": options,
        "lacking": tuple(
            name for name in options.parameters if name not in own.parameters and name != "client"
        ),
    }
    return type(
        name,
        (Remote, original or Arguments),
        {"__module__": "lossd.torch", "__doc__": doc, "__init__": __init__, **members},
    )


def method_of(parameters: Iterable[inspect.Parameter]) -> inspect.Signature:
    return inspect.Signature([inspect.Parameter("self", POSITIONAL), *parameters])


MODULES: Dict[str, Type[Remote]] = {}
for _info in LOSSES.values():
    for _name in class_names(_info):
        MODULES[_name] = make(_name, _info)
