"""Voices of simulated speakers, and speech with word times.

A voice is an accent and a variant of espeak-ng with a pitch, a liveliness, a rate and a
vocal-tract length of its own. The pairs of accent and variant are dealt out to train, dev and
eval once and for all: an evaluation speaker never has a training speaker's voice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from gatedrnn.simulation.espeak import synthesize
from gatedrnn.simulation.grammar import Token

SAMPLE_RATE = 16000
SPLITS = ("train", "dev", "eval")
ACCENTS = (
    "en-us",
    "en",
    "en-gb-scotland",
    "en-029",
    "en-gb-x-rp",
    "en-us-nyc",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
VARIANTS = {
    "M": (
        *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"),
        *("Andy", "Gene", "Lee", "Michael", "Mike", "Denis", "Alex", "ed", "rob", "travis", "max"),
    ),
    "F": (
        *("f1", "f2", "f3", "f4", "f5"),
        *("Annie", "Alicia", "linda", "belinda", "aunty", "steph", "Andrea"),
    ),
}
#: Level of speech within words, in full scales, before rooms and microphones change it.
SPEECH_LEVEL = 0.05
#: A word lasts as long as the signal stays above this share of the utterance's peak.
_AUDIBLE = 0.02
_FRAME = 80  # samples: 5 ms


@dataclass(frozen=True)
class Voice:
    """How a speaker sounds.

    Arguments
    ---------
    sex : str
        `M` or `F`.
    accent : str
        One of `ACCENTS`.
    variant : str
        One of `VARIANTS`.
    pitch : int
        0-99, 50 is the variant's own.
    pitch_range : int
        Liveliness, 0-99.
    rate : int
        Words per minute.
    tract : float
        Scale of all frequencies: over 1 is a shorter vocal tract.
    level : float
        Loudness, in dB about the usual.
    """

    sex: str
    accent: str
    variant: str
    pitch: int
    pitch_range: int
    rate: int
    tract: float
    level: float

    @property
    def name(self) -> str:
        """What espeak-ng calls accent and variant."""
        return f"{self.accent}+{self.variant}"


@dataclass(frozen=True)
class Speech:
    """An utterance with the times of its tokens.

    Arguments
    ---------
    samples : np.ndarray
        Signal, (samples,), float32, at 16 kHz.
    times : tuple of (float, float)
        Start and end of every token, in seconds; a token that is not heard starts and ends where
        the word before it ends.
    """

    samples: np.ndarray
    times: tuple[tuple[float, float], ...]


def pool(split: str, sex: str) -> tuple[tuple[str, str], ...]:
    """The pairs of accent and variant that speakers of a split may have.

    Arguments
    ---------
    split : str
        `train` (70 % of the pairs), `dev` or `eval` (15 % each).
    sex : str
        `M` or `F`.

    Returns
    -------
    tuple of (str, str)

    Raises
    ------
    ValueError
        If split or sex is none of these.

    Example
    -------
    >>> set(pool("train", "F")) & set(pool("eval", "F"))
    set()
    """
    if split not in SPLITS or sex not in VARIANTS:
        raise ValueError(f"no voices for split {split!r} and sex {sex!r}")
    pairs = [(accent, variant) for accent in ACCENTS for variant in VARIANTS[sex]]
    # Not the user's seed: two corpora of different seeds must not swap evaluation voices.
    order = np.random.default_rng(0).permutation(len(pairs))
    first, second = round(0.7 * len(pairs)), round(0.85 * len(pairs))
    part = {"train": order[:first], "dev": order[first:second], "eval": order[second:]}[split]
    return tuple(pairs[i] for i in part)


def draw_voice(rng: np.random.Generator, split: str, sex: str) -> Voice:
    """Draws a voice.

    Arguments
    ---------
    rng : np.random.Generator
        Where chance comes from.
    split : str
        `train`, `dev` or `eval`.
    sex : str
        `M` or `F`.

    Returns
    -------
    Voice

    Example
    -------
    >>> voice = draw_voice(np.random.default_rng(1), "eval", "F")
    >>> (voice.accent, voice.variant) in pool("eval", "F")
    True
    """
    pairs = pool(split, sex)
    accent, variant = pairs[int(rng.integers(len(pairs)))]
    return Voice(
        sex=sex,
        accent=accent,
        variant=variant,
        pitch=int(rng.integers(30, 66)),
        pitch_range=int(rng.integers(30, 71)),
        rate=int(rng.integers(150, 196)),
        tract=round(float(rng.uniform(0.93, 1.08)), 2),
        level=round(float(rng.uniform(-3, 3)), 1),
    )


def speak(voice: Voice, tokens: tuple[Token, ...]) -> Speech:
    """Speaks tokens. The result depends on nothing but the arguments.

    Arguments
    ---------
    voice : Voice
        Whose voice.
    tokens : tuple of Token
        What to say.

    Returns
    -------
    Speech

    Raises
    ------
    ImportError
        If espeakng-loader is not installed.
    ValueError
        If there is no word to say, or espeak-ng does not know the voice.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("espeakng_loader")
    >>> voice = draw_voice(np.random.default_rng(1), "eval", "F")
    >>> speech = speak(voice, (Token("Okay"), Token("."  , "punc")))
    >>> speech.samples.dtype.name, len(speech.times)
    ('float32', 2)
    """
    heard = [i for i, token in enumerate(tokens) if token.kind in ("word", "trunc")]
    if not heard:
        raise ValueError("there is no word to say")
    text = ""
    begins = {}  # where each token begins in the text
    for i, token in enumerate(tokens):
        if token.spoken:
            text += token.spoken if token.kind == "punc" or not text else " " + token.spoken
            begins[i] = len(text) - len(token.spoken)
    said = synthesize(
        text, voice.name, rate=voice.rate, pitch=voice.pitch, pitch_range=voice.pitch_range
    )
    # Played faster or slower, all frequencies are scaled as by a shorter or longer vocal tract.
    # Rounded, so that up- and downsampling factors stay small.
    played = 500 * round(said.rate * voice.tract / 500)
    divisor = gcd(SAMPLE_RATE, played)
    signal = resample_poly(
        said.samples.astype(np.float32) / 32768, SAMPLE_RATE // divisor, played // divisor
    ).astype(np.float32)
    starts = _starts(heard, begins, said.words, [len(tokens[i].spoken) for i in heard])
    spans = _audible(signal, [round(start * SAMPLE_RATE / played) for start in starts])
    inside = np.concatenate([signal[start:end] for start, end in spans])
    rms = float(np.sqrt(np.mean(inside**2)))
    signal *= np.float32(SPEECH_LEVEL * 10 ** (voice.level / 20) / max(rms, 1e-6))
    times, now, span = [], spans[0][0], dict(zip(heard, spans, strict=True))
    for i in range(len(tokens)):
        start, end = span.get(i, (now, now))
        times.append((start / SAMPLE_RATE, end / SAMPLE_RATE))
        now = end
    return Speech(signal, tuple(times))


def _starts(
    heard: list[int],
    begins: dict[int, int],
    events: tuple[tuple[int, int], ...],
    letters: list[int],
) -> list[float]:
    """First sample of every word. espeak-ng reports no event for the later words of a phrase that
    its dictionary holds as one: these share the phrase's span by their letters."""
    known: dict[int, float] = {}
    where = [begins[i] for i in heard]
    for position, sample in events:
        word = int(np.searchsorted(where, position, side="right")) - 1
        known.setdefault(max(word, 0), float(sample))
    known.setdefault(0, 0.0)
    ends = sorted(known)
    starts = [0.0] * len(heard)
    for first, after in zip(ends, [*ends[1:], None], strict=True):
        last = len(heard) if after is None else after
        begin = known[first]
        # At the end of the text there is no next event: 60 ms a letter.
        end = begin + 1323.0 * sum(letters[first:last]) if after is None else known[after]
        total = sum(letters[first:last])
        for word in range(first, last):
            starts[word] = begin + (end - begin) * sum(letters[first:word]) / total
    return starts


def _audible(signal: np.ndarray, starts: list[int]) -> list[tuple[int, int]]:
    """Spans of words, without the pauses that follow them: espeak-ng gives starts only."""
    frames = -(-len(signal) // _FRAME)
    padded = np.zeros(frames * _FRAME, np.float32)
    padded[: len(signal)] = np.abs(signal)
    loud = padded.reshape(frames, _FRAME).max(1)
    audible = loud > _AUDIBLE * loud.max()
    spans = []
    for start, limit in zip(starts, [*starts[1:], len(signal)], strict=True):
        start = min(start, len(signal) - _FRAME)
        limit = max(limit, start + _FRAME)
        first = start // _FRAME
        inside = np.flatnonzero(audible[first : -(-limit // _FRAME)])
        if len(inside):
            # Never before the event, nor past the next one.
            begin = max(start, (first + int(inside[0])) * _FRAME)
            end = min(limit, (first + int(inside[-1]) + 1) * _FRAME)
            spans.append((begin, max(end, begin + 1)))
        else:
            spans.append((start, limit))
    return spans
