"""Acoustic models as ONNX files, compared with the model before they are written."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gatedrnn
from gatedrnn.modules.features import ConvSubsampling
from gatedrnn.nnet import RecurrentStack
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.onnx_graph import OPSET, Graph, LayerPrinter, need

#: Largest difference of a log-probability or a state, of a value v: TOLERANCE * (1 + abs(v)).
#: Both compute in float32; what differs is the order of sums, and sigmoid and tanh within their
#: last places. Small models differ by 1e-6, ten layers of 512 cells by 1e-5.
TOLERANCE = 1e-4


def export_encoder(model: CTCModel, path: str | Path, features: int | None = None) -> None:
    """Writes a whole acoustic model as one ONNX file: features to log-probabilities.

    =============  ================================  ==========================================
    ``features``   float32 (batch, time, features)   normalised as in training; padded anyhow
    ``lengths``    int64 (batch,)                    frames of each utterance, 1 to time
    ``log_probs``  float32 (batch, frames, tokens)   as the model gives them
    ``counts``     int64 (batch,)                    how many frames belong to each utterance
    =============  ================================  ==========================================

    Batch and time are free, the loop over time is one ``Scan`` for each layer and direction, and
    padding changes nothing. The model is read in evaluation mode and float32, and left as it is.
    The file is checked by ``onnx.checker`` and run in onnxruntime beside the model on random
    input (:data:`~TOLERANCE`) before it gets its name.

    Arguments
    ---------
    model : CTCModel
        The acoustic model; of a model with a head its ``acoustic``, the output layer of which is
        trained if its ``ctc_weight`` is above 0.
    path : str or Path
        The file, usually ``*.onnx``.
    features : int or None
        Features of a frame. ``None``: as the model's weights say; those of convolutions do not
        tell 77 from 80, and the multiple of four is assumed.

    Raises
    ------
    ValueError
        If the model is of another kind, does not have so many features, or gives no numbers.
    ImportError
        If onnx or onnxruntime is not installed.
    RuntimeError
        If onnxruntime computes something else than the model.

    Example
    -------
    >>> import onnxruntime, torch
    >>> model = CTCModel(30, 80, "highway", num_layers=2, hidden_size=16, proj_size=8)
    >>> path = getfixture("tmp_path") / "encoder.onnx"
    >>> export_encoder(model, path)
    >>> session = onnxruntime.InferenceSession(path)
    >>> x, lengths = torch.rand(2, 31, 80), torch.tensor([31, 16])
    >>> given = {"features": x.numpy(), "lengths": lengths.numpy()}
    >>> log_probs, counts = session.run(None, given)
    >>> log_probs.shape, counts.tolist()
    ((2, 11, 30), [11, 6])
    """
    model = _prepare(model)
    features = _features(model, features)
    facts = _facts(model) | {"features": features}
    graph = encoder_graph(model, features)
    _write(graph, Path(path), facts, lambda part: check_encoder(part, model, features))


def export_step(model: CTCModel, path: str | Path) -> None:
    """Writes one frame of a unidirectional acoustic model as an ONNX file, for streaming.

    A frame is the input of the recurrent stack: ``factor`` frames of features side by side, or one
    of the convolutions' output. The states are those of the stack; a stream begins with zeros and
    feeds back what comes out.

    ==================  ===============================  ==================================
    ``frame``           float32 (batch, width)
    ``h``, ``c``        float32 (layers, batch, width)   the recurrence's states, by their names
    ``log_probs``       float32 (batch, tokens)
    ``next_h``, ...     float32 (layers, batch, width)   the states after the frame
    ==================  ===============================  ==================================

    The file's metadata hold, as texts, ``factor`` (feature frames that make a frame),
    ``subsampling``, ``recurrence``, ``tokens`` (how many there are), ``states`` (JSON: name to
    shape) and ``gatedrnn_version``. Arguments and errors are as of :func:`export_encoder`; also a
    ValueError for a bidirectional model.

    Example
    -------
    >>> import onnxruntime, torch
    >>> model = CTCModel(30, 80, "ran", num_layers=2, hidden_size=16, proj_size=8)
    >>> path = getfixture("tmp_path") / "step.onnx"
    >>> export_step(model, path)
    >>> session = onnxruntime.InferenceSession(path)
    >>> h, c = torch.zeros(2, 1, 8).numpy(), torch.zeros(2, 1, 16).numpy()
    >>> log_probs, h, c = session.run(None, {"frame": torch.rand(1, 240).numpy(), "h": h, "c": c})
    >>> log_probs.shape, h.shape
    ((1, 30), (2, 1, 8))
    """
    model = _prepare(model)
    if model.encoder.bidirectional:
        raise ValueError(
            f"{model.encoder.label}: a bidirectional stack needs the whole utterance, so it has no "
            "streaming step; train one with bidirectional: False"
        )
    facts = _facts(model) | {"states": json.dumps(state_shapes(model.encoder))}
    _write(step_graph(model), Path(path), facts, lambda part: check_step(part, model))


def _prepare(model: CTCModel) -> CTCModel:
    """A copy in evaluation mode, float32 and on the CPU."""
    for package in ("onnx", "onnxruntime"):
        need(package)
    if not isinstance(model, CTCModel):
        raise ValueError(
            f"only an acoustic model (CTCModel; of a model with a head: its acoustic) has an ONNX "
            f"file, not {type(model).__name__}"
        )
    if not isinstance(model.encoder, RecurrentStack):
        raise ValueError(
            "only the recurrences that `gatedrnn list` prints have an ONNX file, not "
            f"{type(model.encoder).__name__}"
        )
    return copy.deepcopy(model).float().cpu().eval()


def _features(model: CTCModel, features: int | None) -> int:
    subsampling = model.subsampling
    if isinstance(subsampling, ConvSubsampling):
        most = 4 * (subsampling.projection.in_features // subsampling.first.out_channels)
        least = most - 3
    else:
        least = most = subsampling.output_size // subsampling.factor
    if features is not None and not least <= features <= most:
        fitting = f"{most}" if least == most else f"{least} to {most}"
        raise ValueError(f"features must be {fitting}, as the model's weights say, not {features}")
    return most if features is None else features


def _facts(model: CTCModel) -> dict[str, Any]:
    return {
        "factor": model.factor,
        "subsampling": type(model.subsampling).__name__,
        "recurrence": model.encoder.cell_class.key or model.encoder.label,
        "bidirectional": str(model.encoder.bidirectional).lower(),
        "tokens": model.output.out_features,
        "gatedrnn_version": gatedrnn.__version__,
    }


def _write(
    graph: Graph, path: Path, facts: Mapping[str, Any], check: Callable[[Path], None]
) -> None:
    """Writes a file, and gives it its name once it has been checked."""
    onnx = need("onnx")
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    proto = onnx.helper.make_model(
        graph.proto("gatedrnn"),
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="gatedrnn",
        producer_version=gatedrnn.__version__,
    )
    onnx.helper.set_model_props(proto, {name: str(value) for name, value in facts.items()})
    onnx.checker.check_model(proto, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename across file systems would not be atomic.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        part = Path(folder, path.name)
        with open(part, "wb") as file:
            file.write(proto.SerializeToString())
            file.flush()
            os.fsync(file.fileno())
        check(part)
        os.replace(part, path)


# ---- graphs -----------------------------------------------------------------------------------


def encoder_graph(model: CTCModel, features: int) -> Graph:
    """Prints the whole model.

    Returns: Inputs ``features`` (batch, time, features) and ``lengths`` (batch,), int64;
        outputs ``log_probs`` (batch, frames, tokens) and ``counts`` (batch,), int64.
    """
    graph = Graph()
    x = graph.input("features", ["batch", "time", features])
    lengths = graph.input("lengths", ["batch"], "INT64")
    time = graph.node("Shape", x, start=1, end=2)
    # As the model does with relative lengths.
    counts = graph.node("Max", lengths, graph.constant([1]))
    counts = graph.node("Min", counts, time)
    x = _masked(graph, x, _valid(graph, counts, time, [2]))
    if isinstance(model.subsampling, ConvSubsampling):
        hidden, counts = _convolutions(graph, model.subsampling, x, counts)
    else:
        hidden, counts = _stacking(graph, model.subsampling.factor, features, x, counts)
    frames = graph.node("Shape", hidden, start=1, end=2)
    valid = _valid(graph, counts, frames, [2])
    hidden = _stack(graph, model.encoder, hidden, valid)
    _score(graph, model.output, _masked(graph, hidden, valid), ["batch", "frames"])
    graph.output("counts", counts, ["batch"], "INT64")
    return graph


def step_graph(model: CTCModel) -> Graph:
    """Prints what advances a unidirectional model by one frame.

    Returns: Inputs ``frame`` (batch, the stack's input) and each state (layers, batch, width);
        outputs ``log_probs`` (batch, tokens) and ``next_`` of each state.
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
        for name, parts in after.items():
            parts.append(graph.node("Unsqueeze", values[name], graph.constant([0])))
        x, below = values["h"], {f"{name}_below": values[name] for name in printer.keep}
    _score(graph, model.output, x, ["batch"])
    for name, parts in after.items():
        graph.output(f"next_{name}", graph.node("Concat", *parts, axis=0), shapes[name])
    return graph


def state_shapes(stack: RecurrentStack) -> dict[str, list[int | str]]:
    """Name of every state of a stack -> its shape, as the stack returns it.

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
    layers = []
    for index in range(stack.num_layers):
        layer = stack.layer(index, bool(direction))
        above = stack.layer(index + 1).cell.below() if index + 1 < stack.num_layers else {}
        keep = [name.removesuffix("_below") for name in above]
        layers.append(LayerPrinter(layer, keep, f"layer{index}{'.reverse' * direction}"))
    return layers


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
        scans = [p.scan(graph, x, b, valid, zeros) for p, b in zip(layers, below, strict=True)]
        below = [
            {f"{name}_below": values[name] for name in printer.keep}
            for printer, values in zip(layers, scans, strict=True)
        ]
        outputs = [values["h"] for values in scans]
        x = outputs[0] if len(outputs) == 1 else graph.node("Concat", *outputs, axis=2)
    return graph.node("Transpose", x, perm=[1, 0, 2])


def _score(graph: Graph, output: torch.nn.Linear, x: str, shape: Sequence[int | str]) -> None:
    scores = _linear(graph, "output", output, x)
    log_probs = graph.node("LogSoftmax", scores, axis=-1)
    graph.output("log_probs", log_probs, [*shape, output.out_features])


def _linear(graph: Graph, name: str, module: torch.nn.Linear, x: str) -> str:
    product = graph.node("MatMul", x, graph.weight(f"{name}/weight", module.weight.T))
    return graph.node("Add", product, graph.weight(f"{name}/bias", module.bias))


def _valid(graph: Graph, counts: str, frames: str, further: list[int]) -> str:
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
        hidden = _masked(graph, hidden, _valid(graph, counts, frames, [1, 3]))
    hidden = graph.node("Transpose", hidden, perm=[0, 2, 1, 3])
    shape = graph.constant([0, 0, module.projection.in_features])
    hidden = graph.node("Reshape", hidden, shape)
    return _linear(graph, "projection", module.projection, hidden), counts


# ---- comparison with the model ------------------------------------------------------------


def open_session(path: str | Path) -> Any:
    """Opens an ONNX file on the CPU, with as many threads as PyTorch has."""
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def check_encoder(path: Path, model: CTCModel, features: int) -> None:
    """Compares a file of the whole model with the model, on random ragged batches."""
    session = open_session(path)
    generator = torch.Generator().manual_seed(0)
    time = 5 * model.factor + 1
    for counts in ([time, 2 * model.factor, 1], [1]):
        lengths = torch.tensor(counts)
        x = torch.randn(len(counts), max(counts), features, generator=generator)
        log_probs, frames, _ = model(x, lengths / max(counts))
        results = session.run(None, {"features": x.numpy(), "lengths": lengths.numpy()})
        _compare(path, {"log_probs": log_probs, "counts": frames}, results)


@torch.no_grad()
def check_step(path: Path, model: CTCModel) -> None:
    """Compares a file of one frame with the model, over a sequence begun in a random state."""
    session = open_session(path)
    generator = torch.Generator().manual_seed(0)
    stack = model.encoder
    batch, frames = 2, 5
    x = torch.randn(batch, frames, stack.input_size, generator=generator)
    states = {
        name: torch.randn(stack.num_layers, batch, width, generator=generator) / 4
        for name, width in stack.layer(0).cell.states().items()
    }
    hidden = tuple(states.values())
    encoded, hidden = stack(x, hidden[0] if len(hidden) == 1 else hidden)
    scores = model.score(encoded)
    hidden = (hidden,) if isinstance(hidden, torch.Tensor) else hidden
    inputs: dict[str, np.ndarray] = {name: value.numpy() for name, value in states.items()}
    for t in range(frames):
        results = session.run(None, {"frame": x[:, t].numpy(), **inputs})
        _compare(path, {"log_probs": scores[:, t]}, results[:1])
        inputs = dict(zip(states, results[1:], strict=True))
    finals = {f"next_{name}": value for name, value in zip(states, hidden, strict=True)}
    _compare(path, finals, list(inputs.values()))


def _compare(path: Path, expected: Mapping[str, torch.Tensor], results: list[np.ndarray]) -> None:
    for (name, value), result in zip(expected.items(), results, strict=True):
        if not bool(value.isfinite().all()):
            raise ValueError(f"{path.name}: the model's own {name} are not finite numbers")
        if tuple(value.shape) != result.shape:
            raise RuntimeError(
                f"{path.name}: onnxruntime gives {name} of {result.shape}, the model of "
                f"{tuple(value.shape)}"
            )
        value = value.double().numpy()
        error = float((np.abs(result - value) / (1.0 + np.abs(value))).max())
        # A NaN is no small difference.
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"{path.name}: onnxruntime and the model differ in {name}, by {error:.1e}, where "
                f"{TOLERANCE:.0e} is allowed: the file was not written"
            )
