#!/usr/bin/python3
"""slow.py [SECONDS [IDLE]]: opens IDLE (10 000) idle connections and a tenth as many slow ones
(which send headers or bodies, or read responses, slowly) for SECONDS (60, at least 12). Other
clients must not be slowed down, and the server must disconnect every slow connection after its
timeout."""
import asyncio
import multiprocessing
import socket
import sys
import time
from pathlib import Path

import requests
from server import Client, Closed, Server, Verdict, allow_files, percentile, request, sanitized

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
IDLE = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
HEADERS, BODIES, ANSWERS = IDLE * 6 // 100, IDLE * 3 // 100, IDLE // 100
HEADER_TIMEOUT, RATE_WINDOW, SLACK = SECONDS // 6, SECONDS // 3, 3
# The kernel buffers the first megabytes of a response even if the client reads slowly, so the
# server notices only one rate window later.
LIMITS = {
    "headers": (HEADER_TIMEOUT, HEADER_TIMEOUT),
    "body": (RATE_WINDOW, RATE_WINDOW),
    "answer": (RATE_WINDOW, 2 * RATE_WINDOW),
}
LONG_ANSWER = 1500000  # numbers: more bytes than the kernel buffers
NORMAL_RATE, NORMAL_CONNECTIONS = 100, 4
P99_MS = 50


def normal(port, seconds, results):
    """Sends small requests on a fixed schedule, in a separate process. Latencies count from the
    scheduled time."""
    data = dict((name, bytes_) for name, bytes_, _ in requests.good())["small"]
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(NORMAL_CONNECTIONS)]
    latencies, failed, begun = [], 0, time.monotonic()
    for number in range(int(seconds * NORMAL_RATE)):
        due = begun + number / NORMAL_RATE
        time.sleep(max(0, due - time.monotonic()))
        connection = connections[number % NORMAL_CONNECTIONS]
        connection.sendall(data)
        answer = connection.recv(1 << 16)
        failed += not answer.startswith(b"HTTP/1.1 200 ")
        latencies.append(time.monotonic() - due)
    results.put((latencies, failed))


class Drips:
    def __init__(self, port):
        self.port, self.until = port, 0
        self.lasted = {"headers": [], "body": [], "answer": []}
        self.held = self.most = 0
        self.established = set()
        self.ask_large = request(
            "POST",
            "/v1/losses/mse?grad=true",
            requests.safetensors(LONG_ANSWER),
            ["Content-Type: application/vnd.safetensors"],
        )
        self.turn = asyncio.Semaphore(2)

    async def watch_server_side(self):
        """Updates the set of client ports that are connected to the server. A client that does not
        read cannot see that it was disconnected, because the end of the stream comes after the
        unread bytes."""
        here = f":{self.port:04X}"
        while True:
            established = set()
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(here) and fields[3] == "01":
                    established.add(int(fields[2].rpartition(":")[2], 16))
            self.established = established
            await asyncio.sleep(0.5)

    async def wait_for_end(self, reader, limit):
        """Reads until the server closes or resets the connection."""
        try:
            await asyncio.wait_for(reader.read(-1), limit)
        except (ConnectionError, asyncio.TimeoutError):
            pass

    async def drip(self, what, head, limit):
        """Repeatedly sends `head` and then a byte per second. Records the time until the server
        disconnects."""
        while time.monotonic() < self.until - limit - SLACK:
            client = Client(self.port)
            await client.connect()
            await client.send(head)
            begun = time.monotonic()
            self.hold(1)
            ended = asyncio.create_task(self.wait_for_end(client.reader, limit + 10))
            while not ended.done():
                await asyncio.wait([ended], timeout=1)
                try:
                    await client.send(b"x")
                except ConnectionError:
                    break
            await ended
            self.lasted[what].append(time.monotonic() - begun)
            self.hold(-1)
            client.close()

    async def sip(self, limit):
        """Repeatedly requests a long response and reads a byte of it per second."""
        loop = asyncio.get_running_loop()
        while time.monotonic() < self.until - limit - SLACK:
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            async with self.turn:
                await loop.sock_connect(connection, ("127.0.0.1", self.port))
                await loop.sock_sendall(connection, self.ask_large)
                await loop.sock_recv(connection, 1)
            begun = time.monotonic()
            self.hold(1)
            port = connection.getsockname()[1]
            await asyncio.sleep(2)  # until the connection has been seen there
            while time.monotonic() - begun < limit + 10 and port in self.established:
                await loop.sock_recv(connection, 1)
                await asyncio.sleep(1)
            self.lasted["answer"].append(time.monotonic() - begun)
            self.hold(-1)
            connection.close()

    def hold(self, more):
        self.held += more
        self.most = max(self.most, self.held)


