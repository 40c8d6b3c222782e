"""Tensors in JSON, encoded in base64."""
import base64
import json
from typing import Any, Dict, Mapping, Tuple

import numpy as np

from . import _safetensors

# The JSON names of safetensors dtypes.
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


def encode(name: str, value: Any) -> Dict[str, Any]:
    """Returns the JSON object of a tensor; `name` is used in messages."""
    dtype, array = _safetensors.row_major(name, value)
    return {
        "shape": array.shape,
        "dtype": DTYPES[dtype],
        "data": {"buffer": base64.b64encode(array.data).decode(), "encoding": "base64"},
    }


def decode(response: Mapping[str, Any]) -> Tuple[Dict[str, "np.ndarray[Any, Any]"], Dict[str, str]]:
    """Converts the result of one loss to the form of a safetensors response: tensors, and metadata
    as text."""
    none = response["reduction"] == "none"  # the loss is the terms, even if there is only one
    arrays = {"loss": tensor(response["loss"], response["dtype"] if none else "float64")}
    for prefix in ("grad", "hess"):
        arrays.update(
            {
                f"{prefix}_{name}": tensor(found, response["dtype"])
                for name, found in response.get(prefix, {}).items()
            }
        )
    texts = {
        name: str(response[name])
        for name in ("count", "reduction", "dtype", "nonfinite")
        if name in response
    }
    if "warnings" in response:
        texts["warnings"] = "\n".join(response["warnings"])
    if "partial" in response:
        texts["partial"] = json.dumps(response["partial"])
    return arrays, texts


def tensor(found: Any, dtype: str) -> "np.ndarray[Any, Any]":
    if not isinstance(found, dict):
        return np.asarray(found, dtype)  # a number, or a string such as "NaN"
    numbers = np.frombuffer(
        bytearray(base64.b64decode(found["data"]["buffer"])),
        np.dtype(found["dtype"]).newbyteorder("<"),
    )
    return numbers.reshape(found["shape"])
