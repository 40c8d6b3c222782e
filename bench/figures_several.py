"""Figure 15: several losses over the same tensors in one request, against one request per loss."""
import base64
import contextlib
import json
import statistics

import processes
from figures_binary import tensors
from figures_http import IO_THREADS, client, guarded, interleave, numbers
from processes import NotMeasured
from rows import Row, ratios, time_text

LOSSES = ["mse", "l1", "smooth_l1", "huber", "hinge_embedding"]


def as_text(count):
    return f'"input": [{numbers(count, 1)}], "target": [{numbers(count, 2)}]'


def as_base64(count):
    def tensor(value):
        return json.dumps(
            {
                "shape": [count],
                "dtype": "float32",
                "data": {"buffer": base64.b64encode(value).decode(), "encoding": "base64"},
            }
        )

    return ", ".join(
        f'"{name}": {tensor(value)}' for name, value in zip(("input", "target"), tensors(count))
    )


def case(settings, ours, name, fields, extra=""):
    alone = f"{{{fields}{extra}}}".encode()
    together = f'{{{fields}{extra}, "losses": {json.dumps(LOSSES)}}}'.encode()
    with client(ours) as connection:

        def ask_alone():
            answers = [connection.post(f"/v1/losses/{loss}", alone) for loss in LOSSES]
            return sum(elapsed for elapsed, _ in answers), [answer for _, answer in answers]

        taken, answers = interleave(
            settings.rounds,
            {"alone": ask_alone, "together": lambda: connection.post("/v1/evaluate", together)},
        )
    if (
        answers["together"].strip()
        != b'{"results":[' + b",".join(answer.strip() for answer in answers["alone"]) + b"]}"
    ):
        raise NotMeasured("failed: the responses differ")
    yield Row(
        15,
        name,
        ratios(taken["alone"], taken["together"]),
        ours=time_text(statistics.median(taken["together"])),
        peer=time_text(statistics.median(taken["alone"])),
    )


def figures(settings):
    text, binary = settings.numbers, settings.binary_numbers
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(
            processes.lossd(settings.build, settings.folder, settings.threads, IO_THREADS)
        )
        yield from guarded(
            15,
            "JSON text",
            case(
                settings,
                ours,
                f"five losses, {text:.0e} elements, JSON text".replace("e+0", "e"),
                as_text(text),
            ),
        )
        for extra, what in (
            ("", "base64"),
            (', "grad": true, "encoding": "base64"', "base64, gradients"),
        ):
            name = f"five losses, {binary:.0e} elements, {what}".replace("e+0", "e")
            yield from guarded(15, name, case(settings, ours, name, as_base64(binary), extra))
