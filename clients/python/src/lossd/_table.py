"""What the table of losses (_losses.py, which generate.py writes) says of a loss."""
from typing import NamedTuple, Optional, Tuple, Union

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
