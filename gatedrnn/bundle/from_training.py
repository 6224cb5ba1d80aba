"""What a training has left in its output folder, for those who make a bundle of it or use it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from gatedrnn.bundle.files import CONFIG
from gatedrnn.training.brain import Brain
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.model_description import FILE as DESCRIPTION

Found = TypeVar("Found")

#: Keys of ``model.json`` of every training: its task, and by what its best checkpoint is chosen.
TRAINING_KEYS = ("task", "valid_metric", "higher_is_better")


def load_either(
    folder: str | Path,
    read: Callable[[Path], Found],
    trained: Callable[[Path, Mapping[str, Any]], Found],
) -> Found:
    """Reads a model from its bundle, or from the output folder of its training.

    Arguments
    ---------
    folder : str or Path
        Either of them.
    read : callable
        Reads a bundle.
    trained : callable
        Reads a training's folder, given what its ``model.json`` says.

    Returns
    -------
    Any
        What either of them gives.

    Raises
    ------
    FileNotFoundError
        If the folder is neither.
    ValueError
        If a file is broken.
    """
    folder = Path(folder)
    description = folder / DESCRIPTION
    if (folder / CONFIG).is_file() or not description.is_file():
        return read(folder)
    return trained(folder, read_object(description))


def read_object(path: Path) -> dict[str, Any]:
    """Reads a file of named values that a training has written.

    Arguments
    ---------
    path : Path
        The file.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold an object with named values")
    return data


def outdated(results: Path, error: Exception) -> ValueError:
    """The error of a ``model.json`` that an older version wrote, or somebody changed.

    Arguments
    ---------
    results : Path
        Output folder of the training.
    error : Exception
        What is wrong with it.

    Returns
    -------
    ValueError
    """
    wrong = f"there is no key {error}" if isinstance(error, KeyError) else error
    return ValueError(
        f"{results / DESCRIPTION}: {wrong}; the command of that training with --test_only "
        "writes the file anew"
    )


def take_best(results: Path, model: nn.Module, brain: type[Brain]) -> dict[str, Any]:
    """Has a model take the weights of a training's own test, and be as it is used.

    Arguments
    ---------
    results : Path
        Output folder of the training.
    model : nn.Module
        Built as the training's; changed in place.
    brain : type
        What trained it: its ``valid_metric`` decides which checkpoint is the best.

    Returns
    -------
    dict
        For the reader: the ``valid_metric`` and, if the training has come to its
        end, ``seed``, ``epochs`` and ``sets``.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    """
    metric = brain.valid_metric
    checkpointer = SafeCheckpointer(results / "save", {"model": model})
    key = {"max_key" if brain.higher_is_better else "min_key": metric}
    checkpoint = checkpointer.load_undamaged(**key)
    if checkpoint is None:
        raise FileNotFoundError(
            f"{results / 'save'} has no undamaged checkpoint with a validation {metric}"
        )
    model.eval().requires_grad_(False)
    training: dict[str, Any] = {f"validation {metric}": float(checkpoint.meta[metric])}
    path = results / "results.json"
    if path.is_file():
        found = read_object(path)
        training |= {key: found[key] for key in ("seed", "epochs", "sets") if key in found}
    return training
