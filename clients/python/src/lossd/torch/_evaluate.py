"""A loss as a differentiable function of tensors."""
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .. import Client, default_client
from .._client import checked
from .._table import LossInfo


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """1 - cosine similarity: a distance_function for TripletMarginWithDistanceLoss that the server
    supports."""
    return 1 - F.cosine_similarity(x, y)


def evaluate(
    client: Optional[Client],
    info: LossInfo,
    tensors: Mapping[str, Any],
    parameters: Mapping[str, Any],
    reduction: str,
) -> Tensor:
    """Evaluates the loss as a differentiable tensor. `tensors` are in the order of the table; None
    means not given."""
    names = [name for name, tensor in tensors.items() if tensor is not None]
    values = [torch.as_tensor(tensors[name]) for name in names]
    request = Request(
        default_client() if client is None else checked(client),
        info,
        dict(parameters),
        reduction,
        names,
        torch.is_grad_enabled(),
        dtype_of(info, names, values),
    )
    loss: Tensor = Evaluation.apply(request, *values)
    return loss


def dtype_of(info: LossInfo, names: Sequence[str], values: Sequence[Tensor]) -> torch.dtype:
    """Returns the dtype that torch would compute in: the widest of the differentiable tensors."""
    dtype: Optional[torch.dtype] = None
    for name, value in zip(names, values):
        tensor = info.tensor(name)
        if tensor is not None and tensor.differentiable and value.is_floating_point():
            dtype = value.dtype if dtype is None else torch.promote_types(dtype, value.dtype)
    return dtype or torch.get_default_dtype()


class Request:
    """A request without its tensors."""

    def __init__(
        self,
        client: Client,
        info: LossInfo,
        parameters: Dict[str, Any],
        reduction: str,
        names: List[str],
        recorded: bool,
        dtype: torch.dtype,
    ) -> None:
        self.client = client
        self.info = info
        self.parameters = parameters
        self.reduction = reduction
        self.names = names
        self.recorded = recorded  # whether autograd records gradients
        self.dtype = dtype

    def send(
        self, tensors: Sequence[Tensor], grad: List[str], grad_output: Optional[Tensor] = None
    ) -> Any:
        method = getattr(self.client, self.info.name)
        return method(
            **dict(zip(self.names, tensors)),
            **self.parameters,
            reduction=self.reduction,
            grad=grad,
            dtype="float64" if self.dtype == torch.float64 else "float32",
            grad_output=grad_output,
        )


class Evaluation(torch.autograd.Function):
    """Forward computes the loss and, if it is one number, the gradients, which backward multiplies
    by grad_output. With reduction "none", backward requests the gradients."""

    @staticmethod
    def forward(ctx: Any, request: Request, *tensors: Tensor) -> Tensor:
        needed = needed_gradients(ctx, request) if request.recorded else []
        whole = request.reduction == "none"
        result = request.send(tensors, [] if whole else needed)
        ctx.request = request
        ctx.save_for_backward(
            *(
                tensors
                if whole
                else [
                    tensor_of(result.grad[name], like=tensors[request.names.index(name)])
                    for name in needed
                ]
            )
        )
        return tensor_of(np.asarray(result.loss), like=tensors[0], dtype=request.dtype)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tuple[Optional[Tensor], ...]:
        if torch.is_grad_enabled():  # gradients would silently be treated as constants
            raise RuntimeError("lossd does not support second derivatives (create_graph=True)")
        request, needed = ctx.request, needed_gradients(ctx, ctx.request)
        if request.reduction == "none":
            result = request.send(ctx.saved_tensors, needed, grad_output)
            grads = {
                name: tensor_of(
                    result.grad[name], like=ctx.saved_tensors[request.names.index(name)]
                )
                for name in needed
            }
        else:
            grads = {
                name: grad * grad_output.to(grad.dtype)
                for name, grad in zip(needed, ctx.saved_tensors)
            }
        return (None, *[grads.get(name) for name in request.names])


def needed_gradients(ctx: Any, request: Request) -> List[str]:
    return [name for name, is_needed in zip(request.names, ctx.needs_input_grad[1:]) if is_needed]


def tensor_of(
    array: "np.ndarray[Any, Any]", like: Tensor, dtype: Optional[torch.dtype] = None
) -> Tensor:
    return torch.from_numpy(array).to(device=like.device, dtype=dtype or like.dtype)


def distance_parameters(function: Optional[Callable[[Tensor, Tensor], Tensor]]) -> Dict[str, Any]:
    """Converts a distance_function to parameters. Raises a ValueError if the server does not
    support it."""
    if function is None or function is F.pairwise_distance:
        return {"distance": "pairwise"}
    if function is cosine_distance:
        return {"distance": "cosine"}
    if isinstance(function, torch.nn.PairwiseDistance) and not function.keepdim:
        return {"distance": "pairwise", "p": function.norm, "eps": function.eps}
    raise ValueError(
        f"distance_function is {function!r}, which the server does not support; it must be None,"
        " torch.nn.PairwiseDistance(...), torch.nn.functional.pairwise_distance or"
        " lossd.torch.cosine_distance"
    )
