"""Plots a loss and its derivative over one prediction, computed by a running server.

The first number of the first prediction in the example varies; everything else is fixed. The plot
shows the sum of the terms that change. There is one plot for the example, and one for each
argument that changes the curve."""
import copy
import json

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (needs the backend to be set first)

# Ranges to try: some losses accept only probabilities or positive predictions.
RANGES = ((-4.0, 4.0), (0.0, 1.0), (0.05, 4.0))
POINTS = 161
COLORS = (
    "#1f6fb2",
    "#c2410c",
    "#15803d",
    "#7e3fb8",
)  # --line and --series-2 to 4 of web/tokens.css

matplotlib.rcParams.update(
    {
        "svg.hashsalt": "lossd",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
    }
)


def first_number(tensor):
    """Returns the innermost list that contains the first number."""
    while isinstance(tensor[0], list):
        tensor = tensor[0]
    return tensor


def prediction_of(loss):
    return next(
        tensor["name"]
        for tensor in loss["tensors"]
        if tensor["prediction"] and tensor["name"] in loss["example"]
    )


def numbers(value):
    """Returns the numbers of nested lists as a flat list, including "NaN" and "Infinity"."""
    return (
        [number for item in value for number in numbers(item)]
        if isinstance(value, list)
        else [float(value)]
    )


def evaluate(server, loss, request, name, x):
    """Returns the terms and the derivative of their sum. None if the loss rejects x."""
    request = copy.deepcopy(request)
    tensor = request[name]
    if isinstance(tensor, list):
        first_number(tensor)[0] = x
    else:
        request[name] = x
    status, text = server.ask(loss["path"], request)
    if status != 200:
        return None
    answer = json.loads(text)
    return numbers(answer["loss"]), numbers(answer["grad"][name])[0]


def moved(points):
    """Returns (x, sum of the terms that vary, gradient)."""
    moving = [
        i
        for i, values in enumerate(zip(*(terms for _, terms, _ in points)))
        if len(set(values)) > 1
    ]
    return [(x, sum(terms[i] for i in moving), gradient) for x, terms, gradient in points]


def curve(server, loss, settings):
    """Returns (x, loss, gradient) over the first range that the loss accepts completely. None if
    there is no such range."""
    name = prediction_of(loss)
    request = {
        **loss["example"],
        **settings,
        "reduction": "none",
        "grad": [name],
        "dtype": "float64",
    }
    for low, high in RANGES:
        xs = [low + (high - low) * i / (POINTS - 1) for i in range(POINTS)]
        points = []
        for x in xs:
            point = evaluate(server, loss, request, name, x)
            if point is None:
                break
            points.append((x, *point))
        else:
            return moved(points)
    return None


def variants(parameter):
    """Returns values of an argument to compare, including the default. Empty if the argument has no
    effect on the curve."""
    if parameter["type"] == "boolean":
        return [False, True]
    if "choices" in parameter:
        return parameter["choices"]
    if parameter["type"] != "number":
        return []
    default = parameter["default"]
    low, high = parameter.get("minimum", parameter.get("exclusiveMinimum")), parameter.get(
        "maximum", parameter.get("exclusiveMaximum")
    )
    if low is not None and high is not None:
        return [low + (high - low) * share for share in (0.1, 0.5, 0.9)]
    return [default / 2, default, default * 2] if default else [0, 0.5, 1]


def draw(path, title, series, x_label):
    figure, (top, bottom) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for (label, points), color in zip(series, COLORS):
        xs, losses, gradients = zip(*points)
        top.plot(xs, losses, color=color, label=label)
        bottom.plot(xs, gradients, color=color, label=label)
    top.set(title=title, xlabel=x_label)
    bottom.set(title="derivative", xlabel=x_label)
    if len(series) > 1:
        top.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def differs(series):
    return any(points != series[0][1] for _, points in series[1:])


def figures(server, loss, folder):
    """Draws the plots into `folder`. Yields (caption, file name)."""
    name = prediction_of(loss)
    x_label = f"the first number of {name}"
    main = f"{loss['name']}.svg"
    example = curve(server, loss, {})
    if not example:
        raise SystemExit(f"{loss['name']} accepts no range of {name}")
    draw(folder / main, loss["name"], [("example", example)], x_label)
    name = loss["name"]
    yield f"{name} and its derivative over one prediction, the rest as in the example below", main
    for parameter in loss["parameters"]:
        series = [
            (f"{parameter['name']} = {value}", curve(server, loss, {parameter["name"]: value}))
            for value in variants(parameter)
        ]
        # The example may not fit a value: targets are logarithms with log_target only.
        series = [(label, points) for label, points in series if points]
        if len(series) > 1 and differs(series):
            file = f"{loss['name']}-{parameter['name']}.svg"
            draw(folder / file, f"{loss['name']}, by {parameter['name']}", series, x_label)
            yield f"{loss['name']} by {parameter['name']}", file
