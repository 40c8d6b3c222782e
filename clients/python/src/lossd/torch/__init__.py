"""Every loss as a module of PyTorch, computed by a lossd.

    from lossd.torch import CrossEntropyLoss

    criterion = CrossEntropyLoss(label_smoothing=0.1, client=lossd.Client("http://127.0.0.1:8080"))
    criterion(model(x), y).backward()

The losses of torch.nn are here under their names, as subclasses of torch's: constructor, attributes, buffers and repr are torch's own,
with `client` besides. Losses that torch.nn does not have are LogCosh, QuantileLoss and so on: `lossd.torch.MODULES` lists all, by name.
`lossd.torch.functional` has them as functions. Left out, `client` is lossd.default_client().

The gradient comes with the loss, in one request, unless the reduction is "none": then backward makes a second one. Tensors of any
device and of float64, float32, float16 and bfloat16 are taken; the loss and its gradients come back as they are there. There are no second
derivatives.
"""
from typing import TYPE_CHECKING, Any

from . import functional
from ._evaluate import cosine_distance
from ._modules import MODULES

globals().update(MODULES)

__all__ = ["MODULES", "cosine_distance", "functional", *MODULES]

if TYPE_CHECKING:
    def __getattr__(name: str) -> Any: ...
