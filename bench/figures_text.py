"""Figures 5 to 7: number text."""
import os
import statistics

from processes import NotMeasured, driver
from rows import Row, ratios, time_text

# (kind, label, goals against simdjson)
READ = [
    ("float32", "float32 from 17 digits", 2, 4),
    ("float64", "float64 from 17 digits", None, None),
    ("short", "float32 from shortest text", None, None),
    ("rows", "float32 from 17 digits, rows of ten", None, None),
]
WRITE_PEERS = [("to_chars", 1.5, 3), ("double-conversion", None, None)]


def measure(settings, text, commands):
    """Returns the times of each repetition by peer, or the reason why there are none. Incorrect
    numbers from lossd are a failure."""
    times = {}
    for _ in range(settings.rounds):
        for who, (verb, peer, *rest, threads) in commands.items():
            if isinstance(times.get(who), NotMeasured):
                continue
            try:
                answer = text.ask(
                    verb, peer, *rest, settings.numbers, threads, settings.repetitions
                )
                if answer["wrong"] and peer == "lossd":
                    raise NotMeasured(f"failed: {answer['wrong']} numbers are wrong")
                times.setdefault(who, []).append(statistics.median(answer["ns"]) / settings.numbers)
            except NotMeasured as reason:
                times[who] = reason
    return times


def row(figure, name, times, ours, peer, reach=None, stretch=None):
    for who in (ours, peer):
        if isinstance(times[who], NotMeasured):
            return Row(figure, name, error=times[who])
    return Row(
        figure,
        name,
        ratios(times[peer], times[ours]),
        reach,
        stretch,
        ours=time_text(statistics.median(times[ours])),
        peer=time_text(statistics.median(times[peer])),
    )


def figures(settings):
    """Times in the table are per number."""
    program = os.path.join(settings.build, "bench", "text")
    with driver([program], os.path.join(settings.folder, "text.log"), package="g++") as text:
        two_cores = []
        for kind, label, reach, stretch in READ:
            commands = {
                peer: ("read", peer, kind, 1) for peer in ("lossd", "simdjson", "fast_float")
            }
            if kind == "float32":
                commands["two"] = ("read", "lossd", kind, 2)
            times = measure(settings, text, commands)
            yield row(5, f"{label}, simdjson", times, "lossd", "simdjson", reach, stretch)
            yield row(5, f"{label}, fast_float", times, "lossd", "fast_float")
            if kind == "float32":
                two_cores.append(row(7, f"reading {label}", times, "two", "lossd", 1.8))
        commands = {peer: ("write", peer, 1) for peer in ("lossd", "to_chars", "double-conversion")}
        times = measure(settings, text, {**commands, "two": ("write", "lossd", 2)})
        for peer, reach, stretch in WRITE_PEERS:
            yield row(6, f"float32, {peer}", times, "lossd", peer, reach, stretch)
        yield from two_cores
        yield row(7, "writing float32", times, "two", "lossd", 1.8)
