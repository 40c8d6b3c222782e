"""lossd.torch against torch.nn: constructors, values, gradients."""
import contextlib
import copy
import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import lossd
from conftest import ROOT, need
from fake import Fake, answer

torch = need("torch")
import lossd.torch as remote  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

pytestmark = pytest.mark.usefixtures("default_client")

N, C = 4, 3


def real(*shape, low=-2.0, high=2.0, seed=1):
    return torch.as_tensor(np.random.default_rng(seed).uniform(low, high, shape))


def signs(*shape):
    return torch.as_tensor(np.where(np.random.default_rng(5).uniform(size=shape) < 0.5, -1.0, 1.0))


LABELS = torch.tensor([2, 0, 1, 0])
X, Y = real(N, C), real(N, C, seed=2)
PROBABILITIES, OTHER_PROBABILITIES = real(N, C, low=0.05, high=0.95), real(
    N, C, low=0.05, high=0.95, seed=2
)
WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
TRIPLET = (X, Y, real(N, C, seed=3))
CTC = (
    real(5, 2, C + 1).log_softmax(2),
    torch.tensor([[1, 2, 1], [3, 3, 0]]),
    torch.tensor([5, 5]),
    torch.tensor([3, 2]),
)

# Constructor arguments and operands of each class.
CASES = [
    ("MSELoss", {}, (X, Y)),
    ("MSELoss", {}, (X, real(C))),
    ("L1Loss", {}, (X, Y)),
    ("SmoothL1Loss", {"beta": 0.7}, (X, Y)),
    ("HuberLoss", {"delta": 0.7}, (X, Y)),
    ("BCELoss", {"weight": WEIGHT}, (PROBABILITIES, OTHER_PROBABILITIES)),
    ("BCEWithLogitsLoss", {"weight": WEIGHT, "pos_weight": WEIGHT + 1}, (X, OTHER_PROBABILITIES)),
    (
        "CrossEntropyLoss",
        {"weight": WEIGHT, "ignore_index": 1, "label_smoothing": 0.2},
        (X, LABELS),
    ),
    ("CrossEntropyLoss", {"label_smoothing": 0.2}, (X, OTHER_PROBABILITIES)),
    ("CrossEntropyLoss", {}, (real(2, C, 2), LABELS.reshape(2, 2))),
    ("NLLLoss", {"weight": WEIGHT, "ignore_index": 2}, (X, LABELS)),
    ("KLDivLoss", {}, (X, OTHER_PROBABILITIES)),
    ("KLDivLoss", {"log_target": True}, (X, Y)),
    ("HingeEmbeddingLoss", {"margin": 0.8}, (X, signs(N, C))),
    ("CosineEmbeddingLoss", {"margin": 0.1}, (X, Y, signs(N))),
    (
        "PoissonNLLLoss",
        {"log_input": False, "full": True, "eps": 1e-6},
        (PROBABILITIES, 3 * OTHER_PROBABILITIES),
    ),
    ("PoissonNLLLoss", {}, (X, OTHER_PROBABILITIES)),
    ("GaussianNLLLoss", {"full": True, "eps": 1e-5}, (X, Y, PROBABILITIES)),
    ("MarginRankingLoss", {"margin": 0.3}, (real(N), real(N, seed=2), signs(N))),
    ("SoftMarginLoss", {}, (X, signs(N, C))),
    ("MultiMarginLoss", {"p": 2, "margin": 0.9, "weight": WEIGHT}, (X, LABELS)),
    (
        "MultiLabelMarginLoss",
        {},
        (X, torch.tensor([[2, 0, -1], [1, -1, 0], [-1, 0, 0], [0, 1, 2]])),
    ),
    ("MultiLabelSoftMarginLoss", {"weight": WEIGHT}, (X, OTHER_PROBABILITIES)),
    ("TripletMarginLoss", {"margin": 0.7, "p": 3, "eps": 1e-5, "swap": True}, TRIPLET),
    ("TripletMarginWithDistanceLoss", {"margin": 5.0, "swap": True}, TRIPLET),
    (
        "TripletMarginWithDistanceLoss",
        {"margin": 5.0, "distance_function": nn.PairwiseDistance(3.0, eps=1e-3)},
        TRIPLET,
    ),
    ("TripletMarginWithDistanceLoss", {"distance_function": remote.cosine_distance}, TRIPLET),
    ("CTCLoss", {"blank": 0, "zero_infinity": True}, CTC),
    ("CTCLoss", {"blank": 0}, (CTC[0], CTC[1], (5, 5), (3, 2))),
]
THEIRS = [name for name in remote.MODULES if hasattr(nn, name)]
REDUCTIONS = ["mean", "sum", "none"]


