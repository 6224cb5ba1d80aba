"""Inputs of transcription: files, folders, manifests, prepared lists; and their signals."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile
import torch

from gatedrnn.data.audio import INPUT_SUFFIXES, AudioError, AudioFile, BlockResampler, inspect
from gatedrnn.data.files import list_files
from gatedrnn.data.preparation import TOLERANCE
from gatedrnn.data.report import Report
from gatedrnn.data.tables import COLUMNS, read_columns, read_csv
from gatedrnn.tasks.asr.corpora.manifest import read_manifest
from gatedrnn.tasks.asr.writers import check_name

logger = logging.getLogger(__name__)

MANIFESTS = (".csv", ".tsv", ".jsonl", ".json", ".ndjson")
#: Seconds of a block.
BLOCK = 20.0
#: Maximum duration of an utterance that is resampled at once, bit by bit as in training; others
#: agree with training up to rounding.
UTTERANCE = 60.0
#: Maximum samples of all channels of a block.
MAX_SAMPLES = 2**24
#: Valid sample rates: others are no audio, or would take memory without bound.
RATES = (1_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Item:
    """A recording, or a part of one, to be transcribed.

    Arguments
    ---------
    name : str
        Name of its transcript: relative, with ``/`` between folders, unique.
    path : Path
        The audio file.
    start : float or None
        Start in seconds; None for that of the file.
    stop : float or None
        End in seconds; None for that of the file.
    channel : int or None
        Channel of the file, from 0; None for the mean of all.
    text : str or None
        Reference transcript, if known.
    speaker : str or None
        Speaker, if known.
    samples : (int, int) or None
        First sample and the one after the last, at the file's own rate, where they are known
        exactly; instead of ``start`` and ``stop``.
    recording : str or None
        Name of the recording from whose start times count; None for ``name``.

    Example
    -------
    >>> Item("talk", Path("talk.wav")).whole, Item("talk-2", Path("talk.wav"), start=60.0).whole
    (True, False)
    """

    name: str
    path: Path
    start: float | None = None
    stop: float | None = None
    channel: int | None = None
    text: str | None = None
    speaker: str | None = None
    samples: tuple[int, int] | None = None
    recording: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a whole file."""
        return self.start is None and self.stop is None and self.samples is None


#: An item with its possible names, the best first.
_Named = tuple[Item, tuple[str, ...]]


def find_items(paths: Iterable[str | Path]) -> list[Item]:
    """Lists the recordings to be transcribed.

    Their names are those of the files without suffixes; in folders with the path below the folder;
    rows of manifests have their ``id``. If two names are the same, the suffix is kept or the name
    of the folder or manifest is put in front.

    Arguments
    ---------
    paths : iterable of str or Path
        Audio files; folders, with all audio files in them and in their subfolders; manifests (see
        :mod:`gatedrnn.tasks.asr.corpora.manifest`; texts may be missing); or prepared CSV files.

    Returns
    -------
    list of Item
        In the order of the paths and rows; files of a folder are sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    ValueError
        If a folder has no audio file, a manifest has an invalid row, or an input is given twice.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("a.wav", "b.flac", "b.wav", "notes.txt", "day1/a.wav"):
    ...     path = folder / name
    ...     path.parent.mkdir(exist_ok=True)
    ...     path.touch()
    >>> [item.name for item in find_items([folder])]
    ['a', 'b.flac', 'b.wav', 'day1/a']
    """
    items: list[_Named] = []
    for path in map(Path, paths):
        if path.is_dir():
            items += _of_folder(path)
        elif not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        elif path.suffix.lower() in MANIFESTS:
            items += _of_manifest(path)
        else:
            items.append((Item(path.stem, path), _names(path.name, path.absolute().parent.name)))
    return _named(items)


def _of_folder(folder: Path) -> list[_Named]:
    """All audio files under a folder, hidden ones excepted."""
    items = []
    for path in list_files(folder):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in INPUT_SUFFIXES and not hidden:
            names = _names(inside.as_posix(), folder.absolute().name)
            items.append((Item(names[0], path), names))
    if not items:
        raise ValueError(f"{folder}: no audio file ({', '.join(INPUT_SUFFIXES)}) in this folder")
    return items


def _names(inside: str, outside: str) -> tuple[str, ...]:
    """Names of a file, given its path below a folder and the folder's own name."""
    without = inside.removesuffix(Path(inside).suffix)
    names = (without, inside)
    return (*names, *(f"{outside}/{name}" for name in names)) if outside else names


