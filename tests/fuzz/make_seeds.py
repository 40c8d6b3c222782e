#!/usr/bin/python3
"""Writes the seeds of the fuzz targets into tests/fuzz/corpus.

    make_seeds.py        (Debian 12: apt-get install python3-numpy zstd)

The seeds of fuzz_http, fuzz_headers, fuzz_multipart and fuzz_base64 are made from those of the
other targets."""
import gzip
import io
import json
import subprocess
import zlib
from pathlib import Path

import numpy as np

corpus = Path(__file__).parent / "corpus"
LOSSES = [
    line.split("(")[1].split(")")[0]
    for line in (Path(__file__).parents[2] / "core/losses.def").read_text().splitlines()
    if "(" in line and not line.startswith(("/", " ", "#"))
]
NAMES = {
    "f8": "F64",
    "f4": "F32",
    "f2": "F16",
    "i8": "I64",
    "i4": "I32",
    "i2": "I16",
    "i1": "I8",
    "u8": "U64",
    "u4": "U32",
    "u2": "U16",
    "u1": "U8",
    "b1": "BOOL",
}


def write(folder, name, data):
    (corpus / folder).mkdir(parents=True, exist_ok=True)
    (corpus / folder / name).write_bytes(data)


def safetensors(name, loss, query, tensors, metadata=None, answer=0):
    header, blob = {"__metadata__": metadata} if metadata else {}, b""
    for key, tensor in tensors.items():
        raw = tensor.tobytes()
        header[key] = {
            "dtype": NAMES[tensor.dtype.str[1:]],
            "shape": list(tensor.shape),
            "data_offsets": [len(blob), len(blob) + len(raw)],
        }
        blob += raw
    write(
        "safetensors",
        name,
        bytes([LOSSES.index(loss) * 4 + answer])
        + query
        + b"\n"
        + json.dumps(header).encode()
        + b"\0"
        + blob,
    )


def oip(name, loss, tensors, binary=(), **rest):
    inputs, blob = [], b""
    for key, tensor in tensors.items():
        raw = tensor.tobytes()
        datatype = NAMES[tensor.dtype.str[1:]]
        datatype = (
            "FP" + datatype[1:]
            if datatype[0] == "F"
            else datatype if datatype == "BOOL" else "INT" + datatype[1:]
        )
        how = (
            {"parameters": {"binary_data_size": len(raw)}}
            if key in binary
            else {"data": tensor.tolist()}
        )
        inputs.append({"name": key, "shape": list(tensor.shape), "datatype": datatype, **how})
        blob += raw if key in binary else b""
    text = json.dumps({"inputs": inputs, **rest}).encode()
    write(
        "oip",
        name,
        bytes([LOSSES.index(loss) * 2 + (not binary)]) + text + (b"\0" + blob if binary else b""),
    )


def npy(tensor, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, tensor, version)
    return out.getvalue()


def form(name, loss, parts):
    body = b""
    for key, value in parts.items():
        is_file = not isinstance(value, bytes)
        body += (
            b'--b\r\nContent-Disposition: form-data; name="'
            + key.encode()
            + b'"'
            + (b'; filename="f"' if is_file else b"")
        )
        body += b"\r\n\r\n" + (npy(value) if is_file else value) + b"\r\n"
    write("npy", name, bytes([LOSSES.index(loss) * 2]) + body + b"--b--\r\n")


