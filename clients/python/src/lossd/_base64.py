"""Tensors within JSON, their numbers in base64."""
import base64
from typing import Any, Dict, Mapping, Tuple

import numpy as np

from . import _safetensors

# What JSON calls the types that a safetensors file has.
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
          "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool"}


def encode(name: str, value: Any) -> Dict[str, Any]:
    dtype, array = _safetensors.encodable(name, value)
    return {"shape": array.shape, "dtype": DTYPES[dtype], "data": {"buffer": base64.b64encode(array.data).decode(), "encoding": "base64"}}


def decode(answer: Mapping[str, Any]) -> Tuple[Dict[str, "np.ndarray[Any, Any]"], Dict[str, str]]:
    """The result of one loss, as a safetensors answer has it: its tensors, and the rest as text."""
    arrays = {"loss": tensor(answer["loss"])}
    for prefix in ("grad", "hess"):
        arrays.update({f"{prefix}_{name}": tensor(found) for name, found in answer.get(prefix, {}).items()})
    texts = {name: str(answer[name]) for name in ("count", "reduction", "dtype", "nonfinite") if name in answer}
    return arrays, {**texts, "warnings": "\n".join(answer["warnings"])} if "warnings" in answer else texts


def tensor(found: Any) -> "np.ndarray[Any, Any]":
    if not isinstance(found, dict):
        return np.asarray(found, np.float64)  # a number, or the name of one that JSON does not have
    numbers = np.frombuffer(bytearray(base64.b64decode(found["data"]["buffer"])), np.dtype(found["dtype"]).newbyteorder("<"))
    return numbers.reshape(found["shape"])
