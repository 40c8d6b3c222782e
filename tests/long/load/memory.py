#!/usr/bin/python3
"""memory.py [MIB]: 64 clients send bodies of MIB (256) MiB each to a server with a memory limit of
8 times as much. Each client gets a result, or 503 and tries again until it gets one. The process
must stay within its memory limit."""
import socket
import struct
import sys
import threading
import time

import requests
from server import MIB, Server, Verdict, parse_head, sanitized

BODY = (int(sys.argv[1]) if len(sys.argv) > 1 else 256) * MIB
CLIENTS, BUDGET, PATIENCE_S = 64, 8 * BODY, 900


def make_body():
    count = (BODY - 4096) // 8
    head = requests.text(
        {
            "input": {"dtype": "F32", "shape": [count], "data_offsets": [0, count * 4]},
            "target": {"dtype": "F32", "shape": [count], "data_offsets": [count * 4, count * 8]},
        }
    )
    head += b" " * (BODY - 8 - count * 8 - len(head))
    return struct.pack("<Q", len(head)) + head, count * 8


class Client(threading.Thread):
    def __init__(self, port, head, zeros, zero_count):
        super().__init__(daemon=True)
        self.port, self.head, self.zeros, self.zero_count = port, head, zeros, zero_count
        self.outcome, self.refusals = "nothing", 0

    def ask(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(
                "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Type:"
                " application/vnd.safetensors\r\nAccept: application/json\r\nContent-Length:"
                f" {BODY}\r\n\r\n".encode()
                + self.head
            )
            try:
                for at in range(0, self.zero_count, len(self.zeros)):
                    connection.sendall(self.zeros[: self.zero_count - at])
            except ConnectionError:
                pass  # the server need not read a body that it rejects
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(1 << 16)
                if not piece:
                    raise ConnectionError("closed without a response")
                data += piece
            return parse_head(data.partition(b"\r\n\r\n")[0])

    def run(self):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                status, headers = self.ask()
            except OSError as error:
                self.outcome = str(error)
                return
            self.outcome = status
            if status != 503:
                return
            self.refusals += 1
            if "retry-after" not in headers:
                self.outcome = "503 without Retry-After"
                return
            time.sleep(float(headers["retry-after"]))


def main():
    verdict = Verdict()
    server = Server("--max-memory", str(BUDGET), "--memory-wait-timeout", "5")
    base = server.status("VmRSS")
    head, zero_count = make_body()
    zeros = memoryview(bytes(16 * MIB))
    begun = time.monotonic()
    clients = [Client(server.port, head, zeros, zero_count) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    outcomes = {}
    for client in clients:
        outcomes[client.outcome] = outcomes.get(client.outcome, 0) + 1
    verdict.say(
        f"{CLIENTS} clients with {BODY // MIB} MiB each: {time.monotonic() - begun:.0f} s,"
        f" {sum(client.refusals for client in clients)} times 503"
    )
    verdict.check(outcomes == {200: CLIENTS}, f"in the end: {outcomes}")
    peak = server.status("VmHWM")
    if not sanitized():
        verdict.check(
            peak <= BUDGET + base,
            (
                f"peak {peak / MIB:.0f} MiB; the limit is {BUDGET // MIB} MiB, and"
                f" {base / MIB:.0f} MiB were used before"
            ),
        )
    verdict.check(server.alive(), "the server is running")
    time.sleep(4)
    verdict.check(
        sanitized() or server.status("VmRSS") < base + 16 * MIB,
        f"{server.status('VmRSS') / MIB:.0f} MiB at rest",
    )
    code = server.stop()
    verdict.check(code == 0, f"the server exited with {code}")
    verdict.end()


if __name__ == "__main__":
    main()
