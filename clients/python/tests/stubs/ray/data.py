"""A stub of ray.data: a dataset of blocks in an order of its own, so that a batch can contain rows
that are not consecutive."""
import numpy as np

BLOCK = 1700


class Dataset:
    def __init__(self, rows):
        self._rows = rows

    def map_batches(self, function, *, batch_size, batch_format):
        assert batch_format == "numpy"
        blocks = [self._rows[first : first + BLOCK] for first in range(0, len(self._rows), BLOCK)]
        rows = [row for block in [*blocks[1::2], *blocks[::2]] for row in block]
        found = []
        for first in [*range(0, len(rows), batch_size), len(rows)]:
            batch = rows[first : first + batch_size]
            columns = function(
                {name: np.array([row[name] for row in batch]) for name in self._rows[0]}
            )
            found += [dict(zip(columns, values)) for values in zip(*columns.values())]
        return Dataset(found)

    def take_all(self):
        return self._rows


def from_items(items):
    return Dataset(list(items))
