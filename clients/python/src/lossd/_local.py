"""Evaluations in this process, with the library of _library.py: the counterpart of _session.py."""
import array
import functools
import json
import operator
import os
import ssl
import sys
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple
from urllib.parse import quote, urlencode

import numpy as np

from . import _library, _safetensors
from ._http import Call
from ._losses import LOSSES
from ._result import Result, Tensors
from ._session import (
    Certificate,
    Entry,
    check_count,
    check_timeout,
    failure,
    fields_of,
    finite_timeout,
    plain,
    present,
    several,
)

URL = "local:"
MAX_THREADS = 1024
# Estimated costs, in nanoseconds of one core. Up to the first, another thread would cost more than
# it saves. Up to the second, a call is short enough to ignore timeouts and interrupts.
SMALL_WORK, SHORT_WORK = 200_000, 10_000_000
WAIT = 0.1  # seconds between checks for a timeout or an interrupt
FLOATS = {_library.DTYPES["F32"]: "float32", _library.DTYPES["F64"]: "float64"}
TENSOR_NAMES = {tensor.name for info in LOSSES.values() for tensor in info.tensors}


class LocalSession:
    """Evaluates in this process. The arguments are those of Client."""

    def __init__(
        self,
        url: str,
        token: Optional[str],
        timeout: Optional[float],
        retries: int,
        verify: bool,
        cafile: Optional[str],
        cert: Optional[Certificate],
        ssl_context: Optional[ssl.SSLContext],
        connections: int,
        threads: Optional[int],
    ) -> None:
        check_timeout(timeout)
        check_count("retries", retries, 0)
        check_count("connections", connections, 1)
        for name, is_given in (
            ("token", token is not None),
            ("verify", not verify),
            ("cafile", cafile is not None),
            ("cert", cert is not None),
            ("ssl_context", ssl_context is not None),
        ):
            if is_given:
                raise ValueError(f"the url is {URL}, without a server, which {name} requires")
        if threads is not None:
            check_count("threads", threads, 1)
            if threads > MAX_THREADS:
                raise ValueError(f"threads is {threads}; it must be at most {MAX_THREADS}")
        self.url = URL
        self.timeout = finite_timeout(timeout)
        self.threads = None if threads is None else operator.index(threads)
        self._library = _library.library()

    def call(self) -> Call:
        return Call(self.timeout)

    def evaluate(
        self,
        call: Call,
        loss: str,
        tensors: Mapping[str, Any],
        parameters: Mapping[str, Any],
        reduction: str,
        grad: Any,
        hess: Any,
        dtype: Optional[str],
        part: Mapping[str, Any],
    ) -> Result:
        query = fields_of(loss, parameters, reduction, grad, hess, dtype, part)
        operands = Operands()
        for name, value in present(loss, tensors).items():
            operands.add(name, value)
        error = _library.Error()
        planned = self._library.lossd_local_plan(
            loss.encode(),
            query_text(tuple(query.items())),
            operands.described(),
            error,
        )
        return self._finish(call, planned, error)[0]

    def evaluate_several(
        self, call: Call, losses: Sequence[Entry], fields: Mapping[str, Any]
    ) -> List[Result]:
        operands = Operands()
        request = several(losses, fields, operands.add, TENSOR_NAMES)
        body = json.dumps(request, default=plain).encode()
        error = _library.Error()
        planned = self._library.lossd_local_plan_several(
            body, len(body), operands.described(), error
        )
        return self._finish(call, planned, error)

    def losses(self, call: Call) -> List[Dict[str, Any]]:
        text = self._library.lossd_local_losses()
        if text is None:
            raise MemoryError
        found: List[Dict[str, Any]] = json.loads(text)["losses"]
        return found

    def probe(self, call: Call, path: str) -> bool:
        """Returns True: the library is loaded."""
        return True

    def close(self) -> None:
        """Nothing is kept open."""

    def _finish(self, call: Call, planned: Any, error: _library.Error) -> List[Result]:
        """Runs a planned call and frees it."""
        if not planned:
            fail(error)
        shown = planned.contents
        try:
            arrays = allocate(shown)
            if self._run(call, planned, shown.work) == _library.FAILED:
                fail(shown.error)
            return [result_of(shown, place, *arrays[place]) for place in range(shown.losses)]
        finally:
            self._library.lossd_local_free(planned)  # waits for the threads that use the arrays

    def _run(self, call: Call, planned: Any, work: int) -> int:
        """Returns SUCCEEDED or FAILED. Raises if the call is cancelled or exceeds its timeout."""
        threads = 1 if work <= SMALL_WORK else self.threads or default_threads()
        if work <= (SMALL_WORK if threads > 1 else SHORT_WORK):
            state: int = self._library.lossd_local_run(planned)
            return state
        state = self._library.lossd_local_start(planned, threads, milliseconds(call))
        while state == _library.RUNNING:  # Python raises KeyboardInterrupt between the calls
            state = self._library.lossd_local_wait(planned, milliseconds(call))
        return state


