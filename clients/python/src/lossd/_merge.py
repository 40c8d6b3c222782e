"""Merges partial results of parts of a batch, without a server."""
import json
import re
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

import numpy as np

from ._result import Result, Tensors, divisor_of, number

FORMAT = "lossd-partial-1"
FIELDS = (
    "format", "loss", "reduction", "dtype", "parameters", "tensors", "whole", "weighed", "sum",
    "weight", "terms", "samples", "count", "nan", "inf", "neginf", "rows", "warnings",
)  # fmt: skip
SETTINGS = ("loss", "reduction", "dtype", "parameters", "tensors", "whole", "weighed")
COUNTS = ("terms", "samples", "count", "nan", "inf", "neginf")
COUNT_LIMIT = 2**53  # counts are less
ROWS_MAX = 10000  # maximum number of intervals of rows
# A sum: 0, or an odd hexadecimal integer times a power of two.
INTEGER = re.compile(r"0x0p\+0|(-?)0x([1-9a-f][0-9a-f]{0,543})p([+-])(0|[1-9][0-9]{0,3})")
UNIT = 1074  # sums are stored as multiples of 2^-UNIT
LIMIT = 1 << (1023 + 64 + UNIT)  # the magnitudes of these multiples are less
# In the order in which partial results list them.
WARNINGS = (
    "the shapes of target and input differ; they are broadcast, which is probably not intended",
    (
        "reduction 'mean' divides by the batch size and the support size; 'batchmean' divides only"
        " by the batch size and aligns with the definition of the KL divergence"
    ),
    "there is only one channel; include_background is ignored",
    "only one channel is included; weight is ignored",
)

Partial = Union[Result, Mapping[str, Any], str, bytes]


def merge(partials: Iterable[Partial]) -> Result:
    """Merges partial results of parts of one batch, in any order, without a server.

        parts = [client.mse(x, y, partial=True, offset=row) for row, x, y in chunks]
        result = lossd.merge(parts)

    The loss has the same bits as if the whole batch were evaluated at once. For its gradients,
    evaluate the parts again with `divisor=result.divisor`.

    Args:
        partials: results of calls with partial=True, or their `partial`, as a dict or as JSON.

    Returns:
        A result with loss, count, nonfinite, warnings, partial and divisor. Its partial can be
        merged with others.

    Raises:
        ValueError: a partial result is invalid, they are not of one batch, or two contain the same
            rows.
    """
    return result(merged(partials))


def merged(partials: Iterable[Partial]) -> Dict[str, Any]:
    """Merges partial results into one. See `merge`."""
    total: Optional[Dict[str, Any]] = None
    sums, rows, warnings = {"sum": 0, "weight": 0}, [], set()
    for place, given in enumerate(partials):
        partial = read(place, given)
        if total is None:
            total = {**partial, **dict.fromkeys(COUNTS, 0)}
        compare(place, total, partial)
        for name in sums:
            sums[name] += integer(place, name, partial[name])
        for name in COUNTS:
            total[name] += count(f"partials[{place}].{name}", partial[name])
        rows += [interval(place, bounds) for bounds in partial["rows"]]
        warnings.update(partial["warnings"])
    if total is None:
        raise ValueError("there are no partial results to merge")
    if any(total[name] >= COUNT_LIMIT for name in COUNTS) or any(
        abs(value) >= LIMIT for value in sums.values()
    ):
        raise ValueError("the merged sums or counts are out of range")
    unknown = warnings.difference(WARNINGS)
    if unknown:
        raise ValueError(f"unknown warnings: {sorted(unknown)}")
    total.update(
        {name: written(value) for name, value in sums.items()},
        rows=joined(rows),
        warnings=[warning for warning in WARNINGS if warning in warnings],
    )
    return total


def read(place: int, given: Partial) -> Mapping[str, Any]:
    partial = given.partial if isinstance(given, Result) else given
    if isinstance(partial, (str, bytes)):
        partial = json.loads(partial)
    if not isinstance(partial, Mapping):
        raise ValueError(f"partials[{place}] is not a partial result; evaluate with partial=True")
    if partial.get("format") != FORMAT:
        raise ValueError(
            f"partials[{place}].format is {partial.get('format')!r}; this version reads {FORMAT!r}"
        )
    if set(partial) != set(FIELDS):
        odd = sorted(set(partial).symmetric_difference(FIELDS))
        raise ValueError(f"partials[{place}] has missing or unknown fields: {odd}")
    for name in ("loss", "reduction", "dtype"):
        if not isinstance(partial[name], str):
            raise ValueError(f"partials[{place}].{name} is not a string")
    if not isinstance(partial["parameters"], Mapping):
        raise ValueError(f"partials[{place}].parameters is not an object")
    for name in ("rows", "warnings"):
        if not isinstance(partial[name], (list, tuple)):
            raise ValueError(f"partials[{place}].{name} is not an array")
    if not all(isinstance(warning, str) for warning in partial["warnings"]):
        raise ValueError(f"partials[{place}].warnings has an element that is not a string")
    return {name: partial[name] for name in FIELDS}


