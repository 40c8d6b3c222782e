#!/usr/bin/python3
"""Writes src/lossd/_losses.py, a method for every loss with its arguments and their documentation, from a running server.

    build/lossd &
    clients/python/generate.py http://127.0.0.1:8080

With --print it goes to stdout. The tests say when it has to be run: after a loss was added, or what its descriptor says changed.
"""
import argparse
import json
import textwrap
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH = 116

HEAD = '''\
"""Every loss: what it takes, and a method for it. Written by generate.py from the server's GET /v1/losses: not to be edited."""
from typing import Any, Dict, Generic, Literal, Mapping, Optional, Sequence, TypeVar, Union

from ._table import LossInfo, TensorInfo, naming_arguments

Answer = TypeVar("Answer")
Wanted = Union[bool, str, Sequence[str]]  # of every prediction, or of none; of the tensor of that name; of several

'''
TAIL = '''\

for _name in LOSSES:
    setattr(LossMethods, _name, naming_arguments(getattr(LossMethods, _name)))
'''
TYPES = {"number": "float", "integer": "int", "boolean": "bool"}

COMMON = '''\
reduction: {reductions}.
grad: True for the gradient of {predictions}; names of tensors ({differentiable}) for just those.
{hess}grad_output: the upstream gradient that gradients are multiplied by: a number, or an array of the loss's shape where reduction is "none".
sample_weight: a weight for each term, or for each index of their first dimension; "mean" divides by their sum.
dtype: what to compute in, "float32" or "float64"; None is float64 where a prediction is, else float32.'''
HESS = "hess: True for the diagonal of the Hessian with respect to {predictions}; names for just those.\n"


def literal(names):
    return f"Literal[{', '.join(json.dumps(name) for name in names)}]"


def annotation(parameter):
    written = literal(parameter["choices"]) if parameter["type"] == "choice" else TYPES[parameter["type"]]
    return f"Optional[{written}]" if parameter.get("nullable") else written


def words(names, last="and"):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def quoted(names, last):
    return words([json.dumps(name) for name in names], last)


def bounds(parameter):
    names = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    parts = [f"{word} {parameter[name]:g}" for name, word in names.items() if name in parameter]
    return (f"; {' and '.join(parts)}" if parts else "") + ", or math.inf" * parameter.get("infinite", False) + \
        ", or None" * parameter.get("nullable", False)


def wrapped(text, indent, hanging=""):
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent + hanging, break_long_words=False, break_on_hyphens=False)


def docstring(loss):
    predictions = [tensor["name"] for tensor in loss["tensors"] if tensor["prediction"]]
    differentiable = [tensor["name"] for tensor in loss["tensors"] if tensor["differentiable"]]
    entries = [f"{tensor['name']}: {tensor['doc']}; {tensor['shape']}{' (may be left out)' if tensor['optional'] else ''}."
               for tensor in loss["tensors"]]
    entries += [f"{parameter['name']}: {parameter['doc']}{bounds(parameter)}." for parameter in loss["parameters"]]
    entries += COMMON.format(predictions=words(predictions), reductions=quoted(loss["reductions"], "or"),
                             hess=HESS.format(predictions=words(predictions)) if loss["hessian"] else "",
                             differentiable=quoted(differentiable, "and")).splitlines()
    lines = [wrapped(f'"""{loss["title"]}: {words(loss["aliases"])}.', " " * 8), ""]
    lines += [wrapped(loss["doc"], " " * 8), "", wrapped(loss["formula"], " " * 12), "", "        Args:"]
    lines += [wrapped(entry, " " * 12, " " * 4) for entry in entries]
    return "\n".join([*lines, '        """'])


def packed(head, items, tail, indent):
    """`head`, the items with commas between them, and `tail`, broken between items alone."""
    lines, line = [], head
    for place, item in enumerate(items):
        piece = item + (tail if place == len(items) - 1 else ",")
        if len(line) + 1 + len(piece) > WIDTH:
            lines, line = [*lines, line], " " * indent + piece
        else:
            line += piece if line.endswith("(") else f" {piece}"
    return "\n".join([*lines, line])


