#!/usr/bin/python3
"""Evaluates a Ray dataset: each batch by a server, merged into the loss of the dataset.

    evaluate_ray.py [URL]     default http://127.0.0.1:8080

Workers need lossd and must reach the server. lossd's tests run this script with a stub of ray.data,
not with Ray.
"""
import json
import sys

import numpy as np
import ray

import lossd

ROWS, CLASSES, ROWS_PER_REQUEST = 20_000, 10, 3000
URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


def evaluate(batch):
    """Runs on a worker. The column "row" contains the number of each row in the dataset."""
    logits, labels, rows = batch["logits"], batch["label"], batch["row"]
    # Ray does not keep the order of blocks, so that rows of a batch need not be consecutive.
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    with lossd.Client(URL) as server:
        parts = [
            server.cross_entropy(
                logits[start:end], labels[start:end], partial=True, offset=int(rows[start])
            ).partial
            for start, end in zip(starts, [*starts[1:], len(rows)])
        ]
    return {"partial": np.array([json.dumps(part) for part in parts], str)}


def merged(dataset):
    parts = dataset.map_batches(evaluate, batch_size=ROWS_PER_REQUEST, batch_format="numpy")
    return lossd.merge(row["partial"] for row in parts.take_all())


def main():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((ROWS, CLASSES), np.float32)
    labels = generator.integers(0, CLASSES, ROWS)

    result = merged(
        ray.data.from_items(
            [{"row": row, "logits": logits[row], "label": int(labels[row])} for row in range(ROWS)]
        )
    )

    whole = lossd.Client(URL).cross_entropy(logits, labels)
    print(f"merged: {result.loss!r}, rows {result.partial['rows']}")
    print(f"whole: {whole.loss!r}")
    assert repr(result.loss) == repr(whole.loss)


if __name__ == "__main__":
    main()