@contextlib.contextmanager
def quiet():
    """Ignores the warnings of torch and lossd about broadcast targets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def case_id(value):
    return value if isinstance(value, str) else None


def leaves(name, operands):
    """Returns the operands, with differentiable ones as leaves, and those leaves."""
    info = remote.MODULES[name].info
    required = [tensor for tensor in info.tensors if not tensor.optional]
    copies = [
        (
            operand.clone().requires_grad_()
            if tensor.differentiable and torch.is_tensor(operand) and operand.is_floating_point()
            else operand
        )
        for tensor, operand in zip(required, operands)
    ]
    return copies, [copied for copied in copies if torch.is_tensor(copied) and copied.requires_grad]


def test_every_loss_of_torch_is_compared():
    losses = {
        name
        for name, value in vars(nn).items()
        if name.endswith("Loss") and isinstance(value, type)
    }
    # NLLLoss2d is an old name of NLLLoss; the adaptive softmax has trainable parameters.
    assert (
        losses - {"NLLLoss2d", "AdaptiveLogSoftmaxWithLoss"}
        == set(THEIRS)
        == {name for name, _, _ in CASES}
    )
    covered = {remote.MODULES[name].info.name for name in remote.MODULES}
    assert covered == set(lossd.LOSSES)


def only_in_newer_versions(info, signature):
    """Optional tensors that this version of torch does not have, such as the weight of mse."""
    return [
        tensor.name
        for tensor in info.tensors
        if tensor.optional and tensor.name not in signature.parameters
    ]


@pytest.mark.parametrize("name", THEIRS)
def test_constructors_equal_those_of_torch(name):
    theirs, ours = inspect.signature(getattr(nn, name)), inspect.signature(remote.MODULES[name])
    own, lacking = list(theirs.parameters.values()), only_in_newer_versions(
        remote.MODULES[name].info, theirs
    )
    assert (
        list(ours.parameters.values())[: -1 - len(lacking)] == own
        and list(ours.parameters)[len(own) : -1] == lacking
    )
    assert (
        list(ours.parameters)[-1] == "client"
        and ours.parameters["client"].kind is inspect.Parameter.KEYWORD_ONLY
    )
    assert (
        issubclass(remote.MODULES[name], getattr(nn, name))
        and remote.MODULES[name].__name__ == name
    )
    assert repr(remote.MODULES[name]()) == repr(getattr(nn, name)())


@pytest.mark.parametrize("name, arguments, operands", CASES, ids=case_id)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_values_and_gradients_equal_those_of_torch(name, arguments, operands, reduction):
    results = []
    for module in (remote.MODULES[name], getattr(nn, name)):
        copies, wanted = leaves(name, operands)
        with quiet():
            loss = module(**arguments, reduction=reduction)(*copies)
            upstream = torch.linspace(0.5, 2, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
            results.append((loss.detach(), *torch.autograd.grad(loss, wanted, upstream)))
    for ours, theirs in zip(*results):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name, arguments, operands", CASES, ids=case_id)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradcheck(name, arguments, operands, reduction):
    copies, wanted = leaves(name, operands)
    module = remote.MODULES[name](**arguments, reduction=reduction)

    def loss(*values):
        values = iter(values)
        filled = [
            next(values) if torch.is_tensor(copied) and copied.requires_grad else copied
            for copied in copies
        ]
        if name == "CTCLoss":  # in torch too, the gradient includes that of log_softmax
            filled[0] = filled[0].log_softmax(2)
        return module(*filled)

    with quiet():
        assert torch.autograd.gradcheck(loss, wanted, fast_mode=reduction == "none")


OTHERS = [
    ("SigmoidFocalLoss", {"alpha": 0.4, "gamma": 1.5}, (X, OTHER_PROBABILITIES)),
    (
        "DiceLoss",
        {"smooth": 0.5},
        (PROBABILITIES.reshape(2, 2, -1), OTHER_PROBABILITIES.reshape(2, 2, -1)),
    ),
    ("LogCosh", {}, (X, Y)),
    ("QuantileLoss", {"q": 0.3}, (X, Y)),
    ("TweedieLoss", {"p": 1.3, "log_input": True}, (X, OTHER_PROBABILITIES)),
    ("InfoNCE", {"temperature": 0.5}, (X, Y)),
    ("NTXentLoss", {}, (X, Y)),
]


@pytest.mark.parametrize("name, arguments, operands", OTHERS, ids=case_id)
def test_other_losses(name, arguments, operands):
    copies, wanted = leaves(name, operands)
    module = remote.MODULES[name](**arguments)
    assert torch.autograd.gradcheck(lambda *values: module(*values, *copies[len(values) :]), wanted)
    assert all(f"{argument}={value!r}" in repr(module) for argument, value in arguments.items())
    with pytest.raises(TypeError):
        remote.MODULES[name](nonsense=1)


def test_all_losses_are_included():
    assert {name for name, _, _ in CASES + OTHERS} == set(remote.MODULES)


@pytest.mark.parametrize("name", remote.functional.__all__)
def test_functions_equal_those_of_torch(name):
    ours = getattr(remote.functional, name)
    assert ours.__name__ == name and ours.__module__ == "lossd.torch.functional" and ours.__doc__
    if hasattr(F, name):
        theirs = inspect.signature(getattr(F, name))
        info = next(
            module.info
            for module in remote.MODULES.values()
            if name in (module.info.name, *module.info.aliases)
        )
        lacking = only_in_newer_versions(info, theirs)
        parameters = list(inspect.signature(ours).parameters.values())
        assert parameters[: len(theirs.parameters)] == list(theirs.parameters.values())
        assert [parameter.name for parameter in parameters[len(theirs.parameters) :]] == [
            *lacking,
            "client",
        ]


@pytest.mark.parametrize("name", sorted(remote.MODULES))
def test_unknown_arguments_of_modules_are_errors(name):
    module = remote.MODULES[name]
    with pytest.raises(
        TypeError,
        match=(
            f"{name}: got an unexpected keyword argument 'nonsense'; it takes .*reduction.*, client"
        ),
    ):
        module(nonsense=1)
    with pytest.raises(TypeError, match=f"{name}: too many positional arguments; it takes "):
        module(*[None] * 12)
    with pytest.raises(
        TypeError, match=f"{name}.forward: got an unexpected keyword argument 'nonsense'; it takes "
    ):
        module()(X, nonsense=1)
    with pytest.raises(TypeError, match=f"{name}.forward: too many positional arguments"):
        module()(*[X] * 6)


@pytest.mark.parametrize("name", remote.functional.__all__)
def test_unknown_arguments_of_functions_are_errors(name):
    function = getattr(remote.functional, name)
    with pytest.raises(
        TypeError,
        match=(
            f"{name}: got an unexpected keyword argument 'nonsense'; it takes .*reduction.*, client"
        ),
    ):
        function(X, X, nonsense=1)
    with pytest.raises(TypeError, match=f"{name}: too many positional arguments; it takes "):
        function(*[X] * 16)
    with pytest.raises(TypeError, match=f"{name}: missing a required argument"):
        function()


NEWER_TORCH = """
import sys, torch, torch.nn.functional as F
old = F.{function}
def newer(input, target, size_average=None, reduce=None, reduction="mean", {argument}=None):
    return old(input, target, reduction=reduction)