def _of_manifest(path: Path) -> list[_Named]:
    """Rows of a manifest or of a prepared CSV file."""
    items = _of_prepared(path) if _is_prepared(path) else _of_rows(path)
    if not items:
        raise ValueError(f"{path}: no row names an audio file")
    repeated = [name for name, count in Counter(i.name for i in items).items() if count > 1]
    if repeated:
        raise ValueError(f"{path}: id {repeated[0]} appears twice")
    recordings = _recordings(item.path for item in items)
    return [
        (
            item if item.whole else replace(item, recording=recordings[item.path]),
            (item.name, f"{path.stem}/{item.name}"),
        )
        for item in items
    ]


def _recordings(paths: Iterable[Path]) -> dict[Path, str]:
    """Names of recordings: those of their files, with folders where they are not unique."""
    distinct = dict.fromkeys(paths)
    stems = Counter(path.stem for path in distinct)
    return {
        path: path.stem if stems[path.stem] == 1 else path.absolute().as_posix().lstrip("/")
        for path in distinct
    }


def _is_prepared(path: Path) -> bool:
    """Whether a file has the columns of a prepared CSV file."""
    return path.suffix.lower() == ".csv" and set(COLUMNS) <= set(read_columns(path))


def _of_prepared(path: Path) -> list[Item]:
    items = []
    for row in read_csv(path):
        if not row.wav:
            raise ValueError(f"{path}: utterance {row.id} has no recording, only its text")
        items.append(
            Item(
                row.id,
                path.parent / row.wav,
                channel=row.channel,
                text=row.words or None,
                speaker=row.speaker or None,
                samples=(row.start, row.stop),
            )
        )
    return items


def _of_rows(path: Path) -> list[Item]:
    report = Report("transcription")
    items = [
        Item(
            entry.id,
            entry.audio,
            entry.start,
            entry.stop,
            entry.channel,
            " ".join(entry.text.split()) or None,
            None if entry.speaker == "unknown" else entry.speaker,
        )
        for entry in read_manifest(path, report, required=("audio",))
    ]
    issues = {
        place: detail
        for kind in ("column-missing", "value-unreadable")
        for place, detail in report.items(kind).items()
    }
    if issues:
        place, detail = next(iter(issues.items()))
        more = f" (and {len(issues) - 1} more such rows)" if len(issues) > 1 else ""
        raise ValueError(f"{place}: {detail}{more}")
    return items


def _named(items: Sequence[_Named]) -> list[Item]:
    """Gives each item the first of its names that is unique."""
    levels = [0] * len(items)
    while True:
        chosen = [names[level] for (_, names), level in zip(items, levels, strict=True)]
        counts = Counter(chosen)
        if len(counts) == len(items):
            break
        for place, name in enumerate(chosen):
            if counts[name] == 1:
                continue
            levels[place] += 1
            if levels[place] == len(items[place][1]):
                first, second, *_ = (
                    str(items[i][0].path) for i, n in enumerate(chosen) if n == name
                )
                paths = f"{first} is given twice" if first == second else f"{first} and {second}"
                raise ValueError(f"{paths}: there can be only one transcript called {name}")
    return [
        replace(item, name=check_name(name)) for (item, _), name in zip(items, chosen, strict=True)
    ]


@dataclass(frozen=True)
class AudioSpan:
    """Samples ``first`` to ``last`` (excluded) of a file; ``channel`` None for the mean of all."""

    path: Path
    rate: int
    first: int
    last: int
    channels: int
    channel: int | None

    @property
    def seconds(self) -> float:
        """Duration."""
        return (self.last - self.first) / self.rate

    @property
    def offset(self) -> float:
        """Seconds from the start of the file."""
        return self.first / self.rate


def locate(item: Item) -> AudioSpan:
    """The span of an item, from the header of its file.

    Raises an AudioError if the file is missing, empty, not audio, or truncated before the end of
    the item; or if it does not have that channel or that time.
    """
    span = _located(item)
    if item.stop is not None and item.stop - span.offset - span.seconds > TOLERANCE:
        logger.warning(
            "%s: the end of %s is given as %.3f s, but the recording ends at %.3f s",
            item.path, item.name, item.stop, span.offset + span.seconds,
        )  # fmt: skip
    return span


def _located(item: Item) -> AudioSpan:
    header = inspect(item.path)
    if not RATES[0] <= header.rate <= RATES[1]:
        raise AudioError("audio-unreadable", f"{item.path}: {header.rate} samples per second")
    if item.channel is not None and item.channel >= header.channels:
        raise AudioError(
            "value-unreadable",
            f"{item.path}: channel {item.channel} wanted, but the file has {header.channels} "
            "(counted from 0)",
        )
    first, last = _span(item, header)
    return AudioSpan(item.path, header.rate, first, last, header.channels, item.channel)


