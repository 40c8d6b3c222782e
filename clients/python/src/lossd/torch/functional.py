"""All losses as functions, computed by a lossd server. Those of torch.nn.functional have the same
names and arguments. All have an additional argument `client`, by default lossd.default_client()."""
import inspect
from typing import TYPE_CHECKING, Any, Callable, List

from torch import Tensor
from torch.nn import functional as F

from .. import LOSSES
from .._table import LossInfo
from ._evaluate import distance_parameters, evaluate
from ._signature import (
    POSITIONAL,
    arguments_of,
    completed,
    named,
    of_table,
    reduction_of,
    reject_unknown,
    with_client,
)


def function_names(info: LossInfo) -> List[str]:
    """Returns the name in torch, or all names of the loss if torch does not have it."""
    names = [name for name in (info.name, *info.aliases) if name[0].islower()]
    return [name for name in names if hasattr(F, name)] or names


def make(name: str, info: LossInfo) -> Callable[..., Any]:
    original = getattr(F, name, None)
    signature = with_client(
        completed(inspect.signature(original), info, POSITIONAL)
        if original
        else of_table(info, tensors=True)
    )

    def function(*args: Any, **kwargs: Any) -> Tensor:
        arguments = arguments_of(name, signature, *args, **kwargs)
        reject_unknown(name, info, signature, arguments)
        parameters = {
            parameter: arguments[parameter]
            for parameter, _ in info.parameters
            if parameter in arguments
        }
        if "distance_function" in arguments:
            parameters.update(distance_parameters(arguments["distance_function"]))
        tensors = {tensor.name: arguments.get(tensor.name) for tensor in info.tensors}
        return evaluate(arguments["client"], info, tensors, parameters, reduction_of(arguments))

    doc = (
        f"{info.title}: {f'torch.nn.functional.{name}' if original else info.name}, computed by"
        " lossd."
    )
    return named(function, name, __name__, signature, doc)


__all__ = []
for _info in LOSSES.values():
    for _name in function_names(_info):
        globals()[_name] = make(_name, _info)
        __all__.append(_name)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        ...
