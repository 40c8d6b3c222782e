"""HTTP to one server: kept-alive connections, shared by threads; retries; one deadline over all of it."""
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

RETRIED = (429, 502, 503, 504)  # the server, or a proxy before it, has no room at the moment; see may_pass
PROBLEM = "application/problem+json"  # errors of lossd, not of a proxy
LONGEST_HEADER = 86400  # seconds that X-Request-Timeout can name
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0  # seconds, of waits that the server says nothing about
READ_BYTES = 1 << 18  # a read as large as this is one system call where the kernel has as much

Body = Sequence[Union[bytes, memoryview]]


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: "np.ndarray[Any, np.dtype[np.uint8]]"


class NoAnswer(Exception):
    """The connection broke before a byte of the answer came: the request may be sent again."""


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Call:
    """One call as it goes on: until when, and whether it is still wanted. `cancel` may come from any thread."""

    def __init__(self, timeout: Optional[float]) -> None:
        self.timeout = timeout
        self.begin()
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._socket: Optional[socket.socket] = None

    def begin(self) -> None:
        """The timeout counts from now."""
        self.deadline = None if self.timeout is None else time.monotonic() + self.timeout

    def remaining(self) -> Optional[float]:
        """Seconds that are left, None where there is no limit; raises where there are none."""
        if self.cancelled.is_set():
            raise Cancelled
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self._too_late()
        return left

    def check(self, error: Exception) -> None:
        """Raises what is behind an error of a socket: that the time is up, or that the call is not wanted any more."""
        if self.cancelled.is_set():
            raise Cancelled from error
        if isinstance(error, socket.timeout) and error.errno is None:  # ours, not the network's
            raise self._too_late() from error

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"there was no answer within {self.timeout:g} seconds, which is the timeout")

    def watch(self, sock: Optional[socket.socket]) -> None:
        """Says which socket it waits for."""
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
                self._socket.shutdown(socket.SHUT_RDWR)  # whoever waits for it wakes up
            except OSError:
                pass


class Server:
    """The server at a URL. Threads may use it side by side: each call has a connection for itself meanwhile."""

    def __init__(self, url: str, headers: Mapping[str, str], retries: int, context: Optional[ssl.SSLContext], idle: int) -> None:
        self.url = url
        self._socket = url[len("unix:"):] if url.startswith("unix:/") else None
        self._host, self._port, self._path = ("localhost", None, "") if self._socket else address(url)
        self._context = context
        self._headers = dict(headers)
        self._retries = retries
        self._most_idle = idle
        self._lock = threading.Lock()
        self._idle: List[http.client.HTTPConnection] = []
        weakref.finalize(self, close_all, self._idle)
        servers.add(self)

    def request(self, method: str, path: str, headers: Mapping[str, str], body: Body, call: Call, retry: bool = True) -> Answer:
        """Sends a request, again where that may help, and returns the last answer, whatever its status."""
        tries = 0
        while True:
            outcome: Union[Answer, NoAnswer]
            try:
                outcome = self._attempt(method, self._path + path, {**self._headers, **headers, **time_limit(call)}, body, call)
                if not may_pass(outcome):
                    return outcome
            except NoAnswer as error:
                outcome = error
            tries += 1
            wait = self._wait(outcome, tries)
            left = call.remaining()
            if not retry or tries > self._retries or (left is not None and wait >= left):
                if isinstance(outcome, Answer):
                    return outcome
                raise ConnectionFailed(f"{self.url}: {outcome}" + (f", tried {tries} times" if tries > 1 else "")) from outcome.__cause__
            call.sleep(wait)

    def _wait(self, outcome: Union[Answer, NoAnswer], tries: int) -> float:
        """Seconds until the next try."""
        asked = retry_after(outcome.headers) if isinstance(outcome, Answer) else None
        if asked is not None:  # those who were told the same second should not all come back in the same one
            return asked + random.uniform(0, FIRST_DELAY)
        return float(min(FIRST_DELAY * 2 ** (tries - 1), LONGEST_DELAY) * random.uniform(0.5, 1))

    def forget(self) -> None:
        """In the child of a fork: a thread that held the lock is not there, and the connections are the parent's to speak on."""
        self._lock = threading.Lock()
        close_all(self._idle)  # of the child's descriptors; the parent's stay

    def close(self) -> None:
        """Closes the connections that nobody uses at the moment; the next call opens another."""
        with self._lock:
            close_all(self._idle)

    def _attempt(self, method: str, path: str, headers: Mapping[str, str], body: Body, call: Call) -> Answer:
        while True:
            connection, reused = self._take(call)
            try:
                answer, keep = exchange(connection, method, path, headers, body, call)
            except NoAnswer:
                connection.close()
                if not reused:
                    raise
                continue  # the server had closed it meanwhile, as it may: that is no failure
            except BaseException:
                connection.close()
                raise
            finally:
                call.watch(None)
            if keep:
                self._give(connection)
            else:
                connection.close()
            return answer

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
            if len(self._idle) < self._most_idle:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, call: Call) -> http.client.HTTPConnection:
        left = call.remaining()
        connection: http.client.HTTPConnection
        if self._socket is not None:
            connection = UnixConnection(self._socket, left)
        elif self._context is not None:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=left, context=self._context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=left)
        try:
            connection.connect()
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise NoAnswer(f"the host '{self._host}' cannot be looked up at the moment") from error
            raise ConnectionFailed(f"{self.url}: the host '{self._host}' is not known ({error.strerror})") from error
        except ssl.SSLError as error:
            connection.close()
            raise ConnectionFailed(f"{self.url}: {error}") from error  # no retry mends a certificate
        except OSError as error:
            connection.close()
            call.check(error)
            raise NoAnswer(f"no connection could be had ({error.strerror or error})") from error
        return connection


