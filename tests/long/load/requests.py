"""Valid requests, whose expected responses come from a first request, and invalid ones with their
expected status."""
import gzip
import json
import random
import shutil
import struct
import subprocess
import zlib

from server import request

SMALL, LARGE = 8, 60000


def numbers(count, seed):
    source = random.Random(seed)
    return [round(source.uniform(-3, 3), 5) for _ in range(count)]


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def pair(count, **more):
    return {"input": numbers(count, 1), "target": numbers(count, 2), **more}


def text(value):
    return json.dumps(value, separators=(",", ":")).encode()


def safetensors(count, metadata=None):
    blob = floats(numbers(count, 1)) + floats(numbers(count, 2))
    header = {
        "input": {"dtype": "F32", "shape": [count], "data_offsets": [0, count * 4]},
        "target": {"dtype": "F32", "shape": [count], "data_offsets": [count * 4, count * 8]},
    }
    if metadata:
        header["__metadata__"] = metadata
    head = text(header)
    return struct.pack("<Q", len(head)) + head + blob


def npy(values):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(values)},), }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + floats(values)


def form(count):
    parts = b"".join(
        b'--b0\r\nContent-Disposition: form-data; name="%s"; filename="a.npy"\r\n\r\n%s\r\n'
        % (name, npy(numbers(count, seed)))
        for name, seed in ((b"input", 1), (b"target", 2))
    )
    return parts + b'--b0\r\nContent-Disposition: form-data; name="grad"\r\n\r\ntrue\r\n--b0--\r\n'


def infer(count, binary):
    inputs = []
    for name, seed in (("input", 1), ("target", 2)):
        tensor = {"name": name, "shape": [count], "datatype": "FP32"}
        inputs.append(
            tensor
            | (
                {"parameters": {"binary_data_size": count * 4}}
                if binary
                else {"data": numbers(count, seed)}
            )
        )
    head = text(
        {
            "id": "soak",
            "inputs": inputs,
            "outputs": [
                {"name": "loss"},
                {"name": "grad_input", "parameters": {"binary_data": binary}},
            ],
        }
    )
    if not binary:
        return request("POST", "/v2/models/mse/infer", head)
    return request(
        "POST",
        "/v2/models/mse/infer",
        head + floats(numbers(count, 1)) + floats(numbers(count, 2)),
        [f"Inference-Header-Content-Length: {len(head)}"],
    )


def good():
    """Returns tuples of name, bytes, and whether the response is the same each time."""
    rows = [numbers(4, seed) for seed in range(16)]
    classes = [seed % 4 for seed in range(16)]
    several = pair(
        SMALL, losses=["mse", {"loss": "huber", "delta": 0.5, "grad": True}, "l1"], reduction="sum"
    )
    safe, large = ["Content-Type: application/vnd.safetensors"], text(pair(LARGE, grad=True))
    small = text(pair(SMALL, grad=True, reduction="none"))
    asked = [
        (path, request("GET", path), True)
        for path in (
            "/",
            "/healthz",
            "/readyz",
            "/v1/losses",
            "/v1/losses/ctc",
            "/v2",
            "/v2/models/mse",
            "/v2/health/ready",
            "/openapi.json",
        )
    ]
    asked += [(path, request("GET", path), False) for path in ("/metrics", "/v2/models/stats")]
    asked += [
        ("small", request("POST", "/v1/losses/mse", small), True),
        (
            "rows",
            request(
                "POST",
                "/v1/losses/cross_entropy",
                text({"input": rows, "target": classes, "grad": True, "label_smoothing": 0.1}),
            ),
            True,
        ),
        ("several", request("POST", "/v1/evaluate", text(several)), True),
        ("chunked", request("POST", "/v1/losses/mse", small, chunked=7), True),
        (
            "safetensors",
            request("POST", "/v1/losses/huber?delta=0.5&grad=true", safetensors(SMALL), safe),
            True,
        ),
        (
            "form",
            request(
                "POST",
                "/v1/losses/mse",
                form(SMALL),
                ["Content-Type: multipart/form-data; boundary=b0"],
            ),
            True,
        ),
        ("infer", infer(SMALL, False), True),
        ("infer binary", infer(SMALL, True), True),
        (
            "gzip",
            request("POST", "/v1/losses/mse", gzip.compress(small), ["Content-Encoding: gzip"]),
            True,
        ),
        (
            "deflate",
            request("POST", "/v1/losses/mse", zlib.compress(small), ["Content-Encoding: deflate"]),
            True,
        ),
        ("large", request("POST", "/v1/losses/mse", large), True),
        ("large chunked", request("POST", "/v1/losses/mse", large, chunked=50000), True),
        (
            "large in gzip",
            request("POST", "/v1/losses/mse", large, ["Accept-Encoding: gzip"]),
            True,
        ),
        (
            "large gzip in zstd",
            request(
                "POST",
                "/v1/losses/mse",
                gzip.compress(large, 1),
                ["Content-Encoding: gzip", "Accept-Encoding: zstd"],
            ),
            True,
        ),
        (
            "large safetensors",
            request("POST", "/v1/losses/mse?grad=input,target", safetensors(8 * LARGE), safe),
            True,
        ),
        ("large infer", infer(4 * LARGE, True), True),
        (
            "large several",
            request("POST", "/v1/evaluate", text(pair(LARGE, losses=["mse", "l1", "huber"]))),
            True,
        ),
    ]
    if shutil.which("zstd"):
        packed = subprocess.run(
            ["zstd", "-q", "-1"], input=large, capture_output=True, check=True
        ).stdout
        asked.append(
            (
                "large zstd",
                request("POST", "/v1/losses/mse", packed, ["Content-Encoding: zstd"]),
                True,
            )
        )
    return asked


