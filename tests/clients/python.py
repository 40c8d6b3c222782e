#!/usr/bin/python3
"""Loss and gradient with Python and NumPy: as JSON, as binary tensors, and an error.

    python3 tests/clients/python.py http://127.0.0.1:8080
"""
import json
import sys
import urllib.error
import urllib.request

import numpy as np

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


def post(url, body, content_type):
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        raise ValueError(json.load(error)["detail"]) from None


def evaluate(url, **fields):
    """Sends fields as JSON."""
    return json.loads(post(url, json.dumps(fields).encode(), "application/json"))


def evaluate_arrays(url, **arrays):
    """Sends and receives safetensors files: numbers are never converted to text. Returns
    arrays, of which `loss` has no dimensions."""
    header, data = {}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # aligns the data
    body = len(text).to_bytes(8, "little") + text + data
    response = post(url, body, "application/vnd.safetensors")
    begin = 8 + int.from_bytes(response[:8], "little")
    tensors = json.loads(response[8:begin])
    tensors.pop("__metadata__")
    return {
        name: np.frombuffer(
            response[begin + tensor["data_offsets"][0] : begin + tensor["data_offsets"][1]],
            DTYPES[tensor["dtype"]],
        ).reshape(tensor["shape"])
        for name, tensor in tensors.items()
    }


def show(name, values):
    print(name, *[f"{value:.6f}" for value in np.ravel(values)])


def main(server):
    url = f"{server}/v1/losses/mse"
    response = evaluate(url, input=[2.5, 0, 2], target=[3, -0.5, 2], grad=True)
    show("loss", response["loss"])
    show("gradient", response["grad"]["input"])

    arrays = evaluate_arrays(
        f"{server}/v1/losses/mse?grad=true",
        input=np.array([2.5, 0, 2], np.float32),
        target=np.array([3, -0.5, 2], np.float32),
    )
    show("binary loss", arrays["loss"])
    show("binary gradient", arrays["grad_input"])

    try:
        evaluate(f"{server}/v1/losses/cross_entropy", input=[[0.2, 0.8]], target=[2])
    except ValueError as error:
        print("error:", error)


main(sys.argv[1])
