"""HTTP requests to one server: persistent connections shared by threads, retries, and one deadline
per call."""
import http.client
import math
import os
import random
import select
import socket
import ssl
import threading
import time
import weakref
from email.utils import parsedate_to_datetime
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlsplit

import numpy as np

from ._errors import ConnectionFailed, DeadlineExceeded, ProtocolError

# Statuses of a server, or of a proxy in front of it, that is overloaded; see is_retryable.
RETRIED = (
    429,
    502,
    503,
    504,
)
PROBLEM = "application/problem+json"  # content type of lossd's errors; those of proxies differ
MAX_HEADER_TIMEOUT = 86400  # maximum of X-Request-Timeout, in seconds
FIRST_DELAY, MAX_DELAY = 0.1, 10.0  # seconds, if there is no Retry-After
READ_BYTES = 1 << 18  # maximum size of a read

Body = Sequence[Union[bytes, memoryview]]


class Response(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: "np.ndarray[Any, np.dtype[np.uint8]]"


class NoResponse(Exception):
    """Connecting failed, or the connection broke before the response: the request can be sent
    again."""


class Cancelled(Exception):
    """The caller cancelled the call."""


class Call:
    """The deadline and cancellation of one call. Any thread can call `cancel`."""

    def __init__(self, timeout: Optional[float]) -> None:
        self.timeout = timeout
        self.begin()
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._socket: Optional[socket.socket] = None

    def begin(self) -> None:
        """Starts the timeout."""
        self.deadline = None if self.timeout is None else time.monotonic() + self.timeout

    def remaining(self) -> Optional[float]:
        """Returns the remaining seconds, or None if there is no limit. Raises if the deadline has
        passed or the call was cancelled."""
        if self.cancelled.is_set():
            raise Cancelled
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self._too_late()
        return left

    def check(self, error: Exception) -> None:
        """Raises an exception if the timeout or a cancellation caused a socket error."""
        if self.cancelled.is_set():
            raise Cancelled from error
        # Without an errno, this is the deadline of the call, not a timeout of the network.
        if (
            isinstance(error, socket.timeout) and error.errno is None
        ):
            raise self._too_late() from error

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"no response within the timeout of {self.timeout:g} seconds")

    def watch(self, sock: Optional[socket.socket]) -> None:
        """Sets the socket that `cancel` shuts down; None for none. Shuts it down at once if the
        call was already cancelled."""
        with self._lock:
            self._socket = sock
            if self.cancelled.is_set():
                self._shut()

    def sleep(self, seconds: float) -> None:
        self.cancelled.wait(seconds)
        self.remaining()

    def cancel(self) -> None:
        with self._lock:
            self.cancelled.set()
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on the socket
            except OSError:
                pass