def bad():
    """Returns tuples of name, bytes, status, and whether the connection must be closed."""
    post, body = "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\n", '{"input":[1],"target":[3]}'
    smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    shapes = [
        (
            "two lengths",
            post + "Content-Length: 26\r\nContent-Length: 0\r\n\r\n" + body + smuggled,
            400,
            True,
        ),
        (
            "length and chunks",
            post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
            400,
            True,
        ),
        ("bare line feed", post + "X: y\nContent-Length: 26\r\n\r\n" + body + smuggled, 400, True),
        ("NUL", post + "X: a\0b\r\nContent-Length: 26\r\n\r\n" + body + smuggled, 400, True),
        (
            "chunk",
            post
            + "Transfer-Encoding: chunked\r\n\r\n1a;\nx\r\n"
            + body
            + "\r\n0\r\n\r\n"
            + smuggled,
            400,
            True,
        ),
        ("coding", post + "Transfer-Encoding: gzip\r\n\r\n" + smuggled, 501, True),
        ("length of a galaxy", post + "Content-Length: 9223372036854775807\r\n\r\n", 413, True),
        ("negative length", post + "Content-Length: -1\r\n\r\n", 400, True),
    ]
    return [
        (name, data.encode("latin-1"), status, closes) for name, data, status, closes in shapes
    ] + [
        ("not JSON", request("POST", "/v1/losses/mse", b'{"input": [1, 2'), 400, False),
        ("field", request("POST", "/v1/losses/mse", b'{"inputs": [1]}'), 400, False),
        (
            "shapes",
            request("POST", "/v1/losses/mse", b'{"input": [1, 2], "target": [1, 2, 3]}'),
            422,
            False,
        ),
        (
            "class",
            request("POST", "/v1/losses/cross_entropy", b'{"input": [[1, 2]], "target": [7]}'),
            422,
            False,
        ),
        ("path", request("GET", "/nowhere"), 404, False),
        ("escape", request("GET", "/a%2fb"), 400, False),
        ("method", request("DELETE", "/v1/losses/mse"), 405, False),
        ("type", request("POST", "/v1/losses/mse", b"x", ["Content-Type: image/png"]), 415, False),
        ("no length", request("POST", "/v1/losses/mse"), 411, False),
        (
            "broken gzip",
            request("POST", "/v1/losses/mse", b"\x1f\x8b\x08nonsense", ["Content-Encoding: gzip"]),
            400,
            False,
        ),
        (
            "bomb",
            request(
                "POST",
                "/v1/losses/mse",
                gzip.compress(bytes(3 * 2**20)) * 40,
                ["Content-Encoding: gzip"],
            ),
            413,
            False,
        ),
        (
            "lying file",
            request(
                "POST",
                "/v1/losses/mse",
                struct.pack("<Q", 2**60) + b"{}",
                ["Content-Type: application/vnd.safetensors"],
            ),
            400,
            False,
        ),
        ("infer", request("POST", "/v2/models/mse/infer", b'{"inputs": 1}'), 400, False),
    ]
