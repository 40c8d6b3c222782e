"""Exceptions. All derive from LossdError, and from a built-in exception if one fits."""
from typing import Optional


class LossdError(Exception):
    """A request failed.

    Attributes:
        detail: what was found, where, and what was expected.
        status: the HTTP status of the response; None if there was no response.
        pointer: a JSON Pointer to the invalid value, such as "/target/3"; None if there is none.
        offset: the offset of the error in the request body, in bytes; None if it is unknown.
        request_id: the identifier of the request in the server's log; None if there was no
            response.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: Optional[int] = None,
        pointer: Optional[str] = None,
        offset: Optional[int] = None,
        request_id: Optional[str] = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.pointer = pointer
        self.offset = offset
        self.request_id = request_id

    def __str__(self) -> str:
        return self.detail


class InvalidRequest(LossdError, ValueError):
    """The request is invalid (400, 404, 413, 422 ...): an incompatible shape, an index or argument
    out of range, an unknown loss."""


class AccessDenied(LossdError):
    """The server requires a token (401), or does not accept the token or the client certificate
    (403)."""


class Unavailable(LossdError):
    """The server is overloaded (429, 502, 503, 504 on every attempt), the request arrived too
    slowly (408), or it exceeds the compute timeout (503 without Retry-After). The last two are not
    retried.

    Attributes:
        retry_after: seconds to wait before the next attempt, from the server; None if it gave none.
    """

    def __init__(
        self,
        detail: str,
        *,
        retry_after: Optional[float] = None,
        status: Optional[int] = None,
        pointer: Optional[str] = None,
        offset: Optional[int] = None,
        request_id: Optional[str] = None
    ) -> None:
        super().__init__(
            detail, status=status, pointer=pointer, offset=offset, request_id=request_id
        )
        self.retry_after = retry_after


class ServerError(LossdError):
    """The server failed (500 and other 5xx statuses)."""


class ConnectionFailed(LossdError, ConnectionError):
    """Connecting failed, on every attempt if a retry could help, or the connection was lost."""


class DeadlineExceeded(LossdError, TimeoutError):
    """The call exceeded its timeout."""


class ProtocolError(LossdError):
    """The response is invalid, probably because the server is not lossd. Check the URL."""


class LossdWarning(UserWarning):
    """A warning of the server that PyTorch would also give, for example about a broadcast target.
    """
