"""Output folders of trainings: ``model.json`` and the best checkpoint, as bundles take them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from gatedrnn.bundle.format import read_json
from gatedrnn.training.checkpoints import SafeCheckpointer

#: Description of the model in a training's output folder.
DESCRIPTION = "model.json"
#: Its keys that are the same for all tasks.
TRAINING_KEYS = ("task", "valid_metric", "higher_is_better")


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON object that a training has written; a ValueError if it is something else."""
    data = read_json(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold an object with named values, not {data!r:.80}")
    return data


def read_description(results: Path) -> dict[str, Any]:
    """Reads ``model.json`` of an output folder."""
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder of a training")
    path = results / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(
            f"{results} has no {path.name}: either it is not the output folder of a training, or "
            "an older version trained it; then the command of that training with --test_only "
            "writes the file"
        )
    return read_object(path)


def outdated(results: Path, error: Exception) -> ValueError:
    """The error of a ``model.json`` that an older version wrote, or that was edited."""
    return ValueError(
        f"{error}; the command of that training with --test_only writes {results / DESCRIPTION} "
        "anew"
    )


def load_best(
    results: Path, recoverables: Mapping[str, Any], valid_metric: str, higher_is_better: bool
) -> dict[str, Any]:
    """Loads the checkpoint of a training's own test: the best one by its validation metric.

    Arguments
    ---------
    results : Path
        Output folder of the training.
    recoverables : Mapping
        Name in the checkpoint -> what takes it; changed in place.
    valid_metric : str
        Name of the metric.
    higher_is_better : bool
        Its direction.

    Returns
    -------
    dict
        ``training`` of a bundle: the metric's value and, once the training is finished, ``seed``,
        ``epochs`` and ``sets``.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    """
    checkpointer = SafeCheckpointer(results / "save", dict(recoverables))
    key = {"max_key" if higher_is_better else "min_key": valid_metric}
    checkpoint = checkpointer.load_undamaged(**key)
    if checkpoint is None:
        raise FileNotFoundError(
            f"{results / 'save'} has no undamaged checkpoint with a validation {valid_metric}"
        )
    for recovered in recoverables.values():
        if isinstance(recovered, nn.Module):
            recovered.eval().requires_grad_(False)
    value = float(checkpoint.meta[valid_metric])
    training: dict[str, Any] = {f"validation {valid_metric}": value}
    path = results / "results.json"
    if path.is_file():
        written = read_object(path)
        training |= {key: written[key] for key in ("seed", "epochs", "sets") if key in written}
    return training


def arguments_of(maker: Any, model: type, place: str) -> dict[str, Any]:
    """The arguments that a ``!name:`` of a YAML gives to a class of this package.

    Raises
    ------
    ValueError
        If it makes something else, which no file can describe.
    """
    if maker is model:
        return {}
    if not isinstance(maker, functools.partial) or maker.func is not model or maker.args:
        raise ValueError(f"{place} is not a {model.__name__} of this package")
    return dict(maker.keywords)
