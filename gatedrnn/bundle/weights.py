"""``model.safetensors``: read only after its header has been held against the model."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

#: Names of the statistics of the features among the weights.
MEAN, STD = "normalize.mean", "normalize.std"
#: Before the names of the model's own weights.
MODEL = "model."

#: No honest header comes near it: 100 bytes or so for each weight.
LARGEST_HEADER = 1 << 26
_BYTES = {"F32": 4}


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes out of a header, without reading weights.

    Arguments
    ---------
    path : str or Path
        A safetensors file.

    Returns
    -------
    dict
        Name -> shape.

    Raises
    ------
    ValueError
        If the file is something else, another kind of number than float32 is in it, or its header
        does not fit its size.

    Example
    -------
    >>> from safetensors.torch import save_file
    >>> path = getfixture("tmp_path") / "model.safetensors"
    >>> save_file({"model.bias": torch.zeros(3)}, path)
    >>> read_shapes(path)
    {'model.bias': (3,)}
    """
    path = Path(path)
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if 8 + length > size or length > LARGEST_HEADER:
            # The length of an honest header can begin with the same bytes as a pickle.
            if head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
                raise ValueError(
                    f"{path} is a pickle, which could run code when read, and no safetensors file"
                )
            raise ValueError(
                f"{path} is no safetensors file: its header claims {length} bytes, the file has "
                f"{size}"
            )
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"))
        header.pop("__metadata__", None)
        shapes = {name: _shape(name, entry) for name, entry in header.items()}
        stretches = sorted(tuple(entry["data_offsets"]) for entry in header.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: its header is broken: {error}") from error
    end = 0
    for start, after in stretches:
        if start != end or after < start:
            raise ValueError(f"{path}: its header is broken: weights overlap or leave holes")
        end = after
    if 8 + length + end != size:
        raise ValueError(f"{path}: its header claims {8 + length + end} bytes, the file has {size}")
    return shapes


def _shape(name: str, entry: Mapping[str, Any]) -> tuple[int, ...]:
    shape, (start, after) = tuple(entry["shape"]), entry["data_offsets"]
    if entry["dtype"] not in _BYTES:
        raise ValueError(f"{name} is {entry['dtype']}, and must be F32")
    if not all(isinstance(n, int) and n >= 0 for n in (*shape, start, after)):
        raise ValueError(f"{name} has a shape or place that is no number")
    if after - start != math.prod(shape) * _BYTES[entry["dtype"]]:
        raise ValueError(f"{name} of shape {shape} does not have {after - start} bytes")
    return shape


def check_shapes(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], path: str | Path
) -> None:
    """Compares what a file has with what a model needs.

    Arguments
    ---------
    found : Mapping
        Name -> shape, of the file.
    wanted : Mapping
        Name -> shape, of the model.
    path : str or Path
        The file, for the message.

    Raises
    ------
    ValueError
        If they differ; it names the first differences.
    """
    problems = [f"it lacks {name}" for name in wanted if name not in found]
    problems += [f"it has {name}, which the model has not" for name in found if name not in wanted]
    problems += [
        f"its {name} is {found[name]}, in the model {shape}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{path} does not fit the model of config.json: {'; '.join(problems[:3])}{more}"
        )


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Reads the weights of a file whose header was found right.

    Arguments
    ---------
    path : str or Path
        A safetensors file.

    Returns
    -------
    dict
        Name -> tensor, on the CPU.

    Raises
    ------
    ValueError
        If the file is broken, or holds what is no number.
    """
    try:
        # Copied to where torch would have put them: products of weights that are aligned otherwise
        # may differ in the last bits from those of the training.
        weights = {name: value.clone() for name, value in load_file(path, device="cpu").items()}
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{path}: {name} holds values that are not finite")
    return weights


def weights_of(model: nn.Module, tied: tuple[str, str] | None = None) -> dict[str, torch.Tensor]:
    """The weights of a model, each once, by their names in a bundle.

    Arguments
    ---------
    model : nn.Module
        The model.
    tied : tuple of str or None
        Of a tied model the matrix of the output layer, which is left out, and that of the
        embedding, which it is.

    Returns
    -------
    dict
        Name -> tensor, not copied.

    Example
    -------
    >>> model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    >>> model[1].weight = model[0].weight
    >>> list(weights_of(model, ("1.weight", "0.weight")))
    ['model.0.weight']
    """
    return {
        MODEL + name: value
        for name, value in model.state_dict().items()
        if tied is None or name != tied[0]
    }


def write_weights(path: str | Path, model: nn.Module, tied: tuple[str, str] | None = None) -> None:
    """Writes the weights of a model, in float32.

    Arguments
    ---------
    path : str or Path
        A safetensors file.
    model : nn.Module
        The model.
    tied : tuple of str or None
        See :func:`weights_of`.
    """
    found = {
        name: value.detach().to("cpu", torch.float32).contiguous().clone()
        for name, value in weights_of(model, tied).items()
    }
    save_file(found, path, metadata={"format": "pt"})


def put_weights(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    tied: tuple[str, str] | None = None,
    assign: bool = False,
) -> None:
    """Has a model take weights, and be as it is used: in evaluation, without gradients.

    Arguments
    ---------
    model : nn.Module
        The model; changed in place.
    weights : Mapping
        Name in a bundle -> tensor.
    tied : tuple of str or None
        See :func:`weights_of`.
    assign : bool
        Whether it takes the tensors themselves; for models without memory of their own.
    """
    state = {name.removeprefix(MODEL): value for name, value in weights.items()}
    if tied is not None:
        state[tied[0]] = state[tied[1]]
    model.load_state_dict(state, assign=assign)
    if tied is not None:
        # Assigned by their names they are two again.
        owner, _, name = tied[0].rpartition(".")
        setattr(model.get_submodule(owner), name, model.get_parameter(tied[1]))
    model.eval().requires_grad_(False)
