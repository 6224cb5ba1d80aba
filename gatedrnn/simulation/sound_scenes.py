"""Short recordings of simulated events with captions: the smallest task of audio captioning.

One kind of event, or one after the other: tones, chirps, bursts of noise and clicks, soft or loud,
one to three of them. How many events of what loudness and kind come together in the test set never
does so in training (nor in dev), though each number, loudness and kind does. Soft and loud differ
in level only: features must not be normalised by the recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from gatedrnn.simulation.captioned import Made, choose, counted, generator, read_contents, write_set
from gatedrnn.simulation.combinations import Combination, part

SAMPLE_RATE = 16_000
#: Words for the kinds of events, singular and plural.
NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
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
#: Root mean square of an event; each varies by 2 dB, so that the two never meet.
LOUDNESS = {"soft": 0.02, "loud": 0.2}
ATTRIBUTES = {"count": ("1", "2", "3"), "loudness": tuple(LOUDNESS), "kind": tuple(NOUNS)}


@dataclass(frozen=True)
class Event:
    """Events of one kind.

    Arguments
    ---------
    count : int
        How many, from 1 to 3.
    loudness, kind : str
        Of each.
    """

    count: int
    loudness: str
    kind: str

    def combination(self, names: tuple[str, ...]) -> Combination:
        """The values of some attributes."""
        return tuple(str(getattr(self, name)) for name in names)

    def phrases(self) -> list[str]:
        """Ways to say it."""
        return counted(self.count, self.loudness, NOUNS[self.kind])


@dataclass(frozen=True)
class Sound:
    """What is in a recording.

    Arguments
    ---------
    events : tuple of Event
        One kind, or two of different kinds, one after the other.

    Example
    -------
    >>> sound = Sound((Event(2, "loud", "click"), Event(1, "soft", "low tone")))
    >>> "two loud clicks and then a soft low tone" in sound.captions()
    True
    """

    events: tuple[Event, ...]

    def captions(self) -> tuple[str, ...]:
        """All captions that are true of it, by the grammar, in order."""
        if len(self.events) == 1:
            return tuple(sorted(_of_one(self.events[0])))
        return tuple(sorted(_of_two(*self.events)))


def _of_one(event: Event) -> set[str]:
    be = "is" if event.count == 1 else "are"
    return {
        sentence
        for phrase in event.phrases()
        for sentence in (
            phrase,
            f"there {be} {phrase}",
            f"{phrase} can be heard",
            f"the sound of {phrase}",
            f"you can hear {phrase}",
        )
    }


def _of_two(first: Event, second: Event) -> set[str]:
    be = "is" if first.count == 1 else "are"
    return {
        sentence
        for one in first.phrases()
        for other in second.phrases()
        for sentence in (
            f"{one} followed by {other}",
            f"{one} and then {other}",
            f"first {one} then {other}",
            f"{other} after {one}",
            f"{one} before {other}",
            f"there {be} {one} and then {other}",
        )
    }


@dataclass(frozen=True)
class SoundOptions:
    """What recordings are made of.

    Arguments
    ---------
    seed : int
        The same seed, the same bytes.
    seconds : float
        Length of a recording, at least 3.5.
    two : float
        Share of recordings with two kinds of events.
    held_out : tuple of str
        The attributes whose combinations are parted between the splits: of count, loudness and
        kind.
    share : float
        Of combinations that go to dev, and again to test.
    floor : float
        Root mean square of the noise under everything.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    seed: int = 0
    seconds: float = 3.5
    two: float = 0.6
    held_out: tuple[str, ...] = ("count", "loudness", "kind")
    share: float = 0.125
    floor: float = 0.0005

    def __post_init__(self) -> None:
        if self.seconds < 3.5:
            raise ValueError(f"seconds must be at least 3.5, not {self.seconds}")
        if not 0 <= self.two <= 1:
            raise ValueError(f"two must lie between 0 and 1, not {self.two}")
        if self.seed < 0 or self.floor < 0:
            raise ValueError("seed and floor must not be negative")
        combinations(self)

    def events(self, split: str) -> tuple[Event, ...]:
        """All events that come in a split."""
        return _events(self, split)