servers: "weakref.WeakSet[Server]" = weakref.WeakSet()


def forget_parents() -> None:
    for server in list(servers):
        server.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_parents)


class UnixConnection(http.client.HTTPConnection):
    """A connection to a socket in the file system."""

    def __init__(self, path: str, timeout: Optional[float]) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def address(url: str) -> Tuple[str, int, str]:
    """Host, port and path of a URL."""
    example = "it must be like http://127.0.0.1:8080, https://host/path or unix:/path"
    wrong = f"the url is {url!r}; {example}" if "@" not in url else f"the url is not sound; {example}"  # shows no password
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError(f"{wrong}, without white space")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(wrong if "@" in url else f"{wrong}: {error}") from None
    if "@" in parts.netloc:
        raise ValueError("the url has a user or a password, which a lossd does not ask for; give it a token")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(wrong)
    if port is None:  # http.client would look for it in an IPv6 address
        port = http.client.HTTPS_PORT if parts.scheme == "https" else http.client.HTTP_PORT
    return parts.hostname, port, quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")


def close_all(connections: List[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def exchange(connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: Body,
             call: Call) -> Tuple[Answer, bool]:
    """One request and its answer; whether the connection can be used again."""
    sock = connection.sock  # which the connection lets go of where the answer is the last one
    sock.settimeout(call.remaining())
    call.watch(sock)
    sent = False
    try:
        length = {"Content-Length": str(sum(len(piece) for piece in body))} if body else {}
        try:
            connection.request(method, path, body or None, {**headers, **length})
            sent = True
        except ConnectionError:
            pass  # a server that refuses a body need not read it: its answer may be there all the same
        sock.settimeout(call.remaining())
        response = connection.getresponse()
    except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        call.check(error)
        raise NoAnswer("the connection was closed before an answer came") from error
    except ssl.SSLError as error:
        raise ConnectionFailed(f"the connection failed: {error}") from error
    except OSError as error:
        call.check(error)
        raise NoAnswer(f"the connection failed before an answer came ({error.strerror or error})") from error
    except http.client.HTTPException as error:
        raise ProtocolError(f"the answer is not HTTP: {error or type(error).__name__}") from error
    try:
        with response:
            answer = Answer(response.status, response.headers, read(response, sock, call))
    except (OSError, http.client.HTTPException) as error:
        call.check(error)
        raise ConnectionFailed(f"the connection broke within the answer: {error}") from error
    return answer, sent and not response.will_close


def read(response: http.client.HTTPResponse, sock: socket.socket, call: Call) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """The body, in memory that is aligned for numbers of any type."""
    if response.length is None:  # chunked, or up to the end of the connection
        return np.array(bytearray(response.read()), np.uint8)
    body = np.empty(response.length, np.uint8)
    view, filled = body.data, 0
    while filled < len(body):
        sock.settimeout(call.remaining())
        piece = response.read1(min(READ_BYTES, len(body) - filled))
        if not piece:
            raise http.client.IncompleteRead(b"", len(body) - filled)
        view[filled:filled + len(piece)] = piece
        filled += len(piece)
    return body


def has_ended(sock: Optional[socket.socket]) -> bool:
    """A connection that nobody waits for has something to say only when it ends."""
    if sock is None:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def may_pass(answer: Answer) -> bool:
    """Whether another try may have another answer. lossd's own 503 says so with Retry-After; without it the request needs more
    time than it may take, and would again."""
    if answer.status == 503 and answer.headers.get_content_type() == PROBLEM:
        return "Retry-After" in answer.headers
    return answer.status in RETRIED


def time_limit(call: Call) -> Dict[str, str]:
    """The header that tells the server how long the call waits for an answer. Milliseconds are rounded up, so that the client's
    own timeout comes first."""
    left = call.remaining()
    if left is None or left > LONGEST_HEADER:
        return {}
    return {"X-Request-Timeout": f"{math.ceil(left * 1000) / 1000:.3f}"}


def retry_after(headers: http.client.HTTPMessage) -> Optional[float]:
    """The seconds that Retry-After asks for, in either of its forms; None if it is not there, or no sense can be made of it."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