def compare(place: int, first: Mapping[str, Any], partial: Mapping[str, Any]) -> None:
    """Checks that a partial result is of the same batch as the first one."""
    for name in SETTINGS:
        if partial[name] != first[name]:
            path, value, other = difference(name, partial[name], first[name])
            raise ValueError(
                f"partials[{place}].{path} is {value!r}, but {other!r} in the first partial result"
            )


def difference(name: str, value: Any, other: Any) -> Tuple[str, Any, Any]:
    if not isinstance(value, Mapping) or not isinstance(other, Mapping):
        return name, value, other
    key = next(key for key in [*other, *value] if value.get(key) != other.get(key))
    return f"{name}.{key}", value.get(key), other.get(key)


def count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < COUNT_LIMIT:
        raise ValueError(f"{name} is {value!r}; it must be a whole number in [0, 2^53)")
    return value


def integer(place: int, name: str, text: Any) -> int:
    """Parses a sum, in units of 2^-UNIT."""
    match = INTEGER.fullmatch(text) if isinstance(text, str) else None
    digits = match.group(2) if match else None
    exponent = int(match.group(3) + match.group(4)) if match and digits else 0
    odd = digits is None or int(digits, 16) % 2 == 1
    if match is None or not odd or not -UNIT <= exponent <= 1100:
        raise ValueError(
            f"partials[{place}].{name} is {text!r}; it must be an odd hexadecimal integer times a"
            " power of two"
        )
    if digits is None:
        return 0
    value = int(digits, 16) << (exponent + UNIT)
    return -value if match.group(1) else value


def written(value: int) -> str:
    """Writes a sum: the inverse of `integer`."""
    if value == 0:
        return "0x0p+0"
    zeros = (value & -value).bit_length() - 1
    return f"{'-' * (value < 0)}0x{abs(value) >> zeros:x}p{zeros - UNIT:+d}"


def interval(place: int, bounds: Any) -> Tuple[int, int, int]:
    name = f"partials[{place}].rows"
    if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
        raise ValueError(f"{name} has {bounds!r}; it must have intervals [first, end]")
    first, end = count(name, bounds[0]), count(name, bounds[1])
    if first >= end:
        raise ValueError(f"{name} has {bounds!r}; the first row must be less than the end")
    return first, end, place


def joined(rows: List[Tuple[int, int, int]]) -> List[List[int]]:
    """Sorts intervals, and joins those without gaps. Rejects rows that occur twice."""
    found: List[List[int]] = []
    previous = 0
    for first, end, place in sorted(rows):
        if found and first < found[-1][1]:
            last = min(end, found[-1][1]) - 1
            raise ValueError(
                f"rows {first} to {last} are in both partials[{previous}] and partials[{place}]"
            )
        if found and first == found[-1][1]:
            found[-1][1] = end
        else:
            found.append([first, end])
        previous = place
    if len(found) > ROWS_MAX:
        raise ValueError(f"the merged rows are {len(found)} intervals; the limit is {ROWS_MAX}")
    return found


def sum_of(partial: Mapping[str, Any]) -> float:
    if partial["nan"] or (partial["inf"] and partial["neginf"]):
        return np.nan
    if partial["inf"] or partial["neginf"]:
        return np.inf if partial["inf"] else -np.inf
    return number(partial["sum"])


def result(partial: Dict[str, Any]) -> Result:
    divisor = divisor_of(partial)
    with np.errstate(all="ignore"):  # a mean of no terms is NaN
        loss = float(np.float64(sum_of(partial)) / np.float64(1 if divisor is None else divisor))
    return Result(
        loss=loss,
        grad=Tensors({}, "grad"),
        hess=Tensors({}, "hess"),
        count=partial["count"],
        nonfinite=partial["nan"] + partial["inf"] + partial["neginf"],
        warnings=partial["warnings"],
        reduction=partial["reduction"],
        dtype=partial["dtype"],
        timing={},
        request_id="",
        partial=partial,
    )
