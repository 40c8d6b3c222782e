"""The core of both clients: builds requests from arguments, results from responses, and exceptions
from statuses."""
import json
import math
import operator
import ssl
import warnings
from http import HTTPStatus
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)
from urllib.parse import quote, urlencode

import numpy as np

from . import _base64, _safetensors
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
from ._http import RETRIED, Response, Body, Call, Server, retry_after
from ._losses import BY_NAME, LOSSES
from ._result import Result, Tensors
from ._safetensors import BFloat16
from ._table import TensorInfo
from ._version import __version__

SAFETENSORS = "application/vnd.safetensors"
JSON = "application/json"

MAX_TIMEOUT = 1e6  # seconds; longer ones mean no limit, because sockets do not support them

Certificate = Union[str, Tuple[str, str]]
Entry = Union[str, Mapping[str, Any]]  # the name of a loss, or a mapping with its fields


class Session:
    """Sends requests to a server. The arguments are those of Client."""

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
    ) -> None:
        if not isinstance(url, str):
            raise TypeError(f"the url is {url!r}; it must be a string")
        check_timeout(timeout)
        check_count("retries", retries, 0)
        check_count("connections", connections, 1)
        headers = {"User-Agent": f"lossd-python/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {checked_token(token)}"
        context = tls_context(url, verify, cafile, cert, ssl_context)
        self.url = url
        self.timeout = finite_timeout(timeout)
        self.server = Server(url, headers, retries, context, connections)

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
        path = f"/v1/losses/{loss}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        response = self.post(
            call, path, _safetensors.encode(present(loss, tensors), {}), SAFETENSORS
        )
        arrays, metadata = _safetensors.decode(response.body)
        return result(arrays, metadata, response)

    def evaluate_several(
        self, call: Call, losses: Sequence[Entry], fields: Mapping[str, Any]
    ) -> List[Result]:
        """Evaluates several losses with one request: JSON, with tensors in base64."""
        body = json.dumps(several(losses, fields, _base64.encode), default=plain).encode()
        response = self.post(call, "/v1/evaluate", [body], JSON)
        found = json_of(response, self.url)
        try:
            return [result(*_base64.decode(entry), response) for entry in found["results"]]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"invalid response to an evaluation: {error!r}", status=response.status
            ) from error

    def post(self, call: Call, path: str, body: Body, content_type: str) -> Response:
        response = self.server.request(
            "POST", path, {"Content-Type": content_type, "Accept": content_type}, body, call
        )
        return expect(response, content_type, self.url)

    def losses(self, call: Call) -> List[Dict[str, Any]]:
        response = self.server.request("GET", "/v1/losses", {"Accept": JSON}, (), call)
        found: List[Dict[str, Any]] = json_of(expect(response, JSON, self.url), self.url)["losses"]
        return found

    def close(self) -> None:
        """Closes idle connections."""
        self.server.close()

    def probe(self, call: Call, path: str) -> bool:
        """Returns True if the path returns 200, False if it returns an overload status or does not
        respond. Raises a LossdError for other statuses and for TLS errors."""
        try:
            response = self.server.request("GET", path, {}, (), call, retry=False)
        except (ConnectionFailed, DeadlineExceeded) as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise
            return False
        if response.status not in (HTTPStatus.OK, *RETRIED):
            fail(response, self.url)
        return response.status == HTTPStatus.OK


def check_timeout(timeout: Any) -> None:
    if timeout is None:
        return
    if not isinstance(timeout, (int, float, np.integer, np.floating)):
        raise TypeError(
            f"timeout is {timeout!r}; it must be a positive number, or None for no limit"
        )
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout}; it must be positive, or None for no limit")


def finite_timeout(timeout: Optional[float]) -> Optional[float]:
    return None if timeout is None or timeout > MAX_TIMEOUT else float(timeout)


def check_count(name: str, value: Any, minimum: int) -> None:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} is {value!r}; it must be an integer of at least {minimum}"
        ) from None
    if count < minimum:
        raise ValueError(f"{name} is {value}; it must be at least {minimum}")


def checked_token(token: str) -> str:
    """Returns the token without surrounding white space. Error messages do not contain it."""
    if not isinstance(token, str):
        raise TypeError(f"the token is a {type(token).__name__}; it must be a string")
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token must be one word of printable ASCII characters")
    return token


def tls_context(
    url: str,
    verify: bool,
    cafile: Optional[str],
    cert: Optional[Certificate],
    context: Optional[ssl.SSLContext],
) -> Optional[ssl.SSLContext]:
    if not url.lower().startswith("https:"):
        if not verify or cafile is not None or cert is not None or context is not None:
            raise ValueError(
                "the url is not https, which verify, cafile, cert and ssl_context require"
            )
        return None
    if context is not None:
        if not verify or cafile is not None or cert is not None:
            raise ValueError("ssl_context and verify, cafile or cert are mutually exclusive")
        return context
    if not verify and cafile is not None:
        raise ValueError("cafile and verify=False are mutually exclusive")
    context = ssl.create_default_context(cafile=cafile)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


