"""Captions of files (images, recordings, features), and plots of their attention weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gatedrnn.data.audio import INPUT_SUFFIXES
from gatedrnn.data.files import list_files
from gatedrnn.data.plots import draw_mels, new_figure, write_figure
from gatedrnn.data.report import Report
from gatedrnn.seq2seq.encoder import collate_sources
from gatedrnn.seq2seq.search import SearchHypothesis, SearchOptions, search
from gatedrnn.tasks.captioning.bundle import CaptionerBundle
from gatedrnn.tasks.captioning.corpora.items import (
    FEATURE_SUFFIXES,
    MediaError,
    load_media,
    read_manifest,
)

#: Panels in a row.
_PANELS = 6
#: Kind of media -> endings of the files that are taken from folders.
ENDINGS = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm"),
    "audio": INPUT_SUFFIXES,
    "features": FEATURE_SUFFIXES,
}
MANIFESTS = (".csv", ".tsv", ".jsonl", ".gz")


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


@dataclass(frozen=True)
class Source:
    """A file to be captioned, with its name in the output."""

    name: str
    path: str


@dataclass(frozen=True)
class Described:
    """Captions of a file, the best one first.

    ``shape`` is that of the regions, see :class:`~gatedrnn.seq2seq.encoder.EncoderOutput`, and
    ``regions`` their number, without the padding of the batch.
    """

    source: Source
    captions: tuple[str, ...]
    hypotheses: tuple[SearchHypothesis, ...]
    shape: tuple[int, ...] | None
    regions: int


@dataclass(frozen=True)
class Refused:
    """A file that cannot be captioned, and the reason, which names the file."""

    source: Source
    reason: str


def find_sources(paths: Iterable[str | Path], kind: str) -> list[Source]:
    """Lists the files to be captioned.

    Their names are file names, of folders the paths below the folder, of manifests the ids of the
    items; where two names are equal, whole paths.

    Arguments
    ---------
    paths : iterable of str or Path
        Each a file; a folder, of which all files of that kind are taken, also of its subfolders;
        or a manifest, whose captions may be missing.
    kind : str
        ``"image"``, ``"audio"`` or ``"features"``.

    Returns
    -------
    list of Source
        In the order of the paths and of the rows; files of a folder sorted.

    Raises
    ------
    ValueError
        If a folder or a manifest has nothing of that kind.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("a.png", "b.jpg", "notes.txt", "deep/a.png"):
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     (folder / name).touch()
    >>> [source.name for source in find_sources([folder], "image")]
    ['a.png', 'b.jpg', 'deep/a.png']
    """
    sources: list[Source] = []
    for path in paths:
        file = Path(str(path).split("#")[0] if kind == "features" else path)
        if file.is_dir():
            sources += _of_folder(file, kind)
        elif not file.exists():
            raise FileNotFoundError(f"{file}: no such file or folder")
        elif file.suffix.lower() in MANIFESTS:
            sources += _of_manifest(file, kind)
        else:
            sources.append(Source(file.name + str(path)[len(str(file)) :], str(path)))
    counts = Counter(source.name for source in sources)
    return [s if counts[s.name] == 1 else replace(s, name=s.path) for s in sources]


def _of_folder(folder: Path, kind: str) -> list[Source]:
    """All files of a kind under a folder, without hidden ones."""
    sources = []
    for path in list_files(folder):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in ENDINGS[kind] and not hidden:
            sources.append(Source(inside.as_posix(), str(path)))
    if not sources:
        raise ValueError(f"{folder}: no {kind} ({', '.join(ENDINGS[kind])}) in this folder")
    return sources


def _of_manifest(path: Path, kind: str) -> list[Source]:
    items = read_manifest(path, Report("captions"), split="test")
    sources = [Source(item.id, item.path) for item in items if item.kind == kind]
    if not sources:
        raise ValueError(f"{path}: no row names a file in a column {kind!r}")
    return sources


def describe(
    bundle: CaptionerBundle,
    sources: Sequence[Source],
    options: SearchOptions,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
) -> Iterator[Described | Refused]:
    """Captions files, in their order; yields a :class:`Described` or :class:`Refused` for each.

    A file that cannot be read does not stop the others.

    Arguments
    ---------
    bundle : CaptionerBundle
        The captioner, on its device.
    sources : sequence of Source
        The files, see :func:`find_sources`.
    options : SearchOptions
        Search options.
    batch_size : int
        Files per batch, at least 1.
    device : torch.device or str
        Device of the captioner.
    """
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, not {batch_size}")
    for start in range(0, len(sources), batch_size):
        chosen = sources[start : start + batch_size]
        media, refused = {}, {}
        for source in chosen:
            try:
                media[source] = _load(bundle, source)
            except MediaError as error:
                refused[source] = Refused(source, error.detail)
        described = dict(zip(media, _captions(bundle, media, options, device), strict=True))
        yield from (refused.get(source) or described[source] for source in chosen)


def _load(bundle: CaptionerBundle, source: Source) -> torch.Tensor:
    media = load_media(source.path, bundle.config.media)
    width = bundle.config.model.encoder.get("input_size")
    if bundle.config.media.kind == "features" and media.shape[1] != width:
        detail = f"{source.path}: features are {media.shape[1]} wide, and must be {width}"
        raise MediaError("features-unreadable", detail)
    return media


@torch.no_grad()
def _captions(
    bundle: CaptionerBundle,
    media: dict[Source, torch.Tensor],
    options: SearchOptions,
    device: torch.device | str,
) -> list[Described]:
    if not media:
        return []
    batch, lengths = collate_sources(list(media.values()))
    lengths = None if lengths is None else lengths.to(device)
    encoded = bundle.model.encode(batch.to(device), lengths)
    valid = encoded.valid()
    regions = encoded.features.shape[1]
    counts = [regions] * len(media) if valid is None else valid.sum(1).tolist()
    nbest = search(bundle.model, encoded, options)
    return [
        Described(
            source,
            tuple(bundle.vocabulary.decode(hypothesis.tokens) for hypothesis in hypotheses),
            tuple(hypotheses),
            encoded.shape,
            count,
        )
        for source, hypotheses, count in zip(media, nbest, counts, strict=True)
    ]


def draw_attention(bundle: CaptionerBundle, described: Described, folder: str | Path) -> Path:
    """Plots the attention weights of each word of a file's best caption.

    Arguments
    ---------
    bundle : CaptionerBundle
        The captioner.
    described : Described
        The file and its captions, of :func:`describe`.
    folder : str or Path
        Folder of the plot, which has the name of the file and ``.png``.

    Returns
    -------
    Path
        The plot.

    Raises
    ------
    ValueError
        If the file is neither an image nor a recording, or its regions have no positions.
    """
    source, media, shape = described.source, bundle.config.media, described.shape
    if media.kind == "features" or shape is None:
        raise ValueError(
            f"{source.path}: attention can only be plotted over images and recordings whose "
            "regions have positions"
        )
    # Absolute paths and those with .. would lead out of the folder.
    inside = [part for part in Path(source.name).parts if part not in ("..", Path.cwd().anchor)]
    path = Path(folder).joinpath(*inside[:-1], f"{inside[-1]}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    best, caption = described.hypotheses[0], described.captions[0]
    words, weights = caption.split(), best.attention[:, : described.regions].numpy()
    signal = load_media(source.path, media).numpy()
    if media.kind == "image":
        plot_image_attention(path, signal.transpose(1, 2, 0), words, weights, shape, caption)
    else:
        seconds = bundle.model.encoder.region_seconds
        plot_sound_attention(path, signal, media.sample_rate, words, weights, seconds, caption)
    return path
