"""``model.safetensors``: weights, read only after its header has been compared with the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

#: Before the names of the model's own weights; other tensors of a bundle have other names.
MODEL = "model."

_PICKLES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a safetensors file, without reading them.

    Raises
    ------
    ValueError
        If the file is something else, does not have the size that its header claims, or holds other
        numbers than float32.

    Example
    -------
    >>> from safetensors.torch import save_file
    >>> path = getfixture("tmp_path") / "model.safetensors"
    >>> save_file({"model.bias": torch.zeros(3)}, path)
    >>> read_shapes(path)
    {'model.bias': (3,)}
    """
    path, shapes = Path(path), {}
    try:
        # Reads the header alone; it refuses one that is too large, tensors that overlap or leave
        # holes, and a file of another size.
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():
                tensor = file.get_slice(name)
                shapes[name] = tuple(tensor.get_shape())
                if tensor.get_dtype() != "F32":
                    raise ValueError(f"{path}: {name} is {tensor.get_dtype()}, and must be F32")
    except SafetensorError as error:
        with open(path, "rb") as file:
            if file.read(2) in _PICKLES:
                raise ValueError(
                    f"{path} is a pickle, which could run code when read, and no safetensors file"
                ) from None
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    return shapes


def check_shapes(
    file_shapes: Mapping[str, tuple[int, ...]],
    model_shapes: Mapping[str, tuple[int, ...]],
    path: str | Path,
) -> None:
    """Raises ValueError, with the first differences, if a file does not have a model's tensors."""
    problems = [f"it lacks {name}" for name in model_shapes if name not in file_shapes]
    problems += [
        f"it has {name}, which the model has not"
        for name in file_shapes
        if name not in model_shapes
    ]
    problems += [
        f"its {name} is {file_shapes[name]}, in the model {shape}"
        for name, shape in model_shapes.items()
        if name in file_shapes and file_shapes[name] != shape
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{path} does not fit the model of config.json: {'; '.join(problems[:3])}{more}"
        )


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Reads a file whose shapes have been checked, onto the CPU; finite values only."""
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
    """The weights of a model, each once, by their names in a bundle; they are not copied.

    Arguments
    ---------
    model : nn.Module
        The model.
    tied : tuple of str or None
        Names of the output layer's matrix, which is left out, and of the embedding that is used in
        its place; None if the model is not tied.

    Returns
    -------
    dict
        Name -> tensor.

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


def write_weights(path: str | Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Writes tensors in float32."""
    copies = {
        name: value.detach().to("cpu", torch.float32).contiguous().clone()
        for name, value in weights.items()
    }
    save_file(copies, path, metadata={"format": "pt"})


def put_weights(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    tied: tuple[str, str] | None = None,
    assign: bool = False,
) -> None:
    """Loads the weights of a bundle into a model, which is then in evaluation without gradients.

    Arguments
    ---------
    model : nn.Module
        The model; changed in place.
    weights : Mapping
        Name in a bundle -> tensor.
    tied : tuple of str or None
        See :func:`weights_of`.
    assign : bool
        Whether it takes the tensors themselves; for models on the meta device.
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
