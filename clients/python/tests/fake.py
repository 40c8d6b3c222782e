"""A scripted server: it handles each request with the next of the given steps."""
import socket
import struct
import threading
import time

import numpy as np

from lossd import _safetensors

LOSS = b"".join(
    bytes(piece)
    for piece in _safetensors.encode(
        {"loss": np.float64(0.25), "grad_input": np.float32([1, 2])},
        {"count": "2", "reduction": "mean", "dtype": "float32"},
    )
)


def answer(status=200, body=LOSS, content_type="application/vnd.safetensors", **headers):
    """A step: a valid response."""
    fields = {
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    head = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
    return lambda connection: connection.sendall(
        f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body
    )


def raw(data, close=True):
    """A step: sends these bytes and closes the connection."""

    def step(connection):
        connection.sendall(data)
        if close:
            raise ConnectionError

    return step


def drop(connection):
    raise ConnectionError


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionError


def silence(connection):
    """Waits until the peer closes the connection."""
    connection.settimeout(30)
    assert connection.recv(1) == b""
    raise ConnectionError


def drip(connection):
    connection.sendall(
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.safetensors\r\nContent-Length:"
        f" {len(LOSS)}\r\n\r\n".encode()
    )
    for byte in LOSS:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


class Fake:
    """`with Fake(step, ...) as fake:` serves at `fake.url`, and records requests in `fake.requests`
    and their times in `fake.times`. Before `with`, connections are refused."""

    def __init__(self, *steps, context=None):
        self.steps = list(steps)
        self.requests, self.times = [], []
        self._context = context
        self._lock = threading.Lock()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))  # refuses connections until it listens
        self._threads = []
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            while self._one(connection):
                pass
        except OSError:
            pass
        finally:
            connection.close()

    def _one(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(headers.get("Content-Length", 0)):
            body += connection.recv(65536)
        with self._lock:
            self.requests.append((lines[0], headers, body))
            self.times.append(time.monotonic())
            step = self.steps.pop(0)
        step(connection)
        return True
