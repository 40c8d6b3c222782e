"""Causes errors at every endpoint, and checks the text of each response as texts.py checks the
sources.

    errors.py LOSSD [SEED [COUNT]]

Requests are valid ones in which names, values and bytes are replaced by text with quotes,
apostrophes, backslashes and multi-byte characters, with lengths around every limit. The message of
an error must be UTF-8 without control characters, have a bounded length and balanced quotes. Prints
each failure; fails if there is one."""
import io
import json
import random
import struct
import sys
import urllib.parse

import numpy

import texts
from server import Server, detail_of

LONGEST = 319
FAULTS_SHOWN = 20
NASTY = [
    "'",
    '"',
    "\\",
    "''",
    '"\'',
    "it's",
    'say "x"',
    "a\\",
    "\\'",
    "a b",
    "a,b",
    ";",
    "?",
    "?;",
    "]",
    "}",
    "",
    " ",
    "é",
    "漢字" * 20,
    "'" * 50,
    '"' * 50,
    "\\" * 50,
    "a" * 39 + "'",
    "a" * 40 + "é",
    "x" * 63,
    "x" * 64,
    "é" * 32,
    "x" * 500,
    "\u0001",
    "\n",
    "\t",
    "\u007f",
    "\u0085",
    "\u202e",
    "\ud83d\ude00",
    "mze",
    "imput",
    "reducton",
    "mean'",
    "Float32",
    "null",
    "NaN",
    "1e999",
    "-1",
    "1.5.2",
    "0x10",
    "%s%n",
    "/",
    "~",
    "~1",
    "a/b",
    ".",
    "..",
    ".",
]
VALUES = [
    "1",
    "-1",
    "1.5",
    "1e400",
    "01",
    "1.",
    "+1",
    "tru",
    "truex",
    "nul",
    "nan",
    "'a'",
    '"1',
    '"a b',
    '"\\',
    '"\\u12',
    "[",
    "{",
    "[[1],2]",
    "[1,[2]]",
    "[[1],[2,3]]",
    "{}",
    '{"a":1}',
    '{"data":1}',
    '{"shape":["a b"],"data":[1]}',
    '{"shape":[1.5],"data":[1]}',
    '{"shape":[\'],"data":[1]}',
    '{"data":[1],"dtype":"f\'32"}',
    '{"data":{"buffer":"%%%","encoding":"base64"},"dtype":"int8","shape":[2]}',
    '{"data":{"buffer":"AA","encoding":"x\'"}}',
    "[1,x]",
    "[1,\"a,b\"]",
    "[\"1\",2]",
    "[\"a'b\"]",
    "[\"a\\\"b\"]",
    "[1 2]",
    "[1,]",
    "[,1]",
    "[1'2]",
    "[1\"2]",
    "[1\\2]",
    "\ufeff1",
    "[" * 70,
    "[[[[[[[[[1]]]]]]]]]",
    "1" * 400,
    "[" + "1" * 60 + "x]",
    '"' + "é" * 50 + '"',
    '[true,false]',
    "[1.5]",
    "[-1]",
    "[99]",
    "[9223372036854775808]",
    "[0.1,0.2,0.3]",
    "[]",
    "[[]]",
    "null",
    "{\"data\":null}",
    "[NaN,\"NaN\"]",
    "[\"" + "x" * 13 + "\"]",
    "[\"" + "x" * 16 + "\"]",
    "[\"x\\",
    "[\"1",
]


def quoted(rng, text):
    """Returns text as a JSON string, sometimes without all or some of its escapes."""
    return rng.choice([json.dumps(text), json.dumps(text, ensure_ascii=False), '"' + text + '"'])


def mutated(rng, text):
    """Returns text with pieces replaced, removed or inserted."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice([0, 0, 1, 2, 5, 20]))
        text = (
            text[:at]
            + rng.choice([rng.choice(NASTY), rng.choice("[]{},:\"'\\ \t0"), ""])
            + text[end:]
        )
    return text


def with_value(rng, text):
    """Returns JSON with a string or a number replaced."""
    ends = [i for i, c in enumerate(text) if c in ":[,"]
    at = rng.choice(ends) + 1
    end = at
    while end < len(text) and text[end] not in ",]}":
        end += 1
    return text[:at] + rng.choice([quoted(rng, rng.choice(NASTY)), rng.choice(VALUES)]) + text[end:]


def with_name(rng, text):
    """Returns JSON with a string replaced."""
    pieces = text.split('"')
    if len(pieces) < 3:
        return text
    at = rng.randrange(len(pieces) // 2) * 2 + 1
    return '"'.join(pieces[:at]) + quoted(rng, rng.choice(NASTY)) + '"'.join(pieces[at + 1 :])


def json_mutant(rng, text):
    return rng.choice([mutated, with_value, with_name])(rng, text).encode("utf-8", "surrogatepass")


def npy(array):
    file = io.BytesIO()
    numpy.save(file, array)
    return file.getvalue()


def cut(rng, data):
    """Returns data with some bytes changed, removed or inserted."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        what = rng.random()
        if what < 0.3:
            del data[at : at + rng.choice([1, 2, 8, 1000])]
        elif what < 0.7:
            data[at:at] = rng.choice(NASTY).encode("utf-8", "surrogatepass")
        else:
            data[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(data)


def safetensors(header, data):
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text)) + text + data