class Server:
    """The server at a URL. Threads can share it: each call uses its own connection."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        retries: int,
        context: Optional[ssl.SSLContext],
        idle: int,
    ) -> None:
        self.url = url
        self._socket = url[len("unix:") :] if url.startswith("unix:/") else None
        self._host, self._port, self._path = (
            ("localhost", None, "") if self._socket else address(url)
        )
        self._context = context
        self._headers = dict(headers)
        self._retries = retries
        self._max_idle = idle
        self._lock = threading.Lock()
        self._idle: List[http.client.HTTPConnection] = []
        weakref.finalize(self, close_all, self._idle)
        servers.add(self)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body,
        call: Call,
        retry: bool = True,
    ) -> Response:
        """Sends a request, with retries, and returns the last response, which may have any
        status."""
        tries = 0
        while True:
            outcome: Union[Response, NoResponse]
            try:
                outcome = self._attempt(
                    method,
                    self._path + path,
                    {**self._headers, **headers, **time_limit(call)},
                    body,
                    call,
                )
                if not is_retryable(outcome):
                    return outcome
            except NoResponse as error:
                outcome = error
            tries += 1
            wait = self._wait(outcome, tries)
            left = call.remaining()
            if not retry or tries > self._retries or (left is not None and wait >= left):
                if isinstance(outcome, Response):
                    return outcome
                raise ConnectionFailed(
                    f"{self.url}: {outcome}" + (f", {tries} attempts" if tries > 1 else "")
                ) from outcome.__cause__
            call.sleep(wait)

    def _wait(self, outcome: Union[Response, NoResponse], tries: int) -> float:
        """Returns the seconds until the next attempt."""
        asked = retry_after(outcome.headers) if isinstance(outcome, Response) else None
        if asked is not None:  # jitter, so that clients do not retry at the same time
            return asked + random.uniform(0, FIRST_DELAY)
        return float(min(FIRST_DELAY * 2 ** (tries - 1), MAX_DELAY) * random.uniform(0.5, 1))

    def reset_after_fork(self) -> None:
        """Resets the lock and the connections in the child of a fork; the connections belong to the
        parent."""
        self._lock = threading.Lock()
        close_all(self._idle)  # closes the child's descriptors only

    def close(self) -> None:
        """Closes idle connections."""
        with self._lock:
            close_all(self._idle)

    def _attempt(
        self, method: str, path: str, headers: Mapping[str, str], body: Body, call: Call
    ) -> Response:
        while True:
            connection, reused = self._take(call)
            try:
                response, keep = exchange(connection, method, path, headers, body, call)
            except NoResponse:
                connection.close()
                if not reused:
                    raise
                continue  # the server closed the idle connection, which is not an error
            except BaseException:
                connection.close()
                raise
            finally:
                call.watch(None)
            if keep:
                self._give(connection)
            else:
                connection.close()
            return response

    def _take(self, call: Call) -> Tuple[http.client.HTTPConnection, bool]:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect(call), False
            if not has_ended(connection.sock):
                return connection, True
            connection.close()

    def _give(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < self._max_idle:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, call: Call) -> http.client.HTTPConnection:
        left = call.remaining()
        connection: http.client.HTTPConnection
        if self._socket is not None:
            connection = UnixConnection(self._socket, left)
        elif self._context is not None:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=left, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=left)
        try:
            connection.connect()
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise NoResponse(f"temporary failure to resolve the host '{self._host}'") from error
            raise ConnectionFailed(
                f"{self.url}: cannot resolve the host '{self._host}' ({error.strerror})"
            ) from error
        except ssl.SSLError as error:
            connection.close()
            # An invalid certificate stays invalid, so do not retry.
            raise ConnectionFailed(
                f"{self.url}: {error}"
            ) from error
        except OSError as error:
            connection.close()
            call.check(error)
            raise NoResponse(f"cannot connect ({error.strerror or error})") from error
        return connection


servers: "weakref.WeakSet[Server]" = weakref.WeakSet()


def reset_after_fork() -> None:
    for server in list(servers):
        server.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_after_fork)


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str, timeout: Optional[float]) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def address(url: str) -> Tuple[str, int, str]:
    """Splits a URL into host, port and path."""
    example = "expected a URL such as http://127.0.0.1:8080, https://host/path, unix:/path or local:"
    # The message must not contain a password.
    wrong = (
        f"the url is {url!r}; {example}" if "@" not in url else f"the url is invalid; {example}"
    )
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError(f"{wrong}, without white space")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(wrong if "@" in url else f"{wrong}: {error}") from None
    if "@" in parts.netloc:
        raise ValueError(
            "the url contains a user or a password, which lossd does not support; use a token"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(wrong)
    if port is None:  # http.client would search for it in an IPv6 address
        port = http.client.HTTPS_PORT if parts.scheme == "https" else http.client.HTTP_PORT
    return parts.hostname, port, quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")


def close_all(connections: List[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: Body,
    call: Call,
) -> Tuple[Response, bool]:
    """Sends one request. Returns the response, and whether the connection can be reused."""
    sock = connection.sock  # http.client sets connection.sock to None after the last response
    sock.settimeout(call.remaining())
    call.watch(sock)
    sent = False
    try:
        length = {"Content-Length": str(sum(len(piece) for piece in body))} if body else {}
        try:
            connection.request(method, path, body or None, {**headers, **length})
            sent = True
        except ConnectionError:
            pass  # a server that rejects a body need not read it, but can still respond
        sock.settimeout(call.remaining())
        received = connection.getresponse()
    except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        call.check(error)
        raise NoResponse("the connection was closed before a response") from error
    except ssl.SSLError as error:
        raise ConnectionFailed(f"the connection failed: {error}") from error
    except OSError as error:
        call.check(error)
        raise NoResponse(
            f"the connection failed before a response ({error.strerror or error})"
        ) from error
    except http.client.HTTPException as error:
        raise ProtocolError(f"the response is not HTTP: {error or type(error).__name__}") from error
    try:
        with received:
            response = Response(received.status, received.headers, read(received, sock, call))
    except (OSError, http.client.HTTPException) as error:
        call.check(error)
        raise ConnectionFailed(f"the connection failed during the response: {error}") from error
    return response, sent and not received.will_close


def read(
    response: http.client.HTTPResponse, sock: socket.socket, call: Call
) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Reads the body into memory that is aligned for any dtype."""
    if response.length is None:  # chunked, or delimited by the end of the connection
        return np.array(bytearray(response.read()), np.uint8)
    body = np.empty(response.length, np.uint8)
    view, filled = body.data, 0
    while filled < len(body):
        sock.settimeout(call.remaining())
        piece = response.read1(min(READ_BYTES, len(body) - filled))
        if not piece:
            raise http.client.IncompleteRead(b"", len(body) - filled)
        view[filled : filled + len(piece)] = piece
        filled += len(piece)
    return body


def has_ended(sock: Optional[socket.socket]) -> bool:
    """Returns True if the server has closed an idle connection: only then is it readable."""
    if sock is None:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def is_retryable(response: Response) -> bool:
    """Returns True if a retry can succeed. lossd's own 503 without Retry-After means that the
    request exceeded the compute timeout; a retry would too."""
    if response.status == 503 and response.headers.get_content_type() == PROBLEM:
        return "Retry-After" in response.headers
    return response.status in RETRIED


def time_limit(call: Call) -> Dict[str, str]:
    """Returns the header with the remaining time of the call. Milliseconds are rounded up, so that
    the client's timeout comes first."""
    left = call.remaining()
    if left is None or left > MAX_HEADER_TIMEOUT:
        return {}
    return {"X-Request-Timeout": f"{math.ceil(left * 1000) / 1000:.3f}"}


def retry_after(headers: http.client.HTTPMessage) -> Optional[float]:
    """Parses Retry-After, seconds or a date, to seconds; None if it is missing or invalid."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
