"""Writes acoustic models as ONNX files that were compared with the model."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gatedrnn
from gatedrnn.modules.subsampling import ConvSubsampling
from gatedrnn.nnet import RecurrentStack
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.onnx.acoustic import encoder_graph, state_shapes, step_graph
from gatedrnn.tasks.asr.onnx.check import check_encoder, check_step
from gatedrnn.tasks.asr.onnx.graph import OPSET, Graph, need


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
    input (:data:`~gatedrnn.tasks.asr.onnx.check.TOLERANCE`) before it gets its name.

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

    A frame is what the recurrent stack reads: ``factor`` frames of features side by side, or one
    of the convolutions' output. The states are those of the stack; a stream begins with zeros and
    hands in again what comes out.

    ==================  ===============================  ==================================
    ``frame``           float32 (batch, width)
    ``h``, ``c``        float32 (layers, batch, width)   the recurrence's states, by their names
    ``log_probs``       float32 (batch, tokens)
    ``next_h``, ...     float32 (layers, batch, width)   the states after the frame
    ==================  ===============================  ==================================

    The file's metadata hold, as texts, ``factor`` (feature frames that make a frame),
    ``subsampling``, ``recurrence``, ``tokens`` (how many there are), ``states`` (JSON: name to
    shape) and ``gatedrnn_version``.

    Arguments
    ---------
    model : CTCModel
        As for :func:`export_encoder`.
    path : str or Path
        The file.

    Raises
    ------
    ValueError
        If the model is bidirectional, of another kind, or gives no numbers.
    ImportError
        If onnx or onnxruntime is not installed.
    RuntimeError
        If onnxruntime computes something else than the model.

    Example
    -------
    >>> import onnxruntime, torch
    >>> model = CTCModel(30, 80, "ran", num_layers=2, hidden_size=16, proj_size=8)
    >>> path = getfixture("tmp_path") / "step.onnx"
    >>> export_step(model, path)
    >>> session = onnxruntime.InferenceSession(path)
    >>> h, c = torch.zeros(2, 1, 8).numpy(), torch.zeros(2, 1, 16).numpy()
    >>> frame = torch.rand(1, 240).numpy()
    >>> log_probs, h, c = session.run(None, {"frame": frame, "h": h, "c": c})
    >>> log_probs.shape, h.shape
    ((1, 30), (2, 1, 8))
    >>> session.get_modelmeta().custom_metadata_map["states"]
    '{"h": [2, "batch", 8], "c": [2, "batch", 16]}'
    """
    model = _prepare(model)
    if model.encoder.bidirectional:
        raise ValueError(
            f"{model.encoder.label}: a bidirectional stack needs the end of an utterance before "
            "its beginning, so it has no streaming step; train one with bidirectional: False"
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
