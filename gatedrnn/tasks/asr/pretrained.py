"""An encoder that was trained before, such as one with CTC that is to get another head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.training.checkpoints import SafeCheckpointer, is_resumable

logger = get_logger(__name__)

#: The parts of an acoustic model that make the encoder.
PARTS = ("subsampling.", "encoder.")
#: How the acoustic model is called in a model with a head.
PREFIX = "acoustic."


def load_encoder(acoustic: CTCModel, source: str | Path) -> Path:
    """Gives an acoustic model the subsampling and the recurrent stack of another training.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model to begin with.
    source : str or Path
        The output folder of a training (its best checkpoint is taken), a folder of checkpoints, one
        checkpoint, or a file with a model's state.

    Returns
    -------
    Path
        The file that was read.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If what it holds does not fit the acoustic model.

    Example
    -------
    >>> one, other = (CTCModel(9, 6, num_layers=1, hidden_size=4, proj_size=2) for _ in "ab")
    >>> path = getfixture("tmp_path") / "model.ckpt"
    >>> torch.save(one.state_dict(), path)
    >>> load_encoder(other, path).name
    'model.ckpt'
    >>> name = "layers.0.0.weight_hh"
    >>> torch.equal(other.encoder.state_dict()[name], one.encoder.state_dict()[name])
    True
    """
    remedy = "Give the network, num_layers, sizes and subsampling that it was trained with"
    return load_parts(acoustic, source, PARTS, {"min_key": "WER"}, remedy, PREFIX)


def load_parts(
    model: nn.Module,
    source: str | Path,
    parts: tuple[str, ...],
    best: Mapping[str, str],
    remedy: str,
    prefix: str = "",
) -> Path:
    """Gives a model some of the weights of another training.

    Arguments
    ---------
    model : nn.Module
        The model to begin with.
    source : str or Path
        As of :func:`load_encoder`.
    parts : tuple of str
        Beginnings of the names of what is taken.
    best : Mapping
        ``min_key`` or ``max_key``: by which figure the best checkpoint is found.
    remedy : str
        What to do if it does not fit, for the message.
    prefix : str
        What names may begin with in the other training.

    Returns
    -------
    Path
        The file that was read.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If what it holds does not fit the model.

    Example
    -------
    >>> one, other = (nn.Sequential(nn.Linear(2, 3), nn.Linear(3, n)) for n in (4, 5))
    >>> path = getfixture("tmp_path") / "model.ckpt"
    >>> torch.save(one.state_dict(), path)
    >>> _ = load_parts(other, path, ("0.",), {"min_key": "loss"}, "Give the same sizes")
    >>> torch.equal(one[0].weight, other[0].weight)
    True
    """
    path = _find(Path(source), best)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds no model")
    found = {name.removeprefix(prefix): value for name, value in state.items()}
    found = {name: value for name, value in found.items() if name.startswith(parts)}
    wanted = {n: v for n, v in model.state_dict().items() if n.startswith(parts)}
    problems = _differences(found, wanted)
    if problems:
        raise ValueError(
            f"pretrained_encoder: {path} does not fit this model: {'; '.join(problems[:4])}"
            f"{f'; and {len(problems) - 4} more' if len(problems) > 4 else ''}. {remedy}"
        )
    model.load_state_dict({**model.state_dict(), **found})
    logger.info(f"Encoder initialised from {path}")
    return path


def _find(source: Path, key: Mapping[str, str]) -> Path:
    if source.is_file():
        return source
    for folder in (source, source / "save"):
        if (folder / "model.ckpt").is_file():
            return folder / "model.ckpt"
        if folder.is_dir():
            checkpointer = SafeCheckpointer(folder)
            best = checkpointer.find_checkpoint(**key)
            best = best or checkpointer.find_checkpoint(ckpt_predicate=is_resumable)
            if best is not None:
                return best.path / "model.ckpt"
    raise FileNotFoundError(
        f"pretrained_encoder: {source} is neither the output folder of a training nor a checkpoint"
    )


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What of one state does not fit the other, in words."""
    problems = [f"it lacks {name}" for name in wanted if name not in found]
    problems += [f"it has {name}, which is not here" for name in found if name not in wanted]
    return problems + [
        f"its {name} is {tuple(found[name].shape)}, here {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