rows, classes = np.array([[0.5, 2, -1], [1, 0.25, 3]], "f4"), np.array([2, 0], "i8")
line = np.array([0.5, 0.25, 1], "f4")
safetensors("mse", "mse", b"grad=true&reduction=none", {"input": line, "target": line.astype("f8")})
safetensors(
    "cross_entropy",
    "cross_entropy",
    b"label_smoothing=0.1&grad=input",
    {"target": classes, "input": rows},
    {"hess": "true"},
)
safetensors(
    "halves",
    "bce_with_logits",
    b"dtype=float64",
    {"input": line.astype("f2"), "target": line > 0.4, "pos_weight": line},
    answer=2,
)
safetensors(
    "metadata",
    "huber",
    b"",
    {"input": rows, "target": rows.astype("i1")},
    {"format": "pt", "delta": "1e-1", "grad": "input,target"},
)
safetensors(
    "weights",
    "nll",
    b"ignore_index=-1&grad_output=2",
    {"input": rows, "target": classes.astype("u1"), "weight": line, "sample_weight": line[:2]},
)
oip(
    "json",
    "mse",
    {"input": line, "target": line.astype("f8")},
    outputs=[{"name": "grad_input"}, {"name": "loss"}],
    id="7",
)
oip(
    "binary",
    "cross_entropy",
    {"input": rows, "target": classes},
    ("input", "target"),
    outputs=[
        {"name": "loss", "parameters": {"binary_data": True}},
        {"name": "grad_input", "parameters": {"binary_data": True}},
    ],
)
oip(
    "mixed",
    "nll",
    {"input": rows, "target": classes.astype("i2"), "weight": line},
    ("target",),
    parameters={
        "reduction": "none",
        "ignore_index": "1",
        "binary_data_output": True,
        "priority": 1,
    },
    outputs=[{"name": "grad_input"}],
)
oip(
    "halves",
    "huber",
    {"input": line.astype("f2"), "target": line > 0.4},
    ("input",),
    parameters={"delta": 0.5},
)
several = {
    "input": rows.tolist(),
    "target": classes.tolist(),
    "losses": ["cross_entropy", {"loss": "nll", "weight": [1, 2, 3]}],
}
write("multi_loss", "classes", json.dumps(several).encode())
partial = {
    "format": "lossd-partial-1",
    "loss": "huber",
    "reduction": "mean",
    "dtype": "float32",
    "parameters": {"delta": 0.5},
    "tensors": {"input": ["float32", 8], "target": ["float32", 8]},
    "whole": {},
    "weighed": False,
    "sum": "0x7e57b809716878116dfp-57",
    "weight": "0x0p+0",
    "terms": 8000,
    "samples": 1000,
    "count": 8000,
    "nan": 1,
    "inf": 0,
    "neginf": 0,
    "rows": [[0, 500], [600, 700]],
    "warnings": [],
}
other = {**partial, "sum": "-0x3p-1074", "inf": 2, "rows": [[500, 600], [1000, 1400]]}
weighed = {
    **partial,
    "loss": "cross_entropy",
    "parameters": {"ignore_index": -100, "label_smoothing": 0},
    "tensors": {"input": ["float32", 3], "target": ["int64"], "weight": ["float32", 3]},
    "whole": {"weight": "0123456789abcdef" * 4},
    "weighed": True,
    "weight": "0x5p+3",
    "rows": [],
}
write("partial", "two", json.dumps({"partials": [partial, other]}).encode())
write("partial", "weighed", json.dumps({"partials": [weighed]}).encode())
write(
    "multi_loss",
    "own",
    json.dumps(
        {
            "losses": [
                {"loss": "huber", "delta": 0.5, "grad": True},
                "mse",
                {"input": [1, 2], "loss": "l1", "target": None},
            ],
            "reduction": "none",
            "delta": 2,
            "input": line.tolist(),
            "target": [1, 0, 1],
            "hess": ["input"],
        }
    ).encode(),
)
write(
    "multi_loss",
    "forms",
    json.dumps(
        {
            "input1": {
                "shape": [1, 2],
                "dtype": "float16",
                "data": {"buffer": "ADwAPA==", "encoding": "base64"},
            },
            "input2": {"shape": [1, 2], "data": [1, 2]},
            "target": [-1],
            "encoding": "flat",
            "grad": True,
            "losses": [
                "cosine_embedding",
                {"loss": "MarginRankingLoss", "target": [[1]], "margin": 2},
            ],
        }
    ).encode(),
)
form("mse", "mse", {"input": line, "target": line.astype(">f8"), "grad": b"true"})
form(
    "fortran",
    "cross_entropy",
    {"input": np.asfortranarray(rows), "target": classes.astype(">i2"), "reduction": b"none"},
)
form(
    "vjp",
    "l1",
    {
        "input": rows,
        "target": rows.astype("f2"),
        "grad_output": rows,
        "grad": b"input",
        "reduction": b"none",
    },
)
for version in (1, 2, 3):
    write(
        "npy",
        f"version{version}",
        bytes([LOSSES.index("mse") * 2 + 1]) + npy(np.asfortranarray(rows), (version, 0)),
    )

body = json.dumps({"input": rows.tolist(), "target": classes.tolist(), "grad": True}).encode()
CODED = {
    "zstd": lambda data: subprocess.run(
        ["zstd", "-1"], input=data, capture_output=True, check=True
    ).stdout,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
}
for place, (name, code) in enumerate(CODED.items()):
    write("decompress", name, bytes([2 * place]) + code(body))
    write("decompress", name + "_large", bytes([2 * place + 1]) + code(body * 100))
write(
    "decompress",
    "gzip_members",
    bytes([2]) + gzip.compress(body[:20], mtime=0) + gzip.compress(body[20:], mtime=0),
)


def request(name, *heads, cut=0):
    """Writes the requests of a connection, after a byte that says where to split them (in
    256ths)."""
    write(
        "http",
        name,
        bytes([cut])
        + b"".join(
            head if isinstance(head, bytes) else head.replace("\n", "\r\n").encode()
            for head in heads
        ),
    )


