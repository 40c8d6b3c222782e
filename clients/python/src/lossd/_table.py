"""What the table of losses (_losses.py, which generate.py writes) says of a loss."""
import functools
import inspect
from typing import Any, Callable, NamedTuple, Optional, Tuple, Union

Parameter = Union[float, int, bool, str]


class TensorInfo(NamedTuple):
    name: str
    kind: str  # "real", "index" or "index or probability"
    optional: bool
    prediction: bool  # grad=True asks for its gradient
    differentiable: bool  # its gradient can be asked for by name


class LossInfo(NamedTuple):
    name: str
    aliases: Tuple[str, ...]  # PyTorch's class and function among them
    title: str
    tensors: Tuple[TensorInfo, ...]
    parameters: Tuple[Tuple[str, Parameter], ...]  # names and defaults
    reductions: Tuple[str, ...]
    hessian: bool

    def tensor(self, name: str) -> Optional[TensorInfo]:
        return next((tensor for tensor in self.tensors if tensor.name == name), None)


def naming_arguments(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, whose TypeError for an unknown keyword argument says which ones it takes."""
    names = list(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in names:
                raise TypeError(f"{method.__name__} got an unexpected keyword argument '{name}'; it takes {', '.join(names)}")
        return method(self, *args, **kwargs)

    return checked