def fields_of(
    loss: str,
    parameters: Mapping[str, Any],
    reduction: str,
    grad: Any,
    hess: Any,
    dtype: Optional[str],
    part: Mapping[str, Any],
) -> Dict[str, str]:
    """Returns the fields of a request other than tensors, as text."""
    return {
        **changed(loss, parameters),
        **common(reduction, grad, hess, dtype),
        **{name: text(name, value) for name, value in part.items() if is_set(value)},
    }


def present(loss: str, tensors: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns the tensors that are not None."""
    return {
        name: as_needed(LOSSES[loss].tensor(name), tensor)
        for name, tensor in tensors.items()
        if tensor is not None
    }


def as_needed(info: Optional[TensorInfo], tensor: Any) -> Any:
    """Converts integers without a declared dtype, such as lists, to floats if the loss takes real
    numbers there."""
    declared = getattr(tensor, "dtype", object) != object and not is_extension(tensor.dtype)
    if info is None or info.kind != "real" or declared or isinstance(tensor, BFloat16):
        return tensor
    numbers = _safetensors.array_of(info.name, tensor)
    return numbers.astype(np.float64) if numbers.dtype.kind in "biu" else numbers


def is_extension(dtype: Any) -> bool:
    """Returns True for dtypes of pandas such as Int64, which NumPy converts to objects."""
    return type(dtype).__module__.startswith("pandas.") and hasattr(dtype, "na_value")


Encode = Callable[[str, Any], Any]  # of a tensor, by its name and array


def several(
    losses: Sequence[Entry], fields: Mapping[str, Any], encode: Encode, others: Iterable[str] = ()
) -> Dict[str, Any]:
    """Builds the body of a request for several losses: `fields` apply to all, fields of an entry
    only to it. `others` are names of tensors of other losses, to be encoded like tensors."""
    if isinstance(losses, (str, Mapping)):
        raise TypeError(
            f"losses is {losses!r}; it must be a sequence of names, or of mappings with a \"loss\""
        )
    entries = [entry_of(place, entry) for place, entry in enumerate(losses)]
    tensors: Dict[str, Optional[TensorInfo]] = dict.fromkeys(
        ("grad_output", "sample_weight", *others)
    )
    for entry in entries:
        if entry.get("loss") in BY_NAME:
            tensors.update({info.name: info for info in BY_NAME[entry["loss"]].tensors})
    own = [
        {name: field(name, value, tensors, encode) for name, value in entry.items()}
        for entry in entries
    ]
    shared = {
        name: field(name, value, tensors, encode)
        for name, value in fields.items()
        if value is not None
    }
    return {**shared, "losses": own, "encoding": "base64"}


def entry_of(place: int, entry: Any) -> Dict[str, Any]:
    if isinstance(entry, str):
        return {"loss": entry}
    if not isinstance(entry, Mapping):
        raise TypeError(
            f"losses[{place}] is {entry!r}; it must be a name, or a mapping with a \"loss\""
        )
    return dict(entry)


def field(
    name: str, value: Any, tensors: Mapping[str, Optional[TensorInfo]], encode: Encode
) -> Any:
    """Converts a field to JSON. None in an entry overrides a shared field."""
    if name in tensors and value is not None:
        return encode(name, as_needed(tensors[name], value))
    if value is None or name == "loss":
        return value
    if name == "dtype":
        return dtype_name(value)
    if name in ("grad", "hess"):
        return derivative_names(name, value)
    if getattr(value, "ndim", None) == 0:
        value = value.item()  # of NumPy or PyTorch
    if isinstance(value, float) and not math.isfinite(value):
        return text(name, value)  # JSON has no NaN and infinities
    if isinstance(value, (bool, int, float, str, list, tuple, dict)):
        return value  # the server checks it; it may have newer losses
    return _base64.encode(name, value)


def plain(value: Any) -> Any:
    """Converts NumPy scalars for json.dumps."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{_safetensors.shortened(value)} is not a number")


def derivative_names(name: str, asked: Any) -> Union[bool, List[str]]:
    """Normalizes grad or hess: True for all predictions, a list of tensor names, or False."""
    if asked is None or isinstance(asked, (bool, np.bool_)):
        return bool(asked)
    if isinstance(asked, str):
        return [asked] if asked else False
    if not isinstance(asked, Iterable) or not all(isinstance(tensor, str) for tensor in asked):
        raise TypeError(
            f"{name} is {asked!r}; it must be True, False, a tensor name, or a list of tensor names"
        )
    return [str(tensor) for tensor in asked] or False


def dtype_name(dtype: Any) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        raise TypeError(f"dtype is {dtype!r}; it must be \"float32\" or \"float64\"") from None


