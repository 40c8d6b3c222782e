"""A page for each loss, made from its descriptor: GET /v1/losses/{loss} of a running server."""
import json

from server import URL_IN_TEXT as URL

# Calls of the clients are laid out like this: (language for the highlighter, how to write a request).
LANGUAGES = (("curl", "sh"), ("Python", "python"), ("JavaScript", "js"))


def indented(value, width=100):
    """JSON with a field a line, and tensors on one."""
    lines = [f"    {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()]
    one = json.dumps(value)
    return one if len(one) <= width else "{\n" + ",\n".join(lines) + "\n}"


def python_value(value):
    return repr(value)  # JSON's values are Python's


def curl(loss, request):
    return f"curl --json '{indented(request)}' \\\n    {URL}{loss['path']}"


def python(loss, request):
    fields = ", ".join(f"{name}={python_value(value)}" for name, value in request.items())
    return f"from lossd import Client\n\nclient = Client({URL!r})\nresult = client.{loss['name']}({fields})\nprint(result.loss)"


def javascript(loss, request):
    fields = ", ".join(f"{name}: {json.dumps(value)}" for name, value in request.items())
    return (f"import {{Client}} from 'lossd';\n\nconst client = new Client('{URL}');\n"
            f"const result = await client.{loss['name']}({{{fields}}});\nconsole.log(result.loss);")


def example(loss):
    """The descriptor's example, asking for gradients too."""
    return {**loss["example"], "grad": True}


def default_text(parameter):
    return json.dumps(parameter["default"])


def range_text(parameter):
    if "choices" in parameter:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in parameter["choices"])
    low, high = parameter.get("minimum", parameter.get("exclusiveMinimum")), parameter.get("maximum", parameter.get("exclusiveMaximum"))
    if low is None and high is None:
        return "or `null`" if parameter.get("nullable") else ""
    left = "[" if "minimum" in parameter else "("
    right = "]" if "maximum" in parameter or parameter.get("infinite") else ")"
    return f"{left}{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}{right}"


def cell(text):
    return text.replace("|", "\\|")


def tensor_rows(loss):
    for tensor in loss["tensors"]:
        traits = [name for name, holds in (("optional", tensor["optional"]), ("prediction", tensor["prediction"]),
                                           ("differentiable", tensor["differentiable"])) if holds]
        yield f"| `{tensor['name']}` | {cell(tensor['doc'])} | `{cell(tensor['shape'])}` | {tensor['kind']} | {', '.join(traits)} |"


def parameter_rows(loss):
    for parameter in loss["parameters"]:
        yield (f"| `{parameter['name']}` | {cell(parameter['doc'])} | {parameter['type']} | `{default_text(parameter)}` | "
               f"{cell(range_text(parameter))} |")


def page(loss, answer, figures):
    """`answer` is the text of the answer to the example; `figures` are (caption, file) pairs."""
    request = example(loss)
    names = [name for name in loss["aliases"]]
    yield f"# {loss['title']}: `{loss['name']}`"
    yield loss["doc"]
    if names:
        yield "Also answers to " + ", ".join(f"`{name}`" for name in names) + "."
    yield f"```text\n{loss['formula']}\n```"
    for caption, file in figures:
        yield f"![{caption}]({file})"
    yield "## Tensors"
    yield "\n".join(["| name | | shape | holds | |", "| --- | --- | --- | --- | --- |", *tensor_rows(loss)])
    if loss["parameters"]:
        yield "## Arguments"
        yield "\n".join(["| name | | type | default | range |", "| --- | --- | --- | --- | --- |", *parameter_rows(loss)])
    yield ("Reductions: " + ", ".join(f"`{name}`" for name in loss["reductions"]) + ". " +
           ("The diagonal of its Hessian can be asked for (`hess`). " if loss["hessian"] else "") +
           "What every loss takes besides (`reduction`, `grad`, `sample_weight`, ...) is in [the protocol](../API.md#common-fields).")
    yield "## Example"
    for (title, language), write in zip(LANGUAGES, (curl, python, javascript)):
        yield f"### {title}\n\n```{language}\n{write(loss, request)}\n```"
        if language == "sh":
            yield f"```json\n{answer.strip()}\n```"
