"""An acoustic model as ONNX graphs: features to log-probabilities, whole or by the frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gatedrnn.modules.subsampling import ConvSubsampling
from gatedrnn.nnet import RecurrentStack
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.onnx.graph import Graph
from gatedrnn.tasks.asr.onnx.recurrence import LayerPrinter


def encoder_graph(model: CTCModel, features: int) -> Graph:
    """Prints the whole model.

    Arguments
    ---------
    model : CTCModel
        In evaluation mode, with a stack of ours.
    features : int
        Features of a frame of its input.

    Returns
    -------
    Graph
        Inputs ``features`` (batch, time, features) and ``lengths`` (batch,), int64; outputs
        ``log_probs`` (batch, frames, tokens) and ``counts`` (batch,), int64.
    """
    graph = Graph()
    x = graph.input("features", ["batch", "time", features])
    lengths = graph.input("lengths", ["batch"], "INT64")
    time = graph.node("Shape", x, start=1, end=2)
    # As the model does with relative lengths.
    counts = graph.node("Max", lengths, graph.constant([1]))
    counts = graph.node("Min", counts, time)
    x = _masked(graph, x, _valid_frames(graph, counts, time, [2]))
    if isinstance(model.subsampling, ConvSubsampling):
        hidden, counts = _convolutions(graph, model.subsampling, x, counts)
    else:
        hidden, counts = _stacking(graph, model.subsampling.factor, features, x, counts)
    frames = graph.node("Shape", hidden, start=1, end=2)
    valid = _valid_frames(graph, counts, frames, [2])
    hidden = _stack(graph, model.encoder, hidden, valid)
    _score(graph, model.output, _masked(graph, hidden, valid), ["batch", "frames"])
    graph.output("counts", counts, ["batch"], "INT64")
    return graph


def step_graph(model: CTCModel) -> Graph:
    """Prints what advances a unidirectional model by one frame.

    Arguments
    ---------
    model : CTCModel
        In evaluation mode, with a unidirectional stack of ours.

    Returns
    -------
    Graph
        Inputs ``frame`` (batch, the stack's input) and each state (layers, batch, width); outputs
        ``log_probs`` (batch, tokens) and ``next_`` of each state.
    """
    graph, stack = Graph(), model.encoder
    x = graph.input("frame", ["batch", stack.input_size])
    shapes = state_shapes(stack)
    states = {name: graph.input(name, shape) for name, shape in shapes.items()}
    after: dict[str, list[str]] = {name: [] for name in states}
    below: dict[str, str] = {}
    for index, printer in enumerate(printers(stack, 0)):
        number = graph.constant(index)
        state = {n: graph.node("Gather", value, number) for n, value in states.items()}
        values = printer.advance(graph, x, state, below)
        for name, made in after.items():
            made.append(graph.node("Unsqueeze", values[name], graph.constant([0])))
        x, below = values["h"], {f"{name}_below": values[name] for name in printer.keep}
    _score(graph, model.output, x, ["batch"])
    for name, made in after.items():
        graph.output(f"next_{name}", graph.node("Concat", *made, axis=0), shapes[name])
    return graph


def state_shapes(stack: RecurrentStack) -> dict[str, list[int | str]]:
    """Name of every state of a stack -> its shape, as the stack returns it.

    Arguments
    ---------
    stack : RecurrentStack
        The stack.

    Returns
    -------
    dict

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> state_shapes(RAN(4, input_size=3, num_layers=2))
    {'h': [2, 'batch', 4], 'c': [2, 'batch', 4]}
    """
    rows = stack.num_layers * stack.num_directions
    return {name: [rows, "batch", width] for name, width in stack.layer(0).cell.states().items()}


def printers(stack: RecurrentStack, direction: int) -> list[LayerPrinter]:
    """The layers of a stack in one direction, the lowest first."""
    made = []
    for index in range(stack.num_layers):
        layer = stack.layer(index, bool(direction))
        above = stack.layer(index + 1).cell.below() if index + 1 < stack.num_layers else {}
        keep = [name.removesuffix("_below") for name in above]
        made.append(LayerPrinter(layer, keep, f"layer{index}{'.reverse' * direction}"))
    return made


def _stack(graph: Graph, stack: RecurrentStack, x: str, valid: str) -> str:
    """(batch, frames, width) through all layers and directions."""
    x = graph.node("Transpose", x, perm=[1, 0, 2])
    valid = graph.node("Transpose", valid, perm=[1, 0, 2])
    batch = graph.node("Shape", x, start=1, end=2)

    def zeros(width: int) -> str:
        shape = graph.node("Concat", batch, graph.constant([width]), axis=0)
        return graph.node("ConstantOfShape", shape)

    directions = [printers(stack, d) for d in range(stack.num_directions)]
    below: list[dict[str, str]] = [{} for _ in directions]
    for layers in zip(*directions, strict=True):
        made = [p.scan(graph, x, b, valid, zeros) for p, b in zip(layers, below, strict=True)]
        below = [
            {f"{name}_below": values[name] for name in printer.keep}
            for printer, values in zip(layers, made, strict=True)
        ]
        outputs = [values["h"] for values in made]
        x = outputs[0] if len(outputs) == 1 else graph.node("Concat", *outputs, axis=2)
    return graph.node("Transpose", x, perm=[1, 0, 2])


def _score(graph: Graph, output: torch.nn.Linear, x: str, shape: Sequence[int | str]) -> None:
    scores = _linear(graph, "output", output, x)
    log_probs = graph.node("LogSoftmax", scores, axis=-1)
    graph.output("log_probs", log_probs, [*shape, output.out_features])


def _linear(graph: Graph, name: str, module: torch.nn.Linear, x: str) -> str:
    product = graph.node("MatMul", x, graph.weight(f"{name}/weight", module.weight.T))
    return graph.node("Add", product, graph.weight(f"{name}/bias", module.bias))


def _valid_frames(graph: Graph, counts: str, frames: str, further: list[int]) -> str:
    """Which frames belong to an utterance: (batch, frames), and further axes of one."""
    end = graph.node("Squeeze", frames)
    number = graph.node("Range", graph.constant(0), end, graph.constant(1))
    number = graph.node("Unsqueeze", number, graph.constant([0]))
    valid = graph.node("Less", number, graph.node("Unsqueeze", counts, graph.constant([1])))
    return graph.node("Unsqueeze", valid, graph.constant(further))


def _masked(graph: Graph, value: str, valid: str) -> str:
    # Not a product: whatever is in the padding, even a NaN, stays there.
    return graph.node("Where", valid, value, graph.constant(0.0))


def _part(graph: Graph, count: str, factor: int) -> str:
    """ceil(count / factor)."""
    more = graph.node("Add", count, graph.constant([factor - 1]))
    return graph.node("Div", more, graph.constant([factor]))


def _stacking(graph: Graph, factor: int, width: int, x: str, counts: str) -> tuple[str, str]:
    time = graph.node("Shape", x, start=1, end=2)
    whole = graph.node("Mul", _part(graph, time, factor), graph.constant([factor]))
    pads = graph.node("Concat", graph.constant([0]), graph.node("Sub", whole, time), axis=0)
    x = graph.node("Pad", x, pads, "", graph.constant([1]))
    x = graph.node("Reshape", x, graph.constant([0, -1, factor * width]))
    return x, _part(graph, counts, factor)


def _convolutions(graph: Graph, module: ConvSubsampling, x: str, counts: str) -> tuple[str, str]:
    hidden = graph.node("Unsqueeze", x, graph.constant([1]))
    for name in ("first", "second"):
        layer = getattr(module, name)
        hidden = graph.node(
            "Conv",
            hidden,
            graph.weight(f"{name}/weight", layer.weight),
            graph.weight(f"{name}/bias", layer.bias),
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[*layer.padding, *layer.padding],
        )
        hidden = graph.node("Relu", hidden)
        counts = _part(graph, counts, layer.stride[0])
        frames = graph.node("Shape", hidden, start=2, end=3)
        hidden = _masked(graph, hidden, _valid_frames(graph, counts, frames, [1, 3]))
    hidden = graph.node("Transpose", hidden, perm=[0, 2, 1, 3])
    shape = graph.constant([0, 0, module.projection.in_features])
    hidden = graph.node("Reshape", hidden, shape)
    return _linear(graph, "projection", module.projection, hidden), counts
