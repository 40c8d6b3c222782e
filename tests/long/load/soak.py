#!/usr/bin/python3
"""soak.py SECONDS [BURSTS]: sends valid, invalid, slow and aborted requests of every protocol. Each
valid request must get the same response as the first time, and each invalid one the expected
status. The server must disconnect clients that are too slow. Between bursts, without requests, it
must use no more memory and descriptors than in the beginning."""
import asyncio
import random
import sys
import time

import requests
from server import MIB, Client, Closed, Server, Verdict, percentile, request, sanitized

BURSTS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
QUIET_S, HEADER_TIMEOUT = 6, 5
ARGUMENTS = [
    "--header-timeout",
    str(HEADER_TIMEOUT),
    "--max-body",
    "64M",
    "--max-decompressed-body",
    "64M",
]


class Soak:
    def __init__(self, server):
        self.server = server
        self.good = {}
        self.bad = requests.bad()
        self.counts = dict.fromkeys(("good", "bad", "slow", "cut", "aborted"), 0)
        self.errors = []
        self.latencies = []
        self.peak = 0
        self.until = 0

    async def learn(self):
        client = Client(self.server.port)
        for name, data, same in requests.good():
            status, _, body = await client.ask(data)
            if status != 200:
                sys.exit(f"{name}: {status} {body[:300]}")
            self.good[name] = (data, body if same else None)
        client.close()

    def wrong(self, what):
        self.errors.append(f"{time.strftime('%H:%M:%S')} {what}")
        if len(self.errors) <= 20:
            print("  " + self.errors[-1], flush=True)

    def expect(self, name, answer):
        status, _, body = answer
        expected = self.good[name][1]
        if status != 200 or (expected is not None and body != expected):
            self.wrong(f"{name}: {status} {len(body)} bytes {body[:200]}")

    def pick(self, source):
        return source.choice(list(self.good))

    async def ask_well(self, source):
        client = Client(self.server.port)
        while time.monotonic() < self.until:
            name = self.pick(source)
            begun = time.monotonic()
            try:
                answer = await client.ask(self.good[name][0])
                self.expect(name, answer)
                if name == "small":
                    self.latencies.append(time.monotonic() - begun)
            except Closed as error:
                self.wrong(f"{name}: {error}")
                client.close()
            self.counts["good"] += 1
            if source.random() < 0.05:
                client.close()
        client.close()

    async def ask_badly(self, source):
        client = Client(self.server.port)
        while time.monotonic() < self.until:
            name, data, status, closes = source.choice(self.bad)
            try:
                answer = await client.ask(data)
                if answer[0] != status or closes == client.connected():
                    self.wrong(f"{name}: {answer[0]} {answer[2][:200]}")
            except Closed as error:
                self.wrong(f"{name}: {error}")
            if closes or not client.connected():
                client.close()
            self.counts["bad"] += 1
            await asyncio.sleep(0.005)
        client.close()

    async def ask_slowly(self, source):
        """Sends a request in pieces with pauses, which the server must accept, unless this client
        was too slow because the machine is busy."""
        while time.monotonic() < self.until:
            name = self.pick(source)
            data = self.good[name][0]
            client = Client(self.server.port)
            await client.connect()
            pieces = source.randint(2, 8)
            cuts = sorted(source.sample(range(1, len(data)), pieces - 1))
            begun = sent = time.monotonic()
            try:
                for begin, end in zip([0, *cuts], [*cuts, len(data)]):
                    await client.send(data[begin:end])
                    sent = time.monotonic()
                    await asyncio.sleep(source.uniform(0, 0.2))
                answer = await client.read()
                if sent - begun < HEADER_TIMEOUT - 0.5 or answer[0] != 408:
                    self.expect(name, answer)
            except (Closed, ConnectionError) as error:
                if time.monotonic() - begun < HEADER_TIMEOUT - 0.5:
                    self.wrong(f"{name}, slowly: {error}")
            client.close()
            self.counts["slow"] += 1

    async def drip(self, source):
        """Sends headers byte by byte. The server must disconnect after --header-timeout."""
        while time.monotonic() < self.until - 3 * HEADER_TIMEOUT:
            client = Client(self.server.port)
            await client.connect()
            begun = time.monotonic()
            data = request("GET", "/healthz", headers=["X: " + "y" * 1000])
            ended = asyncio.create_task(client.reader.read(1 << 16))
            for at in range(len(data)):
                if ended.done() or time.monotonic() - begun > 2 * HEADER_TIMEOUT + 5:
                    break
                try:
                    await client.send(data[at : at + 1])
                except ConnectionError:
                    break
                await asyncio.sleep(0.1)
            lasted = time.monotonic() - begun
            if not HEADER_TIMEOUT - 0.2 <= lasted <= 2 * HEADER_TIMEOUT + 2:
                self.wrong(f"slow headers: disconnected after {lasted:.1f} s")
            ended.cancel()
            client.close()
            self.counts["cut"] += 1
            await asyncio.sleep(source.uniform(0, 0.5))

    async def abort(self, source):
        """Closes the connection, or resets it, during the headers, the body, the computation or the
        response."""
        while time.monotonic() < self.until:
            data = self.good[self.pick(source)][0]
            client = Client(self.server.port)
            try:
                await client.connect()
                await client.send(
                    data[
                        : source.choice(
                            [0, 1, 20, len(data) // 2, len(data) - 1, len(data), len(data)]
                        )
                    ]
                )
                await asyncio.sleep(source.choice([0, 0, 0.001, 0.01, 0.1]))
                if source.random() < 0.3:
                    await asyncio.wait_for(client.reader.read(1000), 0.2)
            except (ConnectionError, asyncio.TimeoutError):
                pass
            client.close(reset=source.random() < 0.5)
            self.counts["aborted"] += 1
            await asyncio.sleep(source.uniform(0, 0.01))

    async def sample(self):
        while time.monotonic() < self.until:
            self.peak = max(self.peak, self.server.status("VmRSS"))
            await asyncio.sleep(0.5)

    async def burst(self, seconds, seed):
        self.until = time.monotonic() + seconds
        self.latencies.clear()
        self.peak = 0
        workers = (
            [self.ask_well] * 12
            + [self.ask_badly] * 3
            + [self.ask_slowly] * 6
            + [self.drip] * 3
            + [self.abort] * 4
        )
        await asyncio.gather(
            self.sample(),
            *(worker(random.Random(f"{seed} {i}")) for i, worker in enumerate(workers)),
        )


async def main(seconds):
    verdict = Verdict()
    server = Server(*ARGUMENTS)
    soak = Soak(server)
    await soak.learn()
    idle = []
    verdict.say(
        f"{'burst':>5} {'good':>8} {'bad':>7} {'slow':>6} {'cut':>5} {'aborted':>8} "
        f"{'errors':>6} {'p50 ms':>7} {'p99 ms':>7} {'peak MiB':>8} "
        f"{'idle MiB':>8} {'files':>5} {'threads':>7}"
    )
    for number in range(BURSTS):
        # The first burst is short. Later ones are compared with the memory and descriptors after
        # it.
        await soak.burst(
            max(5, seconds / 20 if number == 0 else (seconds - seconds / 20) / max(1, BURSTS - 1)),
            number,
        )
        await asyncio.sleep(QUIET_S)
        idle.append((server.status("VmRSS"), server.files(), server.status("Threads")))
        verdict.say(
            f"{number:5} {soak.counts['good']:8} {soak.counts['bad']:7} {soak.counts['slow']:6} "
            f"{soak.counts['cut']:5} {soak.counts['aborted']:8} {len(soak.errors):6} "
            f"{percentile(soak.latencies, .5) * 1e3:7.2f} "
            f"{percentile(soak.latencies, .99) * 1e3:7.2f} {soak.peak / MIB:8.1f} "
            f"{idle[-1][0] / MIB:8.1f} {idle[-1][1]:5} {idle[-1][2]:7}"
        )
    verdict.check(
        not soak.errors,
        f"{sum(soak.counts.values())} requests, {len(soak.errors)} unexpected errors",
    )
    if not sanitized():
        verdict.check(
            idle[-1][0] <= idle[0][0] + 4 * MIB,
            (
                f"idle memory: {idle[0][0] / MIB:.1f} MiB at first, {idle[-1][0] / MIB:.1f} MiB"
                " at last"
            ),
        )
    verdict.check(
        idle[-1][1] <= idle[0][1],
        f"idle descriptors: {idle[0][1]} at first, {idle[-1][1]} at last",
    )
    verdict.check(
        idle[-1][2] <= idle[0][2], f"threads: {idle[0][2]} at first, {idle[-1][2]} at last"
    )
    code = server.stop()
    verdict.check(code == 0, f"the server exited with {code}")
    verdict.end()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1200))
