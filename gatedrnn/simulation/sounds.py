"""Short recordings of events with captions: the smallest task of audio captioning.

One kind of event, or one after the other: tones, chirps, bursts of noise and clicks, soft or loud,
one to three of them. Soft and loud differ in level only: features must not be normalised by the
recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from gatedrnn.simulation.captioned import CaptionedItem, CaptionedItems, Group, choose

SAMPLE_RATE = 16_000
#: Root mean square of an event; each varies by 2 dB, so that the two never meet.
LOUDNESS = {"soft": 0.02, "loud": 0.2}
_NOUNS = {
    "low tone": (("low tone", "low tones"), ("low beep", "low beeps")),
    "high tone": (("high tone", "high tones"), ("high beep", "high beeps")),
    "rising chirp": (("rising chirp", "rising chirps"), ("rising whistle", "rising whistles")),
    "falling chirp": (
        ("falling chirp", "falling chirps"),
        ("falling whistle", "falling whistles"),
    ),
    "noise": (("burst of noise", "bursts of noise"), ("hiss", "hisses")),
    "click": (("click", "clicks"), ("tick", "ticks")),
}


@dataclass(frozen=True)
class Event(Group):
    """One to three events of one kind and loudness."""

    ATTRIBUTES = {"count": ("1", "2", "3"), "loudness": tuple(LOUDNESS), "kind": tuple(_NOUNS)}
    NOUNS = _NOUNS

    loudness: str
    kind: str


@dataclass(frozen=True)
class Sound:
    """Contents of a recording: events of one kind, or of two kinds, one after the other."""

    events: tuple[Event, ...]

    def captions(self) -> tuple[str, ...]:
        """All captions that are true of it, by the grammar, sorted."""
        captions = _captions_of_one if len(self.events) == 1 else _captions_of_two
        return tuple(sorted(captions(*self.events)))


def _captions_of_one(event: Event) -> set[str]:
    return {
        sentence
        for phrase in event.phrases()
        for sentence in (
            phrase,
            f"there {event.verb} {phrase}",
            f"{phrase} can be heard",
            f"the sound of {phrase}",
            f"you can hear {phrase}",
        )
    }


def _captions_of_two(first: Event, second: Event) -> set[str]:
    return {
        sentence
        for a in first.phrases()
        for b in second.phrases()
        for sentence in (
            f"{a} followed by {b}",
            f"{a} and then {b}",
            f"first {a} then {b}",
            f"{b} after {a}",
            f"{a} before {b}",
            f"there {first.verb} {a} and then {b}",
        )
    }


@dataclass(frozen=True, kw_only=True)
class Sounds(CaptionedItems):
    """Generator of recordings of events.

    Arguments
    ---------
    held_out : tuple of str
        Of count, loudness and kind.
    seconds : float
        Length of a recording, at least 3.5.
    floor : float
        Root mean square of the background noise.

    Example
    -------
    >>> item = Sounds().sample("test", 0)
    >>> item.signal.shape, len(set(item.references))
    ((56000,), 5)
    >>> {split: len(combinations) for split, combinations in Sounds().combinations().items()}
    {'train': 28, 'dev': 4, 'test': 4}
    """

    KIND, FOLDER, SUFFIX, GROUP = "audio", "audio", ".wav", Event

    held_out: tuple[str, ...] = ("count", "loudness", "kind")
    seconds: float = 3.5
    floor: float = 0.0005

    def __post_init__(self) -> None:
        if self.seconds < 3.5:
            raise ValueError(f"seconds must be at least 3.5, not {self.seconds}")
        if self.floor < 0:
            raise ValueError(f"floor must not be negative, not {self.floor}")
        super().__post_init__()

    def _differ(self, first: Event, second: Event) -> bool:
        return first.kind != second.kind

    def _render(self, groups: tuple[Event, ...], rng: np.random.Generator) -> CaptionedItem:
        sound = Sound(groups)
        references = choose(sound.captions(), rng)
        return CaptionedItem(sound, references, self._samples(groups, rng))

    def _samples(self, groups: tuple[Event, ...], rng: np.random.Generator) -> np.ndarray:
        """All events, with silence before, between and after."""
        pieces: list[np.ndarray] = []
        for number, event in enumerate(groups):
            if number:
                pieces.append(_silence(rng.uniform(0.35, 0.5)))
            for repeat in range(event.count):
                if repeat:
                    pieces.append(_silence(rng.uniform(0.08, 0.15)))
                wave = _event(event.kind, rng)
                level = LOUDNESS[event.loudness] * 10 ** (rng.uniform(-2, 2) / 20)
                pieces.append(wave * level / np.sqrt(np.mean(wave**2)))
        events = np.concatenate(pieces)
        samples = self.floor * rng.standard_normal(round(self.seconds * SAMPLE_RATE))
        start = rng.integers(len(samples) - len(events) + 1)
        samples[start : start + len(events)] += events
        return np.clip(samples, -1, 1).astype(np.float32)

    @staticmethod
    def _write_signal(path: Path, signal: np.ndarray) -> None:
        soundfile.write(path, signal, SAMPLE_RATE, subtype="PCM_16")

    @classmethod
    def _contents(cls, row: Mapping[str, Any]) -> Sound:
        return Sound(tuple(Event(**event) for event in row["events"]))


def _silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE))


def _event(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One event, of any level."""
    if kind == "click":
        # A decay of 2 ms: a click is short whatever its level.
        time = np.arange(round(0.012 * SAMPLE_RATE)) / SAMPLE_RATE
        return rng.standard_normal(len(time)) * np.exp(-time / 0.002)
    count = round(rng.uniform(0.18, 0.28) * SAMPLE_RATE)
    if kind == "noise":
        wave = rng.standard_normal(count)
    else:
        low, high = (rng.uniform(250, 400), rng.uniform(1400, 2200))
        ends = {"low tone": (low, low), "high tone": (high, high),
                "rising chirp": (low, high), "falling chirp": (high, low)}[kind]  # fmt: skip
        wave = np.sin(2 * np.pi * np.cumsum(np.geomspace(*ends, count)) / SAMPLE_RATE)
    edge = round(0.01 * SAMPLE_RATE)
    ramp = np.sin(np.linspace(0, np.pi / 2, edge)) ** 2
    wave[:edge] *= ramp
    wave[-edge:] *= ramp[::-1]
    return wave
