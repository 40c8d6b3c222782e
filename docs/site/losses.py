"""Writes the page of a loss from its descriptor, which a running server returns for GET
/v1/losses/{loss}."""
import json

from server import URL_IN_TEXT as URL

# The examples: (title, language of the code block).
LANGUAGES = (("curl", "sh"), ("Python", "python"), ("JavaScript", "js"))


def indented(value, width=100):
    """Formats JSON with one field per line, or on one line if it fits."""
    lines = [f"    {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()]
    one = json.dumps(value)
    return one if len(one) <= width else "{\n" + ",\n".join(lines) + "\n}"


def python_value(value):
    return repr(value)  # JSON's values are Python's


def curl(loss, request):
    return f"curl --json '{indented(request)}' \\\n    {URL}{loss['path']}"


def python(loss, request):
    fields = ", ".join(f"{name}={python_value(value)}" for name, value in request.items())
    return (
        f"from lossd import Client\n\nclient = Client({URL!r})\n"
        f"result = client.{loss['name']}({fields})\nprint(result.loss)"
    )


def javascript(loss, request):
    fields = ", ".join(f"{name}: {json.dumps(value)}" for name, value in request.items())
    return (
        f"import {{Client}} from 'lossd';\n\nconst client = new Client('{URL}');\n"
        f"const result = await client.{loss['name']}({{{fields}}});\nconsole.log(result.loss);"
    )


def example(loss):
    """Returns the descriptor's example, with gradients."""
    return {**loss["example"], "grad": True}


def default_text(parameter):
    return json.dumps(parameter["default"])


def range_text(parameter):
    if "choices" in parameter:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in parameter["choices"])
    low, high = parameter.get("minimum", parameter.get("exclusiveMinimum")), parameter.get(
        "maximum", parameter.get("exclusiveMaximum")
    )
    if low is None and high is None:
        return "or `null`" if parameter.get("nullable") else ""
    left = "[" if "minimum" in parameter else "("
    right = "]" if "maximum" in parameter or parameter.get("infinite") else ")"
    lowest = "-inf" if low is None else f"{low:g}"
    highest = "inf" if high is None else f"{high:g}"
    return f"{left}{lowest}, {highest}{right}"


def cell(text):
    return text.replace("|", "\\|")


def tensor_rows(loss):
    for tensor in loss["tensors"]:
        traits = [
            name
            for name, holds in (
                ("optional", tensor["optional"]),
                ("prediction", tensor["prediction"]),
                ("differentiable", tensor["differentiable"]),
            )
            if holds
        ]
        yield (
            f"| `{tensor['name']}` | {cell(tensor['doc'])} | `{cell(tensor['shape'])}` | "
            f"{tensor['kind']} | {', '.join(traits)} |"
        )


def parameter_rows(loss):
    for parameter in loss["parameters"]:
        yield (
            f"| `{parameter['name']}` | {cell(parameter['doc'])} | {parameter['type']} | "
            f"`{default_text(parameter)}` | {cell(range_text(parameter))} |"
        )


def page(loss, answer, figures):
    """Returns the parts of a page. `answer` is the response to the example; `figures` are (caption,
    file) pairs."""
    request = example(loss)
    names = [name for name in loss["aliases"]]
    yield f"# {loss['title']}: `{loss['name']}`"
    yield loss["doc"]
    if names:
        yield "Other names: " + ", ".join(f"`{name}`" for name in names) + "."
    yield f"```text\n{loss['formula']}\n```"
    for caption, file in figures:
        yield f"![{caption}]({file})"
    yield "## Tensors"
    yield "\n".join(
        ["| name | | shape | dtype | |", "| --- | --- | --- | --- | --- |", *tensor_rows(loss)]
    )
    if loss["parameters"]:
        yield "## Arguments"
        yield "\n".join(
            [
                "| name | | type | default | range |",
                "| --- | --- | --- | --- | --- |",
                *parameter_rows(loss),
            ]
        )
    yield (
        "Reductions: "
        + ", ".join(f"`{name}`" for name in loss["reductions"])
        + ". "
        + ("`hess` returns the diagonal of its Hessian. " if loss["hessian"] else "")
        + "All losses accept the [common fields](../API.md#common-fields) (`reduction`, `grad`,"
        " `sample_weight`, ...)."
    )
    yield "## Example"
    for (title, language), write in zip(LANGUAGES, (curl, python, javascript)):
        yield f"### {title}\n\n```{language}\n{write(loss, request)}\n```"
        if language == "sh":
            yield f"```json\n{answer.strip()}\n```"