@cache
def combinations(options: SoundOptions) -> dict[str, set[Combination]]:
    """Which combinations of attributes each split has.

    Arguments
    ---------
    options : SoundOptions
        They decide it.

    Returns
    -------
    dict
        Split -> combinations.

    Example
    -------
    >>> {split: len(found) for split, found in combinations(SoundOptions()).items()}
    {'train': 28, 'dev': 4, 'test': 4}
    """
    return part(ATTRIBUTES, options.held_out, options.share, options.seed)


@cache
def _events(options: SoundOptions, split: str) -> tuple[Event, ...]:
    every = (
        Event(int(count), loudness, kind)
        for count in ATTRIBUTES["count"]
        for loudness in ATTRIBUTES["loudness"]
        for kind in ATTRIBUTES["kind"]
    )
    allowed = combinations(options)[split]
    return tuple(event for event in every if event.combination(options.held_out) in allowed)


def make_sound(split: str, number: int, options: SoundOptions | None = None) -> Made:
    """Makes a recording with five captions.

    Arguments
    ---------
    split : str
        "train", "dev" or "test".
    number : int
        Any: the same number, the same recording.
    options : SoundOptions or None
        What recordings are made of; None for the defaults.

    Returns
    -------
    Made
        ``signal`` is (samples,), float32, at 16 kHz.

    Raises
    ------
    ValueError
        If there is no such split.

    Example
    -------
    >>> made = make_sound("test", 0)
    >>> made.signal.shape, len(set(made.references))
    ((56000,), 5)
    """
    options = options or SoundOptions()
    rng = generator(options.seed, split, number)
    known = options.events(split)
    first = known[rng.integers(len(known))]
    others = [event for event in known if event.kind != first.kind]
    events = (first,)
    if rng.random() < options.two and others:
        events = (first, others[rng.integers(len(others))])
    sound = Sound(events)
    references = choose(sound.captions(), rng)
    return Made(sound, references, _signal(sound, options, rng))


def _signal(sound: Sound, options: SoundOptions, rng: np.random.Generator) -> np.ndarray:
    """Samples of all events, with silence before, between and after."""
    pieces: list[np.ndarray] = []
    for number, event in enumerate(sound.events):
        if number:
            pieces.append(_silence(rng.uniform(0.35, 0.5)))
        for repeat in range(event.count):
            if repeat:
                pieces.append(_silence(rng.uniform(0.08, 0.15)))
            one = _event(event.kind, rng)
            level = LOUDNESS[event.loudness] * 10 ** (rng.uniform(-2, 2) / 20)
            pieces.append(one * level / np.sqrt(np.mean(one**2)))
    events = np.concatenate(pieces)
    samples = options.floor * rng.standard_normal(round(options.seconds * SAMPLE_RATE))
    start = rng.integers(len(samples) - len(events) + 1)
    samples[start : start + len(events)] += events
    return np.clip(samples, -1, 1).astype(np.float32)


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


def write_sounds(
    out: str | Path, counts: Mapping[str, int], options: SoundOptions | None = None
) -> Path:
    """Writes recordings and a manifest of their captions, unless they lie there already.

    Arguments
    ---------
    out : str or Path
        The folder.
    counts : Mapping
        Split -> number of recordings.
    options : SoundOptions or None
        What recordings are made of; None for the defaults.

    Returns
    -------
    Path
        The manifest, ``captions.jsonl``.

    Raises
    ------
    ValueError
        If a number is negative, or a split unknown.

    Example
    -------
    >>> path = write_sounds(getfixture("tmp_path"), {"train": 2})
    >>> sorted(file.name for file in (path.parent / "audio" / "train").iterdir())
    ['000000.wav', '000001.wav']
    """
    options = options or SoundOptions()
    return write_set(
        out,
        counts,
        options,
        lambda split, number: make_sound(split, number, options),
        lambda path, samples: soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16"),
        ("audio", ".wav"),
    )


def read_sounds(out: str | Path) -> dict[str, Sound]:
    """Reads what is in each recording of a set: a caption is right if it is one of ``captions()``.

    Arguments
    ---------
    out : str or Path
        The folder that :func:`write_sounds` wrote.

    Returns
    -------
    dict
        Item -> sound.

    Raises
    ------
    FileNotFoundError
        If there is no set.

    Example
    -------
    >>> folder = write_sounds(getfixture("tmp_path"), {"dev": 1}).parent
    >>> read_sounds(folder)["dev-000000"] == make_sound("dev", 0).contents
    True
    """
    return read_contents(out, lambda row: Sound(tuple(Event(**event) for event in row["events"])))
