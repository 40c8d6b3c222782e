"""The client of lossd, a server that evaluates loss functions and their gradients over large
batches.

    >>> import lossd
    >>> client = lossd.Client("http://127.0.0.1:8080")
    >>> result = client.mse([2.5, 0, 2], [3, -0.5, 2], grad=True)
    >>> result.loss, result.grad.input

Client and AsyncClient have a method for every loss. Without a server, Client("local:") and the
functions of `lossd.local` evaluate in this process. Accumulator computes the loss of a dataset that
is evaluated in batches. `lossd.torch`, `lossd.sklearn` and `lossd.boost` adapt the losses to
PyTorch, scikit-learn, XGBoost and LightGBM; of these libraries, only PyTorch is imported, by
`lossd.torch`."""
import importlib
from typing import TYPE_CHECKING, Any

from ._accumulator import Accumulator
from ._async_client import AsyncClient
from ._client import Client, default_client, set_default_client
from ._errors import (
    AccessDenied,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    LossdError,
    LossdWarning,
    ProtocolError,
    ServerError,
    Unavailable,
)
from ._losses import LOSSES
from ._merge import merge
from ._result import Result, Tensors
from ._safetensors import BFloat16
from ._version import __version__

__all__ = [
    "LOSSES",
    "AccessDenied",
    "Accumulator",
    "AsyncClient",
    "BFloat16",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "InvalidRequest",
    "LossdError",
    "LossdWarning",
    "ProtocolError",
    "Result",
    "ServerError",
    "Tensors",
    "Unavailable",
    "__version__",
    "default_client",
    "merge",
    "set_default_client",
]

if TYPE_CHECKING:
    from . import local


def __getattr__(name: str) -> Any:
    """Imports lossd.local on first use, because it needs a library that may not be installed."""
    if name == "local":
        return importlib.import_module("lossd.local")
    raise AttributeError(f"module 'lossd' has no attribute '{name}'")


for _public in __all__:
    if isinstance(globals()[_public], type):
        globals()[_public].__module__ = __name__  # the name in tracebacks and help
