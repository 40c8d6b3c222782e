"""The synchronous client."""
import copy
import os
import ssl
from typing import Any, Dict, List, Mapping, Optional, Sequence, TypeVar

from ._fork import ModuleLock
from ._local import URL as LOCAL_URL
from ._losses import LossMethods
from ._library import is_installed
from ._result import Result
from ._session import Certificate, Entry, warn
from ._settings import Settings

Self = TypeVar("Self", bound="UsesClient")


class Client(Settings, LossMethods[Result]):
    """Evaluates losses and their gradients on a lossd server.

        client = Client("http://127.0.0.1:8080")
        result = client.mse([2.5, 0, 2], [3, -0.5, 2], grad=True)
        result.loss, result.grad.input

    There is a method for every loss. Arrays are anything that NumPy converts to arrays. Threads can
    share a client: it keeps connections alive, and each call uses its own connection. Calls are
    retried if the server is overloaded (429, 502, 503, 504) or unreachable, or if the connection
    breaks before the response, after the time in Retry-After or a growing delay with jitter. A
    request that exceeds the compute timeout (503 of lossd without Retry-After) is not retried.

    Args:
        url: of the server, or unix:/path of its socket, or "local:" to evaluate in this process,
            without a server. Default: $LOSSD_URL, or http://127.0.0.1:8080.
        token: the bearer token. Default if no url is given: $LOSSD_TOKEN.
        timeout: maximum seconds of a call, including retries; None for no limit. It is also sent to
            the server (X-Request-Timeout).
        retries: maximum number of retries.
        verify: False to accept any server certificate.
        cafile: a file of trusted certificate authorities, instead of the system's.
        cert: a client certificate: a file that contains it and its key, or a pair of files.
        ssl_context: replaces verify, cafile and cert.
        connections: maximum number of idle connections to keep.
        threads: only with "local:": maximum number of threads of an evaluation. Default:
            torch.get_num_threads() if PyTorch is imported, or $OMP_NUM_THREADS, or the number of
            CPUs that the process may use.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        token: Optional[str] = None,
        timeout: Optional[float] = 60.0,
        retries: int = 4,
        verify: bool = True,
        cafile: Optional[str] = None,
        cert: Optional[Certificate] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        connections: int = 32,
        threads: Optional[int] = None,
    ) -> None:
        self._open(
            dict(
                url=url,
                token=token,
                timeout=timeout,
                retries=retries,
                verify=verify,
                cafile=cafile,
                cert=cert,
                ssl_context=ssl_context,
                connections=connections,
                threads=threads,
            )
        )

    def evaluate(self, losses: Sequence[Entry], **fields: Any) -> List[Result]:
        """Evaluates several losses over the same tensors, which are sent and decoded once.

            mse, huber = client.evaluate(
                ["mse", {"loss": "huber", "delta": 0.5}], input=x, target=y, grad=True
            )

        Args:
            losses: names, or mappings with a name "loss" and fields for that loss only.
            fields: tensors, parameters, reduction, grad and so on, for every loss that has the
                field.

        Returns:
            One result per loss, in the order of `losses`.
        """
        results = self._session.evaluate_several(self._session.call(), losses, fields)
        for result in results:
            warn(result.warnings, stacklevel=2)
        return results

    def losses(self) -> List[Dict[str, Any]]:
        """Returns the descriptions of all losses: names, formula, tensors, parameters and
        reductions."""
        return self._session.losses(self._session.call())

    def health(self) -> bool:
        """Returns True if the server is alive, False if it is overloaded or unreachable. Does not
        retry. Raises a LossdError for other responses and for invalid certificates."""
        return self._session.probe(self._session.call(), "/healthz")

    def ready(self) -> bool:
        """Returns True if the server accepts requests, False while it starts or drains, or if it is
        unreachable. Does not retry. Raises the same errors as `health`."""
        return self._session.probe(self._session.call(), "/readyz")

    def close(self) -> None:
        """Closes idle connections. The client can still be used."""
        self._session.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _evaluate(
        self,
        loss: str,
        tensors: Mapping[str, Any],
        parameters: Mapping[str, Any],
        reduction: str,
        grad: Any,
        hess: Any,
        dtype: Optional[str],
        part: Mapping[str, Any],
    ) -> Result:
        result = self._session.evaluate(
            self._session.call(), loss, tensors, parameters, reduction, grad, hess, dtype, part
        )
        warn(result.warnings, stacklevel=4)
        return result


_default: Optional[Client] = None  # that of set_default_client
_created: Dict[str, Client] = {}  # created on first use: "default" and "local"
_default_lock = ModuleLock()


def default_client() -> Client:
    """Returns the client used if none is given: the one passed to set_default_client, or a Client()
    created on first use."""
    with _default_lock.current:
        if _default is not None:
            return _default
        if "default" not in _created:
            _created["default"] = Client()
        return _created["default"]


def set_default_client(client: Optional[Client]) -> None:
    """Sets the client used if none is given; None restores Client()."""
    global _default
    with _default_lock.current:
        _default = client if client is None else checked(client)
        _created.clear()


def adapter_client() -> Client:
    """Returns the client of scorers, metrics and objectives that have none: Client("local:") if
    neither set_default_client nor $LOSSD_URL chooses another, and its library is installed;
    otherwise the default client."""
    if _default is None and "LOSSD_URL" not in os.environ:
        with _default_lock.current:
            if "local" not in _created and is_installed():
                _created["local"] = Client(LOCAL_URL)
            if "local" in _created:
                return _created["local"]
    return default_client()


def checked(client: Any) -> Client:
    if not isinstance(client, Client):
        raise TypeError(f"client is {client!r}; it must be a lossd.Client")
    return client


class UsesClient:
    """The base of objects that use a client: `client`, or the default client if that is None. A
    pickle contains the client itself, because another process has another default client."""

    client: Optional[Client]

    def used_client(self) -> Client:
        return default_client() if self.client is None else checked(self.client)

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "client": self.used_client()}

    def __copy__(self: Self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self: Self, memo: Dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied
