"""Encodes and decodes safetensors files in memory, without copying data if possible."""
import json
import sys
from typing import Any, Dict, List, Mapping, Tuple, Union

import numpy as np

from ._errors import ProtocolError

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}

Buffer = Union[bytes, memoryview]


class BFloat16:
    """An array of bfloat16 numbers, as bits: NumPy has no such dtype.

    BFloat16(bits)                    of a uint16 array
    BFloat16.from_float32(array)      rounded to nearest, ties to even
    """

    def __init__(self, bits: Any) -> None:
        self.bits = np.asarray(bits)
        if self.bits.dtype != np.uint16:
            raise TypeError(f"the bits have dtype {self.bits.dtype}; they must be uint16")

    @classmethod
    def from_float32(cls, array: Any) -> "BFloat16":
        numbers = np.ascontiguousarray(array, np.float32)
        wide = numbers.view(np.uint32).astype(np.uint64)
        rounded = (wide + 0x7FFF + ((wide >> 16) & 1)) >> 16
        # Keep NaN: rounding could carry into the sign, or give an infinity.
        return cls(
            np.where(np.isnan(numbers), (wide >> 16) | 0x40, rounded)
            .astype(np.uint16)
            .reshape(np.shape(array))
        )

    def to_float32(self) -> "np.ndarray[Any, np.dtype[np.float32]]":
        return (self.bits.astype(np.uint32) << 16).view(np.float32)


def of_torch(value: Any) -> Any:
    """Converts a PyTorch tensor, without a copy if it is on the CPU. Returns any other value
    unchanged."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, getattr(torch, "Tensor", ())):
        return value
    tensor = value.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return BFloat16(tensor.contiguous().view(torch.int16).numpy().view(np.uint16))
    return tensor.numpy()


def array_of(name: str, value: Any) -> "np.ndarray[Any, Any]":
    """Converts a value to an array. An array of Python numbers as objects, as in pandas, is treated
    like a list."""
    if isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise ValueError(f"{name} has masked elements; fill or remove them")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from None
    if array.dtype != object:
        return array
    for index, element in np.ndenumerate(array):
        if not isinstance(element, (int, float, np.number, np.bool_)):
            place = "".join(f"[{axis}]" for axis in index)
            raise TypeError(f"{name}{place} is {shortened(element)}; it must be a number")
    return np.array(array.tolist()).reshape(array.shape)


def shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def encodable(name: str, value: Any) -> Tuple[str, "np.ndarray[Any, Any]"]:
    """Returns the safetensors dtype and a little-endian array, without a copy if possible."""
    value = of_torch(value)
    if isinstance(value, BFloat16):
        return "BF16", np.asarray(value.bits, "<u2")
    array = array_of(name, value)
    known = NAMES.get(array.dtype)
    if known is not None:
        return known, array
    if array.dtype.name == "bfloat16":  # of the package ml_dtypes, which JAX uses
        return "BF16", array.view("<u2")
    dtype = array.dtype.newbyteorder("<")
    if dtype not in NAMES:
        raise TypeError(
            f"{name} has dtype {array.dtype}, which lossd does not support; convert it to one of"
            " float64, float32, float16, bfloat16, int64, int32, int16, int8, uint64, uint32,"
            " uint16, uint8 or bool"
        )
    return NAMES[dtype], np.asarray(array, dtype)


def row_major(name: str, value: Any) -> Tuple[str, "np.ndarray[Any, Any]"]:
    """Like `encodable`, with the elements in row-major order."""
    dtype, array = encodable(name, value)
    return dtype, np.asarray(array, order="C")


def encode(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> List[Buffer]:
    """Encodes a file as a list of its header and views of the arrays."""
    header: Dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    pieces: List[Buffer] = []
    end = 0
    arrays = [(name, *row_major(name, value)) for name, value in tensors.items()]
    # Sort the widest first, so that all are aligned.
    for name, dtype, array in sorted(arrays, key=lambda item: -item[2].itemsize):
        header[name] = {
            "dtype": dtype,
            "shape": array.shape,
            "data_offsets": [end, end + array.nbytes],
        }
        end += array.nbytes
        if array.nbytes:
            pieces.append(array.reshape(-1).view(np.uint8).data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *pieces]


def decode(
    body: "np.ndarray[Any, np.dtype[np.uint8]]",
) -> Tuple[Dict[str, "np.ndarray[Any, Any]"], Dict[str, str]]:
    """Returns the tensors, as views of `body`, and the metadata."""
    try:
        begin = 8 + int.from_bytes(body[:8].tobytes(), "little")
        if begin > len(body):
            raise ValueError(
                f"its header length is {begin - 8}, but the file has only {len(body)} bytes"
            )
        header = json.loads(body[8:begin].tobytes())
        metadata = header.pop("__metadata__", None) or {}
        tensors = {}
        for name, tensor in header.items():
            first, last = tensor["data_offsets"]
            if not 0 <= first <= last <= len(body) - begin:
                raise ValueError(f"{name} is outside the file")
            tensors[name] = (
                body[begin + first : begin + last]
                .view(DTYPES[tensor["dtype"]])
                .reshape(tensor["shape"])
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"the response is not a valid safetensors file: {error}") from error
    return tensors, metadata
