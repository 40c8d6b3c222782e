"""Signatures: those of torch, or made from the table, with an additional client."""
import inspect
from typing import Any, Callable, Dict, List, Optional

from torch.nn import _reduction

from .. import Client
from .._table import LossInfo

POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
# Arguments besides tensors and parameters.
OTHERS = (
    "self",
    "size_average",
    "reduce",
    "reduction",
    "distance_function",
    "client",
)

CLIENT = inspect.Parameter("client", KEYWORD_ONLY, default=None, annotation=Optional[Client])


def with_client(signature: inspect.Signature) -> inspect.Signature:
    return signature.replace(parameters=[*signature.parameters.values(), CLIENT])


def completed(signature: inspect.Signature, info: LossInfo, kind: Any) -> inspect.Signature:
    """Adds optional tensors that only newer versions of torch have, such as the weight of mse."""
    lacking = [
        tensor.name
        for tensor in info.tensors
        if tensor.optional and tensor.name not in signature.parameters
    ]
    more = [inspect.Parameter(name, kind, default=None) for name in lacking]
    return signature.replace(parameters=[*signature.parameters.values(), *more])


def of_table(info: LossInfo, tensors: bool) -> inspect.Signature:
    """Makes a signature of optional tensors, parameters and reduction; after the required tensors
    if `tensors`."""
    kind = POSITIONAL
    required = [
        inspect.Parameter(tensor.name, kind)
        for tensor in info.tensors
        if tensors and not tensor.optional
    ]
    optional = [
        inspect.Parameter(tensor.name, kind, default=None)
        for tensor in info.tensors
        if tensor.optional
    ]
    parameters = [
        inspect.Parameter(name, kind, default=default) for name, default in info.parameters
    ]
    return inspect.Signature(
        [*required, *optional, *parameters, inspect.Parameter("reduction", kind, default="mean")]
    )


def arguments_of(
    what: str, signature: inspect.Signature, *args: Any, **kwargs: Any
) -> Dict[str, Any]:
    """Returns the arguments by name, with defaults. A TypeError lists the valid arguments of
    `what`."""
    names = ", ".join(name for name in signature.parameters if name != "self")
    for name in kwargs:
        if name not in signature.parameters:
            raise TypeError(
                f"{what}: got an unexpected keyword argument '{name}'; it takes {names}"
            )
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{what}: {error}; it takes {names}") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def reject_unknown(
    what: str, info: LossInfo, signature: inspect.Signature, arguments: Dict[str, Any]
) -> None:
    """Raises a TypeError if an argument that only torch supports differs from its default."""
    known = {
        *(tensor.name for tensor in info.tensors),
        *(name for name, _ in info.parameters),
        *OTHERS,
    }
    for name, value in arguments.items():
        if name not in known and value is not signature.parameters[name].default:
            taken = ", ".join(
                other for other in signature.parameters if other in known and other != "self"
            )
            raise TypeError(
                f"{what}: the server does not support the argument '{name}'; it takes {taken}"
            )


def reduction_of(arguments: Dict[str, Any]) -> str:
    """Returns the reduction. As in torch, the deprecated size_average and reduce take precedence.
    """
    if arguments.get("size_average") is not None or arguments.get("reduce") is not None:
        return str(_reduction.legacy_get_string(arguments["size_average"], arguments["reduce"]))
    return str(arguments["reduction"])


def required_tensors(info: LossInfo) -> List[str]:
    return [tensor.name for tensor in info.tensors if not tensor.optional]


def named(
    function: Callable[..., Any], name: str, module: str, signature: inspect.Signature, doc: str
) -> Callable[..., Any]:
    """Sets the metadata of a generated function."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    function.__doc__ = doc
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function
