"""Use of a trained classifier on files of sentences, images or frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_lines
from gatedrnn.lazy import require
from gatedrnn.tasks.classification.bundle import ClassifierBundle
from gatedrnn.tasks.classification.corpora.images import as_sequences, read_idx
from gatedrnn.tasks.classification.data import ImageFrames, SequenceDataset
from gatedrnn.tasks.classification.decode import Prediction, most_probable

__all__ = ["classify", "read_inputs"]

#: Suffixes of image files.
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")


@torch.no_grad()
def classify(
    classifier: ClassifierBundle, inputs: Sequence[Any], count: int = 1, batch_size: int = 64
) -> Iterator[list[Prediction]]:
    """Classifies sequences; yields the most probable classes of each, the best one first.

    Arguments
    ---------
    classifier : ClassifierBundle
        See :func:`~gatedrnn.tasks.classification.bundle.load_classifier`.
    inputs : sequence
        Sentences, or frames of bytes: tensors (time, width), uint8.
    count : int
        Number of classes to return for each.
    batch_size : int
        Sequences in a batch.

    Raises
    ------
    ValueError
        If a sentence has no word, or frames have another width than the model's.
    """
    device = next(classifier.model.parameters()).device
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        for part in _of_one_shape(classifier, batch):
            labels = torch.zeros(len(part), dtype=torch.int64)
            dataset = SequenceDataset("input", part, labels)
            collated = dataset.__getitems__(range(len(part))).to(device)
            scores = classifier.model(collated.inputs, collated.lengths).scores
            yield from most_probable(scores.cpu(), classifier.config.model.classes, count)


def _of_one_shape(classifier: ClassifierBundle, batch: Sequence[Any]) -> Iterator[Any]:
    """Tokens of sentences, which are padded; frames as tensors (number, time, width)."""
    if classifier.tokens is not None:
        tokens = [torch.tensor(classifier.tokens.encode(text)) for text in batch]
        for text, encoded in zip(batch, tokens, strict=True):
            if not len(encoded):
                raise ValueError(f"sentence {text!r}: holds no word; must have at least one")
        yield tokens
        return
    width = classifier.config.model.inputs
    for frames in batch:
        if frames.ndim != 2 or frames.shape[1] != width or not len(frames):
            raise ValueError(
                f"frames of shape {tuple(frames.shape)}: must be (time, {width}) for this model"
            )
    if len({len(frames) for frames in batch}) == 1:
        yield torch.stack(list(batch))
        return
    for frames in batch:
        yield frames.unsqueeze(0)


def read_inputs(path: str | Path, classifier: ClassifierBundle) -> list[tuple[str, Any]]:
    """Reads a file as inputs of a classifier.

    Arguments
    ---------
    path : str or Path
        For sentences a text file with one in a line; for images an image file, or an idx file of
        images of one channel; for other frames a ``.npy`` file of uint8, (time, width) or (number,
        time, width). Text and idx files may be compressed (``.gz``).
    classifier : ClassifierBundle
        The classifier, which says how images become frames.

    Returns
    -------
    list of (str, Any)
        Name of each sequence, and its sentence or frames.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if classifier.tokens is not None:
        lines = read_lines(path, Report(path.name), keep_empty=True)
        return [(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line]
    images = classifier.config.images
    if images is None:
        sequences = _read_frames(path)
    elif path.suffix.lower() in _IMAGES:
        sequences = _as_frames(_read_image(path, images)[None], images, path)
    else:
        sequences = _as_frames(read_idx(path, 3)[0][..., None], images, path)
    if len(sequences) == 1:
        return [(str(path), sequences[0])]
    return [(f"{path}:{number}", frames) for number, frames in enumerate(sequences)]


def _read_frames(path: Path) -> torch.Tensor:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a .npy file of frames ({error})") from error
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise ValueError(
            f"{path}: {array.dtype} of shape {array.shape}; must be uint8, (time, width) or "
            "(number, time, width)"
        )
    return torch.from_numpy(array[None] if array.ndim == 2 else array)


def _read_image(path: Path, images: ImageFrames) -> np.ndarray:
    """Pixels (height, width, channels), uint8, in grey or in colours."""
    pillow = require("PIL.Image", "images", "captions", "Pillow")
    try:
        with pillow.open(path) as image:
            pixels = np.array(image.convert("L" if images.channels == 1 else "RGB"))
    # Pillow's UnidentifiedImageError is an OSError.
    except OSError as error:
        raise ValueError(f"{path}: not an image ({error})") from error
    return pixels.reshape(*pixels.shape[:2], -1)


def _as_frames(pixels: np.ndarray, images: ImageFrames, path: Path) -> torch.Tensor:
    """Images (number, height, width, channels) as frames (number, time, width)."""
    size = (images.height, images.width, images.channels)
    if pixels.shape[1:] != size:
        raise ValueError(f"{path}: images of size {pixels.shape[1:]}; must be {size}")
    return as_sequences(torch.from_numpy(pixels.copy()), images.order, images.permutation)