def _span(item: Item, header: AudioFile) -> tuple[int, int]:
    """First sample and the one past the last, as preparation places them."""
    allowed = 0.0
    if item.samples is not None:
        first, last = item.samples
    else:
        first, last = round((item.start or 0.0) * header.rate), header.declared
        if item.stop is not None:
            last, allowed = round(item.stop * header.rate), TOLERANCE * header.rate
    open_ended = item.samples is None and item.stop is None
    if first < 0 or (last <= first and not open_ended):
        raise AudioError(
            "no-duration", f"{item.path}: {item.name} ends before it starts, or starts before 0"
        )
    beyond = last - header.frames
    if header.truncated and beyond > allowed:
        raise AudioError(
            "audio-truncated",
            f"{item.path}: {header.frames} of {header.declared} samples are there",
        )
    if first >= header.frames:
        raise AudioError(
            "past-the-end",
            f"{item.path}: {item.name} starts at {first / header.rate:.3f} s of "
            f"{header.seconds:.3f} s",
        )
    if item.samples is not None and beyond > 0:
        raise AudioError(
            "past-the-end",
            f"{item.path}: samples {first} to {last} wanted for {item.name}, but the file has "
            f"{header.frames}; prepare again, it has changed",
        )
    return first, min(last, header.frames)


def read_samples(item: Item, rate: int) -> torch.Tensor:
    """The signal of an item, (samples,) float32 at ``rate``: as ``SpeechDataset`` in training."""
    return torch.cat(list(stream_blocks(item, rate, UTTERANCE)))


def stream_blocks(item: Item, rate: int, seconds: float = BLOCK) -> Iterator[torch.Tensor]:
    """The signal of an item in blocks of about so many seconds, each (samples,) float32.

    Concatenated they are what :func:`read_samples` returns. Memory does not grow with the item. An
    AudioError comes after the blocks before the damage.
    """
    if seconds <= 0:
        raise ValueError(f"blocks of {seconds} s: must be more than 0")
    span = _located(item)
    resampler = BlockResampler(span.rate, rate)
    left = span.last - span.first
    size = min(round(seconds * span.rate), MAX_SAMPLES // span.channels)
    for block in _read(span, max(1, size)):
        left -= len(block)
        resampled = resampler.push(block) if left else resampler.flush(block)
        if len(resampled):
            yield resampled


def _read(span: AudioSpan, size: int) -> Iterator[torch.Tensor]:
    """Blocks of a channel, or of the mean of all, at the rate of the file."""
    place = span.first
    try:
        with soundfile.SoundFile(span.path) as stream:
            stream.seek(place)
            while place < span.last:
                count = min(size, span.last - place)
                samples = torch.from_numpy(stream.read(count, dtype="float32", always_2d=True))
                if len(samples) < count:
                    raise AudioError(
                        "audio-truncated",
                        f"{span.path}: ends after {place + len(samples)} samples, "
                        f"{span.last} are wanted",
                    )
                if not samples.isfinite().all():
                    raise AudioError(
                        "audio-unreadable", f"{span.path}: has samples that are no numbers"
                    )
                place += count
                if span.channel is None:
                    yield samples.mean(1)
                else:
                    yield samples[:, span.channel].contiguous()
    except soundfile.LibsndfileError as error:
        kind = "audio-unreadable" if place == span.first else "audio-truncated"
        raise AudioError(kind, f"{span.path}: {error}") from error


def cut_chunks(
    blocks: Iterable[torch.Tensor], chunks: Iterable[tuple[float, float]], rate: int
) -> Iterator[torch.Tensor]:
    """Cuts chunks from a signal in blocks, with no more of it in memory than a chunk needs.

    blocks: each (samples,)
    chunks: start and end in seconds, sorted by start

    Each chunk is (samples,), shorter where the signal ends before.
    """
    stream = iter(blocks)
    held, place = torch.zeros(0), 0
    for start, end in chunks:
        first, last = round(start * rate), round(end * rate)
        if first < place:
            raise ValueError(
                f"the chunk at {start} s starts before what is in memory of the signal"
            )
        ended = False
        while not ended and place + len(held) < last:
            block = next(stream, None)
            ended = block is None
            if not ended:
                # No later chunk needs what is before this one.
                skipped = min(len(held), first - place)
                held, place = torch.cat([held[skipped:], block]), place + skipped
        yield held[first - place : last - place].clone()
        skipped = min(len(held), first - place)
        held, place = held[skipped:], place + skipped