def post(path, content, headers=""):
    return (
        f"POST {path} HTTP/1.1\nHost: x\n{headers}Content-Length: {len(content)}\n\n".replace(
            "\n", "\r\n"
        ).encode()
        + content
    )


def seed(folder, name, skip=1):
    return (corpus / folder / name).read_bytes()[skip:]


small = b'{"input":[1,2],"target":[0,3],"grad":true}'
chunked = "POST /v1/losses/mse HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n"
pieces = (
    b"%x;a=b\r\n" % 20
    + small[:20]
    + b"\r\n%x\r\n" % len(small[20:])
    + small[20:]
    + b"\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
for place, path in enumerate(
    [
        "/",
        "/healthz",
        "/metrics",
        "/v1/losses",
        "/v1/losses/mse",
        "/v2",
        "/v2/models/mse/config",
        "/v2/models/stats",
    ]
):
    request(
        f"get{place}",
        f"GET {path} HTTP/1.1\nHost: x\nAccept-Encoding: gzip;q=0.5, zstd\nAccept: */*;q=0.1\n\n",
    )
request(
    "head",
    "HEAD /v1/losses HTTP/1.1\nHost: x\n\n",
    "OPTIONS * HTTP/1.1\nHost: x\n\n",
    "PUT / HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 3\n\nabc",
)
request(
    "old",
    "GET /readyz HTTP/1.0\nConnection: keep-alive\n\n",
    "GET http://x/v1/losses/%6dse HTTP/1.1\nHost: x\nTraceparent: 00-"
    + "1" * 32
    + "-"
    + "2" * 16
    + "-01\n\n",
)
request(
    "json",
    post("/v1/losses/mse", small),
    post("/v1/losses/huber?delta=2", small, "X-Request-Id: a.b-c_1\n"),
    cut=100,
)
request("chunked", chunked, pieces, chunked, pieces, cut=200)
request(
    "continue",
    "POST /v1/losses/l1 HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 42\n\n",
    small,
)
request("several", post("/v1/evaluate", seed("multi_loss", "own", 0)))
request(
    "safetensors",
    post(
        "/v1/losses/cross_entropy?grad=input",
        len(seed("safetensors", "mse").split(b"\n", 1)[1].split(b"\0", 1)[0]).to_bytes(8, "little")
        + seed("safetensors", "mse").split(b"\n", 1)[1].replace(b"\0", b"", 1),
        "Content-Type: application/vnd.safetensors\n",
    ),
)
request(
    "form",
    post("/v1/losses/mse", seed("npy", "mse"), "Content-Type: multipart/form-data; boundary=b\n"),
)
json_part, blobs = seed("oip", "binary").split(b"\0", 1)
request(
    "infer",
    post(
        "/v2/models/cross_entropy/infer",
        json_part + blobs,
        f"Inference-Header-Content-Length: {len(json_part)}\n",
    ),
    post("/v2/repository/index", b"{}"),
)
for coding in CODED:
    request(
        coding,
        post(
            "/v1/losses/cross_entropy",
            seed("decompress", coding),
            f"Content-Encoding: {coding}\nAccept-Encoding: {coding}, identity;q=0\n",
        ),
    )
request(
    "smuggled",
    (
        "POST /v1/losses/mse HTTP/1.1\nHost: x\nContent-Length: 6\nTransfer-Encoding:"
        " chunked\n\n0\n\nG"
    ),
)
request("lines", b"GET / HTTP/1.1\nHost: x\r\nX: a\0b\r\n c\r\n\r\n")

write(
    "headers",
    "all",
    (
        b"application/json;q=0.5, application/vnd.safetensors, */*;q=0\nmultipart/form-data;"
        b" charset=x; boundary=\"a b\"\ngzip;q=0.5, zstd, *;q=0\n"
        b"x-gzip,"
        b" identity\nid-1.2_3\n[::1]:80\n"
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nhttp://x/v1/losses/%6dse?a=b"
    ),
)
write(
    "headers",
    "nearest",
    b"text/*\napplication/problem+json\nidentity;q=0\nbr\n\nlocalhost\n\n/v1/loss/mse",
)
write(
    "headers",
    "quality",
    b"application/json;q=nan, */*;q=4\nx;q=1\ngzip;q=nan, deflate;q=inf, zstd;q=-1\n",
)
write("multipart", "file", b"multipart/form-data; boundary=b\n" + seed("npy", "mse"))
write(
    "multipart",
    "quoted",
    (
        b'multipart/form-data; boundary="a b"\n--a b\r\nContent-Disposition: form-data;'
        b' name="grad"\r\n\r\ntrue\r\n--a b--\r\n'
    ),
)
write("base64", "text", b"AAAAPwAAAL8=")
write("base64", "escaped", b"\\u0041A\\/APw==")
