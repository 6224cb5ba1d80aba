"""Use of a trained music model: likelihood of pieces, and continuations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_bytes
from gatedrnn.tasks.music.bundle import MusicBundle
from gatedrnn.tasks.music.corpora import LOWEST, read_parts, roll_of_notes
from gatedrnn.tasks.music.decode import continue_piece, frame_losses

__all__ = ["continuation", "evaluate", "notes_of", "read_pieces"]


def read_pieces(path: str | Path, report: Report) -> dict[str, dict[str, np.ndarray]]:
    """Reads the pieces of a file.

    Arguments
    ---------
    path : str or Path
        A corpus (``.mat``, or ``.json`` with ``train``, ``valid`` and ``test``); or a single piece
        as JSON: a list of frames, each a list of MIDI notes. JSON may be compressed (``.gz``).
    report : Report
        Collects repeated notes.

    Returns
    -------
    dict
        Part -> name of a piece -> piano roll (frames, 88), uint8. The part of a single piece is
        ``"piece"``.
    """
    path = Path(path)
    if path.name.endswith((".json", ".json.gz")):
        content = _parsed(path)
        if isinstance(content, list):
            roll = roll_of_notes(content, str(path), path.name, report)
            return {"piece": {path.name: roll}}
    return {
        part: {f"{part}-{number:03d}": roll for number, roll in enumerate(rolls)}
        for part, rolls in read_parts(path, report).items()
    }


def _parsed(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def evaluate(bundle: MusicBundle, pieces: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Negative log-likelihood of pieces per predicted frame, in nats.

    Arguments
    ---------
    bundle : MusicBundle
        See :func:`~gatedrnn.tasks.music.bundle.load_music_model`.
    pieces : Mapping
        Name -> piano roll (frames, 88); pieces without a predicted frame do not count, but one must
        have some.

    Returns
    -------
    dict
        ``"NLL"`` (mean over all frames), ``"frames"``, ``"pieces"``.
    """
    first = bundle.config.model.first_frame
    rolls = [torch.from_numpy(roll) for roll in pieces.values()]
    # As in training, a piece of a single frame does not count.
    losses = [frame_losses(bundle.model, roll, first) for roll in rolls if len(roll) > 1]
    frames = sum(map(len, losses))
    if not frames:
        raise ValueError("no piece has two frames or more: nothing is predicted")
    total = sum(float(loss.double().sum()) for loss in losses)
    return {"NLL": total / frames, "frames": frames, "pieces": len(losses)}


def continuation(
    bundle: MusicBundle,
    roll: np.ndarray,
    frames: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> np.ndarray:
    """Continues a piano roll (frames, 88) by sampled frames: both together, uint8.

    See :func:`~gatedrnn.tasks.music.decode.continue_piece` for the arguments.
    """
    start = torch.from_numpy(roll)
    sampled = continue_piece(bundle.model, start, frames, temperature, seed)
    return torch.cat([start.to(torch.uint8), sampled]).numpy()


def notes_of(roll: np.ndarray) -> list[list[int]]:
    """MIDI notes of each frame of a piano roll (frames, 88)."""
    return [[LOWEST + int(key) for key in np.flatnonzero(frame)] for frame in roll]