LOSSES = {
    "mse": (
        '{"input":[1,2.5],"target":[[3],[4]],"reduction":"mean","grad":["input"],"hess":true,'
        '"dtype":"float32","encoding":"flat"}'
    ),
    "huber": (
        '{"input":{"shape":[2],"data":[1,2],"dtype":"float32"},"target":[1,2],"delta":2.5,'
        '"grad":true,"sample_weight":[1,2]}'
    ),
    "cross_entropy": (
        '{"input":[[0.1,0.2,0.3],[1,2,3]],"target":[0,2],"weight":[1,1,2],"ignore_index":-100,'
        '"label_smoothing":0.1}'
    ),
    "ctc": (
        '{"log_probs":[[[-1,-1]]],"targets":[[1]],"input_lengths":[1],"target_lengths":[1],'
        '"zero_infinity":true}'
    ),
    "nll": (
        '{"input":[[0.1,0.2]],"target":{"data":{"buffer":"AQ==","encoding":"base64"},'
        '"dtype":"int8","shape":[1]},"ignore_index":3}'
    ),
    "triplet_margin": (
        '{"anchor":[[1,2]],"positive":[[1,2]],"negative":[[1,3]],"margin":1,"p":2,"swap":false}'
    ),
    "tweedie": '{"input":[1,2],"target":[1,2],"power":1.5}',
}
SEVERAL = [
    '{"losses":["mse","l1",{"loss":"huber","delta":2}],"input":[1,2],"target":[3,4],"grad":true}',
    (
        '{"losses":[{"loss":"cross_entropy","input":[[1,2]]},{"loss":"multi_margin","p":2}],'
        '"input":[[1,2]],"target":[1]}'
    ),
]
INFER = (
    '{"id":"a","inputs":[{"name":"input","shape":[2],"datatype":"FP32","data":[1,2]},'
    '{"name":"target","shape":[2],'
    '"datatype":"FP64","parameters":{"binary_data_size":16}}],"outputs":[{"name":"loss",'
    '"parameters":{"binary_data":true}},'
    '{"name":"grad_input"}],"parameters":{"delta":2,"reduction":"sum","timeout":3,'
    '"binary_data_output":false}}'
)
QUERIES = ["reduction=mean&grad=input&hess=true", "delta=2&dtype=float32", "encoding=base64"]
SAFETENSORS = (
    '{"input":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"target":{"dtype":"F64",'
    '"shape":[2],"data_offsets":[8,24]},'
    '"__metadata__":{"reduction":"mean","grad":"input","format":"pt"}}'
)
ACCEPTS = [
    "application/json",
    "application/vnd.safetensors;q=0.5",
    "text/html",
    "application/*;q=0",
    "*/*;q=0",
]


def query_mutant(rng):
    query = (
        mutated(rng, rng.choice(QUERIES))
        if rng.random() < 0.5
        else urllib.parse.quote(rng.choice(["reduction", "grad", "delta", "encoding", "x"]))
        + "="
        + urllib.parse.quote(rng.choice(NASTY).encode("utf-8", "surrogatepass"))
    )
    return "".join(
        c if 33 <= ord(c) < 127 else urllib.parse.quote(c.encode("utf-8", "surrogatepass"))
        for c in query
    )


def form(rng):
    """Returns a form, some of whose parts are invalid."""
    parts = []
    for name in [
        "input",
        "target",
        *rng.sample(["reduction", "delta", "grad", "x", rng.choice(NASTY)], 2),
    ]:
        data = (
            npy(numpy.array([1.0, 2.0]))
            if name in ("input", "target")
            else rng.choice(NASTY).encode("utf-8", "surrogatepass")
        )
        if rng.random() < 0.4:
            data = cut(rng, data)
        head = f'Content-Disposition: form-data; name="{name}"'
        if name in ("input", "target"):
            head += '; filename="x.npy"'
        head = head.encode("utf-8", "surrogatepass")
        parts.append(
            b"--B\r\n"
            + (cut(rng, head) if rng.random() < 0.2 else head)
            + b"\r\n\r\n"
            + data
            + b"\r\n"
        )
    body = b"".join(parts) + b"--B--\r\n"
    return cut(rng, body) if rng.random() < 0.2 else body


