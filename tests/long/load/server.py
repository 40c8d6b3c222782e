"""A server under test and a client with access to every byte, shared by the load tests."""
import asyncio
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
MIB = 1 << 20
PATIENCE_S = 60


def lossd():
    return os.environ.get("LOSSD") or str(ROOT / "build/lossd")


def sanitized():
    """Returns True if the server is built with a sanitizer, so that its memory and time are not
    measured."""
    return any(part in lossd() for part in ("/asan/", "/tsan/"))


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Server:
    def __init__(self, *arguments, port=0, log="/dev/null"):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(
            [lossd(), "--listen", f"127.0.0.1:{port}", "--log-level", "warning", *arguments],
            stdout=subprocess.PIPE,
            stderr=self.log if log != "/dev/null" else None,
            text=True,
            preexec_fn=die_with_parent,
        )
        line = self.process.stdout.readline()
        if "http://127.0.0.1:" not in line:
            sys.exit(f"{lossd()} did not start: {line}")
        self.port = int(line.split("http://127.0.0.1:")[1].split()[0])
        self.pid = self.process.pid

    def status(self, what):
        """Returns VmRSS or VmHWM in bytes, or Threads."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                value = line.split()[1:]
                return int(value[0]) * (1024 if value[-1] == "kB" else 1)
        return 0

    def forget_peak(self):
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Stops the server with SIGTERM. Returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "killed: it did not exit within 120 s"


def allow_files():
    """Raises the limit on descriptors of this process to its maximum."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def request(method, path, body=None, headers=(), chunked=0):
    """Returns the bytes of a request, in chunks of `chunked` bytes unless that is 0."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    if body is None:
        return head
    if not chunked:
        return head + body
    pieces = [body[at : at + chunked] for at in range(0, len(body), chunked)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    return int(lines[0].split()[1]), {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:] if line)
    }


class Closed(Exception):
    """The server closed the connection before the end of a response. Contains the bytes
    received."""


class Client:
    """A connection through asyncio. Responses are tuples of status, headers and body."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 26
        )
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connected(self):
        return self.writer is not None

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, bodiless=False):
        try:
            return await asyncio.wait_for(self.read_forever(bodiless), PATIENCE_S)
        except asyncio.TimeoutError:
            raise Closed(f"neither closed nor answered within {PATIENCE_S} s") from None

    async def read_forever(self, bodiless):
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, headers = parse_head(head[:-2])
            length = 0 if bodiless or status == 204 else int(headers.get("content-length", 0))
            body = await self.reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise Closed(f"closed after {len(error.partial)} bytes of a response") from None
        except ConnectionError as error:
            raise Closed(str(error)) from None
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, body

    async def ask(self, data, bodiless=False):
        if not self.connected():
            await self.connect()
        try:
            await self.send(data)
        except ConnectionError:
            pass  # the server may have sent a response
        return await self.read(bodiless)

    def close(self, reset=False):
        if not self.connected():
            return
        if reset:
            self.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            self.writer.transport.abort()
        else:
            self.writer.close()
        self.reader = self.writer = None


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


class Verdict:
    """Prints the results, one per line, and determines the exit status."""

    def __init__(self):
        self.failed = False

    def say(self, text):
        print(text, flush=True)

    def check(self, holds, text):
        self.say(f"{'ok' if holds else 'FAILED'}: {text}")
        self.failed |= not holds

    def end(self):
        sys.exit(1 if self.failed else 0)


def now():
    return time.monotonic()
