"""Weights of another training, such as an encoder for a model with another decoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.training.checkpoints import SafeCheckpointer, is_resumable

logger = get_logger(__name__)


def load_parts(
    model: nn.Module,
    source: str | Path,
    parts: tuple[str, ...],
    best: Mapping[str, str],
    remedy: str,
    prefix: str = "",
) -> Path:
    """Loads the weights whose names begin with ``parts`` from another training.

    ``source`` is its output folder (the best checkpoint is taken), a folder of checkpoints, one
    checkpoint, or a file with a model's state; ``best`` is the ``min_key`` or ``max_key`` of the
    best checkpoint; ``prefix`` is removed from the other model's names; ``remedy`` ends the message
    of a mismatch.
    """
    path = _find(Path(source), best)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds no model")
    loaded = {name.removeprefix(prefix): value for name, value in state.items()}
    loaded = {name: value for name, value in loaded.items() if name.startswith(parts)}
    expected = {n: v for n, v in model.state_dict().items() if n.startswith(parts)}
    problems = _differences(loaded, expected)
    if problems:
        raise ValueError(
            f"pretrained_encoder: {path} does not fit this model: {'; '.join(problems[:4])}"
            f"{f'; and {len(problems) - 4} more' if len(problems) > 4 else ''}. {remedy}"
        )
    model.load_state_dict({**model.state_dict(), **loaded})
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


def _differences(loaded: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Differences of names and shapes, in words."""
    problems = [f"it lacks {name}" for name in expected if name not in loaded]
    problems += [f"it has {name}, which is not here" for name in loaded if name not in expected]
    return problems + [
        f"its {name} is {tuple(loaded[name].shape)}, here {tuple(value.shape)}"
        for name, value in expected.items()
        if name in loaded and loaded[name].shape != value.shape
    ]
