"""The part of ``gatedrnn transcribe`` that listens: ``--stream``, on files and standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import torch

from gatedrnn.data.audio import AudioError
from gatedrnn.data.resampling import BlockResampler
from gatedrnn.tasks.asr.apply import Failure
from gatedrnn.tasks.asr.audio_blocks import RATES, locate, stream_blocks
from gatedrnn.tasks.asr.inputs import Item
from gatedrnn.tasks.asr.recogniser import Recogniser
from gatedrnn.tasks.asr.streaming import Streamer, Timing
from gatedrnn.tasks.asr.transcript import Segment, Transcript

STANDARD_INPUT = "-"


def stream(
    recogniser: Recogniser, items: Sequence[Item], arguments: argparse.Namespace
) -> Iterator[Transcript | Failure]:
    """Streams recordings, one after the other.

    Arguments
    ---------
    recogniser : Recogniser
        What recognises.
    items : sequence of Item
        The recordings.
    arguments : argparse.Namespace
        Of the command line.

    Returns
    -------
    iterator of Transcript or Failure
    """
    seconds = _piece(arguments)
    streamer = Streamer(recogniser, arguments.beam_size)
    for item in items:
        streamer.reset()
        try:
            stretch = locate(item)
            for block in stream_blocks(item, recogniser.sample_rate):
                for piece in block.split(max(1, round(seconds * recogniser.sample_rate))):
                    _show(streamer.accept(piece))
        except (AudioError, OSError) as error:
            _show(None)
            yield Failure(item, str(error))
            continue
        reading = streamer.finish()
        _show(None)
        print(f"{item.name}: {timing(streamer.timing)}", file=sys.stderr)
        segment = Segment(
            0.0, stretch.seconds, reading.text, reading.words, reading.confidence, item.speaker
        )
        yield Transcript(
            item.name,
            str(item.path),
            stretch.seconds,
            (segment,),
            item.text,
            item.recording,
            item.channel,
        ).shifted(stretch.offset)


def listen(
    recogniser: Recogniser, arguments: argparse.Namespace, source: BinaryIO | None = None
) -> int:
    """Streams raw samples from standard input: 16 bits, little-endian, one channel.

    Arguments
    ---------
    recogniser : Recogniser
        What recognises.
    arguments : argparse.Namespace
        Of the command line.
    source : binary file or None
        ``None`` for standard input.

    Returns
    -------
    int
        0.

    Raises
    ------
    ValueError
        If the command line asks for what a stream does not have.
    """
    if not arguments.stream or len(arguments.inputs) > 1:
        raise ValueError("- (standard input) goes with --stream, and alone")
    for name in ("output", "reference"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} is for files; what is heard on standard input is printed")
    source = source or sys.stdin.buffer
    rate = arguments.rate or recogniser.sample_rate
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"--rate must be from {RATES[0]} to {RATES[1]}, not {rate}")
    streamer = Streamer(recogniser, arguments.beam_size)
    resampler = BlockResampler(rate, recogniser.sample_rate)
    # Two bytes a sample; of a pipe, fewer than asked for may come, also half a sample.
    wanted, rest = 2 * max(1, round(_piece(arguments) * rate)), b""
    while data := source.read(wanted):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if not rest or whole:
            _show(streamer.accept(resampler.push(_samples(data[:whole]))))
    _show(streamer.accept(resampler.flush(torch.zeros(0))))
    reading = streamer.finish()
    _show(None)
    if rest:
        print("standard input ended within a sample: that one was left out", file=sys.stderr)
    print(reading.text)
    print(timing(streamer.timing), file=sys.stderr)
    return 0


def timing(found: Timing) -> str:
    """How fast a stream was worked off, in words.

    Arguments
    ---------
    found : Timing
        Of a streamer.

    Returns
    -------
    str

    Example
    -------
    >>> timing(Timing(audio=10.0, busy=0.5, longest=0.004, look_ahead=0.0725))
    'latency 72 ms + at most 4.0 ms a piece; 10.0 s in 0.5 s, real-time factor 0.0500'
    """
    return (
        f"latency {1000 * found.look_ahead:.0f} ms + at most {1000 * found.longest:.1f} ms a "
        f"piece; {found.audio:.1f} s in {found.busy:.1f} s, real-time factor "
        f"{found.real_time_factor:.4f}"
    )


def _piece(arguments: argparse.Namespace) -> float:
    if not arguments.piece > 0:
        raise ValueError(f"--piece must be more than 0 ms, not {arguments.piece}")
    return arguments.piece / 1000


def _samples(data: bytes) -> torch.Tensor:
    return (
        torch.frombuffer(bytearray(data), dtype=torch.int16).float() / 32768
        if data
        else (torch.zeros(0))
    )


def _show(text: str | None) -> None:
    """The text so far, on a terminal, in one line that is written over; ``None`` wipes it."""
    if sys.stderr.isatty():
        shown = "" if text is None else text[-78:]
        print(f"\r\x1b[K{shown}", end="", file=sys.stderr, flush=True)
