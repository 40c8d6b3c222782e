"""Every loss: what it takes, and a method for it. Written by generate.py from the server's GET /v1/losses: not to be edited."""
from typing import Any, Dict, Generic, Literal, Mapping, Optional, Sequence, TypeVar, Union

from ._table import LossInfo, TensorInfo, naming_arguments

Answer = TypeVar("Answer")
Wanted = Union[bool, str, Sequence[str]]  # of every prediction, or of none; of the tensor of that name; of several

LOSSES: Dict[str, LossInfo] = {
    "mse": LossInfo(
        name="mse",
        aliases=("MSELoss", "mse_loss"),
        title="Mean squared error",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "l1": LossInfo(
        name="l1",
        aliases=("L1Loss", "l1_loss"),
        title="Mean absolute error",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "smooth_l1": LossInfo(
        name="smooth_l1",
        aliases=("SmoothL1Loss", "smooth_l1_loss"),
        title="Smooth L1",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
        ),
        parameters=(("beta", 1.0),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "huber": LossInfo(
        name="huber",
        aliases=("HuberLoss", "huber_loss"),
        title="Huber",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(("delta", 1.0),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "bce": LossInfo(
        name="bce",
        aliases=("BCELoss", "binary_cross_entropy"),
        title="Binary cross entropy",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "bce_with_logits": LossInfo(
        name="bce_with_logits",
        aliases=("BCEWithLogitsLoss", "binary_cross_entropy_with_logits"),
        title="Binary cross entropy with logits",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
            TensorInfo("pos_weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "cross_entropy": LossInfo(
        name="cross_entropy",
        aliases=("CrossEntropyLoss",),
        title="Cross entropy",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "index or probability", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(("ignore_index", -100), ("label_smoothing", 0.0),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "nll": LossInfo(
        name="nll",
        aliases=("NLLLoss", "nll_loss"),
        title="Negative log likelihood",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "index", optional=False, prediction=False, differentiable=False),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(("ignore_index", -100),),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "kl_div": LossInfo(
        name="kl_div",
        aliases=("KLDivLoss",),
        title="Kullback-Leibler divergence",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
        ),
        parameters=(("log_target", False),),
        reductions=("mean", "sum", "none", "batchmean"),
        hessian=True,
    ),
    "hinge_embedding": LossInfo(
        name="hinge_embedding",
        aliases=("HingeEmbeddingLoss", "hinge_embedding_loss"),
        title="Hinge embedding",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=False),
        ),
        parameters=(("margin", 1.0),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "cosine_embedding": LossInfo(
        name="cosine_embedding",
        aliases=("CosineEmbeddingLoss", "cosine_embedding_loss"),
        title="Cosine embedding",
        tensors=(
            TensorInfo("input1", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("input2", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=False),
        ),
        parameters=(("margin", 0.0),),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "poisson_nll": LossInfo(
        name="poisson_nll",
        aliases=("PoissonNLLLoss", "poisson_nll_loss"),
        title="Poisson negative log likelihood",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
        ),
        parameters=(("log_input", True), ("full", False), ("eps", 1e-08),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "gaussian_nll": LossInfo(
        name="gaussian_nll",
        aliases=("GaussianNLLLoss", "gaussian_nll_loss"),
        title="Gaussian negative log likelihood",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("var", "real", optional=False, prediction=True, differentiable=True),
        ),
        parameters=(("full", False), ("eps", 1e-06),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "margin_ranking": LossInfo(
        name="margin_ranking",
        aliases=("MarginRankingLoss", "margin_ranking_loss"),
        title="Margin ranking",
        tensors=(
            TensorInfo("input1", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("input2", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
        ),
        parameters=(("margin", 0.0),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "soft_margin": LossInfo(
        name="soft_margin",
        aliases=("SoftMarginLoss", "soft_margin_loss"),
        title="Soft margin",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=False),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "multi_margin": LossInfo(
        name="multi_margin",
        aliases=("MultiMarginLoss", "multi_margin_loss"),
        title="Multi-class margin",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "index", optional=False, prediction=False, differentiable=False),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(("p", 1), ("margin", 1.0),),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "multilabel_margin": LossInfo(
        name="multilabel_margin",
        aliases=("MultiLabelMarginLoss", "multilabel_margin_loss"),
        title="Multi-label margin",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "index", optional=False, prediction=False, differentiable=False),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "multilabel_soft_margin": LossInfo(
        name="multilabel_soft_margin",
        aliases=("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss"),
        title="Multi-label soft margin",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "triplet_margin": LossInfo(
        name="triplet_margin",
        aliases=("TripletMarginLoss", "triplet_margin_loss", "TripletMarginWithDistanceLoss", "triplet_margin_with_distance_loss"),
        title="Triplet margin",
        tensors=(
            TensorInfo("anchor", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("positive", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("negative", "real", optional=False, prediction=True, differentiable=True),
        ),
        parameters=(("margin", 1.0), ("p", 2.0), ("eps", 1e-06), ("swap", False), ("distance", "euclidean"),),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "ctc": LossInfo(
        name="ctc",
        aliases=("CTCLoss", "ctc_loss"),
        title="Connectionist temporal classification",
        tensors=(
            TensorInfo("log_probs", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("targets", "index", optional=False, prediction=False, differentiable=False),
            TensorInfo("input_lengths", "index", optional=False, prediction=False, differentiable=False),
            TensorInfo("target_lengths", "index", optional=False, prediction=False, differentiable=False),
        ),
        parameters=(("blank", 0), ("zero_infinity", False),),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "sigmoid_focal": LossInfo(
        name="sigmoid_focal",
        aliases=("sigmoid_focal_loss",),
        title="Sigmoid focal",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
        ),
        parameters=(("alpha", 0.25), ("gamma", 2.0),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "dice": LossInfo(
        name="dice",
        aliases=("DiceLoss", "dice_loss"),
        title="Soft Dice",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
            TensorInfo("weight", "real", optional=True, prediction=False, differentiable=False),
        ),
        parameters=(("smooth", 1e-05), ("batch", False), ("include_background", True), ("squared_pred", False), ("jaccard", False), ("sigmoid", False),),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
    "log_cosh": LossInfo(
        name="log_cosh",
        aliases=("LogCosh", "logcosh"),
        title="Log-cosh",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
        ),
        parameters=(),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "quantile": LossInfo(
        name="quantile",
        aliases=("pinball", "pinball_loss"),
        title="Quantile (pinball)",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=True),
        ),
        parameters=(("q", 0.5),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "tweedie": LossInfo(
        name="tweedie",
        aliases=("tweedie_deviance",),
        title="Tweedie deviance",
        tensors=(
            TensorInfo("input", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("target", "real", optional=False, prediction=False, differentiable=False),
        ),
        parameters=(("p", 1.5), ("log_input", False),),
        reductions=("mean", "sum", "none"),
        hessian=True,
    ),
    "info_nce": LossInfo(
        name="info_nce",
        aliases=("InfoNCE", "NTXentLoss", "nt_xent"),
        title="InfoNCE (NT-Xent)",
        tensors=(
            TensorInfo("query", "real", optional=False, prediction=True, differentiable=True),
            TensorInfo("key", "real", optional=False, prediction=True, differentiable=True),
        ),
        parameters=(("temperature", 0.1),),
        reductions=("mean", "sum", "none"),
        hessian=False,
    ),
}
BY_NAME: Dict[str, LossInfo] = {name: loss for loss in LOSSES.values() for name in (loss.name, *loss.aliases)}


class LossMethods(Generic[Answer]):
    """A method for every loss. Arrays are whatever NumPy makes arrays of; an `Answer` is a Result, or what becomes one."""

    def _evaluate(self, loss: str, tensors: Mapping[str, Any], parameters: Mapping[str, Any], reduction: str, grad: Any, hess: Any,
                  dtype: Optional[str]) -> Answer:
        raise NotImplementedError

    def mse(self, input: Any, target: Any, *, weight: Any = None,
            reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, hess: Wanted = False,
            grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Mean squared error: MSELoss and mse_loss.

        Squared difference between prediction and target; the usual loss of regression.

            l = w (x - y)^2; mean divides by the sum of the w

        Args:
            input: predictions; (*).
            target: what they should be; (*), broadcast against input.
            weight: multiplies each term; mean divides by the sum of the weights; broadcast to input (may be left
                out).
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("mse", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {}, reduction, grad,
                              hess, dtype)

    def l1(self, input: Any, target: Any, *, weight: Any = None, reduction: Literal["mean", "sum", "none"] = "mean",
           grad: Wanted = False, hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
           dtype: Optional[str] = None) -> Answer:
        """Mean absolute error: L1Loss and l1_loss.

        Absolute difference between prediction and target; less swayed by outliers than mse.

            l = w |x - y|; mean divides by the sum of the w

        Args:
            input: predictions; (*).
            target: what they should be; (*), broadcast against input.
            weight: multiplies each term; mean divides by the sum of the weights; broadcast to input (may be left
                out).
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("l1", {"input": input, "target": target, "weight": weight, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {}, reduction, grad, hess, dtype)

    def smooth_l1(self, input: Any, target: Any, *, beta: float = 1.0,
                  reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, hess: Wanted = False,
                  grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Smooth L1: SmoothL1Loss and smooth_l1_loss.

        Quadratic for differences below beta, linear above; the slope never exceeds 1. beta 0 is l1.

            d = x - y; l = d^2 / (2 beta) where |d| < beta, else |d| - beta/2

        Args:
            input: predictions; (*).
            target: what they should be; (*), broadcast against input.
            beta: where the parabola meets the lines; at least 0.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("smooth_l1", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"beta": beta}, reduction, grad, hess, dtype)

    def huber(self, input: Any, target: Any, *, weight: Any = None, delta: float = 1.0,
              reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, hess: Wanted = False,
              grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Huber: HuberLoss and huber_loss.

        Half the squared difference up to delta, linear beyond with slope delta; smooth_l1 with beta = delta, times
        delta.

            d = x - y; l = w d^2 / 2 where |d| <= delta, else w delta (|d| - delta/2)

        Args:
            input: predictions; (*).
            target: what they should be; (*), broadcast against input.
            weight: multiplies each term; mean does not divide by it; broadcast to input (may be left out).
            delta: where the parabola meets the lines; infinite: nowhere, half of mse; above 0, or math.inf.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("huber", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {"delta": delta},
                              reduction, grad, hess, dtype)

    def bce(self, input: Any, target: Any, *, weight: Any = None,
            reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, hess: Wanted = False,
            grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Binary cross entropy: BCELoss and binary_cross_entropy.

        Negative log likelihood of a yes or no, given its probability; logarithms are clamped at -100.

            l = -w [y max(log x, -100) + (1 - y) max(log(1 - x), -100)]

        Args:
            input: predicted probabilities, in [0, 1]; (*).
            target: what they should be, usually 0 or 1; (*), that of input.
            weight: multiplies each term; broadcast to input (may be left out).
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("bce", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {}, reduction, grad,
                              hess, dtype)

    def bce_with_logits(self, input: Any, target: Any, *, weight: Any = None, pos_weight: Any = None,
                        reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                        hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                        dtype: Optional[str] = None) -> Answer:
        """Binary cross entropy with logits: BCEWithLogitsLoss and binary_cross_entropy_with_logits.

        Binary cross entropy of sigmoid(x), stable for any x; pos_weight trades recall against precision.

            l = w [(1 - y) x + p log(1 + exp(-x))], p = 1 + (pos_weight - 1) y

        Args:
            input: logits; (*).
            target: what they should be, usually 0 or 1; (*), that of input.
            weight: multiplies each term; broadcast to input (may be left out).
            pos_weight: weight of positive targets, usually one per class; broadcast to input (may be left out).
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("bce_with_logits", {"input": input, "target": target, "weight": weight,
                              "pos_weight": pos_weight, "grad_output": grad_output, "sample_weight": sample_weight},
                              {}, reduction, grad, hess, dtype)

    def cross_entropy(self, input: Any, target: Any, *, weight: Any = None, ignore_index: Optional[int] = -100,
                      label_smoothing: float = 0.0, reduction: Literal["mean", "sum", "none"] = "mean",
                      grad: Wanted = False, hess: Wanted = False, grad_output: Any = None,
                      sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Cross entropy: CrossEntropyLoss.

        Negative log likelihood of the right class, given the logits of all; the usual loss of classification. The
        target holds class indices, or, where it has the input's shape, a probability for every class.

            z = log_softmax(x); l = -(1 - s) w_y z_y - s/C sum_c w_c z_c with class indices, s = label_smoothing, 0
            where y = ignore_index; l = -sum_c w_c (p_c (1 - s) + s/C) z_c with probabilities p. mean divides by the
            sum of the w_y that count; with probabilities by the number of terms

        Args:
            input: logits; (C), (N, C) or (N, C, d1, ...).
            target: class indices, or class probabilities; (), (N) or (N, d1, ...) for indices; the input's shape
                for probabilities.
            weight: a weight for each class; (C) (may be left out).
            ignore_index: a class index that does not count; null: all count, or None.
            label_smoothing: share of the target that is spread over all classes; at least 0 and at most 1.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("cross_entropy", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight},
                              {"ignore_index": ignore_index, "label_smoothing": label_smoothing}, reduction, grad,
                              hess, dtype)

    def nll(self, input: Any, target: Any, *, weight: Any = None, ignore_index: Optional[int] = -100,
            reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, grad_output: Any = None,
            sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Negative log likelihood: NLLLoss and nll_loss.

        Minus the log-probability of the right class. For logits there is cross_entropy.

            l = -w_y x_y, 0 where y = ignore_index; mean divides by the sum of the w_y that count

        Args:
            input: log-probabilities; (C), (N, C) or (N, C, d1, ...).
            target: class indices; (), (N) or (N, d1, ...).
            weight: a weight for each class; (C) (may be left out).
            ignore_index: a target that does not count; null: all count, or None.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("nll", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight},
                              {"ignore_index": ignore_index}, reduction, grad, False, dtype)

    def kl_div(self, input: Any, target: Any, *, log_target: bool = False,
               reduction: Literal["mean", "sum", "none", "batchmean"] = "mean", grad: Wanted = False,
               hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
               dtype: Optional[str] = None) -> Answer:
        """Kullback-Leibler divergence: KLDivLoss.

        How far the distribution whose log-probabilities are the input is from the target's. batchmean is the
        divergence itself: the sum over the batch size; mean divides by all elements, as PyTorch has it.

            l = y (log y - x), 0 where y = 0; log_target: l = exp(y) (y - x)

        Args:
            input: predicted log-probabilities; (*).
            target: true probabilities (log-probabilities with log_target); (*), broadcast against input.
            log_target: the target holds log-probabilities.
            reduction: "mean", "sum", "none" or "batchmean".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("kl_div", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"log_target": log_target}, reduction, grad, hess,
                              dtype)

    def hinge_embedding(self, input: Any, target: Any, *, margin: float = 1.0,
                        reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                        hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                        dtype: Optional[str] = None) -> Answer:
        """Hinge embedding: HingeEmbeddingLoss and hinge_embedding_loss.

        Of a distance x: the distance itself for similar pairs (y = 1), what it lacks of the margin for dissimilar
        ones (y = -1).

            l = x where y = 1; max(0, margin - x) where y = -1; their sum for any other y

        Args:
            input: distances; (*).
            target: labels, 1 or -1; (*), broadcast against input.
            margin: distance that dissimilar pairs should keep.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("hinge_embedding", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"margin": margin}, reduction, grad, hess, dtype)

    def cosine_embedding(self, input1: Any, input2: Any, target: Any, *, margin: float = 0.0,
                         reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                         grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Cosine embedding: CosineEmbeddingLoss and cosine_embedding_loss.

        Draws similar pairs of vectors (y = 1) to the same direction and pushes dissimilar ones (y = -1) apart, to a
        cosine of at most margin.

            cos = a.b / sqrt((|a|^2 + 1e-12) (|b|^2 + 1e-12)); l = 1 - cos where y = 1; max(0, cos - margin) where y
            = -1; else 0

        Args:
            input1: vectors; (N, D) or (D).
            input2: the vectors they are paired with; (N, D) or (D).
            target: labels, 1 or -1; (N) or ().
            margin: cosine that dissimilar pairs may keep, best in [0, 0.5].
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input1 and input2; names of tensors ("input1" and "input2") for just
                those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("cosine_embedding", {"input1": input1, "input2": input2, "target": target,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {"margin": margin},
                              reduction, grad, False, dtype)

    def poisson_nll(self, input: Any, target: Any, *, log_input: bool = True, full: bool = False,
                    eps: float = 1e-08, reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                    hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                    dtype: Optional[str] = None) -> Answer:
        """Poisson negative log likelihood: PoissonNLLLoss and poisson_nll_loss.

        For counts: the target is Poisson distributed around the input, or around its exponential with log_input.

            l = exp(x) - y x; without log_input l = x - y log(x + eps); full adds y log y - y + log(2 pi y)/2 where
            y > 1

        Args:
            input: predicted means, or their logarithms; (*).
            target: counts; (*), broadcast against input.
            log_input: the input holds logarithms of the means.
            full: add Stirling's approximation of log y!.
            eps: keeps log(x + eps) finite, without log_input.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("poisson_nll", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"log_input": log_input, "full": full, "eps": eps},
                              reduction, grad, hess, dtype)

    def gaussian_nll(self, input: Any, target: Any, var: Any, *, full: bool = False, eps: float = 1e-06,
                     reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, hess: Wanted = False,
                     grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Gaussian negative log likelihood: GaussianNLLLoss and gaussian_nll_loss.

        Regression that predicts its own uncertainty: the target is normally distributed around the input, with
        variance var.

            v = max(var, eps); l = (log v + (x - y)^2 / v) / 2; full adds log(2 pi)/2

        Args:
            input: predicted means; (*).
            target: what they should be; (*), broadcast against input.
            var: predicted variances; broadcast to input, or that of input without its last dimension.
            full: add the constant log(2 pi)/2.
            eps: variances below this count as this; above 0.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input and var; names of tensors ("input", "target" and "var") for just
                those.
            hess: True for the diagonal of the Hessian with respect to input and var; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("gaussian_nll", {"input": input, "target": target, "var": var,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {"full": full,
                              "eps": eps}, reduction, grad, hess, dtype)

    def margin_ranking(self, input1: Any, input2: Any, target: Any, *, margin: float = 0.0,
                       reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                       hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                       dtype: Optional[str] = None) -> Answer:
        """Margin ranking: MarginRankingLoss and margin_ranking_loss.

        Of two scores: input1 should be higher by the margin where y = 1, lower where y = -1.

            l = max(0, -y (x1 - x2) + margin)

        Args:
            input1: scores; (*).
            input2: scores to compare them with; (*), broadcast against input1.
            target: which should be higher, 1 or -1; (*), broadcast against input1.
            margin: by how much.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input1 and input2; names of tensors ("input1", "input2" and "target") for
                just those.
            hess: True for the diagonal of the Hessian with respect to input1 and input2; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("margin_ranking", {"input1": input1, "input2": input2, "target": target,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {"margin": margin},
                              reduction, grad, hess, dtype)

    def soft_margin(self, input: Any, target: Any, *, reduction: Literal["mean", "sum", "none"] = "mean",
                    grad: Wanted = False, hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                    dtype: Optional[str] = None) -> Answer:
        """Soft margin: SoftMarginLoss and soft_margin_loss.

        Two-class logistic loss for labels 1 and -1; bce_with_logits is the same for labels 1 and 0.

            l = log(1 + exp(-y x))

        Args:
            input: scores; (*).
            target: labels, 1 or -1; (*), broadcast against input.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("soft_margin", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {}, reduction, grad, hess, dtype)

    def multi_margin(self, input: Any, target: Any, *, weight: Any = None, p: int = 1, margin: float = 1.0,
                     reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                     grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Multi-class margin: MultiMarginLoss and multi_margin_loss.

        Hinge loss over classes: the right one should score higher than each other by the margin.

            l = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p

        Args:
            input: scores; (C) or (N, C).
            target: class indices; () or (N).
            weight: a weight for each class; (C) (may be left out).
            p: power of the lack, 1 or 2; at least 1 and at most 2.
            margin: by how much the right class should lead.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("multi_margin", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {"p": p,
                              "margin": margin}, reduction, grad, False, dtype)

    def multilabel_margin(self, input: Any, target: Any, *, reduction: Literal["mean", "sum", "none"] = "mean",
                          grad: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                          dtype: Optional[str] = None) -> Answer:
        """Multi-label margin: MultiLabelMarginLoss and multilabel_margin_loss.

        Hinge loss over classes of which several are right: each of those should score higher by 1 than each that is
        not.

            l = 1/C sum over listed j, unlisted c of max(0, 1 - x_j + x_c)

        Args:
            input: scores; (C) or (N, C).
            target: the right classes' indices, ended by -1; (C) or (N, C).
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("multilabel_margin", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {}, reduction, grad, False, dtype)

    def multilabel_soft_margin(self, input: Any, target: Any, *, weight: Any = None,
                               reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                               grad_output: Any = None, sample_weight: Any = None,
                               dtype: Optional[str] = None) -> Answer:
        """Multi-label soft margin: MultiLabelSoftMarginLoss and multilabel_soft_margin_loss.

        One yes or no for each class: binary cross entropy with logits, averaged over the classes of a row.

            l = -1/C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid

        Args:
            input: logits; (C), (N, C) or (..., C).
            target: what they should be, 0 or 1; that of input.
            weight: a weight for each class; (C), or broadcast to input with C last (may be left out).
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("multilabel_soft_margin", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {}, reduction, grad,
                              False, dtype)

    def triplet_margin(self, anchor: Any, positive: Any, negative: Any, *, margin: float = 1.0, p: float = 2.0,
                       eps: float = 1e-06, swap: bool = False,
                       distance: Literal["euclidean", "pairwise", "cosine"] = "euclidean",
                       reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                       grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Triplet margin: TripletMarginLoss, triplet_margin_loss, TripletMarginWithDistanceLoss and
        triplet_margin_with_distance_loss.

        An anchor should be nearer to the positive than to the negative, by the margin.

            l = max(0, d(a, p) - d(a, n) + margin), d(u, v) = ||u - v + eps||_p; swap: min(d(a, n), d(p, n)) in
            place of d(a, n); distance cosine: d(u, v) = 1 - cos(u, v)

        Args:
            anchor: vectors; (N, D) or (D).
            positive: vectors that should be near; that of anchor.
            negative: vectors that should be far; that of anchor.
            margin: by how much nearer; above 0.
            p: which norm; infinite: the largest difference; above 0, or math.inf.
            eps: added to each difference.
            swap: take the negative's distance from the positive where that is less.
            distance: euclidean and pairwise are the p-norm, cosine is 1 - cosine similarity.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of anchor, positive and negative; names of tensors ("anchor", "positive" and
                "negative") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("triplet_margin", {"anchor": anchor, "positive": positive, "negative": negative,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {"margin": margin,
                              "p": p, "eps": eps, "swap": swap, "distance": distance}, reduction, grad, False,
                              dtype)

    def ctc(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, *, blank: int = 0,
            zero_infinity: bool = False, reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
            grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Connectionist temporal classification: CTCLoss and ctc_loss.

        For sequences whose labels are not aligned to the steps: minus the log-probability of all paths that spell
        the labels once repeats and blanks are taken out. The gradient is PyTorch's, which folds in that of the
        log_softmax before it.

            l = -log sum over alignments of prod_t p_t; mean divides each by its number of labels first

        Args:
            log_probs: log-probabilities of the classes at each step; (T, N, C) or (T, C).
            targets: class indices of the labels, without blanks; (N, S), or (S) for all labels in one row.
            input_lengths: how many steps count; (N) or ().
            target_lengths: how many labels there are; (N) or ().
            blank: class index of the blank.
            zero_infinity: an impossible alignment counts as 0, with gradient 0.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of log_probs; names of tensors ("log_probs") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("ctc", {"log_probs": log_probs, "targets": targets, "input_lengths": input_lengths,
                              "target_lengths": target_lengths, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"blank": blank, "zero_infinity": zero_infinity},
                              reduction, grad, False, dtype)

    def sigmoid_focal(self, input: Any, target: Any, *, alpha: float = 0.25, gamma: float = 2.0,
                      reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
                      hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                      dtype: Optional[str] = None) -> Answer:
        """Sigmoid focal: sigmoid_focal_loss.

        bce_with_logits in which terms that are predicted well count less, for detection among many negatives;
        torchvision's.

            p = s(x); p_t = p y + (1 - p)(1 - y); l = alpha_t (1 - p_t)^gamma bce_with_logits(x, y), alpha_t = alpha
            y + (1 - alpha)(1 - y), 1 where alpha = -1

        Args:
            input: logits; (*).
            target: what they should be, usually 0 or 1; (*), that of input.
            alpha: weight of positive targets against 1 - alpha of the others, in [0, 1]; -1: no weights; at least
                -1 and at most 1.
            gamma: how much less well predicted terms count; 0 is no less; at least 0.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("sigmoid_focal", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"alpha": alpha, "gamma": gamma}, reduction, grad,
                              hess, dtype)

    def dice(self, input: Any, target: Any, *, weight: Any = None, smooth: float = 1e-05, batch: bool = False,
             include_background: bool = True, squared_pred: bool = False, jaccard: bool = False,
             sigmoid: bool = False, reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False,
             grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Soft Dice: DiceLoss and dice_loss.

        Of masks: 1 less twice the overlap over the total, for each channel of each sample; MONAI's. The input holds
        probabilities, and the target the mask of each channel (one-hot).

            l = w (1 - (2 sum p y + smooth) / (D + smooth)), D = sum p + sum y; squared_pred: D = sum p^2 + sum y^2;
            jaccard: 2 (D - sum p y) for D; p = x, with sigmoid 1 / (1 + exp(-x))

        Args:
            input: predicted probabilities, or logits with sigmoid; (N, C, d1, ...).
            target: what they should be, usually 0 or 1; that of input.
            weight: multiplies the terms of each channel that counts, unless only one does; mean does not divide by
                it; (C), or (C - 1) without the background (may be left out).
            smooth: added above and below, MONAI's smooth_nr and smooth_dr: empty masks do not divide 0 by 0; at
                least 0.
            batch: one term for each channel of the whole batch, in place of one for each sample's.
            include_background: whether channel 0 counts.
            squared_pred: squares below.
            jaccard: the Jaccard index, intersection over union, in place of Dice's.
            sigmoid: the input holds logits of the probabilities.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("dice", {"input": input, "target": target, "weight": weight,
                              "grad_output": grad_output, "sample_weight": sample_weight}, {"smooth": smooth,
                              "batch": batch, "include_background": include_background,
                              "squared_pred": squared_pred, "jaccard": jaccard, "sigmoid": sigmoid}, reduction,
                              grad, False, dtype)

    def log_cosh(self, input: Any, target: Any, *, reduction: Literal["mean", "sum", "none"] = "mean",
                 grad: Wanted = False, hess: Wanted = False, grad_output: Any = None, sample_weight: Any = None,
                 dtype: Optional[str] = None) -> Answer:
        """Log-cosh: LogCosh and logcosh.

        Half the squared difference near 0, the absolute one less log 2 far out, and smooth between; Keras's.

            l = log(cosh(x - y))

        Args:
            input: predictions; (*).
            target: what they should be; (*), broadcast against input.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("log_cosh", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {}, reduction, grad, hess, dtype)

    def quantile(self, input: Any, target: Any, *, q: float = 0.5,
                 reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, hess: Wanted = False,
                 grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Quantile (pinball): pinball and pinball_loss.

        Minimal where the input is the target's q-quantile: too low a prediction costs q, too high a one 1 - q,
        times the difference.

            l = max(q (y - x), (q - 1) (y - x))

        Args:
            input: predicted quantiles; (*).
            target: what was observed; (*), broadcast against input.
            q: which quantile; at least 0 and at most 1.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input" and "target") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("quantile", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"q": q}, reduction, grad, hess, dtype)

    def tweedie(self, input: Any, target: Any, *, p: float = 1.5, log_input: bool = False,
                reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, hess: Wanted = False,
                grad_output: Any = None, sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """Tweedie deviance: tweedie_deviance.

        For amounts that are often exactly 0, such as claims, between Poisson (p = 1) and gamma (p = 2). Of means it
        is scikit-learn's deviance; with log_input, of their logarithms, XGBoost's negative log likelihood.

            l = 2 [max(y, 0)^(2-p) / ((1-p)(2-p)) - y x^(1-p) / (1-p) + x^(2-p) / (2-p)]; log_input: l = -y
            exp((1-p) x) / (1-p) + exp((2-p) x) / (2-p); where these divide by 0, the limit up to a constant, as for
            p = 1 2 [y log(y/x) - y + x]

        Args:
            input: predicted means, greater than 0, or their logarithms; (*).
            target: what was observed: 0 or more with p in [1, 2), above 0 with p of 2 or more; (*), broadcast
                against input.
            p: variance power: 0 normal, 1 Poisson, 2 gamma, 3 inverse Gaussian; not between 0 and 1.
            log_input: the input holds logarithms of the means.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of input; names of tensors ("input") for just those.
            hess: True for the diagonal of the Hessian with respect to input; names for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("tweedie", {"input": input, "target": target, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"p": p, "log_input": log_input}, reduction, grad,
                              hess, dtype)

    def info_nce(self, query: Any, key: Any, *, temperature: float = 0.1,
                 reduction: Literal["mean", "sum", "none"] = "mean", grad: Wanted = False, grad_output: Any = None,
                 sample_weight: Any = None, dtype: Optional[str] = None) -> Answer:
        """InfoNCE (NT-Xent): InfoNCE, NTXentLoss and nt_xent.

        Contrastive: each query should be nearer to its own key, that of the same row, than to the keys of all other
        rows.

            s_ij = cos(q_i, k_j) / temperature; l_i = -log(exp(s_ii) / sum_j exp(s_ij))

        Args:
            query: vectors; (N, D).
            key: their positives, and negatives for all others; that of query.
            temperature: what similarities are divided by; above 0.
            reduction: "mean", "sum" or "none".
            grad: True for the gradient of query and key; names of tensors ("query" and "key") for just those.
            grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's
                shape where reduction is "none".
            sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by
                their sum.
            dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.
        """
        return self._evaluate("info_nce", {"query": query, "key": key, "grad_output": grad_output,
                              "sample_weight": sample_weight}, {"temperature": temperature}, reduction, grad, False,
                              dtype)


for _name in LOSSES:
    setattr(LossMethods, _name, naming_arguments(getattr(LossMethods, _name)))