def braced(items):
    """The items of a dict as those of the call that it is an argument of."""
    return [("{" if place == 0 else "") + item + ("}" if place == len(items) - 1 else "") for place, item in enumerate(items)] or ["{}"]


def method(loss):
    required = [tensor["name"] for tensor in loss["tensors"] if not tensor["optional"]]
    optional = [tensor["name"] for tensor in loss["tensors"] if tensor["optional"]]
    arguments = ["self"] + [f"{name}: Any" for name in required] + ["*"] + [f"{name}: Any = None" for name in optional]
    arguments += [f"{parameter['name']}: {annotation(parameter)} = {python(parameter['default'])}" for parameter in loss["parameters"]]
    arguments += [f"reduction: {literal(loss['reductions'])} = \"mean\"", "grad: Wanted = False"] + ["hess: Wanted = False"] * loss["hessian"]
    arguments += ["grad_output: Any = None", "sample_weight: Any = None", "dtype: Optional[str] = None"]
    tensors = [f'"{name}": {name}' for name in [*required, *optional, "grad_output", "sample_weight"]]
    parameters = [f'"{parameter["name"]}": {parameter["name"]}' for parameter in loss["parameters"]]
    head, call = f"    def {loss['name']}(", f'        return self._evaluate("{loss["name"]}",'
    values = [*braced(tensors), *braced(parameters), "reduction", "grad", "hess" if loss["hessian"] else "False", "dtype"]
    return "\n".join([packed(head, arguments, ") -> Answer:", len(head)), docstring(loss), packed(call, values, ")", 30), ""])


def python(value):
    return json.dumps(value) if isinstance(value, str) else repr(value)


def strings(values):
    return f"({', '.join(map(json.dumps, values))}{',' * (len(values) == 1)})"


def entry(loss):
    tensors = [f"TensorInfo({json.dumps(tensor['name'])}, {json.dumps(tensor['kind'])}, optional={tensor['optional']}, "
               f"prediction={tensor['prediction']}, differentiable={tensor['differentiable']})," for tensor in loss["tensors"]]
    parameters = [f"({json.dumps(parameter['name'])}, {python(parameter['default'])})," for parameter in loss["parameters"]]
    lines = [f'    "{loss["name"]}": LossInfo(', f'        name="{loss["name"]}",', f"        aliases={strings(loss['aliases'])},"]
    lines += [f"        title={json.dumps(loss['title'])},", "        tensors=(", *[f"            {tensor}" for tensor in tensors], "        ),"]
    lines += [f"        parameters=({' '.join(parameters)}),", f"        reductions={strings(loss['reductions'])},"]
    return "\n".join([*lines, f"        hessian={loss['hessian']},", "    ),"])


def module(losses):
    table = "\n".join(["LOSSES: Dict[str, LossInfo] = {", *[entry(loss) for loss in losses], "}"])
    methods = '''\
class LossMethods(Generic[Answer]):
    """A method for every loss. Arrays are whatever NumPy makes arrays of; an `Answer` is a Result, or what becomes one."""

    def _evaluate(self, loss: str, tensors: Mapping[str, Any], parameters: Mapping[str, Any], reduction: str, grad: Any, hess: Any,
                  dtype: Optional[str]) -> Answer:
        raise NotImplementedError
'''
    names = "BY_NAME: Dict[str, LossInfo] = {name: loss for loss in LOSSES.values() for name in (loss.name, *loss.aliases)}"
    return "\n".join([HEAD + table, names, "", "", methods, *[method(loss) for loss in losses], TAIL])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of a running server")
    parser.add_argument("--print", action="store_true", help="to stdout")
    arguments = parser.parse_args()
    with urllib.request.urlopen(f"{arguments.url}/v1/losses") as answer:
        text = module(json.load(answer)["losses"])
    if arguments.print:
        print(text, end="")
    else:
        (HERE / "src/lossd/_losses.py").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
