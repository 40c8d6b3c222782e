#!/usr/bin/python3
"""Seeds for fuzz_safetensors, fuzz_npy, fuzz_oip, fuzz_several and fuzz_expand (Debian: python3-numpy; zstd for the command of that name): make_seeds.py writes them below tests/fuzz/corpus."""
import gzip
import io
import json
import subprocess
import zlib
from pathlib import Path

import numpy as np

corpus = Path(__file__).parent / "corpus"
LOSSES = [line.split("(")[1].split(")")[0] for line in (Path(__file__).parents[2] / "core/losses.def").read_text().splitlines()
          if "(" in line and not line.startswith(("/", " ", "#"))]
NAMES = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u1": "U8", "b1": "BOOL"}


def write(folder, name, data):
    (corpus / folder).mkdir(parents=True, exist_ok=True)
    (corpus / folder / name).write_bytes(data)


def safetensors(name, loss, query, tensors, metadata=None, answer=0):
    header, blob = {"__metadata__": metadata} if metadata else {}, b""
    for key, tensor in tensors.items():
        raw = tensor.tobytes()
        header[key] = {"dtype": NAMES[tensor.dtype.str[1:]], "shape": list(tensor.shape), "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    write("safetensors", name, bytes([LOSSES.index(loss) * 4 + answer]) + query + b"\n" + json.dumps(header).encode() + b"\0" + blob)


def oip(name, loss, tensors, binary=(), **rest):
    inputs, blob = [], b""
    for key, tensor in tensors.items():
        raw = tensor.tobytes()
        datatype = NAMES[tensor.dtype.str[1:]]
        datatype = "FP" + datatype[1:] if datatype[0] == "F" else datatype if datatype == "BOOL" else "INT" + datatype[1:]
        how = {"parameters": {"binary_data_size": len(raw)}} if key in binary else {"data": tensor.tolist()}
        inputs.append({"name": key, "shape": list(tensor.shape), "datatype": datatype, **how})
        blob += raw if key in binary else b""
    text = json.dumps({"inputs": inputs, **rest}).encode()
    write("oip", name, bytes([LOSSES.index(loss) * 2 + (not binary)]) + text + (b"\0" + blob if binary else b""))


def npy(tensor, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, tensor, version)
    return out.getvalue()


def form(name, loss, parts):
    body = b""
    for key, value in parts.items():
        is_file = not isinstance(value, bytes)
        body += b'--b\r\nContent-Disposition: form-data; name="' + key.encode() + b'"' + (b'; filename="f"' if is_file else b"")
        body += b"\r\n\r\n" + (npy(value) if is_file else value) + b"\r\n"
    write("npy", name, bytes([LOSSES.index(loss) * 2]) + body + b"--b--\r\n")


rows, classes = np.array([[0.5, 2, -1], [1, 0.25, 3]], "f4"), np.array([2, 0], "i8")
line = np.array([0.5, 0.25, 1], "f4")
safetensors("mse", "mse", b"grad=true&reduction=none", {"input": line, "target": line.astype("f8")})
safetensors("cross_entropy", "cross_entropy", b"label_smoothing=0.1&grad=input", {"target": classes, "input": rows}, {"hess": "true"})
safetensors("halves", "bce_with_logits", b"dtype=float64", {"input": line.astype("f2"), "target": line > 0.4, "pos_weight": line}, answer=2)
safetensors("metadata", "huber", b"", {"input": rows, "target": rows.astype("i1")}, {"format": "pt", "delta": "1e-1", "grad": "input,target"})
safetensors("weights", "nll", b"ignore_index=-1&grad_output=2", {"input": rows, "target": classes.astype("u1"), "weight": line,
                                                                 "sample_weight": line[:2]})
oip("json", "mse", {"input": line, "target": line.astype("f8")}, outputs=[{"name": "grad_input"}, {"name": "loss"}], id="7")
oip("binary", "cross_entropy", {"input": rows, "target": classes}, ("input", "target"),
    outputs=[{"name": "loss", "parameters": {"binary_data": True}}, {"name": "grad_input", "parameters": {"binary_data": True}}])
oip("mixed", "nll", {"input": rows, "target": classes.astype("i2"), "weight": line}, ("target",), parameters={
    "reduction": "none", "ignore_index": "1", "binary_data_output": True, "priority": 1}, outputs=[{"name": "grad_input"}])
oip("halves", "huber", {"input": line.astype("f2"), "target": line > 0.4}, ("input",), parameters={"delta": 0.5})
several = {"input": rows.tolist(), "target": classes.tolist(), "losses": ["cross_entropy", {"loss": "nll", "weight": [1, 2, 3]}]}
write("several", "classes", json.dumps(several).encode())
write("several", "own", json.dumps({"losses": [{"loss": "huber", "delta": 0.5, "grad": True}, "mse", {"input": [1, 2], "loss": "l1", "target": None}],
                                    "reduction": "none", "delta": 2, "input": line.tolist(), "target": [1, 0, 1], "hess": ["input"]}).encode())
write("several", "forms", json.dumps({"input1": {"shape": [1, 2], "dtype": "float16", "data": {"buffer": "ADwAPA==", "encoding": "base64"}},
                                      "input2": {"shape": [1, 2], "data": [1, 2]}, "target": [-1], "encoding": "flat", "grad": True,
                                      "losses": ["cosine_embedding", {"loss": "MarginRankingLoss", "target": [[1]], "margin": 2}]}).encode())
form("mse", "mse", {"input": line, "target": line.astype(">f8"), "grad": b"true"})
form("fortran", "cross_entropy", {"input": np.asfortranarray(rows), "target": classes.astype(">i2"), "reduction": b"none"})
form("vjp", "l1", {"input": rows, "target": rows.astype("f2"), "grad_output": rows, "grad": b"input", "reduction": b"none"})
for version in (1, 2, 3):
    write("npy", f"version{version}", bytes([LOSSES.index("mse") * 2 + 1]) + npy(np.asfortranarray(rows), (version, 0)))

body = json.dumps({"input": rows.tolist(), "target": classes.tolist(), "grad": True}).encode()
CODED = {"zstd": lambda data: subprocess.run(["zstd", "-1"], input=data, capture_output=True, check=True).stdout,
         "gzip": lambda data: gzip.compress(data, mtime=0), "deflate": zlib.compress}
for place, (name, code) in enumerate(CODED.items()):
    write("expand", name, bytes([2 * place]) + code(body))
    write("expand", name + "_large", bytes([2 * place + 1]) + code(body * 100))
write("expand", "gzip_members", bytes([2]) + gzip.compress(body[:20], mtime=0) + gzip.compress(body[20:], mtime=0))
