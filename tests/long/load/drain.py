#!/usr/bin/python3
"""drain.py [SIGTERMS]: sends SIGTERM to servers one after another under the load of 32 clients; the
next server listens on the same port. No request may fail. A client tries again only if it could not
connect. A request that was sent fails unless it gets exactly the expected response with status 200.
This includes requests on a keep-alive connection that is closed without a response, and responses
with 503, even where HTTP lets the client try again."""
import socket
import sys
import threading
import time

import requests
from server import Server, Verdict, parse_head

CLIENTS, BETWEEN_S = 32, 0.5


class Asker(threading.Thread):
    def __init__(self, port, asked, number):
        super().__init__(daemon=True)
        self.port, self.asked, self.number = port, asked, number
        self.connection = None
        self.answered = self.refused = 0
        self.errors = []
        self.ending = False

    def connect(self):
        while not self.ending:
            try:
                self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return True
            except ConnectionRefusedError:
                self.refused += 1
                time.sleep(0.01)
        return False

    def read(self):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.connection.recv(1 << 16)
            if not piece:
                raise ConnectionError(f"closed after {len(data)} bytes")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        status, headers = parse_head(head)
        while len(body) < int(headers.get("content-length", 0)):
            piece = self.connection.recv(1 << 20)
            if not piece:
                raise ConnectionError("closed within the body")
            body += piece
        if headers.get("connection", "") == "close":
            self.disconnect()
        return status, body

    def disconnect(self):
        self.connection.close()
        self.connection = None

    def run(self):
        turn = self.number
        while not self.ending:
            name, data, expected = self.asked[turn % len(self.asked)]
            turn += 1
            if not self.connection and not self.connect():
                return
            try:
                self.connection.sendall(data)
                status, body = self.read()
                if status != 200 or body != expected:
                    self.errors.append(f"{name}: {status} {body[:200]}")
                self.answered += 1
            except OSError as error:
                self.errors.append(f"{name}: {error}")
                self.disconnect()
            if turn % 50 == 0 and self.connection:
                self.disconnect()  # so that clients make new connections all the time


def main(count):
    verdict = Verdict()
    probe = Server()
    port = probe.port
    asked = []
    for name, data, same in requests.good():
        if name in ("small", "large", "safetensors", "large infer", "several", "large in gzip"):
            asker = Asker(port, [], 0)
            asker.connect()
            asker.connection.sendall(data)
            status, body = asker.read()
            assert status == 200, body
            asked.append((name, data, body))
    probe.stop()
    server = Server("--drain-delay", "0.2", port=port)
    askers = [Asker(port, asked, number) for number in range(CLIENTS)]
    for asker in askers:
        asker.start()
    codes = {}
    took = []
    for _ in range(count):
        time.sleep(BETWEEN_S)
        begun = time.monotonic()
        code = server.stop()
        took.append(time.monotonic() - begun)
        codes[code] = codes.get(code, 0) + 1
        server = Server("--drain-delay", "0.2", port=port)
    time.sleep(1)
    for asker in askers:
        asker.ending = True
    for asker in askers:
        asker.join(30)
    server.stop()
    errors = [error for asker in askers for error in asker.errors]
    for error in errors[:10]:
        verdict.say("  " + error)
    verdict.say(
        f"{count} SIGTERMs; a server took {min(took):.2f} to {max(took):.2f} s to end;"
        f" {sum(asker.refused for asker in askers)} refused attempts to connect"
    )
    verdict.check(codes == {0: count}, f"exit codes {codes}")
    verdict.check(
        not errors,
        f"{sum(asker.answered for asker in askers)} requests answered, {len(errors)} failed",
    )
    verdict.end()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
