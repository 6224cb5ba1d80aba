"""Pictures of where a captioner looked: over the image, or along the recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatedrnn.data.plots import draw_mels, new_figure, write_figure

#: Panels in a row.
_IN_A_ROW = 6


def draw_over_image(
    path: str | Path,
    pixels: np.ndarray,
    words: Sequence[str],
    attention: np.ndarray,
    shape: tuple[int, int],
    title: str = "",
) -> None:
    """Draws an image, then for each word where the captioner looked for it.

    Beside a word stands the greatest weight that a region had.

    Arguments
    ---------
    path : str or Path
        The PNG file.
    pixels : np.ndarray
        The image, (height, width, 3), uint8.
    words : sequence of str
        The caption.
    attention : np.ndarray
        Weights of the regions for each word, (words, rows * columns).
    shape : (int, int)
        Rows and columns of the regions.
    title : str
        Above the picture, such as the caption.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is not a row of weights for each word, or not a weight for each region.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.png"
    >>> pixels = np.full((20, 30, 3), 128, dtype=np.uint8)
    >>> draw_over_image(path, pixels, ["a", "dog"], np.full((2, 6), 1 / 6), (2, 3))
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    attention = _checked(words, attention, math.prod(shape))
    height, width = pixels.shape[:2]
    columns = min(_IN_A_ROW, len(words) + 1)
    rows = -(-(len(words) + 1) // columns)
    figure = new_figure(2.2 * columns, (2.2 * height / width + 0.3) * rows + (0.4 if title else 0))
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel in panels:
        panel.axis("off")
    panels[0].imshow(pixels)
    for panel, word, weights in zip(panels[1:], words, attention, strict=False):
        seen = _enlarged(_stretched(weights).reshape(shape), (height, width))
        panel.imshow(pixels.mean(2), cmap="gray", vmin=0, vmax=255)
        panel.imshow(seen, cmap="inferno", vmin=0.0, vmax=1.0, alpha=0.7 * seen)
        panel.set_title(f"{word}  {weights.max(initial=0.0):.2f}", fontsize=10)
    if title:
        figure.suptitle(title)
    write_figure(path, figure)


def draw_over_sound(
    path: str | Path,
    signal: np.ndarray,
    rate: int,
    words: Sequence[str],
    attention: np.ndarray,
    region_seconds: float,
    title: str = "",
) -> None:
    """Draws a recording's log-mel spectrogram, and under it where the captioner listened.

    Arguments
    ---------
    path : str or Path
        The PNG file.
    signal : np.ndarray
        The recording, (samples,).
    rate : int
        Samples per second.
    words : sequence of str
        The caption.
    attention : np.ndarray
        Weights of the regions for each word, (words, regions).
    region_seconds : float
        Time that a region covers.
    title : str
        Above the picture, such as the caption.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is not a row of weights for each word.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.png"
    >>> noise = np.random.default_rng(0).normal(size=16000)
    >>> draw_over_sound(path, noise, 16000, ["a", "dog"], np.full((2, 10), 0.1), 0.1)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    attention = _checked(words, attention, None)
    figure = new_figure(10, 3.2 + 0.28 * len(words))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 0.5 + 0.28 * len(words)])
    draw_mels(upper, signal, rate)
    upper.set_ylabel("log-mel")
    _draw_rows(lower, words, attention, region_seconds)
    lower.set_xlabel("seconds")
    lower.set_xlim(0.0, len(signal) / rate)
    if title:
        figure.suptitle(title)
    write_figure(path, figure)


def _draw_rows(
    axes: Any, words: Sequence[str], attention: np.ndarray, region_seconds: float
) -> None:
    """Words under each other, the weights of each as bright as they are great."""
    shown = np.stack([_stretched(weights) for weights in attention]) if len(words) else attention
    end = attention.shape[1] * region_seconds
    if len(words):
        axes.imshow(
            shown,
            aspect="auto",
            cmap="magma",
            vmin=0.0,
            vmax=1.0,
            interpolation="nearest",
            extent=(0.0, end, len(words) - 0.5, -0.5),
        )
    axes.set_yticks(range(len(words)), words)


def _stretched(weights: np.ndarray) -> np.ndarray:
    """Weights from 0 to 1; weights that are all the same stay in between."""
    low, high = float(weights.min()), float(weights.max())
    # Even weights differ by rounding only: that is not to be made visible.
    if high - low < 1e-4:
        return np.full_like(weights, 0.5)
    return (weights - low) / (high - low)


def _enlarged(weights: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A grid of weights as large as the image, without steps."""
    grid = torch.from_numpy(weights)[None, None]
    return torch.nn.functional.interpolate(grid, size, mode="bilinear")[0, 0].numpy()


def _checked(words: Sequence[str], attention: np.ndarray, regions: int | None) -> np.ndarray:
    attention = np.asarray(attention, dtype=float)
    regions = attention.shape[-1] if regions is None else regions
    if attention.shape != (len(words), regions):
        raise ValueError(
            f"attention must be ({len(words)}, {regions}): a row for each word, and a weight for "
            f"each region, not {attention.shape}"
        )
    return attention