async def main():
    verdict = Verdict()
    allow_files()
    server = Server(
        "--max-connections",
        str(IDLE + 2000),
        "--max-connections-per-address",
        "0",
        "--header-timeout",
        str(HEADER_TIMEOUT),
        "--min-rate-window",
        str(RATE_WINDOW),
        "--idle-timeout",
        str(SECONDS + 600),
    )
    results = multiprocessing.Queue()
    alone = multiprocessing.Process(target=normal, args=(server.port, SECONDS / 6, results))
    alone.start()
    before, failed_before = await asyncio.to_thread(results.get)
    idle = []
    for _ in range(IDLE):
        connection = socket.socket()
        connection.connect(("127.0.0.1", server.port))
        idle.append(connection)
    drips = Drips(server.port)
    drips.until = time.monotonic() + SECONDS
    watching = asyncio.create_task(drips.watch_server_side())
    tasks = [
        asyncio.create_task(
            drips.drip("headers", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", HEADER_TIMEOUT)
        )
        for _ in range(HEADERS)
    ]
    tasks += [
        asyncio.create_task(
            drips.drip(
                "body",
                (
                    b"POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length:"
                    b" 1000000\r\n\r\n"
                ),
                RATE_WINDOW,
            )
        )
        for _ in range(BODIES)
    ]
    tasks += [asyncio.create_task(drips.sip(2 * RATE_WINDOW)) for _ in range(ANSWERS)]
    await asyncio.sleep(SECONDS / 6)  # until all clients have started
    beside = multiprocessing.Process(target=normal, args=(server.port, SECONDS * 2 / 3, results))
    beside.start()
    during, failed = await asyncio.to_thread(results.get)
    await asyncio.gather(*tasks)
    watching.cancel()
    alive, ends = 0, {}
    for connection in idle:
        connection.setblocking(False)
        try:
            end = connection.recv(1000)
        except BlockingIOError:
            alive += 1
        except ConnectionError as error:
            ends[str(error)] = ends.get(str(error), 0) + 1
        else:
            ends[end] = ends.get(end, 0) + 1
    verdict.say(
        f"small requests alone:  p50 {percentile(before, .5) * 1e3:.2f} ms, p99"
        f" {percentile(before, .99) * 1e3:.2f} ms, of {len(before)}"
    )
    verdict.say(
        f"small requests under load: p50 {percentile(during, .5) * 1e3:.2f} ms, p99"
        f" {percentile(during, .99) * 1e3:.2f} ms, of {len(during)}"
    )
    verdict.say(
        f"slow connections at once: {drips.most}; server memory"
        f" {server.status('VmRSS') >> 20} MiB, peak {server.status('VmHWM') >> 20} MiB"
    )
    verdict.check(
        failed + failed_before == 0, f"small requests that failed: {failed + failed_before}"
    )
    if not sanitized() and SECONDS >= 60:  # percentiles of fewer requests are unreliable
        verdict.check(percentile(during, 0.99) * 1e3 < P99_MS, f"99th percentile under {P99_MS} ms")
    verdict.check(
        alive == IDLE,
        (
            f"idle connections that remain open: {alive} of"
            f" {IDLE}{f', others: {ends}' if ends else ''}"
        ),
    )
    for what, (least, limit) in LIMITS.items():
        lasted = drips.lasted[what]
        verdict.check(
            lasted and least - 0.5 <= min(lasted) and max(lasted) <= limit + SLACK,
            (
                f"{what}: {len(lasted)} disconnected after {min(lasted, default=0):.1f} to"
                f" {max(lasted, default=0):.1f} s, expected: {least} to {limit} s"
            ),
        )
    for connection in idle:
        connection.close()
    code = server.stop()
    verdict.check(code == 0, f"the server exited with {code}")
    verdict.end()


if __name__ == "__main__":
    asyncio.run(main())
