"""Figures 13 and 14: whole binary requests over loopback, against the binary endpoint of FastAPI
and against a server that only copies the bytes."""
import array
import contextlib
import json
import math
import random
import statistics
import struct

import processes
from figures_http import IO_THREADS, client, guarded, interleave
from processes import NotMeasured
from rows import Row, ratios, time_text

SMALL_REPETITIONS = 200  # small requests per round


def tensors(count):
    """Returns the bytes of input and target in float32. The numbers repeat after 1e5."""
    make, some = random.Random(1), min(count, 100_000)
    values = [array.array("f", [make.gauss(0, 1) for _ in range(some)]).tobytes() for _ in range(2)]
    return [(value * (count // some + 1))[: 4 * count] for value in values]


def safetensors(count, values):
    header = {
        name: {
            "dtype": "F32",
            "shape": [count],
            "data_offsets": [4 * count * i, 4 * count * (i + 1)],
        }
        for i, name in enumerate(("input", "target"))
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(values)


def read_safetensors(answer):
    """Returns the loss and the size of the gradient in bytes."""
    (length,) = struct.unpack_from("<Q", answer)
    header = json.loads(answer[8 : 8 + length])
    (loss,) = struct.unpack_from("<d", answer, 8 + length + header["loss"]["data_offsets"][0])
    begin, end = header["grad_input"]["data_offsets"]
    return loss, end - begin


def infer_request(count, values):
    """Returns a body and headers like those that NVIDIA's tritonclient sends."""
    inputs = [
        {
            "name": name,
            "shape": [count],
            "datatype": "FP32",
            "parameters": {"binary_data_size": 4 * count},
        }
        for name in ("input", "target")
    ]
    outputs = [
        {"name": name, "parameters": {"binary_data": True}} for name in ("loss", "grad_input")
    ]
    text = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    return text + b"".join(values), f"Inference-Header-Content-Length: {len(text)}\r\n"


def repeated(ask, times):
    """Calls `ask` `times` times and returns the mean time."""

    def run():
        answers = [ask() for _ in range(times)]
        return statistics.fmean(elapsed for elapsed, _ in answers), answers[-1][1]

    return run


def rows_of(settings, count, ours, peer, bare):
    """Measures mse of `count` elements with gradient: safetensors against both peers, then the Open
    Inference Protocol."""
    values = tensors(count)
    file, raw, infer = safetensors(count, values), b"".join(values), infer_request(count, values)
    times = 1 if count > 100_000 else max(1, SMALL_REPETITIONS // settings.shrink)
    with contextlib.ExitStack() as stack:
        to_ours, to_bare = stack.enter_context(client(ours)), stack.enter_context(client(bare))
        path, kind = "/v1/losses/mse?grad=true", "Content-Type: application/vnd.safetensors\r\n"
        askers = {
            "ours": lambda: to_ours.post(path, file, kind),
            "bare": lambda: to_bare.post(f"/{4 * count}", file),
            "infer": lambda: to_ours.post("/v2/models/mse/infer", *infer),
        }
        if not isinstance(peer, NotMeasured):
            to_peer = stack.enter_context(client(peer))
            askers["peer"] = lambda: to_peer.post(f"/raw/mse?n={count}", raw, "")
        taken, answers = interleave(
            settings.rounds, {who: repeated(ask, times) for who, ask in askers.items()}
        )
    loss, gradient = read_safetensors(answers["ours"])
    if (
        gradient != 4 * count
        or len(answers["infer"]) < 4 * count
        or len(answers["bare"]) != 4 * count
    ):
        raise NotMeasured("failed: a response is too short")
    ours_text, bare_text, infer_text = (
        time_text(statistics.median(taken[who])) for who in ("ours", "bare", "infer")
    )
    name, large = f"mse, {count:.0e} elements".replace("e+0", "e"), count == settings.binary_numbers
    if isinstance(peer, NotMeasured):
        yield Row(13, f"{name}: FastAPI, raw bytes", error=peer)
    elif not math.isclose(loss, struct.unpack_from("<f", answers["peer"])[0], rel_tol=1e-4):
        yield Row(13, name, error=NotMeasured("failed: the loss of the peer differs"))
    else:
        yield Row(
            13,
            f"{name}: FastAPI, raw bytes",
            ratios(taken["peer"], taken["ours"]),
            3 if large else None,
            4 if large else None,
            ours=ours_text,
            peer=time_text(statistics.median(taken["peer"])),
        )
    yield Row(
        13,
        f"{name}: bare libmicrohttpd",
        ratios(taken["bare"], taken["ours"]),
        ours=ours_text,
        peer=bare_text,
    )
    yield Row(
        14,
        name,
        ratios(taken["infer"], taken["bare"]),
        1.5 if large else None,
        low=True,
        ours=infer_text,
        peer=bare_text,
    )


def figures(settings):
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(
            processes.lossd(settings.build, settings.folder, settings.threads, IO_THREADS)
        )
        bare = stack.enter_context(processes.bare(settings.build, settings.folder))
        try:
            peer = stack.enter_context(processes.fastapi_peer(settings.folder))
        except NotMeasured as reason:
            peer = reason
        rows = []
        for count in sorted({1000, 1_000_000 // settings.shrink, settings.binary_numbers}):
            rows += guarded(13, f"{count} elements", rows_of(settings, count, ours, peer, bare))
        yield from sorted(rows, key=lambda row: row.figure)
