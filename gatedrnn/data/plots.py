"""Plots of recordings: channels, spectrogram, and words over time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatedrnn.data.files import write_atomically
from gatedrnn.lazy import MissingExtraError

#: Length of the detail that shows how a wave passes the microphones, in seconds.
_DETAIL = 0.012


def draw_recording(
    path: str | Path,
    channels: Mapping[str, np.ndarray],
    rate: int,
    words: Mapping[str, Sequence[tuple[str, float, float]]],
    title: str = "",
) -> None:
    """Plots channels above each other, the log-mel spectrogram of the first, and rows of words.

    words: Name of a row, such as ``"reference"`` -> (word, start, end) in seconds from the signals'
        start.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.png"
    >>> noise = np.random.default_rng(0).normal(size=8000)
    >>> words = {"reference": [("YES", 0.2, 0.7)]}
    >>> draw_recording(path, {"left": noise, "right": noise}, 8000, words)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    figure = new_figure(14, 9)
    heights = [3.0, 2.5, 0.3 + 0.5 * len(words)]
    grid = figure.add_gridspec(3, 2, width_ratios=[5, 1], height_ratios=heights)
    waves = figure.add_subplot(grid[0, 0])
    detail = figure.add_subplot(grid[0, 1], sharey=waves)
    mels = figure.add_subplot(grid[1, 0], sharex=waves)
    text = figure.add_subplot(grid[2, 0], sharex=waves)
    begin = _onset(next(iter(channels.values())), rate)
    _draw_channels(waves, channels, rate, 0.0, None)
    _draw_channels(detail, channels, rate, begin, begin + _DETAIL)
    waves.axvspan(begin, begin + _DETAIL, color="tab:orange", alpha=0.6)
    detail.set_title(f"{1000 * _DETAIL:.0f} ms of it", fontsize=9)
    detail.set_xlabel("seconds")
    first, signal = next(iter(channels.items()))
    draw_mels(mels, signal, rate)
    mels.set_ylabel(f"log-mel, {first}")
    _draw_words(text, words)
    waves.set_xlim(0.0, len(signal) / rate)
    figure.suptitle(title)
    write_figure(path, figure)


def new_figure(width: float, height: float) -> Any:
    """An empty figure; width and height in inches, of 100 dots each."""
    try:
        # The object interface needs no display and leaves a caller's plots alone.
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError('plots need matplotlib: pip install "gatedrnn[plots]"') from error
    return Figure(figsize=(width, height), layout="constrained")


def write_figure(path: str | Path, figure: Any) -> None:
    """Writes a figure as PNG, atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    write_atomically(path, picture.getvalue())


def draw_mels(axes: Any, signal: np.ndarray, rate: int) -> None:
    """Plots the log-mel spectrogram of a signal (samples,) over seconds."""
    # Imported here: plots without speech need not wait for SpeechBrain.
    import torch
    from speechbrain.lobes.features import Fbank

    compute = Fbank(sample_rate=rate, n_mels=80, n_fft=round(0.025 * rate), hop_length=10)
    wave = torch.as_tensor(np.asarray(signal), dtype=torch.float32).unsqueeze(0)
    mels = compute(wave)[0].numpy().T
    axes.imshow(
        mels, origin="lower", aspect="auto", cmap="magma", extent=(0, len(signal) / rate, 0, 80)
    )


def _onset(signal: np.ndarray, rate: int) -> float:
    """Where the signal is loudest, in seconds: there a detail is worth looking at."""
    size = max(1, round(_DETAIL * rate))
    frames = np.asarray(signal[: len(signal) // size * size], dtype=float).reshape(-1, size)
    return int(np.argmax((frames**2).sum(1))) * size / rate if len(frames) else 0.0


def _draw_channels(
    axes: Any, channels: Mapping[str, np.ndarray], rate: int, begin: float, end: float | None
) -> None:
    first = round(begin * rate)
    last = None if end is None else round(end * rate)
    cut = {name: np.asarray(signal[first:last]) for name, signal in channels.items()}
    peak = max(float(np.abs(signal).max(initial=0.0)) for signal in channels.values()) or 1.0
    for row, signal in enumerate(cut.values()):
        times = (first + np.arange(len(signal))) / rate
        axes.plot(times, 0.9 * signal / peak - row, linewidth=0.5, color="tab:blue")
    axes.set_yticks([-row for row in range(len(cut))], list(cut), fontsize=7)


def _draw_words(axes: Any, words: Mapping[str, Sequence[tuple[str, float, float]]]) -> None:
    for row, spoken in enumerate(words.values()):
        for number, (word, start, end) in enumerate(spoken):
            axes.broken_barh(
                [(start, max(end - start, 0.01))],
                (-row - 0.4, 0.8),
                color=("tab:green", "tab:olive")[number % 2],
                alpha=0.4,
            )
            axes.text(
                (start + end) / 2, -row, word, fontsize=7, ha="center", va="center", rotation=25
            )
        axes.axhline(-row - 0.5, color="lightgrey", linewidth=0.5)
    axes.set_yticks([-row for row in range(len(words))], list(words))
    axes.set(xlabel="seconds", ylim=(-len(words) + 0.4, 0.6))
