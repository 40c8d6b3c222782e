#!/usr/bin/python3
"""sizes.py [MIB]: sends bodies of exactly, one byte below and one byte above --max-body and
--max-decompressed-body, up to MIB (4096) MiB, with Content-Length and in chunks; also sends large
Content-Length headers without a body. Takes about 10 GiB of memory for bodies of 4 GiB."""
import gzip
import socket
import struct
import sys

import requests
from server import MIB, Server, Verdict, parse_head

GIB = 1 << 30
LARGEST = (int(sys.argv[1]) if len(sys.argv) > 1 else 4096) * MIB
ZEROS = memoryview(bytes(8 * MIB))


def head_of(length):
    """Returns the beginning of a safetensors file of `length` bytes with two tensors; the rest of
    the file is zeros. The header is padded with blanks."""
    count = max(0, (length - 1024) // 8)
    text = requests.text(
        {
            "input": {"dtype": "F32", "shape": [count], "data_offsets": [0, count * 4]},
            "target": {"dtype": "F32", "shape": [count], "data_offsets": [count * 4, count * 8]},
        }
    )
    text += b" " * (length - 8 - count * 8 - len(text))
    return struct.pack("<Q", len(text)) + text


def answer_of(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            return 0
        data += piece
    return parse_head(data.partition(b"\r\n\r\n")[0])[0]


def send_body(connection, head, length, chunked):
    def piece(data):
        connection.sendall(b"%x\r\n" % len(data) if chunked else b"")
        connection.sendall(data)
        connection.sendall(b"\r\n" if chunked else b"")

    piece(head)
    for at in range(len(head), length, len(ZEROS)):
        piece(ZEROS[: length - at])
    connection.sendall(b"0\r\n\r\n" if chunked else b"")


def ask(port, length, chunked=False):
    """Sends a valid body of `length` bytes completely, even if a response arrives earlier. Returns
    the status."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"
    with socket.create_connection(("127.0.0.1", port), timeout=600) as connection:
        connection.sendall(
            "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/vnd.safetensors\r\n"
            f"Accept: application/json\r\n{framing}\r\n\r\n".encode()
        )
        try:
            send_body(connection, head_of(length), length, chunked)
        except ConnectionError:
            pass
        try:
            return answer_of(connection)
        except ConnectionError:
            return 0


def ask_compressed(port, length):
    body = gzip.compress(head_of(length) + bytes(length - len(head_of(length))), 1)
    with socket.create_connection(("127.0.0.1", port), timeout=600) as connection:
        connection.sendall(
            "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Type:"
            " application/vnd.safetensors\r\nContent-Encoding: gzip\r\nContent-Length:"
            f" {len(body)}\r\n\r\n".encode()
            + body
        )
        return answer_of(connection)


def pretend(port, length):
    """Sends a Content-Length without a body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(
            f"POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            .encode()
        )
        return answer_of(connection)


def around(limit):
    return (limit - 1, 200), (limit, 200), (limit + 1, 413)


def main():
    verdict = Verdict()
    for limit, name in (
        (4096, "4 KiB"),
        (65536, "64 KiB"),
        (MIB, "1 MiB"),
        (2 * GIB, "2 GiB"),
        (4 * GIB, "4 GiB"),
    ):
        if limit > LARGEST:
            continue
        server = Server("--max-body", str(limit), "--max-memory", "20G")
        for chunked in (False, True):
            statuses = [
                (length - limit, ask(server.port, length, chunked)) for length, _ in around(limit)
            ]
            verdict.check(
                statuses == [(length - limit, status) for length, status in around(limit)],
                (
                    f"--max-body {name}, {'chunked' if chunked else 'with Content-Length'}:"
                    f" {', '.join(f'{more:+} is {status}' for more, status in statuses)}"
                ),
            )
        server.stop()
    # Sizes above 32 bits within a larger limit must not wrap.
    server = Server("--max-body", "5G", "--max-memory", "20G")
    for length, name in (
        (2 * GIB - 1, "2 GiB - 1"),
        (2 * GIB + 1, "2 GiB + 1"),
        (4 * GIB - 1, "4 GiB - 1"),
        (4 * GIB, "4 GiB"),
        (4 * GIB + 1, "4 GiB + 1"),
    ):
        if length > LARGEST + 1:
            continue
        status = ask(server.port, length)
        verdict.check(status == 200, f"a body of {name} within --max-body 5G is {status}")
    for length in (2**63 - 1, 2**63, 10**19 - 1):
        status = pretend(server.port, length)
        verdict.check(status == 413, f"Content-Length: {length} is {status}")
    for length in (2**64, 2**64 + 26, 10**30):
        status = pretend(server.port, length)
        verdict.check(status in (400, 413), f"Content-Length: {length} is {status}")
    verdict.check(server.alive(), "the server is running")
    server.stop()
    for limit, name in ((MIB, "1 MiB"), (64 * MIB, "64 MiB")):
        if limit > LARGEST:
            continue
        server = Server("--max-decompressed-body", str(limit))
        statuses = [
            (length - limit, ask_compressed(server.port, length)) for length, _ in around(limit)
        ]
        verdict.check(
            statuses == [(length - limit, status) for length, status in around(limit)],
            (
                f"--max-decompressed-body {name}:"
                f" {', '.join(f'{more:+} is {status}' for more, status in statuses)}"
            ),
        )
        server.stop()
    verdict.end()


if __name__ == "__main__":
    main()
