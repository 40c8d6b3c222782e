"""The client that waits for its answers."""
import copy
import os
import ssl
import threading
from typing import Any, Dict, List, Mapping, Optional, Sequence, TypeVar

from ._losses import LossMethods
from ._result import Result
from ._session import Certificate, Entry, warn
from ._settings import Settings

Self = TypeVar("Self", bound="Asking")


class Client(Settings, LossMethods[Result]):
    """Evaluates losses and their gradients on a lossd.

        client = Client("http://127.0.0.1:8080")
        result = client.mse([2.5, 0, 2], [3, -0.5, 2], grad=True)
        result.loss, result.grad.input

    There is a method for every loss; arrays are whatever NumPy makes arrays of. Threads may share a client: connections are kept alive
    and each call has one for itself. A call that finds no room (429, 502, 503, 504), no server or a broken connection is tried
    again, after as long as the server's Retry-After asks for, or a growing, jittered delay. A request that needs more time than
    the server gives it (503 of lossd without Retry-After) is not.

    Args:
        url: of the server, or unix:/path of its socket; left out, $LOSSD_URL, or http://127.0.0.1:8080.
        token: for a server that wants one; left out together with the url, $LOSSD_TOKEN.
        timeout: seconds that a call may take, all retries and waiting included; None for no limit. The server is told (X-Request-Timeout).
        retries: how many times a call is tried again.
        verify: False to take any certificate of the server's.
        cafile: a file of the authorities to trust, in place of the system's.
        cert: a client certificate: a file that holds it and its key, or a pair of files.
        ssl_context: in place of verify, cafile and cert.
        connections: how many connections are kept while they are idle.
    """

    def __init__(self, url: Optional[str] = None, *, token: Optional[str] = None, timeout: Optional[float] = 60.0, retries: int = 4,
                 verify: bool = True, cafile: Optional[str] = None, cert: Optional[Certificate] = None,
                 ssl_context: Optional[ssl.SSLContext] = None, connections: int = 32) -> None:
        self._open(dict(url=url, token=token, timeout=timeout, retries=retries, verify=verify, cafile=cafile, cert=cert,
                        ssl_context=ssl_context, connections=connections))

    def evaluate(self, losses: Sequence[Entry], **fields: Any) -> List[Result]:
        """Several losses over the same tensors, which are sent, decoded and read once.

            mse, huber = client.evaluate(["mse", {"loss": "huber", "delta": 0.5}], input=x, target=y, grad=True)

        Args:
            losses: for each its name, or a mapping with its name as "loss" and fields that hold for it alone.
            fields: tensors, parameters, reduction, grad and so on, for every loss that has such a field.
        """
        results = self._session.evaluate_several(self._session.call(), losses, fields)
        for result in results:
            warn(result.warnings, stacklevel=2)
        return results

    def losses(self) -> List[Dict[str, Any]]:
        """What the server has: each loss with its names, formula, tensors, parameters and reductions."""
        found: List[Dict[str, Any]] = self._session.get(self._session.call(), "/v1/losses")["losses"]
        return found

    def health(self) -> bool:
        """Whether the server is alive; false too where nothing listens. Not tried again."""
        return self._session.probe(self._session.call(), "/healthz")

    def ready(self) -> bool:
        """Whether the server takes work: not while it starts or drains. Not tried again."""
        return self._session.probe(self._session.call(), "/readyz")

    def close(self) -> None:
        """Closes the idle connections. The client can still be used: it opens others."""
        self._session.server.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _evaluate(self, loss: str, tensors: Mapping[str, Any], parameters: Mapping[str, Any], reduction: str, grad: Any, hess: Any,
                  dtype: Optional[str]) -> Result:
        result = self._session.evaluate(self._session.call(), loss, tensors, parameters, reduction, grad, hess, dtype)
        warn(result.warnings, stacklevel=4)
        return result


_default: Optional[Client] = None
_default_lock = threading.Lock()


def default_client() -> Client:
    """The client of those who name none: Client(), made when it is first asked for, or what set_default_client was given."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Client()
        return _default


def set_default_client(client: Optional[Client]) -> None:
    """Sets the client of those who name none; None for Client() again."""
    global _default
    with _default_lock:
        _default = client if client is None else checked(client)


def checked(client: Any) -> Client:
    if not isinstance(client, Client):
        raise TypeError(f"client is {client!r}; it must be a lossd.Client")
    return client


def _release_lock() -> None:
    """A thread that held the lock is not in the child of a fork to release it."""
    global _default_lock
    _default_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_lock)


class Asking:
    """Something that asks a client: the one in `client`, or where that is None the default client. Copies in this process do
    the same; a pickle contains the client that would be asked, because another process has another default client."""

    client: Optional[Client]

    def asked(self) -> Client:
        return default_client() if self.client is None else checked(self.client)

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "client": self.asked()}

    def __copy__(self: Self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self: Self, memo: Dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied
