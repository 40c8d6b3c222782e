"""Compares the documents that the server accepts with those that Python's json and numpy accept.

    differential.py LOSSD [SEED [COUNT]]

- The server accepts valid documents of every form, and reads their numbers exactly.
- The server rejects documents that json or numpy reject.

Numbers are sent as the target of huber with an infinite delta and an input of zeros. The gradient
of the input is then the negative of these numbers. Prints each failure; fails if there is one."""
import base64
import io
import json
import random
import struct
import sys

import numpy

import errors
from server import Server

SHOWN = 20
FORMATS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
}
DATATYPES = {"F": "FP", "I": "INT", "U": "UINT"}
PARAMETERS = {"delta": "Infinity", "dtype": "float64", "reduction": "sum", "grad": "input"}
QUERY = "?" + "&".join(f"{name}={value}" for name, value in PARAMETERS.items())
BLANKS = ["", "", "", " ", "\n", "\t", "\r\n", "  \n"]


class Faults:
    def __init__(self):
        self.count = 0

    def add(self, what, *details):
        self.count += 1
        if self.count <= SHOWN:
            print(what, *(repr(detail)[:600] for detail in details))


def number_text(rng, value):
    """Returns text that rounds to the float64."""
    value = float(value)
    text = rng.choice([repr(value), "%.17g" % value, "%.25e" % value, "%.17E" % value])
    if rng.random() < 0.1 and "e" not in text and "E" not in text and "." in text:
        text += "0" * rng.choice([1, 20, 400])
    return text


def random_number(rng):
    return rng.choice(
        [
            rng.uniform(-10, 10),
            float(rng.randrange(-100, 100)),
            -0.0,
            5e-324,
            2.2250738585072014e-308,
            1e22,
            1e23,
            0.1,
            struct.unpack(
                "<d",
                struct.pack(
                    "<Q", rng.getrandbits(64) & ~(0x7FF << 52) | rng.randrange(1, 2040) << 52
                ),
            )[0],
        ]
    )


def random_shape(rng):
    return tuple(rng.choice([0, 1, 1, 2, 3, 5]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3])))


def random_array(rng, dtype):
    """Returns finite numbers of a dtype."""
    shape = random_shape(rng)
    n = int(numpy.prod(shape))
    dtype = numpy.dtype(dtype)
    if dtype.kind == "f":
        return (
            numpy.array(
                [
                    random_number(rng) if dtype.itemsize == 8 else rng.uniform(-9, 9)
                    for _ in range(n)
                ]
            )
            .reshape(shape)
            .astype(dtype)
        )
    info = numpy.iinfo(dtype)
    return numpy.array(
        [
            rng.choice([info.min, info.max, 0, 1, rng.randrange(info.min, info.max)])
            for _ in range(n)
        ],
        dtype=dtype,
    ).reshape(shape)


def spaced(rng, value):
    """Returns JSON with random white space, and escapes in keys. Numbers are text in a tuple."""
    blank = lambda: rng.choice(BLANKS)
    if isinstance(value, tuple):
        return value[0]
    if isinstance(value, list):
        return (
            "[" + blank() + ",".join(blank() + spaced(rng, item) + blank() for item in value) + "]"
        )
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        return (
            "{"
            + blank()
            + ",".join(
                blank() + key_text(rng, key) + blank() + ":" + blank() + spaced(rng, item) + blank()
                for key, item in items
            )
            + "}"
        )
    return json.dumps(value)


def key_text(rng, key):
    return '"' + "".join(f"\\u{ord(c):04x}" if rng.random() < 0.05 else c for c in key) + '"'


def nested(rng, array):
    if array.ndim == 0:
        return (number_text(rng, array),)
    return [nested(rng, item) for item in array]


def gradient(answer):
    """Returns the gradient of the input as an array of float64."""
    grad = json.loads(answer)["grad"]["input"]
    return numpy.array(grad["data"] if isinstance(grad, dict) else grad, dtype=numpy.float64)


def same(array, got):
    wanted = 0.0 - numpy.asarray(array).astype(numpy.float64).ravel()
    return wanted.tobytes() == got.ravel().tobytes()


def check_taken(faults, array, status, answer, what, *details):
    if status != 200:
        faults.add(f"{what} is rejected:", answer, *details)
    elif not same(array, gradient(answer)):
        faults.add(f"{what} is read as other numbers:", answer, array, *details)


# ---- Valid documents ----


def sound_json(rng, server, faults):
    array = random_array(rng, "<f8")
    form = rng.randrange(4)
    # Nested lists cannot express the axes after the first axis of length 0.
    if (
        array.size == 0 and array.ndim > 1
    ):
        form = rng.choice([1, 3])
    if form == 0:
        tensor = nested(rng, array)
    elif form == 1:
        tensor = {"data": nested(rng, array.ravel()), "shape": list(array.shape)}
    elif form == 2:
        tensor = {"data": nested(rng, array), "shape": list(array.shape), "dtype": "float64"}
    else:
        tensor = {
            "data": {"buffer": base64.b64encode(array.tobytes()).decode(), "encoding": "base64"},
            "dtype": "float64",
            "shape": list(array.shape),
        }
    zeros = {"data": [0] * array.size, "shape": list(array.shape)}
    body = {
        "target": tensor,
        "input": zeros,
        "delta": ("Infinity",),
        "dtype": "float64",
        "reduction": "sum",
        "grad": ["input"],
    }
    text = spaced(rng, body)
    check_taken(faults, array, *server.post("/v1/losses/huber", text.encode()), "JSON", text)


def sound_npy(rng, server, faults):
    dtype = numpy.dtype(
        rng.choice(
            list(FORMATS.values()) + [">f8", ">f4", ">f2", ">i8", ">i4", ">i2", ">u4", ">u2", "?"]
        )
    )
    array = numpy.array(rng.random() < 0.5) if dtype.kind == "b" else random_array(rng, dtype)
    if rng.random() < 0.4:
        array = numpy.asfortranarray(array)
    file = io.BytesIO()
    numpy.lib.format.write_array(file, array, version=rng.choice([(1, 0), (2, 0), (3, 0)]))
    data = file.getvalue()
    if rng.random() < 0.3:
        header = str(
            {
                "descr": rng.choice([array.dtype.str, array.dtype.str.lstrip("<|")]),
                "fortran_order": array.flags.fnc,
                "shape": array.shape,
            }
        ).encode()
        header += b" " * rng.choice([0, 1, 7, 63]) + rng.choice([b"", b"\n"])
        order = "F" if array.flags.fnc else "C"
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.tobytes(order)
    parts = {"target": data, "input": errors.npy(numpy.zeros(array.shape))}
    body = (
        b"".join(
            b'--b\r\nContent-Disposition: form-data; name="%s"; filename="x"\r\n\r\n%s\r\n'
            % (name.encode(), part)
            for name, part in parts.items()
        )
        + b"--b--\r\n"
    )
    check_taken(
        faults,
        array,
        *server.post("/v1/losses/huber" + QUERY, body, "multipart/form-data; boundary=b"),
        "a NumPy file",
        data,
    )


def sound_safetensors(rng, server, faults):
    name, dtype = rng.choice(list(FORMATS.items()))
    array = random_array(rng, dtype)
    pieces = [("target", name, array.tobytes()), ("input", "F64", bytes(8 * array.size))]
    rng.shuffle(pieces)
    tensors, data = {}, b""
    for tensor, dtype, piece in pieces:
        tensors[tensor] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(piece)],
        }
        data += piece
    query = QUERY
    if rng.random() < 0.5:
        tensors["__metadata__"] = {**PARAMETERS, "format": "pt"}
        query = ""
    header = spaced(rng, tensors) + " " * rng.choice([0, 1, 7])
    headers = [("Accept", "application/json")]
    check_taken(
        faults,
        array,
        *server.post(
            "/v1/losses/huber" + query,
            errors.safetensors(header, data),
            "application/vnd.safetensors",
            headers,
        ),
        "a safetensors file",
        header,
    )


def sound_infer(rng, server, faults):
    name, dtype = rng.choice(list(FORMATS.items()))
    array = random_array(rng, dtype)
    datatype = DATATYPES[name[0]] + name[1:]
    given = {"name": "target", "shape": list(array.shape), "datatype": datatype}
    data = b""
    if rng.random() < 0.5:
        data = array.tobytes()
        given["parameters"] = {"binary_data_size": len(data)}
    elif array.dtype.kind == "f":
        given["data"] = nested(rng, array.ravel())
    else:
        given["data"] = [(str(item),) for item in array.ravel()]
    zeros = {
        "name": "input",
        "shape": list(array.shape),
        "datatype": "FP64",
        "data": [0] * array.size,
    }
    body = {
        "inputs": [given, zeros],
        "outputs": [{"name": "grad_input"}],
        "parameters": {"delta": "Infinity", "dtype": "float64", "reduction": "sum"},
        "id": "é",
    }
    text = spaced(rng, body).encode()
    status, answer = server.post(
        "/v2/models/huber/infer",
        text + data,
        headers=[("Inference-Header-Content-Length", str(len(text)))] if data else [],
    )
    if status != 200:
        faults.add("an infer request is rejected:", answer, text)
        return
    output = json.loads(answer)["outputs"][0]
    if output["shape"] != list(array.shape) or not same(
        array, numpy.array(output["data"], dtype=numpy.float64)
    ):
        faults.add("an infer request is read as other numbers:", answer, array, text)


