"""Plots of attention weights: over the image, or along the recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gatedrnn.data.plots import draw_mels, new_figure, write_figure

#: Panels in a row.
_PANELS = 6


def plot_image_attention(
    path: str | Path,
    pixels: np.ndarray,
    words: Sequence[str],
    attention: np.ndarray,
    shape: tuple[int, int],
    title: str = "",
) -> None:
    """Plots an image, then for each word the attention weights over it, with the largest weight.

    pixels: The image, (height, width, 3), uint8.
    attention: Weights of the regions for each word, (words, rows * columns).
    shape: Rows and columns of the regions.
    """
    attention = _checked(words, attention, math.prod(shape))
    height, width = pixels.shape[:2]
    columns = min(_PANELS, len(words) + 1)
    rows = -(-(len(words) + 1) // columns)
    figure = new_figure(2.2 * columns, (2.2 * height / width + 0.3) * rows + (0.4 if title else 0))
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel in panels:
        panel.axis("off")
    panels[0].imshow(pixels)
    for panel, word, weights in zip(panels[1:], words, attention, strict=False):
        grid = torch.from_numpy(_scaled(weights).reshape(shape))[None, None]
        enlarged = torch.nn.functional.interpolate(grid, (height, width), mode="bilinear")
        overlay = enlarged[0, 0].numpy()
        panel.imshow(pixels.mean(2), cmap="gray", vmin=0, vmax=255)
        panel.imshow(overlay, cmap="inferno", vmin=0.0, vmax=1.0, alpha=0.7 * overlay)
        panel.set_title(f"{word}  {weights.max(initial=0.0):.2f}", fontsize=10)
    if title:
        figure.suptitle(title)
    write_figure(path, figure)


def plot_sound_attention(
    path: str | Path,
    signal: np.ndarray,
    rate: int,
    words: Sequence[str],
    attention: np.ndarray,
    region_seconds: float,
    title: str = "",
) -> None:
    """Plots a recording's log-mel spectrogram, and under it the attention weights of each word.

    signal: The recording, (samples,), with ``rate`` samples per second.
    attention: Weights of the regions for each word, (words, regions).
    region_seconds: Duration of a region.
    """
    attention = _checked(words, attention, None)
    figure = new_figure(10, 3.2 + 0.28 * len(words))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 0.5 + 0.28 * len(words)])
    draw_mels(upper, signal, rate)
    upper.set_ylabel("log-mel")
    if len(words):
        lower.imshow(
            np.stack([_scaled(weights) for weights in attention]),
            aspect="auto",
            cmap="magma",
            vmin=0.0,
            vmax=1.0,
            interpolation="nearest",
            extent=(0.0, attention.shape[1] * region_seconds, len(words) - 0.5, -0.5),
        )
    lower.set_yticks(range(len(words)), words)
    lower.set_xlabel("seconds")
    lower.set_xlim(0.0, len(signal) / rate)
    if title:
        figure.suptitle(title)
    write_figure(path, figure)


def _scaled(weights: np.ndarray) -> np.ndarray:
    """Weights scaled to 0 to 1; equal weights become 0.5."""
    low, high = float(weights.min()), float(weights.max())
    # Equal weights differ by rounding only, which must not become visible.
    if high - low < 1e-4:
        return np.full_like(weights, 0.5)
    return (weights - low) / (high - low)


def _checked(words: Sequence[str], attention: np.ndarray, regions: int | None) -> np.ndarray:
    attention = np.asarray(attention, dtype=float)
    regions = attention.shape[-1] if regions is None else regions
    if attention.shape != (len(words), regions):
        raise ValueError(
            f"attention must be ({len(words)}, {regions}): a row for each word, and a weight for "
            f"each region, not {attention.shape}"
        )
    return attention
