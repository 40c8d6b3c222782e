"""What can go wrong. All of it is a LossdError; what Python has an exception for is that exception too."""
from typing import Optional


class LossdError(Exception):
    """Something went wrong between here and the answer.

    Attributes:
        detail: what was found, where, and what would be right.
        status: the HTTP status of the answer; None where there was no answer.
        pointer: a JSON Pointer to what is wrong, such as "/target/3"; None where the server names nothing in particular.
        offset: a byte offset into the body of the request; None where the server names none.
        request_id: what the server's log calls the request; None where there was no answer.
    """

    def __init__(self, detail: str, *, status: Optional[int] = None, pointer: Optional[str] = None, offset: Optional[int] = None,
                 request_id: Optional[str] = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.pointer = pointer
        self.offset = offset
        self.request_id = request_id

    def __str__(self) -> str:
        return self.detail


class InvalidRequest(LossdError, ValueError):
    """The request cannot be answered as it is (400, 404, 413, 422 ...): a shape that does not fit, an index out of range, an
    argument out of its range, a loss that is not there."""


class AccessDenied(LossdError):
    """The server wants a token (401), or another one (403)."""


class Unavailable(LossdError):
    """Every try was answered with 429, 502, 503 or 504, or the request needs more time than the
    server allows (503 without Retry-After, which is not retried; retry_after is None).

    Attributes:
        retry_after: in how many seconds to try again, as the server has it; None if it does not say.
    """

    def __init__(self, detail: str, *, retry_after: Optional[float] = None, status: Optional[int] = None, pointer: Optional[str] = None,
                 offset: Optional[int] = None, request_id: Optional[str] = None) -> None:
        super().__init__(detail, status=status, pointer=pointer, offset=offset, request_id=request_id)
        self.retry_after = retry_after


class ServerError(LossdError):
    """The server failed (500 and its like)."""


class ConnectionFailed(LossdError, ConnectionError):
    """No connection could be had through all retries, or it broke."""


class DeadlineExceeded(LossdError, TimeoutError):
    """The call took longer than its timeout allows for."""


class ProtocolError(LossdError):
    """The answer is not one that a lossd gives: is the URL that of a lossd?"""


class LossdWarning(UserWarning):
    """What the server warns of, as PyTorch does: a broadcast target, say."""
