"""Signatures: torch's where torch has the loss, else made from the table; always with a client besides."""
import inspect
from typing import Any, Callable, Dict, List, Optional

from torch.nn import _reduction

from .. import Client
from .._table import LossInfo

CLIENT = inspect.Parameter("client", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Optional[Client])


def with_client(signature: inspect.Signature) -> inspect.Signature:
    return signature.replace(parameters=[*signature.parameters.values(), CLIENT])


def of_table(info: LossInfo, tensors: bool) -> inspect.Signature:
    """Optional tensors, parameters and reduction, behind the tensors that must be there if these are arguments too."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    required = [inspect.Parameter(tensor.name, kind) for tensor in info.tensors if tensors and not tensor.optional]
    optional = [inspect.Parameter(tensor.name, kind, default=None) for tensor in info.tensors if tensor.optional]
    parameters = [inspect.Parameter(name, kind, default=default) for name, default in info.parameters]
    return inspect.Signature([*required, *optional, *parameters, inspect.Parameter("reduction", kind, default="mean")])


def arguments_of(signature: inspect.Signature, *args: Any, **kwargs: Any) -> Dict[str, Any]:
    """The arguments by name, defaults included."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def reduction_of(arguments: Dict[str, Any]) -> str:
    """The reduction, as torch reads it: size_average and reduce, which it deprecates, win."""
    if arguments.get("size_average") is not None or arguments.get("reduce") is not None:
        return str(_reduction.legacy_get_string(arguments["size_average"], arguments["reduce"]))
    return str(arguments["reduction"])


def required_tensors(info: LossInfo) -> List[str]:
    return [tensor.name for tensor in info.tensors if not tensor.optional]


def named(function: Callable[..., Any], name: str, module: str, signature: inspect.Signature, doc: str) -> Callable[..., Any]:
    """The function, as if it had been written out under that name."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    function.__doc__ = doc
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function
