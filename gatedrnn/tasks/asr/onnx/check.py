"""Runs ONNX files in onnxruntime beside the models that they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.onnx.graph import need

#: Largest difference of a log-probability or a state, of a value v: TOLERANCE * (1 + abs(v)).
#: Both compute in float32; what differs is the order of sums, and sigmoid and tanh within their
#: last places. Small models differ by 1e-6, ten layers of 512 cells by 1e-5.
TOLERANCE = 1e-4


def open_session(path: str | Path) -> Any:
    """Opens an ONNX file on the CPU, with as many threads as PyTorch has.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    onnxruntime.InferenceSession
    """
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def check_encoder(path: Path, model: CTCModel, features: int) -> None:
    """Compares a file of the whole model with the model, on random ragged batches.

    Arguments
    ---------
    path : Path
        The file.
    model : CTCModel
        In evaluation mode, float32.
    features : int
        Features of a frame.

    Raises
    ------
    ValueError
        If the model's own output is not finite.
    RuntimeError
        If the two differ.
    """
    session = open_session(path)
    generator = torch.Generator().manual_seed(0)
    time = 5 * model.factor + 1
    for counts in ([time, 2 * model.factor, 1], [1]):
        lengths = torch.tensor(counts)
        x = torch.randn(len(counts), max(counts), features, generator=generator)
        log_probs, frames, _ = model(x, lengths / max(counts))
        found = session.run(None, {"features": x.numpy(), "lengths": lengths.numpy()})
        _compare(path, {"log_probs": log_probs, "counts": frames}, found)


@torch.no_grad()
def check_step(path: Path, model: CTCModel) -> None:
    """Compares a file of one frame with the model, over a sequence begun in a random state.

    Arguments
    ---------
    path : Path
        The file.
    model : CTCModel
        In evaluation mode, float32.

    Raises
    ------
    ValueError
        If the model's own output is not finite.
    RuntimeError
        If the two differ.
    """
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
    given: dict[str, np.ndarray] = {name: value.numpy() for name, value in states.items()}
    for t in range(frames):
        found = session.run(None, {"frame": x[:, t].numpy(), **given})
        _compare(path, {"log_probs": scores[:, t]}, found[:1])
        given = dict(zip(states, found[1:], strict=True))
    finals = {f"next_{name}": value for name, value in zip(states, hidden, strict=True)}
    _compare(path, finals, list(given.values()))


def _compare(path: Path, wanted: Mapping[str, torch.Tensor], found: list[np.ndarray]) -> None:
    for (name, value), got in zip(wanted.items(), found, strict=True):
        if not bool(value.isfinite().all()):
            raise ValueError(f"{path.name}: the model's own {name} are not finite numbers")
        if tuple(value.shape) != got.shape:
            raise RuntimeError(
                f"{path.name}: onnxruntime gives {name} of {got.shape}, the model of "
                f"{tuple(value.shape)}"
            )
        value = value.double().numpy()
        error = float((np.abs(got - value) / (1.0 + np.abs(value))).max())
        # A NaN is no small difference.
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"{path.name}: onnxruntime and the model differ in {name}, by {error:.1e}, where "
                f"{TOLERANCE:.0e} is allowed: the file was not written"
            )
