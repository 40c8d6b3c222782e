"""All losses as PyTorch modules, computed by a lossd server.

    from lossd.torch import CrossEntropyLoss

    criterion = CrossEntropyLoss(label_smoothing=0.1, client=lossd.Client("http://127.0.0.1:8080"))
    criterion(model(x), y).backward()

Losses of torch.nn have the same names and are subclasses of torch's: constructor, attributes,
buffers and repr are torch's, with an additional argument `client`, by default
lossd.default_client(). Other losses are LogCosh, QuantileLoss and so on: `lossd.torch.MODULES`
lists all by name. `lossd.torch.functional` contains the losses as functions.

One request computes loss and gradient, unless the reduction is "none": then backward sends a second
request. Tensors can be on any device and have dtype float64, float32, float16 or bfloat16; loss and
gradients have the same device and dtype. Second derivatives are not supported."""
from typing import TYPE_CHECKING, Any

from . import functional
from ._evaluate import cosine_distance
from ._modules import MODULES

globals().update(MODULES)

__all__ = ["MODULES", "cosine_distance", "functional", *MODULES]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        ...
