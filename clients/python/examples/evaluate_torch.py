#!/usr/bin/python3
"""Evaluates a dataset on several processes of PyTorch: each accumulates the loss of its rows.

    torchrun --nproc-per-node 2 evaluate_torch.py [URL]     default http://127.0.0.1:8080
"""
import sys

import torch
import torch.distributed as dist

import lossd

ROWS, CLASSES, BATCH = 20_000, 10, 3000


def merged(losses):
    """Returns the loss over all processes, in each of them."""
    states = [None] * dist.get_world_size()
    dist.all_gather_object(states, losses.state_dict())
    return lossd.Accumulator().merge_state(states).compute()


def main():
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    logits, labels = torch.randn(ROWS, CLASSES), torch.randint(CLASSES, (ROWS,))
    client = lossd.Client(*sys.argv[1:])

    losses = lossd.Accumulator("cross_entropy", client=client)
    first, end = ROWS * rank // ranks, ROWS * (rank + 1) // ranks
    for row in range(first, end, BATCH):
        rows = slice(row, min(row + BATCH, end))
        losses.update(logits[rows], labels[rows], offset=row)
    result = merged(losses)

    whole = client.cross_entropy(logits, labels)
    assert repr(result.loss) == repr(whole.loss)
    if rank == 0:
        print(f"merged: {result.loss!r}, rows {result.partial['rows']}")
        print(f"whole: {whole.loss!r}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