F.{function} = newer
import lossd, lossd.torch.functional as L
lossd.set_default_client(lossd.Client(sys.argv[1]))
x, y = torch.tensor([.5, 2.5, 2.]), torch.tensor([0., 2., 1.])
assert L.{function}(x, y, {argument}=None) == L.{function}(x, y)
try:
    print(L.{function}(x, y, {argument}=torch.tensor([1., 2., .5])).item())
except TypeError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "function, argument",
    [("mse_loss", "weight"), ("l1_loss", "weight"), ("soft_margin_loss", "temperature")],
)
def test_arguments_of_newer_torch_are_used_or_rejected(url, function, argument):
    program = NEWER_TORCH.format(function=function, argument=argument)
    done = subprocess.run(
        [sys.executable, "-B", "-W", "ignore", "-c", program, url],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": str(ROOT / "clients/python/src")},
    )
    if argument == "weight" and lossd.LOSSES[function.partition("_")[0]].tensor("weight"):
        weights, differences = np.array([1, 2, 0.5]), np.array([0.5, 0.5, 1])
        assert float(done.stdout) == pytest.approx(
            np.average(differences ** (2 if function == "mse_loss" else 1), weights=weights)
        )
    else:
        assert done.stdout.startswith(
            f"{function}: the server does not support the argument '{argument}'; it takes input,"
            " target, "
        ), done


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in THEIRS
        if only_in_newer_versions(remote.MODULES[name].info, inspect.signature(getattr(nn, name)))
    ],
)
def test_tensors_of_newer_torch_are_buffers(name):
    module = remote.MODULES[name](weight=torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    assert list(module.state_dict()) == ["weight"]
    function = getattr(
        remote.functional,
        next(alias for alias in module.info.aliases if alias in remote.functional.__all__),
    )
    weight = torch.broadcast_to(module.weight, X.shape)
    assert (
        remote.MODULES[name](weight=weight)(X, Y)
        == function(X, Y, weight=weight)
        != remote.MODULES[name]()(X, Y)
    )


def test_client_must_be_a_client():
    for ask in (
        lambda: remote.MSELoss(client="http://host"),
        lambda: remote.functional.mse_loss(X, Y, client="http://host"),
    ):
        with pytest.raises(TypeError, match="client is 'http://host'; it must be a lossd.Client"):
            ask()


def test_tensors_are_sent_without_conversion(url):
    with lossd.Client(url) as client:
        for tensor in (X.clone().requires_grad_(), X.bfloat16(), X.half(), X._neg_view(), X.t()):
            expected = (tensor.detach().double() ** 2).mean().item()
            zeros = torch.zeros(tensor.shape)
            assert client.mse(tensor, zeros).loss == pytest.approx(expected, rel=1e-6)
            assert client.evaluate(["mse"], input=tensor, target=zeros)[0].loss == pytest.approx(
                expected, rel=1e-6
            )


def test_pickled_modules_use_the_same_server(url):
    program = (
        "import pickle, sys, torch; print(pickle.load(sys.stdin.buffer)(torch.tensor([1.0]),"
        " torch.tensor([3.0])).item())"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        input=pickle.dumps(remote.MSELoss()),
        capture_output=True,
        timeout=120,
        env={"PYTHONPATH": str(ROOT / "clients/python/src"), "LOSSD_URL": "http://127.0.0.1:1"},
    )
    assert done.stdout == b"4.0\n", done.stderr
    assert (
        copy.deepcopy(remote.MSELoss()).client is None
        and copy.copy(remote.MSELoss()).client is None
    )


@pytest.mark.parametrize("name, arguments, operands", CASES + OTHERS, ids=case_id)
def test_functions_equal_modules(name, arguments, operands):
    function = next(
        alias
        for alias in [remote.MODULES[name].info.name, *remote.MODULES[name].info.aliases]
        if alias in remote.functional.__all__
    )
    if name == "TripletMarginWithDistanceLoss":
        function = "triplet_margin_with_distance_loss"
    copies, wanted = leaves(name, operands)
    with quiet():
        ours = getattr(remote.functional, function)(*copies, **arguments)
        theirs = remote.MODULES[name](**arguments)(*copies)
    assert ours == theirs
    for mine, other in zip(torch.autograd.grad(ours, wanted), torch.autograd.grad(theirs, wanted)):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_are_kept(dtype):
    x, y = X.clone().to(dtype).requires_grad_(), Y.to(dtype)
    for reduction in REDUCTIONS:
        loss = remote.HuberLoss(reduction=reduction)(x, y)
        loss.backward(torch.ones_like(loss))
        assert loss.dtype == x.grad.dtype == dtype
        torch.testing.assert_close(
            loss,
            nn.HuberLoss(reduction=reduction)(x.double(), y.double()).to(dtype),
            rtol=1e-2,
            atol=1e-2,
        )


def test_mixed_dtypes_use_the_wider():
    x, y = X.float().detach().requires_grad_(), Y.clone().requires_grad_()
    loss = remote.MSELoss()(x, y)
    loss.backward()
    assert (loss.dtype, x.grad.dtype, y.grad.dtype) == (torch.float64, torch.float32, torch.float64)
    assert remote.MSELoss()(X.float(), torch.ones(N, C, dtype=torch.int64)).dtype == torch.float32


def test_tensors_that_are_not_contiguous():
    x = X.t().detach().requires_grad_()
    loss = remote.MSELoss()(x, Y.t())
    loss.backward()
    torch.testing.assert_close(x.grad, 2 * (X - Y).t() / X.numel())


def test_only_needed_gradients_are_requested():
    with Fake(*[answer()] * 3) as server:
        module = remote.MSELoss(client=lossd.Client(server.url, retries=0))
        x, y = torch.zeros(2), torch.zeros(2)
        assert not module(x, y).requires_grad
        with torch.no_grad():
            assert not module(x.requires_grad_(), y).requires_grad
        loss = module(x.requires_grad_(), y)
        (2 * loss).backward()  # one request per call: backward only multiplies
        assert x.grad.tolist() == [2, 4]
        module.client.close()
    assert [line.split()[1].partition("?")[2] for line, _, _ in server.requests] == [
        "dtype=float32",
        "dtype=float32",
        "grad=input&dtype=float32",
    ]


def test_deprecated_reduction_arguments():
    with quiet():
        assert remote.MSELoss(size_average=False).reduction == "sum"
        assert remote.functional.mse_loss(X, Y, size_average=False) == remote.functional.mse_loss(
            X, Y, reduction="sum"
        )


def test_unsupported_distance_functions():
    for function in (lambda x, y: (x - y).abs().sum(-1), nn.PairwiseDistance(keepdim=True)):
        with pytest.raises(ValueError, match="which the server does not support"):
            remote.TripletMarginWithDistanceLoss(distance_function=function)
        with pytest.raises(ValueError, match="which the server does not support"):
            remote.functional.triplet_margin_with_distance_loss(
                *TRIPLET, distance_function=function
            )


def test_invalid_requests_are_value_errors():
    with pytest.raises(ValueError, match="class indices must be in"):
        remote.CrossEntropyLoss()(X, LABELS + 9)
    with pytest.raises(ValueError, match="only p == 1 and p == 2 supported"):
        remote.MultiMarginLoss(p=3)
    with pytest.raises(ValueError, match="bce has no gradient with respect to weight"):
        remote.BCELoss(weight=WEIGHT.clone().requires_grad_())(
            PROBABILITIES, OTHER_PROBABILITIES
        ).backward()


def test_second_derivatives_are_errors():
    x = X.clone().requires_grad_()
    for reduction in REDUCTIONS:
        with pytest.raises(RuntimeError, match="does not support second derivatives"):
            torch.autograd.grad(
                remote.MSELoss(reduction=reduction)(x, Y).sum(), x, create_graph=True
            )


def test_modules_can_be_saved_and_moved(url):
    module = remote.CrossEntropyLoss(weight=WEIGHT.float(), client=lossd.Client(url, timeout=9))
    assert list(module.state_dict()) == ["weight"]
    double = copy.deepcopy(module).double()
    assert (
        double.weight.dtype == torch.float64
        and double.client is not module.client
        and double.client.url == url
    )
    assert pickle.loads(pickle.dumps(module))(X.float(), LABELS) == module(X.float(), LABELS)
    torch.testing.assert_close(
        module(X.float(), LABELS), nn.CrossEntropyLoss(WEIGHT.float())(X.float(), LABELS)
    )


def test_training():
    """Compares torch and lossd step by step."""
    paths = []
    for criterion in (
        remote.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(label_smoothing=0.1),
    ):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(C, 8), nn.Tanh(), nn.Linear(8, C))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        losses = []
        for _ in range(50):
            optimizer.zero_grad()
            loss = criterion(model(X.float()), LABELS)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        paths.append(losses)
    np.testing.assert_allclose(*paths, rtol=1e-4)
    assert paths[0][-1] < 0.7 * paths[0][0]