# ---- Invalid documents ----


def is_json(text):
    try:
        json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


JUNK = [
    "[1 2]",
    "[1,,2]",
    '{"a" "b"}',
    "[}",
    "tru",
    "01",
    "+1",
    "1.",
    "{1:2}",
    '["a":1]',
    "[,]",
    "--",
    '{"a":1,}',
    "1e",
    "truex",
    "inf",
    "sum",
    "None",
    "True",
    "'a'",
    '{"a":{"b":[1,2}}',
    '"\\x"',
    "1 2",
    "]",
    "",
]


def junk_where_nothing_is_used(rng, server, faults):
    member = rng.choice(
        [
            '"model_name":',
            '"parameters":{"timeout":',
            '"parameters":{"delta":',
            '"parameters":{"reduction":',
        ]
    )
    junk = rng.choice(JUNK)
    text = '{"inputs":[' + ",".join(
        f'{{"name":"{name}","shape":[1],"datatype":"FP32","data":[1]}}'
        for name in ("input", "target")
    )
    text += "]," + member + junk + ("}}" if "{" in member else "}")
    status, answer = server.post("/v2/models/huber/infer", text.encode())
    if status == 200:
        faults.add("invalid JSON is accepted:", text, answer)


def unsound_json(rng, server, faults):
    path, text = rng.choice(
        [
            *((f"/v1/losses/{loss}", text) for loss, text in errors.LOSSES.items()),
            *(("/v1/evaluate", text) for text in errors.SEVERAL),
            ("/v2/models/huber/infer", INFER_PLAIN),
            ("/v2/models/huber/infer", INFER_PLAIN),
        ]
    )
    body = errors.json_mutant(rng, text)
    status, answer = server.post(path, body)
    if status == 200 and not is_json(body.removeprefix(b"\xef\xbb\xbf")):
        faults.add("invalid JSON is accepted:", body, answer)


INFER_PLAIN = (
    '{"id":"a","model_name":["x",{"y":[1,-2.5e3,true,null]}],"inputs":[{"name":"input",'
    '"shape":[2],"datatype":"FP32",'
    '"data":[1,2],"parameters":{"content_type":"x"}},{"name":"target","shape":[2],'
    '"datatype":"FP64","data":[1,2]}],'
    '"outputs":[{"name":"loss","parameters":{"classification":0}}],"parameters":{"delta":2,'
    '"timeout":[3],"headers":{"a":"b"}}}'
)


def unsound_npy(rng, server, faults):
    data = errors.cut(
        rng, errors.npy(numpy.array([[1.0, 2.0]], dtype=rng.choice(["<f4", ">f8", "<i2"])))
    )
    try:
        numpy.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return
    except Exception:
        pass
    body = (
        b"".join(
            b'--b#\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name, part)
            for name, part in ((b"input", data), (b"target", errors.npy(numpy.float64(0))))
        )
        + b"--b#--\r\n"
    )
    status, answer = server.post("/v1/losses/huber", body, "multipart/form-data; boundary=b#")
    if status == 200:
        faults.add("a file that numpy rejects is accepted:", data, answer)


def unsound_safetensors(rng, server, faults):
    header = errors.json_mutant(rng, errors.SAFETENSORS)
    status, answer = server.post(
        "/v1/losses/mse",
        errors.safetensors(header, struct.pack("<2f2d", 1, 2, 3, 4)),
        "application/vnd.safetensors",
        [("Accept", "application/json")],
    )
    if status == 200 and not is_json(header):
        faults.add("a safetensors file whose header is not JSON is accepted:", header, answer)


def main():
    lossd, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    rng, faults = random.Random(seed), Faults()
    checks = [
        sound_json,
        sound_npy,
        sound_safetensors,
        sound_infer,
        junk_where_nothing_is_used,
        *[unsound_json] * 6,
        unsound_npy,
        unsound_safetensors,
    ]
    with Server(lossd, "--access-log", "none") as server:
        for _ in range(count):
            for check in checks:
                check(rng, server, faults)
    return faults.count > 0


if __name__ == "__main__":
    sys.exit(main())