def changed(loss: str, parameters: Mapping[str, Any]) -> Dict[str, str]:
    """Returns the parameters that differ from their defaults, so that older servers accept requests
    without newer parameters."""
    defaults = dict(LOSSES[loss].parameters)
    return {
        name: text(name, value)
        for name, value in parameters.items()
        if text(name, value) != text(name, defaults[name])
    }


def common(reduction: str, grad: Any, hess: Any, dtype: Optional[str]) -> Dict[str, str]:
    fields = {"reduction": reduction} if reduction != "mean" else {}
    for name, asked in (
        ("grad", derivative_names("grad", grad)),
        ("hess", derivative_names("hess", hess)),
    ):
        if asked:
            fields[name] = "true" if asked is True else ",".join(asked)
    if dtype is not None:
        fields["dtype"] = dtype_name(dtype)
    return fields


def is_set(value: Any) -> bool:
    return value is not None and value is not False


def text(name: str, value: Any) -> str:
    """Formats a parameter for the query."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    try:
        return str(operator.index(value))
    except TypeError:
        pass
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} is {value!r}; it must be a number, a boolean or a string"
        ) from None
    if math.isnan(number):
        return "NaN"
    return repr(number) if math.isfinite(number) else "Infinity" if number > 0 else "-Infinity"


def expect(response: Response, content_type: str, url: str) -> Response:
    """Returns the response if it is 200 with this content type; raises otherwise."""
    if response.status != HTTPStatus.OK:
        fail(response, url)
    found = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if found != content_type:
        raise ProtocolError(
            f"{url} returned {found or 'no Content-Type'} instead of {content_type}; is it lossd?",
            status=response.status,
        )
    return response


def json_of(response: Response, url: str) -> Any:
    try:
        return json.loads(response.body.tobytes())
    except ValueError as error:
        raise ProtocolError(
            f"{url} returned invalid JSON: {error}", status=response.status
        ) from error


def fail(response: Response, url: str) -> NoReturn:
    """Raises the exception for the status of a response."""
    status = response.status
    problem: Dict[str, Any] = {}
    if response.headers.get_content_type().endswith("json"):
        found = json_of(response, url)
        problem = found if isinstance(found, dict) else {}
    moved = (
        f", to {response.headers['Location']}; use that URL"
        if "Location" in response.headers
        else ""
    )
    detail = problem.get("detail") or f"{url} returned {status} {status_phrase(status)}{moved}"
    raise failure(
        status,
        detail,
        retry_after=retry_after(response.headers),
        pointer=problem.get("pointer"),
        offset=problem.get("offset"),
        request_id=response.headers.get("X-Request-Id"),
    )


def failure(
    status: int, detail: str, retry_after: Optional[float] = None, **where: Any
) -> LossdError:
    """Returns the exception for a status."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AccessDenied(detail, status=status, **where)
    if status in RETRIED or status == HTTPStatus.REQUEST_TIMEOUT:
        return Unavailable(detail, status=status, retry_after=retry_after, **where)
    if 400 <= status < 500:
        return InvalidRequest(detail, status=status, **where)
    if status >= 500:
        return ServerError(detail, status=status, **where)
    return ProtocolError(detail, status=status, **where)


def status_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(unknown status)"


def timing(header: str) -> Dict[str, float]:
    """Parses Server-Timing: milliseconds by name."""
    times = {}
    for entry in header.split(","):
        name, *fields = (part.strip() for part in entry.split(";"))
        for field in fields:
            if field.startswith("dur="):
                try:
                    times[name] = float(field[4:])
                except ValueError:
                    continue
    return times


def result(
    arrays: Mapping[str, "np.ndarray[Any, Any]"], metadata: Mapping[str, str], response: Response
) -> Result:
    try:
        loss = arrays["loss"]
        reduction = metadata["reduction"]
        return Result(
            loss=loss if reduction == "none" else float(loss),
            grad=Tensors(named(arrays, "grad_"), "grad"),
            hess=Tensors(named(arrays, "hess_"), "hess"),
            count=int(metadata["count"]),
            nonfinite=int(metadata.get("nonfinite", 0)),
            warnings=metadata["warnings"].split("\n") if "warnings" in metadata else [],
            reduction=reduction,
            dtype=metadata["dtype"],
            timing=timing(response.headers.get("Server-Timing", "")),
            request_id=response.headers.get("X-Request-Id", ""),
            partial=json.loads(metadata["partial"]) if "partial" in metadata else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ProtocolError(
            f"incomplete or invalid response: {error!r}", status=response.status
        ) from error


def named(
    arrays: Mapping[str, "np.ndarray[Any, Any]"], prefix: str
) -> Dict[str, "np.ndarray[Any, Any]"]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def warn(messages: Sequence[str], stacklevel: int) -> None:
    """Issues warnings of the server as Python warnings of the calling line."""
    for message in messages:
        warnings.warn(message, LossdWarning, stacklevel=stacklevel + 1)