def request(rng):
    """Returns a method, a path, a body and headers."""
    loss = rng.choice(list(LOSSES))
    path, headers = f"/v1/losses/{loss}", []
    kind = rng.randrange(10)
    if kind < 3:
        headers.append(("Content-Type", "application/json"))
        return "POST", path, json_mutant(rng, LOSSES[loss]), headers
    if kind == 3:
        headers.append(("Content-Type", "application/json"))
        return "POST", "/v1/evaluate", json_mutant(rng, rng.choice(SEVERAL)), headers
    if kind == 4:
        body = json_mutant(rng, INFER)
        if rng.random() < 0.8:
            headers.append(
                (
                    "Inference-Header-Content-Length",
                    str(len(body)) if rng.random() < 0.9 else header_text(rng),
                )
            )
        return (
            "POST",
            "/v2/models/huber/infer",
            body + struct.pack("<2d", 1, 2)[: rng.choice([0, 15, 16, 16, 16])],
            headers,
        )
    if kind == 5:
        header = json_mutant(rng, SAFETENSORS)
        body = safetensors(header, struct.pack("<2f2d", 1, 2, 3, 4))
        headers.append(("Content-Type", "application/vnd.safetensors"))
        return (
            "POST",
            path + rng.choice(["", "?" + query_mutant(rng)]),
            cut(rng, body) if rng.random() < 0.1 else body,
            headers,
        )
    if kind == 6:
        headers.append(("Content-Type", "multipart/form-data; boundary=B"))
        return (
            "POST",
            "/v1/losses/huber" + rng.choice(["", "?" + query_mutant(rng)]),
            form(rng),
            headers,
        )
    if kind == 7:
        name = rng.choice(
            [
                "Content-Type",
                "Accept",
                "Accept-Encoding",
                "Content-Encoding",
                "Request-Timeout",
                "Expect",
                "Inference-Header-Content-Length",
                "Origin",
                "traceparent",
                "Authorization",
                "Transfer-Encoding",
            ]
        )
        headers.append((name, rng.choice([header_text(rng), mutated_header(rng)])))
        return (
            "POST",
            rng.choice([path, "/v2/models/mse/infer", "/v1/evaluate"]),
            LOSSES[loss].encode(),
            headers,
        )
    if kind == 8:
        target = rng.choice(
            ["/v1/losses/", "/v1/loss/", "/v2/models/", "/v2/models/mse/versions/", "/assets/", "/"]
        )
        text = urllib.parse.quote(rng.choice(NASTY).encode("utf-8", "surrogatepass"), safe="'\\;?,")
        method = rng.choice(["GET", "POST", "PUT", "DELETE", "GETT"])
        return (
            method,
            target + text + rng.choice(["", "/ready", "/infer", "?x='"]),
            b"{}" if method == "POST" else None,
            headers,
        )
    headers.append(("Content-Type", "application/json"))
    return "POST", path + "?" + query_mutant(rng), LOSSES[loss].encode(), headers


def header_text(rng):
    return "".join(c for c in rng.choice(NASTY) if 32 <= ord(c) < 127)


def mutated_header(rng):
    text = mutated(
        rng,
        rng.choice(
            ACCEPTS + ["gzip, br;q=0.5", "identity;q=0", "multipart/form-data; boundary=", "1.5"]
        ),
    )
    return "".join(c for c in text if 32 <= ord(c) < 127)


def fault_of(status, body):
    """Returns the fault of a response, or None."""
    if status < 400:
        return None
    if status >= 500 and status not in (501, 505):
        return f"status {status}"
    try:
        detail = detail_of(body)
    except (ValueError, KeyError) as error:
        return f"not an error in JSON: {error!r}"
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in detail):
        return "a control character"
    if not 0 < len(detail.encode()) <= LONGEST:
        return f"{len(detail.encode())} bytes"
    return texts.check(detail)


def main():
    lossd, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 4000
    rng = random.Random(seed)
    errors, faults, shown = 0, 0, set()
    with Server(lossd, "--access-log", "none") as server:
        for i in range(count):
            method, path, body, headers = request(rng)
            try:
                status, answer = server.ask(method, path, body, headers)
            except Exception as error:
                print(f"{i}: {method} {path[:200]} {headers} {(body or b'')[:300]!r}: {error!r}")
                faults += 1
                continue
            errors += status >= 400
            why = fault_of(status, answer)
            if why:
                faults += 1
                key = (why, answer[:90])
                if key not in shown and len(shown) < FAULTS_SHOWN:
                    shown.add(key)
                    print(
                        f"{why}: {answer.decode('utf-8', 'replace').strip()}\n    for"
                        f" {method} {path[:200]} {headers} {(body or b'')[:300]!r}"
                    )
    if errors < count / 2:
        print(f"only {errors} of {count} requests were errors")
    return faults > 0 or errors < count / 2


if __name__ == "__main__":
    sys.exit(main())
