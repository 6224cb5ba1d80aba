"""Captions of files: images, recordings and features, some at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report
from gatedrnn.seq2seq.batch import collate_sources
from gatedrnn.seq2seq.search import SearchHypothesis, SearchOptions, search
from gatedrnn.tasks.asr.inputs import AUDIO
from gatedrnn.tasks.captioning.attention_plots import draw_over_image, draw_over_sound
from gatedrnn.tasks.captioning.bundle import CaptionerBundle
from gatedrnn.tasks.captioning.corpora.items import read_manifest
from gatedrnn.tasks.captioning.corpora.media import SUFFIXES as FEATURES
from gatedrnn.tasks.captioning.corpora.media import MediaError, load_media

#: Kind of media -> endings of the files that are taken from folders.
ENDINGS = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm"),
    "audio": AUDIO,
    "features": FEATURES,
}
MANIFESTS = (".csv", ".tsv", ".jsonl", ".gz")


@dataclass(frozen=True)
class Source:
    """What is to be described.

    Arguments
    ---------
    name : str
        What its caption is called by.
    path : str
        The file; of features perhaps with ``#`` and the name of an array in it.
    """

    name: str
    path: str


@dataclass(frozen=True)
class Described:
    """Captions of a file.

    Arguments
    ---------
    source : Source
        The file.
    captions : tuple of str
        The best one first.
    hypotheses : tuple of SearchHypothesis
        What was found, with scores and where the captioner looked.
    shape : tuple of int or None
        Of the regions that were looked at; see :class:`~gatedrnn.seq2seq.encoder.EncoderOutput`.
    regions : int
        How many of the regions are the file's own.
    """

    source: Source
    captions: tuple[str, ...]
    hypotheses: tuple[SearchHypothesis, ...]
    shape: tuple[int, ...] | None
    regions: int


@dataclass(frozen=True)
class Refused:
    """A file that could not be described.

    Arguments
    ---------
    source : Source
        The file.
    reason : str
        Why; it names the file.
    """

    source: Source
    reason: str


def find_sources(paths: Iterable[str | Path], kind: str) -> list[Source]:
    """Lists what is to be described.

    Files are called by their names, those of folders by their paths below it, items of manifests by
    their ids; where two would be called the same, by their whole paths.

    Arguments
    ---------
    paths : iterable of str or Path
        Each a file; a folder, of which all files of that kind are taken, also those in its folders;
        or a manifest (see ``manifest``; captions may be missing).
    kind : str
        ``"image"``, ``"audio"`` or ``"features"``.

    Returns
    -------
    list of Source
        In the order of the paths and of the rows; files of a folder sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
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
    found: list[Source] = []
    for path in paths:
        file = Path(str(path).split("#")[0] if kind == "features" else path)
        if file.is_dir():
            found += _of_folder(file, kind)
        elif not file.exists():
            raise FileNotFoundError(f"{file}: no such file or folder")
        elif file.suffix.lower() in MANIFESTS:
            found += _of_manifest(file, kind)
        else:
            found.append(Source(file.name + str(path)[len(str(file)) :], str(path)))
    counts = Counter(source.name for source in found)
    return [s if counts[s.name] == 1 else replace(s, name=s.path) for s in found]


def _of_folder(folder: Path, kind: str) -> list[Source]:
    """All files of a kind under a folder, hidden ones excepted."""
    found = []
    for path in list_files(folder):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in ENDINGS[kind] and not hidden:
            found.append(Source(inside.as_posix(), str(path)))
    if not found:
        raise ValueError(f"{folder}: no {kind} ({', '.join(ENDINGS[kind])}) in this folder")
    return found


def _of_manifest(path: Path, kind: str) -> list[Source]:
    items = read_manifest(path, Report("captions"), split="test")
    found = [Source(item.id, item.path) for item in items if item.kind == kind]
    if not found:
        raise ValueError(f"{path}: no row names a file in a column {kind!r}")
    return found


def describe(
    bundle: CaptionerBundle,
    sources: Sequence[Source],
    options: SearchOptions,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
) -> Iterator[Described | Refused]:
    """Describes files, in their order; one that cannot be read does not stop the others.

    Arguments
    ---------
    bundle : CaptionerBundle
        The captioner, on its device.
    sources : sequence of Source
        The files.
    options : SearchOptions
        How captions are searched for.
    batch_size : int
        Files at a time.
    device : torch.device or str
        Where the captioner is.

    Yields
    ------
    Described or Refused

    Raises
    ------
    ValueError
        If the batch size is not positive.
    ImportError
        If a package is not installed that such files need.
    """
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, not {batch_size}")
    for begin in range(0, len(sources), batch_size):
        chosen = sources[begin : begin + batch_size]
        media, refused = {}, {}
        for source in chosen:
            try:
                media[source] = _load(bundle, source)
            except MediaError as error:
                refused[source] = Refused(source, error.detail)
        made = dict(zip(media, _captions(bundle, media, options, device), strict=True))
        yield from (refused.get(source) or made[source] for source in chosen)


def _load(bundle: CaptionerBundle, source: Source) -> torch.Tensor:
    found = load_media(source.path, bundle.config.media)
    wanted = bundle.config.model.encoder.get("input_size")
    if bundle.config.media.kind == "features" and found.shape[1] != wanted:
        detail = f"{source.path}: features are {found.shape[1]} wide, and must be {wanted}"
        raise MediaError("features-unreadable", detail)
    return found


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
    return [
        Described(
            source,
            tuple(bundle.vocabulary.decode(hypothesis.tokens) for hypothesis in found),
            tuple(found),
            encoded.shape,
            count,
        )
        for source, found, count in zip(
            media, search(bundle.model, encoded, options), counts, strict=True
        )
    ]


def draw_attention(bundle: CaptionerBundle, described: Described, folder: str | Path) -> Path:
    """Draws where the captioner looked for each word of a file's best caption.

    Arguments
    ---------
    bundle : CaptionerBundle
        The captioner.
    described : Described
        The file.
    folder : str or Path
        Where the picture goes, called like the file, with ``.png`` after it.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    ValueError
        If the file is neither an image nor a recording, or its regions have no places.
    ImportError
        If matplotlib is not installed.
    """
    source, media, shape = described.source, bundle.config.media, described.shape
    if media.kind == "features" or shape is None:
        raise ValueError(
            f"{source.path}: where a captioner looked can only be drawn over images and "
            "recordings whose regions have places"
        )
    # Absolute paths and those with .. would lead out of the folder.
    inside = [part for part in Path(source.name).parts if part not in ("..", Path.cwd().anchor)]
    path = Path(folder).joinpath(*inside[:-1], f"{inside[-1]}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    best, caption = described.hypotheses[0], described.captions[0]
    words, looked = caption.split(), best.attention[:, : described.regions].numpy()
    signal = load_media(source.path, media).numpy()
    if media.kind == "image":
        draw_over_image(path, signal.transpose(1, 2, 0), words, looked, shape, caption)
    else:
        seconds = bundle.model.encoder.region_seconds
        draw_over_sound(path, signal, media.sample_rate, words, looked, seconds, caption)
    return path
