"""Files of golden cases: one JSON object per line, one file per loss."""
import json
import math


def json_float(v):
    """Returns a float for JSON. Non-finite numbers, which JSON does not have, are strings."""
    v = float(v)
    if math.isnan(v):
        return "NaN"
    if math.isinf(v):
        return "Infinity" if v > 0 else "-Infinity"
    return v


def write_cases(folder, cases):
    """Writes `cases`, lists by loss, and prints their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for loss, rows in cases.items():
        (folder / f"{loss}.jsonl").write_text(
            "".join(json.dumps(r, allow_nan=False, separators=(",", ":")) + "\n" for r in rows)
        )
        print(f"{loss:24s} {len(rows)}")
