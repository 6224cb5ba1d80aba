"""Signals of items: read in blocks, mixed and resampled, in memory that does not grow with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch

from gatedrnn.data.audio import AudioError, AudioFile, BlockResampler, inspect
from gatedrnn.data.preparation import TOLERANCE
from gatedrnn.tasks.asr.inputs import Item

logger = logging.getLogger(__name__)

#: Seconds of a block.
BLOCK = 20.0
#: Utterances that are not longer are resampled in one go, to the bit as in training; others agree
#: with training to rounding.
UTTERANCE = 60.0
#: Of all channels of a block: those of many channels are shorter.
MAX_SAMPLES = 2**24
#: What a header may say: other rates are no sound, or would take memory without bound.
RATES = (1_000, 1_000_000)


@dataclass(frozen=True)
class Stretch:
    """Where the signal of an item lies in its file.

    Arguments
    ---------
    path : Path
        The file.
    rate : int
        Its samples per second.
    first, last : int
        First sample and the one past the last.
    channels : int
        How many the file has.
    channel : int or None
        The one that is wanted, from 0; ``None`` for their mean.

    Example
    -------
    >>> stretch = Stretch(Path("a.wav"), 8000, 4000, 12000, 2, None)
    >>> stretch.seconds, stretch.offset
    (1.0, 0.5)
    """

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
        """Seconds from the beginning of the file."""
        return self.first / self.rate


def locate(item: Item) -> Stretch:
    """Looks where the signal of an item lies, without reading it.

    Arguments
    ---------
    item : Item
        The item.

    Returns
    -------
    Stretch

    Raises
    ------
    AudioError
        If the file is missing, empty, no audio, or cut off before the end of what is wanted; if it
        does not have that channel or that time.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, [0.0] * 16000, 16000)
    >>> locate(Item("a", path, start=0.25)).seconds
    0.75
    >>> _ = path.write_text("This is a text, whatever its name says.")
    >>> locate(Item("a", path))
    Traceback (most recent call last):
    ...
    gatedrnn.data.audio.AudioError: audio-unreadable: ...: Format not recognised.
    """
    stretch = _located(item)
    if item.stop is not None and item.stop - stretch.offset - stretch.seconds > TOLERANCE:
        logger.warning(
            "%s: %s is stated to end at %.3f s, but the recording ends at %.3f s",
            item.path, item.name, item.stop, stretch.offset + stretch.seconds,
        )  # fmt: skip
    return stretch


def _located(item: Item) -> Stretch:
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
    return Stretch(item.path, header.rate, first, last, header.channels, item.channel)


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
    """Reads the signal of an item as a whole: for utterances.

    Arguments
    ---------
    item : Item
        The item.
    rate : int
        Samples per second wanted.

    Returns
    -------
    torch.Tensor
        (samples,), float32: what :class:`~gatedrnn.data.dataset.SpeechDataset` gives in training.

    Raises
    ------
    AudioError
        If it cannot be read.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, [[0.1, 0.5]] * 8000, 8000)
    >>> signal = read_samples(Item("a", path), 16000)
    >>> signal.shape, round(float(signal[8000]), 3)
    (torch.Size([16000]), 0.3)
    """
    return torch.cat(list(stream_blocks(item, rate, UTTERANCE)))


def stream_blocks(item: Item, rate: int, seconds: float = BLOCK) -> Iterator[torch.Tensor]:
    """Reads the signal of an item block by block: for recordings of any length.

    Arguments
    ---------
    item : Item
        The item.
    rate : int
        Samples per second wanted.
    seconds : float
        About the duration of a block.

    Returns
    -------
    iterator of torch.Tensor
        Each (samples,), float32, with at least one sample; one after the other they are what
        :func:`read_samples` gives.

    Raises
    ------
    AudioError
        If it cannot be read; what came before the fault has been given by then.
    """
    if seconds <= 0:
        raise ValueError(f"blocks of {seconds} s: must be more than 0")
    stretch = _located(item)
    resampler = BlockResampler(stretch.rate, rate)
    left = stretch.last - stretch.first
    size = min(round(seconds * stretch.rate), MAX_SAMPLES // stretch.channels)
    for block in _read(stretch, max(1, size)):
        left -= len(block)
        found = resampler.push(block) if left else resampler.flush(block)
        if len(found):
            yield found


def _read(stretch: Stretch, size: int) -> Iterator[torch.Tensor]:
    """Blocks of a channel, or of the mean of all, at the rate of the file."""
    place = stretch.first
    try:
        with soundfile.SoundFile(stretch.path) as stream:
            stream.seek(place)
            while place < stretch.last:
                wanted = min(size, stretch.last - place)
                samples = torch.from_numpy(stream.read(wanted, dtype="float32", always_2d=True))
                if len(samples) < wanted:
                    raise AudioError(
                        "audio-truncated",
                        f"{stretch.path}: ends after {place + len(samples)} samples, "
                        f"{stretch.last} are wanted",
                    )
                if not samples.isfinite().all():
                    raise AudioError(
                        "audio-unreadable", f"{stretch.path}: has samples that are no numbers"
                    )
                place += wanted
                if stretch.channel is None:
                    yield samples.mean(1)
                else:
                    yield samples[:, stretch.channel].contiguous()
    except soundfile.LibsndfileError as error:
        kind = "audio-unreadable" if place == stretch.first else "audio-truncated"
        raise AudioError(kind, f"{stretch.path}: {error}") from error


def cut_chunks(
    blocks: Iterable[torch.Tensor], chunks: Iterable[tuple[float, float]], rate: int
) -> Iterator[torch.Tensor]:
    """Cuts chunks out of a signal that comes in blocks, keeping no more of it than a chunk needs.

    Arguments
    ---------
    blocks : iterable of torch.Tensor
        The signal, each (samples,).
    chunks : iterable of (float, float)
        Begin and end in seconds from the beginning of the signal, in order of their begins.
    rate : int
        Samples per second.

    Returns
    -------
    iterator of torch.Tensor
        The signal of each chunk, (samples,); shorter where the signal ends before.

    Example
    -------
    >>> blocks = torch.arange(100.0).split(30)
    >>> [chunk.tolist() for chunk in cut_chunks(blocks, [(2.9, 3.1), (9.8, 11.0)], rate=10)]
    [[29.0, 30.0], [98.0, 99.0]]
    """
    stream = iter(blocks)
    held, place = torch.zeros(0), 0
    for start, end in chunks:
        first, last = round(start * rate), round(end * rate)
        if first < place:
            raise ValueError(f"the chunk at {start} s begins before what was kept of the signal")
        ended = False
        while not ended and place + len(held) < last:
            block = next(stream, None)
            ended = block is None
            if not ended:
                # What lies before the chunk is not needed by any that follows.
                skipped = min(len(held), first - place)
                held, place = torch.cat([held[skipped:], block]), place + skipped
        yield held[first - place : last - place].clone()
        skipped = min(len(held), first - place)
        held, place = held[skipped:], place + skipped
