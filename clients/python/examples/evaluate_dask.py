#!/usr/bin/python3
"""Evaluates a Dask array on two workers: each block by a server, merged into the loss of the array.

    evaluate_dask.py [URL]...     default http://127.0.0.1:8080; blocks alternate between servers

Workers need lossd and must reach the servers. Debian: python3-distributed.
"""
import sys

import dask
import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

import lossd

ROWS, CLASSES = 20_000, 10


def evaluate(server, logits, labels, offset):
    """Runs on a worker. `offset` is the row of the array at which the block begins."""
    return server.cross_entropy(logits, labels, partial=True, offset=offset).partial


def merged(logits, labels, servers):
    offsets = np.cumsum([0, *logits.chunks[0][:-1]])
    blocks = zip(logits.to_delayed().ravel(), labels.to_delayed().ravel(), offsets)
    parts = [
        dask.delayed(evaluate)(servers[i % len(servers)], x, y, int(offset))
        for i, (x, y, offset) in enumerate(blocks)
    ]
    return lossd.merge(dask.compute(*parts))


def main():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((ROWS, CLASSES), np.float32)
    labels = generator.integers(0, CLASSES, ROWS)
    servers = [lossd.Client(url) for url in sys.argv[1:] or ["http://127.0.0.1:8080"]]

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster):
            result = merged(
                da.from_array(logits, (3000, CLASSES)), da.from_array(labels, 3000), servers
            )

    whole = servers[0].cross_entropy(logits, labels)
    print(f"merged: {result.loss!r}, rows {result.partial['rows']}")
    print(f"whole: {whole.loss!r}")
    assert repr(result.loss) == repr(whole.loss)


if __name__ == "__main__":
    main()