def milliseconds(call: Call) -> int:
    """Returns how long to wait before the next check. Raises if the deadline has passed."""
    left = call.remaining()
    return int(1000 * (WAIT if left is None else min(left, WAIT))) + 1


class Operands:
    """The tensors of a request. Keeps their arrays."""

    def __init__(self) -> None:
        self._names: List[str] = []
        self._arrays: List[Any] = []
        self._numbers = array.array("q")

    def add(self, name: str, value: Any) -> int:
        """Adds a tensor. Returns its index."""
        dtype, numbers = _safetensors.encodable(name, value)
        strides = numbers.strides
        if any(stride % numbers.itemsize for stride in strides):  # a field of a structured array
            numbers = numbers.copy()
            strides = numbers.strides
        self._numbers.extend(
            (address(numbers), _library.DTYPES[dtype], numbers.ndim, *numbers.shape, *strides)
        )
        self._names.append(name)
        self._arrays.append(numbers)
        return len(self._names) - 1

    def described(self) -> _library.Operands:
        """Returns the description for the library, which refers to this object."""
        names = "\0".join(self._names).encode()
        return _library.Operands(names, self._numbers.buffer_info()[0], len(self._names))


def address(numbers: "np.ndarray[Any, Any]") -> int:
    found: int = numbers.__array_interface__["data"][0]
    return found


@functools.lru_cache(maxsize=256)
def query_text(fields: Tuple[Tuple[str, str], ...]) -> bytes:
    return urlencode(fields, quote_via=quote).encode()


Arrays = Dict[str, Any]  # by the name of a tensor


def allocate(shown: _library.Call) -> List[Tuple[Arrays, Arrays, Arrays]]:
    """Allocates the outputs: for each loss, the terms (named ""), gradients and Hessians."""
    arrays: List[Tuple[Arrays, Arrays, Arrays]] = [({}, {}, {}) for _ in range(shown.losses)]
    for place in range(shown.outputs):
        output = shown.output[place]
        written = np.empty(output.shape[: output.rank], FLOATS[output.dtype])
        output.data = address(written)
        arrays[output.loss][output.kind][output.name.decode()] = written
    return arrays


def result_of(
    shown: _library.Call, place: int, terms: Arrays, grad: Arrays, hess: Arrays
) -> Result:
    """Builds the result of the loss at `place`."""
    result = shown.result[place]
    facts = json.loads(result.facts.decode())
    return Result(
        loss=terms.get("", result.loss),
        grad=Tensors(grad, "grad"),
        hess=Tensors(hess, "hess"),
        count=facts["count"],
        nonfinite=facts.get("nonfinite", 0),
        warnings=facts.get("warnings", []),
        reduction=facts["reduction"],
        dtype=facts["dtype"],
        timing={"compute": shown.milliseconds},
        request_id="",
        partial=facts.get("partial"),
    )


def fail(error: _library.Error) -> NoReturn:
    pointer = error.pointer.decode("utf-8", "replace") or None
    raise failure(error.status, error.message.decode("utf-8", "replace"), pointer=pointer)


def default_threads() -> int:
    """Returns PyTorch's number of threads if it is imported, else the first number of
    $OMP_NUM_THREADS, else the number of CPUs that the process may use."""
    count = getattr(sys.modules.get("torch"), "get_num_threads", None)
    if count is not None:
        return min(int(count()), MAX_THREADS)
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return min(int(wanted), MAX_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MAX_THREADS)
    return min(os.cpu_count() or 1, MAX_THREADS)
