"""Figures 8 to 12: whole requests over loopback."""
import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import threading

import processes
from processes import NotMeasured
from rows import Row, ratios, time_text

IO_THREADS = 2
CONNECTIONS = 32
SMALL_RATE = 500  # small requests per second, sent concurrently with large ones
MIB = 1 << 20


def numbers(count, seed):
    """Returns `count` numbers as Python writes them. They repeat after 1e5."""
    make = random.Random(seed)
    some = min(count, 100_000)
    text = ", ".join([repr(make.gauss(0, 1)) for _ in range(some)])
    whole, rest = divmod(count, some)
    parts = [text] * whole
    if rest:
        parts.append(", ".join(text.split(", ")[:rest]))
    return ", ".join(parts)


def mse_body(count, extra=""):
    tensors = f'"input": [{numbers(count, 1)}], "target": [{numbers(count, 2)}]'
    return f'{{{tensors}, "grad": true{extra}}}'.encode()


def cross_entropy_body(rows, classes):
    row = numbers(rows * classes, 1).split(", ")
    matrix = ", ".join(
        "[" + ", ".join(row[i * classes : (i + 1) * classes]) + "]" for i in range(rows)
    )
    target = ", ".join(str(i * 7919 % classes) for i in range(rows))
    return f'{{"input": [{matrix}], "target": [{target}], "grad": true}}'.encode()


def elements_text(count):
    return f"{count:.0e} elements".replace("e+0", "e")


def large_body(megabytes):
    """Returns an mse request of `megabytes` MB and the count of its numbers."""
    size = len(numbers(100_000, 1)) / 100_000
    count = int(megabytes * 1e6 / size / 2)
    return mse_body(count), 2 * count


def interleave(rounds, askers):
    """Returns the nanoseconds of each request by asker, and the last responses. The first round
    does not count."""
    times, answers = {who: [] for who in askers}, {}
    for repetition in range(rounds + 1):
        for who, ask in askers.items():
            elapsed, answers[who] = ask()
            if repetition:
                times[who].append(elapsed)
    return times, answers


@contextlib.contextmanager
def client(server):
    connection = processes.Client(server.port)
    try:
        yield connection
    finally:
        connection.close()


def against_peer(settings, ours, peer):
    shrink = settings.shrink
    few, many, rows = 100_000 // shrink, 1_000_000 // shrink, 10_000 // shrink
    cases = [
        (f"mse, {elements_text(few)}", "mse", lambda: mse_body(few), 20, 35),
        (f"mse, {elements_text(many)}", "mse", lambda: mse_body(many), 20, 35),
        (
            f"cross_entropy, {rows}x100",
            "cross_entropy",
            lambda: cross_entropy_body(rows, 100),
            25,
            35,
        ),
    ]
    for name, loss, make, reach, stretch in cases:
        if isinstance(peer, NotMeasured):
            yield Row(8, name, error=peer)
            continue
        path, body = f"/v1/losses/{loss}", make()
        with client(ours) as to_ours, client(peer) as to_peer:
            times, answers = interleave(
                settings.peer_rounds,
                {
                    "ours": lambda: to_ours.post(path, body),
                    "peer": lambda: to_peer.post(path, body),
                },
            )
        losses = [json.loads(answers[who])["loss"] for who in ("ours", "peer")]
        if not math.isclose(*losses, rel_tol=1e-4):
            yield Row(
                8, name, error=NotMeasured("failed: the loss is {}, the peer's {}".format(*losses))
            )
            continue
        yield Row(
            8,
            name,
            ratios(times["peer"], times["ours"]),
            reach,
            stretch,
            ours=time_text(statistics.median(times["ours"])),
            peer=time_text(statistics.median(times["peer"])),
        )


def load(settings, server, body_file, connections, seconds, rate=0):
    command = [
        os.path.join(settings.build, "bench", "load"),
        str(server.port),
        "/v1/losses/mse",
        body_file,
        str(connections),
        str(seconds),
        str(rate),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise NotMeasured("failed: the load generator did not exit") from late
    if done.returncode:
        raise NotMeasured(f"failed: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    if answer["failed"] or not answer["requests"]:
        raise NotMeasured(f"failed: {answer['failed']} small requests did not get 200")
    return answer


def small_requests(settings, ours, peer, body_file, answer):
    peers = {"FastAPI": (peer, 10, 15, "x")}
    with contextlib.ExitStack() as stack:
        try:
            constant = stack.enter_context(
                processes.nginx(settings.folder, IO_THREADS, answer.decode())
            )
        except NotMeasured as reason:
            constant = reason
        peers["nginx, a constant response"] = (constant, 0.55, 0.65, "%")
        rates = {}
        for _ in range(settings.rounds):
            for who, server in (
                ("ours", ours),
                *((name, entry[0]) for name, entry in peers.items()),
            ):
                if not isinstance(server, NotMeasured):
                    got = load(settings, server, body_file, CONNECTIONS, settings.load_seconds)
                    rates.setdefault(who, []).append(got["requests"] / got["seconds"])
    for name, (server, reach, stretch, unit) in peers.items():
        if isinstance(server, NotMeasured):
            yield Row(9, name, error=server)
        else:
            yield Row(
                9,
                name,
                ratios(rates["ours"], rates[name]),
                reach,
                stretch,
                unit,
                ours=f"{statistics.median(rates['ours']):.0f}/s",
                peer=f"{statistics.median(rates[name]):.0f}/s",
            )


def beside_large(settings, ours, body_file, body):
    """Measures small requests at a fixed rate while another connection sends large requests."""
    stop, done, problems = threading.Event(), [], []

    def large():
        try:
            with client(ours) as connection:
                while not stop.is_set():
                    done.append(connection.post("/v1/losses/mse", body)[0])
        except (NotMeasured, OSError) as reason:
            problems.append(reason)

    quiet = load(settings, ours, body_file, 4, settings.load_seconds, SMALL_RATE)
    thread = threading.Thread(target=large)
    thread.start()
    try:
        got = [
            load(settings, ours, body_file, 4, settings.tail_seconds, SMALL_RATE)
            for _ in range(settings.tail_rounds)
        ]
    finally:
        stop.set()
        thread.join()
    if problems:
        raise NotMeasured(f"failed: large request: {problems[0]}")
    name = f"p99, {len(body) / 1e6:.0f} MB requests ({time_text(statistics.median(done))} each)"
    yield Row(
        10,
        name,
        [entry["p99_ms"] for entry in got],
        10,
        3,
        "ms",
        low=True,
        peer=f"{quiet['p99_ms']:.2f} ms",
    )
    yield Row(
        10,
        "maximum",
        [entry["max_ms"] for entry in got],
        unit="ms",
        low=True,
        peer=f"{quiet['max_ms']:.2f} ms",
    )


def peak_memory(settings, body, count, small):
    """Starts a new server for each sample. The base is its memory after one small request."""
    samples, used = [], 0
    for _ in range(settings.memory_rounds):
        with processes.lossd(
            settings.build, settings.folder, settings.threads, IO_THREADS
        ) as server, client(server) as to:
            to.post("/v1/losses/mse", small)
            server.forget_peak()
            idle = server.memory("VmHWM")
            _, answer = to.post("/v1/losses/mse", body)
            used = server.memory("VmHWM") - idle
        samples.append(used / (len(body) + 4 * count + len(answer)))
    allowed = f"{(len(body) + 4 * count + len(answer)) / MIB:.0f} MiB"
    yield Row(
        11,
        f"mse with gradient, {len(body) / 1e6:.0f} MB of JSON",
        samples,
        1.10,
        low=True,
        ours=f"{used / MIB:.0f} MiB",
        peer=allowed,
    )


def double_precision(settings, ours):
    count = 1_000_000 // settings.shrink
    bodies = {dtype: mse_body(count, f', "dtype": "{dtype}"') for dtype in ("float32", "float64")}
    with client(ours) as to:
        times, _ = interleave(
            settings.rounds,
            {
                dtype: (lambda body=body: to.post("/v1/losses/mse", body))
                for dtype, body in bodies.items()
            },
        )
    yield Row(
        12,
        f"mse, {elements_text(count)}",
        ratios(times["float64"], times["float32"]),
        2.2,
        low=True,
        ours=time_text(statistics.median(times["float64"])),
        peer=time_text(statistics.median(times["float32"])),
    )


def guarded(figure, name, rows):
    """Returns the rows, or one row with the reason why there are none. If a server fails, only its
    figure is missing."""
    try:
        yield from rows
    except (NotMeasured, OSError) as reason:
        yield Row(
            figure,
            name,
            error=reason if isinstance(reason, NotMeasured) else NotMeasured(f"failed: {reason}"),
        )


def figures(settings):
    small = mse_body(10)
    body_file = os.path.join(settings.folder, "small.json")
    with open(body_file, "wb") as file:
        file.write(small)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(
            processes.lossd(settings.build, settings.folder, settings.threads, IO_THREADS)
        )
        try:
            peer = stack.enter_context(processes.fastapi_peer(settings.folder))
        except NotMeasured as reason:
            peer = reason
        with client(ours) as to:
            _, answer = to.post("/v1/losses/mse", small)
        yield from guarded(8, "requests", against_peer(settings, ours, peer))
        yield from guarded(
            9, "small requests", small_requests(settings, ours, peer, body_file, answer)
        )
        body, count = large_body(settings.large_megabytes)
        yield from guarded(10, "latency", beside_large(settings, ours, body_file, body))
        yield from guarded(11, "memory", peak_memory(settings, body, count, small))
        yield from guarded(12, "float64", double_precision(settings, ours))
